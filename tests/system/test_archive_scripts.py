"""Scripts on keys of the archive, against redis-server's own: tests/system/script_samples, one file a chapter. A sample is a script; a
first line "--# numkeys words…" says what it is called with. Both servers see all samples of a file in their order."""
import threading
from pathlib import Path

import pytest
import redis
from harness import NOBODY, SERVES_ALL, Proxy, RedisServer, RespConn, RespError, eventually
from harness.resp import encode

pytestmark = pytest.mark.managed

SAMPLES = Path(__file__).parent / "script_samples"
END = b"$11\r\nall is told\r\n"  # what ECHO answers behind a script


def samples(chapter):
    return [text.strip("\n") for text in (SAMPLES / f"{chapter}.txt").read_text().split("\n%%\n")]


def words(script):
    first = script.split("\n")[0]
    return first.split()[1:] if first.startswith("--#") else ["0"]


def raw_reply(conn, *command):
    """The bytes of the reply, however deep it is."""
    conn.send(encode(*command) + encode("ECHO", "all is told"))
    while not conn.buffer.endswith(END):
        conn._receive()
    raw = bytes(conn.buffer[: -len(END)])
    conn.buffer.clear()
    return raw


def replies(server, scripts, resp):
    with RespConn.to(server, timeout=20) as conn:
        conn.cmd("FLUSHALL")
        if resp == 3:
            conn.cmd("HELLO", "3")
        return [raw_reply(conn, "EVAL", script, *words(script)) for script in scripts]


CHAPTERS = sorted(path.stem for path in SAMPLES.glob("*.txt"))
TOUCHY = {("commands", 2), ("replies", 3), ("struct", 2)}  # what the sanitizers see, too


@pytest.mark.parametrize("chapter, resp", [pytest.param(c, r, marks=[pytest.mark.sanitize] * ((c, r) in TOUCHY)) for c in CHAPTERS for r in (2, 3)])
def test_as_redis(durable, plain, chapter, resp):
    scripts = samples(chapter)
    mine, theirs = (replies(server, scripts, resp) for server in (durable, plain))
    different = [(s, m[:300], t[:300]) for s, m, t in zip(scripts, mine, theirs) if m != t]
    assert not different, "\n".join(f"{s}\n  proxy {m}\n  redis {t}" for s, m, t in different)


def test_enough_samples():
    assert sum(len(samples(chapter)) for chapter in CHAPTERS) > 400


def test_a_script_that_redis_alone_knows_is_not_there(redis_server, tmp_path):
    """Who asks first, and then says EVALSHA only, loads it for both stores."""
    with redis_server.client() as behind:
        sha = behind.script_load("return redis.call('RPUSH', KEYS[1], 'of a script')")
    proxy = Proxy(tmp_path, redis_server.url, settings={"conv.primary": "archive"}).start()
    with RespConn.to(proxy) as conn:
        eventually(lambda: conn.cmd("SET", "conv:k", "v") == "OK")
        assert conn.cmd("SCRIPT", "EXISTS", sha) == [0]
        assert conn.cmd("SCRIPT", "LOAD", "return redis.call('RPUSH', KEYS[1], 'of a script')") == sha.encode()
        assert conn.cmd("SCRIPT", "EXISTS", sha) == [1]
        assert conn.cmd("EVALSHA", sha, "1", "conv:l") == 1 and conn.cmd("EVALSHA", sha, "1", "raw:l") == 1
    proxy.stop()


# ---- what both servers do ----


@pytest.fixture
def client(side):
    with RespConn.to(side, timeout=20) as conn:
        yield conn


def test_arguments(client):
    assert client.cmd("EVAL", "return 1", "x") == "ERR value is not an integer or out of range"
    assert client.cmd("EVAL", "return 1", "1") == "ERR Number of keys can't be greater than number of args"
    assert client.cmd("EVAL", "return 1", "-1") == "ERR Number of keys can't be negative"
    assert client.cmd("EVAL", "return 1") == "ERR wrong number of arguments for 'eval' command"
    assert client.cmd("EVALSHA", "nothing", "0") == "NOSCRIPT No matching script. Please use EVAL."
    assert client.cmd("EVALSHA", "0" * 40, "0") == "NOSCRIPT No matching script. Please use EVAL."
    assert client.cmd("EVALSHA_RO", "0" * 40, "0") == "NOSCRIPT No matching script. Please use EVAL."


