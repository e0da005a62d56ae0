"""WAIT: on the connections that clients share it would count somebody else's writes, so it has one of its own."""
import os
import signal

import pytest
from harness import RedisServer, RespConn, eventually
from harness.both import Both

PROXY_SETTINGS = {"proxy.threads": 2}


@pytest.fixture
def replica(redis_server, tmp_path):
    redis_server.client().config_set("repl-diskless-sync-delay", "0")
    server = RedisServer(tmp_path, args=["--replicaof", redis_server.host, redis_server.port]).start()
    eventually(lambda: "master_link_status:up" in server.cli("INFO", "replication"), timeout=10)
    yield server
    server.kill()


@pytest.mark.sanitize
@pytest.mark.parametrize("resp", [2, 3])
def test_answers_are_those_of_redis(proxy, real, plain, resp):
    with Both(proxy, plain, resp) as both:
        both.run("""
            WAIT
            WAIT 0 0
            WAIT 0 x
            WAIT x 0
            WAIT 0 -1
            WAIT -1 0
            WAIT 1 10
            MULTI
            SET a 1
            WAIT 1 0
            EXEC""")


def test_counts_the_replicas_that_have_this_client_s_writes(proxy, real, replica):
    with RespConn.to(proxy, timeout=20) as conn, RespConn.to(proxy) as other:
        conn.cmd("SET", "k", "1")
        assert eventually(lambda: conn.cmd("WAIT", "1", "1000") == 1)
        os.kill(replica.process.pid, signal.SIGSTOP)
        try:
            for command in (["SET", "k", "2"], ["RPUSH", "conv:1", "a"]):
                conn.cmd(*command)
                assert conn.cmd("WAIT", "1", "50") == 0
            conn.send_cmd("SET", "k", "3")
            conn.send_cmd("WAIT", "1", "0")
            conn.send_cmd("GET", "k")
            assert conn.read() == "OK"
            eventually(lambda: b"blocked_clients:1" in other.cmd("INFO", "clients") or b"cmd=wait" in other.cmd("CLIENT", "LIST"))
            assert other.cmd("GET", "k") == b"3"  # nobody else waits
        finally:
            os.kill(replica.process.pid, signal.SIGCONT)
        assert (conn.read(), conn.read()) == (1, b"3")
    assert replica.client().get("k") == b"3"
