// Choosing a place: a tap on the map, the phone's own position, arrow keys, or coordinates typed.
import { ground, marker } from "./map.js";

const zh = document.documentElement.lang.startsWith("zh");
const t = (inChinese, inEnglish) => (zh ? inChinese : inEnglish);
const STEP = 0.0002;
const TYPED = /^\s*(-?\d{1,2}\.\d{3,})\s*[,，]\s*(-?\d{1,3}\.\d{3,})\s*$/;

function choosing(element) {
  const shop = [Number(element.dataset.lat), Number(element.dataset.lng)];
  const radius = Number(element.dataset.radius);
  const control = (name) => element.querySelector(`[name$="${name}"]`);
  const told = element.querySelector("[data-place-told]");
  const canvas = element.querySelector('[data-map="pick"]');
  const map = ground(canvas);
  map.setView(shop, 15);
  if (radius) globalThis.L.circle(shop, { radius, className: "reach", interactive: false }).addTo(map);
  if (!("known" in element.dataset) && radius) marker({ kind: "shop", lat: shop[0], lng: shop[1], label: element.dataset.label }, { interactive: false }).addTo(map);
  let pin = null;
  let choices = 0;

  function mark(lat, lng) {
    pin?.remove();
    pin = marker({ kind: "door", lat, lng }).addTo(map);
  }
  if ("known" in element.dataset) mark(...shop);

  function choose(lat, lng, said) {
    control("lat").value = lat.toFixed(6);
    control("lng").value = lng.toFixed(6);
    mark(lat, lng);
    told.textContent = said ?? `${lat.toFixed(5)}, ${lng.toFixed(5)}`;
    element.dataset.chosen = "";
    choices += 1;
  }

  map.on("click", (event) => choose(event.latlng.lat, event.latlng.lng));
  canvas.tabIndex = 0;
  canvas.addEventListener("keydown", (event) => {
    const move = { ArrowUp: [STEP, 0], ArrowDown: [-STEP, 0], ArrowLeft: [0, -STEP], ArrowRight: [0, STEP] }[event.key];
    if (!move) return;
    event.preventDefault();
    event.stopPropagation();
    choose(Number(control("lat").value) + move[0], Number(control("lng").value) + move[1]);
  }, true);
  function locate() {
    const before = choices;
    told.textContent = t("正在定位……", "Looking for you…");
    navigator.geolocation.getCurrentPosition(
      ({ coords }) => {
        if (choices !== before) return; // they pointed meanwhile
        choose(coords.latitude, coords.longitude, t("已定位", "Found you"));
        map.setView([coords.latitude, coords.longitude], 16);
      },
      () => { if (choices === before) told.textContent = t("無法定位。請在地圖上點一下，或輸入座標。", "Your phone does not say where you are. Tap the map instead, or type coordinates."); },
      { enableHighAccuracy: true, timeout: 10000 },
    );
  }
  element.querySelector("[data-locate]").addEventListener("click", locate);
  if (pin === null) { // who let us know where they are before need not press for it
    navigator.permissions?.query({ name: "geolocation" }).then((told) => { if (told.state === "granted") locate(); });
  }
  control("address").addEventListener("change", (event) => {
    const typed = TYPED.exec(event.target.value);
    if (typed) { choose(Number(typed[1]), Number(typed[2])); map.setView([Number(typed[1]), Number(typed[2])], 16); }
  });
}

function begin() {
  for (const element of document.querySelectorAll("[data-place]")) {
    if (!element.isBegun) { element.isBegun = true; choosing(element); }
  }
}
begin();
document.addEventListener("htmx:after:swap", begin);
