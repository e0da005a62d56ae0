"""A server process whose output goes to a file, and the list of those that run now."""
import os
import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from .wait import eventually

# Every process a test may want to see the log of when it fails (tests/system/conftest.py prints the tails).
running = []


class ServerProcess:
    """Base of RedisServer and Proxy: start, signals, readiness by connecting, log file."""

    name = "server"

    def __init__(self, folder, port):
        self.folder = Path(folder)
        self.host = "127.0.0.1"
        self.port = port
        self.log_path = self.folder / f"{self.name}-{port}.log"
        self.process = None

    def command(self):
        """The command line, as a list."""
        raise NotImplementedError

    def environment(self):
        return dict(os.environ)

    def directory(self):
        """Where it runs: relative paths in its settings begin there."""
        return self.folder

    def start(self, wait=True):
        assert self.process is None, f"{self.name} runs already"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment(), cwd=self.directory()
            )
        running.append(self)
        if wait:
            try:
                self.wait_ready()
            except BaseException as problem:
                problem.add_note(self.log_tail())
                self.kill()
                raise
        return self

    def wait_ready(self, timeout=20.0):
        def ready():
            code = self.process.poll()
            if code is not None:
                raise RuntimeError(f"{self.name} ended with {code} instead of starting")
            return self.answers()

        eventually(ready, timeout)

    def answers(self):
        """True when the server can be used; connecting is enough unless a subclass knows better."""
        with socket.create_connection((self.host, self.port), timeout=1):
            return True

    def signal(self, number):
        self.process.send_signal(number)

    def pause(self):
        """SIGSTOP: the kernel still accepts connections, nobody answers."""
        self.signal(signal.SIGSTOP)

    def resume(self):
        self.signal(signal.SIGCONT)

    def stop(self, timeout=20.0):
        """SIGTERM; returns the exit code. A server that does not end in time is killed, and that is an error."""
        if self.process is None:
            return 0
        self.resume()  # before SIGTERM: later it could end the SIGSTOP by which LeakSanitizer holds the exiting threads
        self.signal(signal.SIGTERM)
        try:
            return self._reaped(timeout)
        except subprocess.TimeoutExpired:
            self.log_threads()
            self.kill()
            raise AssertionError(f"{self.name} did not end within {timeout} s of SIGTERM:\n{self.log_tail(120)}") from None

    def log_threads(self):
        """Where each thread stands, into the log; only where gdb is installed."""
        if shutil.which("gdb"):
            command = ["gdb", "-p", str(self.process.pid), "-batch", "-ex", "thread apply all bt 16"]
            with open(self.log_path, "ab") as log:
                subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=60, check=False)

    def kill(self):
        """kill -9."""
        if self.process is not None:
            self.signal(signal.SIGKILL)
            self._reaped(10)

    def _reaped(self, timeout):
        code = self.process.wait(timeout)
        self.process = None
        running.remove(self)
        return code

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def log_text(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_tail(self, lines=60):
        return "\n".join(self.log_text().splitlines()[-lines:])

    def log_contains(self, regex, timeout=5.0):
        """Waits for a line of the log that matches, and returns the match."""
        return eventually(lambda: re.search(regex, self.log_text(), re.MULTILINE), timeout)
