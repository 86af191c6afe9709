"use strict";
// One pair of captions at a time. Votes stay in this browser until they are saved as a file.
(() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  const kept = `curate-votes-${data.sheet}`;
  const buttons = [...document.querySelectorAll("[data-choice]")];
  let votes = {};
  let place = 0;
  try { votes = JSON.parse(localStorage.getItem(kept)) || {}; } catch { /* the browser keeps nothing */ }

  function show() {
    const pair = data.pairs[place];
    const done = Object.keys(votes).length;
    $("progress").textContent = `Pair ${place + 1} of ${data.pairs.length}, ${done} voted on`;
    $("pictures").replaceChildren(...pair.pictures.map((url, n) => {
      const img = document.createElement("img");
      img.src = url;
      img.alt = `Picture ${n + 1} of clip ${pair.clip}`;
      return img;
    }));
    $("left").textContent = pair.texts[0];
    $("right").textContent = pair.texts[1];
    for (const b of buttons) b.setAttribute("aria-pressed", String(votes[place] === b.dataset.choice));
    $("back").disabled = place === 0;
    $("next").disabled = place === data.pairs.length - 1;
    $("save").disabled = done === 0;
  }

  function go(step) {
    place = Math.min(Math.max(place + step, 0), data.pairs.length - 1);
    show();
  }

  function vote(choice) {
    votes[place] = choice;
    try { localStorage.setItem(kept, JSON.stringify(votes)); } catch { /* the same */ }
    go(1);
  }

  function save() {
    const list = Object.entries(votes).map(([n, choice]) => {
      const { clip, left, right } = data.pairs[n];
      return { clip, left, right, choice };
    });
    const text = JSON.stringify({ sheet: data.sheet, dataset: data.dataset, voter: $("voter").value.trim(), votes: list });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = "votes.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  const keys = { 1: "left", 2: "equal", 3: "right", 0: "neither" };
  document.addEventListener("keydown", (event) => {
    if (event.target.tagName === "INPUT" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (keys[event.key]) vote(keys[event.key]);
    else if (event.key === "ArrowLeft") go(-1);
    else if (event.key === "ArrowRight") go(1);
    else return;
    event.preventDefault();
  });
  for (const b of buttons) b.addEventListener("click", () => vote(b.dataset.choice));
  $("back").addEventListener("click", () => go(-1));
  $("next").addEventListener("click", () => go(1));
  $("save").addEventListener("click", save);
  show();
})();
