"""TLS to Redis (rediss://) and to MongoDB: whom we believe, what is said when we don't, and that nothing is lost by it."""
import json

import pytest
from harness import RespConn, eventually
from harness.mongo_fake import FakeMongo
from harness.tls import Authority, TlsProxy, TlsRedis, TlsRelay

CONFIG = {"policies": [{"name": "conv", "match": "conv:*", "max_messages": 0}]}


@pytest.fixture(scope="module")
def tls_redis(authority, server_cert, tmp_path_factory):
    """It wants no certificate of its clients."""
    server = TlsRedis(tmp_path_factory.mktemp("redis"), server_cert, authority).start()
    yield server
    server.kill()


@pytest.fixture
def make(tmp_path, server_cert):
    """make(redis_url, settings): a started proxy, stopped and checked after the test."""
    made = []

    def start(redis_url, settings=None, config=CONFIG, **options):
        made.append(TlsProxy(tmp_path, redis_url, server_cert, config, settings, **options))
        return made[-1].start()

    yield start
    for one in made:
        one.stop()


@pytest.fixture
def other(authority, tmp_path):
    """other(certificate, client_certs): one more Redis with TLS."""
    servers = []

    def start(certificate, **options):
        servers.append(TlsRedis(tmp_path, certificate, authority, **options).start())
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


def answer(proxy, *command):
    with RespConn.to(proxy, timeout=20) as conn:
        return conn.cmd(*command)


def redis_up(proxy):
    return proxy.metrics()["redis_up"] == 1


def acting(proxy):
    return json.loads(proxy.http("/healthz")[1])["placement"][0]["acting"]


# ---- whom we believe ----


@pytest.mark.sanitize
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_data_probe_and_sync(make, tls_redis, authority, host):
    tls_redis.client().flushall()
    proxy = make(tls_redis.tls_url(host), {"redis.tls_ca": authority.cert})
    eventually(lambda: redis_up(proxy))
    with RespConn.to(proxy) as conn:
        assert conn.cmd("SET", "raw", "x" * 200_000) == "OK"
        assert conn.cmd("GET", "raw") == b"x" * 200_000
        eventually(lambda: conn.cmd("RPUSH", "conv:1", "a") == 1)
        assert conn.cmd("WATCH", "raw") == "OK" and conn.cmd("MULTI") == "OK"
        assert conn.cmd("GET", "raw") == "QUEUED" and conn.cmd("EXEC") == [b"x" * 200_000]
    assert acting(proxy) == "redis"


CASES = {
    "another authority": "TLS: the certificate is refused: self-signed certificate in certificate chain",
    "the system's": "TLS: the certificate is refused: self-signed certificate in certificate chain",
    "another name": "TLS: the certificate is refused: hostname mismatch",
    "another address": "TLS: the certificate is refused: IP address mismatch",
    "expired": "TLS: the certificate is refused: certificate has expired",
    "no certificate": "alert certificate required",
    "no tls there": "the TLS handshake timed out",
    "no file": "the trusted certificates /nowhere/ca.pem: ",
}


@pytest.mark.parametrize("case", CASES)
def test_not_believed(make, tls_redis, other, authority, tmp_path, case):
    settings, url = {"redis.tls_ca": authority.cert}, tls_redis.tls_url()
    if case == "another authority":
        settings = {"redis.tls_ca": Authority(tmp_path / "other", "another").cert}
    elif case == "the system's":
        settings = {}
    elif case == "another name":
        url = other(authority.issue("named", "DNS:redis.example.com")).tls_url()
    elif case == "another address":
        url = other(authority.issue("addressed", "IP:192.0.2.7")).tls_url("127.0.0.1")
    elif case == "expired":
        url = other(authority.issue("expired", days=-1)).tls_url()
    elif case == "no certificate":
        url = other(authority.issue("strict"), client_certs="yes").tls_url()
    elif case == "no tls there":
        url = f"rediss://localhost:{tls_redis.port}/0"
        settings["redis.connect_timeout"] = "300ms"
    elif case == "no file":
        settings = {"redis.tls_ca": "/nowhere/ca.pem"}
    proxy = make(url, {**settings, "archive.url": "", "redis.timeout": "5s"})
    reply = answer(proxy, "GET", "x")
    assert reply.startswith("REDISDOWN ") and CASES[case] in reply, reply
    eventually(lambda: CASES[case] in proxy.http("/api/v1/state")[1])
    assert not redis_up(proxy)


