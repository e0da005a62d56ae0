"""Managed keys through the proxy: the replies of plain Redis, and on top of them the policy's TTL and limits, in one step.

test_managed_plan.py asks router/plan the same about what it would send; here it is what clients and Redis see. Where a test empties or kills
Redis behind the proxy, it is one without an archive: what dual writes add to each command is in test_dual_write.py, what becomes of a lost
Redis in test_failover.py."""
import json
import threading
import time

import pytest
from harness import Proxy, RedisServer, RespConn, RespError, eventually
from harness.resp import encode
from harness.samples import SAMPLES, wrong_types

pytestmark = [pytest.mark.sanitize, pytest.mark.managed]

TTL = 600_000  # ms; of the policy conv
OWN_TTL = 5_000_000  # that of keys before a command
SLACK = 4_000  # several servers, several moments
AHEAD = 1_100  # blocks that follow each other at once have times of their own, up to a second ahead
PROXY_SETTINGS = {"proxy.threads": 2, "redis.timeout": "5s", "redis.connect_timeout": "5s"}
PROXY_CONFIG = {
    "policies": [
        {"name": "vip", "match": "conv:vip:*", "ttl": "2h", "max_messages": 2},
        {"name": "conv", "match": "conv:*", "ttl": "10min", "max_messages": 0},
        {"name": "late", "match": "conv:late:*", "ttl": "1s", "max_messages": 1},  # never reached: conv:* comes first
        {"name": "hist", "match": "hist:*", "ttl": "1h", "max_messages": 5},
        {"name": "wm", "match": "tenant:*:wm:*", "ttl": "5min", "max_messages": 3},
        {"name": "one", "match": "one", "ttl": "1min", "max_messages": 1},
        {"name": "bytes", "match": "bytes:*", "ttl": "1h", "max_messages": 0, "max_bytes": "100"},
        {"name": "free", "match": "free:*", "ttl": "0s", "max_messages": 4},
        {"name": "live", "match": "live:*", "ttl": "1h", "max_messages": 3},
    ]
}
ALONE = {**PROXY_SETTINGS, "archive.url": ""}


def metric(proxy, name, **labels):
    text = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    return proxy.metrics()[f"{name}{{{text}}}"]


def is_error(reply, start=""):
    return isinstance(reply, RespError) and reply.startswith(start)


def expires_in(real, key, ms):
    """The key's remaining time is about ms."""
    left = real.pttl(key)
    assert ms - SLACK < left <= ms + AHEAD, f"{key} lives for {left} ms instead of {ms}"
    return True


# ---- every command that may write, against plain Redis ----


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    with_server = RedisServer(tmp_path_factory.mktemp("plain")).start()
    yield with_server
    with_server.kill()


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """(a proxy without an archive, its Redis)"""
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    proxy = Proxy(tmp_path_factory.mktemp("alone"), server.url, PROXY_CONFIG, settings=ALONE).start()
    yield proxy, server
    proxy.stop()
    server.kill()


def prepare(control, sample):
    control.cmd("FLUSHALL")
    for line in sample.setup:
        reply = control.cmd(*line)
        assert not isinstance(reply, RespError), (line, reply)
    if not sample.bare:
        at = int(time.time() * 1000) + OWN_TTL
        control.pipeline(*[("PEXPIREAT", key, at) for key in control.cmd("KEYS", "*")], ("PING",))


READERS = {
    "string": ("GET {}",),
    "list": ("LRANGE {} 0 -1",),
    "hash": ("HGETALL {}",),
    "set": ("SMEMBERS {}",),
    "zset": ("ZRANGE {} 0 -1 WITHSCORES",),
    "stream": ("XRANGE {} - +", "XINFO GROUPS {}"),
}


def state(control):
    """({key: (type, value)}, {key: expiry})"""
    values, expiries = {}, {}
    for key in sorted(control.cmd("KEYS", "*")):
        kind, expiries[key] = control.pipeline(("TYPE", key), ("PEXPIRETIME", key))
        value = [control.cmd(*line.format(key.decode()).split()) for line in READERS[kind]]
        if kind == "set":
            value = sorted(value[0])
        elif kind == "hash":
            value = sorted(zip(value[0][::2], value[0][1::2]))
        values[key] = (kind, value)
    return values, expiries


