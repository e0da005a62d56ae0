"""Moves and dual writes as operators order them: by RESP, HTTP and convctl, and what is told of them."""
import json
import os
import signal
import subprocess
import time

import pytest
import redis
from harness import RespConn, eventually
from harness.ctl import convctl_of as convctl
from harness.ctl import convctl_path

pytestmark = pytest.mark.managed

OK, UNHEALTHY, USAGE, INTERRUPTED = 0, 1, 2, 4
KINDS = ["backfill", "drain", "verify", "ttl-audit"]


def acts(proxy, store="redis"):
    def there():
        item = proxy.get_json("/api/v1/primary")["placement"][0]
        return item["acting"] == store and item.get("phase") == store

    eventually(there, timeout=15)


@pytest.fixture
def pair(fresh_proxy, fresh_redis):
    """(proxy, its client, a client of Redis): Redis acts, and nothing is under way between the stores."""
    acts(fresh_proxy)
    client, real = fresh_proxy.client(decode_responses=True), fresh_redis.client(decode_responses=True)
    eventually(lambda: all(m["state"] == "done" for m in moves(fresh_proxy)))
    yield fresh_proxy, client, real
    client.close()
    real.close()


def post(proxy, path, body):
    """(status, document)"""
    status, text = proxy.http(path, body)
    return status, json.loads(text)


def moves(proxy):
    return proxy.get_json("/api/v1/moves")["moves"]


def move(proxy, number):
    return next(m for m in moves(proxy) if m["id"] == number)


def order(proxy, kind, **what):
    status, body = post(proxy, "/api/v1/moves", {"kind": kind, **what})
    assert status == 200, body
    return body["id"]


def ended(proxy, number, state="done"):
    done = eventually(lambda: (m := move(proxy, number))["state"] not in ("waiting", "running") and m, timeout=20)
    assert done["state"] == state, done
    return done


def spoil(real, key):
    """Somebody writes past the proxy."""
    real.rpush(key, "past the proxy")


# ---- over HTTP ----


@pytest.mark.sanitize
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_runs(pair, kind):
    proxy, client, _ = pair
    for i in range(30):
        client.rpush(f"conv:{i}", "a")
    done = ended(proxy, order(proxy, kind, policy="conv"))
    assert done["kind"] == kind and done["policy"] == "conv"
    assert done["done"] == done["total"] and done["found"] == 0 and done["examples"] == []
    assert done["startedAt"] <= done["endedAt"]
    assert proxy.metrics()[f'conv_moves{{kind="{kind}",state="done"}}'] >= 1


def test_verify_finds_what_was_written_past_the_proxy(pair):
    proxy, client, real = pair
    for i in range(20):
        client.rpush(f"conv:{i}", "a")
    spoil(real, "conv:7")
    assert ended(proxy, order(proxy, "verify"))["found"] == 0, "the versions are the same"
    found = ended(proxy, order(proxy, "verify", deep=True))
    assert (found["found"], found["examples"]) == (1, ["conv:7"])
    assert proxy.metrics()['conv_verify_mismatches{policy="conv"}'] == 1
    repaired = ended(proxy, order(proxy, "verify", deep=True, repair=True))
    assert repaired["repaired"] == 1
    eventually(lambda: ended(proxy, order(proxy, "verify", deep=True))["found"] == 0, timeout=20)
    assert proxy.metrics()['conv_verify_mismatches{policy="conv"}'] == 0


def test_audit_finds_keys_without_an_expiry(pair):
    proxy, client, real = pair
    for i in range(10):
        client.rpush(f"conv:{i}", "a")
    real.persist("conv:3")
    found = ended(proxy, order(proxy, "ttl-audit"))
    assert (found["found"], found["examples"]) == (1, ["conv:3"]) and real.ttl("conv:3") == -1
    assert ended(proxy, order(proxy, "ttl-audit", repair=True))["repaired"] == 1
    assert real.ttl("conv:3") > 0


