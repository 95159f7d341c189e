// What the pages do beyond HTML and htmx. Everything works without this file, only less smoothly.
"use strict";

// --- Colours follow the system -------------------------------------------------------------

const dark = matchMedia("(prefers-color-scheme: dark)");

function paint() {
  document.documentElement.dataset.bsTheme = dark.matches ? "dark" : "light";
}

paint();
dark.addEventListener("change", paint);

// Copying needs a secure context; its buttons stay hidden elsewhere.
document.documentElement.classList.add("has-js");
if (navigator.clipboard) document.documentElement.classList.add("has-clipboard");

// --- Times stay true while nothing is loaded anew ----------------------------------------------

// The same words as the template filters "ago" and "duration".
function ago(seconds) {
  if (seconds < 10) return "just now";
  if (seconds < 60) return `${seconds} seconds ago`;
  for (const [unit, size, limit] of [["minute", 60, 3600], ["hour", 3600, 86400], ["day", 86400, Infinity]]) {
    const count = Math.floor(seconds / size);
    if (seconds < limit) return `${count} ${unit}${count === 1 ? "" : "s"} ago`;
  }
}

function duration(seconds) {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

function since(moment) {
  return Math.max(0, Math.floor((Date.now() - new Date(moment)) / 1000));
}

function left(moment) {
  return Math.max(0, Math.ceil((new Date(moment) - Date.now()) / 1000));
}

function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function tick() {
  for (const time of document.querySelectorAll("time[data-ago]")) say(time, ago(since(time.dateTime)));
  for (const time of document.querySelectorAll("time[data-until]")) say(time, duration(left(time.dateTime)));
  for (const span of document.querySelectorAll("[data-started]")) say(span, duration(since(span.dataset.started)));
}

// --- Live fragments ------------------------------------------------------------------------

let announced = null;
let unfolded = [];

function announce() {
  const live = document.querySelector("[data-announce]");
  if (!live || live.dataset.announce === announced) return;
  // Not on loading the page: it has just been read.
  if (announced !== null) say(document.getElementById("announcer"), live.dataset.announce);
  announced = live.dataset.announce;
}

function connected(yes) {
  document.getElementById("connection").hidden = yes;
}

document.addEventListener("htmx:beforeRequest", (event) => {
  // Nobody looks: ask again when somebody does.
  if (document.hidden && event.target.matches("[data-live]")) event.preventDefault();
});
document.addEventListener("htmx:beforeSwap", () => {
  unfolded = [...document.querySelectorAll("details[id][open]")].map((details) => details.id);
});
document.addEventListener("htmx:afterSwap", () => {
  for (const id of unfolded) document.getElementById(id)?.setAttribute("open", "");
  tick();
  announce();
});
document.addEventListener("htmx:afterRequest", (event) => {
  if (!event.target.matches("[data-live]")) return;
  connected(event.detail.successful);
  // The store was looked at again, and nothing else is new.
  const seen = event.detail.xhr.getResponseHeader("X-Seen-At");
  const time = document.querySelector("time[data-seen]");
  if (seen && time) time.dateTime = seen;
});

// --- Buttons -----------------------------------------------------------------------------

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if ("print" in button.dataset) print();
  if ("dismiss" in button.dataset) button.parentElement.remove();
  if ("copy" in button.dataset) {
    await navigator.clipboard.writeText(button.dataset.copy);
    const word = button.querySelector("span");
    say(word, "Copied");
    setTimeout(() => say(word, "Copy"), 2000);
  }
});

// A second click sends nothing; the server would make nothing of it either.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!("once" in form.dataset)) return;
  if (form.dataset.once === "sent") event.preventDefault();
  form.dataset.once = "sent";
});

// Back to a form that was sent: take a new one, which makes a new store.
addEventListener("pageshow", (event) => {
  if (event.persisted && document.querySelector("form[data-once]")) location.reload();
});

addEventListener("DOMContentLoaded", () => {
  tick();
  announce();
  setInterval(tick, 1000);
});

// What was refused is being changed: the refusal is about something that is no longer there.
document.addEventListener("input", (event) => {
  event.target.removeAttribute("aria-invalid");
  event.target.closest(".field")?.querySelector(".field-error")?.remove();
});
