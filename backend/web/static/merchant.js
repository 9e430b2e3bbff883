// What only a merchant's pages do: a price that is previewed while it is typed, a file of banks,
// the hours of a week, and secrets that are copied.
import { bodyOf, faults, lookAgain, newKey, note, Problem, send, show } from "./forms.js";

const zh = document.documentElement.lang.startsWith("zh");
const t = (inChinese, inEnglish) => (zh ? inChinese : inEnglish);
const TYPING_MS = 350;

function made(name, text, className = "") {
  const element = document.createElement(name);
  element.textContent = text;
  if (className) element.className = className;
  return element;
}

const away = () => ({ title: t("沒有網絡", "No connection"), detail: t("請再試一次。", "Please try again.") });

// -- the price, while it is typed

function fillIn(form) {
  const chosen = form.querySelector("[name=market]:checked");
  const values = JSON.parse(chosen?.dataset.terms ?? "{}");
  for (const [name, value] of Object.entries(values)) {
    const control = form.elements[name];
    if (!control) continue;
    const { as, digits } = control.dataset;
    control.value = as === "minutes" ? String(value / 60) : as === "minor" ? (value / 10 ** Number(digits)).toFixed(Number(digits)) : String(value);
  }
}

function pricing(form) {
  const slot = document.getElementById("preview");
  const words = JSON.parse(slot.dataset.words);
  let timer = 0;
  let asked = 0;
  let shown = "";

  function draw(told) {
    for (const control of form.elements) control.removeAttribute("aria-invalid");
    for (const error of form.querySelectorAll(".lint")) error.remove();
    const parts = [];
    if (told.problems.length) {
      const box = made("div", "", "problem");
      const list = document.createElement("ul");
      for (const problem of told.problems) {
        list.append(made("li", problem.text));
        const about = problem.fields.map((name) => form.elements[name]).filter((control) => control?.labels);
        for (const control of about) control.setAttribute("aria-invalid", "true");
        about[0]?.closest("div").append(made("p", problem.text, "error lint"));
      }
      box.append(made("strong", words.bad), list);
      parts.push(box);
    } else {
      const quotes = made("ul", "", "quotes");
      quotes.append(...told.quotes.map((quote) => made("li", quote.text)));
      const rule = made("ul", "", "rule");
      rule.append(...(told.disclosure ?? "").split("\n").map((line) => made("li", line)));
      const more = document.createElement("details");
      more.append(made("summary", words.rule, "fold"), rule);
      parts.push(quotes, more);
    }
    slot.replaceChildren(...parts);
  }

  async function ask() {
    const body = bodyOf(form);
    const text = JSON.stringify(body);
    if (text === shown) return;
    const number = ++asked;
    if (!shown) slot.replaceChildren(made("p", words.wait, "soft"));
    try {
      const told = await send(form.dataset.preview, body, { key: newKey() });
      if (number !== asked) return;
      shown = text;
      draw(told);
    } catch (problem) {
      if (number !== asked) return;
      shown = "";
      const told = problem instanceof Problem ? problem.told : away();
      const box = made("div", "", "problem");
      box.append(made("strong", told.title));
      box.append(...faults(form, told));
      slot.replaceChildren(box);
    }
  }

  const soon = () => { clearTimeout(timer); timer = setTimeout(ask, TYPING_MS); };
  form.addEventListener("input", soon);
  form.querySelector("[data-fill]").addEventListener("click", () => { fillIn(form); soon(); });
  ask();
}

// -- many banks from a file

function safe(cell) {
  const text = /^[=+\-@\t\r\n]/.test(cell) ? `'${cell}` : cell;
  return `"${text.replaceAll('"', '""')}"`;
}

function table(told, words) {
  const wrap = made("div", "", "table");
  const grid = document.createElement("table");
  const head = document.createElement("tr");
  for (const name of ["line", "bank", "result"]) {
    const cell = made("th", words[name]);
    cell.scope = "col";
    head.append(cell);
  }
  const body = document.createElement("tbody");
  for (const item of told.items) {
    const row = document.createElement("tr");
    row.dataset.outcome = item.outcome;
    const result = made("td", words[item.outcome]);
    for (const fault of item.faults) result.append(made("p", fault.text, "error"));
    const bank = document.createElement("td");
    bank.append(made("bdi", item.bank_id));
    row.append(made("td", String(item.line)), bank, result);
    body.append(row);
  }
  const top = document.createElement("thead");
  top.append(head);
  grid.append(top, body);
  wrap.append(grid);
  return wrap;
}

