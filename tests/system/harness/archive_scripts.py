"""Random scripts for a client of the proxy: the commands of engine_grammar, and what is more than one command on its keys.

A script is a list of commands as in engine_samples, and of these:"""
from engine_samples import Any, Command, Later, Sizes, Unordered

from .engine_cli import MAY_BLOCK, range_by_name
from .engine_grammar import GRAMMAR, KEYS, MEMBERS, TREES, command_of, script_of


class Other(tuple):
    """A command that comes from the second connection."""

    def __new__(cls, command):
        return super().__new__(cls, (command,))

    @property
    def command(self):
        return self[0]

    def __repr__(self):
        return f"Other({self[0]!r})"


class Inline(Command):
    """Sent as a line, not as an array."""


class Iterate(Command):
    """SCAN, HSCAN … without its cursor: from 0 on, until 0 comes back."""


class Popped(Sizes):
    """SPOP: what it leaves is random, too."""


class Waits(Command):
    """May wait. While it does, the second connection sends the command food, if there is one."""

    def __new__(cls, command, food=None):
        self = super().__new__(cls, *command)
        self.food = food
        return self

    def __repr__(self):
        return f"Waits({tuple(self)!r}, {self.food!r})"


GLOBS = ["*", "*", "s*", "?1", "[a-m]*", "none", "", "hex:*", b"\xff*"]
FOOD = {"blpop": "rpush", "brpop": "lpush", "blmove": "rpush", "brpoplpush": "lpush", "blmpop": "rpush", "bzmpop": "zadd",
        "bzpopmax": "zadd", "bzpopmin": "zadd", "xread": "xadd", "xreadgroup": "xadd"}  # fmt: skip


def option(rng, *words):
    return words if rng.random() < 0.4 else ()


def scan(rng):
    count = rng.choice(["1", "2", "3", "10", "1000", "0", "x"]) if rng.random() < 0.9 else "-1"
    kind = rng.choice(["string", "list", "set", "zset", "hash", "stream", "LIST", "nothing"])
    return Iterate("SCAN", *option(rng, "MATCH", rng.choice(GLOBS)), *option(rng, "COUNT", count), *option(rng, "TYPE", kind))


# What is about all keys, by row, and how often it comes.
WHOLE = {
    "dbsize": (4, lambda rng: Command("DBSIZE")),
    "keys": (4, lambda rng: Unordered("KEYS", rng.choice(GLOBS))),
    "randomkey": (3, lambda rng: Any("RANDOMKEY")),
    "scan": (4, scan),
    "flushdb": (0.3, lambda rng: Command("FLUSHDB", *option(rng, rng.choice(["SYNC", "async", "x"])))),
    "flushall": (0.3, lambda rng: Command("FLUSHALL", *option(rng, rng.choice(["sync", "ASYNC", "x"])))),
}
TRANSACTION = ("multi", "exec", "discard", "watch", "unwatch")


def whole(rng, hits):
    row = rng.choices(list(WHOLE), [weight for weight, _ in WHOLE.values()])[0]
    hits[row] += 1
    return WHOLE[row][1](rng)


ITERATE = ("hscan", "sscan", "zscan")  # one call is all there is, unless the value is large


def fits_a_transaction(command):
    return str(command[0]).lower() not in ("sort", "sort_ro", *ITERATE) and range_by_name(command) is None


def drawn(rng, row):
    """A command of the row."""
    command = command_of(rng, row)
    return Popped(*command) if row == "spop" else command


def some(rng, rows, hits, count):
    """Commands that may stand in a transaction."""
    found = []
    while len(found) < count:
        row = rng.choice(rows)
        command = drawn(rng, row)
        if fits_a_transaction(command):
            hits[row] += 1
            found.append(command)
    return found


def any_key(rng):
    return rng.choice(KEYS[rng.choice(list(KEYS))])


