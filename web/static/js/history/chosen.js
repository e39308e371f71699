/**
 * Films that are chosen in the history, kept in this tab: they outlive another page of the list, another search and a reload,
 * and end with the session or when somebody else logs in.
 */

const KEY = "osteolens.chosen";
const user = document.body.dataset.user ?? "";

/** Numbers of the films, and the page of the list where each was chosen. @type {Map<string, string>} */
const films = new Map(load());

/** @returns {[string, string][]} */
function load() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY) ?? "{}");
    return kept.user === user ? kept.films : [];
  } catch (error) {
    console.info("the films that were chosen cannot be read:", error);
    return [];
  }
}

function save() {
  if (films.size) sessionStorage.setItem(KEY, JSON.stringify({ user, films: [...films] }));
  else sessionStorage.removeItem(KEY);
}

/** @param {string} film */
export const has = (film) => films.has(film);

/** @returns {string[]} in the order in which they were chosen */
export const all = () => [...films.keys()];

/** @returns {number} */
export const pages = () => new Set(films.values()).size;

/**
 * @param {[string, string][]} chosen numbers of films, and the page of each
 * @param {boolean} on
 */
export function choose(chosen, on) {
  for (const [film, page] of chosen) {
    if (on) films.set(film, page);
    else films.delete(film);
  }
  save();
}

export function chooseNone() {
  films.clear();
  save();
}
