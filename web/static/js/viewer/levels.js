/**
 * Window, level and inversion. A film of eight bits goes through one linear SVG filter for all panes; a deeper one is
 * drawn from its own values as soon as it is not shown as it came.
 *
 * @import { Pane } from "./pane.js"
 * @import { Preset, Values } from "./values.js"
 */

const EIGHT_BITS = { centre: 128, width: 256 };

export class Levels extends EventTarget {
  /** `centre` becomes middle grey, `width` spans black to white (DICOM PS3.3 C.11.2.1.2.1), in the film's values. */
  state = { ...EIGHT_BITS, inverted: false };
  /** The window that the film came with. */
  first = EIGHT_BITS;
  /** Of a film deeper than eight bits, once they were asked for. @type {Values | null} */
  values = null;
  /** @type {Preset[]} */
  presets = [];
  /** @type {Promise<void> | null} */
  loading = null;
  drawing = 0;
  /** Loaded with the values. @type {typeof import("./values.js").draw | null} */
  paint = null;

  /**
   * @param {() => Pane[]} panes
   * @param {string | null | undefined} url of the film's deep values; none where there cannot be any
   */
  constructor(panes, url) {
    super();
    this.panes = panes;
    this.url = url;
    this.functions = document.querySelectorAll("#levels feFuncR, #levels feFuncG, #levels feFuncB");
  }

  /**
   * Have the film's values and presets at hand: once, and when somebody sets the window, as they are large.
   *
   * @returns {Promise<void>}
   */
  load() {
    this.loading ??= this.fetch();
    this.loading.catch(() => (this.loading = null));
    return this.loading;
  }

  async fetch() {
    const { picture } = this.panes()[0];
    await picture.decode();
    const { draw, fetchValues, pictureValues, presets } = await import("./values.js");
    const values = this.url ? await fetchValues(this.url) : null;
    this.paint = draw;
    this.presets = presets(values ?? pictureValues(picture));
    if (values) {
      const { centre, width, inverted } = this.state;
      this.first = values.windows[0];
      // What was set meanwhile stays as it looks.
      this.state = {
        centre: this.first.centre + ((centre - EIGHT_BITS.centre) / EIGHT_BITS.width) * this.first.width,
        width: (width / EIGHT_BITS.width) * this.first.width,
        inverted,
      };
      this.values = values;
    }
    this.apply();
  }

  /** Grey values that a 256th of the first window spans: what one pixel of a drag is worth. */
  get grain() {
    return this.first.width / EIGHT_BITS.width;
  }

  /**
   * @param {number} brighter grains that the centre goes down by
   * @param {number} wider grains that the width grows by
   */
  drag(brighter, wider) {
    const { centre, width } = this.state;
    this.set(centre - brighter * this.grain, Math.max(8 * this.grain, width + wider * this.grain));
  }

  /**
   * @param {number} centre
   * @param {number} width
   */
  set(centre, width) {
    const [low, high] = [this.first.centre - 8 * this.first.width, this.first.centre + 8 * this.first.width];
    this.state.centre = Math.min(high, Math.max(low, centre));
    this.state.width = Math.min(16 * this.first.width, Math.max(this.grain, width));
    this.apply();
  }

  invert() {
    this.state.inverted = !this.state.inverted;
    this.apply();
  }

  reset() {
    this.state = { centre: this.first.centre, width: this.first.width, inverted: false };
    this.apply();
  }

  get untouched() {
    const { centre, width, inverted } = this.state;
    return centre === this.first.centre && width === this.first.width && !inverted;
  }

  apply() {
    const { values, untouched } = this;
    if (values && !untouched) {
      cancelAnimationFrame(this.drawing);
      this.drawing = requestAnimationFrame(() => this.draw(values));
    } else if (!values) this.filter();
    for (const { picture, deep } of this.panes()) {
      // Without a change the filter is left out altogether: it costs time on every frame.
      picture.style.filter = untouched || values ? "" : "url(#levels)";
      deep.hidden = untouched || !values;
    }
    this.dispatchEvent(new Event("change"));
  }

  filter() {
    const { centre, width, inverted } = this.state;
    const slope = 255 / Math.max(width - 1, 1e-6);
    const intercept = 0.5 - ((centre - 0.5) / 255) * slope;
    this.functions.forEach((func) => {
      func.setAttribute("slope", String(inverted ? -slope : slope));
      func.setAttribute("intercept", String(inverted ? 1 - intercept : intercept));
    });
  }

  /** @param {Values} values */
  draw(values) {
    for (const pane of this.panes()) if (!pane.root.hidden) this.paint?.(pane.deep, values, this.state);
  }
}
