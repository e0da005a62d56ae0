"""OBJECT, MEMORY, LATENCY, DEBUG, databases and their kin: as Redis answers, and what must not reach a Redis that others use."""
import pytest
from harness import RedisServer, RespConn, eventually

PROXY_SETTINGS = {"proxy.threads": 2}
DEBUG = ["--enable-debug-command", "yes"]


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory):
    server = RedisServer(tmp_path_factory.mktemp("redis"), args=DEBUG).start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    server = RedisServer(tmp_path_factory.mktemp("plain"), args=DEBUG).start()
    yield server
    server.kill()


SCRIPTS = {
    "databases": """
        SWAPDB
        SWAPDB x 1
        SWAPDB 1 x
        SWAPDB 1 99
        SWAPDB -1 1
        SELECT 1
        SET a 1
        SWAPDB 1 2
        GET a
        SELECT 2
        GET a
        FLUSHDB
        SELECT 0
        SET m 1
        MOVE m
        MOVE m 0
        MOVE m x
        MOVE m 99
        MOVE m 3
        MOVE m 3
        SELECT 3
        GET m
        COPY m n DB 0
        COPY m n DB 0
        COPY m m DB 3
        COPY m n DB 99
        COPY m n DB x
        COPY m n DB
        COPY m n FOO
        SELECT 0
        GET n""",
    "migrate": """
        MIGRATE a
        MIGRATE 127.0.0.1 1 none 0 100
        MIGRATE 127.0.0.1 x none 0 100
        MIGRATE 127.0.0.1 1 '' 0 100 KEYS a b""",
    "object": """
        OBJECT
        OBJECT HELP
        OBJECT ENCODING k
        SET k 1
        OBJECT ENCODING k
        OBJECT REFCOUNT k
        OBJECT IDLETIME none
        OBJECT FREQ k
        OBJECT foo k
        OBJECT ENCODING
        RPUSH conv:1 a
        OBJECT ENCODING conv:1""",
    "memory": """
        MEMORY
        MEMORY HELP
        SET k v
        MEMORY USAGE k
        MEMORY USAGE k SAMPLES 0
        MEMORY USAGE k SAMPLES -1
        MEMORY USAGE none
        MEMORY USAGE k FOO
        MEMORY foo
        MEMORY PURGE""",
    "latency": """
        LATENCY
        LATENCY HELP
        LATENCY LATEST
        LATENCY HISTORY x
        LATENCY RESET
        LATENCY GRAPH x
        LATENCY HISTOGRAM foo
        LATENCY DOCTOR
        LATENCY foo""",
    "debug": """
        DEBUG
        DEBUG foo
        DEBUG HELP
        DEBUG SLEEP 0
        DEBUG SLEEP x
        SET k v
        DEBUG OBJECT none
        DEBUG DIGEST-VALUE k
        DEBUG ERROR oops
        DEBUG PROTOCOL map
        DEBUG PROTOCOL attrib
        DEBUG PROTOCOL null
        DEBUG PROTOCOL verbatim
        DEBUG POPULATE 3 raw
        GET raw:1""",
    "scripts": "SCRIPT KILL\nFUNCTION KILL\nSCRIPT\nSCRIPT foo\nSCRIPT KILL x\nFUNCTION STATS",
    "commands": "COMMAND COUNT\nCOMMAND GETKEYS GET a\nCOMMAND foo\nCONFIG foo\nCONFIG GET\nCOMMAND HELP\nCONFIG HELP",
    "keys": """
        SCAN 0
        SET a 1
        SCAN 0 TYPE list
        SCAN 0 MATCH a* TYPE string COUNT 100
        SCAN 0 COUNT x
        SCAN 0 COUNT 0
        SCAN x
        SCAN 0 FOO
        SCAN 0 FOO 1
        SCAN 0 MATCH
        SCAN 99999999999999999999999
        KEYS
        KEYS a*
        KEYS [a]
        DBSIZE
        DBSIZE x
        RANDOMKEY
        RANDOMKEY x
        FLUSHDB x
        FLUSHALL SYNC x
        FLUSHALL ASYNC
        RANDOMKEY
        DBSIZE""",
}


