/** The page of a review: viewer, drawing tools, and the region in the form. */
import { dataBlock, mapLevels } from "../viewer/data.js";
import { paint } from "../viewer/colour.js";
import { Viewer } from "../viewer/viewer.js";
import { Draft } from "./draft.js";
import { Drawing } from "./drawing.js";
import { listen } from "./keys.js";
import { Layer } from "./layer.js";
import { Region } from "./region.js";

/** What the form sends for a region that is empty on purpose; no text at all leaves it as it is. */
const CLEARED = "none";
const AMBER = /** @type {[number, number, number]} */ ([240, 194, 106]);

const root = /** @type {HTMLElement} */ (document.getElementById("viewer"));
const tools = /** @type {HTMLElement} */ (document.getElementById("drawing"));
const form = /** @type {HTMLFormElement} */ (document.getElementById("review"));
const field = /** @type {HTMLInputElement} */ (form.querySelector("input[name=region]"));
const data = dataBlock("region-data");
const viewer = new Viewer(root, [dataBlock("viewer-data")]);
const { layers, caption } = viewer.panes[0];
// "No answer" would be wrong: it is hidden.
caption.parentElement?.toggleAttribute("hidden", viewer.films[0].models.length === 0);
const region = new Region(data.width, data.height);
const drawing = new Drawing(viewer, region, new Layer(layers, region));

tools.addEventListener("input", (event) => {
  const input = event.target;
  if (!(input instanceof HTMLInputElement)) return;
  if (input.name === "tool") drawing.use(/** @type {import("./drawing.js").Tool} */ (input.value));
  if (input.id === "brush-size") drawing.size = Number(input.value) / 100;
  drawing.show();
});
/** @type {Record<string, () => void>} */
const actions = {
  undo: () => drawing.undo(),
  redo: () => region.redo(),
  clear: () => region.clear(),
  close: () => drawing.finish(),
};
tools.addEventListener("click", (event) => {
  const button = event.target instanceof Element && event.target.closest("[data-draw]");
  if (button instanceof HTMLElement) actions[button.dataset.draw ?? ""]?.();
});
listen(root, tools, drawing);

drawing.addEventListener("shown", () => {
  const corners = drawing.step?.kind === "polygon" ? drawing.step.points.length : 0;
  enable("undo", region.steps.length > 0 || drawing.step !== null);
  enable("redo", region.undone.length > 0);
  enable("clear", region.steps.length > 0 || region.base !== null);
  tools.querySelector("[data-draw=close]")?.toggleAttribute("hidden", corners < 3);
  const shown = tools.querySelector("output[for=brush-size]");
  if (shown) shown.textContent = `${Math.round(drawing.size * 100)}%`;
});
region.addEventListener("change", () => {
  field.value = region.isEmpty() ? CLEARED : region.toDataUrl();
  sayRegion();
  draft.keep();
});

function sayRegion() {
  const words = document.querySelector("[data-region-words]");
  if (words) words.textContent = region.isEmpty() ? gettext("not drawn") : gettext("drawn");
}

form.addEventListener("submit", () => drawing.finish());

const draft = new Draft(form, data);
const restored = document.getElementById("kept");
// A form that came back with an error holds more than a draft.
if (!form.querySelector("[role=alert]") && draft.restore()) restored?.removeAttribute("hidden");
restored?.querySelector("button")?.addEventListener("click", () => {
  draft.forget();
  location.reload();
});

/**
 * @param {string} action
 * @param {boolean} possible
 */
function enable(action, possible) {
  const button = tools.querySelector(`[data-draw=${action}]`);
  if (button instanceof HTMLButtonElement) button.disabled = !possible;
}

// A form that came back with an error still holds the drawing.
const stored = field.value.startsWith("data:") ? field.value : field.value === CLEARED ? null : data.url;
if (stored) {
  const picture = new Image();
  picture.src = stored;
  picture.decode().then(() => {
    region.load(picture);
    sayRegion();
    drawing.show();
  }, console.warn);
}

/** Regions of other reviewers, in a colour of their own. */
for (const box of document.querySelectorAll("input[data-other]")) {
  if (!(box instanceof HTMLInputElement)) continue;
  const canvas = Object.assign(document.createElement("canvas"), { className: "other-region", hidden: true });
  layers.append(canvas);
  box.addEventListener("change", async () => {
    canvas.hidden = !box.checked;
    if (box.checked) paint(canvas, await mapLevels(box.dataset.other ?? ""), Array(256).fill(AMBER), 0);
  });
}
viewer.takeKeys();
