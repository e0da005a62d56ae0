"""convctl against a real proxy: what it prints, and its exit codes."""
import json
import os
import subprocess

import pytest
from harness import NOBODY, eventually, free_port
from harness.ctl import convctl, convctl_of, convctl_path

pytestmark = pytest.mark.managed

OK, UNHEALTHY, USAGE, UNREACHABLE = 0, 1, 2, 3


@pytest.fixture
def ctl(fresh_proxy, fresh_redis):
    """convctl with the URL of this test's proxy; ctl.proxy and ctl.redis are the servers."""

    def run(*args, **options):
        return convctl_of(fresh_proxy, *args, **options)

    eventually(lambda: fresh_proxy.metrics()["redis_up"] == 1)
    run.proxy, run.redis = fresh_proxy, fresh_redis
    return run


def test_status(ctl):
    ctl.proxy.client().rpush("conv:1", "a")
    done = ctl("status")
    assert done.returncode == OK, done.stderr
    assert "health     ok" in done.stdout and "redis      up" in done.stdout
    assert "policy     conv  conv:*   answered by redis" in done.stdout
    assert "stored 1   NOT stored 0" in done.stdout
    state = json.loads(ctl("--json", "status").stdout)
    assert state["redis"]["up"] is True


def test_health_and_exit_codes(ctl):
    assert ctl("health").stdout == "ok\n"
    ctl("settings", "set", "failover.automatic=no")
    ctl.redis.kill()
    done = eventually(lambda: (d := ctl("health")).returncode == UNHEALTHY and d)
    assert done.stdout.startswith("NOT OK\n") and "redis: " in done.stdout
    done = ctl("status")
    assert done.returncode == UNHEALTHY and "DOWN" in done.stdout
    ctl.redis.start()
    eventually(lambda: ctl("health").returncode == OK)


def test_watch_shows_rates(ctl):
    watch = [convctl_path(), "-u", ctl.proxy.admin_url(""), "watch", "-n", "0.5", "-c", "2"]
    with subprocess.Popen(watch, stdout=subprocess.PIPE, text=True) as running:
        first = running.stdout.readline()
        assert first.startswith("watch ")
        client = ctl.proxy.client()
        for _ in range(50):
            client.get("plain")
        rest = running.stdout.read()
    assert running.returncode == OK
    busy = [line.split() for line in rest.splitlines() if line.startswith("  get ")]
    assert busy and float(busy[0][1].removesuffix("/s").replace(",", "")) > 10, rest
    lines = ctl("--json", "watch", "-n", "0.1", "-c", "2").stdout.splitlines()
    assert [json.loads(line)["healthy"] for line in lines] == [True, True]


def test_settings(ctl):
    done = ctl("settings")
    assert done.returncode == OK and "redis.url" in done.stdout and "conv.ttl" in done.stdout
    done = ctl("settings", "get", "conv.max_m*")
    assert done.stdout.split() == ["conv.max_messages", "200", "live", "default"]
    done = ctl("settings", "set", "conv.ttl=5d", "conv.max_messages=7")
    assert (done.returncode, done.stdout) == (OK, "conv.ttl = 5d\nconv.max_messages = 7\n")
    assert ctl.proxy.get_json("/api/v1/settings?match=conv.ttl")["settings"][0]["value"] == "5d"
    done = ctl("settings", "set", "conv.ttl=6d", "conv.max_messages=many")
    assert done.returncode == UNHEALTHY and "'many'" in done.stderr
    assert ctl("settings", "get", "conv.ttl").stdout.split()[1] == "5d"


# ---- the archive ----


@pytest.fixture
def archived(make_proxy):
    """convctl with the URL of a proxy that has no Redis: the archive answers."""
    proxy = make_proxy(NOBODY, settings={"archive.faults": "yes"}).start()

    def run(*args, **options):
        return convctl_of(proxy, *args, **options)

    eventually(lambda: proxy.get_json("/api/v1/primary")["placement"][0]["acting"] == "archive")
    run.proxy = proxy
    return run


def test_status_shows_the_archive(archived):
    archived.proxy.client().rpush("conv:1", "a")
    done = eventually(lambda: (d := archived("status")).stdout.count("1 documents") == 1 and d, timeout=15)
    assert done.returncode == OK, done.stderr
    assert "archive    up (sqlite)" in done.stdout and "0 waiting, 0 running, 0 parked" in done.stdout
    assert "policy     conv  conv:*   answered by archive" in done.stdout
    assert "warning  Redis is down" in done.stdout
    assert "archive    up (sqlite)" in archived("watch", "-c", "1").stdout
    done = archived("health")
    assert done.returncode == OK and done.stdout.startswith("ok\n") and "keys of no policy" in done.stdout


def test_health_of_an_archive_that_is_down(archived):
    assert archived("fault", "op=ping fail=100% error=down").returncode == OK
    done = eventually(lambda: (d := archived("health")).returncode == UNHEALTHY and d)
    assert "problem    archive: " in done.stdout and "warning    faults are in force" in done.stdout
    assert "archive    DOWN (sqlite)" in archived("status").stdout
    assert archived("fault", "").returncode == OK
    eventually(lambda: archived("health").returncode == OK)


