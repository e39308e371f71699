/**
 * Buttons, sliders and choices beside the film.
 *
 * @import { Viewer } from "./viewer.js"
 */

/**
 * @param {HTMLElement} root holds the controls
 * @param {Viewer} viewer does what they say
 */
export function listen(root, viewer) {
  root.addEventListener("input", (event) => {
    const input = event.target;
    if (!(input instanceof HTMLInputElement || input instanceof HTMLSelectElement)) return;
    if (input.id === "opacity") viewer.change({ opacity: Number(input.value) / 100 });
    if (input.id === "threshold") viewer.change({ threshold: Number(input.value) / 100 });
    if (input.id === "colours") viewer.change({ colours: input.value });
    if (input.id === "map-on") viewer.toggleMap();
    if (input.name === "label") viewer.pickLabel(input.value);
    if (input.name === "model") viewer.pickModel(input.value);
    if (input.name === "knee") viewer.pickKnee(Number(input.value));
  });
  /** @type {Record<string, () => void>} */
  const actions = {
    "zoom-in": () => viewer.view.zoomBy(1.5),
    "zoom-out": () => viewer.view.zoomBy(1 / 1.5),
    window: () => viewer.toggleTool(),
    invert: () => viewer.levels.invert(),
    reset: () => viewer.reset(),
    side: () => viewer.toggleSideBySide(),
    help: () => viewer.help(),
  };
  root.addEventListener("click", (event) => {
    const button = event.target instanceof Element && event.target.closest("[data-do]");
    if (button instanceof HTMLElement) actions[button.dataset.do ?? ""]?.();
  });
  viewer.stage.addEventListener("levels", () => viewer.press("invert", viewer.levels.state.inverted));
}
