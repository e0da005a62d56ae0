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
from harness.samples import SAMPLES, wrong_types

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
