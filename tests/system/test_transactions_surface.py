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


INSIDE = {
    "kill": "MULTI\nCLIENT KILL 1.2.3.4:5\nCLIENT KILL ID 0\nCLIENT KILL ID 12345678\nSET {k}s 1\nEXEC\nGET {k}s",
    "kill oneself": "MULTI\nSET {k}s 1\nCLIENT KILL SKIPME no TYPE normal ID {own}\nSET {k}s 2\nEXEC",
    "list": "MULTI\nCLIENT LIST ID 99999999\nCLIENT LIST TYPE foo\nCLIENT LIST TYPE\nSET {k}s 1\nEXEC\nGET {k}s",
    "pause": "MULTI\nCLIENT PAUSE 1\nCLIENT PAUSE x\nCLIENT UNPAUSE\nCLIENT UNBLOCK 99999999\nINCR {k}s\nEXEC\nGET {k}s",
    "reply on": "MULTI\nCLIENT REPLY ON\nCLIENT REPLY x\nSET {k}s 1\nEXEC\nPING",
    "users": "MULTI\nAUTH x\nAUTH default x\nAUTH nobody x\nAUTH a b c\nACL WHOAMI\nACL CAT nosuch\nINCR {k}s\nEXEC\nGET {k}s",
    "hello": "MULTI\nHELLO 9\nHELLO x\nHELLO {resp} AUTH nobody x\nHELLO {resp} SETNAME\nHELLO {resp} x\nSET {k}s 1\nEXEC\nGET {k}s",
    "subscribe": "MULTI\nSUBSCRIBE a b\nSET {k}s 1\nUNSUBSCRIBE a\nPSUBSCRIBE p*\nSSUBSCRIBE s\nPUNSUBSCRIBE\nUNSUBSCRIBE b\nSUNSUBSCRIBE\nEXEC\nGET {k}s",
    "monitor": "MULTI\nMONITOR\nSET {k}s 1\nEXEC\nPING\nGET {k}s",
    "config": "MULTI\nCONFIG GET hash-max-listpack-entries\nCONFIG GET\nCONFIG FOO\nEXEC\nMULTI\nCONFIG SET nosuch 1\nINCR {k}s\nEXEC",
    "slowlog": "MULTI\nSLOWLOG RESET\nSLOWLOG LEN\nSLOWLOG GET 0\nSLOWLOG GET x\nINCR {k}s\nEXEC",
    "tracking": "MULTI\nCLIENT GETREDIR\nCLIENT TRACKINGINFO\nCLIENT CACHING yes\nSET {k}s 1\nEXEC",
    "never": "MULTI\nSYNC\nSAVE\nSHUTDOWN\nPSYNC ? -1\nEXEC",
    "watched in vain": "WATCH {k}s\nSET {k}s 1\nMULTI\nSUBSCRIBE a\nCLIENT REPLY OFF\nCONFIG RESETSTAT\nEXEC\nGET {k}s",
}


@pytest.mark.sanitize
@pytest.mark.parametrize("name", INSIDE)
def test_what_the_proxy_answers_stands_in_its_place(pair, name, resp):
    """In RESP2 a client that is subscribed reads its messages: so the confirmations of one SUBSCRIBE, in EXEC's array, are two values."""
    one, _, prefix = pair
    own = {side: side.cmd("CLIENT", "ID") for side in (one.ours, one.theirs)}
    for line in INSIDE[name].format(k=prefix, resp=resp, own="{own}").splitlines():
        for side in (one.ours, one.theirs):
            side.send_cmd(*line.format(own=own[side]).split())
        if line == "EXEC" and name in ("subscribe", "kill oneself"):
            read = [raw_exec(side, resp, name) for side in (one.ours, one.theirs)]
        else:
            read = [side.read_with_bytes()[1] for side in (one.ours, one.theirs)]
        assert read[0] == read[1], line


def raw_exec(side, resp, name):
    """An EXEC whose array has more values than it says, or fewer."""
    if name == "subscribe":
        return [side.read_with_bytes()[1], side.read_with_bytes()[1]]
    got = b""
    while more := side.sock.recv(4096):
        got += more
    return got


