"""conv:* on the archive, everything else in Redis: commands on keys of both, commands about all keys, and what neither can do."""
import os
import random
from contextlib import ExitStack, closing

import pytest
from harness import NOBODY, Proxy, RedisServer, RespConn, RespError, Status, eventually
from harness.resp import encode

pytestmark = [pytest.mark.sanitize, pytest.mark.managed]

ARCHIVE = 1 << 52  # cursors of the archive begin here
SETTINGS = {"conv.primary": "archive", "conv.ttl": 0, "conv.max_messages": 0, "proxy.threads": 2}
PROXY_SETTINGS = SETTINGS


@pytest.fixture
def mixed(proxy, real):
    """A connection; both stores are empty."""
    with RespConn.to(proxy, timeout=20) as conn:
        assert conn.cmd("FLUSHALL") == "OK"
        yield conn


# ---- split ----


def test_keys_of_both_stores(mixed, real):
    assert mixed.cmd("SET", "a", "1") == "OK"
    assert mixed.cmd("SET", "conv:b", "2") == "OK"
    assert real.keys("*") == ["a"], "conv:b is not Redis's"
    assert mixed.cmd("MGET", "a", "conv:b", "x", "conv:x", "conv:b", "a") == [b"1", b"2", None, None, b"2", b"1"]
    assert mixed.cmd("EXISTS", "conv:b", "a", "conv:b", "x", "conv:x") == 3
    assert mixed.cmd("TOUCH", "a", "conv:b", "conv:x") == 2
    assert mixed.cmd("DEL", "conv:b", "a", "a", "conv:x") == 2
    assert mixed.cmd("MGET", "a", "conv:b") == [None, None]
    mixed.pipeline(("SET", "a", "1"), ("SET", "conv:b", "2"))
    assert mixed.cmd("UNLINK", "conv:b", "a", "x") == 2


@pytest.mark.parametrize("resp", [2, 3])
def test_random_splits(proxy, real, plain, resp):
    """The same commands, pipelined, on redis-server alone: every reply, byte for byte."""
    seed = int(os.environ.get("CONV_SEED") or random.SystemRandom().randrange(1 << 30))
    print(f"CONV_SEED={seed}")
    rng = random.Random(f"{seed}:{resp}")
    keys = [f"{prefix}{i}" for prefix in ("conv:", "raw:") for i in range(6)]
    script = [("FLUSHALL",), ("HELLO", resp)]
    for _ in range(400):
        verb = rng.choice(["MGET", "MGET", "DEL", "EXISTS", "TOUCH", "UNLINK", "SET", "RPUSH", "GET"])
        if verb in ("SET", "RPUSH"):
            script.append((verb, rng.choice(keys), rng.choice([b"", b"\r\n$-1\r\n", b"x" * rng.randint(1, 3000)])))
        elif verb == "GET":
            script.append((verb, rng.choice(keys)))
        else:
            script.append((verb, *rng.choices(keys, k=rng.randint(1, 8))))
    answers = []
    for server in (proxy, plain):
        with RespConn.to(server, timeout=20) as conn:
            conn.send(b"".join(encode(*command) for command in script))
            answers.append([conn.read_with_bytes() for _ in script])
    for command, ours, theirs in zip(script, *answers):
        if command[0] != "HELLO":
            assert ours[1] == theirs[1], command


def test_split_reads_are_retrievals(mixed, proxy):
    def retrievals():
        found = proxy.metrics()
        return {r: found[f'context_retrievals_total{{policy="conv",result="{r}"}}'] for r in ("hit", "error")}, found['convproxy_policy_writes_total{policy="conv"}']

    before, writes = retrievals()
    mixed.pipeline(("MGET", "a", "conv:a"), ("DEL", "a", "conv:a"))
    after, writes_after = retrievals()
    assert after == {"hit": before["hit"] + 1, "error": before["error"]} and writes_after == writes + 1


