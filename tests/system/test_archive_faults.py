"""What can happen to the file of an embedded archive: full, read-only, damaged, removed, locked, not ours. Each time: an
error that says why, no crash, nothing lost that was acknowledged, and all is well again, without a restart, when the cause
is gone."""
import os
import random
import shutil
import sqlite3
import stat
import subprocess
import time
from contextlib import ExitStack, contextmanager

import pytest
from harness import Proxy, RespConn, RespError, eventually, free_port
from harness.checker import FAIL, OK, History, check
from harness.writers import Client, Keys, Writer

pytestmark = [pytest.mark.sanitize, pytest.mark.timeout(120)]

SEED = int(os.environ.get("CONV_SEED", time.time_ns() % 1_000_000))
SETTINGS = {"conv.match": "*", "conv.primary": "archive", "conv.ttl": 0, "conv.max_messages": 0, "archive.timeout": "8s",
            "failover.hold": "500ms"}
DOWN = "ARCHIVEDOWN "
HELD = "TRYAGAIN the stores are changing places (waited 500 ms; archive: "
VALUES = {f"k{i}": f"value {i} ".encode() * 200 for i in range(60)}


class Mortal(Proxy):
    """Root may write whatever the file modes say; this one may not, whoever runs the tests."""

    def command(self):
        if os.geteuid() != 0:
            return super().command()
        return ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all", *super().command()]


@pytest.fixture
def serve(tmp_path):
    """serve(path) starts a proxy with its archive there; stopping it checks its exit code and its log."""
    with ExitStack() as started:

        def start(path, wait=True, **settings):
            options = {**SETTINGS, "archive.url": f"sqlite:{path}", **settings}
            proxy = Mortal(tmp_path, f"redis://127.0.0.1:{free_port()}/0", settings=options)
            started.callback(proxy.stop)
            return proxy.start(wait)

        yield start


