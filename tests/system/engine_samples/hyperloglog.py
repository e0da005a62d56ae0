"""Commands on HyperLogLogs: engine/hyperloglog.c. Strings have Redis's bytes, but in Redis PFCOUNT of one key writes the count that
it computed into the string, and the engine does not: so it counts a copy here (counted), or the key together with one that does
not exist, which Redis does not write down."""

SPARSE = b"HYLL\x01\0\0\0" + b"\0" * 7 + b"\x80"
DENSE = b"HYLL\x00\0\0\0" + b"\0" * 7 + b"\x80"
NOTHING = b"\x7f\xff"


def elements(first, n):
    return tuple("e%d" % i for i in range(first, first + n))


def counted(key):
    return [("COPY", key, "copy", "REPLACE"), ("PFCOUNT", "copy"), ("DEL", "copy"), ("PFCOUNT", key, "nothing")]


def grow(key, steps, size):
    script = []
    for i in range(steps):
        script += [("PFADD", key) + elements(i * size, size), ("GET", key)] + counted(key) + [("PFADD", key) + elements(i * size, 1)]
    return script


SAMPLES = [
    [("PFADD", "k"), ("GET", "k"), ("OBJECT", "ENCODING", "k"), ("PFADD", "k"), *counted("k")],
    [("PFADD", "k", ""), ("GET", "k"), ("PFADD", "k", ""), *counted("k")],
    [("PFADD", "k", "a", "b", "c", "a"), ("GET", "k"), *counted("k"), ("PFCOUNT", "k", "n"), ("PFADD", "k", "d"),
        ("GET", "k"), *counted("k")],
    [("PFCOUNT", "n"), ("PFCOUNT", "n", "m"), ("PFMERGE", "d"), ("GET", "d"), ("PFMERGE", "e", "n", "m"),
        ("GET", "e"), *counted("e")],
    [("PFADD",), ("PFCOUNT",), ("PFMERGE",)],
    [("SET", "k", "x", "EX", "100"), ("PFADD", "l", "a"), ("PFMERGE", "l", "k"), ("PFMERGE", "k", "l"),
        ("PFCOUNT", "l", "k"), *counted("k"), ("PFADD", "k", "a"), ("GET", "k")],
    [("RPUSH", "k", "x"), ("PFADD", "l", "a"), ("PFMERGE", "l", "k"), ("PFMERGE", "k", "l"),
        ("PFCOUNT", "l", "k"), *counted("k"), ("PFADD", "k", "a"), ("TYPE", "k")],
    [("SET", "k", "1234567890123456789"), *counted("k"), ("PFADD", "k")],
    [("PFADD", "k", b"\x00\x01", b"\xff" * 100, "1234567", "12345678", "123456789", "x" * 1000), ("GET", "k"), *counted("k")],
    [("PFADD", "k", "a"), ("EXPIRE", "k", "100"), ("PFADD", "k", "b"), ("TTL", "k"), ("PFMERGE", "k", "n"), ("TTL", "k")],
    [("SET", "k", SPARSE + b"\x7f"), ("PFCOUNT", "k", "n"), ("PFMERGE", "d", "k"), ("EXISTS", "d")],
    [("SET", "k", SPARSE + b"\x7f\xff\x40"), ("PFADD", "k", "a"), ("GET", "k"), ("PFADD", "k", "a", "b"), ("GET", "k"),
        ("PFCOUNT", "k", "n")],
    grow("k", 60, 7), grow("k", 40, 50), grow("k", 20, 1000), grow("k", 5, 20000),
]
# Unions of small and large ones, sparse and dense.
for a, b in [(3, 5), (100, 200), (1000, 10), (10, 5000), (3000, 3000), (700, 700), (20000, 1)]:
    SAMPLES.append([
        ("PFADD", "a") + elements(0, a), ("PFADD", "b") + elements(a // 2, b), ("PFCOUNT", "a", "b"),
            ("PFCOUNT", "b", "a", "n", "a"), ("PFMERGE", "d", "a", "b"), ("GET", "d"),
        ("OBJECT", "ENCODING", "d"), *counted("d"), ("PFMERGE", "a", "b"), ("GET", "a"), *counted("a"), ("PFMERGE", "b"),
            ("GET", "b"), ("STRLEN", "b"),
        ("PFADD", "d") + elements(0, 20), ("PFADD", "d", "new element"), ("GET", "d"), *counted("d")])
# Strings made by hand: counts that they claim, runs that are cut, too short, too long.
for value in [
    b"", b"HYLL", SPARSE, DENSE, SPARSE + NOTHING, DENSE + b"\0" * 12288, DENSE + b"\xff" * 12288,
        DENSE + b"\x41" * 12288, DENSE + b"\x8a\x13" * 6144, DENSE + b"\0" * 12287, b"hyll" + SPARSE[4:] + NOTHING,
    b"HYLL\x02" + SPARSE[5:] + NOTHING, b"HYLL\x01\0\0\0" + b"\x07" + b"\0" * 7 + NOTHING,
        b"HYLL\x01abc" + b"\xff" * 7 + b"\x7f" + NOTHING, SPARSE + b"\x7f\xfe",
    SPARSE + b"\x7f\xff\x00", SPARSE + b"\x7f\xff\x80", SPARSE + b"\x7f\xfe\x80", SPARSE + b"\x7f\xfe\x81",
        SPARSE + b"\x40\x03" * 4096, SPARSE + b"\x3f" * 256, SPARSE + b"\x83" * 4096,
    SPARSE + b"\xff" * 4096, SPARSE + b"\x80" * 16384, SPARSE + b"\x80" * 4 + b"\x7f\xfb",
        SPARSE + b"\x40\x00" + b"\x7f\xfe", SPARSE + b"\x80" * 2000 + b"\x78\x2f", SPARSE + b"\x80" * 2999,
]:
    SAMPLES += [
        [("SET", "k", value), *counted("k"), ("PFCOUNT", "k", "n"), ("PFADD", "k"), ("OBJECT", "ENCODING", "k")],
        [("SET", "k", value), ("PFMERGE", "d", "k"), ("GET", "d"), ("PFMERGE", "k"), ("PFADD", "l") + elements(0, 2000),
            ("PFMERGE", "k", "l"), ("STRLEN", "k")],
    ]
    # After INVALIDOBJ, Redis keeps the elements that were added before it; the engine changes nothing. So k goes at the end.
    for i in range(0, 12):
        SAMPLES.append([("SET", "k", value), ("PFADD", "k", "e%d" % i), ("GET", "k"), ("PFADD", "k") + elements(i, 50),
            ("STRLEN", "k"), *counted("k"), ("DEL", "k")])
