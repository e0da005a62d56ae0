"""Commands on keys: existence, names, expiry, OBJECT, SORT, RESTORE.

Left out: elements of SORT beyond a double's range. redis-server forgets to clear errno before it reads them, so that one such
element, or one such score of ZADD, makes later SORTs fail (tests/unit/engine/test_number.c has them).
COPY to another database and DUMP's payload are ours."""

from engine_samples import Shape, Unordered

FAR = "9223372036854775807"
SOON = "99999999999999"  # ms since 1970; year 5138


def each(before, verb, rows):
    """One script for each row: the commands before, then verb with the row's arguments, then what it left behind."""
    after = [("EXISTS", "k"), ("PEXPIRETIME", "k"), ("EXPIRETIME", "k")]
    return [[*before, (verb, *row), *after] for row in rows]


EXISTENCE = [
    [("EXISTS", "a"), ("SET", "a", "1"), ("EXISTS", "a"), ("EXISTS", "a", "a", "n"), ("TOUCH", "a", "a", "n"), ("TOUCH", "n")],
    [("SET", "a", "1"), ("SET", "b", "1"), ("DEL", "a", "a", "n", "b"), ("DEL", "a"), ("EXISTS", "a", "b")],
    [("SET", "a", "1"), ("UNLINK", "a", "n", "a"), ("UNLINK", "a"), ("TYPE", "a")],
    [("SET", "", "1"), ("EXISTS", ""), ("TYPE", ""), ("EXPIRE", "", "100"), ("TTL", ""), ("DEL", "")],
    [("SET", b"\x00\xff", "1"), ("EXISTS", b"\x00\xff"), ("RENAME", b"\x00\xff", b"\r\n"), ("GET", b"\r\n")],
    [
        ("SET", "s", "1"), ("RPUSH", "l", "1"), ("HSET", "h", "f", "v"), ("SADD", "e", "m"), ("ZADD", "z", "1", "m"),
        ("XADD", "x", "1-1", "f", "v"), ("TYPE", "s"), ("TYPE", "l"), ("TYPE", "h"), ("TYPE", "e"), ("TYPE", "z"),
        ("TYPE", "x"), ("TYPE", "n"), ("EXISTS", "s", "l", "h", "e", "z", "x", "n"), ("DEL", "s", "l", "h", "e", "z", "x", "n"),
        ("EXISTS", "s", "l", "h", "e", "z", "x"),
    ],
]

RENAME = [
    [("RENAME", "n", "x"), ("RENAMENX", "n", "x"), ("RENAME", "n", "n"), ("RENAMENX", "n", "n"), ("EXISTS", "x")],
    [("SET", "a", "1"), ("RENAME", "a", "a"), ("RENAMENX", "a", "a"), ("GET", "a")],
    [("SET", "a", "1"), ("RENAME", "a", "b"), ("GET", "a"), ("GET", "b"), ("RENAMENX", "b", "a"), ("GET", "a"), ("GET", "b")],
    [("SET", "a", "1"), ("RPUSH", "b", "x"), ("RENAMENX", "a", "b"), ("TYPE", "b"), ("RENAME", "a", "b"), ("GET", "b")],
    [("SET", "a", "1", "EX", "100"), ("SET", "b", "2"), ("RENAME", "a", "b"), ("TTL", "b"), ("TTL", "a")],
    [("SET", "a", "1"), ("SET", "b", "2", "EX", "100"), ("RENAME", "a", "b"), ("TTL", "b"), ("SET", "a", "3"), ("TTL", "a")],
    [("RPUSH", "a", "1", "2"), ("RENAME", "a", "b"), ("RPUSH", "b", "3"), ("RPUSH", "a", "x"), ("LRANGE", "b", "0", "-1"),
     ("LRANGE", "a", "0", "-1")],
]

