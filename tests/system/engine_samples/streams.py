"""Streams and their consumer groups. What tells times is compared as Shape, other numbers exactly."""

from engine_samples import Shape

MAX = "18446744073709551615"
INT_MAX = "9223372036854775807"
LAST = f"{MAX}-{MAX}"
ALL = ("XRANGE", "x", "-", "+")
GROUPS = ("XINFO", "GROUPS", "x")
INFO = ("XINFO", "STREAM", "x")
FULL = Shape("XINFO", "STREAM", "x", "FULL")
FIVE = [("XADD", "x", f"{i}-1", "f", f"v{i}") for i in range(1, 6)]
GROUP = [*FIVE, ("XGROUP", "CREATE", "x", "g", "0")]
READ = [*GROUP, ("XREADGROUP", "GROUP", "g", "alice", "COUNT", "2", "STREAMS", "x", ">"), ("XREADGROUP", "GROUP", "g", "bob", "STREAMS", "x", ">")]
IDS = ["0", "0-0", "-", "+", "*", "$", ">", "", "1-", "-1", "1-1-1", "1-*", "0-*", "*-1", "+1", " 1", "01", "1-01", "1- 1", "x", "1-x", MAX, LAST, "18446744073709551616",
       f"1-{MAX}", f"1-{MAX}9", "(1", "((1", "(", "(-", "(+", "(0-0", f"({LAST}", b"1\x002", b"5-5\x00", "1" * 127, "1" * 128, "0" * 126 + "7", "0" * 127 + "7"]  # fmt: skip
NUMBERS = ["0", "1", "2", "-1", "x", "", INT_MAX, "9223372036854775808", "1.5", "01"]
NAMES = ["bob", "alice", "", "bobby", "Bob", b"\xff", b"nul\x00in", "b\r\nob"]
EACH = [("XADD", "*", "f", "v"), ("XLEN",), ("XRANGE", "-", "+"), ("XREVRANGE", "+", "-"), ("XDEL", "1"), ("XDEL", "z"), ("XTRIM", "MAXLEN", "0"), ("XTRIM", "x"), ("XSETID", "9-9"),
        ("XSETID", "z"), ("XACK", "g", "1"), ("XACK", "g", "z"), ("XPENDING", "g"), ("XPENDING", "g", "-", "+", "5"), ("XPENDING", "g", "z", "+", "5"), ("XCLAIM", "g", "c", "0", "1"),
        ("XCLAIM", "g", "c", "z", "1"), ("XAUTOCLAIM", "g", "c", "0", "0"), ("XAUTOCLAIM", "g", "c", "z", "0")]  # fmt: skip
SUBS = [("XGROUP", "CREATE", "", "g", "$"), ("XGROUP", "CREATE", "", "g", "z"), ("XGROUP", "SETID", "", "g", "z"), ("XGROUP", "DESTROY", "", "g"),
        ("XGROUP", "CREATECONSUMER", "", "g", "c"), ("XGROUP", "DELCONSUMER", "", "g", "c"), ("XINFO", "STREAM", ""), ("XINFO", "STREAM", "", "z"), ("XINFO", "STREAM", "", "FULL"),
        ("XINFO", "GROUPS", ""), ("XINFO", "CONSUMERS", "", "g")]  # fmt: skip


def on(key):
    """Every command on one key."""
    plain = [(name, key, *rest) for name, *rest in EACH if (name, key) != ("XADD", "none")]
    subs = [(name, sub, key, *rest) for name, sub, _, *rest in SUBS]
    return [*plain, *subs, ("XREAD", "STREAMS", key, "0"), ("XREAD", "STREAMS", key, "z"), ("XREADGROUP", "GROUP", "g", "c", "STREAMS", key, ">"), ("EXISTS", key)]


