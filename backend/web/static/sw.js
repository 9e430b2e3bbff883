// Keeps our own files, and the last page of each address, for when there is no connection.
//
// Pages and figures always come from the network when there is one. What the API says is never
// kept: a page that was kept says so, since it shows the banner of a lost connection.
const FILES = "files-1";
const PAGES = "pages-1";
const PAGES_MAX = 30;

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(PAGES).then((kept) => kept.add("/offline")).then(() => self.skipWaiting()));
});
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

async function file(request) {
  const kept = await caches.open(FILES);
  const found = await kept.match(request);
  if (found) return found;
  const answer = await fetch(request);
  if (answer.ok) {
    // One state of our files at a time: the ones before it are of no use any more.
    const folder = new URL(request.url).pathname.split("/")[2];
    for (const each of await kept.keys()) {
      if (new URL(each.url).pathname.split("/")[2] !== folder) await kept.delete(each);
    }
    await kept.put(request, answer.clone());
  }
  return answer;
}

async function page(request) {
  const kept = await caches.open(PAGES);
  try {
    const answer = await fetch(request);
    if (answer.ok && !answer.redirected && new URL(request.url).pathname.startsWith("/staff")) {
      await kept.put(request, answer.clone()).catch(() => {}); // no room: then not
      const all = (await kept.keys()).filter((each) => new URL(each.url).pathname !== "/offline");
      for (const each of all.slice(0, Math.max(0, all.length - PAGES_MAX))) await kept.delete(each);
    }
    if (!answer.redirected && new URL(request.url).pathname === "/sign-in") await forgetWhoLeft();
    return answer;
  } catch (away) {
    return (await kept.match(request)) ?? (await kept.match("/offline")) ?? Response.error();
  }
}

// Of who has signed out, or whose session has ended, nothing stays.
async function forgetWhoLeft() {
  const kept = await caches.open(PAGES);
  for (const each of await kept.keys()) {
    if (new URL(each.url).pathname !== "/offline") await kept.delete(each);
  }
}

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (url.origin !== location.origin) return;
  if (request.method === "POST" && url.pathname === "/sign-out") event.waitUntil(forgetWhoLeft());
  if (request.method !== "GET") return;
  if (url.pathname.startsWith("/static/")) event.respondWith(file(request));
  else if (request.mode === "navigate") event.respondWith(page(request));
});