@pytest.fixture
def disk(tmp_path):
    """A small file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", folder], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def remount(disk, option):
    subprocess.run(["mount", "-o", f"remount,{option}", disk], check=True)


def ask(proxy, *command):
    with RespConn.to(proxy, timeout=20) as conn:
        return conn.cmd(*command)


def is_down(reply):
    """Before the archive was read once it is not known who acts. The cause is told in either case."""
    return isinstance(reply, RespError) and reply.startswith((DOWN, HELD))


def down(proxy, *command, because):
    """Waits for the error that says because; no other error may be seen."""

    def refused():
        reply = ask(proxy, *command)
        assert is_down(reply) or not isinstance(reply, RespError), reply
        return is_down(reply) and because in reply and reply

    return eventually(refused, 10)


def well(proxy, timeout=10):
    """Waits until writes and reads work."""
    eventually(lambda: ask(proxy, "SET", "well", "1") == "OK" and ask(proxy, "GET", "well") == b"1", timeout)


def fill(proxy):
    with RespConn.to(proxy) as conn:
        assert conn.pipeline(*(("SET", key, value) for key, value in VALUES.items())) == ["OK"] * len(VALUES)


def held(proxy):
    """What the keys of fill hold; errors of a broken archive are values, too."""
    with RespConn.to(proxy, timeout=20) as conn:
        return dict(zip(VALUES, conn.pipeline(*(("GET", key) for key in VALUES))))


def all_there(proxy):
    assert held(proxy) == VALUES
    return True


@contextmanager
def writers(proxy, history, keys, first=0):
    threads = [Writer(proxy, history, first + i, keys, (SEED, first, i).__hash__(), depth=8) for i in range(3)]
    for thread in threads:
        thread.start()
    yield threads
    for thread in threads:
        thread.ended.set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive() and thread.problem is None, thread.problem


def sound(proxy, history, keys):
    refused = history.count(FAIL)
    client = Client(proxy, history, -1)
    client.read_all(keys)
    client.conn.close()
    assert history.count(FAIL) == refused, f"reads are refused: {history.ops[-1].reply}"
    found = check(history)
    assert not found, "\n".join(map(str, found[:10]))


# ---- full ----


@pytest.mark.parametrize("cause", ["the disk is small", "another file grows"])
def test_full(disk, serve, tmp_path, cause):
    """Writes are refused, reads go on, and what was acknowledged before, in between and after is there."""
    proxy = serve(disk / "archive.db")
    history, keys = History(tmp_path / "history.jsonl"), Keys("")
    with writers(proxy, history, keys):
        eventually(lambda: history.count(OK) > 200, 20)
        if cause == "another file grows":
            with pytest.raises(OSError, match="No space"), open(disk / "other", "wb", buffering=0) as other:
                while True:
                    other.write(b"x" * 4096)
        eventually(lambda: history.count(FAIL) > 30, 60)
    reasons = {op.reply for op in history.ops if op.outcome == FAIL}
    assert all(reason.startswith(DOWN) for reason in reasons) and any("full" in reason for reason in reasons), reasons
    proxy.log_contains("event=archive_down .*full")
    sound(proxy, history, keys)  # reads need no space
    if cause == "another file grows":
        (disk / "other").unlink()
    else:
        remount(disk, "size=64m")
    well(proxy)
    proxy.log_contains("event=archive_up")
    refused = history.count(FAIL)
    with writers(proxy, history, keys, first=10):
        begun = history.count(OK)
        eventually(lambda: history.count(OK) > begun + 200, 20)
    assert history.count(FAIL) == refused
    sound(proxy, history, keys)
    proxy.kill()
    proxy.start()
    sound(proxy, history, keys)


# ---- not allowed ----


def test_read_only_file_system(disk, serve):
    proxy = serve(disk / "archive.db")
    fill(proxy)
    proxy.stop()
    remount(disk, "ro")
    proxy.start()
    down(proxy, "SET", "k", "v", because="")
    proxy.log_contains("event=archive_down")
    remount(disk, "rw")
    well(proxy)
    all_there(proxy)


@pytest.mark.parametrize("what, mode", [("file", 0o400), ("file", 0), ("folder", 0o500), ("folder", 0)])
def test_no_permission(serve, tmp_path, what, mode):
    folder = tmp_path / "data"
    proxy = serve(folder / "archive.db")
    fill(proxy)
    proxy.stop()
    path = folder if what == "folder" else folder / "archive.db"
    before = stat.S_IMODE(path.stat().st_mode)
    assert before == (0o700 if what == "folder" else 0o600), "others may not read conversations"
    path.chmod(mode)
    try:
        proxy.start()
        down(proxy, "SET", "k", "v", because="")
        proxy.log_contains("event=archive_down")
    finally:
        path.chmod(before)
    well(proxy)
    all_there(proxy)


def test_no_permission_to_make_it(serve, tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    proxy = serve(folder / "data" / "archive.db")
    down(proxy, "SET", "k", "v", because="Permission denied")
    proxy.log_contains("event=archive_down .*Permission denied")
    folder.chmod(0o700)
    well(proxy)


def test_missing_folders_are_made(serve, tmp_path):
    proxy = serve(tmp_path / "a" / "b" / "c" / "archive.db")
    well(proxy)
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


def test_many_make_it_at_once(serve, tmp_path):
    """A new file, seen by other connections and processes while it is being made: one gets it, the others say who has it."""
    for turn in range(6):
        proxies = [serve(tmp_path / f"{turn}.db", wait=False) for _ in range(3)]
        owners = [proxy for proxy in proxies if not has_ended(proxy)]
        assert len(owners) == 1
        assert ask(owners[0], "SET", "k", "v") == "OK", owners[0].log_tail()
        owners[0].stop()
        assert "archive_down" not in owners[0].log_text()


def has_ended(proxy):
    """It has refused to start, because of the other."""
    try:
        proxy.wait_ready()
    except RuntimeError:
        assert proxy.process.returncode == 1
        proxy.log_contains("event=archive_closed .*another convproxy .process [0-9]+. has ")
        proxy.kill()
        return True
    return False


# ---- not what it should be ----


def flip_bits(path, share=0.01):
    chosen = random.Random(SEED)
    data = bytearray(path.read_bytes())
    for _ in range(int(len(data) * share)):
        data[chosen.randrange(100, len(data))] ^= 1 << chosen.randrange(8)
    path.write_bytes(data)


def bad_pages(path):
    chosen = random.Random(SEED)
    with open(path, "r+b") as f:
        for page in range(1, path.stat().st_size // 4096):
            if chosen.random() < 0.5:
                f.seek(page * 4096)
                f.write(chosen.randbytes(4096))


def control_page(path):
    """The one that says who acts: all that is kept can be read."""
    with sqlite3.connect(path) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'control'").fetchone()
    with open(path, "r+b") as f:
        f.seek((page - 1) * 4096)
        f.write(b"\xff" * 4096)


def wrong_magic(path):
    with open(path, "r+b") as f:
        f.write(b"not SQLite's")


def another_program(path):
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE theirs(a)")


def newer_schema(path):
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")


def directory(path):
    path.unlink()
    path.mkdir()


DAMAGES = {
    "wrong magic": wrong_magic,
    "cut": lambda path: os.truncate(path, path.stat().st_size // 3),
    "cut inside the first page": lambda path: os.truncate(path, 700),
    "noise": lambda path: path.write_bytes(random.Random(SEED).randbytes(40_000)),
    "bad pages": bad_pages,
    "control page": control_page,
    "bits": flip_bits,
    "of another program": another_program,
    "a directory": directory,
}


def remove(path):
    """With SQLite's log: that of one file must never be seen beside another."""
    for end in ("-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)


def put_back(good, path):
    remove(path)
    shutil.copy(good, path.with_name("copy"))
    os.replace(path.with_name("copy"), path)


def damaged_archive(serve, tmp_path, damage):
    """A proxy that starts on a damaged archive, whose good copy is beside it."""
    path, good = tmp_path / "archive.db", tmp_path / "good.db"
    proxy = serve(path)
    fill(proxy)
    proxy.stop()
    shutil.copy(path, good)
    damage(path)
    print(f"CONV_SEED={SEED}")
    return proxy.start(), path, good


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_before_the_start(serve, tmp_path, name):
    proxy, path, good = damaged_archive(serve, tmp_path, DAMAGES[name])
    if name == "bits":  # those in a value can't be noticed: SQLite has no sums of pages
        assert any(is_down(reply) or reply != VALUES[key] for key, reply in held(proxy).items())
    else:
        try:
            reasons = eventually(lambda: {r for r in held(proxy).values() if is_down(r)}, 10)
        except TimeoutError:
            assert name == "bad pages"  # they may all lie where nothing is kept: then every value is right, see below
            reasons = "not noticed"
        assert all(reply == VALUES[key] or is_down(reply) for key, reply in held(proxy).items()), "never another's value"
        print(name, reasons)
    assert ask(proxy, "PING") == "PONG"
    put_back(good, path)
    well(proxy)
    eventually(lambda: all_there(proxy))


def test_newer_schema(serve, tmp_path):
    """Only an operator can mend it, by another program: this one says so, touches nothing, and does what it can."""
    proxy, path, good = damaged_archive(serve, tmp_path, newer_schema)
    proxy.log_contains("event=archive_closed .*newer convproxy")
    for command in (["SET", "k0", "v"], ["GET", "k0"], ["MGET", "a", "b"], ["KEYS", "*"], ["DBSIZE"], ["WATCH", "k0"]):
        assert is_down(ask(proxy, *command)), command  # and never sent to Redis instead
    with RespConn.to(proxy) as conn:
        assert is_down(conn.pipeline(["MULTI"], ["SET", "k0", "v"], ["EXEC"])[-1])
    assert ask(proxy, "PING") == "PONG"
    proxy.stop()
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (99,)
        db.execute("PRAGMA user_version = 1")
    proxy.start()
    all_there(proxy)


@pytest.mark.parametrize("name", ["wrong magic", "cut", "noise", "bad pages", "bits"])
def test_damaged_while_running(serve, tmp_path, name):
    path, good = tmp_path / "archive.db", tmp_path / "good.db"
    proxy = serve(path)
    fill(proxy)
    proxy.restart()
    shutil.copy(path, good)
    all_there(proxy)
    DAMAGES[name](path)
    print(f"CONV_SEED={SEED}")
    for turn in range(40):
        with RespConn.to(proxy, timeout=20) as conn:
            replies = conn.pipeline(*(("SET", key, f"{turn}") for key in list(VALUES)[::7]), *(("GET", key) for key in VALUES))
        assert all(is_down(r) or not isinstance(r, RespError) for r in replies)
    assert ask(proxy, "PING") == "PONG"
    put_back(good, path)
    well(proxy)
    eventually(lambda: all_there(proxy))


# ---- gone ----


@pytest.mark.parametrize("what", ["file", "folder"])
def test_removed_while_running(serve, tmp_path, what):
    """What was in it is gone with it; what is acknowledged from then on is in the new one, and survives kill -9."""
    folder = tmp_path / "data"
    path = folder / "archive.db"
    proxy = serve(path)
    before, after, keys = History(), History(tmp_path / "history.jsonl"), Keys("")
    with writers(proxy, before, keys):
        eventually(lambda: before.count(OK) > 200, 20)
        if what == "folder":
            folder.rename(tmp_path / "away")
        else:
            remove(path)
        eventually(lambda: path.exists() and path.stat().st_size > 0, 10)
        well(proxy)
    assert {op.reply.split(" (")[0] for op in before.ops if op.outcome == FAIL} <= {f"{DOWN}the archive is not reachable"}
    keys = Keys("new:")
    with writers(proxy, after, keys, first=10):
        eventually(lambda: after.count(OK) > 300, 20)
    sound(proxy, after, keys)
    proxy.kill()
    proxy.start()
    sound(proxy, after, keys)
    proxy.stop()
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


# ---- held by somebody else ----


def test_locked_by_another_process(serve, tmp_path):
    path = tmp_path / "archive.db"
    proxy = serve(path, **{"archive.timeout": "1s"})
    fill(proxy)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    down(proxy, "SET", "k0", "v", because="lock")
    proxy.log_contains("event=archive_down .*lock")
    other.execute("ROLLBACK")
    other.close()
    well(proxy)
    all_there(proxy)


def test_another_process_looks(serve, tmp_path):
    """Readers of the file, with sqlite3, hold up nobody."""
    path = tmp_path / "archive.db"
    proxy = serve(path)
    fill(proxy)
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None) as other:
        other.execute("BEGIN")
        assert other.execute("SELECT count(*) FROM doc").fetchone() == (len(VALUES),)
        fill(proxy)
        all_there(proxy)