function saved(told, words) {
  const rows = [["line", "bank_id", "outcome", "secret", "qr_url", "problem"], ...told.items.map((item) => [String(item.line), item.bank_id, item.outcome, item.secret ?? "", item.qr_url ?? "", item.faults.map((fault) => fault.text).join("; ")])];
  const text = rows.map((row) => row.map(safe).join(",")).join("\r\n");
  const link = made("a", words.save, "yes");
  link.href = URL.createObjectURL(new Blob([`\uFEFF${text}\r\n`], { type: "text/csv" }));
  link.download = "banks.csv";
  return link;
}

async function importing(form) {
  if (form.ariaBusy === "true") return;
  form.ariaBusy = "true";
  const slot = form.querySelector("[data-imported]");
  const words = JSON.parse(slot.dataset.words);
  const file = form.querySelector("[type=file]").files[0];
  const text = file ? await file.arrayBuffer() : form.querySelector("textarea").value;
  try {
    if (!file && !text.trim()) { show(form, { title: words.empty }); return; }
    const told = await send(form.dataset.import, text, { key: newKey(), raw: "text/csv" });
    for (const each of form.querySelectorAll(".problem")) each.remove();
    const counts = ["registered", "known", "refused"].filter((name) => told[name]).map((name) => `${words[name]} ${told[name]}`);
    const parts = [made("p", counts.join(" · "), "sum")];
    if (told.registered) parts.push(saved(told, words));
    parts.push(table(told, words));
    // Secrets that were told once stay, until they can have been saved.
    if (slot.querySelector("a[download]")) slot.prepend(...parts);
    else slot.replaceChildren(...parts);
    lookAgain();
  } catch (problem) {
    show(form, problem instanceof Problem ? problem.told : away());
  } finally {
    form.ariaBusy = "false";
  }
}

// -- the hours of a week

function keeping(form) {
  const kind = form.querySelector("[data-hours-kind]");
  const week = form.querySelector("[data-week]");
  const told = form.querySelector("[name=hours]");

  function write() {
    week.hidden = kind.value === "always";
    for (const control of week.querySelectorAll("input")) control.disabled = week.hidden;
    const hours = {};
    for (const day of week.querySelectorAll("[data-day]")) {
      const spans = [...day.querySelectorAll(".span")].map((span) => {
        const closes = span.querySelector("[data-closes-at]").value;
        return [span.querySelector("[data-opens-at]").value, closes === "00:00" ? "24:00" : closes];
      });
      if (spans.length) hours[day.dataset.day] = spans;
    }
    told.value = JSON.stringify(kind.value === "always" ? "always" : hours);
  }

  form.addEventListener("input", write);
  form.addEventListener("click", (event) => {
    const more = event.target.closest("[data-add-span]");
    const less = event.target.closest("[data-no-span]");
    if (more) {
      const day = more.closest("[data-day]");
      day.querySelector(".off").before(day.querySelector("template").content.cloneNode(true));
      [...day.querySelectorAll("[data-opens-at]")].at(-1).focus();
    }
    if (less) {
      const day = less.closest("[data-day]");
      less.closest(".span").remove();
      day.querySelector("[data-add-span]").focus();
    }
    if (more || less) write();
  });
  write();
}

// -- all of it

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.hasAttribute("data-import")) {
    event.preventDefault();
    importing(form);
  }
});

document.addEventListener("click", (event) => {
  const copier = event.target.closest("[data-copies]");
  if (copier) navigator.clipboard?.writeText(copier.parentElement.querySelector("code").textContent).then(() => note(t("已複製", "Copied")));
});

function begin() {
  for (const form of document.querySelectorAll("form[data-preview], form[data-hours]")) {
    if (form.isBegun) continue;
    form.isBegun = true;
    if (form.dataset.preview) pricing(form);
    else keeping(form);
  }
}
begin();
document.addEventListener("htmx:after:swap", begin);
// The section that this is may lie beyond the edge of a phone.
for (const nav of [".faces", ".tabs"]) {
  document.querySelector(`${nav} [aria-current]`)?.scrollIntoView({ block: "nearest", inline: "center" });
}
