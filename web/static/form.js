// The report form: a place comes from the map, and reports nearby are shown before anything is sent.
const PAUSE_MS = 300;

/** Returns `choose(lat, lon)`, which fills in the place; null where nothing has one. */
export function startForm() {
  return startReport() ?? startTask();
}

/** A task's place is shown on the map as it is typed, and chosen there. The form may come and go. */
function startTask() {
  const holder = document.getElementById("act");
  if (!holder) return null;
  const fields = () => document.getElementById("task-form")?.elements;
  const show = () => {
    const { lat, lon } = fields() ?? {};
    if (!lat?.value || !lon?.value) return;
    document.dispatchEvent(new CustomEvent("chosen", { detail: { lat: Number(lat.value), lon: Number(lon.value) } }));
  };
  holder.addEventListener("input", show);
  document.addEventListener("map", show);
  return (latitude, longitude) => {
    const found = fields();
    if (!found) return;
    found.lat.value = latitude.toFixed(6);
    found.lon.value = longitude.toFixed(6);
    show();
  };
}

function startReport() {
  const form = document.getElementById("report-form");
  if (!form) return null;
  const { type, lat, lon } = form.elements;
  const hint = document.getElementById("nearby");
  document.getElementById("check").hidden = true;
  let timer = 0;
  let asked = 0;

  const ask = async () => {
    const turn = ++asked;
    if (!lat.value || !lon.value) return;
    const query = new URLSearchParams({ type: type.value, lat: lat.value, lon: lon.value, format: "json" });
    try {
      const response = await fetch(`${form.dataset.nearby}?${query}`);
      if (turn !== asked) return; // a newer question is under way
      if (response.ok) show(hint, (await response.json()).nearby);
      else hint.replaceChildren();
    } catch {
      hint.replaceChildren();
    }
  };
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE_MS);
    document.dispatchEvent(new CustomEvent("chosen", { detail: { lat: Number(lat.value), lon: Number(lon.value) } }));
  };
  for (const field of [type, lat, lon]) field.addEventListener("input", soon);
  return (latitude, longitude) => {
    lat.value = latitude.toFixed(6);
    lon.value = longitude.toFixed(6);
    soon();
  };
}

function show(hint, reports) {
  const note = document.createElement("p");
  note.className = reports.length ? "note" : "note note--good";
  note.textContent = reports.length
    ? "Already reported near there, so a new one is likely refused as a duplicate:"
    : "Nobody has reported this there yet.";
  const list = document.createElement("ul");
  for (const report of reports) {
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.href = `${location.pathname.replace(/\/reports.*/, "")}/reports/${encodeURIComponent(report.id)}`;
    link.textContent = `${report.type}, ${report.status.replace("_", " ")}`;
    item.append(link);
    list.append(item);
  }
  hint.replaceChildren(note, ...(reports.length ? [list] : []));
}