@pytest.mark.sanitize
@pytest.mark.parametrize("name", SCRIPTS)
def test_answers_are_those_of_redis(both, name):
    both.run(SCRIPTS[name])


ENDS = ["SEGFAULT", "PANIC", "ASSERT", "RESTART", "CRASH-AND-RECOVER", "OOM"]
BEHIND = [["RELOAD"], ["LOADAOF"], ["POPULATE", "5", "conv:"]]


def test_debug_that_would_end_redis_or_confuse_others(proxy, real, redis_server):
    with RespConn.to(proxy) as conn, RespConn.to(proxy) as other:
        for conn_resp in (conn, other):
            conn_resp.cmd("HELLO", "3")
        other.cmd("SET", "k", "v")
        for words in [[name] for name in ENDS] + BEHIND + [["PROTOCOL", "push"]]:
            reply = conn.cmd("DEBUG", *words)
            assert reply.startswith(f"ERR DEBUG {words[0].lower()} would "), reply
            conn.cmd("MULTI")
            assert conn.cmd("DEBUG", *words).startswith("ERR DEBUG ")
            assert conn.cmd("EXEC").startswith("EXECABORT")
            assert other.cmd("GET", "k") == b"v"
    assert redis_server.alive()


@pytest.mark.managed
def test_managed_keys_stay_in_their_database(proxy, real):
    """Each refusal says why."""
    with RespConn.to(proxy) as conn:
        conn.cmd("RPUSH", "conv:1", "a")
        for command in (["MOVE", "conv:1", "3"], ["SWAPDB", "0", "1"], ["MIGRATE", "127.0.0.1", "1", "conv:1", "0", "100"]):
            reply = eventually(lambda command=command: conn.cmd(*command))
            assert "is not supported by convproxy while it guards them" in reply, (command, reply)
        for command in (["COPY", "conv:1", "conv:2", "DB", "3"], ["COPY", "plain", "conv:2", "REPLACE", "DB", "3"]):
            assert conn.cmd(*command).startswith("ERR 'copy' of managed keys between databases is not supported"), command
            conn.cmd("MULTI")
            assert conn.cmd(*command).startswith("ERR 'copy' of managed keys")
            assert conn.cmd("EXEC").startswith("EXECABORT")
        assert conn.cmd("COPY", "conv:1", "conv:2", "DB", "0") == 1
        conn.cmd("SELECT", "3")
        conn.cmd("SET", "plain", "x")
        assert conn.cmd("COPY", "plain", "conv:3", "DB", "0").startswith("ERR 'copy' of managed keys")
        assert conn.cmd("MOVE", "conv:1", "0").startswith("ERR move of managed keys")
        conn.cmd("SELECT", "0")
        assert conn.cmd("LRANGE", "conv:1", "0", "-1") == [b"a"]


LOOP = "#!lua name=spin\nredis.register_function('spin', function() while true do end end)"
KILLS = {
    "script": (["EVAL", "while true do end", "0"], ["SCRIPT", "KILL"]),
    "function": (["FCALL", "spin", "0"], ["FUNCTION", "KILL"]),
    "in a transaction": (None, ["SCRIPT", "KILL"]),
}


@pytest.mark.sanitize
@pytest.mark.parametrize("threshold", [50, 800], ids=["busy", "before it is busy"])
@pytest.mark.parametrize("name", KILLS)
def test_a_script_is_killed_from_a_second_connection(fresh_redis, make_proxy, name, threshold):
    """Also when Redis does not even say yet that it is busy: the order waits there, however long."""
    run, kill = KILLS[name]
    real = fresh_redis.client()
    real.config_set("busy-reply-threshold", threshold)
    proxy = make_proxy(fresh_redis.url, settings=PROXY_SETTINGS).start()
    with RespConn.to(proxy, timeout=30) as runner, RespConn.to(proxy, timeout=30) as killer:
        runner.cmd("FUNCTION", "LOAD", LOOP)
        if run is None:
            runner.pipeline(["MULTI"], ["EVAL", "while true do end", "0"])
            run = ["EXEC"]
        runner.send_cmd(*run)
        # Before it has begun there is nothing to kill.
        assert eventually(lambda: killer.cmd(*kill) == "OK", timeout=20)
        reply = runner.read()
        assert "killed by user" in (reply[0] if isinstance(reply, list) else reply)
        assert killer.cmd("PING") == "PONG"
    real.close()


