"""Three proxies on one MongoDB and one Redis: they agree on who acts. Clients of all of them append to the same few lists while
Redis or a proxy dies, is paused, or the primary is switched; what was acknowledged is in both stores afterwards, once and in order.
Not on FerretDB, whose compare-and-set two connections can both win."""
import collections
import threading
import time

import pytest
import redis
from harness import Proxy, RedisServer, eventually
from harness.mongo_server import GivenMongo, Mongod, MongoJavaServer, start_mongo

pytestmark = [pytest.mark.managed, pytest.mark.timeout(150)]

KEYS = [f"conv:{i}" for i in range(6)]
CLIENTS = 6
SETTINGS = {"failover.return_after": "500ms", "redis.probe_interval": "100ms"}
POLICY = {"name": "conv", "match": "conv:*", "ttl": "1h", "max_messages": 0}
ARCHIVE_TIMEOUT = 4  # seconds: the default of archive.timeout
LEASE = 3.5  # seconds after which a silent proxy's lease is over: proxy/members.h


class World:
    def __init__(self, folder):
        self.mongo = start_mongo(next((k for k in (GivenMongo, Mongod) if k.missing() is None), MongoJavaServer), folder)
        self.redis = RedisServer(folder).start()
        settings = {**SETTINGS, "archive.url": self.mongo.url}
        self.proxies = [Proxy(folder, self.redis.url, {"policies": [POLICY]}, settings=settings).start() for _ in range(3)]
        self.acked = collections.defaultdict(list)
        self.pauses = collections.defaultdict(float)
        self.errors = collections.Counter()
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.write, args=(c,)) for c in range(CLIENTS)]
        eventually(lambda: self.phases() == ["redis"] * 3, 20)
        for thread in self.threads:
            thread.start()

    # ---- clients: two of each proxy; one whose proxy dies goes to the next ----

    def write(self, client):
        proxy, seq, last = client % 3, 0, time.monotonic()
        conn = self.proxies[proxy].client(socket_timeout=30)
        while not self.over.is_set():
            seq += 1
            key, value = KEYS[(client + seq) % len(KEYS)], f"{client}:{seq}"
            try:
                conn.rpush(key, value)
                self.acked[key].append(value)
            except redis.RedisError as error:
                self.errors[f"{type(error).__name__} {error}"[:60]] += 1
                proxy = (proxy + 1) % 3
                conn = self.proxies[proxy].client(socket_timeout=30)
            now = time.monotonic()
            self.pauses[client] = max(self.pauses[client], now - last)
            last = now
            time.sleep(0.01)

    def some_load(self, writes=100):
        wanted = sum(map(len, self.acked.values())) + writes
        eventually(lambda: sum(map(len, self.acked.values())) >= wanted, 60)

    # ---- looking ----

    def alive(self):
        return [p for p in self.proxies if p.process is not None and p.process.poll() is None]

    def phases(self):
        return [p.get_json("/healthz")["placement"][0]["phase"] for p in self.alive()]

    def all_are(self, phase, seconds=40):
        eventually(lambda: set(self.phases()) == {phase}, seconds)

    def marks(self):
        conn = self.redis.client()
        return sum(conn.scard(key) for key in conn.scan_iter("cvp:dirty*")) + sum(
            conn.scard(key) for key in conn.scan_iter("cvp:busy:*")
        )

    def in_mongo(self, key):
        with self.mongo.client() as client:
            database = client[self.mongo.url.rsplit("/", 1)[1]]
            found = [database[name].find_one({"_id": key, "v": {"$type": "array"}}) for name in database.list_collection_names()]
        return next((document["v"] for document in found if document), [])

    def in_redis(self, key):
        return [value.decode() for value in self.redis.client().lrange(key, 0, -1)]

    # ---- the end ----

    def check(self, patience):
        self.some_load()
        self.over.set()
        for thread in self.threads:
            thread.join()
        self.all_are("redis")
        eventually(lambda: self.marks() == 0, 30)
        for key in KEYS:
            found = self.in_redis(key)
            assert sorted(set(self.acked[key]) - set(found)) == [], f"lost of {key}"
            assert len(found) == len(set(found)), f"doubled in {key}"
            for client in range(CLIENTS):
                mine = [int(v.split(":")[1]) for v in found if v.startswith(f"{client}:")]
                assert mine == sorted(mine), f"out of order in {key}"
            eventually(lambda: self.in_mongo(key) == self.in_redis(key), 10)
        assert max(self.pauses.values()) < patience, dict(self.pauses)

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()
        for proxy in self.alive():
            proxy.stop()
        self.redis.kill()
        self.mongo.kill()


@pytest.fixture
def world(tmp_path):
    w = World(tmp_path)
    yield w
    w.stop()


def test_redis_is_killed_and_comes_back_empty(world):
    world.some_load()
    world.redis.kill()
    world.all_are("archive")
    world.some_load()
    world.redis.restart(empty=True)
    world.check(patience=6)
    assert not world.errors


def test_the_primary_is_switched_and_back(world):
    world.some_load()
    world.proxies[1].client().config_set("conv.primary", "mongo")
    world.all_are("archive")
    world.some_load()
    world.proxies[2].client().config_set("conv.primary", "redis")
    world.check(patience=2)
    assert not world.errors


def test_a_proxy_is_killed_then_redis(world):
    world.some_load()
    world.proxies[0].kill()
    world.redis.kill()
    world.all_are("archive")
    world.some_load()
    world.redis.restart(empty=True)
    world.check(patience=LEASE + 12)  # measured 3.5 to 6.8 s: a lease, and a machine that does other things


def test_what_a_killed_proxy_had_claimed_is_carried_by_another(world):
    """Redis acts all the time, so nobody catches up: only its end gives the claims back."""
    world.some_load()
    world.proxies[2].kill()
    with world.redis.client() as behind:
        behind.sadd("cvp:busy:killed", KEYS[0])
        eventually(lambda: not behind.exists("cvp:busy:killed"), 30)
    world.check(patience=LEASE + 12)


def test_a_paused_proxy_wakes_up_in_another_world(world):
    """It slept while the archive took over, and Redis came back; what it had in hand is not acknowledged on its old word. It sleeps for longer
    than it would wait for the archive, without which it acknowledges otherwise."""
    world.some_load()
    world.proxies[0].pause()
    patience = time.monotonic() + 2 * ARCHIVE_TIMEOUT
    world.redis.kill()
    others = world.proxies[1:]
    eventually(lambda: all(p.get_json("/healthz")["placement"][0]["phase"] == "archive" for p in others), 30)
    world.redis.restart(empty=True)
    eventually(lambda: all(p.get_json("/healthz")["placement"][0]["phase"] == "redis" for p in others), 30)
    eventually(lambda: time.monotonic() > patience, 15)
    world.proxies[0].resume()
    world.check(patience=60)
