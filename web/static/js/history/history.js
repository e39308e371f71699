/** The history: films that are chosen and what can be done with them. The list itself is swapped by htmx. */
import * as chosen from "./chosen.js";

const form = /** @type {HTMLFormElement} */ (document.getElementById("films"));
const filters = /** @type {HTMLFormElement} */ (document.getElementById("filters"));
const bar = /** @type {HTMLElement} */ (document.getElementById("selected"));

const boxes = () => /** @type {HTMLInputElement[]} */ ([...form.querySelectorAll("input[name=films]")]);

/** The films of these boxes, each with the page of the list that is shown. @param {HTMLInputElement[]} of */
function here(of) {
  const { query, page } = form.querySelector("nav")?.dataset ?? {};
  return of.map(({ value }) => /** @type {[string, string]} */ ([value, `${query} ${page}`]));
}

/** Bring boxes and bar to what is chosen. */
function show() {
  const count = chosen.all().length;
  boxes().forEach((box) => (box.checked = chosen.has(box.value)));
  bar.hidden = count === 0;
  const words = bar.querySelector("[data-count]");
  const text =
    chosen.pages() > 1
      ? gettext("%(count)s films selected on %(pages)s pages")
      : ngettext("%(count)s film selected", "%(count)s films selected", count);
  if (words) words.textContent = interpolate(text, { count, pages: chosen.pages() }, true);
  const compare = bar.querySelector("[data-compare]");
  if (compare instanceof HTMLButtonElement) {
    compare.disabled = count !== 2;
    compare.title = count === 2 ? "" : gettext("Select exactly two films");
  }
  const every = form.querySelector("[data-every]");
  if (every instanceof HTMLInputElement) {
    const ticked = boxes().filter((box) => box.checked).length;
    every.checked = ticked > 0 && ticked === boxes().length;
    every.indeterminate = ticked > 0 && !every.checked;
  }
}

form.addEventListener("change", ({ target }) => {
  if (!(target instanceof HTMLInputElement)) return;
  chosen.choose(here("every" in target.dataset ? boxes() : [target]), target.checked);
  show();
});
form.addEventListener("click", (event) => {
  const button = event.target instanceof Element && event.target.closest("[data-compare], [data-none], [data-matching], [data-sort]");
  if (!(button instanceof HTMLElement) || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const { compare, matching, sort } = button.dataset;
  if (compare) location.assign(`${compare}?${new URLSearchParams(chosen.all().map((film) => ["films", film]))}`);
  else if (matching) void chooseMatching(matching);
  else if (sort) {
    event.preventDefault();
    /** @type {HTMLSelectElement} */ (filters.elements.namedItem("sort")).value = sort;
    filters.requestSubmit();
  } else {
    chosen.chooseNone();
    show();
  }
});

/** Choose all films that pass the filters, on whatever page they are. @param {string} address */
async function chooseMatching(address) {
  const response = await fetch(address);
  if (!response.ok) return;
  const { films, per_page: perPage } = await response.json();
  const query = form.querySelector("nav")?.dataset.query;
  chosen.choose(
    films.map((/** @type {string} */ film, /** @type {number} */ i) => [film, `${query} ${1 + Math.floor(i / perPage)}`]),
    true,
  );
  show();
}

form.addEventListener("submit", ({ submitter }) => {
  /** @type {HTMLInputElement} */ (form.elements.namedItem("chosen")).value = chosen.all().join(",");
  if (submitter instanceof HTMLButtonElement && submitter.value === "delete") chosen.chooseNone();
});
document.getElementById("more-filters")?.addEventListener("click", ({ currentTarget }) => {
  const open = filters.classList.toggle("all");
  if (currentTarget instanceof Element) currentTarget.setAttribute("aria-expanded", String(open));
});
// What follows films while they are read is loaded when some are.
const follow = () => import("./live.js");
const underWay = Number(document.getElementById("progress")?.dataset.underWay);
if (underWay || sessionStorage.getItem("osteolens.since")) void follow();
document.addEventListener("outbox-sent", () => void follow().then(({ sent }) => sent()));

form.addEventListener("htmx:afterSwap", show);
form.addEventListener("refreshed", show);
show();

for (const undo of document.querySelectorAll(".undo")) {
  if (!(undo instanceof HTMLElement)) continue;
  let left = Number(undo.dataset.seconds);
  const words = undo.querySelector("[data-left]");
  const clock = setInterval(() => {
    left -= 1;
    if (words) words.textContent = `${left} s`;
    if (left > 0) return;
    clearInterval(clock);
    undo.remove();
  }, 1000);
}
