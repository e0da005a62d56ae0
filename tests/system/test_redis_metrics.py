"""What /metrics tells of Redis's INFO and of the probe's connection is what Redis says."""
import pytest
from harness import RespConn, eventually

# INFO is asked with every tenth probe.
PROXY_SETTINGS = {"redis.probe_interval": "50ms", "redis.reconnect_attempts": 2}


def value(proxy, name):
    return proxy.metrics().get(name)


def becomes(proxy, name, wanted):
    """wanted: a number, None (there is no such line), or what tells it."""

    def same():
        found, now = value(proxy, name), wanted() if callable(wanted) else wanted
        assert found == now, f"{name}: {found}, expected {now}"
        return True

    eventually(same, timeout=15)


@pytest.mark.sanitize
def test_keys(proxy, real):
    real.set("a", 1)
    real.set("b", 1, ex=1000)
    real.execute_command("SELECT", 3)
    real.execute_command("SET", "c", 1, "EX", 1000)
    real.execute_command("SELECT", 0)
    becomes(proxy, 'redis_db_keys{db="0"}', real.dbsize)  # the proxy's own are counted, too
    becomes(proxy, 'redis_db_keys_expiring{db="0"}', 1)
    becomes(proxy, 'redis_db_keys{db="3"}', 1)
    becomes(proxy, 'redis_db_keys_expiring{db="3"}', 1)
    assert 'redis_db_keys{db="1"}' not in proxy.metrics()


def test_a_database_that_is_emptied_is_left_out(proxy, real):
    real.execute_command("SELECT", 5)
    real.execute_command("SET", "c", 1)
    becomes(proxy, 'redis_db_keys{db="5"}', 1)
    real.execute_command("FLUSHDB")
    real.execute_command("SELECT", 0)
    becomes(proxy, 'redis_db_keys{db="5"}', None)


def test_limits_and_work(proxy, real):
    real.config_set("maxclients", 321)
    becomes(proxy, "redis_maxclients", 321)
    before = value(proxy, "redis_cpu_seconds_total")
    real.execute_command("EVAL", "for i = 1, 3000000 do end", 0)
    eventually(lambda: value(proxy, "redis_cpu_seconds_total") > before, timeout=15)
    real.set("short", 1, px=1)
    eventually(lambda: not real.exists("short"))
    becomes(proxy, "redis_expired_keys_total", lambda: real.info("stats")["expired_keys"])
    assert value(proxy, "redis_used_memory_rss_bytes") > 0


def test_saves(proxy, real, redis_server):
    assert value(proxy, "redis_aof_enabled") == 0
    in_the_way = redis_server.data / "dump.rdb"
    in_the_way.mkdir()
    try:
        real.execute_command("BGSAVE")
        becomes(proxy, "redis_rdb_last_bgsave_ok", 0)
    finally:
        in_the_way.rmdir()
    eventually(lambda: real.info("persistence")["rdb_bgsave_in_progress"] == 0, timeout=15)
    real.execute_command("BGSAVE")
    becomes(proxy, "redis_rdb_last_bgsave_ok", 1)
    becomes(proxy, "redis_rdb_changes_since_last_save", real.info("persistence")["rdb_changes_since_last_save"])
    becomes(proxy, "redis_rdb_last_save_timestamp_seconds", real.info("persistence")["rdb_last_save_time"])


def test_clients_that_wait(proxy, real):
    with RespConn.to(proxy) as conn:
        conn.send_cmd("BLPOP", "nothing", "0")
        becomes(proxy, "redis_blocked_clients", 1)


def test_keys_without_ttl(fresh_proxy, fresh_redis):
    name = 'conv_keys_without_ttl{policy="conv"}'
    with RespConn.to(fresh_proxy) as conn:
        for i in range(3):
            assert conn.cmd("RPUSH", f"conv:{i}", "hello") == 1
    assert name not in fresh_proxy.metrics()
    real = fresh_redis.client()
    real.persist("conv:1")
    real.persist("conv:2")
    fresh_proxy.post_json("/api/v1/moves", {"kind": "ttl-audit", "policy": "conv"})
    becomes(fresh_proxy, name, 2)
    fresh_proxy.post_json("/api/v1/moves", {"kind": "ttl-audit", "policy": "conv", "repair": True})
    becomes(fresh_proxy, name, 0)
    assert real.ttl("conv:1") > 0
    real.close()


def test_the_state_of_the_connection(fresh_proxy, fresh_redis):
    becomes(fresh_proxy, 'convproxy_redis_state{state="connected"}', 1)
    fresh_redis.kill()
    becomes(fresh_proxy, 'convproxy_redis_state{state="failed"}', 1)
    states = {name: there for name, there in fresh_proxy.metrics().items() if name.startswith("convproxy_redis_state")}
    assert sorted(states.values()) == [0, 0, 0, 1]
    fresh_redis.start()
    becomes(fresh_proxy, 'convproxy_redis_state{state="connected"}', 1)
