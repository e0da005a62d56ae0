"""convctl doctor: each check is made to find something for real, and is well again when that is mended. What can't be brought about here
(another version, clocks that differ) is told by a relay that changes one member of what the proxy answers."""
import contextlib
import functools
import json
import re
import shutil
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import redis
from harness import RedisServer, RespConn
from harness import eventually as wait_until
from harness.ctl import convctl, convctl_of

pytestmark = [pytest.mark.managed, pytest.mark.timeout(120)]

PROXY_SETTINGS = {"failover.return_after": "300ms"}  # a machine under load may lose sight of Redis
eventually = functools.partial(wait_until, timeout=30)
OK, BAD, USAGE, UNREACHABLE = 0, 1, 2, 3
ROOT = Path(__file__).resolve().parents[2]
NAMES = re.findall(r'^CHECK\("([a-z-]+)"', (ROOT / "tools/doctor.def").read_text(), re.MULTILINE)
CHECKED = set()  # by the tests of this file


def examine(proxy_or_url, *args, env=None):
    """{check: verdict}, with the words of each in .what"""
    url = proxy_or_url if isinstance(proxy_or_url, str) else proxy_or_url.admin_url("")
    done = convctl("-u", url, "doctor", "--json", *args, env=env)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)["checks"]
    assert [row["name"] for row in found] == NAMES
    assert done.returncode == (BAD if any(row["verdict"] == "fail" for row in found) else OK)
    return {row["name"]: row for row in found}


def verdict(proxy, check, *args, **options):
    CHECKED.add(check)
    return examine(proxy, *args, **options)[check]["verdict"]


def found(proxy, check, wanted, *args, **options):
    CHECKED.add(check)
    return eventually(lambda: (row := examine(proxy, *args, **options)[check])["verdict"] == wanted and row["what"], timeout=40)


@pytest.fixture(autouse=True)
def acts(proxy):
    eventually(lambda: proxy.get_json("/api/v1/primary")["placement"][0]["phase"] == "redis", timeout=60)


def settings(proxy, **values):
    proxy.post_json("/api/v1/settings", {name.replace("__", "."): value for name, value in values.items()})


@contextlib.contextmanager
def setting(proxy, name, value):
    before = proxy.get_json(f"/api/v1/settings?match={name}")["settings"][0]["value"]
    proxy.post_json("/api/v1/settings", {name: value})
    yield
    proxy.post_json("/api/v1/settings", {name: before})


@contextlib.contextmanager
def config(server, **values):
    client = server.client(decode_responses=True)
    before = {name: client.config_get(name)[name] for name in (name.replace("_", "-") for name in values)}
    for name, value in values.items():
        client.config_set(name.replace("_", "-"), value)
    yield
    for name, value in before.items():
        client.config_set(name, value)
    client.close()


# ---- the whole ----


def test_what_it_prints(proxy):
    done = convctl_of(proxy, "doctor")
    assert done.returncode == BAD, done.stderr
    assert re.search(r"^FAIL    persistence +appendonly is no, save is \"\"\n        why    .*\n        mend   redis-cli CONFIG SET appendonly yes",
                     done.stdout, re.MULTILINE)  # fmt: skip
    assert "\nok " not in done.stdout and "(--all shows all)" in done.stdout and "\033" not in done.stdout
    shown = convctl_of(proxy, "doctor", "--all").stdout
    assert len(re.findall(r"^(?:ok|WARN|FAIL|skipped) ", shown, re.MULTILINE)) == len(NAMES)
    assert len(re.findall("^ +mend: ", convctl_of(proxy, "doctor", "--list").stdout, re.MULTILINE)) == len(NAMES)


def test_exit_codes(proxy, redis_server):
    assert convctl("-u", "http://127.0.0.1:1", "doctor").returncode == UNREACHABLE
    assert convctl_of(proxy, "doctor", "--other", "nowhere").returncode == USAGE
    with config(redis_server, appendonly="yes"):
        assert convctl_of(proxy, "doctor").returncode == OK
        assert convctl_of(proxy, "doctor", "--strict").returncode == BAD


