"""An archive beside a Redis Cluster: the policies whose primary it is are served by it, and all other keys by the cluster."""
import threading

import pytest
import redis
from harness import RespConn, RespError, eventually
from harness.checker import OK, History, check
from harness.cluster import Cluster
from harness.proxy import run_once
from harness.writers import Client, Keys, Writer

pytestmark = pytest.mark.timeout(120)

CONFIG = {"policies": [{"name": "conv", "match": "conv:*", "ttl": "1h", "max_messages": 3, "primary": "mongo", "dual_write": False},
                       {"name": "chat", "match": "chat:*", "ttl": "1h", "max_messages": 3, "dual_write": False}]}
LOADED = {"policies": [{"name": "conv", "match": "conv:*", "ttl": "1h", "max_messages": 0, "primary": "mongo", "dual_write": False}]}
SETTINGS = {"redis.probe_interval": "50ms", "proxy.threads": 2, "redis.timeout": "5s", "redis.connect_timeout": "5s"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    whole = Cluster(tmp_path_factory.mktemp("cluster"), replicas=0).start()
    yield whole
    whole.kill()


@pytest.fixture
def through(cluster, make_proxy):
    """(proxy, a client of it); both stores are empty."""
    proxy = make_proxy(cluster.url, CONFIG, settings=SETTINGS).start()
    client = proxy.client(decode_responses=True)
    client.flushall()
    yield proxy, client
    client.close()


def key_in(cluster, node, prefix="k"):
    """A key that this node serves."""
    return next(k for k in (f"{prefix}{i}" for i in range(1000)) if cluster.owner(cluster.slot_of(k)) is node)


def in_nodes(cluster, pattern):
    return sorted(key for node in cluster.masters if node.alive() for key in node.call("KEYS", pattern))


@pytest.mark.managed
def test_each_key_has_its_store(through, cluster):
    proxy, client = through
    for i in range(20):
        for n in range(5):
            assert client.rpush(f"conv:{i}", n) == min(n + 1, 3)
            assert client.rpush(f"chat:{i}", n) == min(n + 1, 3)
        client.set(f"raw:{i}", i)
    assert in_nodes(cluster, "conv:*") == [] and len(in_nodes(cluster, "*")) == 40
    assert [client.lrange(f"conv:{i}", 0, -1) for i in range(20)] == [["2", "3", "4"]] * 20
    assert all(3500 < client.ttl(f"{policy}:{i}") <= 3600 for policy in ("conv", "chat") for i in range(20))
    told = client.info("convproxy")
    assert told["guarantee_conv"].startswith("archive") and told["guarantee_chat"].startswith("redis")
    assert not in_nodes(cluster, "cvp:*")  # nothing of the proxy's own
    assert proxy.http("/healthz")[0] == 200


@pytest.mark.sanitize
def test_keys_of_both(through, cluster):
    _, client = through
    here, there = key_in(cluster, cluster.masters[0]), key_in(cluster, cluster.masters[1])
    client.mset({here: 1, there: 2}), client.mset({"conv:a": 3, "conv:b": 4})
    with RespConn.to(_) as conn:
        assert conn.cmd("MGET", "conv:a", "conv:b", "conv:none") == [b"3", b"4", None]  # whatever their slots
        assert conn.cmd("MGET", "conv:b", here, "conv:a", here) == [b"4", b"1", b"3", b"1"]
        refused = conn.cmd("MGET", here, "conv:a", there)
        assert str(refused).startswith("CROSSSLOT") and "archive" in refused
        assert str(conn.cmd("RENAME", here, "conv:c")).startswith("CROSSSTORE")
        assert conn.cmd("EXISTS", here, there, "conv:a", "conv:b") == refused
        assert conn.cmd("DEL", here, "conv:b", "conv:none") == 2
        assert conn.cmd("RENAME", "conv:a", "conv:c") == "OK"
        conn.cmd("MULTI"), conn.cmd("SET", "conv:x", "1"), conn.cmd("INCR", "conv:y")
        assert conn.cmd("EXEC") == ["OK", 1]
        conn.cmd("MULTI"), conn.cmd("SET", "conv:x", "2")
        assert str(conn.cmd("SET", there, "2")).startswith("CROSSSTORE")
        assert str(conn.cmd("EXEC")).startswith("EXECABORT")
        conn.cmd("WATCH", "conv:x")
        client.set("conv:x", "by another")
        conn.cmd("MULTI"), conn.cmd("SET", "conv:x", "mine")
        assert conn.cmd("EXEC") is None
        conn.cmd("WATCH", there), conn.cmd("MULTI"), conn.cmd("SET", there, "5")
        assert conn.cmd("EXEC") == ["OK"]
        # A pipeline over all nodes and the archive: answers in order.
        keys = [f"{prefix}{i}" for i in range(50) for prefix in ("p", "conv:")]
        conn.send(b"".join(b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n"
                           % (len(k), k.encode(), len(k), k.encode(), len(k), k.encode()) for k in keys))  # fmt: skip
        assert [conn.read() for _ in range(200)] == [x for k in keys for x in ("OK", k.encode())]
    with RespConn.to(_) as waiting:
        waiting.send(b"*3\r\n$5\r\nBLPOP\r\n$6\r\nconv:q\r\n$2\r\n10\r\n")
        eventually(lambda: client.info("clients")["blocked_clients"] == 1)
        client.rpush("conv:q", "here")
        assert waiting.read() == [b"conv:q", b"here"]


@pytest.mark.sanitize
@pytest.mark.parametrize("protocol", [2, 3])
def test_all_keys(through, cluster, protocol):
    proxy, _ = through
    cluster.masters[0].call("SET", key_in(cluster, cluster.masters[0], "conv:"), "not the archive's: nobody sees it")
    with proxy.client(decode_responses=True, protocol=protocol) as client:
        names = {f"{prefix}:{i}" for i in range(100) for prefix in ("conv", "chat", "raw")}
        for name in names:
            client.set(name, 1)
        assert set(client.keys("*")) == names and len(client.keys("conv:1*")) == 11
        assert sorted(client.scan_iter(count=9)) == sorted(names)
        assert sorted(client.scan_iter(match="conv:1?")) == [f"conv:{i}" for i in range(10, 20)]
        assert {client.randomkey().partition(":")[0] for _ in range(200)} == {"conv", "chat", "raw"}
        assert client.dbsize() >= 300
        for script, key in (("return redis.call('GET', KEYS[1])", "raw:1"), ("return redis.call('GET', KEYS[1]) + 1", "conv:1")):
            sha = client.script_load(script)
            assert client.evalsha(sha, 1, key) in ("1", 2)
        assert client.flushall() and client.dbsize() == 0 and client.keys("*") == [] and client.randomkey() is None
        assert in_nodes(cluster, "*") == []


def test_what_is_refused(through, cluster):
    proxy, client = through
    for setting, value in (("conv.primary", "redis"), ("chat.primary", "mongo"), ("conv.dual_write", "yes")):
        with pytest.raises(redis.ResponseError, match="Redis Cluster"):
            client.config_set(setting, value)
    for words in (("CONV", "PRIMARY", "conv", "redis"), ("CONV", "VERIFY"), ("CONV", "BACKFILL"), ("CONV", "DUALWRITE", "ON", "conv")):
        with pytest.raises(redis.ResponseError, match="luster"):
            client.execute_command(*words)
    done = run_once("--set", "redis.url=" + cluster.url)
    assert done.returncode != 0 and "conv.dual_write" in done.stderr and "Redis Cluster" in done.stderr


def test_masters_die_under_load(tmp_path, make_proxy):
    """What the archive has does not notice; and all of it is there when the proxy is killed, too."""
    cluster = Cluster(tmp_path, replicas=0).start()
    history, keys, stop = History(tmp_path / "history.jsonl"), Keys("conv:"), threading.Event()
    proxy = make_proxy(cluster.url, LOADED, settings=SETTINGS).start()
    client = proxy.client(decode_responses=True, retry=None)
    raw = key_in(cluster, cluster.masters[0])
    client.set(raw, "1")
    writers = [Writer(proxy, history, n, keys, seed=n, depth=8, stop=stop) for n in range(1, 4)]
    for writer in writers:
        writer.start()

    def more(n):
        seen = history.count(OK)
        eventually(lambda: history.count(OK) > seen + n, 20)

    try:
        more(100)
        cluster.masters[0].kill()
        more(100)
        with pytest.raises(redis.RedisError, match="REDISDOWN|CLUSTERDOWN"):
            client.get(raw)
        cluster.masters[1].kill(), cluster.masters[2].kill()
        more(100)
    finally:
        stop.set()
        for writer in writers:
            writer.join(20)
        cluster.kill()
    assert [writer.problem for writer in writers] == [None] * 3
    assert all(op.outcome == OK for op in history.ops)
    proxy.kill()
    proxy.start()  # nothing of the cluster is there
    reader = Client(proxy, history, 99)
    reader.read_all(keys)
    reader.conn.close()
    history.save()
    found = check(history)
    assert not found, "\n".join(map(str, found[:10]))
