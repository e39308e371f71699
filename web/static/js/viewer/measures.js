/**
 * Lengths and angles on a film, in its own pixels; drafts of this browser, forgotten at log-out.
 *
 * @typedef {{x: number, y: number}} Point shares of the film's width and height
 * @typedef {{kind: "length" | "angle", points: Point[]}} Measure two points, or three with the corner as the second
 */
import { measuresOf } from "./settings.js";

/** @type {Record<Measure["kind"], number>} */
export const POINTS = { length: 2, angle: 3 };

export class Measures extends EventTarget {
  /** The last one may lack points. @type {Measure[]} */
  all = [];

  /** @param {import("./data.js").Film} film */
  constructor(film) {
    super();
    this.film = film;
    this.key = measuresOf(film);
    this.all = JSON.parse(localStorage.getItem(this.key) ?? "[]");
  }

  /** The one that still lacks points. */
  get open() {
    const last = this.all.at(-1);
    return last && last.points.length < POINTS[last.kind] ? last : null;
  }

  /**
   * Set the next point.
   *
   * @param {Measure["kind"]} kind
   * @param {Point} point
   * @returns {Measure} the one it belongs to
   */
  add(kind, point) {
    if (this.open?.kind !== kind) {
      this.dropOpen();
      this.all.push({ kind, points: [] });
    }
    const measure = /** @type {Measure} */ (this.all.at(-1));
    measure.points.push(point);
    this.changed();
    return measure;
  }

  /** Take back the last point. */
  back() {
    const last = this.all.at(-1);
    last?.points.pop();
    if (last && !last.points.length) this.all.pop();
    this.changed();
  }

  dropOpen() {
    if (this.open) this.all.pop();
    this.changed();
  }

  /** @param {number} place */
  remove(place) {
    this.all.splice(place, 1);
    this.changed();
  }

  changed() {
    if (this.all.length) localStorage.setItem(this.key, JSON.stringify(this.all));
    else localStorage.removeItem(this.key);
    this.dispatchEvent(new Event("change"));
  }

  /**
   * @param {Measure} measure
   * @returns {string} empty while points are missing
   */
  words({ kind, points }) {
    if (points.length < POINTS[kind]) return "";
    const [first, second, third] = points.map((point) => this.place(point));
    if (kind === "angle") return `${angle(first, second, third).toFixed(1)}°`;
    const length = Math.hypot(second.x - first.x, second.y - first.y);
    return this.film.spacing ? `${length.toFixed(1)} mm` : `${length.toFixed(0)} px`;
  }

  /**
   * In millimetres where the size of a pixel is known, else in pixels.
   *
   * @param {Point} point
   */
  place({ x, y }) {
    const { width, height, spacing } = this.film;
    const [down, across] = spacing ?? [1, 1];
    return { x: x * width * across, y: y * height * down };
  }
}

/**
 * Angle at the second of three places, 0 to 180 degrees.
 *
 * @param {Point} first
 * @param {Point} corner
 * @param {Point} last
 */
function angle(first, corner, last) {
  const [ax, ay, bx, by] = [first.x - corner.x, first.y - corner.y, last.x - corner.x, last.y - corner.y];
  return (Math.abs(Math.atan2(ax * by - ay * bx, ax * bx + ay * by)) * 180) / Math.PI;
}
