"""router/plan against plain Redis: the same replies and values, for every command that may write, and the policy's TTL.

Each sample of harness/samples.py runs as it is on one server, and as its plan says on another. Then the replies must be the
same bytes, the values equal, and the TTLs as the sample says; a refused write must leave them alone.
CONV_PLAN_CLI   another plan_cli than the one beside the proxy that is tested"""
import os
import time
from pathlib import Path

import pytest
from harness import RedisServer, RespConn, RespError
from harness.plan_cli import Executor, PlanCli, elements
from harness.resp import encode
from harness.samples import SAMPLES, slide, words, wrong_types

pytestmark = pytest.mark.sanitize

ROOT = Path(__file__).resolve().parents[2]
TTL = 600_000  # the policy's
OWN_TTL = 5_000_000  # that of the keys before the command
SLACK = 3_000  # two servers, two moments
READERS = {
    b"string": ("GET {}",),
    b"list": ("LRANGE {} 0 -1",),
    b"hash": ("HGETALL {}",),
    b"set": ("SMEMBERS {}",),
    b"zset": ("ZRANGE {} 0 -1 WITHSCORES",),
    b"stream": ("XRANGE {} - +", "XINFO GROUPS {}", "XPENDING {} g"),
}


def plan_cli_path():
    beside = ROOT / os.environ.get("CONVPROXY_BIN", "build/convproxy")
    return os.environ.get("CONV_PLAN_CLI") or str(beside.parent / "tests/unit/router/plan_cli")


@pytest.fixture(scope="module")
def make_cli():
    started = []

    def make(*policies):
        started.append(PlanCli(plan_cli_path(), policies))
        return started[-1]

    yield make
    assert [cli.close() for cli in started] == [0] * len(started)


@pytest.fixture(scope="module")
def cli(make_cli):
    return make_cli(f"conv=conv:*,{TTL},0,0")


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """The plain one and the one that plans run on."""
    folder = tmp_path_factory.mktemp("plans")
    pair = [RedisServer(folder).start() for _ in range(2)]
    yield pair
    for server in pair:
        server.kill()


class Side:
    """One server: a connection that speaks the client's protocol, and one to look behind it."""

    def __init__(self, server, resp):
        self.client, self.control = RespConn.to(server), RespConn.to(server)
        self.client.cmd("HELLO", resp)

    def close(self):
        self.client.close()
        self.control.close()

    def prepare(self, sample):
        replies = self.control.pipeline(("FLUSHALL",), *sample.setup)
        assert not any(isinstance(reply, RespError) for reply in replies), (sample, replies)
        if not sample.bare:
            expires = str(int(time.time() * 1000) + OWN_TTL)
            self.control.pipeline(*[("PEXPIREAT", key, expires) for key in self.control.cmd("KEYS", "*")])

    def limit_memory(self, oom):
        self.control.cmd("CONFIG", "SET", "maxmemory", "1" if oom else "0")

    def keys(self):
        """{key: (type, value, expiry)}"""
        self.limit_memory(False)
        found = {}
        for key in sorted(self.control.cmd("KEYS", "*")):
            kind, expiry = self.control.pipeline(("TYPE", key), ("PEXPIRETIME", key))
            reads = [line.format(key.decode()).split() for line in READERS[kind.encode()]]
            value = [self.control.cmd(*read) for read in reads]
            if kind == "set":
                value = sorted(value[0])
            if kind == "hash":
                value = sorted(zip(value[0][::2], value[0][1::2]))
            found[key.decode()] = (kind, value, expiry)
        return found


def values(keys):
    return {key: (kind, value) for key, (kind, value, _) in keys.items()}


@pytest.fixture(scope="module", params=[2, 3], ids=["resp2", "resp3"])
def sides(request, servers):
    plain, planned = (Side(server, request.param) for server in servers)
    yield request.param, plain, planned
    plain.close()
    planned.close()


def plain_reply(side, args, in_multi):
    if not in_multi:
        side.client.send(encode(*args))
        return side.client.read_with_bytes()[1]
    side.client.cmd("MULTI")
    side.client.send(encode(*args))
    reply, raw = side.client.read_with_bytes()
    side.client.send(encode("EXEC"))
    whole = side.client.read_with_bytes()[1]
    return raw if isinstance(reply, RespError) else elements(whole)[0]


def same_reply(sample, plain, planned):
    if sample.unordered and plain[:1] in b"*~":
        return plain[:1] == planned[:1] and sorted(elements(plain)) == sorted(elements(planned))
    return plain == planned


def near(one, other):
    return one == other if min(one, other) < 0 else abs(one - other) < SLACK


def check_ttls(before, plain, planned, slides, now_ms):
    for key, (_, _, expiry) in planned.items():
        want = now_ms + TTL if key in slides else plain[key][2]
        assert near(expiry, want), f"{key} expires at now{expiry - now_ms:+}, not now{want - now_ms:+} (before: {before.get(key)})"


