"""Every client reads back only what it wrote itself (pitfall 1): a random schedule of requests in odd pieces, cancels,
transactions, slow commands and huge values, while connections are cut and Redis is stopped, killed and started.

CONV_SEED replays a schedule; CONV_CANARY_SECONDS makes each run longer than the few seconds of `make test`."""
import asyncio
import os
import random
import time
from collections import Counter
from dataclasses import dataclass, field

import pytest
from harness import Proxy, RedisServer, RespError, eventually
from harness.aio import AsyncConn
from harness.resp import Push, encode

pytestmark = [pytest.mark.sanitize, pytest.mark.managed]

SECONDS = float(os.environ.get("CONV_CANARY_SECONDS", "7"))
CLIENTS = 40
HUGE = 300_000
POLICY = {"policies": [{"name": "conv", "match": "conv:*", "ttl": "1h", "max_messages": 20}]}
# What a client may be told while Redis is away; every other error is a mistake of ours.
AWAY = ("REDISDOWN ", "LOADING ")
# And when the archive acts for managed keys meanwhile; a transaction may then have keys in both stores.
CHANGING = ("TRYAGAIN ", "INDOUBT ")
MIXED = ("CROSSSTORE ",)
NO_SCRIPTS = "ERR eval is not supported by convproxy yet"
ELSEWHERE = ("ERR the archive serves database 0 only",)


@dataclass
class World:
    """What clients and the breaker of things share. cuts grows before and after each fault, losses when data went."""

    proxy: Proxy
    redis: RedisServer
    seed: int
    strict: bool  # no command runs later than its error says: values are known exactly
    archive: bool  # managed keys outlive Redis
    cuts: int = 0
    losses: int = 0
    over: bool = False
    seen: Counter = field(default_factory=Counter)

    def cut_since(self, cuts):
        """Odd: a fault is going on."""
        return self.cuts != cuts or cuts % 2 == 1


class Key:
    """What may stand in one key, as far as its only writer can know."""

    def __init__(self, world, kept):
        self.world, self.losses, self.possible, self.ever = world, world.losses, {None}, {None}
        self.kept = kept  # what was acknowledged is there; what was not may come when Redis returns, but not after the next

    def _notice_losses(self, since):
        if self.kept:
            return
        if self.losses != self.world.losses or since != self.world.losses:
            self.possible.add(None)
            self.losses = self.world.losses

    def wrote(self, value, since, sure):
        self.ever.add(value)
        self.possible = {value} if sure else self.possible | {value}
        self._notice_losses(since)

    def read(self, value, since):
        self._notice_losses(since)
        allowed = self.possible if self.world.strict or self.kept else self.ever
        assert value in allowed, f"read {shorten(value)}, but only {[shorten(v) for v in allowed]} may be there"
        if self.world.strict:
            self.possible = {value}
            self._notice_losses(since)


def shorten(value):
    return value[:60] if isinstance(value, bytes) else value


