/** A review that is not saved yet: in this browser until it is, whatever happens to the page; log-out forgets it. */
import { DRAFTS } from "../site.js";

/** @typedef {{saved: string, fields: [string, string][]}} Stored `saved`: when the review was last saved as this was begun */

export class Draft {
  /**
   * @param {HTMLFormElement} form
   * @param {{film: string, saved: string}} data
   */
  constructor(form, { film, saved }) {
    this.form = form;
    this.key = `${DRAFTS}${document.body.dataset.user}.${film}`;
    this.saved = saved;
    form.addEventListener("input", () => this.keep());
  }

  /** At once and not by a database: a page that is left finishes nothing. */
  keep() {
    const fields = [...new FormData(this.form)].filter(([name]) => name !== "csrfmiddlewaretoken");
    localStorage.setItem(this.key, JSON.stringify({ saved: this.saved, fields }));
  }

  /**
   * Fill the form with what was kept; what was kept before the review was saved is forgotten.
   *
   * @returns {boolean} whether there was something
   */
  restore() {
    /** @type {Stored | null} */
    const draft = JSON.parse(localStorage.getItem(this.key) ?? "null");
    if (draft?.saved !== this.saved) {
      this.forget();
      return false;
    }
    for (const [name, value] of draft.fields) {
      for (const field of this.form.querySelectorAll(`[name="${name}"]`)) {
        if (field instanceof HTMLInputElement && field.type === "radio") field.checked = field.value === value;
        else if (field instanceof HTMLInputElement || field instanceof HTMLTextAreaElement) field.value = value;
        else if (field instanceof HTMLSelectElement) field.value = value;
      }
    }
    return true;
  }

  forget() {
    localStorage.removeItem(this.key);
  }
}
