"""Sorted sets. The blocking commands find something or fail: what they do when there is nothing depends on who waits."""
from . import Sizes, Unordered

BIG = "9223372036854775807"
SMALL = "-9223372036854775808"
TOO_BIG = "99999999999999999999"
ALL = ("ZRANGE", "z", "0", "-1", "WITHSCORES")
FIVE = ("ZADD", "z", "1", "a", "2", "b", "2", "c", "3.5", "d", "inf", "e")
LEX = ("ZADD", "x", "0", "a", "0", "b", "0", "ba", "0", "c", "0", "", "0", b"\xff", "0", b"b\x00")
ENCODING = ("OBJECT", "ENCODING", "z")
SCORES = ["0", "-0", "1", "-1", "1.5", "1e3", "1e400", "1e-400", "-1e400", "inf", "+inf", "-inf", "Infinity", "nan", "-nan", "x", "", " 1", "1 ", "0x10", "1e", ".5", "5.", "3.0000000000000004",
          "0.1", "1e17", "1e21", "9007199254740993", "4503599627370497", "-4503599627370496", "17179869184", b"1\x00", b"1\x002", "123456789012345678"]
BOUNDS = ["0", "1", "2", "(1", "(2", "3.5", "(3.5", "inf", "-inf", "+inf", "(inf", "(-inf", "", "(", " 1", "( 1", "1e400", "1e-400", "nan", "(nan", "x", "[1", "((1", "0x2", b"2\x00x", "-0"]
MEMBERS = ["-", "+", "[a", "(a", "[b", "(b", "[", "(", "[zz", "a", "", "--", "+a", b"-\x00", b"+\x00x", b"[b\x00", b"(b\x00", b"[\xff", "[ba"]
RANKS = ["0", "1", "2", "4", "5", "9", "-1", "-2", "-5", "-9", BIG, SMALL, TOO_BIG, "x", "", "1.0"]
COUNTS = ["0", "1", "2", "5", "9", "-1", "-5", BIG, SMALL, TOO_BIG, "x", "", "+1"]
FLAGS = [(), ("NX",), ("XX",), ("GT",), ("LT",), ("CH",), ("INCR",), ("XX", "GT"), ("XX", "LT", "CH"), ("NX", "XX"), ("NX", "GT"), ("LT", "NX"), ("GT", "LT"), ("NX", "INCR"), ("XX", "INCR"),
         ("GT", "INCR"), ("LT", "INCR"), ("CH", "INCR"), ("ch", "gt"), ("XX", "XX"), ("FOO",)]
KEYED = ("ZADD", "ZINCRBY", "ZREM", "ZCARD", "ZSCORE", "ZMSCORE", "ZRANK", "ZREVRANK", "ZRANGE", "ZRANGESTORE", "ZREVRANGE", "ZRANGEBYSCORE", "ZREVRANGEBYSCORE", "ZRANGEBYLEX",
         "ZREVRANGEBYLEX", "ZCOUNT", "ZLEXCOUNT", "ZREMRANGEBYRANK", "ZREMRANGEBYSCORE", "ZREMRANGEBYLEX", "ZPOPMIN", "ZPOPMAX", "ZMPOP", "ZRANDMEMBER", "ZSCAN", "ZUNION", "ZINTER",
         "ZDIFF", "ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE", "ZINTERCARD")  # fmt: skip
