// Forms that speak to the API: <form data-api="/api/v1/…" data-then="…">.
//
// A form keeps what was typed until it has been done. It sends one Idempotency-Key until the
// answer has come, so that pressing again after a lost answer does nothing twice. What the API
// says no to is shown in the form, in the reader's language, with what to do.
//
// Names of controls are paths into the body ("place.lat"). data-as says what a value is:
//   int, float, minutes (seconds, in the body), moment (of a datetime-local), bool, json, phone (+86 unless it says another country), minor (an amount as people write it; data-digits: of its currency).
// data-empty: "omit" (the default) or "null". data-then, on success:
//   nothing: what is live looks again; "/x/{id}": go there, filled from the answer;
//   "pay": to the provider's page; "show": the form's <template> is filled from the answer.
const lang = document.documentElement.lang;
const zh = lang.startsWith("zh");
const t = (inChinese, inEnglish) => (zh ? inChinese : inEnglish);
const API = "/api/v1";
const ANSWER_MS = 15000;

export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// 1.50, 1,50 and 1,234.50 as their writers mean them; what may mean two amounts stays a text.
const GROUPED = /^\d{1,3}(,\d{3})+(\.\d+)?$/;
function minor(text, digits) {
  const plain = text.normalize("NFKC").replace(/\s/g, "");
  const isGrouped = GROUPED.test(plain);
  if (isGrouped && digits === 3 && !plain.includes(".")) return text;
  const figure = isGrouped ? plain.replaceAll(",", "") : plain.replace(",", ".");
  const [, whole, fraction = ""] = /^(\d+)(?:\.(\d*))?$/.exec(figure) ?? [];
  if (whole === undefined || fraction.length > digits) return text;
  return Number(whole + fraction.padEnd(digits, "0"));
}

function valueOf(control) {
  if (control.type === "checkbox") return control.checked;
  const text = control.value.trim();
  switch (control.dataset.as) {
    case "int": return text === "" ? "" : Number(text);
    case "float": return text === "" ? "" : Number(text);
    case "minutes": return text === "" ? "" : Math.round(Number(text) * 60);
    case "bool": return text === "true";
    case "json": return text === "" ? "" : JSON.parse(text);
    case "minor": return text === "" ? "" : minor(text, Number(control.dataset.digits ?? 2));
    case "moment": return text === "" ? "" : new Date(text).toISOString();
    case "phone": return text.replace(/[\s().-]/g, "").replace(/^(?=1\d{10}$)/, "+86");
    case "lines": return text === "" ? [] : text.split(/\s*\n\s*/);
    default: return text;
  }
}

export function bodyOf(form) {
  const body = {};
  for (const control of form.elements) {
    if (!control.name || control.disabled || (control.type === "radio" && !control.checked)) continue;
    let value = valueOf(control);
    if (value === "") {
      if (control.dataset.empty !== "null") continue;
      value = null;
    }
    const path = control.name.split(".");
    const last = path.pop();
    let into = body;
    for (const step of path) into = into[step] ??= {};
    into[last] = value;
  }
  return body;
}

export class Problem extends Error {
  constructor(told) {
    super(told.detail || told.title);
    this.told = told;
  }
}

// Throws Problem when the API says no; see isAway for when it says nothing.
export async function send(path, body, { key = newKey(), raw } = {}) {
  const answer = await fetch(path, {
    method: "POST",
    signal: AbortSignal.timeout(raw ? 10 * ANSWER_MS : ANSWER_MS),
    headers: { "content-type": raw ?? "application/json", "accept-language": lang, "idempotency-key": key },
    body: raw ? body : JSON.stringify(body),
  });
  return read(answer);
}

export async function get(path) {
  return read(await fetch(path, { headers: { "accept-language": lang }, signal: AbortSignal.timeout(ANSWER_MS) }));
}

async function read(answer) {
  const text = await answer.text();
  let told = {};
  try { told = text ? JSON.parse(text) : {}; } catch { told = { title: `${t("暫時不行，請再試一次。", "Not just now. Please try again.")} (${answer.status})` }; }
  if (!answer.ok) throw new Problem({ status: answer.status, title: answer.statusText, ...told });
  return told;
}

// Nothing was heard: not sent, or not answered in time.
export function isAway(problem) {
  return problem instanceof TypeError || problem.name === "TimeoutError";
}

export function lookAgain() {
  document.body.dispatchEvent(new CustomEvent("news"));
}

function clear(form) {
  for (const each of form.querySelectorAll(".problem")) each.remove();
  for (const each of form.querySelectorAll("[aria-invalid]")) each.removeAttribute("aria-invalid");
}

// What was wrong stays while the page looks again; with a form that has become another, it goes.
document.addEventListener("htmx:after:swap", () => {
  for (const box of document.querySelectorAll(".problem[data-of]")) {
    const form = box.closest("form");
    if (form && (form.dataset.api ?? "") !== box.dataset.of) clear(form);
  }
});

