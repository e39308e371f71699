/** The page of one film: the viewer, and downloads that follow what it shows. */
import { dataBlock } from "./viewer/data.js";
import { Viewer } from "./viewer/viewer.js";

const root = /** @type {HTMLElement} */ (document.getElementById("viewer"));
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

root.addEventListener("shown", follow);
follow();
viewer.takeKeys();
