"""The checker: whether a written history could have happened to stores that lose nothing. C1 to C12 as in the failover
protocol's test plan; harness/checker.py has the rules for plain lists, which are used here, too.

A key's name says what is done with it: conv:list:3 is a list that only grows. Clients below 0 have read a store directly, or
through a proxy, after everything has healed: FINAL of harness/checker's Op.client.

  what befell    History.events: [{"at", "until", "name"}] in ns; reads while Redis was flushed behind the proxy's back, until
                 somebody can have noticed, prove nothing ("blind")
  stores         C10 is checked by chaos/stores.py; its findings come in as lines"""
import dataclasses
from bisect import bisect_left
from collections import Counter, defaultdict

from harness import checker
from harness.checker import FAIL, INFO, NEVER, OK, Violation

from .actors import SHORT_TTL, TRIM
from .linear import UNDECIDED, explain, unheard

SECOND = 1_000_000_000
SLACK = SECOND // 2  # of an expiry
NO_EPOCH = 256  # base/version.h: before the first one
LINGERS = 10 * SECOND  # so long after its begin an operation without an answer may still be executed
PAUSE_LIMIT = 6 * SECOND  # C12, for one fault of Redis or a proxy
WRITES = ("append", "delete", "incr", "set", "add", "remove", "acquire", "release", "push", "pop")
# What a client may be told, by first words; every other error is one.
DOCUMENTED = ("TRYAGAIN ", "REDISDOWN ", "ARCHIVEDOWN ", "INDOUBT ", "OOM ", "MISCONF ", "LOADING ", "EXECABORT ",
              "ERR other writers of the same key")


def kind_of(key):
    first, second, _ = key.split(":", 2)
    return second if first == "conv" else first


class Key:
    """The operations on one key. Failed ones are apart: nothing of them may ever be seen."""

    def __init__(self, name, orphans=False):
        self.name, self.kind, self.limit = name, kind_of(name), TRIM if kind_of(name) == "trim" else 0
        self.orphans = orphans
        self.appends, self.sets, self.failed, self.attempts = {}, {}, {}, Counter()
        self.reads, self.deletes, self.incrs, self.others = [], [], [], defaultdict(list)
        self.all = []

    def take(self, op):
        if op.outcome == FAIL:
            if op.value is not None and op.op != "remove":
                self.failed.setdefault(op.value, op)
            return
        self.all.append(op)
        if op.op in ("append", "push"):
            self.attempts[op.value] += 1
            self.appends[op.value] = merged(self.appends[op.value], op) if op.value in self.appends else op
        elif op.op == "set":
            self.sets[op.value] = op
        elif op.op == "read":
            if op.outcome == OK:
                self.reads.append(op)
        elif op.op == "incr":
            self.incrs.append(op)
        elif op.op == "delete":
            self.deletes.append(op)
        else:
            self.others[op.op].append(op)

    def lists(self):
        return sorted(self.reads, key=lambda read: read.returned)

    def finals(self):
        return [read for read in self.reads if read.client < 0]

    def possibly_deleted(self, appended, by):
        return any(d.returned > appended.invoked and d.invoked < by.returned for d in self.deletes)


def merged(a, b):
    """Two attempts at one append."""
    outcome = OK if OK in (a.outcome, b.outcome) else INFO
    returned = min(op.returned for op in (a, b) if op.outcome == outcome)
    return dataclasses.replace(a, invoked=min(a.invoked, b.invoked), returned=returned, outcome=outcome)


def ids(read):
    return read.reply or []


# ---- lists ----


def c1_lost(key):
    """What was appended before a read began is in it; harness/checker's rule, for long histories."""
    sure = sorted((op for op in key.appends.values() if op.outcome == OK), key=lambda op: op.returned)
    ends, values = [op.returned for op in sure], [op.value for op in sure]
    for read in key.lists():
        for value in set(values[: bisect_left(ends, read.invoked)]).difference(ids(read)):
            if not key.possibly_deleted(key.appends[value], read):
                yield f"{value} was acknowledged and is lost"


def c4_order_of_reads(key):
    """Of two reads one continues the other; harness/checker's rule, with one thing excused: a write that nobody was
    told of, and whose proxy has died, may lie in Redis alone, and then it comes to light before what the archive did later."""
    adrift = {v for v, op in key.appends.items() if op.outcome == INFO and op.reply is None} if key.orphans else set()
    for before, after in zip(key.lists(), key.lists()[1:]):
        if not continues(key, ids(before), ids(after)):
            plain = [[v for v in ids(read) if v not in adrift] for read in (before, after)]
            if not continues(key, *plain):
                yield f"two reads disagree: {[v for v in ids(before) if v not in ids(after)][:5]} are in the earlier one only"


