"""load: the rows of the table, and how one cell of it is measured by redis-benchmark.

Invariants: every target meets the same keys; a run counts only if its replies were right and Redis really did the work.
"""
import csv
import dataclasses
import io
import subprocess

import peers
import resp

VALUE = "x" * 200
CLIENTS = 50
MAX_MESSAGES = 200  # as in peers.CONVPROXY_CONF
MANAGED_KEYS = 1000
ARCHIVE_MESSAGES = 20  # as in peers.ARCHIVE_CONF
ARCHIVE_KEYS = 10000
STAND_IN_KEYS = 1000  # the stand-in for MongoDB reads all documents for each compare-and-set
STAND_IN_CALIBRATION = 1000
CALIBRATION_REQUESTS = 5000
RUN_TIMEOUT = 120


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    command: tuple  # as redis-benchmark takes it: __rand_int__ becomes 12 digits below `keys`
    keys: int
    kind: type  # of the reply
    elements: int = 0  # each key is a list of so many before the run; -1: a string
    pipelines: tuple = (1, 16)
    clients: int = CLIENTS
    managed: bool = False  # direct Redis and convproxy only
    archive: bool = False  # direct Redis and convproxy without Redis


ARCHIVE_APPEND = Row("archive append", ("RPUSH", "conv:__rand_int__", VALUE), ARCHIVE_KEYS, int,
                     elements=ARCHIVE_MESSAGES, archive=True)
ARCHIVE_READ = Row("archive read (20)", ("LRANGE", "conv:__rand_int__", "0", "19"), ARCHIVE_KEYS, list,
                   elements=ARCHIVE_MESSAGES, archive=True)
ROWS = (
    Row("SET", ("SET", "key:__rand_int__", VALUE), 1000, str),
    Row("GET", ("GET", "key:__rand_int__"), 1000, str, elements=-1),
    Row("RPUSH", ("RPUSH", "list:__rand_int__", VALUE), 1000, int),
    Row("LRANGE_100", ("LRANGE", "list:__rand_int__", "0", "99"), 100, list, elements=100),
    Row("MSET (10 keys)", ("MSET",) + ("key:__rand_int__", VALUE) * 10, 1000, str),
    Row("GET, 1 client", ("GET", "key:__rand_int__"), 1000, str, elements=-1, pipelines=(1,), clients=1),
    Row("managed append", ("RPUSH", "conv:__rand_int__", VALUE), MANAGED_KEYS, int, elements=MAX_MESSAGES,
        managed=True),
    Row("managed read (20)", ("LRANGE", "conv:__rand_int__", "0", "19"), MANAGED_KEYS, list, elements=20,
        managed=True),
    ARCHIVE_APPEND,
    ARCHIVE_READ,
)


def named_key(row, number):
    return row.command[1].replace("__rand_int__", f"{number:012d}")


def store_of(stage, target):
    """Who holds the keys: Redis, or the archive's own proxy."""
    return target if target.name in peers.ARCHIVES else stage.peers["redis"]


def prepare(stage, target, row):
    """Empties the store, fills the row's keys through the target, checks one reply, and resets Redis' counters. Returns
    what verify wants to know."""
    store = store_of(stage, target)
    with resp.Client(store.port) as client:
        client.call("FLUSHALL")
    try:
        with resp.Client(target.port) as client:
            fill(client, row)
            reply = client.call(*(word.replace("__rand_int__", f"{0:012d}") for word in row.command))
    except (OSError, resp.ReplyError) as error:
        raise peers.BenchError(f"{target.name}: preparing {row.name}: {error}") from None
    if not isinstance(reply, row.kind) or (row.kind is list and not reply):
        raise peers.BenchError(f"{target.name}: {row.command[0]} answered {reply!r}")
    with resp.Client(store.port) as client:
        if store is target and target.name in peers.ARCHIVES:
            return archive_counters(client)
        client.call("CONFIG", "RESETSTAT")
    return None


