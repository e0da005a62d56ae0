"""Random commands for the engine: one line of grammar for each row, over few keys of all types.

    WORD            itself                         <name> or <name:kind>   a value, see VALUES
    [ … ]           there or not                   ( a | b )               one of them
    { … }           one to three times

One value in thirty is replaced by one that is wrong, and some commands get a word too many or too few. A class before the
grammar (Unordered …) says how replies are compared."""
import re

from engine_samples import Any, Command, Later, Shape, Sizes, Unordered

KEYS = {
    "string": ["s1", "s2", "s3"],
    "bits": ["b1", "b2"],
    "list": ["l1", "l2", "l3"],
    "hash": ["h1", "h2"],
    "set": ["e1", "e2", "e3"],
    "zset": ["z1", "z2", "z3"],
    "byname": ["n1", "n2"],
    "geo": ["g1", "g2"],
    "stream": ["x1", "x2"],
    "hll": ["p1", "p2"],
}
# A HyperLogLog holds a cache that Redis writes when it counts: nobody else looks at its bytes.
ANY_KEY = sum((keys for kind, keys in KEYS.items() if kind != "hll"), ["", "none", b"\xff\x00k", "hex:00"])
NOT_A_STRING = [key for key in ANY_KEY if key[:1] not in ("s", "b")]

WRONG = ["", "abc", "-1", "0", "1.5", " 1", "01", "9223372036854775807", "-9223372036854775808", "9223372036854775808",
         "1e400", "nan", "inf", "-inf", b"\xff\xfe", b"w\x00b", "*", "$", "-", "+", "1-1", "LIMIT", "COUNT", "18446744073709551615"]  # fmt: skip
INTEGERS = ["0", "1", "2", "3", "5", "-1", "-2", "-3", "10", "100", "-100", "9223372036854775807", "-9223372036854775808"]
FLOATS = ["0", "1", "1.5", "-2.25", "3", "0.1", "1e3", "-0", "1e-7", "3.14159265358979", "inf", "-inf", "1e17", "0x10"]
# SORT ALPHA looks no further than a NUL, and leaves open how equal ones are sorted: so nothing is equal up to there.
MEMBERS = ["a", "b", "c", "d", "aa", "1", "2", "3", "-7", "10000", "", b"\xff", b"m\x00", "\u00e9", "x" * 65]
FIELDS = ["f", "g", "h", "1", "", b"\xc3\x28", "y" * 70]
VALUE_WORDS = ["v", "1", "10", "-5", "3.5", "", "hello world", b"n\x00\x01\xff", "\u00fc\u00f1\u00ee", "9223372036854775806", "z" * 44, "z" * 45, "q" * 64]
IDS = ["1-1", "1-2", "2-0", "2-1", "3-5", "5", "5-1", "7-7", "100", "0-1", "0-0", "0"]
CITIES = ["Palermo", "Catania", "Rome", "Paris", "Oslo", "", b"\xf0\x9f\x98\x80"]
LEX = ["-", "+", "[a", "(a", "[c", "(d", "[aa", "[", "("]


def key(rng, kind):
    if kind is None or rng.random() < 0.12:
        return rng.choice(NOT_A_STRING if kind == "hll" else ANY_KEY)
    return rng.choice(KEYS[kind])


def score_edge(rng):
    return rng.choice(["", "("]) + rng.choice(FLOATS)


def counted(rng, kind):
    """How many keys, and the keys."""
    keys = [key(rng, kind) for _ in range(rng.randint(1, 3))]
    count = len(keys) if rng.random() < 0.93 else rng.choice([0, -1, len(keys) + 1, len(keys) - 1, "x"])
    return [str(count), *keys]


def streams(rng, more):
    """Keys, then as many ids."""
    names = [key(rng, "stream") for _ in range(rng.randint(1, 2))]
    ids = [rng.choice([*IDS, more]) for _ in names]
    return names + (ids if rng.random() < 0.95 else ids[1:])


