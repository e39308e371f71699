/** Two films side by side or over each other: one zoom, one window, one class for both. */
import { listen } from "./swipe.js";
import { dataBlock } from "./viewer/data.js";
import { Viewer } from "./viewer/viewer.js";

const root = /** @type {HTMLElement} */ (document.getElementById("viewer"));
const viewer = new Viewer(root, [dataBlock("viewer-data-1"), dataBlock("viewer-data-2")]);
listen(root, (words) => viewer.say(words));
viewer.takeKeys();
