"""router/commands.def against a real server: rows against COMMAND, keys_each against COMMAND GETKEYSANDFLAGS.

CONV_DUMP_COMMANDS   another dump_commands than the one beside the proxy that is tested"""
import json
import os
import subprocess
from pathlib import Path

import pytest
from harness import RespConn, RespError

ROOT = Path(__file__).resolve().parents[2]
WRITES = {b"RW", b"OW", b"RM"}

# Where a row differs from the server on purpose; commands.def says why.
OUR_WRITE = {"xreadgroup": True, "pfcount": False}


def dump(*args, stdin=""):
    """The lines that dump_commands prints."""
    beside = ROOT / os.environ.get("CONVPROXY_BIN", "build/convproxy")
    program = os.environ.get("CONV_DUMP_COMMANDS") or beside.parent / "tests/unit/router/dump_commands"
    done = subprocess.run([program, *args], input=stdin, capture_output=True, text=True, check=True, timeout=20)
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def server(redis_server):
    with RespConn.to(redis_server) as conn:
        info = conn.cmd("INFO", "server").decode()
        if "redis_version:7.0." not in info:
            pytest.skip("the table is that of Redis 7.0")
        yield conn


def pairs(flat):
    return {key.decode(): value for key, value in zip(flat[::2], flat[1::2])}


def as_text(value):
    return value.decode() if isinstance(value, bytes) else value


def half_spec(flat):
    """begin_search or find_keys, in the words of the dump."""
    half = pairs(flat)
    return {"type": half["type"].decode(), "spec": {key: as_text(value) for key, value in pairs(half["spec"]).items()}}


def server_spec(name, flat):
    spec = pairs(flat)
    flags = {str(flag).encode() for flag in spec["flags"]}
    return {
        "write": OUR_WRITE.get(name, bool(flags & WRITES)),
        "not_key": b"not_key" in flags,
        "begin_search": half_spec(spec["begin_search"]),
        "find_keys": half_spec(spec["find_keys"]),
    }


def server_rows(reply):
    """{name: row}, subcommands included, in the shape of the dump."""
    rows = {}
    for name, arity, flags, first, last, step, categories, _tips, specs, subcommands in reply:
        name = name.decode()
        rows[name] = {
            "arity": arity,
            "range": [first, last, step],
            "flags": sorted(map(str, flags)),
            "categories": sorted(map(str, categories)),
            "container": bool(subcommands),
            "specs": [server_spec(name, spec) for spec in specs],
        }
        rows.update(server_rows(subcommands))
    return rows


def our_rows():
    rows = {}
    for line in dump():
        row = json.loads(line)
        assert row["name"] not in rows, f"{row['name']} stands twice in the table"
        rows[row.pop("name")] = row
        for column in ("flags", "categories"):
            row[column].sort()
    return rows


def test_rows(server):
    theirs = server_rows(server.cmd("COMMAND"))
    ours = {name: row for name, row in our_rows().items() if name.split("|")[0] != "conv"}  # Redis does not have it
    assert sorted(ours) == sorted(theirs)
    columns = ("arity", "range", "flags", "categories", "container", "specs")
    differences = [
        f"{name} {column}: {ours[name][column]}, but the server says {theirs[name][column]}"
        for name in theirs
        for column in columns
        if ours[name][column] != theirs[name][column]
    ]
    assert not differences, "\n".join(differences)


def test_exceptions_are_needed(server):
    """An exception that the server agrees with has outlived its reason."""
    for name, write in OUR_WRITE.items():
        (row,) = server.cmd("COMMAND", "INFO", name)
        flags = {str(flag).encode() for flag in pairs(row[8][0])["flags"]}
        assert bool(flags & WRITES) != write


