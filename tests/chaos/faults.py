"""What can happen, one row each: how its numbers are drawn, how it begins, how it heals.

  loses     Redis may come back without writes that it has acknowledged
  archive   writes may not reach the archive meanwhile
  process   the proxy's own process is stopped: its connections end
  alone     writes do not reach the archive meanwhile, though all is well
  only      the archive it is for; "" for both
A cast (chaos/run.py) has redis, archive, proxies, clocks, and links(kind, number) of one proxy or of all."""
import asyncio
import dataclasses
import signal
import subprocess
import time
from collections.abc import Callable
from urllib.error import URLError

import redis as redis_py

from .actors import POLICIES

LONG = (0.3, 1.0, 3.0)  # seconds that something is stopped


@dataclasses.dataclass(frozen=True)
class Fault:
    name: str
    actor: str  # two faults of one actor don't overlap
    weight: int
    draw: Callable  # (random) -> its numbers, as JSON has them; "for": seconds until it heals
    begin: Callable  # async (cast, numbers)
    heal: Callable  # async (cast, numbers)
    loses: bool = False
    archive: bool = False
    process: bool = False
    alone: bool = False
    only: str = ""
    needs: str = ""  # "mount": a small file system; "clock": processes whose clocks can jump


def _for(*choices, **more):
    def draw(random):
        numbers = {"for": random.choice(choices)}
        return {**numbers, **{name: value(random) for name, value in more.items()}}

    return draw


def one_of(*values):
    return lambda random: random.choice(values)


async def nothing(_cast, _numbers):
    pass


# ---- Redis ----


async def _kill(cast, _numbers):
    for link in cast.redis.links:
        await link.refuse()
    await asyncio.to_thread(cast.redis.kill)


def _back(restart):
    async def heal(cast, numbers):
        await asyncio.to_thread(restart, cast.redis, numbers)
        cast.redis_pid_changed()
        for link in cast.redis.links:
            await link.heal(listen=True)

    return heal


async def _copy(cast, numbers):
    """A copy now, the kill a moment later: what lies between is what the copy lacks."""
    await asyncio.to_thread(cast.redis.copy)
    await asyncio.sleep(numbers["older"])
    await _kill(cast, numbers)


async def _replicate(cast, numbers):
    await asyncio.to_thread(cast.redis.add_replica)
    await asyncio.sleep(numbers["older"])
    await _kill(cast, numbers)


async def _stop(cast, _numbers):
    cast.redis.server.pause()


async def _go_on(cast, _numbers):
    cast.redis.server.resume()


async def _flush(cast, _numbers):
    cast.blind()
    await asyncio.to_thread(lambda: cast.redis.client().flushall())


async def _no_memory(cast, _numbers):
    await asyncio.to_thread(lambda: cast.redis.client().config_set("maxmemory", 1))


async def _memory(cast, _numbers):
    await asyncio.to_thread(lambda: cast.redis.client().config_set("maxmemory", 0))


async def _fill_redis(cast, _numbers):
    await asyncio.to_thread(fill, cast.redis_disk)


async def _empty_redis(cast, _numbers):
    """With appendfsync always Redis ends itself when the disk is full."""
    (cast.redis_disk / "filler").unlink()
    if not cast.redis.server.alive():
        await asyncio.to_thread(cast.redis.restart_intact)
        cast.redis_pid_changed()


def fill(folder):
    """Until nothing fits any more."""
    subprocess.run(["dd", "if=/dev/zero", f"of={folder}/filler", "bs=4k"], capture_output=True, check=False)


# ---- the network ----


def _link(kind, change):
    """change(link, numbers) on one proxy's link to the store, or on all."""

    async def begin(cast, numbers):
        for link in cast.links(kind, numbers["proxy"]):
            result = change(link, numbers)
            if asyncio.iscoroutine(result):
                await result

    async def heal(cast, numbers):
        for link in cast.links(kind, numbers["proxy"]):
            await link.heal(listen=True)

    return begin, heal


