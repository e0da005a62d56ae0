/* Events: what has happened, newest first, by level. */
import { empty, h, keyed, setAttr, setText, show } from "./dom.js";
import { moment } from "./format.js";

const levels = ["debug", "info", "warn", "error"];
const chipLevels = { warn: "warn", error: "bad" };
const filters = [["info", "All"], ["warn", "Warnings"], ["error", "Errors"]];

export function eventRow(event) {
  const fields = Object.entries(event.fields ?? {}).flatMap(([name, value]) => [h("b", {}, `${name} `), `${value}  `]);
  return h("div", { class: "event", "data-event": event.event },
    h("time", { class: "small muted", datetime: event.time, title: event.time }, moment(event.time)),
    h("span", {}, h("span", { class: "chip", "data-level": chipLevels[event.level] }, event.level)),
    h("span", {}, event.event.replaceAll("_", " ")),
    h("span", { class: "fields" }, ...fields));
}

function atLeast(level, least) {
  return levels.indexOf(level) >= levels.indexOf(least);
}

export function eventsPage(root) {
  let least = "info";
  let latest = null;
  const shown = h("span", { class: "muted small", role: "status" });
  const list = h("div", { class: "live" });
  const none = empty("No such event", "The proxy keeps its newest 512 events; the log has all of them.");
  const buttons = filters.map(([level, label]) => h("button", { type: "button", "aria-pressed": level === least ? "true" : "false", onclick: () => choose(level) }, label));
  root.append(
    h("div", { class: "page-head" }, h("h2", {}, "Events"), shown, h("span", { class: "spacer" }),
      h("div", { class: "segments", role: "group", "aria-label": "Which events" }, ...buttons)),
    h("section", { class: "card flush" }, h("div", { class: "body" }, none, list)));

  function choose(level) {
    least = level;
    buttons.forEach((button, i) => setAttr(button, "aria-pressed", filters[i][0] === level ? "true" : "false"));
    draw();
  }

  function draw() {
    const wanted = latest.events.filter((event) => atLeast(event.level, least)).reverse();
    show(none, wanted.length === 0);
    setText(shown, `${wanted.length} of ${latest.events.length}`);
    keyed(list, wanted, (event) => event.id, eventRow);
  }

  return {
    update(snapshot) {
      latest = snapshot;
      draw();
    },
  };
}
