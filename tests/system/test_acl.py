"""Users and their rules: the same commands to redis-server 7.0 and to the proxy, the same bytes back."""
import random
import re

import pytest
from harness import RespConn, eventually

pytestmark = pytest.mark.sanitize

PROXY_SETTINGS = {"proxy.threads": 2}

HASH = "0" * 64
WORDS = 7  # what a random rule list has at most


@pytest.fixture
def both(proxy, redis_server):
    """Connections to the proxy and to Redis itself, without any user but default on either."""
    with RespConn.to(proxy) as ours, RespConn.to(redis_server) as theirs:
        for conn in (ours, theirs):
            names = [name for name in conn.cmd("ACL", "USERS") if name != b"default"]
            conn.pipeline(["ACL", "SETUSER", "default", "reset", "on", "nopass", "~*", "&*", "+@all"], ["ACL", "LOG", "RESET"])
            if names:
                conn.cmd("ACL", "DELUSER", *names)
        yield ours, theirs


def singles_sorted(text):
    """Redis lists single commands in the order of a hash that differs with each start: sorted, they are the same. CONV is ours alone."""

    def sort_rules(part):
        words = part.split(b" ")
        singles = [word for word in words if word[:1] in b"+-" and word[1:2] != b"@" and len(word) > 1]
        return b" ".join([word for word in words if word not in singles] + sorted(word for word in singles if word[1:5] != b"conv"))

    return b"(".join(sort_rules(part) for part in re.split(rb"\(", text))


def normal(reply):
    if isinstance(reply, bytes):
        return singles_sorted(reply)
    if isinstance(reply, dict):
        return {key: normal(value) for key, value in reply.items()}
    return [normal(item) for item in reply] if isinstance(reply, list) else reply


def same(both, *command, exact=True):
    """Sends it to both; returns the reply."""
    replies = [conn.read_with_bytes() for conn in both if conn.send_cmd(*command) is None]
    if exact:
        assert replies[0][1] == replies[1][1], command
    assert normal(replies[0][0]) == normal(replies[1][0]), command
    return replies[0][0]


RULES = [
    "+nosuch", "+@nosuch", "foo", "~*", "~a", "%x~a", "%~a", "%R", "%R*", "%R~*", "%RW~*", "%RR~a", "%WR~q", "&*", "&b", "#abc", "!" + HASH, "#" + HASH,
    "<x", ">x", ">", "#", "+config|nosuch", "+select|", "+config|get|x", "+select|0|1", "(+get", "(+get)", "( +get ~x )", "((+get))", ")", "+get)",
    "(nosuch)", "(on)", "(%R~a +@all)", "", "-select|0", "-config|get", "reset", "ON", "+GET", "+@READ", "+config|GET", "+cluster|nodes", "~a b",
    "+", "-", "+|", "|", "@all", "+@all|x", "-@", "%", "%%", "~", "&", "(+nosuch)", "(~*)", "(~* ~a)", "()", "( )", "clearselectors", "+get|", "+get|x",
    "+|x", "+@", "nopass", "resetpass", "off", "on", "allkeys", "resetkeys", "allchannels", "resetchannels", "allcommands", "nocommands",
    "sanitize-payload", "skip-sanitize-payload", "+select|0", "+config", "-config|set", "+@all", "-@dangerous", "-@all", "+@string",
]  # fmt: skip


def test_each_rule(both):
    """Alone, on a new user, and one after the other on a user that keeps what was applied."""
    for rule in RULES:
        same(both, "ACL", "SETUSER", "fresh", rule)
        same(both, "ACL", "GETUSER", "fresh", exact=False)
        same(both, "ACL", "DELUSER", "fresh")
        same(both, "ACL", "SETUSER", "kept", rule)
        same(both, "ACL", "GETUSER", "kept", exact=False)
    same(both, "ACL", "LIST", exact=False)


def test_selectors_in_pieces(both):
    for rules in (["(+get", "~x)"], ["(+get", "(~x", "+set)"], ["(+get", "~x)", "", "(", "+set", ")"], ["(+get", "~x"], ["+get", "(+set", "~y)", "~z"]):
        same(both, "ACL", "SETUSER", "u", *rules)
        same(both, "ACL", "LIST")


