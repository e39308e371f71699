/**
 * How this browser likes its maps. Answers and films are never kept here.
 *
 * @typedef {{opacity: number, threshold: number, colours: string, mapOn: boolean}} Settings
 *   opacity and threshold 0 to 1
 */
import { DRAFTS } from "../site.js";

const KEY = "osteolens.viewer";

/** @type {Settings} */
const DEFAULTS = { opacity: 0.6, threshold: 0, colours: "inferno", mapOn: true };

/** @returns {Settings} */
export function load() {
  try {
    return { ...DEFAULTS, ...JSON.parse(localStorage.getItem(KEY) ?? "{}") };
  } catch (error) {
    console.warn("forgot the viewer's settings:", error);
    return { ...DEFAULTS };
  }
}

/** @param {Settings} settings */
export function save(settings) {
  localStorage.setItem(KEY, JSON.stringify(settings));
}

/**
 * Where this browser keeps the measurements of a film, until log-out.
 *
 * @param {import("./data.js").Film} film
 */
export function measuresOf(film) {
  return `${DRAFTS}${document.body.dataset.user}.measures.${film.id}`;
}