@pytest.mark.sanitize
@pytest.mark.parametrize("words", [["OFF"], ["SKIP"]], ids=" ".join)
def test_reply_is_heeded_in_the_middle(pair, words):
    """OFF: what EXEC had still to tell is missing in its array, as with Redis; SKIP is about what follows EXEC."""
    one, _, prefix = pair
    for side in (one.ours, one.theirs):
        for command in (["MULTI"], ["SET", f"{prefix}s", "1"], ["CLIENT", "REPLY", *words], ["INCR", f"{prefix}s"], ["EXEC"], ["PING"], ["CLIENT", "REPLY", "ON"], ["GET", f"{prefix}s"]):
            side.send_cmd(*command)
        side.end = b"$1\r\n2\r\n"
    answers = []
    for side in (one.ours, one.theirs):
        got = bytes(side.buffer)
        while not got.endswith(side.end):
            got += side.sock.recv(4096)
        answers.append(got)
    assert answers[0] == answers[1]


@pytest.mark.sanitize
def test_info_and_clients_tell_of_the_proxy(proxies):
    proxy = proxies["redis"]
    with RespConn.to(proxy) as conn:
        conn.pipeline(["CLIENT", "SETNAME", "inside"], ["MULTI"], ["INFO", "server"], ["CLIENT", "LIST"], ["CONFIG", "GET", "conv.ttl"], ["SET", "raw:i", "1"])
        info, clients, config, ok = conn.cmd("EXEC")
        assert f"tcp_port:{proxy.port}".encode() in info
        assert b"name=inside" in clients
        assert config == [b"conv.ttl", b"0"] and ok == "OK"
        conn.pipeline(["MULTI"], ["CONFIG", "SET", "conv.ttl", "77s"], ["CONFIG", "GET", "conv.ttl"], ["CONFIG", "SET", "conv.ttl", "0"])
        assert conn.cmd("EXEC") == ["OK", [b"conv.ttl", b"77s"], "OK"]


@pytest.mark.sanitize
def test_who_logs_in_inside_may_no_more_than_the_new_user(pair, proxies, plain, kind):
    """Redis looks at the rights twice: when a command is queued, and when it runs."""
    one, _, prefix = pair
    for server in (proxies[KINDS[kind][0]], plain):
        with RespConn.to(server) as conn:
            assert conn.cmd("ACL", "SETUSER", "reader", "on", ">pw", f"~{prefix}*", "+@read", "+ping", "+acl|whoami") == "OK"
    one.run(f"""
        MULTI
        SET {prefix}s 1
        AUTH reader pw
        SET {prefix}s 2
        GET {prefix}s
        GET other
        ACL WHOAMI
        CLIENT ID
        AUTH reader wrong
        EXEC
        GET {prefix}s
        AUTH default x
        MULTI
        AUTH reader wrong
        SET {prefix}s 3
        DISCARD""")
    for server in (proxies[KINDS[kind][0]], plain):
        with RespConn.to(server) as conn:
            assert conn.cmd("ACL", "DELUSER", "reader") == 1


@pytest.mark.sanitize
def test_another_protocol_inside(pair, proxies, kind, resp):
    """As with SELECT, before what uses keys; and not when nothing has run."""
    one, _, prefix = pair
    other = 5 - resp
    for end in ("DISCARD", "EXEC x"):
        one.run(f"MULTI\nHELLO {other}\n{end}\nHGETALL {prefix}none")
    with RespConn.to(proxies[KINDS[kind][0]]) as conn:
        conn.cmd("HELLO", str(resp))
        conn.pipeline(["MULTI"], ["GET", f"{prefix}s"])
        assert conn.cmd("HELLO", str(other)).startswith("ERR HELLO with another protocol inside MULTI must come alone")
        assert conn.cmd("EXEC").startswith("EXECABORT")
        conn.pipeline(["MULTI"], ["HELLO", str(other)], ["HGETALL", f"{prefix}none"])
        hello, nothing = conn.cmd("EXEC")
        assert (isinstance(hello, dict), nothing) == ((True, {}) if other == 3 else (False, []))


@pytest.mark.sanitize
def test_a_client_that_leaves_while_it_is_answered(proxies):
    for _ in range(20):
        with RespConn.to(proxies["redis"]) as conn:
            conn.pipeline(["MULTI"], ["CLIENT", "LIST"], ["SUBSCRIBE", "a"], ["INFO"], ["SET", "raw:i", "1"])
            conn.send_cmd("EXEC")
    with RespConn.to(proxies["redis"]) as conn:
        eventually(lambda: conn.cmd("PUBSUB", "NUMSUB", "a") == [b"a", 0])
        eventually(lambda: conn.cmd("CLIENT", "LIST").count(b"\n") <= 2)


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