class Life:
    """One connection of one client, with keys that nobody else has ever used. A client that cancels starts another."""

    def __init__(self, world, number, life):
        self.world, self.name, self.made = world, f"{number}.{life}", 0
        self.rng = random.Random(f"{world.seed}/{number}/{life}")
        self.db, self.resp, self.keys, self.pushed = 0, 2, {}, {}

    def key_name(self, kind):
        managed = self.rng.random() < 0.5
        return f"{'conv:' if managed else 'raw:'}{kind}:{self.name}:{self.rng.randrange(3)}"

    def key(self, name):
        kept = self.world.archive and self.db == 0 and name.startswith("conv:")
        return self.keys.setdefault((self.db, name), Key(self.world, kept))

    def canary(self, name, size=0):
        self.made += 1
        return f"<{self.name}|{self.db}|{name}|{self.made}>".encode().ljust(size, b".")

    def excuses(self):
        """What a command sent now may be told instead of its reply."""
        if not self.world.archive:
            return AWAY
        return AWAY + CHANGING + (ELSEWHERE if self.db != 0 else ())

    # Each of the following gives [(bytes, checker of the reply)]; a checker is told the losses at the time of sending.

    def ask(self, *args, then):
        excuses = self.excuses()

        def check(reply, since):
            if isinstance(reply, RespError):
                assert reply.startswith(excuses), f"{args[:2]}: {reply}"
                self.world.seen[reply.split()[0]] += 1
            then(reply, since)

        return [(encode(*args), check)]

    def exact(self, *args, reply):
        def then(got, since):
            assert isinstance(got, RespError) or got == reply, f"{args[:2]}: {got!r} instead of {reply!r}"

        return self.ask(*args, then=then)

    def local(self, *args, reply):
        """The proxy answers itself: no error, whatever Redis does."""

        def check(got, since):
            assert got == reply, f"{args}: {got!r} instead of {reply!r}"

        return [(encode(*args), check)]

    def do_echo(self):
        nonce = self.canary("echo")
        return self.local("ECHO", nonce, reply=nonce)

    def do_script(self):
        nonce, turns = self.canary("script"), self.rng.choice([0, 0, 1000, 200_000])
        return self.exact("EVAL", "for i = 1, ARGV[2] do end return ARGV[1]", 0, nonce, turns, reply=nonce)

    def do_sleep(self):
        return self.exact("DEBUG", "SLEEP", "0.02", reply="OK") if self.rng.random() < 0.05 else self.do_echo()

    def do_set(self, size=0):
        name = self.key_name("s")
        value, key = self.canary(name, size), self.key(name)
        return self.ask("SET", name, value, then=lambda reply, since: key.wrote(value, since, reply == "OK"))

    def do_huge(self):
        return self.do_set(HUGE) if self.rng.random() < 0.3 else self.do_echo()

    def do_get(self):
        name = self.key_name("s")
        key = self.key(name)

        def then(reply, since):
            if not isinstance(reply, RespError):
                key.read(reply, since)

        return self.ask("GET", name, then=then)

    def do_push(self):
        name = self.key_name("l")
        value, pushed = self.canary(name), self.pushed.setdefault((self.db, name), {})
        pushed[value] = len(pushed)

        def then(reply, since):
            assert isinstance(reply, RespError) or 1 <= reply <= len(pushed), reply

        return self.ask("RPUSH", name, value, then=then)

    def do_range(self):
        name = self.key_name("l")
        pushed = self.pushed.setdefault((self.db, name), {})

        def then(reply, since):
            if not isinstance(reply, RespError):
                places = [pushed[value] for value in reply]
                assert len(places) == len(set(places)), f"{name}: a message is there twice: {places}"
                assert places == sorted(places) or not self.world.strict, f"{name}: out of order: {places}"
                assert len(places) <= 20 or name.startswith("raw"), f"{name} has {len(places)} messages"

        return self.ask("LRANGE", name, 0, -1, then=then)

    def do_select(self):
        self.db = self.rng.randrange(4)
        return self.local("SELECT", self.db, reply="OK")

    def do_hello(self):
        self.resp = self.rng.choice([2, 3])

        def check(reply, since):
            assert isinstance(reply, (dict, list)) and not isinstance(reply, Push), reply

        return [(encode("HELLO", self.resp), check)]

    def do_unknown(self):
        expected = ("ERR unknown command 'NOSUCH'", *self.excuses())

        def check(reply, since):
            assert isinstance(reply, RespError) and reply.startswith(expected), reply

        return [(encode("NOSUCH", self.canary("unknown")), check)]

    def do_multi(self, watched=None, faults=None):
        name, list_name = watched or self.key_name("s"), self.key_name("l")
        value, message, nonce = self.canary(name), self.canary(list_name), self.canary("script")
        key, pushed = self.key(name), self.pushed.setdefault((self.db, list_name), {})
        pushed[message] = len(pushed)
        excuses, refused = self.excuses() + (MIXED if self.world.archive else ()), []

        def queued(*args):
            def check(reply, since):
                if self.world.archive and isinstance(reply, RespError) and reply.startswith(MIXED):
                    refused.append(reply)
                else:
                    assert reply == "QUEUED", f"{args}: {reply!r}"

            return [(encode(*args), check)]

        def exec_done(reply, since):
            if isinstance(reply, list):
                assert len(reply) == 4 and reply[0] == "OK" and reply[1] == value, reply
                assert reply[3] == nonce or self.world.archive and reply[3] == NO_SCRIPTS, reply
                assert 1 <= reply[2] <= len(pushed), reply
            elif reply is None:
                # A connection that timed out counts as touched, and so does a WATCH that was refused: without faults
                # of ours that happens only with short time-outs, on a busy machine and while Redis comes back.
                told = watched and (self.world.cut_since(faults) or not self.world.strict)
                assert told, "EXEC says nil, but nobody touched the watched key"
            else:
                assert isinstance(reply, RespError)
                assert reply.startswith("EXECABORT " if refused else excuses), reply
            key.wrote(value, since, isinstance(reply, list))

        return [
            *self.local("MULTI", reply="OK"),
            *queued("SET", name, value),
            *queued("GET", name),
            *queued("RPUSH", list_name, message),
            *queued("EVAL", "return ARGV[1]", 0, nonce),
            (encode("EXEC"), exec_done),
        ]

    def do_watch(self):
        name, faults = self.key_name("s"), self.world.cuts
        key = self.key(name)

        def then(reply, since):
            if not isinstance(reply, RespError):
                key.read(reply, since)

        return [
            *self.exact("WATCH", name, reply="OK"),
            *self.ask("GET", name, then=then),
            *self.do_multi(name, faults),
        ]

    def batch(self):
        kinds = [self.do_echo, self.do_script, self.do_sleep, self.do_huge, self.do_select, self.do_hello, self.do_unknown]
        kinds += [self.do_set, self.do_get, self.do_push, self.do_range] * 4 + [self.do_multi, self.do_watch] * 2
        return [step for _ in range(self.rng.choice([1, 1, 2, 5, 20])) for step in self.rng.choice(kinds)()]

    def pieces(self, data):
        """The bytes in a few pieces, cut anywhere."""
        if self.rng.random() < 0.5:
            return [data]
        cuts = sorted(self.rng.randrange(len(data)) for _ in range(self.rng.randrange(1, 8)))
        return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)])]


