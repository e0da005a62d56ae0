"""The quarantine: a state that had to give way really comes about, is looked at, put back (and that undone), put elsewhere, dropped."""
import json

import pytest
import redis
from harness import RespConn, eventually

pytestmark = pytest.mark.managed


def acts(proxy, store):
    return eventually(lambda: proxy.get_json("/api/v1/primary")["placement"][0]["acting"] == store and proxy.metrics()[f'conv_phase{{phase="{store}",policy="conv"}}'] == 1, timeout=20)


def conv(proxy, *words):
    with RespConn.to(proxy) as conn:
        return conn.cmd("CONV", *words)


@pytest.fixture
def torn(fresh_proxy, fresh_redis):
    """Redis comes back, and somebody has written there, past the proxy, what the proxy's clients have written meanwhile as well:
    both can't be right. Entries 1 (conv:a, a list) and 2 (conv:b, a hash); Redis acts."""
    proxy, server = fresh_proxy, fresh_redis
    acts(proxy, "redis")
    with proxy.client() as client:
        client.rpush("conv:a", "first")
        client.set("conv:b", "text")
        server.kill()
        acts(proxy, "archive")
        client.rpush("conv:a", "second")
    server.start()
    direct = server.client()
    direct.flushall()
    direct.rpush("conv:a", "mine", "alone")
    direct.hset("conv:b", "field", b"\xff")
    assert proxy.http("/api/v1/primary", {"policy": "conv", "store": "redis"})[0] == 200
    acts(proxy, "redis")
    eventually(lambda: proxy.metrics().get("conv_quarantine_entries") == 2)
    yield proxy, server, direct
    direct.close()


def numbers(proxy):
    doc = proxy.get_json("/api/v1/quarantine")
    assert doc["total"] == len(doc["entries"]) and doc["next"] is None
    return {(e["key"], e["type"]): e["number"] for e in doc["entries"]}


@pytest.mark.sanitize
def test_looked_at_put_back_and_undone(torn):
    proxy, server, direct = torn
    assert direct.lrange("conv:a", 0, -1) == [b"first", b"second"], "what clients were told is what counts"
    entries = numbers(proxy)
    n = entries["conv:a", "list"]
    listed = next(e for e in proxy.get_json("/api/v1/quarantine")["entries"] if e["number"] == n)
    assert (listed["policy"], listed["length"]) == ("conv", 2) and listed["why"] and listed["at"].endswith("Z") and "items" not in listed
    shown = proxy.get_json(f"/api/v1/quarantine/{n}")
    assert shown["entry"]["items"] == ["mine", "alone"] and shown["redis"]["items"] == shown["archive"]["items"] == ["first", "second"]
    assert shown["acting"] == "redis" and shown["differences"] == ["only Redis has an expiry", "item 0 differs", "item 1 differs"]

    done = proxy.post_json(f"/api/v1/quarantine/{n}/restore", {})
    assert (done["restored"], done["key"]) == (n, "conv:a") and done["replaced"] > n and str(done["replaced"]) in done["undo"]
    assert direct.lrange("conv:a", 0, -1) == [b"mine", b"alone"]
    assert 29 * 86400 < direct.ttl("conv:a") <= 30 * 86400, "the policy's, from now on"
    after = eventually(lambda: (v := proxy.get_json("/api/v1/conversation?key=conv:a"))["state"] == "equal" and v)
    assert after["archive"]["items"] == ["mine", "alone"] and after["redis"]["version"] == after["archive"]["version"]
    assert proxy.http(f"/api/v1/quarantine/{n}")[0] == 404, "it is gone"

    undone = proxy.post_json(f"/api/v1/quarantine/{done['replaced']}/restore", {})
    assert direct.lrange("conv:a", 0, -1) == [b"first", b"second"] and undone["replaced"] > done["replaced"]
    names = [e["event"] for e in proxy.get_json("/api/v1/events")["events"]]
    assert names.count("quarantined") == 2 and names.count("quarantine_restored") == 2


@pytest.mark.sanitize
def test_trimmed_like_any_write_and_put_elsewhere(torn):
    proxy, server, direct = torn
    entries = numbers(proxy)
    a, b = entries["conv:a", "list"], entries["conv:b", "hash"]
    proxy.post_json("/api/v1/settings", {"conv.max_messages": 1})
    with proxy.client() as client:
        client.set("conv:taken", "x")
    for body, status, words in (
        ({"as": "conv:taken"}, 409, "exists already"),
        ({"as": "raw"}, 400, "no policy"),
        ({"as": 3}, 400, "expected {}"),
        ({"other": "conv:x"}, 400, "expected {}"),
        ([], 400, "expected {}"),
    ):
        got, text = proxy.http(f"/api/v1/quarantine/{a}/restore", body)
        assert got == status and words in json.loads(text)["error"], (body, got, text)
    assert direct.get("conv:taken") == b"x" and len(numbers(proxy)) == 2

    done = proxy.post_json(f"/api/v1/quarantine/{a}/restore", {"as": "conv:else"})
    assert done["key"] == "conv:else" and done["replaced"] is None
    assert direct.lrange("conv:else", 0, -1) == [b"alone"], "at most one message since then"
    assert direct.lrange("conv:a", 0, -1) == [b"first", b"second"], "its own key was left alone"

    eventually(lambda: proxy.metrics()["conv_quarantine_entries"] == 1)
    assert proxy.http(f"/api/v1/quarantine/{b}", method="DELETE")[0] == 200
    assert proxy.http(f"/api/v1/quarantine/{b}", method="DELETE")[0] == 404
    assert proxy.http(f"/api/v1/quarantine/{b}/restore", {})[0] == 404
    assert numbers(proxy) == {} and proxy.metrics()["conv_quarantine_entries"] == 0
    assert direct.get("conv:b") == b"text"


