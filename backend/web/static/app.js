// What every page does: keep its times true, send its forms, follow what happens.
import "./times.js";
import { lookAgain } from "./forms.js";

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

// -- what happens to the reader, as it happens: each live part of the page looks again ----------
//
// htmx holds the stream, goes back after a break with the number of the last event it heard, and
// is told all that came in between. Several events at once are looked at once. It comes once the
// page can be used: the stream begins with an event, so that the page looks then in any case.
const AGAIN_MS = 2000;
const REFRESH_MS = 20000;
const LEAVING_MS = 5000;
let timer = 0;
function soon() {
  clearTimeout(timer);
  timer = setTimeout(lookAgain, 60);
}

let leftAt = -LEAVING_MS;
addEventListener("beforeunload", () => { leftAt = performance.now(); });
const isLeaving = () => performance.now() - leftAt < LEAVING_MS;

// The banner stands while there is no stream, or while the last look did not come back.
const away = new Set();
function isLost(what) {
  if (isLeaving()) return; // the browser ends what was under way
  away.add(what);
  document.body.dataset.away = "";
}
function isBack(what) {
  away.delete(what);
  document.body.toggleAttribute("data-away", away.size > 0);
}

// Another's script or style, here once it is needed.
export function fetched(name) {
  return new Promise((done, failed) => {
    const url = new URL(`./vendor/${name}`, import.meta.url);
    const element = name.endsWith(".css")
      ? Object.assign(document.createElement("link"), { rel: "stylesheet", href: url })
      : Object.assign(document.createElement("script"), { src: url });
    element.onload = done;
    element.onerror = failed;
    document.head.append(element);
  });
}

async function follow(stream) {
  try {
    if (!globalThis.htmx) await fetched("htmx.js");
    await new Promise((begun) => setTimeout(begun)); // after htmx, which begins by a timer, too
    await fetched("hx-sse.js");
  } catch {
    isLost("stream");
    setTimeout(follow, AGAIN_MS, stream);
    return;
  }
  stream.setAttribute("hx-sse:connect", stream.dataset.stream);
  globalThis.htmx.process(stream);
}
const stream = document.getElementById("stream");
if (stream) addEventListener("load", () => follow(stream));

document.addEventListener("htmx:sse:after:message", (event) => {
  const { message } = event.detail;
  document.body.dispatchEvent(new CustomEvent("heard", { detail: message }));
  soon();
});
document.addEventListener("htmx:sse:after:connection", () => isBack("stream"));
document.addEventListener("htmx:sse:error", (event) => {
  if (event.detail.status === 401) signedOut();
  isLost("stream");
});
// Who has just signed out is on their way elsewhere: that is not to be overtaken.
function signedOut() {
  if (!isLeaving()) location.reload();
}
// A look that failed is made again: what is shown stays, and nothing that happened is missed.
document.addEventListener("htmx:before:response", (event) => {
  const { ctx } = event.detail;
  if (ctx.sourceElement.id === "stream") return; // connectAgain
  if (ctx.sourceElement.id !== "live") { // a part of the page that looks again by itself
    if (ctx.response.raw.redirected || ctx.response.status >= 400) event.preventDefault();
    return;
  }
  isBack("look");
  if (ctx.response.raw.redirected) signedOut();
  if (ctx.response.status < 500 && ctx.response.status !== 429) return;
  event.preventDefault();
  setTimeout(soon, AGAIN_MS);
});
document.addEventListener("htmx:error", (event) => {
  if (event.target.id === "live") {
    isLost("look");
    setTimeout(soon, AGAIN_MS);
  }
  if (event.target.id === "stream") connectAgain(event.target);
});
document.addEventListener("htmx:response:error", (event) => {
  if (event.target.id === "stream") connectAgain(event.target);
});
// htmx goes back to a stream that broke, but not to one that never began.
function connectAgain(stream) {
  isLost("stream");
  setTimeout(() => globalThis.htmx.trigger(stream, "again"), AGAIN_MS);
}
addEventListener("offline", () => { isLost("look"); soon(); });
addEventListener("online", () => { isBack("look"); soon(); });
addEventListener("pageshow", (event) => { if (event.persisted) soon(); });
// A running price, a battery's level and who is on the way change without anybody being told of it.
setInterval(() => {
  if (!document.hidden && document.querySelector("[data-refresh]") && !document.querySelector("dialog[open]")) soon();
}, REFRESH_MS);