def test_order_in_a_pipeline(mixed):
    """Each command sees what those before it did, whatever stores they need."""
    script, expected = [], []
    for i in range(50):
        script += [("SET", "a", i), ("SET", "conv:a", i), ("MGET", "conv:a", "a"), ("INCR", "a"), ("MGET", "a", "conv:a"), ("ECHO", i)]
        now, then = str(i).encode(), str(i + 1).encode()
        expected += ["OK", "OK", [now, now], i + 1, [then, now], now]
    assert mixed.pipeline(*script) == expected


def test_many_keys(mixed):
    keys = [("conv:" if i % 2 else "raw:") + str(i) for i in range(3000)]
    for key in keys:
        mixed.send_cmd("SET", key, key)
    assert all(mixed.read() == "OK" for _ in keys)
    assert mixed.cmd("MGET", *keys) == [key.encode() for key in keys]
    assert mixed.cmd("EXISTS", *keys) == len(keys)
    assert mixed.cmd("DEL", *keys) == len(keys)


def test_internal_keys_are_refused(mixed):
    assert mixed.cmd("MGET", "a", "conv:a", "cvp:x").startswith("ERR keys that start with 'cvp:'")


ACROSS = [
    ("MSET", "a", "1", "conv:a", "1"), ("MSETNX", "a", "1", "conv:a", "1"), ("RENAME", "a", "conv:a"), ("RENAMENX", "conv:a", "a"),
    ("COPY", "a", "conv:a"), ("SMOVE", "a", "conv:a", "m"), ("RPOPLPUSH", "a", "conv:a"), ("LMOVE", "conv:a", "a", "LEFT", "LEFT"),
    ("SUNIONSTORE", "a", "conv:a"), ("SINTER", "a", "conv:a"), ("SDIFF", "conv:a", "a"), ("ZUNIONSTORE", "conv:a", "1", "a"),
    ("ZDIFF", "2", "a", "conv:a"), ("BITOP", "AND", "a", "conv:a"), ("PFMERGE", "a", "conv:a"), ("PFCOUNT", "a", "conv:a"),
    ("SORT", "a", "STORE", "conv:a"), ("SORT", "a", "BY", "conv:w_*"), ("SORT", "a", "GET", "#", "GET", "c*"), ("LCS", "a", "conv:a"),
    ("GEOSEARCHSTORE", "a", "conv:a", "FROMLONLAT", "0", "0", "BYRADIUS", "1", "m"), ("LMPOP", "2", "a", "conv:a", "LEFT"),
    ("BLPOP", "a", "conv:a", "1"), ("XREAD", "BLOCK", "1", "STREAMS", "a", "conv:a", "0", "0"), ("XREAD", "STREAMS", "a", "conv:a", "0", "0"), ("EVAL", "return 1", "2", "a", "conv:a"),
    ("ZRANGESTORE", "a", "conv:a", "0", "-1"), ("SINTERCARD", "2", "a", "conv:a"), ("WATCH", "a", "conv:a"),
]  # fmt: skip


@pytest.mark.parametrize("command", ACROSS, ids=lambda command: command[0].lower())
def test_across_stores(mixed, command):
    """An error that names the command; nothing was done."""
    mixed.pipeline(("RPUSH", "a", "x"), ("RPUSH", "conv:a", "y"))
    reply = mixed.cmd(*command)
    assert isinstance(reply, RespError)
    assert reply.startswith("CROSSSTORE ") and f"'{command[0].lower()}'" in reply
    assert mixed.cmd("LRANGE", "a", "0", "-1") == [b"x"]
    assert mixed.cmd("LRANGE", "conv:a", "0", "-1") == [b"y"]


# ---- what the archive can't do ----

CLEAR = [
    ("MOVE", "conv:a", "1"), ("EVALSHA", "0" * 40, "1", "conv:a"), ("FCALL", "f", "1", "conv:a"), ("MIGRATE", "127.0.0.1", "1", "conv:a", "0", "10"), ("PFDEBUG", "GETREG", "conv:a"),
    ("DEBUG", "OBJECT", "conv:a"), ("SWAPDB", "0", "1"), ("COPY", "conv:a", "conv:b", "DB", "1"),
    ("SORT", "conv:a", "BY", "w_*"), ("SORT", "conv:a", "GET", "w_*"), ("RESTORE-ASKING", "conv:b", "0", "x"),
]  # fmt: skip


