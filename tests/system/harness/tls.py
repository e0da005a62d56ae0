"""Certificates made with openssl, TLS clients down to the single byte, and a relay that puts TLS before any server."""
import socket
import socketserver
import ssl
import subprocess
import threading
from pathlib import Path

from .proxy import Proxy
from .ports import free_port
from .redis_server import RedisServer
from .resp import RespConn

KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]


def openssl(*args, data=None):
    run = subprocess.run(["openssl", *map(str, args)], input=data, capture_output=True, text=True, timeout=20, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


class Certificate:
    def __init__(self, cert, key):
        self.cert, self.key = cert, key


class Authority:
    """Who vouches for certificates: Authority(folder).issue("server", "DNS:localhost,IP:127.0.0.1")."""

    def __init__(self, folder, name="ca"):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.cert, self.key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        openssl("req", "-x509", *KEY, "-nodes", "-keyout", self.key, "-out", self.cert, "-subj", f"/CN={name}", "-days", 2)

    def issue(self, name, san="DNS:localhost,IP:127.0.0.1", days=2, password=None):
        """days=-1: it has expired. password: the key is encrypted."""
        cert, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        lock = ["-passout", f"pass:{password}"] if password else ["-nodes"]
        openssl("req", *KEY, *lock, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        extensions.write_text(f"subjectAltName={san}\n")
        sign = ["x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key, "-CAcreateserial"]
        openssl(*sign, "-days", days, "-extfile", extensions, "-out", cert)
        return Certificate(cert, key)

    def revoke(self, *certificates):
        """The revocation list that names these, as a file. It replaces the one of before."""
        index, conf, crl = self.folder / "index.txt", self.folder / "crl.cnf", self.folder / "crl.pem"
        index.touch()
        conf.write_text(f"[ca]\ndefault_ca=own\n[own]\ndatabase={index}\ndefault_md=sha256\ndefault_crl_days=2\n")
        sign = ["ca", "-batch", "-config", conf, "-keyfile", self.key, "-cert", self.cert]
        for certificate in certificates:
            openssl(*sign, "-revoke", certificate.cert)
        openssl(*sign, "-gencrl", "-out", crl)
        return crl

    def trusting(self, client=None, host=True):
        """A context for clients that trust whom this authority vouches for."""
        context = ssl.create_default_context(cafile=str(self.cert))
        context.check_hostname = host
        if client is not None:
            context.load_cert_chain(client.cert, client.key)
        return context


class TlsConn(RespConn):
    """RespConn over TLS."""

    def __init__(self, host, port, context, timeout=5.0, session=None):
        super().__init__(host, port, timeout)
        plain = self.sock
        try:
            self.sock = context.wrap_socket(plain, server_hostname="localhost", session=session)
        except BaseException:
            plain.close()
            raise


class PiecemealTls:
    """A TLS client whose records are in its test's hands: what it has to say is in .outgoing until it is sent."""

    def __init__(self, host, port, context):
        self.sock = socket.create_connection((host, port), 5)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        self.sock.close()

    def send(self, size=1 << 20):
        """Sends what waits, size bytes at a time."""
        data = self.outgoing.read()
        for at in range(0, len(data), size):
            self.sock.sendall(data[at : at + size])

    def receive(self):
        data = self.sock.recv(1 << 16)
        self.incoming.write(data) if data else self.incoming.write_eof()
        return data

    def shake(self, size=1 << 20):
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.send(size)
                self.receive()
                continue
            self.send(size)
            return self

    def read(self):
        """The next bytes of the other side; b"" when it has said that it is the end."""
        while True:
            try:
                return self.tls.read(1 << 16)
            except ssl.SSLWantReadError:
                self.receive()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    def read_exactly(self, n):
        data = b""
        while len(data) < n:
            more = self.read()
            assert more, f"the end after {len(data)} of {n} bytes"
            data += more
        return data


class TlsRelay(socketserver.ThreadingTCPServer):
    """TLS before a server that has none: TlsRelay(certificate, redis).port. Counts what its clients did."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, certificate, target):
        self.target = target
        self.names, self.resumed, self.connections, self.failures = [], 0, 0, 0
        self.lock = threading.Lock()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate.cert, certificate.key)
        self.context.sni_callback = lambda _sock, name, _context: self.names.append(name)
        super().__init__(("127.0.0.1", free_port()), _RelayedClient)
        self.port = self.server_address[1]

    def __enter__(self):
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *problem):
        self.shutdown()
        self.server_close()


class _RelayedClient(socketserver.BaseRequestHandler):
    def handle(self):
        relay = self.server
        try:
            client = relay.context.wrap_socket(self.request, server_side=True)
        except OSError:  # ssl.SSLError is one
            with relay.lock:
                relay.failures += 1
            return
        with relay.lock:
            relay.connections += 1
            relay.resumed += client.session_reused
        with client, socket.create_connection(relay.target) as server:
            back = threading.Thread(target=pump, args=(server, client), daemon=True)
            back.start()
            pump(client, server)
            back.join()


def pump(source, sink):
    """Until one of them ends; then neither of them goes on."""
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
    except OSError:
        pass
    for sock in (source, sink):
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class TlsRedis(RedisServer):
    """A redis-server that speaks TLS on tls_port, and without TLS on port, for the test itself."""

    def __init__(self, folder, certificate, authority, client_certs="no", args=()):
        self.tls_port = free_port()
        files = ["--tls-cert-file", certificate.cert, "--tls-key-file", certificate.key, "--tls-ca-cert-file", authority.cert]
        # Where localhost has two addresses it is at both: a refused connection would hide what TLS says.
        own = ["--bind", "127.0.0.1", "-::1", "--tls-port", self.tls_port, *files, "--tls-auth-clients", client_certs]
        super().__init__(folder, args=[*own, *args])

    def tls_url(self, host="localhost"):
        return f"rediss://{host}:{self.tls_port}/0"


class TlsProxy(Proxy):
    """A proxy that speaks TLS on tls_port as well. What needs time gets it: sanitizers are slow at arithmetic."""

    def __init__(self, folder, redis_url, certificate, config="", settings=None, **options):
        self.tls_port = free_port()
        own = {
            "tls.listen": f"127.0.0.1:{self.tls_port}",
            "tls.cert": certificate.cert,
            "tls.key": certificate.key,
            "redis.connect_timeout": "5s",
            "redis.timeout": "5s",
        }
        super().__init__(folder, redis_url, config, {**own, **(settings or {})}, **options)

    def tls_conn(self, context, **options):
        return TlsConn(self.host, self.tls_port, context, **options)