def test_random_rules_are_told_alike(both):
    chance = random.Random(7)
    cats = ["@" + cat.decode() for cat in both[1].cmd("ACL", "CAT")] + ["@all"]
    commands = ["get", "set", "config", "config|get", "client|kill", "lpop", "flushall", "eval", "publish", "select", "xgroup|create", "debug", "acl"]
    others = ["~a*", "%R~b*", "%W~b*", "&c*", "allkeys", "resetkeys", "allchannels", "on", ">pw", "nopass", "reset", "(+get ~x)", "(+@write %R~y)", "+select|1"]
    for _ in range(150):
        rules = [
            chance.choice("+-") + chance.choice(cats if chance.random() < 0.5 else commands) if chance.random() < 0.75 else chance.choice(others)
            for _ in range(chance.randint(1, WORDS))
        ]
        same(both, "ACL", "SETUSER", "u", "reset", *rules)
        same(both, "ACL", "GETUSER", "u", exact=False)


SAMPLES = [
    "GET k", "SET k v", "SET k v GET", "SET k v EX 10", "GETEX k", "GETDEL k", "GETSET k v", "APPEND k v", "INCR k", "STRLEN k", "EXISTS k k2", "TYPE k",
    "DEL k k2", "UNLINK k", "TOUCH k", "RENAME k k2", "RENAMENX k k2", "COPY k k2", "MGET k k2", "MSET k v k2 v", "MSETNX k v", "EXPIRE k 1", "TTL k", "PERSIST k",
    "DUMP k", "RESTORE k 0 x", "OBJECT ENCODING k", "MEMORY USAGE k", "SETBIT k 0 1", "GETBIT k 0", "BITCOUNT k", "BITOP AND k k2", "BITFIELD k GET u8 0",
    "BITFIELD k SET u8 0 1", "BITFIELD k GET u8 0 INCRBY u8 0 1", "BITFIELD_RO k GET u8 0", "LPUSH k v", "LPOP k", "LLEN k", "LRANGE k 0 -1", "LMOVE k k2 LEFT LEFT",
    "RPOPLPUSH k k2", "LMPOP 1 k LEFT", "BLPOP k k2 0", "BLMOVE k k2 LEFT LEFT 0", "LTRIM k 0 1", "LREM k 0 v", "HSET k f v", "HGET k f", "HLEN k", "HINCRBY k f 1",
    "HSETNX k f v", "HEXISTS k f", "SADD k m", "SCARD k", "SPOP k", "SMOVE k k2 m", "SUNIONSTORE k k2", "SINTERCARD 1 k", "SISMEMBER k m", "SMISMEMBER k m",
    "ZADD k 1 m", "ZPOPMIN k", "ZCARD k", "ZINCRBY k 1 m", "ZUNIONSTORE k 1 k2", "ZUNION 1 k2", "ZRANGESTORE k k2 0 1", "ZMPOP 1 k MIN", "PFADD k e", "PFCOUNT k", "PFMERGE k k2",
    "GEOADD k 1 1 m", "GEORADIUS k 1 1 1 m STORE k2", "GEORADIUS k 1 1 1 m", "GEOSEARCHSTORE k k2 FROMLONLAT 1 1 BYRADIUS 1 m", "XADD k * f v", "XLEN k",
    "XREAD COUNT 1 STREAMS k k2 0 0", "XREADGROUP GROUP g c STREAMS k >", "XACK k g 1-1", "XGROUP CREATE k g $", "XINFO STREAM k", "XAUTOCLAIM k g c 0 0", "XTRIM k MAXLEN 1",
    "SORT k", "SORT k STORE k2", "SORT_RO k", "EVAL x 2 k k2", "EVAL_RO x 1 k", "EVALSHA x 1 k", "FCALL f 1 k", "FCALL_RO f 1 k", "EVAL x 0", "WATCH k k2", "MOVE k 1",
    "MIGRATE h 1 k 0 1", "MIGRATE h 1  0 1 KEYS k k2", "PUBLISH c m", "SPUBLISH c m", "SUBSCRIBE c c2", "PSUBSCRIBE c*", "PSUBSCRIBE *", "SSUBSCRIBE c", "UNSUBSCRIBE c",
    "PUBSUB CHANNELS", "SELECT 0", "SELECT 1", "CONFIG GET x", "CONFIG SET x y", "CONFIG RESETSTAT", "CLIENT KILL x", "CLIENT ID", "FLUSHALL", "FLUSHDB", "KEYS *", "SCAN 0",
    "RANDOMKEY", "DBSIZE", "AUTH x", "HELLO", "QUIT", "RESET", "MULTI", "EXEC", "PING", "ECHO x", "ACL WHOAMI", "ACL SETUSER x", "DEBUG JMAP", "SHUTDOWN", "LOLWUT",
    "CONFIG NOSUCH", "CONFIG", "NOSUCH", "GET", "SET k",
]  # fmt: skip
USERS = [
    [], ["+@all"], ["~*"], ["+@all", "~*"], ["+@all", "~k"], ["+@all", "%R~*"], ["+@all", "%W~*"], ["+@all", "%R~k", "%W~k2"], ["+@all", "%R~k2", "%W~k"],
    ["+@all", "~*", "&*"], ["+@all", "~*", "&c"], ["+@all", "~*", "&c*"], ["+@read", "~*"], ["+@write", "~k*"], ["+@all", "-@dangerous", "~*", "&*"],
    ["+@fast", "~*"], ["+config|get", "+select|0", "+get", "~k"], ["(+get ~k)", "(+set %W~k)", "+@all", "-@all"], ["-@all", "+@slow", "~*", "&*"],
    ["+@all", "-config", "+config|get", "-@scripting", "%RW~k", "%R~k2"], ["+@keyspace", "+@connection", "~*"], ["+@all", "%R~k", "(%W~k +@all)", "(~k2 +@all)"],
]  # fmt: skip


