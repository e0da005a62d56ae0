"""MULTI, EXEC and WATCH on keys of the archive. What a test asserts holds for redis-server too, where it takes `side`."""
import itertools
import os
import random
import threading

import pytest
from harness import NOBODY, SERVES_ALL, Proxy, RedisServer, RespConn, RespError, eventually
from harness.resp import encode

pytestmark = [pytest.mark.sanitize, pytest.mark.managed]

PROXY_SETTINGS = {"conv.primary": "archive", "conv.ttl": 0, "conv.max_messages": 3}  # of the proxy before Redis: conv:* only


@pytest.fixture
def pair(side):
    """Two clients."""
    with RespConn.to(side, timeout=20) as one, RespConn.to(side, timeout=20) as other:
        yield one, other


# ---- WATCH ----

BEFORE = {"none": [], "string": [("SET", "k", "1")], "list": [("RPUSH", "k", "a", "b")], "ttl": [("SET", "k", "1", "PX", "100000")]}
TOUCHES = [
    # (what was there, what another client does, whether EXEC still runs)
    ("string", [], True),
    ("string", [("GET", "k")], True),
    ("string", [("SET", "k", "1")], False),
    ("string", [("SET", "k", "2")], False),
    ("string", [("SET", "k", "2"), ("SET", "k", "1")], False),
    ("string", [("DEL", "k")], False),
    ("string", [("DEL", "k"), ("SET", "k", "1")], False),
    ("string", [("APPEND", "k", "x")], False),
    ("string", [("PEXPIRE", "k", "100000")], False),
    ("string", [("RENAME", "k", "j")], False),
    ("string", [("SET", "other", "1")], True),
    ("string", [("SETNX", "k", "2")], True),
    ("string", [("RPUSH", "k", "x")], True),  # WRONGTYPE
    ("string", [("FLUSHALL",)], False),
    ("ttl", [("PERSIST", "k")], False),
    ("none", [], True),
    ("none", [("DEL", "k")], True),
    ("none", [("SET", "k", "1")], False),
    ("none", [("SET", "k", "1"), ("DEL", "k")], False),
    ("none", [("FLUSHALL",)], True),
    ("none", [("RPUSHX", "k", "x")], True),
    ("none", [("SET", "j", "1"), ("COPY", "j", "k")], False),
    ("list", [("LPOP", "k")], False),
    ("list", [("LRANGE", "k", "0", "-1")], True),
    ("list", [("LSET", "k", "0", "a")], False),
    ("list", [("LREM", "k", "0", "nothing")], True),
    ("list", [("LTRIM", "k", "1", "0")], False),
    ("list", [("LMOVE", "k", "j", "LEFT", "LEFT")], False),
    ("list", [("SORT", "k", "ALPHA", "STORE", "k")], False),
]


@pytest.mark.parametrize("before, touches, runs", TOUCHES, ids=lambda value: str(value)[:60])
def test_watch(pair, before, touches, runs):
    one, other = pair
    for step in BEFORE[before]:
        other.cmd(*step)
    assert one.cmd("WATCH", "k") == "OK"
    for step in touches:
        other.cmd(*step)
    assert one.pipeline(("MULTI",), ("SET", "done", "1"), ("EXEC",))[-1] == (["OK"] if runs else None)
    assert one.cmd("EXISTS", "done") == int(runs)
    assert one.pipeline(("MULTI",), ("ECHO", "x"), ("EXEC",))[-1] == [b"x"], "EXEC ends the watch, run or not"


def test_touched_by_oneself(pair):
    one, _ = pair
    assert one.pipeline(("WATCH", "k"), ("SET", "k", "1"), ("MULTI",), ("GET", "k"), ("EXEC",))[-1] is None
    assert one.pipeline(("WATCH", "k"), ("MULTI",), ("SET", "k", "2"), ("GET", "k"), ("EXEC",))[-1] == ["OK", b"2"]


def test_expired_meanwhile(pair):
    one, other = pair
    assert one.cmd("SET", "k", "1", "PX", "60") == "OK"
    assert one.cmd("WATCH", "k") == "OK"
    eventually(lambda: other.cmd("EXISTS", "k") == 0)
    assert one.pipeline(("MULTI",), ("SET", "done", "1"), ("EXEC",))[-1] is None


def test_expired_before(pair):
    one, other = pair
    assert one.cmd("SET", "k", "1", "PX", "1") == "OK"
    eventually(lambda: other.cmd("EXISTS", "k") == 0)
    assert one.cmd("WATCH", "k") == "OK"
    assert one.pipeline(("MULTI",), ("SET", "k", "2"), ("EXEC",))[-1] == ["OK"]


def test_several_watches(pair):
    one, other = pair
    for touched in ("a", "b", "c"):
        assert one.pipeline(("WATCH", "a"), ("WATCH", "b", "c"), ("WATCH", "a")) == ["OK"] * 3
        other.cmd("INCR", touched)
        assert one.pipeline(("MULTI",), ("PING",), ("EXEC",))[-1] is None
    one.cmd("WATCH", "a")
    other.cmd("INCR", "a")
    one.cmd("WATCH", "a")  # the first one counts
    assert one.pipeline(("MULTI",), ("PING",), ("EXEC",))[-1] is None


