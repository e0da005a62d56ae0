"""What the chaos harness is worth: histories of a store that does everything right pass, each kind of damage is found by the rule
that is there for it, and the faults do what they say."""
import asyncio
import dataclasses
import random
import time

import pytest
from chaos import clock, rules, stores
from chaos.actors import SHORT_TTL, TRIM, Redis
from chaos.faults import FAULTS
from chaos.linear import explain
from chaos.link import Link
from chaos.schedule import Episode, Plan, Planned, agree, draw, endangers
from chaos.workload import Keys, plain
from harness import RedisServer, RespError, free_port
from harness.aio import AsyncConn
from harness.checker import FAIL, INFO, NEVER, OK, History, Op

SEEDS = range(4)
MS = 1_000_000
ALL = ["W1", "W2", "W3", "W4", "W5", "W6", "W7", "W8", "W9", "W10"]
KINDS = {"list": ["append", "append", "read"], "trim": ["append", "append", "read"], "ttl": ["append", "read"],
         "count": ["incr", "incr", "read"], "reg": ["set", "set", "delete", "read"], "lock": ["acquire", "acquire", "release", "read"],
         "set": ["add", "add", "remove", "read"], "hash": ["add", "add", "remove", "read"], "queue": ["push", "push", "pop"],
         "retry": ["append", "append", "read"], "pair": ["append", "read"], "gone": ["append", "append", "append", "delete", "read"]}  # fmt: skip
KEYS = {"pair": ["conv:left:0", "conv:right:0"], "trim": ["trim:list:0"], "ttl": ["ttl:list:0"]}
LISTS = ("list", "trim", "ttl", "queue", "retry", "left", "right", "gone", "set", "hash")


class Simulation:
    """A store that does everything right, clients whose operations overlap, and some that never hear of the end."""

    def __init__(self, seed):
        self.random, self.history = random.Random(seed), History()
        self.now, self.held, self.written, self.seqs = 0, {}, {}, {}
        self.run()

    def tick(self):
        self.now += self.random.randint(1, 5) * MS
        return self.now

    def key(self, kind):
        return KEYS.get(kind, [f"conv:{kind}:0"])

    def make(self, client):
        kind = self.random.choice(list(KINDS))
        what, keys = self.random.choice(KINDS[kind]), self.key(kind)
        seq = self.seqs[client] = self.seqs.get(client, 0) + 1
        value = f"{client}:{seq}" if what in ("append", "push", "set", "add", "acquire") else None
        if what == "remove":
            value = self.random.choice(sorted(self.held.get(keys[0], [])) or [None])
            what = what if value else "read"
        if what == "read":
            keys = [self.random.choice(keys)]
        return Op(client, seq, keys, what, value, self.tick())

    def apply(self, op):
        for key in op.keys:
            held = self.held.setdefault(key, [])
            if rules.kind_of(key) == "ttl":
                if self.now - self.written.get(key, 0) > SHORT_TTL * 1000 * MS:
                    held.clear()
                if op.op == "append":
                    self.written[key] = self.now
            self.one(op, key, held)

    def one(self, op, key, held):
        if op.op in ("append", "push", "add"):
            held.append(op.value)
            if rules.kind_of(key) == "trim":
                del held[:-TRIM]
        elif op.op == "incr":
            held.append("1")
            op.reply = len(held)
        elif op.op == "set":
            held[:] = [op.value]
        elif op.op == "acquire":
            op.reply = not held
            held += [op.value] if not held else []
        elif op.op in ("delete", "release"):
            held.clear()
        elif op.op == "remove" and op.value in held:
            held.remove(op.value)
        elif op.op == "pop":
            op.reply = held.pop(0) if held else None
        elif op.op == "read":
            op.reply = self.seen(key, held)

    def seen(self, key, held):
        kind = rules.kind_of(key)
        if kind == "count":
            return len(held) or None
        return list(held) if kind in LISTS else (held[0] if held else None)

    def finish(self, op):
        """Done somewhere between its begin and now, unless it is one of those of which nobody will know."""
        fate = self.random.random()
        if fate < 0.03:
            op.outcome, op.returned = FAIL, self.tick()
        elif fate < 0.06:
            if self.random.random() < 0.5:
                self.apply(op)
            op.outcome, op.reply, op.returned = INFO, None, NEVER
        else:
            self.apply(op)
            op.outcome, op.returned = OK, self.tick()
        self.history.add(op)
        return op.outcome != INFO

    def run(self):
        running, clients = {}, [1001, 1002, 1003, 1004]
        for step in range(3000):
            client = self.random.choice(clients)
            if client not in running:
                running[client] = self.make(client)
            elif not self.finish(running.pop(client)):
                clients[clients.index(client)] = client + 1000  # it lost its connection
                self.seqs[client + 1000] = 0
            if step % 1000 == 500:
                self.now += (SHORT_TTL + 1) * 1000 * MS
        for op in running.values():
            self.finish(op)
        self.now += 20_000 * MS  # longer than an operation may linger that nobody knows the end of
        for kind in KINDS:
            for key in self.key(kind):
                op = Op(-1, self.tick(), [key], "read", None, self.tick())
                self.apply(op)
                op.outcome, op.returned = OK, self.tick()
                self.history.add(op)

    # ---- for those that damage it ----

    def final(self, key):
        return next(op for op in reversed(self.history.ops) if op.op == "read" and op.keys == [key])

    def reads(self, key):
        return [op for op in self.history.ops if op.op == "read" and op.keys == [key] and op.outcome == OK]

    def of(self, what, key, outcome=OK):
        return [op for op in self.history.ops if op.op == what and key in op.keys and op.outcome == outcome]