def continues(key, before, after):
    if not key.deletes:
        short, long = sorted((before, after), key=len)
        return long[: len(short)] == short
    both = set(before) & set(after)
    return [v for v in before if v in both] == [v for v in after if v in both]


def c1_trimmed(key):
    """What is missing was pushed out: as many are there as may be, and none of them is surely older."""
    for read in key.lists():
        there = set(ids(read))
        if len(there) > key.limit:
            yield f"{len(there)} elements, not {key.limit}"
        oldest = min((key.appends[value].returned for value in there if value in key.appends), default=0)
        for value, op in key.appends.items():
            if op.outcome == OK and op.returned < read.invoked and value not in there:
                if len(there) < key.limit or oldest < op.invoked:
                    yield f"{value} was acknowledged and is lost"


def c4_overlap(key):
    """Two reads have what both have in one order, and what is gone does not come back."""
    gone = {}
    for before, after in zip(key.lists(), key.lists()[1:]):
        both = set(ids(before)) & set(ids(after))
        if [i for i in ids(before) if i in both] != [i for i in ids(after) if i in both]:
            yield "two reads have the same elements in another order"
        if revived := [value for value in ids(after) if gone.get(value, NEVER) < after.invoked]:
            yield f"{revived[:5]} had gone, and is there"
        if before.returned < after.invoked:
            gone.update((value, after.returned) for value in ids(before) if value not in both)


def c2_retried(key):
    """A client that asks again after its connection ended may be served twice, and no more often than it asked."""
    for read in key.lists():
        for value, times in Counter(ids(read)).items():
            if times > key.attempts[value]:
                yield f"{value} is there {times} times, and was sent {key.attempts[value]} times"


def c1_alive(key):
    """As C1 for keys that live SHORT_TTL from their last write on."""
    life = SHORT_TTL * SECOND - SLACK
    for read in key.lists():
        there = set(ids(read))
        for value, op in key.appends.items():
            if read.returned - life < op.invoked and op.returned < read.invoked and op.outcome == OK and value not in there:
                yield f"{value} was acknowledged and is lost"


def quiet_times(key):
    """(from, to) in which no write can have been executed, and which are longer than a life. The last one never ends."""
    busy_until, found = 0, []
    for op in [*sorted(key.appends.values(), key=lambda op: op.invoked), None]:
        begin = op.invoked if op is not None else NEVER
        if begin - busy_until > SHORT_TTL * SECOND + SLACK:
            found.append((busy_until, begin))
        busy_until = max(busy_until, min(op.returned, op.invoked + LINGERS)) if op is not None else NEVER
    return found


def c9_expired(key):
    """Nothing is read after a time in which nobody can have written, and that was longer than a life."""
    quiet = quiet_times(key)
    for read in key.lists():
        ended = max((at for at, _ in quiet if read.invoked - at > SHORT_TTL * SECOND + SLACK), default=0)
        for value in ids(read):
            op = key.appends.get(value)
            if op is not None and min(op.returned, op.invoked + LINGERS) <= ended:
                yield f"{value} had expired, and is there"


# ---- counters, registers, locks ----


def c7_count(key):
    """Counts lie between what is sure and what is possible, are never the same for two, and grow with time."""
    heard = sorted((op for op in key.incrs if op.outcome == OK and not unheard(op)), key=lambda op: op.invoked)
    replies = Counter(op.reply for op in heard)
    if any(times > 1 for times in replies.values()):
        yield f"two increments had the same answer: {[r for r, times in replies.items() if times > 1][:5]}"
    ends, done, largest = sorted(heard, key=lambda op: op.returned), 0, 0
    for op in heard:
        while ends[done].returned < op.invoked:
            largest, done = max(largest, ends[done].reply), done + 1
        if op.reply <= largest:
            yield f"an increment answered {op.reply} after {largest}"
    begun, ended = sorted(op.invoked for op in key.incrs), sorted(op.returned for op in key.incrs if op.outcome == OK)
    for read in key.reads:
        least, most = bisect_left(ended, read.invoked), bisect_left(begun, read.returned)
        if not least <= int(read.reply or 0) <= most:
            yield f"the count is {read.reply}, not {least} to {most}"


def c3_refused(key):
    """What was refused is nowhere, and what is read was written."""
    for read in key.reads:
        if read.reply in key.failed:
            yield f"{read.reply} was refused, and is there"
        elif read.reply is not None and all(op.value != read.reply for op in key.all):
            yield f"{read.reply} was never written"


def c8_linear(key):
    ops = [dataclasses.replace(op, op="delete") if op.op == "release" else op for op in key.all]
    stuck = explain(ops)
    if stuck is not None and stuck != UNDECIDED:
        yield f"no order of all operations explains {stuck.op} {stuck.value or ''} by client {stuck.client} = {stuck.reply!r}"


