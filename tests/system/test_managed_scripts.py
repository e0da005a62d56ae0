"""EVAL, EVALSHA and FCALL on managed keys: the replies are Redis's, and no key is left without a TTL."""
import pytest
from harness import RespConn, eventually
from harness.resp import encode

pytestmark = [pytest.mark.sanitize, pytest.mark.managed]

TTL = 600_000
PROXY_SETTINGS = {"archive.url": ""}  # Redis alone: it is emptied before each test
PROXY_CONFIG = {
    "policies": [
        {"name": "conv", "match": "conv:*", "ttl": f"{TTL}ms"},
        {"name": "free", "match": "free:*", "ttl": 0},
    ]
}
ABORTED = "EXECABORT Transaction discarded because of previous errors."
OOM = "OOM command not allowed when used memory > 'maxmemory'."
NOSCRIPT = "NOSCRIPT No matching script. Please use EVAL."
SET = "return redis.call('SET', KEYS[1], ARGV[1])"
LIBRARY = """#!lua name=mylib
redis.register_function('put', function(keys, args) return redis.call('SET', keys[1], args[1]) end)
redis.register_function('fail', function(keys, args) return redis.error_reply('MINE it failed') end)
redis.register_function{function_name='look', callback=function(keys) return redis.call('GET', keys[1]) end, flags={'no-writes'}}
redis.register_function{function_name='spare', callback=function(keys) return redis.call('DEL', keys[1]) end, flags={'allow-oom'}}
"""


@pytest.fixture(params=[2, 3], ids=["resp2", "resp3"])
def sides(request, proxy, redis_server, real):
    """The same protocol through the proxy and past it, on one server."""
    with RespConn.to(proxy) as ours, RespConn.to(redis_server) as theirs:
        for side in (ours, theirs):
            side.cmd("HELLO", request.param)
        yield ours, theirs


@pytest.fixture
def library(real):
    real.function_load(LIBRARY, replace=True)
    return "mylib"


def restarts(real, *keys):
    return all(abs(real.pttl(key) - TTL) < 5000 for key in keys)


def answers(side, commands):
    side.send(b"".join(encode(*command) for command in commands))
    return [side.read_with_bytes()[1] for _ in commands]


def same(sides, real, *commands, setup=()):
    """The replies, byte for byte those that Redis gives without the proxy."""
    ours, theirs = sides
    found = []
    for side in (theirs, ours):
        real.flushdb()
        for line in setup:
            real.execute_command(*line)
        found.append(answers(side, commands))
    assert found[1] == found[0], commands
    return found[1]


REPLIES = [
    "return 1",
    "return 3.99",
    "return 'text'",
    "return ''",
    "return nil",
    "return false",
    "return true",
    "return {}",
    "return {1, 'two', {3, {}}, false, 'after'}",
    "return {1, nil, 3}",
    "return redis.status_reply('FINE')",
    "return {ok='FINE'}",
    "return redis.error_reply('MINE it failed')",
    "return redis.error_reply('it failed')",
    "return {err='My error'}",
    "return {double=1.5}",
    "return {map={a=1}}",
    "return {set={a=true}}",
    "return {big_number='12345678901234567890'}",
    "return {verbatim_string={format='txt', string='hello'}}",
    "redis.setresp(3) return redis.call('HGETALL', KEYS[2])",
    "redis.setresp(3) return redis.call('SMEMBERS', KEYS[3])",
    "redis.setresp(3) return redis.call('ZSCORE', KEYS[4], 'm')",
    "redis.setresp(3) return redis.call('GET', 'nothing')",
    "return redis.call('HGETALL', KEYS[2])",
    "return string.rep('x', 300000)",
    "return redis.call('GET', KEYS[2])",
    "return redis.pcall('GET', KEYS[2])",
    "return redis.call('NOPE')",
    "return redis.call('SET', KEYS[1])",
    "error('plain')",
    "error({err='TABLE an error'})",
    "return undefined_variable",
    "this is no Lua",
    "redis.call('SET', KEYS[1], 'half') return redis.call('LPUSH', KEYS[1], 'x')",
    "#!lua\nreturn KEYS[1]",
    "#!lua flags=no-writes\nreturn redis.call('SET', KEYS[1], 'v')",
    "#!lua flags=allow-oom\nreturn redis.call('SET', KEYS[1], 'v')",
    "#!lua flags=nonsense\nreturn 1",
    "#!python\nreturn 1",
    "#!lua",
]
SETUP = [("HSET", "conv:h", "f", "v"), ("SADD", "conv:s", "m"), ("ZADD", "conv:z", "2.5", "m")]
KEYS = (4, "conv:1", "conv:h", "conv:s", "conv:z")