@pytest.mark.parametrize("rules", USERS, ids=" ".join)
def test_every_kind_of_command(both, rules):
    """Which key needs which right, command by command: ACL DRYRUN."""
    same(both, "ACL", "SETUSER", "u", "reset", "on", *rules)
    for sample in SAMPLES:
        same(both, "ACL", "DRYRUN", "u", *sample.split(" "))


def test_rights_of_every_key_specification(both):
    """router/access.def against COMMAND, by what a user with only one of the rights may do."""
    checked = 0
    same(both, "ACL", "SETUSER", "r", "+@all", "%R~*")
    same(both, "ACL", "SETUSER", "w", "+@all", "%W~*")
    for entry in both[1].cmd("COMMAND"):
        name, arity, last = entry[0].decode(), entry[1], entry[4]
        if not entry[8] or name in ("xread", "xreadgroup"):
            continue
        words = name.split("|") + ["1"] * max(abs(arity) - 1, last if last > 0 else 0, 4)
        for user in "rw":
            same(both, "ACL", "DRYRUN", user, *(words[: arity] if arity > 0 else words))
        checked += 1
    assert checked > 150


def test_categories(both):
    same(both, "ACL", "CAT")
    for cat in both[1].cmd("ACL", "CAT"):
        ours, theirs = (set(conn.cmd("ACL", "CAT", cat)) for conn in both)
        assert {name for name in ours if not name.startswith(b"conv")} == theirs, cat
    assert b"conv" in both[0].cmd("ACL", "CAT", "admin") and b"conv" in both[0].cmd("ACL", "CAT", "dangerous")


def test_words_of_acl(both):
    for command in (
        ["CAT", "nosuch"], ["CAT", "geo", "x"], ["WHOAMI"], ["WHOAMI", "x"], ["USERS"], ["LIST"], ["GETUSER", "nosuch"], ["GETUSER", "default"], ["DELUSER", "default"],
        ["DELUSER", "nosuch"], ["DELUSER"], ["SETUSER"], ["SETUSER", "a b"], ["SETUSER", ""], ["DRYRUN", "nosuch", "get", "x"], ["GENPASS", "0"], ["GENPASS", "4097"], ["GENPASS", "x"],
        ["GENPASS", "1", "2"], ["LOG", "x"], ["LOG", "1", "2"], ["LOG", "-1"], ["LOG", "RESET"], ["LOG"], ["SAVE"], ["LOAD"], ["HELP"], ["foo"], [], ["HELP", "x"],
    ):  # fmt: skip
        same(both, "ACL", *command)
    for bits, digits in ((None, 64), (1, 1), (5, 2), (256, 64), (4096, 1024)):
        word = both[0].cmd("ACL", "GENPASS", *([] if bits is None else [bits])).decode()
        assert re.fullmatch(f"[0-9a-f]{{{digits}}}", word)
    assert both[0].cmd("ACL", "GENPASS") != both[0].cmd("ACL", "GENPASS")


