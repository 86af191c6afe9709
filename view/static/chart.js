"use strict";

// A histogram, with a threshold that can be dragged, moved by arrow keys, or set.
(() => {
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // Where a value is on the axis. A logarithmic axis gives each bin the same width: its first bin
  // may hold zeros, which have no logarithm.
  const scaleOf = ({ edges, log }) => {
    const last = edges.length - 2;
    if (!log) return { to: (value) => value, from: (place) => place };
    const grows = (bin) => edges[bin] > 0;
    return {
      to: (value) => {
        let bin = 0;
        while (bin < last && value >= edges[bin + 1]) bin += 1;
        const [low, high] = [edges[bin], edges[bin + 1]];
        if (!grows(bin)) return bin + (value - low) / (high - low);
        return bin + Math.log(value / low) / Math.log(high / low);
      },
      from: (place) => {
        const bin = Math.min(Math.max(Math.floor(place), 0), last);
        const [low, high] = [edges[bin], edges[bin + 1]];
        if (!grows(bin)) return low + (place - bin) * (high - low);
        return low * (high / low) ** (place - bin);
      },
    };
  };

  // The ticks of a logarithmic axis: powers of ten, as many as fit, and what it begins with.
  const ticks = ({ edges }, scale) => {
    const found = [edges[0]];
    const high = edges[edges.length - 1];
    const first = edges.find((edge) => edge > 0);
    const from = Math.ceil(Math.log10(first));
    const to = Math.floor(Math.log10(high));
    const step = Math.max(1, Math.ceil((to - from + 1) / 5));
    for (let power = from; power <= to; power += step) found.push(10 ** power);
    if (to - from < 1) found.push(first, high);
    const sorted = [...new Set(found)].sort((a, b) => a - b);
    return sorted.map((value) => ({ place: scale.to(value), text: curate.number(value) }));
  };

  // A number with as many digits as a pixel of the axis can tell apart.
  const rounded = (value, step) => {
    if (!Number.isFinite(value) || !(step > 0)) return value;
    const digits = Math.max(0, Math.min(15, -Math.floor(Math.log10(step))));
    return digits ? Number(value.toFixed(digits)) : Math.round(value);
  };

  // `found` is what /api/histogram gives. With a `threshold` ({op, number, whole, label}) it can be
  // moved: `moved(number)` is then called. Returns the element and what changes it.
  curate.chart = (found, threshold = null, moved = () => {}) => {
    const box = curate.el("div", { class: "chart" });
    const scale = scaleOf(found);
    const { edges } = found;
    const places = edges.map(scale.to);
    const [first, last] = [places[0], places[places.length - 1]];
    let kept = found.kept;
    let number = threshold?.number;
    const largest = Math.max(...found.all, 1);
    const labels = found.log ? ticks(found, scale) : [];

    const draw = (u) => {
      const { ctx } = u;
      const x = (place) => u.valToPos(place, "x", true);
      const y = (count) => u.valToPos(count, "y", true);
      const [top, left, width] = [u.bbox.top, u.bbox.left, u.bbox.width];
      ctx.save();
      ctx.beginPath();
      ctx.rect(left, top, width, u.bbox.height);
      ctx.clip();
      if (threshold) {
        const at = x(scale.to(number));
        ctx.fillStyle = color("--fails");
        if (threshold.op.startsWith(">")) ctx.fillRect(left, top, at - left, u.bbox.height);
        else ctx.fillRect(at, top, left + width - at, u.bbox.height);
      }
      const bars = (counts, fill) => {
        ctx.fillStyle = fill;
        counts.forEach((count, bin) => {
          if (!count) return;
          const [from, to] = [x(places[bin]), x(places[bin + 1])];
          const gap = to - from > 6 ? 1 : 0;
          const height = Math.max(y(0) - y(count), 2 * devicePixelRatio);
          ctx.fillRect(from + gap, y(0) - height, Math.max(to - from - 2 * gap, 1), height);
        });
      };
      bars(found.all, color("--all"));
      bars(kept, color("--kept"));
      ctx.restore();
    };

    const axis = { stroke: () => color("--muted"), font: "12px system-ui, sans-serif" };
    const grid = { stroke: () => color("--edge"), width: 1 };
    const options = {
      width: 400,
      height: 170,
      legend: { show: false },
      cursor: { show: false },
      scales: {
        x: { time: false, range: [first, last] },
        y: { range: [0, largest * 1.05] },
      },
      series: [{}, { paths: () => null, points: { show: false } }],
      axes: [
        {
          ...axis, grid: { ...grid, show: false }, ticks: grid, size: 34,
          ...(found.log
            ? {
                splits: () => labels.map(({ place }) => place),
                values: () => labels.map(({ text }) => text),
              }
            : { values: (u, splits) => splits.map(curate.number) }),
        },
        {
          ...axis, grid, ticks: { show: false }, size: 52,
          values: (u, splits) =>
            splits.map((count) => (Number.isInteger(count) ? curate.number(count) : "")),
        },
      ],
      hooks: { draw: [draw] },
    };
    const centers = edges.slice(1).map((_, bin) => (places[bin] + places[bin + 1]) / 2);
    const plot = new uPlot(options, [centers, found.all], box);

    let handle = null;
    const place = () => {
      if (!handle) return;
      const at = Math.min(Math.max(scale.to(number), first), last);
      handle.style.left = `${plot.valToPos(at, "x")}px`;
      handle.setAttribute("aria-valuenow", number);
      handle.setAttribute("aria-valuetext", `${threshold.op} ${number}`);
    };
    const set = (value) => {
      number = value;
      place();
      plot.redraw(false);
    };
    // The number a place stands for, with digits that suit the axis there.
    const at = (where) => {
      const pixel = (last - first) / Math.max(plot.over.clientWidth, 100);
      const clamped = Math.min(Math.max(where, first), last);
      const value = scale.from(clamped);
      if (threshold.whole) return Math.round(value);
      const step = Math.abs(scale.from(Math.min(clamped + pixel, last)) - value)
        || Math.abs(value - scale.from(Math.max(clamped - pixel, first)));
      return rounded(value, step);
    };
    const move = (value) => {
      if (value === number) return;
      set(value);
      moved(value);
    };

    if (threshold) {
      handle = curate.el("div", {
        class: "handle", role: "slider", tabindex: 0, "aria-label": threshold.label,
        "aria-valuemin": edges[0], "aria-valuemax": edges[edges.length - 1],
        "aria-orientation": "horizontal",
      });
      const keys = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 };
      handle.addEventListener("keydown", (event) => {
        let value = null;
        if (event.key === "Home") value = at(first);
        else if (event.key === "End") value = at(last);
        else if (event.key in keys) {
          const steps = keys[event.key] * (event.shiftKey ? 10 : 1);
          if (threshold.whole) value = Math.round(number) + steps;
          else value = at(scale.to(number) + (steps * (last - first)) / 200);
        }
        if (value === null) return;
        event.preventDefault();
        move(value);
      });
      plot.over.append(handle);
      plot.over.classList.add("movable");
      const follow = (event) => {
        const { left } = plot.over.getBoundingClientRect();
        move(at(plot.posToVal(event.clientX - left, "x")));
      };
      plot.over.addEventListener("pointerdown", (event) => {
        if (event.button) return;
        event.preventDefault();
        handle.focus({ preventScroll: true });
        plot.over.setPointerCapture(event.pointerId);
        plot.over.addEventListener("pointermove", follow);
        follow(event);
      });
      const stop = () => plot.over.removeEventListener("pointermove", follow);
      plot.over.addEventListener("pointerup", stop);
      plot.over.addEventListener("pointercancel", stop);
    }

    const fit = new ResizeObserver(() => {
      if (box.clientWidth) plot.setSize({ width: box.clientWidth, height: 170 });
      place();
    });
    fit.observe(box);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const recolor = () => plot.redraw(false);
    scheme.addEventListener("change", recolor);

    return {
      box,
      set,
      bins: (counts) => {
        kept = counts;
        plot.redraw(false);
      },
      leave: () => {
        fit.disconnect();
        scheme.removeEventListener("change", recolor);
        plot.destroy();
      },
    };
  };
})();
