"""MULTI, EXEC, WATCH, DISCARD: what comes back is what Redis answers, whichever store acts, in RESP2 and RESP3.

Three kinds of keys: raw ones, managed ones while Redis acts, managed ones while the archive acts."""
import pytest
from harness import Proxy, RedisServer, RespConn, eventually
from harness.both import Both

pytestmark = pytest.mark.managed

PLAIN = {"conv.ttl": 0, "conv.max_messages": 0, "proxy.threads": 2}


def serve(folder, server, **settings):
    proxy = Proxy(folder, server.url, settings={**PLAIN, **settings}).start()
    store = "archive" if settings else "redis"
    eventually(lambda: proxy.get_json("/api/v1/primary")["placement"][0].get("place") in (store, "archive-lagging"), timeout=15)
    return proxy


@pytest.fixture(scope="module")
def proxies(redis_server, tmp_path_factory):
    """(Redis acts, the archive acts): each with a Redis of its own."""
    second = RedisServer(tmp_path_factory.mktemp("second")).start()
    both = {
        "redis": serve(tmp_path_factory.mktemp("proxy"), redis_server),
        "archive": serve(tmp_path_factory.mktemp("archive"), second, **{"conv.primary": "archive"}),
    }
    yield both
    for proxy in both.values():
        proxy.stop()
    second.kill()


KINDS = {"raw": ("redis", "raw:"), "redis": ("redis", "conv:"), "archive": ("archive", "conv:")}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(params=[2, 3])
def resp(request):
    return request.param


def empty(server):
    with RespConn.to(server) as conn:
        eventually(lambda: conn.cmd("FLUSHALL") == "OK", timeout=10)


@pytest.fixture
def pair(kind, resp, proxies, plain):
    """(two clients of the proxy and of Redis each, what keys begin with)."""
    store, prefix = KINDS[kind]
    empty(proxies[store])
    empty(plain)
    with Both(proxies[store], plain, resp) as one, Both(proxies[store], plain, resp) as other:
        yield one, other, prefix


SCRIPTS = {
    "reads and writes": """
        MULTI
        SET {k}s 1
        INCR {k}s
        GET {k}s
        RPUSH {k}l a b c
        LRANGE {k}l 0 -1
        HSET {k}h f v
        HGETALL {k}h
        ZADD {k}z 1.5 m
        ZSCORE {k}z m
        SMEMBERS {k}none
        DEL {k}l
        EXISTS {k}l {k}s
        EXEC
        GET {k}s""",
    "nothing in it": "MULTI\nEXEC\nMULTI\nDISCARD\nEXEC\nDISCARD",
    "without MULTI": "EXEC\nDISCARD\nUNWATCH\nEXEC x\nDISCARD x\nMULTI x\nUNWATCH x\nWATCH",
    "nested": "MULTI\nSET {k}s 1\nMULTI\nWATCH {k}s\nGET {k}s\nEXEC\nGET {k}s",
    "errors while it runs": """
        SET {k}s x
        MULTI
        INCR {k}s
        LPUSH {k}s a
        SET {k}s y
        EXPIRE {k}s nan
        SETEX {k}s 0 v
        GET {k}s
        EXEC
        GET {k}s""",
    "errors while it is queued": """
        MULTI
        SET {k}s 1
        NOSUCH a b
        GET
        EXEC
        GET {k}s
        MULTI
        SET {k}s 1 2 3 4
        OBJECT foo {k}s
        EXEC
        MULTI
        GET
        DISCARD
        GET {k}s""",
    "EXEC with arguments": "WATCH {k}s\nMULTI\nSET {k}s 1\nEXEC x\nEXEC\nGET {k}s",
    "discarded": "WATCH {k}s\nMULTI\nSET {k}s 1\nDISCARD\nGET {k}s\nSET {k}s 2\nMULTI\nGET {k}s\nEXEC",
    "reset": "WATCH {k}s\nMULTI\nSET {k}s 1\nRESET\nEXEC\nGET {k}s\nMULTI\nGET {k}s\nEXEC",
    "what blocks does not": """
        MULTI
        BLPOP {k}l 0
        BRPOPLPUSH {k}l {k}m 0
        BLMPOP 0 1 {k}l LEFT
        BZPOPMIN {k}z 0
        XREAD BLOCK 0 STREAMS {k}x 0
        RPUSH {k}l a
        BLPOP {k}l 0
        EXEC""",
    "watched and untouched": "SET {k}s 1\nWATCH {k}s {k}t\nGET {k}s\nMULTI\nSET {k}s 2\nEXEC\nGET {k}s",
    "watched and touched by oneself": "WATCH {k}s\nSET {k}s 1\nMULTI\nSET {k}s 2\nEXEC\nGET {k}s\nMULTI\nGET {k}s\nEXEC",
    "watched, written in vain": "SET {k}s 1\nWATCH {k}s\nSETNX {k}s 2\nLPUSH {k}s x\nMULTI\nGET {k}s\nEXEC",
    "unwatched": "WATCH {k}s\nSET {k}s 1\nUNWATCH\nMULTI\nGET {k}s\nEXEC",
    "unwatch inside": "WATCH {k}s\nMULTI\nUNWATCH\nGET {k}s\nEXEC",
    "watched twice": "WATCH {k}s\nWATCH {k}s {k}t\nSET {k}t 1\nMULTI\nGET {k}t\nEXEC",
    "of the connection": """
        MULTI
        PING
        PING x
        ECHO x
        SET {k}s 1
        PING x y
        EXEC
        MULTI
        ECHO
        EXEC""",
    "streams and expiry": """
        MULTI
        XADD {k}x 1-1 f v
        XLEN {k}x
        XRANGE {k}x - +
        XGROUP CREATE {k}x g 0
        XREADGROUP GROUP g c STREAMS {k}x >
        XADD {k}x 1-1 f v
        PEXPIREAT {k}x 99999999999999
        PEXPIRETIME {k}x
        EXEC""",
}


