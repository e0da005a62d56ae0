"""docs/archive.md shows documents and queries: here each query of its table is asked, as pymongo has it, of documents that
the proxy has written; what the embedded file holds is what the page says, too."""
import datetime
import re
import sqlite3
import time

import bson
import pymongo
import pytest
from bson.regex import Regex
from harness import Proxy, RespConn, RespError, eventually, free_port
from harness.mongo_server import SECOND, mongo_kind, start_mongo
from harness.proxy import ROOT

pytestmark = pytest.mark.timeout(120)
PAGE = (ROOT / "docs" / "archive.md").read_text()
SETTINGS = {"conv.match": "*", "conv.primary": "archive", "conv.ttl": 0, "conv.max_messages": 0}
CONTENT = [
    ("RPUSH", "conv:acme:1", *(f"message {i}" for i in range(7)), "I want a refund"),
    ("EXPIRE", "conv:acme:1", 1800),
    ("RPUSH", "conv:acme:2", "hello", b"\xff\x00"),
    ("RPUSH", "conv:beta:1", "hello"),
    ("EXPIRE", "conv:beta:1", 864000),
    ("SET", "conv:beta:note", "text"),
    ("HSET", "user:1", "name", "Ada", "lang", "en"),
    ("SADD", "tags", "red", "green"),
    ("ZADD", "board", 3, "c", 1, "a", 2, "b"),
    ("XADD", "events", "1-1", "kind", "login"),
    ("XGROUP", "CREATE", "events", "workers", "0"),
    ("XREADGROUP", "GROUP", "workers", "w1", "STREAMS", "events", ">"),
    ("SET", b"\xff\xfe", "a key that is not text"),
]


def fill(proxy):
    with RespConn.to(proxy, timeout=30) as conn:
        eventually(lambda: conn.cmd("SET", "ready", 1) == "OK" and conn.cmd("DEL", "ready") == 1, 20)
        replies = conn.pipeline(*CONTENT)
    assert not any(isinstance(reply, RespError) for reply in replies), replies


@pytest.fixture(scope="module", params=["mongo", SECOND.name])
def keys(request, tmp_path_factory):
    """The collection of documents, of each server there is."""
    kind = SECOND if request.param == SECOND.name else mongo_kind()
    folder = tmp_path_factory.mktemp(kind.name)
    server = start_mongo(kind, folder)
    nobody = f"redis://127.0.0.1:{free_port()}/0"
    proxy = Proxy(folder, nobody, settings={**SETTINGS, "archive.url": server.url, "archive.timeout": "20s"}).start()
    fill(proxy)
    client = server.client(tz_aware=True)
    yield Collection(kind.name, client[pymongo.uri_parser.parse_uri(server.url)["database"]]["keys"])
    client.close()
    proxy.stop()
    server.kill()


class Collection:
    """The collection, and which server it is of."""

    def __init__(self, server, keys):
        self.server, self.keys = server, keys


def soon():
    now = datetime.datetime.now(datetime.timezone.utc)
    return {"exp": {"$gte": now, "$lt": now + datetime.timedelta(hours=1)}}


# What mongosh has on the page → (pymongo, what it must find).
QUERIES = {
    'db.keys.findOne({_id: "conv:acme:1"}).v': (
        lambda keys: keys.find_one({"_id": "conv:acme:1"})["v"], [*(f"message {i}" for i in range(7)), "I want a refund"]),
    'db.keys.find({_id: "conv:acme:1"}, {v: {$slice: -5}})': (
        lambda keys: [d["v"] for d in keys.find({"_id": "conv:acme:1"}, {"v": {"$slice": -5}})],
        [["message 3", "message 4", "message 5", "message 6", "I want a refund"]]),
    "db.keys.countDocuments({_id: /^conv:acme:/})": (
        lambda keys: keys.count_documents({"_id": Regex("^conv:acme:")}), 2),
    'db.keys.aggregate([{$match: {_id: /^conv:acme:/}}, {$group: {_id: null, messages: {$sum: "$n"}}}])': (
        lambda keys: list(keys.aggregate([{"$match": {"_id": Regex("^conv:acme:")}},
                                          {"$group": {"_id": None, "messages": {"$sum": "$n"}}}])),
        [{"_id": None, "messages": 10}]),
    'db.keys.aggregate([{$group: {_id: "$t", keys: {$sum: 1}, elements: {$sum: "$n"}}}, {$sort: {_id: 1}}])': (
        lambda keys: [(d["_id"], d["keys"], d["elements"]) for d in keys.aggregate(
            [{"$group": {"_id": "$t", "keys": {"$sum": 1}, "elements": {"$sum": "$n"}}}, {"$sort": {"_id": 1}}])],
        [("hash", 1, 2), ("list", 3, 11), ("set", 1, 2), ("stream", 1, 1), ("string", 2, 2), ("zset", 1, 3)]),
    "db.keys.find({exp: {$gte: new Date(), $lt: new Date(Date.now() + 3600000)}}, {exp: 1}).sort({exp: 1})": (
        lambda keys: [d["_id"] for d in keys.find(soon(), {"exp": 1}).sort("exp", 1)], ["conv:acme:1"]),
    'db.keys.find({t: "list"}, {n: 1}).sort({n: -1}).limit(2)': (
        lambda keys: [(d["_id"], d["n"]) for d in keys.find({"t": "list"}, {"n": 1}).sort("n", -1).limit(2)],
        [("conv:acme:1", 8), ("conv:acme:2", 2)]),
    'db.keys.find({t: "list", v: /refund/}, {_id: 1})': (
        lambda keys: list(keys.find({"t": "list", "v": Regex("refund")}, {"_id": 1})), [{"_id": "conv:acme:1"}]),
    'db.keys.find({t: "hash", v: {$elemMatch: {f: "lang", v: "en"}}}, {_id: 1})': (
        lambda keys: list(keys.find({"t": "hash", "v": {"$elemMatch": {"f": "lang", "v": "en"}}}, {"_id": 1})), [{"_id": "user:1"}]),
    "db.keys.find({at: {$gte: new Date(Date.now() - 3600000)}}).count()": (
        lambda keys: keys.count_documents(
            {"at": {"$gte": datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)}}), 9),
}


