"""CLIENT, HELLO, RESET, SELECT, QUIT: what Redis 7.0 answers, and what it means for the clients of all loops."""
import re

import pytest
from harness import RespConn, eventually

PROXY_SETTINGS = {"proxy.threads": 2}
CLIENTS = 8  # so that both loops have some


@pytest.fixture(params=["proxy", "redis"])
def side(request, proxy, plain):
    return proxy if request.param == "proxy" else plain


@pytest.fixture
def many(side):
    conns = [RespConn.to(side) for _ in range(CLIENTS)]
    for conn in conns:
        conn.cmd("PING")
    yield conns
    for conn in conns:
        conn.close()
    with RespConn.to(side) as conn:
        assert conn.cmd("CLIENT", "UNPAUSE") == "OK"


# ---- the same bytes ----

SCRIPTS = {
    "pause": """
        CLIENT PAUSE
        CLIENT PAUSE x
        CLIENT PAUSE 1.5
        CLIENT PAUSE 01
        CLIENT PAUSE -1
        CLIENT PAUSE 1 foo
        CLIENT PAUSE 1 WRITE x
        CLIENT PAUSE 99999999999999999999
        CLIENT PAUSE 9223372036854775807
        CLIENT PAUSE 0
        CLIENT UNPAUSE
        CLIENT UNPAUSE x""",
    "reply": "CLIENT REPLY x\nCLIENT REPLY ON\nCLIENT REPLY\nCLIENT REPLY ON x",
    "no-evict": "CLIENT NO-EVICT x\nCLIENT NO-EVICT on\nCLIENT NO-EVICT OFF\nCLIENT NO-EVICT\nCLIENT NO-EVICT ON y",
    "list": """
        CLIENT LIST x
        CLIENT LIST TYPE
        CLIENT LIST TYPE x
        CLIENT LIST TYPE normal x
        CLIENT LIST TYPE master
        CLIENT LIST TYPE replica
        CLIENT LIST ID
        CLIENT LIST ID x
        CLIENT LIST ID 999999
        CLIENT LIST ID -1
        CLIENT LIST ID 999999 0
        CLIENT LIST ID 99999999999999999999""",
    "kill": """
        CLIENT KILL
        CLIENT KILL 1.2.3.4:5
        CLIENT KILL ''
        CLIENT KILL ID x
        CLIENT KILL ID 0
        CLIENT KILL ID -1
        CLIENT KILL ID 999999
        CLIENT KILL ID 99999999999999999999
        CLIENT KILL TYPE x
        CLIENT KILL TYPE master
        CLIENT KILL USER nobody
        CLIENT KILL SKIPME x
        CLIENT KILL SKIPME yes ID
        CLIENT KILL MAXAGE 1
        CLIENT KILL LADDR 1.2.3.4:1
        CLIENT KILL ADDR 1.2.3.4:1
        CLIENT KILL ID 999999 SKIPME no
        CLIENT KILL FOO bar
        CLIENT KILL TYPE normal ADDR""",
    "names": """
        CLIENT GETNAME
        CLIENT SETNAME
        CLIENT SETNAME a\tb
        CLIENT SETNAME ab
        CLIENT GETNAME
        CLIENT SETNAME ''
        CLIENT GETNAME
        CLIENT SETNAME a b
        CLIENT GETNAME x
        CLIENT GETREDIR
        CLIENT GETREDIR x
        CLIENT ID x
        CLIENT INFO x""",
    "unblock": """
        CLIENT UNBLOCK
        CLIENT UNBLOCK x
        CLIENT UNBLOCK 999999
        CLIENT UNBLOCK 1 foo
        CLIENT UNBLOCK 1 ERROR x
        CLIENT UNBLOCK 0
        CLIENT UNBLOCK -1""",
    "unknown": "CLIENT\nCLIENT foo\nCLIENT foo bar\nCLIENT HELP x",
    "hello": """
        HELLO x
        HELLO 4
        HELLO 1
        HELLO 99999999999999999999
        HELLO 3 x
        HELLO 3 SETNAME
        HELLO 3 SETNAME n foo
        CLIENT GETNAME""",
    "select": """
        SELECT
        SELECT x
        SELECT -1
        SELECT 16
        SELECT 01
        SELECT 1.0
        SELECT 99999999999
        SELECT 99999999999999999999
        SELECT 15
        SET a 1
        SELECT 0
        GET a
        SELECT 1 2""",
    "reset": """
        RESET x
        CLIENT SETNAME n
        SELECT 3
        MULTI
        SET a 1
        RESET
        EXEC
        CLIENT GETNAME
        DBSIZE
        WATCH a
        RESET
        UNWATCH""",
    "ping": "PING a b\nPING a\nPING\nECHO\nECHO a\nECHO a b\nQUIT x",
    "slowlog": "SLOWLOG foo\nSLOWLOG GET x\nSLOWLOG GET -2\nSLOWLOG GET 1 2\nSLOWLOG LEN x\nSLOWLOG",
}


