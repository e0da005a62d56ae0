"""convctl tenants: what the proxy has counted, and which limits were met."""
import json
import re

import pytest
from harness import RespConn, eventually
from harness.ctl import FOUND, USAGE, Convctl

pytestmark = pytest.mark.managed

PROXY_CONFIG = {
    "policies": [
        {"name": "wm", "match": "tenant:*:wm:*", "tenant_segment": 2, "limit_default": "100/h", "limit_search": "3/h"},
        {"name": "user", "match": "user-*", "limit_default": "4/h"},
        {"name": "free", "match": "free:*"},
    ]
}
PROXY_SETTINGS = {"tenants.interval": "20ms", "tenants.rate": 1000000}


@pytest.fixture(scope="module")
def ctl(proxy, tmp_path_factory):
    """Three tenants with keys; beta has asked too often."""
    with RespConn.to(proxy) as conn:
        eventually(lambda: conn.cmd("SET", "tenant:acme:wm:0", "x") == "OK")
        conn.pipeline(*(("SET", f"tenant:{name}:wm:{n}", "x") for name, count in (("acme", 3), ("beta", 2), ("o\x1b", 1)) for n in range(count)))
        replies = conn.pipeline(*[("ZRANGEBYSCORE", "tenant:beta:wm:z", 0, 1)] * 5)
        assert [str(reply).startswith("ERR MEM-006") for reply in replies] == [False] * 3 + [True] * 2
    eventually(lambda: proxy.get_json("/api/v1/tenants?policy=wm")["policies"][0].get("keys") == 6)
    return Convctl(proxy, tmp_path_factory.mktemp("ctl"))


def test_the_list(ctl):
    lines = ctl("tenants").stdout.splitlines()
    assert lines[0] == "policy     wm  tenant:*:wm:*   part 2 of the key is the tenant"
    assert lines[1] == "  limits   default 100/h   search 3/h (each tenant)"
    assert re.match(r"  counted  6 keys of 3 tenants in redis at 20\S+   \d+ B   without TTL 0$", lines[2])
    assert lines[3].split() == ["tenant", "keys", "bytes", "oldest", "without", "TTL", "taken", "refused"]
    rows = [line.split() for line in lines[4:7]]
    assert [(row[0], row[1], row[-2], row[-1]) for row in rows] == [("acme", "3", "4", "0"), ("beta", "2", "5", "2"), ("o\\x1b", "1", "1", "0")]
    assert lines[7] == "policy     user  user-*   who asks is the tenant" and not any("free" in line for line in lines)
    assert len({len(line) for line in lines[3:7]}) == 1  # a table
    assert "and others (--limit N shows more)" in ctl("tenants", "--policy", "wm", "--limit", "1").stdout


def test_one_tenant(ctl):
    said = ctl("tenants", "beta", "--policy", "wm").stdout
    assert "class search   3 taken, 2 refused\n" in said and "class default  2 taken, 0 refused\n" in said and "acme" not in said
    done = ctl("tenants", "nobody", code=FOUND)
    assert "no tenant nobody" in done.stderr


def test_json_is_what_the_proxy_says(ctl):
    (policy,) = json.loads(ctl("tenants", "--json", "--policy", "wm", "--limit", "2").stdout)["policies"]
    assert [row["tenant"] for row in policy["tenants"]] == ["acme", "beta"] and policy["tenantCount"] == 3


def test_wrong_questions(ctl):
    for limit in ("0", "x", "10001"):
        assert "--limit" in ctl("tenants", "--limit", limit, code=USAGE).stderr
    assert "no policy of this name" in ctl("tenants", "--policy", "n&o=?", code=FOUND).stderr
    assert "neither tenant_segment nor limits" in ctl("tenants", "--policy", "free", code=FOUND).stderr


def test_nobody_has_tenants(make_proxy, redis_server, tmp_path):
    ctl = Convctl(make_proxy(redis_server.url).start(), tmp_path)
    assert ctl("tenants").stdout.startswith("no policy has tenants: ")
    assert json.loads(ctl("tenants", "--json").stdout)["policies"] == []
