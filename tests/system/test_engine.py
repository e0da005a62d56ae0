"""The engine against redis-server: the same commands at the same time, every reply byte for byte, and what they leave behind.

CONV_ENGINE_COMMANDS   random commands (20000)
CONV_SEED              the seed of a run that failed
CONV_ENGINE_CLI        another engine_cli than the one beside the proxy that is tested"""
import importlib
import json
import os
import pkgutil
import random
import subprocess
from pathlib import Path

import engine_samples
import pytest
from harness.engine_cli import EngineCli, Pair, RedisPeer, report
from harness.engine_clock import FrozenRedis
from harness.engine_grammar import GRAMMAR, script_of

ROOT = Path(__file__).resolve().parents[2]
BESIDE = (ROOT / os.environ.get("CONVPROXY_BIN", "build/convproxy")).parent
PROGRAM = os.environ.get("CONV_ENGINE_CLI") or BESIDE / "tests/unit/engine/engine_cli"
COMMANDS = int(os.environ.get("CONV_ENGINE_COMMANDS", "20000"))
CLOCK = Path(PROGRAM).parent / "libfrozen_clock.so"
SCRIPT = 200  # commands that run on one keyspace: few enough to shrink quickly
SAMPLES = sorted(module.name for module in pkgutil.iter_modules(engine_samples.__path__))

DATA = {"string", "bitmap", "list", "hash", "set", "sortedset", "stream", "hyperloglog", "geo", "keyspace"}
# What needs more than the values of the keys it names, and so belongs to the executor; and what inspects Redis itself.
ELSEWHERE = {
    "scan", "keys", "randomkey", "move", "migrate", "dbsize", "flushall", "flushdb", "swapdb", "wait", "restore-asking",
    "pfdebug", "pfselftest",
}  # fmt: skip

# About the same as Redis, which also counts what has expired and is not deleted yet: test_archive_usage.py.
NEAR_ONLY = {"memory|usage"}


@pytest.fixture(scope="module")
def frozen_redis(tmp_path_factory):
    server = FrozenRedis(tmp_path_factory.mktemp("redis"), CLOCK).start()
    yield server
    server.kill()


@pytest.fixture
def pair(frozen_redis):
    engine, redis = EngineCli(PROGRAM), RedisPeer(frozen_redis)
    yield Pair(engine, redis)
    redis.close()
    assert engine.close() == 0


def data_rows():
    """The rows of router/commands.def that read or write values."""
    done = subprocess.run([BESIDE / "tests/unit/router/dump_commands"], capture_output=True, text=True, check=True, timeout=20)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {row["name"] for row in rows if DATA & {word.lstrip("@") for word in row["categories"]}} - ELSEWHERE


def test_every_data_row_has_a_handler(pair):
    served = set(pair.engine.words("DEBUG-ROWS"))
    assert data_rows() - served == set()


@pytest.mark.asan  # one thread, so TSan would find nothing
@pytest.mark.timeout(240)
@pytest.mark.parametrize("module", SAMPLES)
@pytest.mark.parametrize("resp", [2, 3])
def test_samples(pair, module, resp):
    scripts = importlib.import_module(f"engine_samples.{module}").SAMPLES
    failed = [f"script {number}: {found[1]}" for number, script in enumerate(scripts) if (found := pair.run(script, resp))]
    assert not failed, f"{len(failed)} of {len(scripts)} scripts:\n" + "\n".join(failed[:20])


@pytest.mark.asan  # one thread, so TSan would find nothing
@pytest.mark.timeout(600 + COMMANDS // 50)
def test_random_commands(pair):
    seed = int(os.environ.get("CONV_SEED") or random.SystemRandom().randrange(1 << 30))
    print(f"CONV_SEED={seed} CONV_ENGINE_COMMANDS={COMMANDS}")
    rows = sorted(set(pair.engine.words("DEBUG-ROWS")) - NEAR_ONLY)
    assert set(rows) - set(GRAMMAR) == set(), "rows without a grammar"
    hits = dict.fromkeys(rows, 0)
    for number in range(max(COMMANDS // SCRIPT, 1)):
        script = script_of(random.Random(f"{seed}:{number}"), rows, SCRIPT, hits)
        resp = 2 + number % 2
        found = pair.run(script, resp)
        if found is not None:
            pytest.fail(f"CONV_SEED={seed}, script {number}: {report(pair, script, found, resp)}")
    assert [row for row in rows if hits[row] == 0] == [], "rows that no command hit"