def compare(cli, sides, sample, in_multi=False, oom=False, strict=True):
    """Runs the sample on both servers; returns the reply. strict: its slides are known, also when nothing fails."""
    resp, plain, planned = sides
    for side in (plain, planned):
        side.prepare(sample)
    before = plain.keys()
    for side in (plain, planned):
        side.limit_memory(oom)
    now_ms = int(time.time() * 1000)
    want = plain_reply(plain, sample.args, in_multi)
    got, plan = Executor(cli, planned.client, resp, TTL).run(sample.args, in_multi, now_ms)
    context = f"{b' '.join(sample.args)!r} after {sample.setup} as {plan}"
    assert same_reply(sample, want, got), context
    after, after_plan = plain.keys(), planned.keys()
    assert values(after) == values(after_plan), context
    if want[:1] == b"-":
        check_ttls(before, after, after_plan, (), now_ms)
    elif strict:
        check_ttls(before, after, after_plan, sample.slides, now_ms)
    return want


def samples_of(rows, blocking):
    """Those that can run outside MULTI, or those that cannot: there a blocking command is refused by the proxy."""
    waits = {row["name"] for row in rows if row["blocking"]} - {"xreadgroup"}
    for name, samples in SAMPLES.items():
        if (name in waits) == blocking:
            yield from samples


def test_every_written_row_has_samples(cli):
    rows = cli.rows()
    writers = {row["name"] for row in rows if row["write"] and row["writes_key"]}
    assert len(writers) > 90
    assert set(SAMPLES) == writers
    for name in writers:
        used = {"|".join(word.decode().lower() for word in s.args[: name.count("|") + 1]) for s in SAMPLES[name]}
        assert used == {name}
        assert SAMPLES[name]


def test_alone(cli, sides):
    for sample in samples_of(cli.rows(), blocking=False):
        compare(cli, sides, sample)


def test_in_multi(cli, sides):
    rows = cli.rows()
    for blocking in (False, True):
        for sample in samples_of(rows, blocking):
            compare(cli, sides, sample, in_multi=True)


@pytest.mark.parametrize("in_multi", [False, True], ids=["alone", "multi"])
def test_wrong_types(cli, sides, in_multi):
    """Every command that minds the type must have been refused at least once."""
    for sample in samples_of(cli.rows(), blocking=False):
        replies = [compare(cli, sides, wrong, in_multi, strict=False) for wrong in wrong_types(sample)]
        assert not sample.typed or any(reply[:1] == b"-" for reply in replies), sample


def test_out_of_memory(cli, sides):
    """What Redis refuses then is refused with the same words; what it allows runs, TTL included."""
    refused, ran = set(), set()
    for sample in samples_of(cli.rows(), blocking=False):
        reply = compare(cli, sides, sample, oom=True)
        (refused if reply.startswith(b"-OOM") else ran).add(sample.name)
        for wrong in wrong_types(sample):
            compare(cli, sides, wrong, oom=True, strict=False)
    assert {"rpush", "set", "hset", "restore"} <= refused
    assert {"lpop", "srem", "ltrim", "zpopmin", "rename", "smove", "persist", "getex"} <= ran