@pytest.mark.parametrize("script", REPLIES, ids=lambda script: script[:40])
def test_replies(sides, real, script):
    same(sides, real, ("EVAL", script, *KEYS), setup=SETUP)
    same(sides, real, ("MULTI",), ("PING",), ("EVAL", script, *KEYS), ("EXEC",), setup=SETUP)


@pytest.mark.parametrize("count", ["-1", "x", "5", "1.5", "", "99999999999999999999"])
def test_bad_key_counts(sides, real, count):
    for verb in ("EVAL", "EVALSHA", "FCALL"):
        assert same(sides, real, (verb, "return 1", count, "conv:1"))[0].startswith(b"-")
    same(sides, real, ("EVAL",), ("EVAL", "return 1"))


def test_ttl(sides, real):
    conn, _ = sides
    assert conn.cmd("EVAL", SET, 1, "conv:1", "v") == "OK"
    assert restarts(real, "conv:1")
    assert conn.cmd("EVAL", SET, 2, "raw", "conv:2", "v") == "OK"
    assert real.pttl("raw") == -1
    assert not real.exists("conv:2")
    assert conn.cmd("EVAL", SET, 1, "free:1", "v") == "OK"
    assert real.pttl("free:1") == -1
    both = "redis.call('RPUSH', KEYS[1], 'a') return redis.call('HSET', KEYS[2], 'f', 'v')"
    assert conn.cmd("EVAL", both, 2, "conv:l", "conv:h") == 1
    assert restarts(real, "conv:l", "conv:h")


def test_the_scripts_own_ttl_is_kept(sides, real):
    conn, _ = sides
    assert conn.cmd("EVAL", "return redis.call('SET', KEYS[1], 'v', 'PX', 5000000)", 1, "conv:1") == "OK"
    assert real.pttl("conv:1") > 2 * TTL
    assert conn.cmd("EVAL", "return redis.call('APPEND', KEYS[1], 'w')", 1, "conv:1") == 2
    assert real.pttl("conv:1") > 2 * TTL
    assert conn.cmd("EVAL", "return redis.call('PERSIST', KEYS[1])", 1, "conv:1") == 1
    assert restarts(real, "conv:1")
    assert conn.cmd("EVAL", "return redis.call('DEL', KEYS[1])", 1, "conv:1") == 1
    assert not real.exists("conv:1")


def test_a_script_that_fails_half_way(sides, real):
    """What it wrote before stays in Redis, and so it needs its TTL."""
    conn, _ = sides
    reply = conn.cmd("EVAL", "redis.call('SET', KEYS[1], 'half') return redis.call('LPUSH', KEYS[1], 'x')", 1, "conv:1")
    assert reply.startswith("WRONGTYPE ")
    assert real.get("conv:1") == "half"
    assert restarts(real, "conv:1")


