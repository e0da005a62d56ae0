#!/usr/bin/env python3
"""bench/tiers.py [--keys N] — how long a conversation takes to read by tier: in Redis (working), from the archive (warm), from the archive and
unpacked (cold); and how small cold ones get. Objectives: P99 below 1 ms, 100 ms, 20 s. Start it with .venv/bin/python."""
import argparse
import random
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "system"))
from harness import Proxy, RedisServer, RespConn, eventually  # noqa: E402

WORDS = (ROOT / "README.md").read_text().split()
OBJECTIVES = {"working": 1, "warm": 100, "cold": 20_000}  # P99, ms
SETTINGS = {"conv.match": "conv:*", "conv.tiers": "yes", "conv.tier_warm_after": "1s", "conv.tier_cold_after": "1s", "tier.every": "0s"}


def message(pick):
    role = pick.choice(("user", "assistant"))
    return f'{{"role": "{role}", "content": "{" ".join(pick.choices(WORDS, k=30))}", "at": {pick.randrange(10**12)}}}'.replace("\\", "")


def sweep(proxy, conn):
    move = proxy.post_json("/api/v1/moves", {"kind": "tier", "policy": "conv"})["id"]
    eventually(lambda: next(m for m in proxy.get_json("/api/v1/moves")["moves"] if m["id"] == move)["state"] == "done", 120)
    return conn.cmd("CONV", "TIERS")


def read_all(conn, keys):
    times = []
    for key in keys:
        begun = time.perf_counter()
        assert len(conn.cmd("LRANGE", key, 0, -1)) == 20
        times.append((time.perf_counter() - begun) * 1000)
    return sorted(times)


def document_bytes(proxy):
    with sqlite3.connect(f"file:{proxy.directory() / 'data' / 'convproxy.db'}?mode=ro", uri=True) as db:
        return db.execute("SELECT sum(length(doc)) FROM doc").fetchone()[0]


def run(folder, count):
    pick = random.Random(1)
    redis = RedisServer(folder).start()
    proxy = Proxy(folder, redis.url, "", settings=SETTINGS).start()
    keys = [f"conv:{i}" for i in range(count)]
    try:
        with RespConn.to(proxy, 30) as conn, RespConn.to(redis) as behind:
            eventually(lambda: any(b"phase redis" in line for line in conn.cmd("CONV", "STATUS")), 20)
            for key in keys:
                conn.cmd("RPUSH", key, *(message(pick) for _ in range(20)))
            times = {"working": read_all(conn, keys)}
            plain = document_bytes(proxy)
            old = lambda: behind.cmd("OBJECT", "IDLETIME", keys[-1]) >= 1
            for tier, cold_after in (("warm", "1d"), ("cold", "1s")):
                conn.cmd("CONFIG", "SET", "conv.tier_cold_after", cold_after)
                eventually(old, 20)
                sweep(proxy, conn)
                if tier == "cold":
                    packed = document_bytes(proxy)
                times[tier] = read_all(conn, keys)
    finally:
        proxy.stop()
        redis.kill()
    return times, plain, packed


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--keys", type=int, default=1000)
    count = options.parse_args().keys
    with tempfile.TemporaryDirectory() as folder:
        times, plain, packed = run(Path(folder), count)
    print(f"{count} conversations of 20 messages, {plain // count} bytes each as documents, cold {packed // count}")
    print("| tier | P50 | P99 | objective |\n|---|---|---|---|")
    for tier, ms in times.items():
        p50, p99 = ms[len(ms) // 2], ms[int(len(ms) * 0.99)]
        print(f"| {tier} | {p50:.2f} ms | {p99:.2f} ms | {'met' if p99 < OBJECTIVES[tier] else 'MISSED'}: < {OBJECTIVES[tier]} ms |")


if __name__ == "__main__":
    main()
