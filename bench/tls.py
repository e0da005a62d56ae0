#!/usr/bin/env python3
"""tls: convproxy with TLS on both sides against HAProxy and stunnel with the same, before the same Redis, in one run.

    bench/tls.py [--rounds N] [--requests N] [--bin PATH] [--out FILE]

    clients ==TLS==> proxy ==TLS==> Redis

Invariants: all have the same certificate, verify Redis's, and meet the same keys; rounds take turns, so that a noisy moment meets
            them all. A cell is the median of its rounds.
"""
import argparse
import json
import os
import re
import socket
import ssl
import statistics
import subprocess
import sys
import time

import peers

AIM = 0.8  # of the better of HAProxy and stunnel
VALUE_BYTES = "200"
CLIENTS = "50"
ROWS = (  # name, redis-benchmark's words
    ("SET", ("-t", "set", "-P", "1")),
    ("GET", ("-t", "get", "-P", "1")),
    ("SET, 16 deep", ("-t", "set", "-P", "16")),
    ("GET, 16 deep", ("-t", "get", "-P", "16")),
    ("LRANGE 100", ("-P", "1", "LRANGE", "tls:list", "0", "99")),
    ("new connections", ("-t", "ping_mbulk", "-k", "0")),
)
SLOW = {"LRANGE 100": 8, "new connections": 40}  # so many times fewer requests

HAPROXY_CONF = """\
global
    nbthread {threads}
    maxconn 1000
defaults
    mode tcp
    timeout connect 1s
    timeout client 1h
    timeout server 1h
frontend clients
    bind 127.0.0.1:{port} ssl crt {pem}
    default_backend redis
backend redis
    server redis 127.0.0.1:{redis} ssl verify required ca-file {ca} verifyhost localhost sni str(localhost)
"""
STUNNEL_CONF = """\
foreground = yes
pid =
debug = err
[clients]
accept = 127.0.0.1:{port}
connect = 127.0.0.1:{between}
cert = {pem}
[redis]
client = yes
accept = 127.0.0.1:{between}
connect = localhost:{redis}
CAfile = {ca}
verifyChain = yes
checkHost = localhost
"""
CONVPROXY_CONF = """\
listen: ["127.0.0.1:{plain}"]
tls: {{ listen: ["127.0.0.1:{port}"], cert: "{cert}", key: "{key}" }}
admin: {{ listen: "127.0.0.1:{admin}" }}
redis: {{ url: "rediss://localhost:{redis}/0", tls_ca: "{ca}" }}
archive: {{ url: "" }}
log: {{ level: warn }}
policies: [{{ name: conv, match: "conv:*", dual_write: false }}]
"""


