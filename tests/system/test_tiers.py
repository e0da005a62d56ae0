"""Tiers: a key that nobody uses leaves Redis and is in the archive alone (warm, then cold and compressed) until somebody asks for it. Whatever
is done to it meanwhile, nothing is lost, and nothing is there twice."""
import json
import random
import sqlite3
import threading
import time

import bson
import pytest
from harness import Proxy, RedisServer, RespConn, RespError, eventually
from harness.ctl import convctl_of

pytestmark = [pytest.mark.managed, pytest.mark.timeout(120)]

TIERS = {"conv.match": "conv:*", "conv.ttl": "600s", "conv.max_messages": 0, "conv.tiers": "yes", "tier.every": "0s", "archive.faults": "yes",
         "failover.return_after": "1s", "proxy.threads": 2}


class Tiered:
    """A proxy with tiers before a Redis of its own, and ways to look behind it."""

    def __init__(self, folder, **settings):
        self.folder = folder
        self.redis = RedisServer(folder).start()
        self.settings = {**TIERS, **settings}
        self.proxy = Proxy(folder, self.redis.url, "", settings=self.settings).start()
        self.behind = RespConn.to(self.redis)
        self.acting("redis")

    def acting(self, phase):
        eventually(lambda: f"phase {phase}" in self.text("STATUS"), 20)

    def text(self, *words):
        with RespConn.to(self.proxy) as conn:
            return "\n".join(line.decode() for line in conn.cmd("CONV", *words))

    def ask(self, path, body=None, method=None):
        """(status, document)"""
        status, text = self.proxy.http(path, body, method)
        return status, json.loads(text)

    def move(self, key, to):
        """Whether it has moved; the reason if not."""
        status, answer = self.ask("/api/v1/tiers", {"key": key, "to": to})
        return (True, "") if status == 200 else (False, answer["error"])

    def demote(self, *keys):
        for key in keys:
            eventually(lambda key=key: self.move(key, "warm")[0], 10)
            assert self.tier(key) == "warm"

    def tier(self, key):
        return self.ask(f"/api/v1/tiers?key={key}")[1]["tier"]

    def in_redis(self, key):
        return self.behind.cmd("EXISTS", key) == 1

    def document(self, key):
        with sqlite3.connect(f"file:{self.proxy.directory() / 'data' / 'convproxy.db'}?mode=ro", uri=True) as db:
            row = db.execute("SELECT doc FROM doc WHERE key = ?", [key.encode()]).fetchone()
        return bson.decode(row[0]) if row else None

    def sweep(self):
        """Applies the rules to all keys; the move, when it is over."""
        status, move = self.ask("/api/v1/moves", {"kind": "tier", "policy": "conv"})
        assert status == 200, move
        find = lambda: next(m for m in self.ask("/api/v1/moves")[1]["moves"] if m["id"] == move["id"])
        return eventually(lambda: (found := find())["state"] == "done" and found, 20)

    def restart(self):
        self.proxy.kill()
        self.proxy.start()
        self.acting("redis")

    def stop(self):
        self.behind.close()
        self.proxy.stop()
        self.redis.kill()


@pytest.fixture
def world(tmp_path):
    made = Tiered(tmp_path)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    made = Tiered(tmp_path_factory.mktemp("tiers"))
    yield made
    made.stop()


# ---- while it is used by many ----


