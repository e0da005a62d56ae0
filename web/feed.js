/* What the proxy says of itself, asked once a second, and what changed: state, events, whether anybody answers.
 *
 * While the tab is hidden nobody is asked. While nobody answers the pause grows, up to MOST_MS. A snapshot is
 *   { state, at, since, problem, login, events }   at: when state came; since: when the answers stopped; problem: ApiError or null. */
import { ApiError, address, get } from "./api.js";

const EVERY_MS = 1000;
const HURRY_MS = 250;
const MOST_MS = 8000;
const ANSWER_MS = 3000; /* the state is told at once, or something is wrong */
const EVENTS_EVERY_MS = 2000;
const EVENTS_KEPT = 512;

const snapshot = { state: null, at: 0, since: 0, problem: null, login: false, events: [], next: 0 };
const listeners = new Set();
let timer = 0;
let failures = 0;
let hurryUntil = 0;
let last = 0;
let pid = null;
let eventsAsked = -Infinity;
let asking = false;

function tell() {
  for (const listener of listeners) listener(snapshot);
}

/** Calls listener with each snapshot, and at once; returns a function that ends it. */
export function listen(listener) {
  listeners.add(listener);
  listener(snapshot);
  return () => listeners.delete(listener);
}

export function current() {
  return snapshot;
}

/* Another process has other numbers: what the old one told is over. */
function forgetOther(state) {
  if (pid !== null && pid !== state.pid) {
    last = 0;
    snapshot.events = [];
  }
  pid = state.pid;
}

async function askEvents() {
  if (performance.now() - eventsAsked < EVENTS_EVERY_MS) return;
  eventsAsked = performance.now();
  const answer = await get(address("/api/v1/events", { since: last }));
  if (answer.last < last) snapshot.events = [];
  last = answer.last;
  if (answer.events.length > 0) snapshot.events = [...snapshot.events, ...answer.events].slice(-EVENTS_KEPT);
}

function failed(problem) {
  failures++;
  if (snapshot.problem === null) snapshot.since = Date.now();
  snapshot.problem = problem;
  snapshot.login = problem.login === true;
}

async function ask() {
  asking = true;
  try {
    const state = await get("/api/v1/state", ANSWER_MS);
    forgetOther(state);
    await askEvents();
    Object.assign(snapshot, { state, at: Date.now(), problem: null, login: false });
    failures = 0;
  } catch (problem) {
    if (!(problem instanceof ApiError)) throw problem;
    failed(problem);
  } finally {
    asking = false;
  }
  const pause = pauseNow();
  snapshot.next = Date.now() + pause;
  tell();
  schedule(pause);
}

function pauseNow() {
  if (failures > 0) return Math.min(MOST_MS, EVERY_MS * 2 ** Math.min(failures - 1, 5));
  return performance.now() < hurryUntil ? HURRY_MS : EVERY_MS;
}

function schedule(pause) {
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(ask, pause);
}

/** Asks now; for some seconds more often, when something is being watched. */
export function hurry(forMs = 0) {
  hurryUntil = Math.max(hurryUntil, performance.now() + forMs);
  if (!asking) schedule(0);
}

export function begin() {
  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    tell();
    if (!document.hidden && !asking) ask();
  });
  setInterval(() => snapshot.problem !== null && tell(), 1000);
  ask();
}
