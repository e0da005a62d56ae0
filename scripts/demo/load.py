"""The chat clients, each with a connection of its own, on a thread beside the demo; and the ledger of what they were told.

A client says something (RPUSH), reads the context (LRANGE), and says the assistant's answer (RPUSH). One in eight keeps its
whole history as one JSON array (GET, SET), as some libraries do. Now and then a client writes a key that is no conversation."""

import asyncio
import json
import random
import threading
import time
from collections import Counter, deque

from demo.chat import Conversation
from demo.resp import AsyncClient, ReplyError

UNKNOWN = "may or may not have run"


class Entry:
    """What is known of one conversation: numbers of messages, in the order of their acknowledgement."""

    def __init__(self, whole):
        self.whole = whole  # a JSON array in a string; otherwise a list
        self.acknowledged, self.doubtful = [], set()


class Load:
    def __init__(self, port, clients=200, rate=80.0):
        """rate: messages a second, all clients together."""
        self.port, self.clients, self.rate = port, clients, rate
        self.ledger = {}
        self.counts = Counter()
        self.errors = Counter()  # by their words, of requests about conversations
        self.slow = deque(maxlen=20000)  # (when it was sent, seconds) of requests about conversations
        self.open, self.ended = threading.Event(), threading.Event()
        self.open.set()
        self.busy = 0
        self.numbers = 0
        self.problem = None
        self.thread = threading.Thread(target=self._main, name="load", daemon=True)

    def start(self):
        self.thread.start()
        return self

    def pause(self, timeout=30.0):
        """Returns when nothing is in flight: then the ledger can be compared. Conversations go on with resume()."""
        self.open.clear()
        deadline = time.monotonic() + timeout
        while self.busy and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.busy == 0

    def resume(self):
        self.open.set()

    def stop(self):
        self.ended.set()
        self.thread.join(30.0)

    def acknowledged(self):
        return self.counts["acknowledged"]

    def longest(self, since):
        """Seconds of the slowest request about a conversation that was sent or still waited after `since` (monotonic)."""
        return max((seconds for sent, seconds in list(self.slow) if sent + seconds >= since), default=0.0)

    # ---- on the thread ----

    def _main(self):
        try:
            asyncio.run(self._all())
        except Exception as problem:  # a thread's exception would be nobody's
            self.problem = problem

    async def _all(self):
        await asyncio.gather(*(self._client(number) for number in range(self.clients)))

    async def _client(self, number):
        chance = random.Random(number)
        await asyncio.sleep(chance.random() * self._gap())
        while not self.ended.is_set():
            try:
                await self._connected(number, chance)
            except OSError:
                self.counts["disconnected"] += 1
                await asyncio.sleep(0.2)

    def _gap(self):
        """Seconds between the turns of a client; a turn is two messages."""
        return 2.0 * self.clients / self.rate

    async def _connected(self, number, chance):
        client = await AsyncClient.open(self.port)
        try:
            while not self.ended.is_set():
                await self._conversation(client, number, chance)
        finally:
            client.close()

    async def _conversation(self, client, number, chance):
        self.numbers += 1
        talk = Conversation(self.numbers, chance)
        self.ledger[talk.key] = Entry(whole=number % 8 == 7)
        while (turn := talk.next_turn()) and not self.ended.is_set():
            await self._turn(client, talk, turn)
            if chance.random() < 0.2:
                await self._aside(client, number)
            await self._wait(self._gap() * chance.uniform(0.5, 1.5))

    async def _wait(self, seconds):
        until = time.monotonic() + seconds
        while not self.ended.is_set() and (time.monotonic() < until or not self.open.is_set()):
            await asyncio.sleep(min(0.1, max(0.01, until - time.monotonic())))

    async def _turn(self, client, talk, turn):
        self.busy += 1
        try:
            write = self._write_whole if self.ledger[talk.key].whole else self._append
            await write(client, talk, "user", turn[0])
            await write(client, talk, "assistant", turn[1])
        finally:
            self.busy -= 1

    async def _append(self, client, talk, role, content):
        number, message = talk.message(role, content)
        await self._store(client, talk, number, "RPUSH", talk.key, message)
        if role == "user":
            await self._timed(client, "LRANGE", talk.key, -20, -1)

    async def _write_whole(self, client, talk, role, content):
        history = await self._timed(client, "GET", talk.key)
        if isinstance(history, ReplyError):
            return
        number, message = talk.message(role, content)
        messages = [*(json.loads(history) if history else []), json.loads(message)]
        await self._store(client, talk, number, "SET", talk.key, json.dumps(messages, ensure_ascii=False))

    async def _store(self, client, talk, number, *words):
        entry = self.ledger[talk.key]
        try:
            reply = await self._timed(client, *words)
        except OSError:
            entry.doubtful.add(number)
            raise
        if not isinstance(reply, ReplyError):
            entry.acknowledged.append(number)
            self.counts["acknowledged"] += 1
        elif UNKNOWN in str(reply):
            entry.doubtful.add(number)
            self.counts["doubtful"] += 1
        else:
            self.counts["refused"] += 1

    async def _timed(self, client, *words):
        sent = time.monotonic()
        reply = await client.call(*words)
        self.slow.append((sent, time.monotonic() - sent))
        if isinstance(reply, ReplyError):
            self.errors[str(reply)] += 1
        return reply

    async def _aside(self, client, number):
        """Who is online: no conversation, so Redis's alone."""
        reply = await client.call("SET", f"online:{number}", "1", "EX", "60")
        self.counts["raw_refused" if isinstance(reply, ReplyError) else "raw"] += 1
