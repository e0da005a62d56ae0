"""The checker of histories: true histories pass, and each kind of damage is found by the rule that is there for it."""
import random

import pytest
from harness.checker import FAIL, INFO, NEVER, OK, History, Op, check

SEEDS = range(10)


class Simulation:
    """A store that does everything right, clients whose operations overlap, and some that never hear of the end."""

    def __init__(self, seed):
        self.random, self.history = random.Random(seed), History()
        self.now, self.stores, self.seqs = 0, {}, {}
        self.run()

    def tick(self):
        self.now += self.random.randint(1, 5)
        return self.now

    def apply(self, op):
        for key in op.keys:
            if op.op == "append":
                self.stores.setdefault(key, []).append(op.value)
            elif op.op == "incr":
                op.reply = self.stores[key] = self.stores.get(key, 0) + 1
            elif op.op == "set":
                self.stores[key] = op.value
            elif op.op == "delete":
                self.stores.pop(key, None)
            else:
                value = self.stores.get(key)
                op.reply = list(value) if isinstance(value, list) else value

    def make(self, client):
        kind, keys = self.random.choice(
            [("append", ["list"]), ("append", ["list"]), ("append", ["left", "right"]), ("incr", ["count"]),
             ("append", ["gone"]), ("delete", ["gone"]), ("set", ["register"]), ("read", ["list"]),
             ("read", ["gone"]), ("read", ["register"]), ("read", ["count"])])
        seq = self.seqs[client] = self.seqs.get(client, 0) + 1
        return Op(client, seq, keys, kind, f"{client}:{seq}" if kind in ("append", "set") else None, self.tick())

    def finish(self, op):
        """Done somewhere between its begin and now, unless it is one of those of which nobody will know."""
        fate = self.random.random()
        if fate < 0.05:
            op.outcome, op.returned = FAIL, self.tick()
        elif fate < 0.1:
            if self.random.random() < 0.5:
                self.apply(op)
            op.outcome, op.reply, op.returned = INFO, None, NEVER
        else:
            self.apply(op)
            op.outcome, op.returned = OK, self.tick()
        self.history.add(op)
        return op.outcome != INFO

    def run(self):
        running, clients = {}, list(range(4))
        for _ in range(1000):
            client = self.random.choice(clients)
            if client not in running:
                running[client] = self.make(client)
            elif not self.finish(running.pop(client)):
                clients[clients.index(client)] = max(clients) + 1  # it lost its connection
        for op in running.values():
            self.finish(op)
        for key in ("list", "left", "right", "gone", "count", "register"):
            op = Op(99, self.tick(), [key], "read", None, self.tick())
            self.apply(op)
            op.outcome, op.returned = OK, self.tick()
            self.history.add(op)

    def last_read(self, key):
        return next(op for op in reversed(self.history.ops) if op.op == "read" and op.keys == [key])

    def written(self, key, outcome=OK):
        return [op for op in self.history.ops if key in op.keys and op.outcome == outcome and op.value is not None]


def ok_index(sim, key="list"):
    """The place of an acknowledged element in the last read."""
    ids, ok = sim.last_read(key).reply, {op.value for op in sim.written(key)}
    return sim.random.choice([i for i, value in enumerate(ids) if value in ok])


def lose(sim):
    del sim.last_read("list").reply[ok_index(sim)]


def lose_the_newest(sim):
    newest = max(sim.written("list"), key=lambda op: op.returned)
    sim.last_read("list").reply.remove(newest.value)


def double(sim):
    ids = sim.last_read("list").reply
    ids.append(sim.random.choice(ids))


def swap_far(sim):
    ids = sim.last_read("list").reply
    ids[0], ids[-1] = ids[-1], ids[0]


def busiest(ids):
    """The client with the most elements."""
    clients = [value.split(":")[0] for value in ids]
    return max(set(clients), key=clients.count)


