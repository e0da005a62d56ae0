"""Clients that pipeline more than they read, hang up half-way, or wait for a Redis that says nothing: whatever they do,
each request is answered once, in order, and nothing is kept that nobody can get any more."""
import os
import resource
import signal
import socket
import threading
from pathlib import Path

import pytest
from harness import RespConn, Status, eventually
from harness.resp import encode

PROXY_SETTINGS = {"proxy.threads": 2, "redis.timeout": "2s", "failover.automatic": "no"}


def narrow(endpoint):
    """A connection whose receive buffer is so small that unread replies soon pile up in the proxy."""
    conn = RespConn.__new__(RespConn)
    conn.sock = socket.socket()
    conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    conn.sock.settimeout(10)
    conn.sock.connect((endpoint.host, endpoint.port))
    conn.buffer = bytearray()
    return conn


def buffered(proxy):
    return proxy.metrics()["convproxy_buffered_bytes"]


@pytest.mark.sanitize
@pytest.mark.managed
def test_refusals_are_told_once(fresh_redis, fresh_proxy):
    """The refusal that fills the output must not be repeated when the client reads on."""
    fresh_redis.kill()
    with RespConn.to(fresh_proxy) as conn:
        eventually(lambda: "not reachable" in conn.cmd("GET", "k"))
    count = 200_000
    with narrow(fresh_proxy) as conn:
        data = b"".join(b"GET k\r\nECHO %d\r\n" % i for i in range(count))
        sender = threading.Thread(target=conn.sock.sendall, args=(data,))
        sender.start()
        for i in range(count):
            assert conn.read().startswith("REDISDOWN")
            assert conn.read() == b"%d" % i
        sender.join()
        assert conn.cmd("PING") == Status("PONG")


@pytest.mark.sanitize
@pytest.mark.parametrize("size", [10, 300_000, 3_000_000, 9_000_000])
def test_half_closed_client_gets_its_reply_and_then_the_end(proxy, size):
    with RespConn.to(proxy) as conn:
        assert conn.cmd("SET", "big", b"x" * size) == "OK"
    for _ in range(3):
        with RespConn.to(proxy) as conn:
            conn.send_cmd("GET", "big")
            conn.sock.shutdown(socket.SHUT_WR)
            assert len(conn.read()) == size
            assert conn.closed()


@pytest.mark.managed
def test_local_replies_behind_a_slow_one_are_small(fresh_redis, fresh_proxy):
    """PING is answered at once, but must wait for the reply before it: its place costs bytes, not pages."""
    count = 9_000
    with RespConn.to(fresh_proxy) as conn, RespConn.to(fresh_proxy) as other:
        assert conn.cmd("GET", "k") is None
        fresh_redis.pause()
        conn.send(encode("GET", "k") + encode("PING") * count)
        eventually(lambda: buffered(fresh_proxy) > 0)
        assert other.cmd("PING") == "PONG"
        used = buffered(fresh_proxy)
        fresh_redis.resume()
        assert conn.read() is None
        assert [conn.read() for _ in range(count)] == ["PONG"] * count
        assert used < 4 << 20


@pytest.mark.managed
def test_local_replies_count_for_the_pipeline_limit(fresh_redis, fresh_proxy):
    """A client cannot make the proxy keep any number of answers by putting a slow command before them."""
    with RespConn.to(fresh_proxy) as conn:
        assert conn.cmd("GET", "k") is None
        fresh_redis.pause()
        conn.send(encode("GET", "k"))
        conn.sock.settimeout(1)
        sent = 0
        echo = encode("ECHO", b"y" * 100_000)
        with pytest.raises(TimeoutError):
            while sent < 3_000:
                conn.send(echo)
                sent += 1
        assert buffered(fresh_proxy) < 16 << 20
        fresh_redis.resume()


@pytest.mark.sanitize
def test_order_holds_between_lanes(proxy, conn):
    """Every second command goes on the slow lane; each waits for the one before."""
    commands = []
    for i in range(1_000):
        commands += [("SET", "n", i), ("SORT", "none"), ("GET", "n")]
    replies = conn.pipeline(*commands)
    assert replies[2::3] == [b"%d" % i for i in range(1_000)]


@pytest.mark.managed
def test_watching_client_is_told_when_redis_hangs(fresh_redis, fresh_proxy):
    """Its own connection has been idle for long, and no other client makes the proxy look at its clock."""
    with RespConn.to(fresh_proxy, timeout=8) as conn:
        assert conn.cmd("WATCH", "k") == "OK"
        threading.Event().wait(0.3)  # the pool stops ticking when nothing is under way: nothing shows that from outside
        fresh_redis.pause()
        assert "did not answer within" in conn.cmd("GET", "k")
        fresh_redis.resume()


