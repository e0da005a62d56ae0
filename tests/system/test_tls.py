"""TLS with clients: tls.listen. TLS to Redis and to MongoDB: test_tls_upstream.py."""
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest
import redis
from harness import RespConn, eventually, free_port
from harness.proxy import run_once, taken_over
from harness.resp import encode
from harness.tls import Authority, PiecemealTls, TlsProxy
from test_clients_node import CLIENTS, why_not

CONFIG = {"policies": [{"name": "conv", "match": "conv:*", "max_messages": 0}]}


@pytest.fixture(scope="module")
def proxy(redis_server, server_cert, tmp_path_factory):
    proxy = TlsProxy(tmp_path_factory.mktemp("proxy"), redis_server.url, server_cert, CONFIG, {"proxy.threads": 2}).start()
    yield proxy
    proxy.stop()


@pytest.fixture
def make(tmp_path, redis_server, server_cert):
    """make(settings): a started proxy of the test's own."""
    made = []

    def start(settings=None, certificate=server_cert, **options):
        made.append(TlsProxy(tmp_path, redis_server.url, certificate, CONFIG, settings, **options))
        return made[-1].start()

    yield start
    for one in made:
        one.stop()


def metric(proxy, name):
    return proxy.metrics()[f"convproxy_tls_{name}"]


# ---- clients ----


@pytest.mark.sanitize
@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py(proxy, authority, protocol):
    client = redis.Redis(
        host="localhost", port=proxy.tls_port, ssl=True, ssl_ca_certs=str(authority.cert), protocol=protocol, decode_responses=True
    )
    with client:
        assert client.set("tls:a", "b") and client.get("tls:a") == "b"
        client.delete("conv:tls")
        with client.pipeline(transaction=True) as pipe:
            for i in range(300):
                pipe.rpush("conv:tls", f"message {i}")
            assert pipe.execute()[-1] == 300
        assert client.lrange("conv:tls", 0, -1) == [f"message {i}" for i in range(300)]
        large = "x" * 3_000_000
        assert client.set("tls:large", large) and client.get("tls:large") == large


