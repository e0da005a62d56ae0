"""Scripts of commands that tests/system/test_engine.py gives to redis-server and to the engine.

A module of this folder has SAMPLES = [script, …]; a script is a list of commands and runs on an empty keyspace. A command is a
tuple of str (sent as UTF-8), bytes, or numbers. Replies are compared byte for byte, in RESP2 and in RESP3. A command whose reply
is not fixed is wrapped:

    Unordered("SMEMBERS", "s")      arrays, sets and maps are equal whatever the order of their elements (at every depth)
    Shape("OBJECT", "IDLETIME", "x") the types and lengths are compared, and everything but numbers; numbers may differ
    Sizes("SRANDMEMBER", "s", "2")  the number of elements and their kinds
    Any("RANDOMKEY")                only that both answer, and whether it is an error

Both sides see one clock, which stands still: TTLs and the times in XINFO are compared exactly. Later(ms) in place of a command
moves it."""


class Command(tuple):
    """Compared exactly. Samples may use plain tuples instead."""

    def __new__(cls, *args):
        return super().__new__(cls, args)

    def __repr__(self):
        return f"{type(self).__name__}{tuple(self)!r}"


class Unordered(Command):
    """The order of elements is the store's own affair (SMEMBERS, HGETALL, KEYS …)."""


class Shape(Command):
    """Holds numbers that are the store's own affair."""


class Any(Command):
    """The reply is random."""


class Sizes(Command):
    """Which elements come is random: only their number and kinds are compared."""


class Later(Command):
    """Not a command: Later(ms) moves the clock of both sides."""
