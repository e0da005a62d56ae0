"""Limits of tenants: what counts, for whom, on all threads together; what a refusal says; the codes MEM-00x."""
import re

import pytest
from harness import NOBODY, RedisServer, RespConn, eventually
from harness.proxy import ROOT

pytestmark = [pytest.mark.managed]

# An hour's rate: what a test takes does not come back while it runs.
PROXY_CONFIG = {
    "policies": [
        {"name": "w", "match": "mem:*", "tenant_segment": 2, "limit_default": "5/h", "limit_search": "3/h", "limit_bulk": "2/h"},
        {"name": "u", "match": "user-*", "limit_default": "4/h"},
        {"name": "free", "match": "free:*"},
    ]
}
PROXY_SETTINGS = {"proxy.threads": 3}

REFUSED = re.compile(r"ERR MEM-006 Rate limit exceeded, retry after (\d+) ms \(tenant (\S+), class (\w+), (\S+)\)$")


def refusal(reply):
    """(ms, tenant, class, rate) of a refusal."""
    found = REFUSED.match(str(reply))
    assert found, reply
    return int(found[1]), found[2], found[3], found[4]


def limited(proxy, policy, kind):
    return proxy.metrics()[f'conv_rate_limited_total{{class="{kind}",policy="{policy}"}}']


def fresh(names=iter(range(10**6))):
    """A tenant that nobody had before."""
    return f"t{next(names)}"


def test_the_sixth_command_is_refused(conn, proxy, redis_server):
    tenant, before = fresh(), limited(proxy, "w", "default")
    key = f"mem:{tenant}:a"
    assert conn.pipeline(*[["INCR", key]] * 5) == [1, 2, 3, 4, 5]
    ms, who, kind, rate = refusal(conn.cmd("INCR", key))
    assert (who, kind, rate) == (tenant, "default", "5/h")
    assert 0 < ms <= 3600 * 1000 / 5
    assert redis_server.client().get(key) == b"5"  # it was not sent
    assert limited(proxy, "w", "default") == before + 1
    refusal(conn.cmd("GET", key))
    assert conn.cmd("SET", "raw", "x") == "OK"  # nobody's key has no limit, and the connection goes on


def test_classes_have_buckets_of_their_own(conn):
    tenant = fresh()
    key, other = f"mem:{tenant}:z", f"mem:{tenant}:h"
    searches = [["ZRANGEBYSCORE", key, 0, 1], ["HSCAN", other, 0], ["SCAN", 0, "MATCH", f"mem:{tenant}:*"]]
    assert [type(r) for r in conn.pipeline(*searches)] == [list] * 3
    for search in [*searches, ["KEYS", f"mem:{tenant}:*"], ["SORT", key]]:
        assert refusal(conn.cmd(*search))[1:] == (tenant, "search", "3/h")
    many = ["RPUSH", f"mem:{tenant}:l", *range(100)]
    assert conn.cmd("MSET", f"mem:{tenant}:1", 1, f"mem:{tenant}:2", 2) == "OK"
    assert conn.cmd(*many) == 100
    assert refusal(conn.cmd("MSET", f"mem:{tenant}:1", 1))[1:] == (tenant, "bulk", "2/h")
    assert refusal(conn.cmd(*many))[1:] == (tenant, "bulk", "2/h")
    assert conn.cmd("RPUSH", f"mem:{tenant}:l", 1) == 101  # few elements are none of it


def test_scan_and_keys_count_for_whom_their_pattern_names(conn):
    tenant = fresh()
    with RespConn(conn.sock.getpeername()[0], conn.sock.getpeername()[1]) as other:
        for _ in range(3):
            conn.cmd("SCAN", 0, "MATCH", f"mem:{tenant}:*")
        refusal(conn.cmd("SCAN", 0, "MATCH", f"mem:{tenant}:x*", "COUNT", 10))
        assert isinstance(other.cmd("SCAN", 0, "MATCH", f"mem:{fresh()}:*"), list)
        assert isinstance(other.cmd("SCAN", 0, "MATCH", "free:*"), list)
        for _ in range(3):  # all of mem: nobody's own, so the user's
            other.cmd("KEYS", "mem:*")
        assert refusal(other.cmd("SCAN", 0))[1] == "default"
        assert refusal(other.cmd("KEYS", "me*"))[1] == "default"
        assert isinstance(other.cmd("KEYS", "free:*"), list)


