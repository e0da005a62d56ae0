"""Commands that the table does not have but the server does: keys, TTL, arity and refusals come from COMMAND's reply.
And those that neither has."""
from contextlib import contextmanager

import pytest
from harness import Proxy, RedisServer, RespConn, RespError, eventually
from harness.module_relay import ModuleCommand, ModuleRelay, key_spec
from harness.resp import encode

pytestmark = [pytest.mark.sanitize, pytest.mark.managed]

TTL = 600_000
CONFIG = {"policies": [{"name": "conv", "match": "conv:*", "ttl": f"{TTL}ms"}]}
# The relay is Python, and the machine may be busy: nothing here is about time-outs.
SETTINGS = {"redis.probe_interval": "50ms", "proxy.threads": 2, "redis.connect_timeout": "10s", "redis.timeout": "10s"}


def as_command(verb, *, without=()):
    """The same arguments behind another verb, but for those at some places."""
    return lambda args: [verb, *[arg for at, arg in enumerate(args) if at > 0 and at not in without]]


def sub(args):
    """X.CFG SET k v → SET k v; a subcommand that is none gets the server's own error for such."""
    return args[1:] if args[1].upper() in (b"GET", b"SET") else [b"XGROUP", args[1], b"x"]


def one_key(flags, at=1):
    return [key_spec(flags, ("index", {"index": at}), ("range", {"lastkey": 0, "keystep": 1, "limit": 0}))]


COUNTED = [key_spec(["OW", "update"], ("index", {"index": 1}), ("keynum", {"keynumidx": 0, "firstkey": 1, "keystep": 2}))]
AFTER_WORD = [key_spec(["OW", "insert"], ("keyword", {"keyword": "INTO", "startfrom": 1}), ("range", {"lastkey": 0, "keystep": 1, "limit": 0}))]

COMMANDS = [
    ModuleCommand("x.set", -3, ["write", "denyoom"], as_command(b"SET"), one_key(["OW", "update"])),
    ModuleCommand("X.GET", 2, ["readonly", "fast"], as_command(b"GET"), one_key(["RW", "access", "update"])),
    ModuleCommand("x.incr", 2, ["write", "fast"], as_command(b"INCR"), one_key(["RW", "access", "update"])),
    ModuleCommand("x.mset", -4, ["write", "denyoom"], as_command(b"MSET", without=(1,)), COUNTED),
    ModuleCommand("x.push", 4, ["write", "denyoom"], lambda args: [b"RPUSH", args[3], args[1]], AFTER_WORD),
    ModuleCommand("x.hgetall", 2, ["readonly"], as_command(b"HGETALL"), one_key(["RO", "access"])),
    ModuleCommand("x.old", 2, ["write", "fast"], as_command(b"INCR"), positions=(1, 1, 1)),
    ModuleCommand("x.blpop", -3, ["write", "blocking"], as_command(b"BLPOP"), one_key(["RW"])),
    ModuleCommand("x.wait", -1, [], as_command(b"WAIT"), cats=["@blocking"]),
    ModuleCommand("x.listen", -2, ["pubsub"], as_command(b"SUBSCRIBE")),
    ModuleCommand("x.login", -1, ["fast"], as_command(b"AUTH"), cats=["@connection", "@fast"]),
    ModuleCommand("x.save", 1, ["admin", "no_multi"], as_command(b"SAVE")),
    ModuleCommand(
        "x.cfg",
        -2,
        [],
        sub,
        subs=[
            ModuleCommand("x.cfg|get", 3, ["readonly", "fast"], None, one_key(["RO", "access"], at=2)),
            ModuleCommand("x.cfg|set", 4, ["write", "denyoom", "fast"], None, one_key(["OW", "update"], at=2)),
            ModuleCommand("x.cfg|watch", -2, ["pubsub"], None),
        ],
    ),
]
ROWS = len(COMMANDS) + 3
LATER = ModuleCommand("y.set", 3, ["write", "denyoom", "fast"], as_command(b"SET"), one_key(["OW", "update"]))


@contextmanager
def relay_to(server):
    relay = ModuleRelay(server, COMMANDS).start()
    yield relay
    relay.stop()


@pytest.fixture(scope="module")
def relay(redis_server):
    with relay_to(redis_server) as started:
        yield started


@pytest.fixture(scope="module")
def proxy(relay, tmp_path_factory):
    started = Proxy(tmp_path_factory.mktemp("proxy"), relay.url, CONFIG, SETTINGS).start()
    started.log_contains(f"commands_learned .*beyond_the_table={ROWS}")
    yield started
    started.stop()


