/* Commands and clients: what is asked, how often, how long it takes. */
import { empty, factList, h, keyed, setAttr, setText, show } from "./dom.js";
import { bytes, count, ms, rate } from "./format.js";

const columns = [
  { name: "name", title: "Command", value: (row) => row.name, text: (v) => v.toUpperCase() },
  { name: "perSecond", title: "Now", value: (row) => row.perSecond, text: rate },
  { name: "calls", title: "Calls", value: (row) => row.calls, text: count },
  { name: "errors", title: "Errors", value: (row) => row.errors, text: count },
  { name: "mean", title: "Mean time", value: (row) => (row.calls > 0 ? (row.seconds * 1000) / row.calls : 0), text: ms },
  { name: "seconds", title: "Total time", value: (row) => row.seconds * 1000, text: ms },
];

/* Calls a second of each command, between two snapshots. */
function meters() {
  let before = { at: 0, pid: null, calls: new Map() };
  let rates = new Map();
  return (state, at) => {
    if (at > before.at) {
      const passed = (at - before.at) / 1000;
      const calls = new Map(state.commands.map((row) => [row.name, row.calls]));
      if (before.pid === state.pid) rates = new Map([...calls].map(([name, n]) => [name, (n - (before.calls.get(name) ?? 0)) / passed]));
      before = { at, pid: state.pid, calls };
    }
    return state.commands.map((row) => ({ ...row, perSecond: rates.get(row.name) }));
  };
}

function sorted(rows, by, falling) {
  const sign = falling ? -1 : 1;
  const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b) : (a ?? 0) - (b ?? 0));
  return [...rows].sort((a, b) => sign * compare(by.value(a), by.value(b)) || a.name.localeCompare(b.name));
}

function clientFacts(state) {
  const { clients, traffic } = state;
  return [
    ["Connected", `${count(clients.connected)} of ${count(clients.max)}`], ["Accepted", count(clients.accepted)], ["Closed", count(clients.closed)],
    ["Refused", count(clients.refused)], ["Closed for output", count(clients.closedForOutput)], ["Requests", count(traffic.requests)],
    ["Read", bytes(traffic.bytesIn)], ["Written", bytes(traffic.bytesOut)], ["Protocol errors", count(traffic.protocolErrors)],
    ["Buffered", bytes(traffic.bufferedBytes)], ["Redis connections", `${count(state.upstream.open)}, ${count(state.upstream.pinned)} lent`], ["Timeouts", count(state.upstream.timeouts)],
  ];
}

export function trafficPage(root) {
  let by = columns[2];
  let falling = true;
  let latest = null;
  const measured = meters();
  const clients = factList();
  const body = h("tbody");
  const none = empty("No command yet", "Point a client at the proxy, and its commands appear here.");
  const heads = columns.map((column) => h("th", { scope: "col", class: column.name === "name" ? null : "num" }, h("button", { type: "button", onclick: () => sortBy(column) }, column.title)));
  const table = h("div", { class: "table-wrap", tabindex: "0", role: "group", "aria-label": "Commands" }, h("table", {}, h("thead", {}, h("tr", {}, ...heads)), body));
  root.append(h("div", { class: "page-head" }, h("h2", {}, "Clients and commands")),
    h("div", { class: "stack" },
      h("section", { class: "card live" }, h("header", {}, h("h2", {}, "Clients")), h("div", { class: "body" }, clients.element)),
      h("section", { class: "card flush live" }, h("header", {}, h("h2", {}, "Commands since the start")), h("div", { class: "body" }, none, table))));

  function sortBy(column) {
    falling = column === by ? !falling : column.name !== "name";
    by = column;
    draw();
  }

  function draw() {
    if (latest?.state == null) return;
    const rows = sorted(measured(latest.state, latest.at), by, falling);
    columns.forEach((column, i) => setAttr(heads[i], "aria-sort", column === by ? (falling ? "descending" : "ascending") : null));
    show(none, rows.length === 0);
    show(table, rows.length > 0);
    keyed(body, rows, (row) => row.name, () => h("tr", {}, ...columns.map((column) => h("td", { class: column.name === "name" ? "mono" : "num" }))),
      (element, row) => columns.forEach((column, i) => setText(element.children[i], column.text(column.value(row)))));
    clients.set(clientFacts(latest.state));
  }

  return {
    update(snapshot) {
      latest = snapshot;
      draw();
    },
  };
}
