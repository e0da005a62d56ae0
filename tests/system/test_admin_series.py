"""Events and series of the admin server: what the console's lists and charts are made of."""
import json
import time

import pytest
from harness import eventually

pytestmark = pytest.mark.managed

PROXY_SETTINGS = {"log.level": "warn"}  # events are kept whatever the log shows


def events(proxy, since=0):
    return proxy.get_json(f"/api/v1/events?since={since}")


def named(proxy, name, since=0, /, **fields):
    return [e for e in events(proxy, since)["events"] if e["event"] == name and fields.items() <= e["fields"].items()]


@pytest.mark.sanitize
def test_wrong_numbers_are_refused(proxy):
    for path in ("events?since=x", "events?since=-1", "events?since=", "series?seconds=0", "series?seconds=7201", "series?seconds=1e3", "series?since=99999999999999999999"):
        status, text = proxy.http("/api/v1/" + path)
        assert status == 400 and "expected a whole number" in json.loads(text)["error"], path


@pytest.fixture
def placed(fresh_proxy):
    """A proxy that has met its Redis."""
    eventually(lambda: fresh_proxy.metrics()['conv_phase{phase="redis",policy="conv"}'] == 1)
    return fresh_proxy


@pytest.mark.sanitize
def test_events_tell_what_operators_did(placed):
    proxy = placed
    start = events(proxy)
    assert named(proxy, "listening") and named(proxy, "placement", policy="conv", acting="redis")
    ids = [e["id"] for e in start["events"]]
    assert ids == sorted(set(ids)) and start["last"] == ids[-1] > 1.7e12, "ids grow from one process to the next"

    proxy.post_json("/api/v1/settings", {"conv.max_messages": 7, "admin.token": "s3cret-word"})
    token = {"Authorization": "Bearer s3cret-word"}
    assert proxy.http("/api/v1/settings", {"conv.max_messages": 9}, headers={"Authorization": "Bearer nope"})[0] == 401
    status, text = proxy.http("/api/v1/moves", {"kind": "verify", "policy": "conv"}, headers=token)
    move = json.loads(text)["id"]
    assert proxy.http("/api/v1/dual-write", {"policy": "conv", "on": False}, headers=token)[0] == 200
    proxy.client().config_set("conv.ttl", "9d")
    eventually(lambda: named(proxy, "move_ended", start["last"], id=move, state="done", kind="verify"))
    told = events(proxy, start["last"])["events"]
    assert named(proxy, "setting_changed", start["last"], name="conv.max_messages", value="7", by="http")
    assert named(proxy, "setting_changed", start["last"], name="conv.ttl", value="9d", by="config set")
    assert named(proxy, "move_ordered", start["last"], id=move, by="http") and named(proxy, "admin_token_wrong", start["last"])
    assert named(proxy, "dual_write_set", start["last"], policy="conv") and named(proxy, "guarantee", start["last"], policy="conv")
    assert "s3cret" not in json.dumps(told)
    assert all({"id", "time", "level", "event", "fields"} <= set(e) and e["id"] > start["last"] for e in told)
    assert "event=move_ordered" not in proxy.log_text(), "the log shows warnings only"


def test_events_tell_of_stores_and_count_repeats(placed, fresh_redis):
    proxy = placed
    last = events(proxy)["last"]
    with proxy.client() as client:
        client.rpush("conv:1", "a")
        fresh_redis.kill()
        eventually(lambda: named(proxy, "placement", last, policy="conv", acting="archive"))
        eventually(lambda: named(proxy, "redis_error", last))
        fresh_redis.start()
        eventually(lambda: named(proxy, "redis_up", last))
    proxy.post_json("/api/v1/settings", {"archive.faults": "yes", "failover.automatic": "no"})
    assert proxy.http("/api/v1/archive/faults", {"plan": "op=ping fail=100% error=down"}, method="PUT")[0] == 200
    eventually(lambda: named(proxy, "archive_down", last))
    assert proxy.http("/api/v1/archive/faults", {"plan": ""}, method="PUT")[0] == 200
    eventually(lambda: named(proxy, "archive_up", last))
    assert named(proxy, "archive_faults", last, by="http") and named(proxy, "archive_faults_cleared", last)


