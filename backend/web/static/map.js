// Maps: Leaflet, on a plain grid that needs no network, or on the tiles that the settings name.
//
// data-map="show": the points of the element that data-from names (JSON in data-points), which
// change when the page looks again. Names of people and places are set as text, never as markup.
import { fetched } from "./app.js";

await Promise.all([fetched("leaflet.js"), fetched("leaflet.css")]);
const { L } = globalThis;

const Grid = L.GridLayer.extend({
  createTile(at) {
    const tile = document.createElement("div");
    tile.className = "grid-tile";
    tile.dataset.odd = String((at.x + at.y) % 2);
    return tile;
  },
});

export function ground(element) {
  const map = L.map(element, { attributionControl: Boolean(element.dataset.mapCredit), zoomSnap: 0.5 });
  const { mapTiles, mapCredit } = element.dataset;
  if (mapTiles) {
    const credit = document.createElement("span");
    credit.textContent = mapCredit ?? "";
    L.tileLayer(mapTiles, { maxZoom: 19, attribution: credit.innerHTML }).addTo(map);
  } else {
    new Grid().addTo(map);
  }
  element.leaflet = map;
  new ResizeObserver(() => map.invalidateSize(false)).observe(element); // also of a dialog that opens
  return map;
}

export function marker(point, options = {}) {
  const icon = L.divIcon({ className: `pin ${point.kind}`, iconSize: [28, 28], iconAnchor: [14, 14] });
  const made = L.marker([point.lat, point.lng], { icon, keyboard: Boolean(point.href), alt: point.label ?? "", ...options });
  if (point.label) {
    const text = document.createElement("span");
    text.textContent = point.label;
    made.bindTooltip(text, { direction: "top", offset: [0, -12] });
  }
  if (point.href) {
    made.on("click keypress", () => location.assign(point.href));
    made.on("add", () => made.getElement().setAttribute("aria-label", point.label));
  }
  return made;
}

function showing(element) {
  const map = ground(element);
  const layer = L.layerGroup().addTo(map);
  const source = () => document.getElementById(element.dataset.from);
  let drawn = "";
  let isFitted = false;
  function draw() {
    const text = source()?.dataset.points ?? "[]";
    if (text === drawn) return;
    drawn = text;
    const points = JSON.parse(text);
    layer.clearLayers();
    for (const point of points) marker(point).addTo(layer);
    if (points.length && !isFitted) {
      isFitted = points.length > 1;
      map.fitBounds(L.latLngBounds(points.map((each) => [each.lat, each.lng])), { padding: [36, 36], maxZoom: 16, animate: false });
    }
  }
  draw();
  document.addEventListener("htmx:after:swap", draw);
}

function begin() {
  for (const element of document.querySelectorAll('[data-map="show"]')) {
    if (!element.leaflet) showing(element);
  }
}
begin();
document.addEventListener("htmx:after:swap", begin);
