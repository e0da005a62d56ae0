/* One key in both stores, item beside item. Used for conversations and for what is in quarantine. */
import { h } from "./dom.js";
import { capital, count, seconds, storeName, things } from "./format.js";
import { itemElements, plain } from "./messages.js";

/* Items of one side by what they are compared by: position in lists and strings, else field, member or id. */
function labelled(side) {
  return (side?.items ?? []).map((item, i) => {
    if (Array.isArray(item)) return { label: plain(item[0]), value: item[1], by: plain(item[0]) };
    if (item !== null && typeof item === "object" && item.value !== undefined) {
      const label = plain(item.field ?? item.member ?? item.id ?? item.index ?? "");
      return { label, value: item.score !== undefined ? item.member : item.value, by: label || String(i) };
    }
    return { label: "", value: item, by: null, at: i };
  });
}

function ttlText(side) {
  if (side.ttl_ms === undefined || side.ttl_ms === null) return "expiry not known";
  return side.ttl_ms < 0 ? "no expiry" : `expires in ${seconds(side.ttl_ms / 1000)}`;
}

function headFacts(side) {
  if (side.down !== undefined) return `Not known: ${side.down}`;
  if (!side.present) return "Does not have this key";
  const version = side.version === undefined || side.version === null ? null : `version ${side.version}`;
  return [side.type, side.length !== undefined ? things(side.length, "item") : null, ttlText(side), version].filter(Boolean).join(" · ");
}

function storeHead(title, side) {
  return h("div", { class: "store-head" }, h("strong", {}, title), h("span", { class: "muted" }, headFacts(side)));
}

function same(a, b) {
  return JSON.stringify(a) === JSON.stringify(b);
}

function cell(item, other, title, comparable) {
  const differs = comparable && (item === undefined || other === undefined || !same(item.value, other.value));
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
  const known = (side) => side.down === undefined;
  const comparable = known(left) && known(right) && left.present && right.present;
  const rows = pairs(labelled(left), labelled(right));
  return h("div", { class: "sides" }, storeHead(leftTitle, left), storeHead(rightTitle, right),
    ...rows.flatMap(([a, b]) => [
      left.present || comparable ? cell(a, b, leftTitle, comparable) : h("div"),
      right.present || comparable ? cell(b, a, rightTitle, comparable) : h("div"),
    ]));
}

/** "1–50 of 200" */
export function pageText(from, shown, total) {
  return total === 0 ? "nothing" : `${count(from + 1)}–${count(from + shown)} of ${count(total)}`;
}

export function storeTitle(store) {
  return capital(storeName(store));
}
