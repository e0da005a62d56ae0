"""The proxy that serves everything from its archive, against redis-server: the same commands on both, every reply byte for
byte, and what they leave behind. Both see one clock.

CONV_ARCHIVE_COMMANDS   random commands (20000)
CONV_SEED               the seed of a run that failed"""
import importlib
import json
import os
import pkgutil
import random
import subprocess
import time
from pathlib import Path

import engine_samples
import pytest
from engine_samples import Later
from harness.archive_pair import ArchivePair, FrozenProxy
from harness.archive_scripts import TRANSACTION, WHOLE, proxy_script, rows_without_grammar
from harness.engine_cli import shrunk
from harness.engine_clock import FrozenRedis

ROOT = Path(__file__).resolve().parents[2]
BESIDE = (ROOT / os.environ.get("CONVPROXY_BIN", "build/convproxy")).resolve().parent
CLOCK = BESIDE / "tests/unit/engine/libfrozen_clock.so"
COMMANDS = int(os.environ.get("CONV_ARCHIVE_COMMANDS", "20000"))
SCRIPT = 200  # commands that run on one keyspace: few enough to shrink quickly
SAMPLES = sorted(module.name for module in pkgutil.iter_modules(engine_samples.__path__))

DATA = {"string", "bitmap", "list", "hash", "set", "sortedset", "stream", "hyperloglog", "geo", "keyspace", "transaction"}


@pytest.fixture(scope="module")
def clock(tmp_path_factory):
    """The redis-server, whose clock is the proxy's too."""
    server = FrozenRedis(tmp_path_factory.mktemp("redis"), CLOCK).start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def served(clock, tmp_path_factory):
    proxy = FrozenProxy(tmp_path_factory.mktemp("proxy"), clock, "sqlite:data/convproxy.db").start()
    yield proxy
    proxy.stop()


@pytest.fixture
def pair(served, clock):
    both = ArchivePair(served, clock)
    yield both
    both.close()


def data_rows():
    """The rows of router/commands.def that read or write values."""
    done = subprocess.run([BESIDE / "tests/unit/router/dump_commands"], capture_output=True, text=True, check=True, timeout=20)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return sorted(row["name"] for row in rows if DATA & {word.lstrip("@") for word in row["categories"]})


# What inspects Redis itself, or needs a second database or server: told so, and nothing is done.
REFUSED = {
    "migrate": ("127.0.0.1", "1", "k", "0", "100"), "move": ("k", "1"), "pfdebug": ("ENCODING", "k"), "pfselftest": (),
    "restore-asking": ("k", "0", "x", "REPLACE"), "swapdb": ("0", "1"),
}  # fmt: skip


def served_rows():
    """Those the proxy serves; that it does is what the random scripts find out."""
    return [row for row in data_rows() if row not in REFUSED]


def test_every_row_has_a_grammar():
    assert rows_without_grammar(served_rows()) == set()


@pytest.mark.parametrize("row", sorted(REFUSED))
def test_refused_rows_do_nothing(pair, row):
    pair.begin(2)
    pair.proxy.ask("SET", "k", "v")
    assert pair.proxy.ask(row, *REFUSED[row]) == f"-ERR {row} is not supported by convproxy yet\r\n".encode()
    assert pair.proxy.ask("GET", "k") == b"$1\r\nv\r\n"
    assert pair.proxy.ask("DBSIZE") == b":1\r\n"


def test_groups_are_watched(pair):
    """Redis does not count a consumer's reading as a change of the stream; here every change counts, so EXEC says no."""
    pair.begin(2)
    for side, answer in ((pair.proxy, b"*-1\r\n"), (pair.redis, b"*1\r\n+PONG\r\n")):
        link, other = side.links
        link.ask("XGROUP", "CREATE", "x", "g", "$", "MKSTREAM")
        assert link.ask("WATCH", "x") == b"+OK\r\n"
        assert other.ask("XGROUP", "CREATECONSUMER", "x", "g", "alice") == b":1\r\n"
        assert link.ask_all([("MULTI",), ("PING",), ("EXEC",)])[-1] == answer


@pytest.mark.parametrize("module", SAMPLES)
@pytest.mark.parametrize("resp", [2, 3])
def test_samples(pair, module, resp):
    scripts = importlib.import_module(f"engine_samples.{module}").SAMPLES
    failed = [f"script {number}: {found[1]}" for number, script in enumerate(scripts) if (found := pair.run(script, resp))]
    assert not failed, f"{len(failed)} of {len(scripts)} scripts:\n" + "\n".join(failed[:20])


def minimal(pair, script, position, resp):
    """The shortest script that still differs, as lines of Python, and what differs in it."""
    short = shrunk(script[: position + 1], lambda part: pair.run(part, resp) is not None)
    again = pair.run(short, resp)
    return "".join(f"    {command!r},\n" for command in short) + (again[1] if again else "differed, but not each time it ran")


def report(pair, script, found, resp):
    """What differed, then what makes it differ. A difference that does not come again is no less of one: something beside
    the commands decided, which neither side may let show."""
    position, words = found
    if pair.run(script, resp) is None:
        return f"{words}\nwhen the same script ran again, nothing differed. It was:\n    {script[: position + 1]!r}"
    return f"{words}\nthe shortest part that differs:\n{minimal(pair, script, position, resp)}"


def random_commands(pair, commands, say=lambda words: None):
    """Scripts until so many commands have been compared; every row must have come. What was run, in words."""
    seed = int(os.environ.get("CONV_SEED") or random.SystemRandom().randrange(1 << 30))
    print(f"CONV_SEED={seed} CONV_ARCHIVE_COMMANDS={commands}")
    rows = served_rows()
    hits, began, number, pair.sent = dict.fromkeys(rows, 0), time.monotonic(), 0, 0
    while pair.sent < commands:
        script = proxy_script(random.Random(f"{seed}:{number}"), rows, SCRIPT, hits)
        resp = 2 + number % 2
        found = pair.run(script, resp)
        if found is not None:
            pytest.fail(f"CONV_SEED={seed}, script {number}: {report(pair, script, found, resp)}")
        number += 1
        say(f"CONV_SEED={seed}: {pair.sent} of {commands} commands, {number} scripts, {time.monotonic() - began:.0f} s")
    assert [row for row in rows if hits[row] == 0] == [], "rows that no command hit"


@pytest.mark.sanitize
@pytest.mark.timeout(600 + COMMANDS // 50)
def test_random_commands(pair):
    random_commands(pair, COMMANDS)
