/* Settings: value, default, source; those that are live can be changed here. */
import { address, get, post } from "./api.js";
import { confirmDialog, toast } from "./dialogs.js";
import { empty, h, keyed, problemLine, setAttr, setText, show } from "./dom.js";
import { hurry } from "./feed.js";

/* The same value may be written in two ways: "30d" and "2592000s", "yes" and "1". */
const sizes = {
  duration: { "": 1, ms: 1, s: 1e3, min: 6e4, m: 6e4, h: 3.6e6, d: 8.64e7 },
  bytes: { "": 1, b: 1, kb: 2 ** 10, mb: 2 ** 20, gb: 2 ** 30 },
};

function meaning(type, text) {
  if (type === "bool") return ["1", "yes", "on", "true"].includes(text);
  const [, number, unit] = /^(\d+)([a-z]*)$/i.exec(text) ?? [];
  const factor = sizes[type]?.[unit?.toLowerCase()];
  return factor === undefined ? text : Number(number) * factor;
}

const isChanged = (setting) => meaning(setting.type, setting.value) !== meaning(setting.type, setting.default);

function rangeText(setting) {
  if (setting.words !== undefined) return `one of ${setting.words.join(", ")}`;
  const unit = setting.unit ? `; a bare number is in ${setting.unit}` : "";
  if (setting.least && setting.most) return `${setting.least} to ${setting.most}${unit}`;
  return setting.form ?? (setting.least ? `at least ${setting.least}${unit}` : setting.type ?? "");
}

function inputFor(setting) {
  const choices = setting.words ?? (setting.type === "bool" ? ["yes", "no"] : null);
  if (choices === null) return h("input", { value: setting.value, autofocus: true, autocomplete: "off", spellcheck: "false" });
  return h("select", { autofocus: true }, ...choices.map((word) => h("option", { value: word, selected: word === setting.value }, word)));
}

/* A primary and dual writes have switches that say more. */
function hintOf(setting) {
  const name = setting.name.split(".").pop();
  if (setting.policy && name === "primary") return ["This orders a switch of the stores; the overview shows what it will do first, and its steps."];
  if (setting.policy && name === "dual_write") return ["The switch in the overview also orders the backfill, and says what it means."];
  return [];
}

function change(setting, after) {
  const input = inputFor(setting);
  const reset = h("button", { type: "button", onclick: () => { input.value = setting.default; input.focus(); } }, `Default: ${setting.default === "" ? "empty" : setting.default}`);
  confirmDialog({
    title: `Change ${setting.name}`,
    will: [setting.help ?? "No description.", "The new value holds at once, for all clients, until the process ends; CONFIG REWRITE keeps it in the file."],
    warnings: hintOf(setting),
    fields: [h("label", { class: "field" }, `Value: ${rangeText(setting)}`, input), h("div", {}, reset)],
    undo: `set it to ${setting.value === "" ? "nothing" : setting.value} again.`,
    action: "Change",
    act: async () => {
      const done = await post("/api/v1/settings", { [setting.name]: input.value });
      toast([`${setting.name} is ${done.changed[0].value} now.`, ...(done.warnings ?? [])].join(" "));
      hurry(2000);
      await after();
    },
  });
}

function settingRow(first, after) {
  let setting = first;
  const value = h("span", { class: "mono" });
  const was = h("span", { class: "small muted" });
  const source = h("span", { class: "chip" });
  const edit = h("button", { type: "button", onclick: () => change(setting, after) }, "Change");
  const later = h("span", { class: "small muted" }, "at the next start");
  const element = h("tr", { "data-setting": setting.name },
    h("td", {}, h("div", { class: "setting-name" }, setting.name), h("div", { class: "help" }, setting.help ?? "")),
    h("td", {}, value, h("div", {}, was)), h("td", {}, source), h("td", { class: "num" }, edit, later));
  element.redraw = (now) => {
    setting = now;
    setText(value, now.value === "" ? "(empty)" : now.value);
    setAttr(value, "class", isChanged(now) ? "mono changed" : "mono");
    setText(was, isChanged(now) ? `default ${now.default === "" ? "(empty)" : now.default}` : "");
    setText(source, now.source ?? "default");
    show(edit, now.when === "live");
    show(later, now.when !== "live");
    setAttr(edit, "aria-label", `Change ${now.name}`);
  };
  return element;
}

export function settingsPage(root) {
  let all = [];
  let changedOnly = false;
  const search = h("input", { type: "search", placeholder: "Name or word", "aria-label": "Search settings", oninput: () => draw() });
  const only = h("button", { type: "button", "aria-pressed": "false", onclick: () => { changedOnly = !changedOnly; setAttr(only, "aria-pressed", String(changedOnly)); draw(); } }, "Changed only");
  const shown = h("span", { class: "muted small", role: "status" });
  const body = h("tbody");
  const none = empty("No such setting");
  const problem = problemLine();
  root.append(
    h("div", { class: "page-head" }, h("h2", {}, "Settings"), shown, h("span", { class: "spacer" }), h("div", { class: "segments" }, only), search), problem,
    h("section", { class: "card flush live" }, h("div", { class: "body" }, none, h("table", { class: "stacked" },
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Setting"), h("th", { scope: "col" }, "Value"), h("th", { scope: "col" }, "From"), h("th", { scope: "col" }, h("span", { class: "visually-hidden" }, "Change")))), body))));

  async function refresh() {
    try {
      all = (await get(address("/api/v1/settings", {}))).settings;
      problem.tell();
      draw();
    } catch (failure) {
      if (failure.status === undefined) throw failure;
      problem.tell(failure.message);
    }
  }

  function draw() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (setting) => words.every((word) => `${setting.name} ${setting.help ?? ""} ${setting.env ?? ""}`.toLowerCase().includes(word));
    const wanted = all.filter((setting) => fits(setting) && (!changedOnly || isChanged(setting)));
    setText(shown, `${wanted.length} of ${all.length}`);
    show(none, wanted.length === 0);
    keyed(body, wanted, (setting) => setting.name, (setting) => settingRow(setting, refresh), (element, setting) => element.redraw(setting));
  }

  refresh();
  return { update() {} };
}
