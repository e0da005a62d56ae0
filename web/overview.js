/* The first page: policies, both stores, charts, the newest events. */
import { chartsPanel } from "./charts.js";
import { empty, factList, h, keyed, setChip, setText, show } from "./dom.js";
import { eventRow } from "./events.js";
import { NONE, bytes, capital, count, moment, ms, rate, seconds, things } from "./format.js";
import { policyCard } from "./switches.js";

function hitsText(redis) {
  const asked = redis.keyspaceHits + redis.keyspaceMisses;
  return asked > 0 ? `${((100 * redis.keyspaceHits) / asked).toFixed(1)} %` : NONE;
}

function redisFacts(redis, state) {
  return [
    ["P50", ms(redis.latencyMs.p50)], ["P95", ms(redis.latencyMs.p95)], ["P99", ms(redis.latencyMs.p99)],
    ["Memory", redis.maxMemory > 0 ? `${bytes(redis.usedMemory)} of ${bytes(redis.maxMemory)}` : bytes(redis.usedMemory)],
    ["When full", redis.maxMemoryPolicy ?? "not known"],
    ["Log on disk", redis.appendOnly ? "yes" : "no (appendonly no)"],
    ["Connections", `${count(state.upstream.open)}, ${count(state.upstream.lost)} lost`],
    ["Clock", `${redis.clockOffsetMs > 0 ? "+" : ""}${ms(redis.clockOffsetMs ?? 0)}`],
    ["Hits", hitsText(redis)],
    [redis.up ? "Up since" : "Down since", moment(redis.since)],
  ];
}

function archiveFacts(archive, state) {
  return [
    ["P50", ms(archive.latencyMs?.p50)], ["P95", ms(archive.latencyMs?.p95)], ["P99", ms(archive.latencyMs?.p99)],
    ["Documents", count(archive.documents)],
    ["Size", bytes(archive.bytes)],
    ["Waiting", count(archive.queue === undefined ? undefined : archive.queue.waiting + archive.queue.ready)],
    ["Commands", count(archive.commands)], ["Failed", count(archive.failed)],
    ["Owed to it", state.sync?.dirtyKeys === undefined ? NONE : things(state.sync.dirtyKeys, "key")],
    ["Copy lag", seconds(state.sync?.copyLagSeconds)],
  ];
}

/* What is still true of a store that does not answer; all else would be a number of the past. */
const lasting = ["Down since", "Documents", "Owed to it", "Copy lag", "Waiting", "Failed"];

function trueNow(up, facts) {
  return up ? facts : facts.map(([name, text]) => [name, lasting.includes(name) ? text : NONE]);
}

function storeCard(title, store, factsOf) {
  const status = h("span", { class: "chip" });
  const why = h("p", { class: "note", "data-level": "bad", hidden: true });
  const where = h("span", { class: "small muted mono" });
  const facts = factList();
  const element = h("section", { class: "card live", "aria-label": title, "data-store-card": store },
    h("header", {}, h("h2", {}, title), status, h("span", { class: "spacer" }), where),
    h("div", { class: "body stack" }, why, facts.element));
  return {
    element,
    update(state) {
      const doc = state[store];
      const known = store !== "redis" || doc.known;
      setChip(status, known ? (doc.up ? "up" : "down") : "not asked yet", known ? (doc.up ? "ok" : "bad") : null);
      setText(where, [doc.kind, doc.version, doc.role === "master" ? null : doc.role, doc.url].filter(Boolean).join(" · "));
      setText(why, doc.up ? doc.faults ?? "" : capital(doc.error ?? "no reason is known"));
      show(why, !doc.up || Boolean(doc.faults));
      facts.set(trueNow(doc.up, factsOf(doc, state)));
    },
  };
}

/* Requests a second, between two snapshots. */
function meter() {
  let before = null;
  let value = null;
  return (state, at) => {
    if (before !== null && at > before.at && before.pid === state.pid) value = ((state.traffic.requests - before.requests) * 1000) / (at - before.at);
    if (before === null || at > before.at) before = { at, requests: state.traffic.requests, pid: state.pid };
    return value;
  };
}

function processFacts() {
  const perSecond = meter();
  const facts = factList();
  const element = h("section", { class: "card live", "aria-label": "The proxy" },
    h("header", {}, h("h2", {}, "The proxy")), h("div", { class: "body" }, facts.element));
  return {
    element,
    update(state, at) {
      facts.set([
        ["Up for", seconds(state.uptimeSeconds)], ["Clients", `${count(state.clients.connected)} of ${count(state.clients.max)}`],
        ["Requests", rate(perSecond(state, at))], ["Memory", bytes(state.residentBytes)],
        ["Waiting requests", count(state.sync?.heldRequests)], ["Not persisted", count(state.persistErrors)],
        ["Listens on", state.listen.join(", ")], ["Threads", count(state.threads)],
      ]);
    },
  };
}

export function overviewPage(root) {
  const policies = h("div", { class: "stack" });
  const cards = new Map();
  const stores = [storeCard("Redis", "redis", redisFacts), storeCard("Archive", "archive", archiveFacts)];
  const own = processFacts();
  const charts = chartsPanel();
  const events = h("div", {});
  const none = empty("Nothing has happened yet", "Switches, failovers, moves and settings that change appear here.");
  root.append(h("div", { class: "stack" },
    policies, h("div", { class: "cols-2" }, ...stores.map((card) => card.element)), charts.element, own.element,
    h("section", { class: "card flush live" }, h("header", {}, h("h2", {}, "Recent events"), h("span", { class: "spacer" }), h("a", { href: "#events" }, "All events")),
      h("div", { class: "body" }, none, events))));
  return {
    update(snapshot) {
      const { state } = snapshot;
      if (state === null) return;
      keyed(policies, state.policies, (policy) => policy.name, (policy) => {
        const made = policyCard(policy.name);
        cards.set(policy.name, made);
        return made.element;
      }, (element, policy) => cards.get(policy.name).update(policy, state));
      stores.forEach((card) => card.update(state));
      own.update(state, snapshot.at);
      show(none, snapshot.events.length === 0);
      keyed(events, snapshot.events.slice(-8).reverse(), (event) => event.id, eventRow);
    },
    done: () => charts.done(),
  };
}