@pytest.mark.parametrize("command", CLEAR, ids=lambda command: command[0].lower())
def test_refused_clearly(mixed, command):
    mixed.cmd("RPUSH", "conv:a", "x")
    reply = mixed.cmd(*command)
    assert isinstance(reply, RespError) and len(reply) > 20, reply
    assert "no such key" not in reply
    assert mixed.cmd("LRANGE", "conv:a", "0", "-1") == [b"x"]


def test_sort_with_patterns_of_redis(mixed):
    """Patterns that can't name a key of the archive are Redis's affair."""
    mixed.pipeline(("RPUSH", "l", "1", "2"), ("SET", "w_1", "9"), ("SET", "w_2", "3"))
    assert mixed.cmd("SORT", "l", "BY", "w_*", "GET", "#", "GET", "w_*") == [b"2", b"3", b"1", b"9"]
    assert mixed.cmd("SORT", "l", "BY", "nosort", "GET", "#") == [b"1", b"2"]


def test_sort_with_patterns_of_the_archive(mixed):
    """Patterns that name only keys of the archive are read there, also in a transaction."""
    mixed.pipeline(("RPUSH", "conv:l", "1", "2"), ("SET", "conv:w_1", "9"), ("SET", "conv:w_2", "3"), ("HSET", "conv:h_2", "f", "x"))
    command = ["SORT", "conv:l", "BY", "conv:w_*", "GET", "#", "GET", "conv:w_*", "GET", "conv:h_*->f"]
    assert mixed.cmd(*command) == [b"2", b"3", b"x", b"1", b"9", None]
    assert mixed.pipeline(["MULTI"], command, ["EXEC"])[-1] == [[b"2", b"3", b"x", b"1", b"9", None]]
    assert mixed.cmd("SORT", "conv:l", "BY", "conv:w_*", "GET", "w_*").startswith("CROSSSTORE ")


def test_objects_and_dumps(mixed, plain):
    commands = [
        ("RPUSH", "conv:l", "1", "2"), ("OBJECT", "ENCODING", "conv:l"), ("OBJECT", "REFCOUNT", "conv:l"), ("OBJECT", "FREQ", "conv:l"),
        ("OBJECT", "ENCODING", "conv:no"), ("OBJECT", "IDLETIME", "conv:l"), ("OBJECT", "NOSUCH", "conv:l"), ("OBJECT", "ENCODING"),
    ]  # fmt: skip
    with RespConn.to(plain) as theirs:
        for command in commands:
            assert mixed.cmd(*command) == theirs.cmd(*command), command
    assert mixed.cmd("OBJECT", "HELP")[0].startswith("OBJECT")
    payload = mixed.cmd("DUMP", "conv:l")
    assert mixed.cmd("RESTORE", "conv:m", "0", payload) == "OK"
    assert mixed.cmd("LRANGE", "conv:m", "0", "-1") == [b"1", b"2"]
    assert mixed.cmd("RESTORE", "conv:m", "0", payload).startswith("BUSYKEY")
    assert mixed.cmd("RESTORE", "conv:n", "0", "rubbish") == "ERR DUMP payload version or checksum are wrong"


