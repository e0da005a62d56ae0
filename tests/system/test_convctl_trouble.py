"""convctl when something is wrong: a refusal is never taken for an answer, what is not done is never told as done."""
import contextlib
import json
import socket
import socketserver
import threading

import pytest
from harness import NOBODY, RedisServer, RespConn, eventually
from harness.admin_fake import AdminFake
from harness.ctl import FOUND, Convctl
from harness.module_relay import ModuleCommand, ModuleRelay

pytestmark = pytest.mark.managed

TOKEN = {"admin.token": "changes", "admin.read_token": "reads"}


def served(proxy, folder):
    """convctl of a proxy that is started, and whose archive acts."""
    proxy.start()
    eventually(lambda: proxy.get_json("/healthz")["healthy"])
    return Convctl(proxy, folder)


@pytest.fixture
def guarded(make_proxy, tmp_path):
    """convctl without a token, of a proxy that wants one even of those who only read; there are three conversations."""
    proxy = make_proxy(NOBODY, settings=TOKEN).start()
    with RespConn.to(proxy) as conn:
        for n in range(3):
            assert eventually(lambda n=n: conn.cmd("RPUSH", f"conv:{n}", "a")) == 1
    return Convctl(proxy, tmp_path)


# ---- refusals ----

PROXY = ("--proxy", "redis://127.0.0.1:1")
ASKING = [
    ["status"], ["watch", "-c", "1"], ["health"], ["doctor"], ["memory-report", *PROXY], ["settings"], ["primary"],
    ["primary", "redis", "--yes"], ["dual-write", "on", "--yes"], ["failover", "--yes"], ["failback", "--yes"], ["backfill"], ["moves"],
    ["abort", "1"], ["resume", "1"], ["tiers"], ["tiers", "show", "conv:1"], ["tiers", "demote", "conv:1"], ["export", "--out", "f", *PROXY],
    ["export", "--out", "-", *PROXY], ["backup", "--dir", "b", *PROXY], ["cleanup", "conv:*", "--yes", *PROXY], ["quarantine"],
    ["quarantine", "show", "1"], ["quarantine", "drop", "1", "--yes"], ["chaos"], ["chaos", "cut", "redis", "--yes"], ["chaos", "off"], ["fault"],
]  # fmt: skip


def test_a_refusal_is_never_an_answer(tmp_path):
    with AdminFake() as fake:
        ctl = Convctl(fake, tmp_path)
        for args in ASKING:
            done = ctl(*args, "--quiet", code=None)
            assert done.returncode == FOUND and "Authorization" in done.stderr, (args, done)
            done = ctl(*args, "--json", code=FOUND)
            assert [json.loads(line) for line in done.stdout.splitlines()] in ([], [AdminFake.REFUSED[1]]), (args, done)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.sanitize
def test_a_backup_with_a_wrong_token_removes_nothing(guarded):
    proxy = ("--proxy", guarded.proxy.url)
    known = ("--token", TOKEN["admin.token"])
    backup = ("backup", "--dir", "b", "--no-rdb", "--keep", "1", *proxy)
    guarded(*backup, *known)
    before = sorted((guarded.folder / "b").rglob("*"))
    for token in ((), ("--token", "wrong")):
        assert "Authorization" in guarded(*backup, *token, code=FOUND).stderr
        assert "Authorization" in guarded("export", "--out", "f", *proxy, *token, code=FOUND).stderr
    assert sorted((guarded.folder / "b").rglob("*")) == before
    assert not list(guarded.folder.glob("f*"))
    assert "3 keys" in guarded("export", "--out", "f", *known).stdout
    for command in (["import"], ["verify-export", "--compare"], ["restore", "--yes"]):
        assert "Authorization" in guarded(*command, "f", *proxy, code=FOUND).stderr


@pytest.mark.parametrize(
    "args, order",
    [
        (["primary", "redis", "--yes"], ("POST /api/v1/primary", {"policy": "conv", "before": "archive", "after": "redis"})),
        (["verify"], ("POST /api/v1/moves", {"id": 7, "kind": "verify", "policy": "conv"})),
        (["chaos", "cut", "redis", "--yes"], ("POST /api/v1/chaos", {"chaos": [{"store": "redis", "fault": "cut", "secondsLeft": 9}]})),
    ],
    ids=lambda value: value[0],
)
def test_a_refusal_while_it_is_watched(tmp_path, args, order):
    """The order was taken; that the proxy does not tell how far it is says nothing about that."""
    with AdminFake({order[0]: [(200, order[1])]}) as fake:
        done = Convctl(fake, tmp_path)(*args, "--json", code=FOUND)
    assert "Authorization" in done.stderr and "over:" not in done.stdout and "started again" not in done.stderr
    assert fake.asked[-1].startswith("GET ") and len(fake.asked) == 2


