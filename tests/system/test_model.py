"""The small runs of docs/model/runs.txt: the protocol passes, and each of its rules is needed."""
import concurrent.futures
import importlib.machinery
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "model"


def load_script():
    loader = importlib.machinery.SourceFileLoader("model_runner", str(SCRIPT))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("model_runner", loader))
    sys.modules["model_runner"] = module  # dataclasses look their module up there
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)
        loader.exec_module(module)
    return module


model = load_script()
RUNS = model.load_runs()
SMALL = [run for run in RUNS if run.size == "small"]


@pytest.fixture(scope="module")
def results():
    """All small runs, begun at once and worked off by as many threads as there are processors."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        yield {run: pool.submit(model.check, run) for run in SMALL}


@pytest.mark.parametrize("run", SMALL, ids=lambda run: run.name)
def test_run(results, run):
    result = results[run].result()
    assert result.good, f"{run.name}: {result.outcome}, expected {run.expected}\n{result.trail}"


def test_every_rule_is_removed_once():
    removed = {(run.model, macro.split("=")[0]) for run in RUNS for macro in run.macros}
    rules = {(path.stem, macro) for path in model.MODELS.glob("*.pml") for macro in model.macros_of(path.stem)
             if macro.startswith("NO_")}
    assert len(rules) > 20
    assert not rules - removed


@pytest.mark.parametrize("macros, expected", [(("NO_WAIT",), "pass"), ((), "fail")], ids=["counterexample", "none"])
def test_a_wrong_expectation_is_noticed(macros, expected):
    result = model.check(model.Run("pin", expected, "small", macros, ""))
    assert not result.good
    assert ("assertion violated" in result.trail) == (expected == "pass"), result.trail


def test_a_model_that_does_not_build_is_no_failure_of_the_protocol():
    assert model.check(model.Run("pin", "fail", "small", ("MEMBERS=)",), "")).outcome == "broken"


def test_trail_command():
    done = subprocess.run([SCRIPT, "trail", "pin", "NO_WAIT"], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    assert "assertion violated" in done.stdout and "st = ACT_M" in done.stdout


def test_the_table_keeps_what_was_not_run_again():
    first, second = RUNS[:2]
    before = model.markdown([model.Result(first, "fail", 7, 0.1), model.Result(second, first.expected, 8, 0.1)], "")
    rows = model.markdown([model.Result(first, first.expected, 9, 0.1)], before).splitlines()
    assert [row.split(" | ")[3] for row in rows[2:4]] == ["9", "8"]
    assert rows[-1].startswith("2 of 2 as expected")
    assert before.splitlines()[-1].startswith("1 of 2 as expected")
