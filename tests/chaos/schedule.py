"""What a seed means: the settings, the load, and episodes of faults. Nothing else is random in a run but the machine.

An episode is one to three faults, of different actors, that may overlap. Before an episode in which Redis may lose what it
has acknowledged both stores are made equal again ("settle") when writes may have been acknowledged without the archive:
that loss is what docs/protocol.md promises of such writes, and not what is looked for here. Without dual writes Redis loses
nothing at all: then the looked-for is that old and new messages are both there, in order, when it acts again."""
import dataclasses
import json
import random

from .faults import BY_NAME, FAULTS

WORKLOADS = {
    "W1": "lists", "W2": "trimmed lists", "W3": "counters", "W4": "registers", "W5": "sets and hashes", "W6": "locks",
    "W7": "short lives", "W8": "hand-over", "W9": "pairs and pipelines", "W10": "retries",
}  # fmt: skip
SPAN = 4.0  # seconds of faults, about, that are one seed's share of a short run


@dataclasses.dataclass
class Planned:
    name: str
    at: float  # seconds after the episode's begin
    numbers: dict

    @property
    def fault(self):
        return BY_NAME[self.name]

    @property
    def until(self):
        return self.at + self.numbers["for"]


@dataclasses.dataclass
class Episode:
    settle: bool
    pause: float
    faults: list


@dataclasses.dataclass
class Plan:
    seed: int
    archive: str = "sqlite"
    proxies: int = 1
    ack: str = "both"
    dual_write: bool = True
    fsync: str = "everysec"
    keys: int = 40
    clients: int = 5
    workloads: list = dataclasses.field(default_factory=list)
    return_after: int = 500  # ms
    episodes: list = dataclasses.field(default_factory=list)
    settings: dict = dataclasses.field(default_factory=dict)
    debug: bool = False

    def faults(self):
        return [planned for episode in self.episodes for planned in episode.faults]

    def any(self, test):
        return any(test(planned.fault) for planned in self.faults())

    def has_gap(self):
        """Whether the archive may act while Redis alone has writes that were acknowledged: until both histories are joined nobody
        sees them. docs/protocol.md promises that they come back, and that is all. An order to move waits for copies that are
        owed, but not for those that nobody has asked for."""
        owed, unasked = not self.dual_write, not self.dual_write
        for episode in self.episodes:
            faults = [planned.fault for planned in episode.faults]
            owed = (owed and not episode.settle) or any(endangers(f, self.ack) for f in faults)
            unasked = (unasked and not episode.settle) or any(f.alone for f in faults)
            if owed and any(f.actor.startswith("redis") or f.process for f in faults):
                return True
            if unasked and any(f.actor == "order" for f in faults):
                return True
        return False

    def late_kinds(self):
        """Keys whose first write is a SET, which the archive gets as a whole copy, a moment later: with ack primary docs/consistency.md
        promises that it is back with Redis, and no more."""
        return ("reg", "lock") if self.ack == "primary" and self.any(lambda fault: fault.actor.startswith("redis")) else ()

    def uses(self, needs):
        return self.any(lambda fault: fault.needs == needs)

    def lines(self):
        yield (f"seed {self.seed}: {self.archive}, {self.proxies} proxies, ack {self.ack}{'' if self.dual_write else ', no dual writes'}, appendfsync {self.fsync}, "
               f"{self.keys} keys, {' '.join(self.workloads)}, return after {self.return_after} ms")
        for number, episode in enumerate(self.episodes):
            for planned in episode.faults:
                numbers = " ".join(f"{name}={value}" for name, value in planned.numbers.items())
                before = "settled, then " if episode.settle else ""
                yield f"  {number}. {before}{episode.pause:.1f} s, +{planned.at:.2f} s {planned.name} ({numbers})"

    def save(self, path):
        path.write_text(json.dumps(dataclasses.asdict(self), indent=1))

    @classmethod
    def read(cls, path):
        plan = cls(**json.loads(path.read_text()))
        plan.episodes = [Episode(e["settle"], e["pause"], [Planned(**p) for p in e["faults"]]) for e in plan.episodes]
        return plan


def fits(fault, plan, can):
    if not plan.dual_write and (fault.loses or fault.alone):
        return False
    return fault.only in ("", plan.archive) and (not fault.needs or fault.needs in can)


def agree(chosen, fault, ack):
    """Whether a fault may overlap with those chosen."""
    together = [*chosen, fault]
    if len({f.actor.split()[0] for f in together}) < len(together):
        return False
    loses = any(f.loses for f in together)
    return not (loses and any(endangers(f, ack) for f in together))


def endangers(fault, ack):
    """Writes may be acknowledged that are in Redis alone, with nobody left who knows them."""
    return fault.archive or fault.alone or (fault.process and ack == "primary")


def draw_episode(rnd, plan, can, endangered):
    wanted = rnd.choices([1, 2, 3], [6, 3, 1])[0]
    chosen = []
    for _ in range(12):
        able = [f for f in FAULTS if fits(f, plan, can)]
        fault = rnd.choices(able, [f.weight for f in able])[0]
        if len(chosen) < wanted and agree(chosen, fault, plan.ack):
            chosen.append(fault)
    faults = [Planned(f.name, round(rnd.uniform(0, 0.8), 2) if i else 0.0, f.draw(rnd)) for i, f in enumerate(chosen)]
    settle = any(f.loses for f in chosen) and (endangered or rnd.random() < 0.2)
    return Episode(settle, round(rnd.uniform(0.1, 1.2), 2), faults)


def draw(seed, archive="sqlite", proxies=1, minutes=0.0, can=("mount", "clock"), dual_write=None):
    """The same seed and arguments give the same plan wherever the same faults can be had. dual_write None: mostly."""
    rnd = random.Random(f"{seed} {archive} {proxies}")
    plan = Plan(seed, archive, proxies)
    plan.ack = rnd.choices(["both", "primary"], [3, 1])[0]
    drawn = rnd.random() < 0.85
    plan.dual_write = drawn if dual_write is None else dual_write
    plan.fsync = rnd.choice(["always", "everysec"])
    plan.keys = rnd.choice([20, 40, 80, 200])
    plan.workloads = sorted(rnd.sample(list(WORKLOADS), rnd.choice([3, 5, len(WORKLOADS)])), key=lambda w: int(w[1:]))
    plan.return_after = rnd.choice([0, 300, 1000])
    span, endangered = minutes * 60 or SPAN, False
    while span > 0 and (minutes or len(plan.faults()) < 6):
        episode = draw_episode(rnd, plan, can, endangered)
        plan.episodes.append(episode)
        endangered = (endangered and not episode.settle) or any(endangers(p.fault, plan.ack) for p in episode.faults)
        span -= episode.pause + max(p.until for p in episode.faults) + rnd.uniform(0.3, 1.5)
    if plan.any(lambda fault: fault.actor == "clock"):
        plan.workloads = [w for w in plan.workloads if w != "W7"] or ["W1"]  # what expires when depends on the clock
    return plan
