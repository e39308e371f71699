/**
 * Films on their way to the server, in IndexedDB: every film is put here first, and sent from here by whichever page is open
 * or by the service worker. So it survives a page that is left, a network that is gone and a session that ends. Log-out
 * empties it.
 *
 * @typedef {{code: string, message: string, hint?: string}} Refusal
 * @typedef {{url: string, thumb: string, name: string}} Known a film that is there, with other facts
 * @typedef {{id?: number, user: string, name: string, file: File, fields: [string, string][], url: string, tries?: number,
 *            refused?: Refusal, known?: Known, announced?: boolean}} Waiting
 * @typedef {{id: string, url: string, thumb: string, name: string, state: string, headline: string,
 *            triage: string | null, warnings: string[], duplicate_of: string | null}} Taken
 * @typedef {{status: number, answer: any, wait: number}} Reply status, JSON if it is any, seconds of Retry-After or 0
 * @typedef {(url: string, body: FormData, token: string, progress: (share: number) => void) => Promise<Reply | null>} Post
 * @typedef {{sent: number, refused: number, left: number, wait: number}} Outcome
 * @typedef {{id?: number, kind: "progress" | "sent" | "refused" | "offline" | "logged-out" | "pause" | "failed", share?: number,
 *            taken?: Taken, refused?: Refusal, known?: Known, seconds?: number, message?: string}} News
 */

export const CHANNEL = "outbox";
const NAME = "osteolens";
/** Statuses that say the film itself is at fault: sending it again would not help. */
const REFUSED = new Set([400, 409, 413, 415, 422]);
const LOGGED_OUT = new Set([401, 403]);
const AT_ONCE = 2;
/** After so many answers that make no sense, a film is refused. */
const MOST_TRIES = 5;