def check_expiries(control, wanted, slides, now_ms):
    """A key that had no TTL, which a managed key should have, may have got one even from a write that was refused."""
    _, got = state(control)
    for key, expiry in got.items():
        if wanted[key] == -1 and expiry > 0 and key.startswith(b"conv:"):
            slides = (*slides, key.decode())
        want = now_ms + TTL if key.decode() in slides else wanted[key]
        near = expiry == want if min(expiry, want) < 0 else abs(expiry - want) < SLACK
        assert near, f"{key} expires at now{expiry - now_ms:+}, not now{want - now_ms:+}"
    return True


class Pair:
    """The proxy and a plain server, with a connection behind the proxy to look at what it did."""

    def __init__(self, proxy, behind, plain, protocol):
        self.proxy, self.plain = RespConn.to(proxy), RespConn.to(plain)
        self.controls = [RespConn.to(behind), RespConn.to(plain)]
        for conn in (self.proxy, self.plain):
            conn.cmd("HELLO", protocol)

    def close(self):
        for conn in (self.proxy, self.plain, *self.controls):
            conn.close()

    def compare(self, sample, in_multi=False, strict=True):
        for control in self.controls:
            prepare(control, sample)
        now_ms = int(time.time() * 1000)
        data = encode(*sample.args)
        if in_multi:
            data = encode("MULTI") + data + encode("EXEC")
        replies = []
        for conn in (self.plain, self.proxy):
            conn.send(data)
            replies.append([conn.read_with_bytes() for _ in range(3 if in_multi else 1)])
        (want, want_raw), (got, got_raw) = replies[0][-1], replies[1][-1]
        told_at_once = [reply for reply, _ in replies[0]] == [reply for reply, _ in replies[1]]
        context = f"{b' '.join(sample.args)!r} after {sample.setup}: {got_raw[:200]} instead of {want_raw[:200]}"
        if sample.unordered:
            assert type(got) is type(want), context
        elif in_multi and is_error(want):  # malformed: Redis says so at once, we at EXEC at the latest
            assert is_error(got), context
        else:
            assert got_raw == want_raw and told_at_once, context
        (values, expiries), (managed_values, _) = state(self.controls[1]), state(self.controls[0])
        assert managed_values == values, context
        refused = is_error(want) or (in_multi and is_error(want[0]))
        if strict or refused:  # what a refused write did to a TTL is put back after its reply
            slides = () if refused else sample.slides
            eventually(lambda: check_expiries(self.controls[0], expiries, slides, now_ms), timeout=2)


@pytest.fixture(params=[2, 3], ids=["resp2", "resp3"])
def pair(request, alone, plain):
    pair = Pair(*alone, plain, request.param)
    yield pair
    pair.close()


def test_every_write_is_told_as_redis_tells_it(pair):
    for samples in SAMPLES.values():
        for sample in samples:
            pair.compare(sample)


def test_every_write_in_a_transaction(pair):
    for samples in SAMPLES.values():
        for sample in samples:
            pair.compare(sample, in_multi=True)


def test_keys_of_a_wrong_type(pair):
    for samples in SAMPLES.values():
        for sample in samples:
            for wrong in wrong_types(sample):
                pair.compare(wrong, strict=False)


# ---- limits ----


def test_pushes_trim_the_end_opposite_to_them(conn, real):
    """At the tail the newest stay, at the head as well (pitfall 17); the reply is the length after the trim."""
    assert conn.pipeline(*[("RPUSH", "hist:r", n) for n in range(7)]) == [1, 2, 3, 4, 5, 5, 5]
    assert conn.cmd("RPUSH", "hist:r", 7, 8) == 5
    assert real.lrange("hist:r", 0, -1) == ["4", "5", "6", "7", "8"]
    assert conn.pipeline(*[("LPUSH", "hist:l", n) for n in range(7)]) == [1, 2, 3, 4, 5, 5, 5]
    assert real.lrange("hist:l", 0, -1) == ["6", "5", "4", "3", "2"]
    assert conn.cmd("RPUSHX", "hist:l", "x") == 5 and real.lrange("hist:l", 0, -1) == ["5", "4", "3", "2", "x"]
    assert conn.cmd("LPUSHX", "hist:l", "y") == 5 and real.lrange("hist:l", 0, -1) == ["y", "5", "4", "3", "2"]
    assert conn.cmd("RPUSHX", "hist:none", "x") == 0 and not real.exists("hist:none")
    assert conn.cmd("RPUSH", "hist:many", *range(100)) == 5 and real.lrange("hist:many", 0, -1) == ["95", "96", "97", "98", "99"]
    assert conn.pipeline(*[("RPUSH", "raw", n) for n in range(9)])[-1] == 9
    for key in ("hist:r", "hist:l", "hist:many"):
        expires_in(real, key, 3_600_000)


