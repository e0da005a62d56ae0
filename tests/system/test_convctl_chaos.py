"""convctl chaos: a store is cut off, paused or slow for some seconds. Clients with writes under way lose and double nothing; the fault
ends by itself, whatever becomes of convctl."""
import asyncio
import functools
import json
import signal
import subprocess
import time

import pytest
from harness import RespConn, RespError
from harness import eventually as wait_until
from harness.ctl import convctl as convctl_alone
from harness.ctl import convctl_of as convctl
from harness.ctl import convctl_path
from test_failover import World

pytestmark = [pytest.mark.managed, pytest.mark.timeout(120)]

OK, REFUSED, USAGE = 0, 1, 2
eventually = functools.partial(wait_until, timeout=30)
ALLOWED = {"redis.faults": "yes", "archive.faults": "yes"}


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    eventually(world.redis_acts)
    world.proxy.post_json("/api/v1/settings", ALLOWED)
    yield world
    world.close()


@pytest.fixture
def proxy(fresh_proxy):
    fresh_proxy.post_json("/api/v1/settings", {**ALLOWED, "redis.timeout": "10s"})  # whatever this machine has to do beside
    eventually(lambda: fresh_proxy.get_json("/api/v1/primary")["placement"][0]["phase"] == "redis")
    return fresh_proxy


def chaos(proxy):
    return {row["store"]: row for row in proxy.get_json("/api/v1/chaos")["chaos"]}


def over(proxy):
    return all(row["fault"] == "none" for row in chaos(proxy).values())


# ---- under load ----


@pytest.mark.sanitize
def test_redis_is_cut_off(world):
    async def story():
        async with world.load():
            await world.some_load()
            run = asyncio.create_task(asyncio.to_thread(convctl, world.proxy, "chaos", "cut", "redis", "--for", "4s", "--yes"))
            await world.until(world.archive_acts)
            await world.some_load()
            done = await run
            await world.until(world.redis_acts)
            await world.some_load()
        return done

    done = asyncio.run(story())
    assert done.returncode == OK, done.stderr
    assert "All connections to Redis end" in done.stdout and "over: redis may be used again" in done.stdout
    assert over(world.proxy)
    world.nobody_refused()
    world.sound()
    world.proxy.log_contains("event=chaos_began store=redis fault=cut ms=4000 by=http")
    world.proxy.log_contains("event=chaos_ended store=redis fault=cut by=deadline")


@pytest.mark.sanitize
def test_redis_is_paused_and_convctl_killed(world):
    """The deadline is the proxy's. Redis has executed nothing that was held back at the gate, so nothing is done twice."""

    async def story():
        async with world.load():
            await world.some_load()
            with subprocess.Popen([convctl_path(), "-u", world.proxy.admin_url(""), "chaos", "pause", "redis", "--for", "7s", "-y"],
                                  stdout=subprocess.DEVNULL) as running:  # fmt: skip
                await world.until(lambda: not over(world.proxy))
                running.send_signal(signal.SIGKILL)
            await world.until(world.archive_acts)
            await world.some_load()
            await world.until(world.redis_acts)
            await world.some_load()

    asyncio.run(story())
    eventually(lambda: over(world.proxy))  # Redis may act again before the deadline was told
    world.nobody_refused()
    world.sound()


def test_answers_come_late_under_load(world):
    async def story():
        async with world.load(8):
            await world.some_load()
            done = await asyncio.to_thread(convctl, world.proxy, "chaos", "delay", "redis", "--by", "40ms", "--jitter", "20ms", "--for", "1500ms", "-y")
            p95 = world.proxy.metrics()["redis_latency_p95_ms"]
            await world.some_load()
        return done, p95

    done, p95 = asyncio.run(story())
    assert done.returncode == OK, done.stderr
    assert p95 >= 20
    world.nobody_refused()
    world.sound()


# ---- every kind of connection ----


def proxy_connections(server):
    return [c for c in server.client().client_list() if c.get("name", "").startswith("convproxy")]


