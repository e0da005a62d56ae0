"""Keys and conversations in both stores, as the console shows them: all types, pages, bytes, stores that are down, copies on their way."""
import base64
import json
from urllib.parse import quote

import pytest
from harness import eventually

pytestmark = pytest.mark.managed

PROXY_SETTINGS = {"failover.automatic": "no"}


def view(proxy, key, **query):
    path = "/api/v1/conversation?key=" + quote(key, safe="") + "".join(f"&{k}={v}" for k, v in query.items())
    return proxy.get_json(path)


def settled(proxy, key, **query):
    return eventually(lambda: (v := view(proxy, key, **query))["state"] == "equal" and v)


@pytest.fixture
def met(proxy, real):
    """The module's proxy, with both stores empty and Redis acting."""
    eventually(lambda: proxy.metrics()['conv_phase{phase="redis",policy="conv"}'] == 1)
    return proxy


@pytest.mark.sanitize
def test_every_type_in_both_stores(met):
    proxy = met
    with proxy.client() as c:
        c.rpush("conv:l", "hello", b"\xff\x00bin", "héllo")
        c.set("conv:s", "text")
        c.hset("conv:h", mapping={"b": "2", "a": "1"})
        c.sadd("conv:set", "y", "x")
        c.zadd("conv:z", {"one": 1, "inf": float("inf")})
        c.xadd("conv:x", {"role": "user", "text": "hi"}, id="5-1")
        c.xgroup_create("conv:x", "g", id="0")
        c.xreadgroup("g", "me", {"conv:x": ">"})
    expected = {
        "conv:l": ("list", 3, ["hello", {"base64": base64.b64encode(b"\xff\x00bin").decode()}, "héllo"]),
        "conv:s": ("string", 4, ["text"]),
        "conv:h": ("hash", 2, [{"field": "a", "value": "1"}, {"field": "b", "value": "2"}]),
        "conv:set": ("set", 2, ["x", "y"]),
        "conv:z": ("zset", 2, [{"member": "one", "score": 1}, {"member": "inf", "score": "inf"}]),
        "conv:x": ("stream", 1, [{"id": "5-1", "fields": ["role", "user", "text", "hi"]}]),
    }
    for key, (kind, length, items) in expected.items():
        v = settled(proxy, key)
        assert (v["key"], v["policy"], v["acting"], v["equal"], v["differences"]) == (key, "conv", "redis", True, [])
        assert v["redis"]["version"] == v["archive"]["version"] > 0
        for side in (v["redis"], v["archive"]):
            assert (side["answers"], side["present"], side["type"], side["length"]) == (True, True, kind, length), key
            assert side["items"] == items and 29 * 86400_000 < side["ttl_ms"] <= 30 * 86400_000
    group = view(proxy, "conv:x")["archive"]["groups"][0]
    assert group == {"name": "g", "lastId": "5-1", "consumers": 1, "pending": 1}
    none = view(proxy, "conv:none")
    assert none["equal"] is True and none["redis"]["present"] is none["archive"]["present"] is False


@pytest.mark.sanitize
def test_long_ones_come_in_pages_and_big_values_are_cut(met):
    proxy = met
    with proxy.client() as c:
        c.rpush("conv:long", *range(150))
        c.rpush("conv:big", "é" * 5000, b"\xfe" * 9000)
    settled(proxy, "conv:long")
    page = view(proxy, "conv:long", **{"from": 100, "count": 20})
    for side in (page["redis"], page["archive"]):
        assert (side["length"], side["from"], side["items"]) == (150, 100, [str(i) for i in range(100, 120)])
    assert view(proxy, "conv:long", **{"from": -3})["redis"]["items"] == ["147", "148", "149"]
    assert view(proxy, "conv:long", **{"from": 1000})["redis"]["items"] == []
    assert view(proxy, "conv:long", count=0)["redis"]["items"] == []
    big = settled(proxy, "conv:big", cut=1001)["archive"]["items"]
    assert big[0] == {"cut": "é" * 500, "bytes": 10000}, "never in the middle of a character"
    assert big[1] == {"cut": {"base64": base64.b64encode(b"\xfe" * 1001).decode()}, "bytes": 9000}


