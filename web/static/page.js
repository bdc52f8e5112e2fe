// What each page starts. Everything here adds to a page that already works.
import { listen } from "./live.js";
import { refresher } from "./refresh.js";

const updates = document.body.dataset.updates;
if (updates) {
  const refresh = refresher();
  const news = document.getElementById("news");
  const votes = document.getElementById("ballots");
  const onUpdate = ({ kind, data }) => {
    // Blocks come all the time; that one is asked for something is worth interrupting a screen reader for.
    if (votes && kind === "ballot" && data.stage === "open") news.textContent = "A report waits for a vote.";
    if (kind === "campaign" && data.phase && data.campaign === document.body.dataset.campaign) {
      news.textContent = `The campaign has come to: ${data.phase}.`;
    }
    refresh();
  };
  listen(updates, { onUpdate, onConnect: refresh, status: document.getElementById("live") });
}

if (document.getElementById("map")) {
  const { startMap } = await import("./map.js");
  const { startForm } = await import("./form.js");
  startMap(startForm());
}