def lose(key):
    def mutate(sim):
        ok = {op.value for what in ("append", "add") for op in sim.of(what, key)}
        held = sim.final(key).reply
        held.remove(sim.random.choice([value for value in held if value in ok]))

    return mutate


def double(key):
    def mutate(sim):
        held = sim.final(key).reply
        held.append(held[-1])

    return mutate


def phantom(key):
    def mutate(sim):
        sim.final(key).reply.insert(0, "7001:7777")

    return mutate


def refused_yet_there(key, what):
    def mutate(sim):
        read = sim.final(key)
        sim.history.add(Op(9001, 1, [key], what, "9001:1", read.invoked - 2, read.invoked - 1, FAIL))
        if isinstance(read.reply, list):
            read.reply.append("9001:1")
        else:
            read.reply = "9001:1"

    return mutate


def swap(key):
    def mutate(sim):
        held = sim.final(key).reply
        held[0], held[-1] = held[-1], held[0]

    return mutate


def turn_one_client_around(sim):
    held = sim.final("conv:list:0").reply
    clients = [value.split(":")[0] for value in held]
    mine = max(set(clients), key=clients.count)
    places = [i for i, client in enumerate(clients) if client == mine]
    for place, value in zip(places, reversed([held[i] for i in places])):
        held[place] = value


def read_less_later(sim):
    sim.history.add(dataclasses.replace(sim.final("conv:list:0"), reply=["x"], invoked=sim.now + 1, returned=sim.now + 2))


def too_long(sim):
    sim.final("trim:list:0").reply.insert(0, sim.of("append", "trim:list:0")[0].value)


def trimmed_comes_back(sim):
    """As many as may be, but one of them went long ago, and a younger one is gone for it."""
    final, first = sim.final("trim:list:0"), next(read for read in sim.reads("trim:list:0") if len(read.reply) == TRIM)
    final.reply[0] = first.reply[0]


def die_too_soon(sim):
    op = sim.of("append", "ttl:list:0")[0]
    sim.history.add(Op(9002, 1, ["ttl:list:0"], "read", None, op.returned + MS, op.returned + 2 * MS, OK, []))


def live_too_long(sim):
    sim.final("ttl:list:0").reply = [sim.of("append", "ttl:list:0")[0].value]


def third_copy(sim):
    held = sim.final("conv:retry:0").reply
    again = dataclasses.replace(sim.of("append", "conv:retry:0")[0])
    again.outcome, again.returned = INFO, NEVER
    sim.history.add(again)
    held += [again.value] * 2


def forget_a_count(sim):
    sim.final("conv:count:0").reply = len(sim.of("incr", "conv:count:0")) - 1


def count_twice(sim):
    sim.final("conv:count:0").reply = 1 + len(sim.of("incr", "conv:count:0")) + len(sim.of("incr", "conv:count:0", INFO))


def same_count(sim):
    first, second = sim.of("incr", "conv:count:0")[:2]
    second.reply = first.reply


def count_backwards(sim):
    ops = sim.of("incr", "conv:count:0")
    ops[0].reply, ops[-1].reply = ops[-1].reply, ops[0].reply


