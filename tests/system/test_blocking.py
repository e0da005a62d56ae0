"""Blocking commands while Redis acts: on raw keys Redis lets the client wait, on managed keys (conv:*) the proxy does.

The same steps run on redis-server too; what clients hear must be the same, byte for byte."""
import os
import random
import socket
import struct
from contextlib import ExitStack, closing

import pytest
from harness import Proxy, RedisServer, RespConn, RespError, eventually
from harness.resp import encode
from harness.waiters import flags_of, stage

pytestmark = [pytest.mark.managed]

KINDS = ["raw", "managed"]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    server = RedisServer(tmp_path_factory.mktemp("served")).start()
    proxy = Proxy(tmp_path_factory.mktemp("proxy"), server.url, settings={"proxy.threads": 2}).start()
    with RespConn.to(proxy) as conn:
        eventually(lambda: conn.cmd("SET", "conv:ready", "1") == "OK")
    proxy.behind = server
    yield proxy
    proxy.stop()
    server.kill()


@pytest.fixture(params=KINDS)
def prefix(request, served, plain):
    """Keys begin with it: raw ones, or those of the policy conv. All are gone."""
    name = {"raw": "raw:", "managed": "conv:"}[request.param]
    for side in (served, plain):
        with RespConn.to(side) as conn:
            keys = conn.cmd("KEYS", name + "*")
            if keys:
                conn.cmd("DEL", *keys)
    return name


def named(prefix, command):
    """Words with a leading @ are keys."""
    return [prefix + word[1:] if isinstance(word, str) and word.startswith("@") else word for word in command]


def staged(side, prefix, *waits, resp=2):
    """Who waits for raw keys waits in Redis, wherever the client is; the next one comes behind."""
    behind = getattr(side, "behind", None) if prefix == "raw:" else None
    return stage(side, *(named(prefix, wait) for wait in waits), resp=resp, behind=behind)


def play(side, prefix, scene, resp, told):
    """(who still waits after each step, what the steps and the waiters were told, what can be seen in the end), all as bytes. told: who
    has to wait after each step, where that takes a moment: on managed keys an element is given right behind the answer to its push."""
    before, waits, after, looks = scene
    still, heard = [], []
    with RespConn.to(side) as conn:
        for step in before:
            reply = conn.cmd(*named(prefix, step))
            assert not isinstance(reply, RespError), reply
    with RespConn.to(side) as asker, staged(side, prefix, *waits, resp=resp) as (conn, waiters):

        def ask(command):
            conn.send_cmd(*named(prefix, command))
            return conn.read_with_bytes()[1]

        def who_waits():
            return [flags_of(asker, waiter.id) == "b" for waiter in waiters]

        for number, step in enumerate(after):
            heard.append(ask(step))
            if told is not None:
                eventually(lambda number=number: who_waits() == told[number])
            still.append(who_waits())
        heard += [None if waits_on else waiter.read_with_bytes()[1] for waiter, waits_on in zip(waiters, still[-1])]
        return still, heard, [ask(look) for look in looks]


def same(served, plain, prefix, *scene, resp=2):
    """Plays the scene on both; who is served is Redis's word."""
    theirs = play(plain, prefix, scene, resp, None)
    assert play(served, prefix, scene, resp, theirs[0]) == theirs


# ---- served by whatever makes an element ----

LISTS = {
    "blpop": ("BLPOP", "@k", "0"),
    "brpop": ("BRPOP", "@nokey", "@k", "0"),
    "blmove": ("BLMOVE", "@k", "@to", "LEFT", "RIGHT", "0"),
    "brpoplpush": ("BRPOPLPUSH", "@k", "@to", "0"),
    "blmpop": ("BLMPOP", "0", "2", "@nokey", "@k", "LEFT", "COUNT", "2"),
}
PUSHES = {
    "rpush": [("RPUSH", "@k", "v", "w")],
    "rename": [("RPUSH", "@from", "v"), ("RENAME", "@from", "@k")],
    "lmove": [("RPUSH", "@from", "v"), ("LMOVE", "@from", "@k", "LEFT", "RIGHT")],
    "multi": [("MULTI",), ("SET", "@x", "1"), ("RPUSH", "@k", "v"), ("EXEC",)],
}
LOOKS = [("LRANGE", "@k", "0", "-1"), ("LRANGE", "@to", "0", "-1"), ("EXISTS", "@nokey")]


