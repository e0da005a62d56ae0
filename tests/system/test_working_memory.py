"""Working memory by its runbook: every redis-cli command of it through the proxy, and its table of common errors, each with a real Redis
in that state."""
import subprocess

import pytest
from harness import RedisServer, RespConn, eventually
from harness.cluster import Node
from harness.proxy import ROOT

pytestmark = [pytest.mark.managed]

PROXY_CONFIG = (ROOT / "config/examples/working-memory.yaml").read_text()
ACTIVE = "tenant:example:wm:active"


@pytest.fixture(scope="module")
def cli(proxy, redis_server):
    """cli("ttl", key): what redis-cli prints, asked of the proxy; the stores have some working memory."""
    with RespConn.to(proxy) as conn:
        eventually(lambda: conn.cmd("HSET", ACTIVE, "goal", "answer", "step", 3) in (0, 2))
        for tenant in ("production_agent", "old_tenant", "TENANT_NAME"):
            assert conn.cmd("HSET", f"tenant:{tenant}:wm:active", "goal", tenant) == 1
        conn.cmd("SET", "plain", "x" * 3000)

    def run(*args, stdin=None):
        command = ["redis-cli", "-h", proxy.host, "-p", str(proxy.port), *args]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, input=stdin, check=False)
        assert done.returncode == 0 and done.stderr == "", (args, done.stdout, done.stderr)
        return done.stdout

    return run


def shell(proxy, line):
    """A line of the runbook in bash, with the proxy's address in the place of `-h redis-host -p 6379`."""
    line = line.replace("-h redis-host -p 6379", f"-h {proxy.host} -p {proxy.port}")
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, (line, done.stdout, done.stderr)
    return done.stdout


def test_health(cli):
    assert cli("ping") == "PONG\n"
    assert {"used_memory_human", "used_memory_peak_human"} <= {line.split(":")[0] for line in cli("info", "memory").splitlines()}
    assert {"connected_clients", "blocked_clients"} <= {line.split(":")[0] for line in cli("info", "clients").splitlines()}


def test_verification(cli, proxy):
    assert shell(proxy, 'redis-cli -h redis-host -p 6379 --scan --pattern "tenant:*" | wc -l').strip() == "4"
    assert 3500 < int(cli("ttl", ACTIVE)) <= 3600
    assert int(cli("memory", "usage", ACTIVE)) > 50


def test_working_memory_management(cli):
    found = sorted(cli("--scan", "--pattern", "tenant:*:wm:*").split())
    assert found == sorted(f"tenant:{t}:wm:active" for t in ("example", "production_agent", "old_tenant", "TENANT_NAME"))
    assert cli("hgetall", "tenant:production_agent:wm:active") == "goal\nproduction_agent\n"
    assert cli("expire", "tenant:TENANT_NAME:wm:active", "3600") == "1\n"
    assert cli("del", "tenant:TENANT_NAME:wm:active") == "1\n"
    assert cli("hset", "tenant:TENANT_NAME:wm:active", "goal", "again") == "1\n"
    assert cli("del", "tenant:old_tenant:*") == "0\n"  # the runbook's pattern is a name to DEL; test_governance cleans up by SCAN


def test_statistics(cli):
    assert "keyspace_hits:" in cli("info", "stats")
    assert "db0:keys=" in cli("info", "keyspace")