@pytest.mark.sanitize
@pytest.mark.parametrize("name", SCRIPTS)
def test_answers_are_those_of_redis(both, name):
    both.run(SCRIPTS[name])


def line_of(conn):
    return dict(field.split("=", 1) for field in conn.cmd("CLIENT", "INFO").decode().split())


def test_hello_tells_the_same(both):
    for words in (["3"], ["2"], ["3", "SETNAME", "n"], ["2", "SETNAME", ""], []):
        ours, theirs = both.ask("HELLO", *words)
        assert re.sub(rb"id\r\n:\d+", b"", ours) == re.sub(rb"id\r\n:\d+", b"", theirs)
        both.same("CLIENT", "GETNAME")


@pytest.mark.sanitize
def test_reset_and_flags_in_the_list(both):
    """Neither the name of a client's library nor whether it may be evicted is forgotten."""
    for conn in (both.ours, both.theirs):
        conn.cmd("CLIENT", "NO-EVICT", "on")
        conn.pipeline(["MULTI"], ["SET", "a", "1"], ["GET", "a"])
        conn.send_cmd("RESET")
        assert conn.read() == "RESET"
        line = line_of(conn)
        assert (line["flags"], line["db"], line["multi"], line["resp"]) == ("e", "0", "-1", "2")


def test_quit_with_replies_before_it(both):
    both.ours.send(b"PING\r\nSET a 1\r\nQUIT\r\nPING\r\n")
    assert [both.ours.read() for _ in range(3)] == ["PONG", "OK", "OK"]
    assert both.ours.closed()


# ---- CLIENT REPLY ----


@pytest.mark.sanitize
def test_replies_turned_off_and_on(both):
    for conn in (both.ours, both.theirs):
        conn.send_cmd("CLIENT", "REPLY", "OFF")
        for i in range(50):
            conn.send_cmd("SET", "k", i)
            conn.send_cmd("PING")
            conn.send_cmd("NOSUCH")
            conn.send_cmd("GET")
            conn.send_cmd("MGET", "k", "conv:1")
            conn.send_cmd("RPUSH", "conv:1", i)
        conn.send_cmd("CLIENT", "REPLY", "SKIP")
        conn.send_cmd("CLIENT", "REPLY", "ON")
        assert conn.read() == "OK"
        assert conn.cmd("GET", "k") == b"49"
        assert conn.cmd("LLEN", "conv:1") == 50


@pytest.mark.sanitize
def test_one_reply_is_skipped(both):
    script = [["PING", "a"], ["CLIENT", "REPLY", "SKIP"], ["GET", "none"], ["PING", "b"], ["CLIENT", "REPLY", "SKIP"]]
    script += [["CLIENT", "REPLY", "SKIP"], ["PING", "c"], ["PING", "d"], ["CLIENT", "REPLY", "SKIP"], ["RESET"], ["PING", "e"]]
    for conn in (both.ours, both.theirs):
        for command in script:
            conn.send_cmd(*command)
        seen = [conn.read()]
        while seen[-1] != b"e":
            seen.append(conn.read())
        both.answers = getattr(both, "answers", []) + [seen]
    assert both.answers[0] == both.answers[1]


