"""Redis goes, the archive takes over, Redis comes back: the plain stories, each with clients that write all the time and stay
connected. What was acknowledged is there afterwards, once, in order, in both stores. Random ones: tests/chaos."""
import asyncio
import contextlib
import time

import pytest
from chaos import rules, stores
from chaos.actors import Redis, Sqlite
from harness import Proxy, RespError, eventually
from harness.aio import AsyncConn
from harness.checker import INFO, OK, History

pytestmark = [pytest.mark.sanitize, pytest.mark.managed, pytest.mark.timeout(120)]

CLIENTS = 20
KEYS = 10
GOES_ON = 1.0  # seconds in which every client must have its next answer when Redis is killed
SETTINGS = {"failover.return_after": "300ms", "redis.probe_interval": "50ms", "proxy.threads": 2}
UNKNOWN = "may or may not have run"


class World:
    """A proxy with both stores, and clients that append to lists and count."""

    def __init__(self, folder, others=(), **policy):
        self.redis, self.archive = Redis(folder, "always"), Sqlite(folder)
        config = {"policies": [{"name": name, "match": f"{name}:*", "ttl": "1h", "max_messages": 0, **policy}
                               for name in ("conv", *others)]}  # fmt: skip
        settings = {**SETTINGS, "archive.url": self.archive.url(None)}
        self.redis.start()
        self.proxy = Proxy(folder, self.redis.server.url, config, settings=settings).start()
        self.history = History(folder / "history.jsonl")
        self.answered = {}  # client: when it had its last answer
        self.stopped_at = None

    # ---- clients ----

    @contextlib.asynccontextmanager
    async def load(self, clients=CLIENTS):
        over = asyncio.Event()
        tasks = [asyncio.create_task(self.write(1001 + i, over)) for i in range(clients)]
        try:
            yield
        finally:
            over.set()
            await asyncio.gather(*tasks)

    async def write(self, client, over):
        conn = await AsyncConn.to(self.proxy, 15)
        seq = 0
        while not over.is_set():
            seq += 1
            await self.append(conn, client, seq, f"conv:list:{(client + seq) % KEYS}")
            await asyncio.sleep(0.005)
        conn.close()

    async def append(self, conn, client, seq, key):
        op = self.history.begin(client, seq, key, "append", f"{client}:{seq}")
        reply = await conn.cmd("RPUSH", key, op.value)
        if isinstance(reply, RespError) and not reply.startswith("INDOUBT"):
            self.history.end(op, INFO if UNKNOWN in reply else "fail", str(reply))
        else:
            self.history.end(op, OK)
            self.answered.setdefault(client, []).append(time.monotonic())

    def oldest_answer(self):
        """Of the clients' last answers the oldest."""
        return min(answers[-1] for answers in self.answered.values())

    def longest_pause(self):
        return max(b - a for answers in self.answered.values() for a, b in zip(answers, answers[1:]))

    async def all_go_on(self, since, within):
        """Every client has an answer to something that ended after since; how long it took."""
        deadline = since + within
        while not all(answers[-1] > since for answers in self.answered.values()):
            assert time.monotonic() < deadline, f"{sum(a[-1] <= since for a in self.answered.values())} clients still wait"
            await asyncio.sleep(0.005)
        return time.monotonic() - since

    async def some_load(self, answers=200):
        """Until so many more are acknowledged."""
        wanted = self.history.count(OK) + answers
        await self.until(lambda: self.history.count(OK) >= wanted)

    async def until(self, condition, seconds=20):
        deadline = time.monotonic() + seconds
        while not await asyncio.to_thread(condition):
            assert time.monotonic() < deadline, "\n".join(self.status())
            await asyncio.sleep(0.02)

    # ---- who acts ----

    def status(self):
        with self.proxy.client(decode_responses=True, protocol=2) as client:
            return client.execute_command("CONV", "STATUS")

    def phases(self):
        return [policy.get("phase") for policy in self.proxy.get_json("/api/v1/primary")["placement"]]

    def phase(self):
        return self.phases()[0]

    def epoch(self):
        return self.proxy.get_json("/api/v1/state")["sync"]["epoch"]

    def filled(self):
        """No backfill is to be done."""
        return all(move["state"] == "done" for move in self.proxy.get_json("/api/v1/moves")["moves"])

    def archive_acts(self):
        return self.phase() == "archive"

    def redis_acts(self):
        return self.phase() == "redis"

    def quiet(self):
        return self.redis_acts() and not [*stores.redis_leftovers(self.redis.client()), *stores.archive_leftovers(self.archive)]

    # ---- in the end ----

    def states(self):
        return stores.redis_states(self.redis.client()), stores.archive_states(self.archive)

    def sound(self):
        """Redis acts, nothing is owed, both stores are equal and have what they must."""
        eventually(self.quiet, 30)
        redis, archive = self.states()
        assert list(stores.differences(redis, archive)) == []
        assert len(redis) == KEYS
        for client, states in ((-11, redis), (-12, archive)):
            for key, state in states.items():
                self.history.end(self.history.begin(client, 0, key, "read"), OK, [v.decode() for v in state.value])
        found = rules.check(self.history)
        assert not found, "\n".join(map(str, found[:10]))

    def nobody_refused(self):
        refused = [op.reply for op in self.history.ops if op.outcome != OK]
        assert not refused, refused[:3]

    def close(self):
        self.history.save()
        try:
            self.proxy.stop()
        finally:
            self.proxy.kill()
            self.redis.end()


