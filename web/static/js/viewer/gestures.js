/**
 * Mouse, pen and fingers on the stage: wheel and pinch zoom, a drag moves the film or sets window and level.
 *
 * @import { Levels } from "./levels.js"
 * @import { Pane } from "./pane.js"
 * @import { View } from "./view.js"
 * @typedef {"move" | "window" | "length" | "angle"} Tool
 */

/**
 * @param {HTMLElement} stage
 * @param {() => Pane[]} panes
 * @param {View} view
 * @param {Levels} levels
 * @param {() => Tool} tool what a plain drag does; with the shift key or the right button it always sets the window
 */
export function listen(stage, panes, view, levels, tool) {
  /** @type {Map<number, {pane: Pane, event: PointerEvent}>} */
  const held = new Map();
  const paneOf = (/** @type {Event} */ event) =>
    panes().find((pane) => event.target instanceof Node && pane.root.contains(event.target));

  const scroll = () => (stage.style.touchAction = view.zoom > 1 || tool() === "window" ? "none" : "pan-y");
  view.addEventListener("change", scroll);
  stage.addEventListener("tool", scroll);

  stage.addEventListener(
    "wheel",
    (event) => {
      const pane = paneOf(event);
      if (!pane) return;
      event.preventDefault();
      view.zoomBy(Math.exp(-event.deltaY / (event.deltaMode ? 12 : 480)), pane.onFilm(event));
    },
    { passive: false },
  );
  stage.addEventListener("dblclick", (event) => {
    const pane = paneOf(event);
    if (view.zoom > 1) view.fit();
    else if (pane) view.zoomBy(3, pane.onFilm(event));
  });
  stage.addEventListener("contextmenu", (event) => {
    if (paneOf(event)) event.preventDefault();
  });
  stage.addEventListener("pointerdown", (event) => {
    const pane = paneOf(event);
    if (!pane) return;
    held.set(event.pointerId, { pane, event });
    stage.setPointerCapture(event.pointerId);
    stage.classList.add("dragging");
  });
  for (const end of /** @type {const} */ (["pointerup", "pointercancel"])) {
    stage.addEventListener(end, (event) => {
      held.delete(event.pointerId);
      stage.classList.toggle("dragging", held.size > 0);
    });
  }
  stage.addEventListener("pointermove", (event) => {
    const pointer = held.get(event.pointerId);
    if (!pointer) return;
    if (held.size === 2) pinch(pointer.pane, pointer.event, event);
    else drag(pointer.pane, pointer.event, event);
    pointer.event = event;
  });

  /** @type {(pane: Pane, before: PointerEvent, event: PointerEvent) => void} */
  function drag(pane, before, event) {
    const [dx, dy] = [event.clientX - before.clientX, event.clientY - before.clientY];
    if (tool() === "window" || event.shiftKey || event.buttons & 2) return levels.drag(-dy / 2, dx / 2);
    if (view.zoom > 1) pane.drag(dx, dy);
  }

  /** @type {(pane: Pane, before: PointerEvent, event: PointerEvent) => void} */
  function pinch(pane, before, event) {
    const other = [...held.values()].map((pointer) => pointer.event).find((one) => one.pointerId !== event.pointerId);
    if (!other) return;
    const middle = { clientX: (event.clientX + other.clientX) / 2, clientY: (event.clientY + other.clientY) / 2 };
    view.zoomBy(apart(event, other) / Math.max(1, apart(before, other)), pane.onFilm(middle));
    pane.drag((event.clientX - before.clientX) / 2, (event.clientY - before.clientY) / 2);
  }
}

/**
 * @param {PointerEvent} one
 * @param {PointerEvent} other
 */
function apart(one, other) {
  return Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
}
