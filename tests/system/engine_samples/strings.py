"""Commands on strings: engine/strings.c, engine/lcs.c."""

BIG = str(2**63 - 1)
SMALL = str(-(2**63))


def probe(*commands):
    """The commands, and after each one what became of the key k."""
    script = []
    for command in commands:
        script.append(command)
        script += [("GET", "k"), ("OBJECT", "ENCODING", "k"), ("TTL", "k")]
    return script


VALUES = [
    "", "a", "0", "-0", "-1", "01", "+1", " 1", "1 ", "10000", BIG, SMALL, "9223372036854775808", "-9223372036854775809",
    "1.5", "-", "x" * 44, "x" * 45, "1" * 20, "1" * 21, b"\x00", b"\xff\xfe\r\n\x00", "caf\u00e9", "99999999999999999999",
]

TIMES = ["100", "0", "-1", "-100", "abc", "", "1.5", BIG, SMALL, "9223372036854775", "9223372036854776", "9000000000000000"]
UNITS = ["EX", "PX", "EXAT", "PXAT"]
FUTURE = {"EX": "100", "PX": "100000", "EXAT": "4102444800", "PXAT": "4102444800000"}

SAMPLES = []

# Every way to store every value, and what encoding it gets.
for v in VALUES:
    SAMPLES += [
        probe(("SET", "k", v), ("APPEND", "k", "")),
        probe(("SETNX", "k", v), ("SETNX", "k", "other")),
        probe(("GETSET", "k", v), ("GETSET", "k", v)),
        probe(("MSET", "k", v, "l", v), ("MSET", "k", "1", "k", v)),
        probe(("MSETNX", "k", v, "k", "2"), ("MSETNX", "l", "1", "k", "9")) + [("EXISTS", "l")],
        probe(("APPEND", "k", v), ("APPEND", "k", v)),
        probe(("SETEX", "k", "100", v), ("SET", "k", "x", "KEEPTTL")),
        probe(("PSETEX", "k", "100000", v), ("SET", "k", "x")),
        probe(("SETRANGE", "k", "0", v)),
        probe(("SETRANGE", "k", "3", v)),
        probe(("SET", "k", v), ("SETRANGE", "k", "1", "Z")),
        probe(("SET", "k", v), ("INCR", "k"), ("DECR", "k")),
        probe(("SET", "k", v), ("INCRBY", "k", BIG)),
        probe(("SET", "k", v), ("DECRBY", "k", BIG)),
        probe(("SET", "k", v), ("INCRBYFLOAT", "k", "1")),
        probe(("SET", "k", "5"), ("INCRBYFLOAT", "k", v)),
        probe(("SET", "k", "5"), ("INCRBY", "k", v)),
        probe(("SET", "k", "5"), ("DECRBY", "k", v)),
        [("SET", "k", v), ("STRLEN", "k"), ("GETRANGE", "k", "0", "-1"), ("SUBSTR", "k", "1", "1")],
        [("SET", "k", v), ("GETDEL", "k"), ("GETDEL", "k"), ("EXISTS", "k")],
        [("SET", "k", "a"), ("SET", "k", v, "GET"), ("GET", "k")],
        [("SET", "k", "a"), ("SET", "k", "b", v), ("GETEX", "k", v)],
    ]

# SET and GETEX: words, pairs of words, times.
WORDS = [("NX",), ("XX",), ("GET",), ("KEEPTTL",), ("PERSIST",), ("FOO",),
    ("",)] + [(u, FUTURE[u]) for u in UNITS] + [(u,) for u in UNITS]
for a in WORDS:
    SAMPLES += [
        probe(("SET", "k", "v") + a),
        probe(("SET", "k", "old", "EX", "50"), ("SET", "k", "v") + a),
        probe(("SET", "k", "old", "EX", "50"), ("GETEX", "k") + a),
        probe(("GETEX", "k") + a),
        [("RPUSH", "k", "a"), ("SET", "k", "v") + a, ("TYPE", "k"), ("TTL", "k")],
        [("RPUSH", "k", "a"), ("GETEX", "k") + a, ("TYPE", "k"), ("TTL", "k")],
    ]
    for b in WORDS:
        SAMPLES += [
            probe(("SET", "k", "v") + a + b),
            probe(("SET", "k", "old", "EX", "50"), ("SET", "k", "v") + a + b),
            probe(("SET", "k", "old", "EX", "50"), ("GETEX", "k") + a + b),
        ]