def test_sorted_sets_and_streams_are_trimmed(conn, real):
    for n in range(8):
        assert conn.cmd("ZADD", "hist:z", n, f"m{n}") == 1
        assert conn.cmd("XADD", "hist:x", f"1-{n + 1}", "f", n) == f"1-{n + 1}".encode()
    assert real.zrange("hist:z", 0, -1) == ["m3", "m4", "m5", "m6", "m7"]
    assert [entry for entry, _ in real.xrange("hist:x")] == ["1-4", "1-5", "1-6", "1-7", "1-8"]
    expires_in(real, "hist:z", 3_600_000)
    expires_in(real, "hist:x", 3_600_000)


def test_json_histories_are_trimmed_without_touching_the_rest(conn, real, proxy):
    """The kept elements' bytes stay as they are; what is no JSON array is left alone, and both are counted."""

    def counts():
        untouched = "convproxy_json_histories_untouched_total"
        trimmed = metric(proxy, "convproxy_json_histories_trimmed_total", policy="hist")
        return trimmed, metric(proxy, untouched, policy="hist", why="not_array"), metric(proxy, untouched, policy="hist", why="invalid")

    before = counts()
    elements = ['{"role": "user",  "content": "\\u00e9 [1,2] \\"]"}', "1.0", "[ [], {} ]", '"é"', "null", "true", "-0", "1e3"]
    assert conn.cmd("SET", "hist:j", "[ " + " ,".join(elements) + " ]") == "OK"
    kept = real.get("hist:j")
    assert json.loads(kept) == json.loads("[" + ",".join(elements[3:]) + "]")
    assert " ,".join(elements[3:]) in kept
    assert conn.cmd("SETEX", "hist:e", 100, json.dumps(list(range(9)))) == "OK" and json.loads(real.get("hist:e")) == [4, 5, 6, 7, 8]
    assert conn.cmd("GETSET", "hist:j", "[1,2,3,4,5,6]") == kept.encode() and json.loads(real.get("hist:j")) == [2, 3, 4, 5, 6]
    assert conn.cmd("MSET", "hist:m", "[1,2,3,4,5,6]", "raw", "[1,2,3,4,5,6]") == "OK"
    assert json.loads(real.get("hist:m")) == [2, 3, 4, 5, 6] and real.get("raw") == "[1,2,3,4,5,6]"
    assert counts() == (before[0] + 4, before[1], before[2])
    for value in ("[1,2,3,4,5]", "[]"):
        assert conn.cmd("SET", "hist:j", value) == "OK" and real.get("hist:j") == value
    for value in ("plain text", '{"a": [1,2,3,4,5,6,7]}', "12", ""):
        assert conn.cmd("SET", "hist:j", value) == "OK" and real.get("hist:j") == value
    damaged = ("[1,2,3,4,5,6,7", "[1,2,3,4,5,6,,7]", "[1,2,3,4,5,6,7] x", '["a]', "[1,2,3,4,5,6,nul]", "[" * 5000)
    for value in damaged:
        assert conn.cmd("SET", "hist:j", value) == "OK" and real.get("hist:j") == value
    after = counts()
    assert after[0] == before[0] + 4
    assert sum(after[1:]) == sum(before[1:]) + 4 + len(damaged) and after[2] > before[2] and after[1] > before[1]
    expires_in(real, "hist:j", 3_600_000)


def test_max_bytes_drops_the_oldest(conn, real):
    messages = [f"message {n:02}" for n in range(30)]
    assert conn.cmd("SET", "bytes:j", json.dumps(messages)) == "OK"
    kept = real.get("bytes:j")
    assert len(kept) <= 100 and json.loads(kept) == messages[-len(json.loads(kept)) :] and len(json.loads(kept)) > 3


