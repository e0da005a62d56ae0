"""convctl export, import and verify-export: every type, both stores, damaged files, and what is left when they are interrupted."""
import json
import signal
import time

import pytest
from harness import NOBODY, RespConn, eventually
from harness.ctl import FOUND, INTERRUPTED, UNREACHABLE, Convctl
from harness.tls import TlsProxy

pytestmark = pytest.mark.managed

# A policy that does not touch what is written, beside the usual one.
PROXY_CONFIG = {"policies": [{"name": "conv", "match": "conv:*", "ttl": "30d", "max_messages": 200}]}

BINARY = bytes(range(256))


def write_every_type(client):
    """One key of each type, with bytes that are no text, expiries, and a stream with groups and what they owe."""
    client.set("conv:string", BINARY)
    client.set("conv:json", json.dumps([{"role": "user", "content": "grüße \U0001f600 \x7f \\ \""}]))
    client.rpush("conv:list", "a", "", BINARY, "ü", "a")
    client.hset("conv:hash", mapping={"f": "v", BINARY: BINARY, "": ""})
    client.sadd("conv:set", "b", "a", BINARY)
    client.sadd("conv:numbers", 3, 1, 2)
    client.zadd("conv:zset", {"a": 1.1, "b": float("-inf"), BINARY: 1e300, "c": -0.0, "d": 3})
    for n in range(1, 6):
        client.xadd("conv:stream", {"n": n, BINARY: "x"}, id=f"{n}-{n}")
    client.xgroup_create("conv:stream", "readers", "0")
    client.xgroup_create("conv:stream", BINARY, "$")
    client.xreadgroup("readers", "one", {"conv:stream": ">"}, count=2)
    client.xreadgroup("readers", "two", {"conv:stream": ">"}, count=2)
    client.xdel("conv:stream", "1-1", "5-5")
    client.rpush(b"conv:\xff\x00key", "x")
    client.pexpireat("conv:list", 4102444800123)


def written(ctl, *args):
    """An export as {key line without its place: …}: header, lines and end."""
    path = ctl.folder / f"look-{time.monotonic_ns()}.ndjson"
    ctl("export", "--out", path, *args)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return lines[0], {json.dumps(line["key"]): comparable(line) for line in lines[1:-1]}, lines[-1]


def comparable(line):
    """Without what no store keeps: the order of sets and hashes."""
    value = line["value"]
    if line["type"] == "set":
        value = sorted(map(json.dumps, value))
    elif line["type"] == "hash":
        value = sorted(json.dumps(pair) for pair in zip(value[::2], value[1::2]))
    return line["type"], line.get("expire_at"), value


def names(client):
    """DBSIZE and FLUSHALL would need a Redis."""
    return client.keys("conv:*")


def clear(client):
    for key in names(client):
        client.delete(key)
    assert names(client) == []


@pytest.fixture(params=["redis", "archive"])
def ctl(request, make_proxy, redis_server, tmp_path):
    """convctl of a proxy whose Redis acts, or that has none."""
    if request.param == "redis":
        redis_server.client().flushall()
    proxy = make_proxy(redis_server.url if request.param == "redis" else NOBODY, PROXY_CONFIG).start()
    eventually(lambda: proxy.get_json("/api/v1/primary")["placement"][0]["acting"] == request.param)
    return Convctl(proxy, tmp_path)


@pytest.fixture
def archived(make_proxy, tmp_path):
    proxy = make_proxy(NOBODY, PROXY_CONFIG).start()
    return Convctl(proxy, tmp_path)


def fill(proxy, count):
    with proxy.client() as client:
        pipe = client.pipeline(transaction=False)
        for n in range(count):
            pipe.rpush(f"conv:{n}", "hello", "world", str(n))
        pipe.execute()


