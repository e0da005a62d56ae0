"""The engine as a process, redis-server beside it, and what makes two replies equal."""
import re
import socket
import subprocess

from engine_samples import Any, Later, Shape, Sizes, Unordered

from .resp import encode

START_MS = 1_800_000_000_000  # what both clocks show when a script begins
CONTAINERS = {b"*": 1, b"~": 1, b">": 1, b"%": 2}
NUMBERS = re.compile(rb"[0-9]+(-[0-9]+)?")


def tree(raw, at=0):
    """((kind, bytes or list of nodes), where the frame ends); IndexError or ValueError when it is not whole."""
    line = raw.index(b"\r\n", at)
    kind, rest = bytes(raw[at : at + 1]), bytes(raw[at + 1 : line])
    at = line + 2
    if kind in (b"$", b"=", b"!") and int(rest) >= 0:
        end = at + int(rest)
        if raw[end : end + 2] != b"\r\n":
            raise IndexError("not whole")
        return (kind, bytes(raw[at:end])), end + 2
    if kind not in CONTAINERS or int(rest) < 0:
        return (kind, rest), at
    nodes = []
    for _ in range(CONTAINERS[kind] * int(rest)):
        node, at = tree(raw, at)
        nodes.append(node)
    return (kind, nodes), at


def mapped(node, leaf):
    kind, value = node
    return (kind, [mapped(each, leaf) for each in value]) if isinstance(value, list) else leaf(kind, value)


def unordered(node):
    kind, value = node
    if not isinstance(value, list):
        return node
    value = [unordered(each) for each in value]
    if kind == b"%":
        value = [list(pair) for pair in zip(value[::2], value[1::2])]
    return kind, sorted(value, key=repr)


def without_numbers(kind, value):
    is_number = kind in (b":", b",") or NUMBERS.fullmatch(value)
    return kind, b"number" if is_number else value


def only_errors(kind, value):
    return kind, value if kind == b"-" else b""


COMPARE = {
    Unordered: lambda a, b: unordered(a) == unordered(b),
    Shape: lambda a, b: mapped(a, without_numbers) == mapped(b, without_numbers),
    Sizes: lambda a, b: mapped(a, only_errors) == mapped(b, only_errors),
    Any: lambda a, b: (a[0] == b"-") == (b[0] == b"-"),
}


def same(command, ours, theirs):
    """Whether two raw replies are equal as far as the command's class asks."""
    if ours == theirs:
        return True
    compare = COMPARE.get(type(command))
    return compare is not None and compare(tree(ours)[0], tree(theirs)[0])