@pytest.mark.sanitize
def test_differences_are_told(met, real, redis_server):
    """Somebody writes past the proxy."""
    proxy = met
    with proxy.client() as c:
        c.rpush("conv:d", "a", "b", "c")
        c.hset("conv:dh", mapping={"same": "1", "other": "2", "gone": "3"})
        c.zadd("conv:dz", {"m": 1})
        c.set("conv:dt", "x")
    for key in ("conv:d", "conv:dh", "conv:dz", "conv:dt"):
        settled(proxy, key)
    real.lset("conv:d", 1, "B")
    real.rpush("conv:d", "d")
    real.hset("conv:dh", mapping={"other": "5", "new": "1"})
    real.hdel("conv:dh", "gone")
    real.zadd("conv:dz", {"m": 2})
    real.delete("conv:dt")
    real.hset("conv:dt", "f", "v")
    v = eventually(lambda: (v := view(proxy, "conv:d"))["state"] == "different" and v)  # its mark may still be there
    assert v["equal"] is False
    assert v["differences"] == ["Redis has 4 items, the archive has 3", "item 1 differs"]
    assert v["redis"]["items"] == ["a", "B", "c", "d"] and v["archive"]["items"] == ["a", "b", "c"]
    assert view(proxy, "conv:dh")["differences"] == ["field gone is only in the archive", "field new is only in Redis", "field other differs"]
    assert view(proxy, "conv:dz")["differences"] == ["member m has another score"]
    assert "Redis has a hash, the archive a string" in view(proxy, "conv:dt")["differences"]
    real.delete("conv:dt")
    assert view(proxy, "conv:dt")["differences"] == ["only the archive has the key"]


def test_a_copy_on_its_way_is_no_difference(met, real):
    proxy = met
    proxy.post_json("/api/v1/settings", {"archive.faults": "yes", "conv.ack": "primary"})
    try:
        with proxy.client() as c:
            c.rpush("conv:p", "a")
            settled(proxy, "conv:p")
            assert proxy.http("/api/v1/archive/faults", {"plan": "op=commit fail=100% error=down"}, method="PUT")[0] == 200
            c.rpush("conv:p", "b")
        v = eventually(lambda: (v := view(proxy, "conv:p"))["redis"]["length"] == 2 and v)
        assert (v["state"], v["equal"]) == ("copy pending", False) and "on its way" in v["note"]
        assert v["differences"] == ["Redis has 2 items, the archive has 1"]
    finally:
        assert proxy.http("/api/v1/archive/faults", {"plan": ""}, method="PUT")[0] == 200
        proxy.post_json("/api/v1/settings", {"archive.faults": "no", "conv.ack": "both"})
    settled(proxy, "conv:p")


def keys(proxy, match, count=50):
    found, cursor, pages = [], "0", 0
    while True:
        page = proxy.get_json(f"/api/v1/keys?match={quote(match, safe='')}&cursor={cursor}&count={count}")
        found, cursor, pages = found + page["keys"], page["cursor"], pages + 1
        if cursor == "0":
            return {(k["key"] if isinstance(k["key"], str) else k["key"]["base64"]): k for k in found}, pages


@pytest.mark.sanitize
def test_keys_are_found_in_both_stores(met, real, redis_server):
    proxy = met
    with proxy.client() as c:
        for i in range(60):
            c.rpush(f"conv:k{i}", "m")
        c.set("conv:text", "x")
        c.set(b"conv:\xffbin", "x")
        c.set("raw", "x")
    settled(proxy, "conv:k59")
    redis_server.client().delete("conv:k7")  # past the proxy: only the archive has it now
    found, pages = keys(proxy, "conv:*", count=20)
    assert len(found) == 62 and "raw" not in found and pages > 2 and not any(k.startswith("cvp:") for k in found)
    assert found["conv:k3"] == {"key": "conv:k3", "policy": "conv", "type": "list", "redis": True, "archive": True}
    assert found["conv:k7"]["redis"] is False and found["conv:k7"]["archive"] is True
    assert found["conv:text"]["type"] == "string" and base64.b64encode(b"conv:\xffbin").decode() in found
    assert set(keys(proxy, "conv:k1?")[0]) == {f"conv:k1{i}" for i in range(10)}
    one, pages = keys(proxy, "conv:k7")
    assert set(one) == {"conv:k7"} and pages == 1, "one key is not looked for by a scan"
    assert keys(proxy, "raw")[0] == keys(proxy, "cvp:*")[0] == keys(proxy, "conv:nobody")[0] == {}
    binary = proxy.get_json("/api/v1/conversation?key=conv:%FFbin")
    assert binary["equal"] and binary["key"] == {"base64": base64.b64encode(b"conv:\xffbin").decode()}


