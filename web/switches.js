/* Primary and dual-write switches: a dialog that says what will happen, then the steps until it has. */
import { get, post } from "./api.js";
import { ofDualWrite, ofPrimary } from "./consequences.js";
import { closeButton, confirmDialog, refill, toast } from "./dialogs.js";
import { h, sentences, setAttr, setText, show } from "./dom.js";
import { hurry, listen } from "./feed.js";
import { capital, ms, seconds, storeName } from "./format.js";

const WATCH_MS = 60000;

/* The places of router/place.def on the way to each store, in order; the last one is the goal. */
const ways = {
  archive: [
    ["drain", "Redis answers; what the archive lacks is carried there"],
    ["leave", "Requests wait for the last writes"],
    ["archive", "The archive answers"],
  ],
  redis: [
    ["claim", "The archive answers; Redis is made ready"],
    ["return", "Requests wait for the archive's last ones"],
    ["catchup", "Redis answers; keys are handed to it"],
    ["redis", "Redis has every key"],
  ],
};
/* Places beside the way, by the step they amount to. */
const detours = { archive: { lose: "leave", settle: "leave" }, redis: { first: "claim", start: "claim" } };

function stepAt(store, place) {
  const wanted = detours[store][place] ?? place;
  return ways[store].findIndex(([name]) => name === wanted);
}

function find(state, name) {
  return state?.policies.find((policy) => policy.name === name);
}

function handedText(state) {
  const pass = state.sync?.catchup;
  return pass === undefined ? "" : ` (${pass.done} of ${pass.total})`;
}

/* What the dialog says while the stores change places. */
function waitsFor(state, policy, store) {
  const target = store === "redis" ? state.redis : state.archive;
  if (!target.up) return `${capital(storeName(store))} is down (${target.error ?? "no reason given"}): the switch happens when it is back.`;
  return policy.why ? `${capital(policy.why)}.` : "";
}

/* Follows one switch from snapshot to snapshot. */
class Watch {
  constructor(dialog, name, store, warnings) {
    Object.assign(this, { dialog, name, store, began: performance.now(), over: false });
    this.items = ways[store].map(([, text]) => h("li", { "data-at": "next" }, text));
    this.status = h("p", { role: "status", "aria-live": "polite", class: "note" }, "Ordered.");
    const told = warnings.map((text) => h("p", { class: "note", "data-level": "warn" }, text));
    refill(dialog, [h("ol", { class: "will" }, ...this.items), this.status, ...told], [closeButton(dialog, "Close; it goes on")]);
    this.button = dialog.querySelector("footer button");
    this.stop = listen((snapshot) => this.look(snapshot));
    dialog.addEventListener("close", () => this.stop());
    hurry(WATCH_MS);
  }

  look(snapshot) {
    const policy = find(snapshot.state, this.name);
    if (this.over || policy === undefined) return;
    if (snapshot.problem !== null) return setText(this.status, "The proxy does not answer; the order stands.");
    const at = stepAt(this.store, policy.place);
    const goal = ways[this.store].length - 1;
    this.items.forEach((item, i) => {
      setAttr(item, "data-at", i < at || at === goal ? "done" : i === at ? "now" : "next");
      const more = ways[this.store][i][0] === "catchup" && i === at ? handedText(snapshot.state) : "";
      setText(item, ways[this.store][i][1] + more);
    });
    if (at === goal && policy.primary === this.store) this.end(policy);
    else setText(this.status, waitsFor(snapshot.state, policy, this.store));
  }

  end(policy) {
    this.over = true;
    const took = seconds((performance.now() - this.began) / 1000);
    const back = storeName(this.store === "redis" ? "archive" : "redis");
    setText(this.status, `Done in ${took}. Requests waited ${ms(policy.lastPauseMs)}. To undo: make ${back} the primary again.`);
    setAttr(this.status, "data-level", "ok");
    setText(this.button, "Close");
    hurry(0);
  }
}

/* What a dialog says is of this moment, not of the last snapshot. null: nobody answers, which the head tells. */
async function stateNow() {
  try {
    return await get("/api/v1/state");
  } catch (failure) {
    if (failure.status === undefined) throw failure;
    toast(failure.message, "bad");
    return null;
  }
}

/** Asks, switches, and shows the steps. */
async function switchPrimary(name, store) {
  const state = await stateNow();
  const policy = find(state, name);
  if (policy === undefined) return;
  const stays = policy.acting === store;
  confirmDialog({
    title: stays ? `Keep ${storeName(store)} for ${name}?` : `Let ${storeName(store)} answer ${name}?`,
    ...ofPrimary(state, policy, store),
    action: stays ? `Keep ${storeName(store)}` : `Switch to ${storeName(store)}`,
    act: async (dialog) => {
      const done = await post("/api/v1/primary", { policy: name, store: store === "redis" ? "redis" : "mongo" });
      new Watch(dialog, name, store, done.warnings ?? []);
      return "stay";
    },
  });
}