COPY = [
    [("SET", "a", "1"), ("COPY", "a", *row), ("GET", "b"), ("GET", "a"), ("EXISTS", "c")]
    for row in [
        ("b",), ("a",), ("b", "DB"), ("b", "DB", "0"), ("b", "db", "0", "replace"), ("b", "DB", "x"), ("b", "DB", "99"),
        ("b", "DB", "-1"), ("b", "DB", FAR), ("b", "DB", "2147483648"), ("b", "DB", "-2147483649"), ("b", "DB", "2147483647"),
        ("b", "DB", "9" * 20), ("b", "foo"), ("b", "REPLACE"), ("a", "DB", "0"), ("a", "REPLACE"), ("b", "replace", "foo"),
        ("b", "DB", "0", "DB", "0"), ("b", "DB", "99", "foo"), ("b", ""), ("b", "REPLACE", "REPLACE"),
    ]
] + [
    [("COPY", "n", "b"), ("COPY", "n", "n"), ("COPY", "n", "b", "foo"), ("SET", "b", "1"), ("COPY", "n", "b", "REPLACE"),
     ("GET", "b")],
    [("SET", "a", "1"), ("SET", "b", "2", "EX", "50"), ("COPY", "a", "b"), ("GET", "b"), ("COPY", "a", "b", "REPLACE"),
     ("GET", "b"), ("TTL", "b"), ("EXPIRE", "a", "100"), ("COPY", "a", "b", "REPLACE"), ("TTL", "b")],
    [("RPUSH", "a", "1", "2"), ("COPY", "a", "b"), ("RPUSH", "a", "3"), ("LPOP", "b"), ("LRANGE", "a", "0", "-1"),
     ("LRANGE", "b", "0", "-1"), ("OBJECT", "ENCODING", "b")],
    [("HSET", "a", "f", "1", "g", "2"), ("COPY", "a", "b"), ("HSET", "a", "f", "9"), ("HDEL", "b", "g"), ("HGETALL", "a"),
     ("HGETALL", "b"), ("OBJECT", "ENCODING", "b")],
    [("SADD", "a", "1", "2", "3"), ("COPY", "a", "b"), ("SREM", "a", "2"), ("SADD", "b", "4"), Unordered("SMEMBERS", "a"),
     Unordered("SMEMBERS", "b"), ("OBJECT", "ENCODING", "b")],
    [("ZADD", "a", "1", "x", "2", "y"), ("COPY", "a", "b"), ("ZADD", "a", "5", "x"), ("ZREM", "b", "y"),
     ("ZRANGE", "a", "0", "-1", "WITHSCORES"), ("ZRANGE", "b", "0", "-1", "WITHSCORES"), ("OBJECT", "ENCODING", "b")],
    [("XADD", "a", "1-1", "f", "v"), ("XADD", "a", "2-1", "f", "w"), ("XGROUP", "CREATE", "a", "g", "0"),
     ("XREADGROUP", "GROUP", "g", "c", "COUNT", "1", "STREAMS", "a", ">"), ("COPY", "a", "b"), ("XACK", "a", "g", "1-1"),
     ("XPENDING", "a", "g"), ("XPENDING", "b", "g"), ("XDEL", "b", "2-1"), ("XADD", "b", "3-1", "f", "z"),
     ("XRANGE", "a", "-", "+"), ("XRANGE", "b", "-", "+"), ("XINFO", "GROUPS", "b")],
]

SET = [("SET", "k", "v")]
LIMITED = [("SET", "k", "v"), ("PEXPIREAT", "k", SOON)]
NUMBERS = ["x", "", " 1", "1 ", "1.0", "0x1", "-0", "01", FAR, "9223372036854775808", "-9223372036854775808",
           "9223372036854775", "9223372036854776", "-9223372036854775", "-9223372036854776", "9" * 30]
