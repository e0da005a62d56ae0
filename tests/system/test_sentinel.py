"""Redis behind sentinels: the proxy finds the master, follows it when it changes, and loses nothing that was acknowledged."""
import threading

import pytest
import redis
from harness import eventually
from harness.checker import History, check
from harness.sentinel import SentinelSet
from harness.writers import Client, Keys, Writer

pytestmark = pytest.mark.timeout(120)

SETTINGS = {"failover.return_after": "300ms", "redis.probe_interval": "50ms", "proxy.threads": 2}
CONFIG = {"policies": [{"name": "conv", "match": "conv:*", "ttl": "1h", "max_messages": 0}]}


@pytest.fixture
def watched(tmp_path):
    whole = SentinelSet(tmp_path, args=["--appendonly", "yes"]).start()
    yield whole
    whole.kill()


def where(proxy):
    return proxy.get_json("/api/v1/state")["redis"]["where"]


def is_at(proxy, server):
    return lambda: where(proxy)["at"] == f"{server.host}:{server.port}"


def takes_writes(client, key):
    def write():
        try:
            return client.set(key, "there")
        except redis.RedisError:
            return False

    return write


@pytest.mark.sanitize
def test_finds_the_master_and_follows_it(watched, make_proxy):
    proxy = make_proxy(watched.url, CONFIG, settings={**SETTINGS, "archive.url": "", "conv.dual_write": "0"}).start()
    first = watched.nodes[0]
    client = proxy.client(decode_responses=True)
    client.set("raw", "1")  # the very first request: the master was found before clients were taken
    assert first.client().get("raw") == b"1"
    told = where(proxy)
    eventually(lambda: told == proxy.get_json("/healthz")["stores"]["redis"]["where"])  # healthy once the probe has been there
    assert told["kind"] == "sentinel" and told["at"] == f"{first.host}:{first.port}" and told["switches"] == 0
    assert [s["up"] for s in told["sentinels"]] == [True] * 3
    for sentinel in watched.sentinels[:2]:  # one by one: any that is left will do
        sentinel.kill()
        eventually(lambda n=sentinel: {s["address"]: s["up"] for s in where(proxy)["sentinels"]}[f"{n.host}:{n.port}"] is False)
        assert client.set("raw", "2")
    assert proxy.metrics()["redis_sentinel_up{sentinel=\"%s:%d\"}" % (sentinel.host, sentinel.port)] == 0
    for sentinel in watched.sentinels[:2]:
        sentinel.start()
    eventually(lambda: all(s["up"] for s in where(proxy)["sentinels"]))

    eventually(watched.is_whole, 20)
    watched.sentinels[0].client().execute_command("SENTINEL", "FAILOVER", watched.name)
    eventually(lambda: where(proxy)["at"] != told["at"], 20)
    second = watched.master()
    eventually(is_at(proxy, second))
    eventually(takes_writes(client, "after"), 10)
    assert second.client().get("after") == b"there"
    assert where(proxy)["switches"] == proxy.metrics()["redis_switches_total"] == 1
    proxy.log_contains(rf"redis_found .*port={second.port} by=sentinel")


def settled(proxy):
    return proxy.get_json("/api/v1/primary")["placement"][0].get("phase") == "redis"


@pytest.mark.managed
def test_master_killed_under_load(watched, make_proxy, tmp_path):
    proxy = make_proxy(watched.url, CONFIG, settings=SETTINGS).start()
    eventually(lambda: settled(proxy), 10)
    history, keys, stop = History(tmp_path / "history.jsonl"), Keys("conv:"), threading.Event()
    writers = [Writer(proxy, history, n, keys, seed=n, depth=4, stop=stop) for n in range(1, 5)]
    for writer in writers:
        writer.start()
    raw = proxy.client()
    try:
        eventually(lambda: history.count("ok") > 200, 20)
        old = watched.nodes[0]
        old.kill()
        seen = history.count("ok")
        new = watched.master()
        eventually(takes_writes(raw, "raw"), 20)
        assert new.client().get("raw") == b"there"
        eventually(lambda: settled(proxy), 30)
        eventually(lambda: history.count("ok") > seen + 200, 20)
        old.start()  # still a master, until the sentinels make it a replica, some seconds later: nobody may go there
        seen = history.count("ok")
        eventually(lambda: history.count("ok") > seen + 200, 20)
        assert is_at(proxy, new)()
        assert not [c["name"] for c in old.client().client_list() if "convproxy" in c["name"]]
    finally:
        stop.set()
        for writer in writers:
            writer.join(20)
        history.save()
    assert [writer.problem for writer in writers] == [None] * len(writers)
    eventually(lambda: settled(proxy), 30)
    reader = Client(proxy, history, 99)
    reader.read_all(keys)
    reader.conn.close()
    found = check(history)
    assert not found, "\n".join(map(str, found[:10]))


@pytest.mark.sanitize
def test_starts_without_any_and_finds_it_later(watched, make_proxy):
    for sentinel in watched.sentinels:
        sentinel.kill()
    proxy = make_proxy(watched.url, CONFIG, settings={**SETTINGS, "archive.url": "", "conv.dual_write": "0"}).start()
    client = proxy.client()
    with pytest.raises(redis.RedisError, match="REDISDOWN"):
        client.set("a", 1)
    assert "no sentinel tells where mymaster is" in where(proxy)["error"]
    watched.sentinels[2].start()
    eventually(takes_writes(client, "a"), 10)
    # The URL can be changed while running, to a plain one and back.
    plain = watched.nodes[1]
    client.config_set("redis.url", plain.url)
    eventually(lambda: "where" not in proxy.get_json("/api/v1/state")["redis"])
    eventually(lambda: plain.client().client_list() and any("convproxy" in c["name"] for c in plain.client().client_list()), 5)
    client.config_set("redis.url", watched.url)
    eventually(takes_writes(client, "b"), 10)


def test_passwords(tmp_path, make_proxy):
    whole = SentinelSet(tmp_path, replicas=1, sentinels=1, args=["--requirepass", "se cret", "--masterauth", "se cret"],
                        lines=["sentinel auth-pass mymaster \"se cret\"", "requirepass watch"])  # fmt: skip
    for server in [*whole.nodes, *whole.sentinels]:
        server.start(wait=False)
    try:
        eventually(lambda: all(s.answers() for s in whole.sentinels))
        eventually(lambda: whole.nodes[0].cli("-a", "se cret", "PING", check=False) == "PONG\n")
        url = whole.url.replace("://", "://:se%20cret@")
        settings = {**SETTINGS, "archive.url": "", "conv.dual_write": "0", "redis.sentinel_password": "watch"}
        proxy = make_proxy(url, CONFIG, settings=settings).start()
        client = proxy.client()
        eventually(takes_writes(client, "a"), 10)
        told = str(proxy.get_json("/api/v1/state")) + str(client.config_get("redis.*"))
        assert "se cret" not in told and "se%20cret" not in told and "'watch'" not in told
        assert "cret" not in proxy.log_text()
        client.config_set("redis.sentinel_password", "wrong")
        for sentinel in whole.sentinels:  # what is open stays open
            sentinel.client(password="watch").execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        eventually(lambda: "WRONGPASS" in where(proxy)["sentinels"][0].get("error", ""), 10)
        assert client.set("a", 2)  # what was found stays
    finally:
        whole.kill()
