"""Backups: what the proxy is told of them, convctl backup, and the way back."""
import hashlib
import json
import re
import shutil
import subprocess
import sys

import pytest
from harness import NOBODY, RedisServer, RespConn, eventually
from harness.ctl import FOUND, USAGE, Convctl
from harness.proxy import ROOT

pytestmark = pytest.mark.managed

LAST = "conv_backup_last_success_timestamp_seconds"


def last_success(proxy, kind):
    return proxy.metrics()[f'{LAST}{{kind="{kind}"}}']


def test_the_proxy_remembers_the_last_backup(make_proxy):
    proxy = make_proxy(NOBODY).start()
    assert proxy.get_json("/api/v1/backups") == {
        "backups": [{"kind": "keys", "lastSuccess": None}, {"kind": "rdb", "lastSuccess": None}]
    }
    status, text = proxy.http("/api/v1/backups", {"kind": "tape"})
    assert status == 400 and "keys" in text
    told = proxy.post_json("/api/v1/backups", {"kind": "keys", "path": "/b/1", "bytes": 5, "keys": 1})["backups"]
    assert told[0]["lastSuccess"] > 1.7e12 and told[1]["lastSuccess"] is None
    eventually(lambda: "event=backup_done" in proxy.log_text())
    proxy.restart()
    eventually(lambda: proxy.get_json("/api/v1/backups")["backups"] == told, timeout=10)
    assert last_success(proxy, "keys") == told[0]["lastSuccess"] // 1000
    assert last_success(proxy, "rdb") == 0


# ---- convctl backup ----


def with_keys(make_proxy, url, folder):
    """convctl of a proxy with twenty conversations."""
    proxy = make_proxy(url).start()
    eventually(lambda: proxy.metrics()["redis_up"] == 1 or url == NOBODY)
    eventually(lambda: proxy.get_json("/healthz")["healthy"])
    with RespConn.to(proxy) as conn:
        for n in range(20):
            assert eventually(lambda n=n: conn.cmd("RPUSH", f"conv:{n}", "a", str(n))) == 2
    return Convctl(proxy, folder)


@pytest.fixture
def ctl(make_proxy, fresh_redis, tmp_path):
    run = with_keys(make_proxy, fresh_redis.url, tmp_path)
    fresh_redis.client().set("raw", "x")
    run.redis = fresh_redis
    return run


def backups(ctl):
    return {row["name"]: row["complete"] for row in json.loads(ctl("--json", "backup", "--dir", "b", "--list").stdout)}


def make_backup(ctl, *args, code=0):
    """Its folder."""
    return ctl.folder / ctl("backup", "--dir", "b", *args, code=code).stdout.split(": ")[0]


def files_of(folder):
    return {row["kind"]: row for row in json.loads((folder / "manifest.json").read_text())["files"]}


def undo_of(done):
    return re.search(r"import --replace (\S+)", done.stdout)[1]


@pytest.mark.sanitize
def test_backup_and_restore(ctl):
    folder = make_backup(ctl)
    files = files_of(folder)
    assert files["keys"]["keys"] == 20 and files["rdb"]["how"] == "copied"
    assert (folder / "redis.rdb").read_bytes() == (ctl.redis.data / "dump.rdb").read_bytes()
    assert "all files are as they were" in ctl("backup", "--check", folder).stdout
    now = ctl.redis.client().time()[0]
    assert abs(last_success(ctl.proxy, "keys") - now) < 60 and abs(last_success(ctl.proxy, "rdb") - now) < 60

    client = ctl.proxy.client()
    client.delete("conv:1")
    client.rpush("conv:2", "later")
    client.rpush("conv:new", "later")
    plan = ctl("restore", folder, "--dry-run").stdout
    assert "1  are not there" in plan and "1  are there with another value" in plan and client.exists("conv:1") == 0
    assert "needs --yes" in ctl("restore", folder, code=USAGE).stderr
    done = ctl("restore", folder, "--yes")
    assert "20  there already, the same" in done.stdout
    assert client.lrange("conv:2", 0, -1) == [b"a", b"2"] and client.exists("conv:new") == 1
    ctl("import", "--replace", "--yes", undo_of(done))
    assert client.lrange("conv:2", 0, -1) == [b"a", b"2", b"later"] and client.exists("conv:1") == 0
    ctl("restore", folder, "--missing", "--yes", code=FOUND)  # conv:2 is told as different
    assert client.exists("conv:1") == 1 and client.llen("conv:2") == 3
    client.close()


def test_the_file_of_redis_is_put_back(ctl):
    """The steps of docs/operations.md: keys of no policy are as in the backup, conversations as they are now."""
    folder = make_backup(ctl)
    ctl.redis.client().set("raw", "damaged")
    ctl.proxy.client().rpush("conv:1", "later")
    ctl("primary", "mongo", "--yes")
    data = ctl.redis.data
    ctl.redis.stop()
    shutil.copy(folder / "redis.rdb", data / "dump.rdb")
    ctl.redis.start()
    ctl("primary", "redis", "--yes")
    eventually(lambda: ctl.proxy.get_json("/api/v1/primary")["placement"][0]["phase"] == "redis", timeout=15)
    client = ctl.proxy.client()
    assert client.get("raw") == b"x" and client.lrange("conv:1", 0, -1) == [b"a", b"1", b"later"]
    assert ctl.redis.client().lrange("conv:1", 0, -1) == [b"a", b"1", b"later"]
    client.close()


