"""A Redis Cluster behind the proxy: clients see one plain Redis, whatever moves or dies behind it."""
import threading

import pytest
import redis
from harness import RespConn, RespError, eventually
from harness.checker import OK, History, check
from harness.cluster import Cluster, Node
from harness.proxy import run_once
from harness.resp import encode
from harness.writers import Client, Keys, Writer

pytestmark = pytest.mark.timeout(120)

CONFIG = {"policies": [{"name": "conv", "match": "conv:*", "ttl": "1h", "max_messages": 3, "dual_write": False}]}
SETTINGS = {"redis.probe_interval": "50ms", "proxy.threads": 2, "redis.timeout": "5s", "redis.connect_timeout": "5s"}
CROSSSLOT = "CROSSSLOT Keys in request don't hash to the same slot"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    whole = Cluster(tmp_path_factory.mktemp("cluster"), replicas=0).start()
    yield whole
    whole.kill()


@pytest.fixture
def replicated(tmp_path):
    whole = Cluster(tmp_path, replicas=1).start()
    yield whole
    whole.kill()


@pytest.fixture
def through(cluster, make_proxy):
    """(proxy, a client of it); the cluster is empty."""
    proxy = make_proxy(cluster.url, CONFIG, settings=SETTINGS).start()
    client = proxy.client(decode_responses=True)
    client.flushall()
    yield proxy, client
    client.close()


def where(proxy):
    return proxy.get_json("/api/v1/state")["redis"]["where"]


def key_in(cluster, node, prefix="k"):
    """A key that this node serves."""
    return next(k for k in (f"{prefix}{i}" for i in range(1000)) if cluster.owner(cluster.slot_of(k)) is node)


SAME = [
    "SET k1 a", "GET k1", "GET nothing", "MSET k1 a k2 b k3 c", "MGET k1 k2 k3 nothing", "MGET k1 k1 k2",
    "EXISTS k1 k2 k3 nothing k1", "TOUCH k1 k2 nothing", "UNLINK k1 nothing", "DEL k2 k3 nothing", "DBSIZE",
    "MSET k1 a k2 b k3 c k4", "RPUSH l 1 2 3", "LRANGE l 0 -1", "MGET l k1", "INCR l", "SADD {t}a 1 2", "SADD {t}b 2 3",
    "SINTERSTORE {t}c {t}a {t}b", "SMEMBERS {t}c", "RENAME {t}c {t}d", "EVAL return{KEYS[1],ARGV[1]} 1 k1 x", "EVAL return(1) 0",
    "SCRIPT LOAD return(7)", "EVALSHA 7a2fc9cf29a4b0e3ba9fc1b12d8a3a1f5ccf4c2a 0", "SCRIPT EXISTS nope", "PUBLISH ch x", "SPUBLISH ch x",
    "SCAN x", "SCAN 18446744073709551616", "SELECT 0", "CLUSTER INFO", "CLUSTER KEYSLOT a", "OBJECT ENCODING l",
    "MULTI", "SET {t}x 1", "INCR {t}x", "EXEC", "MULTI", "EXEC", "MULTI", "DISCARD", "WATCH k1", "UNWATCH", "WATCH k1", "MULTI", "SET k1 z", "EXEC",
    "FLUSHALL", "DBSIZE", "RANDOMKEY", "KEYS *", "SCAN 0 COUNT 100000",
]  # fmt: skip


@pytest.mark.sanitize
@pytest.mark.parametrize("protocol", [2, 3])
def test_like_a_plain_redis(through, fresh_redis, protocol):
    proxy, _ = through
    with RespConn.to(proxy) as conn, RespConn.to(fresh_redis) as plain:
        if protocol == 3:
            conn.cmd("HELLO", "3"), plain.cmd("HELLO", "3")
        for line in SAME:
            words = line.split()
            reply = conn.cmd(*words)
            if words[0] == "SCAN" and not isinstance(reply, RespError):
                while int(reply[0]) != 0:
                    assert reply[1] == []
                    reply = conn.cmd("SCAN", reply[0], *words[2:])
            assert reply == plain.cmd(*words), line


