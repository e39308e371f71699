/**
 * Keys for drawing. Like the viewer's they act only while the viewer has the focus; while a tool is in hand, the arrows
 * move its cross instead of the film.
 *
 * @import { Drawing, Tool } from "./drawing.js"
 */

/** @type {Record<string, Tool>} */
const TOOLS = { b: "brush", p: "polygon", e: "eraser", Escape: "move" };
/** @type {Record<string, [number, number]>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** @type {Record<string, (drawing: Drawing, tools: HTMLElement) => void>} */
const ACTIONS = {
  " ": (drawing) => drawing.press(),
  Enter: (drawing) => drawing.finish(),
  Backspace: (drawing) => drawing.back(),
  ",": (_, tools) => resize(tools, -1),
  ".": (_, tools) => resize(tools, 1),
};

/**
 * @param {HTMLElement} root of the viewer
 * @param {HTMLElement} tools
 * @param {Drawing} drawing
 */
export function listen(root, tools, drawing) {
  root.addEventListener(
    "keydown",
    (event) => {
      if (event.target instanceof Element && event.target.closest("input, select, textarea, dialog, button, summary")) return;
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const act = action(event, tools, drawing);
      if (!act) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      act();
    },
    { capture: true },
  );
}

/**
 * @param {KeyboardEvent} event
 * @param {HTMLElement} tools
 * @param {Drawing} drawing
 * @returns {(() => void) | undefined}
 */
function action({ key, shiftKey }, tools, drawing) {
  if (key === "u") return () => drawing.undo();
  if (key === "r") return () => drawing.region.redo();
  if (TOOLS[key]) return () => pick(tools, TOOLS[key]);
  if (drawing.tool === "move") return undefined;
  if (ARROWS[key]) return () => drawing.shift(...ARROWS[key], shiftKey);
  return ACTIONS[key] && (() => ACTIONS[key](drawing, tools));
}

/**
 * @param {HTMLElement} tools
 * @param {Tool} tool
 */
function pick(tools, tool) {
  change(tools.querySelector(`input[name=tool][value=${tool}]`), (input) => (input.checked = true));
}

/**
 * @param {HTMLElement} tools
 * @param {number} steps
 */
function resize(tools, steps) {
  change(tools.querySelector("#brush-size"), (input) => (input.value = String(Number(input.value) + steps)));
}

/**
 * @param {Element | null} input
 * @param {(input: HTMLInputElement) => void} set
 */
function change(input, set) {
  if (!(input instanceof HTMLInputElement)) return;
  set(input);
  input.dispatchEvent(new Event("input", { bubbles: true }));
}