def test_a_slow_move_tells_how_far_it_is_and_can_be_ended(pair):
    proxy, client, _ = pair
    for i in range(200):
        client.rpush(f"conv:{i}", "a")
    number = order(proxy, "verify", rate=20)
    assert move(proxy, number)["rate"] == 20
    running = eventually(lambda: (m := move(proxy, number))["done"] > 5 and m)
    assert running["state"] == "running" and running["done"] < 200
    after = order(proxy, "ttl-audit")
    assert move(proxy, after)["state"] == "waiting"
    assert proxy.http(f"/api/v1/moves/{after}", method="DELETE")[0] == 200
    assert post(proxy, "/api/v1/moves/abort", {"id": number}) == (200, {"aborted": number})
    assert ended(proxy, number, "aborted")["done"] < 200 and ended(proxy, after, "aborted")["done"] == 0
    assert f"event=move_aborted id={number} by=http" in proxy.log_text()


def test_an_aborted_move_goes_on_where_it_was(pair):
    proxy, client, _ = pair
    for i in range(300):
        client.rpush(f"conv:{i}", "a")
    number = order(proxy, "ttl-audit", rate=200)
    eventually(lambda: move(proxy, number)["done"] > 20)
    assert post(proxy, "/api/v1/moves/resume", {"id": number}) == (409, {"error": f"move {number} can't go on: it is not over"})
    assert post(proxy, "/api/v1/moves/abort", {"id": number})[0] == 200
    done = ended(proxy, number, "aborted")["done"]
    assert 20 < done < 300
    resumed = convctl(proxy, "resume", number)
    assert resumed.returncode == OK and f"resumed    move {number}\n" in resumed.stdout and "300 of 300 keys" in resumed.stdout
    assert ended(proxy, number)["done"] == 300
    with RespConn.to(proxy) as conn:
        assert str(conn.cmd("CONV", "RESUME", str(number))) == f"ERR move {number} can't go on: it is done"
    assert f"event=move_resumed id={number} by=http" in proxy.log_text()


@pytest.mark.parametrize(
    "body, words",
    [
        ({"kind": "mend"}, "expected"),
        ({}, "expected"),
        ({"kind": "verify", "policy": "nope"}, "no policy 'nope'"),
        ({"kind": "verify", "deep": "yes"}, "true or false"),
        ({"kind": "verify", "rate": -1}, "whole number"),
        ({"kind": "verify", "rate": 1.5}, "whole number"),
        ({"kind": "backfill", "repair": True}, "can repair"),
        ({"kind": "drain", "deep": True}, "can be deep"),
    ],
)
def test_wrong_orders_are_refused(proxy, body, words):
    eventually(lambda: moves(proxy))  # the one that the start has ordered
    before = moves(proxy)
    status, answer = post(proxy, "/api/v1/moves", body)
    assert status == 400 and words in answer["error"]
    assert len(moves(proxy)) == len(before)


def test_wrong_calls_get_the_right_codes(proxy):
    assert post(proxy, "/api/v1/moves/abort", {"id": 12345})[0] == 404
    assert post(proxy, "/api/v1/moves/abort", {"id": "x"})[0] == 400
    assert proxy.http("/api/v1/moves/12345", method="DELETE")[0] == 404
    assert proxy.http("/api/v1/moves/x", method="DELETE")[0] == 400
    assert proxy.http("/api/v1/moves/1/2", method="DELETE")[0] == 404
    assert proxy.http("/api/v1/moves/", method="DELETE")[0] == 404
    assert proxy.http("/api/v1/moves/1")[0] == 405
    assert post(proxy, "/api/v1/dual-write", {"on": "yes"})[0] == 400
    assert post(proxy, "/api/v1/dual-write", {"policy": "nope", "on": True})[0] == 400


def test_a_token_guards_them(fresh_proxy):
    acts(fresh_proxy)
    post(fresh_proxy, "/api/v1/settings", {"admin.token": "tok"})
    assert post(fresh_proxy, "/api/v1/moves", {"kind": "drain"})[0] == 401
    assert fresh_proxy.http("/api/v1/moves/1", method="DELETE")[0] == 401
    assert post(fresh_proxy, "/api/v1/dual-write", {"on": False})[0] == 401
    assert fresh_proxy.http("/api/v1/moves")[0] == 200


# ---- dual writes ----


