"""convctl memory-report and convctl cleanup, through the proxy, on keys of policies and others."""
import functools
import json
import os
import signal
import subprocess

import pytest
from harness import NOBODY, SERVES_ALL, RespConn
from harness import eventually as wait_until
from harness.ctl import convctl_of as convctl
from harness.ctl import convctl_path

pytestmark = [pytest.mark.managed, pytest.mark.timeout(60)]

PROXY_SETTINGS = {"redis.probe_interval": "50ms"}
eventually = functools.partial(wait_until, timeout=30)
OK, BAD, USAGE, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 4


@pytest.fixture
def filled(fresh_proxy):
    eventually(lambda: fresh_proxy.get_json("/api/v1/primary")["placement"][0]["phase"] == "redis")
    with RespConn.to(fresh_proxy) as conn:
        conn.pipeline(*(("RPUSH", f"conv:{i}", "x" * 1000) for i in range(300)), ("RPUSH", "conv:huge", *["y" * 1000] * 100),
                      *(("SET", f"cache:{i}", "z", "EX", "60") for i in range(200)), ("HSET", "lonely", "a", "b"),
                      ("RPUSH", b"conv:\xff\x00\n", "binary"))  # fmt: skip
    return fresh_proxy


def group(report, name):
    return next(row for row in report["groups"] if row["name"] == name)


def test_memory_report(filled, fresh_redis):
    eventually(lambda: filled.get_json("/api/v1/state")["archive"].get("bytes", 0) > 0, timeout=15)
    done = convctl(filled, "memory-report", "--json", "--top", "2")
    assert done.returncode == OK, done.stderr
    report = json.loads(done.stdout)
    assert report["partial"] is False and report["lookedAt"] == report["keys"] == 503
    conv, cache, lonely = group(report, "conv"), group(report, "cache:*"), group(report, "no prefix")
    assert (conv["of"], conv["keys"], cache["of"], cache["keys"], lonely["keys"]) == ("policy", 302, "prefix", 200, 1)
    real = fresh_redis.client()
    sizes = sorted(real.memory_usage(key) for key in real.scan_iter("conv:*"))
    assert conv["bytes"] == sum(sizes) and abs(conv["mean"] - sum(sizes) / 302) < 1
    assert abs(conv["p95"] - sizes[int(0.95 * 302)]) < 0.05 * conv["p95"]
    assert conv["per10K"] == pytest.approx(conv["mean"] * 10000)
    assert conv["largest"][0] == {"key": "conv:huge", "bytes": sizes[-1]} and len(conv["largest"]) == 2
    assert conv["ttl"]["under 30 days"] + conv["ttl"]["more"] == 302 and cache["ttl"]["under an hour"] == 200 and lonely["ttl"]["none"] == 1
    assert sum(kind["keys"] for kind in conv["kinds"]) == 302 and all(kind["kind"].startswith("list/") for kind in conv["kinds"])
    assert report["redisBytes"] > 0 and report["archiveBytes"] > 0
    real.close()


def test_the_report_as_text(filled, fresh_redis):
    fresh_redis.client().config_set("maxmemory", "1gb")
    eventually(lambda: filled.get_json("/api/v1/state")["redis"]["maxMemory"] == 1 << 30, timeout=10)
    done = convctl(filled, "memory-report", "--policy", "conv")
    assert done.returncode == OK, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("policy conv   302 keys   ") and not any("cache" in line for line in lines)
    assert "of the 100 MiB that the runbook expects" in done.stdout and "such keys in maxmemory 1.0 GiB" in done.stdout
    assert lines[-2].startswith("redis ") and lines[-1].startswith("archive ") and any(line.endswith(" conv:huge") for line in lines)
    done = convctl(filled, "memory-report", "--sample", "100")
    assert "looked at  " in done.stdout and done.stdout.endswith("of 503 keys, a sample\n")


def test_interrupted_it_reports_what_it_has_seen(filled):
    with subprocess.Popen([convctl_path(), "-u", filled.admin_url(""), "memory-report", "--rate", "60", "--json"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:  # fmt: skip
        running.stderr.readline()  # its first progress
        running.send_signal(signal.SIGINT)
        out, _ = running.communicate(timeout=20)
    report = json.loads(out)
    assert running.returncode == INTERRUPTED and report["partial"] is True and 0 < report["lookedAt"] < 503


def test_the_archive_answers(make_proxy):
    """What it tells of its documents is told."""
    proxy = make_proxy(NOBODY, settings=SERVES_ALL).start()
    proxy.client().rpush("conv:1", "a")
    done = convctl(proxy, "memory-report", "--json")
    assert done.returncode == OK, done.stderr
    row = group(json.loads(done.stdout), "conv")
    assert row["keys"] + row["unsized"] == 1 and row["ttl"]["none"] == row["keys"]


def test_wrong_usage(fresh_proxy):
    for args in (["--top", "-1"], ["--sample", "0"], ["--policy", "nope"], ["--rate", "x"]):
        done = convctl(fresh_proxy, "memory-report", *args)
        assert done.returncode == USAGE and done.stderr.startswith("convctl: "), args
    for pattern in ("*", "**", ""):
        assert convctl(fresh_proxy, "cleanup", pattern, "--yes").returncode == USAGE
    assert convctl(fresh_proxy, "memory-report", "--proxy", "redis://127.0.0.1:1").returncode == UNREACHABLE


# ---- cleanup ----


def test_cleanup(filled):
    """A dry run and a question that nobody answers delete nothing; then both stores have lost the keys, and only those."""
    client = filled.client()
    done = convctl(filled, "cleanup", "conv:1*", "--dry-run")
    assert done.returncode == OK and done.stdout.startswith("111 keys match conv:1*\n") and client.dbsize() == 503
    done = convctl(filled, "cleanup", "conv:1*")
    assert done.returncode == USAGE and "--yes" in done.stderr and client.dbsize() == 503
    done = convctl(filled, "cleanup", "conv:1*", "--yes")
    assert done.returncode == OK and "convctl export --match 'conv:1*'" in done.stdout and done.stdout.endswith("deleted    111 keys\n")
    assert client.dbsize() == 392 and not list(client.scan_iter("conv:1*"))
    done = convctl(filled, "cleanup", "conv:[^a-z0-9]*", "--yes", "--json")
    assert json.loads(done.stdout) == {"pattern": "conv:[^a-z0-9]*", "matched": 1, "deleted": 1, "refused": 0, "interrupted": False}
    assert convctl(filled, "cleanup", "nothing:*", "--yes").stdout == "0 keys match nothing:*\n"
    filled.post_json("/api/v1/primary", {"policy": "conv", "store": "mongo"})
    eventually(lambda: filled.get_json("/api/v1/primary")["placement"][0]["phase"] == "archive")
    assert len(list(client.scan_iter("conv:*"))) == 190
    client.close()


def test_cleanup_asks_at_a_terminal(filled):
    leader, follower = os.openpty()
    with subprocess.Popen([convctl_path(), "-u", filled.admin_url(""), "cleanup", "cache:*"], stdin=follower, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as running:
        os.write(leader, b"n\n")
        out = running.stderr.read()
    os.close(leader)
    os.close(follower)
    assert running.returncode == BAD and "Delete 200 keys that match cache:*, in both stores? [y/N]" in out
    assert filled.client().dbsize() == 503
