"""CLIENT TRACKING through the proxy: what a client has read and caches is invalidated, whoever changes it, and whatever happens to connections."""
import pytest
from harness import Proxy, Push, RedisServer, RespConn, eventually

pytestmark = [pytest.mark.sanitize, pytest.mark.managed, pytest.mark.timeout(60)]

SETTINGS = {"failover.return_after": "300ms", "redis.probe_interval": "50ms", "proxy.threads": 2}
FORGET_ALL = [b"invalidate", None]


def acting(proxy):
    return proxy.get_json("/api/v1/primary")["placement"][0]["phase"]


@pytest.fixture
def pair(tmp_path):
    server = RedisServer(tmp_path).start()
    proxy = Proxy(tmp_path, server.url, settings=SETTINGS).start()
    eventually(lambda: acting(proxy) == "redis", timeout=20)
    yield proxy, server
    proxy.stop()
    server.kill()


@pytest.fixture
def plain(tmp_path):
    server = RedisServer(tmp_path / "plain").start()
    yield server
    server.kill()


def tracked(side, *options):
    conn = RespConn.to(side)
    conn.cmd("HELLO", 3)
    assert conn.cmd("CLIENT", "TRACKING", "ON", *options) == "OK"
    return conn


def ask(conn, *command):
    """The reply, behind pushes."""
    conn.send_cmd(*command)
    while isinstance(told := conn.read(), Push):
        pass
    return told


def hears_of(conn, key, change):
    """What it has read is changed. Once more when it had to forget all in between: connections come and go for a while."""

    def heard():
        if ask(conn, "GET", key) != b"1":
            return False
        change()
        return conn.read() == [b"invalidate", [key.encode()]]

    return eventually(heard, timeout=15)


@pytest.mark.parametrize("key", ["raw:k", "conv:k"])
def test_what_was_read_is_invalidated(pair, key):
    proxy, server = pair
    with tracked(proxy) as conn, RespConn.to(proxy) as other:
        other.cmd("SET", key, "1")
        assert conn.cmd("GET", key) == b"1"
        other.cmd("SET", key, "2")
        told = conn.read()
        assert isinstance(told, Push) and told == [b"invalidate", [key.encode()]]
        assert conn.cmd("GET", key) == b"2"
        with server.client() as behind:
            behind.delete(key)
        assert conn.read() == [b"invalidate", [key.encode()]]
        other.cmd("SET", key, "3")
        assert conn.cmd("PING") == "PONG", "what was not read again is not told"


def script(side, key):
    """Replies and pushes of one client, in their order."""
    with RespConn.to(side) as conn, RespConn.to(side) as other:
        told = [conn.cmd("CLIENT", "TRACKINGINFO"), conn.cmd("HELLO", 3)[b"proto"]]
        for step in (
            ("CLIENT", "TRACKINGINFO"), ("CLIENT", "GETREDIR"), ("CLIENT", "CACHING", "YES"), ("CLIENT", "TRACKING", "MAYBE"), ("CLIENT", "TRACKING", "OFF"),
            ("CLIENT", "TRACKING", "ON", "OPTIN", "OPTOUT"), ("CLIENT", "TRACKING", "ON", "PREFIX", "a"), ("CLIENT", "TRACKING", "ON", "OPTIN"),
            ("CLIENT", "TRACKINGINFO"), ("CLIENT", "GETREDIR"), ("CLIENT", "TRACKING", "ON", "BCAST"), ("GET", key), ("CLIENT", "CACHING", "NO"),
            ("CLIENT", "CACHING", "YES"), ("GET", key + "2"),
        ):  # fmt: skip
            told.append(conn.cmd(*step))
        other.pipeline(("SET", key, "1"), ("SET", key + "2", "1"))
        told += [conn.read(), conn.cmd("CLIENT", "TRACKING", "OFF"), conn.cmd("CLIENT", "TRACKINGINFO")]
        told += [conn.cmd("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", key, "NOLOOP"), conn.cmd("CLIENT", "TRACKINGINFO")]
        told += [conn.cmd("SET", key + "3", "1"), other.cmd("SET", key + "4", "1"), conn.read(), conn.cmd("RESET")]
        other.cmd("SET", key + "5", "1")
        return [*told, conn.cmd("CLIENT", "TRACKINGINFO")]


@pytest.mark.parametrize("key", ["raw:k", "conv:k"])
def test_as_redis_does_it(pair, plain, key):
    assert script(pair[0], key) == script(plain, key)


def test_own_keys_are_not_told(pair):
    """Managed writes change the proxy's own keys, too."""
    proxy, _ = pair
    with tracked(proxy, "BCAST") as conn, RespConn.to(proxy) as other:
        other.cmd("RPUSH", "conv:list", "v")
        assert conn.read() == [b"invalidate", [b"conv:list"]]
        other.cmd("SET", "raw", "v")
        assert conn.read() == [b"invalidate", [b"raw"]]


def test_redirect_is_refused(pair):
    with RespConn.to(pair[0]) as conn:
        assert conn.cmd("CLIENT", "TRACKING", "ON", "REDIRECT", "1").startswith("ERR CLIENT TRACKING with REDIRECT is not supported")
        assert conn.cmd("CLIENT", "GETREDIR") == -1


def test_a_lost_connection_is_told_and_made_good(pair):
    proxy, server = pair
    with tracked(proxy) as conn, RespConn.to(proxy) as other:
        other.cmd("SET", "raw:k", "1")
        assert conn.cmd("GET", "raw:k") == b"1"
        with server.client() as behind:
            behind.client_kill_filter(_type="normal", skipme=True)
            assert conn.read() == FORGET_ALL
            assert hears_of(conn, "raw:k", lambda: behind.set("raw:k", "1"))
        assert "t" in ask(conn, "CLIENT", "INFO").decode().split(" flags=")[1].split(" ")[0]


def test_stores_change_places(pair):
    """All is forgotten at each change, and once a second while the archive answers, which does not track."""
    proxy, _ = pair
    with tracked(proxy) as conn, RespConn.to(proxy) as other:
        assert other.cmd("CONFIG", "SET", "conv.primary", "archive") == "OK"
        assert conn.read() == FORGET_ALL
        eventually(lambda: acting(proxy) == "archive")
        assert conn.read() == FORGET_ALL
        assert other.cmd("CONFIG", "SET", "conv.primary", "redis") == "OK"
        eventually(lambda: acting(proxy) == "redis", timeout=10)
        other.cmd("SET", "conv:k", "1")
        assert hears_of(conn, "conv:k", lambda: other.cmd("SET", "conv:k", "1"))


def test_the_next_borrower_is_not_told(pair):
    """A connection that is given back tracks nothing."""
    proxy, server = pair
    tracked(proxy, "BCAST").close()
    with server.client() as behind:
        eventually(lambda: not any("t" in client["flags"] for client in behind.client_list() if "convproxy" in client["name"]))
    eventually(lambda: proxy.metrics()["convproxy_upstream_pinned_connections"] == 0)
