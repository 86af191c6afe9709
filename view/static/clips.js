"use strict";

// The list of clips, and the page of one.
(() => {
  const { el, number, line } = curate;
  const STATUS = curate.statuses = { kept: "kept", dropped: "dropped", failed: "failed", active: "waiting" };

  // The picture of a clip; while `owner` is pointed at or has the focus it runs through them all.
  const thumbnail = (clip, owner) => {
    const image = el("img", {
      loading: "lazy",
      alt: "",
      src: curate.media.sample(clip.id, "middle"),
    });
    let timer = null;
    let turn = 0;
    const step = () => {
      const next = new Image();
      next.onload = () => {
        if (timer) image.src = next.src;
      };
      next.src = curate.media.sample(clip.id, turn++ % 1000); // the server counts on from the first
    };
    const start = () => {
      if (timer || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
      timer = setInterval(step, 400);
      step();
    };
    const stop = () => {
      clearInterval(timer);
      timer = null;
      turn = 0;
      image.src = curate.media.sample(clip.id, "middle");
    };
    image.addEventListener("error", () => image.classList.add("none"));
    for (const event of ["pointerenter", "focus"]) owner.addEventListener(event, start);
    for (const event of ["pointerleave", "blur"]) owner.addEventListener(event, stop);
    return image;
  };

  const span = (clip) =>
    clip.start_seconds === null
      ? ""
      : `${number(clip.start_seconds)} to ${number(clip.end_seconds)} s`;

  const stands = (clip) => {
    const reason = clip.reason ? `: ${line(clip.reason)}` : "";
    const waits = clip.status === "active" ? ` for ${clip.stage}` : "";
    return `${STATUS[clip.status] ?? clip.status}${reason}${waits}`;
  };

  // A clip as a small picture with what it is; it leads to the page of the clip. `says` is a line
  // of text below.
  curate.card = (clip, says = "") => {
    const card = el("a", {
      class: `card ${clip.status}`,
      href: curate.link("clip", { id: clip.id }),
      title: line(clip.relpath),
    });
    const picked = clip.picked ? ` · picked: ${clip.picked}` : "";
    card.append(
      thumbnail(clip, card),
      el("span", { class: "name" }, `${line(clip.relpath)} #${clip.clip_index}`),
      el("span", { class: "stands" }, `${stands(clip)}${picked}`),
      el("span", { class: "says" }, says || line(clip.error || clip.text || span(clip))),
    );
    return card;
  };

  // Cards in a grid; the arrow keys go from one to the next.
  curate.grid = (cards = []) => {
    const grid = el("div", { class: "grid" }, ...cards);
    grid.addEventListener("keydown", (event) => {
      const all = [...grid.children];
      const at = all.indexOf(document.activeElement);
      const top = all[0]?.offsetTop;
      const columns = Math.max(1, all.findIndex((card) => card.offsetTop !== top));
      const by = {
        ArrowRight: 1,
        ArrowLeft: -1,
        ArrowDown: columns,
        ArrowUp: -columns,
      }[event.key];
      if (at < 0 || !by || !all[at + by]) return;
      event.preventDefault();
      all[at + by].focus();
    });
    return grid;
  };

  const option = (value, text, chosen) => {
    const made = el("option", { value }, text);
    made.selected = value === chosen;
    return made;
  };

  const field = (label, control) => el("label", {}, `${label} `, control);

  const listPage = async (page, params) => {
    const choices = await curate.api("clips/choices");
    const wanted = Object.fromEntries(
      ["status", "reason", "text", "sort", "order"].map((name) => [name, params.get(name) ?? ""]),
    );
    const all = Object.values(choices.statuses).reduce((sum, count) => sum + count, 0);
    const controls = {
      status: el(
        "select",
        {},
        option("", `all (${number(all)})`, wanted.status),
        ...Object.entries(choices.statuses).map(([status, count]) =>
          option(status, `${STATUS[status]} (${number(count)})`, wanted.status),
        ),
      ),
      reason: el("select", {}),
      sort: el(
        "select",
        {},
        option("", "video", wanted.sort),
        ...Object.keys(choices.columns).map((name) => option(name, name, wanted.sort)),
      ),
      order: el(
        "select",
        {},
        option("asc", "smallest first", wanted.order),
        option("desc", "largest first", wanted.order),
      ),
      text: el("input", { type: "search", value: wanted.text, maxlength: 200, size: 18 }),
    };
    const says = el("p", { class: "muted", role: "status" });
    const grid = curate.grid();
    const more = el("button", { type: "button", onclick: () => load(true) }, "More");
    let after = null;
    let turn = 0;
    let shown = new Set();

    const showReasons = () => {
      const fitting = choices.reasons.filter(
        (found) => !controls.status.value || found.status === controls.status.value,
      );
      const names = fitting.map((found) => found.reason);
      if (!names.includes(wanted.reason)) wanted.reason = "";
      controls.reason.replaceChildren(
        option("", "any", wanted.reason),
        ...fitting.map((found) =>
          option(found.reason, `${line(found.reason)} (${number(found.clips)})`, wanted.reason),
        ),
      );
      controls.order.disabled = !controls.sort.value;
    };

    const load = async (goOn) => {
      const mine = ++turn;
      more.disabled = true;
      try {
        const found = await curate.api("clips", { ...wanted, after: goOn ? after : null });
        if (mine !== turn) return;
        if (!goOn) {
          shown = new Set();
          grid.replaceChildren();
        }
        const fresh = found.clips.filter((clip) => !shown.has(clip.id));
        for (const clip of fresh) {
          shown.add(clip.id);
          grid.append(
            curate.card(clip, wanted.sort ? `${wanted.sort} ${number(clip.score)}` : ""),
          );
        }
        after = found.after;
        says.textContent = shown.size
          ? `${number(shown.size)} ${shown.size === 1 ? "clip" : "clips"} shown${after ? "" : ", all that match"}`
          : "No clip matches";
        says.classList.remove("error");
      } catch (error) {
        if (mine !== turn) return;
        says.textContent = error.message;
        says.classList.add("error");
        after = null;
      }
      more.disabled = false;
      more.hidden = !after;
    };

    const change = () => {
      for (const [name, control] of Object.entries(controls)) wanted[name] = control.value;
      if (!wanted.sort) wanted.order = "";
      showReasons();
      curate.note(wanted);
      return load(false);
    };
    for (const control of Object.values(controls)) control.addEventListener("change", change);

    showReasons();
    page.append(
      el("h1", {}, "Clips"),
      el(
        "form",
        { class: "choose", onsubmit: (event) => event.preventDefault() },
        field("Status", controls.status),
        field("Reason", controls.reason),
        field("Sort by", controls.sort),
        field("Order", controls.order),
        field("Caption or path", controls.text),
      ),
      curate.home.search_lacks && !curate.report
        ? el("a", { href: curate.link("search") }, "What a search by what clips show takes")
        : "",
      says,
      grid,
      more,
    );
    await load(false);
    const observer = new IntersectionObserver((seen) => {
      if (seen[0].isIntersecting && after && !more.disabled) load(true);
    });
    observer.observe(more);
    return () => observer.disconnect();
  };

  // ------------------------------------------------------------------ the page of one clip

  const strip = (clip, pictures, why) => {
    const figures = pictures.seconds.map((seconds, index) =>
      el(
        "figure",
        {},
        el("img", {
          src: curate.media.sample(clip.id, index),
          alt: `Picture at ${number(seconds)} s`,
          loading: "lazy",
        }),
        el("figcaption", {}, `${number(seconds)} s`),
      ),
    );
    return el(
      "div",
      {},
      el("p", { class: "muted" }, pictures.error ? line(pictures.error) : why),
      el("div", { class: "strip", tabindex: 0, role: "group", "aria-label": "Stored pictures" }, ...figures),
    );
  };

  // The clip's own file; else its source where the browser plays it; else the stored pictures.
  const player = (found) => {
    const { card, film, pictures, video } = found;
    const box = el("div", { class: "player" });
    const fall = (why) => box.replaceChildren(strip(card, pictures, why));
    const play = (src, says, why) => {
      const poster = curate.media.sample(card.id, "middle");
      const screen = el("video", {
        controls: true, preload: "metadata", playsinline: true, poster, src,
        "aria-label": `Clip ${card.id}`,
      });
      screen.addEventListener("error", () => fall(why));
      box.replaceChildren(screen, el("p", { class: "muted" }, says));
    };
    const plays = (type) => document.createElement("video").canPlayType(type) !== "";
    const source = () => {
      if (film.source && plays(film.source) && curate.media.source) {
        play(
          `${curate.media.source(video.id)}#t=${film.from},${film.to}`,
          `Played from its source, ${number(film.from)} to ${number(film.to)} s.`,
          "The source cannot be played here. These are its stored pictures.",
        );
      } else {
        fall("Browsers do not play its source. These are its stored pictures.");
      }
    };
    if (film.clip.startsWith("video/") && curate.media.clip) {
      play(
        curate.media.clip(card.id),
        "The clip as it was cut.",
        "The file of the clip cannot be played here. These are its stored pictures.",
      );
    } else {
      source();
    }
    return box;
  };

  const table = (caption, heads, rows) =>
    el(
      "div",
      { class: "wide", tabindex: 0, role: "group", "aria-label": caption },
      el(
        "table",
        {},
        el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head)))),
        el(
          "tbody",
          {},
          ...rows.map(([first, ...rest]) =>
            el("tr", {}, el("th", { scope: "row" }, first), ...rest.map((cell) => el("td", {}, cell))),
          ),
        ),
      ),
    );
  curate.table = table;

  const value = (found) =>
    typeof found === "number" ? number(found) : found === null ? "–" : line(found);

  const section = (title, ...children) =>
    el("section", {}, el("h2", {}, title), ...children.filter(Boolean));

  const scores = (found) =>
    section(
      "Scores",
      table(
        "Scores",
        ["Column", "Value", "Better", "Range", "What it is"],
        found.scores.map((score) => [
          score.name, value(score.value), score.better, score.range, score.doc,
        ]),
      ),
    );

  const captions = (found) => {
    if (!found.captions.length) return null;
    return section(
      "Captions",
      ...found.captions.map((caption) =>
        el(
          "article",
          { class: "caption" },
          el("h3", {}, line(`${caption.model} ${caption.revision}`.trim())),
          caption.window_seconds
            ? el("p", { class: "muted" }, `Window: ${caption.window_seconds.map((s) => number(s)).join(" to ")} s`)
            : null,
          el("p", { dir: "auto" }, caption.text ?? caption.text_raw),
          caption.text !== null && caption.text !== caption.text_raw
            ? el("details", {}, el("summary", {}, "As it was written"), el("p", { dir: "auto" }, caption.text_raw))
            : null,
          Object.keys(caption.fields).length
            ? table(
                "Fields of the caption",
                ["Field", "Text"],
                Object.entries(caption.fields).map(([name, text]) => [name, el("span", { dir: "auto" }, text)]),
              )
            : null,
          el(
            "p",
            { class: "muted" },
            [
              `match ${number(caption.match)}`,
              caption.tokens === null ? null : `${number(caption.tokens)} tokens`,
              caption.seconds === null ? null : `${number(caption.seconds)} s`,
              caption.text === null ? "not cleaned" : null,
              caption.summary === null ? null : `summary: ${caption.summary}`,
            ].filter(Boolean).join(" · "),
          ),
          caption.prompt ? el("p", { class: "muted" }, `Prompt: ${line(caption.prompt)}`) : null,
        ),
      ),
    );
  };

  const rewrites = (found) =>
    found.rewrites.length
      ? section(
          "Rewritten",
          table(
            "Rewritten",
            ["Variant", "Text", "Drift", "Added", "Model"],
            found.rewrites.map((one) => [
              line(one.variant), el("span", { dir: "auto" }, one.text), number(one.drift),
              line(JSON.parse(one.added).join(", ")), line(one.model),
            ]),
          ),
        )
      : null;

  const options = (found) =>
    found.options.length
      ? section(
          "Options",
          table(
            "Options",
            ["Option", "Score", "Prompt", "Model"],
            found.options.map((fit) => [
              line(fit.option), number(fit.score), line(fit.prompt), line(fit.model),
            ]),
          ),
        )
      : null;

  const duplicates = (found) =>
    found.duplicates.length
      ? section(
          "Duplicates",
          ...found.duplicates.map((other) => {
            const what = {
              original: "This clip is a copy of the other",
              copy: "The other is a copy of this clip",
            }[other.relation];
            const far = other.distance === null ? "" : `, ${number(other.distance)} of 64 bits apart`;
            return el(
              "div",
              { class: "pair" },
              el("p", {}, `${what}, as ${other.stage} found${far}.`),
              curate.grid([curate.card(found.card, "this clip"), curate.card(other.card)]),
              table(
                "What differs",
                ["Column", "This clip", "The other"],
                other.differs.map((field) => [field.name, value(field.this), value(field.other)]),
              ),
            );
          }),
        )
      : null;

  const facts = (found) => {
    const { facts, video, position } = found;
    const pairs = [
      ["Video", line(video.relpath)],
      ["Span", `${number(facts.start_seconds)} to ${number(facts.end_seconds)} s (${number(facts.seconds)} s)`],
      ["Frames", `${number(facts.num_frames)} at ${number(facts.fps)} a second`],
      ["Size", `${number(facts.width ?? video.width)} × ${number(facts.height ?? video.height)}`],
      ["Codec of the source", video.codec ?? "–"],
      ["Text", facts.text === null ? "–" : line(facts.text)],
      ["Waits for", position.status === "active" ? position.stage : null],
      ["Error", position.error ? line(position.error) : null],
      ["Picked by hand", position.picked],
    ].filter(([, text]) => text !== null && text !== undefined);
    return el("dl", {}, ...pairs.flatMap(([name, text]) => [el("dt", {}, name), el("dd", {}, text)]));
  };

  const VERDICT = { passes: "kept", fails: "dropped" }; // colours; the others are grey

  // Each condition of each filter in order, the clip's values in it, and what it says.
  const ledger = (found) => {
    const rows = found.ledger.flatMap((line_) =>
      line_.clauses.map((clause, index) => {
        const verdict = line_.verdict === "not reached" ? line_.verdict : clause.verdict;
        const has = Object.entries(clause.values).map(
          ([name, held]) => `${name} ${held === null ? "not measured" : value(held)}`,
        );
        const name = line_.level === "clip" ? line_.filter : `${line_.filter} (video)`;
        return [
          index ? "" : name,
          el("code", {}, clause.where),
          has.join(", "),
          el("span", { class: `badge ${VERDICT[verdict] ?? ""}` }, verdict),
        ];
      }),
    );
    const { position, commands } = found;
    if (!rows.length && !commands.back) return null;
    const how = position.status === "failed" ? "It is tried again by:" : "It comes back with:";
    return section(
      "Why it is where it is",
      rows.length ? table("Filters", ["Filter", "Passes where", "It has", "Verdict"], rows) : null,
      commands.back ? el("p", { class: "muted" }, how) : null,
      commands.back ? curate.command(commands.back, "Bring it back") : null,
    );
  };

  const picks = (found) =>
    section(
      "Keep or drop it by hand",
      el("p", { class: "muted" }, "This page changes nothing. Type:"),
      curate.command(found.commands.keep, "Keep this clip"),
      curate.command(found.commands.drop, "Drop this clip"),
      found.position.picked ? curate.command(found.commands.undo, "Undo the pick") : null,
    );

  const clipPage = async (page, params) => {
    const found = await curate.api("clip", { id: params.get("id"), dataset: null });
    const { card } = found;
    const parts = [
      el(
        "p",
        {},
        el("a", { href: curate.link("clips", { status: card.status, reason: card.reason }) },
          `All clips that are ${stands(card)}`),
      ),
      el("h1", {}, `${line(card.relpath)} #${card.clip_index} `,
        el("span", { class: `badge ${card.status}` }, stands(card))),
      el("div", { class: "sides" }, player(found), facts(found)),
      ledger(found),
      scores(found),
      captions(found),
      rewrites(found),
      options(found),
      duplicates(found),
      picks(found),
    ];
    page.append(...parts.filter(Boolean));
  };

  curate.page("clips", "Clips", listPage);
  curate.page("clip", null, clipPage);
})();
