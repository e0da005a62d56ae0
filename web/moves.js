/* Moves: backfill, drain, verify, TTL audit. Ordering, progress, abort, what was found. */
import { get, post } from "./api.js";
import { confirmDialog, toast } from "./dialogs.js";
import { empty, h, keyed, problemLine, setAttr, setChip, setText, show } from "./dom.js";
import { capital, count, moment, rate, seconds, things } from "./format.js";

const EVERY_MS = 1000;

/* What each order does; `found` says what one key is that it counts, and several; `repairs` what its repair changes, and what that means. */
const kinds = {
  backfill: { title: "Backfill", does: "Marks every key of Redis, so that all are copied to the archive." },
  drain: { title: "Drain", does: "Carries every key that is owed to the other store." },
  verify: {
    title: "Verify", deep: true, does: "Compares both stores, key by key. Nothing is changed.",
    found: ["key that differs", "keys that differ"],
    repairs: "Each key that differs is made in the archive what Redis holds.",
    undo: "what the archive held before a repair is not kept; export it first if it may be the better one.",
  },
  "ttl-audit": {
    title: "TTL audit", does: "Looks for keys without an expiry. Nothing is changed.",
    found: ["key without an expiry", "keys without an expiry"],
    repairs: "Each key without an expiry gets the policy's, counted from now.",
    undo: "PERSIST KEY takes the expiry of a key away again.",
  },
  tier: {
    title: "Tiers", does: "Takes unused keys out of Redis and brings wanted ones back, by the rules of the policy's tiers.",
    found: ["key that changed its tier", "keys that changed their tier"],
  },
};

const stateLevels = { running: "accent", done: "ok", failed: "bad", aborted: "warn", interrupted: "warn" };
const runs = (move) => move.state === "running" || move.state === "waiting";

function orderText(move) {
  return [kinds[move.kind]?.title ?? move.kind, move.deep ? "deep" : null, move.repair ? "with repair" : null].filter(Boolean).join(", ");
}

function numbersOf(move) {
  const total = move.total === undefined ? "" : ` of ${count(move.total)}`;
  return [
    `${count(move.done)}${total} keys`,
    runs(move) ? rate(move.keysPerSecond) : null,
    runs(move) && move.etaSeconds !== undefined ? `${seconds(move.etaSeconds)} left` : null,
    move.rate > 0 ? `at most ${count(move.rate)}/s` : null,
    move.found > 0 || kinds[move.kind]?.found !== undefined ? `${count(move.found)} found` : null,
    move.repair ? `${count(move.repaired)} repaired` : null,
    move.startedAt ? `began ${moment(move.startedAt)}` : null,
    move.endedAt ? `ended ${moment(move.endedAt)}` : null,
  ].filter(Boolean);
}

function foundText(move) {
  const words = kinds[move.kind]?.found ?? ["key found", "keys found"];
  return `${things(move.found, ...words)}${move.repair ? `, ${count(move.repaired)} repaired` : ""}:`;
}

function wantsRepair(move) {
  return !runs(move) && move.found > move.repaired && kinds[move.kind]?.repairs !== undefined;
}

/* ---- ordering ---- */

async function order(body) {
  const move = await post("/api/v1/moves", body);
  toast(`${kinds[body.kind].title} ${move.id} is ordered.`);
}

function askRepair(body, after) {
  const kind = kinds[body.kind];
  const rateText = body.rate > 0 ? `At most ${count(body.rate)} keys a second.` : "At the rate of the setting sync.rate.";
  confirmDialog({
    title: `${kind.title} of ${body.policy} with repair?`,
    will: ["All keys of the policy are looked at, beside the traffic.", kind.repairs, rateText],
    undo: kind.undo,
    action: "Repair",
    danger: body.kind === "verify",
    act: async () => {
      await order(body);
      after();
    },
  });
}

/* Repairs ask first; all others change nothing that was not owed already. */
async function submit(body, problem, after) {
  problem.tell();
  if (body.repair) return askRepair(body, after);
  try {
    await order(body);
    after();
  } catch (failure) {
    problem.tell(failure.message);
  }
}

function moveForm(policies, after) {
  const kind = h("select", { name: "kind" }, ...Object.entries(kinds).map(([name, { title }]) => h("option", { value: name }, title)));
  const policy = h("select", { name: "policy" }, ...policies.map((name) => h("option", { value: name }, name)));
  const rateInput = h("input", { name: "rate", type: "number", min: "1", step: "1", placeholder: "sync.rate", inputmode: "numeric" });
  const deep = h("label", { class: "check" }, h("input", { type: "checkbox", name: "deep" }), "Contents too (deep)");
  const repair = h("label", { class: "check" }, h("input", { type: "checkbox", name: "repair" }), "Repair what is found");
  const does = h("p", { class: "muted" });
  const problem = problemLine();

  function adapt() {
    const row = kinds[kind.value];
    show(deep, row.deep === true);
    show(repair, row.repairs !== undefined);
    setText(does, repair.firstChild.checked && row.repairs ? row.repairs : row.does);
  }

  function read() {
    const row = kinds[kind.value];
    const body = { kind: kind.value, policy: policy.value };
    if (row.deep) body.deep = deep.firstChild.checked;
    if (row.repairs) body.repair = repair.firstChild.checked;
    if (rateInput.value !== "") body.rate = Number(rateInput.value);
    return body;
  }

  const form = h("form", { class: "stack", onchange: adapt, onsubmit: (event) => {
    event.preventDefault();
    submit(read(), problem, after);
  } },
  h("div", { class: "move-form" },
    h("label", { class: "field" }, "Order", kind), h("label", { class: "field" }, "Policy", policy),
    h("label", { class: "field" }, "Keys a second, at most", rateInput), h("button", { type: "submit", class: "primary" }, "Start")),
  h("div", { class: "row" }, does, deep, repair), problem);
  adapt();
  return form;
}