for unit in UNITS:
    for t in TIMES:
        if unit in ("EXAT", "PXAT") and t == "100":
            continue
        SAMPLES += [
            [("SET", "k", "v", unit, t), ("EXISTS", "k")],
            [("SET", "k", "v"), ("GETEX", "k", unit, t), ("EXISTS", "k")],
            [("GETEX", "k", unit, t)],
        ]
    SAMPLES += [
        [("SET", "k", "v"), ("GETEX", "k", unit.lower(), "1"), ("GET", "l")] if "AT" in unit else [("SET", "k",
            "v", unit.lower(), FUTURE[unit])],
        probe(("SET", "k", "v", unit, "0", unit, FUTURE[unit])),
        probe(("SET", "k", "v", unit, FUTURE[unit], unit, "0")),
        [("RPUSH", "k", "a"), ("SET", "k", "v", "GET", unit, "0")],
        [("RPUSH", "k", "a"), ("GETEX", "k", unit, "0")],
    ]
for t in TIMES:
    SAMPLES += [
        [("SETEX", "k", t, "v"), ("EXISTS", "k")],
        [("PSETEX", "k", t, "v"), ("EXISTS", "k")],
        [("RPUSH", "k", "a"), ("SETEX", "k", t, "v"), ("TYPE", "k")],
    ]
SAMPLES += [
    [("SET", "k", "v", "EXAT", "1"), ("GET", "k"), ("EXISTS", "k"), ("SET", "k", "w", "KEEPTTL"), ("TTL", "k")],
    [("SET", "k", "v", "PXAT", "1"), ("APPEND", "k", "x"), ("GET", "k"), ("TTL", "k")],
    [("SET", "k", "v", "PXAT", "1"), ("SETRANGE", "k", "2", "x"), ("GET", "k"), ("TTL", "k")],
    [("SET", "k", "7", "PXAT", "1"), ("INCR", "k"), ("TTL", "k")],
    [("SET", "k", "7", "PXAT", "1"), ("SETNX", "k", "8"), ("TTL", "k")],
    [("SET", "k", "7", "PXAT", "1"), ("MSETNX", "k", "8"), ("TTL", "k")],
    [("SET", "k", "7", "PXAT", "1"), ("GETDEL", "k"), ("GETSET", "k", "1"), ("TTL", "k")],
    [("SET", "k", "7", "PXAT", "1"), ("SET", "k", "8", "XX"), ("SET", "k", "8", "NX", "GET"), ("GET", "k")],
]
# An expiry outlives changes, not replacements.
for command in [
    ("APPEND", "k", "1"), ("INCR", "k"), ("INCRBYFLOAT", "k", "1.5"), ("SETRANGE", "k", "1", "x"), ("SETNX", "k", "1"),
        ("GETSET", "k", "1"),
    ("MSET", "k", "1"), ("SET", "k", "1"), ("SET", "k", "1", "KEEPTTL"), ("SET", "k", "1", "PX", "200000"), ("GETEX", "k"),
        ("GETEX", "k", "PERSIST"),
    ("GETEX", "k", "EX", "300"), ("GETEX", "k", "PXAT", "1"), ("GETEX", "k", "EXAT", "1"), ("SETEX", "k", "70", "v"),
        ("SET", "k", "1", "NX"),
]:
    SAMPLES.append(probe(("SET", "k", "5", "EX", "50"), command))

