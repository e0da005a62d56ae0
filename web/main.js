/* The console: pages by the address's fragment, the head line, the theme. Each page is a function(root, rest) that returns
 * {update(snapshot), done?()}. */
import { conversationsPage } from "./conversations.js";
import { h, setAttr, setText, show } from "./dom.js";
import { eventsPage } from "./events.js";
import { begin, current, listen } from "./feed.js";
import { watchLogin } from "./login.js";
import { movesPage } from "./moves.js";
import { overviewPage } from "./overview.js";
import { quarantinePage } from "./quarantine.js";
import { settingsPage } from "./settings.js";
import { trafficPage } from "./traffic.js";
import { drawVerdict } from "./verdict.js";

const pages = [
  { name: "overview", title: "Overview", open: overviewPage },
  { name: "conversations", title: "Conversations", open: conversationsPage },
  { name: "moves", title: "Moves", open: movesPage },
  { name: "quarantine", title: "Quarantine", open: quarantinePage },
  { name: "events", title: "Events", open: eventsPage },
  { name: "traffic", title: "Traffic", open: trafficPage },
  { name: "settings", title: "Settings", open: settingsPage },
];

const main = document.getElementById("content");
let page = null;
let shownName = "";

/* ---- pages ---- */

/* "#conversations/conv%3A42" as ["conversations", "conv%3A42"]. */
function route() {
  const [name, ...rest] = location.hash.slice(1).split("/");
  return [name, rest.join("/")];
}

function openPage() {
  const [name, rest] = route();
  const wanted = pages.find((one) => one.name === name) ?? pages[0];
  if (wanted.name === shownName && page?.go !== undefined) return page.go(rest);
  page?.done?.();
  main.replaceChildren();
  const first = shownName === "";
  shownName = wanted.name;
  page = wanted.open(main, rest);
  page.update(current());
  for (const link of document.querySelectorAll("#tabs a")) setAttr(link, "aria-current", link.hash === `#${wanted.name}` ? "page" : null);
  document.querySelector("#tabs a[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  if (!first) {
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
}

function buildTabs() {
  const links = pages.map(({ name, title }) => h("a", { href: `#${name}` }, title, h("span", { class: "count", hidden: true })));
  document.getElementById("tabs").append(...links);
  return new Map(pages.map(({ name }, i) => [name, links[i].lastElementChild]));
}

/* How many wait for somebody: beside the name of their page. */
function drawCounts(counts, snapshot) {
  const quarantined = snapshot.state?.sync?.quarantineEntries ?? 0;
  setText(counts.get("quarantine"), quarantined);
  show(counts.get("quarantine"), quarantined > 0);
}

/* ---- theme ---- */

const themes = ["auto", "light", "dark"];

function themeNow() {
  return document.documentElement.dataset.theme ?? "auto";
}

function drawTheme(button) {
  setText(button, { auto: "Theme: auto", light: "Theme: light", dark: "Theme: dark" }[themeNow()]);
}

function nextTheme(button) {
  const next = themes[(themes.indexOf(themeNow()) + 1) % themes.length];
  if (next === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  try {
    localStorage.setItem("convproxy.theme", next);
  } catch (refused) {
    /* It holds until the page is left. */
  }
  drawTheme(button);
  document.dispatchEvent(new Event("themechange"));
}

/* ---- start ---- */

function start() {
  const counts = buildTabs();
  const theme = document.getElementById("theme");
  drawTheme(theme);
  theme.addEventListener("click", () => nextTheme(theme));
  addEventListener("hashchange", openPage);
  openPage();
  listen((snapshot) => {
    setAttr(main, "data-stale", drawVerdict(snapshot) && snapshot.at > 0 ? "yes" : null);
    drawCounts(counts, snapshot);
    page.update(snapshot);
  });
  watchLogin(document.getElementById("login-again"));
  begin();
}

start();