THREE_SETS = [("ZADD", "z", "1", "a", "2", "b", "3", "c", "inf", "i"), ("ZADD", "y", "10", "b", "20", "c", "30", "d", "-inf", "i", "0.1", "f"), ("SADD", "s", "a", "c", "e", "f")]
INPUTS = [("1", "z"), ("2", "z", "y"), ("2", "y", "z"), ("3", "z", "y", "s"), ("2", "z", "z"), ("2", "s", "s"), ("1", "s"), ("2", "z", "none"), ("2", "none", "z"), ("1", "none"), ("0", "z"), ("-1", "z"),
          ("3", "z", "y"), ("x", "z"), (BIG, "z"), (TOO_BIG, "z"), ("1", "t"), ("2", "none", "t"), ("2", "z", "y", "WEIGHTS", "2", "3"), ("2", "z", "y", "WEIGHTS", "0", "inf"), ("2", "z", "y", "WEIGHTS", "1"),
          ("2", "z", "y", "WEIGHTS", "x", "1"), ("2", "z", "y", "WEIGHTS", "nan", "1"), ("2", "z", "y", "AGGREGATE", "SUM"), ("2", "z", "y", "aggregate", "min"), ("2", "z", "y", "AGGREGATE", "MAX"),
          ("2", "z", "y", "AGGREGATE", "x"), ("2", "z", "y", "AGGREGATE"), ("2", "z", "y", "AGGREGATE", "MAX", "WEIGHTS", "-1", "0.5"), ("2", "z", "y", "WITHSCORES"), ("2", "z", "y", "LIMIT", "1"),
          ("2", "z", "y", "LIMIT", "0"), ("2", "z", "y", "LIMIT", "-1"), ("2", "z", "y", "LIMIT", "x"), ("2", "z", "y", "LIMIT"), ("2", "z", "y", "x"),
          ("2", "z", "y", "WITHSCORES", "AGGREGATE", "MIN", "WEIGHTS", "1", "1"), ("3", "s", "z", "y", "WEIGHTS", "3", "2", "1", "WITHSCORES")]


def rows(n, first=0):
    return [x for i in range(first, first + n) for x in (str(i), f"m{i}")]


