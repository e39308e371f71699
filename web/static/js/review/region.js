/**
 * The region that a reviewer draws: a mask made of strokes and polygons, each of which can be undone.
 *
 * @typedef {{x: number, y: number}} Point shares of the film's width and height
 * @typedef {{kind: "brush" | "eraser", size: number, points: Point[]}} Stroke size: diameter as a share of the longer side
 * @typedef {{kind: "polygon", points: Point[]}} Polygon
 * @typedef {{kind: "clear"}} Clear
 * @typedef {Stroke | Polygon | Clear} Step
 */
import { context } from "../viewer/data.js";

export class Region extends EventTarget {
  /** @type {Step[]} */
  steps = [];
  /** @type {Step[]} */
  undone = [];
  /** Of one that was stored: what all steps start from. @type {HTMLCanvasElement | null} */
  base = null;

  /**
   * @param {number} width of the mask, in its pixels
   * @param {number} height
   */
  constructor(width, height) {
    super();
    this.mask = Object.assign(document.createElement("canvas"), { width, height });
  }

  /**
   * Start from a stored mask.
   *
   * @param {CanvasImageSource} picture white inside
   */
  load(picture) {
    const { width, height } = this.mask;
    this.base = Object.assign(document.createElement("canvas"), { width, height });
    const pen = context(this.base);
    pen.drawImage(picture, 0, 0, width, height);
    const pixels = pen.getImageData(0, 0, width, height);
    for (let i = 0; i < pixels.data.length; i += 4) pixels.data[i + 3] = pixels.data[i] >= 128 ? 255 : 0;
    pen.putImageData(pixels, 0, 0);
    this.replay();
  }

  /** @param {Step} step */
  add(step) {
    this.steps.push(step);
    this.undone = [];
    this.draw(step);
    this.dispatchEvent(new Event("change"));
  }

  undo() {
    this.move(this.steps, this.undone);
  }

  redo() {
    this.move(this.undone, this.steps);
  }

  clear() {
    if (!this.isEmpty()) this.add({ kind: "clear" });
  }

  /**
   * @param {Step[]} from
   * @param {Step[]} to
   */
  move(from, to) {
    const step = from.pop();
    if (!step) return;
    to.push(step);
    this.replay();
    this.dispatchEvent(new Event("change"));
  }

  replay() {
    const { width, height } = this.mask;
    const pen = context(this.mask);
    pen.clearRect(0, 0, width, height);
    if (this.base) pen.drawImage(this.base, 0, 0);
    this.steps.forEach((step) => this.draw(step));
  }

  /**
   * @param {Step} step
   * @param {HTMLCanvasElement} [canvas] the mask, or a copy that shows what a step would do
   */
  draw(step, canvas = this.mask) {
    const pen = context(canvas);
    const { width, height } = canvas;
    if (step.kind === "clear") return pen.clearRect(0, 0, width, height);
    pen.save();
    pen.fillStyle = pen.strokeStyle = "#fff";
    pen.beginPath();
    step.points.forEach(({ x, y }) => pen.lineTo(x * width, y * height));
    if (step.kind === "polygon") pen.fill();
    else {
      if (step.kind === "eraser") pen.globalCompositeOperation = "destination-out";
      pen.lineWidth = step.size * Math.max(width, height);
      pen.lineCap = pen.lineJoin = "round";
      const [first] = step.points;
      if (step.points.length === 1) pen.lineTo(first.x * width, first.y * height);
      pen.stroke();
    }
    pen.restore();
  }

  isEmpty() {
    const { width, height } = this.mask;
    const { data } = context(this.mask).getImageData(0, 0, width, height);
    for (let i = 3; i < data.length; i += 4) if (data[i] >= 128) return false;
    return true;
  }

  /** What is sent: a PNG with white inside and black outside, as a data address. */
  toDataUrl() {
    const { width, height } = this.mask;
    const page = Object.assign(document.createElement("canvas"), { width, height });
    const pen = context(page);
    pen.fillRect(0, 0, width, height);
    pen.drawImage(this.mask, 0, 0);
    return page.toDataURL("image/png");
  }
}