# ---- sets and hashes ----


def _times(key):
    """value -> (its add, its removals)"""
    removed = defaultdict(list)
    for op in key.others["remove"]:
        removed[op.value].append(op)
    return [(op, removed[op.value]) for op in key.others["add"]]


def c1_member(key):
    for read in key.reads:
        there = set(ids(read))
        for op, removals in _times(key):
            if op.outcome == OK and op.returned < read.invoked and op.value not in there:
                if not any(r.invoked < read.returned for r in removals):
                    yield f"{op.value} was acknowledged and is lost"


def c9_member(key):
    for read in key.reads:
        there = set(ids(read))
        for op, removals in _times(key):
            if op.outcome == OK and op.value in there:
                if any(r.outcome == OK and op.returned < r.invoked and r.returned < read.invoked for r in removals):
                    yield f"{op.value} was removed, and is there"


def c3_member(key):
    added = {op.value: op for op in key.others["add"]}
    for read in key.reads:
        for value in ids(read):
            if value in key.failed and value not in added:
                yield f"{value} was refused, and is there"
            elif value not in added or added[value].invoked > read.returned:
                yield f"{value} was never added"


# ---- hand-over ----


def _pops(key, outcome=OK):
    return [op for op in key.others["pop"] if op.outcome == outcome and op.reply is not None and not unheard(op)]


def c1_handed(key):
    """Each element was handed over, is still there, or went with an answer that nobody got."""
    popped = {op.reply for op in _pops(key)}
    silent = sum(op.outcome == INFO or unheard(op) for op in key.others["pop"])
    for read in key.finals():
        missing = [v for v, op in key.appends.items() if op.outcome == OK and v not in popped and v not in ids(read)]
        if len(missing) > silent:
            yield f"{len(missing) - silent} of {missing[:8]} are lost, {silent} answers were"


def c2_handed(key):
    times = Counter(op.reply for op in _pops(key))
    if doubled := [value for value, n in times.items() if n > 1]:
        yield f"{doubled[:5]} handed over twice"
    for read in key.finals():
        if revived := sorted(set(ids(read)) & set(times)):
            yield f"{revived[:5]} handed over, and is there"


def c3_handed(key):
    for op in _pops(key):
        pushed = key.appends.get(op.reply)
        if op.reply in key.failed:
            yield f"{op.reply} was refused, and handed over"
        elif pushed is None or pushed.invoked > op.returned:
            yield f"{op.reply} was never pushed"


def c5_handed(key):
    """First come, first served: of two that were pushed one after the other, the later is not handed over first."""
    pops = sorted((op for op in _pops(key) if op.reply in key.appends), key=lambda op: op.returned)
    latest, done, by_begin = (-1, None), 0, sorted(pops, key=lambda op: op.invoked)
    for op in by_begin:
        while pops[done].returned < op.invoked:
            latest = max(latest, (key.appends[pops[done].reply].invoked, pops[done].reply))
            done += 1
        if key.appends[op.reply].returned < latest[0]:
            yield f"{op.reply} was pushed before {latest[1]}, and handed over after it"


# ---- all ----

LISTS = [c1_lost, checker.c2_doubled, checker.c3_phantom, checker.c5_real_time, checker.c6_order_of_clients]
RULES = {
    "list": [*LISTS, c4_order_of_reads],
    "left": [*LISTS, c4_order_of_reads],
    "right": [*LISTS, c4_order_of_reads],
    "gone": [*LISTS, c4_order_of_reads, checker.c9_deleted],
    "trim": [c1_trimmed, checker.c2_doubled, checker.c3_phantom, c4_overlap, checker.c5_real_time, checker.c6_order_of_clients],
    "ttl": [c1_alive, checker.c2_doubled, checker.c3_phantom, c4_overlap, c9_expired],
    "retry": [c1_lost, c2_retried, checker.c3_phantom],
    "count": [c7_count],
    "reg": [c3_refused, c8_linear],
    "lock": [c3_refused, c8_linear],
    "set": [c1_member, c3_member, c9_member],
    "hash": [c1_member, c3_member, c9_member],
    "queue": [c1_handed, c2_handed, c3_handed, c5_handed],
}


def torn(history, keys):
    """ATOMIC: transactions of which a reader of all keys, when nothing wrote any more, has seen a part."""
    for op in history.ops:
        if op.op != "append" or len(op.keys) < 2 or op.outcome == FAIL:
            continue
        for reader in {read.client for key in op.keys for read in keys[key].finals()}:
            there = {k: any(op.value in ids(r) for r in keys[k].finals() if r.client == reader) for k in op.keys}
            if len(set(there.values())) > 1:
                yield Violation("ATOMIC", "+".join(op.keys), f"{op.value} is only in {[k for k in there if there[k]]}")


