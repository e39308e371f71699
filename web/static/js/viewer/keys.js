/**
 * The viewer's keys. They act only while the viewer has the focus, so that nobody's screen reader or speech input
 * trips over them (WCAG 2.1.4).
 *
 * @import { Viewer } from "./viewer.js"
 */
import { toggleFullScreen } from "./screen.js";

const STEP = 0.05;

/** @type {Record<string, (viewer: Viewer) => void>} */
const ACTIONS = {
  m: (viewer) => viewer.toggleMap(),
  s: (viewer) => viewer.toggleSideBySide(),
  n: (viewer) => viewer.stepModel(1),
  i: (viewer) => viewer.levels.invert(),
  w: (viewer) => viewer.pickTool("window"),
  f: (viewer) => toggleFullScreen(viewer.root),
  k: (viewer) => viewer.nextKnee(),
  r: (viewer) => viewer.turn(),
  h: (viewer) => viewer.mirror(),
  l: (viewer) => viewer.pickTool("length"),
  a: (viewer) => viewer.pickTool("angle"),
  "[": (viewer) => viewer.change({ opacity: viewer.settings.opacity - STEP }),
  "]": (viewer) => viewer.change({ opacity: viewer.settings.opacity + STEP }),
  "+": (viewer) => viewer.view.zoomBy(1.25),
  "=": (viewer) => viewer.view.zoomBy(1.25),
  "-": (viewer) => viewer.view.zoomBy(0.8),
  0: (viewer) => viewer.reset(),
  ArrowLeft: (viewer) => viewer.view.pan(-0.05 / viewer.view.zoom, 0),
  ArrowRight: (viewer) => viewer.view.pan(0.05 / viewer.view.zoom, 0),
  ArrowUp: (viewer) => viewer.view.pan(0, -0.05 / viewer.view.zoom),
  ArrowDown: (viewer) => viewer.view.pan(0, 0.05 / viewer.view.zoom),
  "?": (viewer) => viewer.help(),
};

/**
 * @param {HTMLElement} root of the viewer
 * @param {Viewer} viewer
 */
export function listen(root, viewer) {
  root.addEventListener("keydown", (event) => {
    const typing = event.target instanceof Element && event.target.closest("input, select, textarea, dialog");
    if (typing && (event.key.startsWith("Arrow") || !typing.matches("[type=range], [type=radio], [type=checkbox]"))) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = /^[1-9]$/.test(event.key) ? pick(Number(event.key) - 1) : ACTIONS[event.key];
    if (!act) return;
    event.preventDefault();
    act(viewer);
  });
}

/** @param {number} index of the class */
function pick(index) {
  return (/** @type {Viewer} */ viewer) => viewer.pickLabel(viewer.labels[index]);
}
