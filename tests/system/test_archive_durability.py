"""kill -9 at any moment while clients write to SQLite through the proxy: what was acknowledged is there afterwards, once,
in order; what was not is there once or not at all; a transaction is there as a whole; and the same files go on.

CONV_KILL_ROUNDS=100 for more kills, CONV_SEED to see a run again (the moments of the kills differ a little all the same)."""
import os
import random
import sqlite3
import time
from collections import Counter

import pytest
from harness import Proxy, eventually, free_port
from harness.checker import INFO, OK, History, check
from harness.writers import Client, Keys, Writer

ROUNDS = int(os.environ.get("CONV_KILL_ROUNDS", "15"))
SEED = int(os.environ.get("CONV_SEED", time.time_ns() % 1_000_000))
WRITERS = 4
ROUNDS_OF_A_HISTORY = 5  # then new keys: the checker's work grows with a history
SETTINGS = {"conv.match": "*", "conv.primary": "archive", "conv.ttl": 0, "conv.max_messages": 0}


class Kills:
    """Rounds of load, kill -9, start and check on one file."""

    def __init__(self, folder, seed):
        self.folder, self.random, self.counts = folder, random.Random(seed), Counter()
        self.path = folder / "data" / "archive.db"
        settings = {**SETTINGS, "archive.url": f"sqlite:{self.path}"}
        self.proxy = Proxy(folder, f"redis://127.0.0.1:{free_port()}/0", settings=settings)
        self.finals = []  # (keys, what they held) of histories that are over

    def run(self, rounds):
        for number in range(rounds):
            if number % ROUNDS_OF_A_HISTORY == 0:
                self.keys = Keys(f"{number}:")
                self.history = History(self.folder / f"history-{number}.jsonl")
            self.start_again()
            self.write_until_killed(number)
            self.start_again()
            self.check()
            if number % ROUNDS_OF_A_HISTORY == ROUNDS_OF_A_HISTORY - 1:
                self.finals.append((self.keys, self.contents(self.keys)))
                self.counts.update(op.outcome for op in self.history.ops)
            self.proxy.kill()

    def start_again(self):
        """Sometimes killed once more while it starts, which is when SQLite recovers its log."""
        while self.random.random() < 0.25:
            self.proxy.start(wait=False)
            time.sleep(self.random.uniform(0, 0.08))
            self.proxy.kill()
            self.counts["killed while starting"] += 1
        self.proxy.start()

    def write_until_killed(self, number, wanted=None):
        """The moment: after a number of answers, and a little."""
        begun, wanted = self.history.count(OK), wanted or self.random.randint(1, 4000)
        writers = [Writer(self.proxy, self.history, number * WRITERS + i, self.keys, self.random.random())
                   for i in range(WRITERS)]
        for writer in writers:
            writer.start()
        eventually(lambda: self.history.count(OK) >= begun + wanted or not any(w.is_alive() for w in writers), 20, 0.002)
        time.sleep(self.random.uniform(0, 0.01))
        assert self.proxy.alive(), self.proxy.log_tail()
        self.proxy.kill()
        for writer in writers:
            writer.join(20)
            assert not writer.is_alive() and writer.problem is None, writer.problem
        self.counts["kills"] += 1

    def check(self):
        client = Client(self.proxy, self.history, -1)
        client.read_all(self.keys)
        client.conn.close()
        wrong = check(self.history)
        assert not wrong, "\n".join([f"{len(wrong)} violations, {self.history.save().path}", *map(str, wrong[:20])])
        assert self.history.count("fail") == 0, "nothing was wrong with the archive"

    def contents(self, keys):
        """What a reader finds, without the times."""
        seen = History()
        client = Client(self.proxy, seen, -2)
        client.read_all(keys)
        client.conn.close()
        return {op.keys[0]: op.reply for op in seen.ops}

    def end(self):
        """All that was ever written is still there, and the file is sound."""
        self.proxy.start()
        for keys, held in self.finals:
            assert self.contents(keys) == held
        self.proxy.stop()
        with sqlite3.connect(self.path) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            documents = db.execute("SELECT count(*) FROM doc").fetchone()
            assert db.execute("SELECT documents FROM total").fetchone() == documents
        self.proxy.check_log()
        return documents[0]


def kill_rounds(folder, rounds):
    print(f"CONV_SEED={SEED}")
    kills = Kills(folder, SEED)
    try:
        kills.run(rounds)
        documents = kills.end()
    finally:
        kills.proxy.kill()
    print(f"{rounds} rounds: {dict(kills.counts)}, {documents} documents, all acknowledged operations found")
    assert kills.counts["kills"] == rounds
    assert rounds < ROUNDS_OF_A_HISTORY or (kills.counts[OK] > 100 * rounds and kills.counts[INFO] > 0)


@pytest.mark.timeout(60 + 12 * ROUNDS)
def test_kill_at_any_moment(tmp_path):
    kill_rounds(tmp_path, ROUNDS)


@pytest.mark.timeout(60)
def test_a_lost_tail_would_be_found(tmp_path):
    """What this file's tests are worth: half of SQLite's log taken away after the kill does not go unnoticed."""
    kills = Kills(tmp_path, SEED)
    kills.keys, kills.history = Keys("0:"), History()
    log = kills.path.with_name("archive.db-wal")
    try:
        kills.proxy.start()
        kills.write_until_killed(0, wanted=1000)
        os.truncate(log, log.stat().st_size // 2)
        kills.proxy.start()
        with pytest.raises(AssertionError, match="C1 .* is lost|C7 .* the count is"):
            kills.check()
    finally:
        kills.proxy.kill()


@pytest.mark.sanitize
@pytest.mark.timeout(120)
def test_kill_a_few_times(tmp_path):
    """Short enough for the sanitizers: recovery under them, too."""
    kill_rounds(tmp_path, 2)
