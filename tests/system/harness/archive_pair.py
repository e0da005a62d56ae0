"""The proxy with an archive, redis-server beside it: the same commands on both, in pipelines, on two connections.

Both processes see one clock, which stands still until a script moves it (harness/engine_clock.py): no reply may differ
because of the time. What a script is made of: harness/archive_scripts.py."""
import select
import socket
import time

from engine_samples import Command, Later, Shape, Sizes

from .archive_scripts import Inline, Iterate, Other, Popped, Waits
from .engine_cli import CONTAINERS, MAY_BLOCK, START_MS, VALUE, Peer, same, tree, without_cache
from .engine_cli import Pair as EnginePair
from .engine_cli import range_by_name
from .proxy import Proxy
from .resp import encode
from .wait import eventually

DEPTH = 50  # commands that are on their way at once
PATIENCE = 10.0  # seconds for what must come
SERVES_ALL = {"conv.match": "*", "conv.primary": "archive", "conv.ttl": 0, "conv.max_messages": 0}


class FrozenProxy(Proxy):
    """A proxy that serves every key from its archive, and whose wall clock is the FrozenRedis's."""

    def __init__(self, folder, clock, archive, settings=None):
        nobody = "redis://127.0.0.1:1/0"  # Redis is not asked: nothing listens there
        settings = {**SERVES_ALL, "archive.url": archive, "archive.sweep_interval": "10ms", **(settings or {})}
        super().__init__(folder, nobody, settings=settings)
        self.clock = clock

    def sweeps(self):
        return self.metrics()["archive_sweeps_total"]

    def environment(self):
        """The sanitizers want to be the first library; the clock replaces nothing of theirs."""
        env = super().environment()
        asan = env["ASAN_OPTIONS"] + ":verify_asan_link_order=0"
        clock = {"LD_PRELOAD": str(self.clock.library), "CONV_CLOCK_FILE": str(self.clock.clock_path)}
        return {**env, **clock, "ASAN_OPTIONS": asan, "CONV_CLOCK_SPARES": "gettimeofday"}  # libmongoc's time-outs


def sent(step):
    """The bytes of a command."""
    return inline(step) if isinstance(step, Inline) else encode(*step)


def inline(words):
    """A line in which every byte that could mean something is spelled out."""
    def quoted(word):
        word = word if isinstance(word, bytes) else str(word).encode()
        return b'"' + b"".join(bytes([c]) if chr(c).isalnum() and c < 128 else b"\\x%02x" % c for c in word) + b'"'

    return b" ".join([str(words[0]).encode(), *map(quoted, words[1:])]) + b"\r\n"


def elements(raw):
    """The raw replies that an array is made of; None when it is no array."""
    line = raw.index(b"\r\n")
    if raw[:1] not in CONTAINERS or raw[1:line] == b"-1":
        return None
    at, found = line + 2, []
    while at < len(raw):
        _, end = tree(raw, at)
        found.append(raw[at:end])
        at = end
    return found


def ids_of(raw):
    """A reply's number."""
    return raw[1:-2].decode()


class Link(Peer):
    """One connection of a client."""

    def __init__(self, endpoint):
        super().__init__(socket.create_connection((endpoint.host, endpoint.port), PATIENCE))
        self.sock.settimeout(PATIENCE)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.id = ids_of(self.ask("CLIENT", "ID"))

    def pipeline(self, steps):
        self.sock.sendall(b"".join(map(sent, steps)))
        return [self.read() for _ in steps]

    def has_reply(self):
        return bool(self.buffer) or bool(select.select([self.sock], [], [], 0)[0])