NETWORK = [
    ("slow", 2, _for(1.0, 2.0, low=one_of(0.002, 0.01), high=one_of(0.02, 0.3)), lambda l, n: l.slow(n["low"], n["high"])),
    ("frozen", 3, _for(*LONG), lambda l, n: l.hold("up", "down")),
    ("no way there", 2, _for(*LONG), lambda l, n: l.hold("up")),
    ("no way back", 3, _for(*LONG), lambda l, n: l.hold("down")),
    ("loses all", 2, _for(*LONG), lambda l, n: l.lose()),
    ("refuses", 3, _for(*LONG), lambda l, n: l.refuse()),
    ("cuts answers", 5, _for(0.5, 1.0, 2.0, answers=one_of(1, 2, 5, 20)), lambda l, n: l.cut(n["answers"])),
    ("half open", 2, _for(1.0, 3.0), lambda l, n: l.half()),
    ("orphaned", 2, _for(1.0, 3.0), lambda l, n: l.orphan()),
]


def _network(kind, title, **flags):
    def with_proxy(draw):
        return lambda random: {**draw(random), "proxy": random.choice(["all", 0])}

    for name, weight, draw, change in NETWORK:
        begin, heal = _link(kind, change)
        yield Fault(f"{title} link {name}", f"{kind} link", weight, with_proxy(draw), begin, heal, **flags)


# ---- the archive ----


def _plan(cast, text):
    for proxy in cast.proxies:
        if not proxy.server.alive():
            continue
        try:
            status, answer = proxy.fault(text)
        except URLError:
            continue  # another fault kills it at this moment: it has no plan any more
        assert status == 200, answer


def _sqlite(name, weight, draw, text):
    async def begin(cast, numbers):
        await asyncio.to_thread(_plan, cast, text.format(**numbers))

    async def heal(cast, _numbers):
        await asyncio.to_thread(_plan, cast, "")

    return Fault(f"archive {name}", "archive", weight, draw, begin, heal, archive=True, only="sqlite")


async def _fill_archive(cast, _numbers):
    await asyncio.to_thread(fill, cast.archive_disk)


async def _empty_archive(cast, _numbers):
    (cast.archive_disk / "filler").unlink()


async def _kill_archive(cast, _numbers):
    for link in cast.archive.links:
        await link.refuse()
    await asyncio.to_thread(cast.archive.kill)


async def _start_archive(cast, _numbers):
    await asyncio.to_thread(cast.archive.start)
    for link in cast.archive.links:
        await link.heal(listen=True)


async def _stop_archive(cast, _numbers):
    await asyncio.to_thread(cast.archive.server.pause)


async def _go_on_archive(cast, _numbers):
    cast.archive.server.resume()


# ---- the proxies ----


def _proxies(cast, numbers):
    return [cast.proxies[numbers["proxy"] % len(cast.proxies)]]


async def _kill_proxy(cast, numbers):
    for proxy in _proxies(cast, numbers):
        await asyncio.to_thread(proxy.kill)


async def _start_proxy(cast, numbers):
    for proxy in _proxies(cast, numbers):
        await asyncio.to_thread(proxy.start)


async def _stop_proxy(cast, numbers):
    for proxy in _proxies(cast, numbers):
        proxy.server.signal(signal.SIGSTOP)


async def _go_on_proxy(cast, numbers):
    for proxy in _proxies(cast, numbers):
        proxy.server.signal(signal.SIGCONT)


async def _restart_proxy(cast, numbers):
    for proxy in _proxies(cast, numbers):
        await asyncio.to_thread(proxy.restart)


# ---- orders: nothing is hurt, the stores change places, or copies are not made for a while ----

PATIENCE = 20.0  # seconds until an order is heard: its proxy may be stopped, or may just be starting again


