/* Elements from data. Text goes in as text nodes only: what keys and messages contain is never read as markup. */

/** h("button", {type: "button", onclick: f}, "Save"): attributes by name, on… as listeners, true and false as they read. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Changes the text only when it differs: screen readers and the eye are left in peace. */
export function setText(element, text) {
  const wanted = String(text ?? "");
  if (element.textContent !== wanted) element.textContent = wanted;
}

/** The same for an attribute; null removes it. */
export function setAttr(element, name, value) {
  if (value === null || value === undefined || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
}

export function show(element, yes) {
  if (element.hidden === yes) element.hidden = !yes;
}

/** Lets parent have one child for each item, in order. Children stay the same elements while their keys stay, so that focus and
 * scroll positions do. make(item) gives an element, update(element, item) brings it up to date. */
export function keyed(parent, items, keyOf, make, update) {
  const before = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    let element = before.get(key);
    if (element === undefined) {
      element = make(item);
      element.dataset.key = key;
    }
    before.delete(key);
    if (update) update(element, item);
    if (element !== place) parent.insertBefore(element, place);
    else place = place.nextElementSibling;
  }
  for (const gone of before.values()) gone.remove();
}

/** A list of sentences, as <li>s. */
export function sentences(list, items, levelOf = () => null) {
  keyed(list, items, (text) => text, (text) => h("li", { "data-level": levelOf(text) }, text),
    (element, text) => setAttr(element, "data-level", levelOf(text)));
}

/** A line that is not there until something goes wrong: tell(text) says what, tell() takes it away. */
export function problemLine() {
  const line = h("p", { class: "problem", role: "alert", hidden: true });
  line.tell = (text = "") => {
    setText(line, text);
    show(line, text !== "");
  };
  return line;
}

export function chip(text, level) {
  return h("span", { class: "chip", "data-level": level }, text);
}

export function setChip(element, text, level) {
  setText(element, text);
  setAttr(element, "data-level", level);
}

/** Facts as a definition list; `set` brings them up to date: [[name, text], …]. */
export function factList() {
  const list = h("dl", { class: "facts" });
  return {
    element: list,
    set(pairs) {
      keyed(list, pairs, ([name]) => name, ([name]) => h("div", {}, h("dt", {}, name), h("dd")),
        (element, [, text]) => setText(element.lastElementChild, text));
    },
  };
}

export function empty(title, ...hint) {
  return h("div", { class: "empty" }, h("strong", {}, title), hint.length > 0 ? h("span", {}, ...hint) : null);
}

/** A card with a head. */
export function card(title, head, ...body) {
  return h("section", { class: "card" }, h("header", {}, h("h2", {}, title), ...[head].flat().filter(Boolean)), h("div", { class: "body" }, ...body));
}
