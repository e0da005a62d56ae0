"""Schedules made for one rule each: what must befall the stores so that its absence shows (chaos/mutants.py). The faults that only
they use choose among a proxy's connections to Redis: those that carry writes are named by proxy and epoch.

    python -m tests.chaos.stories --story skip_kill --seed 3"""
import argparse
import asyncio
import contextlib
import re
import sys
import time

from .actors import Redis
from .faults import BY_NAME, Fault
from .run import run
from .schedule import Episode, Plan, Planned

SESSION = re.compile(r"convproxy-[0-9a-z]+-\d+$")
APPEAR = 10.0  # seconds, on a machine with much else to do


async def sessions(cast, link):
    """The link's wires that carry writes, as soon as there are any."""
    redis = cast.redis.client(decode_responses=True)
    deadline = time.monotonic() + APPEAR
    while True:
        clients = await asyncio.to_thread(redis.client_list)
        ports = {client["addr"].rsplit(":", 1)[1] for client in clients if SESSION.match(client["name"])}
        wires = [wire for wire in link.wires if str(wire.server.get_extra_info("sockname")[1]) in ports]
        if wires:
            return wires
        assert time.monotonic() < deadline, f"no session within {APPEAR:.0f} s: {[client['name'] for client in clients]}"
        await asyncio.sleep(0.05)


def _paused(direction):
    """(begin, heal): what goes this way over the sessions of now stays where it is, even when its sender has gone. Connections made
    later are well, and so are all others."""

    def end(wire):
        return (wire.client if direction == "up" else wire.server).transport

    async def begin(cast, _numbers):
        cast.paused = [wire for link in cast.redis.links for wire in await sessions(cast, link)]
        for wire in cast.paused:
            end(wire).pause_reading()

    async def heal(cast, _numbers):
        for wire in cast.paused:
            if not end(wire).is_closing():
                end(wire).resume_reading()

    return begin, heal


async def _to_the_twin(cast, _numbers):
    """Another Redis at the same address; who is connected otherwise than as a session still talks to the right one."""
    cast.twin = Redis(cast.folder / "twin", cast.plan.fsync)
    await asyncio.to_thread(cast.twin.start)
    cast.stack.callback(cast.twin.end)
    for link in cast.redis.links:
        wires = await sessions(cast, link)
        link.target = cast.twin.server.port
        for wire in wires:
            wire.reset()


async def _from_the_twin(cast, _numbers):
    for link in cast.redis.links:
        link.target = cast.redis.server.port
        for wire in list(link.wires):
            wire.reset()
    await asyncio.to_thread(cast.twin.end)


def _archive(plan, most=None):
    """(begin, heal): a plan of faults for the archive of so many proxies."""

    async def begin(cast, _numbers):
        for proxy in cast.proxies[:most]:
            status, answer = await asyncio.to_thread(proxy.fault, plan)
            assert status == 200, answer

    async def heal(cast, _numbers):
        for proxy in cast.proxies:
            with contextlib.suppress(OSError):  # one that was killed meanwhile knows of no plan
                await asyncio.to_thread(proxy.fault, "")

    return begin, heal


def _none(_random):
    return {}


STORY_FAULTS = [
    Fault("sessions hear nothing", "redis", 0, _none, *_paused("down")),
    Fault("sessions are late", "redis", 0, _none, *_paused("up")),
    Fault("redis twin", "redis", 0, _none, _to_the_twin, _from_the_twin),
    Fault("archive seems down", "archive", 0, _none, *_archive("op=ping fail=100% error=down; op=commit delay=30..60ms"), archive=True),
    Fault("archive commits slowly", "archive", 0, _none, *_archive("op=commit delay=50..150ms")),
    Fault("one proxy's commits are slow", "archive", 0, _none, *_archive("op=commit delay=300..400ms", 1)),
]
BY_NAME.update((fault.name, fault) for fault in STORY_FAULTS)


def at(seconds, name, last, **numbers):
    return Planned(name, seconds, {"for": last, **numbers})


def episode(*faults, pause=0.5):
    return Episode(False, pause, list(faults))


LISTS = ["W1", "W3", "W9"]


def of(seed, episodes, **more):
    return Plan(seed, **{"workloads": LISTS, "keys": 20, "clients": 8, "return_after": 0, "fsync": "always", **more}, episodes=episodes)


SHORT_LOSS = at(0, "redis link refuses", 0.3, proxy="all")

STORIES = {
    # Marks are all that the archive hears of: its housekeeper finds it down, the copier does not.
    "skip_claim": lambda seed: of(seed, [episode(at(0, "archive seems down", 3.0))], workloads=["W1"], keys=100),
    # Keys that nobody has touched meanwhile are handed over without a trace, while slow writes are on their way.
    "skip_barrier": lambda seed: of(seed, [episode(at(0, "archive commits slowly", 1.2), at(0.2, "redis link refuses", 0.3, proxy="all"))
                                           for _ in range(5)], workloads=["W1", "W3"], keys=200),
    # Only one proxy reaches Redis, and what it has told its clients is late at the archive. The other one's wait for the archive to act.
    "skip_copied": lambda seed: of(seed, [episode(at(0, "one proxy's commits are slow", 4.0), at(0, "redis link refuses", 4.0, proxy=1),
                                                  at(1.2, "redis link refuses", 2.0, proxy=0))],
                                   archive="ferretdb", proxies=2, ack="primary", workloads=["W1"], keys=10),
    # Redis has done it, its answer does not come, and meanwhile a copy has taken it to the archive.
    "skip_ids": lambda seed: of(seed, [episode(at(0, "sessions hear nothing", 3.0)) for _ in range(2)], workloads=["W1", "W3"]),
    # Requests of the time before arrive when Redis has long been claimed.
    "skip_kill": lambda seed: of(seed, [episode(at(0, "sessions are late", 5.0)) for _ in range(2)], workloads=["W1", "W3"]),
    "no_epoch": lambda seed: of(seed, [episode(at(0, "redis twin", 0.8))], workloads=["W1", "W3"]),
    # Redis alone has some writes when it is lost.
    "lww": lambda seed: of(seed, [episode(at(0, "archive down", 1.5), at(1.0, "redis link refuses", 2.0, proxy="all"))]),
    "global_flip": lambda seed: of(seed, [episode(at(0, "redis killed, empty", 0.3))]),
    # Handing over takes long.
    "no_confirm": lambda seed: of(seed, [episode(at(0, "redis killed, empty", 0.3),
                                                 at(0.5, "redis link slow", 3.0, low=0.02, high=0.1, proxy="all"))]),
    # Nobody is left who knows of what was acknowledged.
    "ack_early": lambda seed: of(seed, [episode(at(0, "archive commits slowly", 1.5), at(1.0, "proxy killed", 0.3, proxy=0),
                                                at(1.0, "redis killed, empty", 0.3))]),
    "no_mark": lambda seed: of(seed, [episode(at(0, "archive down", 1.0))], workloads=["W1"], keys=200),
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.stories", description="One story.")
    parser.add_argument("--story", choices=STORIES, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="keep the folder of a run that went well, too")
    parser.add_argument("--debug", action="store_true", help="log.level debug")
    options = parser.parse_args()
    plan = STORIES[options.story](options.seed)
    plan.debug = options.debug
    print("\n".join(plan.lines()), flush=True)
    done = run(plan, options.keep)
    print("\n".join(done.report()))
    return 1 if done.found else 0


if __name__ == "__main__":
    sys.exit(main())
