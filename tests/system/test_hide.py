"""The proxy's own keys in Redis: clients neither see them nor count them, and can't take them away."""
import random

import pytest
import redis
from harness import RespConn, eventually
from harness.resp import encode

pytestmark = pytest.mark.managed

OWN = {
    "cvp:ep": lambda c: c.set("cvp:ep", 256),
    "cvp:ver": lambda c: c.hincrby("cvp:ver", "conv:0", 1),
    "cvp:sess": lambda c: c.hset("cvp:sess", "s-1", 1),
    "cvp:dirty": lambda c: c.sadd("cvp:dirty", "conv:0"),
}


def settled(proxy):
    """Until Redis acts, and no key is on its way."""
    eventually(lambda: proxy.get_json("/api/v1/primary")["placement"][0].get("place") == "redis", timeout=15)


@pytest.fixture
def stores(fresh_proxy, fresh_redis):
    """(client of the proxy, client of Redis): Redis acts, and holds the proxy's keys."""
    settled(fresh_proxy)
    real, client = fresh_redis.client(decode_responses=True), fresh_proxy.client(decode_responses=True)
    client.config_set("redis.timeout", "10s")  # nothing here is about a Redis that answers too late
    client.rpush("conv:0", "x")
    for name, make in OWN.items():
        if not real.exists(name):
            make(real)
    assert len(real.keys("cvp:*")) >= 4
    yield client, real
    client.close()
    real.close()


def visible(real):
    return {key for key in real.keys() if not key.startswith("cvp:")}


@pytest.mark.sanitize
def test_lists_and_counts_leave_them_out(stores):
    client, real = stores
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    for i in range(rng.randrange(1, 40)):
        client.set(rng.choice(["conv:", "plain:", "cv", "cvp"]) + str(i), i)
    keys = visible(real)
    assert set(client.keys()) == keys and set(client.keys("c*")) == {k for k in keys if k.startswith("c")}
    assert client.keys("cvp:*") == [] and client.keys("[c]vp:*") == [] and client.keys("cv?:ver") == []
    assert set(client.scan_iter()) == keys and set(client.scan_iter(count=3)) == keys
    assert list(client.scan_iter("cvp:*")) == [] and list(client.scan_iter(_type="hash")) == []
    assert set(client.scan_iter("cv*")) == {k for k in keys if k.startswith("cv")}
    assert client.dbsize() == len(keys)
    assert {client.randomkey() for _ in range(50)} <= keys
    assert client.scan(0, match="plain:*")[1] is not None


def test_an_empty_database_is_empty(stores):
    client, real = stores
    client.delete("conv:0")
    assert visible(real) == set()
    assert (client.dbsize(), client.randomkey(), client.keys(), list(client.scan_iter())) == (0, None, [], [])


def test_they_are_left_out_in_a_pipeline_in_order(stores):
    client, real = stores
    pipe = client.pipeline(transaction=False)
    for i in range(20):
        pipe.set(f"plain:{i}", i).dbsize().keys("[c]*").get(f"plain:{i}").randomkey()
    replies = pipe.execute()
    for i in range(20):
        ok, size, keys, value, drawn = replies[i * 5 : i * 5 + 5]
        assert (ok, size, keys, value) == (True, i + 2, ["conv:0"], str(i)) and not drawn.startswith("cvp:")


@pytest.mark.parametrize("protocol", [2, 3])
def test_they_are_left_out_in_multi(stores, protocol):
    own, real = stores
    where = own.connection_pool.connection_kwargs
    client = redis.Redis(where["host"], where["port"], protocol=protocol, decode_responses=True)
    own.set("plain", 1)
    pipe = client.pipeline(transaction=True)
    pipe.keys("*").execute_command("SCAN", "0", "COUNT", "100").get("plain").lrange("conv:0", 0, -1)
    for _ in range(100):
        pipe.randomkey()
    keys, (cursor, page), value, messages, *drawn = pipe.execute()
    assert set(keys) == set(page) == {"plain", "conv:0"} and int(cursor) == 0
    assert (value, messages) == ("1", ["x"])
    assert set(drawn) <= {"plain", "conv:0", None}
    client.close()


def test_errors_of_redis_are_passed_on(stores):
    client, _ = stores
    for command in (["SCAN", "x"], ["SCAN", "0", "COUNT", "0"], ["SCAN", "0", "MATCH"], ["FLUSHDB", "NOW"]):
        with pytest.raises(redis.ResponseError):
            client.execute_command(*command)


