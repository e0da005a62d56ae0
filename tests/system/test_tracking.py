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


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """For tests that break nothing."""
    server = RedisServer(tmp_path_factory.mktemp("shared")).start()
    proxy = Proxy(tmp_path_factory.mktemp("proxy"), server.url, settings=SETTINGS).start()
    eventually(lambda: acting(proxy) == "redis", timeout=20)
    yield proxy
    proxy.stop()
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
def test_as_redis_does_it(shared, plain, key):
    assert script(shared, key) == script(plain, key)


def test_own_keys_are_not_told(shared):
    """Managed writes change the proxy's own keys, too."""
    with tracked(shared, "BCAST") as conn, RespConn.to(shared) as other:
        other.cmd("RPUSH", "conv:list", "v")
        assert conn.read() == [b"invalidate", [b"conv:list"]]
        other.cmd("SET", "raw", "v")
        assert conn.read() == [b"invalidate", [b"raw"]]


# ---- REDIRECT ----

HEARERS = {"RESP2 to RESP2": (2, 2), "RESP2 to RESP3": (2, 3), "RESP3 to RESP2": (3, 2), "RESP3 to RESP3": (3, 3)}


class Redirected:
    """Who tracks, who is told, and who writes. Ids differ between servers: they are told as words."""

    def __init__(self, side, tracks=2, hears=2):
        self.tracker, self.hearer, self.writer = (RespConn.to(side) for _ in range(3))
        for conn, resp in ((self.tracker, tracks), (self.hearer, hears)):
            conn.cmd("HELLO", resp)
        self.ids = {conn.cmd("CLIENT", "ID"): name for conn, name in ((self.tracker, "tracker"), (self.hearer, "hearer"))}
        self.hearer_id = str(self.hearer.cmd("CLIENT", "ID"))
        if hears == 2:
            self.hearer.cmd("SUBSCRIBE", "__redis__:invalidate")

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        for conn in (self.tracker, self.hearer, self.writer):
            conn.close()

    def named(self, told):
        if isinstance(told, dict):
            return {key: self.named(value) for key, value in told.items()}
        if isinstance(told, list):
            return [type(told).__name__, *(self.named(value) for value in told)]
        return self.ids.get(told, told) if isinstance(told, int) else told

    def on(self, *options):
        return self.tracker.cmd("CLIENT", "TRACKING", "ON", "REDIRECT", self.hearer_id, *options)


def redirected(side, key, hearers):
    with Redirected(side, *hearers) as r:
        track, hear, write = r.tracker.cmd, r.hearer.read_with_bytes, r.writer.cmd
        write("MSET", key, "1", key + "2", "1", key + "3", "1")
        told = [r.on(), track("CLIENT", "GETREDIR"), track("CLIENT", "TRACKINGINFO"), track("GET", key)]
        told += [write("SET", key, "2"), hear()[1], track("MGET", key, key + "2"), write("DEL", key + "2"), hear()[1]]
        told += [track("SET", key, "3"), hear()[1], track("CLIENT", "TRACKING", "OFF"), track("CLIENT", "GETREDIR")]
        told += [r.on("BCAST", "PREFIX", key, "NOLOOP"), track("CLIENT", "TRACKINGINFO"), track("SET", key, "4")]
        told += [write("SET", "other", "1"), write("SET", key + "9", "1"), hear()[1], track("CLIENT", "TRACKING", "OFF")]
        told += [r.on("OPTIN"), track("GET", key), track("CLIENT", "CACHING", "YES"), track("GET", key + "3")]
        told += [write("MSET", key, "5", key + "3", "2"), hear()[1], track("CLIENT", "TRACKING", "OFF")]
        told += [r.on("OPTOUT"), track("CLIENT", "CACHING", "NO"), track("GET", key), track("GET", key + "3")]
        told += [write("SET", key, "6"), write("SET", key + "3", "3"), hear()[1], track("GET", key)]
        while True:  # the proxy empties both stores, and may be asked to come again
            if write("FLUSHALL") == "OK":
                break
        told += [hear()[1], track("PING")]
        return r.named(told)


@pytest.mark.parametrize("hearers", HEARERS.values(), ids=HEARERS.keys())
@pytest.mark.parametrize("key", ["raw:k", "conv:k"])
def test_another_client_is_told(shared, plain, key, hearers):
    assert redirected(shared, key, hearers) == redirected(plain, key, hearers)


