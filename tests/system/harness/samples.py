"""Every command that may write to a key, with arguments that work: what a managed key must make of it.

SAMPLES names, for each row of router/commands.def that may write to a key, the commands to try and what is expected of
the TTLs afterwards. The replies and the values are expected to be those of plain Redis. Keys named conv:… are managed.
Before a command runs, every key of its setup gets a TTL of its own, unless bare is set."""
from dataclasses import dataclass, replace

HELLO = b"\x00\x05hello\x0a\x00cr\xdfve4\x20\x0a"  # DUMP of the string hello, RDB version 10


@dataclass(frozen=True)
class Sample:
    args: tuple
    setup: tuple = ()
    slides: frozenset = frozenset()  # keys that have the policy's TTL afterwards; the others have what Redis gives them
    bare: bool = False  # the keys of the setup have no TTL
    unordered: bool = False  # Redis is free to choose the order of the reply's elements
    typed: bool = False  # the command refuses a key of some other type

    @property
    def name(self):
        return self.args[0].decode().lower()


def words(command):
    """A command line split at blanks; bytes stay whole: ("RESTORE k 0", b"...", "REPLACE")."""
    parts = (command,) if isinstance(command, str) else command
    return tuple(w for part in parts for w in ([part] if isinstance(part, bytes) else part.encode().split()))


def _sample(command, setup, **options):
    return Sample(words(command), tuple(words(line) for line in setup), **options)


def slide(command, *setup, keys="conv:k", **options):
    """The command writes, so that keys start their TTL again; of a wrong type it is refused."""
    return _sample(command, setup, slides=frozenset(keys.split()), **{"typed": True, **options})


def keep(command, *setup, **options):
    """Nothing is written, or the client's own TTL counts, or there is no TTL to be had."""
    return _sample(command, setup, **{"typed": False, **options})


STRING = "SET conv:k 12"
LIST = "RPUSH conv:k a b c d"
HASH = "HSET conv:k f 1 g 2"
SET = "SADD conv:k a b c"
ZSET = "ZADD conv:k 1 a 2.5 b inf c"
STREAM = "XADD conv:k 1-1 f v"
STREAM2 = "XADD conv:k 2-2 f w"
GROUP = "XGROUP CREATE conv:k g 0"
READ = "XREADGROUP GROUP g me STREAMS conv:k >"
GEO = "GEOADD conv:g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania"

