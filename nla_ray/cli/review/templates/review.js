"use strict";
const at = (id) => document.getElementById(id);
const keys = { t: "true", f: "false", u: "unclear" };
let items = [];
let place = 0;
let busy = false;

async function ask(path, body) {
  const options = body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const answer = await fetch(path, options);
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error);
  return found;
}

function show() {
  const judged = items.filter((one) => one.verdict).length;
  at("count").textContent = `${judged} of ${items.length} judged`;
  at("progress").max = Math.max(items.length, 1);
  at("progress").value = judged;
  const one = items[place];
  at("item").hidden = one === undefined;
  at("over").textContent = one ? "" : `That was the last one; ${items.length - judged} are left. Press b to go back, q to end.`;
  if (!one) {
    at("note").blur();
    return;
  }
  at("claim").textContent = one.claim;
  at("text").textContent = one.text;
  at("note").value = one.note;
  for (const button of document.querySelectorAll("[data-verdict]")) {
    button.setAttribute("aria-pressed", String(button.dataset.verdict === one.verdict));
  }
  window.scrollTo(0, 0);
  at("item").focus({ preventScroll: true });
}

function next(from) {
  const found = items.findIndex((one, index) => index >= from && !one.verdict);
  return found < 0 ? items.length : found;
}

async function attempt(doing) {
  if (busy) return;
  busy = true;
  try {
    await doing();
    at("error").textContent = "";
  } catch (error) {
    at("error").textContent = `Not kept: ${error.message}. Is the command still running? Try again.`;
  }
  busy = false;
}

function say(verdict) {
  const one = items[place];
  if (!one) return;
  attempt(async () => {
    const note = at("note").value;
    await ask("say", { hit: one.hit, verdict, note });
    one.verdict = verdict;
    one.note = note;
    place = next(place + 1);
    show();
  });
}

function move(by) {
  place = Math.min(Math.max(place + by, 0), items.length);
  show();
}

function end() {
  attempt(async () => {
    await ask("end", {});
    at("item").hidden = true;
    at("over").textContent = "Everything is kept. This page can be closed.";
    items = [];
    document.removeEventListener("keydown", press);
  });
}

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target === at("note")) {
    if (event.key === "Escape") at("item").focus();
    return;
  }
  const key = event.key.toLowerCase();
  const known = { b: () => move(-1), s: () => move(1), n: () => at("note").focus(), q: end };
  const action = key in keys ? () => say(keys[key]) : known[key];
  if (!action || event.repeat) return;
  event.preventDefault();
  action();
}

for (const button of document.querySelectorAll("[data-verdict]")) {
  button.addEventListener("click", () => say(button.dataset.verdict));
}
at("back").addEventListener("click", () => move(-1));
at("skip").addEventListener("click", () => move(1));
at("end").addEventListener("click", end);
document.addEventListener("keydown", press);
attempt(async () => {
  items = await ask("items");
  place = next(0);
  show();
});