VALUES = {
    "v": lambda rng, _: rng.choice(VALUE_WORDS),
    "i": lambda rng, _: rng.choice(INTEGERS),
    "n": lambda rng, _: str(rng.choice([0, 1, 1, 2, 3, 5, 10])),
    "f": lambda rng, _: rng.choice(FLOATS),
    "m": lambda rng, _: rng.choice(MEMBERS),
    "field": lambda rng, _: rng.choice(FIELDS),
    "edge": lambda rng, _: score_edge(rng),
    "lex": lambda rng, _: rng.choice(LEX),
    "id": lambda rng, _: rng.choice(IDS),
    "newid": lambda rng, _: rng.choice([rng.choice(IDS), f"{rng.randint(1, 40)}-{rng.randint(0, 3)}", f"{rng.randint(1, 60)}-*"]),
    "span": lambda rng, _: rng.choice(["-", "+", *IDS, "(1-1", "(5-1", "(0-0"]),
    "group": lambda rng, _: rng.choice(["g", "g", "g", "G2", "nogroup"]),
    "consumer": lambda rng, _: rng.choice(["alice", "bob", "carol", ""]),
    "sec": lambda rng, _: rng.choice(["1", "2", "100", "1000", "86400"]),
    "msec": lambda rng, _: rng.choice(["1", "50", "2000", "100000", "1000000"]),
    "at": lambda rng, _: rng.choice(["9999999999", "4102444800", "1800000002", "1"]),
    "msat": lambda rng, _: rng.choice(["9999999999999", "4102444800000", "1800000000100", "1"]),
    "idle": lambda rng, _: rng.choice(["0", "0", "1", "100", "3000"]),
    "bit": lambda rng, _: rng.choice(["0", "1", "1", "1", "2"]),
    "offset": lambda rng, _: rng.choice(["0", "1", "5", "7", "8", "20", "100", "-1", "4294967296"]),
    "type": lambda rng, _: rng.choice(["u8", "i8", "u1", "i64", "u63", "i5", "u64", "i65", "u0", "x"]),
    "bitat": lambda rng, _: rng.choice(["0", "#1", "7", "#3", "100", "-1", "#"]),
    "lon": lambda rng, _: rng.choice(["13.361389", "15.087269", "2.35", "0", "-179.9", "180", "181", "12.5"]),
    "lat": lambda rng, _: rng.choice(["38.115556", "37.502669", "48.85", "0", "-85", "86", "41.9"]),
    "city": lambda rng, _: rng.choice(CITIES),
    "km": lambda rng, _: rng.choice(["1", "200", "1000", "20000", "0", "-1"]),
    "unit": lambda rng, _: rng.choice(["m", "km", "mi", "ft", "KM", "yd"]),
    "glob": lambda rng, _: rng.choice(["*", "a*", "?", "[a-c]", "f", "x[", "\\*"]),
    "weight": lambda rng, _: rng.choice(["1", "2", "-1", "0.5", "inf"]),
    "text": lambda rng, _: rng.choice(["ohmytext", "mynewtext", "a", ""]),
}
LISTS = {
    "keys": counted,
    "after": lambda rng, _: streams(rng, "$"),
    "news": lambda rng, _: streams(rng, ">"),
}

EXPIRY = "[ ( NX | XX | GT | LT ) ]"
LIMIT = "[ LIMIT <i> <i> ]"
ZSTORE = "[ WEIGHTS <weight> <weight> ] [ AGGREGATE ( SUM | MIN | MAX ) ]"
GEO = "[ WITHCOORD ] [ WITHDIST ] [ WITHHASH ]"
CLAIM = "[ ( IDLE <idle> | TIME <msat> ) ] [ RETRYCOUNT <n> ] [ FORCE ] [ JUSTID ]"
TRIM = "( MAXLEN | MINID ) [ = ] <id>"

