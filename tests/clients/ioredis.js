// ioredis.js HOST PORT PROTOCOL PREFIX [CA]: one scenario after the other; prints "ok NAME", throws at the first surprise.
"use strict";
const assert = require("node:assert/strict");
const fs = require("node:fs");
const { Redis } = require("ioredis");

const [host, port, protocol, prefix, ca] = process.argv.slice(2);
const options = { host, port: Number(port), protocol: Number(protocol), keyPrefix: prefix, maxRetriesPerRequest: 1 };
if (ca) options.tls = { ca: fs.readFileSync(ca) };

const scenarios = {
  async strings(redis) {
    assert.equal(await redis.set("s", "hello", "EX", 100), "OK");
    assert.equal(await redis.get("s"), "hello");
    assert.ok((await redis.ttl("s")) > 98);
    assert.equal(await redis.incrby("n", 5), 5);
    assert.deepEqual(await redis.mget("s", "none"), ["hello", null]);
    const blob = Buffer.from([0, 13, 10, 255, 36]);
    await redis.set("blob", blob);
    assert.deepEqual(await redis.getBuffer("blob"), blob);
  },

  async lists(redis) {
    assert.equal(await redis.rpush("l", "a", "b", "c"), 3);
    assert.equal(await redis.lpush("l", "z"), 4);
    assert.deepEqual(await redis.lrange("l", 0, -1), ["z", "a", "b", "c"]);
    assert.equal(await redis.ltrim("l", -2, -1), "OK");
    assert.equal(await redis.rpop("l"), "c");
  },

  async hashes(redis) {
    assert.equal(await redis.hset("h", { name: "x", n: 1 }), 2);
    assert.deepEqual({ ...(await redis.hgetall("h")) }, { name: "x", n: "1" });
    assert.equal(await redis.hincrby("h", "n", 2), 3);
    assert.equal(await redis.hdel("h", "name"), 1);
  },

  async setsAndSortedSets(redis) {
    assert.equal(await redis.sadd("set", "1", "2"), 2);
    assert.deepEqual((await redis.smembers("set")).sort(), ["1", "2"]);
    assert.equal(await redis.zadd("z", 1, "a", 2.5, "b"), 2);
    assert.equal(Number(await redis.zscore("z", "b")), 2.5);
    assert.deepEqual(await redis.zrange("z", 0, -1), ["a", "b"]);
  },

  async streams(redis) {
    const id = await redis.xadd("x", "*", "role", "user");
    assert.equal(await redis.xlen("x"), 1);
    assert.deepEqual(await redis.xrange("x", "-", "+"), [[id, ["role", "user"]]]);
  },

  async pipeline(redis) {
    const pipe = redis.pipeline();
    for (let i = 0; i < 100; i++) pipe.set(`p${i}`, i).get(`p${i}`);
    pipe.incr("s");
    const replies = await pipe.exec();
    assert.equal(replies.length, 201);
    assert.deepEqual(replies.slice(0, 200).map(([, reply]) => reply), interleave(100));
    assert.match(replies[200][0].message, /not an integer/);
  },

  async transaction(redis) {
    assert.deepEqual(await redis.multi().set("t", 1).incr("t").get("t").exec(), [
      [null, "OK"],
      [null, 2],
      [null, "2"],
    ]);
  },

  async watchConflict(redis) {
    const other = new Redis(options);
    await redis.watch("t");
    await other.set("t", 9);
    assert.equal(await redis.multi().set("t", 3).exec(), null);
    assert.equal(await redis.get("t"), "9");
    other.disconnect();
  },

  async scan(redis) {
    const seen = new Set();
    for await (const keys of redis.scanStream({ match: `${prefix}p*`, count: 25 })) keys.forEach((key) => seen.add(key));
    assert.equal(seen.size, 100);
  },

  async errors(redis) {
    await assert.rejects(redis.lpush("s", "x"), /WRONGTYPE/);
    await assert.rejects(redis.call("NOSUCH"), /unknown command/);
    assert.equal(await redis.ping(), "PONG");
  },
};

function interleave(count) {
  return Array.from({ length: 2 * count }, (_, i) => (i % 2 ? String((i - 1) / 2) : "OK"));
}

async function main() {
  const redis = new Redis(options);
  for (const [name, scenario] of Object.entries(scenarios)) {
    await scenario(redis);
    console.log(`ok ${name}`);
  }
  await redis.quit();
}

main().catch((problem) => {
  console.error(problem);
  process.exit(1);
});