class Writers:
    """Clients that write unique messages to a few keys while somebody takes these out of Redis again and again."""

    def __init__(self, world, keys, clients=4):
        self.world, self.keys, self.over = world, keys, threading.Event()
        self.said = [{} for _ in range(clients)]  # of each client: what was acknowledged, by key
        self.unsure = [{} for _ in range(clients)]
        self.problems, self.demoted = [], 0
        jobs = [(self.write, i) for i in range(clients)] + [(self.read, i) for i in range(2)] + [(self.demote, 0)]
        self.threads = [threading.Thread(target=job, args=(i,)) for job, i in jobs]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *problem):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def conn(self):
        while not self.over.is_set():
            try:
                return RespConn.to(self.world.proxy, 10)
            except OSError:
                time.sleep(0.02)
        return None

    def write(self, me):
        pick, seq, conn = random.Random(me), 0, self.conn()
        while not self.over.is_set() and conn:
            time.sleep(pick.random() * 0.004)  # a key that is always in use never leaves
            key, seq = pick.choice(self.keys), seq + 1
            word = f"{me}:{seq}"
            try:
                if pick.random() < 0.2:
                    reply = conn.pipeline(("MULTI",), ("RPUSH", key, word), ("EXEC",))[-1]
                    reply = reply[0] if isinstance(reply, list) else reply
                elif pick.random() < 0.2:
                    reply = conn.cmd("EVAL", "return redis.call('RPUSH', KEYS[1], ARGV[1])", 1, key, word)
                else:
                    reply = conn.cmd("RPUSH", key, word)
                if isinstance(reply, int):
                    self.said[me].setdefault(key, []).append(word)
                else:
                    self.problems.append(f"{key}: {reply}")
            except OSError:
                self.unsure[me].setdefault(key, []).append(word)
                conn = self.conn()

    def read(self, me):
        """A list never gets shorter."""
        conn, longest = self.conn(), {}
        pick = random.Random(100 + me)
        while not self.over.is_set() and conn:
            time.sleep(0.003)
            key = pick.choice(self.keys)
            try:
                length = conn.cmd("LLEN", key)
            except OSError:
                conn = self.conn()
                continue
            if not isinstance(length, int):
                self.problems.append(f"{key}: {length}")
            elif length < longest.get(key, 0):
                self.problems.append(f"{key} had {longest[key]} messages, then {length}")
            longest[key] = length

    def demote(self, _):
        pick = random.Random(7)
        while not self.over.is_set():
            try:
                self.demoted += self.world.move(pick.choice(self.keys), "warm")[0]
            except OSError:
                time.sleep(0.02)

    def check(self):
        assert not self.problems, self.problems[:5]
        with RespConn.to(self.world.proxy, 10) as conn:
            for key in self.keys:
                there = [word.decode() for word in conn.cmd("LRANGE", key, 0, -1)]
                assert len(there) == len(set(there)), f"{key}: there twice"
                for me, said in enumerate(self.said):
                    mine = [word for word in there if word.startswith(f"{me}:")]
                    lost = set(said.get(key, [])) - set(mine)
                    assert not lost, f"{key}: lost {sorted(lost)[:5]} of {len(mine)}"
                    assert set(mine) <= set(said.get(key, [])) | set(self.unsure[me].get(key, []))
                    assert mine == sorted(mine, key=lambda word: int(word.split(":")[1])), f"{key}: client {me} is out of order"


@pytest.mark.sanitize
def test_taken_out_of_redis_under_load(world):
    keys = [f"conv:load:{i}" for i in range(30)]
    with Writers(world, keys) as writers:
        eventually(lambda: writers.demoted >= 60, 30)
    writers.check()


def test_the_proxy_is_killed_while_keys_leave(world):
    keys = [f"conv:kill:{i}" for i in range(30)]
    with Writers(world, keys, clients=2) as writers:
        for round_ in range(4):
            before = writers.demoted
            world.ask("/api/v1/archive/faults", {"plan": "op=commit delay=15ms" if round_ % 2 else ""}, "PUT")
            eventually(lambda: writers.demoted >= before + 6, 20)
            world.restart()
    writers.check()


# ---- what commands see ----


def test_a_key_comes_back_with_its_expiry(shared):
    with RespConn.to(shared.proxy) as conn:
        conn.cmd("RPUSH", "conv:back", "a", "b")
        before = conn.cmd("PEXPIRETIME", "conv:back")
        shared.demote("conv:back")
        assert not shared.in_redis("conv:back")
        assert shared.document("conv:back")["tier"]["l"] == "warm"
        assert conn.cmd("PEXPIRETIME", "conv:back") == before
        assert conn.cmd("LRANGE", "conv:back", 0, -1) == [b"a", b"b"]
        assert shared.in_redis("conv:back") and shared.tier("conv:back") == "working"
        assert "tier" not in shared.document("conv:back")


