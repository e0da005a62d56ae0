/* Quarantine: states that had to give way when two stores disagreed. Each beside what its key holds now; restore, or drop. */
import { get, post, remove } from "./api.js";
import { closeButton, confirmDialog, openDialog, toast } from "./dialogs.js";
import { empty, h, keyed, setText, show } from "./dom.js";
import { hurry } from "./feed.js";
import { moment, storeName, things } from "./format.js";
import { sidesGrid } from "./sides.js";

const EVERY_MS = 3000;
const pathOf = (id) => `/api/v1/quarantine/${encodeURIComponent(id)}`;

function askRestore(entry, after) {
  confirmDialog({
    title: `Restore entry ${entry.id} to ${entry.key}?`,
    will: [`What ${entry.key} holds now is replaced by what was put aside, in one managed write: it is trimmed, gets its expiry and is copied like any other.`,
      "The entry leaves the quarantine."],
    warnings: ["What the key holds now is not kept. To keep both, restore under another name."],
    undo: "there is no way back to what the key holds now; restore under another name keeps both.",
    action: "Restore", danger: true,
    act: async () => {
      await post(`${pathOf(entry.id)}/restore`, {});
      toast(`${entry.key} holds again what was put aside.`);
      after();
    },
  });
}

function askRestoreAs(entry, after) {
  const input = h("input", { value: `${entry.key}:restored`, autofocus: true, autocomplete: "off", spellcheck: "false" });
  confirmDialog({
    title: `Restore entry ${entry.id} under another name`,
    will: ["A new key gets what was put aside. It must be a managed one, and not exist yet.", `${entry.key} stays as it is.`, "The entry leaves the quarantine."],
    fields: [h("label", { class: "field" }, "Name of the new key", input)],
    undo: "DEL of the new key.",
    action: "Restore",
    act: async () => {
      await post(`${pathOf(entry.id)}/restore`, { as: input.value });
      toast(`${input.value} holds what was put aside.`);
      after();
    },
  });
}

function askDrop(entry, after) {
  confirmDialog({
    title: `Drop entry ${entry.id} of ${entry.key}?`,
    will: ["What was put aside is deleted for good.", `${entry.key} stays as it is.`],
    undo: "there is no way back.",
    action: "Drop", danger: true,
    act: async () => {
      await remove(pathOf(entry.id));
      toast(`Entry ${entry.id} is dropped.`);
      after();
    },
  });
}

/* ---- one entry ---- */

function actions(entry, after, dialog) {
  const then = () => {
    dialog.close();
    after();
  };
  return [
    h("button", { type: "button", onclick: () => askDrop(entry, then) }, "Drop"),
    h("button", { type: "button", onclick: () => askRestoreAs(entry, then) }, "Restore as"),
    h("button", { type: "button", class: "primary", onclick: () => askRestore(entry, then) }, "Restore"),
    closeButton(dialog),
  ];
}

async function openEntry(entry, after) {
  try {
    const doc = await get(pathOf(entry.id));
    openDialog({
      title: `${doc.key ?? entry.key}: put aside, and now`,
      wide: true,
      content: () => [h("p", { class: "muted" }, whyText(entry)), sidesGrid(["Put aside", doc.entry], ["The key now", doc.now])],
      footer: (dialog) => actions(entry, after, dialog),
    });
  } catch (failure) {
    if (failure.status === undefined) throw failure;
    toast(failure.message, "bad");
  }
}

function whyText(entry) {
  return [entry.why, entry.from ? `from ${storeName(entry.from)}` : null].filter(Boolean).join(" · ");
}

function row(entry, after) {
  return h("tr", { "data-entry": entry.id },
    h("td", {}, h("button", { type: "button", class: "link mono", onclick: () => openEntry(entry, after) }, entry.key), h("div", { class: "help" }, whyText(entry))),
    h("td", {}, moment(entry.time)), h("td", {}, entry.type ?? ""),
    h("td", { class: "num" }, h("button", { type: "button", "aria-label": `Look at entry ${entry.id}`, onclick: () => openEntry(entry, after) }, "Look")));
}

export function quarantinePage(root) {
  const shown = h("span", { class: "muted small", role: "status" });
  const body = h("tbody");
  const none = empty("Nothing is in quarantine", "When two stores disagree and one state has to give way, it is kept here.");
  const problem = h("p", { class: "problem", role: "alert", hidden: true });
  let timer = 0;
  let over = false;
  const table = h("table", { class: "stacked" }, h("thead", {}, h("tr", {}, ...["Key", "Put aside", "Type"].map((name) => h("th", { scope: "col" }, name)),
    h("th", { scope: "col" }, h("span", { class: "visually-hidden" }, "Look")))), body);
  root.append(h("div", { class: "page-head" }, h("h2", {}, "Quarantine"), shown), problem,
    h("section", { class: "card flush live" }, h("div", { class: "body" }, none, table)));

  async function refresh() {
    clearTimeout(timer);
    try {
      if (!document.hidden) draw((await get("/api/v1/quarantine")).entries);
      show(problem, false);
    } catch (failure) {
      if (failure.status === undefined) throw failure;
      setText(problem, failure.message);
      show(problem, !failure.away);
    }
    if (!over) timer = setTimeout(refresh, EVERY_MS);
  }

  function draw(entries) {
    setText(shown, things(entries.length, "entry", "entries"));
    show(none, entries.length === 0);
    show(table, entries.length > 0);
    keyed(body, entries, (entry) => entry.id, (entry) => row(entry, () => { hurry(); refresh(); }));
  }

  refresh();
  return {
    update() {},
    done() {
      over = true;
      clearTimeout(timer);
    },
  };
}