def test_by_digest(sides, real):
    conn, _ = sides
    real.script_flush()
    sha = conn.cmd("SCRIPT", "LOAD", SET).decode()
    assert conn.cmd("EVALSHA", sha, 1, "conv:1", "v") == "OK"
    assert restarts(real, "conv:1")
    real.script_flush()
    unknown = same(sides, real, ("EVALSHA", sha, 1, "conv:1", "v"))
    assert unknown == [b"-%s\r\n" % NOSCRIPT.encode()]
    assert not real.exists("conv:1")
    block = [("MULTI",), ("SET", "conv:2", "v"), ("EVALSHA", sha, 1, "conv:1", "v"), ("GET", "conv:2"), ("EXEC",)]
    assert NOSCRIPT.encode() in same(sides, real, *block)[4]
    assert restarts(real, "conv:2")
    assert not real.exists("conv:1")


def test_functions(sides, real, library):
    conn, _ = sides
    assert same(sides, real, ("FCALL", "put", 1, "conv:1", "v")) == [b"+OK\r\n"]
    assert restarts(real, "conv:1")
    same(sides, real, ("FCALL", "fail", 1, "conv:1"))
    same(sides, real, ("FCALL", "nothing", 1, "conv:1"))
    same(sides, real, ("FCALL", "look", 1, "conv:1"), setup=[("SET", "conv:1", "v")])
    same(sides, real, ("FCALL_RO", "look", 1, "conv:1"), setup=[("SET", "conv:1", "v")])
    same(sides, real, ("FCALL_RO", "put", 1, "conv:1", "v"))
    assert not real.exists("conv:1")


def test_in_a_transaction(sides, real, library):
    block = [
        ("MULTI",),
        ("EVAL", SET, 1, "conv:1", "v"),
        ("FCALL", "put", 1, "conv:2", "v"),
        ("EVAL", "error('stop')", 1, "conv:3"),
        ("RPUSH", "conv:4", "a"),
        ("EVAL", SET, 1, "raw", "v"),
        ("EXEC",),
    ]
    same(sides, real, *block)
    assert restarts(real, "conv:1", "conv:2", "conv:4")
    assert real.pttl("raw") == -1


def test_watched(sides, real):
    conn, _ = sides
    assert conn.pipeline(("WATCH", "conv:1"), ("EVAL", SET, 1, "conv:1", "v"), ("MULTI",), ("EVAL", SET, 1, "conv:2", "v"), ("EXEC",)) == [
        "OK",
        "OK",
        "OK",
        "QUEUED",
        None,
    ]
    assert restarts(real, "conv:1")
    assert not real.exists("conv:2")


@pytest.mark.parametrize("write", [("EVAL", SET, 1, "conv:2", "v"), ("RPUSH", "conv:2", "v"), ("SET", "conv:2", "v")], ids=lambda args: args[0])
def test_a_write_between_watch_and_multi_keeps_the_watch(sides, real, write):
    """The EXEC of a block that the proxy makes must not end the client's own watches."""
    conn, _ = sides
    assert conn.pipeline(("WATCH", "conv:1"), write)[0] == "OK"
    real.set("conv:1", "somebody else's")
    assert conn.pipeline(("MULTI",), ("SET", "conv:1", "mine"), ("EXEC",)) == ["OK", "QUEUED", None]
    assert real.get("conv:1") == "somebody else's"
    real.delete("conv:2")
    assert conn.pipeline(("WATCH", "conv:1"), write, ("MULTI",), ("SET", "conv:1", "mine"), ("EXEC",))[4] == ["OK"]
    assert restarts(real, "conv:1", "conv:2")


def blocks(real, send):
    """How many EXEC the server saw while send ran."""
    real.config_resetstat()
    send()
    return real.info("commandstats").get("cmdstat_exec", {}).get("calls", 0)


