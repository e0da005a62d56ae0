"""Two proxies on one Redis and one MongoDB, with workers at both that take from the same managed queue: whatever happens, nothing is taken
twice, nothing that was acknowledged is lost but what was on its way to somebody whose connection ended, and both stores agree afterwards."""
import threading

import pytest
from harness import Proxy, RedisServer, RespConn, RespError, eventually
from harness.mongo_server import GivenMongo, Mongod, MongoJavaServer, start_mongo

pytestmark = [pytest.mark.managed, pytest.mark.timeout(150)]

QUEUE, TAKEN = "conv:queue", "conv:taken"
WORKERS = 3  # at each proxy
POLICY = {"name": "conv", "match": "conv:*", "ttl": "1h", "max_messages": 0}
SETTINGS = {"failover.return_after": "500ms", "redis.probe_interval": "100ms"}


@pytest.fixture(scope="module")
def mongo(tmp_path_factory):
    kind = next((k for k in (GivenMongo, Mongod) if k.missing() is None), MongoJavaServer)
    server = start_mongo(kind, tmp_path_factory.mktemp("mongo"))
    yield server
    server.kill()


def element_of(reply):
    """[key, element] of BLPOP, [key, [element]] of BLMPOP, element of BLMOVE."""
    if isinstance(reply, list):
        return element_of(reply[-1])
    return reply


class Worker(threading.Thread):
    """Takes until it gets "stop". command: what takes one element."""

    def __init__(self, proxy, command):
        super().__init__()
        self.command, self.got, self.lost, self.doubts = command, [], 0, []
        self.conn = RespConn.to(proxy, timeout=60)
        self.start()

    def run(self):
        while not self.got or self.got[-1] != b"stop":
            try:
                reply = self.conn.cmd(*self.command)
            except OSError:
                self.lost = 1  # what was on its way to it, if there was something
                return
            if isinstance(reply, RespError):
                assert "may or may not" in reply or reply.startswith(("REDISDOWN", "INDOUBT", "UNBLOCKED")), reply
                self.doubts.append(str(reply))
            else:
                self.got.append(element_of(reply))


class Producer(threading.Thread):
    """Pushes numbered elements until it is told to stop; an element whose push was not acknowledged may be there or not."""

    def __init__(self, name, proxy):
        super().__init__()
        self.name, self.acked, self.doubtful, self.over = name, [], set(), threading.Event()
        self.conn = RespConn.to(proxy, timeout=60)
        self.start()

    def run(self):
        number = 0
        while not self.over.wait(0.002):
            element = f"{self.name}:{number}".encode()
            number += 1
            try:
                reply = self.conn.cmd("RPUSH", QUEUE, element)
            except OSError:
                self.doubtful.add(element)
                return
            if isinstance(reply, RespError):
                self.doubtful.add(element)
            else:
                self.acked.append(element)

    def stop(self):
        self.over.set()
        self.join(60)
        self.conn.close()


class World:
    def __init__(self, folder, mongo):
        self.mongo, self.url = mongo, mongo.url_for(folder.name.replace("-", "_")[-40:])
        self.redis = RedisServer(folder).start()
        settings = {**SETTINGS, "archive.url": self.url}
        self.proxies = [Proxy(folder, self.redis.url, {"policies": [POLICY]}, settings=settings).start() for _ in range(2)]
        self.until("redis")
        take = [("BLPOP", QUEUE, "0"), ("BLMPOP", "0", "1", QUEUE, "LEFT"), ("BLMOVE", QUEUE, TAKEN, "LEFT", "RIGHT", "0")]
        self.workers = [Worker(p, take[i % 3]) for p in self.proxies for i in range(WORKERS)]
        self.producers = [Producer(f"p{i}", p) for i, p in enumerate(self.proxies)]

    def alive(self):
        return [p for p in self.proxies if p.process is not None and p.process.poll() is None]

    def until(self, phase):
        eventually(lambda: {p.get_json("/healthz")["placement"][0]["phase"] for p in self.alive()} == {phase}, 40)

    def some_work(self, elements=120):
        wanted = sum(len(w.got) for w in self.workers) + elements
        eventually(lambda: sum(len(w.got) for w in self.workers) >= wanted, 60)

    def in_redis(self, key):
        with self.redis.client() as c:
            return c.lrange(key, 0, -1)

    def in_mongo(self, key):
        with self.mongo.client() as client:
            database = client[self.url.rsplit("/", 1)[1]]
            found = [database[name].find_one({"_id": key, "v": {"$type": "array"}}) for name in database.list_collection_names()]
        return [v.encode() for v in next((d["v"] for d in found if d), [])]

    def marks(self):
        with self.redis.client() as c:
            return sum(c.scard(key) for key in [*c.scan_iter("cvp:dirty*"), *c.scan_iter("cvp:busy:*")])

    def finish(self):
        """Ends all threads, by one "stop" for each; leaves two elements in the queue, so that there is something to compare."""
        for producer in self.producers:
            producer.stop()
        with RespConn.to(self.alive()[0], timeout=60) as conn:
            for _ in range(20):
                running = [worker for worker in self.workers if worker.is_alive()]
                if not running:
                    break
                conn.cmd("RPUSH", QUEUE, *["stop"] * len(running))
                for worker in running:
                    worker.join(5)
            conn.cmd("DEL", QUEUE)
            conn.cmd("RPUSH", QUEUE, "left", "over")

    def check(self):
        self.finish()
        got = [element for worker in self.workers for element in worker.got if element != b"stop"]
        assert len(got) == len(set(got)), "taken twice"
        acked = {element for producer in self.producers for element in producer.acked}
        doubtful = set().union(*(producer.doubtful for producer in self.producers))
        assert set(got) <= acked | doubtful, "taken from nowhere"
        missing = acked - set(got)
        assert len(missing) <= sum(w.lost + len(w.doubts) for w in self.workers), (missing, [w.doubts for w in self.workers])
        for worker in self.workers:
            for producer in self.producers:
                mine = [int(e.split(b":")[1]) for e in worker.got if e.startswith(producer.name.encode() + b":")]
                assert mine == sorted(mine), "out of order"
        self.until("redis")
        eventually(lambda: self.marks() == 0, 60)
        for key in (QUEUE, TAKEN):
            eventually(lambda: self.in_mongo(key) == self.in_redis(key), 10)
        moved = [e for e in self.in_redis(TAKEN) if e != b"stop"]
        mine = {e for w in self.workers if w.command[0] == "BLMOVE" for e in w.got if e != b"stop"}
        assert len(moved) == len(set(moved)) and mine <= set(moved) <= mine | missing | doubtful, "BLMOVE took and put in one step"
        assert self.in_redis(QUEUE) == [b"left", b"over"]

    def stop(self):
        for producer in self.producers:
            producer.stop()
        for proxy in self.alive():
            proxy.stop()
        for worker in self.workers:
            worker.join(20)
        self.redis.kill()


@pytest.fixture
def world(tmp_path, mongo):
    w = World(tmp_path, mongo)
    yield w
    w.stop()


def test_each_element_is_taken_once(world):
    world.some_work(150)
    world.check()
    for workers in (world.workers[:WORKERS], world.workers[WORKERS:]):
        assert any(w.got[:-1] for w in workers), "both proxies' workers have worked"


def test_redis_dies_and_comes_back_empty(world):
    world.some_work()
    world.redis.kill()
    world.until("archive")
    world.some_work()
    world.redis.restart(empty=True)
    world.until("redis")
    world.some_work()
    world.check()
