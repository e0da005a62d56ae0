"""Pub/sub: to a client the proxy is a Redis, byte by byte, with many clients behind one subscription and with a Redis that goes and
comes back."""
import socket
import subprocess
import threading
import time
from contextlib import suppress

import pytest
import redis
from harness import Proxy, Push, RedisServer, RespConn, RespError, eventually
from harness.resp import encode
from test_clients_node import CLIENTS
from test_clients_node import why_not as why_no_node
from test_lifecycle import take_over

pytestmark = pytest.mark.managed
PROXY_SETTINGS = {"proxy.threads": 2}
MB = 1 << 20


# ---- the same bytes ----

# (who, command, replies that a reads then, replies that b reads). Each script ends with nothing subscribed.
SCRIPTS = {
    "channels": [
        ("a", ("SUBSCRIBE", "x", "y", "x"), 3, 0),
        ("b", ("PUBLISH", "x", "hi"), 1, 1),
        ("b", ("PUBLISH", "none", "hi"), 0, 1),
        ("b", ("PUBSUB", "NUMSUB", "x", "y", "none"), 0, 1),
        ("b", ("PUBSUB", "CHANNELS", "x*"), 0, 1),
        ("b", ("PUBSUB", "NUMSUB"), 0, 1),
        ("a", ("UNSUBSCRIBE", "x", "none"), 2, 0),
        ("b", ("PUBLISH", "x", "hi"), 0, 1),
        ("a", ("UNSUBSCRIBE",), 1, 0),
        ("a", ("UNSUBSCRIBE",), 1, 0),
        ("a", ("GET", "k"), 1, 0),
    ],
    "patterns": [
        ("a", ("PSUBSCRIBE", "n*", "n[ae]ws"), 2, 0),
        ("a", ("SUBSCRIBE", "news"), 1, 0),
        ("b", ("PUBLISH", "news", b"\x00\r\n\xff"), 3, 1),
        ("b", ("PUBLISH", "naws", ""), 2, 1),
        ("b", ("PUBLISH", "nothing", "x" * 3000), 1, 1),
        ("b", ("PUBSUB", "NUMPAT"), 0, 1),
        ("a", ("PUNSUBSCRIBE", "n*"), 1, 0),
        ("b", ("PUBLISH", "news", "x"), 2, 1),
        ("a", ("PUNSUBSCRIBE",), 1, 0),
        ("a", ("PUNSUBSCRIBE",), 1, 0),
        ("a", ("UNSUBSCRIBE", "news"), 1, 0),
        ("b", ("PUBSUB", "NUMPAT"), 0, 1),
    ],
    "shards": [
        ("a", ("SSUBSCRIBE", "s", "{s}2"), 2, 0),
        ("a", ("SUBSCRIBE", "s"), 1, 0),
        ("b", ("SPUBLISH", "s", "hi"), 1, 1),
        ("b", ("PUBLISH", "s", "hi"), 1, 1),
        ("b", ("PUBSUB", "SHARDNUMSUB", "s", "{s}2", "none"), 0, 1),
        ("b", ("PUBSUB", "SHARDCHANNELS", "s"), 0, 1),
        ("a", ("SUNSUBSCRIBE", "s"), 1, 0),
        ("a", ("SUNSUBSCRIBE",), 1, 0),
        ("a", ("SUNSUBSCRIBE",), 1, 0),
        ("a", ("UNSUBSCRIBE",), 1, 0),
    ],
    "confined": [
        ("a", ("SUBSCRIBE", "x"), 1, 0),
        ("a", ("PING",), 1, 0),
        ("a", ("PING", "text"), 1, 0),
        ("a", ("GET", "k"), 1, 0),
        ("a", ("CONFIG", "GET", "no-such"), 1, 0),
        ("a", ("PUBLISH", "y", "z"), 1, 0),
        ("a", ("GET",), 1, 0),
        ("a", ("SUBSCRIBE",), 1, 0),
        ("a", ("PUBSUB", "NUMSUB", "x"), 1, 0),
        ("a", ("ECHO", "e"), 1, 0),
        ("a", ("UNSUBSCRIBE", "x"), 1, 0),
        ("a", ("PING",), 1, 0),
    ],
    "reset": [
        ("a", ("SUBSCRIBE", "x"), 1, 0),
        ("a", ("PSUBSCRIBE", "x*"), 1, 0),
        ("a", ("RESET",), 1, 0),
        ("a", ("PING",), 1, 0),
        ("a", ("SUBSCRIBE", "quitting"), 1, 0),
        ("a", ("QUIT",), 1, 0),
    ],
    "errors": [
        ("a", ("PUBSUB", "NOSUCH"), 1, 0),
        ("a", ("PUBSUB",), 1, 0),
        ("a", ("PSUBSCRIBE",), 1, 0),
        ("a", ("PUBLISH", "x"), 1, 0),
        ("a", ("PUBSUB", "NUMPAT", "x"), 1, 0),
        ("a", ("SUBSCRIBE", ""), 1, 0),
        ("b", ("PUBLISH", "", ""), 1, 1),
        ("a", ("UNSUBSCRIBE", ""), 1, 0),
    ],
    "both hear": [
        ("a", ("SUBSCRIBE", "x"), 1, 0),
        ("b", ("SUBSCRIBE", "x"), 0, 1),
        ("a", ("PUBSUB", "NUMSUB", "x"), 1, 0),
        ("a", ("PUBLISH", "x", "to both"), 2, 1),
        ("b", ("UNSUBSCRIBE",), 0, 1),
        ("a", ("PUBLISH", "x", "to a"), 2, 0),
        ("a", ("UNSUBSCRIBE",), 1, 0),
        ("b", ("PUBSUB", "NUMSUB", "x"), 0, 1),
    ],
    "transactions": [
        ("a", ("MULTI",), 1, 0),
        ("a", ("PUBLISH", "x", "hi"), 1, 0),
        ("a", ("PUBSUB", "NUMSUB", "x"), 1, 0),
        ("a", ("PUBSUB", "NOSUCH"), 1, 0),
        ("a", ("EXEC",), 1, 0),
        ("b", ("SUBSCRIBE", "x"), 0, 1),
        ("a", ("MULTI",), 1, 0),
        ("a", ("PUBLISH", "x", "hi"), 1, 0),
        ("a", ("EXEC",), 1, 1),
        ("b", ("UNSUBSCRIBE",), 0, 1),
    ],
}


