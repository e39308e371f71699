/**
 * The layer over the film where the region, the step in progress and the cross are seen.
 *
 * @import { Point, Region, Step } from "./region.js"
 */
import { context } from "../viewer/data.js";

const INSIDE = "rgb(88 196 218 / 45%)";
const LINE = "#fff";
const SHADOW = "#05090c";

export class Layer {
  /**
   * @param {HTMLElement} layers of the viewer's pane
   * @param {Region} region
   */
  constructor(layers, region) {
    this.region = region;
    const { width, height } = region.mask;
    this.canvas = Object.assign(document.createElement("canvas"), { width, height, className: "region" });
    this.draft = Object.assign(document.createElement("canvas"), { width, height });
    this.layers = layers;
    layers.append(this.canvas);
  }

  /** Mask pixels for one pixel of the screen, so that lines look the same at every zoom. */
  get pixel() {
    return this.canvas.width / Math.max(1, this.layers.getBoundingClientRect().width);
  }

  /**
   * @param {Step | null} step in progress
   * @param {Point | null} cross where the next one starts
   * @param {number} size of the brush as a share of the longer side; 0 for none
   */
  show(step, cross, size) {
    const { width, height } = this.canvas;
    const shown = context(this.draft);
    shown.globalCompositeOperation = "copy";
    shown.drawImage(this.region.mask, 0, 0);
    shown.globalCompositeOperation = "source-over";
    if (step) this.region.draw(step, this.draft);
    shown.globalCompositeOperation = "source-in";
    shown.fillStyle = INSIDE;
    shown.fillRect(0, 0, width, height);
    const pen = context(this.canvas);
    pen.clearRect(0, 0, width, height);
    pen.drawImage(this.draft, 0, 0);
    if (step?.kind === "polygon") this.outline(pen, [...step.points, ...(cross ? [cross] : [])]);
    if (cross) this.cross(pen, cross, size);
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {Point[]} points
   */
  outline(pen, points) {
    pen.beginPath();
    points.forEach(({ x, y }) => pen.lineTo(x * this.canvas.width, y * this.canvas.height));
    this.stroke(pen);
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {Point} at
   * @param {number} size
   */
  cross(pen, at, size) {
    const { width, height } = this.canvas;
    const [x, y, arm] = [at.x * width, at.y * height, 9 * this.pixel];
    pen.beginPath();
    pen.moveTo(x - arm, y);
    pen.lineTo(x + arm, y);
    pen.moveTo(x, y - arm);
    pen.lineTo(x, y + arm);
    if (size) {
      const radius = (size * Math.max(width, height)) / 2;
      pen.moveTo(x + radius, y);
      pen.arc(x, y, radius, 0, 2 * Math.PI);
    }
    this.stroke(pen);
  }

  /** @param {CanvasRenderingContext2D} pen whose path is drawn light on dark, so that it shows on every film */
  stroke(pen) {
    for (const [style, lineWidth] of /** @type {const} */ ([[SHADOW, 3], [LINE, 1.25]])) {
      pen.strokeStyle = style;
      pen.lineWidth = lineWidth * this.pixel;
      pen.stroke();
    }
  }
}
