"use strict";

// What came into each step, and what became of it.
(() => {
  const ENDS = ["kept", "dropped", "failed", "waiting"];

  // A bar of what became of the rows of a step, as long as its share of the first step's rows.
  const bar = (row, most) => {
    const made = curate.el("div", { class: "bar", "aria-hidden": "true" });
    for (const end of ENDS) {
      const part = curate.el("span", { class: end });
      part.style.width = `${most ? (100 * row[end]) / most : 0}%`;
      made.append(part);
    }
    return made;
  };

  // The page of the rows that ended so, where there is one: frames and scenes have none.
  const linked = (row, end) => {
    const number = curate.number(row[end]);
    if (!row[end] || row.kind === "count") return number;
    if (end === "failed") return curate.el("a", { href: curate.link("failed") }, number);
    if (end === "dropped" && row.rows === "clips" && row.kind === "filter") {
      const to = curate.link("clips", { status: "dropped", reason: row.step });
      return curate.el("a", { href: to }, number);
    }
    return number;
  };

  const line = (row, most) => {
    const name = curate.el("th", { scope: "row" }, curate.el("b", {}, row.step));
    if (row.where) name.append(" ", curate.el("code", {}, row.where));
    for (const { status, reason, rows } of row.reasons) {
      const text = `${curate.number(rows)} ${status}: ${reason ?? "no reason"}`;
      name.append(curate.el("div", { class: "muted reason" }, text));
    }
    name.append(bar(row, row.kind === "count" ? row.came_in : most));
    return curate.el(
      "tr",
      { class: row.kind },
      name,
      curate.el("td", {}, curate.number(row.came_in)),
      ...ENDS.map((end) => curate.el("td", { class: row[end] ? end : "none" }, linked(row, end))),
    );
  };

  const table = (title, rows, note) => {
    const heads = ["Came in", "Kept", "Dropped", "Failed", "Waiting"];
    const most = Math.max(...rows.map((row) => row.came_in), 0);
    return curate.el(
      "section",
      {},
      curate.el("h2", {}, title),
      note ? curate.el("p", { class: "muted" }, note) : null,
      curate.el(
        "table",
        { class: "steps" },
        curate.el(
          "thead",
          {},
          curate.el(
            "tr",
            {},
            curate.el("th", { scope: "col" }, "Step"),
            ...heads.map((head) => curate.el("th", { scope: "col" }, head)),
          ),
        ),
        curate.el("tbody", {}, ...rows.map((row) => line(row, most))),
      ),
    );
  };

  const totals = (found) => {
    const { videos, clips, kept, dropped, failed, active } = found.totals;
    const parts = [`${curate.number(videos)} videos`, `${curate.number(clips)} clips`];
    parts.push(`${curate.number(kept)} clips kept`, `${curate.number(dropped)} rows dropped`);
    parts.push(`${curate.number(failed)} failed`, `${curate.number(active)} waiting`);
    return curate.el("p", {}, parts.join(" · "));
  };

  // Files that are no videos have no rows: their folder is searched, which may take a while.
  const skipped = async (into) => {
    into.textContent = "Files that were skipped: counting…";
    try {
      const found = await curate.api("skipped");
      const kinds = Object.entries(found.skipped);
      const sum = kinds.reduce((total, [, count]) => total + count, 0);
      const parts = kinds.map(([suffix, count]) => `${curate.number(count)} ${suffix || "without"}`);
      const text = sum ? `${curate.number(sum)} (${parts.slice(0, 8).join(", ")})` : "none";
      const amount = found.whole ? text : `${sum ? `at least ${text}; ` : ""}not known: ${found.why}`;
      into.textContent = `Files that were skipped in ${curate.line(curate.home.root)}: ${amount}`;
    } catch (error) {
      into.textContent = `Files that were skipped: ${error.message}`;
    }
  };

  curate.page("funnel", "Funnel", async (main) => {
    const fill = async () => {
      const found = await curate.api("funnel");
      const of = (...kinds) => found.rows.filter((row) => kinds.includes(row.rows));
      const files = curate.el("p", { class: "muted" });
      main.replaceChildren(
        curate.el("h1", {}, "Funnel"),
        curate.asOf(found.as_of, fill),
        totals(found),
        table("Videos", of("videos")),
        files,
        of("scenes").length
          ? table("On the way from videos to clips", of("frames", "scenes"),
              "Frames outside of any clip, and scenes that were too short for one, are dropped.")
          : "",
        table("Clips", of("clips")),
      );
      skipped(files);
    };
    await fill();
  });
})();