class Peer:
    """One side: a socket that answers RESP."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = bytearray()

    def ask(self, *args):
        """The raw reply."""
        self.sock.sendall(encode(*args))
        return self.read()

    def ask_all(self, commands):
        """As ask, in one round trip."""
        self.sock.sendall(b"".join(encode(*command) for command in commands))
        return [self.read() for _ in commands]

    def words_raw(self, *args):
        """The elements of a reply that is an array of bulks."""
        return [value for _, value in tree(self.ask(*args))[0][1]]

    def words(self, *args):
        return [word.decode() for word in self.words_raw(*args)]

    def read(self):
        while True:
            try:
                _, end = tree(self.buffer)
            except (IndexError, ValueError):
                self._receive()
                continue
            raw = bytes(self.buffer[:end])
            del self.buffer[:end]
            return raw

    def _receive(self):
        data = self.sock.recv(1 << 16)
        if not data:
            raise ConnectionError("the other side ended")
        self.buffer += data

    def close(self):
        self.sock.close()


MAY_BLOCK = {"blmove", "blmpop", "blpop", "brpop", "brpoplpush", "bzmpop", "bzpopmax", "bzpopmin", "xread", "xreadgroup"}


class RedisPeer(Peer):
    """On a FrozenRedis."""

    def __init__(self, server):
        super().__init__(socket.create_connection((server.host, server.port), 10))
        self.set_clock = server.set_clock
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, *args):
        """What may block does so in a transaction, where it answers at once, as the engine does."""
        if str(args[0]).lower() not in MAY_BLOCK:
            return super().ask(*args)
        _, queued, done = self.ask_all([("MULTI",), args, ("EXEC",)])
        return queued if queued.startswith(b"-") else done.removeprefix(b"*1\r\n")


class EngineCli(Peer):
    """tests/unit/engine/engine_cli, its stdin and stdout being one socket."""

    def __init__(self, program):
        ours, theirs = socket.socketpair()
        ours.settimeout(20)
        self.process = subprocess.Popen([program], stdin=theirs, stdout=theirs, stderr=subprocess.PIPE)
        theirs.close()
        super().__init__(ours)

    def set_clock(self, now_ms):
        self.ask("DEBUG-CLOCK", now_ms)

    def _receive(self):
        try:
            super()._receive()
        except ConnectionError as problem:
            raise ConnectionError(f"engine_cli ended with {self.process.wait(20)}: {self._said()}") from problem

    def _said(self):
        return self.process.stderr.read().decode(errors="replace")[-3000:]

    def close(self):
        """The exit code; a sanitizer that found something makes it differ from 0."""
        super().close()
        code = self.process.wait(timeout=20)
        self.process.stderr.close()
        return code


VALUE = {
    b"string": lambda key: ("GET", key),
    b"list": lambda key: ("LRANGE", key, "0", "-1"),
    b"hash": lambda key: Unordered("HGETALL", key),
    b"set": lambda key: Unordered("SMEMBERS", key),
    b"zset": lambda key: ("ZRANGE", key, "0", "-1", "WITHSCORES"),
    b"stream": lambda key: ("XRANGE", key, "-", "+"),
}


def without_cache(raw):
    """A HyperLogLog without its cached count, which Redis writes when it is read."""
    at = raw.find(b"HYLL")
    return raw if at < 0 else raw[: at + 8] + raw[at + 16 :]


BY_NAME = {"zlexcount", "zrangebylex", "zrevrangebylex", "zremrangebylex"}


def range_by_name(command):
    """The key whose members the command looks up by their names alone; None when it does no such thing."""
    name, *args = [word.lower() if isinstance(word, str) else word for word in command]
    if name in BY_NAME and args:
        return command[1]
    if name in ("zrange", "zrangestore") and "bylex" in args and len(args) > 1:
        return command[2 if name == "zrangestore" else 1]
    return None


class Pair:
    """The engine and redis-server, given the same commands at the same time.

    Of small integers Redis has one object for all keys, but COPY makes another: after a COPY the count of references is
    Redis's own affair."""

    def __init__(self, engine, redis):
        self.engine, self.redis = engine, redis
        self.copied = False

    def begin(self, resp):
        """An empty keyspace, replies in this version of RESP."""
        self.copied = False
        for side in (self.engine, self.redis):
            side.ask("HELLO", resp)
            side.ask("FLUSHALL")
        self._set_clock(START_MS)

    def _set_clock(self, now_ms):
        self.now_ms = now_ms
        for side in (self.engine, self.redis):
            side.set_clock(now_ms)

    def _is_left_open(self, command):
        """Redis leaves open what ranges by name find among members of different scores. In a listpack it looks at one after
        the other, as the engine does; in a skiplist it depends on the levels, which are drawn at random."""
        key = range_by_name(command)
        if key is None or self._encoding(key) != b"skiplist":
            return False
        ends = [self.redis.words_raw("ZRANGE", key, at, at)[0] for at in ("0", "-1")]
        return self.redis.ask("ZSCORE", key, ends[0]) != self.redis.ask("ZSCORE", key, ends[1])

    def _encoding(self, key):
        return tree(self.redis.ask("OBJECT", "ENCODING", key))[0][1]

    def _ask_redis(self, command):
        """Redis's reply, and SORT without what it has beside its reply. In Redis 7.0 that is
        - an errno that an earlier command left behind (ERANGE, after 1e400) is taken for a member that is no number. A float
          that can't be read makes it 0.
        - a small sorted set becomes a skiplist because it was read, also when SORT fails. RESTORE makes it small again."""
        if str(command[0]).lower() not in ("sort", "sort_ro") or len(command) < 2:
            return self.redis.ask(*command)
        key = command[1]
        was = self._encoding(key)
        self.redis.ask("INCRBYFLOAT", "no key", "x")
        reply = self.redis.ask(*command)
        if was == b"listpack" and self._encoding(key) == b"skiplist":
            dump, expiry = tree(self.redis.ask("DUMP", key))[0][1], tree(self.redis.ask("PEXPIRETIME", key))[0][1]
            self.redis.ask("RESTORE", key, max(int(expiry), 0), dump, "REPLACE", "ABSTTL")
        return reply

    def differs(self, command):
        """None, or the two replies in words."""
        if isinstance(command, Later):
            self._set_clock(self.now_ms + command[0])
            return None
        if self._is_left_open(command):
            return None
        self.copied |= str(command[0]).lower() == "copy"
        ours, theirs = self.engine.ask(*command), self._ask_redis(command)
        return None if self._same(command, ours, theirs) else self._words(command, ours, theirs)

    def _same(self, command, ours, theirs):
        words = [str(word).lower() for word in command[:2]]
        if self.copied and words == ["object", "refcount"]:
            command = Shape(*command)
        return same(command, ours, theirs)

    @staticmethod
    def _words(command, ours, theirs):
        return f"{command!r}\n  engine: {ours[:1500]!r}\n  redis:  {theirs[:1500]!r}"

    def state_differs(self):
        """None, or the first key whose type, encoding, value or TTL is not the same on both sides."""
        ours, theirs = self.engine.words_raw("DEBUG-KEYS"), self.redis.words_raw("KEYS", "*")
        if sorted(ours) != sorted(theirs):
            return f"keys\n  engine: {sorted(ours)!r}\n  redis:  {sorted(theirs)!r}"
        for key in sorted(theirs):
            for command in self._views(key):
                ours, theirs = self.engine.ask(*command), self.redis.ask(*command)
                if not self._same(command, without_cache(ours), without_cache(theirs)):
                    return "final state: " + self._words(command, ours, theirs)
        return None

    def _views(self, key):
        """The commands that show all of a key."""
        kind = tree(self.redis.ask("TYPE", key))[0][1]
        more = [("XINFO", "STREAM", key, "FULL")] if kind == b"stream" else []
        return [("TYPE", key), ("OBJECT", "ENCODING", key), VALUE[kind](key), ("PTTL", key), *more]

    def run(self, script, resp):
        """None, or what differs first: (position, words)."""
        self.begin(resp)
        for position, command in enumerate(script):
            words = self.differs(command)
            if words is not None:
                return position, f"RESP{resp}, command {position + 1}: {words}"
        words = self.state_differs()
        return None if words is None else (len(script), f"RESP{resp}, {words}")


def shrunk(script, fails):
    """A part of the script that still fails, from which no single command can be left out (delta debugging)."""
    size = max(len(script) // 2, 1)
    while True:
        at, before = 0, len(script)
        while at < len(script):
            shorter = script[:at] + script[at + size :]
            if shorter and fails(shorter):
                script = shorter
            else:
                at += size
        if size == 1 and len(script) == before:
            return script
        size = max(size // 2, 1)


def minimal(pair, script, position, resp):
    """The shortest script that still differs, as lines of Python, and what differs in it."""
    short = shrunk(script[: position + 1], lambda part: pair.run(part, resp) is not None)
    again = pair.run(short, resp)
    return "".join(f"    {command!r},\n" for command in short) + (again[1] if again else "differed, but not each time it ran")


def report(pair, script, found, resp):
    """What differed, then what makes it differ. A difference that does not come again is no less of one: something beside
    the commands decided, which neither side may let show."""
    position, words = found
    if pair.run(script, resp) is None:
        return f"{words}\nwhen the same script ran again, nothing differed. It was:\n    {script[: position + 1]!r}"
    return f"{words}\nthe shortest part that differs:\n{minimal(pair, script, position, resp)}"