@pytest.mark.sanitize
@pytest.mark.parametrize("name", SCRIPTS)
def test_answers_are_those_of_redis(pair, name):
    one, _, prefix = pair
    one.run(SCRIPTS[name].replace("{k}", prefix))


LOCAL = {
    "client": "MULTI\nCLIENT GETNAME\nCLIENT SETNAME n\nCLIENT GETNAME\nSET {k}s 1\nEXEC\nCLIENT GETNAME",
    "client, aborted": "MULTI\nCLIENT SETNAME n\nNOSUCH\nEXEC\nCLIENT GETNAME\nMULTI\nCLIENT SETNAME n\nDISCARD\nCLIENT GETNAME",
    "client, watched": "WATCH {k}s\nSET {k}s 1\nMULTI\nCLIENT SETNAME n\nEXEC\nCLIENT GETNAME",
    "client, wrong": "MULTI\nCLIENT NO-EVICT x\nCLIENT SETNAME\nEXEC\nMULTI\nCLIENT NO-EVICT x\nCLIENT GETNAME\nEXEC",
    "select": "MULTI\nSELECT 0\nSET {k}s 1\nSELECT 99\nEXEC\nGET {k}s",
    "select, changed": "SET raw:s 0\nMULTI\nSELECT 1\nSET raw:s 1\nGET raw:s\nEXEC\nGET raw:s\nSELECT 0\nGET raw:s\nSELECT 1\nFLUSHDB",
}


@pytest.mark.sanitize
@pytest.mark.parametrize("name", LOCAL)
def test_commands_of_the_connection_wait_for_exec(pair, name):
    one, _, prefix = pair
    one.run(LOCAL[name].replace("{k}", prefix))


@pytest.mark.parametrize("words", [["KILL", "1.2.3.4:5"], ["LIST"], ["PAUSE", "1"], ["REPLY", "OFF"]], ids=" ".join)
def test_what_concerns_other_clients_is_refused_inside(proxies, words):
    with RespConn.to(proxies["redis"]) as conn:
        conn.cmd("MULTI")
        assert conn.cmd("CLIENT", *words).endswith("inside MULTI is not supported by convproxy yet")
        assert conn.cmd("EXEC").startswith("EXECABORT")


@pytest.mark.sanitize
def test_a_transaction_goes_to_one_database(proxies):
    """The database is the one from before when nothing has run."""
    with RespConn.to(proxies["redis"]) as conn:
        conn.pipeline(["MULTI"], ["SET", "raw:a", "1"])
        assert conn.cmd("SELECT", "1").startswith("ERR SELECT of another database inside MULTI must come before")
        assert conn.cmd("EXEC").startswith("EXECABORT")
        conn.pipeline(["WATCH", "raw:a"], ["MULTI"])
        assert conn.cmd("SELECT", "1").startswith("ERR SELECT of another database")
        assert conn.cmd("DISCARD") == "OK"
        for end in (["DISCARD"], ["EXEC", "x"], ["NOSUCH"]):
            conn.pipeline(["MULTI"], ["SELECT", "1"], ["SET", "raw:a", "1"], end)
            conn.cmd("EXEC")
            assert b" db=0 " in conn.cmd("CLIENT", "INFO")
        replies = conn.pipeline(["MULTI"], ["SELECT", "2"], ["SET", "raw:a", "1"], ["EXEC"], ["GET", "raw:a"], ["SELECT", "0"], ["GET", "raw:a"])
        assert replies == ["OK", "QUEUED", "QUEUED", ["OK", "OK"], b"1", "OK", None]


# ---- other clients ----