def test_plain_url_to_a_tls_port(make, tls_redis):
    """The other way round: Redis answers a plain greeting with an alert of TLS, or closes."""
    proxy = make(f"redis://localhost:{tls_redis.tls_port}/0", {"archive.url": ""})
    assert answer(proxy, "GET", "x").startswith("REDISDOWN Redis is not reachable (")
    assert not redis_up(proxy)


@pytest.mark.sanitize
def test_a_revoked_redis_is_not_believed(make, other, authority, tmp_path):
    """The list is looked at with each new connection."""
    own = Authority(tmp_path / "own", "own")
    certificate = own.issue("server")
    server = other(certificate)
    proxy = make(server.tls_url(), {"redis.tls_ca": own.cert, "redis.tls_crl": own.revoke(), "archive.url": ""})
    assert answer(proxy, "SET", "a", "b") == "OK"
    own.revoke(own.issue("another"))
    with server.client() as behind:
        behind.client_kill_filter(_type="normal", skipme=True)
        assert eventually(lambda: answer(proxy, "GET", "a") == b"b")
        own.revoke(certificate)
        behind.client_kill_filter(_type="normal", skipme=True)
    eventually(lambda: "TLS: the certificate is refused: certificate revoked" in str(answer(proxy, "GET", "a")))


@pytest.mark.sanitize
def test_unverified_only_by_order(make, other, authority):
    """redis.tls_verify=no takes any certificate, and says so; switched on again at run time it counts at once."""
    server = other(authority.issue("named", "DNS:redis.example.com"))
    proxy = make(server.tls_url(), {"redis.tls_verify": "no", "archive.url": ""})
    assert answer(proxy, "SET", "a", "b") == "OK"
    proxy.log_contains("level=warn event=redis_tls_unverified")
    assert answer(proxy, "CONFIG", "SET", "redis.tls_ca", str(authority.cert), "redis.tls_verify", "yes") == "OK"
    eventually(lambda: "hostname mismatch" in str(answer(proxy, "GET", "a")))
    eventually(lambda: not redis_up(proxy))


@pytest.mark.sanitize
def test_client_certificate(make, other, authority):
    server = other(authority.issue("strict"), client_certs="yes")
    own = authority.issue("proxy", password="sesame")
    files = {"redis.tls_ca": authority.cert, "redis.tls_cert": own.cert, "redis.tls_key": own.key}
    proxy = make(server.tls_url(), files, env={"REDIS_TLS_KEY_PASSWORD": "sesame"})
    eventually(lambda: redis_up(proxy))
    assert eventually(lambda: answer(proxy, "RPUSH", "conv:1", "a")) == 1
    assert server.client().lrange("conv:1", 0, -1) == [b"a"]


@pytest.mark.sanitize
def test_name_and_resumption(make, tls_redis, authority, server_cert):
    """The name is told to the server; connections after the first go on with its session."""
    with TlsRelay(server_cert, (tls_redis.host, tls_redis.port)) as relay:
        proxy = make(f"rediss://localhost:{relay.port}/0", {"redis.tls_ca": authority.cert, "archive.url": ""})
        assert answer(proxy, "PING") is not None
        eventually(lambda: redis_up(proxy))
        with RespConn.to(proxy) as conn:
            for db in ("3", "4"):  # localhost may have an address where the relay is not
                assert conn.cmd("SELECT", db) == "OK"
                eventually(lambda: conn.cmd("SET", "a", "b") == "OK")
        assert relay.names and set(relay.names) == {"localhost"}
        assert relay.resumed > 0 and relay.failures == 0