def test_about_all_nodes(through, cluster):
    proxy, client = through
    names = {f"key:{i}" for i in range(300)}
    client.mset({name: 1 for name in names})
    assert all(node.client().dbsize() > 50 for node in cluster.masters)
    assert client.dbsize() == 300 and set(client.keys("*")) == names
    found = list(client.scan_iter(count=7))
    assert set(found) == names
    assert set(client.scan_iter(match="key:1?", count=50)) == {f"key:{i}" for i in range(10, 20)}
    assert client.randomkey() in names
    sha = client.script_load("return redis.call('GET', KEYS[1])")
    assert all(node.client().script_exists(sha) == [True] for node in cluster.masters)
    assert client.script_exists(sha, "0" * 40) == [True, False]
    assert [client.evalsha(sha, 1, f"key:{i}") for i in range(30)] == ["1"] * 30
    assert client.info("cluster")["cluster_enabled"] == 0 and client.info("server")["redis_mode"] == "standalone"
    assert client.info("everything")["cluster_enabled"] == 0
    assert client.flushdb() and client.dbsize() == 0
    told = where(proxy)
    assert told["shards"] == 3 and told["slots"] == 16384 and proxy.metrics()["redis_cluster_slots_covered"] == 16384


def test_keys_in_several_slots(through, cluster):
    proxy, client = through
    a, b = key_in(cluster, cluster.masters[0]), key_in(cluster, cluster.masters[1])
    with RespConn.to(proxy) as conn:
        for line in (f"RENAME {a} {b}", f"MSETNX {a} 1 {b} 2", f"SUNION {a} {b}", f"EVAL return(1) 2 {a} {b}", f"WATCH {a} {b}"):
            assert conn.cmd(*line.split()) == RespError(CROSSSLOT), line
        assert conn.cmd("MULTI") == "OK"
        assert conn.cmd("SET", a, "1") == "QUEUED"
        assert conn.cmd("SET", b, "1") == RespError(CROSSSLOT)
        assert str(conn.cmd("EXEC")).startswith("EXECABORT")
        conn.cmd("MULTI")
        assert "is about all nodes" in conn.cmd("DBSIZE")
        assert str(conn.cmd("EXEC")).startswith("EXECABORT")
        conn.cmd("WATCH", a)
        assert conn.cmd("WATCH", b) == RespError(CROSSSLOT)
        assert conn.cmd("GET", b) is None  # elsewhere, while a is watched
        conn.cmd("MULTI"), conn.cmd("SET", b, "1")
        assert conn.cmd("EXEC") == RespError(CROSSSLOT)
        assert conn.cmd("SELECT", "1") == RespError("ERR DB index is out of range")
        # A pipeline over all nodes: answers in order.
        keys = [f"p{i}" for i in range(200)]
        conn.send(b"".join(b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n"
                           % (len(k), k.encode(), len(k), k.encode(), len(k), k.encode()) for k in keys))  # fmt: skip
        assert [conn.read() for _ in range(400)] == [x for k in keys for x in ("OK", k.encode())]


def test_watch_sees_changes(through, cluster):
    _, client = through
    key = key_in(cluster, cluster.masters[2])
    with client.pipeline() as pipe:
        pipe.watch(key)
        client.set(key, "by another")
        pipe.multi()
        pipe.set(key, "mine")
        with pytest.raises(redis.WatchError):
            pipe.execute()
    assert client.transaction(lambda p: (p.multi(), p.set(key, "mine")), key) == [True]


def test_waiting_and_listening(through, cluster):
    """What has a connection of its own: to the node that has the key, or to any."""
    proxy, client = through
    keys = [key_in(cluster, node, "queue") for node in cluster.masters]
    with RespConn.to(proxy) as waiting:
        for key in keys:
            waiting.send(b"*3\r\n$5\r\nBLPOP\r\n$%d\r\n%s\r\n$2\r\n10\r\n" % (len(key), key.encode()))
            eventually(lambda: client.info("clients")["blocked_clients"] == 1)
            client.rpush(key, "here")
            assert waiting.read() == [key.encode(), b"here"]
        ident = waiting.cmd("CLIENT", "ID")
        waiting.send(b"*3\r\n$5\r\nBLPOP\r\n$%d\r\n%s\r\n$2\r\n10\r\n" % (len(keys[1]), keys[1].encode()))
        eventually(lambda: client.info("clients")["blocked_clients"] == 1)
        eventually(lambda: client.client_unblock(ident))
        assert waiting.read() is None
        assert waiting.cmd("BLPOP", *keys, "1") == RespError(CROSSSLOT)
    with client.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe("news")
        eventually(lambda: client.execute_command("PUBSUB", "NUMSUB", "news")[1] > 0)
        client.publish("news", "said")
        assert eventually(channel.get_message)["data"] == "said"


