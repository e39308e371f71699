{% load static %}/**
 * The service worker: the look of the pages from the cache, a page for when there is no network, and the outbox.
 * Films, maps and answers are never cached.
 */
import { flush } from "{% static 'js/outbox.js' %}";

// The scripts' texts, for what is said while films are sent; in a page a script tag brings them.
(function () {
  {{ texts|safe }}
}).call(globalThis);

const CACHE = "osteolens-{{ VERSION }}-{{ LANGUAGE_CODE }}";
const OFFLINE = "{% url 'offline' %}";
const SHELL = [
  OFFLINE,
  "{% static 'osteolens.css' %}",
  "{% static 'icons/sprite.svg' %}",
  "{% static 'icons/icon.svg' %}",
  "{% static 'js/theme.js' %}",
  "{% url 'texts' LANGUAGE_CODE %}",
  "{% static 'js/site.js' %}",
  "{% static 'js/upload.js' %}",
  "{% static 'js/facts.js' %}",
  "{% static 'js/row.js' %}",
  "{% static 'js/usable.js' %}",
  "{% static 'js/archive.js' %}",
  "{% static 'js/sending.js' %}",
  "{% static 'js/outbox.js' %}",
];

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(SHELL)));
  self.skipWaiting();
});

self.addEventListener("activate", (event) => {
  const clean = async () => {
    const old = (await caches.keys()).filter((name) => name.startsWith("osteolens-") && name !== CACHE);
    await Promise.all(old.map((name) => caches.delete(name)));
    await self.clients.claim();
  };
  event.waitUntil(clean());
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== self.location.origin) return;
  if (request.mode === "navigate") event.respondWith(page(request));
  else if (["{% get_static_prefix %}", "/texts/"].some((start) => url.pathname.startsWith(start))) event.respondWith(look(request));
});

/** A page is always the server's; without a network there is the offline page. */
async function page(request) {
  try {
    return await fetch(request);
  } catch (error) {
    const offline = await caches.match(OFFLINE);
    if (!offline) throw error;
    return offline;
  }
}

/** Style sheets, scripts and icons: the server's, so that a new version shows at once; the cache without a network. */
async function look(request) {
  try {
    return await fetch(request);
  } catch (error) {
    const kept = await caches.match(request, { ignoreSearch: true });
    if (!kept) throw error;
    return kept;
  }
}

// Where the browser offers background sync, waiting films are sent even if no page is open.
self.addEventListener("sync", (event) => {
  if (event.tag === "outbox") event.waitUntil(flush());
});
