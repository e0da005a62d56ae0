"""redis-py 8, both protocols, on unmanaged and on managed keys: what applications do with Redis."""
import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
import redis.asyncio
from harness import DirectProxy

pytestmark = pytest.mark.sanitize

# No limits: these scenarios are Redis's own behaviour, which a policy without limits must not change.
PROXY_CONFIG = {"policies": [{"name": "conv", "match": "conv:*", "max_messages": 0}]}


@pytest.fixture(params=[2, 3], ids=["resp2", "resp3"])
def client(request, proxy, real):
    with proxy.client(protocol=request.param, decode_responses=True, socket_timeout=5) as connection:
        yield connection


@pytest.fixture(params=["app:", "conv:"], ids=["unmanaged", "managed"])
def key(request):
    """key("x") is a key name with or without the policy's prefix."""
    return lambda name: request.param + name


def test_strings(client, key):
    assert client.set(key("s"), "hello") is True
    assert client.get(key("s")) == "hello"
    assert client.append(key("s"), " world") == 11
    assert client.getrange(key("s"), 0, 4) == "hello"
    assert client.set(key("s"), "again", nx=True) is None
    assert client.set(key("s"), "again", xx=True, get=True) == "hello world"
    assert client.getset(key("s"), "last") == "again"
    assert client.incr(key("n")) == 1
    assert client.incrbyfloat(key("n"), 1.5) == 2.5
    assert client.mset({key("a"): "1", key("b"): "2"}) is True
    assert client.mget(key("a"), key("none"), key("b")) == ["1", None, "2"]
    assert client.getdel(key("a")) == "1"
    assert client.get(key("a")) is None


def test_binary_and_large_values(proxy, real, key):
    with proxy.client(socket_timeout=10) as raw:
        value = bytes(range(256)) * 4096 + b"\r\n$-1\r\n"
        assert raw.set(key("blob"), value) is True
        assert raw.get(key("blob")) == value
        assert raw.strlen(key("blob")) == len(value)
        assert raw.set(key("empty"), b"") is True
        assert raw.get(key("empty")) == b""


def test_lists(client, key):
    assert client.rpush(key("l"), "a", "b", "c") == 3
    assert client.lpush(key("l"), "z") == 4
    assert client.lrange(key("l"), 0, -1) == ["z", "a", "b", "c"]
    assert client.lrange(key("l"), -2, -1) == ["b", "c"]
    assert client.llen(key("l")) == 4
    assert client.lindex(key("l"), 1) == "a"
    assert client.lset(key("l"), 1, "A") is True
    assert client.linsert(key("l"), "after", "A", "A2") == 5
    assert client.lrem(key("l"), 1, "A2") == 1
    assert client.ltrim(key("l"), 1, -1) is True
    assert client.lpop(key("l")) == "A"
    assert client.rpop(key("l"), 2) == ["c", "b"]
    assert client.exists(key("l")) == 0


def test_hashes(client, key):
    assert client.hset(key("h"), mapping={"name": "x", "n": "1"}) == 2
    assert client.hget(key("h"), "name") == "x"
    assert client.hmget(key("h"), "n", "none") == ["1", None]
    assert client.hincrby(key("h"), "n", 4) == 5
    assert client.hsetnx(key("h"), "name", "y") == 0
    assert client.hgetall(key("h")) == {"name": "x", "n": "5"}
    assert sorted(client.hkeys(key("h"))) == ["n", "name"]
    assert dict(client.hscan_iter(key("h"))) == {"name": "x", "n": "5"}
    assert client.hdel(key("h"), "n", "name") == 2
    assert client.hgetall(key("h")) == {}


def test_sets(client, key):
    assert client.sadd(key("a"), "1", "2", "3") == 3
    assert client.sadd(key("b"), "2", "3", "4") == 3
    assert client.smembers(key("a")) == {"1", "2", "3"}
    assert client.sismember(key("a"), "2") == 1
    assert client.smismember(key("a"), ["2", "9"]) == [1, 0]
    assert client.sinter(key("a"), key("b")) == {"2", "3"}
    assert client.sunionstore(key("u"), key("a"), key("b")) == 4
    assert client.scard(key("u")) == 4
    assert client.srem(key("a"), "1", "9") == 1
    assert set(client.sscan_iter(key("a"))) == {"2", "3"}


