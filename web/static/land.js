// The ground under the reports: coasts (Natural Earth, public domain), round degrees and the place of the run.

// At a city's scale coasts of 1:50,000,000 are wrong by kilometres: better none than those.
const COARSEST_HONEST_ZOOM = 9;

/** Draw the base map; coasts are fetched only when one zooms out to where they are true. */
export function baseMap(map, landUrl, bounds) {
  const { L } = window;
  const pane = map.createPane("ground");
  pane.style.zIndex = 350;
  const renderer = L.canvas({ pane: "ground" });
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const plain = { renderer, interactive: false };

  const frame = L.rectangle(bounds, plain).addTo(map);
  const grid = L.layerGroup().addTo(map);
  let land = null;
  let asked = false;

  const paint = () => {
    frame.setStyle({ color: colour("--map-frame"), weight: 1.5, dashArray: "6 5", fill: false });
    land?.setStyle({ color: colour("--map-coast"), weight: 1, fillColor: colour("--map-land"), fillOpacity: 1 });
    drawGrid();
  };
  const drawGrid = () => {
    grid.clearLayers();
    const view = map.getBounds();
    const line = { ...plain, color: colour("--map-grid"), weight: 1 };
    for (const lat of rounds(view.getSouth(), view.getNorth())) {
      L.polyline([[lat, view.getWest()], [lat, view.getEast()]], line).addTo(grid);
    }
    for (const lon of rounds(view.getWest(), view.getEast())) {
      L.polyline([[view.getSouth(), lon], [view.getNorth(), lon]], line).addTo(grid);
    }
  };
  const coasts = async () => {
    const show = map.getZoom() <= COARSEST_HONEST_ZOOM;
    if (land && show !== map.hasLayer(land)) show ? land.addTo(map).bringToBack() : land.remove();
    if (!show || asked || !landUrl || !window.topojson) return;
    asked = true;
    const atlas = await (await fetch(landUrl)).json();
    land = L.geoJSON(window.topojson.feature(atlas, atlas.objects.land), plain);
    paint();
    coasts();
  };

  map.on("moveend", drawGrid);
  map.on("zoomend", coasts);
  document.addEventListener("theme", paint);
  paint();
  coasts();
}

function rounds(low, high) {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((value) => value >= rough);
  const values = [];
  for (let index = Math.ceil(low / step); index * step <= high && values.length < 20; index++) values.push(index * step);
  return values;
}