# A key of another type.
for command in [
    ("GET", "k"), ("GETSET", "k", "v"), ("GETDEL", "k"), ("GETEX", "k"), ("APPEND", "k", "v"), ("STRLEN", "k"),
        ("SETRANGE", "k", "0", "v"),
    ("SETRANGE", "k", "0", ""), ("SETRANGE", "k", "-1", ""), ("GETRANGE", "k", "0", "1"), ("GETRANGE", "k", "a", "1"),
        ("SUBSTR", "k", "0", "b"),
    ("INCR", "k"), ("DECR", "k"), ("INCRBY", "k", "x"), ("DECRBY", "k", SMALL), ("INCRBYFLOAT", "k", "x"),
        ("MGET", "k", "l", "k"),
    ("LCS", "k", "l"), ("LCS", "l", "k", "FOO"), ("SETNX", "k", "v"), ("MSETNX", "l", "1", "k", "2"), ("MSET", "k", "v"),
        ("SET", "k", "v"),
    ("SET", "k", "v", "NX", "GET"), ("SET", "k", "v", "XX", "GET"), ("SETRANGE", "k", "536870912", "x"),
]:
    SAMPLES.append([("RPUSH", "k", "a"), command, ("TYPE", "k"), ("EXISTS", "l")])

# No such key.
for command in [
    ("GET", "k"), ("GETDEL", "k"), ("GETEX", "k"), ("STRLEN", "k"), ("SETRANGE", "k", "5", ""),
        ("SETRANGE", "k", "536870912", ""),
    ("GETRANGE", "k", "0", "-1"), ("GETRANGE", "k", "x", "-1"), ("SUBSTR", "k", "0", "-1"), ("INCR", "k"), ("DECR", "k"),
        ("INCRBY", "k", "-5"),
    ("DECRBY", "k", "5"), ("INCRBYFLOAT", "k", "-0"), ("INCRBYFLOAT", "k", "3.0e3"), ("MGET", "k"), ("MGET", "", "k", "k"),
        ("APPEND", "k", ""),
    ("SET", "k", "", "XX"), ("SET", "k", "v", "XX", "GET"), ("SET", "k", "v", "NX", "GET"), ("SET", "", "empty"),
]:
    SAMPLES.append([command, ("GET", "k"), ("EXISTS", "k"), ("OBJECT", "ENCODING", "k"), ("GET", "")])

# Arity, and words in any case.
SAMPLES += [
    [("GET",), ("GET", "a", "b"), ("SET", "k"), ("SETNX", "k"), ("SETEX", "k", "1"), ("PSETEX", "k", "1"), ("GETSET", "k"),
        ("GETDEL",), ("GETEX",)],
    [("MGET",), ("MSET",), ("MSET", "k"), ("MSETNX", "k"), ("APPEND", "k"), ("STRLEN",), ("SETRANGE", "k", "1"),
        ("GETRANGE", "k", "1"), ("SUBSTR", "k")],
    [("INCR",), ("INCR", "k", "1"), ("DECR",), ("INCRBY", "k"), ("DECRBY", "k"), ("INCRBYFLOAT", "k"), ("LCS", "k"),
        ("SETNX", "k", "v", "w")],
    [("MSET", "k", "v", "l"), ("MSETNX", "k", "v", "l"), ("EXISTS", "k")],
    [("set", "k", "v", "ex", "100", "nx"), ("sEt", "k", "w", "gEt", "kEePtTl"), ("getex", "k", "persist"), ("ttl", "k")],
]

# A word ends at a NUL, a value does not.
SAMPLES += [
    probe(("SET", "k", "v", b"NX\x00x"), ("SET", "k", "w", b"GET\x00", b"EX\x00y", "100"), ("GETEX", "k", b"PERSIST\x00")),
    [("LCS", "k", "l", b"LEN\x00"), ("SET", "k", b"5\x00"), ("INCR", "k"), ("INCRBY", "l", b"1\x00"), ("SET", "k", "v", "EX", b"5\x00")],
]

# Ranges.
for first in ["0", "1", "-1", "-3", "-100", "4", "100", BIG, SMALL, "a"]:
    for last in ["0", "1", "-1", "-2", "-100", "4", "100", BIG, SMALL, ""]:
        SAMPLES.append([("SET", "k", "hello"), ("GETRANGE", "k", first, last), ("SUBSTR", "n", first, last),
            ("SET", "e", ""), ("GETRANGE", "e", first, last)])
for offset in ["0", "2", "5", "9", "-1", SMALL, BIG, "a", "1.0", "536870911", "536870912", "9223372036854775800"]:
    if offset != "536870911":
        SAMPLES.append(probe(("SET", "k", "hello"), ("SETRANGE", "k", offset, "XY"), ("SETRANGE", "k", offset, "")))
    SAMPLES.append([("SETRANGE", "k", offset, "XY" if offset == "536870911" else ""), ("EXISTS", "k")])

