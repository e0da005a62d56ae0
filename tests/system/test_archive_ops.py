"""What an operator sees of the archive and does with it: metrics, health, INFO, the switch while running, faults for game days,
and what an archive that hangs does to everybody else (nothing)."""
import json
import shutil
import signal
import subprocess
import time

import pytest
from harness import NOBODY, RespConn, RespError, eventually
from harness.mongo_server import FerretDB, start_mongo
from harness.steady import Steady

pytestmark = pytest.mark.managed

TIMEOUT = 0.5
SETTINGS = {"archive.timeout": f"{int(TIMEOUT * 1000)}ms", "archive.faults": "yes"}
IN_TIME = 2 * TIMEOUT + 1.5  # its turn, its operation, the second between two looks, and a slow machine


@pytest.fixture
def alone(make_proxy):
    """A proxy without Redis: the archive answers."""
    proxy = make_proxy(NOBODY, settings=SETTINGS).start()
    eventually(lambda: acting(proxy) == "archive")
    return proxy


@pytest.fixture
def both(make_proxy, fresh_redis):
    """A proxy with both stores; Redis answers."""
    proxy = make_proxy(fresh_redis.url, settings=SETTINGS).start()
    eventually(lambda: acting(proxy) == "redis" and proxy.metrics()["redis_up"] == 1)
    return proxy


@pytest.fixture
def conn(request):
    proxy = request.getfixturevalue("alone" if "alone" in request.fixturenames else "both")
    with RespConn.to(proxy) as connection:
        yield connection


def acting(proxy):
    return json.loads(proxy.http("/healthz")[1])["placement"][0]["acting"]


def lines(reply):
    return [line.decode() for line in reply]


# ---- metrics, health, INFO ----


def test_metrics(alone, conn):
    conn.cmd("RPUSH", "conv:1", "a", "b")
    conn.cmd("RPUSH", "conv:1", "c")
    conn.cmd("RPUSH", "conv:2", "x")
    assert conn.cmd("LRANGE", "conv:1", 0, -1) == [b"a", b"b", b"c"]
    assert conn.cmd("LRANGE", "conv:none", 0, -1) == []
    assert isinstance(conn.cmd("HGET", "conv:1", "f"), RespError)
    m = eventually(lambda: (m := alone.metrics()).get("archive_documents") == 2 and m, timeout=15)
    assert m["mongo_up"] == m['archive_up{kind="sqlite"}'] == 1 and m["archive_bytes"] > 0
    assert m['conv_acting_primary{policy="conv",store="archive"}'] == 1
    assert m['conv_acting_primary{policy="conv",store="redis"}'] == 0
    assert m["archive_commands_total"] == m["archive_command_seconds_count"] == 6
    assert m["archive_documents_written_total"] == 3 and m["archive_commits_total"] == 3
    assert m['archive_operation_seconds_count{operation="commit"}'] == 3
    assert m['archive_operation_seconds_count{operation="load"}'] == 6
    assert m['context_retrievals_total{policy="conv",result="hit"}'] == 1
    assert m['context_retrievals_total{policy="conv",result="miss"}'] == 1
    assert m['context_retrievals_total{policy="conv",result="error"}'] == 1
    assert m['convproxy_policy_writes_total{policy="conv"}'] == 3
    assert m['msg_count_before_bucket{le="0",policy="conv"}'] == 2
    assert m['msg_count_before_count{policy="conv"}'] == 3 and m['msg_count_before_sum{policy="conv"}'] == 2
    assert sum(v for name, v in m.items() if name.startswith("archive_queue_commands")) == 0