@pytest.fixture(params=[2, 3], ids=["resp2", "resp3"])
def conn(request, proxy, real):
    with RespConn.to(proxy) as connection:
        connection.cmd("HELLO", request.param)
        yield connection


@pytest.fixture
def direct(conn, relay):
    """A connection that speaks the same protocol to what the proxy speaks to."""
    with RespConn.to(relay) as connection:
        connection.cmd("HELLO", 3 if isinstance(conn.cmd("CONFIG", "GET", "maxmemory"), dict) else 2)
        yield connection


def bytes_of(conn, *args):
    conn.send(encode(*args))
    return conn.read_with_bytes()[1]


def restarts(real, *keys):
    """The policy's TTL began a moment ago."""
    return all(abs(real.pttl(key) - TTL) < 5000 for key in keys)


def test_a_write_starts_the_ttl(conn, real):
    assert conn.cmd("X.SET", "conv:1", "v") == "OK"
    assert real.get("conv:1") == "v"
    assert restarts(real, "conv:1")
    real.pexpire("conv:1", 1000)
    assert conn.cmd("x.Set", "conv:1", "w") == "OK"
    assert restarts(real, "conv:1")
    assert conn.cmd("X.OLD", "conv:2") == 1
    assert restarts(real, "conv:2")


def test_keys_come_from_the_specifications(conn, real):
    assert conn.cmd("X.MSET", 3, "conv:a", 1, "raw", 2, "conv:b", 3) == "OK"
    assert restarts(real, "conv:a", "conv:b")
    assert real.pttl("raw") == -1
    assert conn.cmd("X.PUSH", "v", "INTO", "conv:l") == 1
    assert restarts(real, "conv:l")
    assert conn.cmd("X.PUSH", "v", "INTO", "raw:l") == 1
    assert real.pttl("raw:l") == -1


def test_a_refused_write_leaves_the_ttl(conn, real):
    real.set("conv:t", "text", px=5_000_000)
    assert conn.cmd("X.INCR", "conv:t") == "ERR value is not an integer or out of range"
    assert conn.cmd("PING") == "PONG"
    assert eventually(lambda: real.pttl("conv:t") > 2 * TTL)


def test_replies_are_the_servers(conn, direct, real):
    real.hset("conv:h", mapping={"f": "v"})
    for args in [
        ("X.GET", "conv:none"),
        ("X.HGETALL", "conv:h"),
        ("X.HGETALL", "raw"),
        ("X.GET", "conv:h"),
        ("X.SET", "conv:s", "v", "XX"),
        ("X.SET", "conv:h", "v", "GET"),
        ("X.SET", "conv:h", "v", "NX", "XX"),
        ("X.MSET", 2, "conv:a", "1", "conv:b"),
        ("X.MSET", "two", "conv:a", "1"),
        ("x.cfg", "get", "conv:h"),
        ("X.CFG", "none"),
    ]:
        assert bytes_of(conn, *args) == bytes_of(direct, *args), args


def test_arity_in_redis_words(conn):
    for args, name in [
        (("X.SET", "conv:1"), "x.set"),
        (("x.get",), "X.GET"),
        (("X.GET", "a", "b"), "X.GET"),
        (("X.CFG",), "x.cfg"),
        (("X.CFG", "SET", "a"), "x.cfg|set"),
    ]:
        assert conn.cmd(*args) == f"ERR wrong number of arguments for '{name}' command", args


def test_what_a_shared_connection_must_not_see(conn):
    for args, name in [
        (("X.BLPOP", "conv:1", 0), "X.BLPOP"),
        (("x.wait",), "X.WAIT"),
        (("x.listen", "c"), "X.LISTEN"),
        (("x.login", "me"), "X.LOGIN"),
        (("X.SAVE",), "X.SAVE"),
        (("X.CFG", "WATCH"), "X.CFG WATCH"),
    ]:
        refusal = f"ERR {name} is not supported by convproxy yet"
        assert conn.cmd(*args) == refusal
        in_multi = "ERR Command not allowed inside a transaction" if name == "X.SAVE" else refusal  # its flags say so; so does Redis
        replies = conn.pipeline(("MULTI",), args, ("EXEC",), ("PING",))
        assert replies == ["OK", in_multi, "EXECABORT Transaction discarded because of previous errors.", "PONG"]


