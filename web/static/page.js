// What each page starts. Everything here adds to a page that already works.
import { listen } from "./live.js";
import { refresher } from "./refresh.js";

const updates = document.body.dataset.updates;
if (updates) {
  const refresh = refresher();
  listen(updates, { onUpdate: refresh, onConnect: refresh, status: document.getElementById("live") });
}

if (document.getElementById("map")) {
  const { startMap } = await import("./map.js");
  const { startForm } = await import("./form.js");
  startMap(startForm());
}