def test_a_value_that_no_document_holds_is_refused(conn, real, proxy):
    """Over 15 MiB: an error that says so, the key as it was, the connection usable; raw keys may be that large."""
    huge, before = b"v" * (16 << 20), metric(proxy, "history_persist_errors_total", policy="conv", store="redis", reason="too_large")
    assert conn.cmd("SET", "conv:huge", "old") == "OK" and conn.cmd("RPUSH", "conv:list", "old") == 1
    for command in (("SET", "conv:huge"), ("RPUSH", "conv:list"), ("HSET", "conv:hash", "f"), ("MSET", "raw", "1", "conv:huge")):
        reply = conn.cmd(*command, huge)
        assert reply == f"ERR a managed value may not be larger than 15 MiB ({command[0].lower()})"
    assert real.get("conv:huge") == "old" and real.lrange("conv:list", 0, -1) == ["old"] and not real.exists("conv:hash", "raw")
    assert conn.cmd("SET", "raw", huge) == "OK" and real.strlen("raw") == 16 << 20
    assert conn.cmd("SET", "conv:huge", b"v" * (15 << 20)) == "OK" and real.strlen("conv:huge") == 15 << 20
    assert metric(proxy, "history_persist_errors_total", policy="conv", store="redis", reason="too_large") == before + 4


# ---- time to live ----


def test_a_ttl_of_ones_own_is_kept(conn, real):
    """Until the next write without one, which starts the policy's again."""
    assert conn.cmd("SET", "conv:s", "v", "EX", 77) == "OK" and expires_in(real, "conv:s", 77_000)
    assert conn.cmd("SET", "conv:s", "v", "KEEPTTL") == "OK" and expires_in(real, "conv:s", 77_000)
    assert conn.cmd("SET", "conv:s", "v") == "OK" and expires_in(real, "conv:s", TTL)
    assert conn.cmd("EXPIRE", "conv:s", 88) == 1 and expires_in(real, "conv:s", 88_000)
    assert conn.cmd("APPEND", "conv:s", "w") == 2 and expires_in(real, "conv:s", TTL)
    assert conn.cmd("PEXPIREAT", "conv:s", int(time.time() * 1000) + 99_000) == 1 and expires_in(real, "conv:s", 99_000)
    assert conn.cmd("PERSIST", "conv:s") == 1 and expires_in(real, "conv:s", TTL)
    assert conn.cmd("GETEX", "conv:s", "EX", 66) == b"vw" and expires_in(real, "conv:s", 66_000)
    assert conn.cmd("GETEX", "conv:s") == b"vw" and expires_in(real, "conv:s", 66_000)
    assert conn.cmd("GETEX", "conv:s", "PERSIST") == b"vw" and expires_in(real, "conv:s", TTL)
    dump = conn.cmd("DUMP", "conv:s")
    assert conn.cmd("RESTORE", "conv:t", 0, dump) == "OK" and expires_in(real, "conv:t", TTL)
    assert conn.cmd("RESTORE", "conv:u", 55_000, dump) == "OK" and expires_in(real, "conv:u", 55_000)
    assert conn.cmd("SETEX", "conv:v", 44, "v") == "OK" and expires_in(real, "conv:v", 44_000)
    assert conn.cmd("SETNX", "conv:w", "v") == 1 and expires_in(real, "conv:w", TTL)


def test_a_key_without_ttl_gets_one_with_the_next_write(conn, real):
    for key, write in (("conv:s", ("SET", "conv:s", "w", "KEEPTTL")), ("conv:n", ("INCR", "conv:n"))):
        real.set(key, 1)
        assert real.ttl(key) == -1
        assert not is_error(conn.cmd(*write)) and expires_in(real, key, TTL)


def test_refused_writes_leave_the_ttl_alone(conn, real, proxy):
    """The client's TTL, not the policy's (H22): WRONGTYPE, SET NX, and writes that found nothing to do."""
    before = metric(proxy, "convproxy_ttl_restored_total", policy="conv")
    real.set("conv:s", "text", px=70_000)
    real.rpush("conv:l", "a")
    real.pexpire("conv:l", 80_000)
    wrong = [("RPUSH", "conv:s", "x"), ("LPUSH", "conv:s", "x"), ("HSET", "conv:s", "f", "v"), ("SADD", "conv:s", "m"), ("LPOP", "conv:s")]
    wrong += [("INCR", "conv:s"), ("ZADD", "conv:s", "1", "m"), ("INCR", "conv:l"), ("APPEND", "conv:l", "x")]
    for command in wrong:
        assert isinstance(conn.cmd(*command), RespError), command
        eventually(lambda: expires_in(real, "conv:s", 70_000) and expires_in(real, "conv:l", 80_000), timeout=2)
    for command in (("SET", "conv:s", "new", "NX"), ("SETNX", "conv:s", "new"), ("LPUSHX", "conv:none", "x"), ("HSETNX", "conv:none", "f")):
        conn.cmd(*command)
        eventually(lambda: expires_in(real, "conv:s", 70_000), timeout=2)
    assert real.get("conv:s") == "text" and real.lrange("conv:l", 0, -1) == ["a"]
    assert metric(proxy, "convproxy_ttl_restored_total", policy="conv") > before