def test_in_a_transaction(conn, real):
    replies = conn.pipeline(("MULTI",), ("X.SET", "conv:1", "1"), ("X.INCR", "conv:1"), ("x.cfg", "set", "conv:2", "v"), ("X.GET", "conv:1"), ("EXEC",))
    assert replies == ["OK", "QUEUED", "QUEUED", "QUEUED", "QUEUED", ["OK", 2, "OK", b"2"]]
    assert restarts(real, "conv:1", "conv:2")
    replies = conn.pipeline(("MULTI",), ("X.SET", "conv:3", "1"), ("X.SET", "conv:3"), ("EXEC",))
    assert replies[2:] == ["ERR wrong number of arguments for 'x.set' command", "EXECABORT Transaction discarded because of previous errors."]
    assert not real.exists("conv:3")


def test_counting(proxy, conn, real):
    real.set("conv:1", "v")
    before = proxy.metrics()
    assert conn.pipeline(("X.GET", "conv:1"), ("X.GET", "conv:none"), ("X.SET", "conv:2", "v"), ("X.GET", "raw")) == [b"v", None, "OK", None]
    after = proxy.metrics()

    def grown(name):
        return after.get(name, 0) - before.get(name, 0)

    assert grown('context_retrievals_total{policy="conv",result="hit"}') == 1
    assert grown('context_retrievals_total{policy="conv",result="miss"}') == 1
    assert grown('convproxy_policy_writes_total{policy="conv"}') == 1
    assert grown('convproxy_commands_total{command="unknown"}') == 4


def test_out_of_memory(conn, direct, real):
    """A block is refused whole; keys of no policy go as they came."""
    real.config_set("maxmemory", 1)
    try:
        words = "OOM command not allowed when used memory > 'maxmemory'."
        assert conn.cmd("X.SET", "conv:1", "v") == words
        assert conn.cmd("X.INCR", "conv:1") == words
        assert bytes_of(conn, "X.INCR", "raw") == bytes_of(direct, "X.INCR", "raw") == b"-%s\r\n" % words.encode()
        assert conn.cmd("X.GET", "conv:1") is None
    finally:
        real.config_set("maxmemory", 0)


UNKNOWN = [
    ("foo",),
    ("Foo.Bar", "a"),
    ("foo", "a", "b c", ""),
    ("f" * 127, "a" * 200, "b"),
    ("f" * 128, "a" * 127, "b"),
    ("f" * 129, "a" * 64, "b" * 58, "c", "d"),
    ("f" * 500, *["x" * i for i in range(40)]),
    ("two\r\nlines", "with\nmore", "\r"),
    (b"nul\0nul", b"a\0b", b"\0", "c"),
    (b"\xff\xfe'\"", b"\x80'quoted'", "\\"),
    ("", ""),
    ("client|list",),
    ("x.cfg|get", "k"),
    ("subscribe2", "a"),
]
UNKNOWN_SUBS = [
    ("xgroup", "nope"),
    ("XGROUP", "create2", "a", "b", "c"),
    ("Memory", "y" * 200),
    ("object", ""),
    ("script", b"a\0b"),
    ("cluster", "two\r\nlines"),
    ("function", "|list"),
]


def raw_bytes(conn):
    return conn.read_with_bytes()[1]


@pytest.mark.parametrize("args", UNKNOWN + UNKNOWN_SUBS, ids=lambda args: repr(args[0])[:24])
def test_what_the_server_does_not_know_either(conn, direct, args):
    """The same bytes as without a proxy, alone and in MULTI, where the transaction is over."""
    assert bytes_of(conn, *args) == bytes_of(direct, *args)
    block = encode("MULTI") + encode("SET", "conv:1", "v") + encode(*args) + encode("SET", "conv:1", "w") + encode("EXEC") + encode("GET", "conv:1")
    for side in (conn, direct):
        side.send(block)
    ours, theirs = ([raw_bytes(side) for _ in range(6)] for side in (conn, direct))
    assert ours == theirs
    assert theirs[2].startswith(b"-ERR unknown ")
    assert theirs[4].startswith(b"-EXECABORT ")
    assert theirs[5] in (b"$-1\r\n", b"_\r\n")


def test_watched(conn, direct):
    """The connection of a WATCH is given back after the abort."""
    for side in (conn, direct):
        assert side.pipeline(("WATCH", "conv:1"), ("MULTI",), ("foo", "a"), ("EXEC",), ("GET", "conv:1")) == [
            "OK",
            "OK",
            "ERR unknown command 'foo', with args beginning with: 'a' ",
            "EXECABORT Transaction discarded because of previous errors.",
            None,
        ]


