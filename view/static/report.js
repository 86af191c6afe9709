"use strict";

// The pages in one file: what they would ask the server is in the file itself. The numbers are
// those of all rows; pictures are those of a sample of the clips.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const PASSES = {
    "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b,
  };
  const thresholds = new Map();
  for (const filter of data.scores.filters) {
    for (const threshold of filter.thresholds) thresholds.set(threshold.key, threshold);
  }

  curate.report = {
    says: "This file knows, of all rows, the counts for many numbers of each threshold, and of one "
      + `change at a time. Pictures are of ${data.sample} of ${data.clips} clips.`,
    nearest: (key, value) => {
      const far = (stop) => Math.abs(stop - value);
      return data.stops[key].reduce((a, b) => (far(b) < far(a) ? b : a));
    },
  };

  const wants = ({ moves, off }) => {
    const [key, number] = moves ? moves.split(/:(?=[^:]*$)/) : [null, null];
    return { key, number: Number(number), off: off || null };
  };

  const whatif = (params) => {
    const { key, number, off } = wants(params);
    if (off) return data.off[off];
    if (key) return data.moved[key][data.stops[key].indexOf(number)];
    const unmoved = params.key ? data.moved[params.key] : null;
    return unmoved
      ? unmoved[data.stops[params.key].indexOf(thresholds.get(params.key).number)]
      : data.unmoved;
  };

  // Whether a clip of the sample goes on after a change.
  const after = (tile, { key, number, off }) => {
    if (off) return tile.off[off];
    if (!key) return tile.goes_on;
    const { value, passing, failing } = tile.thresholds[key];
    return value !== null && PASSES[thresholds.get(key).op](value, number) ? passing : failing;
  };

  const changes = (params) => {
    const wanted = wants(params);
    const found = { lost: [], come_back: [] };
    for (const tile of data.tiles) {
      const goesOn = after(tile, wanted);
      if (tile.goes_on && !goesOn) found.lost.push({ ...tile, value: null });
      if (!tile.goes_on && goesOn) found.come_back.push({ ...tile, value: null });
    }
    found.lost.splice(12);
    found.come_back.splice(12);
    if (!params.key) return found;
    const { op, number: inForce } = thresholds.get(params.key);
    const number = wanted.key === params.key ? wanted.number : inForce;
    const near = data.tiles
      .map((tile) => ({ ...tile, ...tile.thresholds[params.key] }))
      .filter(({ value, met }) => met && value !== null)
      .sort((a, b) => Math.abs(a.value - number) - Math.abs(b.value - number));
    const passes = ({ value }) => PASSES[op](value, number);
    found.passes = near.filter(passes).slice(0, 6);
    found.fails = near.filter((tile) => !passes(tile)).slice(0, 6);
    return found;
  };

  // The clips of the sample that are asked for, in the order that is asked for.
  const list = ({ status, reason, text, sort, order }) => {
    const asked = (text ?? "").toLowerCase();
    const fits = (tile) =>
      (!status || tile.status === status) && (!reason || tile.reason === reason)
      && `${tile.text ?? ""}\n${tile.relpath}`.toLowerCase().includes(asked);
    const found = data.tiles.filter(fits);
    if (sort) {
      const sign = order === "desc" ? -1 : 1;
      const last = (value) => value === null || value === undefined;
      found.sort(({ values: { [sort]: a } }, { values: { [sort]: b } }) =>
        last(a) || last(b) ? last(a) - last(b) : sign * (a - b));
    }
    return { clips: found.map((tile) => ({ ...tile, score: tile.values[sort] })), after: null };
  };

  // What the sample can be chosen by.
  const choices = () => {
    const statuses = { kept: 0, dropped: 0, failed: 0, active: 0 };
    const reasons = new Map();
    for (const { status, reason } of data.tiles) {
      statuses[status] += 1;
      if (reason === null) continue;
      const key = JSON.stringify([status, reason]);
      reasons.set(key, { status, reason, clips: (reasons.get(key)?.clips ?? 0) + 1 });
    }
    return {
      statuses,
      reasons: [...reasons.values()].sort((a, b) => b.clips - a.clips),
      columns: data.columns,
    };
  };

  const page = ({ id }) => {
    const found = data.pages_of_clips[id];
    if (!found) return undefined;
    const scores = found.scores.map(([name, value]) => ({ ...data.declared[name], value }));
    return { ...found, scores };
  };

  const failedRows = ({ level, stage, error }) => {
    const kind = data.failed.find(
      (one) => one.level === level && one.stage === stage && one.error === error,
    );
    return { rows: kind?.first ?? [], after: null };
  };

  const answers = {
    clips: list,
    "clips/choices": choices,
    clip: page,
    failed: () => ({ kinds: data.failed }),
    "failed/rows": failedRows,
    home: () => data.home,
    funnel: () => data.funnel,
    skipped: () => data.skipped,
    scores: () => data.scores,
    histogram: ({ key, column }) => data.histograms[key || ` ${column}`],
    whatif,
    changes,
  };

  curate.api = async (path, params = {}) => {
    const answer = answers[path]?.(params);
    if (answer === undefined) {
      throw new Error("This file holds only a sample of the clips. See the others with curate view");
    };
    return answer;
  };

  curate.media = {
    sample: (clip, number) => {
      const pictures = data.pictures[clip] ?? [];
      if (!pictures.length) return "data:,";
      if (number === "middle") return pictures[Math.floor(pictures.length / 2)];
      return pictures[number % pictures.length];
    },
    clip: null,
    source: null,
  };

  addEventListener("DOMContentLoaded", () => {
    for (const name of [...curate.pages.keys()]) {
      if (!data.pages.includes(name)) curate.pages.delete(name);
    }
    document.getElementById("note").textContent =
      `Report of ${new Date(1000 * data.made).toLocaleString()} · clips: ${data.sample} of ${data.clips}`
      + " · to search by text, see the dataset with curate view";
  }, { capture: true });
})();
