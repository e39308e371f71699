/**
 * A line for each film that is uploaded.
 *
 * @import { Known, Refusal, Taken } from "./outbox.js"
 */
import { drop } from "./outbox.js";

const list = /** @type {HTMLElement} */ (document.getElementById("uploads"));
const template = /** @type {HTMLTemplateElement} */ (document.getElementById("upload-row"));

/** @param {Taken} taken */
function words(taken) {
  if (taken.state === "waiting") return gettext("kept, and answered as soon as the model server is up");
  if (taken.state === "refused") return gettext("kept, but not answered: open it to see why");
  return [taken.headline, taken.triage].filter(Boolean).join(" · ");
}

/** Rows whose films wait for their answers, the first one first. @type {{row: Row, taken: Taken}[]} */
const unanswered = [];
const [FIRST_PAUSE, LONGEST_PAUSE] = [2000, 20_000];

/** Ask after one film at a time until all are answered. The answer itself is on the film's page: a review may be blind. */
async function watch() {
  for (let pause = FIRST_PAUSE; unanswered.length; pause = Math.min(1.5 * pause, LONGEST_PAUSE)) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    const [{ row, taken }] = unanswered;
    const response = await fetch(`${taken.url}state`).catch(() => null);
    const state = response?.ok ? (await response.json()).state : "waiting";
    if (state === "waiting" && response?.status !== 404) continue;
    unanswered.shift();
    pause = 100; // the others may be through as well
    if (state === "answered") row.go("done", gettext("answered: open it to see the answer"));
    if (state === "refused") row.go("waiting", words({ ...taken, state }));
  }
}

/** One line of the list: name, progress, and how it ended. */
export class Row {
  /**
   * @param {string} name
   * @param {(id: number, choice: string) => void} choose what to do with a film that is there with other facts
   */
  constructor(name, choose) {
    this.choose = choose;
    const copy = /** @type {DocumentFragment} */ (template.content.cloneNode(true));
    this.root = /** @type {HTMLElement} */ (copy.querySelector(".upload-row"));
    this.part("name").textContent = name;
    list.prepend(copy);
    list.hidden = false;
    this.go("queued", gettext("waits its turn"));
  }

  /** @param {string} part */
  part(part) {
    return /** @type {HTMLElement} */ (this.root.querySelector(`[data-part=${part}]`));
  }

  /**
   * @param {string} state
   * @param {string} words
   * @param {string} [hint]
   */
  go(state, words, hint = "") {
    this.root.dataset.state = state;
    this.part("words").textContent = words;
    this.part("hint").textContent = hint;
    this.part("bar").hidden = state !== "sending";
  }

  /** @param {number} share 0 to 1 */
  progress(share) {
    const bar = /** @type {HTMLProgressElement} */ (this.part("bar"));
    bar.value = share;
    this.part("remove").hidden = true;
    this.root.dataset.state = "sending";
    bar.hidden = false;
    this.part("words").textContent = share < 1 ? `${Math.round(share * 100)}%` : gettext("is being read");
  }

  /**
   * @param {string} url
   * @param {string} thumb
   */
  link(url, thumb) {
    const link = document.createElement("a");
    link.href = url;
    link.textContent = this.part("name").textContent;
    this.part("name").replaceChildren(link);
    const picture = /** @type {HTMLImageElement} */ (this.part("thumb"));
    picture.src = thumb;
    picture.hidden = false;
  }

  /** @param {Taken} taken */
  done(taken) {
    this.link(taken.url, taken.thumb);
    this.part("remove").hidden = true;
    if (taken.duplicate_of) this.go("known", interpolate(gettext("You have this film already, as %(name)s: open the one that is there."), { name: taken.name }, true));
    else this.go(taken.state === "answered" ? "done" : "waiting", words(taken), taken.warnings.join("; "));
    if (taken.state === "waiting" && unanswered.push({ row: this, taken }) === 1) void watch();
  }

  loggedOut() {
    this.go("waiting", gettext("you are no longer logged in: it is sent when you are"));
    const link = Object.assign(document.createElement("a"), { href: "/accounts/login?next=/", textContent: gettext("Log in") });
    this.part("hint").replaceChildren(link);
  }

  /**
   * @param {number} id
   * @param {Refusal} refusal
   * @param {Known} [known]
   */
  refused(id, refusal, known) {
    this.go(known ? "known" : "bad", refusal.message, known ? "" : refusal.hint);
    if (known) this.offer(id, known);
  }

  /**
   * Nothing that was filled in is dropped: keep both films, or change the one that is there.
   *
   * @param {number} id
   * @param {Known} known the film that is there
   */
  offer(id, known) {
    this.link(known.url, known.thumb);
    const choices = this.part("choices");
    choices.hidden = false;
    choices.onclick = (event) => {
      const button = event.target instanceof Element && event.target.closest("[data-choice]");
      if (!(button instanceof HTMLElement)) return;
      choices.hidden = true;
      this.choose(id, button.dataset.choice ?? "");
    };
  }

  /** @param {number} id of the film in the outbox */
  removable(id) {
    const button = this.part("remove");
    button.hidden = false;
    button.addEventListener("click", () => void drop(id).then(() => this.root.remove()));
  }
}