STRINGS = {
    "append": [slide("APPEND conv:k x", STRING), slide("APPEND conv:k x")],
    "decr": [slide("DECR conv:k", STRING), keep("DECR conv:k", "SET conv:k text")],
    "decrby": [slide("DECRBY conv:k 5", STRING)],
    "getdel": [keep("GETDEL conv:k", STRING, typed=True), keep("GETDEL conv:k")],
    "getex": [
        keep("GETEX conv:k", STRING, typed=True),
        keep("GETEX conv:k EX 100", STRING, typed=True),
        keep("GETEX conv:k pxat 33333333333333", STRING, typed=True),
        slide("GETEX conv:k PERSIST", STRING),
        slide("GETEX conv:k persist", STRING, bare=True),
        keep("GETEX conv:k PERSIST"),
        keep("GETEX conv:k PERSIST EX 100", STRING),
        keep("GETEX conv:k KEEPTTL", STRING),
        keep("GETEX conv:k EX", STRING),
    ],
    "getset": [slide("GETSET conv:k v", STRING), slide("GETSET conv:k v"), slide("GETSET conv:k v", STRING, bare=True)],
    "incr": [slide("INCR conv:k", STRING), slide("INCR conv:k"), keep("INCR conv:k", "SET conv:k 9223372036854775807")],
    "incrby": [slide("INCRBY conv:k 9007199254740993", STRING)],
    "incrbyfloat": [slide("INCRBYFLOAT conv:k 0.1", STRING)],
    "mset": [
        slide("MSET conv:k 1 conv:l 2", STRING, keys="conv:k conv:l", typed=False),
        slide("MSET raw 1 conv:k 2 conv:k 3", "SET raw 9", LIST, typed=False),
        keep("MSET conv:k 1 conv:l", STRING),
    ],
    "msetnx": [
        slide("MSETNX conv:k 1 conv:l 2", keys="conv:k conv:l", typed=False),
        keep("MSETNX conv:l 1 conv:k 2", STRING),
        keep("MSETNX conv:k 1 conv:l", STRING),
    ],
    "psetex": [keep("PSETEX conv:k 77777 v", STRING), keep("PSETEX conv:k 0 v", STRING)],
    "set": [
        slide("SET conv:k v", STRING, typed=False),
        slide("SET conv:k v", LIST, typed=False),
        slide("set conv:k v nx", typed=False),
        keep("SET conv:k v NX", STRING),
        slide("SET conv:k v xx get", STRING),
        keep("SET conv:k v XX"),
        keep("SET conv:k v NX GET", STRING),
        slide("SET conv:k v GET"),
        keep("SET conv:k v EX 100", STRING),
        keep("SET conv:k v px 100000 NX"),
        keep("SET conv:k v EXAT 33333333333", STRING),
        keep("SET conv:k v PXAT 33333333333333", STRING),
        keep("SET conv:k v KEEPTTL", STRING),
        slide("SET conv:k v KEEPTTL", STRING, bare=True, typed=False),
        slide("SET conv:k v XX keepttl GET", STRING, bare=True, typed=False),
        keep("SET conv:k v KEEPTTL XX"),
        keep("SET conv:k v KEEPTTL GET", STRING, typed=True),
        keep("SET conv:k v NX XX", STRING),
        keep("SET conv:k v EX 10 KEEPTTL", STRING),
        keep("SET conv:k v EX", STRING),
        keep("SET conv:k v EX ten", STRING),
        keep("SET conv:k v EX 0", STRING),
        keep("SET conv:k v PERSIST", STRING),
        keep("SET conv:k v nonsense", STRING),
    ],
    "setex": [keep("SETEX conv:k 100 v", STRING), keep("SETEX conv:k -1 v", STRING)],
    "setnx": [slide("SETNX conv:k v", typed=False), keep("SETNX conv:k v", STRING), keep("SETNX conv:k v", LIST)],
    "setrange": [slide("SETRANGE conv:k 1 xyz", STRING), keep("SETRANGE conv:k -1 xyz", STRING)],
    "bitfield": [
        slide("BITFIELD conv:k SET u8 0 200 GET u8 0", STRING),
        keep("BITFIELD conv:k GET u8 0", STRING, typed=True),
        keep("BITFIELD conv:k SET u8", STRING),
    ],
    "bitop": [slide("BITOP AND conv:k conv:l raw", STRING, "SET conv:l x", "SET raw y", typed=False)],
    "setbit": [slide("SETBIT conv:k 9 1", STRING), keep("SETBIT conv:k -1 1", STRING)],
    "pfadd": [slide("PFADD conv:k a b", "PFADD conv:k z"), slide("PFADD conv:k")],
    "pfdebug": [slide("PFDEBUG ENCODING conv:k", "PFADD conv:k a b")],
    "pfmerge": [slide("PFMERGE conv:k raw", "PFADD conv:k a", "PFADD raw b"), slide("PFMERGE conv:k")],
}