def test_a_user_is_the_tenant_of_keys_that_name_none(proxy):
    with RespConn.to(proxy) as admin, RespConn.to(proxy) as alice, RespConn.to(proxy) as bob:
        for name in ("alice", "bob"):
            assert admin.cmd("ACL", "SETUSER", name, "on", ">pw", "~*", "+@all") == "OK"
        assert alice.cmd("AUTH", "alice", "pw") == bob.cmd("AUTH", "bob", "pw") == "OK"
        assert alice.pipeline(*[["SET", "user-1", "x"]] * 4) == ["OK"] * 4
        assert refusal(alice.cmd("GET", "user-2"))[1:] == ("alice", "default", "4/h")
        assert bob.cmd("GET", "user-1") == b"x"
        assert refusal(alice.cmd("GET", "user-1"))[1] == "alice"
        admin.cmd("ACL", "DELUSER", "alice", "bob")


@pytest.mark.sanitize
def test_a_multi_that_is_over_the_limit_is_discarded(conn, redis_server):
    tenant = fresh()
    key = f"mem:{tenant}:a"
    assert conn.cmd("MULTI") == "OK"
    assert conn.pipeline(*[["INCR", key]] * 5) == ["QUEUED"] * 5
    refusal(conn.cmd("INCR", key))
    assert conn.cmd("EXEC") == "EXECABORT Transaction discarded because of previous errors."
    assert redis_server.client().exists(key) == 0


def test_long_blocks_are_bulk(conn):
    """Each hundred-and-first command of a MULTI counts as bulk."""
    tenant = fresh()
    free = ["SET", "free:1", "x"]

    def block():
        conn.cmd("MULTI")
        conn.pipeline(*[free] * 100)
        return conn.cmd("GET", f"mem:{tenant}:a")

    assert block() == "QUEUED"
    assert len(conn.cmd("EXEC")) == 101
    assert block() == "QUEUED"
    conn.cmd("DISCARD")
    assert refusal(block())[1:] == (tenant, "bulk", "2/h")
    assert str(conn.cmd("EXEC")).startswith("EXECABORT")


@pytest.mark.sanitize
def test_a_limit_holds_for_all_threads_together(proxy):
    """Many clients of one tenant, spread over three threads, all at once."""
    tenant, clients = fresh(), [RespConn.to(proxy) for _ in range(12)]
    for client in clients:
        for _ in range(20):
            client.send_cmd("INCR", f"mem:{tenant}:n")
    replies = [client.read() for client in clients for _ in range(20)]
    assert sorted(r for r in replies if isinstance(r, int)) == [1, 2, 3, 4, 5]
    assert {refusal(r)[1] for r in replies if not isinstance(r, int)} == {tenant}
    for client in clients:
        client.close()


def test_a_noisy_tenant_takes_nothing_from_others(proxy):
    noisy, quiet = fresh(), [fresh() for _ in range(20)]
    with RespConn.to(proxy) as loud, RespConn.to(proxy) as calm:
        for i, tenant in enumerate(quiet):
            for _ in range(50):
                loud.send_cmd("SET", f"mem:{noisy}:{i}", "x")
            assert calm.pipeline(*[["INCR", f"mem:{tenant}:n"]] * 5) == [1, 2, 3, 4, 5]
        replies = [loud.read() for _ in range(50 * len(quiet))]
    assert replies.count("OK") == 5


def test_what_must_wait_is_charged_once(proxy):
    """BLPOP on a managed key is tried again and again; it is one command."""
    tenant = fresh()
    key = f"mem:{tenant}:queue"
    with RespConn.to(proxy) as waiter, RespConn.to(proxy) as pusher:
        waiter.send_cmd("BLPOP", key, 0)
        eventually(lambda: b"blocked_clients:1" in pusher.cmd("INFO", "clients"))
        assert pusher.pipeline(*[["SET", f"mem:{tenant}:{i}", "x"] for i in range(2)]) == ["OK"] * 2
        assert pusher.cmd("RPUSH", key, "a") == 1
        assert waiter.read() == [key.encode(), b"a"]
        assert pusher.cmd("GET", f"mem:{tenant}:0") == b"x"  # the fifth
        refusal(pusher.cmd("GET", f"mem:{tenant}:0"))


def test_waiting_as_told_is_enough(make_proxy, redis_server):
    proxy = make_proxy(redis_server.url, settings={"conv.limit_default": "5/s", "conv.limit_burst": 1, "conv.tenant_segment": 2})
    proxy.start()
    with RespConn.to(proxy) as conn:
        assert conn.cmd("GET", "conv:warm") is None  # the stores have settled who answers
        first, second = conn.pipeline(["INCR", "conv:pace"], ["INCR", "conv:pace"])
        assert first == 1
        ms = refusal(second)[0]
        assert 0 < ms <= 200
        eventually(lambda: conn.cmd("INCR", "conv:pace") == 2, interval=ms / 1000)