COMMANDS = [
    (("DEL", "conv:c"), 1), (("UNLINK", "conv:c"), 1), (("EXISTS", "conv:c"), 1), (("TYPE", "conv:c"), "list"), (("TOUCH", "conv:c"), 1),
    (("LLEN", "conv:c"), 2), (("RPUSHX", "conv:c", "z"), 3), (("RENAME", "conv:c", "conv:d"), "OK"), (("COPY", "conv:c", "conv:d"), 1),
    (("SET", "conv:c", "v", "NX"), None), (("SET", "conv:c", "v", "XX"), "OK"), (("BLPOP", "conv:c", "1"), [b"conv:c", b"a"]),
    (("LMPOP", "2", "conv:x", "conv:c", "LEFT"), [b"conv:c", [b"a"]]), (("LPOS", "conv:c", "b"), 1), (("SORT", "conv:c", "ALPHA"), [b"a", b"b"]),
    (("EVAL", "return redis.call('LLEN', KEYS[1])", "1", "conv:c"), 2), (("PERSIST", "conv:c"), 1), (("EXPIRE", "conv:c", "100", "NX"), 0),
]


@pytest.mark.parametrize("command, reply", COMMANDS, ids=lambda value: value[0] if isinstance(value, tuple) else None)
def test_every_command_finds_it(shared, command, reply):
    with RespConn.to(shared.proxy) as conn:
        conn.cmd("DEL", "conv:c", "conv:d")
        conn.cmd("RPUSH", "conv:c", "a", "b")
        shared.demote("conv:c")
        assert conn.cmd(*command) == reply


def test_in_transactions(shared):
    with RespConn.to(shared.proxy) as conn:
        conn.cmd("DEL", "conv:t", "conv:u")
        conn.cmd("RPUSH", "conv:t", "a")
        conn.cmd("RPUSH", "conv:u", "b")
        shared.demote("conv:t", "conv:u")
        assert conn.pipeline(("MULTI",), ("RPUSH", "conv:t", "x"), ("LLEN", "conv:u"), ("EXEC",))[-1] == [2, 1]
        shared.demote("conv:t")
        assert conn.pipeline(("WATCH", "conv:t"), ("LLEN", "conv:t"), ("MULTI",), ("RPUSH", "conv:t", "y"), ("EXEC",))[-1] == [3]


def test_lists_of_keys_show_it_once(tmp_path):
    world = Tiered(tmp_path)
    try:
        with RespConn.to(world.proxy) as conn:
            names = {f"conv:n:{i}".encode() for i in range(20)}
            for name in names:
                conn.cmd("RPUSH", name, "a")
            conn.cmd("SET", "raw", "1")
            world.demote(*(f"conv:n:{i}" for i in range(0, 20, 2)))
            assert sorted(conn.cmd("KEYS", "*")) == sorted(names | {b"raw"})
            assert conn.cmd("DBSIZE") == 21
            seen, cursor = [], None
            while cursor != b"0":
                cursor, page = conn.cmd("SCAN", cursor or "0", "COUNT", 5)
                seen += page
            assert sorted(seen) == sorted(names | {b"raw"})
            assert conn.cmd("RANDOMKEY") in names | {b"raw"}
            reply = conn.cmd("SORT", "raw2", "BY", "conv:n:*")
            assert isinstance(reply, RespError) and "CROSSSTORE" in str(reply)
            assert conn.cmd("FLUSHALL") == "OK"
            assert conn.cmd("KEYS", "*") == [] and conn.cmd("DBSIZE") == 0
            assert conn.cmd("LLEN", "conv:n:0") == 0
            eventually(lambda: (world.document("conv:n:2") or {"t": "none"})["t"] == "none", 10)
            assert world.in_redis("conv:n:2") is False
    finally:
        world.stop()


def test_scripts_must_name_their_keys(shared):
    with RespConn.to(shared.proxy) as conn:
        for request in [("EVAL", "return 1", "0"), ("FCALL", "f", "0")]:
            assert "must name its keys" in str(conn.cmd(*request))
        assert "must name its keys" in str(conn.pipeline(("MULTI",), ("EVAL", "return 1", "0"), ("EXEC",))[-1])


def test_it_expires_in_the_archive(shared):
    with RespConn.to(shared.proxy) as conn:
        conn.cmd("SET", "conv:short", "v", "PX", 1500)
        shared.demote("conv:short")
        eventually(lambda: conn.cmd("EXISTS", "conv:never") == 0 and shared.document("conv:short") is None, 10)
        assert conn.cmd("GET", "conv:short") is None