def test_resp3(both):
    for conn in both:
        conn.cmd("HELLO", "3")
    same(both, "ACL", "SETUSER", "u", "on", ">x", "+get", "~a", "&b", "(+set %R~c)")
    same(both, "ACL", "GETUSER", "u")
    same(both, "ACL", "GETUSER", "nosuch")
    same(both, "ACL", "LIST")


LIMITED = ["on", ">p", "+get", "+set", "+hello", "+multi", "+exec", "+sort", "+select|0", "+publish", "+config|get", "+lpop", "+mget", "%R~r*", "%W~w*", "&c*", "(~z +get)"]


def as_user(both, name="u", password="p"):
    assert same(both, "AUTH", name, password) == "OK"


def test_what_a_user_may(both):
    same(both, "ACL", "SETUSER", "u", *LIMITED)
    as_user(both)
    for sample in SAMPLES + ["GET r", "GET z", "SET w 1", "SET w 1 GET", "LPOP w", "MGET r1 r2", "MGET r q", "PUBLISH d x", "SORT r BY p*", "SORT r BY nosort", "SORT r GET #"]:
        if sample in ("QUIT", "RESET", "HELLO", "AUTH x", "MULTI", "EXEC", "DEBUG JMAP"):
            continue
        same(both, *sample.split(" "))


def test_transactions(both):
    same(both, "ACL", "SETUSER", "u", *LIMITED)
    as_user(both)
    for commands in (["MULTI", "GET r", "EXEC"], ["MULTI", "GET q", "GET r", "EXEC"], ["MULTI", "HGET r f", "EXEC"], ["MULTI", "PUBLISH d x", "EXEC"], ["MULTI", "NOSUCH", "EXEC"]):
        for command in commands:
            same(both, *command.split(" "))
    for conn in both:
        conn.cmd("AUTH", "default", "x")
    same(both, "ACL", "SETUSER", "u", "-exec")
    as_user(both)
    for command in ("MULTI", "GET r", "EXEC", "GET r"):
        same(both, *command.split(" "))


def test_a_change_while_commands_wait_for_exec(both, proxy):
    """The proxy spoils the whole transaction, where Redis would refuse the one command when EXEC reaches it."""
    ours = both[0]
    ours.cmd("ACL", "SETUSER", "u", *LIMITED)
    with RespConn.to(proxy) as client:
        client.pipeline(["AUTH", "u", "p"], ["MULTI"], ["SET", "w1", "changed"])
        assert ours.cmd("ACL", "SETUSER", "u", "-set") == "OK"
        assert client.cmd("EXEC").startswith("EXECABORT")
    assert ours.cmd("GET", "w1") is None


def log_entries(conn):
    return [{key: value for key, value in zip(entry[::2], entry[1::2]) if key not in (b"age-seconds", b"client-info")} for entry in conn.cmd("ACL", "LOG")]


def test_log(both):
    same(both, "ACL", "SETUSER", "u", *LIMITED)
    as_user(both)
    for command in ("GET q", "GET q", "HGET r f", "CONFIG RESETSTAT", "PUBLISH d x", "MULTI", "GET q2", "EXEC", "AUTH u bad", "AUTH nobody bad", "auth u bad", "HELLO 3 AUTH u bad"):
        same(both, *command.split(" "))
    same(both, "AUTH", "default", "x")
    ours, theirs = (log_entries(conn) for conn in both)
    assert ours == theirs and len(ours) == 9
    entry = dict(zip(*[iter(both[0].cmd("ACL", "LOG", "1")[0])] * 2))
    assert 0 <= float(entry[b"age-seconds"]) < 60 and b"user=u" in entry[b"client-info"]
    assert b"bad" not in repr(both[0].cmd("ACL", "LOG")).encode()
    same(both, "ACL", "LOG", "RESET")
    same(both, "ACL", "LOG")


