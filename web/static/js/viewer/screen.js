/** The viewer on a whole screen, and the sheet of controls at the bottom of a phone's. */

/**
 * @param {HTMLElement} root of the viewer
 * @returns {void}
 */
export function toggleFullScreen(root) {
  if (document.fullscreenElement) void document.exitFullscreen();
  else if (root.classList.contains("filled")) fill(root, false);
  // Phones that have no full screen for a part of a page give the window.
  else if (root.requestFullscreen) root.requestFullscreen().catch(() => fill(root, true));
  else fill(root, true);
}

/**
 * @param {HTMLElement} root
 * @param {boolean} filled
 */
function fill(root, filled) {
  root.classList.toggle("filled", filled);
  document.body.classList.toggle("behind", filled);
  root.dispatchEvent(new Event("screen"));
}

/**
 * Call back as full screen is entered and left; Escape leaves it, however it was entered.
 *
 * @param {HTMLElement} root
 * @param {(full: boolean) => void} changed
 */
export function onFullScreen(root, changed) {
  const full = () => document.fullscreenElement === root || root.classList.contains("filled");
  document.addEventListener("fullscreenchange", () => changed(full()));
  root.addEventListener("screen", () => changed(full()));
  root.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && root.classList.contains("filled")) fill(root, false);
  });
}

/**
 * The button on top of the sheet opens and closes it, and so does a finger that draws it up or down.
 *
 * @param {HTMLElement} sheet
 */
export function listenToSheet(sheet) {
  const handle = sheet.querySelector("[data-sheet]");
  /** @type {(open: boolean) => void} */
  const open = (wanted) => {
    sheet.classList.toggle("open", wanted);
    handle?.setAttribute("aria-expanded", String(wanted));
  };
  handle?.addEventListener("click", () => open(!sheet.classList.contains("open")));
  if (handle instanceof HTMLElement) onSwipe(handle, (_, dy) => dy && open(dy < 0));
  // A tool is used on the film, which the open sheet would cover.
  sheet.addEventListener("click", (event) => {
    const tool = event.target instanceof Element && event.target.closest("[data-on-film]");
    if (tool) open(false);
  });
}

const FAR = 40;

/**
 * A quick stroke of one finger in one of four directions.
 *
 * @param {HTMLElement} element
 * @param {(dx: -1 | 0 | 1, dy: -1 | 0 | 1) => void} act
 */
export function onSwipe(element, act) {
  /** @type {Touch | null} */
  let first = null;
  element.addEventListener("touchstart", (event) => (first = event.touches.length === 1 ? event.touches[0] : null), {
    passive: true,
  });
  element.addEventListener("touchend", (event) => {
    const last = event.changedTouches[0];
    if (!first || event.touches.length) return;
    const [dx, dy] = [last.clientX - first.clientX, last.clientY - first.clientY];
    first = null;
    if (Math.max(Math.abs(dx), Math.abs(dy)) < FAR) return;
    if (Math.abs(dx) > 2 * Math.abs(dy)) act(dx < 0 ? -1 : 1, 0);
    if (Math.abs(dy) > 2 * Math.abs(dx)) act(0, dy < 0 ? -1 : 1);
  });
}
