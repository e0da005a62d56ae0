"""What is not RESP, or too much of it: refused in the words of redis-server, at the cost of that connection only."""
import os
import random
import socket
import struct

import pytest
from harness import RespConn, RespError, eventually
from harness.resp import encode

pytestmark = [pytest.mark.sanitize, pytest.mark.managed]

MB = 1 << 20
PROXY_SETTINGS = {"redis.timeout": "10s", "redis.connect_timeout": "5s"}  # the machine may be busy


def reset(sock):
    """Closes with RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def everything(endpoint, data, half_close=True):
    """What the server says until it closes; None when it keeps the connection (only with half_close=False)."""
    with socket.create_connection((endpoint.host, endpoint.port), timeout=5) as sock:
        answer = bytearray()
        try:
            sock.sendall(data)
            if half_close:
                sock.shutdown(socket.SHUT_WR)
            while chunk := sock.recv(1 << 16):
                answer += chunk
        except (ConnectionResetError, BrokenPipeError):
            pass  # it closed with our bytes unread: what it said before that counts
        except TimeoutError:
            return None
        return bytes(answer)


@pytest.fixture(autouse=True)
def another_client(proxy):
    """Whatever one client does, the others go on, on the connections they have."""
    with RespConn.to(proxy, timeout=10) as other:
        assert other.cmd("SET", "other", "before") == "OK"
        yield other
        assert other.cmd("SET", "other", "after") == "OK"
        assert other.cmd("GET", "other") == b"after"


def clients(proxy):
    return proxy.metrics()["convproxy_clients_connected"]


# What the server says before it closes is the same text.
PROTOCOL_ERRORS = {
    "negative argument": b"*1\r\n$-5\r\nPING\r\n",
    "null argument": b"*1\r\n$-1\r\n",
    "negative zero": b"*1\r\n$-0\r\n\r\n",
    "plus sign": b"*+1\r\n$4\r\nPING\r\n",
    "leading zero": b"*1\r\n$04\r\nPING\r\n",
    "argument of 2^31 bytes": b"*1\r\n$2147483648\r\n",
    "argument of 2^63 bytes": b"*1\r\n$9223372036854775808\r\n",
    "2^31 arguments": b"*2147483648\r\n",
    "2^64 arguments": b"*18446744073709551616\r\n",
    "no length": b"*1\r\n$\r\nPING\r\n",
    "length is text": b"*1\r\n$four\r\nPING\r\n",
    "no count": b"*\r\n",
    "count is text": b"*many\r\n",
    "blank in the count": b"* 1\r\n",
    "integer instead of an argument": b"*1\r\n:4\r\n",
    "array instead of an argument": b"*1\r\n*1\r\n$4\r\nPING\r\n",
    "10,000 arrays deep": b"*1\r\n" * 10_000,
    "endless count": b"*" + b"1" * 70_000,
    "endless length": b"*1\r\n$" + b"1" * 70_000,
    "endless inline command": b"a" * 70_000,
    "endless inline command of blanks": b" " * 70_000,
    "unbalanced quotes": b'SET k "half\r\n',
    "glued quotes": b'SET k "v"v\r\n',
    "after good commands": encode("SET", "k", "v") + encode("GET", "k") + b"*1\r\n$x\r\n" + encode("SET", "k", "no"),
}


@pytest.mark.parametrize("data", PROTOCOL_ERRORS.values(), ids=PROTOCOL_ERRORS)
def test_protocol_errors_read_as_those_of_redis(proxy, redis_server, data):
    before = proxy.metrics()["convproxy_protocol_errors_total"]
    from_redis = everything(redis_server, data, half_close=False)
    assert from_redis is not None and b"-ERR Protocol error: " in from_redis
    assert everything(proxy, data, half_close=False) == from_redis
    assert proxy.metrics()["convproxy_protocol_errors_total"] == before + 1


# Redis keeps the connection, and so must the proxy: the PING at the end is answered.
HARMLESS = {
    "empty lines": b"\r\n\n\r\n",
    "no arguments": b"*0\r\n",
    "less than none": b"*-1\r\n",
    "far less than none": b"*-9223372036854775808\r\n",
    "unknown command": encode("NOSUCH", "a", "b"),
    "unknown command with odd bytes": encode(b"NO\r\nSUCH", b"\x00\xff"),
    "long unknown command": encode("N" * 300, *["a" * 100] * 20),
    "no name": encode(""),
    "too few arguments": encode("GET") + encode("SET", "k") + encode("MSET", "k"),
    "too many arguments": encode("GET", "k", "l") + encode("DBSIZE", "1") + encode("ECHO", "a", "b"),
    "wrong arity of subcommands": encode("OBJECT", "ENCODING") + encode("XGROUP", "CREATE", "k"),
    "unknown subcommands": encode("OBJECT", "NOSUCH", "k") + encode("CLIENT", "NOSUCH") + encode("CONFIG", "NOSUCH"),
    "wrong types": encode("RPUSH", "l", "1") + encode("GET", "l") + encode("INCR", "l"),
    "bad options": encode("SET", "k", "v", "EX", "0") + encode("SET", "k", "v", "NOSUCH") + encode("LPOS", "l", "1", "RANK", 0),
    "inline": b"SET k 'a b'\r\nGET k\nget   k  \r\n\"ECHO\" \"\\x41\\n\"\r\n",
    "inline unknown": b"nosuch thing\r\n",
    "MULTI with an error inside": encode("MULTI") + encode("GET") + encode("SET", "k", "v") + encode("EXEC"),
    "MULTI with a wrong type inside": encode("MULTI") + encode("INCR", "l") + encode("SET", "k", "v") + encode("EXEC"),
    "EXEC and DISCARD alone": encode("EXEC") + encode("DISCARD") + encode("UNWATCH"),
    "MULTI twice": encode("MULTI") + encode("MULTI") + encode("DISCARD"),
    "WATCH in MULTI": encode("MULTI") + encode("WATCH", "k") + encode("EXEC"),
    "bad SELECT": encode("SELECT", "abc") + encode("SELECT", "-1") + encode("SELECT", "99"),
    "bad HELLO": encode("HELLO", "9") + encode("HELLO", "x") + encode("HELLO", "2", "NOSUCH"),
    "bad AUTH": encode("AUTH", "a") + encode("AUTH", "a", "b") + encode("AUTH", "a", "b", "c"),
    "bad PING": encode("PING", "a", "b"),
}


@pytest.mark.parametrize("data", HARMLESS.values(), ids=HARMLESS)
def test_refusals_read_as_those_of_redis(proxy, redis_server, real, data):
    end = encode("PING", "the end")
    from_redis = everything(redis_server, data + end)
    real.flushall()
    assert from_redis.endswith(b"the end\r\n")
    assert everything(proxy, data + end) == from_redis


# Browsers and TLS clients that were pointed at the wrong port.
STRANGERS = {
    "GET": b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: x\r\n\r\n",
    "POST": b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16\r\n\r\nSET stolen 1\r\n\r\n",
    "memcached": b"set k 0 0 1\r\nv\r\nget k\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("name", STRANGERS)
def test_strangers_get_what_redis_would_say(proxy, redis_server, real, name):
    data = STRANGERS[name]
    from_redis, from_proxy = everything(redis_server, data), everything(proxy, data)
    assert from_proxy == from_redis
    assert real.get("stolen") is None


def test_a_tls_client_is_closed(proxy):
    """Redis waits for the end of a line that a NUL hides from it; the proxy knows what that is, and says nothing to it."""
    hello = bytes.fromhex("16030100a5010000a10303") + bytes(range(154))
    assert everything(proxy, hello) == b""


@pytest.mark.parametrize("size", [1, 7, 200, 5000])
def test_random_bytes(proxy, size):
    """No crash and no hang: the connection is closed or goes on, whatever the bytes are."""
    seed = int(os.environ.get("CONV_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"CONV_SEED={seed}")
    rng = random.Random(seed)
    alphabets = [bytes(range(256)), b"*$:+-_#,(!=%~>|\r\n0123456789", b"*$\r\n 0123456789GETSETPINGkv'\"\\x"]
    for alphabet in alphabets:
        for _ in range(40):
            assert everything(proxy, bytes(rng.choices(alphabet, k=size))) is not None


def test_damaged_requests(proxy):
    """Good requests with a byte changed, left out or doubled."""
    seed = int(os.environ.get("CONV_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"CONV_SEED={seed}")
    rng = random.Random(seed)
    good = b"".join(encode(*words) for words in [("SET", "conv:d", "v" * 50), ("MULTI",), ("RPUSH", "conv:e", 1), ("EXEC",)])
    for _ in range(150):
        data, at = bytearray(good), rng.randrange(len(good))
        data[at : at + rng.randrange(2)] = bytes(rng.choices(range(256), k=rng.randrange(3)))
        assert everything(proxy, bytes(data)) is not None


@pytest.mark.parametrize("close", [socket.socket.close, reset], ids=["FIN", "RST"])
def test_half_requests_leave_nothing_behind(proxy, close):
    """Every length of a request that is not whole; among them clients that are gone before their bytes are read."""
    request = encode("SET", "half", "v" * 20)
    before = eventually(lambda: clients(proxy) == 1 and 1)  # the other client
    for paused in (False, True):
        if paused:
            proxy.pause()
        for length in range(len(request)):
            sock = socket.create_connection((proxy.host, proxy.port), timeout=5)
            sock.sendall(request[:length])
            close(sock)
        if paused:
            proxy.resume()
        eventually(lambda: clients(proxy) == before and proxy.metrics()["convproxy_buffered_bytes"] == 0)


def test_half_a_request_and_its_end_much_later(proxy, redis_server):
    """The rest of a pipeline is kept, and what was asked before the client stopped sending is answered."""
    data = encode("SET", "k", "v") + encode("GET", "k")
    assert everything(proxy, data + data[:-3]) == b"+OK\r\n$1\r\nv\r\n+OK\r\n"
    with RespConn.to(proxy) as conn:
        for at in range(len(data)):
            conn.send(data[at : at + 1])
        assert [conn.read(), conn.read()] == ["OK", b"v"]


# The memory of a sanitizer is not ours to judge.
def resident_mb(proxy):
    return proxy.metrics()["process_resident_memory_bytes"] / MB


def test_a_huge_value_is_refused_without_reading_it(proxy, another_client):
    """200 MB where 64 MB are allowed: Redis's words for what is beyond its own limit, and no memory for it."""
    before, value = resident_mb(proxy), b"v" * MB
    with socket.create_connection((proxy.host, proxy.port), timeout=10) as sock:
        sock.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % (200 * MB))
        answer = sock.recv(100)
        with pytest.raises(OSError):  # what is sent in spite of that is not taken
            for _ in range(200):
                sock.sendall(value)
    assert answer == b"-ERR Protocol error: invalid bulk length\r\n"
    assert resident_mb(proxy) - before < 16


