/**
 * The upload page: files come by drop, dialogue, paste or camera and go into the outbox, from where `site.js` sends them; each
 * has a row that says how it goes.
 *
 * @import { News, Waiting } from "./outbox.js"
 */
import { isArchive, unpack } from "./archive.js";
import { forgetFacts, showFacts, textFields } from "./facts.js";
import { CHANNEL, keep, remembered, waiting } from "./outbox.js";
import { Row } from "./row.js";
import { whyNot } from "./usable.js";

const OFFLINE = gettext("waiting for the network: it is sent when you are online again");

const form = /** @type {HTMLFormElement} */ (document.getElementById("upload"));
const zone = /** @type {HTMLElement} */ (document.getElementById("drop"));
const note = /** @type {HTMLElement} */ (document.getElementById("upload-note"));
/** Rows of films in the outbox, by their number there. @type {Map<number, Row>} */
const rows = new Map();
/** Files that are not in the outbox yet: leaving the page now would lose them. */
let unkept = 0;

/** @param {FileList | undefined} files */
function add(files) {
  if (!files?.length) return;
  const fields = textFields();
  void take([...files], fields);
  forgetFacts();
}

/**
 * @param {File[]} files
 * @param {[string, string][]} fields
 */
async function take(files, fields) {
  unkept += files.length;
  const user = document.body.dataset.user || ((await remembered()) ?? "");
  const pending = files.map((file) => ({ file, row: new Row(file.name || gettext("pasted picture"), choose) }));
  for (const { file, row } of pending) {
    const isOffline = !navigator.onLine || document.body.dataset.offlinePage;
    const why = isOffline && !isArchive(file) ? await whyNot(file, Number(zone.dataset.largest)) : "";
    if (isArchive(file)) await takeArchive(file, row, fields);
    else if (why) row.go("bad", why);
    else if (isOffline && !form.checkValidity()) row.go("bad", gettext("a fact about the patient is not possible: see its field"));
    else await put({ user, name: file.name, file, fields, url: form.action }, row);
    unkept -= 1;
  }
}

/**
 * @param {Waiting} film
 * @param {Row} row
 */
async function put(film, row) {
  try {
    const id = Number(await keep(film));
    rows.set(id, row);
    row.removable(id);
    document.dispatchEvent(new Event("outbox"));
    if (!navigator.onLine || document.body.dataset.offlinePage) {
      row.go("waiting", OFFLINE);
      void sendLater();
    }
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    row.go("bad", gettext("this browser has no room to keep the film until it is sent"), gettext("Free some space, or leave private browsing."));
  }
}

/**
 * @param {File} archive
 * @param {Row} row
 * @param {[string, string][]} fields
 */
async function takeArchive(archive, row, fields) {
  row.go("waiting", gettext("is being unpacked"));
  try {
    const films = await unpack(archive, Number(zone.dataset.largest));
    row.root.remove();
    await take(films, fields);
  } catch (error) {
    row.go("bad", error instanceof TypeError || !(error instanceof Error) ? gettext("the zip archive is damaged") : error.message);
  }
}

/** What is told by whichever page sends. @param {News} news */
function hear({ id, kind, share = 0, taken, refused, known, seconds = 0, message = "" }) {
  const row = rows.get(Number(id));
  if (kind === "pause") pause(message, seconds);
  else note.hidden = true;
  if (!row) return;
  if (kind === "progress") row.progress(share);
  else if (kind === "sent" && taken) {
    rows.delete(Number(id));
    row.done(taken);
  } else if (kind === "refused" && refused) row.refused(Number(id), refused, known);
  else if (kind === "offline") {
    row.go("waiting", OFFLINE);
    void sendLater();
  } else if (kind === "logged-out") row.loggedOut();
  else row.go("queued", kind === "failed" ? interpolate(gettext("%(message)s It is sent again."), { message }, true) : gettext("waits its turn"));
}

/** One line for all films. @param {string} message @param {number} seconds */
function pause(message, seconds) {
  note.hidden = false;
  const values = { message: `${message[0].toUpperCase()}${message.slice(1)}`, seconds };
  note.textContent = interpolate(gettext("%(message)s: the rest is sent by itself in %(seconds)s s."), values, true);
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

/**
 * Send a film that is there again, in the way that was chosen.
 *
 * @param {number} id
 * @param {string} choice
 */
async function choose(id, choice) {
  const film = (await waiting()).find((one) => one.id === id);
  if (!film) return;
  await keep({ ...film, fields: chosen(film.fields, choice), refused: undefined, known: undefined });
  rows.get(id)?.go("queued", gettext("waits its turn"));
  document.dispatchEvent(new Event("outbox"));
}

/** Where the browser can, it sends the film even after this page was closed. */
async function sendLater() {
  const worker = /** @type {any} */ (await navigator.serviceWorker?.ready);
  await worker?.sync?.register("outbox");
}

for (const input of form.querySelectorAll("input[type=file]")) {
  input.addEventListener("change", () => {
    if (!(input instanceof HTMLInputElement)) return;
    add(input.files ?? undefined);
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
  add(event.dataTransfer?.files);
});
document.addEventListener("paste", (event) => add(event.clipboardData?.files));

window.addEventListener("beforeunload", (event) => unkept && event.preventDefault());
new BroadcastChannel(CHANNEL).onmessage = ({ data }) => hear(data);

for (const film of await waiting()) {
  const row = new Row(film.name, choose);
  rows.set(Number(film.id), row);
  row.removable(Number(film.id));
  if (film.refused) row.refused(Number(film.id), film.refused, film.known);
  else if (!navigator.onLine || document.body.dataset.offlinePage) row.go("waiting", OFFLINE);
}
showFacts();