def test_other_databases(mixed, real, redis_server):
    assert mixed.cmd("SET", "conv:a", "1") == "OK"
    assert mixed.cmd("SELECT", "1") == "OK"
    for command in [("GET", "conv:a"), ("SET", "conv:a", "2"), ("MGET", "a", "conv:a"), ("WATCH", "conv:a"), ("BLPOP", "conv:a", "1")]:
        assert mixed.cmd(*command) == "ERR the archive serves database 0 only", command
    assert mixed.cmd("FLUSHALL") == "ERR the archive serves database 0 only"
    assert mixed.cmd("SET", "a", "1") == "OK"
    assert mixed.cmd("KEYS", "*") == [b"a"] and mixed.cmd("DBSIZE") == 1 and mixed.cmd("SCAN", "0") == [b"0", [b"a"]]
    assert mixed.cmd("FLUSHDB") == "OK"
    assert mixed.cmd("DBSIZE") == 0
    assert mixed.cmd("SELECT", "0") == "OK"
    assert mixed.cmd("GET", "conv:a") == b"1"


# ---- all keys ----


def scan_all(conn, *options, begin=0):
    """(keys in the order they came, cursors)."""
    keys, cursors, cursor = [], [], begin
    while True:
        cursor, page = conn.cmd("SCAN", cursor, *options)
        keys += page
        cursor = int(cursor)
        if cursor == 0:
            return keys, cursors
        cursors.append(cursor)


def fill(conn, n):
    for i in range(n):
        conn.send(encode("SET", f"raw:{i}", i) + encode("RPUSH", f"conv:{i}", i))
    assert not any(isinstance(conn.read(), RespError) for _ in range(2 * n))
    return {f"{prefix}:{i}".encode() for prefix in ("raw", "conv") for i in range(n)}


@pytest.mark.parametrize("count", [1, 10, 1000])
def test_scan(mixed, count):
    expected = fill(mixed, 150)
    keys, cursors = scan_all(mixed, "COUNT", count)
    assert set(keys) == expected
    assert all(cursor == int(float(cursor)) for cursor in cursors), "clients may keep cursors in doubles"
    assert [cursor >= ARCHIVE for cursor in cursors] == sorted(cursor >= ARCHIVE for cursor in cursors)
    assert set(scan_all(mixed, "COUNT", count, "MATCH", "*:1*")[0]) == {key for key in expected if b":1" in key}
    assert set(scan_all(mixed, "COUNT", count, "TYPE", "list")[0]) == {key for key in expected if key.startswith(b"conv")}
    assert set(scan_all(mixed, "COUNT", count, "TYPE", "string")[0]) == {key for key in expected if key.startswith(b"raw")}


def test_scan_while_keys_come_and_go(mixed, proxy):
    stays = fill(mixed, 100)
    cursor, seen, turn = 0, set(), 0
    with RespConn.to(proxy) as other:
        while True:
            cursor, page = mixed.cmd("SCAN", cursor, "COUNT", 5)
            seen |= set(page)
            for prefix in ("conv", "raw"):
                other.cmd("SET", f"{prefix}:new{turn}", "x")
                other.cmd("DEL", f"{prefix}:new{turn - 3}")
            turn += 1
            if cursor == b"0":
                break
    assert stays <= seen


SCANS = [
    ("SCAN", "x"), ("SCAN", ""), ("SCAN", "0", "COUNT", "0"), ("SCAN", "0", "COUNT"), ("SCAN", "0", "COUNT", "x"), ("SCAN", "0", "WHAT", "1"),
    ("KEYS",), ("KEYS", "a", "b"), ("DBSIZE", "x"), ("RANDOMKEY", "x"), ("FLUSHDB", "x"), ("FLUSHALL", "ASYNC", "SYNC"), ("KEYS", "nothing"),
    ("RANDOMKEY",), ("SCAN", "0", "TYPE", "nosuch"), ("DBSIZE",), ("FLUSHALL", "async"), ("FLUSHDB", "SYNC"),
]  # fmt: skip


@pytest.mark.parametrize("command", SCANS, ids=" ".join)
def test_words_about_all_keys(mixed, plain, command):
    """On empty stores; cursors are ours."""
    with RespConn.to(plain) as theirs:
        theirs.cmd("FLUSHALL")
        expected, reply = theirs.cmd(*command), mixed.cmd(*command)
        if command[0] == "SCAN" and not isinstance(expected, RespError):
            assert reply == [str(ARCHIVE).encode(), []] and mixed.cmd("SCAN", ARCHIVE, *command[2:]) == expected
        else:
            assert reply == expected and type(reply) is type(expected)


