"""Tenants counted: keys, bytes, age, keys without TTL, values that are no JSON; over HTTP, as metrics, and by CONV TENANTS."""
import json

import pytest
from harness import NOBODY, RedisServer, RespConn, eventually
from harness.proxy import ROOT, run_once

pytestmark = [pytest.mark.managed]

PROXY_CONFIG = (ROOT / "config/examples/working-memory.yaml").read_text()
PROXY_SETTINGS = {"tenants.interval": "20ms", "tenants.rate": 1000000, "tenants.top": 2, "proxy.threads": 2}


def policy_of(proxy, name="wm", query=""):
    return proxy.get_json(f"/api/v1/tenants?policy={name}{query}")["policies"][0]


def counted(proxy, good, name="wm"):
    """The first count that is good."""
    return eventually(lambda: (p := policy_of(proxy, name)) and "countedAt" in p and good(p) and p, timeout=15)


def tenant(policy, name):
    return next((t for t in policy["tenants"] if t["tenant"] == name), None)


def fill(conn):
    for name, keys in (("acme", 5), ("beta", 3), ("gamma", 1)):
        for i in range(keys):
            assert conn.cmd("HSET", f"tenant:{name}:wm:{i}", "goal", "x" * 100) in (0, 1)
    conn.cmd("SET", "tenant:acme:other", "raw")


@pytest.mark.sanitize
def test_each_tenant_is_counted(proxy, conn, real):
    fill(conn)
    policy = counted(proxy, lambda p: p["keys"] == 9)
    assert (policy["policy"], policy["store"], policy["tenantCount"], policy["segment"]) == ("wm", "redis", 3, 2)
    assert [(t["tenant"], t["keys"]) for t in policy["tenants"]] == [("acme", 5), ("beta", 3), ("gamma", 1)]
    acme = tenant(policy, "acme")
    assert acme["withoutTtl"] == 0
    assert acme["bytes"] == sum(real.memory_usage(f"tenant:acme:wm:{i}") for i in range(5))
    assert policy["bytes"] == sum(t["bytes"] for t in policy["tenants"])


def test_the_oldest_and_those_without_ttl(proxy, conn, real):
    fill(conn)
    real.expire("tenant:acme:wm:1", 3600 - 500)  # as if it had been written 500 s ago
    real.persist("tenant:beta:wm:2")  # somebody who goes past the proxy
    policy = counted(proxy, lambda p: tenant(p, "beta") and tenant(p, "beta")["withoutTtl"] == 1 and tenant(p, "acme")["oldestSeconds"] >= 500)
    assert 500 <= tenant(policy, "acme")["oldestSeconds"] < 600
    assert tenant(policy, "gamma")["oldestSeconds"] < 100
    assert policy["withoutTtl"] == 1
    move = proxy.post_json("/api/v1/moves", {"kind": "ttl-audit", "policy": "wm", "repair": True})
    assert move["kind"] == "ttl-audit"
    counted(proxy, lambda p: p["withoutTtl"] == 0)
    assert 3500 < real.ttl("tenant:beta:wm:2") <= 3600


def test_series_are_bounded(proxy, conn, real):
    fill(conn)
    counted(proxy, lambda p: p["keys"] == 9)
    for i in range(30):
        conn.cmd("HSET", f"tenant:t{i:02}:wm:a", "f", 1)
    counted(proxy, lambda p: p["tenantCount"] == 33)
    metrics = proxy.metrics()
    assert metrics['conv_tenants{policy="wm"}'] == 33
    series = {name: value for name, value in metrics.items() if name.startswith("conv_tenant_keys{")}
    assert series == {
        'conv_tenant_keys{policy="wm",tenant="acme"}': 5,
        'conv_tenant_keys{policy="wm",tenant="beta"}': 3,
        'conv_tenant_keys{policy="wm",tenant="(other)"}': 31,
    }
    assert len([name for name in metrics if name.startswith("conv_tenant_bytes{")]) == 3
    assert len(policy_of(proxy, query="&limit=4")["tenants"]) == 4
    assert [t["keys"] for t in policy_of(proxy, query="&tenant=beta")["tenants"]] == [3]


def test_conv_tenants_says_the_same(proxy, conn, real):
    fill(conn)
    counted(proxy, lambda p: p["keys"] == 9)
    lines = [line.decode() for line in conn.cmd("CONV", "TENANTS")]
    assert lines[0].startswith("policy wm: 3 tenants, 9 keys in redis, 0 without ttl, 0 malformed; counted ")
    assert [line.split(":")[0].strip() for line in lines[1:]] == ["acme", "beta", "gamma"]
    assert conn.cmd("CONV", "TENANTS", "wm")[0].startswith(b"policy wm: 3 tenants")
    assert conn.cmd("CONV", "TENANTS", "nothing") == [b"no policy has tenants: set tenant_segment"]


