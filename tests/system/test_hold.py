"""Requests for managed keys while nobody acts: how long they wait, and what those are told that have waited for long enough."""
import threading
import time

import pytest
from harness import NOBODY, RespConn, RespError, eventually

pytestmark = [pytest.mark.sanitize, pytest.mark.managed]

TIMEOUTS = {"redis.timeout": "10s", "redis.connect_timeout": "10s", "failover.hold": "4s"}


def phase(proxy):
    return proxy.get_json("/api/v1/primary")["placement"][0]["phase"]


def test_who_comes_after_the_hold_is_refused_at_once(make_proxy, tmp_path):
    """Both stores are away: each client has waited once, not each request, and is told what is wrong."""
    (tmp_path / "file").write_text("in the way of a folder")
    proxy = make_proxy(NOBODY, settings={"archive.url": f"sqlite:{tmp_path}/file/archive.db", "failover.hold": "3s"}).start()
    with RespConn.to(proxy) as conn, RespConn.to(proxy) as other:
        begun = time.monotonic()
        replies = conn.pipeline(*[("RPUSH", "conv:1", n) for n in range(50)], ("GET", "conv:2"), ("PING",))
        assert 1.5 < time.monotonic() - begun < 6
        replies += other.pipeline(("RPUSH", "conv:1", "x"), ("PING",))
        assert time.monotonic() - begun < 6
    assert [reply for reply in replies if not isinstance(reply, RespError)] == ["PONG", "PONG"]
    refused = {str(reply) for reply in replies if isinstance(reply, RespError)}
    assert len(refused) == 1 and "TRYAGAIN the stores are changing places (waited 3000 ms; archive: " in refused.pop()


def test_who_has_waited_once_may_wait_again(make_proxy, fresh_redis):
    """The time of one change of place does not count at the next."""
    proxy = make_proxy(fresh_redis.url, settings=TIMEOUTS).start()
    eventually(lambda: phase(proxy) == "redis", 15)
    proxy.stop()
    fresh_redis.pause()
    proxy.start()
    with RespConn.to(proxy, timeout=20) as conn:
        conn.send_cmd("RPUSH", "conv:1", "a")
        eventually(lambda: proxy.metrics()["conv_held_requests"] == 1)
        fresh_redis.resume()
        assert conn.read() == 1
        eventually(lambda: phase(proxy) == "redis", 15)
        assert "to=archive" not in proxy.log_text()
        time.sleep(4.1)  # longer than the hold
        fresh_redis.kill()
        assert conn.cmd("RPUSH", "conv:1", "b") == 2


def test_nothing_is_missing_while_the_stores_change_places(make_proxy, fresh_redis):
    """Commands about all keys wait as well: until the hand-over begins Redis alone would tell them."""
    settings = {"conv.primary": "archive", "conv.ttl": 0, "archive.faults": "yes"}
    proxy = make_proxy(fresh_redis.url, settings=settings).start()
    keys, looks, over = {b"raw", *(b"conv:%d" % n for n in range(20))}, [], threading.Event()

    def look():
        with RespConn.to(proxy, timeout=20) as conn:
            while not over.is_set():
                looks.append(conn.pipeline(("KEYS", "*"), ("SCAN", "0", "COUNT", "1000"), ("DBSIZE",), ("MGET", *keys)))

    with RespConn.to(proxy, timeout=20) as conn, RespConn.to(proxy) as writer:
        conn.pipeline(*[("SET", key, "v") for key in keys])
        conn.cmd("CONV", "FAULT", "op=commit delay=300ms")
        writer.send_cmd("SET", "conv:1", "w")  # the hold lasts until it is done
        looking = threading.Thread(target=look)
        looking.start()
        assert not isinstance(conn.cmd("CONV", "PRIMARY", "redis"), RespError)
        eventually(lambda: phase(proxy) == "catchup", 10)
        conn.cmd("CONV", "FAULT", "")
        eventually(lambda: phase(proxy) == "redis", 15)
        eventually(lambda: len(looks) > 2, 15)
        over.set()
        looking.join()
        assert writer.read() == "OK"
    assert len(looks) > 2 and "to=return" in proxy.log_text()
    for told, (_, page), size, values in looks:
        assert set(told) == keys and size >= len(keys) and set(values) <= {b"v", b"w"}
        assert set(page) <= keys and b"raw" in page
