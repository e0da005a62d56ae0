"""Scripts that do not name the keys they change, while Redis acts: what they have changed of managed keys has a version, a mark and a copy before
their client hears of it, as any other write has; what nobody could see is found by a verify."""
import threading

import pytest
from harness import RespConn, eventually
from harness.resp import encode
from test_dual_write import Served

pytestmark = [pytest.mark.managed, pytest.mark.timeout(120)]

RUNBOOK = "for _,k in ipairs(redis.call('KEYS','conv:*')) do redis.call('DEL',k) end"
APPEND = "redis.call('RPUSH', 'conv:' .. ARGV[1], ARGV[2]) return redis.call('LLEN', 'conv:' .. ARGV[1])"
LIBRARY = """#!lua name=mylib
redis.register_function('put', function(keys, args) return redis.call('SET', 'conv:' .. args[1], args[2]) end)
"""


@pytest.fixture(scope="module", params=["both", "primary"])
def world(request, tmp_path_factory):
    made = Served(tmp_path_factory.mktemp("traced"), **{"conv.ack": request.param})
    made.ack = request.param
    yield made
    made.stop()


@pytest.fixture
def conn(world):
    with RespConn.to(world.proxy, timeout=30) as one:
        one.cmd("EVAL", RUNBOOK, 0)
        world.settled()
        yield one


def values(world, *keys):
    """As the archive has them now: None where there is no such key."""
    found = world.documents([key.encode() for key in keys])
    return [found[key.encode()].get("v") if key.encode() in found else None for key in keys]


def copied(world, *keys):
    """With ack both at once, with ack primary soon."""
    if world.ack != "both":
        eventually(lambda: not world.marks(), 20)
    return values(world, *keys)


def settled(self):
    eventually(lambda: "phase redis" in self.status() and not self.marks() and self.behind.cmd("EXISTS", "cvp:suspect") == 0, 20)


Served.settled = settled


@pytest.mark.sanitize
def test_the_runbook(world, conn):
    conn.pipeline(("RPUSH", "conv:1", "a"), ("SET", "conv:2", "b"), ("SET", "raw", "c"))
    before, scripts, found = world.versions([b"conv:1", b"conv:2"]), world.counter("conv_scripts_traced_total"), world.counter("conv_scripts_keys_total")
    assert conn.cmd("EVAL", RUNBOOK, 0) is None
    assert world.counter("conv_scripts_traced_total") == scripts + 1 and world.counter("conv_scripts_keys_total") == found + 2
    after = world.versions([b"conv:1", b"conv:2"])
    assert all(after[key] > before[key] for key in before)
    assert copied(world, "conv:1", "conv:2") == [None, None]
    assert conn.pipeline(("EXISTS", "conv:1", "conv:2"), ("GET", "raw")) == [0, b"c"]
    assert world.behind.cmd("EXISTS", "cvp:suspect") == 0


def test_writes_of_all_kinds(world, conn):
    assert conn.cmd("EVAL", APPEND, 0, "l", "x") == 1
    assert copied(world, "conv:l") == [["x"]]
    assert 0 < conn.cmd("PTTL", "conv:l") <= 600_000
    assert conn.cmd("RPUSH", "conv:l", "y") == 2
    assert conn.cmd("EVAL", APPEND, 0, "l", "z") == 3
    assert copied(world, "conv:l") == [["x", "y", "z"]]
    sha = conn.cmd("SCRIPT", "LOAD", APPEND)
    assert conn.cmd("EVALSHA", sha, 0, "l", "w") == 4
    assert copied(world, "conv:l") == [["x", "y", "z", "w"]]
    conn.cmd("FUNCTION", "LOAD", "REPLACE", LIBRARY)
    assert conn.cmd("FCALL", "put", 0, "s", "v") == "OK"
    assert copied(world, "conv:s") == ["v"]


