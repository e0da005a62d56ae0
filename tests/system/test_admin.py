"""The admin server: metrics, health, state, settings, and who may change them; with a Redis that comes and goes."""
import json
import shutil
import socket
import socketserver
import subprocess
import threading
import time

import pytest
import redis
from harness import eventually, free_port

pytestmark = pytest.mark.managed

PROXY_SETTINGS = {"failover.automatic": "no"}  # so that a Redis that is away is felt


@pytest.fixture
def fresh(fresh_proxy, fresh_redis):
    """(proxy, redis server), both for this test alone, and acquainted with each other."""
    eventually(lambda: (m := fresh_proxy.metrics())["redis_up"] == m['conv_phase{phase="redis",policy="conv"}'] == 1)
    return fresh_proxy, fresh_redis


def status_of(proxy, path):
    return proxy.http(path)[0]


def test_index_names_every_endpoint(proxy):
    status, text = proxy.http("/")
    assert status == 200
    eventually(lambda: status_of(proxy, "/healthz") == 200)  # Redis has been met
    for path in ("/metrics", "/healthz", "/readyz", "/health/memory", "/api/v1/health", "/api/v1/state"):
        assert path in text
        assert status_of(proxy, path) == 200, path
    assert "/api/v1/settings" in text


def test_metrics_count_what_clients_do(fresh):
    proxy, server = fresh
    before = proxy.metrics()
    client = proxy.client(decode_responses=True)
    client.rpush("conv:1", "a")
    client.rpush("conv:1", "b", "c")
    assert client.lrange("conv:1", 0, -1) == ["a", "b", "c"]
    assert client.lrange("conv:none", 0, -1) == []
    with pytest.raises(redis.ResponseError):
        client.hget("conv:1", "field")
    after = eventually(lambda: (m := proxy.metrics())['context_retrievals_total{policy="conv",result="miss"}'] == 1 and m)
    client.close()

    assert after['convproxy_commands_total{command="rpush"}'] == 2
    assert after['convproxy_commands_total{command="lrange"}'] == 2
    assert after['convproxy_command_errors_total{command="hget"}'] == 1
    assert after['context_retrievals_total{policy="conv",result="hit"}'] == 1
    assert after['msg_count_before_bucket{le="0",policy="conv"}'] == 1
    assert after['msg_count_before_bucket{le="1",policy="conv"}'] == 2
    assert after['msg_count_before_count{policy="conv"}'] == 2
    assert after["convproxy_bytes_in_total"] > before["convproxy_bytes_in_total"]
    assert after["convproxy_clients_accepted_total"] == before["convproxy_clients_accepted_total"] + 1
    assert after["convproxy_redis_latency_seconds_count"] > before["convproxy_redis_latency_seconds_count"]
    assert 0 < after["redis_latency_p50_ms"] <= after["redis_latency_p95_ms"] <= after["redis_latency_p99_ms"]
    assert after['conv_acting_primary{policy="conv",store="redis"}'] == 1
    assert after['conv_acting_primary{policy="conv",store="archive"}'] == 0
    assert after['conv_dual_write{policy="conv"}'] == 1
    assert after['conv_phase{phase="redis",policy="conv"}'] == 1


def test_metrics_are_finite_and_histograms_grow(proxy):
    samples = proxy.metrics()
    assert all(value == value and abs(value) != float("inf") for value in samples.values())
    buckets = [value for name, value in samples.items() if name.startswith("convproxy_redis_latency_seconds_bucket")]
    assert buckets == sorted(buckets)
    assert buckets[-1] == samples["convproxy_redis_latency_seconds_count"]


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool (Debian: prometheus) is not installed")
def test_promtool_agrees(proxy):
    _, text = proxy.http("/metrics")
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=20)
    # The operators' documents name these three; promtool would have them in seconds.
    complaints = [line for line in done.stderr.splitlines() if not line.startswith("redis_latency_p")]
    assert complaints == [], complaints