SAMPLES = [
    # Adding
    *[[("ZADD", "z", s, "m"), ALL, ("ZSCORE", "z", "m"), ("ZINCRBY", "z", s, "m"), ("ZINCRBY", "z", s, "n"), ALL, ("ZSCAN", "z", "0"), ("ZINCRBY", "z", "-inf", "m")] for s in SCORES],
    *[[FIVE, ("ZADD", "z", *f, "2.5", "a"), ("ZADD", "z", *f, "0", "b"), ("ZADD", "z", *f, "2", "c"), ("ZADD", "z", *f, "7", "new"), ("ZADD", "z", *f, "1", "a", "9", "b", "8", "n"), ("ZADD", "z", *f, "1"),
       ("ZADD", "z", *f), ("ZADD", "z", *f, "x", "a"), ("ZADD", "z", *f, "-inf", "e"), ("ZADD", "none", *f, "1", "a"), ALL, ("ZRANGE", "none", "0", "-1"), ("ZINCRBY", "z", *f)] for f in FLAGS],
    [FIVE, ("ZADD", "z", "5", "a", "x", "b"), ALL, ("ZADD", "z", "5", "a", "6", "a", "7", "q", "8", "q"), ALL, ("ZADD", "z", "NX", "0", "a", "XX"), ("ZADD", "z", "1", "NX")],
    [("ZADD", "z", "1", "x" * 64), ENCODING, ("ZADD", "z", "1", "x" * 65), ENCODING, ("ZREM", "z", "x" * 65), ENCODING, ("ZADD", "z", "-0", "a"), ("ZSCORE", "z", "a"), ALL],
    [("ZADD", "z", *rows(128)), ENCODING, ("ZADD", "z", "5", "m7"), ENCODING, ("ZADD", "z", "-0", "new"), ENCODING, ("ZSCORE", "z", "new"), ("ZADD", "z", "0", "new"), ("ZSCORE", "z", "new"), ALL,
     ("ZREM", "z", *[f"m{i}" for i in range(100)]), ENCODING, ALL],
    [("ZADD", "z", *rows(300)), ("ZADD", "z", *rows(200, 250)), *[("ZRANK", "z", f"m{i}") for i in range(0, 470, 13)], *[("ZREVRANK", "z", f"m{i}") for i in range(0, 470, 31)], ("ZREM", "z", "m3", "m4", "m400"),
     ("ZRANK", "z", "m5"), ("ZINCRBY", "z", "-1000", "m9"), ("ZRANK", "z", "m9"), ("ZREMRANGEBYRANK", "z", "10", "400"), ("ZRANK", "z", "m440"), ALL],
    # One by one
    [FIVE, ("ZCARD", "z"), ("ZSCORE", "z", "d"), ("ZSCORE", "z", "q"), ("ZMSCORE", "z", "a", "q", "e"), ("ZRANK", "z", "c"), ("ZREVRANK", "z", "c"), ("ZRANK", "z", "q"), ("ZREM", "z", "a", "q", "a"), ALL,
     ("ZREM", "z", "b", "c", "d", "e", "f"), ("EXISTS", "z"), ("ZMSCORE", "z", "a"), ("ZADD", "z", "1", "a"), ("TYPE", "z"), ("EXPIRE", "z", "1000"), ("ZADD", "z", "2", "b"), ("TTL", "z")],
    # How many arguments, what is not there, and other types
    *[[FIVE, ("SET", "t", "v")] + [(c, k, *["1"] * n) for k in ("z", "none", "t") for n in range(5)] + [(c,), (c, "t", "1", "x", "y"), (c, "t", "x"), ("EXISTS", "none"), ALL]
      for c in KEYED if c not in ("ZPOPMIN", "ZPOPMAX", "ZRANDMEMBER", "ZADD")],
    [("SET", "t", "v"), ("ZADD", "t", "1", "a"), ("ZADD", "t", "x", "a"), ("ZADD", "t", "NX", "XX", "1", "a"), ("ZADD", "t"), ("ZADD", "t", "1"), ("ZPOPMIN", "t"), ("ZPOPMAX", "t", "0"), ("ZPOPMIN", "t", "x"), ("ZRANDMEMBER", "t"),
     ("ZRANDMEMBER", "t", "1"), ("ZRANGESTORE", "d", "t", "0", "1"), ("ZRANGESTORE", "t", "none", "0", "1"), ("EXISTS", "t")],
    # Ranges
    *[[FIVE] + [(c, "z", i, j) for c in ("ZRANGE", "ZREVRANGE") for j in RANKS] for i in RANKS],
    *[[FIVE, ("ZREMRANGEBYRANK", "z", i, j), ALL, ("EXISTS", "z")] for i in ("0", "1", "-2", "9", "-9", "x") for j in RANKS],
    *[[FIVE] + [(c, "z", i, j) for c in ("ZRANGEBYSCORE", "ZREVRANGEBYSCORE", "ZCOUNT") for j in BOUNDS] for i in BOUNDS],
    *[[FIVE, ("ZREMRANGEBYSCORE", "z", i, j), ALL] for i in ("-inf", "(1", "2", "x", "inf") for j in BOUNDS],
    *[[LEX, FIVE] + [(c, k, i, j) for k in ("x", "z") for c in ("ZRANGEBYLEX", "ZREVRANGEBYLEX", "ZLEXCOUNT") for j in MEMBERS] for i in MEMBERS],
    [("ZADD", "z", "-inf", "", "1.5", b"\xff", "1e3", "aa", "2e3", "b"), *[(c, "z", i, j, "LIMIT", n, "-1") for n in ("0", "1", "2", "3", "4")
      for c, i, j in (("ZRANGEBYLEX", "[", "(d"), ("ZRANGEBYLEX", "[a", "(d"), ("ZREVRANGEBYLEX", "(d", "[a"), ("ZREVRANGEBYLEX", "+", "[b"))]],
    *[[LEX, ("ZREMRANGEBYLEX", "x", i, j), ("ZRANGE", "x", "0", "-1")] for i in MEMBERS for j in ("-", "+", "[b", "(ba", "x")],
    *[[FIVE, LEX, ("ZRANGE", "z", "0", "9", *o), ("ZRANGE", "z", "9", "0", *o), ("ZRANGE", "x", "-", "+", *o), ("ZRANGE", "x", "+", "-", *o), ("ZRANGEBYSCORE", "z", "0", "9", *o), ("ZREVRANGEBYSCORE", "z", "9", "0", *o),
       ("ZRANGEBYLEX", "x", "-", "+", *o), ("ZREVRANGEBYLEX", "x", "+", "-", *o), ("ZREVRANGE", "z", "0", "9", *o), ("ZRANGE", "none", "0", "1", *o), ("ZRANGESTORE", "d", "z", "0", "9", *o), ("ZRANGE", "d", "0", "-1", "WITHSCORES"),
       ("ZRANGESTORE", "d", "z", "9", "0", *o), ("ZRANGE", "d", "0", "-1"), ("ZRANGESTORE", "z", "z", "0", "1", *o), ALL, ("ZRANGESTORE", "x", "none", "0", "1", *o), ("EXISTS", "x")] for o in (
        (), ("WITHSCORES",), ("withscores", "WITHSCORES"), ("REV",), ("REV", "REV"), ("BYSCORE",), ("BYLEX",), ("BYSCORE", "BYLEX"), ("BYSCORE", "REV"), ("BYLEX", "REV"), ("BYSCORE", "WITHSCORES"), ("BYLEX", "WITHSCORES"),
        ("LIMIT", "0", "1"), ("LIMIT", "1"), ("LIMIT", "0", "-1"), ("LIMIT", "5", "-1"), ("LIMIT", "x", "1"), ("LIMIT", "1", "x"), ("BYSCORE", "LIMIT", "1", "2"), ("BYSCORE", "LIMIT", "1", "0"), ("BYSCORE", "LIMIT", "-1", "2"),
        ("BYSCORE", "LIMIT", "1", "-5"), ("BYSCORE", "LIMIT", "9", "1"), ("BYSCORE", "LIMIT", BIG, BIG), ("BYLEX", "LIMIT", "1", "2"), ("BYLEX", "REV", "LIMIT", "1", "2"), ("REV", "BYSCORE", "LIMIT", "1", "2", "WITHSCORES"),
        ("LIMIT", "1", "2", "WITHSCORES"), ("WITHSCORES", "LIMIT", "1", "2"), ("LIMIT", "1", "2", "LIMIT", "0", "1"), ("FOO",))],
    [("ZADD", "z", *rows(300)), ("ZRANGESTORE", "d", "z", "0", "127"), ("OBJECT", "ENCODING", "d"), ("ZRANGESTORE", "d", "z", "0", "128"), ("OBJECT", "ENCODING", "d"), ("EXPIRE", "d", "1000"),
     ("ZRANGESTORE", "d", "z", "(5", "20", "BYSCORE"), ("OBJECT", "ENCODING", "d"), ("TTL", "d"), ("ZRANGE", "d", "0", "-1"), ("ZRANGESTORE", "d", "z", "9", "1"), ("EXISTS", "d")],
    # Popping
    *[[FIVE, (c, "z"), (c, "z", n), ALL, (c, "z", "1", "x"), (c, "none"), (c, "none", n), ("EXISTS", "z")] for c in ("ZPOPMIN", "ZPOPMAX") for n in COUNTS],
    [FIVE, ("SET", "t", "v"), ("BZPOPMIN", "z", "0"), ("BZPOPMAX", "none", "z", "0.5"), ("BZPOPMIN", "none", "t", "z", "0"), ("BZPOPMIN", "z", "t", "0"), ("BZPOPMAX", "z", "-1"), ("BZPOPMAX", "z", "x"), ("BZPOPMIN", "z", "inf"),
     ("BZPOPMIN", "t", "x"), ("BZPOPMAX", "z"), ALL],
    *[[FIVE, ("SET", "t", "v"), ("ZMPOP", *a), ("BZMPOP", "0", *a), ("BZMPOP", "x", *a), ("BZMPOP", "-1", *a), ALL] for a in (("1", "z", "MIN"), ("1", "z", "max"), ("2", "none", "z", "MIN"), ("1", "z", "x"), ("0", "z", "MIN"),
       ("-1", "z", "MIN"), ("x", "z", "MIN"), (BIG, "z", "MIN"), (TOO_BIG, "z", "MIN"), ("2", "z", "MIN"), ("1", "z", "MIN", "COUNT", "2"), ("1", "z", "MAX", "count", "9"), ("1", "z", "MIN", "COUNT", "0"), ("1", "z", "MIN", "COUNT"),
       ("1", "z", "MIN", "COUNT", "-1"), ("1", "z", "MIN", "COUNT", "x"), ("1", "z", "MIN", "COUNT", "1", "COUNT", "2"), ("1", "z", "MIN", "COUNT", "x", "y"), ("1", "z", "MIN", "x"), ("1", "t", "MIN"), ("2", "none", "t", "MIN"),
       ("1", "z", "x", "COUNT", "0"))],
    [("ZMPOP", "2", "a", "b", "MIN"), ("ZMPOP", "1", "a", "MAX", "COUNT", "3")],
    # Random
    *[[FIVE, Sizes("ZRANDMEMBER", "z", n, *o), ("ZRANDMEMBER", "none", n, *o)] for n in COUNTS for o in ((), ("WITHSCORES",), ("x",), ("WITHSCORES", "x"))],
    [FIVE, Sizes("ZRANDMEMBER", "z"), ("ZRANDMEMBER", "none"), Unordered("ZRANDMEMBER", "z", "9"), Unordered("ZRANDMEMBER", "z", "5", "WITHSCORES"), ("ZADD", "y", "2", "x"), ("ZRANDMEMBER", "y"), ("ZRANDMEMBER", "y", "-2", "WITHSCORES"),
     ("ZRANDMEMBER", "y", "4611686018427387904", "WITHSCORES"), ("ZRANDMEMBER", "y", "-4611686018427387904", "WITHSCORES")],
    # Scanning
    [FIVE] + [("ZSCAN", "z", "0", *a) for a in ((), ("COUNT", "1"), ("COUNT", "0"), ("COUNT", "x"), ("MATCH",), ("MATCH", "[a-c]"), ("MATCH", ""), ("x",), ("x", "y"), ("MATCH", "*", "COUNT", "2"))] + [("ZSCAN", "z", "x"), ("ZSCAN", "none", "0")],
    [("ZADD", "z", "0.1", "x" * 70, "1e17", "b", "-inf", "c", "-0", "d", "123456789012345678", "e"), Unordered("ZSCAN", "z", "0", "COUNT", "1000")],
    # Several
    *[[*THREE_SETS, ("SET", "t", "v"), *[(c, *i) for c in ("ZUNION", "ZINTER", "ZDIFF", "ZINTERCARD")], *[(c, *i, "WITHSCORES") for c in ("ZUNION", "ZINTER", "ZDIFF", "ZINTERCARD")]] for i in INPUTS],
    *[[*THREE_SETS, ("SET", "t", "v"), ("SET", "d", "v"), (c, "d", *i), ("TYPE", "d"), (c, "z", *i), ALL, ENCODING] for c in ("ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE") for i in INPUTS],
    [("ZADD", "z", *rows(100)), ("ZADD", "y", *rows(100, 50)), ("ZUNIONSTORE", "d", "2", "z", "y"), ("OBJECT", "ENCODING", "d"), ("ZRANGE", "d", "0", "-1", "WITHSCORES"), ("ZINTERSTORE", "d", "2", "z", "y", "AGGREGATE", "MAX"),
     ("OBJECT", "ENCODING", "d"), ("ZRANGE", "d", "0", "-1", "WITHSCORES"), ("ZDIFFSTORE", "d", "2", "z", "y"), ("ZRANGE", "d", "0", "-1"), ("ZINTERCARD", "2", "z", "y"), ("ZINTERCARD", "2", "z", "y", "LIMIT", "5")],
    [("ZADD", "z", "1", "a"), ("ZADD", "y", "0.1", "a", "1", "b"), ("ZADD", "x", "0.2", "a", "1", "b", "2", "c"), ("ZUNION", "3", "x", "y", "z", "WITHSCORES"), ("ZINTER", "3", "x", "z", "y", "WITHSCORES"),
     ("ZUNIONSTORE", "d", "2", "z", "y", "WEIGHTS", "-0", "-0"), ("ZRANGE", "d", "0", "-1", "WITHSCORES"), ("ZUNION", "2", "z", "y", "WEIGHTS", "-0", "-0", "WITHSCORES")],
]
