/* The question for a token, when the admin server wants one. */
import { token } from "./api.js";
import { openDialog } from "./dialogs.js";
import { h } from "./dom.js";
import { hurry, listen } from "./feed.js";

let open = null;

function ask() {
  const input = h("input", { type: "password", autofocus: true, autocomplete: "current-password", spellcheck: "false" });
  const wrong = token.get() !== "" ? h("p", { class: "problem", role: "alert" }, "This token was not accepted.") : null;
  const submit = (event) => {
    event.preventDefault();
    token.set(input.value.trim());
    open.close();
    hurry();
  };
  open = openDialog({
    title: "A token is needed",
    content: () => [
      h("p", {}, "This proxy answers those only who know admin.token, or to look around admin.read_token. It is kept in this tab until it is closed."),
      h("form", { id: "login", class: "stack", onsubmit: submit }, h("label", { class: "field" }, "Token", input), wrong)].filter(Boolean),
    footer: () => [h("button", { type: "submit", form: "login", class: "primary" }, "Log in")],
    onclose: () => (open = null),
  });
}

/** Asks whenever the proxy does; once for each refusal. */
export function watchLogin() {
  let refused = null;
  listen((snapshot) => {
    if (!snapshot.login) refused = null;
    else if (open === null && snapshot.problem !== refused && token.get() !== refused) {
      refused = token.get();
      ask();
    }
  });
}
