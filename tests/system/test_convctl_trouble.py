"""convctl when something is wrong: a refusal is never taken for an answer, what is not done is never told as done."""
import json

import pytest
from harness import NOBODY, RespConn, eventually
from harness.admin_fake import AdminFake
from harness.ctl import FOUND, Convctl

pytestmark = pytest.mark.managed

TOKEN = {"admin.token": "changes", "admin.read_token": "reads"}


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


def test_a_proxy_that_ends_is_not_empty(tmp_path):
    """503 is how health says that something is wrong; without a word on health it is a refusal."""
    with AdminFake({"GET /api/v1/moves": [(503, {"error": "this process ends"})], "GET /healthz": [(503, {"healthy": False, "reasons": ["x"]})]}) as fake:
        ctl = Convctl(fake, tmp_path)
        done = ctl("moves", code=FOUND)
        assert "this process ends" in done.stderr and not done.stdout
        assert ctl("health", code=FOUND).stdout.startswith("NOT OK\n")
