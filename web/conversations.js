/* Conversations: find keys, see what each store holds of one, side by side. */
import { address, get } from "./api.js";
import { empty, h, keyed, setAttr, setText, show } from "./dom.js";
import { things } from "./format.js";
import { pageText, sidesGrid } from "./sides.js";

const KEYS = 50;
const ITEMS = 50;

/* ---- the list of keys ---- */

function keyList(choose) {
  const input = h("input", { type: "search", value: "*", "aria-label": "Pattern of keys", autocomplete: "off", spellcheck: "false" });
  const status = h("span", { class: "small muted", role: "status" });
  const problem = h("p", { class: "problem", role: "alert", hidden: true });
  const list = h("div", { class: "keys" });
  const none = empty("No such key", "* stands for anything, ? for one character.");
  const more = h("button", { type: "button", hidden: true, onclick: () => load(true) }, "More keys");
  let keys = [];
  let cursor = "0";
  let current = "";
  let asked = 0;

  async function load(further) {
    const mine = ++asked;
    try {
      const doc = await get(address("/api/v1/keys", { match: input.value, cursor: further ? cursor : "0", count: KEYS }));
      if (mine !== asked) return;
      cursor = String(doc.cursor);
      keys = [...new Set([...(further ? keys : []), ...doc.keys.map((key) => (typeof key === "string" ? key : key.key))])];
      show(problem, false);
      setText(status, [things(keys.length, "key") + (cursor === "0" ? "" : " so far"), ...(doc.warnings ?? [])].join(" · "));
      draw();
    } catch (failure) {
      if (failure.status === undefined) throw failure;
      setText(problem, failure.message);
      show(problem, true);
    }
  }

  function draw() {
    show(none, keys.length === 0);
    show(more, cursor !== "0");
    keyed(list, keys, (key) => key, (key) => h("button", { type: "button", onclick: () => choose(key) }, key === "" ? "(empty name)" : key),
      (element, key) => setAttr(element, "aria-current", key === current ? "true" : null));
  }

  load(false);
  return {
    element: h("section", { class: "card flush", "aria-label": "Keys" },
      h("form", { class: "body stack", onsubmit: (event) => { event.preventDefault(); load(false); } },
        h("div", { class: "row key-search" }, input, h("button", { type: "submit" }, "Find"), status), problem),
      none, list, h("div", { class: "row key-more" }, more)),
    select(key) {
      current = key;
      draw();
    },
  };
}

/* ---- one conversation ---- */

const verdicts = {
  equal: ["Both stores hold the same", "ok"],
  pending: ["A copy is on its way", "accent"],
  different: ["The stores differ", "warn"],
  unknown: ["Only one store can be asked", null],
};

function verdictOf(doc) {
  if (doc.redis.down !== undefined || doc.archive.down !== undefined) return "unknown";
  return doc.equal ? "equal" : doc.pending ? "pending" : "different";
}

function total(doc) {
  return Math.max(doc.redis.length ?? 0, doc.archive.length ?? 0);
}

function conversation(key) {
  let from = null;
  const head = h("h2", { class: "mono" }, key);
  const verdict = h("span", { class: "chip", role: "status" });
  const facts = h("span", { class: "small muted" });
  const differences = h("ul", { class: "reasons", hidden: true });
  const problem = h("p", { class: "problem", role: "alert", hidden: true });
  const grid = h("div");
  const range = h("span", { class: "small muted" });
  const older = h("button", { type: "button", onclick: () => load(Math.max(0, (from ?? 0) - ITEMS)) }, "Earlier");
  const newer = h("button", { type: "button", onclick: () => load((from ?? 0) + ITEMS) }, "Later");
  const again = h("button", { type: "button", onclick: () => load(from) }, "Refresh");
  let over = false;

  async function load(wanted) {
    try {
      const doc = await get(address("/api/v1/conversation", { key, from: wanted ?? undefined, count: ITEMS }));
      if (over) return;
      from = doc.from ?? wanted ?? 0;
      show(problem, false);
      draw(doc);
    } catch (failure) {
      if (failure.status === undefined) throw failure;
      setText(problem, failure.message);
      show(problem, true);
    }
  }

  function draw(doc) {
    const [text, level] = verdicts[verdictOf(doc)];
    const shown = Math.max(doc.redis.items?.length ?? 0, doc.archive.items?.length ?? 0);
    setText(verdict, text);
    setAttr(verdict, "data-level", level);
    setText(facts, [doc.type, `policy ${doc.policy}`].filter(Boolean).join(" · "));
    const told = doc.equal ? [] : (doc.differences ?? []);
    differences.replaceChildren(...told.map((line) => h("li", {}, line)));
    show(differences, told.length > 0);
    setText(range, pageText(from, shown, total(doc)));
    show(older, from > 0);
    show(newer, from + shown < total(doc));
    grid.replaceChildren(sidesGrid(["Redis", doc.redis], ["Archive", doc.archive]));
  }

  load(null);
  return {
    element: h("section", { class: "card live", "aria-label": `Conversation ${key}` },
      h("header", {}, head, verdict, facts, h("span", { class: "spacer" }), range, older, newer, again),
      h("div", { class: "body stack" }, problem, differences, grid)),
    done: () => (over = true),
  };
}

export function conversationsPage(root, first) {
  const detail = h("div");
  let shown = null;
  const list = keyList((key) => (location.hash = `#conversations/${encodeURIComponent(key)}`));
  root.append(h("div", { class: "page-head" }, h("h2", {}, "Conversations"), h("span", { class: "muted small" }, "What each store holds of a managed key")),
    h("div", { class: "split" }, list.element, detail));

  function go(key) {
    shown?.done();
    shown = key === "" ? null : conversation(key);
    detail.replaceChildren(shown === null ? h("section", { class: "card" }, empty("Choose a key", "Its messages in Redis and in the archive appear side by side.")) : shown.element);
    list.select(key);
  }

  go(first);
  return { update() {}, go, done: () => shown?.done() };
}
