"""peers: the servers that the benches measure, each on a free loopback port.

Owns:       the child processes and one temporary directory; Stage.close() ends and removes both.
Invariants: every proxy stands before the same Redis; a child dies with its parent, whatever ends the parent.
Used by:    bench/run, bench/callgrind.
"""
import ctypes
import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import resp

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROXIES = ("nutcracker", "haproxy", "convproxy")
ARCHIVES = ("sqlite", "mongo")  # convproxy again, without Redis
MONGO_CLASSES = os.path.join(ROOT, "build", "servers", "mongo-java-server")
DEBIAN_PACKAGES = {"redis-server": "redis-server", "redis-benchmark": "redis-tools", "nutcracker": "nutcracker",
                   "haproxy": "haproxy", "stunnel": "stunnel4", "valgrind": "valgrind"}
START_SECONDS = 5
START_SECONDS_VALGRIND = 60
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)

NUTCRACKER_CONF = """\
bench:
  listen: 127.0.0.1:{port}
  hash: fnv1a_64
  distribution: ketama
  redis: true
  preconnect: true
  servers:
    - 127.0.0.1:{redis}:1
"""
HAPROXY_CONF = """\
global
    nbthread {threads}
    maxconn {maxconn}
defaults
    mode tcp
    timeout connect 1s
    timeout client 1h
    timeout server 1h
frontend clients
    bind 127.0.0.1:{port}
    default_backend redis
backend redis
    server redis 127.0.0.1:{redis}
"""
CONVPROXY_CONF = """\
listen: ["127.0.0.1:{port}"]
proxy: {{ threads: 0 }}
admin: {{ listen: "127.0.0.1:{admin}" }}
redis: {{ url: "redis://127.0.0.1:{redis}/0" }}
log: {{ level: warn }}
policies:
  - name: conv
    match: "conv:*"
    primary: redis
    dual_write: false
    ttl: 30d
    max_messages: 200
"""
ARCHIVE_CONF = """\
listen: ["127.0.0.1:{port}"]
proxy: {{ threads: 0 }}
admin: {{ listen: "127.0.0.1:{admin}" }}
redis: {{ url: "redis://127.0.0.1:{closed}/0" }}
archive: {{ url: "{url}" }}
log: {{ level: warn }}
policies:
  - name: conv
    match: "*"
    primary: archive
    ttl: 30d
    max_messages: 20
"""


class BenchError(Exception):
    """Something the operator can act on; the text says what."""


def stop_on_signals():
    """Turns the usual ways of being stopped into SystemExit, so that every `finally` runs."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda n, _frame: sys.exit(128 + n))


def raise_descriptor_limit():
    """Lifts the soft limit to the hard one and returns it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    hard = 1048576 if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def haproxy_clients(descriptors):
    """HAProxy needs two descriptors a client: the client's and the server's."""
    return (descriptors - 200) // 2