class Cancelled(Exception):
    """The client has had enough."""


async def send_pieces(life, conn, data, cancel_after):
    for piece in life.pieces(data):
        if cancel_after is not None and cancel_after < len(piece):
            await conn.send(piece[:cancel_after])
            conn.reader.set_exception(Cancelled())  # whoever reads has had enough, too
            return
        if cancel_after is not None:
            cancel_after -= len(piece)
        await conn.send(piece)
        await asyncio.sleep(0)


async def round_trip(life, conn, may_cancel):
    """One batch: as many replies as requests, each the right one."""
    batch = life.batch()
    data, world = b"".join(request for request, _ in batch), life.world
    since, cuts = world.losses, world.cuts
    cancels = may_cancel and life.rng.random() < 0.04
    sending = asyncio.ensure_future(
        send_pieces(life, conn, data, life.rng.randrange(len(data)) if cancels and life.rng.random() < 0.5 else None)
    )
    try:
        for done, (_, check) in enumerate(batch):
            if cancels and done == len(batch) // 2:
                raise Cancelled
            check(await conn.read(), since)
            world.seen["replies"] += 1
        await sending
    except TimeoutError as problem:
        problem.add_note(f"no reply to {batch[done][0][:120]}, request {done} of {len(batch)}")
        raise
    except ConnectionError:
        # Allowed for one reason only: a reply was half told when Redis went away, or was too slow for a short time-out.
        assert conn.buffer and (world.cut_since(cuts) or not world.strict), f"client {life.name} was disconnected"
        raise Cancelled from None
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    assert not conn.buffer, f"more replies than requests: {bytes(conn.buffer[:80])}"


