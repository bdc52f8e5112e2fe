// The map: Leaflet on a canvas when it is installed, otherwise clicks on the server's drawing.
import { shapeMarker } from "./marks.js";
import { baseMap } from "./land.js";

/** Start the map of this page. `choose(lat, lon)` takes a click; null where no place is asked for. */
export function startMap(choose) {
  const holder = document.getElementById("map");
  if (window.L) startLeaflet(holder, choose);
  else if (choose) startDrawing(choose);
  document.getElementById("map-help").hidden = !window.L;
}

function startDrawing(choose) {
  const chart = () => document.querySelector("#chart svg");
  document.getElementById("chart").classList.add("map__drawing--pick");
  document.getElementById("chart").addEventListener("click", (event) => {
    if (event.target.closest("a")) return;
    const { left, top, width, height } = chart().getBoundingClientRect();
    const { latMin, latMax, lonMin, lonMax } = chart().dataset;
    choose(
      Number(latMax) - ((event.clientY - top) / height) * (latMax - latMin),
      Number(lonMin) + ((event.clientX - left) / width) * (lonMax - lonMin),
    );
  });
}

function startLeaflet(holder, choose) {
  const { L } = window;
  const box = (text) => {
    const [south, west, north, east] = text.split(" ").map(Number);
    return L.latLngBounds([south, west], [north, east]);
  };
  const bounds = box(holder.dataset.place);
  const canvas = document.getElementById("leaflet");
  canvas.hidden = false;
  holder.classList.add("map--interactive");
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const map = L.map(canvas, {
    preferCanvas: true,
    attributionControl: false,
    zoomAnimation: !still,
    fadeAnimation: !still,
    zoomSnap: 0.25,
    maxZoom: 22,
    minZoom: 1,
  });
  map.fitBounds(bounds, { padding: [12, 12], animate: false });
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", holder.dataset.label ?? "Map of the reports; the table below lists the same");
  canvas.setAttribute("aria-describedby", "map-help");
  L.control.scale({ imperial: false }).addTo(map);
  baseMap(map, holder.dataset.land, holder.dataset.frame ? box(holder.dataset.frame) : bounds);

  const syncPaths = startPaths(map);
  const marks = new Map();
  const sync = () => {
    syncPaths();
    const gone = new Set(marks.keys());
    for (const element of document.querySelectorAll("#chart a.mark")) {
      const { id, lat, lon, state, text, below } = element.dataset;
      gone.delete(id);
      const place = [Number(lat), Number(lon)];
      const known = marks.get(id);
      if (known?.options.state === state && known.options.below === below) continue;
      known?.remove();
      const mark = shapeMarker(place, state, { text, below });
      const label = document.createElement("span");
      label.textContent = element.getAttribute("aria-label");
      mark.bindTooltip(label).on("click", (event) => {
        L.DomEvent.stopPropagation(event);
        location.assign(element.href.baseVal ?? element.href);
      });
      marks.set(id, mark.addTo(map));
    }
    for (const id of gone) {
      marks.get(id).remove();
      marks.delete(id);
    }
    const here = document.querySelector("#chart [data-here]");
    if (here) hereMark(here.dataset);
  };

  let me = null;
  const hereMark = ({ lat, lon }) => {
    me ??= shapeMarker([lat, lon], "here").bindTooltip("This actor").addTo(map);
    me.setLatLng([Number(lat), Number(lon)]);
  };

  let chosen = null;
  const showChosen = ({ lat, lon }) => {
    if (!Number.isFinite(lat) || !Number.isFinite(lon) || Math.abs(lat) > 90 || Math.abs(lon) > 180) return;
    chosen ??= shapeMarker([lat, lon], "chosen").addTo(map);
    chosen.setLatLng([lat, lon]);
  };

  sync();
  document.addEventListener("refreshed", sync);
  document.addEventListener("theme", () => map.eachLayer((layer) => layer.redraw?.()));
  document.addEventListener("chosen", ({ detail }) => showChosen(detail));
  document.dispatchEvent(new CustomEvent("map"));
  if (choose) {
    canvas.classList.add("map__canvas--pick");
    map.on("click", ({ latlng }) => choose(latlng.lat, latlng.lng));
    canvas.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.target !== canvas) return;
      event.preventDefault();
      const { lat, lng } = map.getCenter();
      choose(lat, lng);
    });
  }
}

/** Paths of the drawing on the map, those that matter most on top. Returns what brings them up to date. */
function startPaths(map) {
  const { L } = window;
  const WEIGHTS = { left: 1.5, bid: 2.5, taken: 4, planned: 4 };
  const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--path-${name}`).trim();
  const group = L.layerGroup().addTo(map);
  let drawn = "";
  const draw = () => {
    const lines = [...document.querySelectorAll("#chart [data-path]")];
    const now = lines.map(({ dataset }) => Object.values(dataset).join("|")).join("\n");
    if (now === drawn) return;
    drawn = now;
    group.clearLayers();
    for (const line of lines) {
      const { places, look, ink: name } = line.dataset;
      const points = places.split(";").filter(Boolean).map((place) => place.split(" ").map(Number));
      const mine = name === "mine";
      L.polyline(points, {
        color: ink(name),
        weight: (WEIGHTS[look] ?? 2) + (mine ? 2 : 0),
        opacity: mine ? 1 : look === "left" ? 0.55 : 0.9,
        dashArray: look === "taken" ? null : "6 6",
      }).bindTooltip(line.querySelector("title").textContent, { sticky: true }).addTo(group);
    }
    for (const line of group.getLayers().reverse()) line.bringToBack(); // under the tasks
  };
  document.addEventListener("theme", () => {
    drawn = "";
    draw();
  });
  return draw;
}
