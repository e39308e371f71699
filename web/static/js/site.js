/** What every page has: the theme's switch, questions before something is lost, the outbox, the service worker. */
import { CHANNEL, empty, flush, keep, lastSent, reach, remember, waiting } from "./outbox.js";
import { send } from "./sending.js";

/** What keys of drafts begin with. */
export const DRAFTS = "osteolens.draft.";

const { user, offlinePage } = document.body.dataset;
const notice = document.getElementById("notice");

document.addEventListener("click", (event) => {
  const button = event.target instanceof Element && event.target.closest("[data-theme-switch]");
  if (!button) return;
  const dark = document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("osteolens.theme", document.documentElement.dataset.theme);
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!(form instanceof HTMLFormElement)) return;
  const question = event.submitter?.dataset.confirm ?? form.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
  else if ("logout" in form.dataset) void leave(event, form);
});

/**
 * Log out: films that were not sent yet are named before they are forgotten.
 *
 * @param {SubmitEvent} event
 * @param {HTMLFormElement} form
 */
async function leave(event, form) {
  event.preventDefault();
  const films = (await waiting()).length;
  if (films && !confirm(interpolate(ngettext("%(films)s of your films waits to be sent. Log out and forget it?", "%(films)s of your films wait to be sent. Log out and forget them?", films), { films }, true))) return;
  await empty();
  Object.keys(localStorage).forEach((key) => key.startsWith(DRAFTS) && localStorage.removeItem(key));
  Object.keys(sessionStorage).forEach((key) => key.startsWith("osteolens.") && sessionStorage.removeItem(key));
  form.submit();
}

/** What this page shows is from then; films that were sent later are missing in it. */
let shown = performance.timeOrigin;

let sending = false;
let again = false;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;
let notBefore = 0;

/** The first try may come before the network is really there, or while the server is busy: then another follows. */
async function sendWaiting() {
  again = sending;
  if (sending || !navigator.onLine || Date.now() < notBefore) return;
  sending = true;
  clearTimeout(timer);
  const { refused, left, wait } = await flush(send);
  sending = false;
  await count();
  notBefore = Date.now() + 1000 * wait;
  if (again && !wait) void sendWaiting();
  else if (left && navigator.onLine) {
    timer = setTimeout(() => {
      notBefore = 0;
      void sendWaiting();
    }, 1000 * (wait || 5));
  }
  // The upload page has a row for each film.
  if (document.getElementById("uploads") || (!refused && (await lastSent()) < shown)) return;
  shown = Date.now();
  say(refused ? gettext("A waiting film was refused; the upload page says why.") : gettext("The waiting films were sent."));
  document.dispatchEvent(new Event("outbox-sent"));
}

async function count() {
  const films = await waiting();
  const refused = films.filter((film) => film.refused);
  const left = films.length - refused.length;
  const words = [
    left && interpolate(gettext("%(count)s waiting"), { count: left }, true),
    refused.length && interpolate(gettext("%(count)s refused"), { count: refused.length }, true),
  ].filter(Boolean);
  document.querySelectorAll("[data-waiting]").forEach((badge) => {
    badge.textContent = words.join(", ");
    badge.toggleAttribute("hidden", !words.length);
  });
}

/** The service worker may have sent films while no page was open: what it was refused is said once, on the next page. */
async function announce() {
  const news = (await waiting()).filter((film) => film.refused && !film.announced);
  if (!news.length) return;
  const [{ name, refused }] = news;
  const values = { name: name || gettext("A picture"), why: refused?.message ?? "", more: news.length - 1 };
  const words =
    news.length > 1
      ? gettext("%(name)s was refused: %(why)s. So were %(more)s more. The upload page lists what was refused.")
      : gettext("%(name)s was refused: %(why)s. The upload page lists what was refused.");
  say(interpolate(words, values, true));
  await Promise.all(news.map((film) => keep({ ...film, announced: true })));
}

/** The browser's word for being online comes before the server can be reached, so it is asked. */
async function comeBack() {
  if (navigator.onLine && (await reach("/healthz"))?.ok) location.reload();
}

/** @param {string} words */
function say(words) {
  if (notice) notice.textContent = words;
  notice?.toggleAttribute("hidden", !words);
}

const offline = () => say(navigator.onLine ? "" : gettext("You are offline. Films that you add are kept here and sent later."));
window.addEventListener("offline", offline);
document.addEventListener("outbox", () => {
  void count();
  if (user) void sendWaiting();
});

if (user) {
  await remember(user);
  window.addEventListener("online", () => void sendWaiting());
  // The badge counts down as films go, whichever page or worker sends them.
  new BroadcastChannel(CHANNEL).addEventListener("message", ({ data: { kind } }) => {
    if (kind === "sent" || kind === "refused") void count();
  });
  void count();
  void announce();
  void sendWaiting();
} else if (offlinePage && offlinePage !== location.pathname) {
  // The offline page stands where another page was asked for.
  window.addEventListener("online", () => void comeBack());
  setInterval(() => void comeBack(), 2000);
}
if (!navigator.onLine) offline();
else window.addEventListener("online", offline);

if ("serviceWorker" in navigator) {
  navigator.serviceWorker.register("/sw.js", { type: "module", scope: "/" }).catch((error) => {
    console.info("no offline page in this browser:", error);
  });
}