def transaction(rng, rows, hits):
    """[WATCH …] [other's commands] MULTI … (EXEC | DISCARD), the other client and the clock in between."""
    for row in TRANSACTION[:4]:
        hits[row] += 1
    watched = [any_key(rng) for _ in range(rng.randint(1, 3))]
    steps = [Command("WATCH", *watched)] if rng.random() < 0.6 else []
    steps += some(rng, rows, hits, rng.choice([0, 0, 1]))
    if rng.random() < 0.08:
        hits["unwatch"] += 1
        steps.append(Command("UNWATCH"))
    steps += [Other(command) for command in some(rng, rows, hits, rng.choice([0, 0, 1, 2]))]
    steps += [Later(rng.choice([1, 50, 2001]))] if rng.random() < 0.1 else []
    steps.append(Command("MULTI"))
    steps += some(rng, rows, hits, rng.choice([0, 1, 2, 4, 8]))
    steps += rng.choice([[Command("MULTI")], [Command("UNWATCH")], [Command("WATCH", *watched)]]) if rng.random() < 0.1 else []
    steps += [Other(command) for command in some(rng, rows, hits, rng.choice([0, 0, 0, 1]))]
    return [*steps, Command("DISCARD" if rng.random() < 0.15 else "EXEC")]


def waits(rng, command):
    """A blocking command: in a transaction, where it never waits, or by itself."""
    if rng.random() < 0.4:
        return [Command("MULTI"), command, Command("EXEC")]
    food = command_of(rng, FOOD[str(command[0]).lower()]) if rng.random() < 0.7 else None
    return [Waits(command, food)]


def large(rng):
    """A value of many elements, or of many bytes: more than one page of a document, and the large encodings."""
    count = rng.choice([130, 600, 2000])
    words = [f"{rng.choice(MEMBERS[:9])}:{number}" for number in range(count)]
    pairs = [word for number, name in enumerate(words) for word in (name, str(number))]
    return rng.choice([
        lambda: Command("RPUSH", "l1", *words),
        lambda: Command("SADD", "e1", *(words if rng.random() < 0.5 else map(str, range(count)))),
        lambda: Command("HSET", "h1", *pairs),
        lambda: Command("ZADD", "z1", *[word for name, score in zip(pairs[::2], pairs[1::2]) for word in (score, name)]),
        lambda: Command("APPEND", "s1", "x" * 100 * count),
        lambda: Command("SETRANGE", "b1", 50 * count, "end"),
        lambda: Command("XADD", "x1", "61-1", *pairs),
    ])()  # fmt: skip


def dressed(rng, command, iterates):
    """The same command, perhaps sent in another way."""
    if str(command[0]).lower() == "spop":
        command = Popped(*command)
    if iterates and str(command[0]).lower() in ITERATE and command[2:3] == ("0",):
        return Iterate(*command[:2], *command[3:])
    draw = rng.random()
    if draw < 0.04 and type(command) is Command:
        return Inline(*command)
    return Other(command) if draw < 0.1 else command


def proxy_script(rng, rows, length, hits):
    """A list of commands; hits counts them by row. Half of the scripts leave the clock alone for long, so that pipelines
    become deep."""
    plain = [row for row in rows if row in GRAMMAR]
    steps = script_of(rng, plain, length, hits)
    deep, script = rng.random() < 0.5, [large(rng)] if rng.random() < 0.15 else []
    iterates = bool(script)
    for step in steps:
        if isinstance(step, Later):
            script += [] if deep and rng.random() < 0.9 else [step]
        elif str(step[0]).lower() in MAY_BLOCK:
            script += waits(rng, step)
        else:
            script.append(dressed(rng, step, iterates))
        if rng.random() < 0.02:
            script.append(whole(rng, hits))
        if rng.random() < 0.02:
            script += transaction(rng, plain, hits)
    return script


def rows_without_grammar(rows):
    return set(rows) - set(TREES) - set(WHOLE) - set(TRANSACTION)