def play(endpoint, protocol, script):
    """All that both connections read, as it came. But for what follows a PUBLISH: in which order Redis goes through patterns is chance,
    and a client of RESP3 that hears itself gets the message before the number from Redis, and may get it behind from the proxy."""
    told = []
    with RespConn.to(endpoint) as a, RespConn.to(endpoint) as b:
        conns = {"a": a, "b": b}
        for conn in conns.values():
            assert not isinstance(conn.cmd("HELLO", protocol), RespError)
        for who, command, from_a, from_b in script:
            conns[who].send_cmd(*command)
            to_a = [a.read_with_bytes()[1] for _ in range(from_a)]
            to_b = [b.read_with_bytes()[1] for _ in range(from_b)]
            told.append((command, sorted(to_a) if command[0] == "PUBLISH" else to_a, to_b))
    return told


@pytest.mark.sanitize
@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("protocol", [2, 3])
def test_the_same_bytes_as_redis(proxy, plain, protocol, name):
    script = SCRIPTS[name]
    if protocol == 2 and name == "both hear":
        script = [step for step in script if step[1][0] not in ("PUBLISH", "PUBSUB") or step[0] == "b"]
    assert play(proxy, protocol, script) == play(plain, protocol, script)


@pytest.mark.parametrize("protocol", [2, 3])
def test_in_a_pipeline_each_reply_has_its_place(proxy, plain, protocol):
    commands = [
        ("SET", "k", "v"), ("EVAL", "return 7", 0), ("GET", "k"), ("SUBSCRIBE", "p", "q"), ("PING",), ("GET", "k"), ("PUBSUB", "NUMSUB", "p"),
        ("UNSUBSCRIBE", "p"), ("SUBSCRIBE", "q", "r"), ("UNSUBSCRIBE", "q", "r"), ("GET", "k"), ("EVAL", "return 8", 0), ("PING", "end"),
    ]  # fmt: skip
    replies = 3 + 2 + 3 + 1 + 2 + 2 + 3

    def told(endpoint):
        with RespConn.to(endpoint) as conn:
            conn.cmd("HELLO", protocol)
            conn.send(b"".join(encode(*command) for command in commands))
            return [conn.read_with_bytes()[1] for _ in range(replies)]

    assert told(proxy) == told(plain)


