// ioredis.js HOST PORT PROTOCOL PREFIX STEPS: a line of JSON for each step of steps.json, its reply.
'use strict';
const Redis = require('ioredis');
const fs = require('fs');

const [host, port, protocol, prefix, path] = process.argv.slice(2);

function plain(key, value) {
  if (value instanceof Error) return { error: value.message };
  if (value instanceof Map) return Object.fromEntries(value);
  if (value instanceof Set) return [...value].sort();
  return value;
}

async function main() {
  const client = new Redis({ host, port: Number(port), protocol: Number(protocol), retryStrategy: () => null });
  for (const step of JSON.parse(fs.readFileSync(path, 'utf8')).steps) {
    const [name, ...args] = step.map((word) => word.replace('{}', prefix));
    const reply = await client.call(name, ...args).catch((error) => ({ error: error.message }));
    console.log(JSON.stringify(reply, plain));
  }
  client.disconnect();
}

main().catch((error) => { console.error(error); process.exit(1); });