def test_read_only(client):
    client.cmd("SET", "k", "v")
    assert client.cmd("EVAL_RO", "return redis.call('GET', KEYS[1])", "1", "k") == b"v"
    refused = client.cmd("EVAL_RO", "return redis.call('SET', KEYS[1], 'w')", "1", "k")
    assert refused.startswith("ERR Write commands are not allowed from read-only scripts. script: ")
    assert client.cmd("GET", "k") == b"v"
    assert client.cmd("EVAL_RO", "#!lua flags=no-writes\nreturn redis.call('GET', KEYS[1])", "1", "k") == b"v"
    assert client.cmd("EVAL_RO", "#!lua\nreturn 1", "0") == "ERR Can not execute a script with write flag using *_ro command."


def test_script_commands(client):
    client.cmd("SCRIPT", "FLUSH")
    sha = client.cmd("SCRIPT", "LOAD", "return KEYS[1]")
    assert sha == b"4ca238f611c9d0ae4e9a75a5dbac22aedc1e44c2" or len(sha) == 40
    assert client.cmd("SCRIPT", "EXISTS", sha, "0" * 40) == [1, 0]
    assert client.cmd("EVALSHA", sha, "1", "k") == b"k"
    assert client.cmd("EVALSHA", sha.upper(), "1", "k") == b"k"
    assert client.cmd("SCRIPT", "LOAD", "return (") == "ERR Error compiling script (new function): user_script:1: unexpected symbol near '<eof>'"
    assert client.cmd("SCRIPT", "FLUSH", "maybe") == "ERR SCRIPT FLUSH only support SYNC|ASYNC option"
    assert client.cmd("SCRIPT", "FLUSH", "ASYNC") == "OK"
    assert client.cmd("EVALSHA", sha, "1", "k") == "NOSCRIPT No matching script. Please use EVAL."
    client.cmd("EVAL", "return KEYS[1]", "1", "x")
    assert client.cmd("EVALSHA", sha, "1", "k") == b"k"
    assert client.cmd("SCRIPT", "KILL") == "NOTBUSY No scripts in execution right now."


@pytest.mark.sanitize
def test_in_transactions(client):
    sha = client.cmd("SCRIPT", "LOAD", "return redis.call('INCRBY', KEYS[1], ARGV[1])")
    replies_ = client.pipeline(
        ("MULTI",), ("SET", "n", "1"), ("EVALSHA", sha, "1", "n", "5"), ("EVAL", "error('no')", "0"),
        ("EVAL", "redis.call('SET', 'other', 'o') return redis.call('GET', 'n')", "0"), ("GET", "n"), ("EXEC",),
    )  # fmt: skip
    ok, six, no, text, after = replies_[-1]
    assert (ok, six, text, after) == ("OK", 6, b"6", b"6")
    assert no.startswith("ERR user_script:1: no script: ")
    assert client.cmd("GET", "other") == b"o"


def test_watched_keys_that_a_script_writes(client, side):
    with RespConn.to(side) as other:
        client.cmd("WATCH", "w")
        other.cmd("EVAL", "redis.call('SET', 'w', '1')", "0")
        assert client.pipeline(("MULTI",), ("SET", "w", "2"), ("EXEC",))[-1] is None
    assert client.cmd("GET", "w") == b"1"


def test_wakes_who_waits(client, side):
    with RespConn.to(side) as waiting:
        waiting.send_cmd("BLPOP", "queue", "20")
        eventually(lambda: b"BLPOP" in client.cmd("CLIENT", "LIST").upper())
        client.cmd("EVAL", "redis.call('RPUSH', 'queue', 'a')", "0")
        assert waiting.read() == [b"queue", b"a"]


def test_pipelines_run_in_order(client):
    """A script writes what it does not declare; what stands before and behind it in the pipeline sees it as it must."""
    commands = []
    for i in range(30):
        commands += [("SET", f"p{i}", "before"), ("EVAL", f"return redis.call('APPEND', 'p{i}', '+script')", "0"), ("GET", f"p{i}")]
    assert client.pipeline(*commands)[2::3] == [b"before+script"] * 30