def test_metrics_of_transactions_and_parked(alone, conn):
    conn.cmd("MULTI")
    conn.cmd("RPUSH", "conv:1", "a")
    conn.cmd("RPUSH", "conv:1", "b")
    assert conn.cmd("EXEC") == [1, 2]
    with RespConn.to(alone) as waiter:
        waiter.send_cmd("BLPOP", "conv:q", 30)
        eventually(lambda: alone.metrics()['archive_queue_commands{state="parked"}'] == 1)
        conn.cmd("RPUSH", "conv:q", "x")
        assert waiter.read() == [b"conv:q", b"x"]
    m = alone.metrics()
    assert m['archive_queue_commands{state="parked"}'] == 0
    assert m['convproxy_policy_writes_total{policy="conv"}'] >= 3
    assert m['msg_count_before_count{policy="conv"}'] == 3


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool (Debian: prometheus) is not installed")
def test_promtool_agrees(alone):
    done = subprocess.run(["promtool", "check", "metrics"], input=alone.http("/metrics")[1], capture_output=True, text=True, timeout=20)
    assert [line for line in done.stderr.splitlines() if not line.startswith("redis_latency_p")] == []


def test_healthy_is_who_answers(alone, conn):
    health = alone.get_json("/healthz")
    assert health["healthy"] is True and health["reasons"] == []
    assert "keys of no policy are not served" in health["warnings"][0]
    assert health["stores"]["redis"]["up"] is False
    assert health["stores"]["archive"].items() >= {"kind": "sqlite", "up": True}.items()
    assert health["placement"][0].items() >= {"policy": "conv", "primary": "redis", "acting": "archive"}.items()
    memory = alone.get_json("/health/memory")
    assert sorted(memory) == ["connectionState", "healthy", "latencyMs", "reconnectAttempts"]
    assert memory["healthy"] is True and memory["connectionState"] == "connected" and memory["reconnectAttempts"] == 0

    conn.cmd("CONV", "FAULT", "op=ping fail=100% error=down")
    eventually(lambda: alone.http("/healthz")[0] == 503)
    eventually(lambda: json.loads(alone.http("/health/memory")[1])["reconnectAttempts"] >= 2)
    health = json.loads(alone.http("/healthz")[1])
    assert health["reasons"][0].startswith("archive: ") and health["stores"]["archive"]["up"] is False
    memory = json.loads(alone.http("/health/memory")[1])
    assert memory["healthy"] is False and memory["connectionState"] == "reconnecting"
    assert alone.http("/readyz")[0] == 200, "clients are taken, and get a clear error"
    assert conn.cmd("RPUSH", "conv:1", "a").startswith("ARCHIVEDOWN the archive is not reachable (")
    assert alone.metrics()["mongo_up"] == 0
    conn.cmd("CONV", "FAULT", "")
    eventually(lambda: alone.http("/healthz")[0] == 200)
    assert conn.cmd("RPUSH", "conv:1", "a") == 1
    log = alone.log_text()
    assert log.count("event=archive_down") == log.count("event=archive_up") == 1


def test_the_archive_is_no_ones_health_but_its_policies(both, conn):
    conn.cmd("CONV", "FAULT", "op=ping fail=100% error=down")
    eventually(lambda: both.metrics()["mongo_up"] == 0)
    health = both.get_json("/healthz")
    assert health["healthy"] is True and any("the archive is down" in line for line in health["warnings"])
    assert conn.cmd("RPUSH", "conv:1", "a") == 1


def test_info_and_state(alone, conn):
    conn.cmd("SET", "conv:s", "v")
    eventually(lambda: alone.get_json("/api/v1/state")["archive"].get("documents") == 1, timeout=15)
    info = dict(line.split(":", 1) for line in conn.cmd("INFO", "convproxy").decode().split("\r\n") if ":" in line)
    assert info["archive_kind"] == "sqlite" and info["archive_up"] == "1" and info["archive_documents"] == "1"
    assert ",primary=redis,acting=archive," in info["policy_conv"] and info["archive_faults"] == ""
    archive = alone.get_json("/api/v1/state")["archive"]
    assert archive["kind"] == "sqlite" and archive["up"] is True and archive["queue"]["running"] == 0
    assert archive["commits"] == 1 and archive["latencyMs"]["p99"] >= archive["latencyMs"]["p50"] > 0
    assert alone.get_json("/api/v1/health")["healthy"] is True


# ---- the switch ----