def old_register(sim):
    """What was surely overwritten by what somebody has read."""
    read = next(op for op in reversed(sim.reads("conv:reg:0")) if op.reply is not None)
    now = next(op for op in sim.of("set", "conv:reg:0") + sim.of("set", "conv:reg:0", INFO) if op.value == read.reply)
    old = next(op for op in sim.of("set", "conv:reg:0") if op.returned < now.invoked)
    sim.history.add(dataclasses.replace(read, reply=old.value, invoked=read.returned + 1, returned=read.returned + 2))


def two_have_the_lock(sim):
    got = next(op for op in sim.of("acquire", "conv:lock:0") if op.reply is True)
    ghost = dataclasses.replace(got, client=9003, value="9003:1", invoked=got.returned + 1, returned=got.returned + 2)
    sim.history.add(ghost)


def removed_is_back(key):
    def mutate(sim):
        added = {op.value: op for op in sim.of("add", key)}
        gone = next(op for op in sim.of("remove", key) if op.value in added and added[op.value].returned < op.invoked)
        sim.final(key).reply.append(gone.value)

    return mutate


def deleted_is_back(sim):
    deletes = sim.of("delete", "conv:gone:0")
    old = next(a for a in sim.of("append", "conv:gone:0") if any(a.returned < d.invoked for d in deletes))
    sim.final("conv:gone:0").reply.insert(0, old.value)


def popped(sim):
    return [op for op in sim.of("pop", "conv:queue:0") if op.reply is not None]


def hand_over_twice(sim):
    first, second = popped(sim)[:2]
    second.reply = first.reply


def handed_over_is_there(sim):
    sim.final("conv:queue:0").reply.append(popped(sim)[0].reply)


def lose_the_queue(sim):
    for op in popped(sim):
        sim.history.ops.remove(op)


def hand_over_a_phantom(sim):
    popped(sim)[0].reply = "7001:7777"


def last_come_first_served(sim):
    ops = popped(sim)
    ops[0].reply, ops[-1].reply = ops[-1].reply, ops[0].reply


def half_a_transaction(sim):
    op = sim.of("append", "conv:left:0")[-1]
    op.outcome, op.returned = INFO, NEVER
    for read in sim.reads("conv:right:0"):
        if op.value in read.reply:
            read.reply.remove(op.value)


def strange_error(sim):
    sim.history.add(Op(1001, 99999, ["conv:list:0"], "append", "1001:99999", 1, 2, FAIL, "ERR internal error"))


MUTANTS = [
    (lose("conv:list:0"), "C1"), (lose("conv:retry:0"), "C1"), (lose("conv:set:0"), "C1"),
    (lose("conv:hash:0"), "C1"), (lose("trim:list:0"), "C1"), (too_long, "C1"), (die_too_soon, "C1"), (lose_the_queue, "C1"),
    (double("conv:list:0"), "C2"), (double("trim:list:0"), "C2"), (third_copy, "C2"), (hand_over_twice, "C2"),
    (handed_over_is_there, "C2"), (phantom("conv:list:0"), "C3"), (phantom("conv:set:0"), "C3"), (phantom("conv:retry:0"), "C3"),
    (refused_yet_there("conv:list:0", "append"), "C3"), (refused_yet_there("conv:hash:0", "add"), "C3"),
    (refused_yet_there("conv:reg:0", "set"), "C3"), (refused_yet_there("conv:lock:0", "acquire"), "C3"),
    (hand_over_a_phantom, "C3"), (swap("conv:list:0"), "C4"), (trimmed_comes_back, "C4"), (swap("trim:list:0"), "C5"),
    (read_less_later, "C5"), (last_come_first_served, "C5"), (turn_one_client_around, "C6"), (forget_a_count, "C7"),
    (count_twice, "C7"), (same_count, "C7"), (count_backwards, "C7"), (old_register, "C8"), (two_have_the_lock, "C8"),
    (removed_is_back("conv:set:0"), "C9"), (removed_is_back("conv:hash:0"), "C9"), (deleted_is_back, "C9"), (live_too_long, "C9"),
    (half_a_transaction, "ATOMIC"), (strange_error, "C12"),
]  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
def test_true_histories_pass(seed):
    sim = Simulation(seed)
    assert {op.op for op in sim.history.ops} == {kind for kinds in KINDS.values() for kind in kinds}
    assert min(sim.history.count(outcome) for outcome in (OK, FAIL, INFO)) > 20
    assert [str(v) for v in rules.check(sim.history)] == []