def test_a_message_does_not_come_before_its_subscription(proxy):
    """SUBSCRIBE inside MULTI: EXEC's array is whole before anything that is published meanwhile."""
    with RespConn.to(proxy) as conn, RespConn.to(proxy) as other:
        conn.pipeline(["MULTI"], ["SUBSCRIBE", "inside"], ["CLIENT", "LIST"])
        conn.send_cmd("EXEC")
        while other.cmd("PUBLISH", "inside", "m") == 0:
            pass
        subscribed, clients = conn.read()
        assert subscribed == [b"subscribe", b"inside", 1] and b"cmd=" in clients
        assert conn.read() == [b"message", b"inside", b"m"]


@pytest.mark.sanitize
def test_messages_of_transactions_and_scripts_on_archived_keys(redis_server, make_proxy):
    """The archive has no channels: Redis gets what is published there as soon as it is done, and nothing of what has not been done."""
    proxy = make_proxy(redis_server.url, settings={**PROXY_SETTINGS, "conv.primary": "archive", "conv.ttl": 0}).start()
    with RespConn.to(proxy) as conn, RespConn.to(proxy) as other:
        eventually(lambda: conn.cmd("SET", "conv:watched", "1") == "OK")
        other.cmd("SUBSCRIBE", "c")
        conn.pipeline(["MULTI"], ["PUBLISH", "c", "first"], ["RPUSH", "conv:l", "a"], ["PUBLISH", "c", "second"])
        assert conn.cmd("EXEC") == [1, 1, 1]
        replies = conn.pipeline(*[command for n in range(20) for command in (["RPUSH", "conv:l", "b"], ["MULTI"], ["PUBLISH", "c", n], ["LLEN", "conv:l"], ["EXEC"])])
        assert replies[4::5] == [[1, n + 2] for n in range(20)]
        conn.pipeline(["WATCH", "conv:watched"], ["SET", "conv:watched", "2"], ["MULTI"], ["PUBLISH", "c", "not this"], ["SET", "conv:watched", "3"])
        assert conn.cmd("EXEC") is None
        script = "redis.call('PUBLISH', 'c', 'of a script'); redis.call('SET', KEYS[1], 'v'); return redis.call('PUBLISH', 'c', ARGV[1])"
        assert conn.cmd("EVAL", script, "1", "conv:s", "again") == 0
        assert conn.cmd("EVAL", "redis.call('SET', 'conv:undeclared', 'v'); return redis.call('PUBLISH', 'c', 'once')", "1", "conv:s") == 0
        conn.pipeline(["MULTI"], ["EVAL", script, "1", "conv:s", "in a block"], ["GET", "conv:s"])
        assert conn.cmd("EXEC") == [0, b"v"]
        assert conn.cmd("EVAL", "redis.call('PUBLISH', 'c', 'before the error'); return redis.call('INCR', KEYS[1])", "1", "conv:l").startswith("WRONGTYPE")
        conn.cmd("PUBLISH", "c", "the end")
        told = [b"first", b"second", *(b"%d" % n for n in range(20)), b"of a script", b"again", b"once", b"of a script", b"in a block", b"before the error", b"the end"]
        assert [other.read()[2] for _ in told] == told


# ---- messages and replies ----


