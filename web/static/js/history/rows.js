/** The list as the server has it now, put into the page so that only what changed is replaced. */

const rows = /** @type {HTMLElement} */ (document.getElementById("rows"));

/** Fetch the list of this address again; `refreshed` is told where it came. */
export async function refresh() {
  const address = location.href;
  const response = await fetch(address, { headers: { "HX-Request": "true" } }).catch(() => null);
  // Another search may have been made meanwhile, and who is logged out is led to another page.
  if (!response?.ok || response.redirected || location.href !== address) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const [before, after] = [rows.querySelector("tbody"), page.querySelector("tbody")];
  if (before && after) {
    update(before, after);
    rows.querySelector("nav")?.replaceWith(page.querySelector("nav") ?? "");
  } else rows.replaceChildren(...page.body.childNodes);
  rows.dispatchEvent(new Event("refreshed", { bubbles: true }));
}

/**
 * Rows by their film or patient.
 *
 * @param {HTMLElement} body
 * @returns {Map<string | undefined, HTMLElement>}
 */
function byKey(body) {
  const all = [...body.children].map((row) => /** @type {HTMLElement} */ (row));
  return new Map(all.map((row) => [row.querySelector("input")?.value ?? row.dataset.patient, row]));
}

/**
 * Rows that stay are not touched, so that the focus in them stays as well.
 *
 * @param {HTMLElement} body
 * @param {HTMLElement} wanted
 */
function update(body, wanted) {
  const [old, rest] = [byKey(body), byKey(wanted)];
  for (const [key, row] of old) if (!rest.has(key)) row.remove();
  let place = body.firstElementChild;
  for (const [key, row] of rest) {
    const there = old.get(key);
    const shown = there?.outerHTML === row.outerHTML ? there : row;
    if (shown === place || there === place) place = place?.nextElementSibling ?? null;
    if (there && shown !== there) replace(there, shown);
    else if (shown.nextElementSibling !== place || shown.parentElement !== body) body.insertBefore(shown, place);
  }
}

/**
 * @param {HTMLElement} row
 * @param {HTMLElement} changed
 */
function replace(row, changed) {
  const places = "a, input, button";
  const focused = [...row.querySelectorAll(places)].findIndex((one) => one === document.activeElement);
  row.replaceWith(changed);
  const place = changed.querySelectorAll(places)[focused];
  if (place instanceof HTMLElement) place.focus({ preventScroll: true });
}