# With max_messages 3: what is there, the command, the client's reply (a push tells the length after the trim), what is read.
TRIMS = [
    ("RPUSH conv:k a b c", "RPUSH conv:k d e", 3, "LRANGE conv:k 0 -1", "c d e"),
    ("RPUSH conv:k a", "RPUSH conv:k b", 2, "LRANGE conv:k 0 -1", "a b"),
    ("RPUSH conv:k a", "RPUSH conv:k b c d e f", 3, "LRANGE conv:k 0 -1", "d e f"),
    ("RPUSH conv:k a b c", "RPUSHX conv:k d", 3, "LRANGE conv:k 0 -1", "b c d"),
    ("RPUSH conv:other a", "RPUSHX conv:k d", 0, "LRANGE conv:k 0 -1", ""),
    ("LPUSH conv:k a b c", "LPUSH conv:k d e", 3, "LRANGE conv:k 0 -1", "e d c"),
    ("LPUSH conv:k a b c", "LPUSHX conv:k d", 3, "LRANGE conv:k 0 -1", "d c b"),
    ("ZADD conv:k 1 a 2 b 3 c", "ZADD conv:k 9 z 2.5 y", 2, "ZRANGE conv:k 0 -1", "y c z"),
    ("ZADD conv:k 1 a 2 b 3 c", "ZADD conv:k NX INCR 4 d", b"4", "ZRANGE conv:k 0 -1", "b c d"),
    ("XADD conv:k 1-1 f v", "XADD conv:k 2-2 f v", b"2-2", "XLEN conv:k", 2),
    ("XADD conv:k 1-1 f v", "XADD conv:k MAXLEN 1 2-2 f v", b"2-2", "XLEN conv:k", 1),
    ("SET conv:k x", 'SET conv:k [1,{"a":2},3,[4]]', "OK", "GET conv:k", b'[{"a":2},3,[4]]'),
    ("SET conv:k x", 'SET conv:k {"not":"array"}', "OK", "GET conv:k", b'{"not":"array"}'),
    ("SET conv:k x", "GETSET conv:k [1,2,3,4]", b"x", "GET conv:k", b"[2,3,4]"),
    ("SET conv:other x", "SETNX conv:k [1,2,3,4]", 1, "GET conv:k", b"[2,3,4]"),
    ("SET conv:k x", "SETNX conv:k [1,2,3,4]", 0, "GET conv:k", b"x"),
    ("SET conv:k x", "SETEX conv:k 100 [1,2,3,4]", "OK", "GET conv:k", b"[2,3,4]"),
    ("SET conv:k x", "PSETEX conv:k 100000 [1,2,3,4]", "OK", "GET conv:k", b"[2,3,4]"),
    ("SET conv:k x", "MSET raw [1,2,3,4] conv:k [1,2,3,4]", "OK", "MGET raw conv:k", "[1,2,3,4] [2,3,4]"),
    ("SET conv:j x", "MSETNX raw [1,2,3,4] conv:k [1,2,3,4]", 1, "MGET raw conv:k", "[1,2,3,4] [2,3,4]"),
    ("SET conv:k x", "SET conv:k [1,2,3,4] KEEPTTL", "OK", "GET conv:k", b"[2,3,4]"),
    ("SET conv:k x", "SET conv:k [1,2,3,4] EX 100 GET", b"x", "GET conv:k", b"[2,3,4]"),
]


def test_trims(make_cli, servers):
    cli = make_cli(f"conv=conv:*,{TTL},3,0")
    with RespConn.to(servers[1]) as conn:
        for setup, command, reply, read, value in TRIMS:
            conn.pipeline(("FLUSHALL",), setup.split())
            raw, _ = Executor(cli, conn, 2, TTL, limit=3).run(words(command), False, int(time.time() * 1000))
            conn.buffer[:0] = raw
            assert conn.read() == reply, command
            got = conn.cmd(*read.split())
            assert got == ([word.encode() for word in value.split()] if isinstance(value, str) else value), command


def test_stream_keeps_its_newest(make_cli, servers):
    cli = make_cli(f"conv=conv:*,{TTL},3,0")
    with RespConn.to(servers[1]) as conn:
        conn.cmd("FLUSHALL")
        executor = Executor(cli, conn, 2, TTL)
        for i in range(1, 8):
            assert executor.run(words(f"XADD conv:k {i}-0 f v"), False, int(time.time() * 1000))[0] == b"$3\r\n%d-0\r\n" % i
        assert [entry[0] for entry in conn.cmd("XRANGE", "conv:k", "-", "+")] == [b"5-0", b"6-0", b"7-0"]


@pytest.mark.parametrize("count, kind", [(3998, "script"), (3999, "block"), (20000, "block")])
def test_many_arguments(cli, sides, count, kind):
    """Lua's unpack has an end; beyond ours a removal goes as a block, with the same reply."""
    members = " ".join(f"m{i}" for i in range(count))
    sample = slide("SREM conv:k " + members, "SADD conv:k kept " + members)
    assert compare(cli, sides, sample) == b":%d\r\n" % count
    assert cli.plan(sample.args, 2, False, 0)["kind"] == kind


@pytest.mark.parametrize("count", [1, 1000])
def test_many_keys(cli, sides, count):
    keys = " ".join(f"conv:{i}" for i in range(count))
    compare(cli, sides, slide(f"LMPOP {count} {keys} LEFT COUNT 9", f"RPUSH conv:{count - 1} a b c", keys=""))
    pairs = " ".join(f"conv:{i} {i}" for i in range(count))
    compare(cli, sides, slide(f"MSET {pairs}", keys=keys))


def test_undo_spares_who_wrote_since(cli, sides):
    """The expiry goes back only if it still is the one that the refused write set; -1 takes it away again."""
    _, _, side = sides
    conn, base = side.client, int(time.time() * 1000)
    for now, set_ms, old_ms, after in [
        (base + 50_000, base + 50_000, base + 90_000, base + 90_000),
        (base + 50_000, base + 51_000, base + 90_000, base + 50_000),
        (base + 50_000, base + 50_000, -1, -1),
        (base + 50_000, base + 51_000, -1, base + 50_000),
        (base + 50_000, base + 50_000, base - 1, -2),
    ]:
        conn.pipeline(("SET", "conv:k", "v"), ("PEXPIREAT", "conv:k", now))
        conn.send(cli.undo("conv:k", set_ms, old_ms))
        assert isinstance(conn.read(), int)
        assert conn.cmd("PEXPIRETIME", "conv:k") == after