def records_written(proxy):
    """Who has acted is kept in the archive, soon after it changed."""
    return proxy.metrics()['archive_operation_seconds_count{operation="control_set"}']


def settled(proxy, store):
    """Until the store answers, and no key is on its way."""

    def there():
        item = proxy.get_json("/api/v1/primary")["placement"][0]
        return item["acting"] == store and item["phase"] == store

    eventually(there, timeout=15)


def test_switch_over_resp(both, conn, fresh_redis):
    """What one store has been told the other one has when it answers."""
    settled(both, "redis")
    assert conn.cmd("RPUSH", "conv:1", "in redis") == 1
    assert lines(conn.cmd("CONV", "PRIMARY", "mongo")) == ["policy conv: to be answered by archive, was redis"]
    settled(both, "archive")
    assert conn.cmd("LRANGE", "conv:1", 0, -1) == [b"in redis"]
    assert conn.cmd("RPUSH", "conv:1", "in the archive") == 2
    assert both.metrics()['conv_acting_primary{policy="conv",store="archive"}'] == 1
    assert both.get_json("/api/v1/primary")["placement"][0].items() >= {"primary": "archive", "acting": "archive"}.items()
    assert lines(conn.cmd("CONV", "PRIMARY", "conv", "redis")) == ["policy conv: to be answered by redis, was archive"]
    settled(both, "redis")
    assert conn.cmd("LRANGE", "conv:1", 0, -1) == [b"in redis", b"in the archive"]
    assert fresh_redis.client().lrange("conv:1", 0, -1) == [b"in redis", b"in the archive"]
    assert both.log_text().count("event=primary_set") == 2


def test_a_switch_without_copies_says_what_is_not_seen(both, conn):
    settled(both, "redis")
    conn.cmd("CONFIG", "SET", "conv.dual_write", "no")
    told = lines(conn.cmd("CONV", "PRIMARY", "mongo"))
    assert told[1].startswith("warning: dual_write is off: what was never copied to the archive will not be seen")


@pytest.mark.parametrize("rewritten, store", [(True, "archive"), (False, "redis")], ids=["rewritten", "not rewritten"])
def test_a_switch_reaches_all_clients_and_a_restart(both, conn, fresh_redis, rewritten, store):
    """The setting counts after a restart: the new one if it was written to the file, else the old one. Nothing is lost in either."""
    settled(both, "redis")
    with RespConn.to(both) as other:
        assert other.cmd("SET", "conv:s", "in redis") == "OK"
        conn.cmd("CONFIG", "SET", "conv.primary", "mongo")
        settled(both, "archive")
        assert conn.cmd("GET", "conv:s") == other.cmd("GET", "conv:s") == b"in redis"
        assert other.cmd("SET", "conv:s", "in the archive") == "OK"
        assert conn.cmd("GET", "conv:s") == b"in the archive"
    if rewritten:
        assert conn.cmd("CONFIG", "REWRITE") == "OK"
    both.restart()
    eventually(lambda: both.metrics()["redis_up"] == 1)
    with RespConn.to(both) as again:
        assert again.cmd("GET", "conv:s") == b"in the archive"
        settled(both, store)
        assert again.cmd("GET", "conv:s") == b"in the archive"
    assert fresh_redis.client().get("conv:s") == (b"in redis" if rewritten else b"in the archive")


def test_an_order_counts_though_the_setting_has_that_value(alone, conn, fresh_redis):
    """Redis comes after the archive has taken conversations: told so, it acts at once, with all of them."""
    conn.cmd("RPUSH", "conv:1", "a")
    conn.cmd("CONFIG", "SET", "redis.url", fresh_redis.url)
    eventually(lambda: alone.metrics()["redis_up"] == 1)
    assert acting(alone) == "archive" and conn.cmd("CONFIG", "GET", "conv.primary") == [b"conv.primary", b"redis"]
    assert conn.cmd("CONFIG", "SET", "conv.primary", "redis") == "OK"
    settled(alone, "redis")
    assert conn.cmd("LRANGE", "conv:1", 0, -1) == [b"a"] == fresh_redis.client().lrange("conv:1", 0, -1)
    alone.log_contains("event=primary_set")