def test_limits_are_set_live_and_survive_a_reload(make_proxy, redis_server):
    proxy = make_proxy(redis_server.url, {"policies": [{"name": "conv", "match": "conv:*", "tenant_segment": 2}]}).start()
    with RespConn.to(proxy) as conn:
        for _ in range(20):
            conn.cmd("GET", "conv:reload")
        assert conn.cmd("CONFIG", "SET", "conv.limit_default", "3/h") == "OK"
        assert conn.pipeline(*[["GET", "conv:reload"]] * 3) == [None] * 3
        refusal(conn.cmd("GET", "conv:reload"))
        assert conn.cmd("CONFIG", "SET", "conv.max_messages", "7") == "OK"  # another setting forgets nothing
        refusal(conn.cmd("GET", "conv:reload"))
        told = conn.cmd("CONFIG", "SET", "conv.limit_default", "many")
        assert "'many' is not a rate; expected a number and a unit such as 100/min, 5/s, 1000/h" in told
        assert refusal(conn.cmd("GET", "conv:reload"))[3] == "3/h"
        proxy.config_path.write_text(proxy.config_path.read_text().replace("tenant_segment: 2", "tenant_segment: 2\n  max_bytes: 1mb"))
        proxy.process.send_signal(1)
        eventually(lambda: conn.cmd("CONFIG", "GET", "conv.max_bytes")[1] == b"1mb")
        refusal(conn.cmd("GET", "conv:reload"))
        assert conn.cmd("CONFIG", "SET", "conv.limit_default", "") == "OK"
        assert conn.cmd("GET", "conv:reload") is None


@pytest.mark.sanitize
def test_bad_bytes_in_a_tenant_spoil_nothing(conn):
    tenant = b"a\r\n+OK \xff(" + b"x" * 300
    for _ in range(5):
        conn.cmd("GET", b"mem:" + tenant + b":k")
    who = refusal(conn.cmd("GET", b"mem:" + tenant + b":k"))[1]
    assert who.startswith("a??+OK???x") and len(who) == 64
    assert conn.cmd("PING") == "PONG"
    conn.cmd("GET", b"mem:")  # no tenant at all: the user's


# ---- the codes ----

EXAMPLE = (ROOT / "config/examples/memory-api.yaml").read_text()


def test_the_example_has_the_documents_limits_and_times(make_proxy, fresh_redis):
    proxy = make_proxy(fresh_redis.url, EXAMPLE).start()
    real = fresh_redis.client()
    with RespConn.to(proxy) as conn:
        for key, ttl in (("search:q1", 300), ("get:7", 3600), ("stats:day", 600), ("entity:7", 30 * 86400)):
            assert conn.cmd("SET", f"mem:acme:{key}", "{}") == "OK"
            assert ttl - 2 <= real.ttl(f"mem:acme:{key}") <= ttl
        assert conn.pipeline(*[["SET", "mem:acme:get:1", "{}"]] * 150) == ["OK"] * 150  # caches are free
        # more than the limit by far: on a slow machine some come back meanwhile
        replies = conn.pipeline(*[["GET", "mem:acme:entity:7"]] * 200)
        assert replies[:99] == [b"{}"] * 99 and replies.count(b"{}") < 150
        assert refusal(replies[199])[1:] == ("acme", "default", "100/min")
        replies = conn.pipeline(*[["SCAN", 0, "MATCH", "mem:beta:entity:*"]] * 90)
        assert refusal(replies[89])[1:] == ("beta", "search", "30/min")
        replies = conn.pipeline(*[["MSET", "mem:beta:entity:1", "{}", "mem:beta:entity:2", "{}"]] * 40)
        assert replies[:10] == ["OK"] * 10
        assert refusal(replies[39])[1:] == ("beta", "bulk", "10/min")
        told = conn.cmd("SET", "mem:beta:entity:1", "{not json")
        assert told == "ERR MEM-002 the value for 'mem:beta:entity:1' is not valid JSON, which the policy's format demands"
        assert conn.cmd("GET", "mem:beta:entity:1") == b"{}"


CODED = {"conv.error_codes": "mem", "archive.url": "", "redis.timeout": "100ms", "redis.connect_timeout": "100ms"}