def test_a_changed_user_is_changed_for_his_clients(both, proxy):
    ours = both[0]
    ours.cmd("ACL", "SETUSER", "u", "on", ">p", "+get", "~*")
    with RespConn.to(proxy) as client:
        assert client.pipeline(["AUTH", "u", "p"], ["GET", "a"], ["SET", "a", "1"])[2].startswith("NOPERM")
        ours.cmd("ACL", "SETUSER", "u", "+set")
        assert client.cmd("SET", "a", "1") == "OK"
        ours.cmd("ACL", "SETUSER", "u", "off")  # who is in stays in, as in Redis
        assert client.cmd("GET", "a") == b"1"
        with RespConn.to(proxy) as other:
            assert other.cmd("AUTH", "u", "p").startswith("WRONGPASS")
        assert b"user=u " in ours.cmd("CLIENT", "LIST")
        assert ours.cmd("ACL", "DELUSER", "u", "nosuch") == 1
        assert client.closed()
    ours.cmd("DEL", "a")


def test_who_deletes_himself_is_answered_then_closed(both):
    for conn in both:
        conn.cmd("ACL", "SETUSER", "u", "on", ">p", "+@all", "~*")
    as_user(both)
    assert same(both, "ACL", "DELUSER", "u") == 1
    assert all(conn.closed() for conn in both)


def test_kill_by_user(both, proxy):
    ours = both[0]
    ours.cmd("ACL", "SETUSER", "u", "on", ">p", "+ping")
    same(both, "CLIENT", "KILL", "USER", "nosuch")
    with RespConn.to(proxy) as client:
        client.cmd("AUTH", "u", "p")
        assert ours.cmd("CLIENT", "KILL", "USER", "u") == 1
        assert client.closed()


def test_subscriptions_need_their_channels(both, proxy):
    for conn in both:
        conn.cmd("ACL", "SETUSER", "u", "on", ">p", "+subscribe", "+psubscribe", "+ssubscribe", "+ping", "&c*")
    as_user(both)
    same(both, "SUBSCRIBE", "d")
    same(both, "PSUBSCRIBE", "ca*")
    same(both, "SSUBSCRIBE", "d")
    same(both, "PSUBSCRIBE", "c*")
    same(both, "SUBSCRIBE", "c1")
    with RespConn.to(proxy) as admin:
        admin.cmd("ACL", "SETUSER", "u", "resetchannels", "&c1")
        assert both[0].closed(), "it hears a pattern that is no longer allowed"


def test_scripts_need_all_rights(proxy, both):
    """Inside Redis a script is the proxy: what it does there can't be checked."""
    ours = both[0]
    ours.cmd("ACL", "SETUSER", "u", "on", ">p", "+@all", "~a*", "&*")
    with RespConn.to(proxy) as client:
        client.cmd("AUTH", "u", "p")
        assert client.cmd("EVAL", "return redis.call('GET', 'secret')", "0").startswith("NOPERM scripts have all rights")
        assert client.cmd("EVAL", "return 1", "1", "b").startswith("NOPERM this user has no permissions to access one of the keys")
        ours.cmd("CONFIG", "SET", "acl.scripts", "declared")
        try:
            eventually(lambda: client.cmd("EVAL", "return redis.call('GET', KEYS[1])", "1", "a1") is None)  # another thread's client
            assert client.cmd("EVAL", "return 1", "1", "b").startswith("NOPERM")
        finally:
            ours.cmd("CONFIG", "SET", "acl.scripts", "full")


def test_own_commands_and_emptying(both, proxy):
    ours = both[0]
    ours.cmd("ACL", "SETUSER", "u", "on", ">p", "+@all", "-@dangerous", "~*", "&*")
    with RespConn.to(proxy) as client:
        client.cmd("AUTH", "u", "p")
        for command in (["CONV", "STATUS"], ["FLUSHALL"], ["FLUSHDB"], ["CONFIG", "GET", "x"], ["ACL", "LIST"]):
            assert client.cmd(*command).startswith("NOPERM"), command
        assert client.cmd("ACL", "WHOAMI") == b"u"
        ours.cmd("ACL", "SETUSER", "u", "+flushall")
        assert not str(client.cmd("FLUSHALL")).startswith("NOPERM")
    eventually(lambda: ours.cmd("DBSIZE") == 0)