@pytest.mark.sanitize
def test_scripts_are_atomic(side):
    """Transfers between undeclared accounts by many clients: nothing is lost or made."""
    script = """
    local from, to, n = 'acc' .. ARGV[1], 'acc' .. ARGV[2], tonumber(ARGV[3])
    if tonumber(redis.call('GET', from) or '0') < n then return 0 end
    redis.call('DECRBY', from, n)
    redis.call('INCRBY', to, n)
    return 1"""
    with RespConn.to(side) as conn:
        conn.pipeline(*(("SET", f"acc{i}", "100") for i in range(5)))

    def transfer(seed):
        with RespConn.to(side, timeout=30) as conn:
            for i in range(10):
                conn.cmd("EVAL", script, "0", str((seed + i) % 5), str((seed + 2 * i + 1) % 5), str(1 + (seed * i) % 7))

    threads = [threading.Thread(target=transfer, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with RespConn.to(side) as conn:
        balances = [int(conn.cmd("GET", f"acc{i}")) for i in range(5)]
    assert sum(balances) == 500 and min(balances) >= 0


# ---- well-known scripts ----

RATE_LIMIT = """
local n = redis.call('INCR', KEYS[1])
if n == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
if n > tonumber(ARGV[2]) then return {0, redis.call('PTTL', KEYS[1]) > 0 and 1 or 0} end
return {1, tonumber(ARGV[2]) - n}"""
SLIDING_WINDOW = """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', tonumber(ARGV[1]) - tonumber(ARGV[2]))
local n = redis.call('ZCARD', KEYS[1])
if n < tonumber(ARGV[3]) then
    redis.call('ZADD', KEYS[1], ARGV[1], ARGV[4])
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return n"""
ADD_JOB = """
local id = redis.call('INCR', KEYS[1] .. 'id')
local key = KEYS[1] .. id
local opts = cmsgpack.unpack(ARGV[2])
redis.call('HMSET', key, 'data', ARGV[1], 'opts', cjson.encode(opts), 'timestamp', ARGV[3])
if opts['delay'] and opts['delay'] > 0 then
    redis.call('ZADD', KEYS[1] .. 'delayed', tonumber(ARGV[3]) + opts['delay'], id)
else
    redis.call('LPUSH', KEYS[1] .. 'wait', id)
end
return id .. ''"""
TAKE_JOB = """
local id = redis.call('RPOPLPUSH', KEYS[1] .. 'wait', KEYS[1] .. 'active')
if not id then return nil end
redis.call('SET', KEYS[1] .. id .. ':lock', ARGV[1], 'PX', 30000)
return {id, redis.call('HGETALL', KEYS[1] .. id)}"""
HISTORY = """
local kept = {}
for _, text in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
    local message = cjson.decode(text)
    if message.type ~= ARGV[1] then kept[#kept + 1] = text end
end
redis.call('DEL', KEYS[1])
if #kept > 0 then redis.call('RPUSH', KEYS[1], unpack(kept)) end
return #kept"""


def test_rate_limiters(client):
    assert [client.cmd("EVAL", RATE_LIMIT, "1", "limit:u", "60000", "3") for _ in range(4)] == [[1, 2], [1, 1], [1, 0], [0, 1]]
    window = [client.cmd("EVAL", SLIDING_WINDOW, "1", "window:u", str(1000000 + i), "100000", "2", f"m{i}") for i in range(4)]
    assert window == [0, 1, 2, 2]
    assert client.cmd("EVAL", SLIDING_WINDOW, "1", "window:u", "1200000", "100000", "2", "m9") == 0


def test_a_queue_of_jobs(client):
    options = b"\x81\xa5delay\x00"
    assert client.cmd("EVAL", ADD_JOB, "1", "bull:q:", '{"a":1}', options, "1000") == b"1"
    assert client.cmd("EVAL", ADD_JOB, "1", "bull:q:", '{"a":2}', b"\x81\xa5delay\xcd\x13\x88", "1000") == b"2"
    job, fields = client.cmd("EVAL", TAKE_JOB, "1", "bull:q:", "token")
    assert job == b"1"
    assert dict(zip(fields[::2], fields[1::2])) == {b"data": b'{"a":1}', b"opts": b'{"delay":0}', b"timestamp": b"1000"}
    assert client.cmd("EVAL", TAKE_JOB, "1", "bull:q:", "token") is None
    assert client.cmd("ZSCORE", "bull:q:delayed", "2") == b"6000"
    assert 0 < client.cmd("PTTL", "bull:q:1:lock") <= 30000


def test_a_history(client):
    for kind in ("human", "ai", "system", "human"):
        client.cmd("RPUSH", "message_store:1", f'{{"type":"{kind}","data":{{"content":"\u00e9"}}}}')
    assert client.cmd("EVAL", HISTORY, "1", "message_store:1", "system") == 3
    assert client.cmd("LLEN", "message_store:1") == 3
    assert client.cmd("EVAL", HISTORY, "1", "message_store:1", "human") == 1


def test_locks_of_redis_py(side):
    with redis.Redis(side.host, side.port) as one, redis.Redis(side.host, side.port) as two:
        lock, other = one.lock("job", timeout=20), two.lock("job", timeout=20, blocking=False)
        assert lock.acquire() and not other.acquire()
        assert lock.extend(10) and lock.reacquire()
        lock.release()
        assert other.acquire()
        with pytest.raises(redis.exceptions.LockError):
            lock.release()
        other.release()
        count = one.register_script("return redis.call('INCR', KEYS[1])")
        assert [count(keys=["counted"]) for _ in range(3)] == [1, 2, 3]
        with one.pipeline() as pipe:
            count(keys=["counted"], client=pipe)
            pipe.get("counted")
            assert pipe.execute() == [4, b"4"]


# ---- the proxy's own ----


def commands(endpoint, *lines):
    with RespConn.to(endpoint, timeout=20) as conn:
        return conn.pipeline(*lines)


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    settings = {**SERVES_ALL, "conv.max_messages": 5, "conv.ttl": "1h", "script.timeout": "100ms", "script.memory": "2mb"}
    proxy = Proxy(tmp_path_factory.mktemp("limited"), NOBODY, settings=settings).start()
    yield proxy
    proxy.stop()


ENDLESS = ["while true do end", "while true do pcall(function() while true do end end) end",
           "coroutine.wrap(function() while true do end end)()", "while true do redis.call('GET', 'k') end",
           "while true do xpcall(function() error('x') end, function() while true do end end) end",
           "return load(function() while true do end end)"]  # fmt: skip
GREEDY = ["local t = {} while true do t[#t + 1] = string.rep('x', 1000) .. #t end", "return string.rep('x', 1e9)",
          "local t = {} for i = 1, 40 do t = {t, t} end return t", "local t = {} for i = 1, 40 do t = {t, t} end return cjson.encode(t)",
          "local s = 'x' while true do local ok = pcall(function() s = s .. s end) end",
          "for i = 1, 1e6 do redis.call('APPEND', 'k', string.rep('x', 100000)) end",
          "for i = 1, 1e7 do redis.call('SET', 'k', string.rep('x', 10000)) end"]  # fmt: skip


@pytest.mark.parametrize("script", ENDLESS)
def test_time_is_limited(limited, script):
    reply, after = commands(limited, ("EVAL", "redis.call('SET', 'k', 'lost') " + script, "1", "k"), ("GET", "k"))
    assert reply == "ERR the script was ended: it ran for script.timeout (100 ms); nothing that it has written is kept"
    assert after is None


@pytest.mark.sanitize
@pytest.mark.parametrize("script", GREEDY)
def test_memory_is_limited(limited, script):
    reply, after = commands(limited, ("EVAL", "redis.call('SET', 'k', 'lost') " + script, "1", "k"), ("GET", "k"))
    assert isinstance(reply, RespError) and "the script was ended: it " in reply, reply
    assert after is None


@pytest.mark.sanitize
def test_others_of_the_batch_go_on(limited):
    """What runs beside a script that is thrown away is not."""
    with RespConn.to(limited, timeout=30) as bad, RespConn.to(limited, timeout=30) as good:
        for i in range(5):
            bad.send_cmd("EVAL", "redis.call('INCR', 'bad') while true do end", "1", "bad")
            good.send(b"".join(encode("INCR", f"good{n}") for n in range(50)))
            assert [good.read() for _ in range(50)] == [i + 1] * 50
            assert "script.timeout" in bad.read()
        assert good.cmd("GET", "bad") is None


@pytest.mark.sanitize
def test_policies_hold_for_what_scripts_write(limited):
    script = """
    for i = 1, 9 do
        redis.call('RPUSH', 'tail', i) redis.call('LPUSH', KEYS[1], i)
        redis.call('ZADD', 'z', i, i) redis.call('XADD', 'x', i .. '-1', 'f', i)
    end
    redis.call('SET', 'own', 'v', 'EX', 100)
    error('at the end')"""
    told = commands(
        limited, ("EVAL", script, "1", "head"), ("LRANGE", "tail", "0", "-1"), ("LRANGE", "head", "0", "-1"),
        ("ZRANGE", "z", "0", "-1"), ("XLEN", "x"), *(("TTL", key) for key in ("tail", "head", "z", "x", "own")),
    )  # fmt: skip
    assert told[1:5] == [[b"5", b"6", b"7", b"8", b"9"], [b"9", b"8", b"7", b"6", b"5"], [b"5", b"6", b"7", b"8", b"9"], 5]
    assert all(3590 <= ttl <= 3600 for ttl in told[5:9]) and 90 <= told[9] <= 100


@pytest.mark.sanitize
def test_keys_that_change_whenever_it_runs(limited):
    script = "local k = 'drawn' for i = 1, 9 do k = k .. redis.call('SRANDMEMBER', KEYS[1]) end return redis.call('SET', k, 1)"
    _, reply, keys = commands(limited, ("SADD", "urn", *range(100)), ("EVAL", script, "1", "urn"), ("KEYS", "drawn*"))
    assert "it used other keys" in reply and keys == []


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    """conv:* is the archive's, the rest Redis'."""
    folder = tmp_path_factory.mktemp("split")
    server = RedisServer(folder).start()
    proxy = Proxy(folder, server.url, settings={"conv.primary": "archive", "conv.ttl": 0}).start()
    yield proxy
    proxy.stop()
    server.kill()


@pytest.mark.sanitize
def test_keys_of_redis(split):
    use = "return redis.call('GET', '%s')"
    told = commands(
        split, ("SET", "raw", "r"), ("SET", "conv:a", "a"), ("EVAL", use % "raw", "1", "conv:a"), ("EVAL", use % "conv:a", "1", "conv:a"),
        ("EVAL", use % "raw", "1", "raw"), ("EVAL", "return 1", "2", "raw", "conv:a"), ("EVAL", use % "conv:a", "0"),
        ("EVAL", use % "cvp:ver", "0"), ("EVAL", "return redis.call('KEYS', '*')", "0"), ("EVAL", "return redis.call('DBSIZE')", "0"),
        ("EVAL", "return redis.call('FLUSHALL')", "0"), ("FCALL", "f", "1", "conv:a"),
    )  # fmt: skip
    assert told[2].startswith("CROSSSTORE the script runs on the archive, and uses a key that Redis has script: ")
    assert told[3:5] == [b"a", b"r"]
    assert told[5].startswith("CROSSSTORE")
    assert told[6] == b"a"
    assert isinstance(told[7], RespError) and isinstance(told[10], RespError)
    assert told[8:10] == [[b"conv:a"], 1]
    assert "functions are Redis only" in told[11]


# ---- failover ----


PAIR = {"conv.ttl": 0, "conv.max_messages": 0, "failover.return_after": "300ms", "redis.probe_interval": "50ms", "proxy.threads": 2}


@pytest.fixture
def pair(tmp_path):
    """A Redis that keeps nothing, and a proxy that goes on without it."""
    server = RedisServer(tmp_path).start()
    proxy = Proxy(tmp_path, server.url, settings=PAIR).start()
    with RespConn.to(proxy, timeout=20) as conn:
        yield server, proxy, conn
    proxy.stop()
    server.kill()


COUNT = "return redis.call('INCR', KEYS[1])"


def redis_acts(proxy):
    item = proxy.get_json("/api/v1/primary")["placement"][0]
    return item["acting"] == item.get("phase") == "redis"


@pytest.mark.sanitize
def test_goes_on_without_redis(pair):
    server, proxy, conn = pair
    sha = conn.cmd("SCRIPT", "LOAD", COUNT)
    assert [conn.cmd("EVALSHA", sha, "1", "conv:n") for _ in range(3)] == [1, 2, 3]
    eventually(lambda: proxy.metrics().get("conv_dirty_keys") == 0, 20)
    server.kill()
    assert eventually(lambda: conn.cmd("EVALSHA", sha, "1", "conv:n") == 4, 10)
    assert conn.cmd("EVAL", "return redis.call('GET', 'conv:n')", "0") == b"4"
    later = conn.cmd("SCRIPT", "LOAD", "return redis.call('APPEND', KEYS[1], ARGV[1])")
    assert conn.cmd("SCRIPT", "EXISTS", sha, later, "0" * 40) == [1, 1, 0]
    assert conn.cmd("EVALSHA", later, "1", "conv:s", "x") == 1
    assert "functions are Redis only" in conn.cmd("FUNCTION", "LIST")
    assert "functions are Redis only" in conn.cmd("FCALL", "f", "1", "conv:n")
    server.start()
    eventually(lambda: redis_acts(proxy), 20)
    assert conn.cmd("EVALSHA", sha, "1", "conv:n") == 5  # the new Redis knows neither
    assert conn.pipeline(("MULTI",), ("EVALSHA", later, "1", "conv:s", "y"), ("EXEC",))[-1] == [2]
    with RespConn.to(server) as direct:
        assert direct.cmd("GET", "conv:n") == b"5" and direct.cmd("GET", "conv:s") == b"xy"


@pytest.mark.parametrize("resp", [2, 3])
def test_known_scripts_after_a_restart(pair, resp):
    """Redis has come back empty: keys that are not managed, and no archive in it."""
    server, proxy, conn = pair
    conn.cmd("HELLO", str(resp))
    conn.cmd("EVAL", COUNT, "1", "raw")
    sha = conn.cmd("EVAL", "return redis.sha1hex(ARGV[1])", "0", COUNT).decode()
    server.kill()
    server.start()
    eventually(lambda: conn.cmd("PING") == "PONG" and conn.cmd("EVALSHA", sha, "1", "raw2") == 1, 20)
    assert conn.pipeline(*[("EVALSHA", sha, "1", "raw2")] * 3) == [2, 3, 4]


@pytest.mark.sanitize
@pytest.mark.parametrize("by_name", [False, True])
def test_in_doubt(pair, by_name):
    """Redis is lost with scripts in flight, before it has run them: the archive does, once each."""
    server, proxy, conn = pair
    sha = conn.cmd("EVAL", "return redis.sha1hex(ARGV[1])", "0", COUNT).decode()
    assert conn.cmd("EVAL", COUNT, "1", "conv:n") == 1
    server.pause()
    conn.send(encode("EVALSHA" if by_name else "EVAL", sha if by_name else COUNT, "1", "conv:n"))
    conn.send(encode("MULTI") + encode("EVAL", COUNT, "1", "conv:n") + encode("GET", "conv:n") + encode("EXEC"))
    server.kill()
    assert conn.read() == 2
    assert [conn.read() for _ in range(4)] == ["OK", "QUEUED", "QUEUED", [3, b"3"]]


@pytest.mark.sanitize
def test_what_scripts_have_written_comes_back(tmp_path):
    """Redis returns with its own state, older than the archive's."""
    server = RedisServer(tmp_path, args=("--appendonly", "yes", "--appendfsync", "always")).start()
    proxy = Proxy(tmp_path, server.url, settings={**PAIR, "conv.ttl": "1h"}).start()
    script = """
    redis.call('RPUSH', KEYS[1], ARGV[1])
    redis.call('HSET', 'conv:h', ARGV[1], redis.call('INCR', 'conv:n'))
    redis.call('SET', 'conv:last', cjson.encode({redis.call('LLEN', KEYS[1]), redis.call('SPOP', 'conv:set')}))
    redis.call('DEL', 'conv:gone')
    return redis.call('GET', 'conv:last')"""
    try:
        with RespConn.to(proxy, timeout=20) as conn:
            conn.pipeline(("SADD", "conv:set", *range(10)), ("SET", "conv:gone", "1"), ("RPUSH", "conv:l", "0"))
            eventually(lambda: proxy.metrics().get("conv_dirty_keys") == 0, 20)
            server.kill()
            last = [conn.cmd("EVAL", script, "1", "conv:l", str(i)) for i in range(1, 6)][-1]
            server.start()
            eventually(lambda: redis_acts(proxy), 20)
            eventually(lambda: proxy.metrics().get("conv_dirty_keys") == 0, 20)
            assert last is not None and conn.cmd("GET", "conv:last") == last
            assert conn.cmd("LRANGE", "conv:l", "0", "-1") == [b"0", b"1", b"2", b"3", b"4", b"5"]
            with RespConn.to(server) as direct:
                told = direct.pipeline(("GET", "conv:n"), ("HLEN", "conv:h"), ("SCARD", "conv:set"), ("EXISTS", "conv:gone"), ("GET", "conv:last"))
                assert told == [b"5", 5, 5, 0, last]
                assert all(0 < direct.cmd("PTTL", key) <= 3600_000 for key in ("conv:l", "conv:h", "conv:n", "conv:last"))
    finally:
        proxy.stop()
        server.kill()