@pytest.mark.parametrize("resp", [2, 3])
@pytest.mark.parametrize("wait", LISTS)
def test_lists(served, plain, prefix, wait, resp):
    same(served, plain, prefix, [], [LISTS[wait]], PUSHES["rpush"], LOOKS, resp=resp)


@pytest.mark.parametrize("push", PUSHES)
def test_lists_served_by(served, plain, prefix, push):
    same(served, plain, prefix, [], [LISTS["blpop"]], PUSHES[push], LOOKS)


ZSETS = {
    "bzpopmin": ("BZPOPMIN", "@z", "0"),
    "bzpopmax": ("BZPOPMAX", "@nokey", "@z", "0"),
    "bzmpop": ("BZMPOP", "0", "1", "@z", "MIN", "COUNT", "5"),
}


@pytest.mark.parametrize("resp", [2, 3])
@pytest.mark.parametrize("wait", ZSETS)
def test_sorted_sets(served, plain, prefix, wait, resp):
    same(served, plain, prefix, [], [ZSETS[wait]], [("ZADD", "@z", "1.5", "m", "2", "n")], [("ZRANGE", "@z", "0", "-1")], resp=resp)


STREAMS = {
    "xread": ("XREAD", "BLOCK", "0", "STREAMS", "@s", "@t", "$", "0"),
    "xread count": ("XREAD", "COUNT", "1", "BLOCK", "0", "STREAMS", "@s", "$"),
    "xreadgroup": ("XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "@s", ">"),
    "xreadgroup of two": ("XREADGROUP", "GROUP", "g", "c", "COUNT", "5", "BLOCK", "0", "STREAMS", "@r", "@s", ">", ">"),
}
GROUPS = [("XADD", "@s", "1-1", "f", "old"), ("XGROUP", "CREATE", "@s", "g", "$"), ("XGROUP", "CREATE", "@r", "g", "$", "MKSTREAM")]


@pytest.mark.parametrize("resp", [2, 3])
@pytest.mark.parametrize("wait", STREAMS)
def test_streams(served, plain, prefix, wait, resp):
    looks = [("XLEN", "@s"), ("XPENDING", "@s", "g")]
    same(served, plain, prefix, GROUPS, [STREAMS[wait]], [("XADD", "@s", "2-1", "f", "new")], looks, resp=resp)


def test_what_is_there_is_given_at_once(served, plain, prefix):
    before = [("RPUSH", "@k", "a", "b", "c", "d"), ("ZADD", "@z", "1", "m", "2", "n"), ("XADD", "@s", "1-1", "f", "v"), ("XGROUP", "CREATE", "@s", "g", "0")]
    commands = [
        LISTS["blpop"], LISTS["brpop"], LISTS["blmove"], ZSETS["bzpopmin"], ZSETS["bzpopmax"], LISTS["blmpop"],
        ("XREAD", "BLOCK", "0", "STREAMS", "@s", "0"), STREAMS["xreadgroup"], ("XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "@s", "0"),
    ]  # fmt: skip
    for resp in (2, 3):
        told = []
        for side in (served, plain):
            with RespConn.to(side) as conn:
                conn.cmd("HELLO", resp)
                conn.cmd("DEL", *named(prefix, ["@k", "@z", "@s", "@to"]))
                for step in before:
                    conn.cmd(*named(prefix, step))
                conn.send(b"".join(encode(*named(prefix, command)) for command in commands))
                told.append([conn.read_with_bytes()[1] for _ in commands])
        assert told[0] == told[1]


# ---- order ----


def test_first_come_first_served(served, plain, prefix):
    waits = [LISTS["blpop"], ("BRPOP", "@j", "@k", "0"), LISTS["blmove"], ("BLPOP", "@k", "@j", "0"), LISTS["blpop"]]
    same(served, plain, prefix, [], waits, [("RPUSH", "@k", "1", "2"), ("RPUSH", "@k", "3"), ("RPUSH", "@j", "4")], LOOKS)


def test_chain_of_moves(served, plain, prefix):
    waits = [("BLMOVE", "@b", "@c", "LEFT", "LEFT", "0"), ("BLMOVE", "@a", "@b", "LEFT", "LEFT", "0"), ("BLPOP", "@c", "0")]
    same(served, plain, prefix, [], waits, [("RPUSH", "@a", "v")], [("EXISTS", "@a", "@b", "@c")])


def test_other_types_wake_nobody(served, plain, prefix):
    after = [("SET", "@k", "text"), ("DEL", "@k"), ("ZADD", "@k", "1", "m"), ("DEL", "@k"), ("XADD", "@k", "1-1", "f", "v"), ("DEL", "@k")]
    same(served, plain, prefix, [], [LISTS["blpop"]], [*after, ("RPUSH", "@k", "v")], LOOKS)


def test_random_schedule(served, plain, prefix):
    """The same clients wait on the same keys in the same order: each gets the same."""
    seed = int(os.environ.get("CONV_SEED") or random.SystemRandom().randrange(1 << 30))
    print(f"CONV_SEED={seed}")
    for number in range(3):
        rng = random.Random(f"{seed}:{number}")
        keys = [f"@{number}{letter}" for letter in "abcd"]
        waits = [("BLPOP", *rng.sample(keys, rng.randint(1, 3)), "0") for _ in range(6)]
        pushes = [("RPUSH", rng.choice(keys), f"{i}a", f"{i}b") for i in range(5)]
        steps = []
        for side in (plain, served):
            with staged(side, prefix, *waits) as (conn, waiters):
                heard = []
                for at, push in enumerate(pushes):
                    conn.cmd(*named(prefix, push))
                    if side is served:
                        eventually(lambda at=at: [flags_of(conn, w.id) == "b" for w in waiters] == steps[at])
                    else:
                        steps.append([flags_of(conn, w.id) == "b" for w in waiters])
                heard = [None if waits_on else w.read() for w, waits_on in zip(waiters, steps[-1])]
                left = [conn.cmd("LRANGE", *named(prefix, [key]), "0", "-1") for key in keys]
            if side is plain:
                expected = heard, left
        assert (heard, left) == expected, (waits, pushes)


# ---- time, errors, MULTI ----

NILS = [
    ("BLPOP", "@k", "T"), ("BRPOP", "@k", "@j", "T"), ("BLMOVE", "@k", "@to", "LEFT", "LEFT", "T"), ("BRPOPLPUSH", "@k", "@to", "T"),
    ("BLMPOP", "T", "1", "@k", "LEFT"), ("BZPOPMIN", "@k", "T"), ("BZPOPMAX", "@k", "T"), ("BZMPOP", "T", "1", "@k", "MIN"),
    ("XREAD", "BLOCK", "M", "STREAMS", "@k", "$"), ("XREADGROUP", "GROUP", "g", "c", "BLOCK", "M", "STREAMS", "@s", ">"),
]  # fmt: skip


def timed(command, seconds):
    return [{"T": str(seconds), "M": str(int(seconds * 1000))}.get(word, word) for word in command]


@pytest.mark.parametrize("resp", [2, 3])
def test_nil_after_the_time(served, plain, prefix, resp):
    """All at once, each on a connection of its own."""
    told = []
    for side in (served, plain):
        with ExitStack() as stack:
            conns = [stack.enter_context(closing(RespConn.to(side))) for _ in NILS]
            conns[0].cmd("XGROUP", "CREATE", *named(prefix, ["@s"]), "g", "$", "MKSTREAM")
            for conn, command in zip(conns, NILS):
                conn.cmd("HELLO", resp)
                conn.send_cmd(*timed(named(prefix, command), 0.15))
            told.append([conn.read_with_bytes()[1] for conn in conns])
    assert told[0] == told[1]


ERRORS = [
    ("BLPOP", "@k", "-1"), ("BLPOP", "@k", "x"), ("BLPOP", "@k", "nan"), ("BLPOP", "@k", "1e400"), ("BLPOP", "@k", ""), ("BLPOP", "@k"),
    ("BLMPOP", "1", "0", "@k", "LEFT"), ("BLMPOP", "-1", "1", "@k", "LEFT"), ("BZMPOP", "0.1", "1", "@k", "MID"),
    ("BLMOVE", "@k", "@j", "UP", "LEFT", "0"), ("BLMOVE", "@k", "@j", "UP", "LEFT", "x"), ("BZPOPMIN", "@k", "-0.1"),
    ("XREAD", "BLOCK", "-1", "STREAMS", "@k", "$"), ("XREAD", "BLOCK", "x", "STREAMS", "@k", "$"),
    ("XREAD", "BLOCK", "1", "STREAMS", "@k", "@j", "$"), ("XREAD", "BLOCK", "1", "STREAMS", "@k", "nonsense"),
    ("XREADGROUP", "GROUP", "g", "c", "BLOCK", "10", "STREAMS", "@nokey", ">"), ("BLPOP", "@text", "0"), ("BLPOP", "@nokey", "@text", "0"),
    ("XREAD", "BLOCK", "0", "STREAMS", "@text", "$"), ("BZMPOP", "0", "1", "@text", "MAX"), ("BLMOVE", "@list", "@text", "LEFT", "LEFT", "0"),
]  # fmt: skip


def test_errors(served, plain, prefix):
    told = []
    for side in (served, plain):
        with RespConn.to(side) as conn:
            conn.cmd("SET", *named(prefix, ["@text"]), "v")
            conn.cmd("RPUSH", *named(prefix, ["@list"]), "v")
            told.append([(command, conn.cmd(*named(prefix, command))) for command in ERRORS])
    assert told[0] == told[1]
    assert all(isinstance(reply, RespError) for _, reply in told[0])


def test_inside_multi_nothing_waits(served, plain, prefix):
    told = []
    for side in (served, plain):
        with RespConn.to(side) as conn:
            conn.cmd("XGROUP", "CREATE", *named(prefix, ["@s"]), "g", "$", "MKSTREAM")
            told.append(conn.pipeline(("MULTI",), *(timed(named(prefix, command), 0) for command in NILS), ("EXEC",)))
    assert told[0] == told[1]


# ---- clients that leave, are told to, or go on ----


@pytest.mark.parametrize("how", ["close", "reset", "half", "kill"])
def test_nothing_is_taken_for_a_client_that_is_gone(served, prefix, how):
    key = prefix + "k"
    with staged(served, prefix, ("BLPOP", "@k", "0"), ("BLPOP", "@k", "0")) as (conn, [gone, stays]):
        if how == "kill":
            assert conn.cmd("CLIENT", "KILL", "ID", gone.id) == 1
        elif how == "half":
            gone.conn.sock.shutdown(socket.SHUT_WR)
        else:
            if how == "reset":
                gone.conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            gone.conn.close()
        eventually(lambda: flags_of(conn, gone.id) == "")
        conn.cmd("RPUSH", key, "v")
        assert stays.read() == [key.encode(), b"v"]
        if how in ("kill", "half"):
            assert gone.conn.closed()


@pytest.mark.parametrize("reason, reply", [((), None), (("TIMEOUT",), None), (("error",), "UNBLOCKED client unblocked via CLIENT UNBLOCK")])
def test_client_unblock(served, prefix, reason, reply):
    key = prefix + "k"
    with staged(served, prefix, ("BLPOP", "@k", "0"), ("BLPOP", "@k", "0")) as (conn, [first, second]):
        assert conn.cmd("CLIENT", "UNBLOCK", first.id, *reason) == 1
        assert first.read() == reply
        eventually(lambda: flags_of(conn, first.id) == "N")
        assert conn.cmd("CLIENT", "UNBLOCK", first.id, *reason) == 0
        conn.cmd("RPUSH", key, "v")
        assert second.read() == [key.encode(), b"v"]
        assert first.conn.cmd("PING") == "PONG"


def test_commands_behind_one_that_waits(served, prefix):
    key, other = prefix + "k", prefix + "x"
    with stage(served) as (conn, _), RespConn.to(served) as waiter:
        number = waiter.cmd("CLIENT", "ID")
        commands = [("SET", other, "1"), ("BLPOP", key, "0"), ("INCR", other), ("BLPOP", key, "0"), ("QUIT",)]
        waiter.send(b"".join(encode(*c) for c in commands))
        assert waiter.read() == "OK"
        eventually(lambda: flags_of(conn, number) == "b")
        assert conn.cmd("GET", other) == b"1"
        conn.cmd("RPUSH", key, "1", "2")
        assert [waiter.read() for _ in range(4)] == [[key.encode(), b"1"], 2, [key.encode(), b"2"], "OK"]
        assert waiter.closed()
