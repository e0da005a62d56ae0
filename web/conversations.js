/* Conversations: find keys, see what each store holds of one, side by side. */
import { address, get } from "./api.js";
import { empty, h, keyed, problemLine, setAttr, setText, show } from "./dom.js";
import { storeName, things } from "./format.js";
import { keyPath, keyText, pageText, sidesGrid } from "./sides.js";

const KEYS = 50;
const ITEMS = 50;

/* ---- the list of keys ---- */

function keyList(choose) {
  const input = h("input", { type: "search", value: "*", "aria-label": "Pattern of keys", autocomplete: "off", spellcheck: "false" });
  const status = h("span", { class: "small muted", role: "status" });
  const problem = problemLine();
  const list = h("div", { class: "keys" });
  const none = empty("No such key", "* stands for anything, ? for one character.");
  const more = h("button", { type: "button", hidden: true, onclick: () => load(true) }, "More keys");
  let keys = new Map();
  let cursor = "0";
  let current = "";
  let asked = 0;

  async function load(further) {
    const mine = ++asked;
    try {
      const doc = await get(address("/api/v1/keys", { match: input.value, cursor: further ? cursor : "0", count: KEYS }));
      if (mine !== asked) return;
      cursor = String(doc.cursor);
      keys = new Map([...(further ? keys : []), ...doc.keys.map((one) => [keyPath(one.key), one])]);
      problem.tell();
      setText(status, [things(keys.size, "key") + (cursor === "0" ? "" : " so far"), ...absent(doc)].join(" · "));
      draw();
    } catch (failure) {
      if (failure.status === undefined) throw failure;
      problem.tell(failure.message);
    }
  }

  function draw() {
    show(none, keys.size === 0);
    show(more, cursor !== "0");
    keyed(list, keys, ([path]) => path, ([path, one]) => h("button", { type: "button", onclick: () => choose(path) }, keyText(one.key)),
      (element, [path]) => setAttr(element, "aria-current", path === current ? "true" : null));
  }

  load(false);
  return {
    element: h("section", { class: "card flush", "aria-label": "Keys" },
      h("form", { class: "body stack", onsubmit: (event) => { event.preventDefault(); load(false); } },
        h("div", { class: "row key-search" }, input, h("button", { type: "submit" }, "Find"), status), problem),
      none, list, h("div", { class: "row key-more" }, more)),
    select(path) {
      current = path;
      draw();
    },
  };
}

/* Which store could not be asked, in words. */
function absent(doc) {
  return ["redis", "archive"].filter((store) => doc[store].answers === false).map((store) => `${storeName(store)} does not answer: ${doc[store].why}`);
}

/* ---- one conversation ---- */

const verdicts = {
  equal: ["Both stores hold the same", "ok"],
  "copy pending": ["A copy is on its way", "accent"],
  different: ["The stores differ", "warn"],
  unknown: ["They can't be compared", null],
};

function total(doc) {
  const items = (side) => (side.type === "string" ? 1 : (side.length ?? 0));
  return Math.max(items(doc.redis), items(doc.archive));
}

/* Where the newest items begin, when the stores have different numbers of them. */
function earliest(doc) {
  const from = ["redis", "archive"].map((store) => doc[store].from).filter((at) => at !== undefined);
  return from.length === 0 ? 0 : Math.min(...from);
}

/* The page that is wanted; without one the newest items, beginning at the same place in both stores. */
async function pageOf(path, wanted) {
  const ask = (from) => get(`/api/v1/conversation?key=${path}&from=${from}&count=${ITEMS}`);
  const doc = await ask(wanted ?? -ITEMS);
  const differ = doc.redis.from !== undefined && doc.archive.from !== undefined && doc.redis.from !== doc.archive.from;
  return differ ? ask(earliest(doc)) : doc;
}

function conversation(path) {
  let from = null;
  const head = h("h2", { class: "mono conversation-key" });
  const verdict = h("span", { class: "chip", role: "status" });
  const facts = h("span", { class: "small muted" });
  const differences = h("ul", { class: "reasons", hidden: true });
  const problem = problemLine();
  const grid = h("div");
  const range = h("span", { class: "small muted" });
  const older = h("button", { type: "button", onclick: () => load(Math.max(0, (from ?? 0) - ITEMS)) }, "Earlier");
  const newer = h("button", { type: "button", onclick: () => load((from ?? 0) + ITEMS) }, "Later");
  const again = h("button", { type: "button", onclick: () => load(from) }, "Refresh");
  let over = false;

  async function load(wanted) {
    try {
      const doc = await pageOf(path, wanted);
      if (over) return;
      from = earliest(doc);
      problem.tell();
      draw(doc);
    } catch (failure) {
      if (failure.status === undefined) throw failure;
      problem.tell(failure.message);
    }
  }

  function draw(doc) {
    const [text, level] = verdicts[doc.state];
    const shown = Math.max(doc.redis.items?.length ?? 0, doc.archive.items?.length ?? 0);
    setText(verdict, text);
    setAttr(verdict, "data-level", level);
    setText(head, keyText(doc.key));
    setText(facts, `policy ${doc.policy} · ${storeName(doc.acting)} answers`);
    const told = [...(doc.differences ?? []), doc.note].filter(Boolean);
    differences.replaceChildren(...told.map((line) => h("li", {}, line)));
    show(differences, told.length > 0);
    setText(range, pageText(from, shown, total(doc)));
    show(older, from > 0);
    show(newer, from + shown < total(doc));
    grid.replaceChildren(sidesGrid(["Redis", doc.redis], ["Archive", doc.archive]));
  }

  load(null);
  return {
    element: h("section", { class: "card live", "aria-label": "Conversation" },
      h("header", {}, head, verdict, facts, h("span", { class: "spacer" }), range, older, newer, again),
      h("div", { class: "body stack" }, problem, differences, grid)),
    done: () => (over = true),
  };
}

export function conversationsPage(root, first) {
  const detail = h("div");
  let shown = null;
  const list = keyList((path) => (location.hash = `#conversations/${path}`));
  root.append(h("div", { class: "page-head" }, h("h2", {}, "Conversations"), h("span", { class: "muted small" }, "What each store holds of a managed key")),
    h("div", { class: "split" }, list.element, detail));

  function go(path) {
    shown?.done();
    shown = path === "" ? null : conversation(path);
    detail.replaceChildren(shown === null ? h("section", { class: "card" }, empty("Choose a key", "Its messages in Redis and in the archive appear side by side.")) : shown.element);
    list.select(path);
  }

  go(first);
  return { update() {}, go, done: () => shown?.done() };
}