def test_replies_of_a_transaction_are_left_out(both):
    for conn in (both.ours, both.theirs):
        conn.send_cmd("CLIENT", "REPLY", "OFF")
        for command in (["MULTI"], ["SET", "k", "1"], ["RPUSH", "conv:1", "a"], ["EXEC"], ["RESET"]):
            conn.send_cmd(*command)
        assert conn.read() == "RESET"
        assert conn.cmd("GET", "k") == b"1"


# ---- CLIENT PAUSE ----


def is_waiting(server, conn_id):
    with RespConn.to(server) as look:
        text = look.cmd("CLIENT", "LIST", "ID", conn_id).decode()
    return re.search(r"flags=\w*b", text)


@pytest.mark.sanitize
def test_writes_wait_and_reads_go_on(side, many):
    admin, *others = many
    assert admin.cmd("CLIENT", "PAUSE", "60000", "WRITE") == "OK"
    ids = [conn.cmd("CLIENT", "ID") for conn in others]
    assert [conn.cmd("GET", "none") for conn in others] == [None] * len(others)
    writes = [["SET", "p", "1"], ["RPUSH", "conv:p", "1"], ["PUBLISH", "p", "1"], ["PFCOUNT", "p"], ["EVAL", "return 1", "0"], ["DEL", "p"]]
    for conn, command in zip(others, writes):
        conn.send_cmd(*command)
    for waiting in ids[: len(writes)]:
        eventually(lambda waiting=waiting: is_waiting(side, waiting))
    assert others[-1].cmd("EVAL", "#!lua flags=no-writes\nreturn 1", "0") == 1
    with RespConn.to(side) as late:  # who comes later is no better off
        late.send_cmd("SET", "p", "2")
        assert admin.cmd("CLIENT", "UNPAUSE") == "OK"
        assert late.read() == "OK"
    for conn in others[: len(writes)]:
        conn.read()
    assert not any(is_waiting(side, waiting) for waiting in ids)


@pytest.mark.sanitize
def test_a_transaction_that_writes_waits(side, many):
    admin, reader, writer, queuing = many[:4]
    reader.pipeline(["MULTI"], ["GET", "k"])
    writer.pipeline(["MULTI"], ["SET", "k", "1"])
    queuing.cmd("MULTI")
    assert admin.cmd("CLIENT", "PAUSE", "60000", "WRITE") == "OK"
    assert len(reader.cmd("EXEC")) == 1
    writer.send_cmd("EXEC")
    eventually(lambda: is_waiting(side, id_of(side, writer)))
    queuing.send_cmd("SET", "k", "1")
    assert admin.cmd("CLIENT", "UNPAUSE") == "OK"
    assert (writer.read(), queuing.read()) == (["OK"], "QUEUED")
    admin.cmd("DEL", "k")


def id_of(server, conn):
    """By its address: the connection itself can't be asked while it waits."""
    host, port = conn.sock.getsockname()
    with RespConn.to(server) as look:
        found = re.search(rf"id=(\d+) addr={host}:{port} ", look.cmd("CLIENT", "LIST").decode())
    return found.group(1) if found else "0"


@pytest.mark.sanitize
def test_all_wait_until_the_time_is_over(side, many):
    """A second pause makes the first one neither shorter nor milder."""
    admin, other = many[:2]
    assert admin.pipeline(["CLIENT", "PAUSE", "700", "ALL"], ["PING"])[1] == "PONG"  # which came behind the pause
    assert admin.cmd("CLIENT", "PAUSE", "60000", "WRITE") == "OK"
    assert admin.cmd("CLIENT", "PAUSE", "1", "WRITE") == "OK"
    assert other.cmd("PING") == "PONG"
    other.send_cmd("SET", "k", "1")
    eventually(lambda: is_waiting(side, id_of(side, other)))
    assert admin.cmd("CLIENT", "UNPAUSE") == "OK"
    assert other.read() == "OK"


