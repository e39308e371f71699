/**
 * One film to the server, with its progress; without a network it goes to the outbox.
 *
 * @import { Known, Refusal } from "./outbox.js"
 * @typedef {{id: string, url: string, thumb: string, name: string, state: string, headline: string, triage: string | null,
 *            warnings: string[],
 *            duplicate_of: string | null}} Taken
 */

/** The network is gone: the film can wait in the outbox. */
export class Offline extends Error {}

/** The server has no room now: the film may be sent again after a while. */
export class Busy extends Error {
  /**
   * @param {string} message
   * @param {number} seconds
   */
  constructor(message, seconds) {
    super(message);
    this.seconds = seconds;
  }
}

/** The server has said why it does not take the film. */
export class Refused extends Error {
  /**
   * @param {Refusal} refusal
   * @param {Known} [known] the film that is there, with other facts
   */
  constructor(refusal, known) {
    super(refusal.message);
    this.hint = refusal.hint ?? "";
    this.known = known;
  }
}

/**
 * @param {string} url
 * @param {FormData} body
 * @param {string} token
 * @param {(share: number) => void} progress called with 0 to 1
 * @returns {Promise<Taken>} fails with `Offline`, `Busy` or `Refused`
 */
export function send(url, body, token, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", url);
    request.setRequestHeader("X-CSRFToken", token);
    request.upload.onprogress = (event) => progress(event.lengthComputable ? event.loaded / event.total : 0);
    request.onerror = () => reject(new Offline("no network"));
    request.onload = () => {
      const answer = parsed(request.responseText);
      const wait = Number(request.getResponseHeader("Retry-After"));
      if (request.status < 300 && answer?.id) resolve(answer);
      else if (wait > 0) reject(new Busy(answer?.error?.message ?? "the server is busy", wait));
      else reject(new Refused(answer?.error ?? unexpected(request.status), answer?.known));
    };
    request.send(body);
  });
}

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null; // a page instead of JSON: `unexpected` says what its status means
  }
}

/**
 * @param {number} status
 * @returns {Refusal}
 */
function unexpected(status) {
  if (status === 413) return { code: "too_large", message: "The file is too large for this server.", hint: "" };
  if (status === 403 || status === 200) {
    return { code: "logged_out", message: "You are no longer logged in.", hint: "Reload the page and log in again." };
  }
  return { code: "failed", message: `The server answered with status ${status}.`, hint: "Try again in a minute." };
}
