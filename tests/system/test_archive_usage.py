"""MEMORY USAGE of keys that the archive has: near what redis-server says for the same value, and the same errors."""
import random

import pytest
from harness import RespConn

pytestmark = pytest.mark.sanitize


def words(rng, length):
    return "".join(rng.choice("abcdef ") for _ in range(length))


def values(rng):
    for length in (1, 44, 45, 200, 5000):
        yield "SET", [words(rng, length)]
    yield "SET", ["12345"]
    for count, length in ((1, 10), (20, 200), (200, 200), (20, 3000)):
        yield "RPUSH", [words(rng, length) for _ in range(count)]
    for count, length in ((3, 10), (100, 20), (600, 20), (20, 100)):
        yield "HSET", [word for i in range(count) for word in (f"f{i}", words(rng, length))]
        yield "ZADD", [word for i in range(count) for word in (str(i * 1.5), f"{i}{words(rng, length)}")]
    yield "SADD", [str(i) for i in range(100)]
    yield "SADD", [str(i) for i in range(100000, 100300)]
    for count in (3, 600):
        yield "SADD", [f"{i}{words(rng, 20)}" for i in range(count)]


def usage(conn, key):
    return conn.cmd("MEMORY", "USAGE", key, "SAMPLES", "0")


def test_is_near_what_redis_takes(durable, plain):
    rng = random.Random(7)
    with RespConn.to(durable) as archive, RespConn.to(plain) as redis:
        for number, (verb, rest) in enumerate(values(rng)):
            for conn in (archive, redis):
                conn.cmd(verb, f"k{number}", *rest)
            ours, theirs = usage(archive, f"k{number}"), usage(redis, f"k{number}")
            assert 0.8 * theirs < ours < 1.25 * theirs, f"{verb} of {len(rest)}: {ours}, redis-server {theirs}"


def test_streams(durable, plain):
    with RespConn.to(durable) as archive, RespConn.to(plain) as redis:
        for conn in (archive, redis):
            for i in range(1, 301):
                conn.cmd("XADD", "x", f"{i}-1", "role", "user", "content", f"hello {i}")
        ours, theirs = usage(archive, "x"), usage(redis, "x")
        assert 0.8 * theirs < ours < 1.25 * theirs, f"{ours}, redis-server {theirs}"


@pytest.mark.parametrize("rest", ["", "k FOO", "k SAMPLES", "k SAMPLES -1", "k SAMPLES x", "k SAMPLES 1 SAMPLES 2", "none", "none FOO"])
def test_says_what_redis_says(durable, plain, rest):
    with RespConn.to(durable) as archive, RespConn.to(plain) as redis:
        for conn in (archive, redis):
            conn.cmd("SET", "k", "v")
        assert archive.cmd("MEMORY", "USAGE", *rest.split()) == redis.cmd("MEMORY", "USAGE", *rest.split())
