#!/usr/bin/env python3
"""archive_hang: what plain Redis traffic through the proxy feels of an archive that hangs. Calm and hang turn by turn; both times
a client asks GETs one after the other as fast as it can, one straight to Redis does the same (the machine's own noise), and a
few clients append to the archive at a fixed pace.

    .venv/bin/python bench/archive_hang.py                    the plan of faults makes the embedded archive hang
    .venv/bin/python bench/archive_hang.py --store ferretdb   SIGSTOP of a server that speaks MongoDB's protocol
"""
import argparse
import os
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "system"))
from harness import Proxy, RedisServer, RespConn, RespError, eventually
from harness.mongo_server import FerretDB
from harness.steady import Steady

WRITERS = 4
PAUSE = 0.02  # between two appends of a writer


def parse_arguments():
    parser = argparse.ArgumentParser(description="Plain GETs while the archive hangs.")
    parser.add_argument("--store", choices=("sqlite", "ferretdb"), default="sqlite")
    parser.add_argument("--seconds", type=float, default=30, help="how long each calm and each hang lasts")
    parser.add_argument("--rounds", type=int, default=2)
    return parser.parse_args()


class Writer(threading.Thread):
    """Appends at its pace; counts what was stored and what was refused."""

    def __init__(self, proxy, number, over):
        super().__init__(daemon=True)
        self.conn, self.key, self.over = RespConn.to(proxy, timeout=60), f"conv:{number}", over
        self.stored = self.refused = 0

    def run(self):
        while not self.over.wait(PAUSE):
            refused = isinstance(self.conn.cmd("RPUSH", self.key, "message"), RespError)
            self.refused += refused
            self.stored += not refused


def measure(proxy, server, seconds):
    raw, direct = Steady(proxy), Steady(server)
    time.sleep(seconds)
    return raw.stop(), direct.stop()


def show(phase, raw, direct, seconds):
    for name, seen in (("convproxy", raw), ("redis", direct)):
        times = "   ".join(f"{part} {seen[part]:8.3f}" for part in ("p50", "p99", "p999", "max"))
        print(f"{phase:6} {name:10} {seen['asked'] / seconds:9.0f} GET/s   ms: {times}   failed {len(seen['wrong'])}", flush=True)


def hang_and_resume(mongo, conn):
    if mongo is not None:
        return mongo.pause, mongo.resume
    return lambda: conn.cmd("CONV", "FAULT", "op=all hang"), lambda: conn.cmd("CONV", "FAULT", "")


def run(args, proxy, server, mongo):
    over = threading.Event()
    with RespConn.to(proxy) as conn:
        conn.cmd("SET", "plain", "value")
        conn.cmd("CONV", "PRIMARY", "mongo")
        writers = [Writer(proxy, number, over) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        hang, resume = hang_and_resume(mongo, conn)
        for _ in range(args.rounds):
            show("calm", *measure(proxy, server, args.seconds), args.seconds)
            hang()
            try:
                show("hang", *measure(proxy, server, args.seconds), args.seconds)
            finally:
                resume()
            began = time.monotonic()
            eventually(lambda: not isinstance(conn.cmd("RPUSH", "conv:x", "message"), RespError), timeout=60)
            print(f"the archive takes appends again after {time.monotonic() - began:.2f} s", flush=True)
        over.set()
        for writer in writers:
            writer.join(30)
    print(f"appends: {sum(w.stored for w in writers)} stored, {sum(w.refused for w in writers)} refused")


def main():
    args = parse_arguments()
    with tempfile.TemporaryDirectory(prefix="archive-hang-") as folder:
        server = RedisServer(folder).start()
        mongo = FerretDB(folder).start() if args.store == "ferretdb" else None
        settings = {"archive.faults": "yes", **({"archive.url": mongo.url} if mongo else {})}
        proxy = Proxy(folder, server.url, settings=settings).start()
        try:
            eventually(lambda: proxy.metrics()["mongo_up"] == 1 and proxy.metrics()["redis_up"] == 1, timeout=20)
            run(args, proxy, server, mongo)
        finally:
            proxy.stop()
            if mongo:
                mongo.kill()
            server.kill()


if __name__ == "__main__":
    main()