class TlsStage(peers.Stage):
    """The same, with TLS; each peer's port speaks it."""

    def __init__(self, convproxy, threads):
        super().__init__(convproxy, threads)
        self.files = {name: os.path.join(self.dir, name) for name in ("ca.pem", "ca.key", "s.pem", "s.key", "s.csr", "s.ext", "both.pem")}
        self._certify()

    def _certify(self):
        f = self.files
        new = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        self._write("s.ext", "subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        for argv in (
            [*new, "-x509", "-keyout", f["ca.key"], "-out", f["ca.pem"], "-subj", "/CN=bench", "-days", "2"],
            [*new, "-keyout", f["s.key"], "-out", f["s.csr"], "-subj", "/CN=localhost"],
            ["openssl", "x509", "-req", "-in", f["s.csr"], "-CA", f["ca.pem"], "-CAkey", f["ca.key"], "-CAcreateserial",
             "-days", "2", "-extfile", f["s.ext"], "-out", f["s.pem"]],
        ):
            subprocess.run(argv, check=True, capture_output=True)
        with open(f["both.pem"], "w", encoding="utf-8") as both:
            for name in ("s.pem", "s.key"):
                with open(f[name], encoding="utf-8") as one:
                    both.write(one.read())

    def start(self, name):
        port = peers.free_port()
        argv = getattr(self, f"_{name}")(port)
        log_path = os.path.join(self.dir, f"{name}.log")
        with open(log_path, "wb") as log:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.dir,
                                       preexec_fn=peers.die_with_parent)
        peer = self.peers[name] = peers.Peer(name, port, process, log_path)
        self._wait_ready(peer)
        return peer

    def _wait_ready(self, peer):
        context = ssl.create_default_context(cafile=self.files["ca.pem"])
        deadline = time.monotonic() + peers.START_SECONDS
        while time.monotonic() < deadline and peer.process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", peer.port), 1) as sock, \
                        context.wrap_socket(sock, server_hostname="localhost") as conn:
                    conn.sendall(b"PING\r\n")
                    if conn.recv(16) == b"+PONG\r\n":
                        return
            except OSError:
                pass
            time.sleep(0.02)
        raise peers.BenchError(f"{peer.name} does not answer on port {peer.port}; its log ends:\n{peer.log_tail()}")

    def _format(self, text, port):
        redis = self.peers["redis"].port
        return text.format(port=port, plain=peers.free_port(), admin=peers.free_port(), between=peers.free_port(), redis=redis,
                           threads=self.threads, ca=self.files["ca.pem"], cert=self.files["s.pem"], key=self.files["s.key"],
                           pem=self.files["both.pem"])

    def _redis(self, port):
        f = self.files
        return [peers.find_binary("redis-server"), "--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1", "--save", "",
                "--tls-cert-file", f["s.pem"], "--tls-key-file", f["s.key"], "--tls-ca-cert-file", f["ca.pem"],
                "--tls-auth-clients", "no", "--dir", self.dir]

    def _haproxy(self, port):
        conf = self._write("haproxy.cfg", self._format(HAPROXY_CONF, port))
        return [peers.find_binary("haproxy"), "-db", "-f", conf]

    def _stunnel(self, port):
        return [peers.find_binary("stunnel"), self._write("stunnel.conf", self._format(STUNNEL_CONF, port))]

    def _convproxy(self, port):
        return [self.convproxy, "--config", self._write("convproxy.yaml", self._format(CONVPROXY_CONF, port))]

    def fill(self):
        """What LRANGE reads."""
        value = "x" * int(VALUE_BYTES)
        words = ["RPUSH", "tls:list", *[value] * 100]
        self._cli("DEL", "tls:list")
        self._cli(*words)

    def _cli(self, *words):
        argv = ["redis-cli", "-p", str(self.peers["redis"].port), "--tls", "--cacert", self.files["ca.pem"], *words]
        subprocess.run(argv, check=True, capture_output=True)

    def measure(self, peer, words, requests):
        """Requests a second."""
        argv = [peers.find_binary("redis-benchmark"), "-p", str(peer.port), "--tls", "--cacert", self.files["ca.pem"], "--sni",
                "localhost", "-c", CLIENTS, "-d", VALUE_BYTES, "-n", str(requests), "-r", "1000", "--csv", *words]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
        found = re.findall(r'^"[^"]*","([\d.]+)"', done.stdout, re.M)
        if done.returncode != 0 or not found or "rror" in done.stderr:
            raise peers.BenchError(f"redis-benchmark on {peer.name}: {done.stdout[-300:]} {done.stderr[-300:]}")
        return float(found[-1])


def run(stage, names, rounds, requests):
    """{row: {name: [requests a second of each round]}}"""
    cells = {row: {name: [] for name in names} for row, _ in ROWS}
    for number in range(rounds):
        for row, words in ROWS:
            turn = names[number % len(names):] + names[: number % len(names)]
            for name in turn:
                cells[row][name].append(stage.measure(stage.peers[name], words, requests // SLOW.get(row, 1)))
    return cells


def report(cells, names):
    lines = ["| TLS on both sides, requests/s | " + " | ".join(names) + " | convproxy / better of the others | aim |",
             "|---|" + "---|" * (len(names) + 2)]
    for row, by_name in cells.items():
        middle = {name: statistics.median(values) for name, values in by_name.items()}
        ratio = middle["convproxy"] / max(middle[name] for name in names if name not in ("redis", "convproxy"))
        shown = " | ".join(f"{middle[name]:,.0f}" for name in names)
        lines.append(f"| {row} | {shown} | {ratio:.2f} | {AIM if row != 'new connections' else '-'} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=40000)
    parser.add_argument("--threads", type=int, default=2, help="of HAProxy; convproxy has its default")
    parser.add_argument("--bin", default=os.path.join(peers.ROOT, "build", "convproxy"))
    parser.add_argument("--out", help="raw numbers as JSON")
    args = parser.parse_args()
    names = ["redis", "haproxy", "stunnel", "convproxy"]
    try:
        with TlsStage(peers.check_convproxy(os.path.abspath(args.bin), False), args.threads) as stage:
            for name in names:
                stage.start(name)
            stage.fill()
            cells = run(stage, names, args.rounds, args.requests)
    except peers.BenchError as problem:
        sys.exit(f"bench/tls.py: {problem}")
    if args.out:
        with open(args.out, "w", encoding="utf-8") as out:
            json.dump(cells, out, indent=1)
    print(report(cells, names))


if __name__ == "__main__":
    main()
