"""Whether a history of operations could have happened to a store that loses nothing: rules over who asked what, when, and
what came back. The rules and their names are those of the failover protocol's test plan; what a store may do to an
operation whose answer never came is "done or not done, once".

History  a file of one JSON line for each operation that ended; kept when a test fails, read again by History.read.
check    a list of Violation, empty when all rules hold. What is in the stores in the end goes in as reads.

Operations (Op.op), each on one key unless it says otherwise:
  append   value: an id that no other append has, "client:seq:…"; several keys: one transaction, all of them or none
  delete   the key, with all that was appended to it or counted in it
  incr     by one; reply: the new count
  set      value: unique among the key's; one register
  read     reply: list of ids, the count, or the register's value; of a key that is not there: None"""
import dataclasses
import json
import threading
import time
from bisect import bisect_left
from collections import defaultdict
from itertools import pairwise

OK, FAIL, INFO = "ok", "fail", "info"  # done; certainly not done; nobody knows
NEVER = 1 << 62


@dataclasses.dataclass(slots=True)
class Op:
    client: int
    seq: int
    keys: list
    op: str
    value: str | None = None
    invoked: int = 0  # ns, of one clock
    returned: int = NEVER  # of an info operation: it may still happen later
    outcome: str = INFO
    reply: object = None

    def answered_unknown(self):
        """The store itself said that it does not know; what the client asked next may well be done then."""
        return self.outcome == INFO and self.reply is not None


@dataclasses.dataclass(frozen=True)
class Violation:
    rule: str
    key: str
    text: str

    def __str__(self):
        return f"{self.rule} {self.key}: {self.text}"


class History:
    """Operations as they end. Any thread. path None: in memory only."""

    def __init__(self, path=None):
        self.path, self.lock, self.ops = path, threading.Lock(), []

    def begin(self, client, seq, keys, op, value=None):
        return Op(client, seq, [keys] if isinstance(keys, str) else list(keys), op, value, time.monotonic_ns())

    def end(self, op, outcome, reply=None):
        """An operation without an answer ends as INFO, at no particular time."""
        op.outcome, op.reply = outcome, reply
        op.returned = NEVER if outcome == INFO else time.monotonic_ns()
        self.add(op)

    def add(self, op):
        with self.lock:
            self.ops.append(op)

    def save(self):
        if self.path is not None:
            with open(self.path, "w", encoding="utf-8") as f:
                f.writelines(json.dumps(dataclasses.asdict(op)) + "\n" for op in self.ops)
        return self

    @classmethod
    def read(cls, path):
        history = cls(path)
        with open(path, encoding="utf-8") as f:
            history.ops = [Op(**json.loads(line)) for line in f]
        return history

    def count(self, outcome):
        return sum(op.outcome == outcome for op in self.ops)


def check(history):
    keys = defaultdict(_Key)
    for op in history.ops:
        for key in op.keys:
            keys[key].take(op)
    found = []
    for name, key in keys.items():
        for rule in RULES:
            found += [Violation(rule.__name__.split("_")[0].upper(), name, text) for text in rule(key)]
    return found + [Violation("ATOMIC", "+".join(op.keys), text) for op, text in _torn(history, keys)]


class _Key:
    """The operations on one key, by kind. Failed ones are kept apart: nothing of them may ever be seen."""

    def __init__(self):
        self.appends, self.reads, self.deletes, self.incrs, self.sets, self.failed = {}, [], [], [], {}, {}

    def take(self, op):
        if op.outcome == FAIL:
            if op.value is not None:
                self.failed[op.value] = op
        elif op.op == "append":
            self.appends[op.value] = op
        elif op.op == "set":
            self.sets[op.value] = op
        elif op.op == "read":
            if op.outcome == OK:
                self.reads.append(op)
        else:
            {"delete": self.deletes, "incr": self.incrs}[op.op].append(op)

    def lists(self):
        """Reads of what was appended, in the order of their ends."""
        if not self.appends and not any(isinstance(read.reply, list) for read in self.reads):
            return []
        return sorted(self.reads, key=lambda read: read.returned)

    def possibly_deleted(self, appended, by):
        """Whether a delete may stand between the append and an operation."""
        return any(d.returned > appended.invoked and d.invoked < by.returned for d in self.deletes)


def _ids(read):
    return read.reply or []


def c1_lost(key):
    """What was appended before a read began is in it."""
    for read in key.lists():
        there = set(_ids(read))
        for value, op in key.appends.items():
            if op.outcome == OK and op.returned < read.invoked and value not in there:
                if not key.possibly_deleted(op, read):
                    yield f"{value} was acknowledged and is lost"


def c2_doubled(key):
    for read in key.lists():
        ids = _ids(read)
        if len(ids) != len(set(ids)):
            yield f"{sorted(i for i in set(ids) if ids.count(i) > 1)[:5]} more than once"


def c3_phantom(key):
    """What is read was asked for before, and not refused."""
    for read in key.lists():
        for value in _ids(read):
            op = key.appends.get(value)
            if value in key.failed:
                yield f"{value} was refused, and is there"
            elif op is None or op.invoked > read.returned:
                yield f"{value} was never appended"