WRONG = ["foo", "", "N", "NXX", b"NX\x00", "\r\n", "x" * 300]
EXPIRE = [
    script
    for verb in ("EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT")
    for script in (
        [[*SET, (verb, "k", n), ("EXISTS", "k")] for n in [*NUMBERS, "0", "-1", "-1000000000000"]]
        + [[(verb, "n", n), ("EXISTS", "n")] for n in ["1", "0", "x", FAR]]
        + [[*SET, (verb, "k", "100", w), ("TTL", "k")] for w in WRONG[:2]]
    )
]
EXPIRE += [[*SET, ("EXPIRE", "k", "x", w)] for w in WRONG] + [[("EXPIRE", "n", "1", "foo"), ("EXPIRE", "n", "1", "NX", "XX")]]
EXPIRE += each(SET, "PEXPIREAT", [("k", SOON), ("k", FAR), ("k", "9223372036854775306"), ("k", "9223372036854775307")])
EXPIRE += each(SET, "EXPIREAT", [("k", "99999999999"), ("k", "9223372036854775"), ("k", "9223372036854774")])
EXPIRE += each(SET, "PEXPIREAT", [
    ("k", SOON, *w) for w in (["NX"], ["XX"], ["GT"], ["LT"], ["nx"], ["XX", "LT"], ["XX", "GT"])
])
EXPIRE += each(LIMITED, "PEXPIREAT", [
    ("k", str(int(SOON) + d), *w)
    for d in (-1, 0, 1)
    for w in (["NX"], ["XX"], ["GT"], ["LT"], ["XX", "GT"], ["LT", "XX"], ["GT", "GT"], ["NX", "NX"])
])
EXPIRE += each(LIMITED, "PEXPIREAT", [
    ("k", "1", *w) for w in ([], ["NX"], ["XX"], ["GT"], ["LT"], ["NX", "XX"], ["NX", "GT"], ["NX", "LT"], ["GT", "LT"],
                             ["NX", "GT", "LT"], ["XX", "GT", "LT"], ["GT", "foo"], ["foo", "GT"])
])
EXPIRE += [
    [*SET, ("EXPIRE", "k", "100"), ("TTL", "k"), ("PERSIST", "k"), ("TTL", "k"), ("PTTL", "k"), ("PERSIST", "k")],
    [*SET, ("PEXPIRE", "k", "100400"), ("TTL", "k"), ("EXPIRE", "k", "-1"), ("TTL", "k"), ("PTTL", "k"), ("PERSIST", "k")],
    [("TTL", "n"), ("PTTL", "n"), ("EXPIRETIME", "n"), ("PEXPIRETIME", "n"), ("PERSIST", "n")],
    [*SET, ("TTL", "k"), ("PTTL", "k"), ("EXPIRETIME", "k"), ("PEXPIRETIME", "k")],
    [("RPUSH", "l", "1"), ("EXPIRE", "l", "100"), ("RPUSH", "l", "2"), ("TTL", "l"), ("DEL", "l"), ("RPUSH", "l", "1"),
     ("TTL", "l")],
]

OBJECT = [
    [("SET", "k", v), ("OBJECT", "ENCODING", "k"), ("OBJECT", "REFCOUNT", "k"), ("OBJECT", "FREQ", "k")]
    for v in ("v", "0", "-1", "12", "9999", "10000", "012", "1" * 44, "x" * 44, "x" * 45)
] + [
    [("OBJECT", "ENCODING", "n"), ("OBJECT", "REFCOUNT", "n"), ("OBJECT", "IDLETIME", "n"), ("OBJECT", "FREQ", "n"),
     ("OBJECT", "HELP"), ("OBJECT", "help"), ("object", "encoding", "n")],
    [("RPUSH", "l", "1"), ("HSET", "h", "f", "v"), ("SADD", "e", "m"), ("SADD", "i", "1"), ("ZADD", "z", "1", "m"),
     ("XADD", "x", "1-1", "f", "v"), ("OBJECT", "ENCODING", "l"), ("OBJECT", "ENCODING", "h"), ("OBJECT", "ENCODING", "e"),
     ("OBJECT", "ENCODING", "i"), ("OBJECT", "ENCODING", "z"), ("OBJECT", "ENCODING", "x"), ("OBJECT", "REFCOUNT", "x"),
     Shape("OBJECT", "IDLETIME", "l"),
     ("OBJECT", "FREQ", "l")],
]