@pytest.mark.managed
def test_managed_keys(through):
    _, client = through
    for i in range(20):
        for n in range(5):
            assert client.rpush(f"conv:{i}", n) == min(n + 1, 3)
    assert [client.lrange(f"conv:{i}", 0, -1) for i in range(20)] == [["2", "3", "4"]] * 20
    assert client.mset({f"conv:s{i}": i for i in range(20)})
    assert all(0 < client.ttl(f"conv:{k}") <= 3600 for k in [*range(20), *(f"s{i}" for i in range(20))])


def test_what_is_refused_at_the_start(cluster):
    done = run_once("--set", "redis.url=" + cluster.url)
    assert done.returncode != 0 and "conv.dual_write" in done.stderr and "Redis Cluster" in done.stderr


def test_url_can_not_become_a_cluster(through, fresh_redis):
    _, client = through
    with pytest.raises(redis.ResponseError, match="while running"):
        client.config_set("redis.url", fresh_redis.url)


@pytest.mark.sanitize
def test_slot_on_the_move(through, cluster):
    """MOVED and ASK, for single commands, blocks and watches."""
    proxy, client = through
    source = cluster.masters[0]
    here, gone = (f"{{{key_in(cluster, source)}}}{i}" for i in (1, 2))
    slot, target = cluster.slot_of(here), cluster.masters[1]
    client.mset({here: "1", gone: "2"})
    cluster.begin_move(slot, target)
    source.call("MIGRATE", target.host, target.port, gone, 0, 5000)
    for _ in range(2):
        assert client.get(here) == "1" and client.get(gone) == "2"  # at once, and by ASK
        assert client.append(gone, "x").__class__ is int
        with client.pipeline() as pipe:
            pipe.set(gone, "2").incr(gone).decr(gone)
            assert pipe.execute() == [True, 3, 2]
        assert client.set(f"{gone}new", "3")
    while cluster.move_keys(slot, source, target):
        pass
    cluster.end_move(slot, source, target)
    with client.pipeline() as pipe:  # by MOVED, as a block
        pipe.set(here, "5").incr(here)
        assert pipe.execute() == [True, 6]
    assert client.mget(here, gone, f"{gone}new", "elsewhere") == ["6", "2", "3", None]

    def back_at(node):
        return lambda: cluster.owner(slot) is node

    with client.pipeline() as pipe:  # what is watched moves away between WATCH and EXEC: as if it had changed
        pipe.watch(here)
        cluster.move(slot, source)
        eventually(back_at(source))
        pipe.multi()
        pipe.set(here, "7")
        with pytest.raises(redis.WatchError):
            pipe.execute()
    assert client.get(here) == "6"
    cluster.move(slot, target)
    assert client.transaction(lambda p: (p.multi(), p.set(here, "8")), here) == [True]  # WATCH itself is told MOVED
    assert client.get(here) == "8"
    cluster.move(slot, source)


def load(proxy, history, keys, stop):
    writers = [Writer(proxy, history, n, keys, seed=n, depth=12, stop=stop) for n in range(1, 4)]
    for writer in writers:
        writer.start()
    return writers


class SlotKeys(Keys):
    """Pairs of keys, which are written in one transaction, share a hash tag."""

    def __init__(self, prefix):
        super().__init__(prefix)
        self.pairs = [(f"{prefix}{{pair{i}}}left", f"{prefix}{{pair{i}}}right") for i in range(2)]