GRAMMAR = {
    "append": "<k:string> <v>", "decr": "<k:string>", "decrby": "<k:string> <i>", "get": "<k:string>", "getdel": "<k:string>",
    "getex": "<k:string> [ ( EX <sec> | PX <msec> | EXAT <at> | PXAT <msat> | PERSIST ) ]", "getrange": "<k:string> <i> <i>",
    "getset": "<k:string> <v>", "incr": "<k:string>", "incrby": "<k:string> <i>", "incrbyfloat": "<k:string> <f>",
    "lcs": "<k:string> <k:string> [ LEN ] [ IDX ] [ MINMATCHLEN <n> ] [ WITHMATCHLEN ]", "mget": "{ <k:string> }",
    "mset": "{ <k:string> <v> }", "msetnx": "{ <k:string> <v> }", "psetex": "<k:string> <msec> <v>",
    "set": "<k:string> <v> [ ( NX | XX ) ] [ GET ] [ ( EX <sec> | PX <msec> | EXAT <at> | PXAT <msat> | KEEPTTL ) ]",
    "setex": "<k:string> <sec> <v>", "setnx": "<k:string> <v>", "setrange": "<k:string> <n> <v>", "strlen": "<k:string>",
    "substr": "<k:string> <i> <i>",
    "bitcount": "<k:bits> [ <i> <i> [ ( BIT | BYTE ) ] ]",
    "bitfield": "<k:bits> { ( GET <type> <bitat> | SET <type> <bitat> <i> | INCRBY <type> <bitat> <i> | OVERFLOW ( WRAP | SAT | FAIL ) ) }",
    "bitfield_ro": "<k:bits> { GET <type> <bitat> }", "bitop": "( AND | OR | XOR | NOT ) <k:bits> { <k:bits> }",
    "bitpos": "<k:bits> <bit> [ <i> [ <i> [ ( BIT | BYTE ) ] ] ]", "getbit": "<k:bits> <offset>", "setbit": "<k:bits> <offset> <bit>",
    "lindex": "<k:list> <i>", "linsert": "<k:list> ( BEFORE | AFTER ) <m> <v>", "llen": "<k:list>",
    "lmove": "<k:list> <k:list> ( LEFT | RIGHT ) ( LEFT | RIGHT )", "lmpop": "<keys:list> ( LEFT | RIGHT ) [ COUNT <n> ]",
    "lpop": "<k:list> [ <n> ]", "lpos": "<k:list> <m> [ RANK <i> ] [ COUNT <n> ] [ MAXLEN <n> ]", "lpush": "<k:list> { <m> }",
    "lpushx": "<k:list> { <m> }", "lrange": "<k:list> <i> <i>", "lrem": "<k:list> <i> <m>", "lset": "<k:list> <i> <v>",
    "ltrim": "<k:list> <i> <i>", "rpop": "<k:list> [ <n> ]", "rpoplpush": "<k:list> <k:list>", "rpush": "<k:list> { <m> }",
    "rpushx": "<k:list> { <m> }", "blmove": "<k:list> <k:list> ( LEFT | RIGHT ) ( LEFT | RIGHT ) <f>",
    "blmpop": "<f> <keys:list> ( LEFT | RIGHT ) [ COUNT <n> ]", "blpop": "{ <k:list> } <f>", "brpop": "{ <k:list> } <f>",
    "brpoplpush": "<k:list> <k:list> <f>",
    "hdel": "<k:hash> { <field> }", "hexists": "<k:hash> <field>", "hget": "<k:hash> <field>", "hgetall": (Unordered, "<k:hash>"),
    "hincrby": "<k:hash> <field> <i>", "hincrbyfloat": "<k:hash> <field> <f>", "hkeys": (Unordered, "<k:hash>"), "hlen": "<k:hash>",
    "hmget": "<k:hash> { <field> }", "hmset": "<k:hash> { <field> <v> }", "hrandfield": (Sizes, "<k:hash> [ <n> [ WITHVALUES ] ]"),
    "hscan": (Unordered, "<k:hash> 0 [ MATCH <glob> ] COUNT 1000"), "hset": "<k:hash> { <field> <v> }", "hsetnx": "<k:hash> <field> <v>",
    "hstrlen": "<k:hash> <field>", "hvals": (Unordered, "<k:hash>"),
    "sadd": "<k:set> { <m> }", "scard": "<k:set>", "sdiff": (Unordered, "{ <k:set> }"), "sdiffstore": "<k:set> { <k:set> }",
    "sinter": (Unordered, "{ <k:set> }"), "sintercard": "<keys:set> [ LIMIT <n> ]", "sinterstore": "<k:set> { <k:set> }",
    "sismember": "<k:set> <m>", "smembers": (Unordered, "<k:set>"), "smismember": "<k:set> { <m> }", "smove": "<k:set> <k:set> <m>",
    "spop": (Sizes, "<k:set> [ <n> ]"), "srandmember": (Sizes, "<k:set> [ <n> ]"), "srem": "<k:set> { <m> }",
    "sscan": (Unordered, "<k:set> 0 [ MATCH <glob> ] COUNT 1000"), "sunion": (Unordered, "{ <k:set> }"), "sunionstore": "<k:set> { <k:set> }",
    "zadd": "( <k:zset> [ ( NX | XX ) ] [ ( GT | LT ) ] [ CH ] { <f> <m> } | <k:byname> { 0 <m> } )", "zcard": "<k:zset>", "zcount": "<k:zset> <edge> <edge>",
    "zdiff": "<keys:zset> [ WITHSCORES ]", "zdiffstore": "<k:zset> <keys:zset>", "zincrby": "<k:zset> <f> <m>",
    "zinter": f"<keys:zset> {ZSTORE} [ WITHSCORES ]", "zintercard": "<keys:zset> [ LIMIT <n> ]", "zinterstore": f"<k:zset> <keys:zset> {ZSTORE}",
    "zlexcount": "( <k:zset> | <k:byname> ) <lex> <lex>", "zmpop": "<keys:zset> ( MIN | MAX ) [ COUNT <n> ]", "zmscore": "<k:zset> { <m> }",
    "zpopmax": "<k:zset> [ <n> ]", "zpopmin": "<k:zset> [ <n> ]", "zrandmember": (Sizes, "<k:zset> [ <n> [ WITHSCORES ] ]"),
    "zrange": f"( <k:zset> | <k:byname> ) ( <i> <i> | <edge> <edge> BYSCORE {LIMIT} | <lex> <lex> BYLEX {LIMIT} ) [ REV ] [ WITHSCORES ]",
    "zrangebylex": f"( <k:zset> | <k:byname> ) <lex> <lex> {LIMIT}", "zrangebyscore": f"<k:zset> <edge> <edge> [ WITHSCORES ] {LIMIT}",
    "zrangestore": f"<k:zset> ( <k:zset> | <k:byname> ) ( <i> <i> | <edge> <edge> BYSCORE {LIMIT} | <lex> <lex> BYLEX {LIMIT} ) [ REV ]",
    "zrank": "<k:zset> <m>", "zrem": "<k:zset> { <m> }", "zremrangebylex": "( <k:zset> | <k:byname> ) <lex> <lex>", "zremrangebyrank": "<k:zset> <i> <i>",
    "zremrangebyscore": "<k:zset> <edge> <edge>", "zrevrange": "<k:zset> <i> <i> [ WITHSCORES ]", "zrevrangebylex": f"( <k:zset> | <k:byname> ) <lex> <lex> {LIMIT}",
    "zrevrangebyscore": f"<k:zset> <edge> <edge> [ WITHSCORES ] {LIMIT}", "zrevrank": "<k:zset> <m>",
    "zscan": (Unordered, "<k:zset> 0 [ MATCH <glob> ] COUNT 1000"), "zscore": "<k:zset> <m>", "zunion": f"<keys:zset> {ZSTORE} [ WITHSCORES ]",
    "zunionstore": f"<k:zset> <keys:zset> {ZSTORE}", "bzmpop": "<f> <keys:zset> ( MIN | MAX ) [ COUNT <n> ]",
    "bzpopmax": "{ <k:zset> } <f>", "bzpopmin": "{ <k:zset> } <f>",
    "xack": "<k:stream> <group> { <id> }", "xadd": f"<k:stream> [ NOMKSTREAM ] [ {TRIM} ] <newid> {{ <field> <v> }}",
    "xautoclaim": "<k:stream> <group> <consumer> <idle> <id> [ COUNT <n> ] [ JUSTID ]", "xclaim": f"<k:stream> <group> <consumer> <idle> {{ <id> }} {CLAIM}",
    "xdel": "<k:stream> { <id> }", "xgroup|create": "<k:stream> <group> ( $ | <id> ) [ MKSTREAM ] [ ENTRIESREAD <n> ]",
    "xgroup|createconsumer": "<k:stream> <group> <consumer>", "xgroup|delconsumer": "<k:stream> <group> <consumer>",
    "xgroup|destroy": "<k:stream> <group>", "xgroup|help": "", "xgroup|setid": "<k:stream> <group> ( $ | <id> ) [ ENTRIESREAD <n> ]",
    "xinfo|consumers": "<k:stream> <group>", "xinfo|groups": "<k:stream>", "xinfo|help": "",
    "xinfo|stream": "<k:stream> [ FULL [ COUNT <n> ] ]", "xlen": "<k:stream>",
    "xpending": "<k:stream> <group> [ [ IDLE <idle> ] <span> <span> <n> [ <consumer> ] ]", "xrange": "<k:stream> <span> <span> [ COUNT <n> ]",
    "xread": "[ COUNT <n> ] [ BLOCK <n> ] STREAMS <after>", "xreadgroup": "GROUP <group> <consumer> [ COUNT <n> ] [ BLOCK <n> ] [ NOACK ] STREAMS <news>",
    "xrevrange": "<k:stream> <span> <span> [ COUNT <n> ]", "xsetid": "<k:stream> <id> [ ENTRIESADDED <n> ] [ MAXDELETEDID <id> ]",
    "xtrim": f"<k:stream> {TRIM}",
    "pfadd": "<k:hll> { <m> }", "pfcount": "{ <k:hll> }", "pfmerge": "<k:hll> { <k:hll> }",
    "geoadd": "<k:geo> [ ( NX | XX ) ] [ CH ] { <lon> <lat> <city> }", "geodist": "<k:geo> <city> <city> [ <unit> ]",
    "geohash": "<k:geo> { <city> }", "geopos": "<k:geo> { <city> }",
    "georadius": (Unordered, f"<k:geo> <lon> <lat> <km> <unit> {GEO} [ COUNT <n> ] [ ( ASC | DESC ) ]"),
    "georadius_ro": (Unordered, f"<k:geo> <lon> <lat> <km> <unit> {GEO} [ COUNT <n> ] [ ( ASC | DESC ) ]"),
    "georadiusbymember": (Unordered, "<k:geo> <city> <km> <unit> [ COUNT <n> ASC ] [ ( STORE | STOREDIST ) <k:geo> ]"),
    "georadiusbymember_ro": (Unordered, f"<k:geo> <city> <km> <unit> {GEO} [ COUNT <n> ] [ ( ASC | DESC ) ]"),
    "geosearch": (Unordered, f"<k:geo> ( FROMMEMBER <city> | FROMLONLAT <lon> <lat> ) ( BYRADIUS <km> <unit> | BYBOX <km> <km> <unit> ) {GEO} [ COUNT <n> ] [ ( ASC | DESC ) ]"),
    "geosearchstore": "<k:geo> <k:geo> ( FROMMEMBER <city> | FROMLONLAT <lon> <lat> ) ( BYRADIUS <km> <unit> | BYBOX <km> <km> <unit> ) [ COUNT <n> ASC ] [ STOREDIST ]",
    "copy": "<k> <k> [ REPLACE ]", "del": "{ <k> }", "dump": (Any, "<k>"), "exists": "{ <k> }", "expire": f"<k> <sec> {EXPIRY}",
    "expireat": f"<k> <at> {EXPIRY}", "expiretime": "<k>", "object|encoding": "<k>", "object|freq": "<k>", "object|help": "",
    "object|idletime": (Shape, "<k>"), "object|refcount": "<k>", "persist": "<k>", "pexpire": f"<k> <msec> {EXPIRY}",
    "pexpireat": f"<k> <msat> {EXPIRY}", "pexpiretime": "<k>", "pttl": "<k>", "rename": "<k> <k>", "renamenx": "<k> <k>",
    "restore": "<k> <n> <v> [ REPLACE ] [ ABSTTL ] [ IDLETIME <n> ] [ FREQ <n> ]",
    "sort": "<k:list> [ LIMIT <i> <i> ] [ ( ASC | DESC ) ] [ ALPHA ] [ STORE <k:list> ]", "sort_ro": "<k:set> [ LIMIT <i> <i> ] [ ( ASC | DESC ) ] [ ALPHA ]",
    "touch": "{ <k> }", "ttl": "<k>", "type": "<k>", "unlink": "{ <k> }",
}  # fmt: skip
# What fills the keyspace comes more often than what empties or reads it.
OFTEN = {"set", "setbit", "rpush", "lpush", "hset", "sadd", "zadd", "geoadd", "xadd", "xgroup|create", "xreadgroup", "pfadd"}
RARELY = {"del", "unlink", "rename", "getdel", "expireat", "pexpireat", "zremrangebyscore", "xgroup|help", "xinfo|help", "object|help"}