@pytest.mark.sanitize
def test_a_message_never_stands_inside_a_reply(proxy, conn, real):
    """A large reply leaves in parts, as Redis sends it; messages that come meanwhile stand before or behind it."""
    value = b"v" * (4 * MB)
    real.set("large", value)
    stopping = threading.Event()

    def publish():
        with RespConn.to(proxy) as other:
            while not stopping.is_set():
                other.cmd("PUBLISH", "between", "text")

    with RespConn.to(proxy, timeout=20) as reader:
        reader.cmd("HELLO", 3)
        reader.cmd("SUBSCRIBE", "between")
        publisher = threading.Thread(target=publish)
        publisher.start()
        replies = pushes = 0
        try:
            while replies < 20 or pushes == 0:
                reader.send_cmd("GET", "large")
                while isinstance(reply := reader.read(), Push):
                    assert reply == [b"message", b"between", b"text"]
                    pushes += 1
                assert reply == value
                replies += 1
        finally:
            stopping.set()
            publisher.join()


def test_each_protocol_hears_in_its_own(proxy, conn):
    with RespConn.to(proxy) as old, RespConn.to(proxy) as new:
        new.cmd("HELLO", 3)
        old.cmd("SUBSCRIBE", "c"), new.cmd("SUBSCRIBE", "c")
        assert conn.cmd("PUBLISH", "c", "m") == 2
        assert old.read_with_bytes()[1] == b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n"
        assert new.read_with_bytes()[1] == b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n"


def subscribed(proxy, count, *channels, protocol=3):
    conns = [RespConn.to(proxy, timeout=20) for _ in range(count)]
    for conn in conns:
        conn.send(encode("HELLO", protocol) + encode("SUBSCRIBE", *channels))
    for conn in conns:
        conn.read()
        for _ in channels:
            assert conn.read()[0] == b"subscribe"
    return conns


def close(conns):
    for conn in conns:
        conn.close()


@pytest.mark.sanitize
def test_200_subscribers_share_one_subscription_a_loop(proxy, conn, real):
    clients = subscribed(proxy, 200, "crowd", "other")
    try:
        assert conn.cmd("PUBSUB", "NUMSUB", "crowd") == [b"crowd", 200]
        assert real.pubsub_numsub("crowd") == [("crowd", 2)]
        for n in range(5):
            assert conn.cmd("PUBLISH", "crowd", n) == 200
        for client in clients:
            assert [client.read()[2] for _ in range(5)] == [b"%d" % n for n in range(5)]
        eventually(lambda: proxy.metrics()["convproxy_pubsub_subscriptions"] == 400)  # clients of other tests may still be leaving
        assert proxy.metrics()["convproxy_pubsub_messages_total"] >= 1000
    finally:
        close(clients)
    eventually(lambda: conn.cmd("PUBSUB", "NUMSUB", "crowd", "other") == [b"crowd", 0, b"other", 0])
    eventually(lambda: real.pubsub_numsub("crowd")[0][1] == 0)
    eventually(lambda: proxy.metrics()["convproxy_pubsub_subscriptions"] == 0)


def test_a_thousand_channels_of_one_client(conn, real):
    names = [f"many:{n}" for n in range(1000)]
    conn.send_cmd("SUBSCRIBE", *names)
    assert [conn.read()[2] for _ in names] == list(range(1, 1001))
    for name in names[::100]:
        assert real.publish(name, "m") == 1
        assert conn.read() == [b"message", name.encode(), b"m"]
    conn.send_cmd("UNSUBSCRIBE")
    assert [conn.read() for _ in names] == [[b"unsubscribe", name.encode(), 999 - n] for n, name in enumerate(names)]


def test_a_large_message(conn, proxy):
    text = b"x" * (5 * MB)
    with RespConn.to(proxy, timeout=20) as hears:
        hears.cmd("SUBSCRIBE", "big")
        assert conn.cmd("PUBLISH", "big", text) == 1
        assert hears.read() == [b"message", b"big", text]


# ---- Redis goes and comes ----


def hears_soon(clients, publisher, channel):
    """Publishes until all hear of it. Messages of before are read over."""
    mark = f"mark:{time.monotonic()}".encode()
    eventually(lambda: publisher.cmd("PUBLISH", channel, mark) == len(clients), timeout=15)
    for client in clients:
        while client.read()[-1] != mark:
            pass


