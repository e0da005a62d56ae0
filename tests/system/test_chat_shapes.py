"""The command shapes that chat packages really send, as raw RESP on a policy of twenty messages.

test_chat_packages.py runs three of the packages; this file holds the exact requests and replies of all of them. Keys
under conv: are managed; what is checked behind the proxy is checked on the real Redis."""
import json

import pytest
from harness import DirectProxy, RespConn, RespError

pytestmark = pytest.mark.sanitize

TTL, LIMIT = 2592000, 20
PROXY_CONFIG = {"policies": [{"name": "conv", "match": "conv:*", "max_messages": LIMIT}]}


@pytest.fixture(params=[2, 3], ids=["resp2", "resp3"])
def chat(request, conn, real):
    """A connection that opened the way today's clients do: HELLO, then CLIENT SETINFO in one write."""
    hello, name, version = conn.pipeline(
        ("HELLO", request.param), ("CLIENT", "SETINFO", "LIB-NAME", "x"), ("CLIENT", "SETINFO", "LIB-VER", "1")
    )
    facts = hello if isinstance(hello, dict) else dict(zip(hello[::2], hello[1::2]))
    assert facts[b"proto"] == request.param and facts[b"server"] == b"redis" and facts[b"version"]
    for reply in (name, version):  # Redis before 7.2 does not know SETINFO; clients go on either way
        assert reply == "OK" or reply.lower().startswith("err unknown subcommand 'setinfo'")
    return conn


def message(number):
    return json.dumps({"type": "human", "data": {"content": f"message {number}"}}).encode()


def policy_ttl(real, key):
    return TTL - 100 < real.ttl(key) <= TTL


@pytest.mark.managed
def test_list_newest_at_the_head(chat, real):
    """LangChain (Python and JS), n8n, Flowise: LPUSH, EXPIRE after each, LRANGE both ways, DEL."""
    lengths = []
    for number in range(25):
        length, expire = chat.pipeline(("LPUSH", "conv:lc", message(number)), ("EXPIRE", "conv:lc", "3600"))
        lengths.append(length)
        assert expire == 1
    assert lengths == [min(count, LIMIT) for count in range(1, 26)]
    newest = [message(number) for number in range(24, 4, -1)]
    assert chat.cmd("LRANGE", "conv:lc", "0", "-1") == newest
    assert chat.cmd("LRANGE", "conv:lc", "-5", "-1") == newest[-5:]
    assert real.llen("conv:lc") == LIMIT and 3590 <= real.ttl("conv:lc") <= 3600
    assert chat.cmd("DEL", "conv:lc") == 1
    assert chat.cmd("LRANGE", "conv:lc", "0", "-1") == []


@pytest.mark.managed
def test_list_newest_at_the_tail(chat, real):
    """llama-index: RPUSH, RPOP, LRANGE, KEYS, and DEL + LPUSH of everything when one message is taken out."""
    lengths = chat.pipeline(*[("RPUSH", "conv:li", message(number)) for number in range(25)])
    assert lengths == [min(count, LIMIT) for count in range(1, 26)]
    assert chat.cmd("LRANGE", "conv:li", "0", "-1") == [message(number) for number in range(5, 25)]
    assert policy_ttl(real, "conv:li")
    assert chat.cmd("RPOP", "conv:li") == message(24)
    assert chat.pipeline(("DEL", "conv:li"), ("LPUSH", "conv:li", "a", "b", "c")) == [1, 3]
    assert chat.cmd("LRANGE", "conv:li", "0", "-1") == [b"c", b"b", b"a"]
    assert policy_ttl(real, "conv:li")
    assert chat.cmd("KEYS", "*") == [b"conv:li"]


AGENT = ("conv:a:1", "conv:a:1:messages", "conv:a:1:counter")


def agent_block(items, expire_at):
    """OpenAI Agents' append: three keys watched and looked at, one transaction."""
    session, messages, _ = AGENT
    return [
        ("MULTI",),
        ("HSET", session, "session_id", "1"),
        ("HSETNX", session, "created_at", "1700000000"),
        ("RPUSH", messages, *items),
        ("HSET", session, "updated_at", "1700000000"),
        *[("PEXPIREAT", key, str(expire_at)) for key in AGENT],
        ("EXEC",),
    ]


