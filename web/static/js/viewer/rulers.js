/**
 * Measuring by mouse, finger and keys: points are set one after the other, and drawn to another place afterwards.
 *
 * @import { Point } from "./measures.js"
 * @import { Viewer } from "./viewer.js"
 */
import { Measures, POINTS } from "./measures.js";

const SVG = "http://www.w3.org/2000/svg";
/** Pixels of the screen within which a point is taken hold of. */
const NEAR = 14;
const STEP = 0.02;
const NAMES = { length: gettext("length"), angle: gettext("angle") };
/** @type {Record<string, [number, number]>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Rulers {
  /** Where the next point goes. @type {Point | null} */
  cross = null;
  /** The point that is drawn along. @type {Point | null} */
  held = null;

  /**
   * @param {HTMLElement} panel lists the measurements
   * @param {Viewer} viewer
   */
  constructor(panel, viewer) {
    this.panel = panel;
    this.viewer = viewer;
    this.measures = new Measures(viewer.films[0].film);
    const { stage, root, view } = viewer;
    // Before the viewer's own listeners, which move the film.
    stage.addEventListener("pointerdown", (event) => this.down(event), { capture: true });
    stage.addEventListener("pointermove", (event) => this.move(event), { capture: true });
    stage.addEventListener("pointerup", (event) => this.up(event), { capture: true });
    stage.addEventListener("dblclick", (event) => this.kind && event.stopImmediatePropagation(), { capture: true });
    root.addEventListener("keydown", (event) => this.key(event), { capture: true });
    stage.addEventListener("tool", () => this.pick());
    panel.addEventListener("click", (event) => {
      const button = event.target instanceof Element && event.target.closest("[data-remove]");
      if (button instanceof HTMLElement) this.remove(Number(button.dataset.remove));
    });
    view.addEventListener("change", () => this.draw());
    root.addEventListener("shown", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(stage);
    this.measures.addEventListener("change", () => this.show());
    if (this.kind) this.pick();
    else this.show();
  }

  get kind() {
    const { tool } = this.viewer;
    return tool === "length" || tool === "angle" ? tool : null;
  }

  pick() {
    this.viewer.stage.classList.toggle("measuring", this.kind !== null);
    this.cross = this.kind ? { x: this.viewer.view.x, y: this.viewer.view.y } : null;
    if (this.measures.open?.kind !== this.kind) this.measures.dropOpen();
    this.show();
  }

  /** @param {PointerEvent} event */
  paneOf(event) {
    return this.viewer.panes.find((pane) => event.target instanceof Node && pane.root.contains(event.target));
  }

  /** @param {PointerEvent} event */
  down(event) {
    const pane = this.paneOf(event);
    if (!this.kind || !pane || event.button || event.shiftKey || !event.isPrimary) return;
    event.stopImmediatePropagation();
    this.viewer.stage.setPointerCapture(event.pointerId);
    const box = pane.root.getBoundingClientRect();
    const near = (/** @type {Point} */ point) => {
      const { x, y } = pane.onPane(point);
      return Math.hypot(x - (event.clientX - box.left), y - (event.clientY - box.top)) < NEAR;
    };
    const open = this.measures.open;
    this.held = this.measures.all.filter((one) => one !== open).flatMap((one) => one.points).find(near) ?? null;
    if (this.held) return;
    this.set(pane.onFilm(event));
    this.start = event;
  }

  /** @param {PointerEvent} event */
  move(event) {
    const pane = this.paneOf(event) ?? this.viewer.panes[0];
    if (!this.kind || !event.isPrimary) return;
    this.cross = within(pane.onFilm(event));
    if (this.held) Object.assign(this.held, this.cross);
    this.draw();
  }

  /** A line may be drawn in one stroke too. @param {PointerEvent} event */
  up(event) {
    if (!this.kind) return;
    const { start, held } = this;
    [this.start, this.held] = [undefined, null];
    if (held) return this.measures.changed();
    const far = start && Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY) > NEAR;
    if (far && this.measures.open && this.cross) this.set(this.cross);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const elsewhere = event.target instanceof Element && event.target.closest("input, select, textarea, dialog, button, summary");
    if (!this.kind || elsewhere || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!this.act(event)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }

  /**
   * @param {KeyboardEvent} event
   * @returns {boolean} whether the key meant something here
   */
  act({ key, shiftKey }) {
    const { film } = this.measures;
    const from = this.cross ?? { x: 0.5, y: 0.5 };
    if (ARROWS[key]) {
      const { view, panes } = this.viewer;
      const step = shiftKey ? 1 : (STEP * Math.max(film.width, film.height)) / view.zoom;
      const { x, y } = view.onFilm(ARROWS[key][0] * step, ARROWS[key][1] * step);
      this.cross = within({ x: from.x + x / film.width, y: from.y + y / film.height });
      const seen = panes[0].onPane(this.cross);
      const at = { x: Math.round(this.cross.x * film.width), y: Math.round(this.cross.y * film.height) };
      this.viewer.say(interpolate(gettext("cross at %(x)s, %(y)s"), at, true));
      if (seen.x < 0 || seen.y < 0 || seen.x > panes[0].root.clientWidth || seen.y > panes[0].root.clientHeight) {
        view.set(view.zoom, this.cross.x, this.cross.y);
      }
      this.draw();
    } else if (key === "Enter" || key === " ") this.set(from);
    else if (key === "Backspace" || key === "Delete") this.measures.back();
    else if (key === "Escape" && this.kind) this.viewer.pickTool(this.kind);
    else return false;
    return true;
  }

  /** @param {Point} point */
  set(point) {
    if (!this.kind) return;
    const measure = this.measures.add(this.kind, within(point));
    const words = this.measures.words(measure);
    const count = { number: measure.points.length, all: POINTS[measure.kind] };
    this.viewer.say(words ? `${NAMES[measure.kind]} ${words}` : interpolate(gettext("point %(number)s of %(all)s is set"), count, true));
  }

  /** @param {number} place */
  remove(place) {
    this.measures.remove(place);
    this.viewer.say(gettext("the measurement is gone"));
    // The button that had the focus is gone with it.
    const next = this.panel.querySelector("button") ?? this.viewer.stage;
    if (next instanceof HTMLElement) next.focus();
  }

  show() {
    const { all, film } = this.measures;
    const template = /** @type {HTMLTemplateElement} */ (this.panel.querySelector("template"));
    const rows = all.map((measure, i) => {
      const row = /** @type {HTMLElement} */ (template.content.cloneNode(true));
      const [text, button] = [row.querySelector("span"), row.querySelector("button")];
      const count = { number: measure.points.length, all: POINTS[measure.kind] };
      const words = this.measures.words(measure) || interpolate(gettext("%(number)s of %(all)s points"), count, true);
      if (text) text.textContent = `${i + 1}. ${NAMES[measure.kind]} ${words}`;
      button?.setAttribute("data-remove", String(i));
      button?.setAttribute("aria-label", `${gettext("Remove")} ${i + 1}`);
      return row;
    });
    this.panel.querySelector("ul")?.replaceChildren(...rows);
    const note = this.panel.querySelector("p");
    const known = film.spacing
      ? gettext("Millimetres by the header's pixel spacing.")
      : gettext("In pixels: this film does not say how large they are.");
    if (note) note.textContent = `${known} ${gettext("Kept in this browser until you log out.")}`;
    this.panel.hidden = !all.length;
    this.draw();
  }

  draw() {
    for (const pane of this.viewer.panes) {
      const shapes = [];
      this.measures.all.forEach((measure, i) => {
        const rubber = measure === this.measures.open && this.cross ? [this.cross] : [];
        const places = [...measure.points, ...rubber].map((point) => pane.onPane(point));
        const line = places.map(({ x, y }, n) => `${n ? "L" : "M"}${x} ${y}`).join("");
        shapes.push(...stroke(line + places.map(({ x, y }) => ring(x, y, 4)).join("")));
        const words = this.measures.words(measure);
        const at = measure.kind === "angle" ? places[1] : middle(places[0], places.at(-1));
        if (words && at) shapes.push(shape("text", { x: at.x + 10, y: at.y - 10 }, `${i + 1}: ${words}`));
      });
      if (this.cross) {
        const { x, y } = pane.onPane(this.cross);
        shapes.push(...stroke(`M${x - 9} ${y}H${x + 9}M${x} ${y - 9}V${y + 9}`));
      }
      this.layer(pane.root).replaceChildren(...shapes);
    }
  }

  /** @param {HTMLElement} root of a pane */
  layer(root) {
    const there = root.querySelector("svg.rulers");
    if (there) return there;
    const made = shape("svg", { class: "rulers", "aria-hidden": "true" });
    root.append(made);
    return made;
  }
}

/** @param {Point} point */
function within({ x, y }) {
  return { x: Math.min(1, Math.max(0, x)), y: Math.min(1, Math.max(0, y)) };
}

/** @type {(x: number, y: number, r: number) => string} */
const ring = (x, y, r) => `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`;

/** @type {(d: string) => Element[]} dark under light, so that it shows on every film */
const stroke = (d) => [shape("path", { d }), shape("path", { d })];

/** @type {(a: Point, b: Point | undefined) => Point | undefined} */
const middle = (a, b) => b && { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };

/**
 * @param {string} name
 * @param {Record<string, string | number>} attributes
 * @param {string} [text]
 */
function shape(name, attributes, text = "") {
  const element = document.createElementNS(SVG, name);
  Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, String(value)));
  element.textContent = text;
  return element;
}