CLOSING = {"[": "]", "{": "}", "(": ")"}


def parsed(words):
    """The words up to a closing one or '|' as nodes: a word, or (bracket, nodes)."""
    nodes = []
    while words and words[0] not in "]})|":
        word = words.pop(0)
        if word not in CLOSING:
            nodes.append(word)
            continue
        branches = [parsed(words)]
        while words.pop(0) == "|":
            branches.append(parsed(words))
        nodes.append((word, branches))
    return nodes


def expanded(rng, nodes, out):
    for node in nodes:
        if isinstance(node, str):
            out.extend(value(rng, node))
            continue
        bracket, branches = node
        times = {"[": rng.random() < 0.4, "(": 1, "{": rng.choice([1, 1, 2, 3])}[bracket]
        for _ in range(times):
            expanded(rng, rng.choice(branches), out)
    return out


def value(rng, word):
    match = re.fullmatch(r"<(\w+)(?::(\w+))?>", word)
    if match is None:
        return [word.lower() if rng.random() < 0.1 else word]
    name, kind = match.groups()
    if name in LISTS:
        return LISTS[name](rng, kind)
    if name == "k":
        return [key(rng, kind)]
    return [rng.choice(WRONG) if rng.random() < 0.033 else VALUES[name](rng, kind)]