@pytest.mark.sanitize
def test_every_type_there_and_back(ctl):
    client = ctl.proxy.client()
    write_every_type(client)
    header, before, end = written(ctl)
    assert header["format"] == "convproxy-export" and header["policies"][0]["match"] == "conv:*"
    assert len(before) == end["keys"] == 9
    for name in ("all.ndjson", "all.ndjson.zst"):
        done = ctl("export", "--out", name)
        assert "9 keys" in done.stdout
        assert "whole" in ctl("verify-export", name).stdout
        ctl("verify-export", name, "--compare")
    assert (ctl.folder / "all.ndjson.zst").read_bytes()[:4] == b"\x28\xb5\x2f\xfd"
    clear(client)
    assert "9  not there" in ctl("verify-export", "all.ndjson", "--compare", code=FOUND).stdout
    done = ctl("import", "all.ndjson.zst", "--verify")
    assert "9  written" in done.stdout and "9  there already, the same" in done.stdout
    assert written(ctl)[1] == before
    assert "9  there already, the same" in ctl("import", "all.ndjson.zst").stdout  # once more changes nothing
    assert client.get("conv:string") == BINARY
    assert client.pexpiretime("conv:list") == 4102444800123
    assert client.zscore("conv:zset", BINARY) == 1e300
    assert {row["name"]: row["pending"] for row in client.xinfo_groups("conv:stream")} == {b"readers": 4, BINARY: 0}
    client.close()


def test_what_goes_in(archived):
    client = archived.proxy.client()
    client.rpush("conv:1", "a")
    client.rpush("conv:2", "b")
    assert set(written(archived, "--match", "conv:1*")[1]) == {'"conv:1"'}
    assert set(written(archived, "--policy", "conv")[1]) == {'"conv:1"', '"conv:2"'}
    assert "no policy nobody" in archived("export", "--policy", "nobody", "--out", "x", code=2).stderr
    assert "one of" in archived("export", "--policy", "conv", "--all", code=2).stderr
    out = archived("export", "--out", "-").stdout.splitlines()
    assert len(out) == 4 and json.loads(out[-1])["keys"] == 2


@pytest.mark.parametrize("ctl", ["redis"], indirect=True)
def test_raw_keys_go_with_all(ctl):
    client = ctl.proxy.client()
    client.set("plain", "x")
    client.rpush("conv:1", "a")
    assert set(written(ctl)[1]) == {'"conv:1"'}
    ctl("export", "--all", "--out", "all")
    client.delete("plain", "conv:1")
    ctl("import", "all")
    assert client.get("plain") == b"x" and client.ttl("plain") == -1
    client.close()


def test_what_is_there_with_another_value(ctl):
    client = ctl.proxy.client()
    client.rpush("conv:same", "a")
    client.rpush("conv:other", "a")
    client.rpush("conv:gone", "a")
    ctl("export", "--out", "f")
    client.rpush("conv:other", "b")
    client.delete("conv:gone")

    plan = ctl("import", "f", "--dry-run").stdout
    assert "1  there with another value" in plan and "1  not there" in plan
    assert client.exists("conv:gone") == 0
    done = ctl("import", "f", "--missing", "--no-undo")
    assert "1  written" in done.stdout and client.lrange("conv:other", 0, -1) == [b"a", b"b"]
    done = ctl("import", "f", code=FOUND)
    assert 'left as it is: "conv:other"' in done.stderr
    assert "needs --yes" in ctl("import", "f", "--replace", code=2).stderr
    undo = ctl("import", "f", "--replace", "--yes").stdout.split("import --replace ")[1].strip()
    assert client.lrange("conv:other", 0, -1) == [b"a"]
    ctl("import", undo, "--replace", "--yes")
    assert client.lrange("conv:other", 0, -1) == [b"a", b"b"]
    client.close()


def test_only_keys_that_match(archived):
    client = archived.proxy.client()
    for name in ("conv:a:1", "conv:a:2", "conv:b:1"):
        client.rpush(name, "x")
    archived("export", "--out", "f")
    clear(client)
    assert "2  not there" in archived("verify-export", "f", "--compare", "--match", "conv:a:*", code=FOUND).stdout
    archived("import", "f", "--match", "conv:a:*", "--verify")
    assert sorted(names(client)) == [b"conv:a:1", b"conv:a:2"]
    archived("restore", "f", "--match", "conv:b:[1]", "--yes")
    assert client.lrange("conv:b:1", 0, -1) == [b"x"]


def test_undo_removes_what_was_made(archived):
    client = archived.proxy.client()
    client.rpush("conv:1", "a")
    archived("export", "--out", "f")
    client.delete("conv:1")
    undo = archived("import", "f").stdout.split("import --replace ")[1].strip()
    assert client.exists("conv:1") == 1
    archived("import", undo, "--replace", "--yes")
    assert client.exists("conv:1") == 0