class Side:
    """Two connections of clients, and one to look on."""

    waiting = ""  # the field of INFO that counts the commands that wait

    def __init__(self, endpoint):
        self.links = [Link(endpoint), Link(endpoint)]
        self.aux = Link(endpoint)

    def ask(self, *args):
        return self.aux.ask(*args)

    def words_raw(self, *args):
        return self.aux.words_raw(*args)

    def begin(self, resp):
        for link in self.links:
            link.ask_all([("DISCARD",), ("UNWATCH",), ("HELLO", resp)])
        self.aux.ask_all([("HELLO", resp), ("FLUSHALL",)])

    def is_waiting(self):
        info = tree(self.ask("INFO", *self.section))[0][1]
        return self.waiting + b":0\r\n" not in info

    def answers_or_waits(self, link):
        """Waits for either; True when it is the reply."""
        deadline = time.monotonic() + PATIENCE
        while not link.has_reply():
            if self.is_waiting():
                return False
            assert time.monotonic() < deadline, f"{type(self).__name__}: neither answers nor waits"
        return True

    def give_up(self, link):
        """Ends a command that waits; what it answers then."""
        ended = self.ask("CLIENT", "UNBLOCK", link.id)
        assert ended == b":1\r\n", f"{type(self).__name__}: CLIENT UNBLOCK says {ended!r}"
        return link.read()

    def close(self):
        for link in [*self.links, self.aux]:
            link.close()


class RedisSide(Side):
    section = ("clients",)
    waiting = b"blocked_clients"


class ProxySide(Side):
    section = ()
    waiting = b"archive_parked"


def in_transaction(step):
    """As the step is compared there: Redis counts its queue of commands among those who hold a value."""
    return Shape(*step) if [str(word).lower() for word in step[:2]] == ["object", "refcount"] else step


def verb(step):
    return str(step[0]).lower()


# Redis must be looked at before they run, so what was sent before must be done.
def is_delicate(step):
    return verb(step) in ("sort", "sort_ro") or range_by_name(step) is not None


ALONE = {"dbsize", "randomkey"}
# What EXEC thinks of a watched key on which one of these ran differs: Redis does not see the changes of stream groups; and it takes
# PFCOUNT for a change, because it keeps the count in the value, which the archive does not.
QUIET = {"xgroup", "xreadgroup", "xack", "xclaim", "xautoclaim", "xsetid", "pfcount"}


