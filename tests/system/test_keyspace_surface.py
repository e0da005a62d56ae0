"""SCAN, KEYS, DBSIZE, RANDOMKEY when some keys are Redis's and some the archive's: together they are what one Redis would tell, and
never a key of the proxy's own."""
import pytest
from harness import Proxy, RedisServer, RespConn, eventually

pytestmark = [pytest.mark.managed, pytest.mark.sanitize]

KEYS = {
    **{f"raw:s{i}": ["SET", f"raw:s{i}", "v"] for i in range(40)},
    **{f"raw:l{i}": ["RPUSH", f"raw:l{i}", "v"] for i in range(10)},
    **{f"conv:l{i}": ["RPUSH", f"conv:l{i}", "v"] for i in range(40)},
    **{f"conv:s{i}": ["SET", f"conv:s{i}", "v"] for i in range(10)},
    **{f"conv:h{i}": ["HSET", f"conv:h{i}", "f", "v"] for i in range(5)},
    "cv:p": ["SET", "cv:p", "v"],
    "cvp": ["SET", "cvp", "v"],
}


@pytest.fixture(scope="module", params=["redis", "archive"])
def side(request, tmp_path_factory, plain):
    """(client of the proxy, client of Redis) with the same keys; who acts for conv:* is the parameter."""
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    settings = {"conv.primary": request.param, "conv.ttl": 0, "conv.max_messages": 0}
    proxy = Proxy(tmp_path_factory.mktemp("proxy"), server.url, settings=settings).start()
    eventually(lambda: proxy.get_json("/api/v1/primary")["placement"][0].get("place") in ("redis", "archive", "archive-lagging"), timeout=15)
    with RespConn.to(proxy) as ours, RespConn.to(plain) as theirs:
        theirs.cmd("FLUSHALL")
        for command in KEYS.values():
            for conn in (ours, theirs):
                assert not str(eventually(lambda conn=conn, command=command: conn.cmd(*command))).startswith("TRYAGAIN")
        yield ours, theirs
    proxy.stop()
    server.kill()


def scan(conn, *options):
    cursor, found = b"0", []
    while True:
        cursor, page = conn.cmd("SCAN", cursor, *options)
        found += page
        if cursor == b"0":
            return sorted(found)


OPTIONS = ["", "COUNT 1", "COUNT 1000", "TYPE list", "TYPE LIST", "TYPE string COUNT 3", "TYPE nosuch", "TYPE zset", "MATCH conv:*", "MATCH raw:*"]
OPTIONS += ["MATCH *l1*", "MATCH conv:l*", "MATCH conv:?1 COUNT 2", "MATCH *:[sh]* TYPE hash", "MATCH raw:l* TYPE list", "MATCH conv:l* TYPE string"]
OPTIONS += ["MATCH cv*", "MATCH cvp*", "MATCH cvp:*", "MATCH [c]vp:*", "MATCH nothing", "MATCH conv:l3", "MATCH * TYPE hash COUNT 7"]


@pytest.mark.parametrize("options", OPTIONS)
def test_scan(side, options):
    ours, theirs = side
    assert scan(ours, *options.split()) == scan(theirs, *options.split())


@pytest.mark.parametrize("pattern", ["*", "conv:*", "raw:*", "*l1*", "c*", "cvp*", "cvp:*", "[c]v?:*", "conv:[sh]1", "nothing", "conv:l3"])
def test_keys(side, pattern):
    ours, theirs = side
    assert sorted(ours.cmd("KEYS", pattern)) == sorted(theirs.cmd("KEYS", pattern))


def test_counts_and_draws(side):
    ours, theirs = side
    assert ours.cmd("DBSIZE") == theirs.cmd("DBSIZE") == len(KEYS)
    drawn = {ours.cmd("RANDOMKEY").decode() for _ in range(200)}
    assert drawn <= set(KEYS) and any(key.startswith("conv:") for key in drawn) and any(key.startswith("raw:") for key in drawn)


def test_what_a_scan_refuses(side):
    ours, theirs = side
    for words in (["0", "COUNT", "0"], ["0", "COUNT", "x"], ["0", "MATCH"], ["0", "FOO", "1"], ["x"], ["0", "TYPE"]):
        assert ours.cmd("SCAN", *words) == theirs.cmd("SCAN", *words), words


def test_databases_apart(side):
    """Other databases are Redis's alone: none of the archive's keys are in them."""
    for conn in side:
        assert conn.pipeline(["SELECT", "2"], ["DBSIZE"], ["KEYS", "*"], ["RANDOMKEY"], ["SCAN", "0"], ["SELECT", "0"]) == ["OK", 0, [], None, [b"0", []], "OK"]


def test_flushed_in_both(side):
    ours, theirs = side
    assert eventually(lambda: ours.cmd("FLUSHDB") == "OK") and theirs.cmd("FLUSHDB") == "OK"
    assert (ours.cmd("DBSIZE"), scan(ours), ours.cmd("RANDOMKEY")) == (0, [], None)