# FerretDB 1.24 answers without an error, and wrongly: 0 for a sum beside another accumulator in groups by a field.
WRONG = {("ferretdb", next(shown for shown in QUERIES if "elements: {$sum" in shown))}


def test_the_page_has_these_queries():
    block = re.search(r"<!-- queries:begin -->\n```js\n(.*?)```", PAGE, re.DOTALL).group(1)
    shown = [line for line in block.splitlines() if line.startswith("db.")]
    assert shown == list(QUERIES)


@pytest.mark.parametrize("shown", QUERIES)
def test_query(keys, shown):
    ask, expected = QUERIES[shown]
    try:
        found = ask(keys.keys)
    except pymongo.errors.OperationFailure as refusal:
        pytest.skip(f"{keys.server} can't: {refusal}")
    if (keys.server, shown) in WRONG and found != expected:
        pytest.skip(f"{keys.server} answers {found}")
    assert found == expected


def test_documents(keys):
    """Fields and values as the page shows them."""
    by_id = {d["_id"]: d for d in keys.keys.find()}
    common = {"_id", "t", "n", "exp", "enc", "v", "ver", "h", "at"}
    for doc in by_id.values():
        assert common <= set(doc) and doc["ver"] > 0, doc
        for field in set(doc):
            assert f"`{field}`" in PAGE, f"the page does not name {field}"
    assert by_id["conv:acme:2"]["v"] == ["hello", b"\xff\x00"] and by_id["conv:acme:2"]["exp"] is None
    assert by_id["user:1"]["v"] == [{"f": "name", "v": "Ada"}, {"f": "lang", "v": "en"}]
    assert by_id["board"]["v"] == [{"m": "a", "s": 1.0}, {"m": "b", "s": 2.0}, {"m": "c", "s": 3.0}]
    assert sorted(by_id["tags"]["v"]) == ["green", "red"]
    assert by_id["hex:fffe"]["v"] == "a key that is not text"
    stream = by_id["events"]["v"]
    assert stream["entries"] == [{"id": "1-1", "f": ["kind", "login"]}] and stream["last"] == "1-1"
    (group,) = stream["groups"]
    assert group["name"] == "workers" and [c["name"] for c in group["consumers"]] == ["w1"]
    assert [(p["id"], p["c"], p["n"]) for p in group["pending"]] == [("1-1", 0, 1)]


def test_embedded_file(tmp_path):
    """The SQLite file: tables and columns as on the page; doc is the same BSON."""
    path = tmp_path / "archive.db"
    proxy = Proxy(tmp_path, f"redis://127.0.0.1:{free_port()}/0", settings={**SETTINGS, "archive.url": f"sqlite:{path}"})
    proxy.start()
    try:
        before = time.time()
        fill(proxy)
        with sqlite3.connect(path) as db:
            tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
            assert tables == ["control", "doc", "total"] and all(f"`{name}`" in PAGE for name in tables)
            for column in (row[1] for row in db.execute("PRAGMA table_info(doc)")):
                assert f"`{column}`" in PAGE, column
            key, expire, kind, doc = db.execute(
                "SELECT CAST(key AS TEXT), expire, type, doc FROM doc WHERE key = CAST('conv:acme:1' AS BLOB)").fetchone()
            db.text_factory = bytes  # keys need not be text
            sql = re.search(r"```sql\n(.*?)```", PAGE, re.DOTALL).group(1)
            for statement in filter(str.strip, sql.split(";")):
                assert db.execute(statement).fetchall(), statement
        document = bson.decode(doc)
        assert (key, kind) == ("conv:acme:1", 2) and document["v"][-1] == "I want a refund"
        assert 0 < expire - before * 1000 - 1800_000 < 60_000
    finally:
        proxy.stop()
