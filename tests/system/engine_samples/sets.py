"""Sets. Random replies are compared by their sizes; sets of integers have an order, others none."""
from . import Sizes, Unordered

BIG = "9223372036854775807"
SMALL = "-9223372036854775808"
TOO_BIG = "99999999999999999999"
COUNTS = ["0", "1", "2", "5", "-1", "-5", BIG, "-9223372036854775807", SMALL, TOO_BIG, "x", "", "+1", "1.0"]
NUMBERS = ("SADD", "n", "5", "1", "-3", "10", "2", "100", "9223372036854775807", "-9223372036854775808")
WORDS = ("SADD", "s", "a", "b", "c", "d")
ENCODING = ("OBJECT", "ENCODING", "s")
KEYED = ("SADD", "SREM", "SCARD", "SISMEMBER", "SMISMEMBER", "SMEMBERS", "SPOP", "SRANDMEMBER", "SMOVE", "SINTER", "SUNION", "SDIFF",
         "SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE", "SINTERCARD", "SSCAN")  # fmt: skip


def members(n, first=0):
    return [str(i) for i in range(first, first + n)]


SAMPLES = [
    [WORDS, ("SADD", "s", "a", "e", "e"), ("SCARD", "s"), Unordered("SMEMBERS", "s"), ENCODING, ("TYPE", "s"), ("SREM", "s", "a", "zz", "a"), ("SCARD", "s"),
     ("SISMEMBER", "s", "a"), ("SISMEMBER", "s", "b"), ("SMISMEMBER", "s", "a", "b", "b"), ("SREM", "s", "b", "c", "d", "e"), ("EXISTS", "s")],
    [NUMBERS, ("SMEMBERS", "n"), ("OBJECT", "ENCODING", "n"), ("SSCAN", "n", "0"), ("SADD", "n", "01"), ("OBJECT", "ENCODING", "n"), Unordered("SMEMBERS", "n"),
     ("SREM", "n", "01"), ("OBJECT", "ENCODING", "n")],
    *[[("SADD", "s", m), ENCODING, ("SADD", "s", "1", m), ENCODING, Unordered("SMEMBERS", "s")] for m in ("0", "-0", "+1", "1.0", "", " 1", "-1", BIG, SMALL, TOO_BIG, b"\x00\xff")],
    [("SADD", "s", *members(512)), ENCODING, ("SMEMBERS", "s"), ("SADD", "s", "512"), ENCODING, ("SREM", "s", *members(500)), ENCODING, ("SCARD", "s")],
    [("SADD", "s", *members(100), *members(100)), ("SREM", "s", *members(50, 25)), ("SMEMBERS", "s")],
    # What is not there, and other types
    [(c, "s", "s") for c in KEYED] + [(c, "s") for c in KEYED] + [(c, "s", "s", "s") for c in KEYED] + [(c,) for c in KEYED] + [("EXISTS", "s")],
    [("SET", "t", "v"), WORDS] + [(c, "t", "a") for c in KEYED if not c.endswith("STORE")] + [(c, "t") for c in KEYED] + [(c, "t", "0", "s") for c in KEYED if not c.endswith("STORE")],
    [("SET", "t", "v"), WORDS, ("SMOVE", "t", "s", "a"), ("SMOVE", "s", "t", "a"), ("SMOVE", "s", "t", "zz"), ("SMOVE", "none", "t", "a"), ("SINTER", "none", "t"), ("SINTER", "t", "none"),
     ("SUNION", "s", "t"), ("SDIFF", "none", "t"), ("SINTERSTORE", "d", "s", "t"), ("SUNIONSTORE", "d", "t"), ("SDIFFSTORE", "d", "s", "t"), ("SINTERCARD", "2", "none", "t"), ("EXISTS", "d")],
    # Moving
    [WORDS, ("SMOVE", "s", "d", "a"), ("SMOVE", "s", "d", "a"), ("SMOVE", "s", "s", "b"), ("SMOVE", "s", "s", "zz"), ("SMEMBERS", "d"), ("SADD", "d", "b"), ("SMOVE", "s", "d", "b"),
     Unordered("SMEMBERS", "s"), Unordered("SMEMBERS", "d"), ("SMOVE", "s", "d", "c"), ("SMOVE", "s", "d", "d"), ("EXISTS", "s")],
    [NUMBERS, WORDS, ("SMOVE", "n", "s", "5"), ("SMOVE", "s", "n", "a"), ("OBJECT", "ENCODING", "n"), ENCODING, ("SMOVE", "n", "m", "1"), ("OBJECT", "ENCODING", "m")],
    # Random
    *[[WORDS, Sizes("SRANDMEMBER", "s", n), Sizes("SPOP", "s", n), ("SCARD", "s"), ("SRANDMEMBER", "none", n), ("SPOP", "none", n), ("SET", "t", "v"), ("SRANDMEMBER", "t", n), ("SPOP", "t", n), ("DEL", "s")]
      for n in COUNTS if n not in ("-9223372036854775807",)],
    [WORDS, Unordered("SRANDMEMBER", "s", "9"), ("SRANDMEMBER", "s", "1", "x"), ("SPOP", "s", "1", "x"), ("SPOP", "none"), ("SRANDMEMBER", "none"), Sizes("SRANDMEMBER", "s"), Sizes("SPOP", "s"), ("SCARD", "s"),
     Sizes("SRANDMEMBER", "s", "9"), Sizes("SPOP", "s", "9"), ("EXISTS", "s")],
    [("SADD", "s", "x"), ("SRANDMEMBER", "s"), ("SRANDMEMBER", "s", "-3"), ("SPOP", "s"), ("EXISTS", "s"), ("SADD", "s", "1"), ("SPOP", "s", "1"), ("EXISTS", "s")],
    *[[("SADD", "s", "x", *members(99)), ("SREM", "s", "x"), Sizes("SPOP", "s", n), ENCODING, ("SCARD", "s"), ("DEL", "s")] for n in ("50", "81", "82", "83", "84", "90", "98", "99")],
    # Several
    [WORDS, NUMBERS, ("SADD", "u", "c", "d", "e", "5"), ("SADD", "m", "2", "100", "7", "5")] + [Unordered(c, *keys) for c in ("SINTER", "SUNION", "SDIFF") for keys in
     (("s",), ("n",), ("s", "u"), ("u", "s"), ("n", "m"), ("m", "n"), ("n", "u"), ("s", "n"), ("s", "s"), ("s", "none"), ("none", "s"), ("none",), ("s", "u", "n"), ("n", "m", "u"))]
    + [("SINTER", "n", "m"), ("SUNION", "n", "m"), ("SDIFF", "n", "m")],
    *[[WORDS, NUMBERS, ("SADD", "u", "c", "d", "e", "5"), ("SADD", "m", "2", "100", "7", "5"), ("SET", "d", "v"), ("EXPIRE", "d", "1000"), (c, "d", *keys), ("TYPE", "d"), ("TTL", "d"),
       ("OBJECT", "ENCODING", "d"), ("SCARD", "d"), (c, "s", "s", *keys), Unordered("SMEMBERS", "s")]
      for c in ("SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE") for keys in (("s",), ("n",), ("s", "u"), ("n", "m"), ("m", "n"), ("none",), ("s", "none"), ("none", "s"), ("s", "n"), ("d", "s"))],
    [("SADD", "s", *members(400)), ("SADD", "n", *members(400, 300)), ("SUNIONSTORE", "d", "s", "n"), ("OBJECT", "ENCODING", "d"), ("SINTERSTORE", "d", "s", "n"), ("OBJECT", "ENCODING", "d"),
     ("SMEMBERS", "d"), ("SDIFFSTORE", "d", "s", "n"), ("OBJECT", "ENCODING", "d"), ("SINTERCARD", "2", "s", "n"), ("SINTERCARD", "2", "s", "n", "LIMIT", "7")],
    [WORDS, ("SADD", "u", "a", "b")] + [("SINTERCARD", *a) for a in (("0", "s"), ("1", "s"), ("2", "s", "u"), ("2", "s"), ("x", "s"), ("-1", "s"), (BIG, "s"), (TOO_BIG, "s"), ("1", "s", "u"),
     ("1", "s", "LIMIT"), ("1", "s", "LIMIT", "1"), ("1", "s", "limit", "0"), ("1", "s", "LIMIT", "-1"), ("1", "s", "LIMIT", "x"), ("1", "s", "LIMIT", "1", "LIMIT", "2"),
     ("2", "s", "none", "LIMIT", "1"), ("1", "s", "x", "1"), ("1", "s", "LIMIT", BIG), ("1",))],
    # Scanning
    [WORDS] + [Unordered("SSCAN", "s", "0", *a) for a in ((), ("COUNT", "100"), ("COUNT", "0"), ("COUNT", "x"), ("MATCH",), ("MATCH", "a"), ("MATCH", "[a-c]"), ("MATCH", ""), ("x",), ("x", "y"))]
    + [("SSCAN", "s", "x"), ("SSCAN", "none", "0"), ("SSCAN", "none", "0", "x")],
    [("SADD", "s", *members(300)), ("SSCAN", "s", "0", "COUNT", "5"), ("SSCAN", "s", "0", "MATCH", "29?")],
]