def test_all_connections_are_cut(fresh_redis, proxy):
    """Shared, pinned (WATCH), subscribing, the probe's, those of sync: also those that do nothing at the moment."""
    watching, hearing = RespConn.to(proxy), RespConn.to(proxy)
    assert watching.cmd("WATCH", "raw") == "OK"
    assert hearing.cmd("SUBSCRIBE", "news") == [b"subscribe", b"news", 1]
    proxy.client().rpush("conv:1", "a")
    assert len(fresh_redis.client().client_list()) > 4
    assert convctl(proxy, "chaos", "cut", "redis", "--for", "60s", "--yes", "--no-wait").returncode == OK
    eventually(lambda: not proxy_connections(fresh_redis) and len(fresh_redis.client().client_list()) <= 3)
    with RespConn.to(proxy) as conn:
        assert conn.cmd("GET", "raw").startswith("REDISDOWN ")
    assert proxy.metrics()["redis_faults_active"] == 1
    _, health = proxy.http("/healthz")  # 503 while the stores change places
    assert any("Redis suffers on purpose (cut)" in text for text in json.loads(health)["warnings"])
    assert [row["fault"] for row in proxy.get_json("/api/v1/state")["chaos"]] == ["cut"]
    done = convctl(proxy, "chaos", "off")
    assert (done.returncode, done.stdout) == (OK, "redis      none\narchive    none\n")
    eventually(lambda: fresh_redis.client().pubsub_numsub("news") == [(b"news", 1)])
    fresh_redis.client().publish("news", "back")
    assert hearing.read() == [b"message", b"news", b"back"]
    assert proxy.metrics()["redis_faults_active"] == 0
    watching.close()
    hearing.close()


def took(call):
    began = time.monotonic()
    call()
    return time.monotonic() - began


def test_all_answers_are_late(fresh_redis, proxy):
    """A delay is a least: on shared and pinned connections, for messages, for big and pipelined answers, which keep their order."""
    conn, hearing = RespConn.to(proxy), RespConn.to(proxy)
    hearing.cmd("SUBSCRIBE", "news")
    conn.cmd("SET", "big", "x" * 3_000_000)
    proxy.post_json("/api/v1/chaos", {"store": "redis", "fault": "delay", "seconds": 60, "delayMs": 50})
    assert took(lambda: conn.cmd("GET", "raw")) >= 0.05
    assert took(lambda: conn.cmd("RPUSH", "conv:1", "a")) >= 0.05
    assert len(conn.cmd("GET", "big")) == 3_000_000
    for i in range(200):
        conn.send_cmd("SET", "raw", str(i))
        conn.send_cmd("GET", "raw")
    assert [conn.read() for _ in range(400)] == [x for i in range(200) for x in ("OK", str(i).encode())]
    conn.cmd("WATCH", "raw")
    conn.cmd("MULTI")
    conn.cmd("INCR", "count")
    assert took(lambda: conn.cmd("EXEC")) >= 0.05
    began = time.monotonic()
    fresh_redis.client().publish("news", "late")
    assert hearing.read() == [b"message", b"news", b"late"] and time.monotonic() - began >= 0.05
    assert proxy.get_json("/api/v1/state")["redis"]["up"] is True
    eventually(lambda: proxy.get_json("/api/v1/state")["redis"]["latencyMs"]["ping"] >= 50)
    proxy.client().execute_command("CONV", "CHAOS", "OFF")
    assert conn.cmd("GET", "raw") == b"199"
    conn.close()
    hearing.close()


def test_a_short_pause_is_only_a_wait(proxy):
    """Shorter than redis.timeout: requests wait, none fails, Redis stays up."""
    conn = RespConn.to(proxy)
    conn.cmd("SET", "raw", "1")
    assert conn.cmd("CONV", "CHAOS", "redis", "pause", "0.4") == "OK"
    conn.send_cmd("INCR", "raw")
    conn.send_cmd("RPUSH", "conv:1", "a")
    assert [conn.read(), conn.read()] == [2, 1]
    eventually(lambda: over(proxy))
    assert proxy.get_json("/api/v1/primary")["placement"][0]["acting"] == "redis"
    conn.close()


# ---- the archive ----


