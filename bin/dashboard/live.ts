/** Fetches the page again every few seconds, and replaces the parts that have changed. Runs after the tables' script. */
export const LIVE = `
const state = document.getElementById('live');
const pause = document.getElementById('pause');
const parts = [...document.querySelectorAll('[data-live]')];
const texts = new Map(parts.map((part) => [part.id, part.innerHTML]));
async function refresh() {
  if (document.hidden || pause.getAttribute('aria-pressed') === 'true') return;
  try {
    const response = await fetch(location.href);
    if (!response.ok) throw new Error(await response.text());
    const page = new DOMParser().parseFromString(await response.text(), 'text/html');
    for (const part of parts) {
      const next = page.getElementById(part.id);
      // a part in use stays as it is
      if (!next || next.innerHTML === texts.get(part.id) || part.contains(document.activeElement)) continue;
      texts.set(part.id, next.innerHTML);
      const scrolled = [...part.querySelectorAll('.scroll, .plot')].map((one) => one.scrollLeft);
      part.replaceChildren(...next.childNodes);
      restoreTables(part);
      [...part.querySelectorAll('.scroll, .plot')].forEach((one, i) => { one.scrollLeft = scrolled[i] ?? 0; });
    }
    state.textContent = 'as of ' + new Date().toLocaleTimeString();
    state.className = '';
  } catch {
    state.textContent = 'no answer since ' + new Date().toLocaleTimeString();
    state.className = 'warning';
  }
}
pause.hidden = false;
pause.addEventListener('click', () => {
  const isPaused = pause.getAttribute('aria-pressed') !== 'true';
  pause.setAttribute('aria-pressed', String(isPaused));
  refresh();
});
document.addEventListener('visibilitychange', refresh);
setInterval(refresh, 5000);
`;
