"""Governance state as its operations guide has it: names, times, health, malformed values, and the four disasters, played."""
import json
import os
import re
import subprocess

import pytest
from harness import RedisServer, RespConn, eventually
from harness.proxy import ROOT
from harness.tls import Authority, TlsRedis

pytestmark = [pytest.mark.managed]

EXAMPLE = (ROOT / "config/examples/governance.yaml").read_text()
DECISION = "governance:acgs-dev:decision:abc123"
VALUE = b'{"result": "approved"}'


@pytest.fixture
def make(make_proxy):
    """A started proxy with the example file, and quick counts."""

    def start(redis_url, settings=None, env=None, config=EXAMPLE):
        return make_proxy(redis_url, config, settings={"tenants.interval": "20ms", **(settings or {})}, env=env).start()

    return start


def memory(proxy):
    return json.loads(proxy.http("/health/memory")[1])


def written(conn, *command):
    return eventually(lambda: not str(reply := conn.cmd(*command)).startswith(("REDISDOWN", "TRYAGAIN", "ERR")) and [reply], timeout=15)[0]


def test_every_write_lasts_a_day(make, fresh_redis):
    proxy, real = make(fresh_redis.url), fresh_redis.client()
    with RespConn.to(proxy) as conn:
        assert written(conn, "SET", DECISION, VALUE) == "OK"
        assert 86390 < real.ttl(DECISION) <= 86400
        assert conn.cmd("SET", "governance:acgs-dev:session:s1", VALUE, "EX", 3600) == "OK"
        assert 3590 < real.ttl("governance:acgs-dev:session:s1") <= 3600
        assert conn.cmd("PERSIST", DECISION) == 1 or real.ttl(DECISION) > 0
        assert 0 < real.ttl(DECISION) <= 86400


def test_the_guides_environment(make_proxy, tmp_path):
    """REDIS_URL, REDIS_PASSWORD, MEMORY_DEFAULT_TTL_SECONDS, MEMORY_MAX_RECONNECT_ATTEMPTS, without any of them in a file."""
    server = RedisServer(tmp_path).start()
    server.client().config_set("requirepass", "p@ss/w:rd")
    env = {"REDIS_URL": server.url, "REDIS_PASSWORD": "p@ss/w:rd", "MEMORY_DEFAULT_TTL_SECONDS": 86400, "MEMORY_MAX_RECONNECT_ATTEMPTS": 3}
    policies = {"policies": [{"name": "governance", "match": "governance:*", "max_messages": 0}]}
    proxy = make_proxy(server.url, policies, env=env)
    del proxy.settings["redis.url"]
    proxy.start()
    with RespConn.to(proxy) as conn:
        assert written(conn, "SET", DECISION, VALUE) == "OK"
        assert 86390 < conn.cmd("TTL", DECISION) <= 86400
        assert conn.cmd("CONFIG", "GET", "redis.reconnect_attempts")[1] == b"3"
    server.kill()


def test_production_speaks_tls(make, tmp_path):
    authority = Authority(tmp_path / "ca")
    server = TlsRedis(tmp_path, authority.issue("server"), authority).start()
    try:
        proxy = make(server.tls_url(), settings={"redis.tls_ca": str(authority.cert)})
        with RespConn.to(proxy) as conn:
            assert written(conn, "SET", DECISION, VALUE) == "OK"
        assert memory(proxy)["connectionState"] == "connected"
    finally:
        server.kill()


def test_health_has_the_guides_four_fields_and_states(make, tmp_path):
    """connected, reconnecting, error after ten attempts while connecting goes on, and connected again."""
    server = RedisServer(tmp_path).start()
    fast = {"redis.backoff_min": "50ms", "redis.backoff_max": "60ms", "redis.probe_interval": "50ms", "redis.connect_timeout": "50ms"}
    proxy = make(server.url, settings={**fast, "archive.url": ""})
    state = eventually(lambda: (m := memory(proxy))["connectionState"] == "connected" and m)
    assert sorted(state) == ["connectionState", "healthy", "latencyMs", "reconnectAttempts"]
    assert (state["healthy"], state["reconnectAttempts"]) == (True, 0) and 0 < state["latencyMs"] < 1000
    server.kill()
    seen = []

    def gave_up():
        now = memory(proxy)
        seen.append((now["connectionState"], now["reconnectAttempts"]))
        return now["connectionState"] == "error" and now["reconnectAttempts"] >= 12  # it goes on beyond ten

    eventually(gave_up, timeout=20, interval=0.005)
    assert all(attempts < 10 for name, attempts in seen if name == "reconnecting")
    assert all(attempts >= 10 for name, attempts in seen if name == "error")
    assert proxy.http("/health/memory")[0] == 503
    server.start()
    state = eventually(lambda: (m := memory(proxy))["connectionState"] == "connected" and m)
    assert (state["healthy"], state["reconnectAttempts"]) == (True, 0)


