"""Clients that do not read, do not speak, or speak too much: memory is bounded, and the others notice nothing."""
import asyncio
import os
import resource
import socket
import struct
import threading
import time

import pytest
from harness import RedisServer, RespConn, RespError, eventually
from harness.aio import AsyncConn
from harness.resp import encode

MB = 1 << 20
PROXY_SETTINGS = {"proxy.threads": 2, "redis.timeout": "5s", "redis.connect_timeout": "5s"}
CROWD = 10_000

pytestmark = pytest.mark.managed


def narrow(endpoint, timeout=20.0):
    """A connection whose receive buffer is as small as the kernel lets it be."""
    conn = RespConn.__new__(RespConn)
    conn.sock, conn.buffer = socket.socket(), bytearray()
    conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    conn.sock.settimeout(timeout)
    conn.sock.connect((endpoint.host, endpoint.port))
    return conn


def buffered(proxy):
    return proxy.metrics()["convproxy_buffered_bytes"]


def milliseconds(conn, rounds=50):
    """The slowest of some GETs."""
    worst = 0.0
    for _ in range(rounds):
        start = time.monotonic()
        assert conn.cmd("GET", "small") == b"v"
        worst = max(worst, time.monotonic() - start)
    return worst * 1000


@pytest.fixture
def values(real):
    """One large value, every byte range of which is different, and a small one."""
    big = b"".join(b"%08d" % n for n in range(MB // 8))
    real.set("big", big)
    real.set("small", "v")
    return big


# ---- replies that nobody reads ----


def test_an_unread_pipeline_waits_in_the_sockets(proxy, values):
    """50 MB of replies wanted, nothing read: requests are not taken any more, so that a few MB are held; then every
    reply comes, in order. (More than output_hard at once would close the client: see the next test.)"""
    with narrow(proxy) as slow, RespConn.to(proxy) as other:
        paused = proxy.metrics()["convproxy_backpressure_pauses_total"]
        slow.send(encode("GET", "big") * 10)
        eventually(lambda: proxy.metrics()["convproxy_backpressure_pauses_total"] > paused)
        for n in range(40):
            slow.send(encode("ECHO", n) + encode("GET", "big"))
        held = buffered(proxy)
        print(f"{held / MB:.1f} MB held, others wait {milliseconds(other):.1f} ms at most")
        assert held < 12 * MB
        assert [slow.read() for _ in range(10)] == [values] * 10
        for n in range(40):
            assert slow.read() == b"%d" % n and slow.read() == values
    eventually(lambda: buffered(proxy) < MB // 2)


def test_output_hard_closes_and_tells(proxy, conn, values):
    """A pipeline of 1 MB replies that was read in one go cannot be held back: at output_hard the client is closed."""
    metrics = proxy.metrics()
    resident = metrics["process_resident_memory_bytes"]
    assert conn.cmd("CONFIG", "SET", "proxy.output_soft", "4mb", "proxy.output_hard", "8mb") == "OK"
    try:
        with narrow(proxy) as slow:
            port = slow.sock.getsockname()[1]
            slow.send(encode("GET", "big") * 60)
            closed = "convproxy_clients_output_closed_total"
            eventually(lambda: proxy.metrics()[closed] == metrics[closed] + 1)
            proxy.log_contains(rf"event=client_closed client=127\.0\.0\.1:{port} reason=output_hard unread_bytes=[89]\d{{6}}")
            with pytest.raises(ConnectionError):
                for _ in range(60):
                    assert slow.read() == values
        assert milliseconds(conn) < 1000
        eventually(lambda: buffered(proxy) < MB // 2)
        assert proxy.metrics()["process_resident_memory_bytes"] - resident < 24 * MB
    finally:
        assert conn.cmd("CONFIG", "SET", "proxy.output_hard", "64mb", "proxy.output_soft", "16mb") == "OK"


def test_output_soft_closes_after_its_time(proxy, conn, values):
    assert conn.cmd("CONFIG", "SET", "proxy.output_soft", "1mb", "proxy.output_soft_time", "1s") == "OK"
    try:
        before = proxy.metrics()["convproxy_clients_output_closed_total"]
        with narrow(proxy) as slow, narrow(proxy) as reader:
            for client in (slow, reader):
                client.send(encode("GET", "big") * 8)
            assert [reader.read() for _ in range(8)] == [values] * 8
            proxy.log_contains(r"event=client_closed client=\S+ reason=output_soft", timeout=10)
            assert reader.cmd("GET", "small") == b"v"
        assert proxy.metrics()["convproxy_clients_output_closed_total"] == before + 1
    finally:
        assert conn.cmd("CONFIG", "SET", "proxy.output_soft", "16mb", "proxy.output_soft_time", "60s") == "OK"


def test_many_slow_readers_share_the_memory_limit(redis_server, make_proxy, real, values):
    """40 clients that read nothing: together they hold what back-pressure leaves each, and the proxy goes on."""
    proxy = make_proxy(redis_server.url, settings=PROXY_SETTINGS).start()
    slow = [narrow(proxy) for _ in range(40)]
    for client in slow:
        client.send(encode("GET", "big") * 4)
    with RespConn.to(proxy) as other:
        eventually(lambda: proxy.metrics()["convproxy_backpressure_pauses_total"] >= 40)
        held = buffered(proxy)
        print(f"{held / MB:.0f} MB held for 40 clients, others wait {milliseconds(other):.1f} ms at most")
        assert held < 40 * 5 * MB
    for client in slow:
        client.close()
    eventually(lambda: buffered(proxy) < MB)


def test_at_max_memory_large_requests_are_refused(redis_server, make_proxy, real, values):
    proxy = make_proxy(redis_server.url, settings={**PROXY_SETTINGS, "proxy.max_memory": "16mb"}).start()
    slow = [narrow(proxy) for _ in range(8)]
    for client in slow:
        client.send(encode("GET", "big") * 6)
    with RespConn.to(proxy) as other:
        refusal = eventually(lambda: (r := other.cmd("SET", "k", "v" * 20_000)) != "OK" and r)
        assert refusal == "OOM convproxy is at its memory limit, try again later"
        assert other.cmd("GET", "small") == b"v"
        for client in slow:
            client.close()
        eventually(lambda: other.cmd("SET", "k", "v" * 20_000) == "OK")


# ---- many requests at once ----


def numbers(conn, count):
    return [conn.read() for _ in range(count)]


def test_twenty_thousand_commands_in_one_write(conn, real):
    """Twice proxy.max_pipeline, while a thread of the client reads along."""
    real.set("n", 0)
    data = b"".join(encode("INCR", "n") + encode("ECHO", n) for n in range(10_000))
    conn.sock.settimeout(30)
    conn.send(data)
    replies = numbers(conn, 20_000)
    assert replies[0::2] == list(range(1, 10_001))
    assert replies[1::2] == [b"%d" % n for n in range(10_000)]


def test_a_hundred_thousand_commands_that_nobody_reads_at_first(proxy, real):
    """Raw, managed and local ones, all sent before the first reply is read: the proxy takes what it may owe, and the rest waits in the sockets."""
    data = b"".join(encode("INCR", "deep") + encode("INCR", "conv:deep") + encode("PING", n) + encode("GET", "deep") for n in range(25_000))
    with RespConn.to(proxy, timeout=60) as deep, RespConn.to(proxy) as other:
        sender = threading.Thread(target=deep.send, args=(data,), daemon=True)
        sender.start()
        eventually(lambda: int(real.get("deep") or 0) > 100)
        assert other.cmd("PING") == "PONG"
        for n in range(25_000):
            number = n + 1
            assert [deep.read() for _ in range(4)] == [number, number, b"%d" % n, b"%d" % number]
        sender.join(20)
    eventually(lambda: buffered(proxy) < MB)


def test_clients_that_never_end_what_they_say(proxy, real, values):
    """Slow loris: each says that much is to come, and sends a byte now and then. What is announced costs nothing, and others are served."""
    heads = [b"*1000000\r\n$9", b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$60000000\r\nxyz", b"*2\r\n$3", b"GET ", b"*2\r\n$4\r\nECHO\r\n$5\r\nhe"]
    before = buffered(proxy)
    slow = [RespConn.to(proxy) for _ in range(300)]
    try:
        for at, client in enumerate(slow):
            client.send(heads[at % len(heads)])
        for _ in range(3):
            for client in slow:
                client.send(b"1")
        with RespConn.to(proxy) as other:
            assert other.cmd("GET", "small") == b"v"
        assert buffered(proxy) - before < 5 * MB
        for client in slow[::2]:  # some stay until the end of the test, some vanish in the middle of their word
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        assert not real.exists("k")
    finally:
        for client in slow:
            client.close()
    eventually(lambda: buffered(proxy) <= before + 1024 and proxy.metrics()["convproxy_clients_connected"] <= 2)


def test_a_deep_pipeline_over_both_lanes_keeps_its_order(conn, real):
    """Fast, slow, local, managed-size, large: each kind goes another way, replies come in the order of the requests."""
    commands, wanted = [], []
    for n in range(1_500):
        large = b"%d" % n * (9_000 if n % 100 == 0 else 1)
        commands += [("SET", "o", large), ("EVAL", "return ARGV[1]", 0, n), ("GET", "o"), ("ECHO", n), ("NOSUCH", n)]
        wanted += ["OK", b"%d" % n, large, b"%d" % n, None]
    conn.sock.settimeout(30)
    conn.send(b"".join(encode(*command) for command in commands))
    for at, want in enumerate(wanted):
        reply = conn.read()
        assert isinstance(reply, RespError) if want is None else reply == want, f"reply {at}: {reply!r}"


def test_a_pipeline_sees_its_own_writes(proxy, real):
    """Whatever lane a command goes on, it comes after those before it."""

    async def one(n):
        conn = await AsyncConn.to(proxy, timeout=30)
        for turn in range(30):
            value = f"{n}:{turn}"
            replies = await conn.pipeline(
                ("SET", f"p{n}", value),
                ("EVAL", "return redis.call('APPEND', KEYS[1], '!')", 1, f"p{n}"),
                ("GET", f"p{n}"),
                ("SET", f"p{n}", "x" * 40_000),
                ("STRLEN", f"p{n}"),
            )
            assert replies == ["OK", len(value) + 1, f"{value}!".encode(), "OK", 40_000]
        conn.close()

    async def everybody():
        await asyncio.gather(*(one(n) for n in range(20)))

    asyncio.run(everybody())


def test_local_replies_behind_a_slow_command_cost_what_they_hold(tmp_path, make_proxy):
    """A slow command, and then as many requests as fit that the proxy answers itself: they wait, unread."""
    redis = RedisServer(tmp_path, args=["--enable-debug-command", "yes"]).start()
    proxy = make_proxy(redis.url, settings=PROXY_SETTINGS).start()
    try:
        with RespConn.to(proxy, timeout=30) as conn:
            before = proxy.metrics()["process_resident_memory_bytes"]
            conn.send(encode("DEBUG", "SLEEP", "1.5"))
            conn.sock.setblocking(False)
            sent, data = 0, encode("PING") * 1000
            deadline = time.monotonic() + 1
            while time.monotonic() < deadline and sent < 64 * MB:
                try:
                    sent += conn.sock.send(data[sent % len(data) :])
                except BlockingIOError:
                    break
            grown = proxy.metrics()["process_resident_memory_bytes"] - before
            print(f"{sent / MB:.1f} MB of PING sent, {grown / MB:.1f} MB more memory")
            assert grown < 24 * MB
            conn.sock.settimeout(30)
            conn.send(data[sent % len(data) :] if sent % len(data) else b"")
            assert conn.read() == "OK"
            total = -(-sent // len(data)) * 1000
            assert all(reply == "PONG" for reply in numbers(conn, total))
            assert conn.cmd("ECHO", "end") == b"end"
    finally:
        redis.kill()


# ---- many clients ----


def test_a_crowd_of_idle_clients(fresh_redis, make_proxy):
    """10,000 clients that have spoken once: less than 12 KiB each, on top of less than 20 MiB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = CROWD + 500
    if hard != resource.RLIM_INFINITY and hard < need:
        pytest.skip(f"needs {need} file descriptors, this machine allows {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, need), hard))
    proxy = make_proxy(fresh_redis.url, settings=PROXY_SETTINGS).start()
    clients = []
    try:
        with RespConn.to(proxy) as first:
            assert first.cmd("SET", "small", "v") == "OK" and first.cmd("GET", "small") == b"v"
        base = proxy.metrics()["process_resident_memory_bytes"]
        request = encode("GET", "small")
        start = time.monotonic()
        for _ in range(CROWD):
            clients.append(socket.create_connection((proxy.host, proxy.port), timeout=20))
            clients[-1].sendall(request)
        for client in clients:
            assert client.recv(64) == b"$1\r\nv\r\n"
        took = time.monotonic() - start
        metrics = proxy.metrics()
        each = (metrics["process_resident_memory_bytes"] - base) / CROWD
        print(f"base {base / MB:.1f} MiB, {each / 1024:.2f} KiB a client, {took:.1f} s for all")
        assert metrics["convproxy_clients_connected"] == CROWD
        assert base < 20 * MB and each < 12 * 1024
        with RespConn.to(proxy) as other:
            print(f"one more waits {milliseconds(other):.1f} ms at most")
            # Redis's own CLIENT LIST of that many is a few MB, too.
            assert other.cmd("CLIENT", "LIST").count(b"\n") == CROWD + 1
        for client in clients[::2]:
            client.sendall(request)
        assert all(client.recv(64) == b"$1\r\nv\r\n" for client in clients[::2])
    finally:
        for client in clients:
            client.close()
        eventually(lambda: proxy.metrics()["convproxy_clients_connected"] == 0, timeout=20)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_max_clients_refuses_in_the_words_of_redis(tmp_path, redis_server, make_proxy):
    limited = RedisServer(tmp_path, args=["--maxclients", "5"]).start()
    proxy = make_proxy(redis_server.url, settings={**PROXY_SETTINGS, "proxy.max_clients": 5}).start()
    try:
        eventually(lambda: proxy.metrics()["convproxy_clients_connected"] == 0)
        (_, wanted), (taken, refusal) = refusal_of(limited), refusal_of(proxy)
        assert wanted == "ERR max number of clients reached"
        assert refusal == wanted and taken == 5
    finally:
        limited.kill()
    assert proxy.metrics()["convproxy_clients_refused_total"] == 1
    eventually(lambda: proxy.metrics()["convproxy_clients_connected"] == 0)
    with RespConn.to(proxy) as again:
        assert again.cmd("PING") == "PONG" and again.cmd("CONFIG", "SET", "proxy.max_clients", 1) == "OK"
        eventually(lambda: refused(proxy))
        assert again.cmd("PING") == "PONG"


def refusal_of(server):
    """(how many clients were taken, what the first beyond them is told)"""
    clients = []
    try:
        while len(clients) < 20:
            conn = RespConn.to(server)
            clients.append(conn)
            conn.send_cmd("PING")
            reply = conn.read()
            if reply != "PONG":
                assert conn.closed() and all(other.cmd("PING") == "PONG" for other in clients[:-1])
                return len(clients) - 1, reply
        raise AssertionError("twenty clients were taken")
    finally:
        for conn in clients:
            conn.close()


def refused(proxy):
    with RespConn.to(proxy) as conn:
        return conn.read() == "ERR max number of clients reached" and conn.closed()


def test_idle_timeout_closes_the_silent_only(redis_server, make_proxy):
    """Silent is who sends nothing and is owed nothing."""
    settings = {**PROXY_SETTINGS, "redis.slow_timeout": "20s", "script.timeout": "20s"}
    proxy = make_proxy(redis_server.url, settings=settings).start()
    with RespConn.to(proxy, timeout=20) as idle, RespConn.to(proxy) as busy, RespConn.to(proxy, timeout=20) as waiting:
        eventually(lambda: proxy.metrics()["convproxy_clients_connected"] == 3)
        assert idle.cmd("GET", "k") is None and busy.cmd("CONFIG", "SET", "proxy.idle_timeout", "1s") == "OK"
        waiting.send_cmd("EVAL", "local t = redis.call('TIME')[1] repeat until redis.call('TIME')[1] - t >= 3 return 1", 0)
        start = time.monotonic()
        while proxy.metrics()["convproxy_clients_connected"] == 3:
            assert busy.cmd("PING") == "PONG" and time.monotonic() - start < 10
        assert time.monotonic() - start > 0.8
        assert idle.closed() and proxy.metrics()["convproxy_clients_connected"] == 2
        assert waiting.read() == 1, "it was owed a reply"
        assert busy.cmd("PING") == "PONG"


@pytest.mark.skipif("CONVPROXY_BIN" in os.environ and "san" in os.environ["CONVPROXY_BIN"], reason="too slow there")
def test_a_storm_of_short_connections(proxy, conn):
    """Clients that connect, ask once and leave: 3,000 of them, none refused, none left behind."""

    async def short(n):
        client = await AsyncConn.to(proxy)
        assert await client.cmd("ECHO", n) == b"%d" % n
        (client.abort if n % 2 else client.close)()

    async def storm():
        for batch in range(0, 3_000, 100):
            await asyncio.gather(*(short(n) for n in range(batch, batch + 100)))

    eventually(lambda: proxy.metrics()["convproxy_clients_connected"] == 1)
    before = proxy.metrics()
    asyncio.run(storm())
    eventually(lambda: proxy.metrics()["convproxy_clients_connected"] == 1)
    after = proxy.metrics()
    assert after["convproxy_clients_accepted_total"] - before["convproxy_clients_accepted_total"] == 3_000
    assert after["convproxy_clients_refused_total"] == before["convproxy_clients_refused_total"]
    assert after["process_open_fds"] <= before["process_open_fds"] + 10


def test_new_clients_are_spread_evenly(redis_server, make_proxy):
    """The kernel's hash would not do it: 60 clients that come at once are 20 for each of three loops."""
    proxy = make_proxy(redis_server.url, settings={**PROXY_SETTINGS, "proxy.threads": 3}).start()
    clients = [RespConn.to(proxy) for _ in range(60)]
    eventually(lambda: proxy.metrics()["convproxy_clients_connected"] == 60)
    spread = sorted(loop["clients"] for loop in proxy.get_json("/api/v1/state")["loops"])
    assert sum(spread) == 60 and spread[-1] - spread[0] <= 2, spread
    for client in clients:
        assert client.cmd("PING") == "PONG"
        client.close()
