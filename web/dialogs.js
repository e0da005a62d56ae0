/* Questions and short messages. <dialog> keeps the focus inside and closes with Escape by itself; afterwards the focus is back
 * where it was. */
import { h, problemLine } from "./dom.js";

let titles = 0;

/** Opens a dialog. content(dialog) gives its body, footer(dialog) its buttons. */
export function openDialog({ title, content, footer = () => [], wide = false, onclose = () => {} }) {
  const id = `dialog-title-${++titles}`;
  const dialog = h("dialog", { "aria-labelledby": id, class: wide ? "wide" : null });
  const close = h("button", { type: "button", class: "quiet", "aria-label": "Close", onclick: () => dialog.close() }, "✕");
  const before = document.activeElement;
  dialog.append(
    h("header", {}, h("h2", { id }, title), close),
    h("div", { class: "content" }, ...[content(dialog)].flat()),
    h("footer", {}, ...[footer(dialog)].flat()),
  );
  dialog.addEventListener("close", () => {
    dialog.remove();
    onclose();
    if (before?.isConnected) before.focus();
  });
  document.body.append(dialog);
  dialog.showModal();
  dialog.querySelector("[autofocus]")?.focus();
  return dialog;
}

/** The body's and the footer's new content, when a dialog goes from asking to telling. */
export function refill(dialog, content, footer) {
  dialog.querySelector(".content").replaceChildren(...[content].flat());
  dialog.querySelector("footer").replaceChildren(...[footer].flat());
  dialog.querySelector("footer button")?.focus();
}

export function closeButton(dialog, text = "Close") {
  return h("button", { type: "button", onclick: () => dialog.close() }, text);
}

/** Numbered sentences: what will happen. */
export function steps(list) {
  return h("ol", { class: "will" }, ...list.map((text) => h("li", {}, text)));
}

/** Asks before something is done. act() does it, and may throw: the dialog then stays, and says why. */
export function confirmDialog({ title, will, warnings = [], undo, action, danger = false, fields = [], act }) {
  const problem = problemLine();
  return openDialog({
    title,
    content: () => [
      steps(will),
      ...warnings.map((text) => h("p", { class: "note", "data-level": "warn" }, text)),
      ...fields,
      undo ? h("p", { class: "note" }, h("strong", {}, "To undo: "), undo) : null,
      problem,
    ].filter(Boolean),
    footer: (dialog) => [
      h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"),
      h("button", { type: "button", class: danger ? "danger" : "primary", onclick: (event) => attempt(event.currentTarget, dialog, problem, act) }, action),
    ],
  });
}

async function attempt(button, dialog, problem, act) {
  button.disabled = true;
  problem.tell();
  try {
    if ((await act(dialog)) !== "stay") dialog.close();
  } catch (failure) {
    problem.tell(failure.message);
    button.disabled = false;
    button.focus();
  }
}

/** A short message in the corner; bad ones stay longer. */
export function toast(text, level) {
  const element = h("div", { class: "toast", "data-level": level }, text);
  document.getElementById("toasts").append(element);
  setTimeout(() => element.remove(), level === "bad" ? 9000 : 5000);
}