def test_client_list_keeps_one_line_for_each_client(proxy, conn):
    with RespConn.to(proxy) as other:
        assert other.cmd("CLIENT", "SETNAME", "n" * 3000) == "OK"
        lines = conn.cmd("CLIENT", "LIST").decode().split("\n")
        assert lines.pop() == ""
        assert all(line.startswith("id=") and line.count(" addr=") == 1 for line in lines)
        assert len(lines) >= 2


@pytest.mark.managed
def test_a_write_behind_a_refused_one_keeps_its_ttl(real, conn):
    """Undoing what the refused SADD did to the TTL must not undo what the RPUSH, in the same millisecond, did to it."""
    for round_ in range(20):
        key = f"conv:undo:{round_}"
        real.rpush(key, "first")
        real.pexpire(key, 1_000_000)
        refused, pushed = conn.pipeline(("SADD", key, "x"), ("RPUSH", key, "second"))
        assert refused.startswith("WRONGTYPE") and pushed == 2
        assert conn.cmd("ECHO", "the undo is behind us") and conn.cmd("EXISTS", key) == 1
        assert real.ttl(key) > 2_000_000


@pytest.mark.sanitize
@pytest.mark.managed
def test_client_list_when_another_loop_has_ended(fresh_redis, fresh_proxy):
    """While draining, a loop ends as soon as its last client has left. The client that stays on another still gets answers."""
    with RespConn.to(fresh_proxy) as leaves, RespConn.to(fresh_proxy) as stays:
        assert stays.cmd("WATCH", "k") == "OK"
        assert leaves.cmd("PING") == "PONG"
        fresh_proxy.signal(signal.SIGTERM)
        assert leaves.closed()
        for _ in range(20):
            assert stays.cmd("CLIENT", "LIST").count(b"\n") == 1
        assert stays.cmd("UNWATCH") == "OK"
        assert stays.closed()
    assert eventually(lambda: not fresh_proxy.alive())


def cpu_seconds(process):
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.managed
def test_out_of_descriptors(fresh_proxy):
    """Clients that cannot be accepted wait; the proxy does not spin meanwhile, and takes them when there is room again."""
    pid = fresh_proxy.process.pid
    used = len(os.listdir(f"/proc/{pid}/fd"))
    _, most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 2, most))

    def failures():
        return fresh_proxy.log_text().count("accept_failed")

    conns = [RespConn.to(fresh_proxy) for _ in range(10)]
    try:
        eventually(lambda: failures() > 0)
        before, at = failures(), cpu_seconds(fresh_proxy.process)
        eventually(lambda: failures() >= before + 4)  # each of the two loops once a second
        assert failures() < before + 10
        assert cpu_seconds(fresh_proxy.process) - at < 0.5
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, most))
        assert all(conn.cmd("PING") == "PONG" for conn in conns)
    finally:
        for conn in conns:
            conn.close()


@pytest.mark.managed
def test_a_unix_socket_in_use_is_not_taken_away(tmp_path, redis_server, make_proxy):
    path = tmp_path / "resp.sock"

    def pings():
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            sock.connect(str(path))
            sock.sendall(b"PING\r\n")
            return sock.recv(64) == b"+PONG\r\n"

    first = make_proxy(redis_server.url, settings={"listen": f"unix:{path}"})
    first.answers = pings
    first.start()
    second = make_proxy(redis_server.url, settings={"listen": f"unix:{path}"})
    second.answers = lambda: False
    with pytest.raises(RuntimeError, match="ended with 1"):
        second.start()
    assert pings()
    first.kill()  # leaves its socket behind
    first.start()


def test_clients_share_few_connections(redis_server, make_proxy):
    """redis.connections for all clients of a thread, spread by their ids; a change counts for the next requests."""
    proxy = make_proxy(redis_server.url, settings={"redis.connections": 3, "proxy.threads": 1}).start()
    eventually(lambda: proxy.metrics()['conv_phase{phase="redis",policy="conv"}'] == 1)  # then connections are greeted anew
    clients = [RespConn.to(proxy) for _ in range(6)]

    def connections():
        for number, client in enumerate(clients):
            assert client.cmd("SET", f"shared:{number}", number) == "OK"
        return proxy.metrics()["convproxy_upstream_connections"]

    assert connections() == 3
    assert clients[0].cmd("CONFIG", "SET", "redis.connections", "8") == "OK"
    eventually(lambda: 6 <= connections() <= 8)
    assert clients[0].cmd("CONFIG", "SET", "redis.connections", "1") == "OK"
    assert 6 <= connections() <= 8  # those that nobody needs any more end when they have been idle for a minute
    for client in clients:
        client.close()
