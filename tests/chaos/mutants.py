"""C14: the proxy is built without one rule after the other (base/mutant.def), and the checker must say so. Each mutant has a story
(chaos/stories.py) that the whole proxy passes under the same seeds: what is found is the missing rule's doing.

    python -m tests.chaos.mutants                          # builds and runs all, prints the table; ends with 1 when one survives
    python -m tests.chaos.mutants --only lww no_mark --tries 4
    python -m tests.chaos.mutants --write                  # puts the table into tests/chaos/README.md

Binaries, logs, and what is left of the runs lie in /tmp/mutants (--folder)."""
import argparse
import dataclasses
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness.proxy import ROOT

from .stories import STORIES

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- mutants: begin -->", "<!-- mutants: end -->"
WHOLE = ""  # the option's value for a proxy that lacks nothing
CONTROLS = 2  # seeds that the whole proxy must pass
STORY_LIMIT = 240  # seconds for one run
FOUND = re.compile(r"^  ((?:C\d+|ATOMIC|RUN) .*)$", re.MULTILINE)
VERDICT = re.compile(r"^seed \d+ .* · ", re.MULTILINE)


def rows():
    """name -> what it does instead."""
    text = (ROOT / "base/mutant.def").read_text()
    return dict(re.findall(r'^MUTANT_ROW\((\w+), "(.*)"\)$', text, re.MULTILINE))


# ---- building ----


def build(folder, name):
    """The binary of a mutant. One build folder for all: only the files that ask for mutants are compiled again."""
    objects, binary = folder / "build", folder / (name or "whole") / "convproxy"
    setup = ["meson", "configure", objects] if objects.exists() else \
            ["meson", "setup", "--buildtype=release", "-Db_lto=false", "-Dtests=false", objects]  # fmt: skip
    for command in ([*setup, f"-Dmutant={name}"], ["ninja", "-j2", "-C", objects, "convproxy"]):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"mutant {name}: {command[0]} failed\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    binary.parent.mkdir(exist_ok=True)
    shutil.copy(objects / "convproxy", binary)
    version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
    assert version.rstrip().endswith(f"+mutant.{name}") if name else "mutant" not in version, version
    return binary


# ---- running ----


@dataclasses.dataclass
class Outcome:
    """passed: the checker has found nothing; broke: there is no verdict."""

    passed: bool
    broke: bool
    findings: list
    text: str


def run_story(folder, binary, story, seed):
    """A process of its own, and a folder for temporary files, where other runs of chaos don't look."""
    work = folder / "runs" / f"{binary.parent.name}-{story}-{seed}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    command = [sys.executable, "-m", "tests.chaos.stories", "--story", story, "--seed", str(seed)]
    env = {**os.environ, "CONVPROXY_BIN": str(binary), "TMPDIR": str(work)}
    try:
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=STORY_LIMIT, check=False)
        code, text = done.returncode, done.stdout + done.stderr
    except subprocess.TimeoutExpired as late:
        code, text = None, f"no verdict within {late.timeout} s\n"
    (work / "output.txt").write_text(text)
    return Outcome(code == 0, not VERDICT.search(text), FOUND.findall(text), text)


@dataclasses.dataclass
class Row:
    name: str
    what: str
    failed: list = dataclasses.field(default_factory=list)  # seeds
    tried: int = 0
    findings: list = dataclasses.field(default_factory=list)
    controls: list = dataclasses.field(default_factory=list)  # seeds that the whole proxy has passed
    broken: list = dataclasses.field(default_factory=list)  # those that it has not

    def caught(self):
        return bool(self.failed) and not self.broken

    def verdict(self):
        if self.caught():
            return f"caught by seed {self.failed[0]}"
        return "the whole proxy fails, too" if self.broken else f"survives {self.tried} seeds"

    def cells(self):
        kinds = ", ".join(sorted({finding.split(" ", 1)[0] for finding in self.findings}))
        example = next((re.sub(r"\|", "/", f)[:90] for f in self.findings), "")
        passed = ", ".join(map(str, self.controls)) or "none"
        passed += f"; fails {', '.join(map(str, self.broken))}" if self.broken else ""
        return [f"`{self.name}`", self.what, self.verdict(), kinds, example, passed]


def examine(folder, row, whole, mutant, options):
    """Seeds until the checker finds something; then the whole proxy under the same seed, and under others."""
    for seed in range(options.first, options.first + options.tries):
        row.tried += 1
        outcome = run_story(folder, mutant, row.name, seed)
        if not outcome.passed and not outcome.broke:
            row.failed.append(seed)
            row.findings = outcome.findings
            break
    seeds = row.failed + [s for s in range(options.first, options.first + CONTROLS) if s not in row.failed]
    for seed in seeds[:CONTROLS]:
        (row.controls if run_story(folder, whole, row.name, seed).passed else row.broken).append(seed)
    print(" · ".join(cell for cell in row.cells() if cell), flush=True)
    return row


# ---- the table ----

HEAD = ["mutant", "what it does", "verdict", "rules", "for example", "the whole proxy passes seeds"]


def table(found):
    lines = [HEAD, ["---"] * len(HEAD), *(row.cells() for row in found)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def write(text):
    before, rest = README.read_text().split(BEGIN)
    after = rest.split(END)[1]
    README.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def arguments():
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.mutants", description="Proxies that lack a rule must be caught.")
    parser.add_argument("--only", nargs="+", choices=rows(), default=list(rows()), metavar="NAME")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--tries", type=int, default=6, help="seeds, at most")
    parser.add_argument("--side-by-side", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/mutants"))
    parser.add_argument("--write", action="store_true", help="the table goes into tests/chaos/README.md")
    return parser.parse_args()


def main():
    options, what = arguments(), rows()
    assert what.keys() == STORIES.keys(), "each mutant has a story"
    options.folder.mkdir(exist_ok=True)
    binaries = {name: build(options.folder, name) for name in [WHOLE, *options.only]}
    with ThreadPoolExecutor(options.side_by_side) as pool:
        found = list(pool.map(lambda name: examine(options.folder, Row(name, what[name]), binaries[WHOLE], binaries[name], options),
                              options.only))  # fmt: skip
    print("\n" + table(found))
    if options.write:
        write(table(found))
    left = [row.name for row in found if not row.caught()]
    print(f"{len(found) - len(left)} mutants caught, {len(left)} not" + (f": {', '.join(left)}" if left else ""))
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
