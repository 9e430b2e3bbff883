// Ages, countdowns and, until the server knows the reader's zone, moments.
const zh = document.documentElement.lang.startsWith("zh");
const t = (inChinese, inEnglish) => (zh ? inChinese : inEnglish);
// The server's clock, not this machine's: they may differ, and a demonstration turns its own.
// What is live tells it anew with each look: a page may have been kept, or its machine asleep.
let told = "";
let ahead = 0;
function setClock() {
  const { now: tells } = document.getElementById("live").dataset;
  if (tells === told) return;
  told = tells;
  ahead = navigator.onLine ? Date.parse(told) - Date.now() : 0;
}
setClock();
export const now = () => Date.now() + ahead;

function age(seconds) {
  if (seconds < 60) return t("剛剛", "just now");
  if (seconds < 7200) return t(`${Math.floor(seconds / 60)} 分鐘前`, `${Math.floor(seconds / 60)} min ago`);
  if (seconds < 172800) return t(`${Math.floor(seconds / 3600)} 小時前`, `${Math.floor(seconds / 3600)} h ago`);
  return t(`${Math.floor(seconds / 86400)} 天前`, `${Math.floor(seconds / 86400)} days ago`);
}

function left(seconds) {
  const all = Math.max(0, Math.floor(seconds));
  const two = (n) => String(n).padStart(2, "0");
  const [hours, minutes, rest] = [Math.floor(all / 3600), Math.floor(all / 60) % 60, all % 60];
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const isZoneTold = document.cookie.split("; ").includes(`tz=${zone}`);
if (zone && !isZoneTold) {
  document.cookie = `tz=${zone}; path=/; max-age=31536000; samesite=lax`;
}

function moment(date) {
  const clock = date.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  const today = new Date(now());
  if (date.toDateString() === today.toDateString()) return clock;
  const month = date.toLocaleString("en-GB", { month: "short" });
  const day = t(`${date.getMonth() + 1}月${date.getDate()}日`, `${date.getDate()} ${month}`);
  const year = date.getFullYear() === today.getFullYear() ? "" : t(`${date.getFullYear()}年`, `${date.getFullYear()} `);
  return `${year}${day} ${clock}`;
}

const SAID = {
  ago: (date) => age((now() - date) / 1000),
  until: (date) => left((date - now()) / 1000),
  at: (date) => (isZoneTold ? null : moment(date)),
};

export function tell(root = document) {
  for (const each of root.querySelectorAll("time[data-time]")) {
    const date = new Date(each.dateTime);
    const text = SAID[each.dataset.time](date);
    if (text !== null && text !== each.textContent) each.textContent = text;
    if (each.title && !isZoneTold) each.title = moment(date);
  }
}
tell();
setInterval(tell, 1000);
document.addEventListener("htmx:after:swap", () => { setClock(); tell(); });