LISTS = {
    "blmove": [
        slide("BLMOVE conv:k conv:l LEFT RIGHT 0.05", LIST, keys="conv:k conv:l"),
        keep("BLMOVE conv:n conv:k LEFT RIGHT 0.05", LIST),
    ],
    "blmpop": [slide("BLMPOP 0.05 1 conv:k LEFT COUNT 2", LIST), keep("BLMPOP 0.05 1 conv:n LEFT")],
    "blpop": [slide("BLPOP conv:n conv:k 0.05", LIST), keep("BLPOP conv:n 0.05")],
    "brpop": [slide("BRPOP conv:k 0.05", LIST), keep("BRPOP conv:n 0.05")],
    "brpoplpush": [slide("BRPOPLPUSH conv:k conv:l 0.05", LIST, keys="conv:k conv:l"), keep("BRPOPLPUSH conv:n conv:k 0.05", LIST)],
    "linsert": [
        slide("LINSERT conv:k BEFORE b x", LIST),
        keep("LINSERT conv:k BEFORE nowhere x", LIST),
        keep("LINSERT conv:n BEFORE b x"),
        keep("LINSERT conv:k BESIDE b x", LIST),
    ],
    "lmove": [
        slide("LMOVE conv:k conv:l LEFT RIGHT", LIST, keys="conv:k conv:l"),
        slide("LMOVE conv:k conv:k LEFT RIGHT", LIST),
        slide("LMOVE raw conv:k LEFT RIGHT", LIST, "RPUSH raw x"),
        slide("LMOVE conv:k raw LEFT RIGHT", LIST, "RPUSH raw x"),
        keep("LMOVE conv:n conv:k LEFT RIGHT", LIST),
    ],
    "lmpop": [
        slide("LMPOP 2 conv:n conv:k LEFT COUNT 2", LIST),
        slide("LMPOP 1 conv:k RIGHT", LIST),
        keep("LMPOP 2 conv:n conv:m LEFT COUNT 2"),
        keep("LMPOP 1 conv:k SIDEWAYS", LIST),
        keep("LMPOP 0 conv:k LEFT", LIST),
        keep("LMPOP 9 conv:k LEFT", LIST),
    ],
    "lpop": [
        slide("LPOP conv:k", LIST),
        slide("LPOP conv:k 2", LIST),
        slide("LPOP conv:k 0", LIST),
        slide("LPOP conv:k 9", LIST, keys=""),
        keep("LPOP conv:n"),
        keep("LPOP conv:n 2"),
        keep("LPOP conv:k -1", LIST),
        keep("LPOP conv:k 1 1", LIST),
    ],
    "lpush": [slide("LPUSH conv:k x y", LIST), slide("LPUSH conv:k x")],
    "lpushx": [slide("LPUSHX conv:k x y", LIST), keep("LPUSHX conv:k x")],
    "lrem": [slide("LREM conv:k 0 b", LIST)],
    "lset": [slide("LSET conv:k 1 x", LIST), keep("LSET conv:k 99 x", LIST), keep("LSET conv:n 1 x")],
    "ltrim": [slide("LTRIM conv:k 1 2", LIST), slide("LTRIM conv:k 9 9", LIST, keys="")],
    "rpop": [slide("RPOP conv:k", LIST), slide("RPOP conv:k 2", LIST), keep("RPOP conv:n"), keep("RPOP conv:n 2")],
    "rpoplpush": [
        slide("RPOPLPUSH conv:k conv:l", LIST, keys="conv:k conv:l"),
        slide("RPOPLPUSH conv:k conv:k", LIST),
        keep("RPOPLPUSH conv:n conv:k", LIST),
    ],
    "rpush": [slide("RPUSH conv:k x y", LIST), slide("RPUSH conv:k x"), slide("RPUSH conv:k x", LIST, bare=True)],
    "rpushx": [slide("RPUSHX conv:k x y", LIST), keep("RPUSHX conv:k x")],
}

