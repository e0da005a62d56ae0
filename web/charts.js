/* Charts of /api/v1/series: what the proxy has kept, so that a page that was just opened shows the past. uPlot draws the lines. */
import { address, get } from "./api.js";
import { h, keyed, setAttr, setText, show } from "./dom.js";
import { listen } from "./feed.js";
import { clock, count, ms, rate, seconds, short } from "./format.js";

const ranges = [
  { seconds: 60, label: "1 min", every: 1000 },
  { seconds: 600, label: "10 min", every: 2000 },
  { seconds: 7200, label: "2 h", every: 10000 },
];

/* One row a chart: columns of the answer, names in the legend, how a value reads. The first column is the value in the head. */
const charts = [
  { id: "throughput", title: "Throughput", columns: ["requests"], names: ["requests"], text: rate },
  { id: "latency", title: "Latency", columns: ["p99_ms", "p95_ms", "p50_ms"], names: ["P99", "P95", "P50"], text: ms, head: 1 },
  { id: "errors", title: "Errors", columns: ["errors", "persist_errors"], names: ["error replies", "not persisted"], text: rate, bad: true },
  { id: "dirty", title: "Keys owed to the other store", columns: ["dirty_keys"], names: ["dirty keys"], text: short },
  { id: "lag", title: "Copy lag", columns: ["copy_lag_s"], names: ["oldest key owed"], text: (v) => (v < 1 ? ms(v * 1000) : seconds(v)) },
  { id: "clients", title: "Clients", columns: ["clients"], names: ["connected"], text: count },
];

/* Events that explain a bend in a line. */
const marked = {
  redis_error: "Redis lost", redis_up: "Redis up", archive_down: "archive down", archive_up: "archive up",
  primary_set: "switch ordered", dual_write_set: "dual writes", took_over: "new process",
};

function markOf(event) {
  if (event.event === "placement") {
    const place = event.fields.to;
    return place === "archive" ? "archive acts" : place === "redis" ? "Redis acts" : null;
  }
  return marked[event.event] ?? null;
}

function marksOf(events) {
  return events.map((event) => ({ at: Date.parse(event.time) / 1000, text: markOf(event) })).filter((mark) => mark.text !== null);
}

