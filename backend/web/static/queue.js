// What staff do while there is no connection waits here, and says so.
//
// An act is kept in this browser before it is sent, with its own Idempotency-Key, and taken off
// when it was answered: so it is done once, in the order it was meant, also if the page is closed
// in between. What is refused then is shown with its reason, until it has been read. What one
// person left waiting is not done in the name of the next who signs in here: it waits for them.
import { note, Problem, send, show, lookAgain, newKey } from "./forms.js";

const zh = document.documentElement.lang.startsWith("zh");
const t = (inChinese, inEnglish) => (zh ? inChinese : inEnglish);
const KEPT = `lendwatt.queue.${document.body.dataset.who}`;
const read = () => JSON.parse(localStorage.getItem(KEPT) ?? "[]");
const write = (acts) => { localStorage.setItem(KEPT, JSON.stringify(acts)); draw(); };
let isSending = false;

// Answers what the API said; undefined if it waits.
export async function act(form, path, body, key) {
  const mine = { key, path, body, label: form.dataset.queue };
  const others = () => read().filter((each) => each.key !== key);
  if (others().every((each) => each.refused) && !isSending) {
    isSending = true;
    write([...others(), { ...mine, isNew: true }]);
    try {
      const told = await send(path, body, { key });
      write(others());
      return told;
    } catch (problem) {
      if (isFinal(problem)) {
        write(others());
        throw problem;
      }
    } finally {
      isSending = false;
    }
  }
  write([...others(), mine]);
  form.reset();
  note(t("沒有網絡，已記下，會自動發出", "No connection: noted, and sent by itself later"));
  work();
  return undefined;
}

// Not so: what is busy, and who must sign in again first.
function isFinal(problem) {
  return problem instanceof Problem && problem.told.status < 500 && ![401, 429].includes(problem.told.status);
}

async function work() {
  if (isSending) return;
  isSending = true;
  try {
    for (let first = read().find((each) => !each.refused); first; first = read().find((each) => !each.refused)) {
      const { key } = first;
      try {
        await send(first.path, first.body, { key });
        write(read().filter((each) => each.key !== key));
        note(t(`已發出：${first.label}`, `Sent: ${first.label}`));
      } catch (problem) {
        if (problem.told?.status === 401) location.reload();
        if (!isFinal(problem)) break;
        write(read().map((each) => (each.key === key ? { ...each, refused: problem.told } : each)));
      }
      lookAgain();
    }
  } finally {
    isSending = false;
  }
}

function draw() {
  for (const slot of document.querySelectorAll("[data-queue-shown]")) {
    const acts = read().filter((each) => !each.isNew); // what is just being sent need not be told
    slot.replaceChildren(...acts.map((each) => {
      const box = document.createElement("div");
      box.className = "problem queued";
      box.role = "status";
      const title = document.createElement("strong");
      title.textContent = each.refused ? `${each.label}${t("：", ": ")}${each.refused.title}` : `${each.label}${t("：等待網絡", ": waits for a connection")}`;
      box.append(title);
      const drop = document.createElement("button");
      drop.className = "quiet";
      drop.textContent = t("不發了", "Do not send it");
      if (each.refused) {
        const detail = document.createElement("p");
        detail.textContent = each.refused.detail ?? "";
        drop.textContent = t("知道了", "I see");
        box.append(detail);
      }
      drop.addEventListener("click", () => write(read().filter((one) => one.key !== each.key)));
      box.append(drop);
      return box;
    }));
  }
  goOn();
}

// What comes after a step that waits can be done, too; it waits in turn.
function goOn() {
  const steps = [...document.querySelectorAll("[data-step]")];
  const paths = read().filter((each) => !each.refused && !each.isNew).map((each) => each.path);
  const isNoted = (step) => paths.some((path) => [...step.querySelectorAll("form")].some((form) => form.dataset.api === path));
  const next = steps.findLastIndex(isNoted) + 1;
  steps.forEach((step, index) => { step.hidden = index !== next; });
}

addEventListener("online", work);
addEventListener("storage", draw);
setInterval(() => { if (read().some((each) => !each.refused)) work(); }, 5000);
document.addEventListener("htmx:after:swap", draw);
write(read().map(({ isNew, ...each }) => each)); // a page that was closed in between
work();

// Where I am, while I am on shift and this page is open: every 15 s while I move, else each minute,
// and as soon as I set out: a renter is shown nothing that was told before.
const TELL_MS = 15000;
const STILL_MS = 60000;
const isToTell = () => document.querySelector("[data-tells]") !== null;
let here = null;
let told = null;
let toldAt = -STILL_MS;

async function tell() {
  const now = performance.now();
  if (!isToTell() || here === null || (here === told && now - toldAt < STILL_MS)) return;
  [told, toldAt] = [here, now];
  try {
    await send("/api/v1/staff/position", { lat: here.latitude, lng: here.longitude }, { key: newKey() });
  } catch (away) {
    if (away instanceof Problem && away.told.status === 401) location.reload();
  }
}

const stageNow = () => document.querySelector(".job")?.dataset.state;
let stage = stageNow();
let isWatching = false;
function watch() {
  if (stageNow() !== stage) {
    stage = stageNow();
    told = null;
    tell();
  }
  if (isWatching || !isToTell() || !navigator.geolocation) return;
  isWatching = true;
  navigator.geolocation.watchPosition(({ coords }) => {
    here = coords;
    if (told === null) tell();
  }, () => {}, { enableHighAccuracy: true, maximumAge: 10000 });
  setInterval(tell, TELL_MS);
}
document.addEventListener("htmx:after:swap", watch);
watch();
