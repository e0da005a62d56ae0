"""What a new process takes over besides listeners and clients: users as ACL SETUSER and DELUSER have left them, and CLIENT PAUSE."""
import pytest
from harness import RespConn, RespError, eventually
from test_lifecycle import READY, Wire, handover_path, take_over

STATE = 12
pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def old(make_proxy, fresh_redis, tmp_path):
    settings = {"proxy.handover": tmp_path / "handover.sock", "proxy.threads": 2, "proxy.drain_time": "10s"}
    users = ["kept on >k ~* +@all", "loud on >l ~* +@all", "gone on >g ~* +@all"]
    return make_proxy(fresh_redis.url, {"users": users}, settings=settings).start()


def login(proxy, name, password):
    with RespConn.to(proxy) as conn:
        return conn.cmd("AUTH", name, password)


def lines(conn):
    return {line.split()[1].decode(): line.decode() for line in conn.cmd("ACL", "LIST")}


@pytest.mark.sanitize
def test_users_are_as_they_were(old):
    with RespConn.to(old) as admin, RespConn.to(old) as made:
        assert admin.cmd("ACL", "SETUSER", "made", "on", ">m", "~made:*", "+@all", "(+get ~other:*)") == "OK"
        assert admin.cmd("ACL", "SETUSER", "loud", "resetpass", ">louder", "-set") == "OK"
        assert admin.cmd("ACL", "DELUSER", "gone") == 1
        assert made.cmd("AUTH", "made", "m") == "OK"
        before = lines(admin)
        for _ in range(2):
            take_over(old)
            assert lines(admin) == before
            assert made.cmd("ACL", "WHOAMI") == b"made" and made.cmd("SET", "made:1", "v") == "OK"
            assert made.cmd("GET", "other:1") is None
            assert isinstance(made.cmd("SET", "other:1", "v"), RespError)
        assert login(old, "made", "m") == login(old, "loud", "louder") == login(old, "kept", "k") == "OK"
        for name, password in (("gone", "g"), ("loud", "l"), ("made", "x")):
            assert isinstance(login(old, name, password), RespError)


def test_default_may_have_changed_too(old):
    with RespConn.to(old) as admin:
        assert admin.cmd("AUTH", "kept", "k") == "OK"
        assert admin.cmd("ACL", "SETUSER", "default", "resetkeys", "~open:*", "resetpass", ">d") == "OK"
        before = lines(admin)
        take_over(old)
        assert lines(admin) == before
        with RespConn.to(old) as conn:
            assert isinstance(conn.cmd("GET", "open:1"), RespError), "no password was given"
            assert conn.cmd("AUTH", "d") == "OK" and conn.cmd("GET", "open:1") is None
            assert isinstance(conn.cmd("GET", "other"), RespError)


def test_new_settings_hold_for_users_that_acl_has_not_changed(old):
    with RespConn.to(old) as admin:
        assert admin.cmd("ACL", "SETUSER", "made", "on", ">m", "~*", "+@all") == "OK"
        old.config_path.write_text("users: ['kept on >new ~* +@all', 'more on >m ~* +@all']")
        take_over(old)
        assert set(lines(admin)) == {"default", "kept", "more", "made"}
    assert login(old, "kept", "new") == login(old, "more", "m") == login(old, "made", "m") == "OK"


def test_a_user_made_while_clients_leave(old):
    """The client that makes it has watched a key, and stays for as long; the successor hears of it before DONE."""
    with RespConn.to(old) as conn, Wire.connect(handover_path(old)) as wire:
        assert conn.cmd("WATCH", "k") == "OK"
        listeners = wire.take_listeners()
        wire.send(READY, data=b"\1" * len(listeners))
        assert conn.cmd("ACL", "SETUSER", "late", "on", "nopass", "~*", "+@all") == "OK"
        kind, left, data, _ = wire.receive()
        assert (kind, left) == (STATE, 0) and data.startswith(b"user late on ") and data.count(b"\n") == 1
        assert conn.cmd("ACL", "DELUSER", "late") == 1
        assert wire.receive()[:3] == (STATE, 0, b""), "it is taken back"
        for _, listener in listeners:
            listener.close()
    with RespConn.to(old) as conn:
        eventually(lambda: conn.cmd("PING") == "PONG")


def hangs(conn):
    """No reply within a fifth of a second."""
    conn.sock.settimeout(0.2)
    try:
        return conn.read() is None
    except TimeoutError:
        return True
    finally:
        conn.sock.settimeout(20)


@pytest.mark.sanitize
def test_a_pause_goes_on(old):
    with RespConn.to(old) as admin, RespConn.to(old) as waits:
        assert admin.cmd("SET", "k", "1") == "OK"
        assert admin.cmd("CLIENT", "PAUSE", 60000, "WRITE") == "OK"
        waits.send_cmd("INCR", "k")
        assert admin.cmd("GET", "k") == b"1"
        take_over(old)
        with RespConn.to(old) as fresh:
            fresh.send_cmd("INCR", "k")
            assert admin.cmd("GET", "k") == b"1" and hangs(waits) and hangs(fresh)
            take_over(old)
            assert admin.cmd("GET", "k") == b"1" and hangs(waits)
            assert admin.cmd("CLIENT", "UNPAUSE") == "OK"
            assert sorted((waits.read(), fresh.read())) == [2, 3]
        take_over(old)
        assert admin.cmd("INCR", "k") == 4, "it is not paused again"


def test_a_pause_ends_in_time(old):
    with RespConn.to(old) as conn:
        assert conn.cmd("CLIENT", "PAUSE", 1500) == "OK"
        conn.send_cmd("PING")
        take_over(old)
        assert conn.read() == "PONG"