def test_one_that_fails_half_way(world, conn):
    """What it wrote before stays."""
    reply = conn.cmd("EVAL", "redis.call('SET', 'conv:1', 'half') return redis.call('LPUSH', 'conv:1', 'x')", 0)
    assert reply.startswith("WRONGTYPE ")
    assert copied(world, "conv:1") == ["half"]
    assert conn.cmd("EVALSHA", "f" * 40, 0).startswith("NOSCRIPT ")
    assert conn.cmd("EVAL", "this is no Lua", 0).startswith("ERR Error compiling script")
    world.settled()


def test_replies_are_those_of_redis(world, conn):
    for script in ("return 1", "return {1, 'two', {3}, false}", "return nil", "return redis.error_reply('MINE it')", "error('plain')", "return {ok='FINE'}",
                   "return string.rep('x', 300000)", "return undefined"):
        for protocol in (2, 3):
            with RespConn.to(world.redis) as theirs:
                found = []
                for side in (theirs, conn):
                    side.cmd("HELLO", protocol)
                    side.send(encode("EVAL", script, 0) + encode("PING"))
                    found.append([side.read_with_bytes()[1] for _ in range(2)])
                assert found[0] == found[1], script


@pytest.mark.sanitize
def test_in_a_transaction(world, conn):
    replies = conn.pipeline(("MULTI",), ("RPUSH", "conv:a", "1"), ("EVAL", APPEND, 0, "b", "2"), ("SET", "raw", "r"), ("EVAL", "return redis.call('LLEN', KEYS[1])", 1, "conv:b"), ("EXEC",))
    assert replies[-1] == [1, 1, "OK", 1]
    assert copied(world, "conv:a", "conv:b") == [["1"], ["2"]]
    assert conn.pipeline(("WATCH", "conv:a"), ("RPUSH", "conv:a", "x"), ("MULTI",), ("EVAL", APPEND, 0, "b", "3"), ("EXEC",))[-1] is None
    assert copied(world, "conv:a", "conv:b") == [["1", "x"], ["2"]]
    world.settled()


@pytest.mark.sanitize
def test_order_in_a_pipeline(world, conn):
    commands = []
    for i in range(20):
        commands += [("RPUSH", "conv:p", f"c{i}"), ("EVAL", APPEND, 0, "p", f"s{i}"), ("LLEN", "conv:p")]
    replies = conn.pipeline(*commands)
    assert replies == [n for i in range(20) for n in (2 * i + 1, 2 * i + 2, 2 * i + 2)]
    assert copied(world, "conv:p") == [[word for i in range(20) for word in (f"c{i}", f"s{i}")]]


def test_out_of_memory(world, conn):
    """Also then the script may take keys away, and that is seen."""
    conn.pipeline(("RPUSH", "conv:1", "a"), ("RPUSH", "conv:2", "a"))
    world.behind.cmd("CONFIG", "SET", "maxmemory", 1)
    try:
        assert conn.cmd("EVAL", APPEND, 0, "2", "b").startswith("OOM ")
        assert conn.cmd("EVAL", RUNBOOK.replace("conv:*", "conv:1"), 0) is None
    finally:
        world.behind.cmd("CONFIG", "SET", "maxmemory", 0)
    assert conn.cmd("EXISTS", "conv:1", "conv:2") == 1
    world.settled()  # the copier can't read from a Redis that refuses MULTI
    assert copied(world, "conv:1", "conv:2") == [None, ["a"]]


def test_a_script_that_is_killed(world, conn):
    """SCRIPT KILL from another connection; others that want to be traced wait, or hear BUSY from Redis."""
    world.behind.cmd("CONFIG", "SET", "busy-reply-threshold", 50)
    try:
        conn.send(encode("EVAL", "while true do end", 0))
        with RespConn.to(world.proxy, timeout=30) as other:
            eventually(lambda: other.cmd("SCRIPT", "KILL") == "OK", 20)
        assert b"Script killed by user" in conn.read_with_bytes()[1]
        assert conn.cmd("EVAL", APPEND, 0, "l", "x") == 1
        assert copied(world, "conv:l") == [["x"]]
    finally:
        world.behind.cmd("CONFIG", "SET", "busy-reply-threshold", 5000)
    world.settled()