@pytest.mark.parametrize("end", [("UNWATCH",), ("MULTI", "DISCARD"), ("MULTI", "EXEC"), ("RESET",)], ids="-".join)
def test_watch_is_ended_by(pair, end):
    one, other = pair
    one.cmd("WATCH", "a")
    other.cmd("INCR", "a")
    for word in end:
        one.cmd(word)
    assert one.pipeline(("MULTI",), ("INCR", "b"), ("EXEC",))[-1] == [1]


def test_all_interleavings_of_two_clients(pair):
    """Two clients add one to a number, by WATCH, GET, MULTI, SET, EXEC, in every order of their steps: none is lost."""
    one, other = pair
    for order in sorted(set(itertools.permutations("AAABBB"))):
        one.cmd("SET", "n", "0")
        clients = {"A": {"conn": one, "at": 0}, "B": {"conn": other, "at": 0}}
        done = 0
        for name in order:
            client = clients[name]
            conn = client["conn"]
            if client["at"] == 0:
                assert conn.cmd("WATCH", "n") == "OK"
            elif client["at"] == 1:
                client["n"] = int(conn.cmd("GET", "n"))
            else:
                done += conn.pipeline(("MULTI",), ("SET", "n", client["n"] + 1), ("EXEC",))[-1] == ["OK"]
            client["at"] += 1
        assert int(one.cmd("GET", "n")) == done >= 1, order


# ---- EXEC ----


def test_readers_never_see_half(durable):
    """Every EXEC writes the same number to four keys of different lanes; MGET and EXEC of readers see four equal ones."""
    keys = [f"half:{i}" for i in range(4)]
    with RespConn.to(durable) as conn:
        conn.cmd("MSET", *itertools.chain(*((key, "0") for key in keys)))
    stop, seen, wrong = threading.Event(), [], []

    def write(number):
        with RespConn.to(durable, timeout=30) as conn:
            for i in range(60):
                value = number * 1000 + i
                order = random.Random(value).sample(keys, 4)
                assert conn.pipeline(("MULTI",), *(("SET", key, value) for key in order), ("EXEC",))[-1] == ["OK"] * 4

    def read(multi):
        with RespConn.to(durable, timeout=30) as conn:
            while not stop.is_set():
                if multi:
                    values = conn.pipeline(("MULTI",), *(("GET", key) for key in keys), ("EXEC",))[-1]
                else:
                    values = conn.cmd("MGET", *keys)
                seen.append(values[0])
                if len(set(values)) != 1:
                    wrong.append(values)

    readers = [threading.Thread(target=read, args=(i % 2 == 1,)) for i in range(3)]
    writers = [threading.Thread(target=write, args=(i + 1,)) for i in range(3)]
    for thread in readers + writers:
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    for thread in readers:
        thread.join()
    assert not wrong and len(set(seen)) > 3


def test_discard(pair):
    one, _ = pair
    assert one.pipeline(("MULTI",), ("SET", "k", "1"), ("DISCARD",), ("EXISTS", "k")) == ["OK", "QUEUED", "OK", 0]
    assert one.cmd("DISCARD") == "ERR DISCARD without MULTI"
    assert one.cmd("EXEC") == "ERR EXEC without MULTI"
    assert one.pipeline(("MULTI",), ("MULTI",), ("WATCH", "k"), ("EXEC",)) == [
        "OK",
        "ERR MULTI calls can not be nested",
        "ERR WATCH inside MULTI is not allowed",
        [],
    ]


def test_errors_inside(pair):
    one, _ = pair
    got = one.pipeline(("MULTI",), ("SET", "k", "x"), ("INCR", "k"), ("LPUSH", "k", "1"), ("APPEND", "k", "y"), ("EXEC",))[-1]
    assert got[0] == "OK" and got[3] == 2
    assert got[1] == RespError("ERR value is not an integer or out of range") and got[2].startswith("WRONGTYPE")
    assert one.cmd("GET", "k") == b"xy", "what fails does not undo the rest"
    assert one.pipeline(("MULTI",), ("SET", "k"), ("SET", "k", "1"), ("EXEC",))[-1].startswith("EXECABORT")
    assert one.cmd("GET", "k") == b"xy"


def test_each_sees_what_those_before_it_did(pair):
    one, _ = pair
    commands = [("RPUSH", "l", "a", "b"), ("LPOP", "l"), ("RENAME", "l", "m"), ("LRANGE", "m", "0", "-1"), ("EXISTS", "l"), ("DEL", "m"), ("TYPE", "m")]
    assert one.pipeline(("MULTI",), *commands, ("EXEC",))[-1] == [2, b"a", "OK", [b"b"], 0, 1, "none"]