def test_monitor(proxy):
    command = ["redis-cli", "-h", proxy.host, "-p", str(proxy.port), "monitor"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as monitor, RespConn.to(proxy) as conn:
        assert monitor.stdout.readline() == "OK\n"
        conn.cmd("HGET", ACTIVE, "goal")
        assert '"HGET" "tenant:example:wm:active" "goal"' in monitor.stdout.readline()
        monitor.kill()


REDIS_SETTINGS = [
    ("maxmemory-policy", "allkeys-lru"),
    ("maxmemory", "2gb"),
    ("hash-max-ziplist-entries", "512"),
    ("hash-max-ziplist-value", "64"),
    ("list-compress-depth", "1"),
    ("maxmemory-policy", "volatile-lru"),
    ("tcp-keepalive", "60"),
    ("client-output-buffer-limit", "normal 32mb 8mb 60"),
    ("save", "900 1 300 10 60 10000"),
    ("save", ""),
    ("appendonly", "no"),
]
SHOWN = {"2gb": str(2 << 30)}


def test_redis_settings_go_to_redis(cli, redis_server):
    """What is no setting of the proxy's is Redis's: read, set, and put back."""
    real = redis_server.client(decode_responses=True)
    assert "maxmemory-policy" in cli("config", "get", "*")
    assert cli("config", "get", "wm.ttl") == "wm.ttl\n1h\n"
    before = {name: real.config_get(name)[name] for name, _ in REDIS_SETTINGS}
    for name, value in REDIS_SETTINGS:
        assert cli("config", "set", name, value) == "OK\n", name
        assert real.config_get(name)[name].startswith(SHOWN.get(value, value)) or "limit" in name, name
    for name, value in before.items():
        real.config_set(name, value)


def test_timeout_is_of_the_proxys_connections(cli, redis_server):
    """`config set timeout 300` reaches Redis, whose clients are the proxy's connections; for clients of the proxy there is proxy.idle_timeout."""
    assert cli("config", "set", "timeout", "300") == "OK\n"
    assert redis_server.client(decode_responses=True).config_get("timeout") == {"timeout": "300"}
    assert cli("config", "set", "timeout", "0") == "OK\n"
    assert cli("config", "set", "proxy.idle_timeout", "300") == "OK\n"
    assert cli("config", "set", "proxy.idle_timeout", "0") == "OK\n"


def test_backup(cli, proxy, tmp_path):
    before = int(cli("lastsave"))
    assert cli("bgsave").strip() in ("Background saving started", "Background saving scheduled")
    eventually(lambda: int(cli("lastsave")) >= before and "rdb_bgsave_in_progress:0" in cli("info", "persistence"))
    # MGET of hashes answers nil for each, with Redis as with the proxy: the runbook's export keeps strings only
    line = 'redis-cli -h redis-host -p 6379 --scan --pattern "tenant:TENANT_NAME:*" | xargs redis-cli -h redis-host -p 6379 mget'
    assert shell(proxy, line) == "\n"


def test_rdb_needs_redis_itself(proxy, redis_server, tmp_path):
    """--rdb makes redis-cli a replica: that would take over a connection that clients share. Of Redis itself it works."""
    def rdb(port):
        command = ["redis-cli", "-p", str(port), "--rdb", str(tmp_path / f"{port}.rdb")]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    redis_server.client().config_set("repl-diskless-sync-delay", 0)
    refused = rdb(proxy.port)
    assert refused.returncode != 0
    assert "convproxy does not pass it on" in refused.stdout + refused.stderr
    assert rdb(redis_server.port).returncode == 0
    assert (tmp_path / f"{redis_server.port}.rdb").read_bytes().startswith(b"REDIS")


def test_big_and_heavy_keys(cli):
    big = cli("--bigkeys")
    assert "Biggest" in big and "hashs with" in big and "cvp:" not in big
    heavy = cli("--memkeys")
    assert "Biggest" in heavy and "cvp:" not in heavy


def test_keys_without_ttl(cli, proxy, redis_server):
    redis_server.client().hset("tenant:leaky:wm:active", "f", 1)  # past the proxy
    loop = (
        'redis-cli -h redis-host -p 6379 --scan --pattern "tenant:*" | while read key; do '
        'ttl=$(redis-cli -h redis-host -p 6379 ttl "$key"); if [ "$ttl" = "-1" ]; then echo "No TTL: $key"; fi; done'
    )
    assert shell(proxy, loop) == "No TTL: tenant:leaky:wm:active\n"
    proxy.post_json("/api/v1/moves", {"kind": "ttl-audit", "policy": "wm", "repair": True})
    eventually(lambda: 3500 < int(cli("ttl", "tenant:leaky:wm:active")) <= 3600)
    assert shell(proxy, loop) == ""
    eventually(lambda: any(m["kind"] == "ttl-audit" and m["found"] == m["repaired"] == 1 for m in proxy.get_json("/api/v1/moves")["moves"]))


def test_slow_commands_and_clients(cli, proxy):
    assert cli("config", "set", "slowlog.time", "0ms") == "OK\n"
    cli("hgetall", ACTIVE)
    assert "hgetall" in cli("slowlog", "get", "10").lower()
    cli("config", "set", "slowlog.time", "10ms")
    assert "cmd=client" in cli("client", "list")
    assert shell(proxy, "redis-cli -h redis-host -p 6379 client list | grep -c blocked || true").strip() == "0"
    assert int(cli("dbsize")) >= 5


# ---- the table of common errors ----


@pytest.fixture
def start(make_proxy):
    def proxy_of(url, **settings):
        return make_proxy(url, PROXY_CONFIG, settings={"archive.url": "", **settings}).start()

    return proxy_of


@pytest.mark.sanitize
def test_noauth(start, tmp_path):
    """Redis wants a password that the proxy does not have: the client reads Redis's own words; CONFIG SET ends it."""
    server = RedisServer(tmp_path).start()
    server.client().config_set("requirepass", "secret")
    proxy = start(server.url)
    with RespConn.to(proxy) as conn:
        told = eventually(lambda: "NOAUTH" in (r := str(conn.cmd("HGETALL", ACTIVE))) and r)
        assert told == "REDISDOWN Redis is not reachable (NOAUTH Authentication required.)"
        health = proxy.http("/healthz")
        assert health[0] == 503 and "NOAUTH" in health[1]
        assert conn.cmd("CONFIG", "SET", "redis.password", "wrong") == "OK"
        eventually(lambda: "WRONGPASS" in str(conn.cmd("HGETALL", ACTIVE)))
        assert conn.cmd("CONFIG", "SET", "redis.password", "secret") == "OK"
        eventually(lambda: conn.cmd("HGETALL", ACTIVE) == [])
    server.kill()


@pytest.mark.sanitize
def test_oom(start, fresh_redis):
    """Writes are refused in Redis's words and counted; reads and deletions work; with more memory writes do again."""
    proxy, real = start(fresh_redis.url), fresh_redis.client()
    with RespConn.to(proxy) as conn:
        eventually(lambda: conn.cmd("HSET", ACTIVE, "f", 1) in (0, 1))
        real.config_set("maxmemory", "1kb")
        told = eventually(lambda: (r := str(conn.cmd("HSET", ACTIVE, "g", 1))).startswith("OOM") and r)
        assert told == "OOM command not allowed when used memory > 'maxmemory'."
        assert conn.cmd("HGETALL", ACTIVE) == [b"f", b"1"]
        assert conn.cmd("HDEL", ACTIVE, "f") == 1
        assert proxy.metrics()['history_persist_errors_total{policy="wm",reason="oom",store="redis"}'] >= 1
        real.config_set("maxmemory", "0")
        eventually(lambda: conn.cmd("HSET", ACTIVE, "g", 1) in (0, 1))


@pytest.mark.sanitize
def test_readonly(start, fresh_redis, tmp_path):
    """redis.url names a replica. Reads work; writes say READONLY; health says why."""
    fresh_redis.client().config_set("repl-diskless-sync-delay", 0)
    replica = RedisServer(tmp_path, args=["--replicaof", f"127.0.0.1 {fresh_redis.port}"]).start()
    eventually(lambda: replica.client().info("replication")["master_link_status"] == "up", timeout=20)
    proxy = start(replica.url)
    with RespConn.to(proxy) as conn:
        told = eventually(lambda: "READONLY" in (r := str(conn.cmd("HSET", ACTIVE, "f", 1))) and r)
        assert "READONLY You can't write against a read only replica" in told
        eventually(lambda: "READONLY" in proxy.http("/healthz")[1] or "replica" in proxy.http("/healthz")[1])
    replica.kill()


@pytest.mark.sanitize
def test_moved(start, tmp_path):
    """redis.url names one node of a cluster as if it were a single Redis: the client is told MOVED, as it stands, and a start with redis+cluster:// ends it."""
    node = Node(tmp_path).start()
    other = Node(tmp_path).start()
    node.call("CLUSTER", "ADDSLOTSRANGE", 0, 100)
    other.call("CLUSTER", "ADDSLOTSRANGE", 101, 16383)
    node.call("CLUSTER", "MEET", "127.0.0.1", other.port, other.bus)
    eventually(lambda: "cluster_state:ok" in node.call("CLUSTER", "INFO"), timeout=20)
    proxy = start(node.url)
    with RespConn.to(proxy, timeout=15) as conn:
        told = eventually(lambda: "MOVED" in (r := str(conn.cmd("HGETALL", ACTIVE))) and r, timeout=15)
        assert told.startswith("MOVED ") and told.endswith(f"127.0.0.1:{other.port}")
    right = start(f"redis+cluster://127.0.0.1:{node.port}", **{"wm.dual_write": "no"})
    with RespConn.to(right, timeout=15) as conn:
        eventually(lambda: conn.cmd("HGETALL", ACTIVE) == [], timeout=20)
    other.kill()
    node.kill()


def test_refused_connection(start, tmp_path):
    server = RedisServer(tmp_path).start()
    proxy = start(server.url)
    server.kill()
    with RespConn.to(proxy) as conn:
        eventually(lambda: str(conn.cmd("HGETALL", ACTIVE)).startswith("REDISDOWN Redis is not reachable (connection refused)"))
