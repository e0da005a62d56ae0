"""Redis goes away, hangs, comes back, or refuses: clients stay connected and each command gets its one answer. Most is about a
proxy that has no archive; what an archive does not change is tried with one, too. Take-overs: test_failover.

CONV_LONG=1 adds the outage that is longer than a connection nobody wants is kept."""
import asyncio
import os
import socket
import struct
import time

import pytest
from harness import Proxy, RedisServer, RespConn, RespError, eventually, free_port
from harness.aio import AsyncConn

pytestmark = [pytest.mark.sanitize, pytest.mark.managed]

PROXY_CONFIG = {"policies": [{"name": "conv", "match": "conv:*", "ttl": "1h", "max_messages": 0}]}
PROXY_SETTINGS = {"proxy.threads": 2, "archive.url": ""}
WITH_ARCHIVE = {"proxy.threads": 2, "failover.return_after": "100ms", "redis.probe_interval": "50ms"}
DOWN = "REDISDOWN "


@pytest.fixture(params=[PROXY_SETTINGS, WITH_ARCHIVE], ids=["alone", "archive"])
def either(request):
    """Settings of a proxy without and with an archive."""
    return request.param


@pytest.fixture
def either_proxy(fresh_redis, make_proxy, either):
    proxy = make_proxy(fresh_redis.url, PROXY_CONFIG, settings=either).start()
    eventually(lambda: proxy.metrics().get('conv_phase{phase="redis",policy="conv"}', 1) == 1)
    return proxy


def persist_errors(proxy, reason):
    return proxy.metrics()[f'history_persist_errors_total{{policy="conv",reason="{reason}",store="redis"}}']


def is_down(reply):
    return isinstance(reply, RespError) and reply.startswith(DOWN)


def ask(proxy, *args):
    with RespConn.to(proxy, timeout=10) as conn:
        return conn.cmd(*args)


def up_again(proxy, *args):
    """Waits until the command is not refused any more; the seconds that took."""
    start = time.monotonic()
    with RespConn.to(proxy, timeout=10) as conn:
        eventually(lambda: not isinstance(conn.cmd(*args), RespError), timeout=10, interval=0.005)
    return time.monotonic() - start


# ---- load ----


class Writer:
    """One client that counts: each kind of command has numbers that no other kind can answer."""

    STEP = 1_000_003

    def __init__(self, number):
        self.number, self.sent, self.acked, self.refused = number, 0, 0, 0
        self.counts = {"a": 0, "b": 0, "list": 0}

    def pipeline(self):
        n = self.number
        return [
            ("INCRBY", f"a:{n}", 1),
            ("ECHO", f"{n}:{self.sent}"),
            ("INCRBY", f"b:{n}", self.STEP),
            ("RPUSH", f"conv:{n}", f"{n}:{self.sent}"),
        ]

    def _count(self, kind, reply, step, after_loss):
        if isinstance(reply, RespError):
            assert reply.startswith((DOWN, "LOADING ")), reply
            self.refused += 1
            return
        value = reply // step
        assert reply % step == 0 and value > self.counts[kind], f"{kind}: {reply} after {self.counts[kind] * step}"
        assert value == self.counts[kind] + 1 or after_loss, f"{kind}: {reply}: nothing was refused, yet something is new"
        self.counts[kind] = value
        self.acked += 1

    async def run(self, proxy, state):
        conn = await AsyncConn.to(proxy)
        while not state["over"]:
            before = self.refused
            replies = await conn.pipeline(*self.pipeline())
            assert replies[1] == f"{self.number}:{self.sent}".encode(), replies
            for kind, at, step in (("a", 0, 1), ("b", 2, self.STEP), ("list", 3, 1)):
                self._count(kind, replies[at], step, after_loss=self.refused > 0)
            self.sent += 1
            if self.refused > before:
                await asyncio.sleep(0.01)
        assert await conn.cmd("PING") == "PONG" and not conn.buffer, "more replies than requests"
        conn.close()


async def load_through(proxy, clients, disturb):
    state, writers = {"over": False}, [Writer(n) for n in range(clients)]

    async def disturbing():
        try:
            await asyncio.to_thread(disturb)
        finally:
            state["over"] = True

    async with asyncio.TaskGroup() as group:
        for writer in writers:
            group.create_task(writer.run(proxy, state))
        group.create_task(disturbing())
    return writers


