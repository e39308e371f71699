/** The page of one film: the viewer, the answer beside it, and downloads that follow what is shown. */
import { dataBlock } from "./viewer/data.js";
import { listen as listenToKeys } from "./viewer/keys.js";
import { onSwipe } from "./viewer/screen.js";
import { measuresOf } from "./viewer/settings.js";
import { Viewer } from "./viewer/viewer.js";

const OPEN = "osteolens.details";

const root = /** @type {HTMLElement} */ (document.getElementById("viewer"));
const card = /** @type {HTMLElement} */ (document.getElementById("answer"));
const viewer = new Viewer(root, [dataBlock("viewer-data")]);

function follow() {
  const { model, label, settings } = viewer;
  const { opacity, threshold, colours } = settings;
  search("overlay", { model, label, opacity: opacity.toFixed(2), threshold: threshold.toFixed(2), map: colours });
  search("report", { model, label });
  for (const link of document.querySelectorAll("a[data-follow]")) {
    if (link instanceof HTMLAnchorElement) link.search = new URLSearchParams({ model, label }).toString();
  }
}

/**
 * @param {string} id of a link
 * @param {Record<string, string>} wanted its query
 */
function search(id, wanted) {
  const link = document.getElementById(id);
  if (link instanceof HTMLAnchorElement) link.search = new URLSearchParams(wanted).toString();
}

/** Somebody who wants the details wants them on every film, and for every model. */
function keepDetails() {
  const all = [...document.querySelectorAll("details[data-keep]")].filter((one) => one instanceof HTMLDetailsElement);
  all.forEach((details) => {
    details.open = localStorage.getItem(OPEN) === "open";
    details.addEventListener("toggle", () => {
      localStorage.setItem(OPEN, details.open ? "open" : "closed");
      all.forEach((other) => (other.open = details.open));
    });
  });
}

card.addEventListener("click", (event) => {
  const button = event.target instanceof Element && event.target.closest("[data-more]");
  if (button) button.setAttribute("aria-expanded", String(card.classList.toggle("whole")));
});
// The choice of a model belongs to the viewer, and so do the keys that are pressed after it.
listenToKeys(card, viewer);
// On the film itself a finger moves it where it is zoomed.
onSwipe(card, (dx) => dx && viewer.stepModel(-dx));
onSwipe(viewer.stage, (dx) => dx && viewer.view.zoom === 1 && viewer.tool === "move" && viewer.stepModel(-dx));
root.addEventListener("shown", follow);
keepDetails();
follow();
// Loaded with a page that has measurements, or when somebody measures.
/** @type {Promise<unknown> | null} */
let rulers = null;
function measure() {
  rulers ??= import("./viewer/rulers.js").then(({ Rulers }) => new Rulers(viewer.find("#measures"), viewer));
}
if (localStorage.getItem(measuresOf(viewer.films[0].film))) measure();
viewer.stage.addEventListener("tool", () => (viewer.tool === "length" || viewer.tool === "angle") && measure());
viewer.takeKeys();