def test_reshard_under_load(through, cluster, tmp_path):
    proxy, _ = through
    history, keys, stop = History(tmp_path / "history.jsonl"), SlotKeys("raw:"), threading.Event()
    writers = load(proxy, history, keys, stop)
    try:
        eventually(lambda: history.count(OK) > 200, 20)
        slots = sorted({cluster.slot_of(k) for k in (*keys.lists[:3], *keys.pairs[0], keys.counters[0], *keys.registers[:2])})
        for slot in slots:
            cluster.move(slot, cluster.masters[(cluster.masters.index(cluster.owner(slot)) + 1) % 3])
        seen = history.count(OK)
        eventually(lambda: history.count(OK) > seen + 200, 20)
    finally:
        stop.set()
        for writer in writers:
            writer.join(20)
        history.save()
    assert [writer.problem for writer in writers] == [None] * 3
    refused = [op.reply for op in history.ops if op.outcome != OK]
    assert all("TRYAGAIN" in reply for reply in refused), refused[:3]  # the pair's halves were at two nodes
    reader = Client(proxy, history, 99)
    reader.read_all(keys)
    reader.conn.close()
    found = check(history)
    assert not found, "\n".join(map(str, found[:10]))
    for slot in slots:
        cluster.move(slot, cluster.masters[slot * 3 // 16384])


@pytest.mark.sanitize
def test_master_killed(replicated, make_proxy):
    proxy = make_proxy(replicated.url, CONFIG, settings=SETTINGS).start()
    client = proxy.client(decode_responses=True)
    victim, replica = replicated.masters[0], replicated.replicas[0]
    there, elsewhere = key_in(replicated, victim), key_in(replicated, replicated.masters[1])
    client.mset({there: "1", elsewhere: "2"})
    eventually(lambda: replica.client().dbsize() == 1)
    victim.kill()
    assert client.get(elsewhere) == "2"  # others are not concerned

    def back():
        try:
            return client.get(there) == "1" and client.set(there, "3")
        except redis.RedisError:
            return False

    eventually(back, 20)
    assert replica.role() == "master" and replica.client().get(there) == "3"
    assert client.mget(there, elsewhere) == ["3", "2"]
    eventually(lambda: f"{replica.host}:{replica.port}" in [n["address"] for n in where(proxy)["nodes"]])
    victim.start()  # comes back as a replica
    eventually(lambda: victim.role() == "slave", 20)
    assert client.set(there, "4") and client.dbsize() == 2


def test_starts_before_the_cluster(tmp_path, make_proxy):
    late = Node(tmp_path).start()
    try:
        proxy = make_proxy(f"redis+cluster://{late.host}:{late.port}", CONFIG, settings=SETTINGS).start()
        client = proxy.client()
        with pytest.raises(redis.RedisError, match="REDISDOWN"):
            client.set("a", 1)
        assert "no node that serves slots" in where(proxy)["error"]
        late.client().execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)

        def works():
            try:
                return client.set("a", 1)
            except redis.RedisError:
                return False

        eventually(works, 10)
    finally:
        late.kill()


def half_moved(cluster, source, target):
    """(slot, two keys of it): the first one is at the source, the second one at the target already."""
    here, gone = (f"{{{key_in(cluster, source, 'half')}}}{i}" for i in (1, 2))
    slot = cluster.slot_of(here)
    source.call("SET", here, "1"), source.call("SET", gone, "2")
    cluster.begin_move(slot, target)
    source.call("MIGRATE", target.host, target.port, gone, 0, 5000)
    return slot, here, gone


@pytest.mark.sanitize
def test_waits_while_a_slot_moves(cluster, make_proxy):
    """TRYAGAIN is not the client's matter as long as its deadline is not over; and nothing is overtaken meanwhile."""
    patient = make_proxy(cluster.url, CONFIG, settings={**SETTINGS, "redis.timeout": "20s"}).start()
    hasty = make_proxy(cluster.url, CONFIG, settings={**SETTINGS, "redis.timeout": "300ms"}).start()
    source, target = cluster.masters[0], cluster.masters[1]
    slot, here, gone = half_moved(cluster, source, target)
    with RespConn.to(source) as direct, RespConn.to(hasty) as conn:
        native = direct.cmd("MGET", here, gone)
        assert str(native).startswith("TRYAGAIN")
        eventually(lambda: conn.cmd("MGET", here, gone) == native, 20)  # a machine that is busy may not answer in time
    with RespConn.to(patient, timeout=30) as conn, RespConn.to(patient, timeout=30) as block:
        conn.send(encode("MSET", here, "3", gone, "4"))
        block.send(b"".join(encode(*words) for words in (("MULTI",), ("APPEND", here, "x"), ("APPEND", gone, "x"), ("EXEC",))))
        assert patient.client().get("elsewhere") is None  # others go on
        conn.send(encode("MSET", here, "5", gone, "6") + encode("MGET", here, gone))
        asked = target.client().info("errorstats").get("errorstat_TRYAGAIN", {"count": 0})["count"]
        eventually(lambda: target.client().info("errorstats")["errorstat_TRYAGAIN"]["count"] > asked + 2, 20)
        while cluster.move_keys(slot, source, target):
            pass
        cluster.end_move(slot, source, target)
        assert [conn.read() for _ in range(2)] == ["OK", "OK"]
        seen = [value.rstrip(b"x") for value in conn.read()]
        assert seen == [b"5", b"6"]
        assert [block.read() for _ in range(3)] == ["OK", "QUEUED", "QUEUED"] and block.read() in ([2, 2], [1, 1])
    cluster.move(slot, source)


@pytest.mark.sanitize
def test_waits_while_the_cluster_is_down(cluster, make_proxy):
    proxy = make_proxy(cluster.url, CONFIG, settings={**SETTINGS, "redis.timeout": "20s"}).start()
    node = cluster.masters[2]
    key = key_in(cluster, node)
    taken = cluster.slot_of(key_in(cluster, node, "other"))
    with RespConn.to(proxy, timeout=30) as conn:
        assert conn.cmd("SET", key, "1") == "OK"
        node.call("CLUSTER", "DELSLOTS", taken)  # a slot that nobody serves: all of this node's are refused
        try:
            with RespConn.to(node) as direct:
                eventually(lambda: str(direct.cmd("GET", key)).startswith("CLUSTERDOWN"))
            told = node.client().info("errorstats")["errorstat_CLUSTERDOWN"]["count"]
            conn.send(encode("INCR", key))
            eventually(lambda: node.client().info("errorstats")["errorstat_CLUSTERDOWN"]["count"] > told + 2, 20)
        finally:
            node.call("CLUSTER", "ADDSLOTS", taken)
        assert conn.read() == 2


def calls(nodes, command):
    told = [node.client().info("commandstats") for node in nodes]
    return sum(info.get(f"cmdstat_{command}", {"calls": 0})["calls"] for info in told)


@pytest.mark.sanitize
def test_replicas_answer_reads(replicated, make_proxy):
    """And WAIT asks all masters for theirs."""
    proxy = make_proxy(replicated.url, CONFIG, settings={**SETTINGS, "redis.replica_reads": "yes", "redis.timeout": "20s"}).start()
    client = proxy.client(decode_responses=True)
    masters, replicas = replicated.masters, replicated.replicas
    keys = [f"k{i}" for i in range(60)]
    client.mset({key: key for key in keys})
    assert client.wait(1, 20000) == 1 and client.wait(0, 0) <= 1
    assert client.wait(2, 600) <= 1  # when the time is over, which is more than one round
    with pytest.raises(redis.ResponseError, match="not an integer"):
        client.execute_command("WAIT", "x", 1)
    eventually(lambda: client.mget(keys) == keys and all(calls([node], "mget") for node in replicas))  # the proxy has heard of them
    at_masters = calls(masters, "get"), calls(masters, "mget")
    assert [client.get(key) for key in keys] == client.mget(keys) == keys
    assert calls(replicas, "get") == 60
    assert (calls(masters, "get"), calls(masters, "mget")) == at_masters
    client.rpush("conv:1", "a"), client.rpush("conv:2", "b")
    assert client.lrange("conv:1", 0, -1) == ["a"] and calls(replicas, "lrange") == 0  # a policy's: its master's
    with client.pipeline() as pipe:
        assert pipe.get(keys[0]).execute() == keys[:1]
    assert calls(replicas, "get") == 60

    problems, stop = [], threading.Event()

    def read():
        with proxy.client(decode_responses=True) as reader:
            while not stop.is_set():
                with reader.pipeline(transaction=False) as pipe:
                    for key in keys[:20]:
                        pipe.get(key)
                    found = pipe.execute(raise_on_error=False)
                if found != keys[:20]:
                    problems.append(found)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        eventually(lambda: calls(replicas, "get") > 200, 20)
        for node in replicas:
            node.kill()
        seen = calls(masters, "get")
        eventually(lambda: calls(masters, "get") > seen + 200, 20)
    finally:
        stop.set()
        thread.join(20)
    assert not problems, problems[0]
