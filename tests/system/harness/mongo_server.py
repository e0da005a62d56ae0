"""Servers that speak MongoDB's protocol. Which there is: CONV_TEST_MONGO_URI, else a mongod on PATH, else FerretDB; and
mongo-java-server beside it as a second opinion. scripts/test-servers builds the last two.

What is known not to be MongoDB: FerretDB 1.24 has no transactions, finds by _id alone quickly and scans for everything
else, and does not make an update one step with its filter, so two connections can both win one compare-and-set.
mongo-java-server keeps nothing when it ends, and has no transactions."""
import os
import shutil
import uuid
from pathlib import Path

import pymongo
import pytest

from .ports import free_port
from .process import ServerProcess
from .proxy import ROOT
from .wait import eventually

SERVERS = ROOT / "build" / "servers"
NOT_BUILT = "is not built: scripts/test-servers says why"


class MongoServer(ServerProcess):
    """A process of our own. Its data stay over stop() and start() where keeps_data says so."""

    keeps_data = True

    def __init__(self, folder, port=None):
        super().__init__(folder, port or free_port())
        self.data = self.folder / f"{self.name}-{self.port}"
        self.data.mkdir(parents=True, exist_ok=True)

    @classmethod
    def missing(cls):
        """None, or why it can't run here."""
        raise NotImplementedError

    @property
    def url(self):
        return self.url_for("convproxy")

    def url_for(self, database, credentials=""):
        return f"mongodb://{credentials}{self.host}:{self.port}/{database}"

    def answers(self):
        try:
            with self.client(serverSelectionTimeoutMS=1000) as client:
                return bool(client.admin.command("ping"))
        except pymongo.errors.PyMongoError:
            return False

    def pause(self):
        """Returns when every thread stands still, which takes a moment where there are many."""
        super().pause()
        threads = Path(f"/proc/{self.process.pid}/task")
        eventually(lambda: all(" T " in (t / "stat").read_text() for t in threads.iterdir()))

    def client(self, **options):
        """pymongo, to look at the documents."""
        return pymongo.MongoClient(self.host, self.port, directConnection=True, **options)


class Mongod(MongoServer):
    name = "mongod"

    @classmethod
    def missing(cls):
        return None if shutil.which("mongod") else "there is no mongod on PATH"

    def command(self):
        return ["mongod", "--port", str(self.port), "--bind_ip", self.host, "--dbpath", str(self.data)]


class FerretDB(MongoServer):
    name = "ferretdb"

    @classmethod
    def missing(cls):
        return None if (SERVERS / "ferretdb").exists() else f"FerretDB {NOT_BUILT}"

    def command(self):
        return [str(SERVERS / "ferretdb"), f"{self.host}:{self.port}", str(self.data)]


class MongoJavaServer(MongoServer):
    name = "mongo-java-server"
    keeps_data = False

    def wait_ready(self, timeout=90.0):
        """A JVM on a busy machine takes its time."""
        super().wait_ready(timeout)

    @classmethod
    def missing(cls):
        return None if (SERVERS / "mongo-java-server" / "stamp").exists() else f"mongo-java-server {NOT_BUILT}"

    def command(self):
        classes = SERVERS / "mongo-java-server"
        options = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        return ["java", *options, "-cp", f"{classes}:{classes}/*", "Main", str(self.port)]


class GivenMongo:
    """The server CONV_TEST_MONGO_URI names: each object is a database of its own, dropped in the end. It is not ours to
    stop."""

    name = "CONV_TEST_MONGO_URI"
    keeps_data = True

    def __init__(self, folder):
        self.base = os.environ["CONV_TEST_MONGO_URI"]
        self.database = f"convproxy_test_{Path(folder).name[:12]}_{uuid.uuid4().hex[:8]}"

    @classmethod
    def missing(cls):
        return None if os.environ.get("CONV_TEST_MONGO_URI") else "CONV_TEST_MONGO_URI is not set"

    @property
    def url(self):
        scheme, rest = self.base.split("://", 1)
        address, _, options = rest.partition("?")
        return f"{scheme}://{address.split('/', 1)[0]}/{self.database}" + (f"?{options}" if options else "")

    def start(self):
        return self

    def kill(self):
        with self.client() as client:
            client.drop_database(self.database)

    stop = kill

    def client(self, **options):
        return pymongo.MongoClient(self.base, **options)


# The first that is there stands for MongoDB; the other comes beside it.
MONGO = [GivenMongo, Mongod, FerretDB]
SECOND = MongoJavaServer
ALL = [*MONGO, SECOND]


def mongo_kind():
    """The class that stands for MongoDB here; the test is skipped, with the reasons, where there is none."""
    reasons = []
    for kind in MONGO:
        reason = kind.missing()
        if reason is None:
            return kind
        reasons.append(reason)
    return pytest.skip("; ".join(reasons))


def start_mongo(kind, folder):
    """Starts one of ALL and says so; skips the test when it can't run here."""
    reason = kind.missing()
    if reason is not None:
        pytest.skip(reason)
    print(f"mongo: {kind.name}")
    return kind(folder).start()