BAD = b"\x00\x01v\n\x00\x91\x08\xce\xb2\x198\x8a\xcf"  # a payload of redis-server with a wrong checksum
RESTORE = [
    [("RESTORE", "k", *row), ("EXISTS", "k")]
    for row in [
        ("0", "x"), ("0", ""), ("0", BAD), ("-1", BAD), ("x", BAD), ("-9223372036854775808", "x"), (FAR, "x"),
        ("0", BAD, "IDLETIME"), ("0", BAD, "IDLETIME", "-1"), ("0", BAD, "IDLETIME", "x"), ("0", BAD, "IDLETIME", "5"),
        ("0", BAD, "FREQ"), ("0", BAD, "FREQ", "256"), ("0", BAD, "FREQ", "-1"), ("0", BAD, "FREQ", "x"),
        ("0", BAD, "FREQ", "255"), ("0", BAD, "IDLETIME", "1", "FREQ", "1"), ("0", BAD, "FREQ", "1", "IDLETIME", "1"),
        ("0", BAD, "IDLETIME", "1", "IDLETIME", "2"), ("0", BAD, "FREQ", "1", "FREQ", "2"), ("0", BAD, "ABSTTL"),
        ("0", BAD, "foo"), ("x", BAD, "foo"), ("0", BAD, "replace", "absttl", "freq", "0"), ("x", BAD, "IDLETIME", "x"),
    ]
] + [
    [("SET", "k", "v"), ("RESTORE", "k", *row), ("GET", "k")]
    for row in [("0", BAD), ("x", BAD), ("-1", BAD), ("0", BAD, "REPLACE"), ("x", BAD, "REPLACE"), ("-1", BAD, "replace")]
] + [[("DUMP", "n")]]

LIST = [("RPUSH", "k", "3", "1", "2", "10", "1")]
ZSET = [("ZADD", "k", "3", "1", "1", "2", "2", "10", "2", "-1")]
INTS = [("SADD", "k", "3", "1", "2", "-7", "10")]
HASHED = [("SADD", "k", "b", "a", "3", "", "aa", "B")]
OPTIONS = [
    (), ("ASC",), ("DESC",), ("desc", "asc"), ("ALPHA",), ("ALPHA", "DESC"), ("LIMIT", "1", "2"), ("LIMIT", "-1", "2"),
    ("LIMIT", "10", "2"), ("LIMIT", "2", "-1"), ("LIMIT", "2", "-5"), ("LIMIT", "0", "0"), ("LIMIT", "4", "20"),
    ("LIMIT", FAR, FAR), ("LIMIT", "-9223372036854775808", FAR), ("LIMIT", "1", "2", "LIMIT", "0", "1"),
    ("LIMIT", "1", "1", "DESC"), ("GET", "#"), ("GET", "x"), ("GET", "#", "GET", "x", "GET", "#"), ("GET", ""), ("GET", "##"),
    ("GET", b"#\x00*"), ("GET", "#", "LIMIT", "1", "1"), ("GET", "x", "LIMIT", "1", "0"),
]
ORDERED = [("BY", "nosort"), ("BY", ""), ("BY", "nosort", "DESC"), ("BY", "nosort", "DESC", "LIMIT", "1", "2"),
           ("BY", "nosort", "LIMIT", "3", "20"), ("BY", "nosort", "LIMIT", "30", "2"), ("BY", "x", "ALPHA"),
           ("BY", "x", "GET", "#", "GET", "y"), ("BY", b"x\x00*")]
