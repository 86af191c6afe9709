"use strict";

// The clips that look like a text.
(() => {
  const { el, number, line } = curate;
  const FIRST = 60;
  const STATUS = { "": "all", ...curate.statuses };

  const show = async (page, params) => {
    page.append(el("h1", {}, "Search"));
    const lacks = curate.home.search_lacks;
    if (lacks) {
      page.append(el("p", {}, line(lacks.why)), curate.command(lacks.command, "What to type"));
      return;
    }
    const text = el("input", {
      type: "search", value: params.get("text"), maxlength: 1000, size: 36,
      placeholder: "a dog on a beach",
    });
    const status = el(
      "select", {}, ...Object.entries(STATUS).map(([value, name]) => el("option", { value }, name)),
    );
    status.value = params.get("status") in STATUS ? params.get("status") : "";
    const says = el("p", { class: "muted", role: "status" });
    const grid = curate.grid();
    const more = el("button", { type: "button", hidden: true }, "More");
    let count = FIRST;
    let turn = 0;

    const find = async () => {
      const mine = ++turn;
      const wanted = { text: text.value.trim(), status: status.value };
      curate.note(wanted);
      grid.classList.add("old");
      more.hidden = true;
      if (!wanted.text) {
        grid.replaceChildren();
        says.textContent = "";
        return;
      }
      says.classList.remove("error");
      says.textContent = "Searching… The first search takes some seconds: it loads CLIP.";
      try {
        const found = await curate.api("search", { ...wanted, count });
        if (mine !== turn) return;
        grid.replaceChildren(
          ...found.clips.map((clip) => curate.card(clip, `score ${number(clip.score)}`)),
        );
        more.hidden = !found.more;
        says.textContent = found.more
          ? `The best ${number(found.clips.length)} clips, the best first`
          : `${number(found.clips.length)} clips, the best first`;
      } catch (error) {
        if (mine !== turn) return;
        grid.replaceChildren();
        says.textContent = error.message;
        says.classList.add("error");
      }
      grid.classList.remove("old");
    };
    const anew = () => {
      count = FIRST;
      return find();
    };

    status.addEventListener("change", anew);
    more.addEventListener("click", () => {
      count *= 2;
      find();
    });
    const form = el(
      "form",
      {
        class: "choose",
        role: "search",
        onsubmit: (event) => {
          event.preventDefault();
          anew();
        },
      },
      el("label", {}, "Clips that show ", text),
      el("label", {}, "Status ", status),
      el("button", {}, "Search"),
    );
    const about = el(
      "p",
      { class: "muted" },
      "As curate search: the score is 100 times the cosine of the text and a clip's best frame, "
        + "usually 10 to 35.",
    );
    page.append(form, about, says, grid, more);
    if (text.value) find();
    return () => {
      turn++;
    };
  };

  curate.page("search", "Search", show, () => !curate.home.search_lacks);
})();