def test_expired_keys_stay_away_and_trimmed_ones_are_told(archived):
    client = archived.proxy.client()
    client.rpush("conv:long", *range(100))
    client.set("conv:short", "x", px=400)
    archived("export", "--out", "f")
    eventually(lambda: client.exists("conv:short") == 0)
    client.delete("conv:long")
    client.config_set("conv.max_messages", 10)
    done = archived("import", "f")
    assert "1  expired since" in done.stdout and "1  of those written: shortened" in done.stdout
    assert client.lrange("conv:long", 0, -1) == [str(n).encode() for n in range(90, 100)]
    assert "1  there already, the same" in archived("import", "f").stdout


# ---- damage ----


def lines_of(ctl, count=5):
    fill(ctl.proxy, count)
    ctl("export", "--out", "good")
    return (ctl.folder / "good").read_text().splitlines(keepends=True)


DAMAGE = {
    "cut between lines": (lambda lines: lines[:3], "line 4", "was cut"),
    "cut in a line": (lambda lines: [*lines[:3], lines[3][:20]], "line 4", "was cut"),
    "a value was changed": (lambda lines: [line.replace("world", "earth") for line in lines], "line 7", "hash"),
    "a line is missing": (lambda lines: lines[:2] + lines[3:], "line 6", "other keys"),
    "no JSON": (lambda lines: [*lines[:2], lines[2][:-3] + "\n", *lines[3:]], "line 3", "no JSON"),
    "another header": (lambda lines: ["{}\n", *lines[1:]], "line 1", "no export"),
    "a version of the future": (lambda lines: [lines[0].replace('"version":1', '"version":2'), *lines[1:]], "line 1", "version"),
    "no key": (lambda lines: [lines[0], lines[1].replace('"key"', '"kee"'), *lines[2:]], "line 2", "no key"),
    "no type": (lambda lines: [lines[0], lines[1].replace('"list"', '"tree"'), *lines[2:]], "line 2", "type"),
    "a value of another type": (lambda lines: [lines[0], lines[1].replace('"list"', '"stream"'), *lines[2:]], "line 2", "form"),
    "no base64": (lambda lines: [lines[0], lines[1].replace('"hello"', '{"b64":"a"}'), *lines[2:]], "line 2", "form"),
    "something behind the end": (lambda lines: [*lines, "{}\n"], "line 8", "follows the end"),
    "nothing": (lambda lines: [], "line 1", "empty"),
}


@pytest.mark.sanitize
def test_damaged_files_apply_nothing(archived):
    lines = lines_of(archived)
    client = archived.proxy.client()
    clear(client)
    bad = archived.folder / "bad"
    for name, (damage, line, reason) in DAMAGE.items():
        bad.write_text("".join(damage(lines)))
        for command in ("verify-export", "import"):
            done = archived(command, bad, code=FOUND)
            assert f"{line}:" in done.stderr and reason in done.stderr, f"{name}: {done.stderr}"
    assert names(client) == []
    assert "No such file" in archived("import", "nowhere", code=FOUND).stderr