def test_dual_writes_off_and_on_again(pair):
    """What was written meanwhile is copied by the backfill, so the archive has all when it acts."""
    proxy, client, _ = pair
    client.rpush("conv:1", "a")
    status, body = post(proxy, "/api/v1/dual-write", {"on": False})
    assert status == 200 and (body["policy"], body["on"], body["was"]) == ("conv", False, True) and body["warnings"]
    assert proxy.get_json("/api/v1/settings?match=conv.dual_write")["settings"][0]["value"] == "no"
    eventually(lambda: proxy.metrics()['conv_dual_write{policy="conv"}'] == 0)
    client.rpush("conv:1", "b")
    client.rpush("conv:2", "c")
    status, body = post(proxy, "/api/v1/dual-write", {"policy": "conv", "on": True})
    assert status == 200 and body["warnings"] == []
    ended(proxy, body["backfill"])
    eventually(lambda: proxy.metrics()["conv_dirty_keys"] == 0)
    assert convctl(proxy, "primary", "mongo", "--yes").returncode == OK
    assert (client.lrange("conv:1", 0, -1), client.lrange("conv:2", 0, -1)) == (["a", "b"], ["c"])


def test_without_an_archive_there_is_nothing_to_order(make_proxy, redis_server):
    proxy = make_proxy(redis_server.url, settings={"archive.url": ""}).start()
    client = proxy.client(decode_responses=True)
    assert moves(proxy) == [] and client.execute_command("CONV", "MOVES") == ["there are no moves"]
    for words in (["BACKFILL"], ["DUALWRITE", "ON"]):
        with pytest.raises(redis.ResponseError, match="archive.url"):
            client.execute_command("CONV", *words)
    assert convctl(proxy, "verify").returncode == UNHEALTHY
    client.close()


# ---- CONV ----


def test_conv_orders_lists_and_ends(pair):
    proxy, client, _ = pair
    for i in range(100):
        client.rpush(f"conv:{i}", "a")
    line = client.execute_command("CONV", "VERIFY", "DEEP", "RATE", "10", "conv")
    number = int(line.split(":")[0].removeprefix("move "))
    assert line.startswith(f"move {number}: verify of policy conv")
    asked = move(proxy, number)
    assert (asked["deep"], asked["repair"], asked["rate"]) == (True, False, 10)
    listed = client.execute_command("CONV", "MOVES")
    assert listed[0].startswith(f"{number} verify conv: ")
    assert client.execute_command("CONV", "ABORT", number) in ("OK", True)
    assert move(proxy, number)["state"] == "aborted"
    with pytest.raises(redis.ResponseError, match="no move"):
        client.execute_command("CONV", "ABORT", number)
    for kind, words in (("backfill", ["BACKFILL"]), ("drain", ["drain", "conv"]), ("ttl-audit", ["AUDIT", "REPAIR"])):
        line = client.execute_command("CONV", *words)
        assert kind in line
        ended(proxy, int(line.split(":")[0].removeprefix("move ")))


def test_conv_refuses_what_makes_no_sense(pair):
    _, client, _ = pair
    for words, error in (
        (["VERIFY", "nope"], "no policy"),
        (["VERIFY", "conv", "conv"], "syntax error"),
        (["VERIFY", "RATE", "x"], "syntax error"),
        (["BACKFILL", "REPAIR"], "can repair"),
        (["ABORT", "x"], "not an integer"),
        (["ABORT"], "wrong number"),
        (["MOVES", "x"], "wrong number"),
        (["DUALWRITE", "maybe"], "syntax error"),
        (["DUALWRITE", "ON", "nope"], "no policy"),
        (["MEND"], "unknown subcommand"),
    ):
        with pytest.raises(redis.ResponseError, match=error):
            client.execute_command("CONV", *words)


def test_conv_dual_write(pair):
    proxy, client, _ = pair
    off = client.execute_command("CONV", "DUALWRITE", "OFF")
    assert off[0] == "policy conv: dual writes off, were on" and off[1].startswith("warning: ")
    on = client.execute_command("CONV", "DUALWRITE", "on", "conv")
    assert on[0] == "policy conv: dual writes on, were off"
    ended(proxy, int(on[1].split()[1]))
    assert any("promise" in line for line in client.execute_command("CONV", "STATUS"))


