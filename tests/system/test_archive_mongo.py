"""The Mongo archive on real servers: its contract, and what it does when they freeze, die, come back or refuse.

Which servers: harness/mongo_server.py. The first that is there of CONV_TEST_MONGO_URI, mongod and FerretDB; and
mongo-java-server."""
import os
import random
import subprocess
import threading
import time
from collections import Counter

import pytest
from harness import eventually, free_port
from harness.archive_cli import BESIDE, ArchiveCli, environment
from harness.mongo_fake import LOST, FakeMongo, Refused
from harness.mongo_server import SECOND, GivenMongo, mongo_kind, start_mongo

CONTRACT = BESIDE / "test_archive_mongo"
FROZEN = ("archivelost", "archivedown")

pytestmark = [pytest.mark.timeout(120)]


@pytest.fixture(scope="module", params=["mongo", SECOND.name])
def mongo(request, tmp_path_factory):
    kind = SECOND if request.param == SECOND.name else mongo_kind()
    server = start_mongo(kind, tmp_path_factory.mktemp(kind.name))
    yield server
    server.kill()


@pytest.fixture
def own(mongo):
    """A server that may be stopped: the module's, when it is ours."""
    if isinstance(mongo, GivenMongo):
        pytest.skip("the server of CONV_TEST_MONGO_URI is not ours to stop")
    yield mongo
    if mongo.alive():
        mongo.resume()
    else:
        mongo.kill()
        mongo.start()


