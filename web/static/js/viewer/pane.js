/**
 * One pane of the stage: a film and its heat map, under one transform, and so in register at every zoom.
 *
 * @import { Colour, Film, MapFile, Reading } from "./data.js"
 * @import { View } from "./view.js"
 */
import { mapLevels } from "./data.js";
import { paint } from "./colour.js";
import { MAX_ZOOM } from "./view.js";

/** Names of labels in the language of the page; others stay. @type {Record<string, string>} */
const NAMES = {
  normal: gettext("normal"),
  osteopenia: gettext("osteopenia"),
  osteoporosis: gettext("osteoporosis"),
};

/** @param {string} label */
export const named = (label) => NAMES[label] ?? label;

export class Pane {
  /**
   * @param {HTMLElement} root has `.layers` with an `img.film` and a `canvas.map`, and `.caption`
   * @param {Film} film
   * @param {View} view
   */
  constructor(root, film, view) {
    this.root = root;
    this.film = film;
    this.view = view;
    this.layers = /** @type {HTMLElement} */ (root.querySelector(".layers"));
    this.canvas = /** @type {HTMLCanvasElement} */ (root.querySelector("canvas.map"));
    this.picture = /** @type {HTMLImageElement} */ (root.querySelector("img.film"));
    this.deep = /** @type {HTMLCanvasElement} */ (root.querySelector("canvas.deep"));
    this.caption = /** @type {HTMLElement} */ (root.querySelector(".caption"));
    this.asked = "";
    this.opacity = 1;
    /** Of the map that is shown: a weak one is drawn fainter. */
    this.strength = 1;
    this.layers.style.width = `${film.width}px`;
    this.layers.style.height = `${film.height}px`;
    if (!this.picture.src) this.picture.src = film.url;
    view.addEventListener("change", () => this.place());
    new ResizeObserver(() => this.place()).observe(root);
  }

  /** Width and height of the film as it is turned. */
  get seen() {
    const { width, height } = this.film;
    return this.view.turns % 2 ? [height, width] : [width, height];
  }

  /** Pixels of the screen for one pixel of the film. */
  get scale() {
    const { clientWidth, clientHeight } = this.root;
    const [width, height] = this.seen;
    return Math.min(clientWidth / width, clientHeight / height) * this.view.zoom;
  }

  /**
   * Bring a box to the middle, as large as it fits.
   *
   * @param {[number, number, number, number]} box left, top, right, bottom in pixels of the film
   */
  zoomTo([left, top, right, bottom]) {
    const { film, root, view } = this;
    const sides = [right - left, bottom - top];
    const [across, down] = view.turns % 2 ? sides.reverse() : sides;
    const wanted = Math.min(root.clientWidth / across, root.clientHeight / down);
    const zoom = Math.min(MAX_ZOOM, Math.max(1, (wanted * view.zoom) / this.scale));
    view.set(zoom, (left + right) / 2 / film.width, (top + bottom) / 2 / film.height);
  }

  place() {
    const { film, view, scale } = this;
    const middle = view.onScreen(view.x * film.width * scale, view.y * film.height * scale);
    const left = Math.round(this.root.clientWidth / 2 - middle.x);
    const top = Math.round(this.root.clientHeight / 2 - middle.y);
    this.layers.style.transform = `translate(${left}px, ${top}px) scale(${scale})${view.css}`;
  }

  /**
   * Move the film with the pointer.
   *
   * @param {number} dx pixels of the screen
   * @param {number} dy
   */
  drag(dx, dy) {
    const { film, view, scale } = this;
    const step = view.onFilm(-dx / scale, -dy / scale);
    view.set(view.zoom, view.x + step.x / film.width, view.y + step.y / film.height);
  }

  /**
   * A place of the screen as shares of the film.
   *
   * @param {{clientX: number, clientY: number}} event
   */
  onFilm(event) {
    const { film, view, scale } = this;
    const box = this.root.getBoundingClientRect();
    const [dx, dy] = [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
    const step = view.onFilm(dx / scale, dy / scale);
    return { x: view.x + step.x / film.width, y: view.y + step.y / film.height };
  }

  /**
   * A place of the film as pixels from the pane's left and top.
   *
   * @param {{x: number, y: number}} place shares of the film
   */
  onPane({ x, y }) {
    const { film, view, scale } = this;
    const step = view.onScreen((x - view.x) * film.width * scale, (y - view.y) * film.height * scale);
    return { x: this.root.clientWidth / 2 + step.x, y: this.root.clientHeight / 2 + step.y };
  }

  /**
   * Show the map of a class, or none where this reading has no such class.
   *
   * @param {Reading | undefined} reading
   * @param {string} label
   * @param {Colour[]} table
   * @param {number} threshold 0 to 1
   * @param {number} [number] of a knee whose map is shown; -1 for the film's
   */
  async show(reading, label, table, threshold, number = -1) {
    const knee = reading?.knees?.[number];
    const file = knee?.maps[label] ?? reading?.classes.find((one) => one.label === label)?.map;
    const part = knee ? `${knee.name}: ` : "";
    this.caption.textContent = reading ? `${reading.model} ${reading.version} · ${part}${words(label, file)}` : gettext("no answer");
    this.root.querySelectorAll("svg.boxes").forEach((boxes) => {
      if (boxes instanceof SVGElement) boxes.toggleAttribute("hidden", boxes.dataset.model !== reading?.model);
    });
    this.asked = file?.url ?? "";
    this.canvas.hidden = !file;
    if (!file) return;
    const levels = await mapLevels(file.url);
    // Another class may have been chosen while this one was on its way.
    if (this.asked !== file.url) return;
    this.strength = file.strength ?? 1;
    this.shade(this.opacity);
    paint(this.canvas, levels, table, threshold);
  }

  /**
   * Opacity alone: a number for the compositor, nothing is drawn.
   *
   * @param {number} opacity 0 to 1, of a map that is as strong as usual
   */
  shade(opacity) {
    this.opacity = opacity;
    this.canvas.style.opacity = String(opacity * this.strength);
  }
}

/**
 * @param {string} label
 * @param {MapFile | null | undefined} file
 */
function words(label, file) {
  if (!file) return interpolate(gettext("no map for %(label)s"), { label: named(label) }, true);
  if (!(file.peak > 0)) return interpolate(gettext("nothing speaks for %(label)s: its map is empty"), { label: named(label) }, true);
  const digits = { minimumSignificantDigits: 2, maximumSignificantDigits: 2 };
  const peak = new Intl.NumberFormat(document.documentElement.lang, digits).format(file.peak);
  const text = interpolate(gettext("map for %(label)s, maximum %(peak)s"), { label: named(label), peak }, true);
  return [text, file.strengthWords].filter(Boolean).join(", ");
}
