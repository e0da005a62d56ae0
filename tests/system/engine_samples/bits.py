"""Commands on bits: engine/bits.c, engine/bitfield.c."""

BIG = str(2**63 - 1)
SMALL = str(-(2**63))
STRINGS = [None, "", "a", "foobar", "123", b"\x00\x00\x00", b"\xff\xff\xff", b"\x00\xff\xf0", b"\xff\xf0\x00",
    b"\x00" * 20 + b"\x01", b"\xff" * 17 + b"\xfe", "x" * 60]


def given(value):
    return [] if value is None else [("SET", "k", value)]


SAMPLES = []
OFFSETS = ["0", "7", "8", "20", "47", "200", "-1", "4294967295", "4294967296", BIG, SMALL, "a", "", "#1", "01", "1.0"]
for value in STRINGS:
    for offset in OFFSETS:
        SAMPLES.append(given(value) + [("GETBIT", "k", offset)])
        if offset == "4294967295":
            continue
        for bit in ["0", "1", "2", "-1", "a", "01"]:
            SAMPLES.append(given(value) + [("SETBIT", "k", offset, bit), ("GET", "k"), ("OBJECT", "ENCODING", "k"),
                ("TTL", "k")])
SAMPLES += [
    [("SETBIT", "k", "8000005", "1"), ("STRLEN", "k"), ("BITCOUNT", "k"), ("BITPOS", "k", "1"), ("DEL", "k")],
    [("SET", "k", "v", "EX", "100"), ("SETBIT", "k", "1", "1"), ("TTL", "k"), ("BITFIELD", "k", "SET", "u8", "0", "1"),
        ("TTL", "k")],
    [("SETBIT", "k", "5", "0"), ("GET", "k"), ("OBJECT", "ENCODING", "k")],
]

POSITIONS = ["0", "1", "2", "5", "-1", "-2", "-6", "-100", "100", "17", "160", "a", "", BIG, SMALL]
for value in STRINGS:
    script = given(value)
    for bit in ["0", "1", "2", "-1", "a"]:
        script.append(("BITPOS", "k", bit))
    script.append(("BITCOUNT", "k"))
    for first in POSITIONS:
        script += [("BITCOUNT", "k", first), ("BITPOS", "k", "0", first), ("BITPOS", "k", "1", first),
            ("BITPOS", "k", "x", first)]
        for last in POSITIONS:
            script += [("BITCOUNT", "k", first, last), ("BITPOS", "k", "0", first, last), ("BITPOS", "k", "1", first, last)]
            for unit in ["BYTE", "bit", "FOO", ""]:
                script += [("BITCOUNT", "k", first, last, unit), ("BITPOS", "k", "0", first, last, unit),
                    ("BITPOS", "k", "1", first, last, unit)]
    SAMPLES.append(script)
    SAMPLES.append(given(value) + [("BITCOUNT", "k", "0", "-1", "BIT", "x"), ("BITPOS", "k", "1", "0", "-1", "BIT", "x"),
        ("BITPOS", "k", "2", "a"), ("BITCOUNT", "k", "1", "BIT")])

for a in STRINGS:
    for b in ["", None, "abc", b"\xff\x0f" * 20, "7"]:
        script = given(a) + ([] if b is None else [("SET", "l", b)])
        for op in ["AND", "or", "Xor"]:
            script += [("SET", "d", "1", "EX", "100"), ("BITOP", op, "d", "k", "l"), ("GET", "d"),
                ("OBJECT", "ENCODING", "d"), ("TTL", "d"),
                       ("BITOP", op, "d", "l"), ("GET", "d"), ("BITOP", op, "d", "l", "k", "l", "n"), ("GET", "d")]
        script += [("BITOP", "NOT", "d", "k"), ("GET", "d"), ("OBJECT", "ENCODING", "d"), ("BITOP", "NOT", "k", "k"),
            ("GET", "k"), ("BITOP", "AND", "k", "k", "n"), ("GET", "k")]
        SAMPLES.append(script)
SAMPLES += [
    [("BITOP", "FOO", "d", "k"), ("BITOP", "NOT", "d", "k", "l"), ("BITOP", "NOT", "d"), ("BITOP", "AND", "d"),
        ("BITOP", "", "d", "k")],
    [("RPUSH", "l", "a"), ("SET", "k", "x"), ("BITOP", "AND", "d", "k", "l"), ("BITOP", "OR", "l", "k"), ("TYPE", "l")],
    [("RPUSH", "l", "a"), ("BITOP", "OR", "l", "n"), ("TYPE", "l"), ("BITOP", "OR", "l", "n")],
    [("RPUSH", "k", "a"), ("SETBIT", "k", "0", "1"), ("SETBIT", "k", "0", "2"), ("SETBIT", "k", "-1", "0"),
        ("GETBIT", "k", "0"), ("GETBIT", "k", "x"), ("BITCOUNT", "k"),
     ("BITCOUNT", "k", "1"), ("BITPOS", "k", "1"), ("BITPOS", "k", "3"), ("BITFIELD", "k"),
         ("BITFIELD", "k", "GET", "u8", "0"), ("BITFIELD", "k", "SET", "u8", "0", "1"),
     ("BITFIELD", "k", "GET", "u99", "0"), ("BITFIELD_RO", "k", "SET", "u8", "0", "1"),
         ("BITFIELD_RO", "k", "GET", "u8", "0"), ("TYPE", "k")],
    [("SETBIT", "k", "1"), ("GETBIT", "k"), ("BITCOUNT",), ("BITPOS", "k"), ("BITFIELD",), ("BITFIELD_RO",),
        ("SETBIT", "k", "1", "1", "1")],
    [("BITCOUNT", "n", "1"), ("BITCOUNT", "n", "a", "b"), ("BITCOUNT", "n", "0", "-1", "FOO"), ("BITPOS", "n", "0", "a"),
        ("BITPOS", "n", "1", "a", "b", "c", "d")],
]

