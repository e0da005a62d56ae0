"""Blocking commands on keys of the archive: who is served when, with what, and what becomes of those that wait.

Where it can be, the same steps run on redis-server too, and the replies must be the same byte for byte."""
import os
import random
import socket
import struct
import time
from contextlib import ExitStack, closing

import pytest
from harness import NOBODY, SERVES_ALL, Proxy, RedisServer, RespConn, RespError, eventually
from harness.resp import encode
from harness.proxy import taken_over
from harness.waiters import flags_of, stage

pytestmark = [pytest.mark.sanitize, pytest.mark.managed]



# ---- served at once, by whatever makes an element ----

PUSHES = {
    "rpush": [("RPUSH", "k", "v")],
    "lpush": [("LPUSH", "k", "v")],
    "multi": [("MULTI",), ("SET", "other", "1"), ("RPUSH", "k", "v"), ("EXEC",)],
    "rename": [("RPUSH", "from", "v"), ("RENAME", "from", "k")],
    "copy": [("RPUSH", "from", "v"), ("COPY", "from", "k")],
    "sort": [("RPUSH", "from", "v"), ("SORT", "from", "ALPHA", "STORE", "k")],
    "lmove": [("RPUSH", "from", "v"), ("LMOVE", "from", "k", "LEFT", "RIGHT")],
    "rpoplpush": [("RPUSH", "from", "v"), ("RPOPLPUSH", "from", "k")],
    "linsert": [("MULTI",), ("RPUSH", "k", "w"), ("LINSERT", "k", "BEFORE", "w", "v"), ("LREM", "k", "1", "w"), ("EXEC",)],
}
WAITS = {
    "blpop": (("BLPOP", "k", "0"), [b"k", b"v"]),
    "brpop": (("BRPOP", "nokey", "k", "0"), [b"k", b"v"]),
    "blmove": (("BLMOVE", "k", "to", "LEFT", "RIGHT", "0"), b"v"),
    "brpoplpush": (("BRPOPLPUSH", "k", "to", "0"), b"v"),
    "blmpop": (("BLMPOP", "0", "2", "nokey", "k", "LEFT"), [b"k", [b"v"]]),
}


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("push", PUSHES)
def test_served_by(side, push, wait):
    command, served = WAITS[wait]
    with stage(side, command) as (conn, [waiter]):
        started = time.monotonic()
        for step in PUSHES[push]:
            assert not isinstance(conn.cmd(*step), RespError)
        assert waiter.read() == served
        assert time.monotonic() - started < 2, "it came by looking again, not by being woken"
        assert conn.cmd("EXISTS", "k") == 0


def test_served_by_restore(side):
    with RespConn.to(side) as conn:
        conn.cmd("RPUSH", "from", "v")
        payload = conn.cmd("DUMP", "from")
    with stage(side, ("BLPOP", "k", "0")) as (conn, [waiter]):
        assert conn.cmd("RESTORE", "k", "0", payload) == "OK"
        assert waiter.read() == [b"k", b"v"]


ZADDS = {
    "zadd": [("ZADD", "z", "1", "m")],
    "zincrby": [("ZINCRBY", "z", "1", "m")],
    "zunionstore": [("ZADD", "from", "1", "m"), ("ZUNIONSTORE", "z", "1", "from")],
    "zrangestore": [("ZADD", "from", "1", "m"), ("ZRANGESTORE", "z", "from", "0", "-1")],
    "geoadd": [("ZADD", "from", "1", "m"), ("RENAME", "from", "z")],
}
ZWAITS = {
    "bzpopmin": (("BZPOPMIN", "z", "0"), [b"z", b"m", b"1"]),
    "bzpopmax": (("BZPOPMAX", "nokey", "z", "0"), [b"z", b"m", b"1"]),
    "bzmpop": (("BZMPOP", "0", "1", "z", "MIN"), [b"z", [[b"m", b"1"]]]),
}


@pytest.mark.parametrize("wait", ZWAITS)
@pytest.mark.parametrize("push", ZADDS)
def test_sorted_sets_served_by(side, push, wait):
    command, served = ZWAITS[wait]
    with stage(side, command) as (conn, [waiter]):
        for step in ZADDS[push]:
            assert not isinstance(conn.cmd(*step), RespError)
        assert waiter.read() == served


def test_doubles_of_resp3(side):
    with stage(side, ("BZPOPMIN", "z", "0"), resp=3) as (conn, [waiter]):
        conn.cmd("ZADD", "z", "1.5", "m")
        assert waiter.read() == [b"z", b"m", 1.5]


