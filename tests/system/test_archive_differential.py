"""The proxy that serves everything from its archive, against redis-server: the same commands on both, every reply byte for
byte, and what they leave behind. Both see one clock.

CONV_ARCHIVE_COMMANDS   random commands on SQLite (20000); make engine-soak runs a million
CONV_SEED               the seed of a run that failed"""
import importlib
import json
import os
import pkgutil
import random
import re
import subprocess
import threading
import time
from collections import Counter
from contextlib import closing, contextmanager
from pathlib import Path

import engine_samples
import pytest
from harness.archive_pair import ArchivePair, FrozenProxy, Link, views_of
from harness.archive_scripts import proxy_script, rows_without_grammar
from harness.engine_cli import report, same, tree
from harness.engine_clock import FrozenRedis
from harness.mongo_server import FerretDB, mongo_kind, start_mongo

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
    two = {"proxy.threads": 2}  # two loops: the clients of a script are not served by one thread
    proxy = FrozenProxy(tmp_path_factory.mktemp("proxy"), clock, "sqlite:data/convproxy.db", two).start()
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


ODD = [
    "OBJECT", "OBJECT x", "OBJECT ENCODING", "XGROUP x y", "XINFO x", "FOO a b", "SCAN", "SCAN -1", "SCAN 5x", "SCAN 007 COUNT 1",
    "SCAN 99999999999999999999", "SCAN 18446744073709551615", "SCAN 9223372036854775807", "KEYS", "DBSIZE x", "RANDOMKEY x",
    "FLUSHDB a b", "WATCH", "MULTI x", "EXEC", "DISCARD", "UNWATCH", "GET", "MULTI", "FOO a", "EXEC", "MULTI", "GET",
    "EXEC", "MULTI", "OBJECT x", "EXEC", "MULTI", "WATCH a", "UNWATCH", "SCAN 0", "KEYS *", "DBSIZE", "RANDOMKEY", "FLUSHALL", "EXEC",
    "MULTI", "BLPOP a 0", "XREAD BLOCK 0 STREAMS a $", "PING", "ECHO a", "TIME", "EXEC",
]  # fmt: skip


@pytest.mark.parametrize("resp", [2, 3])
def test_odd_requests(pair, resp):
    """What is wrong with a request is said in Redis's words, whoever finds it: the proxy, the executor or the engine."""
    pair.begin(resp)
    script = [tuple(line.split()) for line in ODD]
    ours, theirs = (side.links[0].pipeline(script) for side in (pair.proxy, pair.redis))
    assert [each for each in zip(ODD, ours, theirs) if each[1] != each[2]] == []


def filling_script(seed):
    """A random one that leaves something behind."""
    steps = proxy_script(random.Random(seed), served_rows(), SCRIPT, Counter())
    return [step for step in steps if str(step[0]).upper() not in ("FLUSHALL", "FLUSHDB")]


SORTS = [
    "SORT l BY w_*", "SORT l BY w_* DESC", "SORT l BY w_* GET # GET n_* GET h_*->name", "SORT l BY h_*->rank GET h_*->name", "SORT l GET w_*",
    "SORT l BY w_* STORE out", "SORT_RO l BY h_*->rank", "SORT l BY n_* ALPHA", "SORT l BY n_* ALPHA DESC GET n_*", "SORT l BY n_*",
    "SORT l BY h_*->r GET h_*->r", "SORT l BY none_* GET none_* GET #", "SORT l BY nosort GET w_*", "SORT s BY w_* LIMIT 1 2 GET #",
    "SORT z BY w_* GET w_*x GET *", "SORT l BY l_* GET l", "SORT l GET w_*->x BY h_*", "SORT s BY nosort GET n_* STORE out", "SORT l BY bad_*",
    "SORT l BY w_* BY nosort", "SORT l GET n_* GET h_*-> GET h_*->", "SORT missing BY w_* GET n_*",
]  # fmt: skip


@pytest.mark.sanitize
@pytest.mark.parametrize("words", SORTS)
def test_sort_by_other_keys(pair, words):
    """Patterns name keys that no argument does."""
    script = ["RPUSH l 3 1 2 1", "SADD s 1 2 3", "ZADD z 1 3 2 2 3 1", "MSET w_1 30 w_2 -10.5 w_3 20 n_1 b n_2 c n_3 a bad_1 x w_1x X 1 one"]
    script += ["HSET h_1 rank 5 name first r 1", "HSET h_2 rank 4 name second", "SET out old", words, "LRANGE out 0 -1"]
    assert pair.run([tuple(line.split()) for line in script], 2) is None
    assert pair.run([tuple(line.split()) for line in script], 3) is None