def test_values_up_to_the_limit_pass(proxy, real):
    """60 MB, in pieces: stored, read back, and the memory is given back."""
    before, size = resident_mb(proxy), 60 * MB
    with RespConn.to(proxy, timeout=30) as conn:
        conn.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % size)
        for _ in range(60):
            conn.send(b"v" * MB)
        conn.send(b"\r\n")
        assert conn.read() == "OK"
        assert real.strlen("k") == size
        conn.send_cmd("GET", "k")
        header = b"$%d\r\n" % size
        got = 0
        while got < len(header) + size + 2:
            chunk = conn.sock.recv(1 << 20)
            assert chunk, f"closed after {got} bytes"
            got += len(chunk)
    eventually(lambda: proxy.metrics()["convproxy_buffered_bytes"] < MB)
    print(f"resident before {before:.0f} MB, after {resident_mb(proxy):.0f} MB")


def test_many_arguments(proxy, real):
    """2^20 are taken, and not one more: Redis 7.0 would go on to 2^31 - 1, older ones end here as well."""
    count = 1 << 20
    body = b"*%d\r\n$5\r\nRPUSH\r\n$1\r\nl\r\n" % count + b"$1\r\nx\r\n" * (count - 2)
    with RespConn.to(proxy, timeout=30) as conn:
        conn.send(body)
        assert conn.read() == count - 2
        conn.send(b"*%d\r\n" % (count + 1))
        assert conn.read() == "ERR Protocol error: invalid multibulk length"
        assert conn.closed()


def test_errors_say_which_client_and_why(proxy):
    with RespConn.to(proxy) as conn:
        port = conn.sock.getsockname()[1]
        conn.send(b"*1\r\n$x\r\n")
        assert isinstance(conn.read(), RespError)
        assert conn.closed()
    proxy.log_contains(rf'event=protocol_error client=127\.0\.0\.1:{port} reason="Protocol error: invalid bulk length"')


def test_arity_of_transactions(proxy, redis_server):
    """Wrong numbers of arguments end or spoil a transaction as in Redis."""
    lines = ["EXEC x", "MULTI", "SET a 1", "EXEC x", "GET a", "MULTI", "DISCARD x", "EXEC", "MULTI", "MULTI x", "EXEC", "WATCH", "PING"]
    with RespConn.to(proxy) as ours, RespConn.to(redis_server) as theirs:
        assert [ours.cmd(*line.split()) for line in lines] == [theirs.cmd(*line.split()) for line in lines]