def test_a_refused_write_between_good_ones_restores_nothing_too_much(conn, real):
    """What comes behind in the same pipeline has set a newer TTL, which the repair must not undo."""
    real.rpush("conv:l", "a")
    real.pexpire("conv:l", 70_000)
    replies = conn.pipeline(("INCR", "conv:l"), ("RPUSH", "conv:l", "b"), ("INCR", "conv:l"), ("EXPIRE", "conv:l", 90), ("INCR", "conv:l"))
    assert [is_error(reply, "WRONGTYPE") for reply in replies] == [True, False, True, False, True]
    eventually(lambda: expires_in(real, "conv:l", 90_000), timeout=2)
    assert conn.pipeline(("INCR", "conv:l"), ("RPUSH", "conv:l", "c"))[1] == 3
    assert conn.cmd("PING", "after the repairs") == b"after the repairs"
    assert conn.cmd("LLEN", "conv:l") == 3
    expires_in(real, "conv:l", TTL)


def test_ttl_zero_means_none(conn, real):
    assert conn.pipeline(*[("RPUSH", "free:l", n) for n in range(6)])[-1] == 4
    assert conn.cmd("SET", "free:s", "v") == "OK"
    assert real.ttl("free:l") == -1 and real.ttl("free:s") == -1


# ---- which policy ----


def test_the_first_policy_that_matches_wins(conn, real):
    assert conn.pipeline(*[("RPUSH", "conv:vip:l", n) for n in range(5)])[-1] == 2 and expires_in(real, "conv:vip:l", 7_200_000)
    assert conn.pipeline(*[("RPUSH", "conv:late:l", n) for n in range(5)])[-1] == 5 and expires_in(real, "conv:late:l", TTL)
    assert conn.pipeline(*[("RPUSH", "conv:vip", n) for n in range(5)])[-1] == 5 and expires_in(real, "conv:vip", TTL)
    assert conn.pipeline(*[("RPUSH", "one", n) for n in range(5)])[-1] == 1 and expires_in(real, "one", 60_000)
    for raw in ("one:more", "xconv:l", "conv", "CONV:l", " conv:l", ""):
        assert conn.pipeline(*[("RPUSH", raw, n) for n in range(9)])[-1] == 9 and real.ttl(raw) == -1, raw


def test_patterns_with_segments(conn, real):
    for key in ("tenant:a:wm:x", "tenant:42:wm:", "tenant:a-b.c:wm:x:y", "tenant:é:wm:x"):
        assert conn.pipeline(*[("RPUSH", key, n) for n in range(5)])[-1] == 3 and expires_in(real, key, 300_000), key
    for key in ("tenant:a:b:wm:x", "tenant::wm:x", "tenant:a:wn:x", "tenant:a:wm", "xtenant:a:wm:x"):
        assert conn.pipeline(*[("RPUSH", key, n) for n in range(5)])[-1] == 5 and real.ttl(key) == -1, key


def test_keys_of_several_policies_in_one_command(conn, real):
    """Each gets its own TTL; raw keys get none; all in one step."""
    assert conn.cmd("MSET", "conv:a", 1, "raw:a", 2, "hist:a", 3, "one", 4) == "OK"
    assert real.mget("conv:a", "raw:a", "hist:a", "one") == ["1", "2", "3", "4"]
    expires_in(real, "conv:a", TTL)
    expires_in(real, "hist:a", 3_600_000)
    expires_in(real, "one", 60_000)
    assert real.ttl("raw:a") == -1
    assert conn.cmd("MSETNX", "conv:b", 1, "raw:a", 2) == 0 and not real.exists("conv:b")
    assert conn.cmd("MSETNX", "conv:b", 1, "raw:b", 2) == 1 and expires_in(real, "conv:b", TTL) and real.ttl("raw:b") == -1
    assert conn.cmd("RPUSH", "raw:l", 1, 2, 3) == 3
    assert conn.cmd("LMOVE", "raw:l", "conv:l", "LEFT", "RIGHT") == b"1" and expires_in(real, "conv:l", TTL)
    assert real.ttl("raw:l") == -1
    assert conn.cmd("RENAME", "conv:l", "raw:m") == "OK"
    assert conn.cmd("MGET", "conv:a", "raw:a", "nothing") == [b"1", b"2", None]
    assert conn.cmd("DEL", "conv:a", "raw:a", "hist:a", "one") == 4


