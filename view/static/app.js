"use strict";

// All pages hang on this one object. Each file adds pages with curate.page(name, title, show); the
// part of the URL behind # says which one is shown: #clips?status=kept
const curate = { pages: new Map(), home: null };

(() => {
  // The only place that asks the server; the one-file report puts its own data here.
  curate.api = async (path, params = {}) => {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries({ dataset: curate.dataset(), ...params })) {
      if (value !== null && value !== undefined && value !== "") query.set(name, value);
    }
    const answer = await fetch(`/api/${path}?${query}`, { credentials: "same-origin" });
    const body = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(body.error || `The server answers ${answer.status}`);
    return body;
  };

  // Where pictures and films of a clip are; also replaced in the one-file report.
  curate.media = {
    sample: (clip, number) => `/media/sample/${clip}/${number}`,
    clip: (clip) => `/media/clip/${clip}`,
    source: (video) => `/media/source/${video}`,
  };

  // An element: properties, then children. A text child stays text, whatever is in it.
  curate.el = (tag, properties = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (value === null || value === undefined || value === false) continue;
      if (name === "class") made.className = value;
      else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  };

  // A number for people: thin spaces between thousands, four digits of a fraction, – for none.
  curate.number = (value) => {
    if (value === null || value === undefined) return "–";
    if (Number.isInteger(value)) return value.toLocaleString("en").replaceAll(",", "\u202f");
    return String(Number(value.toPrecision(4)));
  };

  curate.seconds = (value) => (value === null ? "–" : `${curate.number(value)} s`);

  // A text as one line that nothing in it can turn around: marks of direction are shown as escapes.
  curate.line = (text) =>
    String(text ?? "").replace(
      /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
      (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, "0")}`,
    );

  // A command line with a button that copies it.
  curate.command = (text, label = "Command") => {
    const field = curate.el("code", { class: "line", tabindex: 0, "aria-label": label }, text);
    const copy = async () => {
      try {
        await navigator.clipboard.writeText(text);
        curate.say("Copied");
      } catch {
        getSelection().selectAllChildren(field);
        curate.say("Selected: copy it with Ctrl-C");
      }
    };
    const button = curate.el("button", { type: "button", onclick: copy }, "Copy");
    return curate.el("div", { class: "command" }, field, button);
  };

  // When the data was read, and a button that reads it again.
  curate.asOf = (seconds, refresh) => {
    const time = new Date(1000 * seconds);
    const button = curate.el("button", { type: "button" }, "Refresh");
    button.addEventListener("click", async () => {
      button.disabled = true;
      try {
        await refresh();
      } catch (error) {
        curate.say(error.message);
      }
      button.disabled = false;
    });
    const stamp = curate.el("time", { datetime: time.toISOString() }, time.toLocaleString());
    return curate.el(
      "p", { class: "asof muted" }, "Data as of ", stamp, " ", curate.report ? "" : button,
    );
  };

  curate.say = (text) => {
    document.getElementById("status").textContent = text;
  };

  // The page and its parameters that the URL names.
  curate.route = () => {
    const [name, query] = location.hash.replace(/^#/, "").split(/\?(.*)/s);
    const known = curate.pages.has(name) ? name : curate.pages.keys().next().value;
    return { name: known, params: new URLSearchParams(known === name ? query : "") };
  };

  // The URL of a page; parameters without a value are left out. The dataset goes along.
  curate.link = (name, params = {}) => {
    const query = new URLSearchParams();
    for (const [key, value] of Object.entries({ dataset: curate.dataset(), ...params })) {
      if (value !== null && value !== undefined && value !== "") query.set(key, value);
    }
    const text = query.toString();
    return text ? `#${name}?${text}` : `#${name}`;
  };

  curate.dataset = () => curate.route().params.get("dataset") ?? "";

  // Change the URL without showing the page anew: for what it has changed itself.
  curate.note = (params) => {
    history.replaceState(null, "", curate.link(curate.route().name, params));
  };

  // A page: `show(main, params)` fills the element; what it returns is called when it is left.
  // A page without a title is not in the navigation, nor is one while `offered` says no.
  curate.page = (name, title, show, offered = () => true) =>
    curate.pages.set(name, { title, show, offered });

  let leave = null;
  let turn = 0;

  const show = async () => {
    const mine = ++turn;
    const { name, params } = curate.route();
    const main = document.getElementById("main");
    if (leave) leave();
    leave = null;
    main.replaceChildren(curate.el("p", { class: "muted" }, "Loading…"));
    delete document.body.dataset.ready;
    try {
      curate.home = await curate.api("home");
      if (mine !== turn) return;
      showHeader(name);
      if (!name) return main.replaceChildren();
      const page = curate.el("div", { class: `page ${name}` });
      const left = await curate.pages.get(name).show(page, params);
      if (mine !== turn) return left && left();
      leave = left ?? null;
      main.replaceChildren(page);
    } catch (error) {
      if (mine !== turn) return;
      main.replaceChildren(curate.el("p", { class: "error", role: "alert" }, error.message));
    }
    document.body.dataset.ready = name;
    scrollTo(0, 0);
  };

  const showHeader = (shown) => {
    const title = curate.pages.get(shown)?.title;
    document.title = `${title ?? "Clip"} · ${curate.line(curate.home.dataset)} · curate`;
    const offered = [...curate.pages].filter(([, page]) => page.title && page.offered());
    const links = offered.map(([name, page]) =>
      curate.el(
        "a",
        { href: curate.link(name), "aria-current": name === shown ? "page" : null },
        page.title,
      ),
    );
    document.getElementById("nav").replaceChildren(...links);
    const select = document.getElementById("dataset");
    select.replaceChildren(
      ...curate.home.datasets.map((name) => {
        const option = curate.el("option", { value: name }, curate.line(name));
        option.selected = name === curate.home.dataset;
        return option;
      }),
    );
  };

  document.getElementById("dataset").addEventListener("change", (event) => {
    location.hash = curate.link(curate.route().name, { dataset: event.target.value });
  });
  document.getElementById("skip").addEventListener("click", (event) => {
    event.preventDefault();
    document.getElementById("main").focus();
  });
  addEventListener("hashchange", show);
  addEventListener("DOMContentLoaded", () => {
    // the token has become a cookie: it need not stay in the history
    if (location.search) history.replaceState(null, "", location.pathname + location.hash);
    show();
  });
})();
