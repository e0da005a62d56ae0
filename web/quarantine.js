/* Quarantine: states that had to give way when two stores disagreed. Each beside what its key holds now; restore, or drop. */
import { address, get, post, remove } from "./api.js";
import { closeButton, confirmDialog, openDialog, toast } from "./dialogs.js";
import { empty, h, keyed, problemLine, setText, show } from "./dom.js";
import { hurry } from "./feed.js";
import { moment, storeName, things } from "./format.js";
import { keyText, sidesGrid } from "./sides.js";

const EVERY_MS = 3000;
const LISTED = 100; /* as many as one answer has */
const pathOf = (entry) => `/api/v1/quarantine/${entry.number}`;

function askRestore(entry, after) {
  const name = keyText(entry.key);
  confirmDialog({
    title: `Restore entry ${entry.number} to ${name}?`,
    will: [`What ${name} holds now is put aside first, as an entry of its own.`,
      "Then the key gets what this entry holds, as a client would write it: trimmed, with the policy's expiry, copied to the other store.",
      "This entry leaves the quarantine."],
    undo: "restore the entry that this makes of what the key holds now.",
    action: "Restore", danger: true,
    act: async () => {
      const done = await post(`${pathOf(entry)}/restore`, {});
      toast(`${name} holds again what was put aside. To undo: ${done.undo}.`);
      after();
    },
  });
}

function askRestoreAs(entry, after) {
  const name = keyText(entry.key);
  const input = h("input", { value: `${name}:restored`, autofocus: true, autocomplete: "off", spellcheck: "false" });
  confirmDialog({
    title: `Restore entry ${entry.number} under another name`,
    will: ["A new key gets what this entry holds. It must be a managed one, and not exist yet.", `${name} stays as it is.`, "The entry leaves the quarantine."],
    fields: [h("label", { class: "field" }, "Name of the new key", input)],
    undo: "DEL of the new key; the state is gone then.",
    action: "Restore",
    act: async () => {
      await post(`${pathOf(entry)}/restore`, { as: input.value });
      toast(`${input.value} holds what was put aside.`);
      after();
    },
  });
}

function askDrop(entry, after) {
  confirmDialog({
    title: `Drop entry ${entry.number} of ${keyText(entry.key)}?`,
    will: ["What was put aside is deleted for good.", `${keyText(entry.key)} stays as it is.`],
    undo: "there is no way back.",
    action: "Drop", danger: true,
    act: async () => {
      await remove(pathOf(entry));
      toast(`Entry ${entry.number} is dropped.`);
      after();
    },
  });
}

/* So many pages as one list, the oldest first; next is null when there are no more. */
async function listed(pages) {
  let list = { entries: [], next: 0 };
  for (let i = 0; i < pages && list.next !== null; i++) {
    const page = await get(address("/api/v1/quarantine", { after: list.next, count: LISTED }));
    list = { ...page, entries: [...list.entries, ...page.entries] };
  }
  return list;
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
    const doc = await get(pathOf(entry));
    const now = doc[doc.acting] ?? doc.redis;
    openDialog({
      title: `${keyText(doc.key)}: put aside, and now`,
      wide: true,
      content: () => [h("p", { class: "muted" }, whyText(doc)), h("ul", { class: "reasons" }, ...(doc.differences ?? []).map((text) => h("li", {}, text))),
        sidesGrid(["Put aside", { present: true, ...doc.entry }], [`The key now, in ${storeName(doc.acting)}`, now])],
      footer: (dialog) => actions(entry, after, dialog),
    });
  } catch (failure) {
    if (failure.status === undefined) throw failure;
    toast(failure.message, "bad");
  }
}

function whyText(entry) {
  return [entry.why, entry.policy ? `policy ${entry.policy}` : "no policy has this key any more"].filter(Boolean).join(" · ");
}

/* It can only be dropped. */
function damagedRow(entry, after) {
  const named = { ...entry, key: "a key that can't be read" };
  return h("tr", { "data-entry": entry.number }, h("td", { colspan: 3 }, `Entry ${entry.number} can't be read: ${entry.damaged}`),
    h("td", { class: "num" }, h("button", { type: "button", onclick: () => askDrop(named, after) }, "Drop")));
}

function row(entry, after) {
  if (entry.damaged) return damagedRow(entry, after);
  const look = () => openEntry(entry, after);
  return h("tr", { "data-entry": entry.number },
    h("td", {}, h("button", { type: "button", class: "link mono", onclick: look }, keyText(entry.key)), h("div", { class: "help" }, whyText(entry))),
    h("td", {}, moment(entry.at)), h("td", {}, [entry.type, things(entry.length, "item")].join(", ")),
    h("td", { class: "num" }, h("button", { type: "button", "aria-label": `Look at entry ${entry.number}`, onclick: look }, "Look")));
}

export function quarantinePage(root) {
  const shown = h("span", { class: "muted small", role: "status" });
  const body = h("tbody");
  const none = empty("Nothing is in quarantine", "When two stores disagree and one state has to give way, it is kept here.");
  const problem = problemLine();
  const more = h("button", { type: "button", hidden: true, onclick: () => further() }, "More entries");
  let timer = 0;
  let over = false;
  let asked = 0;
  let pages = 1;
  const table = h("table", { class: "stacked" }, h("thead", {}, h("tr", {}, ...["Key", "Put aside", "Type"].map((name) => h("th", { scope: "col" }, name)),
    h("th", { scope: "col" }, h("span", { class: "visually-hidden" }, "Look")))), body);
  root.append(h("div", { class: "page-head" }, h("h2", {}, "Quarantine"), shown), problem,
    h("section", { class: "card flush live" }, h("div", { class: "body" }, none, table), h("div", { class: "row key-more" }, more)));

  async function refresh() {
    clearTimeout(timer);
    try {
      const mine = ++asked;
      const list = document.hidden ? null : await listed(pages);
      if (list !== null && mine === asked) draw(list);
      problem.tell();
    } catch (failure) {
      if (failure.status === undefined) throw failure;
      problem.tell(failure.away ? "" : failure.message);
    }
    if (!over) timer = setTimeout(refresh, EVERY_MS);
  }

  /* The focus goes on with the first of what came: the button may be gone. */
  async function further() {
    const before = body.childElementCount;
    pages++;
    await refresh();
    body.children[before]?.querySelector("button").focus();
  }

  function draw({ entries, total, next }) {
    setText(shown, `${things(total, "entry", "entries")}${total > entries.length ? `, the oldest ${entries.length} are shown` : ""}`);
    show(none, entries.length === 0);
    show(table, entries.length > 0);
    show(more, next !== null);
    keyed(body, entries, (entry) => entry.number, (entry) => row(entry, () => { hurry(); refresh(); }));
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