def test_inline_commands(conn, real):
    conn.send(b"RPUSH hist:i 'a b' \"c\\x41\"\r\n  rpush hist:i 1 2 3 4\nset conv:i '[1, 2]' \r\nGET conv:i\r\n")
    assert [conn.read() for _ in range(4)] == [2, 5, "OK", b"[1, 2]"]
    assert real.lrange("hist:i", 0, -1) == ["cA", "1", "2", "3", "4"]
    expires_in(real, "hist:i", 3_600_000)
    conn.send(b"MULTI\r\nRPUSH hist:i 5\r\nGET conv:i\r\nEXEC\r\n")
    assert [conn.read() for _ in range(4)] == ["OK", "QUEUED", "QUEUED", [5, b"[1, 2]"]]


def test_settings_change_while_it_runs(conn, real):
    assert conn.pipeline(*[("RPUSH", "live:l", n) for n in range(5)])[-1] == 3 and expires_in(real, "live:l", 3_600_000)
    assert conn.cmd("CONFIG", "SET", "live.max_messages", 6, "live.ttl", "120s") == "OK"
    eventually(lambda: conn.cmd("RPUSH", "live:probe", 1) and expires_in(real, "live:probe", 120_000), timeout=2)
    assert conn.pipeline(*[("RPUSH", "live:l", n) for n in range(9)])[-1] == 6 and expires_in(real, "live:l", 120_000)
    assert conn.cmd("CONFIG", "GET", "live.max_messages") == [b"live.max_messages", b"6"]
    for name, value in (("live.max_messages", "-1"), ("live.max_messages", "many"), ("live.ttl", "soon"), ("live.nothing", "1")):
        assert isinstance(conn.cmd("CONFIG", "SET", name, value), RespError), name
    assert conn.cmd("CONFIG", "SET", "live.max_messages", 3, "live.ttl", "1h") == "OK"
    eventually(lambda: conn.cmd("RPUSH", "live:l", 1) == 3, timeout=2)


# ---- transactions of clients ----


@pytest.mark.parametrize("protocol", [2, 3])
def test_transactions_over_managed_and_raw_keys(conn, real, protocol):
    conn.cmd("HELLO", protocol)
    real.set("conv:s", "text", px=70_000)
    commands = [("RPUSH", "hist:t", *range(7)), ("SET", "raw", 1), ("GET", "raw"), ("INCR", "conv:s"), ("HSET", "conv:h", "f", "v")]
    commands += [("HGETALL", "conv:h"), ("LPOP", "hist:t"), ("EXPIRE", "hist:t", 99), ("SETNX", "conv:s", "x"), ("MSET", "raw2", 1, "conv:m", 2)]
    replies = conn.pipeline(("MULTI",), *commands, ("EXEC",))
    assert replies[:-1] == ["OK"] + ["QUEUED"] * len(commands)
    hash_reply = {b"f": b"v"} if protocol == 3 else [b"f", b"v"]
    assert is_error(replies[-1][3], "ERR value is not an integer")
    assert replies[-1][:3] + replies[-1][4:] == [5, "OK", b"1", 1, hash_reply, b"2", 1, 0, "OK"]
    assert real.lrange("hist:t", 0, -1) == ["3", "4", "5", "6"]
    expires_in(real, "hist:t", 99_000)
    expires_in(real, "conv:h", TTL)
    expires_in(real, "conv:m", TTL)
    eventually(lambda: expires_in(real, "conv:s", 70_000), timeout=2)
    assert real.ttl("raw") == -1 and real.ttl("raw2") == -1
    assert conn.pipeline(("MULTI",), ("EXEC",)) == ["OK", []]
    assert conn.pipeline(("MULTI",), ("RPUSH", "hist:t", "gone"), ("DISCARD",), ("LLEN", "hist:t")) == ["OK", "QUEUED", "OK", 4]