def test_who_acts_that_cannot_be_written_down_is_not_tried_in_a_hurry(both, conn):
    """The archive answers pings and refuses the record: the move is put off, Redis acts on, and the proxy does not spin."""
    settled(both, "redis")
    conn.cmd("CONV", "FAULT", "op=control_set fail=100% error=bad")
    conn.cmd("CONV", "PRIMARY", "mongo")
    eventually(lambda: records_written(both) > 0 and "to=leave" in both.log_text())
    before, since = records_written(both), time.monotonic()
    time.sleep(0.5)  # what is measured is how often it is tried
    tried = records_written(both) - before
    assert tried <= 40 * (time.monotonic() - since), f"{tried} times in {time.monotonic() - since:.1f} s"
    with RespConn.to(both) as writer:
        assert writer.cmd("RPUSH", "conv:1", "meanwhile") == 1
    assert acting(both) == "redis"
    conn.cmd("CONV", "FAULT", "")
    settled(both, "archive")


def test_switch_over_http(both, conn):
    settled(both, "redis")
    answer = both.post_json("/api/v1/primary", {"policy": "conv", "store": "mongo"})
    assert answer == {"policy": "conv", "before": "redis", "after": "archive", "warnings": []}
    settled(both, "archive")
    answer = both.post_json("/api/v1/settings", {"conv.primary": "redis"})
    assert answer["changed"][0]["value"] == "redis"
    settled(both, "redis")
    for body, words in (
        ({"store": "mars"}, "mars"),
        ({"policy": "nope", "store": "mongo"}, "there is no policy 'nope'"),
        ({}, "expected"),
    ):
        status, text = both.http("/api/v1/primary", body)
        assert status == 400 and words in json.loads(text)["error"]
    assert acting(both) == "redis"
    both.post_json("/api/v1/settings", {"admin.token": "tok"})
    for path, body in (("/api/v1/primary", {"store": "mongo"}), ("/api/v1/archive/faults", {"plan": ""})):
        assert both.http(path, body)[0] == 401
        assert both.http(path)[0] == 200, "reading needs no token"
        assert both.http(path, body, method="PUT", headers={"Authorization": "Bearer tok"})[0] == 200
    eventually(lambda: acting(both) == "archive")


def test_primary_from_the_environment(make_proxy, fresh_redis):
    proxy = make_proxy(fresh_redis.url, env={"CONV_STORE_PRIMARY": "mongo"}).start()
    with RespConn.to(proxy) as conn:
        assert conn.cmd("RPUSH", "conv:1", "a") == 1
    assert acting(proxy) == "archive" and fresh_redis.client().dbsize() == 0


def test_primary_by_sighup(make_proxy, fresh_redis):
    policies = "policies:\n  - name: conv\n    match: 'conv:*'\n    primary: %s\n"
    proxy = make_proxy(fresh_redis.url, policies % "redis").start()
    settled(proxy, "redis")
    proxy.config_path.write_text(policies % "mongo")
    proxy.process.send_signal(signal.SIGHUP)
    settled(proxy, "archive")
    proxy.log_contains("event=placement policy=conv from=leave to=archive")


def test_conv_over_resp(both, conn):
    assert any(line.startswith("PRIMARY") for line in conn.cmd("CONV", "HELP"))
    status = lines(conn.cmd("CONV", "STATUS"))
    assert status[0].endswith(": healthy") and status[1].startswith("redis: up, ") and status[2].startswith("archive: up, sqlite")
    assert "policy conv (conv:*): primary redis, answered by redis" in status
    assert conn.cmd("CONV", "nope") == "ERR unknown subcommand 'nope'. Try CONV HELP."
    assert conn.cmd("CONV") == "ERR wrong number of arguments for 'conv' command"
    assert conn.cmd("CONV", "PRIMARY", "a", "b", "c") == "ERR wrong number of arguments for 'conv|primary' command"
    assert "mars" in conn.cmd("CONV", "PRIMARY", "mars") and "no policy 'x'" in conn.cmd("CONV", "PRIMARY", "x", "mongo")
    conn.cmd("MULTI")
    assert "inside MULTI" in conn.cmd("CONV", "STATUS")
    assert conn.cmd("DISCARD") == "OK"
    assert acting(both) == "redis"


