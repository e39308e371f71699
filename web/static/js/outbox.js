/**
 * Films that wait for the network, in IndexedDB. Pages and the service worker share it; log-out empties it.
 *
 * @typedef {{code: string, message: string, hint?: string}} Refusal
 * @typedef {{url: string, thumb: string, name: string}} Known a film that is there, with other facts
 * @typedef {{id?: number, user: string, name: string, file: File, fields: [string, string][], url: string,
 *            refused?: Refusal, known?: Known}} Waiting
 * @typedef {{sent: number, refused: number, left: number}} Outcome
 */

const NAME = "osteolens";
/** Statuses that say the film itself is at fault: sending it again would not help. */
const REFUSED = new Set([400, 409, 413, 415, 422]);

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
 * Send what waits, one film after the other. Only one tab (or the service worker) does so at a time.
 *
 * @returns {Promise<Outcome>}
 */
export async function flush() {
  const outcome = { sent: 0, refused: 0, left: 0 };
  await navigator.locks.request("outbox", async () => {
    const films = (await waiting()).filter((film) => !film.refused);
    if (!films.length) return;
    // The token may have changed since the film was added, and so may the person.
    const session = await (await reach("/session"))?.json();
    if (!session) outcome.left = films.length;
    for (const film of films) {
      if (film.user === session?.user) outcome[await send(film, session.csrf)] += 1;
    }
  });
  return outcome;
}

/**
 * @param {Waiting} film
 * @param {string} token
 * @returns {Promise<keyof Outcome>}
 */
async function send(film, token) {
  const body = new FormData();
  film.fields.forEach(([name, value]) => body.append(name, value));
  body.append("file", film.file, film.name);
  const response = await reach(film.url, { method: "POST", body, headers: { "X-CSRFToken": token } });
  if (response?.ok && !response.redirected) {
    await drop(Number(film.id));
    await using("session", (store) => store.put(Date.now(), "sent"));
    return "sent";
  }
  if (response && REFUSED.has(response.status)) {
    await keep({ ...film, ...(await refusal(response)) });
    return "refused";
  }
  return "left";
}

/**
 * Why a film was refused; a proxy may have answered with a page of its own.
 *
 * @param {Response} response
 * @returns {Promise<{refused: Refusal, known?: Known}>}
 */
async function refusal(response) {
  try {
    const { error, known } = await response.json();
    return { refused: error, known };
  } catch (error) {
    console.info("a refusal without words:", error);
    return { refused: { code: "refused", message: `The server refused the film with status ${response.status}.` } };
  }
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