def _say(proxy, command):
    """A proxy that is down hears it when it is there again."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with proxy.server.client(socket_timeout=5) as client:
                return client.execute_command(*command)
        except redis_py.ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _named(numbers):
    return list(POLICIES) if numbers["policy"] == "all" else [numbers["policy"]]


async def _order(cast, commands):
    for proxy in cast.proxies:
        for command in commands:
            await asyncio.to_thread(_say, proxy, command)


def _move(store):
    """All in one order: the policies go together."""

    async def begin(cast, numbers):
        await _order(cast, [["CONFIG", "SET", *(word for name in _named(numbers) for word in (f"{name}.primary", store))]])

    return begin


async def _to_and_fro(cast, numbers):
    for _ in range(numbers["times"]):
        for store in ("mongo", "redis"):
            await _move(store)(cast, numbers)
            await asyncio.sleep(numbers["rest"])


async def dual_writes(cast, how, names=tuple(POLICIES)):
    await _order(cast, [["CONV", "DUALWRITE", how, name] for name in names])


def _dual_writes(how):
    async def begin(cast, numbers):
        await dual_writes(cast, how, _named(numbers))

    return begin


# ---- clocks ----


async def _jump(cast, numbers):
    cast.clocks[numbers["whose"]].shift(numbers["by"])


async def _jump_back(cast, numbers):
    cast.clocks[numbers["whose"]].shift(0)


JUMPS = (-5.0, -0.2, 0.2, 5.0)
PROXY = one_of(0, 1, 2)
POLICY = one_of("conv", "ttl", "trim", "all", "all", "all")

FAULTS = [
    Fault("redis killed, intact", "redis", 8, _for(0.0, 0.3, 1.0, 3.0), _kill, _back(lambda r, n: r.restart_intact())),
    Fault("redis killed, tail lost", "redis", 6, _for(0.0, 0.3, 1.0, size=one_of(1, 200, 5000, 100_000)), _kill,
          _back(lambda r, n: r.restart_with_a_shorter_tail(n["size"])), loses=True),
    Fault("redis killed, empty", "redis", 8, _for(0.0, 0.3, 1.0), _kill, _back(lambda r, n: r.restart_empty()), loses=True),
    Fault("redis killed, old copy", "redis", 4, _for(0.0, 0.5, older=one_of(0.3, 1.0)), _copy,
          _back(lambda r, n: r.restart_from_the_copy()), loses=True),
    Fault("redis killed, replica promoted", "redis", 4, _for(0.0, 0.5, older=one_of(0.1, 0.5)), _replicate,
          _back(lambda r, n: r.promote()), loses=True),
    Fault("redis stopped", "redis", 8, _for(*LONG), _stop, _go_on),
    Fault("redis flushed", "redis", 5, _for(0.0), _flush, nothing, loses=True),
    Fault("redis out of memory", "redis", 2, _for(0.3, 1.0), _no_memory, _memory),
    Fault("redis disk full", "redis", 2, _for(1.0, 2.0), _fill_redis, _empty_redis, needs="mount"),
    *_network("redis", "redis"),
    _sqlite("down", 4, _for(*LONG), "op=all fail=100% error=down"),
    _sqlite("commits lost after", 4, _for(1.0, n=one_of(1, 3, 10)), "op=commit fail={n} error=lost-after"),
    _sqlite("commits lost before", 4, _for(1.0, n=one_of(1, 3, 10)), "op=commit fail={n} error=lost-before"),
    _sqlite("races", 3, _for(1.0, n=one_of(3, 30)), "op=commit fail={n} error=race"),
    _sqlite("slow", 3, _for(1.0, 2.0, ms=one_of(20, 200)), "op=commit delay=1..{ms}ms"),
    _sqlite("hangs", 3, _for(*LONG), "op=all hang"),
    Fault("archive disk full", "archive", 2, _for(1.0, 2.0), _fill_archive, _empty_archive, archive=True, only="sqlite",
          needs="mount"),
    Fault("archive killed", "archive", 8, _for(*LONG), _kill_archive, _start_archive, archive=True, only="ferretdb"),
    Fault("archive stopped", "archive", 5, _for(*LONG), _stop_archive, _go_on_archive, archive=True, only="ferretdb"),
    *_network("archive", "archive", archive=True, only="ferretdb"),
    Fault("proxy killed", "proxy", 8, _for(0.0, 0.3, 1.0, proxy=PROXY), _kill_proxy, _start_proxy, process=True),
    Fault("proxy stopped", "proxy", 5, _for(*LONG, proxy=PROXY), _stop_proxy, _go_on_proxy),
    Fault("proxy restarted", "proxy", 3, _for(0.0, proxy=PROXY), _restart_proxy, nothing, process=True),
    Fault("moved to the archive", "order", 12, _for(0.0, 0.1, 0.5, 1.0, 3.0, policy=POLICY), _move("mongo"), _move("redis")),
    Fault("moved to and fro", "order", 6, _for(0.0, policy=POLICY, times=one_of(2, 5), rest=one_of(0.0, 0.03, 0.2, 0.6)),
          _to_and_fro, nothing),
    Fault("dual writes off", "dual", 5, _for(0.0, 0.3, 1.0, policy=POLICY), _dual_writes("off"), _dual_writes("on"), alone=True),
    Fault("clock jumps", "clock", 4, _for(0.5, 2.0, whose=one_of("redis", "proxy-0"), by=one_of(*JUMPS)), _jump, _jump_back,
          needs="clock"),
]  # fmt: skip
BY_NAME = {fault.name: fault for fault in FAULTS}