def test_without_an_archive(make_proxy, fresh_redis):
    proxy = make_proxy(fresh_redis.url, settings={"archive.url": "", "archive.faults": "yes"}).start()
    eventually(lambda: proxy.metrics()["redis_up"] == 1)
    m = proxy.metrics()
    assert m["mongo_up"] == 0 and m['archive_up{kind="none"}'] == 0 and "archive_documents" not in m
    with RespConn.to(proxy) as conn:
        assert "no archive" in conn.cmd("CONV", "PRIMARY", "mongo")
        assert "no archive" in conn.cmd("CONV", "FAULT", "op=load hang")
        assert "archive: none, archive.url is empty" in lines(conn.cmd("CONV", "STATUS"))
        assert conn.cmd("RPUSH", "conv:1", "a") == 1
    assert proxy.get_json("/healthz")["stores"]["archive"]["kind"] == "none"


def test_an_archive_that_cannot_be_opened_is_not_replaced_by_redis(make_proxy, fresh_redis):
    settings = {"archive.url": "mongodb://127.0.0.1:1/x?tls=maybe", "conv.primary": "mongo"}
    proxy = make_proxy(fresh_redis.url, settings=settings).start()
    eventually(lambda: proxy.metrics()["redis_up"] == 1)
    health = json.loads(proxy.http("/healthz")[1])
    assert health["healthy"] is False and health["placement"][0]["acting"] == "archive"
    assert health["reasons"] == [f"archive: {health['stores']['archive']['error']}"]
    with RespConn.to(proxy) as conn:
        assert conn.cmd("RPUSH", "conv:1", "a").startswith("ARCHIVEDOWN ")
        assert lines(conn.cmd("CONV", "PRIMARY", "redis"))[0] == "policy conv: to be answered by redis, was archive"
        assert conn.cmd("RPUSH", "conv:1", "a") == 1
    assert proxy.http("/healthz")[0] == 200


# ---- faults ----


def test_faults_need_the_setting_and_are_loud(make_proxy):
    proxy = make_proxy(NOBODY).start()
    eventually(lambda: acting(proxy) == "archive")
    with RespConn.to(proxy) as conn:
        assert "archive.faults" in conn.cmd("CONV", "FAULT", "op=load delay=1ms")
        assert proxy.http("/api/v1/archive/faults", {"plan": "op=load delay=1ms"}, method="PUT")[0] == 400
        assert proxy.get_json("/api/v1/archive/faults") == {"plan": "", "allowed": False}
        conn.cmd("CONFIG", "SET", "archive.faults", "yes")
        assert conn.cmd("CONV", "FAULT", "op=load", "delay=30ms") == "OK", "quotes may be forgotten"
        began = time.monotonic()
        conn.cmd("LRANGE", "conv:1", 0, -1)
        assert time.monotonic() - began >= 0.03
        plan = conn.cmd("CONV", "FAULT").decode()
        assert plan == "op=load delay=30ms"
        assert proxy.metrics()["archive_faults_active"] == 1
        health = proxy.get_json("/healthz")
        assert health["stores"]["archive"]["faults"] == plan and any(plan in line for line in health["warnings"])
        assert f"archive_faults:{plan}" in conn.cmd("INFO", "convproxy").decode()
        proxy.log_contains(f'event=archive_faults plan="{plan}"')
        assert "nothing" in conn.cmd("CONV", "FAULT", "op=nothing delay=1ms")
        assert conn.cmd("CONV", "FAULT").decode() == plan, "a bad plan changes nothing"
        assert proxy.http("/api/v1/archive/faults", {"plan": 1}, method="PUT")[0] == 400
        conn.cmd("CONFIG", "SET", "archive.faults", "no")
        assert conn.cmd("CONV", "FAULT") == b"" and proxy.metrics()["archive_faults_active"] == 0
        proxy.log_contains("event=archive_faults_cleared")