def test_errors_of_later_pages(mixed):
    for options in [("COUNT", "0"), ("COUNT",), ("WHAT", "1")]:
        assert mixed.cmd("SCAN", ARCHIVE, *options) == mixed.cmd("SCAN", 0, *options)


def test_keys_dbsize_randomkey(mixed):
    expected = fill(mixed, 40)
    assert sorted(mixed.cmd("KEYS", "*")) == sorted(expected)
    assert sorted(mixed.cmd("KEYS", "conv:1?")) == [b"conv:1%d" % i for i in range(10)]
    assert mixed.cmd("DBSIZE") == 80
    drawn = {mixed.cmd("RANDOMKEY") for _ in range(200)}
    assert drawn <= expected
    assert {key[:3] for key in drawn} == {b"raw", b"con"}, "both stores are drawn from"


def test_what_the_other_store_holds_is_not_told(mixed, real):
    """Copies of archived keys that lie in Redis, and keys of the proxy's own."""
    real.set("conv:both", "old")
    real.set("conv:stale", "old")
    real.set("cvp:own", "x")
    mixed.pipeline(("SET", "conv:both", "new"), ("SET", "raw", "x"))
    keys, _ = scan_all(mixed)
    assert sorted(keys) == [b"conv:both", b"raw"]
    assert sorted(mixed.cmd("KEYS", "*")) == [b"conv:both", b"raw"]
    assert {mixed.cmd("RANDOMKEY") for _ in range(60)} == {b"conv:both", b"raw"}


@pytest.mark.parametrize("verb", ["FLUSHALL", "FLUSHDB"])
def test_flush(mixed, real, verb):
    fill(mixed, 5)
    assert mixed.pipeline(("SET", "conv:x", "1"), (verb,), ("GET", "conv:x"), ("DBSIZE",)) == ["OK", "OK", None, 0]
    assert real.dbsize() == 0 and mixed.cmd("KEYS", "*") == []


def test_about_all_keys_inside_multi(mixed):
    """Half of it could not be in the transaction."""
    for command in [("FLUSHALL",), ("KEYS", "*"), ("SCAN", "0"), ("DBSIZE",), ("RANDOMKEY",), ("SWAPDB", "0", "1"), ("DEBUG", "OBJECT", "conv:a")]:
        assert mixed.cmd("MULTI") == "OK"
        assert isinstance(mixed.cmd(*command), RespError)
        assert mixed.cmd("EXEC").startswith("EXECABORT")


# ---- one store is not there ----


def test_redis_is_down(make_proxy, tmp_path):
    server = RedisServer(tmp_path).start()
    proxy = make_proxy(server.url, settings=SETTINGS).start()
    with RespConn.to(proxy) as conn:
        assert conn.pipeline(("SET", "conv:a", "1"), ("SET", "a", "1")) == ["OK", "OK"]
        server.kill()
        eventually(lambda: is_down(conn.cmd("GET", "a")))
        for command in [("KEYS", "*"), ("DBSIZE",), ("SCAN", "0"), ("RANDOMKEY",), ("FLUSHALL",), ("FLUSHDB",), ("MGET", "a", "conv:a"), ("DEL", "conv:a", "a")]:
            assert is_down(conn.cmd(*command)), command
        assert conn.cmd("SCAN", ARCHIVE) == [b"0", [b"conv:a"]], "Redis is not needed for what is left"
        assert conn.cmd("GET", "conv:a") == b"1", "nothing was done by halves"


def is_down(reply):
    return isinstance(reply, RespError) and reply.startswith("REDISDOWN")