@pytest.mark.sanitize
def test_bad_questions_and_strange_names(proxy, conn, real):
    for query in ("limit=x", "limit=-1", "limit=99999999999999999999", "limit="):
        assert proxy.http(f"/api/v1/tenants?{query}")[0] == 400, query
    assert proxy.http("/api/v1/tenants?policy=nothing")[0] == 404
    assert proxy.http("/api/v1/tenants?policy=")[0] == 404
    conn.cmd("HSET", b"tenant:\xff\\ \n\x00:wm:a", "f", 1)
    conn.cmd("HSET", b"tenant:" + b"x" * 500 + b":wm:a", "f", 1)
    policy = counted(proxy, lambda p: p["keys"] == 2)
    assert {t["tenant"] for t in policy["tenants"]} == {"\\xff\\x5c\\x20\\x0a\\x00", "x" * 64}
    assert len([name for name in proxy.metrics() if name.startswith("conv_tenant_keys{")]) == 3


def test_the_archive_is_counted_while_it_acts(make_proxy, tmp_path):
    server = RedisServer(tmp_path).start()
    proxy = make_proxy(server.url, PROXY_CONFIG, settings={**PROXY_SETTINGS, "failover.return_after": "1h"}).start()
    with RespConn.to(proxy, timeout=15) as conn:
        eventually(lambda: conn.cmd("HSET", "tenant:acme:wm:a", "f", 1) in (0, 1))
        counted(proxy, lambda p: p["store"] == "redis" and p["keys"] == 1)
        server.kill()
        eventually(lambda: conn.cmd("HSET", "tenant:acme:wm:b", "f", 1) in (0, 1), timeout=15)
        policy = counted(proxy, lambda p: p["store"] == "archive" and p["keys"] == 2)
        assert "bytes" not in policy and tenant(policy, "acme")["withoutTtl"] == 0


def test_a_store_that_is_away_is_said_and_forgets_nothing(make_proxy, tmp_path):
    server = RedisServer(tmp_path).start()
    proxy = make_proxy(server.url, PROXY_CONFIG, settings={**PROXY_SETTINGS, "archive.url": ""}).start()
    with RespConn.to(proxy) as conn:
        eventually(lambda: conn.cmd("HSET", "tenant:acme:wm:a", "f", 1) in (0, 1))
    counted(proxy, lambda p: p["keys"] == 1)
    server.kill()
    eventually(lambda: "error" in proxy.get_json("/api/v1/tenants"), timeout=15)
    assert policy_of(proxy)["keys"] == 1


def test_nothing_is_counted_unless_it_is_wanted(make_proxy, fresh_redis):
    proxy = make_proxy(fresh_redis.url, settings={"tenants.interval": "10ms"}).start()
    with RespConn.to(proxy) as conn:
        assert proxy.get_json("/api/v1/tenants") == {"policies": []}
        assert conn.cmd("RPUSH", "conv:a:1", "m") == 1
        assert conn.cmd("CONFIG", "SET", "conv.tenant_segment", "2") == "OK"
        counted(proxy, lambda p: p["keys"] == 1 and tenant(p, "a"), "conv")
        assert conn.cmd("CONFIG", "SET", "tenants.interval", "1h") == "OK"
        assert conn.cmd("CONFIG", "SET", "conv.tenant_segment", "0") == "OK"
        eventually(lambda: proxy.get_json("/api/v1/tenants") == {"policies": []})
        eventually(lambda: 'conv_tenants{policy="conv"}' not in proxy.metrics())
        assert proxy.http("/api/v1/tenants?policy=conv")[0] == 404


def test_use_of_limits_stands_beside(make_proxy, fresh_redis):
    """A tenant that has no keys yet is told, too: it was refused."""
    settings = {"conv.tenant_segment": 2, "conv.limit_default": "2/h", "tenants.interval": "20ms"}
    proxy = make_proxy(fresh_redis.url, settings=settings).start()
    with RespConn.to(proxy) as conn:
        assert conn.pipeline(["RPUSH", "conv:a:1", "m"], ["GET", "conv:b:1"]) == [1, None]
        for _ in range(4):
            conn.cmd("GET", "conv:b:1")
        policy = counted(proxy, lambda p: p["keys"] == 1, "conv")
        assert (tenant(policy, "a")["keys"], tenant(policy, "a")["taken"]["default"]) == (1, 1)
        b = tenant(policy, "b")
        assert (b["keys"], b["taken"], b["limited"]) == (0, {"default": 2, "search": 0, "bulk": 0}, {"default": 3, "search": 0, "bulk": 0})


@pytest.mark.parametrize("path", sorted((ROOT / "config/examples").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_loads(path, make_proxy):
    done = run_once("--check-config", "--config", path)
    assert done.returncode == 0, done.stderr
    proxy = make_proxy(NOBODY, path.read_text()).start()
    assert json.loads(proxy.http("/api/v1/state")[1])