HASHES_AND_SETS = {
    "hdel": [slide("HDEL conv:k f nothing", HASH), slide("HDEL conv:k f g", HASH, keys="")],
    "hincrby": [slide("HINCRBY conv:k f 5", HASH), keep("HINCRBY conv:k t 5", "HSET conv:k t text")],
    "hincrbyfloat": [slide("HINCRBYFLOAT conv:k f 0.5", HASH)],
    "hmset": [slide("HMSET conv:k f x h y", HASH), keep("HMSET conv:k f x h", HASH)],
    "hset": [slide("HSET conv:k f x h y", HASH), slide("HSET conv:k f x"), keep("HSET conv:k f x h", HASH)],
    "hsetnx": [slide("HSETNX conv:k h x", HASH), keep("HSETNX conv:k f x", HASH)],
    "sadd": [slide("SADD conv:k d e", SET), slide("SADD conv:k a")],
    "sdiffstore": [slide("SDIFFSTORE conv:k conv:k raw", SET, "SADD raw b")],
    "sinterstore": [
        slide("SINTERSTORE conv:k conv:k raw", SET, "SADD raw b"),
        slide("SINTERSTORE conv:k raw none", SET, "SADD raw b", keys="", typed=False),
    ],
    "smove": [
        slide("SMOVE conv:k conv:l a", SET, "SADD conv:l z", keys="conv:k conv:l"),
        slide("SMOVE conv:k raw a", SET),
        keep("SMOVE conv:k conv:l nothing", SET, "SADD conv:l z"),
        keep("SMOVE conv:n conv:k a", SET),
    ],
    "spop": [
        slide("SPOP conv:k", SET, "SREM conv:k b c", keys=""),
        slide("SPOP conv:k 3", SET, keys="", unordered=True),
        slide("SPOP conv:k 0", SET),
        keep("SPOP conv:n"),
        keep("SPOP conv:n 2"),
        keep("SPOP conv:k -2", SET),
    ],
    "srem": [slide("SREM conv:k a z", SET)],
    "sunionstore": [slide("SUNIONSTORE conv:k raw conv:l", "SADD raw a b", "SADD conv:l c", SET, typed=False)],
}

SORTED_SETS = {
    "bzmpop": [slide("BZMPOP 0.05 1 conv:k MIN COUNT 2", ZSET), keep("BZMPOP 0.05 1 conv:n MIN")],
    "bzpopmax": [slide("BZPOPMAX conv:n conv:k 0.05", ZSET), keep("BZPOPMAX conv:n 0.05")],
    "bzpopmin": [slide("BZPOPMIN conv:k 0.05", ZSET), keep("BZPOPMIN conv:n 0.05")],
    "zadd": [
        slide("ZADD conv:k 3 d 4 e", ZSET),
        slide("ZADD conv:k XX CH 9 a", ZSET),
        slide("ZADD conv:k XX 9 a", ZSET),
        slide("ZADD conv:k INCR 1.1 a", ZSET),
        slide("ZADD conv:k GT CH 9 a", ZSET),
        slide("ZADD conv:k XX INCR -1 a", ZSET),
        keep("ZADD conv:k NX INCR 1 a", ZSET),
        keep("ZADD conv:k XX INCR 1 none", ZSET),
        keep("ZADD conv:k GT INCR -1 a", ZSET),
        keep("ZADD conv:n XX 1 a"),
        keep("ZADD conv:k NX XX 1 a", ZSET),
        keep("ZADD conv:k INCR 1 a 2 b", ZSET),
        keep("ZADD conv:k text a", ZSET),
    ],
    "zdiffstore": [slide("ZDIFFSTORE conv:k 2 conv:k raw", ZSET, "ZADD raw 1 b")],
    "zincrby": [slide("ZINCRBY conv:k 0.1 a", ZSET), keep("ZINCRBY conv:k -inf c", ZSET)],
    "zinterstore": [slide("ZINTERSTORE conv:k 2 conv:k raw", ZSET, "ZADD raw 1 b")],
    "zmpop": [
        slide("ZMPOP 2 conv:n conv:k MIN COUNT 2", ZSET),
        slide("ZMPOP 1 conv:k MAX", ZSET),
        keep("ZMPOP 1 conv:n MIN"),
        keep("ZMPOP 1 conv:k SOME", ZSET),
    ],
    "zpopmax": [slide("ZPOPMAX conv:k", ZSET), slide("ZPOPMAX conv:k 2", ZSET), keep("ZPOPMAX conv:n"), keep("ZPOPMAX conv:n 2")],
    "zpopmin": [slide("ZPOPMIN conv:k", ZSET), slide("ZPOPMIN conv:k 2", ZSET), keep("ZPOPMIN conv:n")],
    "zrangestore": [slide("ZRANGESTORE conv:k raw 0 1", ZSET, "ZADD raw 1 x 2 y 3 z", typed=False)],
    "zrem": [slide("ZREM conv:k a z", ZSET)],
    "zremrangebylex": [slide("ZREMRANGEBYLEX conv:k [a [a", "ZADD conv:k 0 a 0 b"), keep("ZREMRANGEBYLEX conv:k a b", ZSET)],
    "zremrangebyrank": [slide("ZREMRANGEBYRANK conv:k 0 0", ZSET)],
    "zremrangebyscore": [slide("ZREMRANGEBYSCORE conv:k -inf (2", ZSET)],
    "zunionstore": [slide("ZUNIONSTORE conv:k 2 conv:k raw WEIGHTS 2 1", ZSET, "ZADD raw 1 b")],
    "geoadd": [slide("GEOADD conv:k 13.361389 38.115556 Palermo"), keep("GEOADD conv:k 1000 38 nowhere")],
    "georadius": [
        slide("GEORADIUS conv:g 15 37 200 km STORE conv:k", GEO, LIST, typed=False),
        slide("GEORADIUS conv:g 15 37 200 km STOREDIST conv:k", GEO, typed=False),
        keep("GEORADIUS conv:g 15 37 200 km ASC", GEO),
    ],
    "georadiusbymember": [
        slide("GEORADIUSBYMEMBER conv:g Palermo 200 km STORE conv:k", GEO, typed=False),
        keep("GEORADIUSBYMEMBER conv:g Palermo 200 km", GEO),
        keep("GEORADIUSBYMEMBER conv:g Nowhere 200 km STORE conv:k", GEO, LIST),
    ],
    "geosearchstore": [slide("GEOSEARCHSTORE conv:k conv:g FROMLONLAT 15 37 BYRADIUS 200 km", GEO, LIST, typed=False)],
}

