"""ack primary: what was acknowledged and had not reached the archive when Redis was lost is done by it before anybody reads there, whichever loop
has it, and in the order in which Redis did it."""
import pytest
from harness import RespConn, eventually
from harness.resp import encode
from test_dual_write import Served

pytestmark = [pytest.mark.managed, pytest.mark.sanitize, pytest.mark.timeout(60)]

CLIENTS = 8
UNREPEATABLE = "return redis.call('RPUSH', KEYS[1], ARGV[1])"  # needs a whole copy: what follows on its key has no predecessor


@pytest.fixture
def world(tmp_path):
    made = Served(tmp_path, **{"conv.ack": "primary", "proxy.threads": 4, "redis.probe_interval": "100ms", "failover.return_after": "60s"})
    yield made
    made.stop()


def slow_down(world):
    """The archive gets no copies for a while."""
    with RespConn.to(world.proxy) as conn:
        assert conn.cmd("CONV", "FAULT", "op=load delay=1500ms") == "OK"


def lose_redis(world):
    world.redis.kill()
    with RespConn.to(world.proxy) as conn:
        assert conn.cmd("CONV", "FAULT", "") == "OK"


def test_readers_on_other_loops(world):
    conns = [RespConn.to(world.proxy, timeout=30) for _ in range(CLIENTS)]
    try:
        for i, conn in enumerate(conns):
            assert conn.cmd("RPUSH", f"conv:{i}", "first") == 1
        eventually(lambda: not world.marks(), 20)
        slow_down(world)
        for i, conn in enumerate(conns):
            assert conn.pipeline(("EVAL", UNREPEATABLE, 1, f"conv:{i}", "gone"), *(("RPUSH", f"conv:{i}", n) for n in range(5)))[-1] == 7
        lose_redis(world)
        for i, conn in enumerate(conns):
            conn.send(b"".join(encode("LRANGE", f"conv:{(i + shift) % CLIENTS}", 0, -1) for shift in (1, 2, 3)))
        for conn in conns:
            for _ in range(3):
                values = conn.read()
                assert values[0] == b"first" and values[-5:] == [b"0", b"1", b"2", b"3", b"4"], values
    finally:
        for conn in conns:
            conn.close()


def test_the_order_is_that_of_all_keys(world):
    """Versions of different keys say nothing about each other: conv:old's are lower than conv:young's, of a block that came before."""
    with RespConn.to(world.proxy, timeout=30) as conn:
        conn.cmd("RPUSH", "conv:old", "first")
        eventually(lambda: not world.marks(), 20)
        conn.cmd("RPUSH", "conv:young", "first")
        eventually(lambda: not world.marks(), 20)
        old, young = (world.versions([key])[key] for key in (b"conv:old", b"conv:young"))
        assert old < young
        slow_down(world)
        conn.pipeline(("EVAL", UNREPEATABLE, 1, "conv:old", "gone"), ("EVAL", UNREPEATABLE, 1, "conv:young", "gone"))
        for n in range(3):
            assert conn.pipeline(("MULTI",), ("RPUSH", "conv:young", f"b{n}"), ("RPUSH", "conv:old", f"b{n}"), ("EXEC",))[-1] is not None
            conn.cmd("RPUSH", "conv:old", f"s{n}")
        lose_redis(world)
        assert conn.cmd("LRANGE", "conv:young", 0, -1)[-3:] == [b"b0", b"b1", b"b2"]
        assert conn.cmd("LRANGE", "conv:old", 0, -1)[-6:] == [b"b0", b"s0", b"b1", b"s1", b"b2", b"s2"]


def test_the_archive_fails_meanwhile(world):
    """What it could not do is tried again, before anybody reads."""
    with RespConn.to(world.proxy, timeout=30) as conn, RespConn.to(world.proxy, timeout=30) as other:
        conn.cmd("RPUSH", "conv:1", "first")
        eventually(lambda: not world.marks(), 20)
        slow_down(world)
        conn.pipeline(("EVAL", UNREPEATABLE, 1, "conv:1", "gone"), *(("RPUSH", "conv:1", n) for n in range(5)))
        world.redis.kill()
        assert other.cmd("CONV", "FAULT", "op=commit fail=3 error=lost-after") == "OK"
        eventually(lambda: "phase archive" in world.status(), 30)
        assert conn.cmd("LRANGE", "conv:1", 0, -1)[-5:] == [b"0", b"1", b"2", b"3", b"4"]
