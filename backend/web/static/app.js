// What every page does: keep its times true, send its forms, follow what happens.
import "./times.js";
import "./forms.js";
import "./live.js";

// Parts that only some pages need are fetched when a page has one, also one that came later.
const PARTS = { "[data-map]": "map", "[data-scan]": "scan", "[data-chart]": "chart", "[data-queue]": "queue", "[data-place]": "place", "[data-merchant]": "merchant", "[data-operator]": "operator" };
const wanted = new Set();
function fetchParts() {
  for (const [selector, name] of Object.entries(PARTS)) {
    if (!wanted.has(name) && document.querySelector(selector)) {
      wanted.add(name);
      import(`./${name}.js`).catch(() => wanted.delete(name));
    }
  }
}
fetchParts();
document.addEventListener("htmx:after:swap", fetchParts);

// Who signs in here elsewhere is whose cookie this page would send: it is theirs from then on.
const WHO = "lendwatt.who";
const { who } = document.body.dataset;
if (who) {
  localStorage.setItem(WHO, who);
  addEventListener("storage", ({ key, newValue }) => { if (key === WHO && newValue !== who) location.reload(); });
}

if ("serviceWorker" in navigator) {
  navigator.serviceWorker.register("/sw.js").catch(() => {});
}
