"""What convctl prints and leaves behind when it can't go on: JSON that is only JSON, files that are whole or said not to be, exit codes."""
import json
import os
import resource
import signal
import subprocess

import pytest
from harness import NOBODY, Proxy, RespConn, eventually
from harness.admin_fake import AdminFake
from harness.ctl import FOUND, INTERRUPTED, USAGE, Convctl

pytestmark = pytest.mark.managed


@pytest.fixture(scope="module")
def archived(tmp_path_factory):
    """A proxy whose archive acts, for all tests: each begins with the same keys."""
    proxy = Proxy(tmp_path_factory.mktemp("proxy"), NOBODY).start()
    eventually(lambda: proxy.get_json("/healthz")["healthy"])
    yield proxy
    proxy.stop()


@pytest.fixture
def ctl(archived, tmp_path):
    """convctl with sixty conversations, of which f is an export."""
    with RespConn.to(archived) as conn:
        keys = conn.cmd("KEYS", "conv:*")
        conn.pipeline(*(("DEL", key) for key in keys), *(("RPUSH", f"conv:{n}", "a" * 50) for n in range(60)))
    run = Convctl(archived, tmp_path)
    run("export", "--out", "f")
    return run


def lengths(ctl):
    with RespConn.to(ctl.proxy) as conn:
        return conn.pipeline(*(("LLEN", f"conv:{n}") for n in range(60)))


def documents(text):
    return [json.loads(line) for line in text.splitlines()]


def ends(running):
    """Its exit code and what it has said."""
    out, err = running.communicate(timeout=20)
    return running.returncode, out, err


# ---- JSON ----


def test_json_is_only_json(ctl):
    odd = ctl.folder / 'b"\\'
    odd.mkdir()
    with RespConn.to(ctl.proxy) as conn:
        conn.pipeline(("DEL", "conv:1"), ("RPUSH", "conv:2", "b"))
    plan = documents(ctl("restore", "f", "--dry-run", "--json").stdout)
    assert [(doc["work"], doc["absent"], doc["differ"], doc["same"]) for doc in plan] == [("plan", 1, 1, 58)]
    assert [doc["work"] for doc in documents(ctl("restore", "f", "--yes", "--json").stdout)] == ["plan", "restore", "verified"]
    assert [doc["work"] for doc in documents(ctl("restore", "f", "--yes", "--json").stdout)] == ["plan"]
    (made,) = documents(ctl("backup", "--dir", odd, "--no-rdb", "--json").stdout)
    assert made["backup"].startswith(str(odd)) and made["manifest"]["files"][0]["keys"] == 60
    assert documents(ctl("backup", "--check", made["backup"], "--json").stdout) == [{"backup": made["backup"], "ok": True}]
    (checks,) = documents(ctl("doctor", "--list", "--json").stdout)
    assert len(checks) > 30 and all(set(row) == {"name", "why", "mend"} for row in checks)
    assert documents(ctl("verify-export", "f", "--json").stdout)[0]["whole"] is True


def test_all_pages_of_quarantine_are_one_document(tmp_path):
    pages = {
        "GET /api/v1/quarantine?after=0&count=100": [(200, {"total": 3, "next": 2, "entries": [{"number": 9}, {"number": 8}]})],
        "GET /api/v1/quarantine?after=2&count=100": [(200, {"total": 3, "next": 0, "entries": [{"number": 1}]})],
    }
    with AdminFake(pages) as fake:
        (doc,) = documents(Convctl(fake, tmp_path)("quarantine", "--json").stdout)
        assert [row["number"] for row in doc["entries"]] == [9, 8, 1] and doc["total"] == 3
        assert Convctl(fake, tmp_path)("quarantine").stdout.count("\n") == 4


