// Charts: uPlot, fetched when a page has one.
//
// <div data-chart="line" data-from="id" data-unit="%" data-label="Charge" …> draws the columns in
// data-points of the element that data-from names: [[seconds, …], [values, …], …], null for "not
// known". It is drawn anew when the page looks again. Options:
//   data-chart      line, or bars
//   data-label      what a column is called; several with | between
//   data-unit       behind each value; data-divide: what to divide values by (100 for cents)
//   data-min, -max  of the values' axis; else what is there
//   data-gap        seconds without a value that are shown as a gap
// Who cannot see it is told by aria-label or -labelledby of the page; without one, here.
import { fetched } from "./app.js";

await Promise.all([fetched("uplot.js"), fetched("uplot.css")]);
const { uPlot } = globalThis;

const zh = document.documentElement.lang.startsWith("zh");
const t = (inChinese, inEnglish) => (zh ? inChinese : inEnglish);
const DAY_S = 86400;
const COLOURS = ["--accent", "--good", "--fair", "--bad"];

const two = (number) => String(number).padStart(2, "0");
const clock = (date) => `${two(date.getHours())}:${two(date.getMinutes())}`;
const day = (date) => t(`${date.getMonth() + 1}月${date.getDate()}日`, `${date.getDate()} ${date.toLocaleString("en-GB", { month: "short" })}`);

function when(seconds, spanS) {
  const date = new Date(seconds * 1000);
  if (spanS <= 2 * DAY_S) return clock(date);
  return day(date);
}

function columnsOf(element) {
  const told = JSON.parse(document.getElementById(element.dataset.from)?.dataset.points ?? "[]");
  const divide = Number(element.dataset.divide ?? 1);
  const [times = [], ...values] = told;
  const columns = [times, ...values.map((each) => each.map((value) => (value === null ? null : value / divide)))];
  return element.dataset.gap ? withGaps(columns, Number(element.dataset.gap)) : columns;
}

function withGaps(columns, gapS) {
  const out = columns.map(() => []);
  columns[0].forEach((time, at) => {
    if (at > 0 && time - columns[0][at - 1] > gapS) out.forEach((column, index) => column.push(index ? null : time - 1));
    out.forEach((column, index) => column.push(columns[index][at]));
  });
  return out;
}

function said(element, columns) {
  const unit = element.dataset.unit ?? "";
  const labels = (element.dataset.label ?? "").split("|");
  return columns.slice(1).map((column, at) => {
    const known = column.filter((value) => value !== null);
    if (!known.length) return "";
    const show = (value) => `${Math.round(value * 100) / 100} ${unit}`.trim();
    const [low, high, last] = [Math.min(...known), Math.max(...known), known.at(-1)].map(show);
    return t(`${labels[at] ?? ""}：最低 ${low}，最高 ${high}，最近 ${last}`, `${labels[at] ?? ""}: lowest ${low}, highest ${high}, latest ${last}`);
  }).join(" ");
}

// A value between two that are not known is no line: it is a dot.
function alone(values) {
  const known = (at) => values[at] !== null && values[at] !== undefined;
  return values.map((_, at) => at).filter((at) => known(at) && !known(at - 1) && !known(at + 1));
}

function options(element, columns) {
  const style = getComputedStyle(element);
  const colour = (name) => style.getPropertyValue(name).trim();
  const unit = element.dataset.unit ?? "";
  const labels = (element.dataset.label ?? "").split("|");
  const isBars = element.dataset.chart === "bars";
  const spanS = (columns[0].at(-1) ?? 0) - (columns[0][0] ?? 0);
  const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: `12px ${style.fontFamily}` };
  const { min, max } = element.dataset;
  const range = (_, low, high) => {
    const from = min === undefined ? Math.min(low ?? 0, 0) : Number(min);
    const to = max === undefined ? (high ?? 1) * 1.1 || 1 : Number(max);
    return [from, to];
  };
  // A minute of levels is no line, and its axis would say one time thrice; a bar is whole.
  const [first, last] = [columns[0][0], columns[0].at(-1)];
  const half = isBars && columns[0].length > 1 ? spanS / (columns[0].length - 1) / 2 : 0;
  const wide = (_, from, to) => (first === undefined ? [from, to] : [Math.min(first, last - 1800) - half, last + half]);
  const readout = document.createElement("div");
  readout.className = "readout";
  readout.setAttribute("aria-hidden", "true");
  readout.hidden = true;
  return {
    width: element.clientWidth,
    height: element.clientHeight,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 8 } },
    padding: [12, 12, 0, 0],
    scales: { x: { time: true, range: wide }, y: { range } },
    axes: [
      { ...axis, space: 64, size: 34, values: (_, splits) => splits.map((each) => when(each, spanS)) },
      { ...axis, size: 52, values: (_, splits) => splits.map((each) => `${each}${unit && ` ${unit}`}`) },
    ],
    series: [
      {},
      ...columns.slice(1).map((_, at) => {
        const stroke = colour(COLOURS[at % COLOURS.length]);
        const shared = { label: labels[at] ?? "", stroke, width: 2, points: isBars ? { show: false } : { size: 6, fill: stroke, filter: (plot, index, isShown) => (isShown ? null : alone(plot.data[index])) } };
        return isBars ? { ...shared, fill: `${stroke}`, width: 0, paths: uPlot.paths.bars({ size: [0.6, 40] }) } : { ...shared, fill: `${stroke}1f` };
      }),
    ],
    hooks: {
      init: [(plot) => plot.over.append(readout)],
      setCursor: [(plot) => {
        const at = plot.cursor.idx;
        const known = at !== null && at !== undefined && plot.data.slice(1).some((column) => column[at] !== null);
        readout.hidden = !known;
        if (!known) return;
        const date = new Date(plot.data[0][at] * 1000);
        const values = plot.data.slice(1).map((column, each) => (column[at] === null ? "" : `${labels[each] ? `${labels[each]} ` : ""}${Math.round(column[at] * 100) / 100} ${unit}`.trim()));
        readout.textContent = `${spanS > DAY_S ? `${day(date)} ` : ""}${clock(date)} · ${values.filter(Boolean).join(" · ")}`;
        readout.dataset.side = plot.cursor.left > plot.over.clientWidth / 2 ? "start" : "end";
      }],
    },
  };
}

function charting(element) {
  let plot = null;
  let drawn = "";
  const isNamed = element.hasAttribute("aria-label") || element.hasAttribute("aria-labelledby");
  function draw(isAnew = false) {
    const text = document.getElementById(element.dataset.from)?.dataset.points ?? "";
    if (text === drawn && !isAnew) return;
    drawn = text;
    const columns = columnsOf(element);
    if (!isNamed) element.setAttribute("aria-label", said(element, columns));
    plot?.destroy();
    plot = new uPlot(options(element, columns), columns, element);
  }
  draw();
  element.chart = { draw };
  document.addEventListener("htmx:after:swap", () => { if (element.isConnected) draw(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(true));
  new ResizeObserver(() => {
    if (plot && element.clientWidth && element.clientWidth !== plot.width) plot.setSize({ width: element.clientWidth, height: element.clientHeight });
  }).observe(element);
}

function begin() {
  for (const element of document.querySelectorAll("[data-chart]")) {
    if (!element.chart) charting(element);
  }
}
begin();
document.addEventListener("htmx:after:swap", begin);
