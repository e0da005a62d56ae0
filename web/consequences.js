/* What a switch will do now, in sentences, from the state: what is owed, which store is up, how long requests wait, how to undo. */
import { count, ms, storeName, things } from "./format.js";

function pauseText(policy) {
  const before = policy.longestPauseMs > 0 ? `; the longest so far took ${ms(policy.longestPauseMs)}` : "";
  return `usually some milliseconds, at most 0.8 s, then the switch is put off and tried again${before}`;
}

function keysOf(policy) {
  return `keys of ${policy.name} (${policy.settings.match})`;
}

function owedText(state) {
  const owed = state.sync?.dirtyKeys;
  if (owed === undefined) return "Redis goes on answering while what the archive lacks is carried there";
  if (owed === 0) return "The archive lacks nothing: no key is owed to it";
  const lag = state.sync.copyLagSeconds >= 1 ? `, for up to ${Math.round(state.sync.copyLagSeconds)} s` : "";
  return `Redis goes on answering while ${things(owed, "key")} that the archive lacks${lag} ${owed === 1 ? "is" : "are"} carried there`;
}

function archiveName(state) {
  return `the archive (${state.archive.kind}, ${state.archive.up ? `ping ${ms(state.archive.latencyMs?.ping)}` : "down"})`;
}

function toArchive(state, policy) {
  const warnings = [];
  if (!state.archive.up) warnings.push(`The archive is down (${state.archive.error ?? "no reason given"}): Redis goes on answering, and the switch happens when it is back.`);
  if (!policy.dualWriteWanted) warnings.push("Dual writes are off: what was never copied to the archive is not seen until Redis answers again. Switch them on first, and let the backfill end.");
  return {
    will: [
      `${owedText(state)}.`,
      `Requests for ${keysOf(policy)} wait for the last writes: ${pauseText(policy)}.`,
      `Then ${archiveName(state)} answers. Clients stay connected, see no error and the same data.`,
    ],
    warnings,
    undo: "make Redis the primary again. What is written meanwhile is handed back to it.",
  };
}

function documentsText(state) {
  const n = state.archive.documents;
  return n === undefined ? "each key is handed over" : `each of the archive's ${things(n, "document")} is handed over`;
}

/* Policies return to Redis together (proxy/facts.c). */
function companions(state, policy) {
  return state.policies.filter((other) => other.name !== policy.name && other.acting === "redis").map((other) => other.name);
}

function toRedis(state, policy) {
  const warnings = [];
  const others = companions(state, policy);
  if (!state.redis.up) warnings.push(`Redis is down (${state.redis.error ?? "no reason given"}): the archive goes on answering, and the switch happens when it is back.`);
  if (state.redis.maxMemory > 0 && state.redis.maxMemoryPolicy !== "noeviction") warnings.push(`Redis may evict keys (maxmemory-policy ${state.redis.maxMemoryPolicy}): nothing is promised for what is written while it answers.`);
  if (others.length > 0) warnings.push(`Policies return to Redis together: ${others.join(", ")} will be answered by the archive for a moment.`);
  return {
    will: [
      "Redis is made ready; the archive goes on answering.",
      `Requests for ${keysOf(policy)} wait for the archive's last ones: ${pauseText(policy)}.`,
      `Redis answers; ${documentsText(state)} when it is asked for, and all others one after the other.`,
    ],
    warnings,
    undo: "make the archive the primary again. What is written meanwhile is carried there first.",
  };
}

/* Who answers already is told to stay. */
function stays(policy, store) {
  const other = store === "redis" ? "archive" : "redis";
  return {
    will: [`${storeName(store)} answers ${policy.name} already, and stays there from now on instead of giving way to ${storeName(other)}.`.replace(/^t/, "T")],
    warnings: [],
    undo: `make ${storeName(other)} the primary again.`,
  };
}

/** {will, warnings, undo} of making store answer for policy. */
export function ofPrimary(state, policy, store) {
  if (policy.acting === store) return stays(policy, store);
  return store === "redis" ? toRedis(state, policy) : toArchive(state, policy);
}

function dualWriteOn(state, policy) {
  const acks = policy.settings.ack === "both" ? "is in both stores before it is acknowledged" : "is copied to the other store soon after it is acknowledged";
  return {
    will: [
      `From now on each write to ${keysOf(policy)} ${acks}.`,
      "A backfill copies what was written before. It runs beside the traffic, and is shown under Moves.",
      "Until the backfill is done a failover would show the archive's older state.",
    ],
    warnings: state.archive.up ? [] : [`The archive is down (${state.archive.error ?? "no reason given"}): the copies begin when it is back.`],
    undo: "switch dual writes off.",
  };
}

function dualWriteOff(state, policy) {
  const owed = state.sync?.dirtyKeys > 0 ? ` ${count(state.sync.dirtyKeys)} keys are still owed to the archive.` : "";
  const redis = policy.acting === "redis";
  return {
    will: [
      `From now on writes to ${keysOf(policy)} go to ${storeName(policy.acting)} only.${owed}`,
      redis ? "The promise falls: acknowledged writes survive what Redis alone survives." : "The promise stays what the archive alone gives.",
      "A failover shows the archive's older state, and a switch to the archive hides what was never copied.",
    ],
    warnings: redis ? ["What is written from now on is lost when Redis loses it."] : [],
    undo: "switch dual writes on again: a backfill then copies what was missed.",
  };
}

export function ofDualWrite(state, policy, on) {
  return on ? dualWriteOn(state, policy) : dualWriteOff(state, policy);
}