def acked_enough(redis, key, least):
    def enough():
        return int(redis.client().get(key) or 0) >= least

    return eventually(enough, timeout=20)


def test_killed_and_restarted_under_load(tmp_path, make_proxy):
    """kill -9 three times with 50 clients: what was acknowledged is there, what was refused is there at most once."""
    redis = RedisServer(tmp_path, args=["--appendonly", "yes", "--appendfsync", "no"]).start()
    proxy = make_proxy(redis.url, PROXY_CONFIG, settings={**PROXY_SETTINGS, "redis.timeout": "2s"}).start()

    def disturb():
        for _ in range(3):
            acked_enough(redis, "a:7", int(redis.client().get("a:7") or 0) + 10)
            redis.kill()
            eventually(lambda: is_down(ask(proxy, "GET", "x")))
            redis.start()
            eventually(lambda: not isinstance(ask(proxy, "GET", "x"), RespError))
        acked_enough(redis, "a:7", int(redis.client().get("a:7")) + 10)

    try:
        writers = asyncio.run(load_through(proxy, 50, disturb))
        assert proxy.metrics()["convproxy_clients_accepted_total"] >= 50
        client = redis.client()
        for writer in writers:
            n = writer.number
            stored = {"a": int(client.get(f"a:{n}")), "b": int(client.get(f"b:{n}")) // Writer.STEP}
            messages = client.lrange(f"conv:{n}", 0, -1)
            assert len(messages) == len(set(messages)), "a message is there twice"
            stored["list"] = len(messages)
            for kind, count in stored.items():
                assert writer.counts[kind] <= count <= writer.sent, f"client {n}, {kind}: {count}"
        print(f"{sum(w.acked for w in writers)} acknowledged, {sum(w.refused for w in writers)} refused")
        assert all(w.refused > 0 for w in writers)
        assert persist_errors(proxy, "redisdown") > 0
        proxy.log_contains(r"event=persist_error policy=conv store=redis reason=redisdown count=\d+")
    finally:
        redis.kill()


def test_back_within_a_second(fresh_redis, fresh_proxy):
    """Also after an outage long enough for the longest pause between attempts."""
    with RespConn.to(fresh_proxy) as conn:
        assert conn.cmd("SET", "conv:k", "v") == "OK"
        for _ in range(3):
            fresh_redis.kill()
            attempts = fresh_proxy.metrics()["convproxy_redis_reconnect_attempts"]
            eventually(lambda: is_down(conn.cmd("GET", "conv:k")))
            eventually(lambda: fresh_proxy.metrics()["convproxy_redis_reconnect_attempts"] > attempts + 3, timeout=10)
            fresh_redis.start()
            took = up_again(fresh_proxy, "SET", "conv:k", "v")
            print(f"served {took * 1000:.0f} ms after Redis")
            assert took < 1.0
            eventually(lambda: conn.cmd("SET", "conv:k", "v") == "OK", timeout=1)


@pytest.mark.skipif(not os.environ.get("CONV_LONG"), reason="takes 75 s: CONV_LONG=1")
@pytest.mark.timeout(150)
@pytest.mark.parametrize("asking", [True, False])
def test_back_after_a_long_outage(fresh_redis, fresh_proxy, asking):
    """Longer than an unwanted connection is kept; clients that were refused all the time count as wanting it."""
    assert ask(fresh_proxy, "SET", "k", "v") == "OK"
    fresh_redis.kill()
    eventually(lambda: is_down(ask(fresh_proxy, "GET", "k")))
    end = time.monotonic() + 70
    while time.monotonic() < end:
        time.sleep(1)  # an outage is time that passes
        if asking:
            assert is_down(ask(fresh_proxy, "GET", "k"))
    fresh_redis.start()
    assert up_again(fresh_proxy, "GET", "k") < 1.0


# ---- Redis hangs ----


def timed(conn, *args):
    start = time.monotonic()
    reply = conn.cmd(*args)
    return reply, time.monotonic() - start


def test_frozen_redis_answers_in_time_and_nobody_gets_late_replies(tmp_path, fresh_redis, make_proxy):
    proxy = make_proxy(fresh_redis.url, PROXY_CONFIG, settings={**PROXY_SETTINGS, "redis.timeout": "300ms"}).start()
    conns = [RespConn.to(proxy, timeout=10) for _ in range(10)]
    for n, conn in enumerate(conns):
        assert conn.cmd("SET", f"k{n}", f"old {n}") == "OK"
        assert conn.cmd("SET", f"conv:k{n}", f"old {n}") == "OK"
    fresh_redis.pause()
    start = time.monotonic()
    for n, conn in enumerate(conns):
        conn.send(b"".join(b"GET k%d\r\nECHO %d\r\nSET conv:k%d new\r\n" % (n, i, n) for i in range(20)))
    for conn in conns:  # a deadline belongs to a request: the 60th is not later than the first (pitfall 2)
        replies = [conn.read() for _ in range(60)]
        assert all(is_down(r) for at, r in enumerate(replies) if at % 3 != 1)
        assert replies[1::3] == [b"%d" % i for i in range(20)]
        assert all("did not answer within" in r for r in replies[0::3])
    took = time.monotonic() - start
    print(f"all answered after {took * 1000:.0f} ms")
    assert 0.25 < took < 0.8
    for _ in range(3):
        reply, took = timed(conns[0], "GET", "k0")
        assert is_down(reply) and took < 0.8
    assert persist_errors(proxy, "timeout") > 0 and proxy.metrics()["convproxy_upstream_timeouts_total"] > 0
    proxy.log_contains("event=persist_error policy=conv store=redis reason=timeout")
    fresh_redis.resume()
    up_again(proxy, "GET", "k0")
    for n, conn in enumerate(conns):
        eventually(lambda conn=conn, n=n: conn.cmd("GET", f"k{n}") == b"old %d" % n)
        assert conn.cmd("ECHO", f"end {n}") == f"end {n}".encode() and not conn.buffer
        conn.close()


def test_slow_command_does_not_delay_the_others(tmp_path, make_proxy, either):
    """A script that holds Redis longer than redis.timeout: fast commands are told in time, the script gets its reply."""
    redis = RedisServer(tmp_path, args=["--enable-debug-command", "yes"]).start()
    proxy = make_proxy(redis.url, PROXY_CONFIG, settings={**either, "redis.timeout": "200ms"}).start()
    try:
        with RespConn.to(proxy, timeout=10) as slow, RespConn.to(proxy, timeout=10) as fast:
            assert fast.cmd("SET", "k", "v") == "OK"
            slow.send_cmd("DEBUG", "SLEEP", "1")
            eventually(lambda: is_down(fast.cmd("GET", "k")), timeout=2)
            assert slow.read() == "OK"
            eventually(lambda: fast.cmd("GET", "k") == b"v")
            assert fast.cmd("ECHO", "end") == b"end" and not fast.buffer and not slow.buffer
    finally:
        redis.kill()


# ---- no Redis yet ----


def test_proxy_without_redis(tmp_path, make_proxy):
    port = free_port()
    proxy = make_proxy(f"redis://127.0.0.1:{port}/0", PROXY_CONFIG, settings=PROXY_SETTINGS).start()
    with RespConn.to(proxy) as conn:
        assert conn.cmd("PING") == "PONG" and conn.cmd("PING", "hi") == b"hi" and conn.cmd("ECHO", "hi") == b"hi"
        assert conn.cmd("SELECT", 3) == "OK" and "out of range" in conn.cmd("SELECT", 16)
        assert conn.cmd("CLIENT", "SETNAME", "me") == "OK" and conn.cmd("CLIENT", "GETNAME") == b"me"
        assert conn.cmd("CLIENT", "ID") > 0 and b"name=me" in conn.cmd("CLIENT", "LIST")
        assert b"# Convproxy" in conn.cmd("INFO") and b"redis_version:" in conn.cmd("INFO", "server")
        assert conn.cmd("CONFIG", "GET", "conv.ttl") == [b"conv.ttl", b"1h"]
        assert conn.cmd("CONFIG", "SET", "conv.ttl", "7200") == "OK"
        hello = conn.cmd("HELLO", 3)
        assert hello[b"proto"] == 3 and hello[b"server"] == b"redis"
        assert conn.cmd("CLIENT", "SETINFO", "LIB-NAME", "me") == "OK"
        for command in (["GET", "k"], ["SET", "k", "v"], ["RPUSH", "l", "v"], ["EVAL", "return 1", 0]):
            eventually(lambda command=command: is_down(conn.cmd(*command)))
        replies = conn.pipeline(["MULTI"], ["SET", "k", "v"], ["EXEC"], ["ECHO", "x"])
        assert replies[:2] == ["OK", "QUEUED"] and is_down(replies[2]) and replies[3] == b"x"
        assert proxy.http("/readyz")[0] == 200
        redis = RedisServer(tmp_path, port=port).start()
        try:
            took = up_again(proxy, "SET", "k", "v")
            print(f"served {took * 1000:.0f} ms after Redis")
            assert took < 1.0
            eventually(lambda: conn.cmd("GET", "k") is None)
            eventually(lambda: conn.cmd("SET", "conv:k", "v") == "OK" and redis.client(db=3).get("conv:k") == b"v")
            eventually(lambda: proxy.http("/healthz")[0] == 200)
        finally:
            redis.kill()


# ---- Redis refuses ----


def test_password(tmp_path, make_proxy):
    redis = RedisServer(tmp_path, args=["--requirepass", "right"]).start()
    try:
        none, wrong, right = (
            make_proxy(redis.url, PROXY_CONFIG, settings={**PROXY_SETTINGS, **extra}).start()
            for extra in ({}, {"redis.password": "wrong"}, {"redis.password": "right"})
        )
        url = make_proxy(redis.url.replace("//", "//default:right@"), PROXY_CONFIG).start()
        for proxy, word in ((none, "NOAUTH"), (wrong, "WRONGPASS")):
            for protocol in (2, 3):
                with RespConn.to(proxy) as conn:
                    assert isinstance(conn.cmd("HELLO", protocol), (dict, list))
                    reply = eventually(lambda conn=conn: (r := conn.cmd("GET", "k")) and is_down(r) and r)
                    assert word in reply and "right" not in reply and "wrong" not in reply
        for proxy in (right, url):
            for protocol in (2, 3):
                with RespConn.to(proxy) as conn:
                    conn.cmd("HELLO", protocol)
                    assert conn.cmd("SET", "conv:k", "v") == "OK"
        assert ask(wrong, "CONFIG", "SET", "redis.password", "right") == "OK"
        assert up_again(wrong, "GET", "k") < 1.0
        assert b"right" not in ask(wrong, "CONFIG", "GET", "redis.password")[1]
        for proxy in (none, wrong, right, url):
            assert "password=right" not in proxy.log_text() and "password=wrong" not in proxy.log_text()
    finally:
        redis.kill()


def test_loading(tmp_path, make_proxy):
    """While Redis loads its data it can be connected to, but not asked."""
    redis = RedisServer(tmp_path).start()
    proxy = make_proxy(redis.url, PROXY_CONFIG, settings=PROXY_SETTINGS).start()
    try:
        assert ask(proxy, "SET", "conv:k", "v") == "OK"
        redis.client().execute_command("EVAL", "for i = 1, 3000 do redis.call('SET', 'fill:' .. i, i) end", 0)
        redis.client().save()
        redis.kill()
        redis.args = ["--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024"]
        redis.start(wait=False)
        with RespConn.to(proxy) as conn:
            reply = eventually(lambda: (r := conn.cmd("RPUSH", "conv:l", "v")) and "LOADING" in str(r) and r)
            assert isinstance(reply, RespError) and reply.startswith(("LOADING ", DOWN))
            assert conn.cmd("PING") == "PONG"
            eventually(lambda: proxy.metrics()["redis_up"] == 0)
            eventually(lambda: conn.cmd("GET", "conv:k") == b"v", timeout=20)
            assert conn.cmd("RPUSH", "conv:l", "v") == 1, "what was refused while loading was not kept for later"
        eventually(lambda: proxy.metrics()["redis_up"] == 1)
        assert persist_errors(proxy, "loading") + persist_errors(proxy, "redisdown") > 0
    finally:
        redis.kill()


def test_readonly_replica(tmp_path, make_proxy):
    redis = RedisServer(tmp_path, args=["--replicaof", "127.0.0.1", str(free_port())]).start()
    proxy = make_proxy(redis.url, PROXY_CONFIG, settings=PROXY_SETTINGS).start()
    try:
        with RespConn.to(proxy) as conn, RespConn.to(redis) as direct:
            refused = direct.cmd("SET", "k", "v")
            assert refused.startswith("READONLY ")
            assert conn.cmd("GET", "conv:k") is None
            for command in (["SET", "k", "v"], ["SET", "conv:k", "v"], ["RPUSH", "conv:k", "v"], ["DEL", "conv:k"]):
                assert conn.cmd(*command) == refused, command
            assert isinstance(conn.cmd("LPOP", "conv:k"), RespError)
            assert persist_errors(proxy, "readonly") >= 3
            proxy.log_contains("event=persist_error policy=conv store=redis reason=readonly")
            eventually(lambda: proxy.metrics()["redis_up"] == 0)
    finally:
        redis.kill()


def test_out_of_memory(fresh_redis, either_proxy):
    """-OOM in Redis's words; nothing is half done; what gives memory back still works on managed keys."""
    real = fresh_redis.client(decode_responses=True)
    with RespConn.to(either_proxy) as conn, RespConn.to(fresh_redis) as direct:
        assert conn.cmd("RPUSH", "conv:l", "a", "b", "c") == 3 and conn.cmd("SET", "conv:s", "v") == "OK"
        assert conn.cmd("HSET", "conv:h", "f", "v") == 1
        real.pexpire("conv:l", 500_000)
        expiry = real.pexpiretime("conv:l")
        real.config_set("maxmemory", 1)
        refused = direct.cmd("RPUSH", "other", "v")
        assert refused.startswith("OOM ")
        commands = (["RPUSH", "conv:l", "d"], ["LPUSH", "conv:l", "d"], ["SET", "conv:s", "w"], ["HSET", "conv:h", "f", "w"])
        for command in commands:
            assert conn.cmd(*command) == refused, command
        assert persist_errors(either_proxy, "oom") == len(commands)
        transaction = conn.pipeline(["MULTI"], ["RPUSH", "conv:l", "d"], ["EXEC"])
        print(transaction)
        assert isinstance(transaction[2], RespError) and transaction[2].startswith(("OOM ", "EXECABORT "))
        assert real.lrange("conv:l", 0, -1) == ["a", "b", "c"] and real.pexpiretime("conv:l") == expiry
        assert real.get("conv:s") == "v" and real.hgetall("conv:h") == {"f": "v"}
        assert conn.cmd("LRANGE", "conv:l", 0, -1) == [b"a", b"b", b"c"]
        assert conn.cmd("LPOP", "conv:l") == b"a" and conn.cmd("RPOP", "conv:l", 1) == [b"c"]
        assert conn.cmd("HDEL", "conv:h", "f") == 1 and conn.cmd("EXPIRE", "conv:l", 100) == 1
        assert conn.cmd("DEL", "conv:l", "conv:s") == 2
        assert [key for key in real.keys() if not key.startswith("cvp:")] == []
        either_proxy.log_contains("event=persist_error policy=conv store=redis reason=oom")
        real.config_set("maxmemory", 0)
        assert conn.cmd("RPUSH", "conv:l", "d") == 1


# ---- WATCH and connections of its own ----


def test_more_watchers_than_connects_a_second(fresh_redis, make_proxy, either):
    """Every WATCH needs a connection, and only 50 a second may be made (pitfall 5): late ones are late, not lost."""
    settings = {**either, "redis.timeout": "3s", "redis.pinned_max": 200}
    proxy = make_proxy(fresh_redis.url, PROXY_CONFIG, settings=settings).start()
    eventually(lambda: proxy.metrics().get('conv_phase{phase="redis",policy="conv"}', 1) == 1)  # a change of place ends watches

    async def watch(conn, n):
        return await conn.pipeline(["WATCH", f"k{n}"], ["GET", f"k{n}"], ["MULTI"], ["SET", f"k{n}", n], ["EXEC"])

    async def all_at_once():
        conns = [await AsyncConn.to(proxy) for _ in range(120)]
        for n, conn in enumerate(conns):
            await conn.send_cmd("WATCH", f"k{n}")
        assert [await conn.read() for conn in conns] == ["OK"] * 120
        return await asyncio.gather(*(watch(conn, n) for n, conn in enumerate(conns)))

    assert asyncio.run(all_at_once()) == [["OK", None, "OK", "QUEUED", ["OK"]]] * 120


def test_watch_of_a_client_that_left_does_not_reach_the_next(fresh_redis, make_proxy):
    """The connection that a WATCH was waiting for is lent again without that WATCH."""
    proxy = make_proxy(fresh_redis.url, PROXY_CONFIG, settings={"proxy.threads": 1, "redis.timeout": "5s"}).start()
    with RespConn.to(proxy) as other:
        assert other.cmd("SET", "left", 1) == "OK"
        proxy.pause()  # so that WATCH and the end of its client are seen in one turn, before there is a connection
        with RespConn.to(proxy) as gone:
            gone.send_cmd("WATCH", "left")
            gone.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # RST: it waits for nothing
        proxy.resume()
        eventually(lambda: proxy.metrics()["convproxy_clients_connected"] == 1)
        with RespConn.to(proxy) as conn:
            assert conn.cmd("WATCH", "mine") == "OK"
            assert other.cmd("SET", "left", 2) == "OK"
            assert conn.pipeline(["MULTI"], ["SET", "mine", 1], ["EXEC"])[2] == ["OK"]


def test_watch_does_not_survive_its_connection(fresh_redis, either_proxy):
    """A lost connection watches nothing: EXEC answers as if the key had been touched, never as if all were well."""
    for protocol in (2, 3):
        with RespConn.to(either_proxy) as conn:
            conn.cmd("HELLO", protocol)
            assert conn.cmd("WATCH", "conv:w") == "OK"
            fresh_redis.cli("CLIENT", "KILL", "TYPE", "normal")
            assert ask(either_proxy, "SET", "conv:w", "changed meanwhile") == "OK"
            assert conn.pipeline(["MULTI"], ["SET", "conv:w", "lost update"], ["EXEC"])[2] is None
            assert conn.cmd("GET", "conv:w") == b"changed meanwhile"
            eventually(lambda: either_proxy.metrics()["convproxy_upstream_pinned_connections"] == 0)


def test_a_refused_watch_lends_nothing(fresh_redis, either_proxy):
    """EXEC after it does nothing, and a client that forgets about it goes back to the shared connection."""
    with RespConn.to(either_proxy) as exec_conn, RespConn.to(either_proxy) as conn:
        fresh_redis.kill()
        for watcher in (exec_conn, conn):
            assert is_down(watcher.cmd("WATCH", "k"))
        fresh_redis.start()
        up_again(either_proxy, "GET", "k")
        assert exec_conn.pipeline(["MULTI"], ["SET", "k", "v"], ["EXEC"])[2] is None
        eventually(lambda: conn.cmd("GET", "k") is None)
        eventually(lambda: either_proxy.metrics()["convproxy_upstream_pinned_connections"] == 0)


@pytest.mark.parametrize("state", ["idle", "in flight", "in MULTI", "watching", "half a reply"])
def test_connections_cut_in_every_state(fresh_redis, either_proxy, state):
    """CLIENT KILL on Redis: an error where an answer was due, and the client goes on (pitfall 19)."""
    fresh_redis.client().set("huge", "v" * 30_000_000)
    with RespConn.to(either_proxy, timeout=10) as conn, RespConn.to(either_proxy) as other:
        assert conn.cmd("SET", "k", "v") == "OK"
        if state == "in flight":
            fresh_redis.pause()
            conn.send_cmd("GET", "k")
            eventually(lambda: either_proxy.metrics()["convproxy_requests_total"] >= 2)
        elif state == "in MULTI":
            assert conn.pipeline(["MULTI"], ["SET", "k", "w"]) == ["OK", "QUEUED"]
        elif state == "watching":
            assert conn.cmd("WATCH", "k") == "OK"
        elif state == "half a reply":
            conn.send_cmd("GET", "huge")
            eventually(lambda: either_proxy.metrics()["convproxy_buffered_bytes"] > 1_000_000)
            eventually(lambda: either_proxy.metrics()["convproxy_bytes_out_total"] > 0)
        fresh_redis.kill()
        if state == "half a reply":
            with pytest.raises((ConnectionError, TimeoutError)):
                assert len(conn.read()) == 30_000_000
                raise ConnectionError  # all of it had come in before the cut
        elif state == "in flight":
            assert is_down(conn.read())
        fresh_redis.start()
        if state == "in MULTI":
            reply = conn.cmd("EXEC")  # the commands waited in the proxy: Redis did not know of them
            assert reply == ["OK"] or is_down(reply)
        for client in (other,) if state == "half a reply" else (conn, other):
            eventually(lambda client=client: not is_down(client.cmd("GET", "k")))
            assert client.cmd("ECHO", "end") == b"end" and not client.buffer


def test_proxy_ends_while_redis_is_gone(tmp_path, fresh_redis, either):
    """SIGTERM with requests in flight to a frozen Redis: an end in time, with exit code 0."""
    proxy = Proxy(tmp_path, fresh_redis.url, PROXY_CONFIG, settings={**either, "proxy.drain_time": "1s"}).start()
    with RespConn.to(proxy) as conn:
        assert conn.cmd("SET", "k", "v") == "OK"
        fresh_redis.pause()
        conn.send_cmd("GET", "k")
        eventually(lambda: proxy.metrics()["convproxy_requests_total"] >= 2)
        start = time.monotonic()
        proxy.stop()
        assert time.monotonic() - start < 5
    fresh_redis.resume()


# ---- with an archive ----


def phase(proxy, name):
    return proxy.metrics()[f'conv_phase{{phase="{name}",policy="conv"}}'] == 1


@pytest.fixture
def with_archive(fresh_redis, make_proxy):
    proxy = make_proxy(fresh_redis.url, PROXY_CONFIG, settings={**WITH_ARCHIVE, "redis.timeout": "300ms"}).start()
    eventually(lambda: phase(proxy, "redis"))
    return proxy


def test_other_databases_are_not_asked_of_the_archive(fresh_redis, with_archive):
    """It has database 0 only: who asks in another while Redis is lost is told so, and never gets the key of the same name."""
    with RespConn.to(with_archive, timeout=10) as zero, RespConn.to(with_archive, timeout=10) as one:
        assert zero.cmd("SET", "conv:k", "of database 0") == "OK"
        assert one.pipeline(["SELECT", 1], ["SET", "conv:k", "of database 1"]) == ["OK", "OK"]
        fresh_redis.pause()
        one.send_cmd("GET", "conv:k")
        zero.send_cmd("GET", "conv:k")
        assert zero.read() == b"of database 0"
        assert is_down(one.read())
        eventually(lambda: phase(with_archive, "archive"))
        assert one.cmd("GET", "conv:k") == "ERR the archive serves database 0 only"
        fresh_redis.resume()
        eventually(lambda: phase(with_archive, "redis"), timeout=10)
        eventually(lambda: one.cmd("GET", "conv:k") == b"of database 1")


def test_a_frozen_redis_is_replaced(fresh_redis, with_archive):
    """What was under way when it froze is answered by the archive, once each; only keys of no policy are refused."""
    conns = [RespConn.to(with_archive, timeout=10) for _ in range(10)]
    for n, conn in enumerate(conns):
        assert conn.pipeline(("SET", f"k{n}", f"old {n}"), ("RPUSH", f"conv:l{n}", "old")) == ["OK", 1]
    fresh_redis.pause()
    start = time.monotonic()
    for n, conn in enumerate(conns):
        conn.send(b"".join(b"GET k%d\r\nECHO %d\r\nRPUSH conv:l%d %d\r\n" % (n, i, n, i) for i in range(20)))
    for conn in conns:
        replies = [conn.read() for _ in range(60)]
        assert all(is_down(reply) for reply in replies[0::3])
        assert replies[1::3] == [b"%d" % i for i in range(20)] and replies[2::3] == list(range(2, 22))
    took = time.monotonic() - start
    print(f"all answered after {took * 1000:.0f} ms")
    assert took < 2.0
    fresh_redis.resume()
    eventually(lambda: phase(with_archive, "redis"), timeout=10)
    for n, conn in enumerate(conns):
        kept = [b"old"] + [b"%d" % i for i in range(20)]
        assert conn.cmd("LRANGE", f"conv:l{n}", 0, -1) == kept == fresh_redis.client().lrange(f"conv:l{n}", 0, -1)
        eventually(lambda conn=conn, n=n: conn.cmd("GET", f"k{n}") == b"old %d" % n)
        conn.close()


def test_a_redis_that_refuses_writes_is_replaced(fresh_redis, with_archive):
    """It has become a replica: READONLY, until that is noticed. It gets what was written meanwhile when it is a master again."""
    direct = fresh_redis.client()
    with RespConn.to(with_archive, timeout=10) as conn:
        assert conn.cmd("RPUSH", "conv:l", "before") == 1
        direct.replicaof("127.0.0.1", free_port())

        def pushed():
            reply = conn.cmd("RPUSH", "conv:l", "meanwhile")
            assert reply == 2 or reply.startswith("READONLY "), reply
            return reply == 2

        eventually(pushed)
        assert phase(with_archive, "archive")
        assert conn.cmd("SET", "k", "v").startswith("READONLY ")
        direct.replicaof("NO", "ONE")
        eventually(lambda: phase(with_archive, "redis"), timeout=10)
        assert conn.cmd("LRANGE", "conv:l", 0, -1) == [b"before", b"meanwhile"] == direct.lrange("conv:l", 0, -1)
