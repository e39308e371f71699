/** Zoom and place, shared by all panes: what is seen in one is seen in the others, whatever their films' sizes. */

export const MAX_ZOOM = 16;

export class View extends EventTarget {
  /** 1: the whole film fits. */
  zoom = 1;
  /** The middle of the pane, as shares of the film's width and height. */
  x = 0.5;
  y = 0.5;

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
   * @param {number} dx share of the film's width
   * @param {number} dy share of the film's height
   */
  pan(dx, dy) {
    this.set(this.zoom, this.x + dx, this.y + dy);
  }

  fit() {
    this.set(1, 0.5, 0.5);
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