SAMPLES += [
    [("SET", "k", "abc"), ("BITOP", b"NOT\x00", "d", "k"), ("BITCOUNT", "k", "0", "-1", b"BIT\x00x"),
     ("BITPOS", "k", "1", "0", "-1", b"BYTE\x00"), ("BITFIELD", "k", b"GET\x00", "u8", "0", b"OVERFLOW\x00", b"SAT\x00"),
     ("GETBIT", "k", b"1\x00"), ("SETBIT", "k", "1", b"1\x00"), ("BITFIELD", "k", "GET", "u8", b"#1\x00")],
]

TYPES = ["u1", "u8", "u5", "u63", "i1", "i8", "i5", "i63", "i64", "u16", "i32"]
BAD_TYPES = ["u0", "u64", "i0", "i65", "i-1", "x8", "u", "", "U8", "I8", "u08", "u8 ", b"u8\x00z", "8", "i9223372036854775807"]
NUMBERS = ["0", "1", "-1", "127", "128", "-128", "-129", "255", "256", "300", BIG, SMALL, "9223372036854775806",
    "-9223372036854775807", "4611686018427387904"]
for t in TYPES:
    for overflow in [(), ("OVERFLOW", "WRAP"), ("OVERFLOW", "sat"), ("OVERFLOW", "FAIL")]:
        script = []
        for n in NUMBERS:
            for at in ["0", "3", "#1"]:
                script += [("BITFIELD", "k") + overflow + ("SET", t, at, n),
                    ("BITFIELD", "k") + overflow + ("INCRBY", t, at, n, "GET", t, at)]
        SAMPLES.append(script + [("GET", "k"), ("OBJECT", "ENCODING", "k")])
    script = [("SET", "k", "12345678"), ("OBJECT", "ENCODING", "k")]
    for at in OFFSETS + ["#0", "#7", "#8", "#-1", "#", "##1", "#4294967296", "#2305843009213693952", "#2305843009213693953",
        "#576460752303423489", "#a", "60", "64", "1000"]:
        script += [("BITFIELD", "k", "GET", t, at), ("BITFIELD_RO", "k", "GET", t, at, "GET", "u4", at)]
    SAMPLES.append(script + [("GET", "k"), ("OBJECT", "ENCODING", "k")])
for t in BAD_TYPES:
    SAMPLES.append([("BITFIELD", "k", "GET", t, "0"), ("BITFIELD", "k", "SET", t, "x", "y"),
        ("BITFIELD", "k", "INCRBY", "u8", "0", "1", "GET", t, "0"), ("EXISTS", "k")])
for value in STRINGS:
    SAMPLES.append(given(value) + [
        ("BITFIELD", "k"), ("OBJECT", "ENCODING", "k"), ("BITFIELD", "k", "GET", "u8", "0", "GET", "i5", "3", "GET", "i64",
            "10"), ("OBJECT", "ENCODING", "k"),
        ("BITFIELD", "k", "OVERFLOW", "FAIL"), ("OBJECT", "ENCODING", "k"),
            ("BITFIELD", "k", "OVERFLOW", "FAIL", "INCRBY", "u8", "#4", "300"), ("GET", "k"),
        ("OBJECT", "ENCODING", "k"), ("BITFIELD", "k", "SET", "u8", "#1", "65", "OVERFLOW", "SAT", "INCRBY", "u8", "#1",
            "250", "GET", "u8", "#1", "OVERFLOW", "FAIL", "INCRBY", "u8", "#1", "1"),
        ("GET", "k"), ("BITFIELD", "k", "SET", "i8", "1", "-1", "SET", "i8", "1", "5", "INCRBY", "i8", "1", "-10"),
            ("GET", "k")])
SAMPLES += [
    [("BITFIELD", "k", "GET"), ("BITFIELD", "k", "GET", "u8"), ("BITFIELD", "k", "SET", "u8", "0"),
        ("BITFIELD", "k", "INCRBY", "u8", "0"), ("BITFIELD", "k", "OVERFLOW"),
     ("BITFIELD", "k", "OVERFLOW", "FOO"), ("BITFIELD", "k", "FOO", "u8", "0"), ("BITFIELD", "k", "SET", "u8", "0", "x"),
         ("BITFIELD", "k", "SET", "u8", "-1", "x"),
     ("BITFIELD", "k", "INCRBY", "u8", "0", "9223372036854775808"), ("EXISTS", "k")],
    [("BITFIELD", "k", "OVERFLOW", "SAT", "SET", "i3", "0", n, "GET", "i3", "0") for n in (SMALL, "-9223372036854775804",
        "-9223372036854775805", "-5", "5", BIG)],
    [("BITFIELD", "k", "OVERFLOW", "SAT", "SET", "i64", "0", n, "GET", "i64", "0") for n in (SMALL, "-1", BIG)],
    [("BITFIELD_RO", "k", "OVERFLOW", "SAT", "GET", "u8", "0"), ("BITFIELD_RO", "k", "OVERFLOW", "BAD"),
        ("BITFIELD_RO", "k", "INCRBY", "u8", "0", "1"),
     ("BITFIELD_RO", "k", "SET", "u8", "0", "a"), ("BITFIELD_RO", "k", "GET", "u8", "0", "SET", "u8", "0", "1"),
         ("BITFIELD_RO", "k"), ("EXISTS", "k")],
    [("BITFIELD", "k", "SET", "u8", "#1000000", "1"), ("STRLEN", "k"), ("DEL", "k")],
    [("BITFIELD", "k", "GET", "u8", "4294967295", "GET", "u8", "4294967288"), ("EXISTS", "k")],
]