def free_port():
    """Below the range that the kernel gives to clients, so that 10,000 connections can't take it first."""
    for _ in range(200):
        port = random.randint(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise BenchError("no free port between 20000 and 32000")


def find_binary(name):
    """Path of a tool; BenchError with the package to install when there is none."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin")
    if not path:
        raise BenchError(f"{name} is not installed (Debian: apt-get install {DEBIAN_PACKAGES.get(name, name)})")
    return path


def mongo_missing():
    """None, or why there is nothing that could stand in for MongoDB."""
    if not shutil.which("java"):
        return "there is no java"
    return None if os.path.exists(os.path.join(MONGO_CLASSES, "stamp")) else "scripts/test-servers has not built it"


def check_convproxy(path, allow_any_build):
    """The path, if it is a release build without sanitizers; BenchError with the remedy otherwise."""
    if not os.access(path, os.X_OK):
        raise BenchError(f"{path} does not exist: meson setup build && ninja -C build, --bin PATH, "
                         "or --without convproxy")
    options = build_options(path)
    slow = [f"{name}={options[name]}" for name, want in (("buildtype", "release"), ("b_sanitize", "none"))
            if name in options and options[name] not in (want, [], "")]
    if slow and not allow_any_build:
        raise BenchError(f"{path} is not a release build ({', '.join(slow)}); --any-build measures it all the same")
    return path


def build_options(path):
    """The meson options of the build folder that holds the binary; {} if it isn't one."""
    try:
        with open(os.path.join(os.path.dirname(path), "meson-info", "intro-buildoptions.json"), encoding="utf-8") as f:
            return {option["name"]: option["value"] for option in json.load(f)}
    except OSError:
        return {}


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Peer:
    """One running server."""

    def __init__(self, name, port, process, log_path):
        self.name, self.port, self.process, self.log_path = name, port, process, log_path

    def wait_ready(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with resp.Client(self.port, timeout=seconds) as client:
                    if client.call("PING") == "PONG":
                        return
            except (OSError, resp.ReplyError):
                time.sleep(0.02)
        raise BenchError(f"{self.name} does not answer on port {self.port}; its log ends:\n{self.log_tail()}")

    def wait_open(self, seconds):
        """For what does not speak RESP."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise BenchError(f"{self.name} does not listen on port {self.port}; its log ends:\n{self.log_tail()}")

    def log_tail(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return "".join(f.readlines()[-15:])

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as f:
            return int(re.search(r"^VmRSS:\s+(\d+) kB", f.read(), re.M).group(1)) * 1024

    def stop(self):
        """Asks, waits, then kills: a server that hangs at the end must not outlive the bench."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Stage:
    """A Redis and the proxies before it. Use as a context manager."""

    def __init__(self, convproxy, threads=2, prefix=(), settings=(), folder=None):
        """prefix: put before a proxy's command line (valgrind …); settings: more name=value for convproxy; folder: where
        the temporary directory is made."""
        self.convproxy, self.threads, self.prefix, self.settings = convproxy, threads, list(prefix), settings
        self.descriptors = raise_descriptor_limit()
        self.dir = tempfile.mkdtemp(prefix="convproxy-bench-", dir=folder)
        self.peers = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def start(self, name):
        """Starts redis or a proxy; returns when it answers PING."""
        port = free_port()
        argv = getattr(self, f"_{name}")(port)
        under = self.prefix if name != "redis" else []
        log_path = os.path.join(self.dir, f"{name}.log")
        with open(log_path, "wb") as log:
            process = subprocess.Popen(under + argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.dir,
                                       preexec_fn=die_with_parent)
        self.peers[name] = Peer(name, port, process, log_path)
        self.peers[name].wait_ready(START_SECONDS_VALGRIND if under else START_SECONDS)
        return self.peers[name]

    def close(self):
        for name in sorted(self.peers, key=lambda n: n in ("redis", "mongo-server")):
            self.peers[name].stop()
        self.peers.clear()
        shutil.rmtree(self.dir, ignore_errors=True)

    def _write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def _redis(self, port):
        return [find_binary("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly",
                "no", "--maxclients", str(self.descriptors - 100), "--dir", self.dir]

    def _nutcracker(self, port):
        conf = self._write("nutcracker.yml", NUTCRACKER_CONF.format(port=port, redis=self.peers["redis"].port))
        return [find_binary("nutcracker"), "-c", conf, "-a", "127.0.0.1", "-s", str(free_port())]

    def _haproxy(self, port):
        conf = self._write("haproxy.cfg", HAPROXY_CONF.format(
            port=port, redis=self.peers["redis"].port, threads=self.threads,
            maxconn=min(10100, haproxy_clients(self.descriptors))))
        return [find_binary("haproxy"), "-db", "-f", conf]

    def _sqlite(self, port):
        return self._archive(port, "sqlite", f"sqlite:{self.dir}/archive.db")

    def _mongo(self, port):
        """Before it, the server it speaks to: the Java program that stands in for MongoDB."""
        server = free_port()
        self._start_mongo_server(server)
        return self._archive(port, "mongo", f"mongodb://127.0.0.1:{server}/bench")

    def _archive(self, port, name, url):
        conf = self._write(f"{name}.yaml", ARCHIVE_CONF.format(port=port, admin=free_port(), closed=free_port(), url=url))
        more = [word for setting in self.settings for word in ("--set", setting)]
        return [self.convproxy, "--config", conf] + more

    def _start_mongo_server(self, port):
        log_path = os.path.join(self.dir, "mongo-server.log")
        argv = ["java", "-Xmx2g", "-cp", f"{MONGO_CLASSES}:{MONGO_CLASSES}/*", "Main", str(port)]
        with open(log_path, "wb") as log:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.dir,
                                       preexec_fn=die_with_parent)
        self.peers["mongo-server"] = Peer("mongo-server", port, process, log_path)
        self.peers["mongo-server"].wait_open(START_SECONDS)

    def _convproxy(self, port):
        conf = self._write("convproxy.yaml", CONVPROXY_CONF.format(
            port=port, redis=self.peers["redis"].port, threads=self.threads, admin=free_port()))
        more = [word for setting in self.settings for word in ("--set", setting)]
        return [self.convproxy, "--config", conf] + more


def version_of(argv, pattern):
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    found = re.search(pattern, done.stdout + done.stderr)
    return found.group(1) if found else "unknown"


def machine(names, convproxy):
    """What a reader needs to judge the numbers: cores, kernel, versions of everything that ran."""
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        model = re.search(r"^model name\s*:\s*(.+)$", f.read(), re.M)
    versions = {"redis": version_of([find_binary("redis-server"), "--version"], r"v=([\d.]+)")}
    if "nutcracker" in names:
        versions["nutcracker"] = version_of([find_binary("nutcracker"), "-V"], r"nutcracker-([\d.]+)")
    if "haproxy" in names:
        versions["haproxy"] = version_of([find_binary("haproxy"), "-v"], r"version ([\d.]+)")
    if "convproxy" in names:
        versions["convproxy"] = version_of([convproxy, "--version"], r"([\d][\w.+-]*)")
        versions["commit"] = version_of(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], r"(\w+)")
    return {"cores": os.cpu_count(), "cpu": model.group(1) if model else "unknown", "kernel": os.uname().release,
            "load": os.getloadavg()[0], "versions": versions}
