"""The clients: W1 to W10, over one connection each that is made again when it ends. Everything they ask goes into the history,
with a number for each of their connections, so that the order of one connection can be told."""
import asyncio
import random
import time

from harness import RespError
from harness.aio import AsyncConn
from harness.checker import FAIL, INFO, OK
from harness.resp import encode
from harness.writers import UNKNOWN, padded, plain, value_of

PATIENCE = 20.0  # seconds for an answer: far above whatever the proxy may hold a request
THINK = 0.02  # seconds between two requests, at most
PERSONS = 1000  # a client's number is its person's plus so many for each connection


class Keys:
    """The keys of a run: about `count`, shared out among the kinds that the workloads use."""

    KINDS = {"W1": ["conv:list"], "W2": ["trim:list"], "W3": ["conv:count"], "W4": ["conv:reg"], "W5": ["conv:set", "conv:hash"],
             "W6": ["conv:lock"], "W7": ["ttl:list"], "W8": ["conv:queue"], "W9": ["conv:left", "conv:right", "conv:gone"],
             "W10": ["conv:retry"]}  # fmt: skip

    def __init__(self, count, workloads):
        kinds = [kind for w in workloads for kind in self.KINDS[w]]
        each = max(2, count // len(kinds))
        self.of = {kind: [f"{kind}:{i}" for i in range(each)] for kind in kinds}

    def all(self):
        return [key for keys in self.of.values() for key in keys]


def text_of(reply):
    """As the history has it: bytes as text, registers without their padding."""
    if isinstance(reply, (list, set)):
        return [item.decode() for item in reply]
    if isinstance(reply, bytes):
        return int(reply) if reply.isdigit() else plain(reply)
    return reply


READS = {"list": ("LRANGE", 0, -1), "set": ("SMEMBERS",), "hash": ("HKEYS",), "string": ("GET",)}
SHAPES = {"conv:count": "string", "conv:reg": "string", "conv:lock": "string", "conv:set": "set", "conv:hash": "hash"}


def read_of(key):
    verb, *rest = READS[SHAPES.get(key.rsplit(":", 1)[0], "list")]
    return (verb, key, *rest)


class Client:
    """One person. problems: lines about what must never be, that no rule would see."""

    def __init__(self, number, endpoint, history, keys, plan, over, going):
        self.person, self.endpoint, self.history, self.keys = number, endpoint, history, keys
        self.over, self.going = over, going  # events: the load ends; it is not paused
        self.random = random.Random(f"{plan.seed} client {number}")
        self.workloads = plan.workloads
        self.number, self.seq, self.lives, self.conn = number, 0, 0, None
        self.members, self.locks, self.unsure = {}, set(), []
        self.problems = []

    # ---- operations: (op, commands) ----

    def begin(self, kind, key, named=False, value=None):
        self.seq += 1
        value = value_of(self.number, self.seq) if named else value
        return self.history.begin(self.number, self.seq, key, kind, value)

    def pick(self, kind):
        return self.random.choice(self.keys.of[kind])

    def read(self, key):
        return self.begin("read", key), [read_of(key)]

    def append(self, kind):
        key = self.pick(kind)
        op = self.begin("append", key, named=True)
        return op, [("RPUSH", key, op.value)]

    def w1(self):
        return self.append("conv:list") if self.random.random() < 0.8 else self.read(self.pick("conv:list"))

    def w2(self):
        return self.append("trim:list") if self.random.random() < 0.8 else self.read(self.pick("trim:list"))

    def w3(self):
        key = self.pick("conv:count")
        return (self.begin("incr", key), [("INCR", key)]) if self.random.random() < 0.8 else self.read(key)

    def w4(self):
        key, what = self.pick("conv:reg"), self.random.random()
        if what < 0.45:
            op = self.begin("set", key, named=True)
            return op, [("SET", key, padded(op.value))]
        return (self.begin("delete", key), [("DEL", key)]) if what < 0.55 else self.read(key)

    def w5(self):
        kind, what = self.random.choice(["conv:set", "conv:hash"]), self.random.random()
        key = self.pick(kind)
        mine = self.members.setdefault(key, [])
        if what < 0.5:
            op = self.begin("add", key, named=True)
            return op, [("SADD", key, op.value) if kind == "conv:set" else ("HSET", key, op.value, op.value)]
        if what < 0.75 and mine:
            op = self.begin("remove", key, value=mine.pop())
            return op, [("SREM" if kind == "conv:set" else "HDEL", key, op.value)]
        return self.read(key)

    def w6(self):
        """Who knows that it has a lock gives it back."""
        if self.locks and self.random.random() < 0.5:
            held = self.locks.pop()
            return self.begin("release", held), [("DEL", held)]
        key = self.pick("conv:lock")
        if self.random.random() < 0.2:
            return self.read(key)
        op = self.begin("acquire", key, named=True)
        return op, [("SET", key, op.value, "NX")]

    def w7(self):
        return self.append("ttl:list") if self.random.random() < 0.4 else self.read(self.pick("ttl:list"))

    def w8(self):
        key = self.pick("conv:queue")
        if self.random.random() < 0.55:
            op = self.begin("push", key, named=True)
            return op, [("RPUSH", key, op.value)]
        return self.begin("pop", key), [("LPOP", key)]

    def w9(self):
        what = self.random.random()
        if what < 0.4:
            return self.w9_pair()
        if what < 0.6:
            return self.append("conv:gone")
        if what < 0.7:
            key = self.pick("conv:gone")
            return self.begin("delete", key), [("DEL", key)]
        return self.read(self.pick(self.random.choice(["conv:left", "conv:right", "conv:gone"])))

    def w9_pair(self):
        number = self.random.randrange(len(self.keys.of["conv:left"]))
        pair = [self.keys.of[kind][number] for kind in ("conv:left", "conv:right")]
        op = self.begin("append", pair, named=True)
        return op, [("MULTI",), *(("RPUSH", key, op.value) for key in pair), ("EXEC",)]

    def w10(self):
        """What was not answered is sent again, with its own name, when a read has not found it."""
        if not self.unsure:
            return self.append("conv:retry")
        key, value = self.unsure.pop()
        op = self.begin("append", key, value=value)
        return op, [("RPUSH", key, value)]

    def request(self):
        return getattr(self, self.random.choice(self.workloads).lower())()

    # ---- what came of them ----

    def file(self, op, commands, replies):
        reply = replies[-1]
        if commands[-1] == ("EXEC",):
            reply = self._of_block(replies)
        if isinstance(reply, RespError):
            done = reply.startswith("INDOUBT")
            outcome = OK if done and op.op != "read" else INFO if UNKNOWN in reply else FAIL
            return self._end(op, outcome, str(reply))
        return self._end(op, OK, self._answer(op, reply))

    def _of_block(self, replies):
        """EXEC's reply: the error that decides, or the answers."""
        reply = replies[-1]
        if reply is None:
            self.problems.append(f"client {self.number}: EXEC answered nil, and nothing was watched")
            return RespError("EXECABORT nil")
        errors = [item for item in reply if isinstance(item, RespError)] if isinstance(reply, list) else []
        return errors[0] if errors else reply

    def _answer(self, op, reply):
        if op.op == "acquire":
            return reply is not None
        return text_of(reply) if op.op in ("read", "incr", "pop") else None

    def _end(self, op, outcome, reply=None):
        self.history.end(op, outcome, reply)
        if op.op == "add" and outcome == OK:
            self.members[op.keys[0]].append(op.value)
        if op.op == "acquire" and outcome == OK and reply is True or self._finds_its_lock(op):
            self.locks.add(op.keys[0])
        if op.op == "append" and outcome == INFO and op.keys[0].startswith("conv:retry:"):
            self.unsure.append((op.keys[0], op.value))

    def _finds_its_lock(self, op):
        """One that it got without an answer."""
        return op.op == "read" and op.keys[0].startswith("conv:lock:") and str(op.reply).split(":")[0].endswith(f"00{self.person}")

    # ---- a life ----

    async def run(self):
        while not self.over.is_set():
            try:
                await self._connect()
                await self._ask_on()
            except TimeoutError:
                self.problems.append(f"client {self.number}: no answer within {PATIENCE:.0f} s")
            except OSError:
                await asyncio.sleep(0.02)
            finally:
                self.hang_up()

    def hang_up(self):
        if self.conn is not None:
            self.conn.abort()

    async def _connect(self):
        self.conn = None
        self.conn = await AsyncConn.to(self.endpoint, PATIENCE)
        self.lives += 1
        self.number = self.person + PERSONS * self.lives

    async def _ask_on(self):
        while not self.over.is_set():
            await self.going.wait()
            depth = self.random.choice([2, 4, 8]) if "W9" in self.workloads and self.random.random() < 0.2 else 1
            await self.ask([self.request() for _ in range(depth)])
            if self.unsure:
                await self._look_for(*self.unsure[-1])
            await asyncio.sleep(self.random.uniform(0, THINK))

    async def ask(self, requests):
        """All in one write. Those without an answer are INFO when the connection ends, which is raised."""
        waiting = list(requests)
        try:
            await self.conn.send(b"".join(encode(*command) for _, commands in waiting for command in commands))
            while waiting:
                op, commands = waiting[0]
                replies = [await self.conn.read() for _ in commands]
                waiting.pop(0)
                self.file(op, commands, replies)
        finally:
            for op, _ in waiting:
                self._end(op, INFO)

    async def _look_for(self, key, value):
        """W10: an element that is there needs no second attempt."""
        op = await self._read_now(key)
        if op.outcome == OK and value in (op.reply or []):
            self.unsure.remove((key, value))

    async def read_all_as(self, number, names):
        """Each key once, until it is answered, under a number of its own."""
        await self._connect()
        self.number = number
        deadline = time.monotonic() + PATIENCE
        for name in names:
            while (op := await self._read_now(name)).outcome != OK:
                if time.monotonic() > deadline:
                    self.problems.append(f"{name} can't be read in the end: {op.reply}")
                    return
                await asyncio.sleep(0.05)

    async def _read_now(self, name):
        op, commands = self.read(name)
        await self.ask([(op, commands)])
        return op
