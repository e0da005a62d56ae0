"""convctl failover and failback: what they check, do, and say."""
import json
import signal

import pytest
from harness import NOBODY, RespConn, eventually
from harness.ctl import FOUND, INTERRUPTED, OK, USAGE, Convctl

pytestmark = pytest.mark.managed


def place(ctl):
    return ctl.proxy.get_json("/api/v1/primary")["placement"][0]


@pytest.fixture
def ctl(make_proxy, fresh_redis, tmp_path):
    proxy = make_proxy(fresh_redis.url, settings={"archive.faults": "yes"}).start()
    run = Convctl(proxy, tmp_path)
    eventually(lambda: place(run)["acting"] == "redis" and place(run)["phase"] == "redis")
    run.redis = fresh_redis
    return run


def lines(done, word):
    return [line[len(word) :].strip() for line in done.stdout.splitlines() if line.startswith(word)]


def test_there_and_back(ctl):
    client = ctl.proxy.client()
    client.rpush("conv:1", "a")
    plan = ctl("failover", "--dry-run")
    assert [line.split(":")[0] for line in lines(plan, "will")] == ["1. drain", "2. switch", "3. watch"]
    assert place(ctl)["acting"] == "redis"
    assert "needs --yes" in ctl("failover", code=USAGE).stderr

    done = ctl("failover", "--yes", "--watch", "200ms")
    assert lines(done, "done") == ["the archive answers"] and "convctl failback" in done.stdout
    assert place(ctl)["acting"] == "archive" and place(ctl)["primary"] == "archive"
    client.rpush("conv:1", "b")
    assert "archive answers already" in ctl("failover", "--yes").stdout

    done = ctl("failback", "--yes", "--watch", "200ms")
    assert lines(done, "done") == ["Redis answers"] and lines(done, "step") == ["switch", "give back", "verify", "watch"]
    assert place(ctl)["phase"] == "redis"
    assert ctl.redis.client().lrange("conv:1", 0, -1) == [b"a", b"b"]
    client.close()


def test_dual_writes_are_switched_on_first(ctl):
    client = ctl.proxy.client()
    ctl("dual-write", "off", "--yes")
    for n in range(50):
        client.rpush(f"conv:{n}", "a")
    done = ctl("failover", "--yes", "--watch", "0")
    assert lines(done, "step")[0] == "dual-write" and "as it was before" in done.stdout
    ctl.redis.kill()
    assert all(client.llen(f"conv:{n}") == 1 for n in range(50))
    client.close()


def test_a_store_that_is_down_stops_it(ctl):
    ctl("fault", "op=ping fail=100% error=down")
    eventually(lambda: not ctl.proxy.get_json("/api/v1/state")["archive"]["up"], timeout=15)
    done = ctl("failover", "--yes", code=FOUND)
    assert "the archive is down" in lines(done, "stop")[0] and place(ctl)["acting"] == "redis"
    ctl("fault", "")
    eventually(lambda: ctl.proxy.get_json("/api/v1/state")["archive"]["up"], timeout=15)
    ctl.redis.kill()
    eventually(lambda: place(ctl)["acting"] == "archive", timeout=15)
    done = ctl("failback", "--yes", code=FOUND)
    assert "Redis is down" in lines(done, "stop")[0]


def test_after_redis_was_lost_the_archive_stays(ctl):
    """The archive has taken over by itself; failover keeps it there when Redis is back."""
    ctl.proxy.client().rpush("conv:1", "a")
    ctl.redis.kill()
    eventually(lambda: place(ctl)["acting"] == "archive", timeout=15)
    done = ctl("failover", "--yes", "--watch", "0")
    assert lines(done, "step") == ["switch", "watch"] and place(ctl)["primary"] == "archive"


def test_json_and_wrong_usage(ctl):
    rows = [json.loads(line) for line in ctl("--json", "failover", "--dry-run").stdout.splitlines()]
    assert [row["text"][:2] for row in rows if row["step"] == "will"] == ["1.", "2.", "3."]
    assert "no policy nobody" in ctl("failover", "--policy", "nobody", "--yes", code=USAGE).stderr
    ctl("failover", "--watch", "soon", code=USAGE)
    ctl("failover", "now", code=USAGE)


def test_what_is_not_well_is_told(ctl):
    """Both stores gone while it watches."""
    running = ctl.start("failover", "--yes", "--watch", "60s")
    eventually(lambda: place(ctl)["acting"] == "archive", timeout=15)
    ctl("fault", "op=all fail=100% error=down")
    said, _ = running.communicate(timeout=40)
    assert running.returncode == FOUND and "not well" in said and "failed" in said and "step watch" in said
    ctl("fault", "")


def test_ctrl_c_says_what_holds(ctl):
    running = ctl.start("failover", "--yes", "--watch", "60s")
    assert eventually(lambda: "watch" in running.stdout.readline() and place(ctl)["acting"] == "archive", timeout=15)
    running.send_signal(signal.SIGINT)
    said, _ = running.communicate(timeout=15)
    assert running.returncode == INTERRUPTED and "now archive answers for conv" in said and "convctl primary redis" in said


def test_without_redis(make_proxy, tmp_path):
    ctl = Convctl(make_proxy(NOBODY).start(), tmp_path)
    with RespConn.to(ctl.proxy) as conn:
        eventually(lambda: conn.cmd("RPUSH", "conv:1", "a") == 1)
    assert "Redis is down" in ctl("failback", "--dry-run", code=FOUND).stdout
    ctl("failover", "--dry-run", code=OK)