def test_ten_thousand_commands(pair):
    one, other = pair
    one.send(b"".join([encode("MULTI"), *(encode("INCRBY", f"n:{i % 100}", i) for i in range(10_000)), encode("EXEC")]))
    assert one.read() == "OK"
    assert all(one.read() == "QUEUED" for _ in range(10_000))
    assert other.cmd("EXISTS", "n:1") in (0, 1)
    totals, expected = [0] * 100, []
    for i in range(10_000):
        totals[i % 100] += i
        expected.append(totals[i % 100])
    assert one.read() == expected
    assert [int(value) for value in other.cmd("MGET", *(f"n:{i}" for i in range(100)))] == totals


def random_script(rng):
    steps = []
    for _ in range(150):
        key = rng.choice("abc")
        command = rng.choice([
            ("WATCH", key), ("WATCH", *"ab"), ("UNWATCH",), ("MULTI",), ("MULTI",), ("EXEC",), ("EXEC",), ("DISCARD",), ("SET", key, rng.randint(0, 9)),
            ("INCR", key), ("GET", key), ("DEL", key), ("RPUSH", key, "x"), ("LPOP", key), ("MGET", *"abc"), ("RENAME", key, "a"), ("LPUSH", key),
        ])  # fmt: skip
        steps.append((rng.randrange(2), command))
    return steps


def replies_to(server, steps):
    with RespConn.to(server) as one, RespConn.to(server) as other:
        one.cmd("FLUSHALL")
        return [(one, other)[who].cmd(*command) for who, command in steps]


def test_random_transactions(durable, plain):
    """Two clients, any interleaving of plain commands and transactions: the same replies as redis-server's."""
    seed = int(os.environ.get("CONV_SEED") or random.SystemRandom().randrange(1 << 30))
    print(f"CONV_SEED={seed}")
    for number in range(16):
        steps = random_script(random.Random(f"{seed}:{number}"))
        for step, ours, theirs in zip(steps, replies_to(durable, steps), replies_to(plain, steps)):
            assert ours == theirs, (number, step)


# ---- the policy's trim inside, and both stores ----


def test_subcommands_alone(proxy, real):
    """A transaction whose only key is a subcommand's: it is the archive's all the same."""
    with RespConn.to(proxy) as conn:
        conn.cmd("DEL", "conv:events")
        assert conn.pipeline(("MULTI",), ("XGROUP", "CREATE", "conv:events", "g", "$", "MKSTREAM"), ("EXEC",))[-1] == ["OK"]
        assert conn.pipeline(("MULTI",), ("OBJECT", "ENCODING", "conv:events"), ("EXEC",))[-1] == [b"stream"]
        assert conn.cmd("TYPE", "conv:events") == "stream"
    assert real.exists("conv:events") == 0


def test_trim_inside(proxy, real):
    with RespConn.to(proxy) as conn:
        conn.cmd("DEL", "conv:t")
        commands = [("RPUSH", "conv:t", "1", "2", "3", "4"), ("LRANGE", "conv:t", "0", "-1"), ("RPUSH", "conv:t", "5"), ("LPUSH", "conv:t", "0")]
        assert conn.pipeline(("MULTI",), *commands, ("EXEC",))[-1] == [3, [b"2", b"3", b"4"], 3, 3]
        assert conn.cmd("LRANGE", "conv:t", "0", "-1") == [b"0", b"3", b"4"]


def test_both_stores_in_one_transaction(proxy, real):
    with RespConn.to(proxy) as conn:
        for first, second in [(("SET", "conv:x", "1"), ("SET", "x", "1")), (("SET", "x", "1"), ("GET", "conv:x")), (("MGET", "x", "conv:x"), ("PING",))]:
            replies = conn.pipeline(("MULTI",), first, second, ("EXEC",))
            assert any(isinstance(r, RespError) and r.startswith("CROSSSTORE ") for r in replies[1:3]), replies
            assert replies[3].startswith("EXECABORT")
        assert conn.cmd("EXISTS", "x", "conv:x") == 0


def test_watch_in_one_store_and_write_in_the_other(proxy, real):
    with RespConn.to(proxy) as conn:
        for watched, written in [("x", "conv:x"), ("conv:x", "x")]:
            assert conn.cmd("WATCH", watched) == "OK"
            assert conn.cmd("WATCH", written).startswith("CROSSSTORE ")
            assert conn.pipeline(("MULTI",), ("SET", written, "1"), ("EXEC",))[-1].startswith("CROSSSTORE ")
            assert conn.cmd("EXISTS", written) == 0
            assert conn.pipeline(("MULTI",), ("SET", watched, "1"), ("EXEC",))[-1] == ["OK"], "the client can go on"
            conn.cmd("DEL", watched)


def test_watch_on_the_archive_beside_another_client(proxy, real):
    with RespConn.to(proxy) as one, RespConn.to(proxy) as other:
        assert one.cmd("WATCH", "conv:w") == "OK"
        other.cmd("RPUSH", "conv:w", "x")
        assert one.pipeline(("MULTI",), ("RPUSH", "conv:w", "y"), ("EXEC",))[-1] is None
        assert one.cmd("DEL", "conv:w") == 1