@pytest.mark.parametrize("mutate, rule", MUTANTS, ids=[f"{i}-{m[0].__qualname__.split('.')[0]}-{m[1]}" for i, m in enumerate(MUTANTS)])
def test_damage_is_found(mutate, rule):
    tried = 0
    for seed in SEEDS:
        sim = Simulation(seed)
        try:
            mutate(sim)
        except (IndexError, StopIteration):
            continue  # this history has nothing that could be damaged so
        tried += 1
        assert rule in {v.rule for v in rules.check(sim.history)}, f"not found with seed {seed}"
    assert tried >= 2


def test_epochs_only_grow():
    samples = [{"proxy": 0, "epoch": epoch} for epoch in (256, 257, None, 258, 256, 257)]
    assert [v.rule for v in rules.check(History(), samples=samples)] == ["C11"]
    assert not rules.check(History(), samples=samples[:-1])


def test_a_long_pause_is_found():
    history, second = History(), 1_000_000_000
    for at in (1, 2, 9):
        history.add(Op(1001, at, ["conv:count:0"], "read", None, at * second, at * second, OK, None))
    assert [v.rule for v in rules.check(history, limit=6 * second)] == ["C12"]
    assert not rules.check(history, limit=8 * second) and not rules.check(history)
    assert not rules.check(history, limit=6 * second, rests=[(3 * second, 5 * second)])


def test_blind_reads_prove_nothing():
    sim = Simulation(1)
    op = sim.of("append", "conv:list:0")[0]
    sim.history.add(Op(1001, 99999, ["conv:list:0"], "read", None, op.returned + 1, op.returned + 2, OK, []))
    assert {v.rule for v in rules.check(sim.history)} >= {"C1"}
    assert not rules.check(sim.history, blind=[(op.returned, op.returned + 3)])


def test_a_gap_excuses_what_is_seen_meanwhile_and_not_the_end():
    sim = Simulation(1)
    op, final = sim.of("append", "conv:list:0")[0], sim.final("conv:list:0")
    sim.history.add(Op(1001, 99999, ["conv:list:0"], "read", None, op.returned + 1, op.returned + 2, OK, []))
    same_count(sim)
    assert rules.check(sim.history) and not rules.check(sim.history, gap=True)
    final.reply.remove(op.value)
    forget_a_count(sim)
    assert {v.rule for v in rules.check(sim.history, gap=True)} >= {"C1", "C7"}


def test_what_a_dead_proxy_left_may_come_to_light_late():
    def read(at, *values):
        return Op(1001, at, ["conv:list:0"], "read", None, at, at + 1, OK, list(values))

    history = History()
    for seq, outcome in ((1, OK), (2, INFO), (3, OK)):
        ended = seq * 10 + 5 if outcome == OK else NEVER
        history.add(Op(1000 + seq, 1, ["conv:list:0"], "append", f"{1000 + seq}:1", seq * 10, ended, outcome))
    for op in (read(40, "1001:1", "1003:1"), read(50, "1001:1", "1002:1", "1003:1")):
        history.add(op)
    assert {v.rule for v in rules.check(history)} == {"C4"} and not rules.check(history, orphans=True)
    history.ops[1].outcome, history.ops[1].returned = OK, 25
    assert {v.rule for v in rules.check(history, orphans=True)} >= {"C4"}


def test_an_order_that_only_a_search_finds():
    """Two writes at once, each read by one reader before the other: no order fits; with one reader there is one."""
    def op(client, what, value, reply, begin, end):
        return Op(client, 1, ["conv:reg:0"], what, value, begin, end, OK, reply)

    writes = [op(1, "set", "a", None, 0, 10), op(2, "set", "b", None, 0, 10)]
    one = [op(3, "read", None, "a", 1, 2), op(3, "read", None, "b", 3, 4)]
    other = [op(4, "read", None, "b", 1, 2), op(4, "read", None, "a", 3, 4)]
    assert explain([*writes, *one]) is None and explain([*writes, *other]) is None
    assert explain([*writes, *one, *other]) is not None


# ---- the stores ----


def state(**change):
    return dataclasses.replace(stores.State("list", [b"a", b"b"], -1, 7), **change)


@pytest.mark.parametrize("ours, theirs", [
    (state(), None), (None, state()), (state(value=[b"b", b"a"]), state()), (state(expire=10**14), state()),
    (state(version=8), state()), (state(type="set", value=frozenset()), state())])
def test_stores_that_differ(ours, theirs):
    redis, archive = ({"conv:list:1": s} if s else {} for s in (ours, theirs))
    assert len(list(stores.differences(redis, archive))) == 1


