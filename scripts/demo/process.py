"""One child process. It ends with the demo, even when that is killed: setpriv asks the kernel to see to it, which counts from
the thread that has started it, so only the main thread starts processes."""

import os
import signal
import subprocess
import time


class Failed(Exception):
    """What the person at the terminal is told, without a traceback."""


class Process:
    """name, command (a list), ready: a function that returns true, or raises OSError while it is not."""

    def __init__(self, name, command, folder, ready, env=None):
        self.name, self.command, self.folder, self.ready, self.env = name, command, folder, ready, env
        self.log_path = folder / f"{name}.log"
        self.child = None

    def start(self, timeout=30.0):
        with open(self.log_path, "ab") as log:
            self.child = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *map(str, self.command)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**os.environ, **self.env} if self.env else None,
                start_new_session=True,  # so that Ctrl-C reaches the demo alone, which ends them in order
            )
        self._wait_ready(timeout)
        return self

    def _wait_ready(self, timeout):
        deadline = time.monotonic() + timeout
        while not self._is_ready():
            if not self.alive():
                raise Failed(f"{self.name} ended with {self.child.returncode} instead of starting; {self.log_path} ends with:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise Failed(f"{self.name} is not ready after {timeout:.0f} s; {self.log_path} ends with:\n{self.tail()}")
            time.sleep(0.05)

    def _is_ready(self):
        try:
            return self.ready()
        except OSError:
            return False

    def alive(self):
        return self.child is not None and self.child.poll() is None

    def kill(self):
        """kill -9."""
        if self.alive():
            self.child.kill()
            self.child.wait()

    def stop(self, timeout=15.0):
        """SIGTERM, and kill -9 for who does not listen."""
        if not self.alive():
            return
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def tail(self, lines=12):
        return "\n".join("    " + line for line in self.log_path.read_text(errors="replace").splitlines()[-lines:])