@pytest.mark.parametrize("command", [["FLUSHDB"], ["FLUSHALL"], ["FLUSHALL", "ASYNC"], ["FLUSHDB", "SYNC"]])
def test_flush_is_a_write_to_every_managed_key(stores, command):
    """Redis stays the one it was: epoch and sessions are there, the versions have grown, and all are marked."""
    client, real = stores
    for i in range(1500):
        real.hset("cvp:ver", f"conv:{i}", (256 << 43) + 1000 + i)
        real.set(f"conv:{i}", i)
    real.hset("cvp:ver", "conv:far", (5000 << 43) + 7)  # no Lua number is as exact
    before = real.hgetall("cvp:ver")
    epoch, sessions = real.get("cvp:ep"), real.hgetall("cvp:sess")
    assert client.execute_command(*command) in (True, b"OK", "OK")
    assert visible(real) == set() and client.dbsize() == 0
    assert real.get("cvp:ep") == epoch and sessions.items() <= real.hgetall("cvp:sess").items()
    after = real.hgetall("cvp:ver")
    assert {k: int(v) for k, v in after.items()} == {k: int(v) + 1 for k, v in before.items()}
    client.rpush("conv:0", "new")
    assert client.lrange("conv:0", 0, -1) == ["new"]


def test_what_would_take_managed_keys_away_is_refused(stores):
    client, real = stores
    client.set("plain", 1)
    for command in (
        ["SWAPDB", "0", "1"],
        ["SWAPDB", "1", "0"],
        ["MOVE", "conv:0", "1"],
        ["MIGRATE", "127.0.0.1", "1", "conv:0", "0", "100"],
        ["MIGRATE", "127.0.0.1", "1", "", "0", "100", "KEYS", "plain", "conv:0"],
    ):
        with pytest.raises(redis.ResponseError, match="dual_write"):
            client.execute_command(*command)
    assert client.execute_command("MOVE", "plain", "1") == 1
    for command in (["FLUSHALL"], ["SWAPDB", "0", "1"], ["MOVE", "conv:0", "1"]):
        with pytest.raises(redis.ResponseError, match="dual_write"):
            client.pipeline(transaction=False).execute_command("MULTI").execute_command(*command).execute()
        client.execute_command("DISCARD")
    assert real.exists("conv:0")


# ---- what becomes of the archive ----


@pytest.fixture
def pair(make_proxy, fresh_redis):
    proxy = make_proxy(fresh_redis.url, settings={"archive.faults": "yes"}).start()
    settled(proxy)
    client = proxy.client(decode_responses=True)
    yield proxy, client
    client.close()


def differing(proxy):
    """Keys that the stores do not have alike, by content."""
    eventually(lambda: proxy.metrics().get("conv_dirty_keys") == 0, timeout=20)
    number = proxy.post_json("/api/v1/moves", {"kind": "verify", "deep": True})["id"]
    found = eventually(lambda: (m := next(m for m in proxy.get_json("/api/v1/moves")["moves"] if m["id"] == number))["state"] == "done" and m, timeout=20)
    return found["found"]


def to_archive(proxy):
    proxy.post_json("/api/v1/primary", {"policy": "conv", "store": "mongo"})
    eventually(lambda: proxy.get_json("/api/v1/primary")["placement"][0]["place"] == "archive", timeout=15)


def epoch(proxy):
    return proxy.metrics()["conv_epoch"]


@pytest.mark.parametrize("down", [False, True], ids=["archive-up", "archive-down"])
def test_flushed_keys_do_not_come_back_with_the_archive(pair, down):
    proxy, client = pair
    before = epoch(proxy)
    for i in range(50):
        client.rpush(f"conv:{i}", "a")
    if down:
        client.execute_command("CONV", "FAULT", "op=all fail=100% error=down")
        eventually(lambda: proxy.metrics()["archive_up{kind=\"sqlite\"}"] == 0)
    assert client.flushall()
    client.rpush("conv:1", "new")
    assert client.keys() == ["conv:1"]
    if down:
        client.execute_command("CONV", "FAULT", "")
        eventually(lambda: proxy.metrics()["archive_up{kind=\"sqlite\"}"] == 1)
    assert differing(proxy) == 0
    assert epoch(proxy) == before, "Redis stays the one it was"
    to_archive(proxy)
    assert client.keys() == ["conv:1"] and client.lrange("conv:1", 0, -1) == ["new"]


def test_flush_between_writes(pair):
    """Copies that are on their way when it comes do not revive what it has deleted."""
    proxy, client = pair
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    before = epoch(proxy)
    for _ in range(12):
        pipe = client.pipeline(transaction=False)
        for i in range(rng.randrange(5, 120)):
            pipe.rpush(f"conv:{rng.randrange(40)}", i)
        pipe.execute_command(*rng.choice([["FLUSHALL"], ["FLUSHDB"], ["FLUSHALL", "ASYNC"]]))
        for i in range(rng.randrange(10)):
            pipe.rpush(f"conv:{rng.randrange(40)}", "after")
        pipe.execute()
    kept = {key: client.lrange(key, 0, -1) for key in client.keys()}
    assert differing(proxy) == 0 and epoch(proxy) == before
    to_archive(proxy)
    assert {key: client.lrange(key, 0, -1) for key in client.keys()} == kept