# ---- the proxy ----


def test_faults(proxy):
    assert verdict(proxy, "chaos") == verdict(proxy, "faults-allowed") == "ok"
    settings(proxy, redis__faults="yes")
    assert verdict(proxy, "faults-allowed") == "warn"
    proxy.post_json("/api/v1/chaos", {"store": "redis", "fault": "delay", "delayMs": 80, "seconds": 60})
    assert "delay 80 ms" in found(proxy, "chaos", "warn")
    with RespConn.to(proxy) as conn:
        for _ in range(20):
            conn.cmd("GET", "raw")
    found(proxy, "latency", "fail")
    settings(proxy, redis__faults="no")
    found(proxy, "chaos", "ok")


def test_admin_token(proxy, tmp_path):
    assert verdict(proxy, "admin-token") == "warn"
    proxy.post_json("/api/v1/settings", {"admin.token": "secret"})
    assert verdict(proxy, "admin-token") == "ok"
    with contextlib.suppress(urllib.error.HTTPError):
        request = urllib.request.Request(proxy.admin_url("/api/v1/settings"), json.dumps({"admin.token": ""}).encode(),
                                         {"Content-Type": "application/json", "Authorization": "Bearer secret"})  # fmt: skip
        urllib.request.urlopen(request).close()
    assert verdict(proxy, "admin-token") == "warn"


def test_log_level(proxy):
    with setting(proxy, "log.level", "debug"):
        assert verdict(proxy, "log-level") == "warn"
    assert verdict(proxy, "log-level") == "ok"


def test_environment(make_proxy, redis_server):
    other = make_proxy(redis_server.url, settings={"archive.url": "", "conv.ttl": "3d"}, env={"CONV_TTL_SECONDS": "77"}).start()
    assert "CONV_TTL_SECONDS is set, but conv.ttl comes from" in found(other, "environment", "warn")
    found(other, "archive", "warn")


def test_another_proxy(proxy, make_proxy, redis_server):
    other = make_proxy(redis_server.url, settings={"archive.url": "", "conv.ttl": "3d"}).start()
    assert "archive.url" in found(proxy, "other-proxy", "warn", "--other", other.admin_url(""))
    assert verdict(proxy, "other-proxy", "--other", proxy.admin_url("")) == "ok"
    assert verdict(proxy, "other-proxy", "--other", "http://127.0.0.1:1") == "fail"


# ---- Redis ----


def test_redis_is_gone(make_proxy, tmp_path):
    server = RedisServer(tmp_path).start()
    proxy = make_proxy(server.url, settings={"failover.automatic": "no"}).start()
    eventually(lambda: proxy.get_json("/api/v1/primary")["placement"][0]["phase"] == "redis")
    assert verdict(proxy, "redis") == verdict(proxy, "health") == verdict(proxy, "persist-errors") == "ok"
    server.kill()
    found(proxy, "redis", "fail")
    found(proxy, "health", "fail")
    found(proxy, "guarantee", "fail")
    assert verdict(proxy, "redis-direct") == verdict(proxy, "eviction") == "skipped"
    with RespConn.to(proxy) as conn:
        assert conn.cmd("RPUSH", "conv:1", "a").startswith("REDISDOWN")
    found(proxy, "persist-errors", "warn")


def test_it_can_not_ask_redis(proxy):
    what = found(proxy, "redis-direct", "warn", "--redis", "redis://127.0.0.1:1")
    assert "refused" in what


def test_a_password(make_proxy, tmp_path):
    server = RedisServer(tmp_path, args=["--requirepass", "geheim"]).start()
    proxy = make_proxy(server.url.replace("//", "//:geheim@")).start()
    eventually(lambda: proxy.metrics()["redis_up"] == 1)
    assert "NOAUTH" in found(proxy, "redis-direct", "warn")
    assert verdict(proxy, "redis-direct", env={"REDIS_PASSWORD": "geheim"}) == "ok"
    server.kill()