// What is wrong with each control, which is marked.
export function faults(form, told) {
  return (told.errors ?? []).map((error) => {
    const control = [...form.elements].find((each) => each.name && error.field.endsWith(`.${each.name}`));
    control?.setAttribute("aria-invalid", "true");
    const isUnread = control?.dataset.as === "minor" && typeof valueOf(control) === "string";
    const detail = isUnread ? t("請像 1.50 這樣填金額", "type an amount as 1.50") : error.problem;
    const line = document.createElement("p");
    line.textContent = `${control?.labels?.[0]?.textContent.trim() ?? error.field}${t("：", ": ")}${detail}`;
    return line;
  });
}

export function show(form, told) {
  clear(form);
  const box = document.createElement("div");
  box.className = "problem";
  box.role = "alert";
  box.dataset.of = form.dataset.api ?? "";
  const title = document.createElement("strong");
  title.textContent = told.title;
  box.append(title);
  if (told.detail && !told.errors) {
    const detail = document.createElement("p");
    detail.textContent = told.detail;
    box.append(detail);
  }
  box.append(...faults(form, told));
  (form.querySelector("[data-problem]") ?? form).append(box);
  (form.querySelector("[aria-invalid]") ?? form.querySelector("button"))?.focus();
}

const AWAY = () => ({
  title: t("沒有網絡", "No connection"),
  detail: t("還沒有發出。請在有網絡時再按一次，不會重複。", "It was not sent, or not answered. Press again when you are connected: it is done once."),
});

async function payAt(payment) {
  for (let tries = 0; tries < 40; tries += 1) {
    if (payment.pay_url) { location.assign(payment.pay_url); return; }
    await new Promise((go) => setTimeout(go, 250));
    payment = await get(`${API}/payments/${payment.id}`);
    if (payment.state === "failed") throw new Problem({ title: t("支付公司拒絕了。請再試一次。", "It was declined. Please try again.") });
  }
  throw new Problem({ title: t("支付公司還沒有回應。請稍後再按一次，不會重複付款。", "The payment company has not answered yet. Press again in a moment: you pay once.") });
}

function go(form, told) {
  const then = form.dataset.then ?? "";
  if (then === "pay") return payAt(told);
  if (then === "show") return fill(form, told);
  if (then.startsWith("/")) {
    location.assign(then.replace(/\{([\w.]+)\}/g, (_, path) => encodeURIComponent(path.split(".").reduce((at, step) => at?.[step], told) ?? "")));
    return undefined;
  }
  if (form.dataset.done) note(form.dataset.done);
  form.closest("dialog")?.close();
  if (!form.hasAttribute("data-keep")) form.reset();
  lookAgain();
  return undefined;
}

function fill(form, told) {
  const shown = form.querySelector("template").content.cloneNode(true);
  for (const slot of shown.querySelectorAll("[data-slot]")) {
    const value = slot.dataset.slot.split(".").reduce((at, step) => at?.[step], told);
    slot.textContent = value ?? "";
  }
  form.querySelector("[data-shown]")?.replaceChildren(shown);
  lookAgain();
}

export function note(text) {
  let box = document.getElementById("note");
  if (!box) {
    box = document.createElement("div");
    box.id = "note";
    box.role = "status";
    document.body.append(box);
  }
  box.textContent = text;
  box.hidden = false;
  clearTimeout(note.timer);
  note.timer = setTimeout(() => { box.hidden = true; }, 5000);
}

const keys = new WeakMap();

async function submit(form, button) {
  const ask = button?.dataset.ask ?? form.dataset.ask;
  if (ask && !confirm(ask)) return;
  if (form.ariaBusy === "true") return;
  clear(form);
  if (form.dataset.mustChoose && !form.querySelector("[data-place][data-chosen]")) {
    show(form, { title: form.dataset.mustChoose });
    return;
  }
  const body = bodyOf(form);
  if (button?.name) body[button.name] = button.dataset.as === "json" ? JSON.parse(button.value) : button.value;
  const path = form.dataset.api.replace(/\{([\w.]+)\}/g, (_, name) => { const value = body[name]; delete body[name]; return encodeURIComponent(value ?? ""); });
  const text = JSON.stringify([path, body]);
  const kept = keys.get(form);
  const key = kept?.text === text ? kept.key : newKey();
  keys.set(form, { text, key });
  form.ariaBusy = "true";
  try {
    const queue = form.hasAttribute("data-queue") ? await import("./queue.js") : null;
    const told = queue ? await queue.act(form, path, body, key) : await send(path, body, { key });
    keys.delete(form);
    if (told !== undefined) await go(form, told);
  } catch (problem) {
    if (problem instanceof Problem) {
      if (!(problem.told.status >= 500)) keys.delete(form); // else it may have been done
      if (problem.told.status === 401) { location.assign(`/sign-in?next=${encodeURIComponent(location.pathname)}`); return; }
      show(form, problem.told);
    } else if (isAway(problem)) {
      show(form, AWAY());
    } else {
      throw problem;
    }
  } finally {
    form.ariaBusy = "false";
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.dataset.api) return;
  event.preventDefault();
  submit(form, event.submitter);
});

// Buttons that open and close the dialog they name.
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) document.getElementById(opener.dataset.opens)?.showModal();
  if (event.target.closest("[data-closes]") || event.target.tagName === "DIALOG") event.target.closest("dialog")?.close();
});

// What is told once, as a secret, is gone with the dialog that told it.
document.addEventListener("close", (event) => {
  for (const shown of event.target.querySelectorAll("[data-shown]")) shown.replaceChildren();
}, true);