@pytest.mark.sanitize
def test_subscriptions_outlive_redis(fresh_redis, fresh_proxy):
    clients = subscribed(fresh_proxy, 200, "news")
    with RespConn.to(fresh_proxy) as conn, RespConn.to(fresh_proxy) as patterns:
        patterns.cmd("PSUBSCRIBE", "ne*")
        assert conn.cmd("PUBLISH", "news", "before") == 201
        assert all(client.read()[-1] == b"before" for client in [*clients, patterns])
        fresh_redis.kill()
        refused = eventually(lambda: isinstance(r := conn.cmd("PUBLISH", "news", "lost"), RespError) and r)
        assert refused.startswith("REDISDOWN ")
        assert clients[0].cmd("PING") == "PONG" and patterns.cmd("PING") == [b"pong", b""], "they stay connected, and served"
        fresh_redis.start()
        hears_soon([*clients, patterns], conn, "news")
    close(clients)


@pytest.mark.sanitize
def test_subscribing_while_redis_is_away(fresh_redis, fresh_proxy):
    """It is confirmed, since nothing can be published meanwhile, and made when Redis is back."""
    with RespConn.to(fresh_proxy) as conn, RespConn.to(fresh_proxy) as hears:
        fresh_redis.kill()
        eventually(lambda: isinstance(conn.cmd("PUBLISH", "late", "x"), RespError))
        assert hears.cmd("SUBSCRIBE", "late") == [b"subscribe", b"late", 1]
        assert hears.cmd("SUBSCRIBE", "gone") == [b"subscribe", b"gone", 2]
        assert hears.cmd("UNSUBSCRIBE", "gone") == [b"unsubscribe", b"gone", 1]
        fresh_redis.start()
        hears_soon([hears], conn, "late")
        assert conn.cmd("PUBSUB", "NUMSUB", "late", "gone") == [b"late", 1, b"gone", 0]


def test_a_redis_that_closes_the_connection_is_asked_again(proxy, conn, real):
    with RespConn.to(proxy) as hears:
        hears.cmd("SUBSCRIBE", "cut")
        assert real.execute_command("CLIENT", "KILL", "TYPE", "pubsub") >= 1
        hears_soon([hears], conn, "cut")


class Forgetful:
    """A relay to Redis that can forget the connections on which somebody has subscribed: nothing passes there any more, not even an end."""

    def __init__(self, port):
        self.target = port
        self.forgotten = []  # events of connections with a SUBSCRIBE
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.sockets = [self.listener]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            self.sockets += [client, server]
            gone = threading.Event()
            threading.Thread(target=self.pump, args=(client, server, gone, True), daemon=True).start()
            threading.Thread(target=self.pump, args=(server, client, gone, False), daemon=True).start()

    def pump(self, source, sink, gone, requests):
        try:
            while data := source.recv(1 << 16):
                if requests and b"SUBSCRIBE" in data:
                    self.forgotten.append(gone)
                if not gone.is_set():
                    sink.sendall(data)
            if not gone.is_set():
                sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def forget(self):
        for gone in self.forgotten:
            gone.set()

    def close(self):
        for sock in self.sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # wakes who reads from it
            sock.close()


def test_a_connection_that_the_network_has_forgotten_is_replaced(fresh_redis, make_proxy):
    relay, real = Forgetful(fresh_redis.port), fresh_redis.client()
    try:
        proxy = make_proxy(f"redis://127.0.0.1:{relay.port}/0", settings=PROXY_SETTINGS).start()
        with RespConn.to(proxy, timeout=20) as hears, RespConn.to(proxy) as conn:
            assert hears.cmd("SUBSCRIBE", "dead") == [b"subscribe", b"dead", 1]
            relay.forget()
            eventually(lambda: real.publish("dead", "again") == 2, timeout=15)  # the old connection, of which Redis has heard no end
            assert hears.read() == [b"message", b"dead", b"again"]
            assert conn.cmd("PING") == "PONG"
    finally:
        relay.close()


