"""Lists. The blocking commands find something, fail, or run in a form that answers at once: what they do when there is nothing
depends on who waits (in MULTI nil, else the executor)."""

BIG = "9223372036854775807"
SMALL = "-9223372036854775808"
TOO_BIG = "99999999999999999999"
ALL = ("LRANGE", "l", "0", "-1")
FIVE = ("RPUSH", "l", "a", "b", "c", "b", "a")

INDEXES = ["0", "1", "4", "5", "-1", "-5", "-6", BIG, SMALL, TOO_BIG, "x", "", "+1", "01", " 1", "1.0", "-0"]

SAMPLES = [
    # Push
    [("RPUSH", "l", "a"), ("RPUSH", "l", "b", "c"), ("LPUSH", "l", "x", "y"), ALL, ("LLEN", "l"), ("OBJECT", "ENCODING", "l"), ("TYPE", "l")],
    [("RPUSHX", "l", "a"), ("LPUSHX", "l", "a"), ("EXISTS", "l"), ("RPUSH", "l", "m"), ("RPUSHX", "l", "n", "o"), ("LPUSHX", "l", "p", "q"), ALL],
    [("RPUSH", "l", "", b"\x00\xff\r\n", "1", "-1", "01", "1e3", "ü"), ALL, ("LPUSH", "l", "x" * 5000), ALL],
    [("RPUSH", "", ""), ("LRANGE", "", "0", "-1"), ("LPOP", ""), ("EXISTS", "")],
    [("RPUSH", "l", *map(str, range(300))), ("LPUSH", "l", *map(str, range(300))), ALL, ("LLEN", "l")],
    [("LPUSH", "l", *map(str, range(100))), ("RPUSH", "l", "t"), ("LPOP", "l", "50"), ("LPUSH", "l", *map(str, range(40))), ALL],
    # Another type, one that is not there
    [("SET", "s", "v")]
    + [(c, "s", *a) for c, a in [("RPUSH", "x"), ("LPUSH", "x"), ("RPUSHX", "x"), ("LPUSHX", "x"), ("LLEN", ()), ("LPOP", ()), ("RPOP", ()),
       ("LPOP", "1"), ("LPOP", "x"), ("LINDEX", "0"), ("LINDEX", "x"), ("LSET", "0x"), ("LSET", "xx"), ("LRANGE", "01"), ("LRANGE", "xx"),
       ("LTRIM", "01"), ("LTRIM", "xx"), ("LREM", "0x"), ("LREM", "xx"), ("LPOS", "x"), ("LPOS", "xx")]]
    + [("LINSERT", "s", "BEFORE", "a", "b"), ("LINSERT", "s", "FOO", "a", "b"), ("LMOVE", "s", "s", "LEFT", "RIGHT"), ("LMPOP", "1", "s", "LEFT"),
       ("RPOPLPUSH", "s", "l"), ("BLPOP", "s", "0"), ("BRPOP", "s", "x"), ("BLMOVE", "s", "l", "LEFT", "LEFT", "0"),
       ("BRPOPLPUSH", "s", "l", "0"), ("BLMPOP", "0", "1", "s", "LEFT"), ("LMPOP", "2", "l", "s", "LEFT"), ("BLPOP", "l", "s", "0")],
    [("LLEN", "l"), ("LPOP", "l"), ("RPOP", "l"), ("LPOP", "l", "0"), ("LPOP", "l", "2"), ("RPOP", "l", "2"), ("LINDEX", "l", "0"), ("LINDEX", "l", "x"),
     ("LSET", "l", "0", "x"), ("LSET", "l", "x", "x"), ALL, ("LRANGE", "l", "x", "0"), ("LTRIM", "l", "0", "1"), ("LTRIM", "l", "0", "x"),
     ("LREM", "l", "0", "x"), ("LREM", "l", "x", "x"), ("LPOS", "l", "x"), ("LPOS", "l", "x", "COUNT", "0"), ("LINSERT", "l", "AFTER", "a", "b"),
     ("LMOVE", "l", "m", "LEFT", "LEFT"), ("RPOPLPUSH", "l", "m"), ("LMPOP", "2", "l", "m", "RIGHT"), ("EXISTS", "l", "m")],
    # How many arguments
    *[[FIVE, (c,), (c, "l"), (c, "l", "1"), (c, "l", "1", "1"), (c, "l", "1", "1", "1"), (c, "l", "1", "1", "1", "1"), (c, "l", "1", "1", "1", "1", "1")]
      for c in ("LPUSH", "RPUSHX", "LPOP", "RPOP", "LLEN", "LINDEX", "LSET", "LINSERT", "LRANGE", "LTRIM", "LREM", "LPOS", "LMOVE", "RPOPLPUSH",
                "LMPOP", "BLMPOP")],
    # Pop
    *[[FIVE, (c, "l"), (c, "l", "0"), (c, "l", "2"), ALL, (c, "l", n), ALL, ("EXISTS", "l")]
      for c in ("LPOP", "RPOP") for n in ("1", "2", "3", BIG, "-1", SMALL, TOO_BIG, "x", "", "+1")],
    [("RPUSH", "l", "a"), ("LPOP", "l"), ("EXISTS", "l"), ("RPUSH", "l", "a"), ("RPOP", "l", "1"), ("EXISTS", "l"), ("TYPE", "l")],
    # Index
    *[[FIVE, ("LINDEX", "l", i), ("LSET", "l", i, "new"), ALL] for i in INDEXES],
    *[[FIVE, ("LRANGE", "l", i, j), ("LTRIM", "l", i, j), ALL, ("EXISTS", "l")] for i in INDEXES for j in INDEXES if i in "1-1-6" or j in "1-1" or i == j],
    [FIVE, ("LTRIM", "l", "3", "1"), ("EXISTS", "l")],
    [FIVE, ("EXPIRE", "l", "1000"), ("LTRIM", "l", "1", "3"), ("LPUSH", "l", "z"), ("TTL", "l"), ("LTRIM", "l", "9", "9"), ("TTL", "l"), FIVE, ("TTL", "l")],
    # Insert
    [FIVE, ("LINSERT", "l", "BEFORE", "b", "1"), ("LINSERT", "l", "after", "b", "2"), ("LINSERT", "l", "After", "a", "3"),
     ("LINSERT", "l", "before", "a", "4"), ("LINSERT", "l", "before", "zz", "5"), ("LINSERT", "l", "between", "a", "6"), ALL],
    [("RPUSH", "l", *map(str, range(50)))] + [("LINSERT", "l", w, str(i), "n") for i in range(0, 50, 3) for w in ("BEFORE", "AFTER")] + [ALL],
    # Remove
    *[[FIVE, ("RPUSH", "l", "a", "d", "a"), ("LREM", "l", n, "a"), ALL, ("LREM", "l", n, "b"), ALL, ("LREM", "l", n, "zz"), ALL]
      for n in ("0", "1", "2", "3", "4", "-1", "-2", "-3", "-9", BIG, SMALL, "x", "")],
    [("RPUSH", "l", "a", "a"), ("LREM", "l", "0", "a"), ("EXISTS", "l"), ("RPUSH", "l", "a", "a"), ("LREM", "l", "-2", "a"), ("EXISTS", "l")],
    # Position
    *[[FIVE, ("LPOS", "l", "a", *o), ("LPOS", "l", "b", *o), ("LPOS", "l", "zz", *o), ("LPOS", "none", "a", *o)] for o in (
        (), ("RANK", "1"), ("RANK", "2"), ("RANK", "3"), ("RANK", "-1"), ("RANK", "-2"), ("rank", "0"), ("RANK", BIG), ("RANK", SMALL),
        ("RANK", TOO_BIG), ("RANK", "x"), ("RANK",), ("COUNT", "0"), ("COUNT", "1"), ("count", "2"), ("COUNT", "-1"), ("COUNT", "x"),
        ("COUNT", BIG), ("COUNT",), ("MAXLEN", "0"), ("MAXLEN", "1"), ("maxlen", "4"), ("MAXLEN", "-1"), ("MAXLEN", "x"), ("MAXLEN", BIG),
        ("FOO", "1"), ("RANK", "-1", "COUNT", "0"), ("RANK", "2", "COUNT", "0"), ("RANK", "2", "COUNT", "1"), ("COUNT", "0", "MAXLEN", "4"),
        ("RANK", "-1", "COUNT", "0", "MAXLEN", "4"), ("RANK", "1", "RANK", "2"), ("RANK", SMALL, "COUNT", "1"), ("COUNT", "1", "COUNT", "0"), ("RANK", "0", "COUNT", "-1"),
        ("COUNT", "-1", "RANK", "0"), ("RANK", "1", "x"))],
    # Move
    *[[FIVE, ("LMOVE", "l", "m", f, t), ("LMOVE", "l", "m", f, t), ("LMOVE", "l", "l", f, t), ALL, ("LRANGE", "m", "0", "-1")]
      for f in ("LEFT", "right", "x") for t in ("left", "RIGHT", "")],
    [("RPUSH", "l", "a"), ("EXPIRE", "l", "1000"), ("LMOVE", "l", "l", "LEFT", "RIGHT"), ("TTL", "l"), ("LMOVE", "l", "m", "LEFT", "RIGHT"),
     ("EXISTS", "l"), ("TTL", "m"), ("SET", "s", "v"), ("LMOVE", "m", "s", "LEFT", "LEFT"), ("LLEN", "m"), ("RPOPLPUSH", "m", "s"), ("LLEN", "m"),
     ("LMOVE", "none", "s", "LEFT", "LEFT"), ("RPOPLPUSH", "m", "m"), ("RPOPLPUSH", "m", "n"), ("EXISTS", "m"), ("LRANGE", "n", "0", "-1")],
    # LMPOP
    *[[FIVE, ("RPUSH", "m", "1", "2"), ("LMPOP", *a), ("LLEN", "l"), ("LLEN", "m"), ("EXISTS", "l", "m")] for a in (
        ("1", "l", "LEFT"), ("1", "l", "right"), ("2", "none", "m", "LEFT"), ("2", "l", "m", "LEFT", "COUNT", "3"), ("1", "l", "RIGHT", "count", "9"),
        ("2", "l", "m", "LEFT", "COUNT", BIG), ("0", "l", "LEFT"), ("-1", "l", "LEFT"), ("x", "l", "LEFT"), ("2", "l", "LEFT"), ("1", "l", "m", "LEFT"),
        (BIG, "l", "LEFT"), (TOO_BIG, "l", "LEFT"), ("1", "l", "MIDDLE"), ("1", "l", "LEFT", "COUNT"), ("1", "l", "LEFT", "COUNT", "0"),
        ("1", "l", "LEFT", "COUNT", "-1"), ("1", "l", "LEFT", "COUNT", "x"), ("1", "l", "LEFT", "COUNT", "1", "COUNT", "1"),
        ("1", "l", "LEFT", "COUNT", "1", "x"), ("1", "l", "LEFT", "COUNT", "x", "x"), ("1", "l", "LEFT", "x"), ("1", "l", "LEFT", "FOO", "1"), ("3", "l", "l", "l", "LEFT", "COUNT", "2"))],
    # Blocking ones that need not wait
    *[[FIVE, ("RPUSH", "m", "1", "2"), ("BLPOP", "none", "l", "m", t), ("BRPOP", "m", "l", t), ("BLMOVE", "l", "m", "LEFT", "RIGHT", t),
       ("BRPOPLPUSH", "l", "m", t), ("BLMPOP", t, "2", "none", "m", "LEFT", "COUNT", "2"), ALL, ("LRANGE", "m", "0", "-1")]
      for t in ("0", "1", "0.5", "1e3", "0x10", "-1", "-0.001", "-0.0011", "-0", "x", "", " 1", "nan", "inf", "-inf", "1e300", "9223372036854775",
                "9223372036854775.8", "9223372036854776", "1e-400", "9" * 5000)],
    [FIVE, ("BLMOVE", "l", "m", "x", "LEFT", "x"), ("BLMOVE", "l", "m", "LEFT", "x", "-1"), ("BLMPOP", "x", "0", "l", "LEFT"), ("BLMPOP", "0", "0", "l", "LEFT"),
     ("BLMPOP", "0", "2", "l", "LEFT"), ("BLMPOP", "0", "1", "l", "LEFT", "COUNT", "0"), ("BLMPOP", "0", "1", "l", "x"), ("BLMPOP", "0", "1", "l", "LEFT", "x", "1"), ALL],
]