# ---- convctl ----


def test_convctl_watches_until_it_is_over(pair):
    proxy, client, real = pair
    for i in range(40):
        client.rpush(f"conv:{i}", "a")
    for kind in KINDS:
        done = convctl(proxy, kind)
        assert done.returncode == OK, done.stderr
        last = done.stdout.splitlines()[-1].split()
        assert last[1:4] == [kind, "conv", "done"], done.stdout
    spoil(real, "conv:5")
    done = convctl(proxy, "verify", "--deep", "--policy", "conv")
    assert done.returncode == UNHEALTHY and "1 differ" in done.stdout and "key  conv:5" in done.stdout
    done = convctl(proxy, "--json", "verify", "--deep")
    assert done.returncode == UNHEALTHY and json.loads(done.stdout.splitlines()[-1])["found"] == 1
    assert convctl(proxy, "verify", "--deep", "--repair").returncode == USAGE, "nobody was asked"
    assert convctl(proxy, "verify", "--deep", "--repair", "--yes").returncode == OK
    done = convctl(proxy, "moves")
    assert done.returncode == OK and done.stdout.count("verify") == 4
    assert "promise  " in convctl(proxy, "status").stdout


def test_convctl_draws_a_bar_on_a_terminal(pair):
    proxy, client, _ = pair
    for i in range(60):
        client.rpush(f"conv:{i}", "a")
    leader, follower = os.openpty()
    command = [convctl_path(), "-u", proxy.admin_url(""), "verify", "--rate", "60"]
    with subprocess.Popen(command, stdout=follower) as running:
        os.close(follower)
        shown = b""
        try:
            while piece := os.read(leader, 4096):
                shown += piece
        except OSError:  # the other end is closed
            pass
        assert running.wait() == OK
    os.close(leader)
    bars = [line for line in shown.decode().split("\r") if "[" in line and "%]" not in line and "%" in line]
    assert len(bars) > 2 and "100%" in bars[-1] and "left" in shown.decode()


def test_convctl_leaves_a_move_alone(pair):
    """Ctrl-C ends the watching, abort ends the move; --no-wait does not begin to watch."""
    proxy, client, _ = pair
    for i in range(200):
        client.rpush(f"conv:{i}", "a")
    command = [convctl_path(), "-u", proxy.admin_url(""), "verify", "--rate", "10"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        number = int(running.stdout.readline().split(":")[0].removeprefix("move "))
        eventually(lambda: move(proxy, number)["state"] == "running")
        time.sleep(0.3)  # so that it watches: nothing tells from outside
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=10)
    assert running.returncode == INTERRUPTED and f"move {number} goes on" in errors
    assert move(proxy, number)["state"] == "running"
    assert convctl(proxy, "abort", number).stdout == f"aborted    move {number}\n"
    done = convctl(proxy, "abort", number)
    assert done.returncode == UNHEALTHY and "no move" in done.stderr
    done = convctl(proxy, "--json", "drain", "--no-wait")
    ended(proxy, json.loads(done.stdout)["id"])


def test_convctl_dual_write(pair):
    proxy, _, _ = pair
    assert convctl(proxy, "dual-write", "off").returncode == USAGE
    done = convctl(proxy, "dual-write", "off", "--yes")
    assert done.returncode == OK and done.stdout.startswith("dual-write conv   off, was on\nwarning")
    assert "lowered  dual_write is off" in convctl(proxy, "status").stdout
    done = convctl(proxy, "dual-write", "on", "--policy=conv", "-y")
    assert done.returncode == OK and "backfill   move" in done.stdout
    assert convctl(proxy, "dual-write", "on", "--policy", "nope", "--yes").returncode == UNHEALTHY


@pytest.mark.parametrize(
    "args",
    [["verify", "x"], ["verify", "--rate", "x"], ["verify", "--frob"], ["abort"], ["abort", "x"], ["abort", "0"],
     ["moves", "x"], ["dual-write"], ["dual-write", "maybe", "--yes"], ["backfill", "--policy"]],
)  # fmt: skip
def test_wrong_usage(proxy, args):
    done = convctl(proxy, *args)
    assert done.returncode == USAGE and done.stderr.startswith("convctl: ")
