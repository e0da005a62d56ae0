/* The head line: in one look, is it well, who answers, what is promised; and whether anybody says so at all. */
import { sentences, setAttr, setText } from "./dom.js";
import { capital, clock, listed, seconds, storeName } from "./format.js";

const STALE_MS = 4000;
const $ = (id) => document.getElementById(id);

/* The lowest promise of all policies is the one that counts. */
const LEVELS = ["none", "redis", "archived", "archive", "both"];

function lowest(policies) {
  return [...policies].sort((a, b) => LEVELS.indexOf(a.guarantee.level) - LEVELS.indexOf(b.guarantee.level))[0];
}

/* "Redis answers conv and memory, the archive answers notes." */
function whoAnswers(policies) {
  const by = new Map();
  for (const policy of policies) by.set(policy.acting, [...(by.get(policy.acting) ?? []), policy.name]);
  const parts = [...by].map(([store, names]) => `${storeName(store)} answers ${listed(names)}`);
  return parts.length === 0 ? "No policy manages keys." : `${capital(listed(parts))}.`;
}

function promiseText(policy) {
  return policy === undefined ? "" : `${capital(policy.guarantee.promise)}.`;
}

function namesOf(policies) {
  return listed(policies.map((policy) => policy.name));
}

/* A failover that is over leaves the archive acting where Redis is wanted. */
function displaced(policies) {
  return policies.filter((policy) => policy.acting !== policy.primary);
}

/* Rows in order; the first that holds is the verdict. */
const verdicts = [
  [(s) => !s.healthy, (s) => ({ level: "bad", title: "Managed keys are not served", text: s.reasons.map(capital).join(". ") || "The proxy gives no reason." })],
  [(s) => s.draining, () => ({ level: "warn", title: "The proxy is ending", text: "It takes no new clients and finishes what runs." })],
  [(s) => s.policies.some((p) => p.phase === "hold"), (s) => {
    const held = s.policies.filter((p) => p.phase === "hold");
    return { level: "bad", title: `Requests of ${namesOf(held)} wait`, text: `${capital(held[0].why)}.` };
  }],
  [(s) => displaced(s.policies).length > 0, (s) => {
    const p = displaced(s.policies)[0];
    return { level: "warn", title: `${capital(storeName(p.acting))} answers ${p.name} in place of ${storeName(p.primary)}`, text: promiseText(lowest(s.policies)) };
  }],
  [(s) => s.policies.some((p) => p.guarantee.level === "none"), (s) => ({ level: "bad", title: "Serving, but nothing is promised", text: whoAnswers(s.policies) })],
  [(s) => s.policies.some((p) => p.guarantee.loweredBy.length > 0), (s) => ({ level: "warn", title: "Serving, with less protection than usual", text: `${whoAnswers(s.policies)} ${promiseText(lowest(s.policies))}` })],
  [(s) => s.warnings.length > 0, (s) => ({ level: "warn", title: "Serving, with a warning", text: `${whoAnswers(s.policies)} ${promiseText(lowest(s.policies))}` })],
  [() => true, (s) => ({ level: "ok", title: "All is well", text: `${whoAnswers(s.policies)} ${promiseText(lowest(s.policies))}` })],
];

function verdictOf(state) {
  return verdicts.find(([holds]) => holds(state))[1](state);
}

/* Each sentence once, with the policy when there are several. */
function notesOf(state) {
  const several = state.policies.length > 1;
  const of = (policy, text) => capital(several ? `${policy.name}: ${text}` : text);
  const said = [
    ...state.warnings.map(capital),
    ...state.policies.flatMap((p) => p.guarantee.loweredBy.map((text) => of(p, text))),
    ...state.policies.flatMap((p) => p.guarantee.warnings.map((text) => of(p, text))),
  ];
  return [...new Set(said)].filter((text) => !text.startsWith("The stores are changing")).slice(0, 5);
}

function away(snapshot) {
  if (snapshot.login) return { level: "bad", title: "The proxy asks for a token", text: "Nothing is shown without admin.token or admin.read_token." };
  const text = snapshot.at > 0 ? `What is greyed below is from ${clock(snapshot.at)}, and may no longer be true.` : "It has not answered yet.";
  return { level: "bad", title: "The proxy does not answer", text };
}

/* Changes every second, so it stands outside of what is read aloud. */
function awayNotes(snapshot) {
  if (snapshot.problem === null || snapshot.login) return [];
  const next = Math.max(0, Math.ceil((snapshot.next - Date.now()) / 1000));
  const age = snapshot.at > 0 ? `the last answer came ${seconds((Date.now() - snapshot.at) / 1000)} ago; ` : "";
  return [capital(snapshot.problem.message), capital(`${age}asked again in ${next} s`)];
}

function isStale(snapshot) {
  return snapshot.problem !== null || snapshot.state === null || (!document.hidden && snapshot.at > 0 && Date.now() - snapshot.at > STALE_MS);
}

function pulse(snapshot, stale) {
  if (document.hidden) return ["paused", "paused"];
  if (snapshot.state === null && snapshot.problem === null) return ["connecting", "connecting"];
  return stale ? ["away", snapshot.login ? "locked" : "no answer"] : ["live", "live"];
}

/** Draws the head for a snapshot; says whether what is shown is stale. */
export function drawVerdict(snapshot) {
  const stale = isStale(snapshot);
  const [level, word] = pulse(snapshot, stale);
  setText($("pulse"), word);
  setAttr($("pulse"), "data-level", level);
  if (snapshot.state === null && snapshot.problem === null) return stale;
  const verdict = stale ? away(snapshot) : verdictOf(snapshot.state);
  setAttr($("verdict"), "data-level", verdict.level);
  setAttr($("pulse"), "data-verdict", verdict.level);
  setText($("verdict-title"), verdict.title);
  setText($("verdict-text"), verdict.text);
  const notes = stale ? awayNotes(snapshot) : notesOf(snapshot.state);
  sentences($("verdict-notes"), notes, () => verdict.level);
  if (snapshot.state !== null) setText($("version"), snapshot.state.version);
  document.title = `${verdict.level === "ok" ? "" : "● "}${verdict.title} · convproxy`;
  return stale;
}