/* A custom property as a colour that a canvas takes. */
function colour(name) {
  const probe = h("span", { hidden: true });
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

function drawMarks(chart) {
  return (plot) => {
    const { ctx } = plot;
    ctx.save();
    ctx.setLineDash([4, 4]);
    ctx.strokeStyle = chart.colours.muted;
    for (const mark of chart.marks) {
      const x = Math.round(plot.valToPos(mark.at, "x", true));
      if (x < plot.bbox.left || x > plot.bbox.left + plot.bbox.width) continue;
      ctx.beginPath();
      ctx.moveTo(x, plot.bbox.top);
      ctx.lineTo(x, plot.bbox.top + plot.bbox.height);
      ctx.stroke();
    }
    ctx.restore();
  };
}

/* Behind the lines: the times when the archive acted. */
function drawActing(chart) {
  return (plot) => {
    const { ctx } = plot;
    ctx.save();
    ctx.fillStyle = chart.colours.acting;
    for (const [from, to] of chart.acted) {
      const left = Math.max(plot.bbox.left, plot.valToPos(from, "x", true));
      const right = Math.min(plot.bbox.left + plot.bbox.width, plot.valToPos(to, "x", true));
      if (right > left) ctx.fillRect(left, plot.bbox.top, right - left, plot.bbox.height);
    }
    ctx.restore();
  };
}

/* [[from, to], …] where the archive acted for any policy. */
function actedSpans(doc) {
  const policies = Object.values(doc.acting ?? {});
  const spans = [];
  doc.time.forEach((time, i) => {
    if (!policies.some((column) => column[i] === "archive")) return;
    if (spans.length > 0 && spans[spans.length - 1][1] === time) spans[spans.length - 1][1] = time + doc.step_s;
    else spans.push([time, time + doc.step_s]);
  });
  return spans;
}

/* The columns of an answer behind those that are known already, the newest `most` of each. */
function joined(before, doc, most) {
  const join = (a, b) => [...a, ...b].slice(-most);
  const columns = Object.entries(doc).map(([name, value]) => {
    if (Array.isArray(value)) return [name, join(before[name] ?? [], value)];
    if (name !== "acting") return [name, value];
    return [name, Object.fromEntries(Object.entries(value).map(([policy, column]) => [policy, join(before.acting?.[policy] ?? [], column)]))];
  });
  return Object.fromEntries(columns);
}

class Chart {
  constructor(row) {
    Object.assign(this, { row, marks: [], acted: [], plot: null, data: null });
    this.value = h("span", { class: "value" }, "–");
    this.legend = h("div", { class: "legend" }, ...row.names.map((name, i) => h("span", {}, h("i", { "data-n": row.bad && i === 0 ? "bad" : i }), name)));
    this.none = h("div", { class: "none" }, "Nothing known yet");
    this.box = h("div", { class: "plot" }, this.none);
    this.element = h("figure", { class: "card chart live", role: "img", "aria-label": row.title, "data-chart": row.id },
      h("div", { class: "head" }, h("h3", {}, row.title), this.value), this.box, this.legend);
    this.resizer = new ResizeObserver(() => this.plot?.setSize(this.size()));
    this.resizer.observe(this.box);
  }

  size() {
    return { width: Math.max(120, Math.floor(this.box.clientWidth)), height: 138 };
  }

  options() {
    const lines = ["accent", "accent-2", "accent-3"].map(colour);
    this.colours = { muted: colour("muted"), line: colour("line"), acting: colour("warn-weak") };
    const axis = { stroke: this.colours.muted, font: "11px Inter, system-ui, sans-serif", grid: { stroke: this.colours.line, width: 1 }, ticks: { show: false } };
    const series = this.row.columns.map((name, i) => ({
      stroke: this.row.bad && i === 0 ? colour("bad") : lines[i], width: 1.5, points: { show: false }, spanGaps: false,
      fill: this.row.columns.length === 1 ? colour("accent-weak") : undefined,
    }));
    return {
      ...this.size(), padding: [8, 6, 0, 0], legend: { show: false },
      cursor: { points: { size: 6 }, y: false, drag: { x: false, y: false } },
      scales: { y: { range: (plot, low, high) => [0, high > 0 ? high * 1.12 : 1] } },
      axes: [
        { ...axis, size: 22, space: 70, values: (plot, times) => times.map((time) => clock(time * 1000).slice(0, this.window > 600 ? 5 : 8)) },
        { ...axis, size: 52, space: 34, values: (plot, values) => values.map((value) => this.row.text(value)) },
      ],
      series: [{}, ...series],
      hooks: { drawClear: [drawActing(this)], draw: [drawMarks(this)], setCursor: [(plot) => this.point(plot.cursor.idx)] },
    };
  }

  draw(doc, marks, window) {
    Object.assign(this, { window, marks, acted: actedSpans(doc) });
    this.data = [doc.time, ...this.row.columns.map((name) => doc[name] ?? doc.time.map(() => null))];
    const known = this.data.slice(1).some((column) => column.some((value) => value !== null));
    show(this.none, !known);
    if (this.plot === null) this.plot = new globalThis.uPlot(this.options(), this.data, this.box);
    else this.plot.setData(this.data);
    this.point(this.plot.cursor.idx);
  }

  /* The value at the cursor, or the newest one. */
  point(at) {
    const column = this.data[1 + (this.row.head ?? 0)];
    const newest = column.findLastIndex((value) => value !== null);
    const i = at ?? newest;
    const value = i < 0 ? null : column[i];
    setText(this.value, value === null || value === undefined ? "–" : this.row.text(value));
    const values = this.row.columns.map((name, n) => `${this.row.names[n]} ${this.data[n + 1][newest] == null ? "not known" : this.row.text(this.data[n + 1][newest])}`);
    setAttr(this.element, "aria-label", `${this.row.title}, now: ${values.join(", ")}`);
  }

  /* Colours have changed. */
  redraw() {
    this.plot?.destroy();
    this.plot = this.data === null ? null : new globalThis.uPlot(this.options(), this.data, this.box);
  }

  done() {
    this.resizer.disconnect();
    this.plot?.destroy();
  }
}

/** {element, done()}: the charts with the choice of their range. */
export function chartsPanel() {
  const drawn = charts.map((row) => new Chart(row));
  const marksLine = h("div", { class: "marks" });
  const shaded = h("span", { class: "chip", "data-level": "warn", hidden: true }, "shaded: the archive answered");
  let range = ranges[1];
  let timer = 0;
  let asked = 0;
  let events = [];
  let over = false;
  let known = { time: [] };
  const buttons = ranges.map((one) => h("button", { type: "button", "aria-pressed": one === range ? "true" : "false", onclick: () => choose(one) }, one.label));
  const element = h("section", { "aria-label": "Charts" },
    h("div", { class: "page-head" }, h("h2", {}, "Traffic"), shaded, h("span", { class: "spacer" }), h("div", { class: "segments", role: "group", "aria-label": "Range of the charts" }, ...buttons)),
    h("div", { class: "cols-3" }, ...drawn.map((chart) => chart.element)), marksLine);

  async function refresh() {
    clearTimeout(timer);
    try {
      if (!document.hidden) await extend(++asked);
    } catch (problem) {
      if (problem.status === undefined) throw problem; /* the head line tells that nobody answers */
    }
    if (!over) timer = setTimeout(refresh, range.every);
  }

  /* An answer counts only where it was the last that was asked for: an older one belongs behind what is not known any more. */
  async function extend(mine) {
    const doc = await get(address("/api/v1/series", { seconds: range.seconds, since: known.time.at(-1) }));
    if (over || mine !== asked) return;
    known = joined(known, doc, range.seconds / doc.step_s);
    draw(known);
  }

  function draw(doc) {
    const marks = marksOf(events).filter((mark) => mark.at >= (doc.time[0] ?? 0));
    for (const chart of drawn) chart.draw(doc, marks, range.seconds);
    show(shaded, actedSpans(doc).length > 0);
    keyed(marksLine, marks.slice(-6), (mark) => `${mark.at} ${mark.text}`, (mark) => h("span", {}, `┆ ${clock(mark.at * 1000)} ${mark.text}`));
  }

  function choose(one) {
    range = one;
    known = { time: [] };
    buttons.forEach((button, i) => setAttr(button, "aria-pressed", ranges[i] === range ? "true" : "false"));
    refresh();
  }

  const recolour = () => drawn.forEach((chart) => chart.redraw());
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const stop = listen((snapshot) => (events = snapshot.events));
  document.addEventListener("themechange", recolour);
  dark.addEventListener("change", recolour);
  refresh();
  return {
    element,
    done() {
      over = true;
      clearTimeout(timer);
      stop();
      document.removeEventListener("themechange", recolour);
      dark.removeEventListener("change", recolour);
      drawn.forEach((chart) => chart.done());
    },
  };
}
