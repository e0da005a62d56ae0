// ioredis_pubsub.js HOST PORT PROTOCOL: one client hears what another one says; prints "ok", throws at the first surprise.
"use strict";
const assert = require("node:assert/strict");
const { once } = require("node:events");
const { Redis } = require("ioredis");

const [host, port, protocol] = process.argv.slice(2);
const options = { host, port: Number(port), protocol: Number(protocol), maxRetriesPerRequest: 1 };

async function main() {
  const hears = new Redis(options);
  const says = new Redis(options);
  assert.equal(await hears.subscribe("io:a", "io:b"), 2);
  assert.equal(await hears.psubscribe("io:*"), 3);
  const message = once(hears, "message");
  const matched = once(hears, "pmessage");
  assert.equal(await says.publish("io:a", "hello"), 2);
  assert.deepEqual(await message, ["io:a", "hello"]);
  assert.deepEqual(await matched, ["io:*", "io:a", "hello"]);
  assert.deepEqual(await says.pubsub("NUMSUB", "io:a", "io:none"), ["io:a", 1, "io:none", 0]);
  assert.equal(await hears.punsubscribe("io:*"), 2);
  assert.equal(await hears.unsubscribe(), 0);
  assert.equal(await says.publish("io:a", "nobody"), 0);
  assert.equal(await hears.ping(), "PONG");
  hears.disconnect();
  says.disconnect();
  console.log("ok");
}

main().catch((problem) => {
  console.error(problem);
  process.exit(1);
});
