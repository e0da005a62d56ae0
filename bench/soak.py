#!/usr/bin/env python3
"""soak: a proxy on SQLite and Redis under a steady load, with a fault of Redis every 30 s: killed and started empty, killed and
started as it was, frozen, emptied. Prints the proxy's memory minute by minute, the longest pause of a client, and in the end
whether what was acknowledged is in both stores, once and in order. Needs .venv/bin/python.

    .venv/bin/python bench/soak.py [--minutes 60] [--every 30] [--clients 10] [--seed N]
"""
import argparse
import collections
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "system"))

import redis  # noqa: E402
from harness import Proxy, RedisServer, eventually  # noqa: E402

KEYS = 2000
KEPT = 50


class Clients:
    def __init__(self, proxy, count, seed):
        self.proxy, self.over = proxy, threading.Event()
        self.acked = collections.defaultdict(lambda: collections.deque(maxlen=KEPT))
        self.count, self.errors, self.longest = 0, collections.Counter(), 0.0
        self.threads = [threading.Thread(target=self.run, args=(i, random.Random(seed + i))) for i in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self, number, dice):
        conn, seq, last = self.proxy.client(socket_timeout=30), 0, time.monotonic()
        while not self.over.is_set():
            seq += 1
            key, value = f"conv:{number}:{dice.randrange(KEYS)}", f"{number}:{seq}"
            try:
                conn.rpush(key, value)
                self.acked[key].append(value)
                self.count += 1
                conn.lrange(key, -5, -1)
            except redis.RedisError as error:
                self.errors[str(error)[:60]] += 1
                self.acked.pop(key, None)  # its tail is not known exactly any more
            now = time.monotonic()
            self.longest, last = max(self.longest, now - last), now
            time.sleep(0.01)

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()


def hurt(server, fault):
    if fault == "frozen":
        server.pause()
        time.sleep(2)
        server.resume()
    elif fault == "emptied":
        server.client().flushall()
    else:
        if fault == "restarted":
            server.client().save()
        server.kill()
        if fault == "empty":
            (server.data / "dump.rdb").unlink(missing_ok=True)
        server.start()


def resident_mib(process):
    line = next(line for line in Path(f"/proc/{process.pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def tails_differ(conn, acked):
    """Keys whose last elements are not those that were acknowledged last."""
    wrong = []
    for key, values in acked.items():
        found = [value.decode() for value in conn.lrange(key, -len(values), -1)]
        if found != list(values):
            wrong.append(key)
    return wrong


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--minutes", type=float, default=60)
    parse.add_argument("--every", type=float, default=30, help="seconds between faults")
    parse.add_argument("--clients", type=int, default=10)
    parse.add_argument("--seed", type=int, default=int(time.time()))
    args = parse.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="soak"))
    server = RedisServer(folder).start()
    settings = {"failover.return_after": "3s", "conv.max_messages": KEPT, "archive.url": f"sqlite:{folder}/soak.db"}
    proxy = Proxy(folder, server.url, settings=settings).start()
    clients, dice = Clients(proxy, args.clients, args.seed), random.Random(args.seed)
    print(f"seed {args.seed}, {args.minutes:g} minutes, a fault every {args.every:g} s\nminute  resident MiB  acknowledged  faults  longest pause ms")
    began, faults, minute = time.monotonic(), 0, 0
    while time.monotonic() - began < args.minutes * 60:
        time.sleep(args.every if faults else 5)
        hurt(server, dice.choice(["empty", "restarted", "frozen", "emptied"]))
        faults += 1
        if (time.monotonic() - began) // 60 >= minute:
            print(f"{minute:6d}  {resident_mib(proxy.process):12.1f}  {clients.count:12d}  {faults:6d}  {clients.longest * 1000:16.0f}", flush=True)
            minute += 1
    time.sleep(5)
    clients.stop()
    eventually(lambda: proxy.get_json("/healthz")["placement"][0]["phase"] == "redis", 60)
    wrong = tails_differ(proxy.client(), clients.acked), tails_differ(server.client(), clients.acked)
    print(f"{clients.count} acknowledged on {len(clients.acked)} keys; keys whose tail differs: proxy {len(wrong[0])}, redis {len(wrong[1])}; errors {dict(clients.errors)}")
    proxy.stop()
    server.kill()
    return 1 if wrong[0] or wrong[1] else 0


if __name__ == "__main__":
    sys.exit(main())