class ArchivePair(EnginePair):
    """As the Pair of engine_cli, through connections: pipelines, transactions, commands that wait, and all keys."""

    def __init__(self, proxy, redis):
        super().__init__(ProxySide(proxy), RedisSide(redis))
        self.proxy, self.server = self.engine, proxy
        self.now_ms = 0
        self.clock = redis
        self.open = [False, False]  # by connection: between MULTI and EXEC
        self.queued = [[], []]
        self.watched = set()
        self.sent = 0

    def reconnect(self):
        """After the proxy has begun anew."""
        self.proxy.close()
        self.proxy = self.engine = ProxySide(self.server)

    def close(self):
        self.proxy.close()
        self.redis.close()

    def begin(self, resp):
        self.copied = False
        self.open, self.queued, self.watched = [False, False], [[], []], set()
        for side in (self.proxy, self.redis):
            side.begin(resp)
        self._turn_back()

    def _turn_back(self):
        """Time goes backwards between scripts: a sweep that has looked at the clock before must be over."""
        backwards = self.now_ms > START_MS
        self._set_clock(START_MS)
        before = self.server.sweeps() if backwards else 0
        eventually(lambda: not backwards or self.server.sweeps() > before, PATIENCE, 0.005)

    def _set_clock(self, now_ms):
        self.now_ms, self.now_us = now_ms, 0
        self.clock.set_clock(now_ms)

    def _tick(self):
        """A microsecond, which no reply shows: the archive tells by them what came first."""
        self.now_us = min(self.now_us + 1, 999)
        self.clock.set_clock(self.now_ms + self.now_us / 1000)

    def _same(self, command, ours, theirs):
        return super()._same(Sizes(*command) if isinstance(command, Popped) else command, ours, theirs)

    # ---- one round: commands of one connection, in one pipeline ----

    def _note(self, link, step):
        name = verb(step)
        self.copied |= name == "copy"
        if name in ("multi", "exec", "discard") and len(step) == 1:
            self.open[link] = name == "multi"
        if name == "watch" and not self.open[link]:
            self.watched.update(step[1:])
        elif name in ("exec", "discard", "unwatch"):
            self.watched.clear()

    def _is_quiet(self, link, step):
        """Left out: see QUIET and test_groups_are_watched."""
        return not self.open[link] and verb(step) in QUIET and not self.watched.isdisjoint(step)

    def round(self, link, steps):
        """None, or (which of them, what differs in words)."""
        self.sent += len(steps)
        ours, theirs = (side.links[link].pipeline(steps) for side in (self.proxy, self.redis))
        for number, (step, our, their) in enumerate(zip(steps, ours, theirs)):
            if not self._agree(link, step, our, their):
                return number, self._words(step, our, their)
        return None

    def _agree(self, link, step, ours, theirs):
        if theirs == b"+QUEUED\r\n":
            self.queued[link].append(step)
            return ours == theirs
        if verb(step) in ("exec", "discard"):
            steps, self.queued[link] = self.queued[link], []
            if verb(step) == "exec" and ours != theirs:
                return self._agree_each(steps, elements(ours), elements(theirs))
        return self._same(step, ours, theirs)

    def _agree_each(self, steps, ours, theirs):
        if ours is None or theirs is None or not len(ours) == len(theirs) == len(steps):
            return False
        return all(map(self._same, map(in_transaction, steps), ours, theirs))

    @staticmethod
    def _words(command, ours, theirs):
        return f"{command!r}\n  proxy: {ours[:1500]!r}\n  redis: {theirs[:1500]!r}"

    # ---- what goes alone ----

    def alone(self, link, step):
        """As round, for one command that can't be in a pipeline."""
        self.sent += 1
        if isinstance(step, Iterate):
            words = self._iterate(link, step)
        elif verb(step) == "dbsize":
            words = self._dbsize(link, step)
        elif verb(step) == "randomkey":
            words = self._randomkey(link, step)
        elif verb(step) in MAY_BLOCK:
            words = self._wait(link, step)
        elif self._is_left_open(step):
            return None
        else:
            ours, theirs = self.proxy.links[link].pipeline([step])[0], self._ask_redis(step)
            words = None if self._same(step, ours, theirs) else self._words(step, ours, theirs)
        return None if words is None else (0, words)

    def _iterated(self, connection, step):
        """What a whole iteration tells, by keys, members or pairs; bytes when it is an error."""
        cursor, found, name = b"0", [], verb(step)
        fixed, size = (1 if name == "scan" else 2), (2 if name in ("hscan", "zscan") else 1)
        for _ in range(10000):
            raw = connection.ask(*step[:fixed], cursor, *step[fixed:])
            if raw.startswith(b"-"):
                return raw
            (_, cursor), (_, nodes) = tree(raw)[0][1]
            found += zip(*[iter(nodes)] * size)
            if cursor == b"0":
                return found
        raise AssertionError(f"{step!r} does not come to an end")

    def _iterate(self, link, step):
        """Redis may tell one twice while its table grows; an archive at rest has no reason to."""
        ours, theirs = (self._iterated(side.links[link], step) for side in (self.proxy, self.redis))
        equal = ours == theirs if isinstance(theirs, bytes) or isinstance(ours, bytes) else sorted(ours) == sorted(set(theirs))
        return None if equal else f"{step!r}\n  proxy: {ours!r}\n  redis: {theirs!r}"

    def _dbsize(self, link, step):
        """Both count expired keys until they are met. In Redis an iteration meets all; the archive's sweeper comes soon."""
        self.redis.ask("SCAN", "0", "COUNT", "100000")
        theirs, deadline = self.redis.links[link].ask(*step), time.monotonic() + PATIENCE
        ours = self.proxy.links[link].ask(*step)
        while ours != theirs and int(ours[1:]) > int(theirs[1:]) and time.monotonic() < deadline:
            time.sleep(0.005)
            ours = self.proxy.links[link].ask(*step)
        return None if ours == theirs else self._words(step, ours, theirs)

    def _randomkey(self, link, step):
        keys = self.redis.words_raw("KEYS", "*")
        ours, theirs = self.proxy.links[link].ask(*step), self.redis.links[link].ask(*step)
        right = tree(ours)[0][1] in keys if keys else ours == theirs
        return None if right else f"{step!r}\n  proxy: {ours!r}\n  keys:  {sorted(keys)!r}"

    def _wait(self, link, step):
        """Either both answer or both wait. What waits is given its food by the other connection, or ended by CLIENT UNBLOCK."""
        step, food = patient(step), step.food if isinstance(step, Waits) else None
        sides = (self.redis, self.proxy)
        for side in sides:
            side.links[link].sock.sendall(sent(step))
        theirs, ours = (side.answers_or_waits(side.links[link]) for side in sides)
        if theirs == ours and not theirs and food is not None:
            found = self.round(1 - link, [food])
            if found is not None:
                return f"while {step!r} waits: {found[1]}"
        theirs, ours = (self._come(side, side.links[link]) for side in sides)
        return None if self._same(step, ours, theirs) else self._words(step, ours, theirs)

    def _come(self, side, link):
        return link.read() if side.answers_or_waits(link) else side.give_up(link)

    # ---- a script ----

    def _goes_alone(self, step):
        return isinstance(step, (Iterate, Waits)) or verb(step) in ALONE or verb(step) in MAY_BLOCK or is_delicate(step)

    def _sent(self, script):
        """(position, connection, command) of what is sent. What a Popped leaves is deleted in the same breath."""
        for position, step in enumerate(script):
            link, command = (1, step.command) if isinstance(step, Other) else (0, step)
            if not self._is_quiet(link, command):
                yield position, link, command
            if isinstance(command, Popped) and len(command) > 1:
                yield position, link, Command("DEL", command[1])

    def _rounds(self, script):
        """(positions, connection, commands): pipelines end where something else must happen first."""
        positions, at, batch = [], 0, []
        for position, link, command in self._sent(script):
            special = isinstance(command, Later) or self._goes_alone(command)
            if batch and (special or link != at or len(batch) >= DEPTH):
                yield positions, at, batch
                positions, batch = [], []
            if special:
                yield [position], link, command
                continue
            positions, at, batch = [*positions, position], link, [*batch, command]
            self._note(link, command)
        if batch:
            yield positions, at, batch

    def _perform(self, link, work):
        self._tick()
        if isinstance(work, list):
            return self.round(link, work)
        if isinstance(work, Later):
            return self._set_clock(self.now_ms + work[0])
        if not self.open[link]:
            return self.alone(link, work)
        if verb(work) in MAY_BLOCK:
            return self.round(link, [Command(*work)])
        return None  # what must be looked at alone is left out of transactions

    def run(self, script, resp):
        """None, or what differs first: (position, words)."""
        self.begin(resp)
        for positions, link, work in self._rounds(script):
            found = self._perform(link, work)
            if found is not None:
                position = positions[found[0]]
                return position, f"RESP{resp}, command {position + 1}: {found[1]}"
        words = self.state_differs()
        return None if words is None else (len(script), f"RESP{resp}, {words}")

    def state_differs(self):
        """None, or the first key whose type, encoding, value or TTL is not the same on both sides."""
        ours, theirs = (sorted(side.words_raw("KEYS", "*")) for side in (self.proxy, self.redis))
        if ours != theirs:
            return f"keys\n  proxy: {ours!r}\n  redis: {theirs!r}"
        types = [tree(raw)[0][1] for raw in self.redis.aux.ask_all([("TYPE", key) for key in theirs])]
        views = [view for key, kind in zip(theirs, types) for view in views_of(key, kind)]
        for view, our, their in zip(views, *(side.aux.ask_all(views) for side in (self.proxy, self.redis))):
            if not self._same(view, without_cache(our), without_cache(their)):
                return "final state: " + self._words(view, our, their)
        return None


def views_of(key, kind):
    """The commands that show all of a key."""
    more = [("XINFO", "STREAM", key, "FULL")] if kind == b"stream" else []
    return [("TYPE", key), ("OBJECT", "ENCODING", key), VALUE[kind](key), ("PTTL", key), *more]


def patient(step):
    """A wait that would end by itself would end at different times: Redis's clock stands still."""
    words, name = list(step), verb(step)
    at = 1 if name in ("blmpop", "bzmpop") else len(words) - 1
    if name in ("xread", "xreadgroup"):
        names = [str(word).lower() for word in words]
        at = names.index("block") + 1 if "block" in names else 0
    try:
        if at > 0 and 0 < float(words[at]) < 1e5:
            words[at] = "100000"
    except (ValueError, IndexError):
        pass
    return Command(*words)