def test_redis_that_does_not_tell_where_its_file_is(make_proxy, tmp_path):
    """It comes as a replica gets it, and a Redis that is started with it has everything."""
    redis = RedisServer(tmp_path, args=["--rename-command", "CONFIG", ""])
    again = RedisServer(tmp_path)
    try:
        redis.start()
        ctl = with_keys(make_proxy, redis.url, tmp_path)
        redis.client().set("raw", "x")
        folder = make_backup(ctl)
        assert files_of(folder)["rdb"]["how"] == "replicated"
        shutil.copy(folder / "redis.rdb", again.data / "dump.rdb")
        client = again.start().client()
        assert client.get("raw") == b"x" and client.lrange("conv:7", 0, -1) == [b"a", b"7"]
    finally:
        redis.kill()
        again.kill()


def test_without_redis_the_keys_are_saved(make_proxy, tmp_path):
    ctl = with_keys(make_proxy, NOBODY, tmp_path)
    folder = make_backup(ctl, code=FOUND)
    assert set(files_of(folder)) == {"keys"}
    assert last_success(ctl.proxy, "keys") > 0 and last_success(ctl.proxy, "rdb") == 0
    assert set(files_of(make_backup(ctl, "--no-rdb"))) == {"keys"}


def test_the_newest_are_kept_and_what_was_interrupted_goes(ctl):
    first = make_backup(ctl)
    interrupted = ctl.folder / "b" / "convproxy-20200101-000000.incomplete"
    foreign = ctl.folder / "b" / "convproxy-notes"
    for folder in (interrupted, foreign):
        folder.mkdir()
        (folder / "keys.ndjson.zst.part").write_text("x")
    assert backups(ctl) == {first.name: True, interrupted.name: False}
    second = make_backup(ctl, "--keep", "2")
    assert backups(ctl) == {first.name: True, second.name: True} and foreign.exists()
    third = make_backup(ctl, "--keep", "1")
    assert backups(ctl) == {third.name: True}


def test_a_backup_that_fails_removes_nothing(ctl):
    first = make_backup(ctl)
    with ctl.proxy.client() as client:
        client.rpush("conv:new", "x")
    ctl.proxy.process.kill()
    ctl.proxy.process.wait()
    ctl("backup", "--dir", "b", "--keep", "1", code=3)
    assert backups(ctl) == {first.name: True}
    ctl.proxy.process = None
    ctl.proxy.start()


def test_a_damaged_backup_is_found(ctl):
    folder = make_backup(ctl)
    rdb = folder / "redis.rdb"
    good = rdb.read_bytes()
    for bad, reason in [(good[:-4], "bytes"), (good[:60] + b"?" + good[61:], "hash")]:
        rdb.write_bytes(bad)
        assert reason in ctl("backup", "--check", folder, code=FOUND).stderr
        assert reason in ctl("restore", folder, "--yes", code=FOUND).stderr
    (folder / "manifest.json").unlink()
    assert "no manifest" in ctl("backup", "--check", folder, code=FOUND).stderr
    assert "No such file" in ctl("backup", "--dir", "nowhere", "--list", code=FOUND).stderr


def test_a_file_of_redis_is_judged_by_itself(ctl):
    """What was damaged before it was hashed is found all the same."""
    folder = make_backup(ctl)
    path, rdb = folder / "manifest.json", folder / "redis.rdb"
    good, manifest = rdb.read_bytes(), json.loads(path.read_text())
    (row,) = [row for row in manifest["files"] if row["kind"] == "rdb"]
    middle = len(good) // 2
    for bad, reason in [
        (good[:-4], "its end is missing"),
        (good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :], "checksum"),
        (b"x" + good[1:], "does not begin"),
        (good[:5] + b"00x1" + good[9:], "version"),
        (b"REDIS", "too short"),
    ]:
        rdb.write_bytes(bad)
        row["bytes"], row["sha256"] = len(bad), hashlib.sha256(bad).hexdigest()
        path.write_text(json.dumps(manifest))
        assert reason in ctl("backup", "--check", folder, code=FOUND).stderr


# ---- drills ----


def drill(folder, *args):
    command = [sys.executable, ROOT / "scripts" / "drill", "--seconds", "0.3", "--out", folder / "report", *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    return {row["scenario"]: row for row in json.loads((folder / "report.json").read_text())["scenarios"]}


def test_a_drill_measures_what_a_loss_costs(tmp_path):
    rows = drill(tmp_path, "--only", "redis-data-lost", "--only", "machine-lost")
    kept, restored = rows["redis-data-lost"], rows["machine-lost"]
    assert kept["missing"] == 0 and kept["acknowledged"] > 20 and kept["rto_seconds"] > 0
    assert 0 < restored["missing"] < restored["acknowledged"] and restored["rpo_seconds"] > 1
    report = (tmp_path / "report.md").read_text()
    assert report.count("| yes |") == 2 and "memory-operations-governance, scenario 1" in report


def test_a_drill_on_a_running_proxy_leaves_nothing(ctl):
    rows = drill(ctl.folder, "--target", ctl.proxy.admin_url(""), "--yes")
    assert rows["planned-switch"]["missing"] == 0
    with ctl.proxy.client() as client:
        assert len(client.keys("conv:*")) == 20 and client.keys("conv:drill:*") == []
