"""Who comes in: AUTH, HELLO, the limits before them, users in the configuration, and where secrets must not show."""
import hashlib
import json
import re
import signal
import subprocess
import time
from contextlib import ExitStack

import pytest
import redis
from harness import RedisServer, RespConn, eventually
from harness.resp import encode
from harness.proxy import run_once

pytestmark = pytest.mark.sanitize

PASSWORD = "s3cret-pass"
PROXY_SETTINGS = {"requirepass": PASSWORD, "slowlog.time": "0ms", "proxy.threads": 2}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A Redis with the same password for its default user."""
    server = RedisServer(tmp_path_factory.mktemp("guarded")).start()
    server.client().config_set("requirepass", PASSWORD)
    yield server
    server.kill()


@pytest.fixture
def both(proxy, guarded):
    with RespConn.to(proxy) as ours, RespConn.to(guarded) as theirs:
        yield ours, theirs


def same(both, *command):
    replies = [conn.read_with_bytes() for conn in both if conn.send_cmd(*command) is None]
    assert replies[0][1] == replies[1][1], command
    return replies[0][0]


def login(endpoint, password=PASSWORD):
    conn = RespConn.to(endpoint)
    assert conn.cmd("AUTH", password) == "OK"
    return conn


def test_before_auth(both):
    for command in (
        ["GET", "x"], ["PING"], ["MULTI"], ["EXEC"], ["SUBSCRIBE", "c"], ["CLIENT", "ID"], ["COMMAND"], ["INFO"], ["SELECT", "1"], ["ACL", "WHOAMI"], ["CONFIG", "GET", "*"],
        ["HELLO"], ["HELLO", "3"], ["HELLO", "9"], ["HELLO", "x"], ["HELLO", "3", "FOO"], ["HELLO", "3", "SETNAME", "a b"], ["HELLO", "3", "AUTH", "default", "bad"],
        ["HELLO", "3", "AUTH", "nobody", "x"], ["AUTH", "bad"], ["AUTH", ""], ["AUTH", "nobody", "x"], ["AUTH", "a", "b", "c"], ["AUTH"], ["RESET"], ["RESET", "x"],
    ):  # fmt: skip
        same(both, *command)
    assert same(both, "AUTH", PASSWORD) == "OK"
    assert same(both, "GET", "x") is None
    assert same(both, "RESET") == "RESET"
    assert same(both, "GET", "x").startswith("NOAUTH")
    assert same(both, "AUTH", "default", PASSWORD) == "OK"
    assert same(both, "ACL", "WHOAMI") == b"default"
    same(both, "QUIT")


def test_nothing_is_learned_before_auth(proxy):
    """Redis tells a stranger which commands there are, and how many arguments they take; we do not."""
    with RespConn.to(proxy) as conn:
        for command in (["NOSUCH"], ["GET"], ["CONFIG", "NOSUCH"], ["CONV", "STATUS"], ["FT.SEARCH", "x"], ["MONITOR"], ["DEBUG", "SLEEP", "0"], ["SHUTDOWN"]):
            assert conn.cmd(*command) == "NOAUTH Authentication required.", command


def test_hello_logs_in(both):
    assert not isinstance(same_hello(both, "3", "AUTH", "default", PASSWORD, "SETNAME", "me"), str)
    assert same(both, "CLIENT", "GETNAME") == b"me"
    same(both, "HELLO", "2", "AUTH", "default", "bad")
    assert same(both, "GET", "x") is None, "a wrong password does not log out"


def same_hello(both, *args):
    replies = [conn.cmd("HELLO", *args) for conn in both]
    for reply in replies:
        reply.pop(b"id")
    assert replies[0] == replies[1]
    return replies[0]


def test_name_and_password_before_a_wrong_option(both):
    """What stands before the error counts."""
    same(both, "HELLO", "3", "AUTH", "default", PASSWORD, "SETNAME", "a b")
    assert same(both, "ACL", "WHOAMI") == b"default"


@pytest.mark.parametrize("raw", [b"*11\r\n", encode(*"abcdefghijk"), b"*2\r\n$16385\r\n", b"*2\r\n$4\r\nAUTH\r\n$9999999\r\n"])
def test_limits_before_auth(both, raw):
    answers = []
    for conn in both:
        conn.send(raw)
        answers.append(conn.read_with_bytes()[1])
        assert conn.closed()
    assert answers[0] == answers[1] and b"unauthenticated" in answers[0]


def test_limits_end_with_auth(proxy):
    with login(proxy) as conn:
        assert conn.cmd("SET", "k", "v" * 20000) == "OK"
        assert len(conn.cmd("MGET", *["k"] * 20)) == 20
        assert conn.cmd("DEL", "k") == 1


def test_a_stranger_who_does_not_read_is_closed(proxy):
    with RespConn.to(proxy) as conn:
        conn.sock.settimeout(20)
        with pytest.raises(OSError):
            for _ in range(4000):
                conn.send(encode("PING") * 1000)
    proxy.log_contains('event=client_closed .*reason="not logged in"')


def test_a_storm_of_wrong_passwords(proxy):
    """Each costs a hash; the log has one line a second."""
    before = len(re.findall("event=auth_failed", proxy.log_text()))
    with RespConn.to(proxy) as conn:
        start = time.monotonic()
        for _ in range(10):
            assert all(reply.startswith("WRONGPASS") for reply in conn.pipeline(*[["AUTH", "default", "wrong-secret"]] * 1000))
        seconds = time.monotonic() - start
    counts = eventually(lambda: (c := [int(n) for n in re.findall(r"event=auth_failed count=(\d+)", proxy.log_text())][before:]) and sum(c) >= 10000 and c)
    assert len(counts) <= seconds + 3
    assert "wrong-secret" not in proxy.log_text()
    with login(proxy) as conn:
        entries = [dict(zip(entry[::2], entry[1::2])) for entry in conn.cmd("ACL", "LOG")]
        assert [entry[b"count"] for entry in entries if entry[b"reason"] == b"auth" and entry[b"object"] == b"AUTH" and entry[b"username"] == b"default"][0] >= 10000
    assert proxy.metrics()['convproxy_acl_denied_total{reason="auth"}'] >= 10000


def test_secrets_do_not_show(proxy):
    user_secret = "zzz-user-secret"
    with login(proxy) as conn:
        conn.cmd("ACL", "SETUSER", "shown", "on", f">{user_secret}", "+@all", "~*")
        conn.cmd("CONFIG", "SET", "admin.token", "zzz-token")
        conn.cmd("CONFIG", "SET", "admin.token", "")
        conn.cmd("CONFIG", "SET", "masterauth", "zzz-master")
        conn.cmd("MIGRATE", "127.0.0.1", "1", "nokey", "0", "10", "AUTH", "zzz-migrate")
        conn.cmd("HELLO", "2", "AUTH", "default", PASSWORD)
        slowlog = repr(conn.cmd("SLOWLOG", "GET", "-1"))
        assert "(redacted)" in slowlog
        config = {name.decode(): value for name, value in zip(*[iter(conn.cmd("CONFIG", "GET", "*"))] * 2)}
        assert config["masterauth"] == b"***" and config["requirepass"] in (b"", b"***")
        told = [slowlog, repr(config), repr(conn.cmd("CONFIG", "GET", "*.*")), repr(conn.cmd("CONFIG", "GET", "requirepass")), repr(conn.cmd("INFO", "everything"))]
        inside = conn.pipeline(["MULTI"], ["CONFIG", "GET", "masterauth"], ["EXEC"])[2]
        assert inside == [[b"masterauth", b"***"]]
        conn.cmd("CONFIG", "SET", "masterauth", "")
        conn.cmd("ACL", "DELUSER", "shown")
    told += [proxy.http(path)[1] for path in ("/api/v1/state", "/api/v1/settings", "/metrics")]
    told += [proxy.log_text(), subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(proxy.process.pid)], capture_output=True, text=True, check=True).stdout]
    for secret in (PASSWORD, user_secret, "zzz-token", "zzz-master", "zzz-migrate"):
        for text in told:
            assert secret not in text, secret


def test_the_password_changes(make_proxy, redis_server):
    proxy = make_proxy(redis_server.url, settings={"proxy.threads": 2}).start()
    with RespConn.to(proxy) as early, RespConn.to(proxy) as admin:
        assert early.cmd("PING") == "PONG", "it has been accepted"
        assert admin.cmd("CONFIG", "SET", "requirepass", "one") == "OK"
        assert early.cmd("PING") == "PONG", "who is in stays in"
        assert redis_server.client().config_get("requirepass")["requirepass"] == "", "Redis's own is another one"
        with RespConn.to(proxy) as late:
            assert late.cmd("PING").startswith("NOAUTH")
            assert admin.cmd("CONFIG", "SET", "requirepass", "two") == "OK"
            assert late.cmd("AUTH", "one").startswith("WRONGPASS")
            assert late.cmd("AUTH", "two") == "OK"
            assert admin.cmd("CONFIG", "GET", "requirepass") == [b"requirepass", b"***"]
            assert admin.cmd("CONFIG", "SET", "requirepass", "") == "OK"
        with RespConn.to(proxy) as late:
            assert late.cmd("PING") == "PONG"


def test_password_from_file_and_environment(make_proxy, redis_server, tmp_path):
    file = tmp_path / "password"
    file.write_text("from-file\n")
    proxy = make_proxy(redis_server.url, settings={"requirepass_file": file}).start()
    login(proxy, "from-file").close()
    file.write_text("changed\n")
    proxy.process.send_signal(signal.SIGHUP)
    eventually(lambda: login(proxy, "changed").close() is None)
    by_env = make_proxy(redis_server.url, env={"CONV_PASSWORD": "from-env"}).start()
    login(by_env, "from-env").close()
    missing = run_once("--set", f"requirepass_file={tmp_path}/none", "--set", "admin.listen=", "--set", "listen=unix:" + str(tmp_path / "s"))
    assert missing.returncode == 1 and "requirepass_file" in missing.stderr


USERS = """
users:
  - alice on >wonder ~conv:* +@read
  - user default on nopass ~* &* +@all -@dangerous