TOUCHES = {
    "set": (["SET", "{k}w", "2"], True),
    "deleted": (["DEL", "{k}w"], True),
    "expiry": (["PEXPIRE", "{k}w", "100000"], True),
    "emptied": (["FLUSHALL"], True),
    "another key": (["SET", "{k}v", "2"], False),
    "read": (["GET", "{k}w"], False),
    "in vain": (["SETNX", "{k}w", "2"], False),
    "wrong type": (["LPUSH", "{k}w", "2"], False),
}


@pytest.mark.sanitize
@pytest.mark.parametrize("touch", TOUCHES)
def test_a_watched_key_that_another_client_touches(pair, touch):
    one, other, prefix = pair
    words, ends = TOUCHES[touch]
    one.run(f"SET {prefix}w 1\nWATCH {prefix}w\nMULTI\nSET {prefix}x 1")
    for side in (other.ours, other.theirs):
        side.cmd(*[word.replace("{k}", prefix) for word in words])
    assert (one.same("EXEC") in (b"*-1\r\n", b"_\r\n")) == ends
    one.run(f"GET {prefix}x\nMULTI\nGET {prefix}x\nEXEC")


@pytest.mark.sanitize
def test_a_client_that_leaves_inside_leaves_nothing(pair, proxies, kind):
    one, other, prefix = pair
    for side in (one.ours, one.theirs):
        side.pipeline(["WATCH", f"{prefix}w"], ["MULTI"], ["SET", f"{prefix}x", "1"], ["PUBLISH", "c", "m"])
        side.close()
    other.run(f"EXISTS {prefix}x {prefix}w")
    eventually(lambda: proxies[KINDS[kind][0]].metrics()["convproxy_upstream_pinned_connections"] == 0)


@pytest.mark.sanitize
def test_pipelined_transactions_keep_their_order(pair):
    one, _, prefix = pair
    commands = []
    for i in range(30):
        commands += [["MULTI"], ["INCR", f"{prefix}n"], ["ECHO", str(i)], ["EXEC"], ["GET", f"{prefix}n"], ["WATCH", f"{prefix}n"], ["UNWATCH"]]
        commands += [["MULTI"], ["CLIENT", "SETNAME", f"n{i}"], ["CLIENT", "GETNAME"], ["INCR", f"{prefix}n"], ["EXEC"], ["CLIENT", "GETNAME"]]
    assert one.ours.pipeline(*commands) == one.theirs.pipeline(*commands)


# ---- both stores ----


def test_raw_and_managed_keys_in_one(resp, proxies, plain):
    """Redis acts: they go together. The archive acts: the error comes before anything is queued for EXEC, and nothing has run."""
    empty(plain)
    script = "MULTI\nSET raw:a 1\nRPUSH conv:a x\nINCR raw:a\nLRANGE conv:a 0 -1\nEXEC\nGET raw:a\nLLEN conv:a"
    empty(proxies["redis"])
    with Both(proxies["redis"], plain, resp) as both:
        both.run(script)
    empty(proxies["archive"])
    with RespConn.to(proxies["archive"]) as conn:
        for first, second in ((["SET", "raw:a", "1"], ["RPUSH", "conv:a", "x"]), (["RPUSH", "conv:a", "x"], ["SET", "raw:a", "1"])):
            assert conn.pipeline(["MULTI"], first) == ["OK", "QUEUED"]
            assert conn.cmd(*second).startswith("CROSSSTORE ")
            assert conn.cmd("EXEC").startswith("EXECABORT")
            assert conn.pipeline(["EXISTS", "raw:a"], ["EXISTS", "conv:a"]) == [0, 0]
        conn.cmd("WATCH", "raw:a")
        conn.cmd("MULTI")
        conn.cmd("RPUSH", "conv:a", "x")
        assert conn.cmd("EXEC").startswith("CROSSSTORE ")
        assert conn.cmd("EXISTS", "conv:a") == 0


def connects(proxy):
    return proxy.metrics()["convproxy_upstream_connects_total"]


@pytest.mark.sanitize
def test_no_connection_is_made_for_a_transaction(proxies):
    """Not even for one that watches: its connection is used again."""
    proxy = proxies["redis"]
    conns = [RespConn.to(proxy) for _ in range(4)]

    def round_of_all():
        for conn in conns:
            plain = conn.pipeline(["MULTI"], ["INCR", "raw:n"], ["RPUSH", "conv:n", "x"], ["EXEC"])
            assert isinstance(plain[3], list)
            watched = conn.pipeline(["WATCH", "raw:n", "conv:n"], ["MULTI"], ["INCR", "raw:n"], ["EXEC"])
            assert isinstance(watched[3], list)
            assert conn.pipeline(["WATCH", "raw:n"], ["MULTI"], ["DISCARD"], ["WATCH", "raw:n"], ["UNWATCH"])[-1] == "OK"

    round_of_all()
    before = connects(proxy)
    for _ in range(25):
        round_of_all()
    assert connects(proxy) - before < 4  # 300 transactions; one that still says UNWATCH is not lent
    for conn in conns:
        conn.close()