# ---- INFO ----


def fields(text):
    return dict(line.split(":", 1) for line in text.decode().split("\r\n") if ":" in line)


def sections(text):
    return [line[2:] for line in text.decode().split("\r\n") if line.startswith("# ")]


ASKED = [[], ["default"], ["all"], ["everything"], ["server", "clients"], ["KEYSPACE", "Memory", "nonsense"], ["nonsense"], ["commandstats"]]


@pytest.mark.sanitize
@pytest.mark.parametrize("words", ASKED, ids=" ".join)
def test_info_has_the_sections_that_redis_has(both, words):
    ours, theirs = (conn.cmd("INFO", *words) for conn in (both.ours, both.theirs))
    own = ["Convproxy"] if not words or words[0] in ("default", "all", "everything") else []
    assert sections(ours) == sections(theirs) + own
    assert set(fields(ours)) >= {name for name in fields(theirs) if not name.startswith(("cmdstat_", "db", "latency_percentiles", "errorstat"))}


@pytest.mark.sanitize
def test_info_tells_the_truth_about_the_proxy(proxy, real, both):
    with RespConn.to(proxy, timeout=20) as waiting, RespConn.to(proxy) as conn:
        waiting.cmd("PING")

        def told():
            return int(fields(conn.cmd("INFO"))["connected_clients"])

        def listed():
            return len(conn.cmd("CLIENT", "LIST").splitlines())

        eventually(lambda: told() == listed() >= 3)  # clients of tests before may be leaving still
        info = fields(conn.cmd("INFO"))
        assert (info["tcp_port"], info["redis_version"]) == (str(proxy.port), "7.0.15")
        assert info["blocked_clients"] == "0"
        waiting.send_cmd("BLPOP", "raw:queue", "0")
        eventually(lambda: fields(conn.cmd("INFO", "clients"))["blocked_clients"] == "1")
        conn.cmd("RPUSH", "raw:queue", "x")
        assert waiting.read() == [b"raw:queue", b"x"]
        eventually(lambda: fields(conn.cmd("INFO", "clients"))["blocked_clients"] == "0")


@pytest.mark.managed
def test_info_counts_the_keys_that_clients_see(proxy, real):
    with RespConn.to(proxy) as conn:
        assert "db0" not in fields(conn.cmd("INFO", "keyspace"))
        for i in range(5):
            conn.cmd("RPUSH", f"conv:{i}", "x")
            conn.cmd("SET", f"raw:{i}", "x")
        eventually(lambda: fields(conn.cmd("INFO", "keyspace"))["db0"].startswith("keys=10,"))
        assert conn.cmd("DBSIZE") == 10


def test_one_reply_comes_in_one_piece(proxy, real, monkeypatch):
    """What one command answers is there with the first byte."""
    with RespConn.to(proxy) as conn:
        conn.cmd("MSET", *[word for i in range(50) for word in (f"k{i}", "v" * 100)])
        for command in (["HELLO", "3"], ["CLIENT", "LIST"], ["INFO"], ["MGET", *[f"k{i}" for i in range(50)]], ["KEYS", "*"], ["CLIENT", "HELP"]):
            conn.send_cmd(*command)
            conn._receive()
            with monkeypatch.context() as patch:
                patch.setattr(conn, "_receive", lambda command=command: pytest.fail(f"{command} came in pieces"))
                conn.read()
            assert not conn.buffer