@pytest.mark.parametrize("protocol", [2, 3])
def test_watch_sees_writes_of_others(proxy, conn, real, protocol):
    """Through the proxy and past it; the trim and TTL of one's own transaction are no conflict."""
    conn.cmd("HELLO", protocol)
    transaction = (("MULTI",), ("RPUSH", "hist:w", "mine"), ("EXEC",))
    with RespConn.to(proxy) as other:
        assert conn.cmd("WATCH", "hist:w", "raw") == "OK"
        assert conn.cmd("LLEN", "hist:w") == 0
        assert other.cmd("RPUSH", "hist:w", "theirs") == 1
        assert conn.pipeline(*transaction)[2] is None
        assert conn.cmd("WATCH", "hist:w", "raw") == "OK"
        real.set("raw", "theirs")
        assert conn.pipeline(*transaction)[2] is None
        assert real.lrange("hist:w", 0, -1) == ["theirs"]
        for _ in range(7):
            assert conn.cmd("WATCH", "hist:w") == "OK"
            assert isinstance(conn.cmd("LRANGE", "hist:w", 0, -1), list)
            assert isinstance(conn.pipeline(*transaction)[2], list)
        assert conn.cmd("WATCH", "hist:w") == "OK" and conn.cmd("UNWATCH") == "OK"
        assert other.cmd("RPUSH", "hist:w", "theirs") == 5
        assert conn.pipeline(*transaction)[2] == [5]


def test_optimistic_increments_lose_nothing(proxy, real):
    """Eight clients read, add one and write with WATCH, again when EXEC says nil: every round counts once."""
    rounds, errors = 15, []

    def count():
        try:
            with RespConn.to(proxy, timeout=20) as conn:
                done = 0
                while done < rounds:
                    conn.cmd("WATCH", "conv:count")
                    value = int(conn.cmd("GET", "conv:count") or 0)
                    done += conn.pipeline(("MULTI",), ("SET", "conv:count", value + 1), ("EXEC",))[2] is not None
        except Exception as problem:  # told by the main thread
            errors.append(problem)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and real.get("conv:count") == str(8 * rounds)
    expires_in(real, "conv:count", TTL)


# ---- nothing half done ----


def test_redis_killed_between_appends(tmp_path, make_proxy):
    """kill -9 in the middle of many appends: each list is trimmed, has its TTL, and holds a piece without holes."""
    redis = RedisServer(tmp_path, args=["--appendonly", "yes", "--appendfsync", "no"]).start()
    proxy = make_proxy(redis.url, PROXY_CONFIG, settings=ALONE).start()
    stop, acked, errors = threading.Event(), {}, []

    def append(number):
        key = f"hist:{number}"
        try:
            with RespConn.to(proxy, timeout=20) as conn:
                at = 0
                while not stop.is_set():
                    replies = conn.pipeline(*[("RPUSH", key, n) for n in range(at, at + 50)])
                    at += 50
                    assert all(is_error(r, "REDISDOWN") or is_error(r, "LOADING") or 1 <= r <= 5 for r in replies), replies
                    good = [n for n, r in zip(range(at - 50, at), replies) if not isinstance(r, RespError)]
                    acked[key] = max([acked.get(key, -1), *good])
        except Exception as problem:  # told by the main thread
            errors.append(problem)

    threads = [threading.Thread(target=append, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            before = dict(acked)
            eventually(lambda before=before: len(acked) == 8 and all(acked[k] > before.get(k, -1) + 100 for k in acked), timeout=20)
            redis.kill()
            redis.start()
            eventually(lambda: redis.client().dbsize() == 8)
            look_at_lists(redis, acked)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        redis.kill()
    assert not errors


def look_at_lists(redis, acked):
    client = redis.client(decode_responses=True)
    for key in client.keys():
        messages, ttl = client.lrange(key, 0, -1), client.pttl(key)
        assert len(messages) <= 5 and 3_500_000 < ttl <= 3_600_000 + AHEAD, f"{key}: {messages}, {ttl} ms"
        numbers = [int(message) for message in messages]
        assert numbers == sorted(set(numbers)), f"{key}: {numbers}"
