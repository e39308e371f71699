/** Two films side by side: one zoom, one window, one class for both. */
import { dataBlock } from "./viewer/data.js";
import { Viewer } from "./viewer/viewer.js";

const root = /** @type {HTMLElement} */ (document.getElementById("viewer"));
const viewer = new Viewer(root, [dataBlock("viewer-data-1"), dataBlock("viewer-data-2")]);
viewer.takeKeys();