STREAMS = {
    "xack": [keep("XACK conv:k g 1-1", STREAM, GROUP, READ, typed=True)],
    "xadd": [
        slide("XADD conv:k 5-5 f v", STREAM),
        slide("XADD conv:k 5-5 f v"),
        slide("XADD conv:k NOMKSTREAM MAXLEN = 1 5-5 f v", STREAM),
        keep("XADD conv:k NOMKSTREAM 5-5 f v"),
        keep("XADD conv:k 1-1 f v", STREAM),
        keep("XADD conv:k 5-5 f", STREAM),
    ],
    "xautoclaim": [keep("XAUTOCLAIM conv:k g you 0 0 JUSTID", STREAM, GROUP, READ)],
    "xclaim": [keep("XCLAIM conv:k g you 0 1-1", STREAM, GROUP, READ)],
    "xdel": [slide("XDEL conv:k 1-1", STREAM, STREAM2)],
    "xgroup|create": [
        slide("XGROUP CREATE conv:k h $", STREAM),
        slide("XGROUP CREATE conv:k h $ MKSTREAM"),
        keep("XGROUP CREATE conv:k h $"),
        keep("XGROUP CREATE conv:k g $", STREAM, GROUP),
    ],
    "xgroup|createconsumer": [slide("XGROUP CREATECONSUMER conv:k g me", STREAM, GROUP)],
    "xgroup|delconsumer": [slide("XGROUP DELCONSUMER conv:k g me", STREAM, GROUP, READ)],
    "xgroup|destroy": [slide("XGROUP DESTROY conv:k g", STREAM, GROUP)],
    "xgroup|setid": [slide("XGROUP SETID conv:k g 1-1", STREAM, GROUP), keep("XGROUP SETID conv:k none 1-1", STREAM)],
    "xreadgroup": [keep(READ, STREAM, GROUP), keep("XREADGROUP GROUP none me STREAMS conv:k >", STREAM)],
    "xsetid": [slide("XSETID conv:k 9-9", STREAM), keep("XSETID conv:k 0-1", STREAM)],
    "xtrim": [slide("XTRIM conv:k MAXLEN 1", STREAM, STREAM2), keep("XTRIM conv:k SOMELEN 1", STREAM)],
}