@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_ioredis(proxy, authority, redis_server):
    redis_server.client().flushall()
    command = ["node", "ioredis.js", "localhost", str(proxy.tls_port), "3", "app:", str(authority.cert)]
    run = subprocess.run(command, cwd=CLIENTS, capture_output=True, text=True, timeout=50, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.splitlines()[-1] == "ok errors"


def test_redis_cli(proxy, authority):
    base = ["redis-cli", "-h", "localhost", "-p", str(proxy.tls_port), "--tls", "--cacert", str(authority.cert)]
    run = subprocess.run([*base, "-3", "INCRBY", "tls:n", "5"], capture_output=True, text=True, timeout=20, check=True)
    assert run.stdout.startswith("(integer) ") or run.stdout.strip() == "5"
    stranger = subprocess.run([*base[:-2], "PING"], capture_output=True, text=True, timeout=20, check=False)
    assert "verify failed" in stranger.stderr


def s_client(proxy, *args, data="PING\r\nQUIT\r\n"):
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{proxy.tls_port}", "-ign_eof", *map(str, args)]
    return subprocess.run(command, input=data, capture_output=True, text=True, timeout=20, check=False)


@pytest.mark.sanitize
@pytest.mark.parametrize("version", ["1_2", "1_3"])
def test_versions_and_resumption(proxy, authority, tmp_path, version):
    session = tmp_path / "session.pem"
    trust = ["-CAfile", authority.cert, "-verify_return_error", f"-tls{version}"]
    first = s_client(proxy, *trust, "-sess_out", session)
    assert "+PONG" in first.stdout and "New, TLSv" in first.stdout, first.stdout + first.stderr
    again = s_client(proxy, *trust, "-sess_in", session)
    assert "+PONG" in again.stdout and "Reused, TLSv" in again.stdout, again.stdout + again.stderr
    assert eventually(lambda: metric(proxy, "resumed_total") > 0)


def test_old_versions_are_refused(proxy, make):
    old = s_client(proxy, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    assert old.returncode != 0 and "+PONG" not in old.stdout
    newest = make({"tls.min_version": "1.3"})
    assert "+PONG" not in s_client(newest, "-tls1_2").stdout
    assert "+PONG" in s_client(newest).stdout
    newest.log_contains(r"event=tls_refused .*reason=\"TLS: unsupported protocol\"")


def test_ciphers(make):
    proxy = make({"tls.ciphers": "ECDHE-ECDSA-AES256-GCM-SHA384:TLS_AES_256_GCM_SHA384"})
    assert "Cipher is ECDHE-ECDSA-AES256-GCM-SHA384" in s_client(proxy, "-tls1_2").stdout
    assert "Cipher is TLS_AES_256_GCM_SHA384" in s_client(proxy, "-tls1_3").stdout
    assert "+PONG" not in s_client(proxy, "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256").stdout


def test_renegotiation_is_refused(proxy):
    """s_client asks for it when a line begins with R, and ends when it is refused."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{proxy.tls_port}", "-tls1_2"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as run:
        run.stdin.write("R\n")
        run.stdin.flush()
        try:
            assert run.wait(10) != 0
        finally:
            run.kill()
        assert "no renegotiation" in run.stderr.read()


# ---- bytes ----


@pytest.mark.sanitize
def test_a_byte_at_a_time(proxy, authority):
    with PiecemealTls(proxy.host, proxy.tls_port, authority.trusting()) as client:
        client.shake(1)
        client.tls.write(encode("ECHO", "piece by piece") + b"PI")
        client.send(1)
        client.tls.write(b"NG\r\n")
        client.send(1)
        assert client.read_exactly(28) == b"$14\r\npiece by piece\r\n+PONG\r\n"


@pytest.mark.sanitize
def test_requests_with_the_last_piece_of_the_handshake(proxy, authority):
    """They are in the same segment: nothing more comes that would tell of them."""
    with PiecemealTls(proxy.host, proxy.tls_port, authority.trusting()) as client:
        for _ in range(2):
            try:
                client.tls.do_handshake()
            except ssl.SSLWantReadError:
                client.send()
                client.receive()
        client.tls.write(b"PING\r\n")
        client.send()
        assert client.read_exactly(7) == b"+PONG\r\n"


@pytest.mark.sanitize
def test_half_closed(proxy, authority):
    """A client that says that it has said everything is still answered, and then the proxy closes."""
    with PiecemealTls(proxy.host, proxy.tls_port, authority.trusting()) as client:
        client.shake()
        client.tls.write(encode("ECHO", "a") + encode("DEBUG", "SLEEP", "0") + encode("ECHO", "b"))
        with pytest.raises(ssl.SSLWantReadError):
            client.tls.unwrap()
        client.send()
        raw = b""
        while data := client.receive():
            raw += data
        assert len(raw) > 40  # replies and close_notify: deciphering them is no longer possible here


@pytest.mark.sanitize
def test_end_without_close_notify(proxy, authority):
    with PiecemealTls(proxy.host, proxy.tls_port, authority.trusting()) as client:
        client.shake()
        client.tls.write(b"PING\r\n")
        client.send()
        assert client.read_exactly(7) == b"+PONG\r\n"
        client.sock.shutdown(socket.SHUT_WR)
        assert client.read() == b""


@pytest.mark.sanitize
def test_broken_record(proxy, authority):
    with PiecemealTls(proxy.host, proxy.tls_port, authority.trusting()) as client:
        client.shake()
        client.tls.write(b"PING\r\n")
        record = bytearray(client.outgoing.read())
        record[-1] ^= 1
        client.sock.sendall(record)
        with pytest.raises(ssl.SSLError, match="bad record mac"):
            client.read()


@pytest.mark.sanitize
def test_slow_reader(proxy, authority, redis_server):
    """The socket takes less than what is to be written, again and again."""
    value = bytes(range(256)) * 4096
    redis_server.client().set("tls:slow", value)
    pauses = proxy.metrics()["convproxy_backpressure_pauses_total"]
    with proxy.tls_conn(authority.trusting(), timeout=20) as conn:
        for _ in range(20):
            conn.send_cmd("GET", "tls:slow")
        assert eventually(lambda: proxy.metrics()["convproxy_backpressure_pauses_total"] > pauses)
        assert [conn.read() for _ in range(20)] == [value] * 20


@pytest.mark.sanitize
def test_large_requests_of_many(proxy, authority):
    """Each sends and receives at once, so that reading and writing of one connection meet."""
    problems = []

    def work(number):
        try:
            with proxy.tls_conn(authority.trusting(), timeout=20) as conn:
                value = bytes([number]) * 300_000
                conn.send(b"".join(encode("ECHO", value) for _ in range(5)))
                assert [conn.read() for _ in range(5)] == [value] * 5
        except Exception as problem:  # pylint: disable=broad-except
            problems.append(problem)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems


# ---- who does not get in ----


@pytest.mark.sanitize
def test_plain_client_at_the_tls_port(proxy):
    before = len(proxy.log_text())
    for _ in range(40):
        with RespConn(proxy.host, proxy.tls_port) as conn:
            conn.send(b"*1\r\n$4\r\nPING\r\n")
            assert conn.closed()
    line = r"event=tls_refused .*reason=\"a client without TLS came to an address of tls.listen\""
    proxy.log_contains(line)
    assert len(re.findall(line, proxy.log_text()[before:])) < 20


@pytest.mark.sanitize
def test_tls_client_at_the_plain_port(proxy, authority):
    with socket.create_connection((proxy.host, proxy.port), 5) as sock, pytest.raises(OSError):
        authority.trusting().wrap_socket(sock, server_hostname="localhost")
    proxy.log_contains(r"event=tls_refused .*reason=\"a client with TLS came to an address of listen, which is plain\"")


def test_bytes_that_look_like_tls_are_data(proxy):
    with RespConn.to(proxy) as conn:
        assert conn.cmd("SET", "tls:bytes", b"\x16\x03\x01") == "OK"
        conn.send(b"\x16\x03\x01\r\n")  # a request of its own, but not the first
        assert conn.read().startswith("ERR unknown command")


def test_silent_client(make):
    proxy = make({"tls.handshake_timeout": "100ms"})
    failures = metric(proxy, "failures_total")
    with RespConn(proxy.host, proxy.tls_port, timeout=10) as conn:
        assert conn.closed()
    assert eventually(lambda: metric(proxy, "failures_total") == failures + 1)


@pytest.mark.sanitize
def test_garbage(proxy, authority):
    hello = PiecemealTls(proxy.host, proxy.tls_port, authority.trusting())
    with hello, pytest.raises(ssl.SSLWantReadError):
        hello.tls.do_handshake()
    data = hello.outgoing.read()
    for cut in (1, 5, 6, len(data) // 2, len(data) - 1):
        for tail in (b"", b"\xff" * 64, data):
            with socket.create_connection((proxy.host, proxy.tls_port), 5) as sock:
                sock.sendall(data[:cut] + tail)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(4096):
                    pass
    with proxy.tls_conn(authority.trusting()) as conn:
        assert conn.cmd("PING") == "PONG"


@pytest.mark.sanitize
def test_many_at_once(proxy, authority):
    """More handshakes than a turn of a loop takes; one who is in already is served meanwhile."""
    with proxy.tls_conn(authority.trusting()) as inside:
        clients = [PiecemealTls(proxy.host, proxy.tls_port, authority.trusting()) for _ in range(60)]
        for client in clients:
            with pytest.raises(ssl.SSLWantReadError):
                client.tls.do_handshake()
        for client in clients:
            client.send()
        assert inside.cmd("PING") == "PONG"
        for client in clients:
            with client:
                client.receive()
                client.shake().tls.write(b"PING\r\n")
                client.send()
                assert client.read_exactly(7) == b"+PONG\r\n"


# ---- certificates of clients ----


@pytest.fixture(scope="module")
def client_cert(authority):
    return authority.issue("client")


def ping(proxy, context):
    """A client that is refused may hear of it only when it reads: TLS 1.3."""
    try:
        with proxy.tls_conn(context) as conn:
            return conn.cmd("PING")
    except (OSError, ConnectionError) as problem:
        return str(problem)


@pytest.mark.sanitize
def test_client_certificates(make, authority, client_cert, tmp_path):
    stranger = Authority(tmp_path / "other", "another").issue("client")
    proxy = make({"tls.ca": authority.cert, "tls.client_certs": "yes"})
    assert ping(proxy, authority.trusting(client_cert)) == "PONG"
    assert ping(proxy, authority.trusting()) != "PONG"
    proxy.log_contains(r"event=tls_refused .*reason=\"TLS: peer did not return a certificate\"")
    assert proxy.post_json("/api/v1/settings", {"tls.client_certs": "optional"})
    proxy.log_contains("event=tls_reloaded")
    assert eventually(lambda: ping(proxy, authority.trusting()) == "PONG")
    assert ping(proxy, authority.trusting(client_cert)) == "PONG"
    line = r"event=tls_refused .*reason=\"TLS: the certificate is refused: "
    for _ in range(40):  # one line a second
        assert ping(proxy, authority.trusting(stranger)) != "PONG"
        if re.search(line, proxy.log_text()):
            return
        time.sleep(0.1)
    assert False, proxy.log_tail()


def refused(proxy, context, why):
    """Told in the log once a second at most."""
    line = rf"event=tls_refused .*reason=\"TLS: the certificate is refused: {why}\""

    def told():
        assert ping(proxy, context) != "PONG"
        return re.search(line, proxy.log_text())

    return eventually(told)


@pytest.mark.sanitize
def test_revoked_client_certificates(make, tmp_path):
    """The list is read again by SIGHUP. Who is in stays; who is on it does not come in again, with a ticket of before neither."""
    own = Authority(tmp_path / "own", "own")
    server, good, bad = own.issue("server"), own.issue("good"), own.issue("bad")
    proxy = make({"tls.ca": own.cert, "tls.client_certs": "yes", "tls.crl": own.revoke()}, server)
    context = own.trusting(bad)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    with proxy.tls_conn(context) as conn:
        assert conn.cmd("PING") == "PONG"
        session = conn.sock.session
        crl = own.revoke(bad)
        proxy.signal(signal.SIGHUP)
        proxy.log_contains("event=tls_reloaded")
        assert refused(proxy, context, "certificate revoked")
        with pytest.raises((OSError, ConnectionError)):
            with proxy.tls_conn(context, session=session) as again:
                again.cmd("PING")
        assert conn.cmd("PING") == "PONG", "who was let in before stays"
    assert ping(proxy, own.trusting(good)) == "PONG"
    crl.write_text("no list")
    proxy.signal(signal.SIGHUP)
    proxy.log_contains(r"event=tls_reload_failed reason=\"the revocation list .*crl.pem: ")
    assert ping(proxy, own.trusting(good)) == "PONG" and ping(proxy, own.trusting(bad)) != "PONG"
    other = Authority(tmp_path / "other", "another").revoke()
    assert proxy.post_json("/api/v1/settings", {"tls.crl": str(other)})
    assert refused(proxy, own.trusting(good), "unable to get certificate CRL"), "the list of another authority lets nobody in"
    assert proxy.post_json("/api/v1/settings", {"tls.crl": ""})
    assert eventually(lambda: ping(proxy, own.trusting(bad)) == "PONG")


# ---- renewal ----


def shown(proxy, authority):
    """The serial number of the certificate that a new client is shown."""
    with proxy.tls_conn(authority.trusting()) as conn:
        return conn.sock.getpeercert()["serialNumber"]


@pytest.mark.sanitize
def test_reload(make, authority, tmp_path):
    files = Authority(tmp_path / "own", "own")
    certificate = files.issue("renewed")
    proxy = make(certificate=certificate)
    first = shown(proxy, files)
    with proxy.tls_conn(files.trusting()) as old:
        files.issue("renewed")
        proxy.signal(signal.SIGHUP)
        proxy.log_contains(r"event=tls_reloaded cert=.*renewed.pem expires=\d{10}")
        second = eventually(lambda: shown(proxy, files) != first and shown(proxy, files))
        assert old.cmd("PING") == "PONG"
        certificate.cert.write_text("no certificate")
        proxy.signal(signal.SIGHUP)
        proxy.log_contains(r"level=error event=tls_reload_failed reason=\"the certificate .*renewed.pem: ")
        assert shown(proxy, files) == second
        assert old.cmd("PING") == "PONG"
    status, text = proxy.http("/api/v1/settings", {"tls.min_version": "1.3"})
    assert status == 200, text  # the setting is good; what it makes needs the file
    assert shown(proxy, files) == second


def test_sessions_survive_a_reload(make, authority, tmp_path):
    proxy = make()
    session = tmp_path / "session.pem"
    assert "New, TLSv" in s_client(proxy, "-sess_out", session).stdout
    proxy.signal(signal.SIGHUP)
    proxy.log_contains("event=tls_reloaded")
    assert "Reused, TLSv" in s_client(proxy, "-sess_in", session).stdout


def test_key_with_a_password(make, authority):
    locked = authority.issue("locked", password="the secret of the key")
    proxy = make({}, locked, env={"CONV_TLS_KEY_PASSWORD": "the secret of the key"})
    assert ping(proxy, authority.trusting()) == "PONG"
    with RespConn.to(proxy) as conn:
        assert conn.cmd("CONFIG", "GET", "tls.key_password") == [b"tls.key_password", b"***"]
    assert "the secret" not in proxy.log_text()


@pytest.mark.parametrize(
    "change, why",
    [
        ({"tls.cert": "/nowhere/a.pem"}, "the certificate /nowhere/a.pem: No such file or directory"),
        ({"tls.key": "/nowhere/a.key"}, "the key /nowhere/a.key: No such file or directory"),
        ({"tls.ca": "/nowhere/ca.pem"}, "the trusted certificates /nowhere/ca.pem: "),
        ({"tls.crl": "/nowhere/crl.pem", "tls.ca": "own", "tls.client_certs": "yes"}, "the revocation list /nowhere/crl.pem: "),
        ({"tls.ciphers": "NONE-SUCH"}, "the ciphers NONE-SUCH: no cipher match"),
        ({"tls.key": "other"}, "key values mismatch"),
        ({"tls.key": "locked"}, "the key "),
    ],
    ids=lambda value: next(iter(value.values())) if isinstance(value, dict) else "",
)
def test_a_bad_certificate_stops_the_start(authority, server_cert, change, why):
    made = {"own": lambda: authority.cert, "other": lambda: authority.issue("other").key, "locked": lambda: authority.issue("locked", password="x").key}
    change = {name: made.get(value, lambda value=value: value)() for name, value in change.items()}
    files = {"tls.cert": server_cert.cert, "tls.key": server_cert.key, **change}
    settings = {"listen": f"127.0.0.1:{free_port()}", "tls.listen": f"127.0.0.1:{free_port()}", "admin.listen": "", **files}
    done = run_once(*[word for name, value in settings.items() for word in ("--set", f"{name}={value}")])
    assert done.returncode == 1
    assert "convproxy: tls.listen: " in done.stderr and why in done.stderr, done.stderr


# ---- a new process takes over ----


def conn_to_process(proxy, authority, pid):
    """A connection that the process has taken, or None; two take them for a moment."""
    conn = proxy.tls_conn(authority.trusting(), timeout=20)
    if f"convproxy_process_id:{pid}\r\n".encode() in conn.cmd("INFO", "convproxy"):
        return conn
    conn.close()
    return None


@pytest.mark.sanitize
def test_takeover(make, authority, tmp_path):
    """The listener is handed over; who speaks TLS stays with the old process, which ends when they have left."""
    proxy = make({"proxy.handover": tmp_path / "handover.sock", "proxy.drain_time": "60s"})
    with proxy.tls_conn(authority.trusting()) as stays, RespConn.to(proxy) as goes:
        assert stays.cmd("CLIENT", "SETNAME", "stays") == goes.cmd("CLIENT", "SETNAME", "goes") == "OK"
        with taken_over(proxy) as old:
            with eventually(lambda: conn_to_process(proxy, authority, proxy.process.pid), timeout=20) as fresh:
                names = eventually(lambda: (text := fresh.cmd("CLIENT", "LIST")) and b"name=goes" in text and text)
                assert b"name=stays" not in names
            assert stays.cmd("CLIENT", "GETNAME") == b"stays" and old.poll() is None
            stays.close()
            assert old.wait(20) == 0
            assert goes.cmd("CLIENT", "GETNAME") == b"goes"


@pytest.mark.sanitize
def test_drain(make, authority):
    """SIGTERM: whoever is shaking hands gets in and is answered; then all ends well."""
    proxy = make()
    with proxy.tls_conn(authority.trusting()) as conn:
        assert conn.cmd("PING") == "PONG"
        proxy.stop()
        assert conn.sock.recv(1) == b""  # close_notify: not cut off
    assert not proxy.alive()