def test_mem_001_when_the_store_is_away(make_proxy, tmp_path):
    server = RedisServer(tmp_path).start()
    proxy = make_proxy(server.url, settings=CODED).start()
    with RespConn.to(proxy) as conn:
        assert conn.cmd("SET", "conv:1", "x") == "OK"
        server.kill()
        told = eventually(lambda: (r := conn.cmd("GET", "conv:1")) and "not reachable" in r and r)
        assert told.startswith("ERR MEM-001 Redis is not reachable ("), told
        assert conn.cmd("GET", "raw").startswith("REDISDOWN Redis is not reachable (")
        assert conn.cmd("CONFIG", "SET", "conv.error_codes", "redis") == "OK"
        assert conn.cmd("GET", "conv:1").startswith("REDISDOWN Redis is not reachable (")


def test_mem_001_when_the_store_does_not_answer(make_proxy, fresh_redis):
    proxy = make_proxy(fresh_redis.url, settings=CODED).start()
    with RespConn.to(proxy) as conn:
        assert conn.cmd("SET", "conv:1", "x") == "OK"
        fresh_redis.process.send_signal(19)  # SIGSTOP
        try:
            told = conn.cmd("GET", "conv:1")
            assert re.fullmatch(r"ERR MEM-001 Redis did not answer within \d+ ms; the command may or may not have run", told), told
        finally:
            fresh_redis.process.send_signal(18)


def test_mem_007_when_the_proxy_or_the_client_may_not(make_proxy, tmp_path):
    server = RedisServer(tmp_path).start()
    server.client().config_set("requirepass", "secret")
    try:
        proxy = make_proxy(server.url, settings=CODED).start()
        with RespConn.to(proxy) as conn:
            told = eventually(lambda: (r := conn.cmd("GET", "conv:1")) and "NOAUTH" in r and r)
            assert told.startswith("ERR MEM-007 Redis is not reachable (NOAUTH"), told
            assert conn.cmd("CONFIG", "SET", "redis.password", "secret") == "OK"
            eventually(lambda: conn.cmd("GET", "conv:1") is None)
            assert conn.cmd("ACL", "SETUSER", "eve", "on", ">pw", "~other:*", "+@all") == "OK"
            assert conn.cmd("AUTH", "eve", "pw") == "OK"
            denied = "NOPERM this user has no permissions to access one of the keys used as arguments"
            assert conn.cmd("GET", "conv:1") == f"ERR MEM-007 Authentication failed: {denied}"
            assert conn.cmd("GET", "raw") == denied
        with RespConn.to(proxy) as conn:
            assert conn.cmd("CONFIG", "SET", "requirepass", "pw") == "OK"
        with RespConn.to(proxy) as conn:
            assert conn.cmd("GET", "conv:1") == "ERR MEM-007 Authentication failed: NOAUTH Authentication required."
            assert conn.cmd("GET", "raw") == "NOAUTH Authentication required."
    finally:
        server.kill()


def test_mem_001_of_the_archive(make_proxy):
    settings = {"conv.error_codes": "mem", "conv.primary": "archive", "archive.faults": 1}
    proxy = make_proxy(NOBODY, settings=settings).start()
    with RespConn.to(proxy) as conn:
        assert eventually(lambda: conn.cmd("RPUSH", "conv:1", "a") == 1)
        assert conn.cmd("CONV", "FAULT", "op=load fail=100% error=down") == "OK"
        told = conn.cmd("LRANGE", "conv:2", 0, -1)
        assert told.startswith("ERR MEM-001 the archive "), told
        assert conn.cmd("CONV", "FAULT", "") == "OK"


def test_classes_and_codes_of_the_page():
    """docs/rate-limits.md names each command of the class table, and each code that the proxy has."""
    page = (ROOT / "docs/rate-limits.md").read_text()
    table = (ROOT / "router/rate_class.c").read_text()
    for name in re.findall(r'\{"(\w+)", RATE_', table):
        assert f"`{name.upper()}`" in page, name
    errors = re.findall(r'\{(ERR_\w+), "(MEM-00\d)"\}', (ROOT / "proxy/coded.c").read_text())
    assert len(errors) > 10
    for code in {code for _, code in errors} | {"MEM-003", "MEM-004", "MEM-005", "MEM-006", "MEM-007", "MEM-008"}:
        assert f"| `{code}` |" in page, code
    assert {"RATE_BULK_ARGS", "RATE_BULK_COMMANDS"} <= set(re.findall(r"#define (\w+)", (ROOT / "router/rate_class.h").read_text()))