def test_memory(make_proxy, tmp_path):
    """A Redis of its own: one that evicts may evict what belongs to the proxy."""
    redis_server = RedisServer(tmp_path).start()
    proxy = make_proxy(redis_server.url, settings={"archive.url": ""}).start()
    eventually(lambda: proxy.metrics()["redis_up"] == 1)
    used = redis_server.client().info("memory")["used_memory"]
    assert verdict(proxy, "maxmemory") == "warn" and verdict(proxy, "eviction") == "ok"
    with config(redis_server, maxmemory=used + used // 20 + 300_000):
        assert verdict(proxy, "maxmemory") == "ok"
        row = examine(proxy)["memory"]
        assert row["verdict"] in ("warn", "ok") and " of " in row["what"]
    client = redis_server.client()
    client.eval("for i = 1, 3000 do redis.call('SET', 'fill' .. i, string.rep('x', 1000)) end", 0)
    used = client.info("memory")["used_memory"]
    with config(redis_server, maxmemory=used * 10 // 9):
        assert verdict(proxy, "memory") == "warn"
    with config(redis_server, maxmemory=used * 100 // 98 + 20000):
        found(proxy, "memory", "fail")
    with config(redis_server, maxmemory=used - 500_000, maxmemory_policy="allkeys-lru"):
        assert verdict(proxy, "eviction") == "fail"
        client.set("one", "more")
        assert "keys were evicted" in found(proxy, "evicted", "fail")
    client.config_resetstat()
    assert verdict(proxy, "evicted") == "ok"
    client.close()
    redis_server.kill()


def test_fragmentation(make_proxy, tmp_path):
    server = RedisServer(tmp_path).start()
    proxy = make_proxy(server.url, settings={"archive.url": ""}).start()
    eventually(lambda: proxy.metrics()["redis_up"] == 1)
    assert verdict(proxy, "fragmentation") == "ok"
    client = server.client()
    for first in range(0, 80000, 5000):
        client.eval("for i = ARGV[1], ARGV[1] + 4999 do redis.call('SET', 'f' .. i, string.rep('x', 1000)) end", 0, first)
    for first in range(0, 80000, 5000):
        client.eval("for i = ARGV[1], ARGV[1] + 4999 do if i % 8 ~= 0 then redis.call('DEL', 'f' .. i) end end", 0, first)
    found(proxy, "fragmentation", "warn")
    server.kill()


def test_persistence(proxy, redis_server):
    assert verdict(proxy, "persistence") == "fail"
    with config(redis_server, save="3600 1"):
        assert verdict(proxy, "persistence") == "warn"
    with config(redis_server, appendonly="yes"):
        found(proxy, "persistence", "ok")


def test_persistence_errors(make_proxy, tmp_path):
    server = RedisServer(tmp_path).start()
    proxy = make_proxy(server.url, settings={"archive.url": ""}).start()
    eventually(lambda: proxy.metrics()["redis_up"] == 1)
    assert verdict(proxy, "persistence-errors") == "ok"
    shutil.rmtree(server.data)
    with contextlib.suppress(redis.RedisError):
        server.client().bgsave()
    assert "last BGSAVE err" in found(proxy, "persistence-errors", "fail")
    server.kill()


def test_redis_settings(proxy, redis_server):
    assert verdict(proxy, "redis-timeout") == verdict(proxy, "redis-clients") == verdict(proxy, "redis-version") == "ok"
    with config(redis_server, timeout=300):
        assert verdict(proxy, "redis-timeout") == "warn"
    with config(redis_server, maxclients=100):
        assert verdict(proxy, "redis-clients") == "warn"
    client = redis_server.client()
    client.slowlog_reset()
    assert verdict(proxy, "slowlog") == "ok"
    with config(redis_server, slowlog_log_slower_than=0):
        client.ping()
        assert verdict(proxy, "slowlog") == "warn"
    client.slowlog_reset()
    client.close()


def test_a_replica(make_proxy, tmp_path):
    server = RedisServer(tmp_path, args=["--replicaof", "127.0.0.1", "1"]).start()
    proxy = make_proxy(server.url, settings={"archive.url": ""}).start()
    found(proxy, "redis-role", "fail")
    server.client().replicaof("NO", "ONE")
    found(proxy, "redis-role", "ok")
    server.kill()


def test_who_else_is_there(proxy, redis_server):
    found(proxy, "strangers", "ok")
    with RespConn.to(redis_server) as stranger:
        stranger.cmd("SET", "raw", "1")
        port = stranger.sock.getsockname()[1]
        assert f":{port}" in found(proxy, "strangers", "warn")
    with RespConn.to(redis_server) as monitor:
        assert verdict(proxy, "monitor") == "ok"
        monitor.cmd("MONITOR")
        found(proxy, "monitor", "warn")


# ---- the archive, and between the stores ----


def test_the_archive(proxy):
    assert verdict(proxy, "archive") == "ok"
    settings(proxy, archive__faults="yes")
    proxy.post_json("/api/v1/archive/faults", {"plan": "op=ping fail=100% error=down"})
    found(proxy, "archive", "fail")
    found(proxy, "guarantee", "warn")
    found(proxy, "chaos", "warn")
    settings(proxy, archive__faults="no")
    found(proxy, "archive", "ok")
    found(proxy, "guarantee", "ok")


def test_disk(proxy):
    assert verdict(proxy, "disk") == "ok"
    free = shutil.disk_usage(proxy.folder).free // 1048576
    assert verdict(proxy, "disk", "--disk-free", free * 2) == "warn"
    assert verdict(proxy, "disk", "--disk-free", free * 10) == "fail"


def test_lag(proxy):
    assert verdict(proxy, "lag") == "ok"
    settings(proxy, archive__faults="yes", conv__ack="primary")
    proxy.post_json("/api/v1/archive/faults", {"plan": "op=commit fail=100% error=bad"})
    try:
        proxy.client().rpush("conv:lag", "a")
        found(proxy, "lag", "warn")
    finally:
        settings(proxy, archive__faults="no", conv__ack="both")
    found(proxy, "lag", "ok")


def order(proxy, kind, **what):
    number = proxy.post_json("/api/v1/moves", {"kind": kind, **what})["id"]
    eventually(lambda: next(m for m in proxy.get_json("/api/v1/moves")["moves"] if m["id"] == number)["state"] not in ("waiting", "running"))


def test_moves(proxy, redis_server):
    real = redis_server.client()
    client = proxy.client()
    for i in range(5):
        client.rpush(f"conv:{i}", "a")
    assert verdict(proxy, "verify") == "warn" and verdict(proxy, "mismatches") == "ok"
    order(proxy, "verify")
    assert verdict(proxy, "verify") == "ok"
    real.rpush("conv:3", "past the proxy")
    order(proxy, "verify", deep=True)
    assert verdict(proxy, "mismatches") == "fail"
    order(proxy, "verify", deep=True, repair=True)
    assert verdict(proxy, "mismatches") == "ok"
    real.persist("conv:4")
    assert verdict(proxy, "missing-ttl") == "ok"
    order(proxy, "ttl-audit")
    assert verdict(proxy, "missing-ttl") == "warn"
    order(proxy, "ttl-audit", repair=True)
    assert verdict(proxy, "missing-ttl") == "ok"
    number = proxy.post_json("/api/v1/moves", {"kind": "backfill", "rate": 1})["id"]
    proxy.post_json("/api/v1/moves/abort", {"id": number})
    found(proxy, "backfill", "warn")
    order(proxy, "backfill")
    assert verdict(proxy, "backfill") == "ok"
    client.close()
    real.close()


def test_backups(proxy):
    assert verdict(proxy, "backups") == "warn"
    proxy.post_json("/api/v1/backups", {"kind": "keys"})
    assert verdict(proxy, "backups") == "ok"


# ---- what can't be brought about here ----


class Relay:
    """An admin server that answers as the proxy does, but for what change(path, text) makes of it."""

    def __init__(self, proxy):
        relay = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                status, text = proxy.http(self.path)
                data = relay.change(self.path, text).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def relay(proxy):
    relay = Relay(proxy)
    yield relay
    relay.close()


def member(page, *names_and_value):
    """A change of one member of a document."""
    *names, value = names_and_value

    def change(path, text):
        if path != page:
            return text
        doc = at = json.loads(text)
        for name in names[:-1]:
            at = at[name]
        at[names[-1]] = value
        return json.dumps(doc)

    return change


def sample(name, value):
    """A change of one sample of the metrics."""
    return lambda path, text: re.sub(rf"^{name} .*", f"{name} {value}", text, flags=re.MULTILINE) if path == "/metrics" else text


def appended(name, value):
    """The same for one that may be there or not."""
    return lambda path, text: re.sub(rf"^{name} .*\n", "", text, flags=re.MULTILINE) + f"{name} {value}\n" if path == "/metrics" else text


def ago(seconds):
    return (time.time() - seconds) * 1000


STATE = "/api/v1/state"
TOLD = [
    ("version", "warn", member(STATE, "version", "0.0.1")),
    ("redis-version", "warn", member(STATE, "redis", "version", "6.2.1")),
    ("redis-version", "fail", member(STATE, "redis", "version", "5.0.14")),
    ("clock", "warn", member(STATE, "redis", "clockOffsetMs", -450)),
    ("clock", "fail", member(STATE, "redis", "clockOffsetMs", 700)),
    ("clients", "warn", member(STATE, "clients", "connected", 17000)),
    ("clients", "fail", member(STATE, "clients", "connected", 19900)),
    ("archive-latency", "warn", member(STATE, "archive", "latencyMs", "p95", 200)),
    ("flapping", "warn", member(STATE, "policies", 0, "failovers", 3)),
    ("lag", "fail", member(STATE, "sync", "copyLagSeconds", 400)),
    ("file-limit", "warn", sample("process_max_fds", 1024)),
    ("file-limit", "fail", sample("process_max_fds", 10)),
    ("certificate", "warn", sample("convproxy_tls_certificate_expires_seconds", time.time() + 86400 * 7)),
    ("certificate", "fail", sample("convproxy_tls_certificate_expires_seconds", time.time() - 5)),
    ("quarantine", "warn", appended("conv_quarantine_entries", 2)),
    ("backups", "warn", member("/api/v1/backups", "backups", [{"kind": "keys", "lastSuccess": ago(100_000)}])),
    ("backups", "fail", member("/api/v1/backups", "backups", [{"kind": "keys", "lastSuccess": ago(800_000)}])),
    ("verify", "warn", member("/api/v1/moves", "moves", [{"id": 1, "kind": "verify", "state": "done", "endedAt": "2026-01-01T00:00:00Z"}])),
    ("backfill", "fail", member("/api/v1/moves", "moves", [{"id": 1, "kind": "backfill", "state": "failed"}])),
]


def test_what_it_is_told(relay):
    for check, wanted, relay.change in TOLD:
        assert verdict(relay.url, check) == wanted, (check, wanted)


def test_any_document_is_borne(relay):
    for page in (STATE, "/api/v1/settings", "/api/v1/moves", "/api/v1/backups", "/metrics"):
        relay.change = lambda path, text, page=page: "{}" if path == page else text
        examine(relay.url)


def test_no_check_was_left_out():
    """The last test: every check was made to speak."""
    assert set(NAMES) - CHECKED == set()