@pytest.mark.sanitize
def test_trouble_that_comes_again_is_one_event(placed):
    """Wrong tokens, for longer than a second: two lines of the log a second; one event, if nothing else happens in between."""
    proxy = placed
    proxy.post_json("/api/v1/settings", {"admin.token": "tok"})
    last = events(proxy)["last"]

    def wrong_again():
        proxy.http("/api/v1/settings", {"conv.ttl": "9d"}, headers={"Authorization": "Bearer nope"})
        return [e for e in named(proxy, "admin_token_wrong", last) if e.get("repeats", 0) >= 2]

    told = eventually(wrong_again, timeout=20)[0]
    assert told["until"] > told["time"] and told["fields"]["address"] == "127.0.0.1"


COLUMNS = {"requests", "errors", "p50_ms", "p95_ms", "p99_ms", "redis_up", "archive_up", "clients", "dirty_keys", "copy_lag_s", "persist_errors"}


@pytest.mark.sanitize
def test_series_show_what_was(placed, fresh_redis):
    proxy = placed

    def series():
        return proxy.get_json("/api/v1/series?seconds=600")

    with proxy.client() as client:

        def traffic_is_seen():
            for i in range(20):
                client.rpush(f"conv:{i}", "m")
            client.execute_command("GET", "raw")
            s = series()
            return any(r is not None and r >= 5 for r in s["requests"]) and any(s["p95_ms"]) and s

        s = eventually(traffic_is_seen, timeout=10)
        with pytest.raises(Exception, match="WRONGTYPE"):
            client.get("conv:1")
        eventually(lambda: any(e for e in series()["errors"] if e))
    assert set(s) == COLUMNS | {"step_s", "time", "acting"} and s["step_s"] == 1
    n = len(s["time"])
    assert all(len(s[name]) == n for name in COLUMNS) and len(s["acting"]["conv"]) == n
    assert s["time"] == sorted(set(s["time"])) and abs(s["time"][-1] - time.time()) < 5
    assert s["redis_up"][-1] == s["archive_up"][-1] == 1 and s["acting"]["conv"][-1] == "redis" and s["dirty_keys"][-1] is not None
    both = [(a, b) for a, b in zip(s["p50_ms"], s["p99_ms"], strict=True) if a is not None]
    assert all(0 < a <= b for a, b in both)

    fresh_redis.kill()
    down = eventually(lambda: (s := series())["redis_up"][-1] == 0 and s["acting"]["conv"][-1] == "archive" and s)
    assert 1 in down["redis_up"], "what was before is still there"
    with proxy.client() as client:

        def archive_is_seen():
            client.rpush("conv:1", "x")
            s = series()
            return [p for p, a in zip(s["p50_ms"], s["acting"]["conv"], strict=True) if p and a == "archive"]

        eventually(archive_is_seen, timeout=10)
    newest = series()["time"][-1]
    later = proxy.get_json(f"/api/v1/series?since={newest}")
    assert all(t > newest for t in later["time"])


def test_two_hours_come_in_steps_of_ten_seconds(proxy, redis_server):
    """By the module's proxy, which is ten seconds old by now, or soon."""
    coarse = eventually(lambda: (s := proxy.get_json("/api/v1/series?seconds=7200"))["time"] and s, timeout=30)
    assert coarse["step_s"] == 10 and set(coarse) == COLUMNS | {"step_s", "time", "acting"}
    assert len(coarse["time"]) == len(coarse["requests"]) == len(coarse["acting"]["conv"])
    assert coarse["archive_up"][-1] in (0, 1) and coarse["clients"][-1] is not None and coarse["persist_errors"][-1] == 0
