// What the pages do beyond HTML and htmx. Everything works without this file, only less smoothly.
"use strict";

// --- Colours: the system's, or those that were chosen ----------------------------------------

const dark = matchMedia("(prefers-color-scheme: dark)");

// A browser may refuse to remember anything.
function remembered() {
  try { return localStorage.getItem("theme") || ""; } catch { return ""; }
}

function remember(theme) {
  try { localStorage.setItem("theme", theme); } catch { /* Then until the next page. */ }
}

function paint(theme = remembered()) {
  const known = ["light", "dark"].includes(theme);
  document.documentElement.dataset.bsTheme = known ? theme : dark.matches ? "dark" : "light";
}

paint();
dark.addEventListener("change", () => paint());
// Chosen in another tab.
addEventListener("storage", () => { paint(); showTheme(); });

function showTheme() {
  for (const choice of document.querySelectorAll("input[name=theme]")) choice.checked = choice.value === remembered();
}

document.addEventListener("change", (event) => {
  if ("submits" in event.target.dataset) event.target.form.requestSubmit();
  if (event.target.name !== "theme") return;
  remember(event.target.value);
  paint(event.target.value);
});

// Copying needs a secure context; its buttons stay hidden elsewhere.
document.documentElement.classList.add("has-js");
if (navigator.clipboard) document.documentElement.classList.add("has-clipboard");

// --- Times stay true while nothing is loaded anew ----------------------------------------------

const words = document.documentElement.dataset;
const relative = new Intl.RelativeTimeFormat(document.documentElement.lang);

// The same as the template filters "ago" and "duration".
function ago(seconds) {
  if (seconds < 10) return words.justNow;
  for (const [unit, size, limit] of [["second", 1, 60], ["minute", 60, 3600], ["hour", 3600, 86400], ["day", 86400, Infinity]]) {
    if (seconds < limit) return relative.format(-Math.floor(seconds / size), unit);
  }
}

function duration(seconds) {
  if (seconds < 1) return "< 1 s";
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

// A fragment is morphed into the page (idiomorph): what has not changed stays as it is, with its focus
// and its place. What a person has unfolded is theirs, whatever the answer says.
function keepUnfolded() {
  // The pages for when nothing else may work do without it.
  if (!window.Idiomorph) return;
  Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) => name !== "open" || node.localName !== "details";
}

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
document.addEventListener("htmx:afterSwap", () => {
  tick();
  announce();
});
document.addEventListener("htmx:afterRequest", (event) => {
  if (!event.target.matches("[data-live]")) return;
  connected(event.detail.successful);
  // The store was looked at again, and nothing else is new.
  const seen = event.detail.xhr.getResponseHeader("X-Seen-At");
  for (const time of seen ? document.querySelectorAll("time[data-seen]") : []) {
    if (new Date(seen) > new Date(time.dateTime)) time.dateTime = seen;
  }
});

// --- What was just done --------------------------------------------------------------------

const TOAST_SECONDS = 8;

// Into a region that is read out when something is added to it: what a page begins with is not.
function toast(notice) {
  document.getElementById("toasts").append(notice);
  if (!notice.matches(".notice-success, .notice-info")) return;
  // Nothing goes while somebody reads it.
  const goes = setInterval(() => {
    if (notice.matches(":hover, :focus-within") || document.hidden) return;
    clearInterval(goes);
    notice.remove();
  }, TOAST_SECONDS * 1000);
}

function dismiss(notice) {
  const focused = notice.contains(document.activeElement);
  notice.remove();
  if (focused) document.getElementById("main").focus({ preventScroll: true });
}

// --- Buttons -----------------------------------------------------------------------------

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if ("print" in button.dataset) print();
  if ("dismiss" in button.dataset) dismiss(button.closest(".notice"));
  if ("copy" in button.dataset) {
    await navigator.clipboard.writeText(button.dataset.copy);
    const word = button.querySelector("span"), before = word.textContent;
    if (before === words.copied) return;
    say(word, words.copied);
    setTimeout(() => say(word, before), 2000);
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
  showTheme();
  keepUnfolded();
  for (const notice of document.querySelectorAll(".notices .notice")) toast(notice);
  tick();
  announce();
  setInterval(tick, 1000);
});

// What was refused is being changed: the refusal is about something that is no longer there.
document.addEventListener("input", (event) => {
  event.target.removeAttribute("aria-invalid");
  event.target.closest(".field")?.querySelector(".field-error")?.remove();
});