def swap_of_one_client(sim):
    """All of one client's, turned around."""
    ids = sim.last_read("list").reply
    client = busiest(ids)
    places = [i for i, value in enumerate(ids) if value.startswith(f"{client}:")]
    for i, value in zip(places, reversed([ids[i] for i in places])):
        ids[i] = value


def gap(sim):
    """A client's pipeline, of which the end was done and the middle not. No client has heard of it."""
    ids = sim.last_read("list").reply
    client = busiest(ids)
    value = [i for i in ids if i.startswith(f"{client}:")][1]
    for op in sim.history.ops:
        if op.op == "read" and op.keys == ["list"] and op.reply and value in op.reply:
            op.reply.remove(value)
        elif op.value == value and op.op == "append":
            op.outcome, op.returned = INFO, NEVER


def phantom(sim):
    sim.last_read("list").reply.append("7:7777")


def refused_yet_there(sim):
    read = sim.last_read("list")
    sim.history.add(Op(98, 1, ["list"], "append", "98:1", read.invoked - 2, read.invoked - 1, FAIL))
    read.reply.append("98:1")


def half_a_transaction(sim):
    """Of one whose client never heard of it, so that no other rule can see it."""
    op = sim.written("left", OK)[-1]
    op.outcome, op.returned, op.reply = INFO, NEVER, None
    sim.last_read("right").reply.remove(op.value)


def forget_an_increment(sim):
    sim.last_read("count").reply = sum(op.op == "incr" and op.outcome == OK for op in sim.history.ops) - 1


def count_twice(sim):
    sim.last_read("count").reply = 1 + sum(op.op == "incr" and op.outcome != FAIL for op in sim.history.ops)


def same_answer(sim):
    first, second = [op for op in sim.history.ops if op.op == "incr" and op.outcome == OK][:2]
    second.reply = first.reply


def old_register(sim):
    writes = sorted(sim.written("register"), key=lambda op: op.returned)
    old = next(op for op in writes if any(op.returned < later.invoked for later in writes))
    sim.last_read("register").reply = old.value


def lost_register(sim):
    sim.last_read("register").reply = None


def resurrect(sim):
    deletes = [op for op in sim.history.ops if op.op == "delete" and op.outcome == OK]
    old = next(a for a in sim.written("gone") if any(a.returned < d.invoked for d in deletes))
    read = sim.last_read("gone")
    read.reply = [old.value, *(read.reply or [])]


def empty_store(sim):
    sim.last_read("list").reply = None


MUTANTS = [
    (lose, {"C1"}), (lose_the_newest, {"C1"}), (empty_store, {"C1"}), (double, {"C2"}), (swap_far, {"C4", "C5", "C6"}),
    (swap_of_one_client, {"C6"}), (gap, {"C6"}), (phantom, {"C3"}), (refused_yet_there, {"C3"}), (half_a_transaction, {"ATOMIC"}),
    (forget_an_increment, {"C7"}), (count_twice, {"C7"}), (same_answer, {"C7"}), (old_register, {"C8"}),
    (lost_register, {"C8"}), (resurrect, {"C9"}),
]


@pytest.mark.parametrize("seed", SEEDS)
def test_true_histories_pass(seed):
    sim = Simulation(seed)
    assert {op.op for op in sim.history.ops} == {"append", "incr", "set", "delete", "read"}
    assert min(sim.history.count(outcome) for outcome in (OK, FAIL, INFO)) > 3
    assert [str(v) for v in check(sim.history)] == []


@pytest.mark.parametrize("mutate, rules", MUTANTS, ids=[m[0].__name__ for m in MUTANTS])
@pytest.mark.parametrize("seed", SEEDS)
def test_damage_is_found(seed, mutate, rules):
    sim = Simulation(seed)
    mutate(sim)
    assert {v.rule for v in check(sim.history)} & rules, f"{mutate.__name__} was not found"


def test_a_history_survives_its_file(tmp_path):
    sim = Simulation(1)
    lose(sim)
    sim.history.path = tmp_path / "history.jsonl"
    again = History.read(sim.history.save().path)
    assert again.ops == sim.history.ops and check(again) == check(sim.history) != []