@pytest.mark.sanitize
def test_renewed_files_are_noticed(make, other, authority, tmp_path):
    """No reload is needed for the certificate that Redis is shown: the next connection reads it."""
    server = other(authority.issue("strict"), client_certs="yes")
    files = Authority(tmp_path / "own", "own")
    stranger, own = files.issue("proxy"), authority.issue("mine")
    settings = {"redis.tls_ca": authority.cert, "redis.tls_cert": stranger.cert, "redis.tls_key": stranger.key}
    proxy = make(server.tls_url(), {**settings, "archive.url": ""})
    assert answer(proxy, "GET", "x").startswith("REDISDOWN ")
    stranger.key.write_bytes(own.key.read_bytes())
    stranger.cert.write_bytes(own.cert.read_bytes())
    eventually(lambda: answer(proxy, "SET", "x", "y") == "OK")


# ---- losing it ----


@pytest.mark.sanitize
def test_failover(make, other, authority, server_cert):
    """kill -9 of a Redis behind TLS, with clients that speak TLS: acknowledged writes are there, and come back to Redis."""
    server = other(server_cert)
    settings = {
        "redis.tls_ca": authority.cert,
        "failover.return_after": "0s",
        "redis.timeout": "2s",
        "redis.probe_interval": "100ms",
    }
    proxy = make(server.tls_url(), settings)
    with proxy.tls_conn(authority.trusting(), timeout=20) as conn:
        eventually(lambda: redis_up(proxy))
        acknowledged = []

        def append(text):
            reply = conn.cmd("RPUSH", "conv:f", text)
            if isinstance(reply, int):
                acknowledged.append(text.encode())
            return isinstance(reply, int)

        for i in range(50):
            assert append(f"before {i}")
        server.kill()
        for i in range(50):
            eventually(lambda i=i: append(f"without {i}"), timeout=15)
        assert conn.cmd("LRANGE", "conv:f", 0, -1) == acknowledged
        server.start()
        eventually(lambda: acting(proxy) == "redis", timeout=30)
        eventually(lambda: append("after"), timeout=15)
        assert conn.cmd("LRANGE", "conv:f", 0, -1) == acknowledged
        assert server.client().lrange("conv:f", 0, -1) == acknowledged


@pytest.mark.sanitize
def test_redis_that_stands_still(make, other, authority, server_cert):
    """SIGSTOP: hands are not shaken, and time-outs count as without TLS."""
    server = other(server_cert)
    server.pause()
    proxy = make(server.tls_url(), {"redis.tls_ca": authority.cert, "archive.url": "", "redis.connect_timeout": "300ms"})
    reply = answer(proxy, "GET", "x")
    assert reply.startswith("REDISDOWN ") and "timed out" in reply, reply
    server.resume()
    eventually(lambda: answer(proxy, "SET", "x", "y") == "OK")


# ---- MongoDB ----


@pytest.mark.parametrize("trusted", [True, False])
def test_mongo(make, tls_redis, authority, server_cert, tmp_path, trusted):
    """libmongoc's own TLS, by the URL alone."""
    ca = authority.cert if trusted else Authority(tmp_path / "other", "another").cert
    with FakeMongo() as fake, TlsRelay(server_cert, fake.server_address) as relay:
        url = f"mongodb://localhost:{relay.port}/convproxy?tls=true&tlsCAFile={ca}"
        config = {"policies": [{"name": "conv", "match": "conv:*", "primary": "mongo", "dual_write": False}]}
        proxy = make(tls_redis.url, {"archive.url": url, "archive.timeout": "2s"}, config)
        if trusted:
            eventually(lambda: answer(proxy, "RPUSH", "conv:m", "a") == 1, timeout=15)
            assert answer(proxy, "LRANGE", "conv:m", 0, -1) == [b"a"]
            assert relay.connections > 0
        else:
            proxy.log_contains(r"event=archive_down kind=mongo reason=.*TLS handshake failed: certificate verify failed")
            assert relay.connections == fake.store.writes == 0