SAMPLES = [
    # Another type, a key that is not there, a stream without the group
    [("SET", "s", "v"), *on("s")],
    on("none"),
    [("XADD", "x", "1-1", "f", "v"), *[c for c in on("x") if c[:3] != ("XADD", "x", "*")], INFO],
    # Adding: ids
    [*FIVE, ALL, ("XLEN", "x"), ("TYPE", "x"), ("OBJECT", "ENCODING", "x"), INFO, FULL],
    *[[("XADD", "x", i, "f", "v"), ALL, ("XADD", "x", i, "f", "w"), ALL, INFO] for i in IDS if i != "*"],
    *[[("XADD", "x", "5-5", "f", "v"), ("XADD", "x", i, "f", "w"), ALL] for i in ["5", "5-5", "5-4", "5-6", "5-*", "4-*", "6-*", "6", "0-*", f"5-{MAX}"]],
    [("XADD", "x", f"5-{MAX}", "f", "v"), ("XADD", "x", "5-*", "f", "v"), ("XADD", "x", "6-*", "f", "v"), ALL],
    [("XADD", "x", LAST, "f", "v"), ("XADD", "x", "*", "f", "v"), ("XADD", "x", "1-1", "f", "v"), ("XADD", "x", f"{MAX}-*", "f", "v"), ALL, ("XREAD", "STREAMS", "x", f"{MAX}-1"),
     ("XREAD", "STREAMS", "x", LAST), ("XREVRANGE", "x", "+", f"({MAX}-1")],
    [("XADD", "x", f"{MAX}-1", "f", "v"), ("XADD", "x", "*", "f", "v"), ALL],
    # Adding: options, fields
    *[[("XADD", "x", *a), ALL] for a in [("1-1",), ("1-1", "f"), ("1-1", "f", "v", "g"), ("*", "f"), ("NOMKSTREAM", "1-1", "f", "v"), ("NOMKSTREAM", "z", "f", "v"),
      ("MAXLEN", "1-1", "f", "v"), ("MAXLEN", "1", "MAXLEN", "2", "1-1", "f", "v"), ("MAXLEN", "1", "MINID", "2", "1-1", "f", "v"), ("MINID", "1", "MAXLEN", "2", "1-1", "f", "v"),
      ("MAXLEN", "0", "1-1", "f", "v"), ("MAXLEN", "~", "0", "1-1", "f", "v"), ("MINID", "2", "1-1", "f", "v"), ("MINID", "~", "2", "1-1", "f", "v"), ("LIMIT", "5", "1-1", "f", "v"),
      ("LIMIT", "0", "1-1", "f", "v"), ("maxlen", "=", "1", "LIMIT", "5", "1-1", "f", "v"), ("MAXLEN", "~", "1", "LIMIT", "x", "1-1", "f", "v"), ("1-1", "", ""), ("0-0", "f", "v"),
      ("MAXLEN", "~", "1", "LIMIT", "-1", "1-1", "f", "v"), ("MAXLEN", "1", "LIMIT", "0", "1-1", "f", "v"), ("1-1", "f", "1", "f", "2", b"\x00", b"\xff\r\n"), ("MAXLEN", "~", "=", "f", "v"),
      ("NOMKSTREAM", "NOMKSTREAM", "MAXLEN", "5", "1-1", "f", "v"), ("FOO", "1-1", "f", "v"), ("MAXLEN", "-1", "1-1", "f", "v"), ("1-1", "*", "*"), ("MINID", "-", "1-1", "f", "v")]],
    [*FIVE, ("XADD", "x", "NOMKSTREAM", "MAXLEN", "3", "6-1", "f", "v6"), ALL, ("XADD", "x", "MINID", "=", "5-1", "7-1", "f", "v7"), ALL, INFO, ("XADD", "x", "MAXLEN", "0", "8-1", "f", "v"), INFO],
    # Trimming
    *[[*FIVE, ("XTRIM", "x", how, *eq, n, *limit), ALL, INFO] for how in ("MAXLEN", "MINID") for eq in ((), ("=",), ("~",)) for n in ("0", "3", "9", "x", "-1", "3-1", "3-2")
      for limit in ((), ("LIMIT", "2"), ("LIMIT", "0"), ("LIMIT", "5"))],
    [*FIVE, *[("XTRIM", "x", *a) for a in [("MAXLEN",), ("LIMIT", "1"), ("MAXLEN", "~"), ("MAXLEN", "=", "~"), ("FOO", "1"), ("MAXLEN", "1", "foo"), ("MAXLEN", "1", "MINID", "1"),
      ("LIMIT", "1", "MAXLEN", "~", "1"), ("MINID", "+"), ("NOMKSTREAM", "MAXLEN", "1")]], ALL],
    [*[("XADD", "x", f"{i}-0", "f", "v") for i in range(1, 451)], INFO, ("XTRIM", "x", "MAXLEN", "~", "420"), ("XTRIM", "x", "MAXLEN", "~", "320"), ("XLEN", "x"), INFO,
     ("XTRIM", "x", "MINID", "~", "200"), ("XTRIM", "x", "MINID", "~", "201"), INFO, ("XTRIM", "x", "MAXLEN", "~", "0", "LIMIT", "99"), ("XTRIM", "x", "MAXLEN", "~", "0", "LIMIT", "100"),
     ("XADD", "x", "MAXLEN", "~", "50", "500-0", "g", "w"), INFO, ("XTRIM", "x", "MAXLEN", "~", "0"), INFO],
    *[[*[("XADD", "x", f"{i}-{i % 7}", *(["f", "a" * size] * (1 + i % n))) for i in range(1, 120)], INFO, ("XTRIM", "x", "MAXLEN", "~", "60"), INFO, ("XLEN", "x")]
      for size in (1, 20, 62, 63, 64, 100, 126, 127, 128, 500, 4090, 4096, 5000) for n in (1, 3)],
    [*[("XADD", "x", f"{i * 77777}-{i * i}", "n", str((-7) ** (i % 23)), f"k{i % 2}", str(i)) for i in range(1, 300)], INFO, ("XTRIM", "x", "MAXLEN", "~", "150"), INFO],
    # Deleting
    *[[*FIVE, ("XDEL", "x", *ids), ALL, INFO, ("XADD", "x", "5-*", "f", "v"), INFO] for ids in [("1-1",), ("1",), ("3-1", "3-1"), ("5-1", "2-1"), ("9-9",), ("1-1", "z"), ("-",),
      tuple(f"{i}-1" for i in range(1, 6))]],
    # Ranges
    *[[*FIVE, *[c for i in part for c in (("XRANGE", "x", i, "+"), ("XRANGE", "x", "-", i), ("XREVRANGE", "x", i, "-"), ("XREVRANGE", "x", "+", i))]] for part in (IDS[::2], IDS[1::2], ["3", "(3-1", "3-1", "(2-1", "3-0"])],
    [*FIVE, *[(c, "x", "-", "+", "COUNT", n) for c in ("XRANGE", "XREVRANGE") for n in NUMBERS], ("XRANGE", "x", "-", "+", "COUNT"), ("XRANGE", "x", "-", "+", "COUNT", "1", "COUNT", "2"),
     ("XRANGE", "x", "-", "+", "foo", "1"), ("XRANGE", "x", "4", "2"), ("XREVRANGE", "x", "4", "2"), ("XREVRANGE", "x", "+", "-", "COUNT", "2"), ("XRANGE", "none", "-", "+", "COUNT", "0")],
    # XREAD
    [*FIVE, ("XADD", "y", "9-9", "g", "w"), *[("XREAD", *a) for a in [("STREAMS", "x", "0"), ("STREAMS", "x", "y", "0", "0"), ("STREAMS", "x", "y", "4-1", "9-9"), ("STREAMS", "x", "$"),
      ("COUNT", "2", "STREAMS", "x", "y", "1", "1"), ("COUNT", "0", "STREAMS", "x", "3"), ("COUNT", "-1", "STREAMS", "x", "3"), ("COUNT", "x", "STREAMS", "x", "3"), ("STREAMS", "x", ">"),
      ("BLOCK", "0", "STREAMS", "x", "9"), ("BLOCK", "-1", "STREAMS", "x", "9"), ("BLOCK", "x", "STREAMS", "x", "9"), ("BLOCK", INT_MAX, "STREAMS", "x", "9"), ("STREAMS", "x", "y", "0"),
      ("GROUP", "g", "c", "STREAMS", "x", "0"), ("NOACK", "STREAMS", "x", "0"), ("COUNT", "1", "x", "0"), ("foo", "STREAMS", "x", "0"), ("STREAMS", "none", "x", "0", "4"), ("STREAMS", "x", "x", "3", "4"),
      ("COUNT", "1", "BLOCK", "5"), ("STREAMS", "x", "-"), ("STREAMS", "x", "+"), ("STREAMS", "x", LAST), ("BLOCK", "5", "COUNT", "1", "STREAMS", "x", "0")]]],
    # XSETID
    *[[*FIVE, ("XDEL", "x", "3-1", "5-1"), ("XSETID", "x", *a), INFO] for a in [("9-9",), ("4-1",), ("5-1",), ("z",), ("-",), ("9", "ENTRIESADDED", "9"), ("9", "ENTRIESADDED", "1"),
      ("9", "ENTRIESADDED", "-1"), ("9", "ENTRIESADDED", "x"), ("9", "MAXDELETEDID", "8"), ("9", "MAXDELETEDID", "10"), ("9", "MAXDELETEDID", "0-0"), ("9", "MAXDELETEDID", "z"),
      ("9", "ENTRIESADDED", "9", "MAXDELETEDID", "2-2"), ("9", "ENTRIESADDED"), ("9", "foo", "1"), ("9", "ENTRIESADDED", "3", "foo")]],
    [("XGROUP", "CREATE", "x", "g", "$", "MKSTREAM"), ("XSETID", "x", "5-5", "ENTRIESADDED", "0"), INFO, GROUPS, ("XSETID", "x", "1", "ENTRIESADDED", "7"), INFO, GROUPS],
    # XGROUP
    *[[*FIVE[:given], ("XGROUP", *a), GROUPS, ("EXISTS", "x")] for given in (0, 5) for a in [("CREATE", "x", "g", "$"), ("CREATE", "x", "g", "$", "MKSTREAM"), ("CREATE", "x", "g", "0", "mkstream"),
      ("CREATE", "x", "g", "2", "ENTRIESREAD", "2"), ("CREATE", "x", "g", "0", "MKSTREAM", "ENTRIESREAD", "3"), ("CREATE", "x", "g", "0", "ENTRIESREAD", "-2", "MKSTREAM"),
      ("CREATE", "x", "g", "0", "ENTRIESREAD", "-1"), ("CREATE", "x", "g", "0", "ENTRIESREAD", "x"), ("CREATE", "x", "g", "0", "ENTRIESREAD"), ("CREATE", "x", "g", "0", "foo"),
      ("CREATE", "x", "g", "z", "MKSTREAM"), ("CREATE", "x", "g", "-"), ("CREATE", "x", "g"), ("CREATE", "x", "g", "0", "MKSTREAM", "MKSTREAM", "MKSTREAM"),
      ("CREATE", "x", "g", "0", "MKSTREAM", "MKSTREAM", "MKSTREAM", "MKSTREAM"), ("SETID", "x", "g", "0"), ("DESTROY", "x", "g"), ("CREATECONSUMER", "x", "g", "c"), ("DELCONSUMER", "x", "g", "c"),
      ("CREATE", "x", b"g\x00h", "0"), ("HELP",)]],
    [*GROUP, ("XGROUP", "CREATE", "x", "g", "0"), ("XGROUP", "CREATE", "x", "g", "0", "MKSTREAM"), ("XGROUP", "CREATE", "x", "a", "3"), ("XGROUP", "CREATE", "x", "gg", "$"), ("XGROUP", "CREATE", "x", "", "9"),
     GROUPS, ("XGROUP", "DESTROY", "x", "g"), ("XGROUP", "DESTROY", "x", "g"), GROUPS, FULL],
    [*GROUP, *[step for a in [("$",), ("-",), ("+",), ("3",), ("3-1", "ENTRIESREAD", "2"), ("3-1", "ENTRIESREAD", INT_MAX), ("0", "ENTRIESREAD"), ("0", "MKSTREAM"), ("0", "ENTRIESREAD", "1", "ENTRIESREAD", "2"),
      ("0", "ENTRIESREAD", "-3"), ("z",)] for step in (("XGROUP", "SETID", "x", "g", *a), GROUPS)], ("XGROUP", "SETID", "x", "h", "0"), ("XGROUP", "SETID", "x", "h", "z")],
    [*GROUP, *[("XGROUP", "CREATECONSUMER", "x", "g", n) for n in NAMES], ("XGROUP", "CREATECONSUMER", "x", "g", "bob"), Shape("XINFO", "CONSUMERS", "x", "g"), ("XGROUP", "DELCONSUMER", "x", "g", "bob"),
     ("XGROUP", "DELCONSUMER", "x", "g", "bob"), Shape("XINFO", "CONSUMERS", "x", "g"), GROUPS, ("XINFO", "CONSUMERS", "x", "h"), ("XGROUP", "DELCONSUMER", "x", "h", "c")],
    # XREADGROUP, XACK, XPENDING
    [*READ, GROUPS, FULL, ("XPENDING", "x", "g"), Shape("XPENDING", "x", "g", "-", "+", "9"), ("XREADGROUP", "GROUP", "g", "alice", "STREAMS", "x", "0"), Shape("XPENDING", "x", "g", "-", "+", "9"),
     ("XREADGROUP", "GROUP", "g", "alice", "COUNT", "1", "STREAMS", "x", "1"), ("XREADGROUP", "GROUP", "g", "carol", "STREAMS", "x", "0"), ("XREADGROUP", "GROUP", "g", "dave", "STREAMS", "x", ">"),
     Shape("XINFO", "CONSUMERS", "x", "g"), ("XACK", "x", "g", "1-1", "1-1", "9-9", "4-1"), ("XPENDING", "x", "g"), ("XDEL", "x", "2-1", "5-1"), ("XREADGROUP", "GROUP", "g", "bob", "STREAMS", "x", "0"),
     ("XREADGROUP", "GROUP", "g", "alice", "STREAMS", "x", "0-0"), GROUPS, ("XGROUP", "DELCONSUMER", "x", "g", "bob"), ("XPENDING", "x", "g"), FULL, ("XACK", "x", "g", "2", "2-1", "3", "z")],
    [*READ, ("XGROUP", "SETID", "x", "g", "0"), GROUPS, ("XREADGROUP", "GROUP", "g", "carol", "COUNT", "3", "STREAMS", "x", ">"), ("XPENDING", "x", "g"), GROUPS, FULL],
    [*GROUP, ("XADD", "y", "1-1", "g", "w"), ("XGROUP", "CREATE", "y", "g", "$"), *[step for a in [("GROUP", "g", "c", "STREAMS", "x", "x", ">", ">"), ("GROUP", "g", "c", "STREAMS", "x", "y", ">", ">"),
      ("GROUP", "g", "c", "STREAMS", "y", ">"), ("GROUP", "g", "c", "NOACK", "STREAMS", "x", "0"), ("GROUP", "g", "c", "STREAMS", "x", "y", "0", "0"), ("GROUP", "g", "c", "STREAMS", "x", "$"),
      ("GROUP", "g", "c", "STREAMS", "x", "none", ">", ">"), ("GROUP", "h", "c", "STREAMS", "x", ">"), ("GROUP", "h", "c", "STREAMS", "x", "z"), ("GROUP", "g", "c", "STREAMS", "x", "z"),
      ("GROUP", "g", "c", "STREAMS", "x", LAST), ("GROUP", "g", "c", "STREAMS", "x", "y", ">"), ("NOACK", "COUNT", "1", "STREAMS", "x", ">"), ("GROUP", "g", "c", "COUNT", "x", "STREAMS", "x", ">"),
      ("GROUP", "g", "c", "BLOCK", "-1", "STREAMS", "x", ">"), ("GROUP", "g", "c", "BLOCK", "0", "STREAMS", "x", ">"), ("GROUP", "g", "c", "x", "0", "1", "2"), ("NOACK", "GROUP", "h", "c", "GROUP", "g", "d", "STREAMS", "x", "0")]
      for step in (("XREADGROUP", *a), GROUPS)]],
    [*GROUP, ("XREADGROUP", "GROUP", "g", "c", "NOACK", "COUNT", "2", "STREAMS", "x", ">"), GROUPS, ("XPENDING", "x", "g"), ("XREADGROUP", "GROUP", "g", "c", "NOACK", "STREAMS", "x", "0"), FULL],
    [*READ, *[Shape("XPENDING", "x", "g", *a) for a in [("-", "+"), ("-", "+", "2"), ("-", "+", "0"), ("-", "+", "-1"), ("-", "+", "x"), ("(1-1", "(4-1", "9"), ("3", "3", "9"), ("-", "+", "9", "bob"),
      ("-", "+", "9", "nobody"), ("-", "+", "9", "bob", "more"), ("-", "+", "9", "bob", "more", "and"), ("-", "+", "9", "bob", "more", "and", "more"), ("IDLE", "0", "-", "+", "9"), ("IDLE", "100000", "-", "+", "9"),
      ("IDLE", "-5", "-", "+", "9", "alice"), ("IDLE", "x", "-", "+", "9"), ("IDLE", "0", "-"), ("IDLE", "0", "-", "+"), ("z", "+", "9"), ("-", f"({LAST}", "9"), (f"({LAST}", "+", "9"), ("-", "(0-0", "9"), ("+", "-", "9")]],
     ("XPENDING", "x", "h"), ("XPENDING", "none", "g", "-", "+", "1")],
    # Lag: deletions, trims and groups anywhere
    *[[*FIVE, ("XGROUP", "CREATE", "x", "g", i), ("XGROUP", "CREATE", "x", "r", i, "ENTRIESREAD", "2"), ("XDEL", "x", *d), GROUPS, ("XREADGROUP", "GROUP", "g", "c", "COUNT", "1", "STREAMS", "x", ">"), GROUPS,
       ("XREADGROUP", "GROUP", "r", "c", "COUNT", "2", "STREAMS", "x", ">"), GROUPS, ("XADD", "x", "9-9", "f", "v"), ("XTRIM", "x", "MAXLEN", "2"), GROUPS, ("XTRIM", "x", "MAXLEN", "0"), GROUPS]
      for i in ("0", "1-1", "2-1", "3", "$", "7") for d in (("9-9",), ("1-1",), ("3-1",), ("5-1",), ("1-1", "2-1"), ("4-1", "1-1"))],
    # XCLAIM
    *[[*READ, ("XDEL", "x", "2-1"), Shape("XCLAIM", "x", "g", "carol", *a), Shape("XPENDING", "x", "g", "-", "+", "9"), GROUPS, Shape("XINFO", "CONSUMERS", "x", "g")] for a in [("0", "1-1"), ("0", "1-1", "2-1", "9-9", "3-1"),
      ("100000", "1-1"), ("-1", "1-1"), ("x", "1-1"), ("0", "1-1", "JUSTID"), ("0", "1-1", "IDLE", "5000"), ("0", "1-1", "IDLE", "x"), ("0", "1-1", "IDLE", "-9"), ("0", "1-1", "IDLE", "-9223372036854775808"), ("0", "1-1", "TIME", "5"),
      ("0", "1-1", "TIME", "-1"), ("0", "1-1", "TIME", INT_MAX), ("0", "1-1", "TIME", "x"), ("0", "1-1", "RETRYCOUNT", "7"), ("0", "1-1", "RETRYCOUNT", "-7"), ("0", "1-1", "RETRYCOUNT", "x"), ("0", "1-1", "LASTID", "9-9"),
      ("0", "1-1", "LASTID", "2"), ("0", "1-1", "LASTID", "z"), ("0", "1-1", "foo"), ("0", "1-1", "IDLE"), ("0", "FORCE"), ("0", "z"), ("0", "2-1", "2-1"), ("0", "1-1", "1-1"), ("0", "2-1", "FORCE"),
      ("0", "1-1", "force", "justid", "retrycount", INT_MAX, "1-1"), ("0", b"x\x00y")]],
    [*GROUP, Shape("XCLAIM", "x", "g", "c", "0", "3-1"), Shape("XINFO", "CONSUMERS", "x", "g"), ("XCLAIM", "x", "g", "c", "0", "3-1", "1-1", "9-9", "FORCE"), FULL, ("XCLAIM", "x", "g", "c", "0", "5-1", "FORCE", "JUSTID"),
     ("XCLAIM", "x", "g", "b", "5000", "5-1", "4-1", "FORCE", "RETRYCOUNT", "0"), FULL, ("XREADGROUP", "GROUP", "g", "c", "STREAMS", "x", ">"), FULL, ("XCLAIM", "x", "h", "c", "z", "1"), ("XCLAIM", "none", "h", "c", "0", "1")],
    # XAUTOCLAIM
    *[[*READ, ("XDEL", "x", "2-1", "4-1"), ("XAUTOCLAIM", "x", "g", "carol", *a), Shape("XPENDING", "x", "g", "-", "+", "9"), ("XPENDING", "x", "g"), Shape("XINFO", "CONSUMERS", "x", "g")] for a in [("0", "0"), ("0", "-"), ("0", "+"),
      ("0", "3"), ("0", "(3-1"), ("0", f"({LAST}"), ("0", "0", "COUNT", "1"), ("0", "0", "COUNT", "2"), ("0", "0", "COUNT", "3"), ("0", "0", "COUNT", "5"), ("0", "0", "JUSTID"), ("0", "0", "COUNT", "0"), ("0", "0", "COUNT", "x"),
      ("0", "0", "COUNT", INT_MAX), ("0", "0", "COUNT", "576460752303423487"), ("0", "0", "COUNT"), ("0", "0", "foo"), ("x", "0"), ("-5", "0"), ("100000", "0"), ("0", "z"), ("0", "0", "justid", "count", "2", "count", "1")]],
    [("XAUTOCLAIM", "none", "g", "c", "0", "0"), *FIVE, ("XAUTOCLAIM", "x", "g", "c", "0", "0"), ("XGROUP", "CREATE", "x", "g", "0"), ("XAUTOCLAIM", "x", "g", "c", "0", "0"), Shape("XINFO", "CONSUMERS", "x", "g")],
    [*[("XADD", "x", f"{i}-0", "f", "v") for i in range(1, 60)], ("XGROUP", "CREATE", "x", "g", "0"), ("XREADGROUP", "GROUP", "g", "c", "STREAMS", "x", ">"), ("XAUTOCLAIM", "x", "g", "d", "100000", "5", "COUNT", "2"),
     ("XAUTOCLAIM", "x", "g", "d", "100000", "45", "COUNT", "2"), ("XTRIM", "x", "MAXLEN", "30"), ("XAUTOCLAIM", "x", "g", "d", "0", "0", "COUNT", "5"), ("XAUTOCLAIM", "x", "g", "d", "0", "20"), ("XPENDING", "x", "g"), GROUPS],
    # XINFO
    *[[*READ, Shape("XINFO", "STREAM", "x", *a)] for a in [(), ("FULL",), ("full", "COUNT", "1"), ("FULL", "COUNT", "0"), ("FULL", "COUNT", "-1"), ("FULL", "COUNT", "x"), ("FULL", "COUNT"), ("foo",), ("FULL", "foo", "1"),
      ("foo", "COUNT", "1"), ("FULL", "COUNT", "1", "x")]],
    [("XINFO", "HELP"), ("XGROUP", "HELP"), ("XINFO",), ("XGROUP",), ("XINFO", "HELP", "x"), ("XGROUP", "HELP", "x"), ("XINFO", "GROUPS", "x", "y"), ("XINFO", "CONSUMERS", "x")],
    # A copy, a rename, an expiry
    [*READ, ("COPY", "x", "y"), ("XDEL", "x", "1-1"), ("XACK", "x", "g", "3-1"), ("XRANGE", "y", "-", "+"), ("XPENDING", "y", "g"), ("XPENDING", "x", "g"), ("RENAME", "y", "x"), ("XPENDING", "x", "g"), INFO,
     ("EXPIRE", "x", "1000"), ("XTRIM", "x", "MAXLEN", "0"), ("TTL", "x"), ("EXISTS", "x")],
]
