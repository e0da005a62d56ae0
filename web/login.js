/* The question for a token, when the admin server wants one. */
import { token } from "./api.js";
import { openDialog } from "./dialogs.js";
import { h, show } from "./dom.js";
import { current, hurry, listen } from "./feed.js";

let open = null;
let asked = null; /* the token whose refusal was asked about: once is enough, until the button is pressed */

function submit(event, input) {
  event.preventDefault();
  asked = null;
  token.set(input.value.trim());
  open.close();
  hurry();
}

function ask(refused) {
  const input = h("input", { type: "password", autofocus: true, autocomplete: "current-password", spellcheck: "false" });
  const wrong = refused !== "" ? h("p", { class: "problem", role: "alert" }, "This token was not accepted.") : null;
  asked = refused;
  open = openDialog({
    title: "A token is needed",
    content: () => [
      h("p", {}, "This proxy answers those only who know admin.token, or to look around admin.read_token. It is kept in this tab until it is closed."),
      h("form", { id: "login", class: "stack", onsubmit: (event) => submit(event, input) }, h("label", { class: "field" }, "Token", input), wrong)].filter(Boolean),
    footer: () => [h("button", { type: "submit", form: "login", class: "primary" }, "Log in")],
    onclose: () => (open = null),
  });
}

/** Asks when the proxy does. The button stands in the head while it does. */
export function watchLogin(button) {
  button.addEventListener("click", () => ask(current().problem?.token ?? ""));
  listen((snapshot) => {
    show(button, snapshot.login);
    if (!snapshot.login) asked = null;
    else if (open === null && snapshot.problem.token === token.get() && asked !== snapshot.problem.token) ask(snapshot.problem.token);
  });
}