def acts(ctl, store):
    """Until the store answers, and no key is on its way any more."""
    phase = {"redis": "redis", "archive": "archive"}[store]
    return eventually(lambda: (d := ctl("primary").stdout) and f"answered by {store}   phase {phase} " in d and d)


def test_primary(ctl):
    client = ctl.proxy.client(decode_responses=True)
    acts(ctl, "redis")
    client.rpush("conv:1", "a")
    done = ctl("primary", "mongo", "--yes")
    assert done.returncode == OK, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("policy     conv   primary redis   answered by redis   phase redis")
    assert "ordered    conv   to be answered by archive, was redis" in lines
    assert lines[-1].endswith("answered by archive   phase archive (archive)") and "warning" not in done.stdout
    assert client.lrange("conv:1", 0, -1) == ["a"]
    done = ctl("--json", "primary", "redis", "--policy=conv", "--yes")
    assert done.returncode == OK and json.loads(done.stdout)["after"] == "redis"
    assert client.lrange("conv:1", 0, -1) == ["a"]
    done = ctl("primary", "mongo", "--policy", "nope", "--yes")
    assert done.returncode == UNHEALTHY and "no policy 'nope'" in done.stderr
    assert ctl("settings", "set", "conv.dual_write=no").returncode == OK
    done = ctl("settings", "set", "conv.primary=mongo")
    assert (done.returncode, done.stdout) == (OK, "conv.primary = mongo\n")
    assert "warning: dual_write is off: what was never copied" in done.stderr
    acts(ctl, "archive")


def test_primary_asks_where_somebody_can_answer(ctl):
    """Without a terminal and without --yes nothing happens; at a terminal the answer counts."""
    done = ctl("primary", "mongo")
    assert done.returncode == USAGE and "--yes" in done.stderr
    for answer, store in ((b"n\n", "redis"), (b"y\n", "archive")):
        leader, follower = os.openpty()
        command = [convctl_path(), "-u", ctl.proxy.admin_url(""), "primary", "mongo"]
        with subprocess.Popen(command, stdin=follower, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
            os.write(leader, answer)
            out = running.stdout.read()
        os.close(leader)
        os.close(follower)
        assert "Switch? [y/N]" in out and running.returncode == (OK if store == "archive" else UNHEALTHY)
        assert f"answered by {store}" in ctl("primary").stdout


def test_faults(archived, ctl):
    done = archived("fault", "op=load delay=20ms")
    assert (done.returncode, done.stdout) == (OK, "faults     op=load delay=20ms\n")
    assert archived("fault").stdout == "faults     op=load delay=20ms\n"
    assert "warning  faults are in force for the archive: op=load delay=20ms" in archived("status").stdout
    done = archived("fault", "op=load sleep=1s")
    assert done.returncode == UNHEALTHY and "'sleep'" in done.stderr
    assert archived("fault", "").stdout == "faults     -\n"
    done = ctl("fault", "op=load delay=20ms")
    assert done.returncode == UNHEALTHY and "archive.faults" in done.stderr


def test_token_from_option_file_and_environment(ctl, tmp_path):
    ctl.proxy.post_json("/api/v1/settings", {"admin.token": "tok"})
    secret = tmp_path / "token"
    secret.write_text("tok\n")
    change = ("settings", "set", "conv.ttl=4d")
    assert ctl(*change, env={}).returncode == UNHEALTHY
    assert ctl("--token", "wrong", *change).returncode == UNHEALTHY
    assert ctl("--token", "tok", *change).returncode == OK
    assert ctl("--token-file", secret, *change).returncode == OK
    assert ctl(*change, env={"CONV_ADMIN_TOKEN": "tok"}).returncode == OK
    assert ctl("health", env={}).returncode == OK


def test_a_unix_socket(make_proxy, redis_server, tmp_path):
    path = tmp_path / "admin.sock"
    proxy = make_proxy(redis_server.url, settings={"admin.listen": f"unix:{path}"}).start()
    done = eventually(lambda: (d := convctl("-u", f"unix:{path}", "health")).returncode == OK and d)
    assert done.stdout == "ok\n"
    proxy.stop()
    assert not path.exists()
    proxy.start()


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["frob"],
        ["status", "x"],
        ["watch", "-n", "0"],
        ["watch", "x"],
        ["settings", "set"],
        ["settings", "set", "conv.ttl"],
        ["settings", "put", "a=b"],
        ["primary", "mars", "--yes"],
        ["primary", "--yes"],
        ["primary", "redis", "mongo"],
        ["fault", "op=load", "hang"],
        ["--nonsense"],
        ["--url", "ftp://x", "status"],
        ["--url", "http://nohost", "status"],
        ["--token-file", "/nonexistent", "status"],
    ],
)
def test_wrong_usage(args):
    done = convctl(*args)
    assert done.returncode == USAGE and done.stderr and not done.stdout


def test_help_and_version():
    assert "Exit codes" in convctl("--help").stdout
    assert convctl("--version").stdout.startswith("convctl ")


def test_cannot_reach(redis_server):
    done = convctl("--url", f"http://127.0.0.1:{free_port()}", "status")
    assert done.returncode == UNREACHABLE and "cannot reach" in done.stderr
    done = convctl("--url", f"http://127.0.0.1:{redis_server.port}", "status")
    assert done.returncode == UNREACHABLE and "not HTTP" in done.stderr