def test_damaged_compression(archived):
    fill(archived.proxy, 50)
    archived("export", "--out", "good.zst")
    whole = (archived.folder / "good.zst").read_bytes()
    bad = archived.folder / "bad.zst"
    bad.write_bytes(whole[: len(whole) // 2])
    assert "was cut" in archived("import", bad, code=FOUND).stderr
    bad.write_bytes(whole[:200] + bytes(byte ^ 0x55 for byte in whole[200:260]) + whole[260:])
    assert archived("import", bad, code=FOUND).stderr.count("nothing was done") == 1


def test_partial_takes_what_is_there(archived):
    lines = lines_of(archived)
    clear(archived.proxy.client())
    (archived.folder / "cut").write_text("".join(lines[:4]) + lines[4][:20])
    assert "3  written" in archived("import", "cut", "--partial").stdout


# ---- interrupted ----


def test_an_export_goes_on_where_it_was_interrupted(archived):
    fill(archived.proxy, 800)
    for name in ("f", "f.zst"):
        part = archived.folder / f"{name}.part"
        running = archived.start("export", "--out", name, "--rate", "500")
        eventually(lambda: part.exists() and part.stat().st_size > 500, timeout=10)
        running.send_signal(signal.SIGKILL)
        running.wait(10)
        running.stdout.close()
        running.stderr.close()
        assert not (archived.folder / name).exists()
        done = archived("export", "--out", name, "--resume")
        assert "800 keys" in done.stdout and not part.exists()
        assert archived("verify-export", name).stdout.startswith("800 keys")
        archived("verify-export", name, "--compare")


def test_ctrl_c_says_how_to_go_on(archived):
    fill(archived.proxy, 500)
    running = archived.start("export", "--out", "f", "--rate", "100")
    eventually(lambda: (archived.folder / "f.part").exists(), timeout=10)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=10)
    assert running.returncode == INTERRUPTED and "--resume goes on" in said
    assert "500 keys" in archived("export", "--out", "f", "--resume").stdout


def test_an_import_that_was_killed_goes_on(ctl):
    fill(ctl.proxy, 600)
    ctl("export", "--out", "f")
    client = ctl.proxy.client()
    clear(client)
    running = ctl.start("import", "f", "--rate", "300")
    eventually(lambda: (ctl.folder / "f.import").exists() and len(names(client)) > 50, timeout=10)
    running.send_signal(signal.SIGKILL)
    running.wait(10)
    running.stdout.close()
    running.stderr.close()
    told = json.loads((ctl.folder / "f.import").read_text())
    assert 0 < told["lines"] < 600 and len(names(client)) < 600
    done = ctl("import", "f", "--resume", "--verify")
    assert "600  there already, the same" in done.stdout  # of the comparison
    assert not (ctl.folder / "f.import").exists()
    assert len(names(client)) == 600
    undo = sorted(ctl.folder.glob("f.undo-*"))
    assert [path.name.endswith(".part") for path in undo].count(True) == 1
    for path in reversed(undo):
        ctl("import", path, "--partial", "--replace", "--yes", "--no-undo")
    assert names(client) == []
    client.close()


# ---- while the stores change places ----


@pytest.mark.sanitize
def test_an_export_during_a_failover_misses_nothing(make_proxy, fresh_redis, tmp_path):
    proxy = make_proxy(fresh_redis.url, PROXY_CONFIG).start()
    eventually(lambda: proxy.get_json("/api/v1/primary")["placement"][0]["acting"] == "redis")
    fill(proxy, 900)
    ctl = Convctl(proxy, tmp_path)
    eventually(lambda: proxy.metrics().get("conv_dirty_keys") == 0)
    running = ctl.start("export", "--out", "f", "--rate", "600")
    eventually(lambda: (tmp_path / "f.part").exists(), timeout=10)
    fresh_redis.kill()
    said, problem = running.communicate(timeout=40)
    assert running.returncode == 0, problem
    assert "900 keys" in said
    ctl("verify-export", "f", "--compare")


# ---- who may ----


def test_with_tls_and_a_password(redis_server, authority, server_cert, tmp_path):
    redis_server.client().flushall()
    proxy = TlsProxy(tmp_path, redis_server.url, server_cert, PROXY_CONFIG, {"requirepass": "opensesame"}).start()
    try:
        ctl = Convctl(proxy, tmp_path)
        with RespConn.to(proxy) as conn:
            assert conn.cmd("AUTH", "opensesame") == "OK"
            assert eventually(lambda: conn.cmd("RPUSH", "conv:1", "a") == 1)
        assert "NOAUTH" in ctl("export", "--out", "f", code=UNREACHABLE).stderr
        known = {"CONVCTL_PASSWORD": "opensesame"}
        ctl("export", "--out", "f", env=known)
        tls = f"rediss://localhost:{proxy.tls_port}"
        assert "certificate" in ctl("export", "--proxy", tls, "--out", "g", env=known, code=UNREACHABLE).stderr
        ctl("export", "--out", "g", env={**known, "CONVCTL_PROXY": tls, "CONVCTL_CA": str(authority.cert)})
        assert (tmp_path / "f").read_text().splitlines()[1] == (tmp_path / "g").read_text().splitlines()[1]
    finally:
        proxy.stop()