def test_a_paused_client_can_be_killed_or_leave(side, proxy, many):
    admin, killed, left = many[:3]
    killed_id = killed.cmd("CLIENT", "ID")
    assert admin.cmd("CLIENT", "PAUSE", "60000", "WRITE") == "OK"
    for conn in (killed, left):
        conn.send_cmd("SET", "gone", "1")
    if side is proxy:
        assert admin.cmd("CLIENT", "UNBLOCK", killed_id) == 0  # Redis 7.0.15 crashes
    left.close()
    assert admin.cmd("CLIENT", "KILL", "ID", killed_id) == 1
    assert killed.closed()
    assert admin.cmd("CLIENT", "UNPAUSE") == "OK"


@pytest.mark.sanitize
def test_a_proxy_that_ends_serves_those_who_wait(fresh_redis, make_proxy):
    proxy = make_proxy(fresh_redis.url, settings=PROXY_SETTINGS).start()
    with RespConn.to(proxy, timeout=20) as admin, RespConn.to(proxy, timeout=20) as conn:
        conn.cmd("PING")
        admin.cmd("CLIENT", "PAUSE", "600000", "WRITE")
        conn.send_cmd("SET", "k", "1")
        eventually(lambda: is_waiting(proxy, id_of(proxy, conn)))
        proxy.stop()
        assert conn.read() == "OK" and conn.closed()


# ---- CLIENT LIST and KILL ----


@pytest.mark.sanitize
def test_lists_by_type_and_id(side, many):
    ids = [conn.cmd("CLIENT", "ID") for conn in many]
    for name in ("normal", "NORMAL"):
        listed = many[0].cmd("CLIENT", "LIST", "TYPE", name).decode()
        assert {int(found) for found in re.findall(r"^id=(\d+)", listed, re.M)} >= set(ids)
    listed = many[0].cmd("CLIENT", "LIST", "ID", *ids[:3], "999999").decode()
    assert {int(found) for found in re.findall(r"^id=(\d+)", listed, re.M)} == set(ids[:3])
    assert len(listed.splitlines()) == 3


@pytest.mark.sanitize
def test_the_line_has_the_fields_of_redis(both):
    ours, theirs = (list(line_of(conn)) for conn in (both.ours, both.theirs))
    assert ours[: len(theirs)] == theirs


FORMS = {
    "old": lambda conn: [conn["addr"]],
    "id": lambda conn: ["ID", conn["id"]],
    "addr": lambda conn: ["ADDR", conn["addr"]],
    "laddr and id": lambda conn: ["LADDR", conn["laddr"], "ID", conn["id"]],
    "all that say the same": lambda conn: ["TYPE", "normal", "USER", "default", "ADDR", conn["addr"], "SKIPME", "yes"],
}


@pytest.mark.sanitize
@pytest.mark.parametrize("form", FORMS)
def test_kill(side, many, form):
    admin, victim, bystander = many[:3]
    reply = admin.cmd("CLIENT", "KILL", *FORMS[form](line_of(victim)))
    assert reply == ("OK" if form == "old" else 1)
    assert victim.closed()
    assert bystander.cmd("PING") == "PONG"


def test_kill_spares_oneself_unless_told(side, many):
    admin = many[0]
    me = line_of(admin)
    assert admin.cmd("CLIENT", "KILL", "ID", me["id"]) == 0
    assert admin.cmd("CLIENT", "KILL", "ID", me["id"], "SKIPME", "no") == 1
    assert admin.closed()
    many[1].send_cmd("CLIENT", "KILL", line_of(many[1])["addr"])
    assert many[1].read() == "OK"
    assert many[1].closed()