def test_redis_down_and_up_again(fresh):
    proxy, server = fresh
    assert proxy.get_json("/healthz")["healthy"] is True
    server.kill()
    eventually(lambda: status_of(proxy, "/healthz") == 503)
    health = json.loads(proxy.http("/healthz")[1])
    assert health["healthy"] is False and health["reasons"][0].startswith("redis: ")
    assert health["stores"]["redis"]["up"] is False
    memory = json.loads(proxy.http("/health/memory")[1])
    assert memory["healthy"] is False and memory["connectionState"] in ("reconnecting", "error")
    assert status_of(proxy, "/readyz") == 200, "clients are taken, and get a clear error"
    assert proxy.metrics()["redis_up"] == 0
    proxy.log_contains("event=redis_error")

    server.start()
    began = time.monotonic()
    eventually(lambda: proxy.metrics()["redis_up"] == 1)
    assert time.monotonic() - began < 1.0
    memory = proxy.get_json("/health/memory")
    assert memory["healthy"] is True and memory["connectionState"] == "connected"
    assert memory["reconnectAttempts"] == 0 and memory["latencyMs"] > 0
    proxy.log_contains("event=redis_up")


def test_redis_that_hangs_is_down(fresh):
    proxy, server = fresh
    server.pause()
    try:
        eventually(lambda: proxy.metrics()["redis_up"] == 0)
    finally:
        server.resume()
    eventually(lambda: proxy.metrics()["redis_up"] == 1)
    log = proxy.log_text()
    assert log.count("event=redis_error") == 1, "one line for each change, not one for each probe"


def test_a_read_only_replica_is_not_health(fresh):
    proxy, server = fresh
    server.client().replicaof("127.0.0.1", free_port())
    eventually(lambda: proxy.metrics()["redis_up"] == 0, timeout=10)
    assert "READONLY" in json.loads(proxy.http("/healthz")[1])["reasons"][0]
    server.client().replicaof("NO", "ONE")
    eventually(lambda: proxy.metrics()["redis_up"] == 1)