# Counting.
for start in ["0", "5", "-5", BIG, SMALL, "9223372036854775806", "-9223372036854775807", "1.0", "1e3", "3.14"]:
    for by in ["1", "-1", "0", BIG, SMALL, "2", "-2", "9223372036854775808", "1e3", "", "0x10"]:
        SAMPLES.append([("SET", "k", start), ("INCRBY", "k", by), ("GET", "k"), ("DECRBY", "k", by), ("GET", "k"),
            ("OBJECT", "ENCODING", "k")])
for a in ["0", "0.1", "-0.1", "3.0e3", "1e-20", "1e4900", "-1e4900", "inf", "-inf", "nan", " 1", "1 ", "", "0x1p3", "1e",
    "5e-4960",
          "10.50", "200.0000000000000001", "123456789012345678901234567890", "-0", "1.7976931348623157e308", "+5", ".5",
              "5.", "1_0", b"1\x00"]:
    for b in ["0", "0.2", "-0.1", "1e4900", "-inf", "inf", "nan", "1e4000", "1,5"]:
        SAMPLES.append([("SET", "k", a), ("INCRBYFLOAT", "k", b), ("GET", "k"), ("OBJECT", "ENCODING", "k"), ("INCR", "k")])
SAMPLES += [
    [("SET", "k", "1"), ("INCRBYFLOAT", "k", "1"), ("OBJECT", "ENCODING", "k"), ("INCRBY", "k", "1"),
        ("OBJECT", "ENCODING", "k")],
    [("SET", "k", "1"), ("INCRBYFLOAT", "k", "0." + "1" * 30), ("INCRBYFLOAT", "k", "1" * 5119),
        ("INCRBYFLOAT", "k", "1" * 5121)],
    [("SETRANGE", "k", "3", "x"), ("MGET", "k", "k", "l"), ("APPEND", "k", "y"), ("STRLEN", "k")],
]

# The longest common subsequence.
PAIRS = [
    ("ohmytext", "mynewtext"), ("", ""), ("abc", ""), ("", "abc"), ("abc", "abc"), ("abc", "xyz"), ("aaaa", "aa"),
        ("aa", "aaaa"),
    ("abcbdab", "bdcaba"), ("rnakey1", "key1rna"), ("12345", "2345"), ("CACCCCTAAGGTACCTTTGGTTC", "ACCTAGTACTTTG"),
        ("xaxbxcx", "ayabycy"),
    (b"\x00\xff\x00", b"\xff\x00\x01"),
]
for a, b in PAIRS:
    script = [("SET", "a", a), ("SET", "b", b)]
    for options in [(), ("LEN",), ("IDX",), ("IDX", "WITHMATCHLEN"), ("IDX", "MINMATCHLEN", "2"),
        ("IDX", "MINMATCHLEN", "4", "WITHMATCHLEN"),
                    ("IDX", "MINMATCHLEN", "-1"), ("MINMATCHLEN", "9"), ("LEN", "WITHMATCHLEN"),
                        ("idx", "minmatchlen", "0", "minmatchlen", "3")]:
        script.append(("LCS", "a", "b") + options)
        script.append(("LCS", "a", "n") + options)
    SAMPLES.append(script)
SAMPLES += [
    [("SET", "a", "1234"), ("LCS", "a", "a", "LEN", "IDX"), ("LCS", "a", "a", "IDX", "LEN", "MINMATCHLEN"),
        ("LCS", "a", "a", "MINMATCHLEN", "x"),
     ("LCS", "a", "a", "FOO"), ("LCS", "a", "a", "LEN", "LEN"), ("LCS", "a", "a", "MINMATCHLEN"), ("LCS", "n", "n"),
         ("LCS", "n", "n", "IDX")],
    [("SETRANGE", "a", "13000", "x"), ("SETRANGE", "b", "13000", "y"), ("LCS", "a", "b", "LEN"), ("LCS", "a", "b", "FOO"),
        ("LCS", "a", "n", "LEN")],
]