@pytest.mark.sanitize
def test_malformed_json_is_stored_counted_and_logged_without_its_value(make, fresh_redis):
    proxy = make(fresh_redis.url, settings={"tenants.interval": 0})
    name = 'conv_malformed_json_total{policy="governance"}'
    with RespConn.to(proxy) as conn:
        assert written(conn, "SET", DECISION, VALUE) == "OK"
        assert proxy.metrics()[name] == 0
        broken = b'{"secret-token": "approved'
        key = "governance:acgs-dev:policy:policy-001"
        assert conn.cmd("SET", key, broken) == "OK"
        assert conn.cmd("MSET", DECISION, VALUE, "governance:acgs-dev:policy:2", "no json", "raw", "{") == "OK"
        assert conn.cmd("HSET", "governance:acgs-dev:policy:h", "a", "[1]", "b", "{]") == 2
        assert conn.cmd("RPUSH", "governance:acgs-dev:policy:l", "1", "x", '"y"') == 3
        assert conn.cmd("GET", key) == broken
        assert proxy.metrics()[name] == 4
        proxy.log_contains(r'event=malformed_json message="Malformed JSON" policy=governance key=governance:acgs-dev:policy:policy-001 command=set count=1')
        for i in range(300):
            conn.cmd("SET", key, broken)
        assert len(re.findall("Malformed JSON", proxy.log_text())) < 30, "a line a second, for each thread"
        assert "secret-token" not in proxy.log_text()


@pytest.mark.sanitize
def test_strict_refuses_them_and_spoils_transactions(make, fresh_redis):
    proxy = make(fresh_redis.url, settings={"tenants.interval": 0})
    refused = f"ERR the value for '{DECISION}' is not valid JSON, which the policy's format demands"
    with RespConn.to(proxy) as conn:
        assert written(conn, "SET", DECISION, VALUE) == "OK"
        assert conn.cmd("CONFIG", "SET", "governance.format", "json-strict") == "OK"
        assert conn.cmd("SET", DECISION, "{") == refused
        assert conn.cmd("MSET", "raw", "x", DECISION, "{") == refused
        assert conn.cmd("SETEX", DECISION, 10, "") == refused
        assert fresh_redis.client().get("raw") is None and conn.cmd("GET", DECISION) == VALUE
        assert conn.pipeline(["MULTI"], ["SET", "raw", "y"], ["SET", DECISION, "["], ["EXEC"]) == [
            "OK", "QUEUED", refused, "EXECABORT Transaction discarded because of previous errors."]  # fmt: skip
        assert conn.cmd("SET", DECISION) == "ERR wrong number of arguments for 'set' command"
        assert conn.cmd("SET", DECISION, "[" * 5000) == refused
        assert conn.cmd("CONFIG", "SET", "governance.format", "any") == "OK"
        assert conn.cmd("SET", DECISION, "{") == "OK"


def test_cleanup_by_pattern_with_scan(make, fresh_redis):
    """MemoryService.cleanup('governance:acgs-dev:session:*'), as a client of the proxy does it."""
    proxy = make(fresh_redis.url)
    client = proxy.client()
    with RespConn.to(proxy) as conn:
        written(conn, "SET", DECISION, VALUE)
    for i in range(250):
        client.set(f"governance:acgs-dev:session:s{i}", "{}")
        client.set(f"governance:other:session:s{i}", "{}")
    gone = sum(client.delete(key) for key in client.scan_iter("governance:acgs-dev:session:*", count=100))
    assert gone == 250
    assert client.exists(DECISION) == 1
    assert sum(1 for _ in client.scan_iter("governance:other:session:*", count=100)) == 250


# ---- the disasters of the guide ----