async def client(world, number):
    life_number = 0
    while not world.over:
        life = Life(world, number, life_number)
        conn = await AsyncConn.to(world.proxy, timeout=15)
        try:
            while not world.over:
                await round_trip(life, conn, may_cancel=True)
            await round_trip(life, conn, may_cancel=False)
        except Cancelled:
            world.seen["cancels"] += 1
            life_number += 1
        except BaseException as problem:
            world.over = True
            problem.add_note(f"client {life.name}, CONV_SEED={world.seed}")
            raise
        finally:
            (conn.abort if life.rng.random() < 0.5 else conn.close)()


async def in_thread(fn, *args):
    return await asyncio.get_running_loop().run_in_executor(None, fn, *args)


def kill_connections(world, rng):
    world.redis.cli("CLIENT", "KILL", "TYPE", "normal")


def freeze(world, rng):
    world.redis.pause()
    time.sleep(rng.uniform(0.05, 0.4))  # what happens is that time passes
    world.redis.resume()


def kill_redis(world, rng):
    world.losses += 1
    world.redis.kill()
    world.losses += 1
    time.sleep(rng.uniform(0.0, 0.3))  # as above
    world.redis.start()


async def break_things(world, seconds):
    rng = random.Random(world.seed)
    end = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < end:
        await asyncio.sleep(rng.uniform(0.1, 0.6))
        fault = rng.choices([kill_connections, freeze, kill_redis], [5, 3, 2])[0]
        world.cuts += 1
        await in_thread(fault, world, rng)
        world.cuts += 1
        world.seen[fault.__name__] += 1
    world.over = True


async def run(world, seconds):
    async with asyncio.TaskGroup() as group:
        for number in range(CLIENTS):
            group.create_task(client(world, number))
        group.create_task(break_things(world, seconds))


def nothing_left(proxy):
    """What should have ended with the clients: connections, loans, buffers."""
    gauges = ("convproxy_clients_connected", "convproxy_upstream_pinned_connections", "convproxy_buffered_bytes")
    metrics = proxy.metrics()
    assert all(metrics[name] == 0 for name in gauges), {name: metrics[name] for name in gauges}
    return True


# With a time-out that the freezes exceed, a command may run after its client was told that it is unknown whether it did.
@pytest.mark.timeout(60 + SECONDS * 4)
@pytest.mark.parametrize(
    "timeout_ms,strict,archive",
    [(10_000, True, False), (120, False, False), (120, False, True)],
    ids=["cuts", "timeouts", "failover"],
)
def test_everyone_reads_only_what_they_wrote(tmp_path, make_proxy, timeout_ms, strict, archive):
    seed = int(os.environ.get("CONV_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"CONV_SEED={seed}")
    redis = RedisServer(tmp_path, args=["--enable-debug-command", "yes"]).start()
    settings = {"redis.timeout": f"{timeout_ms}ms", "redis.connect_rate": 1000, "proxy.threads": 2}
    settings |= {"failover.return_after": "100ms"} if archive else {"archive.url": ""}
    proxy = make_proxy(redis.url, POLICY, settings=settings).start()
    world = World(proxy, redis, seed, strict, archive)
    try:
        asyncio.run(run(world, SECONDS))
        print(dict(world.seen))
        assert world.seen["replies"] > CLIENTS * SECONDS and world.seen["cancels"] > 0
        eventually(lambda: nothing_left(proxy))
        if archive:
            assert proxy.metrics()['conv_failovers_total{policy="conv"}'] > 0
    finally:
        redis.kill()
