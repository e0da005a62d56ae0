"""An SQLite archive is for one proxy: a second one does not start, and says why."""
import subprocess

import pytest
from harness import Proxy

pytestmark = pytest.mark.sanitize


def on(folder, redis_server, archive):
    return Proxy(folder, redis_server.url, settings={"archive.url": f"sqlite:{archive}"})


def refusal(proxy):
    ended = subprocess.run(proxy.command(), cwd=proxy.folder, capture_output=True, text=True, timeout=20)
    return ended.returncode, ended.stderr + ended.stdout


def test_a_second_owner_is_refused(redis_server, tmp_path):
    archive = tmp_path / "one.db"
    first = on(tmp_path, redis_server, archive).start()
    try:
        code, said = refusal(on(tmp_path, redis_server, archive))
        assert code == 1
        assert f"another convproxy (process {first.process.pid}) has {archive} open" in said
        assert first.client().ping()
    finally:
        first.stop()


def test_a_killed_owner_leaves_it_to_the_next(redis_server, tmp_path):
    archive = tmp_path / "next.db"
    first = on(tmp_path, redis_server, archive).start()
    first.client().rpush("conv:owner", "kept")
    first.kill()
    second = on(tmp_path, redis_server, archive).start()
    try:
        assert second.client().lrange("conv:owner", 0, -1) == [b"kept"]
    finally:
        second.stop()