def test_what_redis_refuses_is_told(tmp_path, make_proxy):
    server = RedisServer(tmp_path, args=["--user", "app", "on", ">secret", "~*", "+@all", "resetchannels", "&app:*"]).start()
    try:
        proxy = make_proxy(f"redis://app:secret@127.0.0.1:{server.port}/0", settings=PROXY_SETTINGS).start()
        with RespConn.to(proxy) as conn, RespConn.to(proxy) as hears:
            refusal = "NOPERM this user has no permissions to access one of the channels used as arguments"
            assert hears.cmd("SUBSCRIBE", "app:x", "secret") == refusal
            assert hears.cmd("PING") == "PONG", "it is subscribed to nothing"
            assert hears.cmd("SUBSCRIBE", "app:x") == [b"subscribe", b"app:x", 1]
            assert conn.cmd("PUBLISH", "app:x", "m") == 1
            assert hears.read() == [b"message", b"app:x", b"m"]
    finally:
        server.kill()


def test_a_redis_without_resp3_is_no_redis_that_is_away(tmp_path, make_proxy):
    """A confirmation would never come true."""
    server = RedisServer(tmp_path, args=["--rename-command", "HELLO", ""]).start()
    try:
        proxy = make_proxy(server.url, settings=PROXY_SETTINGS).start()

        def refusal():
            with RespConn.to(proxy) as conn:
                return isinstance(reply := conn.cmd("SUBSCRIBE", "x"), RespError) and reply

        assert eventually(refusal, timeout=15).startswith("REDISDOWN Redis is not reachable (ERR unknown command 'HELLO'")
    finally:
        server.kill()


# ---- limits, and what is not shown ----


@pytest.mark.sanitize
def test_a_slow_subscriber_is_cut_and_the_others_hear_all(redis_server, make_proxy):
    proxy = make_proxy(redis_server.url, settings={**PROXY_SETTINGS, "proxy.output_pubsub_hard": "4mb"}).start()
    slow = RespConn(proxy.host, proxy.port)
    slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.cmd("SUBSCRIBE", "flood")
    clients = subscribed(proxy, 4, "flood")
    text = b"x" * 100_000
    with RespConn.to(proxy) as conn:
        for n in range(150):
            assert conn.cmd("PUBLISH", "flood", b"%d:%s" % (n, text)) in (4, 5)
            for client in clients:
                assert client.read()[2] == b"%d:%s" % (n, text)
        proxy.log_contains(r"event=client_closed client=\S+ reason=output_pubsub_hard")
        assert proxy.metrics()["convproxy_clients_output_closed_total"] == 1
        assert conn.cmd("PUBLISH", "flood", "last") == 4
    slow.close()
    close(clients)


def test_notifications_are_heard_but_not_those_of_internal_keys(proxy, conn, real):
    real.config_set("notify-keyspace-events", "KEA")
    try:
        with RespConn.to(proxy) as hears:
            hears.cmd("PSUBSCRIBE", "__key*__:*")
            assert conn.cmd("RPUSH", "conv:notified", "m") == 1
            assert conn.cmd("SET", "raw", "v") == "OK"
            assert conn.cmd("PUBLISH", "__key__:end", "end") == 1
            told = []
            while (message := hears.read())[3] != b"end":
                told.append((message[2], message[3]))
        assert (b"__keyspace@0__:conv:notified", b"rpush") in told and (b"__keyevent@0__:set", b"raw") in told
        assert not [pair for pair in told if b"cvp:" in pair[0] + pair[1]]
    finally:
        real.config_set("notify-keyspace-events", "")


