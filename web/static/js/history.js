/** The history: ticked films and what can be done with them. The list itself is swapped by htmx. */

const form = /** @type {HTMLFormElement} */ (document.getElementById("films"));
const bar = /** @type {HTMLElement} */ (document.getElementById("selected"));

function ticked() {
  return /** @type {HTMLInputElement[]} */ ([...form.querySelectorAll("input[name=films]:checked")]);
}

function show() {
  const films = ticked();
  const all = form.querySelectorAll("input[name=films]").length;
  bar.hidden = films.length === 0;
  const words = bar.querySelector("[data-count]");
  if (words) words.textContent = `${films.length} ${films.length === 1 ? "film" : "films"} selected`;
  const compare = bar.querySelector("[data-compare]");
  if (compare instanceof HTMLButtonElement) {
    compare.disabled = films.length !== 2;
    compare.title = films.length === 2 ? "" : "Select exactly two films";
  }
  const every = form.querySelector("[data-every]");
  if (every instanceof HTMLInputElement) {
    every.checked = all > 0 && films.length === all;
    every.indeterminate = films.length > 0 && films.length < all;
  }
}

form.addEventListener("change", (event) => {
  const box = event.target;
  if (box instanceof HTMLInputElement && "every" in box.dataset) {
    form.querySelectorAll("input[name=films]").forEach((one) => {
      if (one instanceof HTMLInputElement) one.checked = box.checked;
    });
  }
  show();
});
form.addEventListener("click", (event) => {
  const button = event.target instanceof Element && event.target.closest("[data-compare]");
  if (!(button instanceof HTMLElement)) return;
  const films = ticked().map((box) => ["films", box.value]);
  location.assign(`${button.dataset.compare}?${new URLSearchParams(films)}`);
});
document.getElementById("more-filters")?.addEventListener("click", ({ currentTarget }) => {
  const open = document.querySelector(".filters")?.classList.toggle("all");
  if (currentTarget instanceof Element) currentTarget.setAttribute("aria-expanded", String(open));
});
form.addEventListener("htmx:afterSwap", show);
document.addEventListener("outbox-sent", () => location.reload());
show();
