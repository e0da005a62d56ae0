"""Those that faults befall: Redis, the archive, the proxies; each behind a link of its own where it has a port.

Methods that wait for a process block: call them in a thread."""
import json
import os
import shutil
import subprocess
from pathlib import Path

from harness import Proxy, RedisServer, eventually
from harness.mongo_server import FerretDB

POLICIES = {"conv": "0", "trim": "20", "ttl": "0"}  # and their max_messages
TRIM = int(POLICIES["trim"])
SHORT_TTL = 3  # seconds, of policy ttl


def policies(ack, dual_write):
    ttl = {"conv": "1h", "trim": "1h", "ttl": f"{SHORT_TTL}s"}
    return {"policies": [{"name": name, "match": f"{name}:*", "ttl": ttl[name], "max_messages": int(limit), "ack": ack,
                          "dual_write": dual_write} for name, limit in POLICIES.items()]}


class _ClockedRedis(RedisServer):
    clock = None

    def environment(self):
        return {**os.environ, **(self.clock.environment() if self.clock else {})}


class Redis:
    """A redis-server with an append-only file; its address for the proxies is that of their links."""

    def __init__(self, folder, fsync, clock=None):
        self.folder, self.clock = Path(folder), clock
        self.args = ["--appendonly", "yes", "--appendfsync", fsync, "--repl-diskless-sync-delay", "0"]
        self.server = self._made()
        self.links = []

    def _made(self, *more):
        server = _ClockedRedis(self.folder, args=[*self.args, *more])
        server.clock = self.clock
        return server

    def start(self):
        self.server.start()

    def kill(self):
        self.server.kill()

    def end(self):
        if self.server.process is not None:
            self.server.kill()

    def client(self, **options):
        return self.server.client(**options)

    # ---- how it comes back ----

    def restart_intact(self):
        if self.server.process is not None and not self.server.alive():
            self.server.kill()  # ended by itself: a full disk
        self.server.start()

    def restart_empty(self):
        shutil.rmtree(self.server.data)
        self.server.data.mkdir()
        self.server.start()

    def tail_file(self):
        return max((self.server.data / "appendonlydir").glob("*.incr.aof"), key=lambda p: int(p.name.split(".")[-3]))

    def restart_with_a_shorter_tail(self, size):
        """The last bytes of its file are gone, as after a power cut; redis-check-aof takes away what is half then."""
        tail = self.tail_file()
        os.truncate(tail, max(0, tail.stat().st_size - size))
        manifest = self.server.data / "appendonlydir" / "appendonly.aof.manifest"
        done = subprocess.run(["redis-check-aof", "--fix", manifest], input="y\n", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        self.server.start()

    def copy(self):
        """What a backup would have, taken while it runs."""
        self.backup = self.folder / "redis-backup"
        shutil.rmtree(self.backup, ignore_errors=True)
        shutil.copytree(self.server.data, self.backup)

    def restart_from_the_copy(self):
        shutil.rmtree(self.server.data)
        shutil.copytree(self.backup, self.server.data)
        self.server.start()

    def add_replica(self):
        self.replica = self._made("--replicaof", f"{self.server.host} {self.server.port}")
        self.replica.start()
        eventually(lambda: self.replica.client().info("replication")["master_link_status"] == "up", 10)

    def promote(self):
        """The replica, which may lack what the one that died had acknowledged, takes its place."""
        self.server = self.replica
        self.server.args = list(self.args)  # when it starts again it is nobody's replica
        self.server.client().replicaof("NO", "ONE")
        for link in self.links:
            link.target = self.server.port


class Sqlite:
    """The embedded archive: faults come from the proxy's own plan of faults, or from the disk."""

    kind, links = "sqlite", ()

    def __init__(self, folder):
        self.path = Path(folder) / "archive" / "archive.db"
        self.path.parent.mkdir()

    def url(self, _link):
        return f"sqlite:{self.path}"

    def start(self):
        pass

    def end(self):
        pass


class Ferret:
    """FerretDB, behind a link for each proxy."""

    kind = "ferretdb"

    def __init__(self, folder):
        self.server, self.links = FerretDB(folder), []

    @staticmethod
    def missing():
        return FerretDB.missing()

    def url(self, link):
        return f"mongodb://127.0.0.1:{link.port}/convproxy"

    def start(self):
        self.server.start()

    def kill(self):
        self.server.kill()

    def end(self):
        if self.server.process is not None:
            self.server.kill()


class ProxyActor:
    """One convproxy on a port that stays."""

    def __init__(self, folder, number, redis_link, archive_url, plan, clock=None):
        self.number, self.redis_link, self.clock = number, redis_link, clock
        settings = {
            "archive.url": archive_url, "archive.faults": 1, "archive.timeout": "2s", "archive.connect_timeout": "500ms",
            "failover.return_after": f"{plan.return_after}ms", "redis.probe_interval": "50ms", "proxy.drain_time": "1s",
            "redis.connect_rate": 1000, "log.level": "debug" if plan.debug else "info",
        }  # fmt: skip
        env = clock.environment() if clock else {}
        folder = Path(folder) / f"proxy-{number}"
        folder.mkdir()
        redis = f"redis://127.0.0.1:{redis_link.port}/0"
        self.server = Proxy(folder, redis, policies(plan.ack, plan.dual_write), settings={**settings, **plan.settings}, env=env)

    def start(self):
        self.server.start()

    def kill(self):
        self.server.kill()

    def restart(self):
        self.server.stop()
        self.server.start()

    def end(self):
        """SIGTERM; what a sanitizer or an assertion said fails the run."""
        if self.server.process is not None:
            self.server.stop()

    def fault(self, plan):
        """The archive's plan of faults; "" ends it."""
        return self.server.http("/api/v1/archive/faults", {"plan": plan}, "PUT")

    def has_archive(self):
        """It asks twice a second: for so long an archive that is back counts as down, and the promise is a lower one."""
        return json.loads(self.server.http("/healthz")[1])["stores"]["archive"]["up"]

    def phases(self):
        """policy -> phase, in its own words."""
        return {policy["policy"]: policy["phase"] for policy in self.server.get_json("/api/v1/primary")["placement"]}

    def moves(self):
        """Lines: scans that are not over. A key that nobody has marked is copied by them."""
        for move in self.server.get_json("/api/v1/moves")["moves"]:
            if move["state"] in ("waiting", "running"):
                yield f"proxy {self.number}: {move['kind']} of {move['policy']} is {move['state']}"

    def epoch(self):
        return self.server.get_json("/api/v1/state")["sync"]["epoch"]