@pytest.mark.managed
def test_agents_session(chat, real):
    looks = [("WATCH", *AGENT), *[("TYPE", key) for key in AGENT], ("TIME",)]
    replies = [chat.cmd(*command) for command in looks]
    assert replies[:4] == ["OK", "none", "none", "none"]
    expire_at = int(replies[4][0]) * 1000 + 600_000
    replies = chat.pipeline(*agent_block([message(number) for number in range(25)], expire_at))
    assert replies[0] == "OK" and replies[1:-1] == ["QUEUED"] * 7
    assert replies[-1] == [1, 1, LIMIT, 1, 1, 1, 0]
    assert real.pexpiretime(AGENT[0]) == real.pexpiretime(AGENT[1]) == expire_at
    assert chat.cmd("LRANGE", AGENT[1], "-3", "-1") == [message(number) for number in (22, 23, 24)]
    assert chat.cmd("RPOP", AGENT[1]) == message(24)
    assert chat.cmd("INCR", AGENT[2]) == 1
    assert policy_ttl(real, AGENT[2])
    assert chat.cmd("PING") == "PONG"


@pytest.mark.managed
def test_agents_session_conflict(chat, real, proxy):
    """Another process appends between WATCH and EXEC: the reply is nil, nothing is written, and the retry works."""
    with RespConn.to(proxy) as other:
        assert chat.cmd("WATCH", *AGENT) == "OK"
        assert other.cmd("RPUSH", AGENT[1], "theirs") == 1
        assert chat.pipeline(*agent_block(["mine"], 4_000_000_000_000))[-1] is None
        assert real.lrange(AGENT[1], 0, -1) == ["theirs"] and not real.exists(AGENT[0])
        assert chat.cmd("WATCH", *AGENT) == "OK"
        assert chat.pipeline(*agent_block(["mine"], 4_000_000_000_000))[-1] == [1, 1, 2, 1, 1, 1, 0]
    assert real.lrange(AGENT[1], 0, -1) == ["theirs", "mine"]


@pytest.mark.managed
def test_agents_session_cleared(chat, real):
    chat.pipeline(*agent_block(["a"], 4_000_000_000_000))
    assert chat.pipeline(("MULTI",), ("DEL", *AGENT), ("EXEC",)) == ["OK", "QUEUED", [2]]
    assert chat.cmd("DBSIZE") == 0 and real.exists(*AGENT) == 0


@pytest.mark.managed
def test_transaction_in_one_write(chat, real):
    """Microsoft agent-framework: the whole MULTI block in one write, then its own LTRIM."""
    key = "conv:chat_messages:1"
    block = [("MULTI",), *[("RPUSH", key, message(number)) for number in range(5)], ("EXEC",)]
    assert chat.pipeline(*block)[-1] == [1, 2, 3, 4, 5]
    assert chat.pipeline(("LLEN", key), ("LTRIM", key, "-3", "-1"), ("LLEN", key)) == [5, "OK", 3]
    assert chat.cmd("LRANGE", key, "0", "-1") == [message(number) for number in (2, 3, 4)]
    assert policy_ttl(real, key)
    assert chat.cmd("DEL", key) == 1


@pytest.mark.managed
def test_json_string(chat, real):
    """langchain4j, Rasa: the conversation is one JSON array; the newest messages keep their bytes."""
    items = [b'{"type" : "USER",  "n":%d, "f":1.50, "t":"\\u00e9 ],[ \\" x"}' % number for number in range(25)]
    whole = b"[" + b", ".join(items) + b"]"
    assert chat.cmd("SET", "conv:j", whole) == "OK"
    kept = chat.cmd("GET", "conv:j")
    assert json.loads(kept) == json.loads(whole)[-LIMIT:]
    assert all(item in kept for item in items[-LIMIT:]) and items[4] not in kept
    assert policy_ttl(real, "conv:j")
    assert chat.cmd("SET", "conv:j", whole, "EX", "60") == "OK"
    assert json.loads(chat.cmd("GET", "conv:j")) == json.loads(whole)[-LIMIT:]
    assert 55 <= real.ttl("conv:j") <= 60
    assert chat.cmd("KEYS", "conv:*") == [b"conv:j"]
    assert chat.cmd("DEL", "conv:j") == 1