@pytest.mark.parametrize("number", range(4))
def test_dump_and_restore(pair, number):
    """What DUMP gives, RESTORE makes the same value of. The bytes are the archive's own, not Redis's."""
    assert pair.run(filling_script(f"dump:{number}"), 2) is None
    keys = pair.proxy.words_raw("KEYS", "*")
    assert keys
    for key in keys:
        dump = tree(pair.proxy.ask("DUMP", key))[0][1]
        assert pair.proxy.ask("RESTORE", b"copy", "0", dump, "REPLACE") == b"+OK\r\n"
        kind = tree(pair.proxy.ask("TYPE", key))[0][1]
        for here, there in zip(views_of(key, kind), views_of(b"copy", kind)):
            ours, copied = pair.proxy.ask(*here), pair.proxy.ask(*there)
            assert here[0] == "PTTL" or same(here, ours, copied), (here, ours, copied)


def test_groups_are_watched(pair):
    """Redis does not count a consumer's reading as a change of the stream; here every change counts, so EXEC says no."""
    pair.begin(2)
    for side, answer in ((pair.proxy, b"*-1\r\n"), (pair.redis, b"*1\r\n+PONG\r\n")):
        link, other = side.links
        link.ask("XGROUP", "CREATE", "x", "g", "$", "MKSTREAM")
        assert link.ask("WATCH", "x") == b"+OK\r\n"
        assert other.ask("XGROUP", "CREATECONSUMER", "x", "g", "alice") == b":1\r\n"
        assert link.ask_all([("MULTI",), ("PING",), ("EXEC",)])[-1] == answer


@pytest.mark.parametrize("steps", [(("SET", "k", "v"), ("DEL", "k")), (("SET", "k", "v", "PXAT", "1"),)])
def test_watched_key_came_and_went(pair, steps):
    """It was absent at WATCH and is absent at EXEC, and still it has changed."""
    pair.begin(2)
    for side in (pair.proxy, pair.redis):
        link, other = side.links
        assert link.ask("WATCH", "k") == b"+OK\r\n"
        other.ask_all(steps)
        assert link.ask_all([("MULTI",), ("PING",), ("EXEC",)])[-1] == b"*-1\r\n"


@pytest.mark.timeout(240)
@pytest.mark.parametrize("module", SAMPLES)
@pytest.mark.parametrize("resp", [2, 3])
def test_samples(pair, module, resp):
    scripts = importlib.import_module(f"engine_samples.{module}").SAMPLES
    failed = [f"script {number}: {found[1]}" for number, script in enumerate(scripts) if (found := pair.run(script, resp))]
    assert not failed, f"{len(failed)} of {len(scripts)} scripts:\n" + "\n".join(failed[:20])


class Progress:
    """A line now and then, for who watches a long run (pytest -s)."""

    def __init__(self, seed, commands):
        self.began = self.told = time.monotonic()
        self.seed, self.commands = seed, commands
        self.say(0)

    def say(self, sent):
        seconds = time.monotonic() - self.began
        print(f"CONV_SEED={self.seed}: {sent} of {self.commands} commands in {seconds:.0f} s", flush=True)
        self.told = time.monotonic()

    def step(self, sent):
        if time.monotonic() - self.told > 10:
            self.say(sent)


def random_commands(pair, commands, allowed=lambda step: True):
    """Scripts until so many commands have been compared, of allowed steps. How often each row came."""
    seed = int(os.environ.get("CONV_SEED") or time.strftime("%Y%m%d", time.gmtime()))  # new ones every day; make engine-soak: every run
    rows, number, pair.sent = served_rows(), 0, 0
    progress, hits = Progress(seed, commands), dict.fromkeys(rows, 0)
    while pair.sent < commands:
        script = proxy_script(random.Random(f"{seed}:{number}"), rows, SCRIPT, hits)
        script, resp = [step for step in script if allowed(step)], 2 + number % 2
        found = pair.run(script, resp)
        if found is not None:
            pytest.fail(f"CONV_SEED={seed}, script {number}: {report(pair, script, found, resp)}")
        number += 1
        progress.step(pair.sent)
    progress.say(pair.sent)
    return hits