def fill(client, row):
    if row.elements < 0:
        client.pipeline([("SET", named_key(row, i), VALUE) for i in range(row.keys)])
    elif row.elements > 0:
        client.pipeline([("RPUSH", named_key(row, i)) + (VALUE,) * row.elements for i in range(row.keys)])


def verify(stage, target, row, requests, before):
    """A proxy that refuses quickly would win every row: Redis must have seen the work, without failures."""
    if before is not None:
        verify_archive(target, row, requests, before)
        return
    verb = row.command[0].lower()
    with resp.Client(stage.peers["redis"].port) as redis:
        counters = command_counters(redis, verb)
        if counters.get("calls", 0) < requests or counters.get("failed_calls", 0) or counters.get("rejected_calls", 0):
            raise peers.BenchError(f"{target.name}: of {requests} {verb} Redis saw {counters or 'none'}")
        if row.managed and row.kind is int and target.name == "convproxy":
            verify_managed(redis, row)


def archive_counters(client):
    """(commands, of them failed) that the archive has seen so far."""
    fields = dict(line.split(":", 1) for line in client.call("INFO", "convproxy").splitlines() if ":" in line)
    return int(fields["archive_commands"]), int(fields["archive_failed"])


def verify_archive(target, row, requests, before):
    with resp.Client(target.port) as client:
        commands, failed = archive_counters(client)
        length, ttl = client.call("LLEN", named_key(row, 0)), client.call("TTL", named_key(row, 0))
    if commands - before[0] < requests or failed != before[1]:
        raise peers.BenchError(f"{target.name}: of {requests} the archive saw {commands - before[0]}, {failed} failed")
    if length != ARCHIVE_MESSAGES or ttl <= 0:
        raise peers.BenchError(f"{target.name}: {named_key(row, 0)} has length {length}, ttl {ttl}: not managed")


def command_counters(redis, verb):
    for line in redis.call("INFO", "commandstats").splitlines():
        if line.startswith(f"cmdstat_{verb}:"):
            return {name: float(value) for name, value in
                    (field.split("=") for field in line.partition(":")[2].split(","))}
    return {}


def verify_managed(redis, row):
    length, ttl = redis.call("LLEN", named_key(row, 0)), redis.call("TTL", named_key(row, 0))
    if length != MAX_MESSAGES or ttl <= 0:
        raise peers.BenchError(f"convproxy: {named_key(row, 0)} has length {length}, ttl {ttl}: not managed")


def benchmark(target, row, pipeline, requests):
    """One run of redis-benchmark: {"rps", "p50", "p99"}; latencies in ms, of a whole batch when pipelined."""
    argv = [peers.find_binary("redis-benchmark"), "-p", str(target.port), "-c", str(row.clients), "-P", str(pipeline),
            "-n", str(requests), "-r", str(row.keys), "--csv", *row.command]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=RUN_TIMEOUT, check=False,
                              preexec_fn=peers.die_with_parent)
    except subprocess.TimeoutExpired:
        raise peers.BenchError(f"{target.name}: {row.name} P={pipeline} took over {RUN_TIMEOUT} s") from None
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    if done.returncode != 0 or not rows:
        raise peers.BenchError(f"{target.name}: {row.name} P={pipeline}: redis-benchmark: "
                               f"{(done.stderr or done.stdout).strip()[-300:]}")
    return {"rps": float(rows[-1]["rps"]), "p50": float(rows[-1]["p50_latency_ms"]),
            "p99": float(rows[-1]["p99_latency_ms"])}


def measure(stage, target, row, pipeline, requests):
    """One cell, prepared before and verified after."""
    if target.name == "mongo":
        row = dataclasses.replace(row, keys=STAND_IN_KEYS)
    before = prepare(stage, target, row)
    result = benchmark(target, row, pipeline, requests)
    verify(stage, target, row, requests, before)
    return result


def calibrate(stage, target, row, pipeline, seconds):
    """The number of requests that keeps the target busy for so long."""
    least = STAND_IN_CALIBRATION if target.name == "mongo" else CALIBRATION_REQUESTS
    rps = measure(stage, target, row, pipeline, least)["rps"]
    return max(least, round(rps * seconds / 1000) * 1000)