def test_many_at_once(world, conn):
    """Several clients and threads: each finds its own write in the archive when it is answered."""
    wrong = []

    def write(number):
        with RespConn.to(world.proxy, timeout=30) as own:
            for i in range(15):
                if own.cmd("EVAL", APPEND, 0, f"m{number}", str(i)) != i + 1:
                    wrong.append((number, i))
                if world.ack == "both" and values(world, f"conv:m{number}") != [[str(k) for k in range(i + 1)]]:
                    wrong.append((number, i, "copy"))

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert copied(world, *(f"conv:m{n}" for n in range(4))) == [[str(k) for k in range(15)]] * 4
    world.settled()


def test_what_is_not_traced(world, conn):
    for script in ("#!lua flags=no-writes\nreturn redis.call('EXISTS', 'conv:1')", "return redis.call('EXISTS', 'conv:1')"):
        for verb in ("EVAL", "EVAL_RO"):
            assert conn.cmd(verb, script, 0) == 0
    conn.cmd("CONFIG", "SET", "script.trace", "no")
    try:
        assert conn.cmd("EVAL", APPEND, 0, "l", "x") == 1
        assert values(world, "conv:l") == [None] and not world.marks()
    finally:
        conn.cmd("CONFIG", "SET", "script.trace", "all")
    try:
        assert conn.cmd("EVAL", APPEND, 1, "raw", "k", "y") == 1
        assert copied(world, "conv:k") == [["y"]]
    finally:
        conn.cmd("CONFIG", "SET", "script.trace", "keyless")


# ---- when something fails ----


@pytest.fixture
def alone(tmp_path):
    made = Served(tmp_path)
    made.ack = "both"
    yield made
    made.stop()


def test_the_proxy_dies_before_it_has_marked(alone):
    """What is left in cvp:suspect makes the next one look at all keys."""
    with RespConn.to(alone.proxy) as conn:
        conn.pipeline(("RPUSH", "conv:1", "a"), ("SET", "conv:2", "b"))
    alone.settled()
    alone.proxy.kill()
    alone.behind.cmd("RPUSH", "conv:1", "unseen")
    alone.behind.cmd("DEL", "conv:2")
    alone.behind.cmd("HSET", "cvp:suspect", "0123abcd:7", 1)
    alone.proxy.start()
    eventually(lambda: alone.behind.cmd("EXISTS", "cvp:suspect") == 0, 30)
    eventually(lambda: not alone.marks(), 20)
    assert values(alone, "conv:1", "conv:2") == [["a", "unseen"], None]


@pytest.mark.sanitize
def test_redis_tells_nobody_of_changes(alone):
    """CLIENT TRACKING is refused: the script runs, and a verify finds what it has done."""
    with RespConn.to(alone.proxy, timeout=30) as conn:
        conn.cmd("RPUSH", "conv:1", "a")
        alone.behind.cmd("ACL", "SETUSER", "default", "-client|tracking")
        assert conn.cmd("EVAL", APPEND, 0, "1", "b") == 2
        assert alone.counter("conv_scripts_unseen_total") == 1
        eventually(lambda: alone.behind.cmd("EXISTS", "cvp:suspect") == 0, 30)
        eventually(lambda: not alone.marks(), 20)
        assert values(alone, "conv:1") == [["a", "b"]]


def test_redis_dies_when_the_client_was_answered(alone):
    """Acknowledged is acknowledged: the archive has what the script has done."""
    with RespConn.to(alone.proxy, timeout=30) as conn:
        for i in range(5):
            assert conn.cmd("EVAL", APPEND, 0, "1", str(i)) == i + 1
        alone.redis.kill()
        assert conn.cmd("LRANGE", "conv:1", 0, -1) == [b"0", b"1", b"2", b"3", b"4"]


@pytest.mark.sanitize
def test_redis_dies_while_it_runs(alone):
    """The client hears that nobody knows, and goes on."""
    with RespConn.to(alone.proxy, timeout=30) as conn:
        conn.cmd("RPUSH", "conv:1", "a")
        conn.send(encode("EVAL", "while true do end", 0))
        with RespConn.to(alone.redis, timeout=1) as behind, pytest.raises(OSError):
            eventually(lambda: behind.cmd("PING") is None, 1)
        alone.redis.kill()
        assert b"may or may not have run" in conn.read_with_bytes()[1]
        assert conn.cmd("LRANGE", "conv:1", 0, -1) == [b"a"]


