/** Zoom, place and turn, shared by all panes: what is seen in one is seen in the others, whatever their films' sizes. */

export const MAX_ZOOM = 16;
/** Cosine and sine of so many quarter turns clockwise, with y pointing down as on the screen. */
const QUARTERS = [[1, 0], [0, 1], [-1, 0], [0, -1]];

export class View extends EventTarget {
  /** 1: the whole film fits. */
  zoom = 1;
  /** The middle of the pane, as shares of the film's width and height. */
  x = 0.5;
  y = 0.5;
  /** Quarter turns clockwise, 0 to 3, after the film was mirrored left to right. */
  turns = 0;
  mirrored = false;

  /**
   * Zoom by a factor, keeping one place of the film where it is.
   *
   * @param {number} factor
   * @param {{x: number, y: number}} [place] shares of the film; default the middle of the pane
   */
  zoomBy(factor, place = this) {
    const zoom = Math.min(MAX_ZOOM, Math.max(1, this.zoom * factor));
    const kept = this.zoom / zoom;
    this.set(zoom, place.x + (this.x - place.x) * kept, place.y + (this.y - place.y) * kept);
  }

  /**
   * Look further along, as it is seen.
   *
   * @param {number} dx share of the film's side that lies across the screen
   * @param {number} dy
   */
  pan(dx, dy) {
    const step = this.onFilm(dx, dy);
    this.set(this.zoom, this.x + step.x, this.y + step.y);
  }

  fit() {
    this.set(1, 0.5, 0.5);
  }

  /** A quarter clockwise. */
  turn() {
    this.turns = (this.turns + 1) % 4;
    this.dispatchEvent(new Event("change"));
  }

  /** Left to right, as it is seen: of a film that lies on its side, top and bottom change places. */
  mirror() {
    this.turns = (4 - this.turns) % 4;
    this.mirrored = !this.mirrored;
    this.dispatchEvent(new Event("change"));
  }

  straighten() {
    this.turns = 0;
    this.mirrored = false;
    this.fit();
  }

  /**
   * A step on the screen -> the same step along the film's own axes.
   *
   * @param {number} dx
   * @param {number} dy
   */
  onFilm(dx, dy) {
    const [cosine, sine] = QUARTERS[this.turns];
    const x = cosine * dx + sine * dy;
    return { x: this.mirrored ? -x : x, y: cosine * dy - sine * dx };
  }

  /**
   * A step along the film's own axes -> the same step on the screen.
   *
   * @param {number} x
   * @param {number} y
   */
  onScreen(x, y) {
    const [cosine, sine] = QUARTERS[this.turns];
    const across = this.mirrored ? -x : x;
    return { x: cosine * across - sine * y, y: sine * across + cosine * y };
  }

  /** The turn for a style sheet's `transform`, to be put behind the scale; empty where the film is as it came. */
  get css() {
    return (this.turns ? ` rotate(${90 * this.turns}deg)` : "") + (this.mirrored ? " scaleX(-1)" : "");
  }

  /** In words, empty where the film is as it came. */
  get words() {
    const turns = ["", gettext("turned 90° clockwise"), gettext("turned 180°"), gettext("turned 90° anticlockwise")];
    return [this.mirrored ? gettext("mirrored") : "", turns[this.turns]].filter(Boolean).join(", ");
  }

  /**
   * @param {number} zoom
   * @param {number} x
   * @param {number} y
   */
  set(zoom, x, y) {
    this.zoom = zoom;
    // At the smallest zoom the film stays in the middle; closer, its middle may go no further than its edge.
    const reach = zoom <= 1 ? 0 : 0.5;
    this.x = Math.min(0.5 + reach, Math.max(0.5 - reach, x));
    this.y = Math.min(0.5 + reach, Math.max(0.5 - reach, y));
    this.dispatchEvent(new Event("change"));
  }
}