def test_put_back_while_the_archive_acts(torn):
    proxy, server, direct = torn
    n = numbers(proxy)["conv:b", "hash"]
    server.kill()
    acts(proxy, "archive")
    shown = proxy.get_json(f"/api/v1/quarantine/{n}")
    assert shown["redis"]["answers"] is False and shown["acting"] == "archive" and shown["archive"]["items"] == ["text"]
    assert shown["entry"]["items"] == [{"field": "field", "value": {"base64": "/w=="}}]
    done = proxy.post_json(f"/api/v1/quarantine/{n}/restore", {})
    with proxy.client() as client:
        assert client.hgetall("conv:b") == {b"field": b"\xff"}
        client.hset("conv:b", "more", "1")
    server.start()
    assert proxy.http("/api/v1/primary", {"policy": "conv", "store": "redis"})[0] == 200
    acts(proxy, "redis")
    with proxy.client() as client:
        assert client.hgetall("conv:b") == {b"field": b"\xff", b"more": b"1"}
    assert proxy.get_json(f"/api/v1/quarantine/{done['replaced']}")["entry"]["items"] == ["text"]


@pytest.mark.sanitize
def test_over_resp(torn):
    proxy, server, direct = torn
    n = numbers(proxy)["conv:a", "list"]
    lines = [line.decode() for line in conv(proxy, "QUARANTINE", "LIST")]
    assert len(lines) == 2 and any(line.startswith(f"{n} conv:a: list of 2, since ") for line in lines)
    shown = [line.decode() for line in conv(proxy, "QUARANTINE", "SHOW", str(n))]
    assert "key: conv:a" in shown and "  - mine" in shown and "  - second" in shown and "acting: redis" in shown
    with RespConn.to(proxy) as conn:  # in a pipeline: replies keep their order
        pong, told, echo = conn.pipeline(["PING"], ["CONV", "QUARANTINE", "RESTORE", str(n)], ["ECHO", "later"])
        assert (pong, echo) == ("PONG", b"later")
        restored = [line.decode() for line in told]
    assert f"restored: {n}" in restored and any(line.startswith("undo: what the key held is entry") for line in restored)
    assert direct.lrange("conv:a", 0, -1) == [b"mine", b"alone"]
    replaced = numbers(proxy)["conv:a", "list"]
    assert [line.decode() for line in conv(proxy, "QUARANTINE", "RESTORE", str(replaced), "AS", "conv:copy")][0] == f"restored: {replaced}"
    assert direct.lrange("conv:copy", 0, -1) == [b"first", b"second"]
    last = numbers(proxy)["conv:b", "hash"]
    assert conv(proxy, "QUARANTINE", "DROP", str(last))[0] == f"dropped: {last}".encode()
    assert conv(proxy, "quarantine", "list") == [b"the quarantine is empty"]
    for words in (["NOPE"], ["SHOW"], ["SHOW", "0"], ["SHOW", "x"], ["RESTORE", "1", "AS"], ["RESTORE", "1", "TO", "x"], ["DROP", "1", "2"], ["LIST", "-1"]):
        with RespConn.to(proxy) as conn:
            assert "wrong number of arguments" in str(conn.cmd("CONV", "QUARANTINE", *words)), words
    with RespConn.to(proxy) as conn:
        assert "there is no entry 99" in str(conn.cmd("CONV", "QUARANTINE", "SHOW", "99"))


@pytest.mark.sanitize
def test_wrong_calls_and_tokens(fresh_proxy):
    proxy = fresh_proxy
    eventually(lambda: proxy.metrics().get("conv_quarantine_entries") == 0)
    assert proxy.get_json("/api/v1/quarantine") == {"total": 0, "entries": [], "next": None}
    for path, method, status in (
        ("quarantine?after=x", "GET", 400),
        ("quarantine?count=101", "GET", 400),
        ("quarantine/x", "GET", 400),
        ("quarantine/0", "GET", 400),
        ("quarantine/1", "GET", 404),
        ("quarantine/1?count=x", "GET", 400),
        ("quarantine/99999999999999999999", "DELETE", 400),
        ("quarantine/1/other", "GET", 404),
        ("quarantine/1/restore", "GET", 405),
    ):
        assert proxy.http("/api/v1/" + path, method=method)[0] == status, path
    with pytest.raises(redis.ResponseError, match="unknown subcommand|not supported|MULTI"):
        with proxy.client() as client, client.pipeline() as pipe:
            pipe.execute_command("CONV", "QUARANTINE", "LIST")
            pipe.execute()
    proxy.post_json("/api/v1/settings", {"admin.token": "tok", "admin.read_token": "look"})
    look, tok = ({"Authorization": f"Bearer {t}"} for t in ("look", "tok"))
    for path, method, body in (("", "GET", None), ("/1", "GET", None), ("/1", "DELETE", None), ("/1/restore", "POST", {})):
        assert proxy.http("/api/v1/quarantine" + path, body, method=method)[0] == 401, path
        assert proxy.http("/api/v1/quarantine" + path, body, method=method, headers=look)[0] == 403, path
        assert proxy.http("/api/v1/quarantine" + path, body, method=method, headers=tok)[0] in (200, 404), path
