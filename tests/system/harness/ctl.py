"""convctl as operators and cron run it."""
import subprocess
from pathlib import Path

from .proxy import binary

OK, FOUND, USAGE, UNREACHABLE, INTERRUPTED = range(5)


def convctl_path():
    return str(Path(binary()).parent / "convctl")


def convctl(*args, env=None, timeout=60):
    """convctl ARGS, however it ends: a CompletedProcess with text."""
    command = [convctl_path(), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, env=env, stdin=subprocess.DEVNULL)


def convctl_of(proxy, *args, **options):
    """The same with the URL of a proxy."""
    return convctl("--url", proxy.admin_url(""), *args, **options)


class Convctl:
    """ctl("export", "--out", path): a CompletedProcess with text, of convctl with the URL of a proxy. code: the exit code that it must have; None: any."""

    def __init__(self, proxy, folder):
        self.proxy, self.folder = proxy, folder

    def command(self, *args):
        return [convctl_path(), "--url", self.proxy.admin_url(""), *map(str, args)]

    def __call__(self, *args, code=OK, env=None, timeout=60):
        done = subprocess.run(
            self.command(*args),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            cwd=self.folder,
            env={**self.proxy.environment(), **(env or {})},
            stdin=subprocess.DEVNULL,
        )
        assert code in (None, done.returncode), f"{args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def start(self, *args):
        """A process that the caller waits for."""
        return subprocess.Popen(
            self.command(*args),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            cwd=self.folder,
            env=self.proxy.environment(),
        )
