"""MONITOR through the proxy: the lines of Redis, for every command of every client, whatever store answers; no secret among them."""
import re
import socket
import threading

import pytest
from harness import RespConn, RespError, eventually

pytestmark = pytest.mark.managed
PROXY_SETTINGS = {"proxy.threads": 2}
LINE = re.compile(r"(\d+\.\d{6}) \[(\d+) ([^\]]+)\] (.*)", re.DOTALL)

COMMANDS = [
    ("SET", "k", b"v\r\n\t\a\b\x00\xff\"\\"), ("get", "k"), ("PING",), ("NOSUCH", "x"), ("GET",), ("CONFIG", "GET", "x"), ("AUTH", "secret"),
    ("AUTH", "default", "secret"), ("HELLO", "3", "AUTH", "default", "secret", "SETNAME", "n"), ("HELLO", "2"),
    ("MULTI",), ("SET", "a", "1"), ("INCR", "a"), ("EXEC",), ("MULTI",), ("SET", "b", "1"), ("DISCARD",), ("MULTI",), ("NOSUCH",), ("EXEC",),
    ("WATCH", "k"), ("UNWATCH",), ("EVAL", "return 1", "0"), ("SELECT", "3"), ("GET", "z"), ("SELECT", "0"),
    ("ACL", "SETUSER", "x", ">secret"), ("CONFIG", "SET", "requirepass", "secret", "no-such", "x"), ("CLIENT", "LIST"),
    ("CLIENT", "SETNAME", "z"), ("MIGRATE", "127.0.0.1", "1", "no-such", "0", "1", "AUTH", "secret"),
    ("MIGRATE", "127.0.0.1", "1", "", "0", "1", "COPY", "AUTH2", "user", "secret", "KEYS", "no-such", "AUTH", "shown"),
    ("SUBSCRIBE", "x"), ("UNSUBSCRIBE",), ("PUBLISH", "x", "y"), ("RPUSH", "conv:m", "m"), ("ECHO", "é"), ("BLPOP", "no-such", "0.01"),
    ("RESET",), ("PING", "end"),
]  # fmt: skip


def lines_until(monitor, last):
    """(database, address, command) of each line, to the first that ends with last."""
    lines = []
    while not lines or not lines[-1][2].endswith(last):
        at, db, address, command = LINE.fullmatch(monitor.read()).groups()
        assert float(at) > 1_600_000_000
        lines.append((int(db), address, command))
    return lines


def shown(endpoint):
    with RespConn.to(endpoint) as monitor, RespConn.to(endpoint) as conn:
        told = [monitor.cmd("MONITOR")]
        for command in COMMANDS:
            conn.cmd(*command)
        lines = lines_until(monitor, '"end"')
        assert {address for _, address, _ in lines} == {"%s:%d" % conn.sock.getsockname()}
        told += [(db, command) for db, _, command in lines]
        told += [monitor.cmd("GET", "k"), monitor.cmd("SET", "k", "v"), monitor.cmd("PUBLISH", "k", "v")]
        monitor.send_cmd("MONITOR")  # a second one is not answered
        told += [monitor.cmd("RESET"), monitor.cmd("GET", "no-such")]
        return told


@pytest.mark.sanitize
def test_the_lines_of_redis(proxy, plain):
    told = shown(proxy)
    assert told == shown(plain)
    assert "secret" not in str(told) and len(told) > 35


@pytest.mark.sanitize
def test_every_client_of_every_loop_whatever_store_answers(fresh_redis, make_proxy):
    proxy = make_proxy(fresh_redis.url, settings={"proxy.threads": 3, "conv.primary": "archive"}).start()
    with RespConn.to(proxy) as first, RespConn.to(proxy) as second:
        assert first.cmd("MONITOR") == second.cmd("MONITOR") == "OK"
        clients = [RespConn.to(proxy) for _ in range(6)]
        addresses = {"%s:%d" % client.sock.getsockname() for client in clients}
        for n, client in enumerate(clients):
            assert eventually(lambda c=client, k=n: c.cmd("RPUSH", f"conv:{k}", "m")) == 1
            assert client.cmd("ECHO", f"echo {n}") == b"echo %d" % n
        for monitor in (first, second):
            seen = set()
            while len(seen) < 12:
                _, _, address, command = LINE.fullmatch(monitor.read()).groups()
                seen.add((address, command))
            assert {address for address, _ in seen} == addresses
            commands = {command for _, command in seen}
            assert commands == {f'"RPUSH" "conv:{n}" "m"' for n in range(6)} | {f'"ECHO" "echo {n}"' for n in range(6)}
        assert b" flags=O " in clients[0].cmd("CLIENT", "LIST")
        for client in clients:
            client.close()


def test_the_order_of_a_pipeline_is_kept(proxy, conn):
    with RespConn.to(proxy) as monitor:
        assert monitor.cmd("MONITOR") == "OK"
        conn.pipeline(*[("SET", f"order:{n % 7}", n) for n in range(3000)], ("ECHO", "end"))
        lines = [command for _, _, command in lines_until(monitor, '"end"')]
        assert lines[:-1] == [f'"SET" "order:{n % 7}" "{n}"' for n in range(3000)]


def test_monitor_inside_multi_is_refused(conn):
    conn.pipeline(["MULTI"], ["MONITOR"])
    assert conn.cmd("EXEC") == ["ERR MONITOR isn't allowed for DENY BLOCKING client"]


@pytest.mark.sanitize
def test_a_monitor_that_does_not_read_is_cut(redis_server, make_proxy):
    proxy = make_proxy(redis_server.url, settings={**PROXY_SETTINGS, "proxy.output_pubsub_hard": "2mb"}).start()
    slow = RespConn(proxy.host, proxy.port)
    slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    assert slow.cmd("MONITOR") == "OK"
    with RespConn.to(proxy) as good, RespConn.to(proxy, timeout=20) as conn:
        assert good.cmd("MONITOR") == "OK"
        got = []
        reader = threading.Thread(target=lambda: got.extend(lines_until(good, '"end"')))
        reader.start()
        text = "x" * 50_000
        for _ in range(200):
            assert conn.cmd("ECHO", text) == text.encode()
        conn.cmd("ECHO", "end")
        reader.join(20)
        assert len(got) == 201
        proxy.log_contains(r"event=client_closed client=\S+ reason=output_pubsub_hard")
        assert proxy.metrics()["convproxy_clients_output_closed_total"] == 1
    slow.close()


def test_a_monitor_leaves(proxy, conn):
    """Its end costs nobody anything."""
    for _ in range(20):
        with RespConn.to(proxy) as monitor:
            assert monitor.cmd("MONITOR") == "OK"
            assert conn.cmd("PING") == "PONG"
    eventually(lambda: b" flags=O " not in conn.cmd("CLIENT", "LIST"))