@pytest.fixture
def make_world(tmp_path):
    with contextlib.ExitStack() as stack:

        def make(**policy):
            world = World(tmp_path, **policy)
            stack.callback(world.close)
            eventually(world.redis_acts, 10)
            return world

        yield make


@pytest.mark.parametrize("comes_back", ["intact", "empty"])
def test_killed_under_load(make_world, comes_back, capsys):
    world = make_world()

    async def story():
        async with world.load():
            await world.some_load()
            world.redis.kill()
            took = await world.all_go_on(time.monotonic(), GOES_ON)
            await world.until(world.archive_acts)
            await world.some_load()
            await asyncio.to_thread(world.redis.restart_intact if comes_back == "intact" else world.redis.restart_empty)
            await world.until(world.redis_acts)
            await world.some_load()
        return took

    took = asyncio.run(story())
    world.nobody_refused()
    world.sound()
    with capsys.disabled():
        print(f"\n{comes_back}: all {CLIENTS} clients went on after {took * 1000:.0f} ms, "
              f"longest pause {world.longest_pause() * 1000:.0f} ms")
    assert world.longest_pause() < GOES_ON


def test_killed_again_while_it_catches_up(make_world):
    world = make_world()

    async def story():
        async with world.load():
            await world.some_load()
            for restart in (world.redis.restart_intact, world.redis.restart_empty, world.redis.restart_intact):
                world.redis.kill()
                await world.some_load(100)
                await asyncio.to_thread(restart)
                await world.until(lambda: world.phase() in ("catchup", "redis"))
            await world.until(world.redis_acts)

    asyncio.run(story())
    world.nobody_refused()
    world.sound()


def test_stopped_for_a_while(make_world):
    """What the frozen Redis was sent, and executes when it wakes, is not done twice."""
    world = make_world()

    async def story():
        async with world.load():
            await world.some_load()
            world.redis.server.pause()
            began = time.monotonic()
            await world.all_go_on(began, 2.0)
            await world.until(world.archive_acts)
            await world.some_load()
            await asyncio.sleep(max(0.0, began + 3 - time.monotonic()))
            world.redis.server.resume()
            await world.until(world.redis_acts)
            await world.some_load()

    asyncio.run(story())
    world.nobody_refused()
    world.sound()


def test_flushed_behind_the_proxy(make_world):
    world = make_world()

    async def story():
        async with world.load():
            await world.some_load()
            epoch = int(world.redis.client().get("cvp:ep"))
            world.redis.client().flushall()
            await world.until(lambda: int(world.redis.client().get("cvp:ep") or 0) > epoch and world.redis_acts())
            await world.some_load()

    asyncio.run(story())
    world.nobody_refused()
    world.sound()


def test_redis_is_away_when_the_proxy_starts_again(make_world):
    """Nothing that both stores have is needed from the proxy's memory."""
    world = make_world()

    async def load():
        async with world.load():
            await world.some_load()

    asyncio.run(load())
    world.redis.kill()
    world.proxy.kill()
    world.proxy.start()
    eventually(world.archive_acts, 10)
    before = {key: state.value for key, state in stores.archive_states(world.archive).items()}
    with world.proxy.client() as client:
        assert {key: client.lrange(key, 0, -1) for key in before} == before and len(before) == KEYS
    world.redis.restart_intact()
    world.sound()