def test_what_is_pushed_can_be_gone_at_once(side):
    """Several elements, fewer than wait: the rest waits on."""
    with stage(side, ("BLPOP", "k", "0"), ("BLPOP", "k", "0"), ("BLPOP", "k", "0")) as (conn, waiters):
        assert conn.cmd("RPUSH", "k", "1", "2") == 2
        assert [waiters[0].read(), waiters[1].read()] == [[b"k", b"1"], [b"k", b"2"]]
        assert flags_of(conn, waiters[2].id) == "b"
        assert conn.cmd("RPUSH", "k", "3") == 1
        assert waiters[2].read() == [b"k", b"3"]


def test_chain_of_moves(side):
    """What one waiter is given is what the next one waits for."""
    commands = [("BLMOVE", "b", "c", "LEFT", "LEFT", "0"), ("BLMOVE", "a", "b", "LEFT", "LEFT", "0"), ("BLPOP", "c", "0")]
    with stage(side, *commands) as (conn, waiters):
        conn.cmd("RPUSH", "a", "v")
        assert [w.read() for w in waiters] == [b"v", b"v", [b"c", b"v"]]


def test_other_types_wake_nobody(side):
    with stage(side, ("BLPOP", "k", "0")) as (conn, [waiter]):
        conn.cmd("SET", "k", "text")
        conn.cmd("DEL", "k")
        conn.cmd("ZADD", "k", "1", "m")
        conn.cmd("DEL", "k")
        assert flags_of(conn, waiter.id) == "b"
        conn.cmd("RPUSH", "k", "v")
        assert waiter.read() == [b"k", b"v"]


def test_wrong_type_from_the_beginning(side):
    with RespConn.to(side) as conn:
        conn.cmd("SET", "k", "text")
        assert conn.cmd("BLPOP", "k", "0").startswith("WRONGTYPE")
        assert conn.cmd("BLPOP", "nokey", "k", "0").startswith("WRONGTYPE")


# ---- order ----


def test_first_come_first_served(side):
    commands = [("BLPOP", "k", "0"), ("BRPOP", "j", "k", "0"), ("BLMOVE", "k", "to", "LEFT", "LEFT", "0"), ("BLPOP", "k", "j", "0")]
    with stage(side, *commands) as (conn, waiters):
        for value in ("1", "2", "3", "4"):
            conn.cmd("RPUSH", "k", value)
        assert [w.read() for w in waiters] == [[b"k", b"1"], [b"k", b"2"], b"3", [b"k", b"4"]]


def test_keys_of_a_transaction_in_the_order_they_were_written(side):
    """The first key that was written decides, not the first one that the client named."""
    with stage(side, ("BLPOP", "a", "b", "0"), ("BLPOP", "b", "0")) as (conn, waiters):
        conn.pipeline(("MULTI",), ("RPUSH", "b", "vb"), ("RPUSH", "a", "va"), ("EXEC",))
        assert waiters[0].read() == [b"b", b"vb"]
        assert flags_of(conn, waiters[1].id) == "b"
        assert conn.cmd("LRANGE", "a", "0", "-1") == [b"va"]


def test_a_woken_client_goes_before_a_new_one(side):
    """A pop that comes behind the push in one pipeline finds nothing: the element is the waiter's."""
    with stage(side, ("BLPOP", "k", "0")) as (conn, [waiter]):
        assert conn.pipeline(("RPUSH", "k", "v"), ("LPOP", "k"), ("LLEN", "k")) == [1, None, 0]
        assert waiter.read() == [b"k", b"v"]


def test_random_schedule(durable, plain):
    """The same clients wait on the same keys in the same order: each gets the same."""
    seed = int(os.environ.get("CONV_SEED") or random.SystemRandom().randrange(1 << 30))
    print(f"CONV_SEED={seed}")
    for number in range(6):
        rng = random.Random(f"{seed}:{number}")
        waits = [("BLPOP", *rng.sample("abcd", rng.randint(1, 3)), "0") for _ in range(8)]
        pushes = [("RPUSH", rng.choice("abcd"), f"{i}a", f"{i}b") for i in range(6)]
        results, served = [], None
        for server in (plain, durable):
            with RespConn.to(server) as conn:
                conn.cmd("FLUSHALL")
            with stage(server, *waits) as (conn, waiters):
                for push in pushes:
                    conn.cmd(*push)
                if served is not None:  # the proxy answers the push before those who wait
                    eventually(lambda: served == [flags_of(conn, w.id) == "N" for w in waiters])
                served = [flags_of(conn, w.id) == "N" for w in waiters]
                got = [w.read() if done else None for w, done in zip(waiters, served)]
                results.append((got, [conn.cmd("LRANGE", key, "0", "-1") for key in "abcd"]))
        assert results[0] == results[1], (waits, pushes)


