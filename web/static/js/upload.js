/** The upload page: files come by drop, dialogue, paste or camera; each is sent by itself and says how it goes. */
import { isArchive, unpack } from "./archive.js";
import { drop, flush, keep, remembered, waiting } from "./outbox.js";
import { Busy, Offline, Refused, send } from "./sending.js";

const AT_ONCE = 2;

const form = /** @type {HTMLFormElement} */ (document.getElementById("upload"));
const zone = /** @type {HTMLElement} */ (document.getElementById("drop"));
const list = /** @type {HTMLElement} */ (document.getElementById("uploads"));
const template = /** @type {HTMLTemplateElement} */ (document.getElementById("upload-row"));

/** @type {(() => Promise<void>)[]} */
const queue = [];
let running = 0;

/** @param {Iterable<File>} files */
function take(files) {
  const fields = textFields();
  for (const file of files) {
    if (isArchive(file)) {
      void takeArchive(file);
      continue;
    }
    const row = new Row(file.name || "pasted picture");
    queue.push(() => upload(file, fields, row));
  }
  work();
}

/** @param {File} archive */
async function takeArchive(archive) {
  const row = new Row(archive.name);
  row.go("waiting", "is being unpacked");
  try {
    const films = await unpack(archive, Number(zone.dataset.largest));
    row.root.remove();
    take(films);
  } catch (error) {
    row.go("bad", error instanceof TypeError || !(error instanceof Error) ? "the zip archive is damaged" : error.message);
  }
}

function work() {
  while (running < AT_ONCE && queue.length) {
    const job = /** @type {() => Promise<void>} */ (queue.shift());
    running += 1;
    void job().finally(() => {
      running -= 1;
      work();
    });
  }
}

/**
 * @param {File} file
 * @param {[string, string][]} fields
 * @param {Row} row
 */
async function upload(file, fields, row) {
  const body = new FormData();
  fields.forEach(([name, value]) => body.append(name, value));
  body.append("file", file, file.name || "pasted.png");
  row.go("sending", "sending");
  try {
    const taken = await send(form.action, body, document.body.dataset.csrf ?? "", (share) => row.progress(share));
    row.link(taken.url, taken.thumb);
    if (taken.duplicate_of) row.go("known", `You have this film already, as ${taken.name}: open the one that is there.`);
    else row.go(taken.state === "answered" ? "done" : "waiting", words(taken), taken.warnings.join("; "));
  } catch (error) {
    if (error instanceof Busy) {
      row.go("waiting", `${error.message}: sent again in ${error.seconds} s`);
      setTimeout(() => {
        queue.push(() => upload(file, fields, row));
        work();
      }, 1000 * error.seconds);
      return;
    }
    if (error instanceof Refused && error.known) {
      row.go("known", error.message);
      row.offer(error.known, (choice) => upload(file, chosen(fields, choice), row));
      return;
    }
    if (error instanceof Refused) return row.go("bad", error.message, error.hint);
    if (!(error instanceof Offline)) throw error;
    const user = (await remembered()) ?? "";
    const id = await keep({ user, name: file.name, file, fields, url: form.action });
    row.go("waiting", "waiting for the network: it is sent when you are online again");
    row.removable(Number(id));
    document.dispatchEvent(new Event("outbox"));
    await sendLater();
  }
}

/**
 * The fields with what was chosen for a film that is there with other facts.
 *
 * @param {[string, string][]} fields
 * @param {string} choice
 * @returns {[string, string][]}
 */
function chosen(fields, choice) {
  return [...fields.filter(([name]) => name !== "if_known"), ["if_known", choice]];
}

/** Where the browser can, it sends the film even after this page was closed. */
async function sendLater() {
  const worker = /** @type {any} */ (await navigator.serviceWorker?.ready);
  await worker?.sync?.register("outbox");
}

/** @param {import("./sending.js").Taken} taken */
function words(taken) {
  if (taken.state === "waiting") return "kept, and answered as soon as the model server is up";
  if (taken.state === "refused") return "kept, but not answered: open it to see why";
  return [taken.headline, taken.triage].filter(Boolean).join(" · ");
}

/** @returns {[string, string][]} what was filled in beside the files */
function textFields() {
  const fields = [...new FormData(form)].filter(([name, value]) => name !== "csrfmiddlewaretoken" && value !== "");
  return /** @type {[string, string][]} */ (fields.filter(([, value]) => typeof value === "string"));
}

/** One line of the list: name, progress, and how it ended. */
class Row {
  /** @param {string} name */
  constructor(name) {
    const copy = /** @type {DocumentFragment} */ (template.content.cloneNode(true));
    this.root = /** @type {HTMLElement} */ (copy.querySelector(".upload-row"));
    this.part("name").textContent = name;
    list.prepend(copy);
    list.hidden = false;
    this.go("queued", "waits its turn");
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
    this.part("words").textContent = share < 1 ? `${Math.round(share * 100)}%` : "is being read";
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

  /**
   * Nothing that was filled in is dropped: keep both films, or change the one that is there.
   *
   * @param {import("./outbox.js").Known} known the film that is there
   * @param {(choice: string) => Promise<void>} choose
   */
  offer(known, choose) {
    this.link(known.url, known.thumb);
    const choices = this.part("choices");
    choices.hidden = false;
    choices.onclick = (event) => {
      const button = event.target instanceof Element && event.target.closest("[data-choice]");
      if (!(button instanceof HTMLElement)) return;
      choices.hidden = true;
      void choose(button.dataset.choice ?? "");
    };
  }

  /** @param {number} id of the film in the outbox */
  removable(id) {
    const button = this.part("remove");
    button.hidden = false;
    button.addEventListener("click", () => void drop(id).then(() => this.root.remove()));
  }
}

for (const input of form.querySelectorAll("input[type=file]")) {
  input.addEventListener("change", () => {
    if (!(input instanceof HTMLInputElement)) return;
    take(input.files ?? []);
    input.value = "";
  });
}
form.addEventListener("submit", (event) => event.preventDefault());
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  zone.classList.add("over");
});
document.addEventListener("dragleave", (event) => zone.classList.toggle("over", event.relatedTarget !== null));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  zone.classList.remove("over");
  take(event.dataTransfer?.files ?? []);
});
document.addEventListener("paste", (event) => take(event.clipboardData?.files ?? []));

for (const film of await waiting()) {
  const row = new Row(film.name);
  if (film.refused && film.known) {
    row.go("known", film.refused.message);
    row.offer(film.known, async (choice) => {
      await keep({ ...film, fields: chosen(film.fields, choice), refused: undefined, known: undefined });
      await flush();
      location.reload();
    });
  } else if (film.refused) row.go("bad", film.refused.message, film.refused.hint);
  else row.go("waiting", "waiting for the network: it is sent when you are online again");
  row.removable(Number(film.id));
}
document.addEventListener("outbox-sent", () => location.reload());