def test_an_export_that_is_refused_in_the_middle(guarded):
    """Whether the stores have changed places meanwhile is not known: then the export is not whole."""
    guarded("export", "--out", "f", "--token", TOKEN["admin.token"])
    status, state = guarded.proxy.http("/api/v1/state", headers={"Authorization": f"Bearer {TOKEN['admin.read_token']}"})
    assert status == 200
    with AdminFake({"GET /api/v1/state": [(200, state.encode()), (200, state.encode()), AdminFake.REFUSED]}) as fake:
        done = Convctl(fake, guarded.folder)("export", "--out", "g", "--proxy", guarded.proxy.url, code=FOUND)
    assert "Authorization" in done.stderr and "g.part" in done.stderr and not (guarded.folder / "g").exists()


def test_a_proxy_that_ends_is_not_empty(tmp_path):
    """503 is how health says that something is wrong; without a word on health it is a refusal."""
    with AdminFake({"GET /api/v1/moves": [(503, {"error": "this process ends"})], "GET /healthz": [(503, {"healthy": False, "reasons": ["x"]})]}) as fake:
        ctl = Convctl(fake, tmp_path)
        done = ctl("moves", code=FOUND)
        assert "this process ends" in done.stderr and not done.stdout
        assert ctl("health", code=FOUND).stdout.startswith("NOT OK\n")


# ---- keys that can't be carried ----


class TypeRelay(ModuleRelay):
    """A proxy whose TYPE answers as a test wants it: {key: [answer, …]}, the last one stays."""

    def __init__(self, proxy, types):
        self.types = types
        super().__init__(proxy, [ModuleCommand("TYPE", 2, [], self.instead)])

    def instead(self, args):
        row = self.types.get(args[1].decode())
        return args if row is None else ["ECHO", row.pop(0) if len(row) > 1 else row[0]]


@pytest.fixture
def relayed(make_proxy, tmp_path):
    """relayed({key: types}): convctl of a proxy, and the --proxy at which keys have other types."""
    ctl = served(make_proxy(NOBODY), tmp_path)
    relays = []

    def make(types):
        relays.append(TypeRelay(ctl.proxy, types).start())
        return ctl, ("--proxy", relays[-1].url)

    yield make
    for relay in relays:
        relay.stop()


@pytest.mark.parametrize("types", [["ReJSON-RL"], ["string", "ReJSON-RL"]], ids=["from the beginning", "while it is read"])
def test_a_key_of_a_module_is_not_overwritten(relayed, types):
    ctl, at = relayed({"conv:1": types})
    with ctl.proxy.client() as client:
        for n in range(3):
            client.rpush(f"conv:{n}", "of the file")
        ctl("export", "--out", "f")
        client.rpush("conv:1", "later")
        client.delete("conv:0", "conv:2")
        now = list(types)
        done = ctl("import", "f", "--replace", "--yes", *at, code=FOUND)
        assert done.stderr.count('refused: "conv:1": its type') == 1
        assert "2  written" in done.stdout and "1  refused by the store" in done.stdout
        assert client.lrange("conv:1", 0, -1) == [b"of the file", b"later"] and client.llen("conv:0") == 1
        types[:] = now
        assert "1  refused by the store" in ctl("verify-export", "f", "--compare", *at, code=FOUND).stdout
        types[:] = now
        done = ctl("restore", "f", "--yes", *at, code=FOUND)
        assert "1  are there with a type that can't be read, and are left" in done.stdout and "nothing to restore" in done.stdout
        types[:] = now
        assert 'skipped: "conv:1": its type' in ctl("export", "--out", "g", *at, code=FOUND).stderr
        assert client.llen("conv:1") == 2


# ---- Redis's own file ----