# ---- time ----

NILS = [
    ("BLPOP", "k", "T"), ("BRPOP", "k", "T"), ("BLMOVE", "k", "to", "LEFT", "LEFT", "T"), ("BRPOPLPUSH", "k", "to", "T"),
    ("BLMPOP", "T", "1", "k", "LEFT"), ("BZPOPMIN", "k", "T"), ("BZPOPMAX", "k", "T"), ("BZMPOP", "T", "1", "k", "MIN"),
    ("XREAD", "BLOCK", "M", "STREAMS", "k", "$"), ("XREADGROUP", "GROUP", "g", "c", "BLOCK", "M", "STREAMS", "s", ">"),
]  # fmt: skip


@pytest.mark.parametrize("resp", [2, 3])
@pytest.mark.parametrize("command", NILS, ids=lambda command: command[0].lower())
def test_nil_after_the_time(durable, plain, command, resp):
    command = [{"T": "0.15", "M": "150"}.get(word, word) for word in command]
    seen = []
    for server in (durable, plain):
        with RespConn.to(server) as conn:
            conn.cmd("FLUSHALL")
            conn.cmd("HELLO", resp)
            conn.cmd("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
            conn.send_cmd(*command)
            started = time.monotonic()
            seen.append(conn.read_with_bytes()[1])
            took = time.monotonic() - started
            assert 0.14 <= took < 1.0, took
    assert seen[0] == seen[1]


def test_a_slow_archive_does_not_hold_up_the_clock(make_proxy):
    """Each look at whether the archive is well takes longer than the clients want to wait."""
    proxy = make_proxy(NOBODY, settings={**SERVES_ALL, "archive.faults": "1"}).start()
    with RespConn.to(proxy) as conn:
        assert not isinstance(conn.cmd("CONV", "FAULT", "op=ping delay=2000ms"), RespError)
        slow = 0
        for _ in range(10):
            started = time.monotonic()
            assert conn.cmd("BLPOP", "k", "0.1") is None
            slow += time.monotonic() - started > 0.5
        assert slow == 0
        conn.cmd("CONV", "FAULT", "")


def test_while_nobody_acts_yet(make_proxy, fresh_redis):
    """What only the archive can do waits until it is known who acts, as all that names managed keys."""
    fresh_redis.pause()
    timeouts = {"redis.timeout": "300ms", "redis.connect_timeout": "300ms", "failover.hold": "30s"}
    proxy = make_proxy(fresh_redis.url, settings={**SERVES_ALL, "conv.primary": "redis", **timeouts}).start()
    with RespConn.to(proxy, timeout=20) as conn, RespConn.to(proxy, timeout=20) as other:
        assert proxy.get_json("/api/v1/primary")["placement"][0]["phase"] == "hold"
        other.send(encode("XREAD", "BLOCK", "10", "STREAMS", "s", "$") + encode("PING"))
        replies = conn.pipeline(("BLPOP", "k", "0.1"), ("WATCH", "k"), ("MULTI",), ("RPUSH", "k", "v"), ("EXEC",), ("BLPOP", "k", "0"))
        assert replies == [None, "OK", "OK", "QUEUED", [1], [b"k", b"v"]]
        assert [other.read(), other.read()] == [None, "PONG"]


ERRORS = [
    ("BLPOP", "k", "-1"), ("BLPOP", "k", "x"), ("BLPOP", "k", "nan"), ("BLPOP", "k", "1e400"), ("BLPOP", "k", ""),
    ("BLMPOP", "1", "0", "k", "LEFT"), ("BLMPOP", "-1", "1", "k", "LEFT"), ("BZMPOP", "0.1", "1", "k", "MID"),
    ("XREAD", "BLOCK", "-1", "STREAMS", "k", "$"), ("XREAD", "BLOCK", "x", "STREAMS", "k", "$"),
    ("XREADGROUP", "GROUP", "g", "c", "BLOCK", "10", "STREAMS", "nokey", ">"), ("BLPOP", "k"),
]  # fmt: skip


@pytest.mark.parametrize("command", ERRORS, ids=" ".join)
def test_errors(durable, plain, command):
    with RespConn.to(durable) as ours, RespConn.to(plain) as theirs:
        reply = ours.cmd(*command)
        assert isinstance(reply, RespError) and reply == theirs.cmd(*command)


def test_inside_multi_nothing_waits(durable, plain):
    commands = [("MULTI",), *([{"T": "0", "M": "0"}.get(word, word) for word in c] for c in NILS), ("EXEC",)]
    seen = []
    for server in (durable, plain):
        with RespConn.to(server) as conn:
            conn.cmd("FLUSHALL")
            conn.cmd("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
            seen.append(conn.pipeline(*commands))
    assert seen[0] == seen[1]


# ---- streams ----


def test_xread_from_now_on(side):
    with RespConn.to(side) as conn:
        conn.cmd("XADD", "s", "1-1", "f", "old")
    with stage(side, ("XREAD", "BLOCK", "0", "STREAMS", "s", "t", "$", "0"), ("XREAD", "COUNT", "1", "BLOCK", "0", "STREAMS", "s", "$")) as (
        conn,
        [both, one],
    ):
        conn.cmd("XADD", "s", "2-1", "f", "new")
        entries = [[b"s", [[b"2-1", [b"f", b"new"]]]]]
        assert both.read() == entries and one.read() == entries
        assert conn.cmd("XLEN", "s") == 2


def test_xread_of_a_transaction(side):
    """Two streams are written: the client gets the one that was written first, and everything new of it."""
    with stage(side, ("XREAD", "BLOCK", "0", "STREAMS", "s", "t", "$", "$")) as (conn, [waiter]):
        conn.pipeline(("MULTI",), ("XADD", "t", "1-1", "f", "a"), ("XADD", "t", "1-2", "f", "b"), ("XADD", "s", "1-1", "f", "c"), ("EXEC",))
        assert waiter.read() == [[b"t", [[b"1-1", [b"f", b"a"]], [b"1-2", [b"f", b"b"]]]]]


def test_xreadgroup_gives_each_entry_to_one(side):
    with RespConn.to(side) as conn:
        conn.cmd("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
    read = ("XREADGROUP", "GROUP", "g", "{}", "COUNT", "1", "BLOCK", "0", "STREAMS", "s", ">")
    with stage(side, *([word.format(f"c{i}") for word in read] for i in range(3))) as (conn, waiters):
        for i in range(3):
            conn.cmd("XADD", "s", f"{i + 1}-0", "f", i)
        assert [w.read()[0][1][0][0] for w in waiters] == [b"1-0", b"2-0", b"3-0"]
        assert sorted(row[:2] for row in conn.cmd("XPENDING", "s", "g", "-", "+", "9")) == [
            [b"1-0", b"c0"],
            [b"2-0", b"c1"],
            [b"3-0", b"c2"],
        ]


@pytest.mark.parametrize("end", [("XGROUP", "DESTROY", "s", "g"), ("DEL", "s"), ("SET", "s", "text")], ids=lambda end: end[0].lower())
def test_group_that_goes_away(side, end):
    with RespConn.to(side) as conn:
        conn.cmd("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
    with stage(side, ("XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "s", ">")) as (conn, [waiter]):
        conn.cmd(*end)
        reply = waiter.read()
        if end[0] == "XGROUP":
            assert reply == "NOGROUP the consumer group this client was blocked on no longer exists"
        else:
            assert reply == "UNBLOCKED the stream key no longer exists"


# ---- clients that leave, are told to, or go on ----


@pytest.mark.parametrize("how", ["close", "reset", "half", "kill"])
def test_nothing_is_taken_for_a_client_that_is_gone(side, how):
    with stage(side, ("BLPOP", "k", "0"), ("BLPOP", "k", "0")) as (conn, [gone, stays]):
        if how == "kill":
            assert conn.cmd("CLIENT", "KILL", "ID", gone.id) == 1
        elif how == "half":
            gone.conn.sock.shutdown(socket.SHUT_WR)
        else:
            if how == "reset":
                gone.conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            gone.conn.close()
        eventually(lambda: flags_of(conn, gone.id) == "")
        conn.cmd("RPUSH", "k", "v")
        assert stays.read() == [b"k", b"v"]
        if how in ("kill", "half"):
            assert gone.conn.closed()


@pytest.mark.parametrize("reason, reply", [((), None), (("TIMEOUT",), None), (("error",), "UNBLOCKED client unblocked via CLIENT UNBLOCK")])
def test_client_unblock(side, reason, reply):
    with stage(side, ("BLPOP", "k", "0"), ("BLPOP", "k", "0")) as (conn, [first, second]):
        assert conn.cmd("CLIENT", "UNBLOCK", first.id, *reason) == 1
        assert first.read() == reply
        eventually(lambda: flags_of(conn, first.id) == "N")
        assert conn.cmd("CLIENT", "UNBLOCK", first.id, *reason) == 0
        conn.cmd("RPUSH", "k", "v")
        assert second.read() == [b"k", b"v"]
        assert first.conn.cmd("PING") == "PONG"


CLIENT_COMMANDS = [
    ("UNBLOCK", "x"), ("UNBLOCK", "-1"), ("UNBLOCK", "99999999"), ("UNBLOCK", "1", "WHY"), ("UNBLOCK", "1", "ERROR", "x"), ("UNBLOCK",),
    ("KILL", "1.2.3.4:5"), ("KILL", "ID", "0"), ("KILL", "ID", "99999999"), ("KILL", "ID"), ("KILL", "ID", "1", "SKIPME", "maybe"),
    ("KILL", "TYPE", "what"), ("KILL", "TYPE", "pubsub"), ("KILL", "USER", "nobody"), ("KILL", "ADDR", "1.2.3.4:5", "ID", "5"), ("KILL",),
]  # fmt: skip


@pytest.mark.parametrize("command", CLIENT_COMMANDS, ids=" ".join)
def test_client_kill_and_unblock_words(durable, plain, command):
    with RespConn.to(durable) as ours, RespConn.to(plain) as theirs:
        assert ours.cmd("CLIENT", *command) == theirs.cmd("CLIENT", *command)


def test_client_kill_oneself(side):
    with RespConn.to(side) as conn:
        number = conn.cmd("CLIENT", "ID")
        assert conn.cmd("CLIENT", "KILL", "ID", number) == 0
        assert conn.cmd("CLIENT", "KILL", "ID", number, "SKIPME", "no") == 1
        assert conn.closed()


def test_commands_behind_one_that_waits(side):
    with stage(side) as (conn, _), RespConn.to(side) as waiter:
        number = waiter.cmd("CLIENT", "ID")
        waiter.send(b"".join(encode(*c) for c in [("SET", "x", "1"), ("BLPOP", "k", "0"), ("INCR", "x"), ("BLPOP", "k", "0"), ("QUIT",)]))
        assert waiter.read() == "OK"
        eventually(lambda: flags_of(conn, number) == "b")
        assert conn.cmd("GET", "x") == b"1"
        conn.cmd("RPUSH", "k", "1", "2")
        assert [waiter.read() for _ in range(4)] == [[b"k", b"1"], 2, [b"k", b"2"], "OK"]
        assert waiter.closed()


def test_many_wait(durable):
    """One push for each, every one is served once."""
    count = 300  # each push wakes all of them: a thousand take seconds
    with ExitStack() as stack:
        conns = [stack.enter_context(closing(RespConn.to(durable, timeout=30))) for _ in range(count)]
        for conn in conns:
            conn.send_cmd("BLPOP", "many", "0")
        with RespConn.to(durable, timeout=30) as conn:
            eventually(lambda: conn.cmd("CLIENT", "LIST").count(b" flags=b ") == count, timeout=20)
            started = time.monotonic()
            for i in range(count):
                conn.send_cmd("RPUSH", "many", i)
            for i in range(count):
                conn.read()
            got = sorted(int(c.read()[1]) for c in conns)
            print(f"{count} served in {time.monotonic() - started:.2f} s")
            assert got == list(range(count))
            assert conn.cmd("EXISTS", "many") == 0


def test_chaos(durable):
    """Clients wait, leave, are killed or unblocked, while others push: no element is served twice, none that a living client
    was given is lost, and in the end all that is not served is there, in its order."""
    seed = int(os.environ.get("CONV_SEED") or random.SystemRandom().randrange(1 << 30))
    print(f"CONV_SEED={seed}")
    rng = random.Random(seed)
    waiting, served, pushed, lost = {}, [], 0, 0
    with RespConn.to(durable, timeout=20) as conn, ExitStack() as stack:
        conn.cmd("DEL", "chaos:0", "chaos:1", "chaos:2")
        for _ in range(1500):
            number = rng.choice(sorted(waiting)) if waiting else 0
            what = rng.choice(["wait", "wait", "push", "push", "close", "kill", "unblock"])
            if what == "wait" and len(waiting) < 40:
                client = stack.enter_context(closing(RespConn.to(durable, timeout=20)))
                number = client.cmd("CLIENT", "ID")
                client.send_cmd(rng.choice(["BLPOP", "BRPOP"]), *(f"chaos:{i}" for i in rng.sample(range(3), 2)), rng.choice(["0", "0.01"]))
                waiting[number] = client
            elif what == "push":
                assert conn.cmd("RPUSH", f"chaos:{rng.randrange(3)}", pushed) >= 1
                pushed += 1
            elif waiting and what in ("close", "kill"):
                client = waiting.pop(number)
                lost += 1  # it may have been served just before
                client.close() if what == "close" else conn.cmd("CLIENT", "KILL", "ID", number)
            elif waiting:
                conn.cmd("CLIENT", "UNBLOCK", number, *rng.choice([(), ("ERROR",)]))
                reply = waiting.pop(number).read() if conn.cmd("CLIENT", "UNBLOCK", number) == 0 else None
                served += [int(reply[1])] if isinstance(reply, list) else []
        for number in waiting:
            conn.cmd("CLIENT", "UNBLOCK", number)
        for client in waiting.values():
            reply = client.read()
            served += [int(reply[1])] if isinstance(reply, list) else []
        left = [[int(value) for value in conn.cmd("LRANGE", f"chaos:{i}", "0", "-1")] for i in range(3)]
        assert all(values == sorted(values) for values in left)
        there = served + [value for values in left for value in values]
        assert len(there) == len(set(there)) and set(there) <= set(range(pushed))
        assert pushed - len(there) <= lost
        print(f"{pushed} pushed, {len(served)} served, {pushed - len(there)} went to clients that left")


# ---- the end of the process ----


def test_sigterm_with_clients_that_wait(make_proxy):
    proxy = make_proxy(NOBODY, settings={**SERVES_ALL, "proxy.drain_time": "2s"}).start()
    with stage(proxy, ("BLPOP", "k", "0"), ("BLPOP", "k", "100")) as (conn, waiters):
        started = time.monotonic()
        proxy.stop()
        assert time.monotonic() - started < 6
        assert all(w.conn.closed() for w in waiters)


def test_those_who_watch_finish_before_they_go(make_proxy):
    """What is watched is known to the old process only."""
    proxy = make_proxy(NOBODY, settings=SERVES_ALL)
    proxy.settings["proxy.handover"] = str(proxy.folder / "handover.sock")
    proxy.start()
    with RespConn.to(proxy) as conn, RespConn.to(proxy) as other:
        assert conn.cmd("WATCH", "k") == "OK"
        with taken_over(proxy) as old:
            proxy.log_contains("event=handover_accepted")
            assert conn.pipeline(("MULTI",), ("SET", "k", "1"), ("EXEC",))[-1] == ["OK"]
            assert old.wait(10) == 0
        assert [conn.cmd("GET", "k"), other.cmd("GET", "k")] == [b"1", b"1"]


def test_those_who_wait_go_along_to_the_next_process(make_proxy):
    proxy = make_proxy(NOBODY, settings=SERVES_ALL)
    proxy.settings["proxy.handover"] = str(proxy.folder / "handover.sock")
    proxy.start()
    with RespConn.to(proxy) as conn:
        conn.cmd("XADD", "s", "1-1", "f", "old")
    commands = [("BLPOP", "k", "0"), ("BLPOP", "k", "30"), ("XREAD", "BLOCK", "30000", "STREAMS", "s", "$"), ("BLMPOP", "2", "1", "no", "LEFT")]
    with stage(proxy, *commands) as (conn, waiters):
        waiters[0].conn.send_cmd("ECHO", "behind")
        started = time.monotonic()
        with taken_over(proxy) as old:
            assert old.wait(10) == 0
        assert time.monotonic() - started < 8
        assert conn.cmd("XADD", "s", "2-1", "f", "new") == b"2-1"
        assert waiters[2].read() == [[b"s", [[b"2-1", [b"f", b"new"]]]]]
        eventually(lambda: conn.cmd("CLIENT", "LIST").count(b" flags=b ") >= 2)
        conn.cmd("RPUSH", "k", "1", "2")
        assert sorted([waiters[0].read(), waiters[1].read()]) == [[b"k", b"1"], [b"k", b"2"]]
        assert waiters[0].read() == b"behind"
        assert waiters[3].read() is None
        assert time.monotonic() - started < 12, "the time that was left went along"

