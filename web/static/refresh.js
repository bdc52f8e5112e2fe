// Fetch this page again and bring its live regions up to date in place.
import { morph } from "./morph.js";

const SHORTEST_PAUSE_MS = 1000;

/** A function that refreshes soon. Calls are merged; a slow server is asked less often; a hidden page waits. */
export function refresher() {
  let timer = 0;
  let running = false;
  let wanted = false;
  let pause = SHORTEST_PAUSE_MS;
  let last = -Infinity;

  const run = async () => {
    timer = 0;
    if (document.hidden) {
      wanted = true;
      return;
    }
    running = true;
    wanted = false;
    const start = performance.now();
    try {
      await refresh();
    } catch {
      // The websocket says when the server is gone; the next update tries again.
    }
    last = performance.now();
    pause = Math.max(SHORTEST_PAUSE_MS, 10 * (last - start));
    running = false;
    if (wanted) schedule();
  };

  const schedule = () => {
    if (running || timer) {
      wanted = true;
      return;
    }
    timer = setTimeout(run, Math.max(50, last + pause - performance.now()));
  };

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && wanted) schedule();
  });
  return schedule;
}

async function refresh() {
  // A page that answered a form has an address of its own only for posting.
  const address = document.body.dataset.address ?? location.href;
  const response = await fetch(address, { headers: { "X-Refresh": "1" } });
  if (!response.ok || response.redirected) return;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const region of document.querySelectorAll("[data-live]")) {
    const next = fresh.getElementById(region.id);
    // What a person is writing in stays as long as the page still means the same by it.
    const kept = region.dataset.kept && region.dataset.kept === next?.dataset.kept;
    if (next && !kept) morph(region, next);
  }
  document.dispatchEvent(new CustomEvent("refreshed"));
}
