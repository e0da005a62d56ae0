"""Clients that wait for managed keys (conv:*) in the proxy, and those that wait for raw keys in Redis: workers at a queue, stores that change
places meanwhile, processes that follow each other, writes that the proxy does not see."""
import os
import random
import socket
import struct
import threading
import time
from contextlib import ExitStack, closing

import pytest
from harness import Proxy, RedisServer, RespConn, eventually
from harness.proxy import taken_over
from harness.waiters import Waiter, flags_of, stage

pytestmark = [pytest.mark.sanitize, pytest.mark.managed, pytest.mark.timeout(120)]

SETTINGS = {"failover.return_after": "300ms", "redis.probe_interval": "50ms", "proxy.threads": 2}


def acting(proxy):
    return proxy.get_json("/api/v1/primary")["placement"][0]["phase"]


class World:
    def __init__(self, folder, **settings):
        self.redis = RedisServer(folder, args=["--appendonly", "yes", "--appendfsync", "always"]).start()
        self.proxy = Proxy(folder, self.redis.url, settings={**SETTINGS, **settings}).start()
        self.until("redis")

    def until(self, phase):
        eventually(lambda: acting(self.proxy) == phase, timeout=20)

    def settled(self):
        """The archive has all that Redis has."""
        with self.redis.client() as behind:
            eventually(lambda: behind.scard("cvp:dirty") == 0 and not behind.keys("cvp:busy:*"), timeout=15)

    def stop(self):
        self.proxy.stop()
        self.redis.kill()


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.stop()


def waits(conn, *waiters):
    eventually(lambda: all(flags_of(conn, waiter.id) == "b" for waiter in waiters))


# ---- workers ----


class Worker(threading.Thread):
    """Takes from a queue until it is told to stop, or its connection ends."""

    def __init__(self, proxy, key):
        super().__init__()
        self.key, self.got, self.killed = key, [], False
        self.conn = RespConn.to(proxy, timeout=60)
        self.start()

    def run(self):
        try:
            while not self.got or self.got[-1] != b"stop":
                reply = self.conn.cmd("BLPOP", self.key, "0")
                assert isinstance(reply, list), reply
                self.got.append(reply[1])
        except OSError:
            assert self.killed

    def kill(self):
        """As the kernel does it for a process that was killed with a reply unread."""
        self.killed = True
        self.conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.conn.sock.shutdown(socket.SHUT_RD)
        self.conn.sock.close()
        self.join(30)


@pytest.mark.parametrize("key", ["raw:jobs", "conv:jobs"])
def test_workers_at_a_queue(world, key):
    """20 consumers, some of which are killed, 5 producers: each element is given to one of them, but for those of the killed."""
    seed = int(os.environ.get("CONV_SEED") or random.SystemRandom().randrange(1 << 30))
    print(f"CONV_SEED={seed}")
    rng = random.Random(seed)
    workers, killed = [Worker(world.proxy, key) for _ in range(20)], []
    with ExitStack() as stack:
        producers = [stack.enter_context(closing(RespConn.to(world.proxy, timeout=30))) for _ in range(5)]
        pushed = []
        for turn in range(40):
            for number, producer in enumerate(producers):
                pushed.append(f"{number}:{turn}".encode())
                producer.send_cmd("RPUSH", key, pushed[-1])
            if turn % 8 == 7:
                victim = workers.pop(rng.randrange(len(workers)))
                victim.kill()
                killed.append(victim)
                workers.append(Worker(world.proxy, key))
            assert all(isinstance(producer.read(), int) for producer in producers)
        eventually(lambda: producers[0].cmd("LLEN", key) == 0, timeout=30)
        for _ in workers:
            producers[0].cmd("RPUSH", key, "stop")
    for worker in workers:
        worker.join(30)
        assert not worker.is_alive()
    got = [value for worker in workers + killed for value in worker.got if value != b"stop"]
    lost = set(pushed) - set(got)
    assert len(got) == len(set(got)) and set(got) <= set(pushed)
    assert len(lost) <= len(killed), lost
    world.settled()


# ---- the stores change places ----


def test_redis_dies_while_clients_wait(world):
    """They wait on in the archive, in their order, and again in Redis when it is back; nobody is told anything."""
    with stage(world.proxy, ("BLPOP", "conv:q", "0"), ("BLPOP", "conv:q", "60"), ("XREAD", "BLOCK", "0", "STREAMS", "conv:s", "$")) as (
        conn,
        [first, second, reader],
    ):
        world.redis.kill()
        world.until("archive")
        waits(conn, first, second, reader)
        assert conn.cmd("RPUSH", "conv:q", "1") == 1
        served = eventually(lambda: [waiter for waiter in (first, second) if flags_of(conn, waiter.id) == "N"])
        assert [waiter.read() for waiter in served] == [[b"conv:q", b"1"]]
        waiter = second if served == [first] else first
        world.redis.start()
        world.until("redis")
        waits(conn, waiter, reader)
        assert conn.cmd("RPUSH", "conv:q", "2") == 1
        assert waiter.read() == [b"conv:q", b"2"]
        assert conn.cmd("XADD", "conv:s", "7-1", "f", "v") == b"7-1"
        assert reader.read() == [[b"conv:s", [[b"7-1", [b"f", b"v"]]]]]
        eventually(lambda: conn.cmd("EXISTS", "conv:q") == 0)
        world.settled()