def test_without_dual_writes_both_histories_are_joined(make_world):
    """Redis alone has the old messages, the archive alone the new ones: after the return both are there, in order."""
    world = make_world(dual_write=False)
    with world.proxy.client() as client:
        for i in range(10):
            client.rpush("conv:list:0", f"old {i}")
        assert stores.archive_states(world.archive) == {}
        world.redis.kill()
        eventually(world.archive_acts, 10)
        for i in range(10):
            eventually(lambda i=i: client.rpush("conv:list:0", f"new {i}"), 5)
        client.rpush("conv:list:1", "only new")
        world.redis.restart_intact()
        eventually(world.redis_acts, 30)
        told = client.lrange("conv:list:0", 0, -1)
        assert told == [b"old %d" % i for i in range(10)] + [b"new %d" % i for i in range(10)]
        assert client.lrange("conv:list:1", 0, -1) == [b"only new"]
    assert world.redis.client().lrange("conv:list:0", 0, -1) == told


# ---- orders ----


def test_one_policy_returns_and_the_others_stay(make_world):
    """A claim is for all policies: who was not moved must not lose its Redis by it, over and over."""
    world = make_world(others=["trim"])
    eventually(world.filled, 10)
    with world.proxy.client() as client:
        client.rpush("conv:list:0", "a")
        client.config_set("trim.primary", "mongo")
        eventually(lambda: world.phases() == ["redis", "archive"], 10)
        client.rpush("trim:list:0", "b")
        client.config_set("trim.primary", "redis")
        eventually(lambda: world.phases() == ["redis", "redis"], 10)
        epoch = world.epoch()
        looks = [world.phases() for _ in until_s_have_gone(1.0)]
        assert all(look == ["redis", "redis"] for look in looks) and world.epoch() == epoch
        assert (client.lrange("conv:list:0", 0, -1), client.lrange("trim:list:0", 0, -1)) == ([b"a"], [b"b"])


def until_s_have_gone(seconds):
    """Longer than failover.return_after, after which one would have gone on to the next round."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(0.02)


def test_moved_and_back_without_dual_writes(make_world):
    """An order to move carries nothing then: Redis' old messages and the archive's new ones are joined on return."""
    world = make_world(dual_write=False)
    with world.proxy.client() as client:
        client.rpush("conv:list:0", "old")
        client.config_set("conv.primary", "mongo")
        eventually(world.archive_acts, 10)
        client.rpush("conv:list:0", "new")
        client.config_set("conv.primary", "redis")
        eventually(world.redis_acts, 10)
        assert client.lrange("conv:list:0", 0, -1) == [b"old", b"new"]


def test_deleted_without_dual_writes(make_world):
    """What the archive alone still has when dual writes are switched on was deleted, and must not rise when it acts."""
    world = make_world()
    eventually(world.filled, 10)
    with world.proxy.client() as client:
        client.rpush("conv:list:0", "a")
        client.rpush("conv:list:1", "b")
        client.execute_command("CONV", "DUALWRITE", "OFF")
        client.delete("conv:list:0")
        client.execute_command("CONV", "DUALWRITE", "ON")
        eventually(lambda: world.filled() and world.quiet(), 10)
        client.config_set("conv.primary", "mongo")
        eventually(world.archive_acts, 10)
        assert (client.lrange("conv:list:0", 0, -1), client.lrange("conv:list:1", 0, -1)) == ([], [b"b"])


@pytest.mark.parametrize("goes", ["lost", "moved"])
def test_redis_goes_before_the_backfill_has_passed(make_world, goes):
    """Dual writes are on, and what was written without them has left no version: it is joined all the same."""
    world = make_world()
    eventually(world.filled, 10)
    with world.proxy.client() as client:
        for i in range(50):
            client.rpush(f"conv:list:{i}", "old")
        eventually(world.quiet, 10)
        client.execute_command("CONV", "DUALWRITE", "OFF")
        for i in range(50):
            client.rpush(f"conv:list:{i}", "alone")
        client.config_set("sync.rate", 1)
        client.execute_command("CONV", "DUALWRITE", "ON")
        if goes == "lost":
            world.redis.kill()
        else:
            client.config_set("conv.primary", "mongo")
        eventually(world.archive_acts, 10)
        assert not world.filled()
        for i in range(50):
            eventually(lambda i=i: client.rpush(f"conv:list:{i}", "new"), 5)
        if goes == "lost":
            world.redis.restart_intact()
        else:
            client.config_set("conv.primary", "redis")
        client.config_set("sync.rate", 100_000)
        eventually(world.redis_acts, 20)
        assert {tuple(client.lrange(f"conv:list:{i}", 0, -1)) for i in range(50)} == {(b"old", b"alone", b"new")}