def test_a_question_is_no_output(ctl):
    leader, follower = os.openpty()
    with subprocess.Popen(ctl.command("cleanup", "conv:*", "--json"), stdin=follower, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        os.write(leader, b"n\n")
        code, out, err = ends(running)
    os.close(leader)
    os.close(follower)
    assert (code, out) == (FOUND, "") and err.endswith("in both stores? [y/N] ") and sum(lengths(ctl)) == 60


# ---- numbers ----


def test_a_number_is_not_guessed(tmp_path):
    """No entry is dropped, and no move ended, that nobody named."""
    with AdminFake() as fake:
        ctl = Convctl(fake, tmp_path)
        for number in ("1.5", "1e1", "0x1", "-1", "+1", " 1", "1 ", "", "99999999999999999999"):
            for verb in (["quarantine", "drop"], ["quarantine", "restore"], ["quarantine", "show"], ["abort"], ["resume"]):
                assert ctl(*verb, "--yes", "--", number, code=USAGE).stderr, (verb, number)
        assert fake.asked == []


# ---- going on where another one was ----


def interrupted_import(ctl, *args):
    """An import of f that ends after some keys."""
    ctl("cleanup", "conv:*", "--yes")
    running = ctl.start("import", "f", "--rate", "30", *args)
    eventually(lambda: (ctl.folder / "f.import").exists(), timeout=10)
    running.send_signal(signal.SIGTERM)
    code, out, err = ends(running)
    assert code == INTERRUPTED and "--resume goes on" in err and 0 < sum(lengths(ctl)) < 60
    return out


def test_only_the_same_import_goes_on(ctl):
    """With another pattern, or at another proxy, the first lines are not done."""
    out = interrupted_import(ctl)
    assert "to undo it:" in out
    done = ctl("import", "f", "--resume", "--match", "conv:?")
    assert "it begins at the first line" in done.stderr
    assert lengths(ctl)[:10] == [1] * 10
    interrupted_import(ctl, "--match", "conv:*")
    (ctl.folder / "f.import").write_text((ctl.folder / "f.import").read_text().replace(ctl.proxy.admin_url(""), "http://other:1"))
    done = ctl("import", "f", "--resume", "--match", "conv:*")
    assert "it begins at the first line" in done.stderr and lengths(ctl) == [1] * 60
    interrupted_import(ctl, "--match", "conv:*")
    done = ctl("import", "f", "--resume", "--match", "conv:*")
    assert "begins" not in done.stderr and lengths(ctl) == [1] * 60


def test_only_the_same_export_goes_on(ctl):
    running = ctl.start("export", "--out", "g", "--rate", "30", "--match", "conv:?*")
    eventually(lambda: (ctl.folder / "g.part").exists(), timeout=10)
    running.send_signal(signal.SIGINT)
    assert ends(running)[0] == INTERRUPTED
    for other in ([], ["--all"], ["--policy", "conv"], ["--match", "conv:1*"]):
        assert "was begun with other keys" in ctl("export", "--out", "g", "--resume", *other, code=FOUND).stderr
    assert "60 keys" in ctl("export", "--out", "g", "--resume", "--match", "conv:?*").stdout
    assert "standard output" in ctl("export", "--out", "-", "--resume", code=USAGE).stderr


def test_what_undoes_is_never_overwritten(ctl):
    before = (ctl.folder / "f").read_bytes()
    (ctl.folder / "g.part").write_text("an earlier one")
    for taken in ("f", "g"):
        assert "is there already" in ctl("import", "f", "--undo", taken, code=FOUND).stderr
        assert "is there already" in ctl("restore", "f", "--yes", "--undo", taken, code=FOUND).stderr
    assert (ctl.folder / "f").read_bytes() == before and (ctl.folder / "g.part").read_text() == "an earlier one"


def test_what_undoes_a_restore_is_not_in_the_backup(ctl):
    """The folder goes one day; shells put a slash behind its name."""
    ctl("backup", "--dir", "b", "--no-rdb")
    (folder,) = (ctl.folder / "b").glob("convproxy-*")
    ctl("cleanup", "conv:1*", "--yes")
    assert f"import --replace b/{folder.name}.undo-" in ctl("restore", f"b/{folder.name}//", "--yes").stdout
    assert {path.name for path in folder.iterdir()} == {"manifest.json", "keys.ndjson.zst"}


# ---- no room ----


def small_files():
    """Writing beyond 2 KiB fails, as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))


def without_room(ctl, *args):
    return subprocess.run(
        ctl.command(*args), capture_output=True, text=True, timeout=60, check=False, cwd=ctl.folder, env=ctl.proxy.environment(),
        stdin=subprocess.DEVNULL, preexec_fn=small_files, restore_signals=False,
    )  # fmt: skip


@pytest.mark.sanitize
def test_a_full_disk(ctl):
    done = without_room(ctl, "export", "--out", "g")
    assert done.returncode == FOUND and "g.part: File too large" in done.stderr and not (ctl.folder / "g").exists()
    (ctl.folder / "g.part").unlink()
    ctl("cleanup", "conv:*", "--yes")
    done = without_room(ctl, "import", "f")
    assert done.returncode == FOUND and "nothing is overwritten that could not be undone" in done.stderr
    (part,) = ctl.folder.glob("f.undo-*.part")
    assert f"convctl import --partial --replace {part.name}" in done.stderr and "to undo it" not in done.stdout
    assert sum(lengths(ctl)) > 0
    ctl("import", "--partial", "--replace", "--yes", "--no-undo", part)
    assert sum(lengths(ctl)) == 0


@pytest.mark.parametrize("args", [["status"], ["status", "--json"], ["export", "--out", "-"], ["doctor"], ["settings"]], ids=" ".join)
def test_a_full_standard_output(ctl, args):
    with open("/dev/full", "w") as full:
        done = subprocess.run(ctl.command(*args), stdout=full, stderr=subprocess.PIPE, text=True, timeout=20, check=False, env=ctl.proxy.environment())
    assert done.returncode == FOUND and "standard output: No space left on device" in done.stderr


def test_a_folder_is_no_file(ctl):
    (ctl.folder / "d").mkdir()
    assert "d: Is a directory" in ctl("export", "--out", "d", code=FOUND).stderr
    assert list((ctl.folder / "d").iterdir()) == [] and not (ctl.folder / "d.part").exists()


# ---- who may not ----


def test_what_will_not_pass_is_not_waited_for(ctl):
    """A user without rights is told so at once, by an export too."""
    with RespConn.to(ctl.proxy) as conn:
        assert conn.cmd("ACL", "SETUSER", "poor", "on", ">geheim", "+ping", "+auth", "+hello", "+client", "+select") == "OK"
    url = f"redis://poor:geheim@{ctl.proxy.host}:{ctl.proxy.port}"
    for command in (["export", "--out", "g"], ["import", "f"], ["memory-report"], ["cleanup", "conv:*", "--yes"]):
        done = ctl(*command, "--proxy", url, code=FOUND, timeout=15)
        assert "NOPERM" in done.stderr, (command, done.stderr)
    long = "x" * 2000
    with RespConn.to(ctl.proxy) as conn:
        conn.cmd("ACL", "SETUSER", "long", "on", f">{long}", "~*", "&*", "+@all")
    assert "60 keys" in ctl("export", "--out", "h", "--proxy", url.replace("poor:geheim", f"long:{long}")).stdout