def refusals(side):
    with Redirected(side) as r, r.tracker as conn:
        told = [conn.cmd("CLIENT", "TRACKING", "ON", *words.split()) for words in ("REDIRECT x", "REDIRECT", "REDIRECT 999999", "REDIRECT -1", "REDIRECT 0", "FOO REDIRECT 999999")]
        told += [conn.cmd("CLIENT", "GETREDIR"), r.on("OPTIN", "OPTOUT"), conn.cmd("CLIENT", "GETREDIR"), r.on(), r.on("OPTIN")]
        told += [conn.cmd("CLIENT", "TRACKING", "ON", "REDIRECT", "999999"), conn.cmd("CLIENT", "GETREDIR"), conn.cmd("CLIENT", "TRACKING", "ON"), conn.cmd("CLIENT", "GETREDIR")]
        return r.named([*told, conn.cmd("RESET"), conn.cmd("CLIENT", "GETREDIR")])


def test_redirect_to_nobody_and_other_errors(shared, plain):
    assert refusals(shared) == refusals(plain)


def broken(side, resp):
    with Redirected(side, resp, 2) as r:
        r.writer.cmd("SET", "raw:k", "1")
        told = [r.on(), r.tracker.cmd("GET", "raw:k")]
        r.hearer.close()
        eventually(lambda: r.hearer_id.encode() not in r.writer.cmd("CLIENT", "LIST", "ID", r.hearer_id))
        r.writer.cmd("SET", "raw:k", "2")
        if resp == 3:
            told.append(r.tracker.read())
        info = eventually(lambda: "broken_redirect" in str(told := r.tracker.cmd("CLIENT", "TRACKINGINFO")) and told)
        flags = r.tracker.cmd("CLIENT", "INFO").decode().split(" flags=")[1].split(" ")[0]
        return r.named([*told, info, flags])


@pytest.mark.parametrize("resp", [2, 3])
def test_the_other_client_is_gone(shared, plain, resp):
    assert broken(shared, resp) == broken(plain, resp)


def test_redirect_to_oneself(shared, plain):
    def told(side):
        with RespConn.to(side) as conn, RespConn.to(side) as other:
            told = [conn.cmd("CLIENT", "TRACKING", "ON", "REDIRECT", conn.cmd("CLIENT", "ID"), "BCAST"), conn.cmd("SUBSCRIBE", "__redis__:invalidate")]
            return [*told, other.cmd("SET", "raw:k", "1"), conn.read(), conn.cmd("PING")]

    assert told(shared) == told(plain)


NULL = b"*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n$-1\r\n"


def hears_null(r):
    """Behind what was still on its way."""
    while r.hearer.read_with_bytes()[1] != NULL:
        pass


def hears_through(r, key, server):
    """What is read is invalidated again; all that was known had to be forgotten in between, perhaps more than once."""

    def heard():
        if ask(r.tracker, "GET", key) is None:
            return False
        with server.client() as behind:
            behind.append(key, "x")
        return key.encode() in r.hearer.read_with_bytes()[1]

    return eventually(heard, timeout=15)


def test_redirect_over_lost_connections(pair):
    """Either connection to Redis is lost: all is to be forgotten, and then heard of again."""
    proxy, server = pair
    with Redirected(proxy) as r:
        r.writer.cmd("SET", "raw:k", "1")
        assert r.on("OPTOUT") == "OK"
        for _ in range(2):
            with server.client() as behind:
                behind.client_kill_filter(_type="normal", skipme=True)
            hears_null(r)
            assert hears_through(r, "raw:k", server)
        with server.client() as behind:
            ear = next(c for c in behind.client_list() if c["redir"] == "-1" and any(d["redir"] == c["id"] for d in behind.client_list()))
            behind.client_kill_filter(_id=ear["id"])
        hears_null(r)
        assert hears_through(r, "raw:k", server)


def test_redirect_when_stores_change_places(pair):
    """The archive does not track: all is to be forgotten at once, and each second while it acts."""
    proxy, server = pair
    with Redirected(proxy) as r, RespConn.to(proxy) as other:
        other.cmd("SET", "conv:k", "1")
        assert r.on() == "OK"
        assert r.tracker.cmd("GET", "conv:k") == b"1"
        server.kill()
        hears_null(r)
        eventually(lambda: acting(proxy) == "archive")
        hears_null(r)
        server.start()
        eventually(lambda: acting(proxy) == "redis", timeout=15)
        assert hears_through(r, "conv:k", server)


def test_redirected_connections_are_given_back(shared):
    with Redirected(shared) as r:
        assert r.on() == "OK"
        eventually(lambda: shared.metrics()["convproxy_upstream_pinned_connections"] == 2)
    eventually(lambda: shared.metrics()["convproxy_upstream_pinned_connections"] == 0)


def test_no_connection_is_left_to_redirect(plain, make_proxy):
    proxy = make_proxy(plain.url, settings={**SETTINGS, "redis.pinned_max": 1}).start()
    with Redirected(proxy) as r:
        assert r.on().startswith("ERR too many clients wait, watch or track at once")
        assert r.tracker.cmd("CLIENT", "GETREDIR") == -1 and r.tracker.cmd("PING") == "PONG"
        r.tracker.cmd("HELLO", "3")
        assert r.on() == "OK", "RESP3 needs one"


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
