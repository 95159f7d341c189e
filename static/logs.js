// The page of logs: it stays at the newest lines unless somebody has scrolled up, and finds while one
// types. Without this file the form finds and "Look again" looks.
"use strict";

const find = document.getElementById("find"), found = document.getElementById("found");
const newest = document.getElementById("newest");
const logs = () => document.querySelectorAll("[data-log]");
// A line of pixels more or less comes from zooming.
const atEnd = (log) => log.scrollHeight - log.scrollTop - log.clientHeight < 8;
let scrolledUp = new Set();

function toEnd() {
  for (const log of logs()) if (!scrolledUp.has(log.id)) log.scrollTop = log.scrollHeight;
  newest.hidden = scrolledUp.size === 0;
}

// --- Finding -----------------------------------------------------------------------------

// The text itself stays as it came, so that a renewed log is morphed into it line by line.
function highlight(sought) {
  if (!window.Highlight) return;
  CSS.highlights.delete("found");
  if (!sought) return;
  const ranges = [];
  for (const line of document.querySelectorAll(".log-line:not([hidden])")) {
    for (const text of line.childNodes) {
      const small = text.nodeType === Node.TEXT_NODE ? text.data.toLowerCase() : "";
      // (A few letters are two in small.)
      if (small.length !== text.length) continue;
      for (let at = small.indexOf(sought); at >= 0; at = small.indexOf(sought, at + sought.length)) {
        const range = new Range();
        range.setStart(text, at);
        range.setEnd(text, at + sought.length);
        ranges.push(range);
      }
    }
  }
  CSS.highlights.set("found", new Highlight(...ranges));
}

function filter() {
  const sought = find.value.trim().toLowerCase();
  let count = 0;
  for (const line of document.querySelectorAll(".log-line")) {
    line.hidden = !line.textContent.toLowerCase().includes(sought);
    if (!line.hidden) count += 1;
  }
  highlight(sought);
  return count;
}

find.addEventListener("input", () => {
  const count = filter();
  const text = !find.value.trim() ? "" : count === 1 ? found.dataset.one : found.dataset.many.replace("%s", count);
  if (found.textContent !== text) found.textContent = text;
  toEnd();
});

// --- Following ---------------------------------------------------------------------------

document.addEventListener("scroll", (event) => {
  if (!event.target.matches?.("[data-log]")) return;
  if (atEnd(event.target)) scrolledUp.delete(event.target.id);
  else scrolledUp.add(event.target.id);
  newest.hidden = scrolledUp.size === 0;
}, true);

newest.addEventListener("click", () => {
  scrolledUp = new Set();
  toEnd();
});

document.addEventListener("htmx:afterSwap", () => {
  filter();
  toEnd();
});

filter();
toEnd();
