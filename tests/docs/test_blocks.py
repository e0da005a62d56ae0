"""Every block of commands in README and docs does what the page says, on the ports that it names."""
import functools
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from blocks import LANGUAGES, blocks_of, matches, runnable

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))]
# What a reader would type. In a block of no language, or indented, it would be run by nobody.
LOOKS_LIKE_COMMAND = re.compile(r"^(\$ |(convctl|redis-cli|curl|make|convproxy|build/|systemctl|docker) )")
SYNOPSES = {"docs/convctl.md"}  # generated: forms of commands, not commands
WITH_BLOCKS = [page for page in PAGES if runnable((ROOT / page).read_text())]


WAYS = [[], ["--user", "--map-root-user"]]  # as root; as somebody who becomes root inside


@functools.cache
def namespaces():
    """Network, processes and mounts of their own; None where the kernel or a container forbids them."""
    for user in WAYS:
        words = ["unshare", *user, "--net", "--pid", "--fork", "--mount-proc", "--kill-child", "--"]
        if subprocess.run([*words, "true"], capture_output=True).returncode == 0:
            return words
    return None


def told(step):
    shown = "\n".join(step["shown"])
    printed = "\n".join(step["printed"])
    return f"line {step['line']}: $ {step['command']}\n-- exit code {step['exit']}; the page shows:\n{shown}\n-- it prints:\n{printed}"


@pytest.mark.timeout(240)
@pytest.mark.parametrize("page", WITH_BLOCKS)
def test_does_what_it_says(page):
    here = Path(__file__).parent
    if namespaces() is None:
        pytest.skip("unshare gives no namespaces here, and the ports of the page may be somebody's")
    run = subprocess.run([*namespaces(), sys.executable, str(here / "world.py"), str(ROOT / page)], capture_output=True, text=True, cwd=here)
    steps = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    assert all(step["well"] for step in steps), f"{page}, " + told(next(step for step in steps if not step["well"]))
    expected = sum(len(block.steps()) for block in runnable((ROOT / page).read_text()))
    assert run.returncode == 0 and len(steps) == expected, f"{page}: {len(steps)} of {expected} steps\n{run.stderr[-3000:]}"


@pytest.mark.parametrize("page", [page for page in PAGES if page not in SYNOPSES])
def test_commands_stand_in_blocks_that_are_run(page):
    text = (ROOT / page).read_text()
    blocks = blocks_of(text)
    bare = [(b.line + n, line) for b in blocks if b.language not in LANGUAGES and not b.not_run for n, line in enumerate(b.text, 1)]
    fenced = {line for b in blocks for line in range(b.line, b.line + len(b.text) + 2)}
    bare += [(n, line[4:]) for n, line in enumerate(text.splitlines(), 1) if n not in fenced and line.startswith("    ")]
    found = [f"{page}:{n}: {line}" for n, line in bare if LOOKS_LIKE_COMMAND.match(line)]
    assert not found, "mark the block as console or bash, or say <!-- not run: why -->:\n" + "\n".join(found)


def test_what_is_not_run_has_a_reason():
    for page in PAGES:
        for block in blocks_of((ROOT / page).read_text()):
            assert not block.not_run or len(block.not_run) > 10, f"{page}:{block.line}"


@pytest.mark.parametrize(
    "shown, printed, equal",
    [
        (["(integer) 1"], ["(integer) 1"], True),
        (["(integer) 1"], ["(integer) 2"], False),
        (["took 12 ms"], ["took 3.5 ms"], True),
        (["took 12 ms"], ["took long"], False),
        (["a…c"], ["abbbc"], True),
        (["a", "…", "d"], ["a", "b", "c", "d"], True),
        (["a", "…", "d"], ["a", "b", "c"], False),
        (["a"], ["a", "b"], False),
        ([], [], True),
        ([], ["a"], False),
        (["at 2026-01-01T00:00:00.000Z"], ["at 2031-12-31T23:59:59Z"], True),
    ],
)
def test_what_counts_as_the_same(shown, printed, equal):
    assert matches(shown, printed) is equal