def test_all_keys_are_seen_while_they_are_given_back(pair):
    """In CATCHUP a key is in either store, or in both."""
    proxy, client = pair
    to_archive(proxy)
    pipe = client.pipeline(transaction=False)
    for i in range(2000):
        pipe.rpush(f"conv:{i}", "a")
    for i in range(50):
        pipe.set(f"plain:{i}", i)
    pipe.execute()
    keys = {f"conv:{i}" for i in range(2000)}
    plain = {f"plain:{i}" for i in range(50)}
    client.execute_command("CONV", "FAULT", "op=commit delay=100ms")
    proxy.post_json("/api/v1/primary", {"policy": "conv", "store": "redis"})
    eventually(lambda: proxy.get_json("/api/v1/primary")["placement"][0]["phase"] == "catchup")
    looks = 0
    while proxy.get_json("/api/v1/primary")["placement"][0]["phase"] == "catchup":
        listed = client.keys()
        assert len(listed) == len(set(listed)) and set(listed) == keys | plain
        assert set(client.scan_iter(count=500)) == keys | plain
        assert set(client.keys("conv:*")) == keys and set(client.scan_iter("conv:*", count=500)) == keys
        assert client.randomkey() in keys | plain
        looks += 1
    assert looks > 0, "nothing was looked at"
    client.execute_command("CONV", "FAULT", "")
    assert set(client.keys()) == keys | plain and client.dbsize() == 2050


def test_a_scan_that_began_on_the_archive_misses_nothing(pair):
    proxy, client = pair
    to_archive(proxy)
    for i in range(300):
        client.rpush(f"conv:{i}", "a")
    cursor, seen = client.scan(0, match="conv:*", count=20)
    assert cursor >= 1 << 52 and len(seen) < 300
    proxy.post_json("/api/v1/primary", {"policy": "conv", "store": "redis"})
    settled(proxy)
    while cursor:
        cursor, page = client.scan(cursor, match="conv:*", count=50)
        seen += page
    assert set(seen) == {f"conv:{i}" for i in range(300)}


# ---- more keys than one script may take ----

MANY = 100_001  # proxy/flush.c: FLUSH_MAX


def fill(real, keys):
    """Versions of many keys, of which some are there."""
    real.eval(f"for i = 1, {MANY} do redis.call('HSET', 'cvp:ver', 'conv:' .. i, 1000 + i) end", 0)
    real.eval(f"for i = 1, {keys} do redis.call('RPUSH', 'conv:' .. i, 'x'); redis.call('SET', 'raw:' .. i, 'x') end", 0)


def test_a_large_database_is_flushed_page_by_page(stores, fresh_proxy):
    """Others are served meanwhile; what follows in the pipeline comes behind it; the archive hears of every key."""
    client, real = stores
    client.rpush("conv:1", "old")
    fill(real, 3000)
    with RespConn.to(fresh_proxy, timeout=30) as conn, RespConn.to(fresh_proxy) as other:
        conn.pipeline(["SELECT", "3"], ["SET", "elsewhere", "1"], ["SELECT", "0"])
        before = real.hgetall("cvp:ver")
        conn.send(b"".join(encode(*words) for words in (["FLUSHALL", "ASYNC"], ["DBSIZE"], ["RPUSH", "conv:2", "new"], ["SORT", "raw:1"])))
        assert other.cmd("PING") == "PONG"
        assert [conn.read() for _ in range(4)] == ["OK", 0, 1, []]
        assert visible(real) == {"conv:2"}
        after = real.hgetall("cvp:ver")
        assert int(after["conv:1"]) == int(before["conv:1"]) + 1 and int(after["conv:3000"]) == int(before["conv:3000"]) + 1
        conn.cmd("SELECT", "3")
        assert conn.cmd("EXISTS", "elsewhere") == 0
        eventually(lambda: real.scard("cvp:dirty") == 0, timeout=30)
        assert other.cmd("CONV", "PRIMARY", "mongo") is not None
        eventually(lambda: other.cmd("LLEN", "conv:1") == 0 and other.cmd("LRANGE", "conv:2", "0", "-1") == [b"new"], timeout=20)


def test_a_large_flush_whose_client_leaves_is_finished(stores, fresh_proxy):
    client, real = stores
    fill(real, 3000)
    with RespConn.to(fresh_proxy) as conn:
        conn.send_cmd("FLUSHALL")
    eventually(lambda: visible(real) == set(), timeout=20)
