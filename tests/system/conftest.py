"""Fixtures: a Redis server and a proxy in front of it, for a module or fresh for one test.

CONVPROXY_BIN      another binary than build/convproxy (make test runs the ASan and the TSan build this way)
CONV_TEST_DIRECT=1 clients talk to Redis itself: shows that a scenario is right before the proxy is asked
A module may define PROXY_CONFIG (a dict or YAML text) and PROXY_SETTINGS for its proxy."""
import os
from contextlib import ExitStack

import pytest
from harness import NOBODY, SERVES_ALL, DirectProxy, Proxy, RedisServer, RespConn, eventually, process
from harness.both import Both
from harness.tls import Authority

DIRECT = os.environ.get("CONV_TEST_DIRECT") == "1"


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory):
    with_server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield with_server
    with_server.kill()


@pytest.fixture(scope="module")
def durable(tmp_path_factory):
    """A proxy whose archive has all keys."""
    proxy = Proxy(tmp_path_factory.mktemp("durable"), NOBODY, settings=SERVES_ALL).start()
    yield proxy
    proxy.stop()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A Redis that no proxy stands before."""
    server = RedisServer(tmp_path_factory.mktemp("plain")).start()
    yield server
    server.kill()


@pytest.fixture(params=["proxy", "redis"])
def side(request, durable, plain):
    """The proxy on its archive, and then redis-server: what a test asserts holds for both."""
    server = durable if request.param == "proxy" else plain
    with RespConn.to(server) as conn:
        conn.cmd("FLUSHALL")
    return server


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def server_cert(authority):
    return authority.issue("server")


@pytest.fixture
def fresh_redis(tmp_path):
    server = RedisServer(tmp_path).start()
    yield server
    server.kill()


def proxy_for(module, server, folder):
    """A generator that serves one proxy; stopping it checks its exit code and its log."""
    if DIRECT:
        yield DirectProxy(server)
        return
    config = getattr(module, "PROXY_CONFIG", "")
    proxy = Proxy(folder, server.url, config, getattr(module, "PROXY_SETTINGS", None)).start()
    yield proxy
    proxy.stop()


@pytest.fixture(scope="module")
def proxy(request, redis_server, tmp_path_factory):
    yield from proxy_for(request.module, redis_server, tmp_path_factory.mktemp("proxy"))


@pytest.fixture(autouse=True)
def survives(request):
    """The test that brings down the module's proxy is the one that fails; the next finds it running again."""
    shared = None if DIRECT or "proxy" not in request.fixturenames else request.getfixturevalue("proxy")
    yield
    if shared is None or shared.healthy():
        return
    try:
        shared.stop()
    finally:
        shared.start()


@pytest.fixture
def fresh_proxy(request, fresh_redis, tmp_path):
    yield from proxy_for(request.module, fresh_redis, tmp_path)


@pytest.fixture
def make_proxy(tmp_path):
    """make_proxy(redis_url, config, settings=…, env=…): as many proxies as a test wants; the test starts them, and
    they are stopped and checked after it."""
    with ExitStack() as stack:

        def make(redis_url, config="", **options):
            proxy = Proxy(tmp_path, redis_url, config, **options)
            stack.callback(proxy.stop)
            return proxy

        yield make


@pytest.fixture
def conn(proxy):
    """A raw RESP connection to the module's proxy."""
    with RespConn.to(proxy) as connection:
        yield connection


def empty(proxy):
    """Both stores, as clients do it: a Redis that is emptied behind the proxy is another one to it."""
    with RespConn.to(proxy) as conn:

        def flushed():
            reply = conn.cmd("FLUSHALL")
            assert reply == "OK", reply
            return True

        eventually(flushed, timeout=10)


@pytest.fixture
def real(request, redis_server):
    """A client straight to Redis, to look behind the proxy; the server is emptied first, but for the proxy's own keys."""
    client = redis_server.client(decode_responses=True)
    if DIRECT or "proxy" not in request.fixturenames:
        client.flushall()
    else:
        empty(request.getfixturevalue("proxy"))
    yield client
    client.close()


@pytest.fixture(params=[2, 3])
def both(request, proxy, real, plain):
    """A client of the proxy and one of a Redis without one, which are asked the same."""
    with Both(proxy, plain, request.param) as pair:
        pair.theirs.cmd("FLUSHALL")
        yield pair


# The files that take longest, about a minute each. With several workers they come first, so that none is left with one in the end.
LONG = ["archive_mongo", "dual_write", "console", "demo", "engine", "archive_differential", "archive_faults", "compatibility", "restart",
        "alerts", "archive_ops", "archive_blocking", "canary", "model"]
PLACES = {f"test_{name}": place for place, name in enumerate(LONG)}


def pytest_collection_modifyitems(items):
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: PLACES.get(item.path.stem, len(LONG)))
    if not DIRECT:
        return
    for item in items:
        if item.get_closest_marker("managed"):
            item.add_marker(pytest.mark.skip(reason="CONV_TEST_DIRECT=1: no proxy, no policies"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for server in process.running:
            report.sections.append((f"{server.name} on port {server.port}", server.log_tail()))
