#!/usr/bin/env python3
"""archive_million: one million conversations of 20 messages in the SQLite archive of a proxy without Redis.

Loads them through the proxy, then says what it holds against the requirements: resident memory flat, ready within a second
on that file (also after kill -9), P99 of a read below a millisecond. Needs about 9 GB of disk; minutes, not seconds.
"""
import argparse
import json
import os
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import load
import peers
import resp

BATCH = 64  # conversations in one write of a loading client
LOADERS = 4
READS = 20000
P99_MS = 1.0
START_SECONDS = 1.0
GROWTH_BYTES = 16 * 2**20  # of resident memory, between a tenth of the load and its end


def parse_arguments():
    parser = argparse.ArgumentParser(description="Measures the SQLite archive with a million conversations.")
    parser.add_argument("--bin", default=os.path.join(peers.ROOT, "build", "convproxy"), help="the convproxy to measure")
    parser.add_argument("--conversations", type=int, default=1000000)
    parser.add_argument("--dir", help="where the file lies; default: the folder for temporary files")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting for convproxy")
    parser.add_argument("--any-build", action="store_true", help="accept a convproxy that isn't a release build")
    parser.add_argument("--json", metavar="FILE", help="write what was measured")
    return parser.parse_args()


def name_of(number):
    return load.named_key(load.ARCHIVE_READ, number)


class Loader(threading.Thread):
    """Puts in every LOADERS-th batch of conversations; done is how many are acknowledged."""

    tail = b"".join(b"$%d\r\n%s\r\n" % (len(load.VALUE), load.VALUE.encode()) for _ in range(load.ARCHIVE_MESSAGES))

    def __init__(self, port, first, count):
        super().__init__(daemon=True)
        self.port, self.first, self.count, self.done, self.problem = port, first, count, 0, None

    def request(self, number):
        key = name_of(number).encode()
        return b"*%d\r\n$5\r\nRPUSH\r\n$%d\r\n%s\r\n" % (2 + load.ARCHIVE_MESSAGES, len(key), key) + self.tail

    def run(self):
        try:
            with resp.Client(self.port) as client:
                for start in range(self.first * BATCH, self.count, LOADERS * BATCH):
                    numbers = range(start, min(start + BATCH, self.count))
                    client.exchange(b"".join(map(self.request, numbers)), len(numbers))
                    self.done += len(numbers)
        except (OSError, resp.ReplyError) as error:
            self.problem = error


def fill(peer, count, samples):
    """Loads all; samples gets (conversations, resident bytes) about once a second. Conversations a second."""
    began = time.monotonic()
    loaders = [Loader(peer.port, i, count) for i in range(LOADERS)]
    for loader in loaders:
        loader.start()
    while any(loader.is_alive() for loader in loaders):
        loaders[0].join(1)
        done = sum(loader.done for loader in loaders)
        samples.append((done, peer.resident_bytes()))
        print(f"\r\033[K{done:,} conversations, {samples[-1][1] / 2**20:.1f} MiB", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    for loader in loaders:
        if loader.problem is not None:
            raise peers.BenchError(f"loading: {loader.problem}")
    return count / (time.monotonic() - began)


def ready_after(stage, how, count):
    """Seconds from starting the process until it has answered a read; the process before is stopped or killed."""
    peer = stage.peers["sqlite"]
    peer.process.send_signal(how)
    peer.process.wait(60)
    began = time.monotonic()
    peer = stage.start("sqlite")
    with resp.Client(peer.port) as client:
        found = client.call("LLEN", name_of(count - 1))
    took = time.monotonic() - began
    if found != load.ARCHIVE_MESSAGES:
        raise peers.BenchError(f"after the start the last conversation has {found} messages")
    return took


def read_latency(peer, row, clients, count):
    return load.benchmark(peer, load.dataclasses.replace(row, clients=clients, keys=count), 1, READS)


def at_full_speed(peer, row, count):
    return load.benchmark(peer, load.dataclasses.replace(row, keys=count), 16, 10 * READS)["rps"]


def size_of(folder):
    return sum(entry.stat().st_size for entry in os.scandir(folder) if entry.name.startswith("archive.db"))


def measure(stage, count):
    samples, result = [], {"conversations": count}
    peer = stage.start("sqlite")
    result["rss_empty"] = peer.resident_bytes()
    result["loaded_per_second"] = fill(peer, count, samples)
    early = [rss for done, rss in samples if done >= count / 10]
    result["rss_at_a_tenth"], result["rss_highest"] = early[0], max(rss for _, rss in samples)
    result["rss_samples"] = samples
    result["file_bytes"] = size_of(stage.dir)
    result["start_after_sigterm"] = ready_after(stage, peers.signal.SIGTERM, count)
    peer = stage.peers["sqlite"]
    for clients in (1, 10):
        result[f"read_{clients}"] = read_latency(peer, load.ARCHIVE_READ, clients, count)
    result["reads_per_second"] = at_full_speed(peer, load.ARCHIVE_READ, count)
    result["appends_per_second"] = at_full_speed(peer, load.ARCHIVE_APPEND, count)
    result["rss_after_all"] = peer.resident_bytes()
    result["start_after_kill"] = ready_after(stage, peers.signal.SIGKILL, count)
    return result


def verdicts(r):
    """(what, value, held)"""
    growth = r["rss_highest"] - r["rss_at_a_tenth"]
    rows = [("resident memory, growth from a tenth of the load on", f"{growth / 2**20:.1f} MiB", growth <= GROWTH_BYTES)]
    for what in ("start_after_sigterm", "start_after_kill"):
        rows.append((what.replace("_", " "), f"{r[what] * 1000:.0f} ms", r[what] < START_SECONDS))
    for clients in (1, 10):
        cell = r[f"read_{clients}"]
        text = f"p50 {cell['p50']:.3f}, p99 {cell['p99']:.3f} ms at {cell['rps']:,.0f}/s"
        rows.append((f"read of 20 messages, {clients} clients", text, cell["p99"] < P99_MS))
    return rows


def publish(r):
    print(f"{r['conversations']:,} conversations, {r['loaded_per_second']:,.0f} a second, {r['file_bytes'] / 2**30:.2f} GiB")
    sizes = [f"{r[name] / 2**20:.1f}" for name in ("rss_empty", "rss_at_a_tenth", "rss_highest", "rss_after_all")]
    print("resident MiB: empty {}, at a tenth {}, highest while loading {}, after all {}".format(*sizes))
    print(f"16 deep, 50 clients: {r['appends_per_second']:,.0f} appends/s, {r['reads_per_second']:,.0f} reads/s")
    for what, value, held in verdicts(r):
        print(f"{'held    ' if held else 'NOT HELD'} {what}: {value}")


def main():
    args = parse_arguments()
    peers.stop_on_signals()
    try:
        peers.check_convproxy(args.bin, args.any_build)
        with peers.Stage(args.bin, settings=args.set, folder=args.dir) as stage:
            result = measure(stage, args.conversations)
    except peers.BenchError as error:
        sys.exit(f"bench/archive_million.py: {error}")
    publish(result)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump(result, f)
    sys.exit(0 if all(held for _, _, held in verdicts(result)) else 1)


if __name__ == "__main__":
    main()