class FakeRedis(socketserver.ThreadingTCPServer):
    """Answers PING with what a test says, everything else with an error; counts the connections made."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), FakeRedis.Talk)
        self.pong = b"+PONG"
        self.connections = 0
        self.url = f"redis://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    class Talk(socketserver.StreamRequestHandler):
        def handle(self):
            self.server.connections += 1
            while line := self.rfile.readline():
                words = [self.rfile.read(int(self.rfile.readline()[1:]) + 2).strip() for _ in range(int(line[1:]))]
                if self.server.pong is None:
                    return
                self.wfile.write((self.server.pong if words[0] == b"PING" else b"-ERR unknown command") + b"\r\n")


@pytest.fixture
def fake_redis():
    with FakeRedis() as server:
        yield server
        server.shutdown()


@pytest.mark.parametrize("word", ["LOADING", "MISCONF", "MASTERDOWN", "CLUSTERDOWN", "NOAUTH"])
def test_errors_of_an_unwell_redis_are_not_health(make_proxy, fake_redis, word):
    fake_redis.pong = b"-%s it is not well" % word.encode()
    proxy = make_proxy(fake_redis.url, settings={"archive.url": ""}).start()
    health = eventually(lambda: (h := json.loads(proxy.http("/healthz")[1]))["stores"]["redis"].get("error") and h)
    assert health["reasons"] == [f"redis: {word} it is not well"]
    fake_redis.pong = b"+PONG"
    eventually(lambda: status_of(proxy, "/healthz") == 200)
    assert fake_redis.connections == 1, "such an answer is no reason to connect again"
    fake_redis.pong = b"hello"
    eventually(lambda: status_of(proxy, "/healthz") == 503)
    assert "RESP" in proxy.http("/healthz")[1]


def test_a_redis_that_hangs_up_is_not_stormed(make_proxy, fake_redis):
    fake_redis.pong = None
    proxy = make_proxy(fake_redis.url, settings={"archive.url": ""}).start()
    eventually(lambda: json.loads(proxy.http("/health/memory")[1])["reconnectAttempts"] >= 4)
    began, before = time.monotonic(), fake_redis.connections
    time.sleep(1.5)
    made = fake_redis.connections - before
    assert made <= 6 * (time.monotonic() - began), "pauses grow to half a second, give or take a quarter"


def test_probe_says_who_it_is_and_follows_the_password(fresh):
    proxy, server = fresh
    direct = server.client(decode_responses=True)
    assert "convproxy-probe" in [client["name"] for client in direct.client_list()]
    direct.config_set("requirepass", "s3cret")
    proxy.post_json("/api/v1/settings", {"redis.password": "wrong"})
    eventually(lambda: status_of(proxy, "/healthz") == 503)
    assert "WRONGPASS" in proxy.http("/healthz")[1]
    proxy.post_json("/api/v1/settings", {"redis.password": "s3cret"})
    eventually(lambda: status_of(proxy, "/healthz") == 200)
    for path in ("/api/v1/state", "/api/v1/settings", "/metrics"):
        assert "s3cret" not in proxy.http(path)[1]
    assert "s3cret" not in proxy.log_text()


def test_state_has_what_an_operator_asks(fresh):
    proxy, server = fresh
    proxy.client().rpush("conv:1", "a")
    state = proxy.get_json("/api/v1/state")
    assert state["redis"]["version"] == server.client().info("server")["redis_version"]
    assert state["redis"]["runId"] == server.client().info("server")["run_id"]
    assert state["redis"]["up"] is True and abs(state["redis"]["clockOffsetMs"]) < 1000
    assert state["threads"] == len(state["loops"])
    assert state["policies"][0]["name"] == "conv" and state["policies"][0]["settings"]["ttl"] == "30d"
    assert state["policies"][0]["writes"] == 1
    assert {"name": "rpush", "calls": 1, "errors": 0}.items() <= state["commands"][0].items()


def test_settings_change_live(fresh):
    proxy, server = fresh
    changed = proxy.post_json("/api/v1/settings", {"conv.ttl": "10d", "conv.max_messages": 2})["changed"]
    assert [(item["name"], item["value"]) for item in changed] == [("conv.ttl", "10d"), ("conv.max_messages", "2")]
    row = proxy.get_json("/api/v1/settings?match=conv.ttl")["settings"][0]
    assert (row["value"], row["default"], row["source"], row["when"]) == ("10d", "2592000s", "run time", "live")
    assert row["unit"] == "s" and row["least"] == "0s"

    def applied():
        proxy.client().delete("conv:t")
        proxy.client().rpush("conv:t", "1", "2", "3")
        return server.client().lrange("conv:t", 0, -1) == [b"2", b"3"]

    eventually(applied)
    assert 9 * 86400 < server.client().ttl("conv:t") <= 10 * 86400


@pytest.mark.parametrize(
    "body, words",
    [
        ({"conv.ttl": "30x"}, "'30x' is not a duration"),
        ({"conv.ttl": "1d", "nope.x": 1}, "Unknown option"),
        ({"proxy.threads": 3}, "can't be changed while running"),
        ({"conv.ttl": [1]}, "expected a text"),
        ({"conv.max_messages": 1.5}, "expected a text, a whole number"),
        ([], "expected a JSON object"),
        ({}, "expected a JSON object"),
    ],
)
def test_refused_changes_change_nothing(proxy, body, words):
    before = proxy.get_json("/api/v1/settings")
    status, text = proxy.http("/api/v1/settings", body)
    assert status == 400 and words in json.loads(text)["error"]
    assert proxy.get_json("/api/v1/settings") == before


def raw(proxy, text):
    """Sends bytes as they are; the head and the body of the answer."""
    with socket.create_connection((proxy.host, proxy.admin_port), timeout=10) as sock:
        sock.sendall(text)
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
    head, _, body = answer.decode().partition("\r\n\r\n")
    return head, body


def test_wrong_requests_get_the_right_codes(proxy):
    assert status_of(proxy, "/nothing") == 404
    assert proxy.http("/metrics", method="DELETE")[0] == 405
    head, body = raw(proxy, b"DELETE /api/v1/settings HTTP/1.0\r\n\r\n")
    assert " 405 " in head and "Allow: GET, HEAD, POST, PUT" in head and "not allowed" in json.loads(body)["error"]
    assert proxy.http("/api/v1/settings", {"conv.ttl": "1d"}, headers={"Content-Type": "text/plain"})[0] == 415
    head, _ = raw(proxy, b"POST /api/v1/settings HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n{]}")
    assert " 400 " in head
    head, _ = raw(proxy, b"POST /api/v1/settings HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: 70000\r\n\r\n")
    assert " 413 " in head
    head, body = raw(proxy, b"HEAD /metrics HTTP/1.0\r\n\r\n")
    assert " 200 " in head and body == ""


def test_a_foreign_name_in_host_is_refused(proxy):
    """A web page can point a name of its own at 127.0.0.1; the browser then sends that name."""
    for host, code in (("evil.example", 403), ("localhost:1", 200), ("127.0.0.1", 200), ("[::1]:9", 200)):
        head, _ = raw(proxy, f"GET /healthz HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
        assert f" {code} " in head.splitlines()[0], host


def test_a_token_guards_changes_but_not_reading(fresh):
    proxy, _ = fresh
    proxy.post_json("/api/v1/settings", {"admin.token": "tok"})
    body = {"conv.ttl": "9d"}
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer tokk"}, {"Authorization": "tok"}):
        assert proxy.http("/api/v1/settings", body, headers=headers)[0] == 401, headers
    assert proxy.get_json("/api/v1/settings?match=conv.ttl")["settings"][0]["value"] != "9d"
    assert proxy.http("/api/v1/settings", body, headers={"Authorization": "Bearer tok"})[0] == 200
    assert proxy.http("/api/v1/settings", body, method="PUT", headers={"Authorization": "Bearer tok"})[0] == 200
    assert '"tok"' not in proxy.http("/api/v1/settings")[1]


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_a_token_that_may_only_read(fresh):
    proxy, _ = fresh
    assert proxy.http("/api/v1/settings", {"admin.read_token": "look"})[0] == 400, "it needs the other one, too"
    proxy.post_json("/api/v1/settings", {"admin.token": "tok", "admin.read_token": "look"})
    for path in ("/metrics", "/api/v1/state", "/api/v1/settings"):
        assert proxy.http(path)[0] == 401, path
        assert proxy.http(path, headers=bearer("look"))[0] == 200, path
        assert proxy.http(path, headers=bearer("tok"))[0] == 200, path
    assert proxy.http("/healthz")[0] == proxy.http("/readyz")[0] == 200, "for those who only ask whether it lives"
    assert proxy.http("/")[0] == proxy.http("/web/index.html")[0] == 200, "the page, which then asks for the token"
    refusal = proxy.http("/api/v1/settings", {"conv.ttl": "9d"}, headers=bearer("look"))
    assert refusal[0] == 403 and "may only read" in refusal[1]
    assert proxy.http("/api/v1/settings", {"conv.ttl": "9d"}, headers=bearer("tok"))[0] == 200
    told = proxy.http("/api/v1/settings", headers=bearer("look"))[1]
    assert '"tok"' not in told and '"look"' not in told


def test_wrong_tokens_are_few(fresh):
    """After ten within a second even the right one has to wait until that second is over."""
    proxy, _ = fresh
    proxy.post_json("/api/v1/settings", {"admin.token": "tok"})
    body = {"conv.ttl": "9d"}
    guess = b"POST /api/v1/settings HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer guess\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"

    def refused_at_last():
        """All in one write, so that they are within a second however slow the machine is."""
        _, rest = raw(proxy, (guess + b"\r\n{}") * 20 + guess + b"Connection: close\r\n\r\n{}")
        return " 429 " in rest

    assert eventually(refused_at_last)
    assert eventually(lambda: proxy.http("/api/v1/settings", body, headers=bearer("tok"))[0] == 200), "it is over within a second"
    proxy.log_contains("event=admin_token_wrong .*within_a_second=10")
    assert "guess" not in proxy.log_text()
    assert proxy.http("/healthz")[0] == 200


def test_a_page_of_another_site_changes_nothing(fresh):
    proxy, _ = fresh
    body, here = {"conv.ttl": "9d"}, f"http://127.0.0.1:{proxy.admin_port}"
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": here + "0"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}):
        assert proxy.http("/api/v1/settings", body, headers=headers)[0] == 403, headers
        assert proxy.http("/api/v1/moves/1", method="DELETE", headers=headers)[0] == 403, headers
    for form in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert proxy.http("/api/v1/settings", body, headers={"Content-Type": form})[0] == 415, form
    for headers in ({"Origin": here}, {"Sec-Fetch-Site": "same-origin", "Origin": here}, {"Sec-Fetch-Site": "none"}):
        assert proxy.http("/api/v1/settings", body, headers=headers)[0] == 200, headers


def test_no_start_on_a_public_address_without_a_token(make_proxy, redis_server):
    public = {"admin.listen": f"0.0.0.0:{free_port()}"}
    proxy = make_proxy(redis_server.url, settings=public)
    proxy.start(wait=False)
    assert proxy.process.wait(timeout=10) != 0
    assert "admin.token" in proxy.log_text()
    proxy.kill()  # it has ended: this only takes it off the harness' list


def test_many_at_once(proxy):
    """More connections than the server takes at once (HTTP_CONNECTIONS is 64): the rest wait, none is broken."""
    socks = [socket.create_connection((proxy.host, proxy.admin_port), timeout=20) for _ in range(100)]
    for sock in socks:
        sock.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
    for sock in socks:
        with sock:
            assert b" 200 " in sock.recv(65536)