def test_planned_moves_while_clients_wait(world):
    with stage(world.proxy, ("BLPOP", "conv:q", "0"), ("BZPOPMIN", "conv:z", "0"), ("BLMOVE", "conv:a", "conv:b", "LEFT", "LEFT", "0")) as (
        conn,
        [lists, zsets, moves],
    ):
        for where, waiter, push, told in (
            ("archive", lists, ("RPUSH", "conv:q", "1"), [b"conv:q", b"1"]),
            ("redis", zsets, ("ZADD", "conv:z", "1", "m"), [b"conv:z", b"m", b"1"]),
            ("archive", moves, ("RPUSH", "conv:a", "v"), b"v"),
        ):
            assert conn.cmd("CONFIG", "SET", "conv.primary", where) == "OK"
            world.until(where)
            waits(conn, waiter)
            assert conn.cmd(*push) == 1
            assert waiter.read() == told
        assert conn.cmd("LRANGE", "conv:b", "0", "-1") == [b"v"]


def test_taken_while_redis_acted_is_gone_in_the_archive(world):
    """Each element that was taken is versioned and copied: the archive has what is left, and nothing else."""
    commands = [("BLPOP", "conv:q", "0"), ("BLMPOP", "0", "1", "conv:q", "RIGHT", "COUNT", "2")]
    with ExitStack() as stack, stage(world.proxy, *commands) as (conn, [one, more]):
        conn.cmd("RPUSH", "conv:q", "1")
        assert one.read() == [b"conv:q", b"1"]
        conn.cmd("RPUSH", "conv:q", "2", "3", "4")
        assert more.read() == [b"conv:q", [b"4", b"3"]]
        conn.cmd("XGROUP", "CREATE", "conv:s", "g", "$", "MKSTREAM")
        reader = Waiter(stack, world.proxy, "XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "conv:s", ">")
        conn.cmd("XADD", "conv:s", "1-1", "f", "v")
        assert reader.read() == [[b"conv:s", [[b"1-1", [b"f", b"v"]]]]]
        world.settled()
        conn.cmd("CONFIG", "SET", "conv.primary", "archive")
        world.until("archive")
        assert conn.cmd("LRANGE", "conv:q", "0", "-1") == [b"2"]
        assert conn.cmd("XPENDING", "conv:s", "g")[0] == 1


def test_who_waits_in_vain_writes_nothing(world):
    """Looks and tries that find nothing leave no versions and no marks."""
    with stage(world.proxy, ("BLPOP", "conv:q", "0"), ("BLMOVE", "conv:a", "conv:b", "LEFT", "LEFT", "0")) as (conn, waiters):
        with world.redis.client() as behind:

            def looks():
                return behind.info("commandstats").get("cmdstat_type", {"calls": 0})["calls"]

            before = looks()
            eventually(lambda: looks() >= before + 6)
            assert behind.hmget("cvp:ver", "conv:q", "conv:a", "conv:b") == [None, None, None]
        assert conn.cmd("INFO", "clients").decode().split("blocked_clients:")[1].split("\r\n")[0] == "2"
        conn.cmd("SET", "conv:a", "text")
        conn.cmd("DEL", "conv:a")
        waits(conn, *waiters)


# ---- writes that the proxy does not see ----


def test_a_write_behind_the_proxy_is_seen(world):
    with stage(world.proxy, ("BLPOP", "conv:q", "0"), ("XREAD", "BLOCK", "0", "STREAMS", "conv:s", "$"), ("BLPOP", "raw:q", "conv:q2", "0")) as (
        _,
        [pops, reads, mixed],
    ):
        with world.redis.client() as behind:
            started = time.monotonic()
            behind.rpush("conv:q", "v")
            behind.xadd("conv:s", {"f": "v"}, "1-1")
            behind.rpush("raw:q", "w")
            assert pops.read() == [b"conv:q", b"v"]
            assert reads.read() == [[b"conv:s", [[b"1-1", [b"f", b"v"]]]]]
            assert mixed.read() == [b"raw:q", b"w"]
            print(f"{time.monotonic() - started:.3f} s")


GROUP_ENDS = [("XGROUP", "DESTROY", "conv:s", "g"), ("DEL", "conv:s"), ("SET", "conv:s", "text")]


@pytest.mark.parametrize("end", GROUP_ENDS, ids=lambda end: end[0].lower())
def test_group_that_goes_away(world, end):
    with RespConn.to(world.proxy) as conn:
        conn.cmd("XGROUP", "CREATE", "conv:s", "g", "$", "MKSTREAM")
    with stage(world.proxy, ("XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "conv:s", ">")) as (conn, [waiter]):
        conn.cmd(*end)
        gone = "NOGROUP the consumer group this client was blocked on no longer exists"
        assert waiter.read() == (gone if end[0] == "XGROUP" else "UNBLOCKED the stream key no longer exists")


def test_only_where_it_moves_to_is_of_another_type(world):
    with stage(world.proxy, ("BLMOVE", "conv:a", "conv:b", "LEFT", "LEFT", "0")) as (conn, [waiter]):
        conn.cmd("SET", "conv:b", "text")
        conn.cmd("RPUSH", "conv:a", "v")
        assert waiter.read().startswith("WRONGTYPE")
        assert conn.cmd("LLEN", "conv:a") == 1


# ---- connections of their own ----


def test_raw_blocks_outlive_the_deadline_and_have_a_limit(tmp_path):
    world = World(tmp_path, **{"redis.timeout": "200ms", "redis.slow_timeout": "300ms", "redis.pinned_max": 2, "proxy.threads": 1})
    try:
        with stage(world.proxy, ("BLPOP", "q", "0"), ("BLPOP", "q", "0"), behind=world.redis) as (conn, [first, second]):
            assert conn.cmd("BLPOP", "q", "0") == "ERR too many clients wait, watch or track at once (setting redis.pinned_max)"
            assert conn.cmd("WATCH", "x").startswith("ERR too many")
            time.sleep(0.5)  # longer than both deadlines
            conn.cmd("RPUSH", "q", "1")
            assert first.read() == [b"q", b"1"]
            assert first.conn.cmd("WATCH", "x") == "OK"
            assert first.conn.pipeline(("MULTI",), ("SET", "x", "1"), ("EXEC",))[-1] == ["OK"]
            world.redis.kill()
            assert second.read().startswith("REDISDOWN ")
            eventually(lambda: world.proxy.metrics()["convproxy_upstream_pinned_connections"] == 0)
            assert second.conn.cmd("PING") == "PONG"
    finally:
        world.stop()


def test_watched_keys_and_a_wait_between(world):
    """The same connection serves both, and the watch is still there afterwards."""
    with RespConn.to(world.proxy) as conn, RespConn.to(world.proxy) as other:
        assert conn.cmd("WATCH", "raw:x") == "OK"
        assert conn.cmd("BLPOP", "raw:q", "0.05") is None
        other.cmd("SET", "raw:x", "1")
        assert conn.pipeline(("MULTI",), ("SET", "raw:y", "1"), ("EXEC",))[-1] is None


# ---- the process ends ----


def test_those_who_wait_go_along_to_the_next_process(tmp_path):
    world = World(tmp_path, **{"proxy.handover": str(tmp_path / "handover.sock")})
    try:
        commands = [("BLPOP", "conv:q", "0"), ("BLPOP", "raw:q", "30"), ("BLMPOP", "1.5", "1", "conv:no", "LEFT")]
        with stage(world.proxy, *commands) as (conn, [managed, raw, nobody]):
            with taken_over(world.proxy) as old:
                assert old.wait(20) == 0
            eventually(lambda: conn.cmd("CLIENT", "LIST").count(b" flags=b ") >= 2)
            assert conn.cmd("RPUSH", "conv:q", "1") == 1
            assert managed.read() == [b"conv:q", b"1"]
            assert conn.cmd("RPUSH", "raw:q", "2") == 1
            assert raw.read() == [b"raw:q", b"2"]
            assert nobody.read() is None
    finally:
        world.stop()


def test_sigterm_with_clients_that_wait(world):
    world.proxy.settings["proxy.drain_time"] = "2s"
    world.proxy.restart()
    world.until("redis")
    with stage(world.proxy, ("BLPOP", "conv:q", "0"), ("BLPOP", "raw:q", "100")) as (_, waiters):
        world.proxy.stop()
        assert all(waiter.conn.closed() for waiter in waiters)
    world.proxy.start()


# ---- clients ----


@pytest.mark.parametrize("key", ["raw:jobs", "conv:jobs"])
def test_redis_py(world, key):
    with world.proxy.client() as client, world.proxy.client() as other:
        assert client.blpop([key], timeout=0.05) is None
        other.rpush(key, "a", "b")
        assert client.blpop([key, key + "2"], timeout=1) == (key.encode(), b"a")
        assert client.blmove(key, key + "3", 1, "LEFT", "RIGHT") == b"b"
        other.zadd(key + "z", {"m": 1.5})
        assert client.bzpopmin(key + "z", timeout=1) in ((key.encode() + b"z", b"m", 1.5), [key.encode() + b"z", b"m", 1.5])
        other.xadd(key + "s", {"f": "v"}, "1-1")
        assert client.xread({key + "s": "0"}, block=1000)
        assert client.xread({key + "s": "$"}, block=50) in ([], {})