SYNTAX = [("foo",), ("LIMIT",), ("LIMIT", "1"), ("LIMIT", "x", "0"), ("LIMIT", "0", "x"), ("LIMIT", "x", "y", "foo"),
          ("LIMIT", "1", "2", "foo"), ("BY",), ("GET",), ("STORE",), ("GET", "#", "STORE"), ("ALPHA", ""), ("ASC", "1"),
          ("LIMIT", "1.5", "2"), ("LIMIT", "0", "9223372036854775808")]
SORT = [
    [*before, (verb, "k", *o)]
    for before in (LIST, ZSET, INTS)
    for verb in ("SORT", "SORT_RO")
    for o in OPTIONS
] + [
    [*before, (verb, "k", *o)] for before in (LIST, ZSET) for verb in ("SORT", "SORT_RO") for o in ORDERED
] + [
    [*before, (verb, "k", *o)] for before in (LIST, [], [("SET", "k", "v")]) for verb in ("SORT", "SORT_RO") for o in SYNTAX
] + [
    [*before, ("SORT", "k", *o, "STORE", "d"), ("LRANGE", "d", "0", "-1"), ("OBJECT", "ENCODING", "d"), ("TTL", "d")]
    for before in (LIST, ZSET, INTS, [], [("SET", "k", "v")], [("SET", "d", "v", "EX", "100")],
                   [*LIST, ("SET", "d", "v", "EX", "100")])
    for o in (*OPTIONS, *ORDERED)
] + [
    [*HASHED, ("SORT", "k"), ("SORT", "k", "ALPHA"), ("SORT", "k", "ALPHA", "DESC", "LIMIT", "1", "3"),
     ("SORT", "k", "BY", "x", "STORE", "d"), ("LRANGE", "d", "0", "-1"), ("SORT", "k", "BY", "x", "DESC", "STORE", "d"),
     ("LRANGE", "d", "0", "-1"), ("SORT", "k", "STORE", "d"), ("EXISTS", "d"), ("LLEN", "d")],
    [*LIST, ("SORT", "k", "STORE", "k"), ("LRANGE", "k", "0", "-1"), ("SORT", "k", "LIMIT", "9", "1", "STORE", "k"),
     ("EXISTS", "k")],
    [*LIST, ("SORT", "k", "STORE", "a", "STORE", "b"), ("EXISTS", "a"), ("EXISTS", "b")],
    [*LIST, ("SORT_RO", "k", "STORE", "a"), ("EXISTS", "a")],
    [("HSET", "k", "f", "v"), ("SORT", "k"), ("SORT_RO", "k"), ("SORT", "k", "STORE", "d")],
    [("XADD", "k", "1-1", "f", "v"), ("SORT", "k")],
    [("SORT", "n"), ("SORT_RO", "n"), ("SORT", "n", "STORE", "d"), ("SORT", "n", "BY", "x", "DESC", "GET", "#")],
] + [
    [("RPUSH", "k", *elements), ("SORT", "k"), ("SORT", "k", "DESC"), ("SORT", "k", "ALPHA"),
     ("SORT", "k", "ALPHA", "STORE", "d"), ("LRANGE", "d", "0", "-1"), ("SORT", "k", "STORE", "d"), ("LRANGE", "d", "0", "-1"),
     ("SORT", "k", "LIMIT", "0", "0")]
    for elements in [
        ["a"], ["1", "b"], [""], ["", "-1"], [" 1", "2"], ["1 "], ["nan"], ["inf", "-inf", "1"], [b"1\x00x"], ["0x10", "3"],
        ["1e5", "2"], ["01", "1", "1.0"], ["+1", "1", "-0", "0"], ["0.1", "0.10", "1e-1", ".1"],
        ["9007199254740993", "9007199254740992"],
        ["b", "a", "B", "A", "\u00e9", "z", "_", "aa", "Z", "-a"], [b"\xff", b"\x80", b"\x7f", b"\x01"],
        [str(i * 7919 % 1000) for i in range(300)],
    ]
]

SAMPLES = EXISTENCE + RENAME + COPY + EXPIRE + OBJECT + RESTORE + SORT