class SecondEnds(socketserver.BaseRequestHandler):
    """A way to a server; the second connection is answered as the test says, and ends."""

    def handle(self):
        self.server.count += 1
        if self.server.count > 1:
            self.request.recv(1 << 16)
            self.request.sendall(self.server.words)
            return
        with socket.create_connection(self.server.there) as there:
            to_server = threading.Thread(target=self.forward, args=(self.request, there), daemon=True)
            to_server.start()
            self.forward(there, self.request)
            to_server.join()

    @staticmethod
    def forward(source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@pytest.mark.sanitize
@pytest.mark.parametrize("words, told", [(b"", "Redis closed the connection"), (b"-WRONGPASS no\r\n", "WRONGPASS no")], ids=["silent", "refused"])
def test_why_redis_gives_no_copy(make_proxy, tmp_path, words, told):
    """The connection for SYNC is another one than that for BGSAVE, and may fail where that did not."""
    redis = RedisServer(tmp_path, args=["--rename-command", "CONFIG", ""]).start()
    redis.client().execute_command("ACL", "SETUSER", "default", "resetpass", ">geheim")  # requirepass would make start() wait
    way = socketserver.ThreadingTCPServer(("127.0.0.1", 0), SecondEnds)
    way.daemon_threads, way.count, way.there, way.words = True, 0, (redis.host, redis.port), words
    threading.Thread(target=way.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        ctl = served(make_proxy(NOBODY), tmp_path)
        url = f"redis://127.0.0.1:{way.server_address[1]}"
        done = ctl("backup", "--dir", "b", "--redis", url, env={"REDIS_PASSWORD": "geheim"}, code=FOUND)
        assert f"no copy of its own file: {told}\n" in done.stderr
        assert "keys" in done.stdout
    finally:
        way.shutdown()
        way.server_close()
        redis.kill()


# ---- what ends in the middle ----


class Deaf(ModuleRelay):
    """A proxy of which some commands are refused, or that is gone when they are asked: {name: key -> an error, None (as ever) or b"" (it ends)}."""

    def __init__(self, proxy, faults):
        self.faults = faults
        super().__init__(proxy, [])
        relay = self

        class Handler(self.server.RequestHandlerClass):
            def answer(self, upstream, args):
                fault = relay.faults.get(args[0].decode().lower(), lambda key: None)(args[-1])
                if fault == b"":
                    raise ConnectionError("as the test wants it")
                return super().answer(upstream, args) if fault is None else b"-%s\r\n" % fault

        self.server.RequestHandlerClass = Handler


@pytest.fixture
def deaf(make_proxy, tmp_path):
    """deaf(faults): convctl of a proxy with thirty conversations, and the --proxy that has these faults."""
    ctl = served(make_proxy(NOBODY), tmp_path)
    with RespConn.to(ctl.proxy) as conn:
        conn.pipeline(*(("RPUSH", f"conv:{n}", "a") for n in range(30)))
    relays = []

    def make(faults):
        relays.append(Deaf(ctl.proxy, faults).start())
        return ctl, ("--proxy", relays[-1].url)

    yield make
    for relay in relays:
        relay.stop()


def keys_of(ctl):
    with ctl.proxy.client() as client:
        return len(client.keys("conv:*"))


def test_a_key_that_is_refused_takes_no_others_along(deaf):
    ctl, at = deaf({"unlink": lambda key: b"ERR not this one" if key in (b"conv:7", b"conv:8") else None})
    done = ctl("cleanup", "conv:*", "--yes", *at, code=FOUND)
    assert done.stdout.endswith("deleted    28 keys; the same command goes on\nrefused    2 keys\n") and keys_of(ctl) == 2
    assert 'refused: "conv:7": ERR not this one\n' in done.stderr
    said = json.loads(ctl("cleanup", "conv:*", "--yes", "--json", *at, code=FOUND).stdout)
    assert said == {"pattern": "conv:*", "matched": 2, "deleted": 0, "refused": 2, "interrupted": False}


@pytest.mark.sanitize
def test_a_proxy_that_ends_in_the_middle(deaf):
    ctl, at = deaf({name: lambda key: b"" if key == b"conv:7" else None for name in ("unlink", "encoding", "pttl")})
    done = ctl("memory-report", *at, code=FOUND)
    assert "memory-report: " in done.stderr and "connection" in done.stderr and "looked at" in done.stdout
    assert json.loads(ctl("memory-report", "--json", *at, code=FOUND).stdout)["partial"] is True
    done = ctl("cleanup", "conv:*", "--yes", *at, code=FOUND)
    assert "cleanup: " in done.stderr and "connection" in done.stderr
    assert "the same command goes on" in done.stdout and 1 <= keys_of(ctl) < 30