# Keys are told apart by name, so that each is written once in its command; '' is the empty argument.
COMMANDS = """
GET a
SET a 1
SET a 1 EX 10 NX GET
GETEX a PERSIST
GETDEL a
APPEND a x
INCRBYFLOAT a 1.5
MGET a b c
MSET a 1 b 2 c 3
MSETNX a 1 b 2
LCS a b IDX
SETRANGE a 5 x
BITCOUNT a 0 5 BIT
BITOP AND d a b c
BITFIELD a GET u8 0
BITFIELD a GET u8 0 GET i4 7
BITFIELD a SET u8 0 1
BITFIELD a GET u8 0 INCRBY u8 0 1
BITFIELD a OVERFLOW FAIL INCRBY u8 0 1
BITFIELD_RO a GET u8 0
RPUSH a x y
LPUSHX a x
LPOS a x RANK 2
LINSERT a BEFORE x y
LMOVE a b LEFT RIGHT
RPOPLPUSH a b
LMPOP 2 a b LEFT COUNT 3
BLMPOP 0 3 a b c RIGHT
BLPOP a b c 0
BRPOPLPUSH a b 0
BLMOVE a b LEFT LEFT 0
LTRIM a 0 5
HSET a f v g w
HMGET a f g
HRANDFIELD a 5 WITHVALUES
HSCAN a 0 MATCH x
SADD a x
SMOVE a b x
SDIFF a b
SINTERCARD 2 a b LIMIT 5
SINTERSTORE d a b
SUNIONSTORE d a b c
SMISMEMBER a x y
ZADD a NX CH 1 x
ZRANGE a 0 -1 WITHSCORES
ZRANGESTORE d a 0 -1
ZUNION 2 a b WEIGHTS 1 2
ZDIFF 1 a
ZINTERCARD 3 a b c
ZUNIONSTORE d 2 a b AGGREGATE MAX
ZINTERSTORE d 1 a
ZDIFFSTORE d 2 a b
ZMPOP 1 a MIN
BZMPOP 1 2 a b MAX
BZPOPMIN a b 0
ZREMRANGEBYSCORE a 0 5
XADD a MAXLEN ~ 10 * f v
XLEN a
XREAD COUNT 5 BLOCK 0 STREAMS a b 0 0
XREAD STREAMS a $
XREADGROUP GROUP g c COUNT 1 STREAMS a b > >
XREADGROUP GROUP streams c STREAMS a >
XGROUP CREATE a g $ MKSTREAM
XGROUP DESTROY a g
XGROUP SETID a g 0
XINFO STREAM a
XINFO GROUPS a
XACK a g 1-1
XAUTOCLAIM a g c 0 0
XTRIM a MAXLEN 5
PFADD a x
PFCOUNT a b
PFMERGE d a b
PFDEBUG ENCODING a
GEOADD a 1 2 m
GEORADIUS a 1 2 3 m
GEORADIUS a 1 2 3 m COUNT 2 ASC STORE d
GEORADIUS a 1 2 3 m WITHDIST STOREDIST d
GEORADIUSBYMEMBER a x 3 m STORE d
GEORADIUS_RO a 1 2 3 m
GEOSEARCH a FROMMEMBER m BYRADIUS 1 m
GEOSEARCHSTORE d a FROMMEMBER m BYRADIUS 1 m
DEL a b c
UNLINK a
EXISTS a b
TOUCH a b
EXPIRE a 5 NX
PERSIST a
RENAME a b
RENAMENX a b
COPY a b DB 1
MOVE a 1
DUMP a
RESTORE a 0 x REPLACE
TYPE a
OBJECT ENCODING a
OBJECT FREQ a
MEMORY USAGE a SAMPLES 5
SORT a
SORT a BY w_* LIMIT 0 5 GET # GET o_* DESC ALPHA
SORT a BY w_* STORE d
SORT a LIMIT 0 5 GET x STORE d
SORT_RO a BY w_* GET #
MIGRATE h 1 a 0 100
MIGRATE h 1 a 0 100 COPY REPLACE AUTH secret
MIGRATE h 1 '' 0 100 KEYS a b c
MIGRATE h 1 '' 0 100 COPY AUTH keys KEYS a b
MIGRATE h 1 '' 0 100 AUTH2 user keys REPLACE KEYS a
EVAL s 2 a b x y
EVAL s 0 x
EVAL_RO s 1 a
EVALSHA s 3 a b c
FCALL f 1 a x
FCALL_RO f 2 a b
WATCH a b
PING x
ECHO x
SCAN 0 MATCH a
KEYS a*
PUBLISH ch x
SPUBLISH ch x
SSUBSCRIBE ch
FLUSHALL ASYNC
CONFIG GET x
SWAPDB 0 1
XREAD COUNT 5 STREAMS
""".strip().splitlines()

# Arguments that keys_each calls malformed: the proxy forwards such a command, and the server must refuse it.
MALFORMED = """
GET
GET a b
MSET a
MSET a 1 b
MSETNX a 1 b
BLPOP a
ZUNIONSTORE d 5 a b
ZUNIONSTORE d -1 a
ZUNIONSTORE d '' a
ZUNION 9223372036854775807 a
ZUNION x a
ZINTER 01 a
ZINTER +1 a
EVAL s 3 a b
EVAL s -1 a
EVAL s 18446744073709551617 a
LMPOP 99 a LEFT
XREAD STREAMS a b 0
XREADGROUP GROUP g c COUNT 1 STREAMS a
XGROUP CREATE a g
SORT a STORE
GEORADIUS a 1 2 3 m STORE
""".strip().splitlines()


def arguments(command):
    return ["" if word == "''" else word for word in command.split(" ")]


def server_keys(reply, command):
    """[(key, written)]"""
    if isinstance(reply, RespError):
        assert "has no key arguments" in reply or reply == "ERR Invalid arguments specified for command", f"{command}: {reply}"
        return []
    name = command.split(" ")[0].lower()
    return sorted((key.decode(), OUR_WRITE.get(name, bool({str(f).encode() for f in flags} & WRITES))) for key, flags in reply)


def our_keys(line, words):
    found = json.loads(line)
    return None if found is None else sorted((words[arg], mode == "w") for arg, mode in found)


def answers(commands):
    lines = dump("--keys", stdin="".join("\t".join(arguments(command)) + "\n" for command in commands))
    return zip(commands, lines, strict=True)


def test_keys(server):
    differences = []
    for command, line in answers(COMMANDS):
        words = arguments(command)
        ours, theirs = our_keys(line, words), server_keys(server.cmd("COMMAND", "GETKEYSANDFLAGS", *words), command)
        if ours != theirs:
            differences.append(f"{command}: {ours}, but the server says {theirs}")
    assert not differences, "\n".join(differences)


def test_malformed(server):
    for command, line in answers(MALFORMED):
        assert line == "null", command
        assert isinstance(server.cmd(*arguments(command)), RespError), command
