// A shown password leaves the page with whoever leaves it: what the browser keeps of the page to go
// back to holds none. After a minute the page renews itself (its Refresh header), script or not.
"use strict";

const shown = document.querySelector("[data-shown]");

// To load it anew, or to come back to it, asks for the form, and does not offer to send it again.
history.replaceState(null, "", shown.dataset.again);

addEventListener("pagehide", () => shown.replaceChildren());
addEventListener("pageshow", (event) => {
  if (event.persisted) location.replace(shown.dataset.again);
});
