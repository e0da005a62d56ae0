"""Moves outlive the process that does them: the next one knows where each was, and goes on with it, by itself or when it is told to."""
import json
import sqlite3
import subprocess
from pathlib import Path

import bson
import pytest
from harness import Proxy, RedisServer, RespConn, eventually
from harness.proxy import binary

pytestmark = [pytest.mark.managed, pytest.mark.timeout(120)]

KEYS = 3000


class World:
    """A Redis that had keys before there was a proxy, and the proxy's archive."""

    def __init__(self, folder, keys=KEYS, **settings):
        self.redis = RedisServer(folder).start()
        with RespConn.to(self.redis) as conn:
            conn.pipeline(*(("SET", f"conv:{i}", f"value {i}") for i in range(keys)))
        settings = {"conv.ttl": "0s", "conv.max_messages": 0, **settings}
        self.proxy = Proxy(folder, self.redis.url, "", settings=settings)

    def start(self, **settings):
        self.proxy.settings.update(settings)
        self.proxy.start()
        eventually(lambda: self.proxy.get_json("/api/v1/primary")["placement"][0]["phase"] == "redis", 20)

    def database(self, query):
        with sqlite3.connect(f"file:{self.proxy.directory() / 'data' / 'convproxy.db'}?mode=ro", uri=True) as db:
            return db.execute(query).fetchall()

    def kept(self, kind):
        """What the archive remembers of the move; None: nothing."""
        rows = self.database("SELECT doc FROM control WHERE name = 'moves'")
        listed = bson.decode(rows[0][0])["moves"] if rows else []
        return next((m for m in listed if m["kind"] == kind), None)

    def kill_when(self, ready):
        """kill -9 as soon as ready says so of what the archive remembers; what it said."""
        what = eventually(ready, 30)
        self.proxy.kill()
        return what

    def move(self, kind):
        """The newest of the kind."""
        return next((m for m in self.proxy.get_json("/api/v1/moves")["moves"] if m["kind"] == kind), None)

    def ask(self, path, body):
        status, text = self.proxy.http(path, body)
        return status, json.loads(text)

    def stop(self):
        self.proxy.stop()
        self.redis.kill()


@pytest.fixture
def world(tmp_path):
    made = []

    def make(**how):
        made.append(World(tmp_path, **how))
        return made[0]

    yield make
    for one in made:
        one.stop()


def convctl(proxy, *words):
    tool = Path(binary()).parent / "convctl"
    if not tool.exists():  # a build for a sanitizer may have the proxy alone
        tool = Path(__file__).resolve().parents[2] / "build" / "convctl"
    return subprocess.run([tool, "--url", proxy.admin_url(""), *words], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.sanitize
def test_a_backfill_goes_on(world):
    """It is killed in the middle: the next process goes on by itself, from about where it was, and the archive gets all of it."""
    w = world(**{"sync.rate": 1000})
    w.start()
    before = w.kill_when(lambda: (m := w.kept("backfill")) and m["done"] > KEYS / 4 and m)
    assert before["state"] == "running" and before["done"] < KEYS
    w.start(**{"sync.rate": 0})
    move = eventually(lambda: (m := w.move("backfill")) and m["state"] == "done" and m, 30)
    assert move["id"] == before["id"]
    # at most what was done between the last time that the cursor was written and the end is done again
    assert KEYS <= move["done"] <= KEYS + (KEYS - before["done"]), (before, move)
    assert w.database("SELECT count(*) FROM doc") == [(KEYS,)]
    status, order = w.ask("/api/v1/moves", {"kind": "verify", "policy": "conv", "deep": True})
    assert status == 200
    over = eventually(lambda: (m := w.move("verify")) and m["id"] == order["id"] and m["state"] == "done" and m, 30)
    assert over["found"] == 0
    eventually(lambda: w.kept("backfill") is None, 10)  # it is over: nobody does it again


def test_what_was_ordered_is_offered_again(world):
    """A verify, and an audit that waited for it: by HTTP, convctl and RESP."""
    w = world(**{"conv.ttl": "600s"})
    w.start()
    eventually(lambda: (m := w.move("backfill")) and m["state"] == "done", 30)
    for order in ({"kind": "verify", "rate": 2000}, {"kind": "ttl-audit"}, {"kind": "drain"}):
        assert w.ask("/api/v1/moves", {"policy": "conv", **order})[0] == 200
    assert w.ask("/api/v1/moves/abort", {"id": w.move("drain")["id"]})[0] == 200
    before = w.kill_when(lambda: (m := w.kept("verify")) and m["done"] > KEYS / 4 and (w.kept("drain") or m)["state"] == "aborted" and m)
    w.start()
    kinds = ("verify", "ttl-audit", "drain")
    found = eventually(lambda: all(w.move(kind) for kind in kinds) and {kind: w.move(kind) for kind in kinds}, 10)
    assert [m["state"] for m in found.values()] == ["interrupted", "interrupted", "aborted"]
    assert found["verify"]["done"] == before["done"] and found["verify"]["id"] == before["id"]
    assert w.proxy.metrics()['conv_moves{kind="verify",state="interrupted"}'] == 1
    assert "interrupted" in convctl(w.proxy, "moves").stdout
    assert w.ask("/api/v1/moves/resume", {"id": before["id"]})[0] == 200
    assert convctl(w.proxy, "resume", str(found["ttl-audit"]["id"])).returncode == 1  # it watches, and all keys lack a TTL
    with RespConn.to(w.proxy) as conn:
        assert conn.cmd("CONV", "RESUME", found["drain"]["id"]) == "OK"
    over = eventually(lambda: all((m := w.move(kind))["state"] == "done" for kind in found) and {k: w.move(k) for k in found}, 30)
    assert over["verify"]["found"] == 0 and over["ttl-audit"]["found"] >= KEYS
    assert 2 * KEYS <= over["verify"]["done"] <= 3 * KEYS  # both stores; it did not begin anew
    w.proxy.stop()
    w.start()  # and it ends with nothing to be done
    assert w.proxy.get_json("/api/v1/moves")["moves"] == []


def test_what_was_written_without_dual_writes_is_carried(world):
    """They are off in one process and on in the next: nobody has to remember."""
    w = world(keys=0, **{"conv.dual_write": "no"})
    w.start()
    with RespConn.to(w.proxy) as conn:
        conn.pipeline(*(("SET", f"conv:{i}", "1") for i in range(20)))
    eventually(lambda: w.database("SELECT count(*) FROM control WHERE name = 'moves'") == [(1,)], 10)
    w.proxy.stop()
    assert w.database("SELECT count(*) FROM doc") == [(0,)]
    w.start(**{"conv.dual_write": "yes"})
    eventually(lambda: (m := w.move("backfill")) and m["state"] == "done", 20)
    assert w.database("SELECT count(*) FROM doc") == [(20,)]
    w.proxy.stop()
    w.start()
    assert w.move("backfill") is None
