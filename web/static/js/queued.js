/** A film that waits for answers, or an answer on its way to the archive: look every two seconds, and reload the page. */

const note = document.getElementById("waiting") ?? document.getElementById("on-its-way");
if (note?.dataset.url) {
  const url = note.dataset.url;
  const timer = setInterval(() => void look().catch(console.warn), 2000);

  const look = async () => {
    const response = await fetch(url);
    if (!response.ok) return;
    const { waiting, deliveries } = await response.json();
    const queued = Object.values(deliveries).filter((state) => state === "queued").length;
    if (String(note.id === "waiting" ? waiting : queued) === note.dataset.count) return;
    clearInterval(timer);
    location.reload();
  };
}