@pytest.mark.managed
@pytest.mark.parametrize("value", [b'{"events":[%s]}' % b",".join([b"1"] * 30), b"[1,2,", b"text", b"[[1]] x"])
def test_string_that_is_no_json_array(chat, real, value):
    assert chat.cmd("SET", "conv:j", value) == "OK"
    assert chat.cmd("GET", "conv:j") == value
    assert policy_ttl(real, "conv:j")


@pytest.mark.managed
def test_sessions_in_a_sorted_set(chat, real):
    """agno: SET EX and GET for the rows, a sorted set as the index."""
    rows = [("SET", "conv:row:1", "{}", "EX", "60"), ("GET", "conv:row:1"), ("MGET", "conv:row:1", "conv:row:2")]
    assert chat.pipeline(*rows) == ["OK", b"{}", [b"{}", None]]
    assert chat.pipeline(*[("ZADD", "conv:index", str(number), f"s{number}") for number in range(25)]) == [1] * 25
    assert chat.cmd("ZCARD", "conv:index") == LIMIT
    assert chat.cmd("ZRANGE", "conv:index", "0", "1") == [b"s5", b"s6"]
    assert chat.pipeline(("ZREM", "conv:index", "s24"), ("DEL", "conv:row:1")) == [1, 1]
    assert policy_ttl(real, "conv:index")
    looks = [("WATCH", "conv:row:1"), ("GET", "conv:row:1"), ("MULTI",), ("SET", "conv:row:1", "{}"), ("EXEC",)]
    assert chat.pipeline(*looks) == ["OK", None, "OK", "QUEUED", ["OK"]]


RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end"


def test_lock_released_by_a_script(chat, real):
    """Letta, Open WebUI: SET NX PX, then compare and delete in Lua; keys that no policy names."""
    assert chat.cmd("SET", "lock", "me", "NX", "PX", "30000") == "OK"
    assert chat.cmd("SET", "lock", "you", "NX", "PX", "30000") is None
    assert chat.cmd("EVAL", RELEASE, "1", "lock", "you") == 0
    sha = chat.cmd("SCRIPT", "LOAD", RELEASE)
    assert chat.cmd("EVALSHA", sha, "1", "lock", "me") == 1
    assert real.exists("lock") == 0


def test_shared_state_of_web_interfaces(chat, real):
    """Letta, Open WebUI: hashes, sets, streams, HSCAN, PUBLISH."""
    fields = [word for number in range(3) for word in (f"f{number}", "v")]
    assert chat.pipeline(("HSET", "app:h", *fields), ("HSCAN", "app:h", "0"), ("SADD", "app:s", "a", "b"))[0] == 3
    cursor, found = chat.cmd("HSCAN", "app:h", "0", "COUNT", "100")
    assert cursor == b"0" and found == [word.encode() for word in fields]
    entry = chat.cmd("XADD", "app:x", "MAXLEN", "~", "1000", "*", "chunk", "text")
    read = chat.cmd("XREAD", "COUNT", "10", "STREAMS", "app:x", "0")
    assert (read if isinstance(read, dict) else dict(read)) == {b"app:x": [[entry, [b"chunk", b"text"]]]}
    assert chat.cmd("PUBLISH", "app:channel", "text") == 0


@pytest.mark.parametrize("command", [("JSON.SET", "app:c", "$", "{}"), ("FT.SEARCH", "idx", "*"), ("FT._LIST",)])
def test_module_commands_pass_through(chat, redis_server, command):
    """LangGraph checkpoints, langchain-redis: this Redis has no modules, so its own refusal must come back unchanged."""
    with RespConn.to(redis_server) as direct:
        refusal = direct.cmd(*command)
    assert isinstance(refusal, RespError)
    assert chat.cmd(*command) == refusal


def test_refusals_keep_the_replies_in_order(chat, proxy):
    if isinstance(proxy, DirectProxy):
        pytest.skip("CONV_TEST_DIRECT=1: Redis itself does not refuse PSYNC")
    ok, refused, after = chat.pipeline(("SET", "app:k", "v"), ("PSYNC", "?", "-1"), ("GET", "app:k"))
    assert ok == "OK" and isinstance(refused, RespError) and after == b"v"
