/** Presets and typed values of window and level. */

/** @import { Viewer } from "./viewer.js" */

const OWN = "own";

/**
 * @param {HTMLElement} panel
 * @param {Viewer} viewer
 */
export function listen(panel, viewer) {
  const { levels } = viewer;
  const preset = /** @type {HTMLSelectElement} */ (panel.querySelector("#preset"));
  const words = /** @type {HTMLElement} */ (panel.querySelector("#window-words"));
  const [centre, width] = ["#centre", "#width"].map((id) => /** @type {HTMLInputElement} */ (panel.querySelector(id)));

  viewer.stage.addEventListener("tool", open);
  function open() {
    panel.hidden = viewer.tool !== "window";
    if (panel.hidden || levels.presets.length) return;
    words.textContent = gettext("reading the film's values …");
    levels.load().then(fill, (error) => {
      console.error(error);
      words.textContent = gettext("The film's values could not be read. Close this and open it again to try once more.");
    });
  }
  levels.addEventListener("change", show);
  preset.addEventListener("change", () => {
    const chosen = levels.presets[Number(preset.value)];
    if (!chosen) return;
    levels.set(chosen.centre, chosen.width);
    const set = { name: chosen.name, centre: rounded(chosen.centre), width: rounded(chosen.width) };
    viewer.say(interpolate(gettext("%(name)s: level %(centre)s, width %(width)s"), set, true));
  });
  for (const input of [centre, width]) {
    input.addEventListener("change", () => {
      if (centre.value && width.valueAsNumber > 0) levels.set(centre.valueAsNumber, width.valueAsNumber);
      else show();
    });
  }

  open();

  function fill() {
    const names = [...levels.presets.map(({ name }) => name), gettext("own values")];
    preset.replaceChildren(...names.map((name, i) => new Option(name, i < levels.presets.length ? String(i) : OWN)));
    const bits = levels.values?.bits ?? 8;
    const text = gettext("%(bits)s-bit values of the film. Bone: the brighter half of its pixels, without the topmost half percent.");
    words.textContent = interpolate(text, { bits }, true);
    show();
  }

  function show() {
    const { state, presets } = levels;
    const place = presets.findIndex((one) => one.centre === state.centre && one.width === state.width);
    preset.value = place < 0 ? OWN : String(place);
    centre.value = rounded(state.centre);
    width.value = rounded(state.width);
  }
}

/** @param {number} value */
function rounded(value) {
  return String(Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(4)));
}
