/** The worklist: one box ticks all films of the page. */

const worklist = document.getElementById("films");
const boxes = /** @type {HTMLInputElement[]} */ ([...(worklist?.querySelectorAll("input[name=films]") ?? [])]);
const every = worklist?.querySelector("[data-every]");
worklist?.addEventListener("change", ({ target }) => {
  if (!(every instanceof HTMLInputElement)) return;
  if (target === every) boxes.forEach((box) => (box.checked = every.checked));
  const count = boxes.filter((box) => box.checked).length;
  every.checked = count === boxes.length;
  every.indeterminate = count > 0 && count < boxes.length;
});