def test_scenario_1_data_loss(make, tmp_path):
    """Redis loses its disk: an empty one takes its place. The guide restores a backup; here nothing acknowledged is missing."""
    server = RedisServer(tmp_path).start()
    proxy = make(server.url, settings={"failover.return_after": "0s"})
    keys = [f"governance:acgs-dev:decision:{i}" for i in range(50)]
    with RespConn.to(proxy, timeout=15) as conn:
        written(conn, "SET", keys[0], VALUE)
        assert conn.pipeline(*[["SET", key, VALUE] for key in keys]) == ["OK"] * 50
        server.restart(empty=True)
        assert eventually(lambda: [r for r in conn.pipeline(*[["GET", key] for key in keys]) if r != VALUE] == [], timeout=20)
        eventually(lambda: len(server.client().keys("governance:*")) == 50, timeout=20)
        assert all(86000 < server.client().ttl(key) <= 86400 for key in keys)


def test_scenario_2_server_failure(make, tmp_path):
    """The server is gone and comes back with its data, or without: the service goes on, and reconnects by itself."""
    server = RedisServer(tmp_path, args=["--appendonly", "yes"]).start()
    proxy = make(server.url, settings={"failover.return_after": "0s"})
    with RespConn.to(proxy, timeout=15) as conn:
        written(conn, "SET", DECISION, VALUE)
        server.kill()
        assert written(conn, "SET", "governance:acgs-dev:decision:2", VALUE) == "OK"
        assert conn.cmd("GET", DECISION) == VALUE
        server.start()
        eventually(lambda: server.client().get("governance:acgs-dev:decision:2") == VALUE, timeout=20)
        eventually(lambda: memory(proxy)["connectionState"] == "connected")


def test_scenario_3_partition(make, fresh_redis):
    """Redis is there, but nothing comes back. Nobody restarts anything."""
    proxy = make(fresh_redis.url, settings={"failover.return_after": "0s", "redis.timeout": "200ms"})
    with RespConn.to(proxy, timeout=15) as conn:
        written(conn, "SET", DECISION, VALUE)
        fresh_redis.pause()
        try:
            assert written(conn, "SET", DECISION, b'{"n": 2}') == "OK"
            assert conn.cmd("GET", DECISION) == b'{"n": 2}'
        finally:
            fresh_redis.resume()
        eventually(lambda: fresh_redis.client().get(DECISION) == b'{"n": 2}', timeout=20)
        assert conn.cmd("GET", DECISION) == b'{"n": 2}'


def test_scenario_4_corrupted_data(make, fresh_redis):
    """Somebody has written past the proxy. The count finds it, names the key in log and API, and deleting it ends the alarm."""
    proxy = make(fresh_redis.url)
    bad = "governance:acgs-dev:corrupted-key"
    with RespConn.to(proxy) as conn:
        written(conn, "SET", DECISION, VALUE)
        fresh_redis.client().set(bad, b'{"half": ', ex=1000)
        eventually(lambda: proxy.metrics().get('conv_malformed_json_keys{policy="governance"}') == 1)
        policy = proxy.get_json("/api/v1/tenants?policy=governance")["policies"][0]
        assert policy["malformedKeys"] == [bad] and policy["malformed"] == 1
        proxy.log_contains(f'message="Malformed JSON" policy=governance key={bad} found_by=count')
        assert conn.cmd("DEL", bad) == 1
        eventually(lambda: proxy.metrics()['conv_malformed_json_keys{policy="governance"}'] == 0)
        assert conn.cmd("GET", DECISION) == VALUE


# ---- the log ----


def test_logrotate_cuts_the_log_and_it_goes_on(make, fresh_redis, tmp_path):
    """deploy/logrotate with this test's folder in it."""
    proxy = make(fresh_redis.url)
    log = proxy.log_path
    rules = tmp_path / "logrotate.conf"
    text = (ROOT / "deploy/logrotate").read_text()
    assert "/var/log/convproxy/*.log" in text
    os.chmod(tmp_path, 0o755)  # logrotate wants no folder that others can write
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    group = subprocess.run(["id", "-gn"], capture_output=True, text=True, check=True).stdout.strip()
    rules.write_text(text.replace("/var/log/convproxy/*.log", str(log)).replace("    daily\n", f"    daily\n    su {user} {group}\n"))
    os.chmod(rules, 0o644)
    proxy.log_contains("event=listening")
    command = ["/usr/sbin/logrotate", "--force", "--state", str(tmp_path / "state"), str(rules)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "event=listening" in (tmp_path / f"{log.name}.1").read_text()
    assert "event=listening" not in proxy.log_text()
    proxy.checked = 0
    with RespConn.to(proxy) as conn:
        assert conn.cmd("CONFIG", "SET", "log.level", "debug") == "OK"
        eventually(lambda: conn.cmd("SET", DECISION, "{") and "event=" in proxy.log_text())
    assert "\x00" not in proxy.log_text(), "it is written at its end, not where the old end was"