def test_what_goes_as_it_came(sides, real, library):
    """Reads by their name or by their own word, keys of no policy, scripts that a block would hinder."""
    conn, _ = sides
    sha = real.script_load("return 1")
    for args in [
        ("EVAL_RO", "return 1", 1, "conv:1"),
        ("EVALSHA_RO", sha, 1, "conv:1"),
        ("FCALL_RO", "look", 1, "conv:1"),
        ("EVAL", "#!lua flags=no-writes\nreturn 1", 1, "conv:1"),
        ("EVAL", "#!lua flags=allow-oom\nreturn 1", 1, "conv:1"),
        ("EVAL", "return 1", 1, "raw"),
        ("EVAL", "return 1", 1, "free:1"),
        ("EVAL", "return 1", 0, "conv:1"),
    ]:
        assert blocks(real, lambda args=args: conn.cmd(*args)) == 0, args
    assert blocks(real, lambda: conn.cmd("EVALSHA", sha, 1, "conv:1")) == 1


def test_out_of_memory(sides, real, library):
    """Inside a block Redis takes nothing then; what goes as it came is Redis's to judge."""
    conn, _ = sides
    real.set("conv:1", "v", px=TTL)
    real.config_set("maxmemory", 1)
    try:
        for args in [("EVAL", SET, 1, "conv:1", "w"), ("EVAL", "return 1", 1, "conv:1"), ("FCALL", "put", 1, "conv:1", "w"), ("FCALL", "spare", 1, "conv:1")]:
            assert conn.cmd(*args) == OOM, args
            assert conn.pipeline(("MULTI",), args, ("EXEC",), ("PING",)) == ["OK", "QUEUED", OOM, "PONG"], args
        assert conn.cmd("EVAL", "return 1", 1, "raw") == 1
        assert conn.cmd("EVAL_RO", "return redis.call('GET', KEYS[1])", 1, "conv:1") == b"v"
        assert conn.cmd("FCALL_RO", "look", 1, "conv:1") == b"v"
        assert conn.cmd("EVAL", "#!lua flags=no-writes\nreturn redis.call('GET', KEYS[1])", 1, "conv:1") == b"v"
        assert conn.cmd("EVAL", "#!lua flags=allow-oom\nreturn redis.call('DEL', KEYS[1])", 1, "conv:1") == 1
    finally:
        real.config_set("maxmemory", 0)
    assert conn.cmd("EVAL", SET, 1, "conv:1", "w") == "OK"


def test_counting(proxy, sides, real):
    conn, _ = sides
    before = proxy.metrics()
    conn.pipeline(
        ("EVAL", SET, 1, "conv:1", "v"),
        ("EVAL", "#!lua flags=allow-oom\n" + SET, 1, "conv:1", "v"),
        ("EVAL", "return redis.error_reply('it failed')", 1, "conv:1"),
        ("EVAL_RO", "return redis.call('GET', KEYS[1])", 1, "conv:1"),
        ("EVAL", "#!lua flags=no-writes\nreturn redis.call('GET', KEYS[1])", 1, "conv:none"),
        ("EVAL", "return redis.call('GET', KEYS[1])", 1, "raw"),
    )
    after = proxy.metrics()

    def grown(name):
        return after.get(name, 0) - before.get(name, 0)

    assert grown('convproxy_policy_writes_total{policy="conv"}') == 2
    assert grown('context_retrievals_total{policy="conv",result="hit"}') == 1
    assert grown('context_retrievals_total{policy="conv",result="miss"}') == 1
    assert grown('convproxy_commands_total{command="eval"}') == 5


def test_a_slow_script_does_not_hold_others(proxy, sides, real):
    """Blocks of scripts go on the second lane: replies of one client keep their order all the same."""
    conn, _ = sides
    spin = "local t = redis.call('TIME')[1] + 1 while redis.call('TIME')[1] + 0 < t do end return 'spun'"
    assert conn.pipeline(("SET", "conv:a", "1"), ("EVAL", spin, 1, "conv:b"), ("GET", "conv:a")) == ["OK", b"spun", b"1"]
    assert eventually(lambda: proxy.metrics()["convproxy_upstream_timeouts_total"] == 0)
