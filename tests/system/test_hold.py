"""Requests for managed keys while nobody acts: how long they wait, and what those are told that have waited for long enough."""
import time

import pytest
from harness import RespConn, RespError, eventually

pytestmark = [pytest.mark.sanitize, pytest.mark.managed]

NOBODY = "redis://127.0.0.1:1/0"
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
        assert "to=ARCHIVE" not in proxy.log_text()
        time.sleep(4.1)  # longer than the hold
        fresh_redis.kill()
        assert conn.cmd("RPUSH", "conv:1", "b") == 2