# ---- scripts that say which keys they may change ----


@pytest.fixture(scope="module", params=["both", "primary"])
def policies(request, tmp_path_factory):
    kinds = [{"name": name, "match": f"{name}:*", "ttl": "600s", "max_messages": 0, "ack": request.param} for name in ("conv", "note")]
    config = {"policies": [*kinds, {"name": "alone", "match": "alone:*", "dual_write": False}]}
    made = Served(tmp_path_factory.mktemp("policies"), config, **{"proxy.threads": 1})
    made.ack = request.param
    yield made
    made.stop()


BOTH = "redis.call('SET', KEYS[1], ARGV[1]) redis.call('RPUSH', KEYS[2], ARGV[1]) return redis.call('SET', KEYS[3], ARGV[1])"


@pytest.mark.sanitize
def test_declared_keys_of_several_policies(policies):
    """One block: each key of a policy with dual writes has a version and a copy."""
    world = policies
    keys = ("conv:1", "note:1", "alone:1")
    with RespConn.to(world.proxy, timeout=30) as conn:
        for n in range(3):
            before = world.versions([b"conv:1", b"note:1"])
            assert conn.cmd("EVAL", BOTH, 3, *keys, f"v{n}") == "OK"
            after = world.versions([b"conv:1", b"note:1"])
            assert all(after[key] == before[key] + 1 if before[key] else after[key] > 0 for key in before)
            assert copied(world, "conv:1", "note:1") == [f"v{n}", [f"v{k}" for k in range(n + 1)]]
        assert world.versions([b"alone:1", b"raw"]) == {b"alone:1": 0, b"raw": 0}
        sha = conn.cmd("SCRIPT", "LOAD", BOTH)
        assert conn.pipeline(("MULTI",), ("EVALSHA", sha, 3, *keys, "w"), ("EVALSHA", "0" * 40, 1, "conv:2"), ("EVAL", "return 1", 1, "note:2"), ("EXEC",))[-1][::2] == ["OK", 1]
        assert copied(world, "conv:1", "note:1", "conv:2") == ["w", ["v0", "v1", "v2", "w"], None]


def test_declared_keys_of_one_that_fails(policies):
    """What was written before the error stays, with marks; one that is not known there, or can't be run, has written nothing."""
    world = policies
    with RespConn.to(world.proxy, timeout=30) as conn:
        reply = conn.cmd("EVAL", "redis.call('SET', KEYS[1], 'half') return redis.call('LPUSH', KEYS[1], 'x')", 1, "conv:half")
        assert reply.startswith("WRONGTYPE ")
        assert copied(world, "conv:half") == ["half"]
        reply = conn.cmd("EVAL", "redis.call('DEL', KEYS[1]) error('stop')", 1, "conv:half")
        assert "stop" in reply
        assert copied(world, "conv:half") == [None]
        assert conn.cmd("EVALSHA", "f" * 40, 1, "conv:none").startswith("NOSCRIPT ")
        assert conn.cmd("EVAL", "no Lua", 1, "conv:none").startswith("ERR Error compiling script")
        assert copied(world, "conv:none") == [None]
        assert conn.cmd("EVAL", "#!lua flags=allow-oom\nreturn redis.call('SET', KEYS[1], 'v')", 1, "conv:oom") == "OK"
        assert copied(world, "conv:oom") == ["v"]


def test_declared_keys_and_redis_is_lost(alone):
    """Acknowledged writes of scripts are in the archive that acts then."""
    with RespConn.to(alone.proxy, timeout=30) as conn:
        for n in range(5):
            assert conn.cmd("EVAL", "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('RPUSH', KEYS[2], ARGV[1])", 2, "conv:s", "conv:l", n) == n + 1
        alone.redis.kill()
        assert conn.pipeline(("GET", "conv:s"), ("LRANGE", "conv:l", 0, -1)) == [b"4", [b"0", b"1", b"2", b"3", b"4"]]
