// What happens to the reader, as it happens: each live part of the page looks again.
//
// htmx holds the stream, goes back after a break with the number of the last event it heard, and
// is told all that came in between. Several events at once are looked at once.
const AGAIN_MS = 2000;
const REFRESH_MS = 20000;
const LEAVING_MS = 5000;
let timer = 0;
function soon() {
  clearTimeout(timer);
  timer = setTimeout(() => document.body.dispatchEvent(new CustomEvent("news")), 60);
}

document.addEventListener("htmx:sse:after:message", (event) => {
  const { message } = event.detail;
  document.body.dispatchEvent(new CustomEvent("heard", { detail: message }));
  soon();
});
document.addEventListener("htmx:sse:after:connection", () => document.body.removeAttribute("data-away"));
document.addEventListener("htmx:sse:error", (event) => {
  if (event.detail.status === 401) signedOut();
  document.body.dataset.away = "";
});
// Who has just signed out is on their way elsewhere: that is not to be overtaken.
let leftAt = -LEAVING_MS;
addEventListener("beforeunload", () => { leftAt = performance.now(); });
function signedOut() {
  if (performance.now() - leftAt > LEAVING_MS) location.reload();
}
// A look that failed is made again: what is shown stays, and nothing that happened is missed.
document.addEventListener("htmx:before:response", (event) => {
  const { ctx } = event.detail;
  if (ctx.sourceElement.id === "stream") return; // connectAgain
  if (ctx.sourceElement.id !== "live") { // a part of the page that looks again by itself
    if (ctx.response.raw.redirected || ctx.response.status >= 400) event.preventDefault();
    return;
  }
  if (ctx.response.raw.redirected) signedOut();
  if (ctx.response.status < 500 && ctx.response.status !== 429) return;
  event.preventDefault();
  setTimeout(soon, AGAIN_MS);
});
document.addEventListener("htmx:error", (event) => {
  if (event.target.id === "live") setTimeout(soon, AGAIN_MS);
  if (event.target.id === "stream") connectAgain(event.target);
});
document.addEventListener("htmx:response:error", (event) => {
  if (event.target.id === "stream") connectAgain(event.target);
});
// htmx goes back to a stream that broke, but not to one that never began.
function connectAgain(stream) {
  document.body.dataset.away = "";
  setTimeout(() => globalThis.htmx.trigger(stream, "again"), AGAIN_MS);
}
addEventListener("offline", () => { document.body.dataset.away = ""; });
addEventListener("online", () => { document.body.removeAttribute("data-away"); soon(); });
addEventListener("pageshow", (event) => { if (event.persisted) soon(); });
// A running price, a battery's level and who is on the way change without anybody being told of it.
setInterval(() => {
  if (!document.hidden && document.querySelector("[data-refresh]") && !document.querySelector("dialog[open]")) soon();
}, REFRESH_MS);