def c11_authority(samples):
    """What each proxy said of itself: [{"at", "proxy", "epoch", "phase"}]. Epochs only grow."""
    last = {}
    for sample in samples:
        epoch = sample.get("epoch")
        if epoch is None or epoch <= NO_EPOCH:
            continue  # it has just started
        if epoch < last.get(sample["proxy"], epoch):
            yield Violation("C11", f"proxy {sample['proxy']}", f"epoch {epoch} after {last[sample['proxy']]}")
        last[sample["proxy"]] = epoch


def person(client):
    """A client has a number for each of its connections."""
    return client % 1000


def pauses(history, rests=()):
    """person -> the longest time between two answers that were not refusals, in ns; the last one ends with the load. rests: when
    nobody asked anything, [(from, to)]."""
    last, longest = {}, defaultdict(int)
    asked = [op for op in history.ops if op.client > 0]

    def between(begin, end):
        return end - begin - sum(max(0, min(end, until) - max(begin, at)) for at, until in rests)

    for op in sorted((op for op in asked if op.outcome == OK), key=lambda op: op.returned):
        who = person(op.client)
        longest[who] = max(longest[who], between(last.get(who, op.returned), op.returned))
        last[who] = op.returned
    over = max((op.invoked for op in asked), default=0)
    return {who: max(pause, between(last[who], over)) for who, pause in longest.items()}


def c12_available(history, limit, rests):
    if limit is not None:
        for who, pause in pauses(history, rests).items():
            if pause > limit:
                yield Violation("C12", f"client {who}", f"no answer for {pause / SECOND:.1f} s")
    for op in history.ops:
        if op.outcome != OK and isinstance(op.reply, str) and not op.reply.startswith(DOCUMENTED):
            yield Violation("C12", "+".join(op.keys), f"{op.op} was answered {op.reply!r}")


def seen(op, blind, gap):
    """Whether a read counts."""
    if op.op != "read" or op.client < 0:
        return True
    return not gap and all(op.returned < at or op.invoked > until for at, until in blind)


# What answers that depend on the state can't keep when the archive has acted without Redis' last writes (H11).
STRICT = (c7_count, c8_linear, c1_handed, c2_handed, c5_handed, checker.c5_real_time, c1_alive, c9_expired, checker.c9_deleted, c9_member)


def c7_least(key):
    """No count is lost; for keys whose answers prove nothing."""
    least = sum(op.outcome == OK for op in key.incrs)
    for read in key.finals():
        if not least <= int(read.reply or 0) <= len(key.incrs):
            yield f"the count is {read.reply}, not {least} to {len(key.incrs)}"


def rules_of(key, gap):
    rules = [rule for rule in RULES[key.kind] if not gap or rule not in STRICT]
    return [*rules, c7_least] if gap and key.kind == "count" else rules


def check(history, blind=(), samples=(), limit=None, orphans=False, gap=False, rests=(), late=()):
    """All violations. blind: [(from, to)] in ns; limit: of pauses, None where nothing is promised; orphans: a proxy has died;
    gap: Plan.has_gap; rests: as pauses has them; late: Plan.late_kinds."""
    keys = {}
    for op in history.ops:
        if seen(op, blind, gap):
            for name in op.keys:
                keys.setdefault(name, Key(name, orphans)).take(op)
    found = []
    for name, key in keys.items():
        key.failed = {value: op for value, op in key.failed.items() if value not in key.appends}  # a later attempt was not
        for rule in rules_of(key, gap or key.kind in late):
            found += [Violation(rule.__name__.split("_")[0].upper(), name, text) for text in dict.fromkeys(rule(key))]
    return [*found, *torn(history, keys), *c11_authority(samples), *c12_available(history, limit, rests)]


CLASSES = {"lost": ("C1", "C7", "C8", "ATOMIC"), "doubled": ("C2",), "out of order": ("C4", "C5", "C6"), "phantom": ("C3", "C9"),
           "unequal": ("C10",), "other": ("C11", "C12")}  # fmt: skip


def summary(history, found, rests=()):
    """Numbers in the words of a user. A count or a register that is wrong counts as lost."""
    final = {value for op in history.ops if op.client < 0 and isinstance(op.reply, list) for value in op.reply}
    acked = [op for op in history.ops if op.outcome == OK and op.op in WRITES]
    listed = {op.value for op in acked if op.op == "append"}
    of = {name: sum(v.rule in rules for v in found) for name, rules in CLASSES.items()}
    longest = max(pauses(history, rests).values(), default=0) / SECOND
    return {"acknowledged": len(acked), "appended": len(listed), "found": len(listed & final), **of,
            "info": sum(op.outcome == INFO for op in history.ops), "refused": sum(op.outcome == FAIL for op in history.ops),
            "longest pause": round(longest, 2)}  # fmt: skip