TREES = {
    row: (text[0], parsed(text[1].split())) if isinstance(text, tuple) else (Command, parsed(text.split()))
    for row, text in GRAMMAR.items()
}


def command_of(rng, row):
    kind, nodes = TREES[row]
    words = expanded(rng, nodes, row.split("|"))
    if rng.random() < 0.01 and len(words) > 2:
        words.pop()
    if rng.random() < 0.01:
        words.append(rng.choice(WRONG))
    return kind(*words)


def follow_up(row, command):
    """Random pops leave different values: the key is made equal again."""
    return [("DEL", command[1])] if row == "spop" and len(command) > 1 else []


def pause(rng):
    """Time passes between two commands, but not between the two sides."""
    return [Later(rng.choice([1, 10, 49, 1000, 2001, 60000]))] if rng.random() < 0.1 else []


def opening(rng, rows):
    """Groups, without which most stream commands say the same."""
    names = KEYS["stream"] if "xgroup|create" in rows and rng.random() < 0.7 else []
    return [Command("XGROUP", "CREATE", name, "g", rng.choice(["0", "1-1", "$"]), "MKSTREAM") for name in names]


def script_of(rng, rows, length, hits):
    """A list of commands; hits counts them by row."""
    weights = [8 if row in OFTEN else 0.3 if row in RARELY else 1 for row in rows]
    script = opening(rng, rows)
    while len(script) < length:
        row = rng.choices(rows, weights)[0]
        command = command_of(rng, row)
        hits[row] += 1
        script += [command, *follow_up(row, command), *pause(rng)]
    return script
