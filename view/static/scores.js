"use strict";

// Thresholds that move, and at once what each would cost. Nothing is written: the page ends in the
// command that does it.
(() => {
  const count = (number, noun) => `${curate.number(number)} ${noun}${number === 1 ? "" : "s"}`;

  // What changes, in words, of the rows of a level.
  const words = (changes, noun) => {
    const before = changes.kept + changes.lost + changes.at_work;
    const after = changes.kept + changes.come_back + changes.at_work;
    const back = changes.come_back
      ? `, of which ${curate.number(changes.to_go)} still have stages to go through`
      : "";
    return [
      ["total", `${noun} that go on: ${curate.number(before)} → ${curate.number(after)}`],
      ["kept", `${curate.number(changes.kept)} kept`],
      ["lost", `${curate.number(changes.lost)} lost`],
      ["back", `${curate.number(changes.come_back)} come back${back}`],
      ...(changes.unmeasured
        ? [["muted", `${curate.number(changes.unmeasured)} not measured: no threshold brings them back`]]
        : []),
      ...(changes.at_work
        ? [["muted", `${curate.number(changes.at_work)} at work: judged when they are saved`]]
        : []),
    ];
  };

  const tiles = (title, clips, column, none) => {
    const says = ({ value }) => (value === null ? "" : `${column} ${curate.number(value)}`);
    return curate.el(
      "section",
      {},
      curate.el("h3", {}, title),
      clips.length
        ? curate.grid(clips.map((clip) => curate.card(clip, says(clip))))
        : curate.el("p", { class: "muted" }, none),
    );
  };

  class Page {
    constructor(main) {
      this.main = main;
      this.moves = new Map(); // numbers by the key of a threshold, where they differ
      this.off = new Set(); // filters
      this.key = null; // of the threshold moved last
      this.cards = new Map();
      this.left = [];
      this.asking = false;
    }

    async fill(fresh) {
      this.leave();
      this.left = [];
      this.cards = new Map();
      let found = await curate.api("scores", { fresh: fresh ? 1 : null });
      while (found.reading !== undefined) {
        curate.say(`Reading rows: ${curate.number(found.reading)} so far`);
        found = await curate.api("scores");
        curate.say("");
      }
      this.filters = found.filters;
      this.summary = curate.el("div", { class: "summary", "aria-live": "polite" });
      this.command = curate.el("div", {});
      this.clips = curate.el("div", { class: "changed" });
      const reset = curate.el("button", { type: "button" }, "Put all back");
      reset.addEventListener("click", () => this.reset());
      const filters = found.filters.map((filter) => this.filter(filter));
      const aside = curate.el(
        "aside",
        { "aria-label": "What would change" },
        curate.el("h2", {}, "What would change"),
        this.summary,
        curate.el("p", {}, reset),
        this.command,
        this.clips,
      );
      const others = curate.el("div", { class: "histograms" });
      found.columns.forEach((column) => others.append(this.column(column)));
      const much = `${count(found.rows.videos, "video")}, ${count(found.rows.clips, "clip")}`;
      this.main.replaceChildren(
        curate.el("h1", {}, "Scores"),
        curate.asOf(found.as_of, () => this.fill(true)),
        curate.el("p", { class: "muted" }, `${much}. Move a threshold to see what it costs. `
          + "The page changes nothing: it shows the command that does."
          + (curate.report ? ` ${curate.report.says}` : "")),
        curate.el("p", { class: "legend muted" },
          curate.el("i", { class: "swatch kept" }), " go on ",
          curate.el("i", { class: "swatch all" }), " all that are measured ",
          curate.el("i", { class: "swatch fails" }), " would not pass"),
        curate.el("div", { class: "scores-columns" },
          curate.el("div", {}, ...filters,
            found.filters.length ? "" : curate.el("p", {}, "This pipeline has no filter."),
            curate.el("h2", {}, "Other scores"), others),
          aside),
      );
      for (const key of this.moves.keys()) if (!this.cards.has(key)) this.moves.delete(key);
      await this.ask();
    }

    filter(filter) {
      const kind = filter.level === "video" ? "videos" : "clips";
      const off = curate.el("input", { type: "checkbox" });
      off.checked = !this.off.has(filter.name);
      off.addEventListener("change", () => {
        if (curate.report) this.restore(off);
        if (off.checked) this.off.delete(filter.name);
        else this.off.add(filter.name);
        this.ask();
      });
      const passed = filter.came_in - filter.dropped;
      const cards = curate.el("div", { class: "histograms" });
      filter.thresholds.forEach((threshold) => cards.append(this.threshold(threshold, kind)));
      return curate.el(
        "section",
        { class: "filter" },
        curate.el("h2", {}, filter.name, " ",
          curate.el("label", { class: "switch" }, off, ` use this filter of ${kind}`)),
        curate.el("p", {}, curate.el("code", {}, filter.where), " ",
          curate.el("span", { class: "muted" },
            `${curate.number(passed)} of ${count(filter.came_in, filter.level)} pass, `
            + `${curate.number(filter.dropped)} dropped`)),
        filter.others.length
          ? curate.el("p", { class: "muted" }, "No threshold to move: ",
            ...filter.others.flatMap((text) => [curate.el("code", {}, text), " "]))
          : null,
        cards,
      );
    }

    // The frame of a histogram, which is asked for when it comes into view.
    card(title, doc, arguments_, made) {
      const box = curate.el("div", { class: "plot" });
      const note = curate.el("p", { class: "muted measured" });
      const card = curate.el("article", { class: "histogram" }, title,
        doc ? curate.el("p", { class: "muted doc" }, doc) : null, box, note);
      const load = async () => {
        try {
          const found = await curate.api("histogram", arguments_);
          note.textContent = `Measured on ${curate.number(found.measured)} of ${curate.number(found.of)}`;
          if (!found.measured) return made(null);
          const [low, quarter, middle, most, high] = ["0.0", "0.25", "0.5", "0.75", "1.0"]
            .map((share) => curate.number(found.quantiles[share]));
          note.textContent += ` · from ${low} to ${high}, median ${middle}, `
            + `the middle half ${quarter} to ${most}${found.log ? " · logarithmic axis" : ""}`;
          const chart = made(found);
          box.append(chart.box);
          this.left.push(chart.leave);
        } catch (error) {
          box.replaceChildren(curate.el("p", { class: "error" }, error.message));
        }
        return null;
      };
      const seen = new IntersectionObserver(([entry]) => {
        if (!entry.isIntersecting) return;
        seen.disconnect();
        load();
      }, { rootMargin: "300px" });
      seen.observe(card);
      this.left.push(() => seen.disconnect());
      return card;
    }

    column({ name, doc, better }) {
      const title = curate.el("h3", {}, name,
        better ? curate.el("span", { class: "muted" }, ` ${better} is better`) : null);
      return this.card(title, doc, { column: name }, (found) => found && curate.chart(found));
    }

    threshold(threshold, kind) {
      const { key, column, op } = threshold;
      const number = this.moves.get(key) ?? threshold.number;
      const field = curate.el("input", {
        type: "text", inputmode: "decimal", size: 10, value: String(number),
        "aria-label": `${column} ${op}, threshold of ${key.replace(/\.\d+$/, "")}`,
      });
      const card = { threshold, field, chart: null };
      this.cards.set(key, card);
      field.addEventListener("change", () => {
        const typed = Number(field.value.trim());
        const good = field.value.trim() !== "" && Number.isFinite(typed);
        if (good) this.move(key, typed);
        else field.value = String(this.moves.get(key) ?? threshold.number);
      });
      const title = curate.el("h3", {}, `${column} ${op} `, field,
        curate.el("span", { class: "muted" }, ` in force: ${threshold.number}`));
      return this.card(title, threshold.doc, { key }, (found) => {
        if (!found) return null;
        const at = this.moves.get(key) ?? threshold.number;
        const label = `${column} ${op}, threshold over ${kind}`;
        card.chart = curate.chart(found, { ...threshold, number: at, label }, (value) => {
          this.move(key, value);
        });
        return card.chart;
      });
    }

    move(key, value) {
      const { threshold, chart, field } = this.cards.get(key);
      let number = value;
      if (curate.report) {
        number = curate.report.nearest(key, value);
        this.restore(null, key);
      }
      if (number === threshold.number) this.moves.delete(key);
      else this.moves.set(key, number);
      this.key = key;
      field.value = String(number);
      chart?.set(number);
      this.ask();
    }

    back(key) {
      const { threshold, chart, field } = this.cards.get(key);
      this.moves.delete(key);
      field.value = String(threshold.number);
      chart?.set(threshold.number);
    }

    // Put back everything but a switch and a threshold: a report knows of one change at a time.
    restore(keptSwitch = null, keptKey = null) {
      for (const key of [...this.moves.keys()]) if (key !== keptKey) this.back(key);
      this.off.clear();
      this.main.querySelectorAll(".switch input").forEach((box) => {
        if (box !== keptSwitch) box.checked = true;
      });
    }

    reset() {
      this.restore();
      this.ask();
    }

    get arguments() {
      const moves = [...this.moves].map(([key, number]) => `${key}:${number}`).join(",");
      return { moves, off: [...this.off].join(","), key: this.key };
    }

    // One question at a time: what was moved meanwhile is asked when the answer is there.
    async ask() {
      this.dirty = true;
      if (this.asking) return;
      this.asking = true;
      let answer = null;
      try {
        while (this.dirty) {
          this.dirty = false;
          const asked = this.arguments;
          answer = await curate.api("whatif", asked);
          this.show(answer, asked.key);
        }
      } catch (error) {
        this.summary.replaceChildren(curate.el("p", { class: "error" }, error.message));
      }
      this.asking = false;
      clearTimeout(this.timer);
      if (answer) this.timer = setTimeout(() => this.showClips(), 250);
    }

    show(answer, key) {
      if (key && answer.bins) this.cards.get(key)?.chart?.bins(answer.bins);
      const lists = [curate.el("ul", {},
        ...words(answer.clips, "Clips").map(([name, text]) => curate.el("li", { class: name }, text)))];
      const ofVideos = answer.videos;
      if (ofVideos.lost || ofVideos.come_back || this.filters.some((f) => f.level === "video")) {
        lists.push(curate.el("ul", {},
          ...words(ofVideos, "Videos").map(([name, text]) => curate.el("li", { class: name }, text))));
      }
      this.summary.replaceChildren(...lists);
      if (this.shown === answer.command && this.command.childNodes.length) return;
      this.shown = answer.command;
      this.command.replaceChildren(...(answer.command
        ? [
            curate.el("h3", {}, "Apply it"),
            curate.command(answer.command, "Command that applies it"),
            curate.el("h3", {}, "In a pipeline file"),
            curate.command(answer.yaml, "Filters as YAML"),
          ]
        : [curate.el("p", { class: "muted" }, "Nothing yet. Move a threshold, or switch a filter off.")]));
    }

    async showClips() {
      const asked = this.arguments;
      try {
        const found = await curate.api("changes", asked);
        if (JSON.stringify(asked) !== JSON.stringify(this.arguments)) return;
        const parts = [];
        if (found.fails) {
          const { column } = this.cards.get(asked.key).threshold;
          parts.push(
            tiles("Nearest that do not pass", found.fails, column, "None."),
            tiles("Nearest that pass", found.passes, column, "None."),
          );
        }
        if (asked.moves || asked.off) {
          parts.unshift(
            tiles("Would be lost, a sample", found.lost, "", "None."),
            tiles("Would come back, a sample", found.come_back, "", "None."),
          );
        }
        this.clips.replaceChildren(...parts);
      } catch (error) {
        this.clips.replaceChildren(curate.el("p", { class: "error" }, error.message));
      }
    }

    leave() {
      clearTimeout(this.timer);
      this.left.forEach((leave) => leave());
    }
  }

  curate.page("scores", "Scores", async (main) => {
    const page = new Page(main);
    await page.fill(false);
    return () => page.leave();
  });
})();
