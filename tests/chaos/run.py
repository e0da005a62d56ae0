"""One seed, from start to verdict: starts everything, lets clients write while faults come and go, heals, waits until the stores
are equal, reads both, and asks the checker. Everything is kept in the run's folder; of a run that went well only when asked.

  Run.folder   plan.json, history.jsonl, samples.jsonl, events.json, result.txt, and the logs of all processes"""
import asyncio
import contextlib
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import redis as redis_py
from harness import free_port
from harness.checker import OK, History, Violation

from . import clock, rules, stores
from .actors import Ferret, ProxyActor, Redis, Sqlite
from .faults import dual_writes
from .link import Link
from .schedule import Plan
from .workload import Client, Keys, read_of, text_of

DRAINED = 60.0  # seconds for the stores to become equal again
RETURN = 20.0  # seconds of load after the last fault, at most: until Redis acts again
BLIND = 1_000_000_000  # ns in which nobody can have noticed that Redis was emptied
SMALL_DISK = {"redis": "48m", "archive": "24m"}


def can_mount():
    """Whether small file systems can be had; in words why not."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            subprocess.run(["umount", folder], check=True)
        return done.returncode == 0, done.stderr.strip()


def abilities():
    """For schedule.draw."""
    return ("clock", "mount") if can_mount()[0] else ("clock",)


class Cast:
    """All that faults can befall."""

    def __init__(self, plan, folder):
        self.plan, self.folder, self.stack = plan, Path(folder), contextlib.ExitStack()
        self.events, self.blind_until = [], []
        library = clock.build(self.folder) if plan.uses("clock") else None
        names = ["redis", *(f"proxy-{i}" for i in range(plan.proxies))] if library else []
        spares = {"redis": ""}
        self.clocks = {n: clock.Clock(self.folder, n, library, spares.get(n, "gettimeofday")) for n in names}
        self.redis_disk, self.archive_disk = self._disk("redis"), self._disk("archive")
        self.redis = Redis(self.redis_disk or self.folder, plan.fsync, self.clocks.get("redis"))
        self.archive = Ferret(self.folder) if plan.archive == "ferretdb" else Sqlite(self.archive_disk or self.folder)
        self.proxies = []

    def _disk(self, name):
        if not self.plan.any(lambda fault: fault.name == f"{name} disk full"):
            return None
        disk = self.folder / f"disk-{name}"
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK[name]}", "tmpfs", disk], check=True)
        self.stack.callback(subprocess.run, ["umount", "--lazy", disk], check=True)
        return disk

    async def start(self):
        await asyncio.gather(asyncio.to_thread(self.redis.start), asyncio.to_thread(self.archive.start))
        for number in range(self.plan.proxies):
            link = await Link(free_port(), self.redis.server.port, self.plan.seed).open()
            self.redis.links.append(link)
            archive_link = None
            if self.plan.archive == "ferretdb":
                archive_link = await Link(free_port(), self.archive.server.port, self.plan.seed).open()
                self.archive.links.append(archive_link)
            clock_of = self.clocks.get(f"proxy-{number}")
            proxy = ProxyActor(self.folder, number, link, self.archive.url(archive_link), self.plan, clock_of)
            self.proxies.append(proxy)
        for proxy in self.proxies:
            await asyncio.to_thread(proxy.start)

    async def end(self):
        """Proxies first; what they say when they end is raised when everything is down."""
        try:
            for proxy in self.proxies:
                await asyncio.to_thread(proxy.end)
        finally:
            for proxy in self.proxies:
                await asyncio.to_thread(proxy.kill)
            for link in (*self.redis.links, *self.archive.links):
                await link.close()
            await asyncio.to_thread(self.redis.end)
            await asyncio.to_thread(self.archive.end)
            self.keep_disks()
            self.stack.close()

    def keep_disks(self):
        """What lies on a small file system goes with it; the logs must not."""
        for disk in (self.redis_disk, self.archive_disk):
            for log in disk.glob("*.log") if disk else ():
                shutil.copy(log, self.folder / log.name)

    # ---- for the faults ----

    def links(self, kind, number):
        links = self.redis.links if kind == "redis" else self.archive.links
        return links if number == "all" else [links[number]]

    def blind(self):
        now = time.monotonic_ns()
        self.blind_until.append((now, now + BLIND))

    def redis_pid_changed(self):
        self.events.append({"at": time.monotonic_ns(), "name": f"redis is process {self.redis.server.process.pid}"})

    def note(self, name):
        self.events.append({"at": time.monotonic_ns(), "name": name})


class Run:
    def __init__(self, plan, folder):
        self.plan, self.folder = plan, Path(folder)
        self.history = History(self.folder / "history.jsonl")
        self.keys = Keys(plan.keys, plan.workloads)
        self.samples, self.found, self.problems, self.rests = [], [], [], []
        self.over = self.going = None

    # ---- how it stands ----

    async def sample(self):
        """Each proxy's own words, four times a second, while the run goes on."""
        while True:
            await asyncio.to_thread(self.sample_once)
            await asyncio.sleep(0.25)

    def sample_once(self):
        for proxy in self.cast.proxies:
            with contextlib.suppress(OSError, AssertionError, json.JSONDecodeError):
                sample = {"at": time.monotonic_ns(), "proxy": proxy.number, "epoch": proxy.epoch(), **proxy.phases()}
                self.samples.append(sample)

    def redis_acts(self):
        """Whether every proxy says so of all policies."""
        self.why = "a proxy does not say that Redis acts"
        try:
            return all(phase == "redis" for proxy in self.cast.proxies for phase in proxy.phases().values())
        except (OSError, AssertionError) as problem:
            self.why = str(problem)
            return False

    def drained(self):
        """Redis acts, and nothing is owed to either store. self.why: what is missing."""
        if not self.redis_acts():
            return False
        try:
            if not all(proxy.has_archive() for proxy in self.cast.proxies):
                self.why = "a proxy does not see the archive yet"
                return False
            left = [*stores.redis_leftovers(self.cast.redis.client()), *stores.archive_leftovers(self.cast.archive),
                    *(line for proxy in self.cast.proxies for line in proxy.moves())]
        except (redis_py.RedisError, OSError, AssertionError) as problem:
            left = [str(problem)]
        self.why = f"{len(left)} left: {left[:6]}"
        return not left

    async def until(self, condition, seconds):
        deadline = time.monotonic() + seconds
        while not await asyncio.to_thread(condition):
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.1)
        return True

    # ---- the run ----

    async def whole(self):
        self.cast = Cast(self.plan, self.folder)
        try:
            await self.cast.start()
            await self.under_load()
            await self.settle_for_good()
        finally:
            try:
                await self.cast.end()
            except AssertionError as problem:
                self.problems.append(str(problem))
            self.save()
        self.judge()
        return self

    async def under_load(self):
        self.over, self.going = asyncio.Event(), asyncio.Event()
        self.going.set()
        ends = [proxy.server for proxy in self.cast.proxies]
        clients = [Client(i + 1, ends[i % len(ends)], self.history, self.keys, self.plan, self.over, self.going)
                   for i in range(self.plan.clients)]
        sampling = asyncio.create_task(self.sample())
        tasks = [asyncio.create_task(client.run()) for client in clients]
        try:
            await asyncio.sleep(0.5)
            for episode in self.plan.episodes:
                await self.play(episode)
            self.cast.note("all healed")
            await self.until(self.redis_acts, RETURN)
            await asyncio.sleep(0.5)
        finally:
            self.over.set()
            self.going.set()
            done, late = await asyncio.wait(tasks, timeout=25)
            for task in late:
                task.cancel()
            sampling.cancel()
            self.problems += [f"a client did not end: {task}" for task in late]
            self.problems += [repr(task.exception()) for task in done if task.exception()]
            self.problems += [problem for client in clients for problem in client.problems]

    async def play(self, episode):
        if episode.settle:
            self.going.clear()
            began = time.monotonic_ns()
            if not await self.until(self.drained, DRAINED):
                self.found.append(Violation("C10", "*", f"not drained within {DRAINED:.0f} s: {self.why}"))
            self.going.set()
            self.rests.append((began, time.monotonic_ns()))
        await asyncio.sleep(episode.pause)
        await asyncio.gather(*(self.befall(planned) for planned in episode.faults))

    async def befall(self, planned):
        await asyncio.sleep(planned.at)
        self.cast.note(f"{planned.name} {planned.numbers}")
        await planned.fault.begin(self.cast, planned.numbers)
        await asyncio.sleep(planned.numbers["for"])
        await planned.fault.heal(self.cast, planned.numbers)
        self.cast.note(f"{planned.name} is over")

    async def settle_for_good(self):
        if not self.plan.dual_write:
            await dual_writes(self.cast, "on")  # else the archive need not have anything
        if not await self.until(self.drained, DRAINED):
            self.found.append(Violation("C10", "*", f"not drained within {DRAINED:.0f} s: {self.why}"))
        for number, proxy in enumerate(self.cast.proxies):
            reader = Client(-1 - number, proxy.server, self.history, self.keys, self.plan, self.over, self.going)
            try:
                await reader.read_all_as(-1 - number, self.keys.all())
            except OSError as problem:
                self.problems.append(f"proxy {number} in the end: {problem!r}")
            finally:
                reader.hang_up()
            self.problems += reader.problems
        await asyncio.to_thread(self.read_stores)

    def read_stores(self):
        """Both as reads of the history, and compared."""
        redis = stores.redis_states(self.cast.redis.client())
        archive = stores.archive_states(self.cast.archive)
        for client, states in ((-11, redis), (-12, archive)):
            for key in self.keys.all():
                self.add_read(client, key, states.get(key))
        self.found += [Violation("C10", key, text) for key, text in stores.differences(redis, archive)]

    def add_read(self, client, key, state):
        op = self.history.begin(client, 0, key, "read")
        value = None if state is None else list(state.value) if state.type == "hash" else state.value
        absent = [] if read_of(key)[0] != "GET" else None
        self.history.end(op, OK, absent if value is None else text_of(list(value) if isinstance(value, frozenset) else value))

    # ---- the verdict ----

    def limit(self):
        """C12 promises something when nothing but Redis was hurt."""
        quiet = all(p.fault.actor.startswith(("redis", "order")) and p.name not in ("redis out of memory", "redis disk full")
                    for p in self.plan.faults())
        return rules.PAUSE_LIMIT if quiet and self.plan.ack == "both" else None

    def judge(self):
        self.found += rules.check(self.history, self.cast.blind_until, self.samples, self.limit(),
                                  self.plan.any(lambda fault: fault.process), self.plan.has_gap(), self.rests,
                                  self.plan.late_kinds())
        self.found += [Violation("RUN", "*", problem) for problem in self.problems]
        (self.folder / "result.txt").write_text("\n".join([*self.plan.lines(), *self.report()]) + "\n")

    def save(self):
        self.history.save()
        self.plan.save(self.folder / "plan.json")
        (self.folder / "events.json").write_text(json.dumps({"events": self.cast.events, "blind": self.cast.blind_until}))
        with open(self.folder / "samples.jsonl", "w", encoding="utf-8") as f:
            f.writelines(json.dumps(sample) + "\n" for sample in self.samples)

    def line(self):
        numbers = " · ".join(f"{name} {value}" for name, value in rules.summary(self.history, self.found, self.rests).items())
        faults = ", ".join(dict.fromkeys(planned.name for planned in self.plan.faults()))
        verdict = ("FAILED" if self.found else "ok") + (" (gap)" if self.plan.has_gap() else "")
        return f"seed {self.plan.seed} {self.plan.archive} {self.plan.ack}{'' if self.plan.dual_write else ' alone'}: {verdict} · {numbers} · {faults}"

    def report(self, most=40):
        start = self.cast.events[0]["at"] if self.cast.events else 0
        yield self.line()
        yield from (f"  {(event['at'] - start) / 1e9:7.2f} s {event['name']}" for event in self.cast.events)
        yield from (f"  {violation}" for violation in self.found[:most])
        if len(self.found) > most:
            yield f"  and {len(self.found) - most} more"


def run(plan, keep=None):
    """Runs a plan in /tmp/chaos-<seed>; the folder stays when something was found, or keep is true."""
    folder = Path(tempfile.gettempdir()) / f"chaos-{plan.seed}{'-' + plan.archive if plan.archive != 'sqlite' else ''}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    done = asyncio.run(Run(plan, folder).whole())
    if not done.found and not keep:
        shutil.rmtree(folder)
    return done


def check_again(folder):
    """The verdict on a history that was kept: what the checker says of it now."""
    folder = Path(folder)
    events = json.loads((folder / "events.json").read_text())
    samples = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    history = History.read(folder / "history.jsonl")
    plan = Plan.read(folder / "plan.json")
    found = rules.check(history, events["blind"], samples, orphans=plan.any(lambda fault: fault.process), gap=plan.has_gap(),
                        late=plan.late_kinds())
    return plan, history, found