/* ---- the list ---- */

function askAbort(move, after) {
  confirmDialog({
    title: `Abort ${kinds[move.kind]?.title ?? move.kind} ${move.id} of ${move.policy}?`,
    will: [`It ends after ${numbersOf(move)[0]}. What was done stays done.`],
    undo: "resume it: it goes on where it was.",
    action: "Abort", danger: true,
    act: async () => {
      await post("/api/v1/moves/abort", { id: move.id });
      toast(`Move ${move.id} is aborted.`);
      after();
    },
  });
}

function askResume(move, after) {
  confirmDialog({
    title: `Resume ${kinds[move.kind]?.title ?? move.kind} ${move.id} of ${move.policy}?`,
    will: [`It goes on after ${numbersOf(move)[0]}.`],
    undo: "abort it.",
    action: "Resume",
    act: async () => {
      await post("/api/v1/moves/resume", { id: move.id });
      toast(`Move ${move.id} goes on.`);
      after();
    },
  });
}

/* The proxy refuses it when there is a newer one of its kind, and says so. */
const canResume = (move) => ["aborted", "failed", "interrupted"].includes(move.state);

function moveRow(first, after) {
  let move = first;
  const state = h("span", { class: "chip" });
  const title = h("strong");
  const abort = h("button", { type: "button", "data-action": "abort", onclick: () => askAbort(move, after) }, "Abort");
  const resume = h("button", { type: "button", "data-action": "resume", onclick: () => askResume(move, after) }, "Resume");
  const repair = h("button", { type: "button", "data-action": "repair",
    onclick: () => askRepair({ kind: move.kind, policy: move.policy, deep: move.deep, repair: true }, after) }, "Repair");
  const bar = h("progress", { max: 1 });
  const numbers = h("div", { class: "numbers" });
  const why = h("p", { class: "note" });
  const found = h("div", { class: "keys-inline" });
  const element = h("article", { class: "move" }, h("div", { class: "line" }, title, state, h("span", { class: "spacer" }), repair, resume, abort), bar, numbers, why, found);
  element.redraw = (now) => {
    move = now;
    setText(title, `${orderText(move)} · ${move.policy} · #${move.id}`);
    setChip(state, move.state, stateLevels[move.state]);
    setAttr(element, "data-state", move.state);
    show(abort, runs(move));
    setAttr(abort, "aria-label", `Abort move ${move.id}`);
    show(resume, canResume(move));
    setAttr(resume, "aria-label", `Resume move ${move.id}`);
    show(repair, wantsRepair(move));
    setAttr(repair, "aria-label", `Repair what move ${move.id} has found`);
    show(bar, runs(move));
    setAttr(bar, "aria-label", `Progress of move ${move.id}`);
    setAttr(bar, "value", move.total > 0 ? Math.min(1, move.done / move.total) : null);
    keyed(numbers, numbersOf(move), (text) => text.replace(/[\d.,]+/g, "#"), () => h("span"), setText);
    setText(why, capital(move.why ?? ""));
    show(why, Boolean(move.why));
    drawFound(found, move);
  };
  return element;
}

function drawFound(parent, move) {
  show(parent, move.found > 0);
  if (move.found === 0) return;
  const more = move.found > move.examples.length ? [{ text: `and ${count(move.found - move.examples.length)} more` }] : [];
  const items = [{ text: foundText(move) }, ...move.examples.map((key) => ({ text: key, key })), ...more];
  keyed(parent, items, (item) => item.text, ({ text, key }) =>
    key === undefined ? h("span", { class: "muted" }, text) : h("a", { href: `#conversations/${encodeURIComponent(key)}`, class: "mono" }, text));
}

export function movesPage(root) {
  const formBody = h("div", { class: "body" });
  const list = h("div", { class: "live" });
  const none = empty("No move was ordered yet", "A verify compares both stores; a TTL audit finds keys that would stay for ever.");
  let timer = 0;
  let over = false;
  let named = "";
  root.append(h("div", { class: "page-head" }, h("h2", {}, "Moves"), h("span", { class: "muted small" }, "Long work on all keys of a policy, one at a time, beside the traffic")),
    h("div", { class: "stack" },
      h("section", { class: "card" }, h("header", {}, h("h2", {}, "Order one")), formBody),
      h("section", { class: "card flush" }, h("header", {}, h("h2", {}, "The newest 32")), h("div", { class: "body" }, none, list))));

  async function refresh() {
    clearTimeout(timer);
    try {
      if (!document.hidden) draw((await get("/api/v1/moves")).moves);
    } catch (problem) {
      if (problem.status === undefined) throw problem;
    }
    if (!over) timer = setTimeout(refresh, EVERY_MS);
  }

  function draw(moves) {
    show(none, moves.length === 0);
    keyed(list, moves, (move) => move.id, (move) => moveRow(move, refresh), (element, move) => element.redraw(move));
  }

  refresh();
  return {
    update({ state }) {
      const names = state === null ? [] : state.policies.map((policy) => policy.name);
      if (names.join() === named) return;
      named = names.join();
      formBody.replaceChildren(moveForm(names, refresh));
    },
    done() {
      over = true;
      clearTimeout(timer);
    },
  };
}
