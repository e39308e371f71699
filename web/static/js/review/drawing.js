/**
 * Drawing by mouse, pen, finger and keys.
 *
 * @import { Viewer } from "../viewer/viewer.js"
 * @import { Layer } from "./layer.js"
 * @import { Point, Region, Step } from "./region.js"
 * @typedef {"move" | "brush" | "polygon" | "eraser"} Tool
 */

const STEP = 0.02;
const FINE = 0.004;
/** Pixels of the screen within which a click on the first corner closes a polygon. */
const NEAR = 10;

export class Drawing extends EventTarget {
  /** @type {Tool} */
  tool = "move";
  /** Share of the film's longer side. */
  size = 0.05;
  /** The stroke or polygon in progress. @type {Step | null} */
  step = null;
  /** @type {Point | null} */
  cross = null;

  /**
   * @param {Viewer} viewer
   * @param {Region} region
   * @param {Layer} layer
   */
  constructor(viewer, region, layer) {
    super();
    this.viewer = viewer;
    this.region = region;
    this.layer = layer;
    const { stage } = viewer;
    // Before the viewer's own listeners, which move the film.
    stage.addEventListener("pointerdown", (event) => this.down(event), { capture: true });
    stage.addEventListener("pointermove", (event) => this.moveTo(event), { capture: true });
    stage.addEventListener("dblclick", (event) => this.tool !== "move" && event.stopImmediatePropagation(), { capture: true });
    for (const end of /** @type {const} */ (["pointerup", "pointercancel"])) {
      stage.addEventListener(end, () => this.step?.kind !== "polygon" && this.finish(), { capture: true });
    }
    viewer.view.addEventListener("change", () => this.show());
    region.addEventListener("change", () => this.show());
  }

  /** @param {Tool} tool */
  use(tool) {
    this.finish();
    this.tool = tool;
    this.cross = tool === "move" ? null : (this.cross ?? { x: this.viewer.view.x, y: this.viewer.view.y });
    this.viewer.stage.classList.toggle("drawing", tool !== "move");
    this.show();
  }

  /** @param {PointerEvent} event */
  down(event) {
    const onTools = event.target instanceof Element && event.target.closest("button, a, .tools");
    if (this.tool === "move" || onTools || event.button || event.shiftKey) return;
    event.stopImmediatePropagation();
    if (!event.isPrimary) return;
    this.cross = this.place(event);
    if (this.tool === "polygon") return this.corner();
    this.viewer.stage.setPointerCapture(event.pointerId);
    this.start();
  }

  /** @param {PointerEvent} event */
  moveTo(event) {
    if (this.tool === "move" || !event.isPrimary) return;
    this.cross = this.place(event);
    if (this.step && this.step.kind !== "clear" && this.step.kind !== "polygon") this.step.points.push(this.cross);
    this.show();
  }

  /**
   * The cross by keys; a brush that is down paints.
   *
   * @param {number} dx -1, 0 or 1
   * @param {number} dy
   * @param {boolean} fine
   */
  shift(dx, dy, fine) {
    const { width, height } = this.region.mask;
    const step = (fine ? FINE : STEP) * Math.max(width, height);
    const from = this.cross ?? { x: 0.5, y: 0.5 };
    this.cross = { x: within(from.x + (dx * step) / width), y: within(from.y + (dy * step) / height) };
    if (this.step && this.step.kind !== "clear" && this.step.kind !== "polygon") this.step.points.push(this.cross);
    this.show();
  }

  /** What the space bar does: brush down or up, or a corner. */
  press() {
    if (this.tool === "polygon") this.corner();
    else if (this.step) this.finish();
    else this.start();
  }

  start() {
    if (!this.cross || this.tool === "move" || this.tool === "polygon") return;
    this.step = { kind: this.tool, size: this.size, points: [this.cross] };
    this.show();
  }

  corner() {
    if (!this.cross) return;
    if (this.step?.kind !== "polygon") this.step = { kind: "polygon", points: [] };
    const { points } = this.step;
    if (points.length > 2 && this.near(points[0], this.cross)) return this.finish();
    points.push(this.cross);
    this.show();
  }

  /** Take back what is in progress, or its last corner. */
  back() {
    if (this.step?.kind === "polygon" && this.step.points.length > 1) this.step.points.pop();
    else this.step = null;
    this.show();
  }

  /** What is in progress becomes part of the region; two corners are no polygon. */
  finish() {
    const step = this.step;
    this.step = null;
    if (step && step.kind !== "clear" && (step.kind !== "polygon" || step.points.length > 2)) this.region.add(step);
    else this.show();
  }

  undo() {
    if (this.step) this.back();
    else this.region.undo();
  }

  show() {
    this.layer.show(this.step, this.cross, this.tool === "brush" || this.tool === "eraser" ? this.size : 0);
    this.dispatchEvent(new Event("shown"));
  }

  /** @param {PointerEvent} event */
  place(event) {
    const { x, y } = this.viewer.panes[0].onFilm(event);
    return { x: within(x), y: within(y) };
  }

  /**
   * @param {Point} one
   * @param {Point} other
   */
  near(one, other) {
    const { width, height } = this.region.mask;
    return Math.hypot((one.x - other.x) * width, (one.y - other.y) * height) < NEAR * this.layer.pixel;
  }
}

/** @param {number} share */
function within(share) {
  return Math.min(1, Math.max(0, share));
}