KEYS = {
    "copy": [
        slide("COPY raw conv:k", "SET raw v", typed=False),
        slide("COPY raw conv:k REPLACE", "SET raw v", STRING, typed=False),
        keep("COPY raw conv:k", "SET raw v", STRING),
        keep("COPY conv:n conv:k", STRING),
        keep("COPY conv:k conv:k", STRING),
    ],
    "del": [keep("DEL conv:k conv:n", STRING)],
    "expire": [keep("EXPIRE conv:k 100", STRING), keep("EXPIRE conv:k -1", STRING), keep("EXPIRE conv:n 100")],
    "expireat": [keep("EXPIREAT conv:k 33333333333 NX", STRING, bare=True)],
    "migrate": [keep("MIGRATE 127.0.0.1 1 conv:k 0 200", STRING), keep("MIGRATE 127.0.0.1 1 conv:n 0 200")],
    "move": [keep("MOVE conv:k 1", STRING), keep("MOVE conv:n 1")],
    "persist": [
        slide("PERSIST conv:k", STRING, typed=False),
        slide("PERSIST conv:k", LIST, bare=True, typed=False),
        keep("PERSIST conv:n"),
    ],
    "pexpire": [keep("PEXPIRE conv:k 100000", STRING), keep("PEXPIRE conv:k 100000 NX", STRING)],
    "pexpireat": [keep("PEXPIREAT conv:k 33333333333333", STRING)],
    "rename": [
        slide("RENAME conv:k conv:l", STRING, LIST.replace("conv:k", "conv:l"), keys="conv:l", typed=False),
        slide("RENAME raw conv:k", "SET raw v", typed=False),
        keep("RENAME conv:k raw", STRING),
        keep("RENAME conv:n conv:k", STRING),
    ],
    "renamenx": [
        slide("RENAMENX conv:k conv:l", STRING, keys="conv:l", typed=False),
        keep("RENAMENX conv:k conv:l", STRING, "SET conv:l x"),
        keep("RENAMENX conv:n conv:k", STRING),
    ],
    "restore": [
        slide(("RESTORE conv:k 0", HELLO), typed=False),
        slide(("RESTORE conv:k 0", HELLO, "REPLACE ABSTTL"), STRING, typed=False),
        keep(("RESTORE conv:k 100000", HELLO)),
        keep(("RESTORE conv:k 33333333333333", HELLO, "absttl")),
        keep(("RESTORE conv:k 0", HELLO), STRING),
        keep(("RESTORE conv:k -1", HELLO)),
        keep("RESTORE conv:k 0 damaged"),
    ],
    "restore-asking": [slide(("RESTORE-ASKING conv:k 0", HELLO), typed=False)],
    "sort": [
        slide("SORT raw ALPHA STORE conv:k", "RPUSH raw c b a", STRING, typed=False),
        slide("SORT none STORE conv:k", STRING, keys="", typed=False),
        keep("SORT conv:k ALPHA", LIST),
        keep("SORT raw STORE conv:k", "RPUSH raw c b a", STRING),
    ],
    "unlink": [keep("UNLINK conv:k conv:n", STRING)],
}

SAMPLES = {**STRINGS, **LISTS, **HASHES_AND_SETS, **SORTED_SETS, **STREAMS, **KEYS}

WRONG_TYPES = ("SET conv:k plain", "RPUSH conv:k x", "HSET conv:k f v")


def wrong_types(sample):
    """The sample with its first key of another type: Redis decides whether that is an error."""
    own = [line for line in sample.setup if b"conv:k" not in line]
    return [replace(sample, setup=(*own, words(wrong))) for wrong in WRONG_TYPES] if sample.typed else []
