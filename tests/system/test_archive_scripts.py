"""Scripts on keys of the archive."""
import pytest
from harness import RespConn


@pytest.mark.parametrize("script", ["return 1"])
def test_smoke(side, script):
    with RespConn.to(side) as c:
        assert c.cmd("EVAL", script, "0") == 1
        assert c.cmd("EVAL", "return redis.call('set',KEYS[1],ARGV[1])", "1", "k", "v") == "OK"
        assert c.cmd("GET", "k") == b"v"
        assert c.cmd("EVAL", "redis.call('set','a1','x') redis.call('set','a2','y') return {redis.call('get','a1'),redis.call('get','a2')}", "0") == [b"x", b"y"]
        assert c.cmd("GET", "a1") == b"x"