def test_verify_and_backfill_leave_it_alone(shared):
    with RespConn.to(shared.proxy) as conn:
        conn.cmd("RPUSH", "conv:quiet", "a")
        shared.demote("conv:quiet")
        for order in [{"kind": "verify"}, {"kind": "verify", "deep": True, "repair": True}, {"kind": "backfill"}]:
            status, move = shared.ask("/api/v1/moves", {"policy": "conv", **order})
            assert status == 200, move
            over = eventually(lambda move=move: next((m for m in shared.ask("/api/v1/moves")[1]["moves"] if m["id"] == move["id"] and
                                                     m["state"] == "done"), None), 20)
            assert over["found"] == 0, over
        assert shared.tier("conv:quiet") == "warm" and not shared.in_redis("conv:quiet")
        assert conn.cmd("LRANGE", "conv:quiet", 0, -1) == [b"a"]


# ---- rules ----


def test_rules_by_age_and_importance(tmp_path):
    world = Tiered(tmp_path, **{"conv.tier_warm_after": "1s", "conv.tier_cold_after": "2s", "conv.tier_importance": "importance"})
    text = "the quick brown fox jumps over the lazy dog, and again " * 20
    try:
        with RespConn.to(world.proxy) as conn:
            conn.cmd("RPUSH", "conv:dull", json.dumps({"role": "user", "content": text, "importance": 0.2}))
            conn.cmd("RPUSH", "conv:dear", json.dumps({"role": "user", "content": text, "importance": 0.9}))
            conn.cmd("HSET", "conv:hash", "importance", "0.7", "text", text)
            conn.cmd("SET", "conv:plain", text)
            eventually(lambda: world.behind.cmd("OBJECT", "IDLETIME", "conv:plain") >= 1, 10)
            code, swept = convctl(world, "tiers", "sweep")
            assert code == 0 and "2 changed tier" in swept, swept
            world.proxy.log_contains("level=info event=move_ended id=\\d+ kind=tier .* found=2 ")
            assert [world.tier(f"conv:{name}") != "working" for name in ("dull", "dear", "hash", "plain")] == [True, False, False, True]
            eventually(lambda: world.sweep() and world.tier("conv:dull") == "cold" and world.tier("conv:plain") == "cold", 15)
            packed = world.document("conv:plain")
            assert "v" not in packed and len(packed["z"]) < len(text) / 4
            assert conn.cmd("GET", "conv:plain") == text.encode()
            assert json.loads(conn.cmd("LRANGE", "conv:dull", 0, -1)[0])["content"] == text
            assert world.document("conv:plain")["v"] == text
            metrics = world.proxy.metrics()
            assert metrics['conv_tier_moves_total{from="cold",policy="conv",to="working"}'] == 2
            assert metrics['conv_tier_read_seconds_count{tier="cold"}'] == 2
    finally:
        world.stop()


@pytest.mark.parametrize("change, words", [({"conv.dual_write": "no"}, "dual_write"), ({"conv.tier_cold_after": "1s"}, "tier_warm_after"),
                                           ({"script.trace": "all"}, "script.trace")])
def test_what_tiers_can_not_have_is_refused(shared, change, words):
    status, answer = shared.ask("/api/v1/settings", change, "PUT")
    assert status == 400 and words in json.dumps(answer), answer


def convctl(world, *words):
    done = convctl_of(world.proxy, *words)
    return done.returncode, done.stdout + done.stderr


def test_convctl(shared):
    with RespConn.to(shared.proxy) as conn:
        conn.cmd("RPUSH", "conv:by hand", "a")
        code, text = convctl(shared, "tiers", "demote", "conv:by hand")
        assert code == 0 and "convctl tiers promote" in text and not shared.in_redis("conv:by hand")
        assert convctl(shared, "tiers", "show", "conv:by hand")[1].startswith("conv:by hand: warm")
        assert convctl(shared, "tiers", "promote", "conv:by hand")[0] == 0 and shared.in_redis("conv:by hand")
        assert convctl(shared, "tiers", "sweep")[0] == 0
        assert convctl(shared, "tiers", "demote", "raw") == (1, "convctl: refused: the key belongs to no policy with tiers\n")
        assert convctl(shared, "tiers", "demote")[0] == 2