def run_contract(url):
    env = {**environment(), "CONV_TEST_MONGO_URI": url}
    run = subprocess.run([CONTRACT], env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "[  FAILED  ]" not in run.stderr and "[  PASSED  ]" in run.stderr + run.stdout


@pytest.mark.sanitize
@pytest.mark.timeout(400)
def test_contract(mongo, capsys):
    run_contract(mongo.url)
    with capsys.disabled():
        print(f"\nthe archive's contract holds on {mongo.name}")


def test_contract_by_transactions():
    """What of it goes through transactions, on a fake: neither of the others has them."""
    with FakeMongo() as fake:
        run_contract(fake.url)
        assert fake.store.committed > 20


UNKNOWN = Refused(91, "UnknownTransactionCommitResult")


@pytest.mark.parametrize(
    "command, errors, said, version",
    [
        ("commitTransaction", [Refused(189)], "archivelost", 1),
        ("commitTransaction", [Refused(10107)], "archivedown", 1),
        ("commitTransaction", [Refused(112, "TransientTransactionError")], "race", 1),
        ("commitTransaction", [UNKNOWN], "ok", 2),
        ("commitTransaction", [UNKNOWN] * 4, "archivelost", 1),
        ("update", [Refused(189)], "archivedown", 1),
        ("update", [Refused(112, "TransientTransactionError")], "race", 1),
        ("update", [Refused(13)], "archivedown", 1),
        ("update", [Refused(2)], "archivebad", 1),
        ("update", [LOST], "archivedown", 1),
    ],
)
def test_errors_of_transactions(command, errors, said, version):
    with FakeMongo() as fake, ArchiveCli(fake.url) as cli:
        assert cli.ask("pair", "left", "right", 0, 1, "v1").ok
        fake.store.errors[command] = list(errors)
        answer = cli.ask("pair", "left", "right", 1, 2, "v2")
        assert answer.name == said, answer
        fake.store.errors.clear()
        works_again(cli, "ping")
        assert cli.value("left") == cli.value("right") == (version, f"v{version}")


@pytest.mark.parametrize("command, expected", [("insert", 0), ("update", 1)])
def test_answer_is_lost_and_the_driver_sends_again(command, expected):
    """The second sending meets what the first one did: that is no race. This fake does not know what it was sent before."""
    with FakeMongo() as fake, ArchiveCli(fake.url) as cli:
        assert cli.ask("put", "key", 0, 1, "one").ok
        key = "key" if expected else "new"
        fake.store.errors[command] = [LOST]
        assert cli.ask("put", key, expected, 2, "two").ok
        assert fake.store.errors[command] == []
        assert cli.value(key) == (2, "two")
        assert cli.ask("put", key, 1, 3, "three").name == "race"


@pytest.mark.parametrize(
    "code, said", [(10107, "archivedown"), (189, "archivelost"), (64, "archivelost"), (13, "archivedown"), (2, "archivebad")]
)
def test_errors_of_one_write(code, said):
    with FakeMongo() as fake, ArchiveCli(fake.url) as cli:
        assert cli.ask("put", "key", 0, 1, "one").ok
        fake.store.errors["update"] = [Refused(code)] * 2
        answer = cli.ask("put", "key", 1, 2, "two")
        assert answer.name == said and str(code) in answer.words, answer
        fake.store.errors.clear()
        works_again(cli, "ping")
        assert cli.ask("put", "key", 1, 2, "two").ok


def test_contract_is_skipped_without_a_server():
    environment = {name: value for name, value in os.environ.items() if name != "CONV_TEST_MONGO_URI"}
    run = subprocess.run([CONTRACT], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 77
    assert "CONV_TEST_MONGO_URI" in run.stdout


def fresh(name):
    """A key no other test uses."""
    return f"{name}:{random.getrandbits(48):x}"


def works_again(cli, *words):
    """Waits until the archive answers, and says how long that took."""
    began = time.monotonic()
    answer = eventually(lambda: (a := cli.ask(*words)).ok and a, timeout=15)
    return answer, time.monotonic() - began


@pytest.mark.sanitize
def test_frozen_server(own):
    """Calls fail after their time-out; what was in doubt is there wholly or not at all; then all works again."""
    key = fresh("frozen")
    with ArchiveCli(own.url) as cli:
        assert cli.ask("put", key, 0, 1, "one").ok
        own.pause()
        put, load, ping = cli.ask("put", key, 1, 2, "two"), cli.ask("load", key), cli.ask("2", "ping")
        assert put.name in FROZEN and put.words, put
        assert load.name == ping.name == "archivedown", (load, ping)
        assert max(put.ms, load.ms, ping.ms) < 5000
        own.resume()
        works_again(cli, "ping")
        assert cli.value(key) in ((1, "one"), (2, "two"))
        version, _ = cli.value(key)
        assert cli.ask("put", key, version, 3, "three").ok
        assert cli.value(key) == (3, "three")


def test_frozen_server_and_a_commit_of_two(own):
    left, right = fresh("left"), fresh("right")
    with ArchiveCli(own.url) as cli:
        assert cli.ask("pair", left, right, 0, 1, "one").ok
        own.pause()
        assert cli.ask("pair", left, right, 1, 2, "two").name in FROZEN
        own.resume()
        works_again(cli, "ping")
        assert cli.value(left) == cli.value(right)
        version, _ = cli.value(left)
        assert cli.ask("pair", left, right, version, 3, "three").ok
        assert cli.value(left) == cli.value(right) == (3, "three")


@pytest.mark.sanitize
def test_server_is_killed_and_comes_back(own):
    key = fresh("killed")
    with ArchiveCli(own.url) as cli:
        assert cli.ask("put", key, 0, 1, "one").ok
        own.kill()
        first = cli.ask("put", key, 1, 2, "two")
        assert first.name in FROZEN, first
        for _ in range(3):
            down = cli.ask("put", key, 1, 2, "two")
            assert down.name == "archivedown" and down.words, down
            assert down.ms < 3500
        own.start()
        works_again(cli, "2", "ping")
        works_again(cli, "ping")
        if own.keeps_data:
            assert cli.value(key) == (1, "one")
        else:
            assert cli.value(key)[0] == 0


def test_server_comes_later(own):
    """Starting without a server is no error; the first call that reaches one finds out what it can do."""
    own.kill()
    with ArchiveCli(own.url) as cli:
        for _ in range(2):
            assert cli.ask("ping").name == "archivedown"
        own.start()
        works_again(cli, "ping")
        assert cli.ask("put", fresh("later"), 0, 1, "one").ok


def test_nobody_there():
    with ArchiveCli(f"mongodb://127.0.0.1:{free_port()}/x") as cli:
        answer = cli.ask("load", "key")
    assert answer.name == "archivedown"
    assert "127.0.0.1" in answer.words
    assert 1500 < answer.ms < 3500


def test_authentication_is_refused(own):
    """With the server's words, and again each time: rights can be mended while the proxy runs."""
    with ArchiveCli(own.url_for("convproxy", "somebody:wrong@") + "?authSource=admin") as cli:
        for _ in range(2):
            answer = cli.ask("put", fresh("auth"), 0, 1, "one")
            assert answer.name == "archivedown", answer
            assert "uthenticat" in answer.words or "saslStart" in answer.words
            assert answer.ms < 5000


@pytest.mark.parametrize("url", ["mongodb://", "mongodb://a:b:c@host", "mongodb://host:99999", "mongo://host"])
def test_bad_url(url):
    cli = ArchiveCli(url)
    answer = cli.read()
    assert answer.name == "bad" and answer.words
    assert cli.close() == 1


def killed_within(url, left, right, version, seconds):
    cli = ArchiveCli(url)
    assert cli.ask("ping").ok
    for step in range(200):
        cli.send("pair", left, right, version + step, version + step + 1, f"v{version + step + 1}")
    time.sleep(seconds)
    cli.kill()


def written_on(cli, left, right):
    """What both keys held when the next commit was made; None while the server is still at what it was sent last."""
    found = cli.value(left)
    if cli.value(right) != found:
        return None
    return found if cli.ask("pair", left, right, found[0], found[0] + 1, f"v{found[0] + 1}").ok else None


def test_process_is_killed_within_commits_of_two(mongo):
    """Whatever it was doing, readers see both keys or neither of each commit, and the next proxy goes on."""
    left, right = fresh("left"), fresh("right")
    chance = random.Random(os.environ.get("CONV_SEED", "5"))
    began = 0
    with ArchiveCli(mongo.url, timeout_ms=4000) as reader:
        assert reader.ask("pair", left, right, 0, 1, "v1").ok
        for _ in range(6):
            version, _ = reader.value(left)
            killed_within(mongo.url, left, right, version, chance.uniform(0.01, 0.3))
            found = eventually(lambda: written_on(reader, left, right))
            assert reader.value(left) == reader.value(right) == (found[0] + 1, f"v{found[0] + 1}")
            began += found[0] > version
    assert began > 0, "no commit was made before the kill: the test tested nothing"


def test_documents_are_read_whole(mongo):
    """Reads while one replaces: half of an old document under a new version would lose what is written on top of it."""
    name = f"whole_{random.getrandbits(32):x}"
    size, stop, seen, reads = 2000, threading.Event(), 0, 0

    def replace(keys):
        number = 0
        while not stop.is_set():
            number += 1
            keys.replace_one({"_id": 1}, {"_id": 1, "v": [number] * size, "ver": number})

    with mongo.client() as client, mongo.client() as reader:
        keys = client[name]["keys"]
        keys.insert_one({"_id": 1, "v": [0] * size, "ver": 0})
        writer = threading.Thread(target=replace, args=(keys,))
        writer.start()
        try:
            until = time.monotonic() + 50
            while (reads < 50 or seen < 50) and time.monotonic() < until:
                doc = reader[name]["keys"].find_one({"_id": 1})
                assert set(doc["v"]) == {doc["ver"]}
                seen, reads = max(seen, doc["ver"]), reads + 1
        finally:
            stop.set()
            writer.join()
            client.drop_database(name)
    assert seen > 10 and reads > 10, "nothing was replaced meanwhile"


@pytest.fixture
def own_cas(own):
    """One whose updates are one step with their filters, which FerretDB's are not."""
    if own.name == "ferretdb":
        pytest.skip("several processes on FerretDB may lose updates: harness/mongo_server.py")
    yield own


def counts_of(lines, word):
    return Counter(number for line in lines if line.split()[0] == word for number in line.split()[1:])


def stress(url, seed, milliseconds):
    command = [BESIDE / "archive_stress", url, str(seed), str(milliseconds)]
    return subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True)


def test_processes_count_together(own_cas):
    """Several proxies on one server: each count that was acknowledged is stored once, whoever is killed within whatever."""
    seed = int(os.environ.get("CONV_SEED", random.getrandbits(24)))
    print(f"CONV_SEED={seed}")
    survivors = [stress(own_cas.url, seed + n, 5000) for n in range(3)]
    victims = []
    for n in range(6):
        victims.append(stress(own_cas.url, seed + 100 + n, 60000))
        time.sleep(random.Random(seed + n).uniform(0.3, 0.8))
        victims[-1].kill()
    told = [process.communicate()[0].splitlines() for process in survivors + victims]
    assert all(lines[-1].startswith("end") for lines in told[:3]), told
    print("races, longest ms:", [lines[-1] for lines in told[:3]])
    lines = [line for process in told for line in process]
    done, doubtful = counts_of(lines, "ok"), counts_of(lines, "lost")
    assert sum(done.values()) > 100, "nothing was counted"
    with ArchiveCli(own_cas.url, timeout_ms=4000) as cli:
        for number in "0123":
            stored = int(cli.value(f"stress:{number}")[1])
            # A process that is killed may have done one commit more than it could tell.
            assert done[number] <= stored <= done[number] + doubtful[number] + len(victims), number


def test_documents_as_others_see_them(own):
    """The fields docs and queries rely on, in the database the URL names, and nothing left of commits that ended."""
    left, right = "seen:1", "seen:2"
    with ArchiveCli(own.url_for("seen")) as cli:
        assert cli.ask("put", left, 0, 1, "one").ok
        assert cli.ask("pair", left, right, 1, 2, "x").name == "race"
        assert cli.ask("put", right, 0, 1, "one").ok
        assert cli.ask("pair", left, right, 1, 2, "two").ok
    with own.client() as client:
        for key in (left, right):
            doc = client["seen"]["keys"].find_one({"_id": key})
            assert list(doc)[0] == "_id"
            assert {name: doc[name] for name in ("t", "v", "ver", "dirty", "due", "kind")} == {
                "t": "string", "v": "two", "ver": 2, "dirty": False, "due": None, "kind": 1
            }
            assert 0 <= doc["h"] < 2**52 and "in" not in doc
        assert list(client["seen"]["control"].find()) == []