/** Asks, and switches dual writes. */
async function switchDualWrite(name, on) {
  const state = await stateNow();
  const policy = find(state, name);
  if (policy === undefined) return;
  confirmDialog({
    title: `Switch dual writes of ${name} ${on ? "on" : "off"}?`,
    ...ofDualWrite(state, policy, on),
    action: on ? "Switch on" : "Switch off",
    danger: !on,
    act: async () => {
      const done = await post("/api/v1/dual-write", { policy: name, on });
      hurry(2000);
      toast(on ? `Dual writes of ${name} are on${done.backfill ? `; backfill ${done.backfill} copies the rest` : ""}.` : `Dual writes of ${name} are off.`);
    },
  });
}

/* ---- the card of a policy ---- */

function sideOf(store, onclick) {
  const role = h("span", { class: "role" });
  const name = h("strong", {}, capital(storeName(store)));
  const detail = h("span", { class: "small muted" });
  const button = h("button", { type: "button", onclick, "data-action": `primary-${store}` });
  const element = h("div", { class: "side", "data-store": store }, h("div", {}, role, name, detail), button);
  return {
    element,
    update(policy, target) {
      const acts = policy.acting === store;
      setAttr(element, "data-acting", acts ? "yes" : "no");
      setAttr(element, "data-up", target.up ? "yes" : "no");
      setText(role, acts ? (policy.primary === store ? "answers, as wanted" : "answers for now") : policy.primary === store ? "wanted" : "stands by");
      setText(detail, target.up ? `up · ping ${ms(target.latencyMs?.ping)}` : `down: ${target.error ?? "no reason given"}`);
      setText(button, acts ? `Keep ${storeName(store)}` : `Let ${storeName(store)} answer`);
      setAttr(button, "aria-label", acts ? `Keep ${storeName(store)} for ${policy.name}` : `Let ${storeName(store)} answer ${policy.name}`);
      show(button, !acts || policy.primary !== store);
    },
  };
}

const promiseLevels = { both: "ok", archive: "ok", archived: "warn", redis: "warn", none: "bad" };

/** {element, update(policy, state)}: who answers, what is promised, and the switches. */
export function policyCard(name) {
  const sides = [sideOf("redis", () => switchPrimary(name, "redis")), sideOf("archive", () => switchPrimary(name, "archive"))];
  const arrow = h("span", { class: "arrow" });
  const match = h("code", { class: "muted" });
  const level = h("span", { class: "chip" });
  const promise = h("span", {});
  const reasons = h("ul", { class: "reasons" });
  const phase = h("span", { class: "small muted" });
  let on = true;
  const dual = h("button", { type: "button", role: "switch", "aria-checked": "true", "data-action": "dual-write",
    onclick: () => switchDualWrite(name, !on) }, "Dual writes");
  const element = h("section", { class: "card live", "aria-label": `Policy ${name}` },
    h("header", {}, h("h2", {}, name), match, h("span", { class: "spacer" }), dual),
    h("div", { class: "body stack" },
      h("div", { class: "policy-line" }, sides[0].element, arrow, sides[1].element),
      h("div", { class: "promise" }, level, promise), reasons, phase));
  return {
    element,
    update(policy, state) {
      on = policy.dualWriteWanted;
      setText(match, policy.settings.match);
      sides[0].update(policy, state.redis);
      sides[1].update(policy, state.archive);
      setText(arrow, policy.dualWrite ? "copies ⇄" : "no copies");
      setAttr(dual, "aria-checked", on);
      setText(level, `promise: ${policy.guarantee.level}`);
      setAttr(level, "data-level", promiseLevels[policy.guarantee.level]);
      setText(promise, capital(policy.guarantee.promise));
      sentences(reasons, policy.guarantee.loweredBy);
      show(reasons, policy.guarantee.loweredBy.length > 0);
      setText(phase, phaseText(policy));
    },
  };
}

function phaseText(policy) {
  const since = policy.since ? `since ${new Date(policy.since).toLocaleString("en-GB")}` : "";
  const failovers = policy.failovers > 0 ? ` · failovers ${policy.failovers} · longest pause ${ms(policy.longestPauseMs)}` : "";
  return `Phase ${policy.phase ?? "unknown"} ${since}${failovers}${policy.why ? ` · ${policy.why}` : ""}`;
}
