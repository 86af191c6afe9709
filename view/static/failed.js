"use strict";

// What failed, why, and how to try again.
(() => {
  const { el, number, line } = curate;

  const where = (row, level) => {
    const name = level === "clip" ? `${line(row.relpath)} #${row.clip_index}` : line(row.relpath);
    return level === "clip" ? el("a", { href: curate.link("clip", { id: row.id }) }, name) : name;
  };

  const rowsOf = (kind) => {
    const list = el("ul", { class: "rows" });
    const more = el("button", { type: "button", onclick: () => load() }, "More");
    let after = 0;
    const load = async () => {
      more.disabled = true;
      try {
        const { level, stage, error } = kind;
        const found = await curate.api("failed/rows", { level, stage, error, after });
        for (const row of found.rows) {
          list.append(
            el("li", {}, where(row, level), el("br"), el("span", { class: "muted" }, line(row.message))),
          );
        }
        after = found.after;
        more.hidden = !after;
      } catch (problem) {
        curate.say(problem.message);
      }
      more.disabled = false;
    };
    const box = el("details", {}, el("summary", {}, `All ${number(kind.rows)}`), list, more);
    box.addEventListener("toggle", () => {
      if (box.open && !list.childElementCount) load();
    });
    return box;
  };

  const show = async (page) => {
    const { kinds } = await curate.api("failed");
    const total = kinds.reduce((sum, kind) => sum + kind.rows, 0);
    page.append(el("h1", {}, "Failed"));
    if (!total) {
      page.append(el("p", {}, "Nothing failed."));
      return;
    }
    for (const kind of kinds) {
      const what = `${number(kind.rows)} ${kind.level}${kind.rows === 1 ? "" : "s"}`;
      page.append(
        el(
          "section",
          { class: "kind" },
          el("h2", {}, `${line(kind.error)} in ${line(kind.stage)}: ${what}`),
          el("p", {}, line(kind.message)),
          el("p", { class: "muted" }, "Once that is done, try again with:"),
          curate.command(kind.retry, "Try again"),
          rowsOf(kind),
        ),
      );
    }
  };

  curate.page("failed", "Failed", show);
})();