"""


def test_users_in_the_configuration(make_proxy, redis_server):
    proxy = make_proxy(redis_server.url, USERS, settings={"proxy.threads": 1}).start()  # a reload reaches the threads one after the other
    with RespConn.to(proxy) as conn:
        assert conn.cmd("ACL", "LIST").startswith("NOPERM")
        assert conn.cmd("AUTH", "alice", "wonder") == "OK"
        assert conn.cmd("GET", "conv:1") is None
        assert conn.cmd("GET", "other").startswith("NOPERM") and conn.cmd("SET", "conv:1", "x").startswith("NOPERM")
        # a reload does what has changed in the file, and leaves alone what has not
        proxy.config_path.write_text(USERS.replace("+@read", "+@read +set") + "  - bob on >b +ping\n")
        proxy.process.send_signal(signal.SIGHUP)
        eventually(lambda: conn.cmd("SET", "conv:1", "x") == "OK")
        with RespConn.to(proxy) as bob:
            assert bob.cmd("AUTH", "bob", "b") == "OK" and bob.cmd("PING") == "PONG"
            proxy.config_path.write_text(USERS)
            proxy.process.send_signal(signal.SIGHUP)
            assert bob.closed()
        assert conn.cmd("SET", "conv:1", "y").startswith("NOPERM")
        proxy.config_path.write_text("users:\n  - alice +nosuch! \n")
        proxy.process.send_signal(signal.SIGHUP)
        proxy.log_contains("event=users_refused")
        assert conn.cmd("GET", "conv:1") == b"x", "users that make no sense change nothing"


@pytest.mark.parametrize("users", ["- alice +nosuch!", "- alice on\n  - alice off", "- alice (+get", "- bob >x foo"])
def test_users_that_make_no_sense_stop_the_start(redis_server, tmp_path, users):
    config = tmp_path / "c.yaml"
    config.write_text(f"users:\n  {users}\n")
    done = run_once("--config", config, "--set", "admin.listen=", "--set", "listen=unix:" + str(tmp_path / "s"), "--set", f"redis.url={redis_server.url}")
    assert done.returncode == 1 and "users: '" in done.stderr, done.stderr


def test_acl_file(make_proxy, redis_server, tmp_path):
    """SAVE, LOAD, and a start: the users are what Redis makes of the same file."""
    file = tmp_path / "users.acl"
    file.write_text("user default on nopass ~* &* +@all\nuser alice on >wonder ~a* +@read (+set %W~b)\n\n")
    theirs = RedisServer(tmp_path, args=["--aclfile", tmp_path / "theirs.acl"])
    (tmp_path / "theirs.acl").write_text(file.read_text())
    proxy = make_proxy(redis_server.url, settings={"acl.file": file}).start()
    with ExitStack() as stack:
        stack.callback(theirs.kill)
        theirs.start()
        pair = [stack.enter_context(RespConn.to(endpoint)) for endpoint in (proxy, theirs)]
        same(pair, "ACL", "LIST")
        with RespConn.to(proxy) as alice:
            assert alice.cmd("AUTH", "alice", "wonder") == "OK"
            same(pair, "ACL", "SETUSER", "bob", "on", "+get")
            same(pair, "ACL", "SAVE")
            assert file.read_text() == (tmp_path / "theirs.acl").read_text()
            assert hashlib.sha256(b"wonder").hexdigest() in file.read_text() and ">wonder" not in file.read_text()
            text = "user default on nopass ~* &* +@all\nuser carol on nopass +ping\n"
            for path in (file, tmp_path / "theirs.acl"):
                path.write_text(text)
            same(pair, "ACL", "LOAD")
            assert alice.closed()
        same(pair, "ACL", "LIST")
        for bad in ("user x +nosuch\n", "nonsense\n", "user a on\nuser a off\n", "user a (+get\n"):
            file.write_text(text + bad)
            assert pair[0].cmd("ACL", "LOAD").startswith(f"ERR {file}:")
        assert pair[0].cmd("ACL", "USERS") == [b"carol", b"default"]


def test_rewrite_keeps_what_acl_has_made(make_proxy, redis_server):
    proxy = make_proxy(redis_server.url, USERS.replace("+@all -@dangerous", "+@all")).start()
    with RespConn.to(proxy) as conn:
        conn.cmd("ACL", "SETUSER", "alice", "+set", "(+get ~x)")
        conn.cmd("ACL", "SETUSER", "bob", "on", ">b", "&c*")
        before = conn.cmd("ACL", "LIST")
        assert conn.cmd("CONFIG", "REWRITE") == "OK"
        assert conn.cmd("ACL", "LIST") == before
    assert "wonder" not in proxy.config_path.read_text() and hashlib.sha256(b"b").hexdigest() in proxy.config_path.read_text()
    proxy.restart()
    with RespConn.to(proxy) as conn:
        assert conn.cmd("ACL", "LIST") == before


@pytest.mark.parametrize("protocol", [2, 3])
def test_client_library(make_proxy, redis_server, protocol):
    proxy = make_proxy(redis_server.url, USERS).start()
    with proxy.client(username="alice", password="wonder", protocol=protocol) as alice:
        assert alice.get("conv:library") is None
        with pytest.raises(redis.exceptions.NoPermissionError):
            alice.set("conv:1", "x")
    with proxy.client(username="alice", password="bad", protocol=protocol) as wrong, pytest.raises(redis.exceptions.AuthenticationError):
        wrong.ping()
    with proxy.client(protocol=protocol) as admin:
        with pytest.raises(redis.exceptions.NoPermissionError):
            admin.acl_list()


def test_upstream_credentials_are_not_the_clients(make_proxy, guarded):
    proxy = make_proxy(guarded.url.replace("//", f"//:{PASSWORD}@"), settings={"requirepass": "for-clients"}).start()
    with RespConn.to(proxy) as conn:
        assert conn.cmd("AUTH", PASSWORD).startswith("WRONGPASS")
        assert conn.cmd("AUTH", "for-clients") == "OK"
        assert conn.cmd("SET", "k", "v") == "OK"
        config = conn.cmd("CONFIG", "GET", "require*")
        assert config == [b"requirepass", b"***"]
    args = subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(proxy.process.pid)], capture_output=True, text=True, check=True).stdout
    assert PASSWORD not in args and "for-clients" not in args


def test_a_client_keeps_its_user_when_another_process_takes_over(make_proxy, redis_server, tmp_path):
    from test_lifecycle import take_over

    settings = {"proxy.handover": tmp_path / "handover.sock", "requirepass": "pw"}
    proxy = make_proxy(redis_server.url, "users:\n  - alice on >a +get +acl|whoami ~*\n", settings=settings).start()
    with RespConn.to(proxy) as alice, RespConn.to(proxy) as stranger, RespConn.to(proxy) as passing, login(proxy, "pw") as default:
        assert alice.cmd("AUTH", "alice", "a") == "OK"
        default.cmd("ACL", "SETUSER", "passing", "on", ">p", "+ping")
        assert passing.cmd("AUTH", "passing", "p") == "OK"
        assert stranger.cmd("PING").startswith("NOAUTH")
        take_over(proxy)
        assert alice.cmd("ACL", "WHOAMI") == b"alice"
        assert alice.cmd("SET", "k", "v").startswith("NOPERM")
        assert default.cmd("ACL", "WHOAMI") == b"default"
        assert stranger.cmd("PING").startswith("NOAUTH")
        assert passing.cmd("ACL", "WHOAMI").startswith("NOPERM") and passing.cmd("PING") == "PONG"
        old_settings = proxy.config_path.read_text()
        proxy.config_path.write_text("")
        default.cmd("ACL", "DELUSER", "passing")
        take_over(proxy)
        assert alice.closed() and passing.closed(), "the new process has no such users: their clients are closed"
        proxy.config_path.write_text(old_settings)


def test_the_state_says_nothing_of_passwords(proxy):
    settings = json.loads(proxy.http("/api/v1/settings?match=requirepass*")[1])
    assert PASSWORD not in json.dumps(settings) and "***" in json.dumps(settings)