def c4_order_of_reads(key):
    """Of two reads one continues the other; where the key may have been deleted in between, what both have stands in one
    order."""
    for before, after in pairwise(key.lists()):
        if not key.deletes:
            short, long = sorted((_ids(before), _ids(after)), key=len)
            if long[: len(short)] != short:
                yield f"two reads disagree after {_common(short, long)} elements"
            continue
        both = set(_ids(before)) & set(_ids(after))
        if [i for i in _ids(before) if i in both] != [i for i in _ids(after) if i in both]:
            yield "two reads have the same elements in another order"


def _common(a, b):
    return next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))


def c5_real_time(key):
    """What ended before another began stands before it; later reads see no less."""
    for read in key.lists():
        latest = (-1, None)
        for value in _ids(read):
            op = key.appends.get(value)
            if op is None:
                continue
            if op.returned < latest[0]:
                yield f"{value} had ended before {latest[1]} began, and stands behind it"
            latest = max(latest, (op.invoked, value))
    for a, b in pairwise(key.lists()):
        if a.returned < b.invoked and len(_ids(b)) < len(_ids(a)) and not key.deletes:
            yield f"a later read has {len(_ids(b))} elements, an earlier one {len(_ids(a))}"


def c6_order_of_clients(key):
    """A client's appends to a key are there in its order, and without a gap between two that are there."""
    asked = defaultdict(list)
    for op in key.appends.values():
        asked[op.client].append(op)
    for read in key.lists():
        seen = defaultdict(list)
        for value in _ids(read):
            if value in key.appends:
                seen[key.appends[value].client].append(key.appends[value].seq)
        for client, order in seen.items():
            if order != sorted(order):
                yield f"client {client}: not in its order"
            between = {op.seq for op in asked[client] if min(order) <= op.seq <= max(order) and not op.answered_unknown()}
            if between - set(order) and not key.deletes:
                yield f"client {client}: {sorted(between - set(order))[:5]} missing between those that are there"


def c7_counter(key):
    """Counts are between what is sure and what is possible, never the same for two, and grow."""
    ok = sorted((op for op in key.incrs if op.outcome == OK), key=lambda op: op.invoked)
    if not key.deletes:
        replies = [op.reply for op in ok]
        if len(set(replies)) != len(replies):
            yield "two increments had the same answer"
        for text in _against_time(ok):
            yield text
    begun, ended = sorted(op.invoked for op in key.incrs), sorted(op.returned for op in ok)
    for read in key.reads if key.incrs else ():
        least = 0 if key.deletes else bisect_left(ended, read.invoked)
        most = bisect_left(begun, read.returned)
        if not least <= int(read.reply or 0) <= most:
            yield f"the count is {read.reply}, not {least} to {most}"


def _against_time(incrs):
    """Of increments in the order of their begins: one that began when another had ended has the larger answer."""
    ends = sorted(incrs, key=lambda op: op.returned)
    done, largest = 0, 0
    for op in incrs:
        while done < len(ends) and ends[done].returned < op.invoked:
            largest = max(largest, ends[done].reply)
            done += 1
        if op.reply <= largest:
            yield f"an increment answered {op.reply} after {largest}"


def c8_register(key):
    """What is read was written before, and not certainly overwritten since."""
    sure = [op for op in (*key.sets.values(), *key.deletes) if op.outcome == OK]
    for read in key.reads if key.sets else ():
        written = key.sets.get(read.reply)
        if read.reply in key.failed:
            yield f"{read.reply} was refused, and is there"
        elif read.reply is None:
            if not key.deletes and any(op.returned < read.invoked for op in sure):
                yield "what was written is lost"
        elif written is None or written.invoked > read.returned:
            yield f"{read.reply} was never written"
        elif any(written.returned < op.invoked and op.returned < read.invoked for op in sure):
            yield f"{read.reply} had been overwritten"


def c9_deleted(key):
    """What a delete has surely taken away does not come back."""
    sure = [d for d in key.deletes if d.outcome == OK]
    for read in key.lists() if sure else ():
        for value in _ids(read):
            op = key.appends.get(value)
            if op is not None and any(op.returned < d.invoked and d.returned < read.invoked for d in sure):
                yield f"{value} was deleted, and is there"


RULES = [c1_lost, c2_doubled, c3_phantom, c4_order_of_reads, c5_real_time, c6_order_of_clients, c7_counter, c8_register, c9_deleted]


def _torn(history, keys):
    """Transactions of which the last reads show only a part. Their keys must be read when nothing writes."""
    last = {}
    for name, key in keys.items():
        reads = [read for read in key.reads if isinstance(read.reply, list) or read.reply is None]
        if reads:
            last[name] = set(_ids(max(reads, key=lambda read: read.invoked)))
    for op in history.ops:
        if op.op == "append" and len(op.keys) > 1 and not any(keys[k].deletes for k in op.keys):
            there = {k: op.value in last[k] for k in op.keys if k in last}
            if len(set(there.values())) > 1:
                yield op, f"{op.value} is only in {[k for k in there if there[k]]}"