@pytest.mark.timeout(600 + COMMANDS // 50)
def test_random_commands(pair):
    hits = random_commands(pair, COMMANDS)
    assert [row for row, times in hits.items() if times == 0] == [], "rows that no command hit"


@pytest.mark.sanitize
@pytest.mark.timeout(300)
def test_some_random_commands(pair):
    random_commands(pair, 2000)


def is_negative(word):
    """A number below zero or, what FerretDB can't keep, -0; not an option that begins with a dash."""
    return re.match(r"-[0-9.]", str(word)) is not None


def ferretdb_keeps(step):
    """FerretDB refuses documents with infinite numbers and turns -0 into 0; MongoDB and mongo-java-server keep both. Sorted sets get
    -0 as a score, or by a negative weight or increment."""
    if re.search(r"\binf\b|1e400", repr(step), re.IGNORECASE) is not None:
        return False
    return not (str(step[0]).lower().startswith("z") and any(is_negative(word) for word in step[2:]))


@pytest.mark.timeout(600)
def test_random_commands_on_mongo(clock, tmp_path):
    kind = mongo_kind()
    server = start_mongo(kind, tmp_path)
    try:
        with stopping(FrozenProxy(tmp_path, clock, server.url).start()) as proxy, closing(ArchivePair(proxy, clock)) as pair:
            random_commands(pair, 2000, ferretdb_keeps if kind is FerretDB else lambda step: True)
    finally:
        server.kill()


@contextmanager
def stopping(proxy):
    try:
        yield proxy
        proxy.stop()
    finally:
        proxy.kill()


def test_data_survive_a_restart(clock, tmp_path):
    """Also the cursor of an iteration, which is a place and not a session."""
    proxy = FrozenProxy(tmp_path, clock, "sqlite:data/convproxy.db").start()
    seed = random.SystemRandom().randrange(1 << 30)
    script = [step for number in range(3) for step in filling_script(f"{seed}:{number}")]
    with stopping(proxy), closing(ArchivePair(proxy, clock)) as pair:
        print(f"seed={seed}")
        assert pair.run(script, 2) is None
        (_, cursor), (_, first) = tree(pair.proxy.ask("SCAN", "0", "COUNT", "3"))[0][1]
        proxy.restart()
        pair.reconnect()
        assert pair.state_differs() is None
        (_, cursor), (_, rest) = tree(pair.proxy.ask("SCAN", cursor, "COUNT", "1000"))[0][1]
        assert cursor == b"0"
        assert sorted(key for _, key in first + rest) == sorted(pair.proxy.words_raw("KEYS", "*"))


def come_and_go(link, rng, stop):
    """Keys come:… appear and vanish, keys stay:… change, until told to stop."""
    while not stop.is_set():
        names = [f"come:{rng.randrange(500)}" for _ in range(20)]
        link.ask_all([rng.choice([("SET", name, "v"), ("DEL", name), ("RPUSH", name, "x")]) for name in names])
        link.ask_all([("APPEND", f"stay:{rng.randrange(300)}", "x") for _ in range(5)])


@pytest.mark.sanitize
def test_iterations_under_change(served):
    """What is there from the first call to the last is told; what never was is not."""
    seed = random.SystemRandom().randrange(1 << 30)
    rng, stop, rounds = random.Random(seed), threading.Event(), 100
    print(f"seed={seed}")
    with closing(Link(served)) as link, closing(Link(served)) as other:
        link.ask("FLUSHALL")
        stay = {b"stay:%d" % number for number in range(300)}
        link.ask_all([("SET", key, "v") for key in stay])
        thread = threading.Thread(target=come_and_go, args=(other, random.Random(seed), stop))
        thread.start()
        try:
            for _ in range(rounds):
                cursor, found = b"0", set()
                while found == set() or cursor != b"0":
                    (_, cursor), (_, keys) = tree(link.ask("SCAN", cursor, "COUNT", rng.choice(["1", "7", "50"])))[0][1]
                    found.update(key for _, key in keys)
                assert stay <= found, sorted(stay - found)
                assert all(key.startswith(b"come:") for key in found - stay)
                assert stay <= set(link.words_raw("KEYS", "*"))
                assert 300 <= int(link.ask("DBSIZE")[1:]) <= 800
        finally:
            stop.set()
            thread.join()