def test_sorted_sets(client, key):
    assert client.zadd(key("z"), {"a": 1, "b": 2.5, "c": 3}) == 3
    assert client.zscore(key("z"), "b") == 2.5
    assert client.zincrby(key("z"), 10, "a") == 11.0
    assert client.zrange(key("z"), 0, -1) == ["b", "c", "a"]
    with_scores = client.zrange(key("z"), 0, -1, withscores=True)
    assert [list(pair) for pair in with_scores] == [["b", 2.5], ["c", 3.0], ["a", 11.0]]
    assert client.zrangebyscore(key("z"), 2, 3) == ["b", "c"]
    assert client.zrank(key("z"), "c") == 1
    assert client.zrem(key("z"), "b") == 1
    assert client.zcard(key("z")) == 2


def entries_of(reply, stream):
    """XREAD's entries: redis-py 8 gives a list of pairs for RESP2 and a dict with one level more for RESP3."""
    entries = dict(reply)[stream]
    return entries[0] if entries and isinstance(entries[0], list) else entries


def test_streams(client, key):
    first = client.xadd(key("x"), {"role": "user"})
    second = client.xadd(key("x"), {"role": "assistant"})
    assert client.xlen(key("x")) == 2
    assert [entry[0] for entry in client.xrange(key("x"))] == [first, second]
    assert [entry[0] for entry in entries_of(client.xread({key("x"): first}), key("x"))] == [second]
    assert client.xgroup_create(key("x"), "g", id="0") is True
    got = entries_of(client.xreadgroup("g", "me", {key("x"): ">"}), key("x"))
    assert [entry[0] for entry in got] == [first, second]
    assert client.xpending(key("x"), "g")["pending"] == 2
    assert client.xack(key("x"), "g", first, second) == 2
    assert client.xdel(key("x"), first) == 1


def test_expiry(client, key):
    client.set(key("s"), "v", ex=100)
    assert 98 <= client.ttl(key("s")) <= 100
    assert client.pexpire(key("s"), 50_000) is True
    assert 49_000 <= client.pttl(key("s")) <= 50_000
    assert client.expireat(key("s"), 4_000_000_000) is True
    assert client.expiretime(key("s")) == 4_000_000_000
    assert client.expire(key("none"), 10) is False
    assert client.ttl(key("none")) == -2


def test_keys(client, key):
    client.set(key("a"), "1")
    client.rpush(key("l"), "1")
    assert client.type(key("a")) == "string"
    assert client.type(key("l")) == "list"
    assert client.exists(key("a"), key("l"), key("none")) == 2
    assert client.rename(key("a"), key("b")) is True
    assert client.get(key("b")) == "1"
    assert client.copy(key("b"), key("c")) is True
    assert client.touch(key("b"), key("c")) == 2
    assert client.unlink(key("b"), key("c"), key("none")) == 2
    assert sorted(client.keys("*")) == [key("l")]


def test_pipeline(client, key):
    pipe = client.pipeline(transaction=False)
    for number in range(200):
        pipe.set(key(f"p{number}"), number)
        pipe.get(key(f"p{number}"))
    replies = pipe.execute()
    assert replies[::2] == [True] * 200
    assert replies[1::2] == [str(number) for number in range(200)]


def test_pipeline_keeps_errors_in_place(client, key):
    pipe = client.pipeline(transaction=False)
    pipe.set(key("s"), "text").incr(key("s")).get(key("s")).lpush(key("s"), "x").get(key("s"))
    replies = pipe.execute(raise_on_error=False)
    assert replies[0::2] == [True, "text", "text"]
    assert "not an integer" in str(replies[1])
    assert "wrong kind of value" in str(replies[3])