def test_the_archive_has_all_keys(make_proxy):
    """No Redis is needed, and none is missed."""
    proxy = make_proxy(NOBODY, settings={**SETTINGS, "conv.match": "*"}).start()
    with RespConn.to(proxy) as conn:
        expected = fill(conn, 30)
        assert sorted(conn.cmd("KEYS", "*")) == sorted(expected) and conn.cmd("DBSIZE") == 60
        assert set(scan_all(conn, "COUNT", 7)[0]) == expected
        assert conn.cmd("RANDOMKEY") in expected
        assert conn.pipeline(("MULTI",), ("DBSIZE",), ("FLUSHALL",), ("EXEC",)) == ["OK", "QUEUED", "QUEUED", [60, "OK"]]
        assert conn.cmd("DBSIZE") == 0


def test_flush_that_was_queued_before_the_stores_changed_places(make_proxy, fresh_redis):
    """What only the archive may do in a transaction is not done by Redis, which has its own keys there."""
    proxy = make_proxy(fresh_redis.url, settings={**SETTINGS, "conv.match": "*"}).start()
    with RespConn.to(proxy) as conn, RespConn.to(proxy) as other:
        assert conn.pipeline(("SET", "a", "1"), ("MULTI",), ("FLUSHALL",), ("GET", "a")) == ["OK", "OK", "QUEUED", "QUEUED"]
        assert not isinstance(other.cmd("CONV", "PRIMARY", "redis"), RespError)
        eventually(lambda: proxy.get_json("/api/v1/primary")["placement"][0]["phase"] == "redis", 15)
        assert conn.cmd("EXEC").startswith("TRYAGAIN ")
        assert conn.cmd("GET", "a") == b"1" and fresh_redis.client().exists("cvp:ep")
        assert conn.pipeline(("MULTI",), ("FLUSHALL",), ("EXEC",))[1].startswith("ERR flushdb and flushall inside MULTI")


def test_a_policy_before_the_one_for_all(make_proxy, fresh_redis):
    """The archive has all keys but those of a policy that comes first: nothing is missing."""
    policies = [
        {"name": "cache", "match": "cache:*", "primary": "redis", "ttl": "0s", "max_messages": 0},
        {"name": "rest", "match": "*", "primary": "archive", "ttl": "0s", "max_messages": 0},
    ]
    proxy = make_proxy(fresh_redis.url, {"policies": policies}, settings={"proxy.threads": 1}).start()
    with RespConn.to(proxy) as conn:
        eventually(lambda: fresh_redis.client().exists("cache:a") or conn.cmd("SET", "cache:a", "1") is None)
        assert conn.cmd("SET", "b", "2") == "OK"
        assert [key for key in fresh_redis.client().keys("*") if not key.startswith(b"cvp:")] == [b"cache:a"]
        assert sorted(conn.cmd("KEYS", "*")) == [b"b", b"cache:a"] == sorted(scan_all(conn)[0])
        assert conn.cmd("MGET", "b", "cache:a") == [b"2", b"1"]
        assert conn.pipeline(("FLUSHALL",), ("DBSIZE",)) == ["OK", 0]


def test_lost_clients_leave_nothing_behind(proxy, real):
    """Clients that go while both parts run; the proxy's own checks and the sanitizers look at what is left."""
    with ExitStack() as stack:
        for i in range(60):
            conn = stack.enter_context(closing(RespConn.to(proxy)))
            conn.send(b"".join(encode("MGET", f"conv:{n}", f"raw:{n}") + encode("KEYS", "*") for n in range(20)))
            if i % 2:
                conn.close()
    with RespConn.to(proxy) as conn:
        assert conn.cmd("MGET", "a", "conv:a") == [None, None]


def test_proxy_ends_while_parts_are_on_their_way(make_proxy, tmp_path):
    server = RedisServer(tmp_path).start()
    proxy = make_proxy(server.url, settings={**SETTINGS, "proxy.drain_time": "0s", "redis.timeout": "1s"}).start()
    with RespConn.to(proxy) as conn:
        assert conn.cmd("SET", "a", "1") == Status("OK")
        server.pause()
        conn.send(encode("MGET", "a", "conv:a") + encode("KEYS", "*"))
        assert proxy.stop() == 0
    server.kill()
