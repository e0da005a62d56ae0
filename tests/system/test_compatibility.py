"""tests/clients/compat: six clients run one scenario of some 170 steps through the proxy, with Redis and with the archive acting, in
RESP2 and RESP3. What each of them gets must be what it gets from a real Redis."""
import functools
import json
import subprocess
import sys

import pytest
from harness import Proxy, RedisServer, RespConn, eventually
from harness.proxy import ROOT

CLIENTS = ROOT / "tests" / "clients"
BUILT = ROOT / "build" / "clients"
STEPS = CLIENTS / "compat" / "steps.json"
SCENARIO = json.loads(STEPS.read_text())["steps"]
SETTINGS = {"conv.ttl": 0, "conv.max_messages": 0}


PROGRAMS = {
    "redis-py": ([sys.executable, CLIENTS / "compat" / "compat.py"], None),
    "ioredis": (["node", CLIENTS / "compat" / "ioredis.js"], CLIENTS / "node_modules" / "ioredis"),
    "node-redis": (["node", CLIENTS / "compat" / "noderedis.js"], CLIENTS / "node_modules" / "redis"),
    "go-redis": ([BUILT / "gocompat"], BUILT / "gocompat"),
    "jedis": (["java", "-XX:TieredStopAtLevel=1", "-cp", f"{BUILT / 'jedis'}/*:{BUILT / 'jedis'}", "Compat"], BUILT / "jedis" / "Compat.class"),
}


def quoted(word):
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def redis_cli(host, port, protocol, prefix):
    """The lines that redis-cli prints when it reads the steps from its input."""
    steps = "\n".join(" ".join(quoted(word.replace("{}", prefix)) for word in step) for step in SCENARIO)
    command = ["redis-cli", "-h", host, "-p", str(port), *(["-3"] if protocol == 3 else [])]
    return subprocess.run(command, input=steps, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()


def run_client(name, host, port, protocol, prefix="conv:"):
    if name == "redis-cli":
        return redis_cli(host, port, protocol, prefix)
    program, needed = PROGRAMS[name]
    if needed is not None and not needed.exists():
        pytest.skip(f"{needed} is missing: make test-tools")
    run = subprocess.run([*map(str, program), host, str(port), str(protocol), prefix, str(STEPS)],
                         capture_output=True, text=True, timeout=100, check=False)
    assert run.returncode == 0, run.stderr + run.stdout[-500:]
    return [json.loads(line) for line in run.stdout.splitlines()]


@pytest.fixture(scope="module")
def expected(redis_server):
    """expected(client, protocol): the replies of a real Redis; asked once."""

    @functools.lru_cache(None)
    def of(name, protocol):
        with redis_server.client() as client:
            client.flushall()
        return run_client(name, "127.0.0.1", redis_server.port, protocol)

    return of


@pytest.fixture(scope="module")
def target(request, tmp_path_factory):
    """A proxy whose managed keys Redis, or the archive, serves."""
    folder = tmp_path_factory.mktemp("compat")
    settings = {**SETTINGS, "archive.url": f"sqlite:{folder}/archive.db", "conv.primary": request.param}
    server = RedisServer(folder).start()
    proxy = Proxy(folder, server.url, settings=settings).start()
    yield proxy
    proxy.stop()
    server.kill()


def flushed(proxy):
    with RespConn.to(proxy) as conn:
        return conn.cmd("FLUSHALL") == "OK" and conn.cmd("SET", "conv:ready", "1") == "OK" and conn.cmd("DEL", "conv:ready") == 1


@pytest.mark.timeout(120)
@pytest.mark.parametrize("target", ["redis", "archive"], indirect=True)
@pytest.mark.parametrize("protocol", [2, 3], ids=["resp2", "resp3"])
@pytest.mark.parametrize("name", [*PROGRAMS, "redis-cli"])
def test_scenario(target, expected, name, protocol):
    want = expected(name, protocol)
    eventually(lambda: flushed(target), 10)
    got = run_client(name, target.host, target.port, protocol)
    if name == "redis-cli":
        assert got == want
        return
    assert len(want) == len(SCENARIO) == len(got) >= 60
    assert [(step, w, g) for step, w, g in zip(SCENARIO, want, got) if w != g] == []
