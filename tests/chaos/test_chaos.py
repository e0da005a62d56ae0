"""Seeds of every commit: fixed ones, and the day's. 20 on SQLite, 5 on FerretDB, two at a time, each about 15 s.

CONV_CHAOS_DAY=261121 replays a day's; a seed alone: python -m tests.chaos --seed N."""
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness.proxy import ROOT

from .actors import Ferret

DAY = int(os.environ.get("CONV_CHAOS_DAY", time.strftime("%y%m%d"))) * 100
FIXED, OF_THE_DAY = 14, 6
SQLITE = [*range(1, FIXED + 1), *range(DAY, DAY + OF_THE_DAY)]
FERRETDB = [1, 2, 3, DAY, DAY + 1]
SIDE_BY_SIDE = 2


def run_seed(archive, seed):
    """A process of its own: two in one would wait for each other's Python."""
    command = [sys.executable, "-m", "tests.chaos", "--seed", str(seed), "--archive", archive]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def runs(request):
    """Begins the seeds of all tests that were chosen, two at a time; a test waits for its own."""
    items = [item for item in request.session.items if item.function is test_seed]
    chosen = [(item.callspec.params["archive"], item.callspec.params["seed"]) for item in items]
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        yield {key: pool.submit(run_seed, *key) for key in chosen}
        pool.shutdown(cancel_futures=True)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("archive, seed", [*(("sqlite", s) for s in SQLITE), *(("ferretdb", s) for s in FERRETDB)])
def test_seed(runs, archive, seed, capsys):
    if archive == "ferretdb" and Ferret.missing():
        pytest.skip(Ferret.missing())
    done = runs[archive, seed].result()
    with capsys.disabled():
        print("", *(line for line in done.stdout.splitlines() if " · " in line), sep="\n", flush=True)
    assert done.returncode == 0, done.stdout + done.stderr
