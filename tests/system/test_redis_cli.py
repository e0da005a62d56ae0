"""redis-cli, as an operator uses it."""
import re
import subprocess

import pytest
from harness import RespConn
from harness.resp import encode

pytestmark = pytest.mark.sanitize


@pytest.fixture
def cli(proxy, real):
    def run(*args, stdin="", check=True):
        command = ["redis-cli", "-h", proxy.host, "-p", str(proxy.port), *map(str, args)]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=20, check=False)
        output = done.stdout + done.stderr
        assert (done.returncode == 0) == check, output
        return output

    return run


def test_one_command(cli):
    assert cli("SET", "k", "v") == "OK\n"
    assert cli("GET", "k") == "v\n"
    assert cli("--no-raw", "GET", "k") == '"v"\n'
    assert cli("GET", "none") == "\n"


def test_resp3(cli):
    cli("HSET", "h", "f", "v")
    assert cli("-3", "--no-raw", "HGETALL", "h") == '1# "f" => "v"\n'
    assert "# Server" in cli("-3", "INFO", "server")


def test_database(cli, real):
    assert cli("-n", "3", "SET", "k", "three") == "OK\n"
    assert cli("GET", "k") == "\n"
    assert cli("-n", "3", "GET", "k") == "three\n"


def test_error_and_exit_code(cli):
    assert "unknown command" in cli("-e", "NOSUCH", check=False)
    assert "wrong number of arguments" in cli("-e", "GET", check=False)


def test_interactive_start_loads_the_help(cli, proxy):
    """The prompt sends COMMAND DOCS first; what `help` prints comes from that reply."""
    output = cli(stdin="PING\nhelp rpush\n")
    assert "PONG" in output
    assert "Append one or multiple elements to a list" in output
    with RespConn.to(proxy) as conn:
        docs = conn.cmd("COMMAND", "DOCS", "rpush")
        assert docs[0] == b"rpush" and b"summary" in docs[1]
        assert conn.cmd("COMMAND", "COUNT") > 200
        assert conn.cmd("COMMAND", "INFO", "get")[0][:2] == [b"get", 2]


def test_inline_commands(proxy, real):
    with RespConn.to(proxy) as conn:
        conn.send(b'PING\r\nSET k "two words"\r\n\r\nGET k\nECHO \'x y\'\r\n')
        assert [conn.read() for _ in range(4)] == ["PONG", "OK", b"two words", b"x y"]
        conn.send(b'SET k "no end\r\n')
        assert conn.read() == "ERR Protocol error: unbalanced quotes in request"
        assert conn.closed()


def test_pipe_loads_many_commands(proxy, real):
    commands = b"".join(encode("SET", f"bulk:{number}", "v" * 50) for number in range(5000))
    command = ["redis-cli", "-h", proxy.host, "-p", str(proxy.port), "--pipe"]
    done = subprocess.run(command, input=commands, capture_output=True, timeout=40, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert b"errors: 0, replies: 5000" in done.stdout
    assert len(real.keys("bulk:*")) == proxy.client().dbsize() == 5000


def test_scan(cli, real):
    real.mset({f"app:{number}": "v" for number in range(300)})
    real.set("other", "v")
    found = cli("--scan", "--pattern", "app:*").split()
    assert sorted(found) == sorted(f"app:{number}" for number in range(300))


def test_bigkeys_and_latency_tools(cli, real):
    real.rpush("app:list", *range(50))
    assert re.search(r"Biggest +list found '\"app:list\"' has 50 items", cli("--bigkeys"))
    assert "OK" in cli("-r", "3", "-i", "0.01", "SET", "k", "v")


def test_client_and_config(cli):
    assert int(cli("CLIENT", "ID")) > 0
    assert "addr=" in cli("CLIENT", "LIST")
    assert cli("CLIENT", "SETNAME", "me") == "OK\n"
    assert "maxmemory" in cli("CONFIG", "GET", "maxmemory")
