// noderedis.js HOST PORT PROTOCOL PREFIX STEPS with node-redis: a line of JSON for each step of steps.json, its reply.
'use strict';
const { createClient } = require('redis');
const fs = require('fs');

const [host, port, protocol, prefix, path] = process.argv.slice(2);

function plain(key, value) {
  if (value instanceof Error) return { error: value.message };
  if (value instanceof Map) return Object.fromEntries(value);
  if (value instanceof Set) return [...value].sort();
  return value;
}

async function main() {
  const client = createClient({ socket: { host, port: Number(port), reconnectStrategy: false }, RESP: Number(protocol) });
  client.on('error', (error) => { console.error(error); process.exit(1); });
  await client.connect();
  for (const step of JSON.parse(fs.readFileSync(path, 'utf8')).steps) {
    const reply = await client.sendCommand(step.map((word) => word.replace('{}', prefix))).catch((error) => error);
    console.log(JSON.stringify(reply, plain));
  }
  client.destroy();
}

main().catch((error) => { console.error(error); process.exit(1); });
