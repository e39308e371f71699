/**
 * Buttons, sliders and choices of the viewer: what they do, and how they show its state.
 *
 * @import { Viewer } from "./viewer.js"
 */
import { toggleFullScreen } from "./screen.js";

/**
 * @param {HTMLElement} root holds the controls; models may stand elsewhere on the page, beside their answers
 * @param {Viewer} viewer does what they say
 */
export function listen(root, viewer) {
  document.addEventListener("input", (event) => {
    const input = event.target;
    if (input instanceof HTMLInputElement && input.name === "model") viewer.pickModel(input.value);
  });
  root.addEventListener("input", (event) => {
    const input = event.target;
    if (!(input instanceof HTMLInputElement || input instanceof HTMLSelectElement)) return;
    if (input.id === "opacity") viewer.change({ opacity: Number(input.value) / 100 });
    if (input.id === "threshold") viewer.change({ threshold: Number(input.value) / 100 });
    if (input.id === "colours") viewer.change({ colours: input.value });
    if (input.id === "map-on") viewer.toggleMap();
    if (input.name === "label") viewer.pickLabel(input.value);
    if (input.name === "knee") viewer.pickKnee(Number(input.value));
  });
  /** @type {Record<string, () => void>} */
  const actions = {
    "zoom-in": () => viewer.view.zoomBy(1.5),
    "zoom-out": () => viewer.view.zoomBy(1 / 1.5),
    knee: () => viewer.nextKnee(),
    full: () => toggleFullScreen(root),
    window: () => viewer.pickTool("window"),
    invert: () => viewer.levels.invert(),
    turn: () => viewer.turn(),
    mirror: () => viewer.mirror(),
    length: () => viewer.pickTool("length"),
    angle: () => viewer.pickTool("angle"),
    reset: () => viewer.reset(),
    side: () => viewer.toggleSideBySide(),
    help: () => viewer.help(),
  };
  root.addEventListener("click", (event) => {
    const button = event.target instanceof Element && event.target.closest("[data-do]");
    if (button instanceof HTMLElement) actions[button.dataset.do ?? ""]?.();
  });
  viewer.levels.addEventListener("change", () => press(root, "invert", viewer.levels.state.inverted));
}

/**
 * Bring all controls to the viewer's state.
 *
 * @param {HTMLElement} root
 * @param {Viewer} viewer
 */
export function sync(root, viewer) {
  const { opacity, threshold, colours, mapOn } = viewer.settings;
  fill(root, "opacity", opacity);
  fill(root, "threshold", threshold);
  const select = root.querySelector("#colours");
  if (select instanceof HTMLSelectElement) select.value = colours;
  const box = root.querySelector("#map-on");
  if (box instanceof HTMLInputElement) box.checked = mapOn;
  const labels = viewer.labels;
  inputs(root, "label").forEach((input) => {
    input.checked = input.value === viewer.label;
    if (input.parentElement) input.parentElement.hidden = !labels.includes(input.value);
  });
  inputs(document, "model").forEach((input) => (input.checked = input.value === viewer.model));
  const ofModel = inputs(root, "knee").filter((input) => !input.closest("[hidden]"));
  ofModel.forEach((input) => (input.checked = Number(input.value) === viewer.knee));
  for (const tool of ["window", "length", "angle"]) press(root, tool, viewer.tool === tool);
  press(root, "side", viewer.sideBySide);
}

/**
 * @param {HTMLElement} root
 * @param {string} id of a slider
 * @param {number} share 0 to 1
 */
function fill(root, id, share) {
  const percent = Math.round(share * 100);
  const slider = root.querySelector(`#${id}`);
  if (!(slider instanceof HTMLInputElement)) return;
  slider.value = String(percent);
  slider.setAttribute("aria-valuetext", `${percent}%`);
  const shown = root.querySelector(`output[for=${id}]`);
  if (shown) shown.textContent = `${percent}%`;
}

/**
 * @param {HTMLElement} root
 * @param {string} action of a button that stays pressed
 * @param {boolean} pressed
 */
function press(root, action, pressed) {
  root.querySelector(`[data-do=${action}]`)?.setAttribute("aria-pressed", String(pressed));
}

/**
 * @param {ParentNode} root
 * @param {string} name of a group of radio buttons
 * @returns {HTMLInputElement[]}
 */
function inputs(root, name) {
  return [...root.querySelectorAll(`input[name=${name}]`)].filter((one) => one instanceof HTMLInputElement);
}
