/** A film that waits for answers: look every two seconds, and reload the page when fewer are waited for. */

const note = document.getElementById("waiting");
if (note?.dataset.url) {
  const url = note.dataset.url;
  const timer = setInterval(() => void look().catch(console.warn), 2000);

  const look = async () => {
    const response = await fetch(url);
    if (!response.ok) return;
    if (String((await response.json()).waiting) === note.dataset.count) return;
    clearInterval(timer);
    location.reload();
  };
}
