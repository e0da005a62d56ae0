/* One key in both stores, item beside item. Used for conversations and for what is in quarantine. */
import { h } from "./dom.js";
import { count, seconds, things } from "./format.js";
import { itemElements, plain } from "./messages.js";

/* What each type's items are: compared by, shown with, shown as. `by` null: by position. */
const shapes = {
  hash: (item) => ({ by: plain(item.field), label: plain(item.field), value: item.value }),
  set: (item) => ({ by: plain(item), label: "", value: item }),
  zset: (item) => ({ by: plain(item.member), label: `score ${item.score}`, value: item.member, also: item.score }),
  stream: (item) => ({ by: item.id, label: item.id, value: fieldsText(item.fields), also: item.fields }),
};

/* field: value, a line each. */
function fieldsText(fields) {
  return fields.map((text, i) => plain(text) + (i % 2 === 0 ? ": " : "\n")).join("").trimEnd();
}

function labelled(side) {
  const shape = shapes[side.type] ?? ((value) => ({ by: null, label: "", value }));
  return (side.items ?? []).map(shape);
}

function ttlText(side) {
  return side.ttl_ms === null || side.ttl_ms === undefined ? "no expiry" : `expires in ${seconds(side.ttl_ms / 1000)}`;
}

function lengthText(side) {
  if (side.length === undefined) return null;
  return things(side.length, side.type === "string" ? "byte" : "item");
}

/* It answers, and can show the key. */
function isKnown(side) {
  return side.answers !== false && (side.present === false || side.items !== undefined);
}

function headFacts(side) {
  if (!isKnown(side)) return `Not known: ${side.why ?? "it does not answer"}`;
  if (!side.present) return "Does not have this key";
  const version = side.version === undefined || side.version === null ? null : `version ${side.version}`;
  return [side.type, lengthText(side), ttlText(side), version].filter(Boolean).join(" · ");
}

function storeHead(title, side) {
  return h("div", { class: "store-head" }, h("strong", {}, title), h("span", { class: "muted" }, headFacts(side)));
}

function same(a, b) {
  return JSON.stringify(a) === JSON.stringify(b);
}

function cell(item, other, title, comparable) {
  const differs = comparable && (item === undefined || other === undefined || !same([item.value, item.also], [other.value, other.also]));
  const body = item === undefined ? [h("div", { class: "absent" }, "Not here")] : itemElements(item.value, item.label);
  return h("div", { class: "cell", "data-differs": differs ? "yes" : "no" },
    h("span", { class: "phone-label" }, title), differs ? h("span", { class: "visually-hidden" }, "Differs: ") : null, ...body);
}

/* Pairs in the order of the first side; what only the second has comes where it would stand. */
function pairs(left, right) {
  if ([...left, ...right].every((item) => item.by === null))
    return Array.from({ length: Math.max(left.length, right.length) }, (_, i) => [left[i], right[i]]);
  const rest = new Map(right.map((item) => [item.by, item]));
  const found = left.map((item) => {
    const other = rest.get(item.by);
    rest.delete(item.by);
    return [item, other];
  });
  return [...found, ...[...rest.values()].map((item) => [undefined, item])];
}

/** The two sides as a grid: [title, side] each. */
export function sidesGrid([leftTitle, left], [rightTitle, right]) {
  const comparable = isKnown(left) && isKnown(right) && left.present && right.present;
  const rows = pairs(labelled(left), labelled(right));
  return h("div", { class: "sides" }, storeHead(leftTitle, left), storeHead(rightTitle, right),
    ...rows.flatMap(([a, b]) => [
      left.present ? cell(a, b, leftTitle, comparable) : h("div"),
      right.present ? cell(b, a, rightTitle, comparable) : h("div"),
    ]));
}

/** "1–50 of 200" */
export function pageText(from, shown, total) {
  return total === 0 ? "nothing" : `${count(from + 1)}–${count(from + shown)} of ${count(total)}`;
}

/** A key, as the API tells it, in a URL: percent-encoded, whatever bytes it has. */
export function keyPath(key) {
  if (typeof key === "string") return encodeURIComponent(key);
  return [...atob(key.base64)].map((byte) => `%${byte.charCodeAt(0).toString(16).padStart(2, "0").toUpperCase()}`).join("");
}

/** And as people read it. */
export function keyText(key) {
  if (typeof key === "string") return key === "" ? "(empty name)" : key;
  const escaped = (byte) => (byte < " " || byte > "~" ? `\\x${byte.charCodeAt(0).toString(16).padStart(2, "0")}` : byte);
  return [...atob(key.base64)].map(escaped).join("");
}