REASONS = [
    ("lost-after", "lost", "the command may or may not have run"),
    ("bad", "refused", "the archive refused it"),
    ("down", "down", "the archive is not reachable"),
]


@pytest.mark.parametrize("error, reason, words", REASONS, ids=[row[0] for row in REASONS])
def test_what_was_not_stored_is_counted_by_its_reason(alone, conn, error, reason, words):
    name = 'history_persist_errors_total{policy="conv",reason="%s",store="archive"}' % reason
    assert alone.metrics()[name] == 0
    conn.cmd("CONV", "FAULT", f"op=commit fail=100% error={error}")
    answer = conn.cmd("RPUSH", "conv:1", "a")
    assert answer.startswith("ARCHIVEDOWN ") and words in answer
    assert alone.metrics()[name] == 1
    assert alone.metrics()['history_persist_errors_total{policy="conv",reason="redisdown",store="redis"}'] == 0
    eventually(lambda: f"event=persist_error policy=conv store=archive reason={reason}" in alone.log_text())
    conn.cmd("CONV", "FAULT", "")
    eventually(lambda: not isinstance(conn.cmd("RPUSH", "conv:1", "a"), RespError))
    conn.cmd("CONV", "FAULT", "op=load fail=100% error=bad")
    assert conn.cmd("LRANGE", "conv:1", 0, -1).startswith("ARCHIVEDOWN ")
    assert alone.metrics()['context_retrievals_total{policy="conv",result="error"}'] == 1


def test_each_write_of_a_failed_transaction_counts(alone, conn):
    conn.cmd("CONV", "FAULT", "op=commit fail=100% error=bad")
    conn.cmd("MULTI")
    conn.cmd("RPUSH", "conv:1", "a")
    conn.cmd("LRANGE", "conv:1", 0, -1)
    conn.cmd("RPUSH", "conv:2", "b")
    assert conn.cmd("EXEC").startswith("ARCHIVEDOWN ")
    assert alone.metrics()['history_persist_errors_total{policy="conv",reason="refused",store="archive"}'] == 2


def test_a_value_that_no_document_holds_counts(alone, conn):
    assert "15 MiB" in conn.cmd("SET", "conv:s", b"x" * (16 << 20))
    assert alone.metrics()['history_persist_errors_total{policy="conv",reason="too_large",store="archive"}'] == 1


# ---- an archive that hangs ----


def until_refused(conn):
    """How long an append takes that can't succeed, and its error."""
    began = time.monotonic()
    answer = conn.cmd("RPUSH", "conv:1", "x")
    return time.monotonic() - began, answer


# The second when several proxies may share the archive: without it nobody knows for longer than a lease who acts.
KNOWN_DOWN = ("ARCHIVEDOWN the archive is not reachable", "TRYAGAIN the stores are changing places (waited 0 ms; archive: ")


