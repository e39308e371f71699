/** Window, level and inversion of the film: one linear SVG filter for all panes. */

const WHOLE = { centre: 127.5, width: 255, inverted: false };

export class Levels {
  /** Grey values 0 to 255: `centre` becomes middle grey, `width` spans black to white. */
  state = { ...WHOLE };

  /** @param {HTMLElement} stage the films in it are filtered */
  constructor(stage) {
    this.stage = stage;
    this.functions = document.querySelectorAll("#levels feFuncR, #levels feFuncG, #levels feFuncB");
  }

  /**
   * @param {number} brighter grey values that the centre goes down by
   * @param {number} wider grey values that the width grows by
   */
  drag(brighter, wider) {
    const { centre, width } = this.state;
    this.state.centre = Math.min(255, Math.max(0, centre - brighter));
    this.state.width = Math.min(510, Math.max(8, width + wider));
    this.apply();
  }

  invert() {
    this.state.inverted = !this.state.inverted;
    this.apply();
  }

  reset() {
    this.state = { ...WHOLE };
    this.apply();
  }

  get untouched() {
    const { centre, width, inverted } = this.state;
    return centre === WHOLE.centre && width === WHOLE.width && !inverted;
  }

  apply() {
    const { centre, width, inverted } = this.state;
    const slope = 255 / width;
    const intercept = 0.5 - (centre / 255) * slope;
    this.functions.forEach((func) => {
      func.setAttribute("slope", String(inverted ? -slope : slope));
      func.setAttribute("intercept", String(inverted ? 1 - intercept : intercept));
    });
    // Without a change the filter is left out altogether: it costs time on every frame.
    this.films.forEach((film) => (film.style.filter = this.untouched ? "" : "url(#levels)"));
    this.stage.dispatchEvent(new Event("levels"));
  }

  get films() {
    return /** @type {NodeListOf<HTMLElement>} */ (this.stage.querySelectorAll("img.film"));
  }
}