# ---- when stores fail ----


@pytest.mark.parametrize("empty", [False, True], ids=["as it was", "empty"])
def test_redis_is_lost_and_comes_back(tmp_path, empty):
    world = Tiered(tmp_path)
    try:
        with RespConn.to(world.proxy, 15) as conn:
            for name in ("away", "read", "written", "gone", "home"):
                conn.cmd("RPUSH", f"conv:{name}", "a", "b")
            world.demote("conv:away", "conv:read", "conv:written", "conv:gone")
            world.behind.cmd("SAVE")
            world.redis.kill()
            world.acting("archive")
            assert conn.cmd("LRANGE", "conv:read", 0, -1) == [b"a", b"b"]
            assert conn.cmd("RPUSH", "conv:written", "c") == 3
            assert conn.cmd("DEL", "conv:gone") == 1
            if empty:
                world.redis.restart(empty=True)
            else:
                world.redis.start()
            world.acting("redis")
            world.behind = RespConn.to(world.redis)
            assert [world.in_redis(f"conv:{name}") for name in ("away", "read", "written", "gone", "home")] == [False, False, True, False, True]
            assert conn.cmd("DBSIZE") == 4
            for name, length in (("away", 2), ("read", 2), ("written", 3), ("gone", 0), ("home", 2)):
                assert conn.cmd("LLEN", f"conv:{name}") == length
            assert world.in_redis("conv:away")
    finally:
        world.stop()


def test_killed_while_the_archive_is_slow(tmp_path):
    """The document says warm, and the key has not left Redis yet; and the other way round on the way back."""
    world = Tiered(tmp_path)
    try:
        with RespConn.to(world.proxy) as conn:
            conn.cmd("RPUSH", "conv:half", "a")
            conn.cmd("RPUSH", "conv:back", "a")
        world.demote("conv:back")
        world.ask("/api/v1/archive/faults", {"plan": "op=commit delay=400ms"}, "PUT")
        leaving = threading.Thread(target=lambda: _quietly(lambda: world.move("conv:half", "warm")))
        coming = threading.Thread(target=lambda: _quietly(lambda: world.move("conv:back", "working")))
        leaving.start()
        coming.start()
        eventually(lambda: (world.document("conv:half") or {}).get("tier") is not None, 10)
        world.restart()
        leaving.join()
        coming.join()
        with RespConn.to(world.proxy) as conn:
            assert conn.cmd("RPUSH", "conv:half", "b") == 2
            assert conn.cmd("RPUSH", "conv:back", "b") == 2
    finally:
        world.stop()


def _quietly(call):
    try:
        call()
    except OSError:
        pass


def test_the_archive_is_away(tmp_path):
    world = Tiered(tmp_path, **{"failover.hold": "300ms"})
    try:
        with RespConn.to(world.proxy) as conn:
            conn.cmd("RPUSH", "conv:far", "a")
            conn.cmd("RPUSH", "conv:near", "a")
            world.demote("conv:far")
            world.ask("/api/v1/archive/faults", {"plan": "op=load fail=100% error=down"}, "PUT")
            assert isinstance(conn.cmd("LLEN", "conv:far"), RespError)
            assert conn.cmd("LLEN", "conv:near") == 1
            world.ask("/api/v1/archive/faults", {"plan": ""}, "PUT")
            eventually(lambda: conn.cmd("LLEN", "conv:far") == 1, 10)
    finally:
        world.stop()


def test_use_is_remembered(tmp_path):
    """How often a key was used outlives the process that has counted it."""
    world = Tiered(tmp_path)
    uses = lambda key: world.ask(f"/api/v1/tiers?key={key}")[1]["accesses"]
    try:
        with RespConn.to(world.proxy) as conn:
            eventually(lambda: conn.cmd("RPUSH", "conv:used", "a") and uses("conv:used") >= 5, 10)
            conn.cmd("SET", "raw", "1")
        before = uses("conv:used")
        assert uses("raw") == 0
        world.proxy.stop()
        world.proxy.start()
        world.acting("redis")
        assert eventually(lambda: uses("conv:used"), 10) == before
        world.restart()
        assert eventually(lambda: uses("conv:used"), 10) == before
    finally:
        world.stop()