def test_stores_that_agree():
    expired = {"ttl:list:1": state(expire=1)}
    assert not list(stores.differences({"conv:list:1": state(), **expired}, {"conv:list:1": state()}))


# ---- schedules ----


def test_a_seed_is_a_schedule():
    assert draw(7) == draw(7) and draw(7) != draw(8)
    plans = [draw(seed, archive) for seed in range(200) for archive in ("sqlite", "ferretdb")]
    assert {planned.name for plan in plans for planned in plan.faults()} == {fault.name for fault in FAULTS}
    assert all(1 <= len(plan.faults()) <= 8 for plan in plans)


def test_what_may_be_lost_by_promise_is_not_drawn():
    for seed in range(300):
        plan, endangered = draw(seed), False
        for episode in plan.episodes:
            faults = [planned.fault for planned in episode.faults]
            assert all(agree(faults[:i], fault, plan.ack) for i, fault in enumerate(faults))
            assert not (endangered and not episode.settle and any(fault.loses for fault in faults)), seed
            endangered = (endangered and not episode.settle) or any(endangers(fault, plan.ack) for fault in faults)


def test_without_dual_writes_nothing_is_lost_but_gaps_are_expected():
    for seed in range(100):
        plan = draw(seed, dual_write=False)
        assert not plan.any(lambda fault: fault.loses or fault.alone), seed
        if plan.any(lambda fault: fault.actor in ("redis", "order") or fault.process):
            assert plan.has_gap(), seed


def test_dual_writes_off_make_a_gap_of_what_follows():
    off, move, kill = (Planned(name, 0.0, {"for": 0.0}) for name in ("dual writes off", "moved to the archive", "redis killed, intact"))
    for then in (move, kill):
        plan = Plan(1, episodes=[Episode(False, 0, [off]), Episode(False, 0, [then])])
        assert plan.has_gap()
        plan.episodes[1].settle = True
        assert not plan.has_gap()
    assert not Plan(1, episodes=[Episode(False, 0, [move])]).has_gap()


def test_a_plan_survives_its_file(tmp_path):
    plan = draw(7)
    plan.save(tmp_path / "plan.json")
    assert type(plan).read(tmp_path / "plan.json") == plan


def test_keys_are_shared_out():
    keys = Keys(40, ALL)
    assert len(keys.of) == 13 and len(keys.all()) >= 26 and len(keys.of["conv:left"]) == len(keys.of["conv:right"])
    assert plain(b"1001:3") == "1001:3"


# ---- the relay ----


@pytest.fixture
def through(fresh_redis):
    """through(scenario): runs scenario(link, connection to Redis through it)."""
    def run(scenario):
        async def main():
            link = await Link(free_port(), fresh_redis.port).open()
            try:
                await scenario(link, await AsyncConn.to(link, 5))
            finally:
                await link.close()

        asyncio.run(main())

    return run


async def silent(conn, seconds=0.15):
    try:
        async with asyncio.timeout(seconds):
            await conn.read()
    except TimeoutError:
        return True
    return False


async def ended(conn):
    try:
        await conn.read()
    except ConnectionError:
        return True
    return False


def test_link_holds_and_delivers_later(through, fresh_redis):
    async def scenario(link, conn):
        link.hold("up")
        await conn.send_cmd("INCR", "n")
        assert await silent(conn) and fresh_redis.client().get("n") is None
        await link.heal()
        assert await conn.read() == 1
        link.hold("down")
        await conn.send_cmd("INCR", "n")
        assert await silent(conn) and fresh_redis.client().get("n") == b"2"
        await link.heal()
        assert await conn.read() == 2

    through(scenario)


def test_link_delivers_for_those_who_have_gone(through, fresh_redis):
    """What a frozen network holds arrives, whatever has become of its sender."""
    async def scenario(link, conn):
        link.hold("up", "down")
        await conn.send_cmd("INCR", "n")
        conn.close()
        await asyncio.sleep(0.1)
        await link.heal()
        deadline = time.monotonic() + 5
        while fresh_redis.client().get("n") != b"1":
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)

    through(scenario)


def test_link_cuts_after_it_was_done(through, fresh_redis):
    async def scenario(link, conn):
        link.cut(1)
        await conn.send_cmd("INCR", "n")
        assert await ended(conn) and fresh_redis.client().get("n") == b"1"
        again = await AsyncConn.to(link, 5)
        assert await again.cmd("INCR", "n") == 2

    through(scenario)


