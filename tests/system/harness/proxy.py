"""convproxy as a process: free ports, a configuration file, its log, its admin HTTP server."""
import json
import os
import re
import subprocess
import tempfile
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import redis
import yaml
from redis.backoff import NoBackoff
from redis.retry import Retry

from .metrics import parse_metrics
from .ports import free_port
from .process import ServerProcess
from .resp import RespConn

ROOT = Path(__file__).resolve().parents[3]
# What the sanitizers and assert() write; a log that shows one fails the test, whatever the clients saw.
BROKEN = re.compile(
    r"ERROR: (?:Address|Leak)Sanitizer|runtime error:|WARNING: ThreadSanitizer|Assertion .* failed|AddressSanitizer:DEADLYSIGNAL"
)


def binary():
    return str((ROOT / os.environ.get("CONVPROXY_BIN", "build/convproxy")).resolve())


class Endpoint:
    """What clients need to know, the same for a proxy and for plain Redis."""

    host = "127.0.0.1"
    port = 0

    @property
    def url(self):
        return f"redis://{self.host}:{self.port}/0"

    def client(self, **options):
        """A redis-py client; RESP3 is what redis-py 8 chooses by itself. Its ten retries, which would hide a lost
        connection or a reply that never came, are off."""
        options.setdefault("retry", Retry(NoBackoff(), 0))
        return redis.Redis(host=self.host, port=self.port, **options)


class DirectProxy(Endpoint):
    """Stands in for a proxy when CONV_TEST_DIRECT=1: clients talk to Redis itself."""

    def __init__(self, server):
        self.host, self.port = server.host, server.port


class Proxy(Endpoint, ServerProcess):
    """Proxy(folder, redis_url, config={...} or YAML text, settings={"proxy.threads": 2}, env={"CONV_TTL_SECONDS": "60"})"""

    name = "convproxy"

    def __init__(self, folder, redis_url, config="", settings=None, env=None, args=()):
        ServerProcess.__init__(self, folder, free_port())
        self.admin_port = free_port()
        self.checked = 0  # how much of the log was searched already
        self.env = {key: str(value) for key, value in (env or {}).items()}
        self.args = [str(arg) for arg in args]
        self.settings = {
            "listen": f"{self.host}:{self.port}",
            "admin.listen": f"{self.host}:{self.admin_port}",
            "redis.url": redis_url,
            **(settings or {}),
        }
        self.config_path = self.folder / f"convproxy-{self.port}.yaml"
        self.config_path.write_text(config if isinstance(config, str) else yaml.safe_dump(config, sort_keys=False))

    def command(self):
        sets = [word for name, value in self.settings.items() for word in ("--set", f"{name}={value}")]
        return [binary(), "--config", str(self.config_path), *sets, *self.args]

    def directory(self):
        """One of its own: two proxies that happen to share a folder don't share ./data."""
        folder = self.folder / f"convproxy-{self.port}"
        folder.mkdir(exist_ok=True)
        return folder

    def answers(self):
        """Connecting works before the start is over: the admin server, the hand-over and proxy.user come between."""
        with RespConn.to(self) as conn:
            return conn.cmd("PING") is not None

    def environment(self):
        """The test run's own environment must not configure the proxy; the sanitizers say as much as they can."""
        ours = re.compile(r"^(CONV|REDIS|MONGO|MEMORY)_(?!TEST_)")
        env = {key: value for key, value in os.environ.items() if not ours.match(key)}
        env["UBSAN_OPTIONS"] = "print_stacktrace=1"
        env["ASAN_OPTIONS"] = "detect_leaks=1:detect_stack_use_after_return=1"
        env["TSAN_OPTIONS"] = f"second_deadlock_stack=1:history_size=4:suppressions={ROOT}/tests/servers/tsan-suppressions.txt"
        return {**env, **self.env}

    def stop(self, timeout=20.0):
        """SIGTERM must end the proxy with 0, and nothing in its log may tell of broken memory or races."""
        code = ServerProcess.stop(self, timeout)
        self.check_log()
        assert code == 0, f"convproxy ended with {code}:\n{self.log_tail()}"
        return code

    def check_log(self):
        text = self.log_text()
        found = BROKEN.search(text, self.checked)
        self.checked = len(text)
        assert not found, f"convproxy's log:\n{text[found.start():][:6000]}"

    def healthy(self):
        """True when it answers. A process that just crashed may still be writing its last words, so being there is not enough."""
        try:
            with RespConn.to(self) as conn:
                return self.alive() and conn.cmd("PING") is not None
        except OSError:
            return False

    def restart(self):
        self.stop()
        return self.start()

    def admin_url(self, path):
        return f"http://{self.host}:{self.admin_port}{path}"

    def http(self, path, body=None, method=None, headers=None):
        """(status, text) of a request to the admin server; body is sent as JSON. Refusals are results, not exceptions."""
        data = None if body is None else json.dumps(body).encode()
        fixed = {"Content-Type": "application/json"} if data is not None else {}
        request = urllib.request.Request(self.admin_url(path), data, {**fixed, **(headers or {})}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.read().decode()

    def get_json(self, path):
        status, text = self.http(path)
        assert status == 200, f"GET {path}: {status} {text}"
        return json.loads(text)

    def post_json(self, path, body):
        status, text = self.http(path, body)
        assert 200 <= status < 300, f"POST {path}: {status} {text}"
        return json.loads(text)

    def metrics(self):
        status, text = self.http("/metrics")
        assert status == 200, f"GET /metrics: {status} {text}"
        return parse_metrics(text)


# libmongoc says so when it is loaded, before main: a process of the same id was killed once, and has left its shared memory.
SAME_PID = re.compile(r"^[^\n]*WARNING: +mongoc: Falling back to malloc for counters\.\n", re.MULTILINE)


def run_once(*args, timeout=10):
    """Runs the binary for options that end by themselves (--version, --check-config …): a CompletedProcess with text."""
    with tempfile.TemporaryDirectory() as folder:  # where it makes ./data, if it comes to that
        command = [binary(), *map(str, args)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, cwd=folder)
    done.stderr = SAME_PID.sub("", done.stderr)
    return done


@contextmanager
def taken_over(proxy):
    """A new process takes over, and is proxy from then on; the old one, which is given, does not outlive the test."""
    with open(proxy.log_path, "ab") as log:
        command = [*proxy.command(), "--takeover"]
        new = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=proxy.environment(), cwd=proxy.directory()
        )
    old, proxy.process = proxy.process, new
    try:
        yield old
    finally:
        if old.poll() is None:
            old.kill()
            old.wait(10)
