"""Hashes. Those over 512 fields, or with more than 64 bytes in one, have no order of their own in Redis."""

from engine_samples import Sizes, Unordered

BIG = "9223372036854775807"
SMALL = "-9223372036854775808"
TOO_BIG = "99999999999999999999"
ALL = ("HGETALL", "h")
ENC = ("OBJECT", "ENCODING", "h")
THREE = ("HSET", "h", "a", "1", "b", "two", "c", "")


def fields(n):
    return [x for i in range(n) for x in (f"f{i}", f"v{i}")]


SAMPLES = [
    # Set and get
    [THREE, ALL, ("HSET", "h", "b", "2", "d", "4"), ALL, ("HSET", "h", "a", "1", "a", "2", "e", "3", "e", "4"), ALL, ("HLEN", "h"), ENC, ("TYPE", "h")],
    [("HMSET", "h", "a", "1", "b", "2"), ("HMSET", "h", "a", "3"), ALL, ("HSETNX", "h", "a", "9"), ("HSETNX", "h", "z", "9"), ("HSETNX", "n", "z", "9"), ALL, ("HGETALL", "n")],
    [("HSET", "h", "", "", b"\x00\xff", b"\r\n", "1", "-0", "ü", "ö"), ALL, ("HGET", "h", ""), ("HGET", "h", b"\x00\xff"), ("HKEYS", "h"), ("HVALS", "h")],
    [("HSET", "", "", ""), ("HGETALL", ""), ("HDEL", "", ""), ("EXISTS", "")],
    [THREE, ("HGET", "h", "a"), ("HGET", "h", "c"), ("HGET", "h", "z"), ("HGET", "h", "A"), ("HMGET", "h", "a", "z", "c", "a"), ("HEXISTS", "h", "c"),
     ("HEXISTS", "h", "z"), ("HSTRLEN", "h", "b"), ("HSTRLEN", "h", "c"), ("HSTRLEN", "h", "z"), ("HKEYS", "h"), ("HVALS", "h"), ("HLEN", "h")],
    [THREE, ("HDEL", "h", "b"), ALL, ("HDEL", "h", "z"), ("HDEL", "h", "z", "a", "a"), ALL, ("HDEL", "h", "a", "b", "c"), ("EXISTS", "h"), ALL],
    [THREE, ("EXPIRE", "h", "1000"), ("HSET", "h", "a", "b"), ("HDEL", "h", "a"), ("TTL", "h"), ("HDEL", "h", "b", "c"), ("TTL", "h")],
    # Another type, one that is not there, arguments
    [("SET", "s", "v")] + [(c, "s", *a) for c, a in [("HSET", "fv"), ("HSET", "fvx"), ("HMSET", "fv"), ("HMSET", "fvx"), ("HSETNX", "fv"), ("HGET", "f"), ("HMGET", "f"),
       ("HDEL", "f"), ("HLEN", ""), ("HSTRLEN", "f"), ("HEXISTS", "f"), ("HKEYS", ""), ("HVALS", ""), ("HGETALL", ""), ("HINCRBY", "f1"), ("HINCRBY", "fx"),
       ("HINCRBYFLOAT", "f1"), ("HINCRBYFLOAT", "fx"), ("HRANDFIELD", ""), ("HRANDFIELD", "1"), ("HRANDFIELD", "x"), ("HSCAN", "0"), ("HSCAN", "x"), ("HSCAN", "0x")]],
    [("HGET", "h", "f"), ("HMGET", "h", "f", "g"), ("HDEL", "h", "f"), ("HLEN", "h"), ("HSTRLEN", "h", "f"), ("HEXISTS", "h", "f"), ("HKEYS", "h"), ("HVALS", "h"), ALL,
     ("HRANDFIELD", "h"), ("HRANDFIELD", "h", "3"), ("HRANDFIELD", "h", "-3", "WITHVALUES"), ("HRANDFIELD", "h", "x"), ("HSCAN", "h", "0"), ("HSCAN", "h", "7", "x"),
     ("HSCAN", "h", "x"), ("EXISTS", "h")],
    *[[THREE, (c,), (c, "h"), (c, "h", "a"), (c, "h", "a", "1"), (c, "h", "a", "1", "x"), (c, "h", "a", "1", "x", "y"), Unordered(*ALL)]
      for c in ("HSET", "HMSET", "HSETNX", "HGET", "HMGET", "HDEL", "HLEN", "HSTRLEN", "HEXISTS", "HKEYS", "HVALS", "HGETALL", "HINCRBY", "HINCRBYFLOAT", "HSCAN")],
    # Encodings: 512 fields, 64 bytes
    [("HSET", "h", *fields(511)), ENC, ("HSET", "h", "more", "x"), ENC, ("HSET", "h", "more", "y"), ENC, ("HSETNX", "h", "again", "x"), ENC, ("HDEL", "h", "again"), ENC,
     Unordered(*ALL), ("HLEN", "h")],
    [("HSET", "h", *fields(600)), ENC, Unordered("HKEYS", "h"), Unordered("HVALS", "h"), ("HGET", "h", "f550"), ("HMGET", "h", "f0", "f599", "x"),
     ("HDEL", "h", *[f"f{i}" for i in range(0, 600, 2)]), ("HLEN", "h"), ENC, Unordered(*ALL), ("HDEL", "h", *[f"f{i}" for i in range(600)]), ("EXISTS", "h"),
     ("HSET", "h", "a", "b"), ENC],
    *[[("HSET", "h", "f", "v"), ("HSET", "h", "f" * f, "v" * v), ENC, Unordered(*ALL)] for f, v in ((64, 64), (65, 1), (1, 65))],
    [THREE, ("HSETNX", "h", "a", "x" * 65), ENC, ("HSETNX", "h", "z", "x" * 65), ENC],
    [THREE, ("HINCRBY", "h", "x" * 65, "1"), ENC, ("HGET", "h", "x" * 65)],
    [THREE, ("HINCRBYFLOAT", "h", "x" * 65, "1.5"), ENC],
    [("HSET", "h", "a", "x" * 65, "a", "short"), ENC, ("HMSET", "g", "a", "x" * 65, "a", "y"), ("OBJECT", "ENCODING", "g")],
    # Counters
    *[[("HSET", "h", "n", v), ("HINCRBY", "h", "n", by), ("HGET", "h", "n"), ("HINCRBY", "h", "new", by), ("HGET", "h", "new")]
      for v in ("10", BIG, SMALL, "-0", "01", "1.0", " 1", "", "x", TOO_BIG) for by in ("1", "-1", "0", BIG, SMALL, TOO_BIG, "x", "", "+1", "1.0")],
    *[[("HSET", "h", "n", v), ("HINCRBYFLOAT", "h", "n", by), ("HGET", "h", "n"), ("HINCRBYFLOAT", "h", "new", by), ("HGET", "h", "new"), ("HSTRLEN", "h", "new")]
      for v in ("10", "10.50", "5e3", "-0", "0x10", " 1", "1 ", "", "x", "inf", "-inf", "nan", BIG, "3.0e-20", "1e4932", "1e5000")
      for by in ("1", "-0.1", "0", "1e-5", "5.0e3", "inf", "-inf", "nan", "x", "", "1e4932", "1e17", "1e5000", "0.1")],
    [("HINCRBYFLOAT", "none", "f", "inf"), ("EXISTS", "none"), ("HINCRBYFLOAT", "none", "f", "x"), ("HINCRBY", "none", "f", "x"), ("EXISTS", "none"), ("HINCRBY", "none", "f", SMALL)],
    # HRANDFIELD
    [("HSET", "h", "a", "1"), ("HRANDFIELD", "h"), ("HRANDFIELD", "h", "1"), ("HRANDFIELD", "h", "5", "WITHVALUES"), ("HRANDFIELD", "h", "-3"), ("HRANDFIELD", "h", "-2", "withvalues")],
    [THREE, Sizes("HRANDFIELD", "h"), Sizes("HRANDFIELD", "h", "2"), Sizes("HRANDFIELD", "h", "-5", "WITHVALUES"), ("HRANDFIELD", "h", "3"), ("HRANDFIELD", "h", "4", "WITHVALUES"),
     ("HRANDFIELD", "h", BIG), ("HRANDFIELD", "h", "0"), ("HRANDFIELD", "h", "0", "WITHVALUES"), ("HRANDFIELD", "h", "-0")],
    [THREE] + [("HRANDFIELD", "h", *a) for a in (("x",), ("",), (TOO_BIG,), (SMALL,), ("1", "x"), ("1", "WITHVALUES", "x"), ("x", "x"), ("4611686018427387904", "WITHVALUES"),
       ("-4611686018427387904", "WITHVALUES"), ("4611686018427387903", "WITHVALUES"), (SMALL, "x"), (BIG, "WITHVALUES"))],
    [("HSET", "h", *fields(600)), Unordered("HRANDFIELD", "h", "600"), Unordered("HRANDFIELD", "h", "999", "WITHVALUES"), Sizes("HRANDFIELD", "h", "20")],
    # HSCAN
    [THREE] + [("HSCAN", "h", x) for x in ("0", "1", "", "-1", "+3", "-", "+", "x", "1x", " 1", "1 ", "18446744073709551615", "18446744073709551616", "-18446744073709551615",
       "007", b"5\x00x", b"\x005")],
    [THREE] + [("HSCAN", "h", "0", *a) for a in (("COUNT", "1"), ("count", "100"), ("COUNT", "0"), ("COUNT", "-1"), ("COUNT", "x"), ("COUNT", TOO_BIG), ("COUNT", BIG),
       ("COUNT",), ("MATCH",), ("MATCH", "a"), ("match", "*"), ("MATCH", ""), ("MATCH", "z*"), ("MATCH", "a", "MATCH", "b"), ("MATCH", "a", "COUNT", "0"), ("x",), ("x", "y"),
       ("TYPE", "hash"), ("NOVALUES",), ("COUNT", "1", "x"))],
    [("HSET", "h", *[x for f in ("a", "b", "ab", "abc", "a*c", "a?c", "[a]", "a-c", "-", "\\", "a\\", "]", "^", "", "aXXbXXc", "ABC", b"\x00", b"a\x00b", b"\xff\xfe") for x in (f, "v")])]
    + [("HSCAN", "h", "0", "MATCH", p) for p in ("*", "**", "?", "??", "a*", "*c", "a*c", "a\\*c", "a\\?c", "[ab]", "[a-c]", "[c-a]", "[^a]", "[^a-b]", "[]", "[]]", "[^]", "[", "[^",
       "[a", "[a-", "[a-]", "[a-]b", "[\\]]", "[\\a-c]", "[a-\\]", "[\\-a]", "\\[a\\]", "a\\", "\\", "\\\\", "*\\", "a*b*c", "*X*X*", "*b*c*d*", "[a][b]", "[-]", "[a-b-c]", "[*]", "[?]",
       "[^*]*", "a[^x]c", b"\x00", b"*\x00*", b"[\xf0-\xff]?", "*?", "?*", "*?*?", "ab*?", "abc*", "***a***b***", "[[]*", "A*")],
    [("HSET", "h", *fields(600)), Unordered("HSCAN", "h", "0", "COUNT", "100000"), Unordered("HSCAN", "h", "0", "COUNT", "100000", "MATCH", "f1?")],
]
