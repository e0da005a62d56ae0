"""An archive as a process: tests/unit/backends/archive_cli, asked line by line."""
import os
import subprocess
from dataclasses import dataclass

from .proxy import ROOT

BESIDE = (ROOT / os.environ.get("CONVPROXY_BIN", "build/convproxy")).resolve().parent / "tests/unit/backends"
# libmongoc is not built with TSan, so that its locks and counters are not seen.
NOT_OURS = ROOT / "tests" / "servers" / "tsan-suppressions.txt"


def environment():
    """For programs that link libmongoc."""
    return {**os.environ, "TSAN_OPTIONS": f"suppressions={NOT_OURS} second_deadlock_stack=1"}


@dataclass
class Answer:
    name: str  # "ok", or the error's
    ms: int
    words: str

    @property
    def ok(self):
        return self.name == "ok"


class ArchiveCli:
    """ArchiveCli(url); the time-outs are short, so that tests are."""

    def __init__(self, url, connect_ms=500, timeout_ms=1000):
        command = [BESIDE / "archive_cli", url, str(connect_ms), str(timeout_ms)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
        self.process = subprocess.Popen(command, env=environment(), **pipes)

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        if self.process.poll() is None:
            assert self.close() == 0

    def send(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")

    def read(self):
        name, ms, words = self.process.stdout.readline().rstrip("\n").split(" ", 2)
        return Answer(name, int(ms), words)

    def ask(self, *words):
        self.send(*words)
        return self.read()

    def value(self, key):
        """(version, value)"""
        answer = self.ask("load", key)
        assert answer.ok, answer
        version, value = answer.words.split(" ", 1)
        return int(version), value

    def kill(self):
        self.process.kill()
        self.process.wait(20)
        self.process.stdin.close()
        self.process.stdout.close()

    def close(self):
        """The exit code; a sanitizer that found something makes it differ from 0."""
        self.process.stdin.close()
        code = self.process.wait(30)
        self.process.stdout.close()
        return code
