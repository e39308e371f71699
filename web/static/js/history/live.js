/** While films are read: one line says how far they are, and the rows that change are replaced. */
import { refresh } from "./rows.js";

const KEY = "osteolens.since";
const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 20_000;
/** How long the line says that all films are through. */
const LAST_WORD = 6000;

const box = /** @type {HTMLElement} */ (document.getElementById("progress"));
let pause = FIRST_PAUSE;
let before = "";
let shown = "";
let isDismissed = false;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

/** Ask how far the films are, and again after a while as long as some wait: the longer the less happens. */
async function look() {
  clearTimeout(timer);
  if (document.hidden) return;
  const since = sessionStorage.getItem(KEY);
  const query = new URLSearchParams(since ? { since } : {});
  const response = await fetch(`${box.dataset.state}?${query}`).catch(() => null);
  clearTimeout(timer); // of a look that began meanwhile
  if (!response?.ok) return later();
  const now = await response.json();
  const news = JSON.stringify([now.total, now.waiting, now.failures]);
  pause = news === before ? Math.min(1.5 * pause, LONGEST_PAUSE) : FIRST_PAUSE;
  show(now.line);
  if (before && news !== before) await refresh();
  before = news;
  if (now.waiting) {
    if (!isDismissed) sessionStorage.setItem(KEY, now.since);
    later();
  } else if (!now.failures) {
    sessionStorage.removeItem(KEY);
    timer = setTimeout(() => (box.hidden = true), LAST_WORD);
  }
}

function later() {
  clearTimeout(timer);
  timer = setTimeout(() => void look(), pause);
}

/** The same line is not written twice, or it would be read out twice. @param {string} line */
function show(line) {
  box.hidden = isDismissed || !line.trim();
  if (line !== shown) box.innerHTML = line;
  shown = line;
}

box.addEventListener("click", ({ target }) => {
  if (!(target instanceof Element && target.closest("[data-dismiss]"))) return;
  isDismissed = box.hidden = true;
  sessionStorage.removeItem(KEY);
});
document.addEventListener("visibilitychange", () => {
  if (Number(box.dataset.underWay) || sessionStorage.getItem(KEY)) void look();
});
/** Films were sent from this page. */
export async function sent() {
  isDismissed = false;
  await refresh();
  await look();
}

if (Number(box.dataset.underWay) || sessionStorage.getItem(KEY)) void look();