def test_client_list_and_info(proxy, conn):
    with RespConn.to(proxy) as hears:
        hears.cmd("CLIENT", "SETNAME", "hearing")
        for command in (("SUBSCRIBE", "a", "b"), ("PSUBSCRIBE", "p*"), ("SSUBSCRIBE", "s")):
            hears.send_cmd(*command)
            for _ in command[1:]:
                hears.read()
        lines = eventually(lambda: len(found := conn.cmd("CLIENT", "LIST", "TYPE", "pubsub").decode().splitlines()) == 1 and found)
        assert " name=hearing " in lines[0]
        assert " flags=P " in lines[0] and " sub=2 psub=1 ssub=1 " in lines[0]
        assert b"name=hearing" not in conn.cmd("CLIENT", "LIST", "TYPE", "normal")
        eventually(lambda: b"pubsub_channels:2\r\npubsub_patterns:1\r\n" in conn.cmd("INFO", "stats"))
        eventually(lambda: b"convproxy_pubsub_subscriptions:4\r\n" in conn.cmd("INFO", "convproxy"))
        assert conn.cmd("CLIENT", "KILL", "TYPE", "pubsub") == 1
        assert hears.closed()


def test_silent_subscribers_are_not_idle(redis_server, make_proxy):
    proxy = make_proxy(redis_server.url, settings={**PROXY_SETTINGS, "proxy.idle_timeout": "1s"}).start()
    with RespConn.to(proxy) as hears, RespConn.to(proxy) as idle, redis.Redis(port=redis_server.port) as real:
        hears.cmd("SUBSCRIBE", "quiet")
        idle.cmd("PING")
        assert idle.closed()
        assert real.publish("quiet", "still there") == 1
        assert hears.read() == [b"message", b"quiet", b"still there"]


def test_a_takeover_closes_subscribers_in_order(fresh_redis, make_proxy, tmp_path):
    """They come again, to the new process: a gap in their messages that they could not see would be worse."""
    proxy = make_proxy(fresh_redis.url, settings={"proxy.handover": tmp_path / "handover.sock", "proxy.threads": 2}).start()
    with RespConn.to(proxy) as hears, RespConn.to(proxy) as other:
        hears.cmd("SUBSCRIBE", "c")
        assert other.cmd("PUBLISH", "c", "old") == 1 and hears.read() == [b"message", b"c", b"old"]
        take_over(proxy)
        assert hears.closed()
        assert other.cmd("PUBLISH", "c", "nobody") == 0
        with RespConn.to(proxy) as again:
            again.cmd("SUBSCRIBE", "c")
            assert other.cmd("PUBLISH", "c", "new") == 1 and again.read() == [b"message", b"c", b"new"]


def test_a_stop_ends_subscribers_at_once_when_there_is_no_time(redis_server, tmp_path):
    proxy = Proxy(tmp_path, redis_server.url, settings={**PROXY_SETTINGS, "proxy.drain_time": "0s"}).start()
    clients = subscribed(proxy, 10, "c")
    proxy.stop()
    assert all(client.closed() for client in clients)


# ---- client libraries ----


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py(proxy, protocol):
    with proxy.client(protocol=protocol, decode_responses=True) as client:
        heard = []
        hub = client.pubsub()
        hub.subscribe(**{"py": lambda m: heard.append(m["data"])})
        hub.psubscribe("py:*")
        kinds = [hub.get_message(timeout=5)["type"] for _ in range(2)]
        assert kinds == ["subscribe", "psubscribe"]
        assert client.publish("py", "one") == 1 and client.publish("py:2", "two") == 1
        got = eventually(lambda: (m := hub.get_message(timeout=1)) and m, timeout=5)
        assert heard == ["one"] and (got["pattern"], got["channel"], got["data"]) == ("py:*", "py:2", "two")
        if protocol == 2:
            hub.ping("are you there")
            assert eventually(lambda: (m := hub.get_message(timeout=1)) and m)["data"] == "are you there"
        hub.unsubscribe()
        hub.punsubscribe()
        assert {hub.get_message(timeout=5)["type"] for _ in range(2)} == {"unsubscribe", "punsubscribe"}
        hub.close()


@pytest.mark.skipif(why_no_node() is not None, reason=str(why_no_node()))
@pytest.mark.parametrize("protocol", [2, 3])
def test_ioredis(proxy, protocol):
    command = ["node", "ioredis_pubsub.js", proxy.host, str(proxy.port), str(protocol)]
    run = subprocess.run(command, cwd=CLIENTS, capture_output=True, text=True, timeout=50, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.splitlines()[-1] == "ok"