def test_transaction(client, key):
    with client.pipeline(transaction=True) as pipe:
        pipe.set(key("a"), "1").incr(key("a")).rpush(key("l"), "x", "y").lrange(key("l"), 0, -1)
        assert pipe.execute() == [True, 2, 2, ["x", "y"]]
    with client.pipeline(transaction=True) as pipe:
        pipe.set(key("b"), "text").incr(key("b")).get(key("b"))
        replies = pipe.execute(raise_on_error=False)
    assert replies[0] is True and isinstance(replies[1], redis.ResponseError) and replies[2] == "text"


def test_transaction_with_a_bad_command_changes_nothing(client, key):
    with client.pipeline(transaction=True) as pipe:
        pipe.set(key("a"), "1").execute_command("SET", key("a"))
        with pytest.raises(redis.ResponseError, match="wrong number of arguments"):
            pipe.execute()
    assert client.get(key("a")) is None


def test_watch_conflict(client, key, proxy):
    client.set(key("n"), "1")
    with proxy.client(decode_responses=True) as other, client.pipeline() as pipe:
        pipe.watch(key("n"))
        assert pipe.get(key("n")) == "1"
        other.set(key("n"), "5")
        pipe.multi()
        pipe.set(key("n"), "2")
        with pytest.raises(redis.WatchError):
            pipe.execute()
    assert client.get(key("n")) == "5"


def test_watch_loop_of_several_clients(proxy, real, key):
    """Four clients add 1 twenty-five times each with the optimistic loop; no step is lost, none is made twice."""
    def add(connection):
        def step(pipe):
            value = int(pipe.get(key("n")) or 0)
            pipe.multi()
            pipe.set(key("n"), value + 1)

        for _ in range(25):
            connection.transaction(step, key("n"))

    clients = [proxy.client(decode_responses=True, socket_timeout=10) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, clients))
    assert clients[0].get(key("n")) == "100"
    for connection in clients:
        connection.close()


def test_scan(client, key):
    names = {key(f"k{number}") for number in range(150)}
    client.mset({name: "v" for name in names})
    client.set("other", "v")
    assert set(client.scan_iter(key("k*"), count=40)) == names
    assert set(client.scan_iter(_type="string")) == names | {"other"}
    assert client.dbsize() == 151


def test_error_texts(client, key):
    client.set(key("s"), "text")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE Operation against a key holding the wrong kind of value"):
        client.lpush(key("s"), "x")
    with pytest.raises(redis.ResponseError, match="value is not an integer or out of range"):
        client.incr(key("s"))
    with pytest.raises(redis.ResponseError, match="wrong number of arguments for 'get' command"):
        client.execute_command("GET")
    with pytest.raises(redis.ResponseError, match="unknown command 'NOSUCH', with args beginning with: 'x'"):
        client.execute_command("NOSUCH", "x")
    with pytest.raises(redis.ResponseError, match="EXEC without MULTI"):
        client.execute_command("EXEC")


def test_connection_commands(client, proxy):
    assert client.ping() is True
    assert client.echo("text") == "text"
    assert client.client_id() > 0
    assert client.client_setname("tester") is True
    assert client.client_getname() == "tester"
    assert client.info("server")["redis_version"]
    if not isinstance(proxy, DirectProxy):
        assert client.config_get("conv.ttl") == {"conv.ttl": "30d"}


@pytest.mark.parametrize("protocol", [2, 3])
def test_scripts_on_unmanaged_keys(proxy, real, protocol):
    with proxy.client(protocol=protocol, decode_responses=True) as client:
        double = client.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1]) * 2")
        assert double(keys=["app:n"], args=[21]) == 42
        assert real.get("app:n") == "21"


@pytest.mark.parametrize("protocol", [2, 3])
def test_asyncio_client(proxy, real, protocol):
    async def many():
        async with redis.asyncio.Redis(host=proxy.host, port=proxy.port, protocol=protocol) as client:
            await asyncio.gather(*(client.rpush("app:l", number) for number in range(100)))
            return await client.lrange("app:l", 0, -1)

    assert sorted(int(item) for item in asyncio.run(many())) == list(range(100))