def check_hang(proxy, server, hang, resume, seconds, in_time):
    """hang() makes the archive hang and resume() ends that: nobody else is slowed, errors come in time, all recovers. What a
    client straight to Redis sees at the same time is this machine's doing."""
    with RespConn.to(proxy) as conn, RespConn.to(proxy) as piped:
        eventually(lambda: not isinstance(conn.cmd("RPUSH", "conv:1", "before"), RespError), timeout=15)
        assert conn.cmd("SET", "plain", "value") == "OK"
        raw, direct = Steady(proxy), Steady(server)
        hang()
        began = time.monotonic()
        try:
            for i in range(100):
                piped.send_cmd("RPUSH", f"conv:many:{i}", "x")
            took, answer = until_refused(conn)
            assert took < in_time and answer.startswith("ARCHIVEDOWN "), (took, answer)
            for _ in range(100):
                assert piped.read().startswith("ARCHIVEDOWN ")
            assert time.monotonic() - began < in_time + 1
            eventually(lambda: proxy.metrics()["mongo_up"] == 0)
            took, answer = until_refused(conn)
            assert took < 0.25 and answer.startswith(KNOWN_DOWN), ("known to be down: at once", took, answer)
            time.sleep(max(0, seconds - (time.monotonic() - began)))  # the hang itself is what is measured
        finally:
            resume()
        eventually(lambda: not isinstance(conn.cmd("RPUSH", "conv:2", "after"), RespError), timeout=15)
        seen, machine = raw.stop(), direct.stop()
        print(f"plain GETs, ms: {seen}\nstraight to Redis: {machine}")
        assert seen["wrong"] == [] and seen["asked"] > 100
        assert seen["max"] < 200 + machine["max"]
        kept = eventually(lambda: not isinstance(r := conn.cmd("LRANGE", "conv:1", 0, -1), RespError) and r, timeout=15)
        assert kept[0] == b"before" and proxy.metrics()["mongo_up"] == 1


def to_the_archive(proxy):
    with RespConn.to(proxy) as conn:
        conn.cmd("CONV", "PRIMARY", "mongo")
    settled(proxy, "archive")


@pytest.mark.sanitize
def test_an_archive_that_hangs_slows_nobody_else(both, conn, fresh_redis):
    to_the_archive(both)
    check_hang(
        both,
        fresh_redis,
        lambda: conn.cmd("CONV", "FAULT", "op=all hang"),
        lambda: conn.cmd("CONV", "FAULT", ""),
        seconds=5,
        in_time=IN_TIME,
    )


def test_commits_that_hang(both, conn):
    """Pings are answered, so the archive counts as up: each client still hears in time."""
    to_the_archive(both)
    conn.cmd("CONV", "FAULT", "op=commit hang")
    with RespConn.to(both) as writer:
        took, answer = until_refused(writer)
        assert took < IN_TIME and "did not answer" in answer
        assert writer.cmd("LRANGE", "conv:other", 0, -1) == [], "reads go on"
        conn.cmd("CONV", "FAULT", "")
        eventually(lambda: not isinstance(writer.cmd("RPUSH", "conv:1", "b"), RespError))
        assert writer.cmd("LRANGE", "conv:1", 0, -1)[-1] == b"b"
    name = 'history_persist_errors_total{policy="conv",reason="lost",store="archive"}'
    assert both.metrics()[name] >= 1


@pytest.mark.sanitize
def test_the_end_while_the_archive_hangs(alone):
    """A client waits, the archive hangs, SIGTERM: the proxy ends with 0."""
    with RespConn.to(alone) as conn, RespConn.to(alone) as waiter:
        alone.post_json("/api/v1/settings", {"proxy.drain_time": "200ms"})
        assert conn.cmd("CONV", "FAULT", "op=all hang") == "OK"
        waiter.send_cmd("RPUSH", "conv:1", "a")
        eventually(lambda: alone.metrics()['archive_queue_commands{state="running"}'] == 1)
        alone.stop()
    alone.start()


@pytest.mark.timeout(120)
def test_a_mongo_that_is_stopped_slows_nobody_else(make_proxy, fresh_redis, tmp_path):
    mongo = start_mongo(FerretDB, tmp_path)
    try:
        settings = {**SETTINGS, "archive.url": mongo.url, "archive.timeout": "1s", "archive.connect_timeout": "500ms"}
        settings |= {"failover.hold": "0ms"}
        proxy = make_proxy(fresh_redis.url, settings=settings).start()
        eventually(lambda: proxy.metrics()["mongo_up"] == 1 and proxy.metrics()["redis_up"] == 1, timeout=10)
        to_the_archive(proxy)
        check_hang(proxy, fresh_redis, mongo.pause, mongo.resume, seconds=6, in_time=2 * 1 + 2.5)
        assert proxy.metrics()['archive_up{kind="mongo"}'] == 1
    finally:
        mongo.kill()