def test_module_loaded_while_the_proxy_runs(fresh_redis, make_proxy):
    """And unloaded again: nothing keeps a name of it."""
    with relay_to(fresh_redis) as relay:
        proxy = make_proxy(relay.url, CONFIG, settings=SETTINGS).start()
        proxy.log_contains(f"commands_learned .*beyond_the_table={ROWS}")
        with RespConn.to(proxy) as conn, RespConn.to(proxy) as other:
            unknown = "ERR unknown command 'y.set', with args beginning with: 'conv:1' 'v' "
            assert conn.cmd("y.set", "conv:1", "v") == unknown
            assert conn.pipeline(("MULTI",), ("y.set", "conv:1", "v"), ("DISCARD",)) == ["OK", unknown, "OK"]
            relay.load(LATER)
            proxy.log_contains(f"commands_learned .*beyond_the_table={ROWS + 1}")
            eventually(lambda: conn.cmd("y.set", "conv:1") == "ERR wrong number of arguments for 'y.set' command")
            assert conn.pipeline(("MULTI",), ("y.set", "conv:1", "v"), ("EXEC",)) == ["OK", "QUEUED", ["OK"]]
            assert restarts(fresh_redis.client(), "conv:1")
            assert conn.cmd("Y.SET", "conv:1", "v") == "OK"
            assert b"cmd=y.set" in other.cmd("CLIENT", "LIST")
            relay.unload("y.set")
            eventually(lambda: b"cmd=unknown" in other.cmd("CLIENT", "LIST"))
            assert b"cmd=y.set" not in other.cmd("CLIENT", "LIST")
            assert conn.cmd("y.set", "conv:1", "v") == unknown
            assert conn.pipeline(("MULTI",), ("y.set", "conv:1", "v"), ("DISCARD",)) == ["OK", unknown, "OK"]


def test_reconnecting_to_a_server_with_other_modules(fresh_redis, make_proxy, tmp_path):
    """redis.url is changed while clients stay: the next server's commands count."""
    with relay_to(fresh_redis) as relay:
        proxy = make_proxy(relay.url, CONFIG, settings=SETTINGS).start()
        proxy.log_contains(f"commands_learned .*beyond_the_table={ROWS}")
        with RespConn.to(proxy) as conn:
            assert conn.cmd("X.SET", "conv:1", "v") == "OK"
            assert conn.cmd("CONFIG", "SET", "redis.url", fresh_redis.url) == "OK"
            proxy.log_contains("commands_learned .*beyond_the_table=0")
            words = "ERR unknown command 'X.SET', with args beginning with: 'conv:1' "
            eventually(lambda: conn.pipeline(("MULTI",), ("X.SET", "conv:1"), ("DISCARD",)) == ["OK", words, "OK"])


def test_nothing_is_known(fresh_redis, make_proxy):
    """Redis does not tell its commands: unknown ones are queued, and EXEC hears what Redis says to them."""
    admin = fresh_redis.client()
    admin.acl_setuser("proxy", enabled=True, passwords=["+secret"], keys=["*"], channels=["*"], commands=["+@all", "-command"])
    url = f"redis://proxy:secret@127.0.0.1:{fresh_redis.port}/0"
    proxy = make_proxy(url, CONFIG, settings=SETTINGS).start()
    eventually(lambda: proxy.metrics()["redis_up"] == 1)
    with RespConn.to(proxy) as conn:
        words = "ERR unknown command 'foo', with args beginning with: 'a' "
        assert conn.cmd("foo", "a") == words
        replies = conn.pipeline(("MULTI",), ("SET", "conv:1", "v"), ("foo", "a"), ("EXEC",), ("EXISTS", "conv:1"))
        assert replies[:3] == ["OK", "QUEUED", "QUEUED"]
        assert isinstance(replies[3], RespError)
        assert replies[4] == 0
    assert "commands_learned" not in proxy.log_text()


def test_before_redis_was_there(tmp_path, make_proxy):
    server = RedisServer(tmp_path)
    proxy = make_proxy(server.url, CONFIG, settings=SETTINGS).start()
    with RespConn.to(proxy) as conn:
        replies = conn.pipeline(("MULTI",), ("foo", "a"), ("EXEC",))
        assert replies[:2] == ["OK", "QUEUED"]
        assert replies[2].startswith("REDISDOWN ")
        server.start()
        try:
            proxy.log_contains("commands_learned .*beyond_the_table=0")
            words = "ERR unknown command 'foo', with args beginning with: 'a' "
            eventually(lambda: conn.pipeline(("MULTI",), ("foo", "a"), ("DISCARD",)) == ["OK", words, "OK"])
        finally:
            server.kill()
