"""What both stores hold, read directly: values, expiries, versions, and what is left of the protocol's work. C10: when all has
healed they are the same, and nothing is left."""
import dataclasses
import datetime
import sqlite3
import time

import bson
import bson.codec_options

PREFIXES = ("conv:", "trim:", "ttl:")
PAGE = 500
NAIVE = bson.CodecOptions(datetime_conversion=bson.codec_options.DatetimeConversion.DATETIME_MS)
TYPES = {0: "none", 1: "string", 2: "list", 3: "hash", 4: "set", 5: "zset", 6: "stream"}


@dataclasses.dataclass(frozen=True)
class State:
    """One key in one store."""

    type: str
    value: object  # list, set (frozenset), hash (dict), or bytes
    expire: int  # ms since 1970; -1: never
    version: int


# ---- Redis ----


def _redis_value(client, key, kind):
    if kind == "list":
        return client.lrange(key, 0, -1)
    if kind == "set":
        return frozenset(client.smembers(key))
    if kind == "hash":
        return client.hgetall(key)
    return client.get(key)


def redis_states(client):
    """key -> State, of all managed keys. The client decodes nothing."""
    found, versions = {}, client.hgetall("cvp:ver")
    for key in client.scan_iter(count=PAGE):
        if not key.decode(errors="replace").startswith(PREFIXES):
            continue
        kind, expire = client.type(key).decode(), client.execute_command("PEXPIRETIME", key)
        if kind != "none":
            found[key.decode()] = State(kind, _redis_value(client, key, kind), expire, int(versions.get(key, 0)))
    return found


def redis_leftovers(client):
    """Lines: marks and claims that are there."""
    dirty = client.scard("cvp:dirty")
    if dirty:
        yield f"{dirty} marks in cvp:dirty: {sorted(client.srandmember('cvp:dirty', 5))}"
    for key in client.scan_iter(match="cvp:busy:*", count=PAGE):
        yield f"{key.decode()} holds {client.scard(key)} claims"


# ---- the archive ----


def as_bytes(value):
    return value.encode() if isinstance(value, str) else bytes(value)


def _document_value(kind, v):
    if kind == "list":
        return [as_bytes(item) for item in v]
    if kind == "set":
        return frozenset(as_bytes(item) for item in v)
    if kind == "hash":
        return {as_bytes(item["f"]): as_bytes(item["v"]) for item in v}
    return as_bytes(v)


def _expire(moment):
    if moment is None:
        return -1
    if isinstance(moment, datetime.datetime):
        return round(moment.replace(tzinfo=datetime.UTC).timestamp() * 1000)
    return int(moment)


def _state(doc):
    return State(doc["t"], _document_value(doc["t"], doc["v"]), _expire(doc.get("exp")), doc["ver"])


def sqlite_documents(path):
    """(document, dirty) of each key."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5) as db:
        for dirty, doc in db.execute("SELECT dirty, doc FROM doc").fetchall():
            yield bson.decode(doc, NAIVE), bool(dirty)


def mongo_documents(server):
    with server.client() as client:
        keys = client.get_database("convproxy", codec_options=NAIVE).get_collection("keys")
        for doc in keys.find({}):
            yield doc, bool(doc.get("dirty"))


def documents(archive):
    return list(sqlite_documents(archive.path) if archive.kind == "sqlite" else mongo_documents(archive.server))


def archive_states(archive):
    """key -> State, without tombstones and what waits to be swept."""
    docs, now_ms = (doc for doc, _ in documents(archive)), time.time() * 1000
    found = {doc["_id"]: _state(doc) for doc in docs if doc["t"] != "none" and doc["_id"].startswith(PREFIXES)}
    return {key: state for key, state in found.items() if not 0 <= state.expire <= now_ms}


def archive_leftovers(archive):
    """Lines: documents that are owed to Redis, or that the archive still calls its own."""
    for doc, dirty in documents(archive):
        for what, there in (("dirty", dirty), ("a base", "base" in doc), ("a journal", "j" in doc or "jx" in doc)):
            if there:
                yield f"{doc['_id']} has {what} (own {doc.get('own')}, version {doc['ver']})"


# ---- both ----


def alive(states, now_ms, margin_ms=1000):
    """Without what has expired, or will while we look."""
    return {key: s for key, s in states.items() if not 0 <= s.expire < now_ms + margin_ms}


def differences(redis, archive):
    """Lines of C10. Both as *_states."""
    now_ms = time.time() * 1000
    redis, archive = alive(redis, now_ms), alive(archive, now_ms)
    for key in sorted(redis.keys() | archive.keys()):
        ours, theirs = redis.get(key), archive.get(key)
        if ours is None or theirs is None:
            yield key, f"is only in {'Redis' if theirs is None else 'the archive'}: {_short(ours or theirs)}"
            continue
        for field in ("type", "value", "expire", "version"):
            if getattr(ours, field) != getattr(theirs, field):
                yield key, f"{field} differs: Redis {_cut(ours, field)}, archive {_cut(theirs, field)}"
                break


def _cut(state, field):
    text = repr(getattr(state, field))
    return text if len(text) < 160 else f"{text[:80]} … {text[-60:]}"


def _short(state):
    return f"{state.type} {_cut(state, 'value')} version {state.version}"
