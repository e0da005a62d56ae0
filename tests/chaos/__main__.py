"""python -m tests.chaos: see the package."""
import argparse
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from .run import abilities, can_mount, check_again, run
from .schedule import draw


def arguments():
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Seeded faults, and a checker.")
    parser.add_argument("--seed", type=int, help="one seed")
    parser.add_argument("--seeds", type=int, help="so many, from --first on")
    parser.add_argument("--first", type=int, default=None, help="the first of --seeds; the day's when it is not given")
    parser.add_argument("--side-by-side", type=int, default=2)
    parser.add_argument("--archive", choices=["sqlite", "ferretdb"], default="sqlite")
    parser.add_argument("--proxies", type=int, default=1, help="more than one needs --archive ferretdb")
    parser.add_argument("--minutes", type=float, default=0, help="of faults; without it one to six")
    parser.add_argument("--ack", choices=["both", "primary"], help="instead of the seed's")
    parser.add_argument("--dual-write", choices=["yes", "no"], help="instead of the seed's")
    parser.add_argument("--debug", action="store_true", help="log.level debug")
    parser.add_argument("--keep", action="store_true", help="keep the folder of a run that went well, too")
    parser.add_argument("--plan", action="store_true", help="only print the schedule")
    parser.add_argument("--check", metavar="FOLDER", help="only check a history again")
    return parser.parse_args()


def one(options):
    dual_write = None if options.dual_write is None else options.dual_write == "yes"
    plan = draw(options.seed, options.archive, options.proxies, options.minutes, abilities(), dual_write)
    plan.ack, plan.debug = options.ack or plan.ack, options.debug
    print("\n".join(plan.lines()), flush=True)
    if options.plan:
        return 0
    done = run(plan, options.keep)
    print("\n".join(done.report()))
    return 1 if done.found else 0


def again(folder):
    plan, history, found = check_again(folder)
    print("\n".join([*plan.lines(), f"{len(history.ops)} operations", *map(str, found)]))
    return 1 if found else 0


def many(options):
    """Each seed in a process of its own, so that one that breaks does not end the others."""
    mounts, why_not = can_mount()
    if not mounts:
        print(f"no small file systems can be mounted here, so no disk is ever full: {why_not}")
    first = options.first if options.first is not None else int(time.strftime("%y%m%d")) * 1000
    more = ["--archive", options.archive, "--proxies", str(options.proxies), "--minutes", str(options.minutes)]
    more += ["--ack", options.ack] if options.ack else []
    more += ["--dual-write", options.dual_write] if options.dual_write else []

    def single(seed):
        command = [sys.executable, "-m", __package__, "--seed", str(seed), *more]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = [line for line in done.stdout.splitlines() if line.startswith("seed ") and " · " in line]
        print(lines[0] if lines else f"seed {seed}: broke\n{done.stdout[-2000:]}{done.stderr[-3000:]}", flush=True)
        return seed, done.returncode

    with ThreadPoolExecutor(options.side_by_side) as pool:
        failed = [seed for seed, code in pool.map(single, range(first, first + options.seeds)) if code != 0]
    print(f"{options.seeds - len(failed)} seeds passed, {len(failed)} failed" + (f": {failed}" if failed else ""))
    return 1 if failed else 0


def main():
    options = arguments()
    if options.check:
        return again(options.check)
    if options.seeds:
        return many(options)
    if options.seed is None:
        options.seed = time.time_ns() % 1_000_000
    return one(options)


if __name__ == "__main__":
    sys.exit(main())
