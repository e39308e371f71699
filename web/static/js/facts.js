/** Facts about the patient on the upload page: for the films that are added next, and seen while their panel is closed. */

const form = /** @type {HTMLFormElement} */ (document.getElementById("upload"));
const keepFacts = document.getElementById("keep-facts");

/** @returns {[string, string][]} what was filled in beside the files */
export function textFields() {
  const fields = [...new FormData(form)].filter(([name, value]) => name !== "csrfmiddlewaretoken" && value !== "");
  return /** @type {[string, string][]} */ (fields.filter(([, value]) => typeof value === "string"));
}

/** Facts go with the films that are added now, and not with those of the next patient. */
export function forgetFacts() {
  if (!(keepFacts instanceof HTMLInputElement) || keepFacts.checked) return;
  for (const field of form.querySelectorAll(".facts :is(input, select, textarea)")) {
    if (field instanceof HTMLInputElement || field instanceof HTMLTextAreaElement) field.value = "";
    if (field instanceof HTMLSelectElement) field.selectedIndex = 0;
  }
  showFacts();
}

/** What goes with the next films is seen while the panel is closed, too. */
export function showFacts() {
  const place = document.querySelector("[data-facts]");
  if (!place) return;
  const texts = [...form.querySelectorAll(".facts .field")].map((field) => {
    const input = /** @type {HTMLInputElement | HTMLSelectElement} */ (field.querySelector("input, select, textarea"));
    const value = input instanceof HTMLSelectElement && input.value ? input.selectedOptions[0].text : input.value;
    return value ? `${field.querySelector("label")?.textContent}: ${value}` : "";
  });
  place.textContent = texts.filter(Boolean).join(" · ");
}

form.addEventListener("input", showFacts);