/** @returns {Promise<IDBDatabase>} */
function open() {
  const request = indexedDB.open(NAME, 1);
  request.onupgradeneeded = () => {
    request.result.createObjectStore("films", { keyPath: "id", autoIncrement: true });
    request.result.createObjectStore("session");
  };
  return settled(request);
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/**
 * @template T
 * @param {"films" | "session"} store
 * @param {(store: IDBObjectStore) => IDBRequest<T>} act
 * @returns {Promise<T>}
 */
async function using(store, act) {
  const database = await open();
  try {
    return await settled(act(database.transaction(store, "readwrite").objectStore(store)));
  } finally {
    database.close();
  }
}

/** @param {string} user who is logged in here: a page shown without a network can't ask */
export const remember = (user) => using("session", (store) => store.put(user, "user"));

/** @returns {Promise<string | undefined>} */
export const remembered = () => using("session", (store) => store.get("user"));

/** @returns {Promise<number>} when a waiting film was last sent, by whichever tab or worker; milliseconds */
export const lastSent = async () => (await using("session", (store) => store.get("sent"))) ?? 0;

/** @param {Waiting} film */
export const keep = (film) => using("films", (store) => store.put(film));

/** @param {number} id */
export const drop = (id) => using("films", (store) => store.delete(id));

/**
 * The films of whoever is logged in here.
 *
 * @returns {Promise<Waiting[]>}
 */
export async function waiting() {
  const user = await remembered();
  /** @type {Waiting[]} */
  const films = await using("films", (store) => store.getAll());
  return films.filter((film) => film.user === user);
}

/** Forget everybody and everything. */
export async function empty() {
  await using("films", (store) => store.clear());
  await using("session", (store) => store.clear());
}

/**
 * Send what waits, two films at a time, those that come meanwhile too. Only one page (or the service worker) does so at once;
 * all hear how it goes.
 *
 * @param {Post} [post]
 * @returns {Promise<Outcome>} films that are left were not sent because of the network, the session or the server
 */
export async function flush(post = byFetch) {
  const outcome = { sent: 0, refused: 0, left: 0, wait: 0 };
  await navigator.locks.request("outbox", async () => {
    const films = (await waiting()).filter((film) => !film.refused);
    if (!films.length) return;
    const channel = new BroadcastChannel(CHANNEL);
    const tell = (/** @type {News} */ news) => channel.postMessage(news);
    // The token may have changed since the film was added, and so may the person.
    const session = await (await reach("/session"))?.json();
    if (session && session.user === films[0].user) await sendAll(session.csrf, post, tell, outcome);
    else films.forEach(({ id }) => tell({ id, kind: session ? "logged-out" : "offline" }));
    outcome.left = (await waiting()).filter((film) => !film.refused).length;
    channel.close();
  });
  return outcome;
}

/**
 * @param {string} token
 * @param {Post} post
 * @param {(news: News) => void} tell
 * @param {Outcome} outcome
 */
async function sendAll(token, post, tell, outcome) {
  const begun = new Set();
  let goesOn = true;
  const lane = async () => {
    while (goesOn) {
      const film = (await waiting()).find(({ id, refused }) => !refused && !begun.has(id));
      if (!film) return;
      begun.add(film.id);
      goesOn = (await send(film, token, post, tell, outcome)) && goesOn;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
}

/**
 * @param {Waiting} film
 * @param {string} token
 * @param {Post} post
 * @param {(news: News) => void} tell
 * @param {Outcome} outcome
 * @returns {Promise<boolean>} whether the next one may be sent
 */
async function send(film, token, post, tell, outcome) {
  const { id } = film;
  const body = new FormData();
  film.fields.forEach(([name, value]) => body.append(name, value));
  body.append("file", film.file, film.name || "pasted.png");
  tell({ id, kind: "progress", share: 0 });
  const response = await post(film.url, body, token, (share) => tell({ id, kind: "progress", share }));
  const { status = 0, answer = null, wait = 0 } = response ?? {};
  if (!response) {
    tell({ id, kind: "offline" });
    return false;
  }
  if (status < 300 && answer?.id) {
    await drop(Number(id));
    await using("session", (store) => store.put(Date.now(), "sent"));
    outcome.sent += 1;
    tell({ id, kind: "sent", taken: answer });
    return true;
  }
  if (wait > 0) {
    outcome.wait = Math.max(outcome.wait, wait);
    tell({ id, kind: "pause", seconds: wait, message: answer?.error?.message ?? gettext("the server is busy") });
    return false;
  }
  // A page instead of JSON: we were led to the log-in page.
  if (LOGGED_OUT.has(status) || status < 300) {
    tell({ id, kind: "logged-out" });
    return false;
  }
  const tries = (film.tries ?? 0) + 1;
  if (!REFUSED.has(status) && tries < MOST_TRIES) {
    await keep({ ...film, tries });
    tell({ id, kind: "failed", message: unexpected(status).message });
    return true;
  }
  const refused = answer?.error ?? unexpected(status);
  await keep({ ...film, refused, known: answer?.known });
  outcome.refused += 1;
  tell({ id, kind: "refused", refused, known: answer?.known });
  return true;
}

/**
 * A proxy may have answered with a page of its own.
 *
 * @param {number} status
 * @returns {Refusal}
 */
function unexpected(status) {
  if (status === 413) return { code: "too_large", message: gettext("The file is too large for this server.") };
  const message = interpolate(gettext("The server answered with status %(status)s."), { status }, true);
  return { code: "failed", message, hint: gettext("Try again in a minute.") };
}

/** @type {Post} without progress, for the service worker */
async function byFetch(url, body, token) {
  const response = await reach(url, { method: "POST", body, headers: { "X-CSRFToken": token } });
  return response && answerOf(response.status, await response.text(), response.headers.get("Retry-After"));
}

/**
 * @param {number} status
 * @param {string} text
 * @param {string | null} wait
 * @returns {Reply}
 */
export function answerOf(status, text, wait) {
  let answer = null;
  try {
    answer = JSON.parse(text);
  } catch (error) {
    console.info("no JSON:", error);
  }
  return { status, answer, wait: Number(wait) || 0 };
}

/**
 * @param {string} url
 * @param {RequestInit} [options]
 * @returns {Promise<Response | null>} null without a network
 */
export async function reach(url, options) {
  try {
    return await fetch(url, options);
  } catch (error) {
    if (error instanceof TypeError) return null;
    throw error;
  }
}