@pytest.mark.sanitize
def test_a_store_that_is_down_is_told_in_words(fresh_proxy, fresh_redis):
    proxy = fresh_proxy
    eventually(lambda: proxy.metrics()['conv_phase{phase="redis",policy="conv"}'] == 1)
    with proxy.client() as c:
        c.rpush("conv:1", "a")
    settled(proxy, "conv:1")
    proxy.post_json("/api/v1/settings", {"archive.faults": "yes"})
    assert proxy.http("/api/v1/archive/faults", {"plan": "op=load fail=100% error=down; op=scan fail=100% error=down"}, method="PUT")[0] == 200
    v = view(proxy, "conv:1")
    assert v["state"] == "unknown" and v["equal"] is None and v["archive"]["answers"] is False and v["archive"]["why"]
    assert v["redis"]["items"] == ["a"]
    listed = proxy.get_json("/api/v1/keys?match=conv:*")
    assert listed["archive"]["answers"] is False and listed["keys"][0]["archive"] is None
    assert proxy.http("/api/v1/archive/faults", {"plan": ""}, method="PUT")[0] == 200
    fresh_redis.kill()
    v = view(proxy, "conv:1")
    assert v["redis"]["answers"] is False and "refused" in v["redis"]["why"] and v["archive"]["items"] == ["a"]
    listed = proxy.get_json("/api/v1/keys?match=conv:*")
    assert listed["redis"]["answers"] is False and [k["key"] for k in listed["keys"]] == ["conv:1"] and listed["keys"][0]["redis"] is None


def test_a_store_that_hangs_does_not_hang_the_admin_server(fresh_proxy, fresh_redis):
    """Many ask about a Redis that does not answer: everything else is told at once, and a process that ends does not wait for them."""
    import threading

    proxy = fresh_proxy
    eventually(lambda: proxy.metrics()['conv_phase{phase="redis",policy="conv"}'] == 1)
    fresh_redis.pause()
    answers = []
    askers = [threading.Thread(target=lambda: answers.append(proxy.http("/api/v1/conversation?key=conv:1")[0])) for _ in range(8)]
    try:
        for a in askers:
            a.start()
        eventually(lambda: proxy.metrics()["redis_up"] == 0)
        assert proxy.http("/readyz")[0] == 200 and proxy.get_json("/api/v1/events")["events"]
    finally:
        fresh_redis.resume()
        for a in askers:
            a.join(timeout=30)
    assert len(answers) == 8 and set(answers) == {200}


def test_the_process_ends_while_somebody_asks(make_proxy, fresh_redis):
    import threading

    proxy = make_proxy(fresh_redis.url, settings={**PROXY_SETTINGS, "redis.slow_timeout": "60s"}).start()
    eventually(lambda: proxy.metrics()['conv_phase{phase="redis",policy="conv"}'] == 1)
    view(proxy, "conv:1")  # so that the connection is there, which waits for a minute then
    fresh_redis.pause()
    answers = []

    def ask():
        try:
            answers.append(proxy.http("/api/v1/conversation?key=conv:1")[0])
        except OSError:
            answers.append("closed")

    askers = [threading.Thread(target=ask) for _ in range(3)]
    for a in askers:
        a.start()
    eventually(lambda: proxy.metrics()["redis_up"] == 0)
    proxy.stop()
    fresh_redis.resume()
    for a in askers:
        a.join(timeout=30)
    assert len(answers) == 3 and set(answers) <= {503, "closed"}


@pytest.mark.sanitize
def test_wrong_questions(met):
    proxy = met
    for path, status, words in (
        ("conversation", 400, "?key=KEY"),
        ("conversation?key=raw", 404, "no policy"),
        ("conversation?key=", 404, "no policy"),
        ("conversation?key=cvp:ver", 404, "no policy"),
        ("conversation?key=conv:1&count=1001", 400, "count"),
        ("conversation?key=conv:1&from=x", 400, "from"),
        ("conversation?key=conv:1&cut=0", 400, "cut"),
        ("keys?cursor=x1", 400, "cursor"),
        ("keys?cursor=a", 400, "cursor"),
        ("keys?cursor=r-1", 400, "cursor"),
        ("keys?cursor=a99999999999999999999", 400, "cursor"),
        ("keys?count=0", 400, "count"),
    ):
        got, text = proxy.http("/api/v1/" + path)
        assert got == status and words in json.loads(text)["error"], (path, got, text)


@pytest.mark.sanitize
def test_contents_need_the_full_token(fresh_proxy):
    proxy = fresh_proxy
    proxy.post_json("/api/v1/settings", {"admin.token": "tok", "admin.read_token": "look"})
    for path in ("/api/v1/keys", "/api/v1/conversation?key=conv:1"):
        assert proxy.http(path)[0] == 401
        assert proxy.http(path, headers={"Authorization": "Bearer look"})[0] == 403, path
        assert proxy.http(path, headers={"Authorization": "Bearer tok"})[0] == 200, path
    allow = proxy.http("/api/v1/settings", {"admin.read_contents": True}, headers={"Authorization": "Bearer tok"})
    assert allow[0] == 200
    assert proxy.http("/api/v1/keys")[0] == 401
    assert proxy.http("/api/v1/keys", headers={"Authorization": "Bearer look"})[0] == 200