def test_link_refuses(through):
    async def scenario(link, conn):
        await link.refuse()
        assert await ended(conn)
        with pytest.raises(ConnectionRefusedError):
            await AsyncConn.to(link, 5)
        await link.heal(listen=True)
        assert await (await AsyncConn.to(link, 5)).cmd("PING") == "PONG"

    through(scenario)


def test_link_loses_and_resets_in_the_end(through, fresh_redis):
    async def scenario(link, conn):
        link.lose()
        await conn.send_cmd("INCR", "n")
        assert await silent(conn)
        await link.heal()
        assert await ended(conn) and fresh_redis.client().get("n") is None

    through(scenario)


def test_link_half_open_and_orphaned(through, fresh_redis):
    async def scenario(link, conn):
        other = await AsyncConn.to(link, 5)
        assert await other.cmd("PING") == "PONG"
        assert await conn.cmd("PING") == "PONG"
        link.half()
        await conn.send_cmd("PING")
        assert await silent(conn)
        await link.heal()
        assert await ended(conn) and await ended(other)
        third = await AsyncConn.to(link, 5)
        assert await third.cmd("PING") == "PONG"
        before = fresh_redis.client().info("clients")["connected_clients"]
        link.orphan()
        assert await ended(third)
        assert fresh_redis.client().info("clients")["connected_clients"] >= before

    through(scenario)


def test_link_is_slow(through):
    async def scenario(link, conn):
        link.slow(0.05, 0.06)
        began = time.monotonic()
        assert await conn.cmd("PING") == "PONG"
        assert time.monotonic() - began >= 0.1

    through(scenario)


# ---- Redis comes back as another ----


@pytest.fixture
def actor(tmp_path):
    actor = Redis(tmp_path, "everysec")
    actor.start()
    yield actor
    actor.end()


def fill(actor, first, last):
    with actor.client() as client:
        for i in range(first, last):
            client.rpush("list", i)


def held(actor):
    with actor.client() as client:
        return [int(item) for item in client.lrange("list", 0, -1)]


def test_redis_comes_back_intact_or_empty(actor):
    fill(actor, 0, 50)
    actor.kill()
    actor.restart_intact()
    assert held(actor) == list(range(50))
    actor.kill()
    actor.restart_empty()
    assert held(actor) == []


@pytest.mark.parametrize("size", [1, 200, 10**9])
def test_redis_loses_its_tail(actor, size):
    fill(actor, 0, 100)
    actor.kill()
    actor.restart_with_a_shorter_tail(size)
    left = held(actor)
    assert left == list(range(len(left))) and len(left) < 100


def test_redis_comes_back_old(actor):
    fill(actor, 0, 50)
    actor.copy()
    fill(actor, 50, 100)
    actor.kill()
    actor.restart_from_the_copy()
    assert held(actor) == list(range(50))


def test_a_replica_is_promoted(actor):
    fill(actor, 0, 50)
    old = actor.client().info("server")["run_id"]
    actor.add_replica()
    actor.kill()
    actor.promote()
    assert held(actor) == list(range(50)) and actor.client().info("server")["run_id"] != old
    fill(actor, 50, 60)
    assert held(actor) == list(range(60))


def test_a_clock_jumps(tmp_path):
    jumping = clock.Clock(tmp_path, "redis", clock.build(tmp_path))

    class Clocked(RedisServer):
        def environment(self):
            return {**super().environment(), **jumping.environment()}

    server = Clocked(tmp_path).start()
    try:
        for by in (5.0, -5.0, 0.0):
            jumping.shift(by)
            assert abs(server.client().time()[0] - time.time() - by) < 2
    finally:
        server.kill()


# ---- clients ----


def test_answers_are_filed_as_the_protocol_says(tmp_path):
    from chaos.workload import Client

    history = History()
    client = Client(1, None, history, Keys(20, ALL), draw(1), None, None)
    for words, outcome in [("TRYAGAIN x", FAIL), ("INDOUBT applied once", OK), ("REDISDOWN x; the command may or may not have run", INFO),
                           ("REDISDOWN Redis is not reachable", FAIL), ("OOM x", FAIL)]:
        op, commands = client.append("conv:list")
        client.file(op, commands, [RespError(words)])
        assert (op.outcome, op.reply) == (outcome, words), words
    op, commands = client.w9_pair()
    client.file(op, commands, ["OK", "QUEUED", "QUEUED", RespError("EXECABORT x")])
    assert op.outcome == FAIL