def test_the_archive_is_cut_off(proxy):
    done = convctl(proxy, "chaos", "cut", "archive", "--for", "60s", "--no-wait", "-y")
    assert done.returncode == OK, done.stderr
    eventually(lambda: not proxy.get_json("/api/v1/state")["archive"]["up"])
    assert proxy.client().rpush("conv:1", "a") == 1
    text = proxy.client().execute_command("CONV", "CHAOS")
    assert [line.split(b",")[0] for line in text] == [b"redis: none", b"archive: cut"]
    assert convctl(proxy, "chaos", "off").returncode == OK
    eventually(lambda: proxy.get_json("/api/v1/state")["archive"]["up"])
    assert proxy.get_json("/api/v1/archive/faults")["plan"] == ""


@pytest.mark.parametrize("fault, plan", [("pause", "op=all hang"), ("delay", "op=all delay=15..25ms")])
def test_plans_of_the_archive(proxy, fault, plan):
    order = {"store": "mongo", "fault": fault, "seconds": 60, "delayMs": 20, "jitterMs": 5}
    proxy.post_json("/api/v1/chaos", order)
    assert proxy.get_json("/api/v1/archive/faults")["plan"] == plan
    assert proxy.http("/api/v1/chaos", method="DELETE")[0] == 200 and over(proxy)
    assert proxy.get_json("/api/v1/archive/faults")["plan"] == ""


def test_another_plan_is_left_alone(proxy):
    proxy.post_json("/api/v1/archive/faults", {"plan": "op=load delay=1ms"})
    done = convctl(proxy, "chaos", "cut", "archive", "-y")
    assert done.returncode == REFUSED and 'convctl fault "" ends it' in done.stderr
    proxy.post_json("/api/v1/archive/faults", {"plan": ""})
    proxy.post_json("/api/v1/chaos", {"store": "archive", "fault": "delay", "seconds": 0.3, "delayMs": 1})
    proxy.post_json("/api/v1/archive/faults", {"plan": "op=load delay=2ms"})
    eventually(lambda: over(proxy))
    assert proxy.get_json("/api/v1/archive/faults")["plan"] == "op=load delay=2ms"


# ---- what is not done ----


def test_it_must_be_allowed(fresh_proxy):
    for store in ("redis", "archive"):
        done = convctl(fresh_proxy, "chaos", "cut", store, "--yes")
        assert done.returncode == REFUSED and f"set {store}.faults to yes first" in done.stderr
    assert "not allowed: convctl settings set redis.faults=yes" in convctl(fresh_proxy, "chaos").stdout
    fresh_proxy.post_json("/api/v1/settings", {"redis.faults": "yes"})
    assert convctl(fresh_proxy, "chaos", "pause", "redis", "--for", "1m", "--yes", "--no-wait").returncode == OK
    fresh_proxy.post_json("/api/v1/settings", {"redis.faults": "no"})
    eventually(lambda: over(fresh_proxy))
    fresh_proxy.log_contains("event=chaos_ended store=redis fault=pause by=setting")


BAD = [
    {}, {"store": "redis"}, {"store": "mars", "fault": "cut", "seconds": 1}, {"store": "redis", "fault": "none", "seconds": 1},
    {"store": "redis", "fault": "cut"}, {"store": "redis", "fault": "cut", "seconds": 301}, {"store": "redis", "fault": "cut", "seconds": "1"},
    {"store": "redis", "fault": "delay", "seconds": 1}, {"store": "redis", "fault": "delay", "seconds": 1, "delayMs": 10, "jitterMs": 11}, [],
]  # fmt: skip


def test_bad_orders(proxy):
    for body in BAD:
        status, answer = proxy.http("/api/v1/chaos", body)
        assert status == 400 and "error" in json.loads(answer), body
    assert over(proxy)


@pytest.mark.parametrize("args", [["cut"], ["cut", "mars"], ["melt", "redis"], ["cut", "redis", "--for", "6m"], ["delay", "redis", "--by", "0"]], ids=" ".join)
def test_wrong_usage(args):
    done = convctl_alone("chaos", *args, "--yes")
    assert done.returncode == USAGE and done.stderr and not done.stdout


def test_it_asks(proxy):
    done = convctl(proxy, "chaos", "cut", "redis")
    assert done.returncode == USAGE and "--yes" in done.stderr and over(proxy)
    conn = RespConn.to(proxy)
    for words in (["redis"], ["redis", "cut"], ["redis", "cut", "x"], ["redis", "cut", "1000"], ["mars", "cut", "1"]):
        assert isinstance(conn.cmd("CONV", "CHAOS", *words), RespError)
    conn.close()
