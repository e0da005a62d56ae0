"""Which keys convctl takes for those of a policy: its pattern is not SCAN's, and the first policy that matches has the key."""
import json

import pytest
from harness import eventually
from harness.ctl import USAGE, Convctl

pytestmark = pytest.mark.managed

LONG = "long:" + "x" * 200
PROXY_CONFIG = {
    "policies": [
        {"name": "brackets", "match": "odd[1]:*"},
        {"name": "parts", "match": "tenant:*:wm:*"},
        {"name": "first", "match": "conv:first:*"},
        {"name": "conv", "match": "conv:*"},
        {"name": "quest", "match": "who?:*"},
        {"name": "slash", "match": "a\\b:*"},
        {"name": "long", "match": LONG + "*"},
    ]
}
KEYS = {
    "brackets": ["odd[1]:a"],
    "parts": ["tenant:acme:wm:1", "tenant:beta:wm:2:3"],
    "first": ["conv:first:1"],
    "conv": ["conv:1", "conv:2"],
    "quest": ["who?:a"],
    "slash": ["a\\b:1"],
    "long": [LONG + "1", LONG + "2"],
}
RAW = ["odd1:a", "tenant:a:b:wm:1", "tenant::wm:1", "whom:a", "ab:1", "Conv:1", "ODD[1]:a", "p" * 70 + "1:a", "p" * 70 + "2:a", b"\x1b[31m\xff:1"]


@pytest.fixture(scope="module")
def ctl(proxy, tmp_path_factory):
    eventually(lambda: {row["phase"] for row in proxy.get_json("/api/v1/primary")["placement"]} == {"redis"}, timeout=15)
    with proxy.client() as client:
        for key in [*sum(KEYS.values(), []), *RAW]:
            client.set(key, "x")
    return Convctl(proxy, tmp_path_factory.mktemp("ctl"))


def exported(ctl, *args):
    lines = ctl("export", "--out", "-", *args).stdout.splitlines()
    return sorted(json.loads(line)["key"] for line in lines[1:-1])


def test_an_export_has_the_keys_of_the_policies(ctl):
    assert exported(ctl) == sorted(sum(KEYS.values(), []))
    for policy, keys in KEYS.items():
        assert exported(ctl, "--policy", policy) == sorted(keys), policy


def test_the_report_counts_them(ctl):
    groups = {row["name"]: row for row in json.loads(ctl("memory-report", "--json").stdout)["groups"]}
    assert {name: groups[name]["keys"] for name in KEYS} == {name: len(keys) for name, keys in KEYS.items()}
    assert sum(row["keys"] for row in groups.values() if row["of"] == "prefix") == len(RAW)
    assert [row["keys"] for name, row in groups.items() if name.startswith("ppp")] == [1, 1]
    assert not any(c < " " or c > "~" for c in ctl("memory-report").stdout.replace("\n", ""))
    for policy, keys in KEYS.items():
        (row,) = json.loads(ctl("memory-report", "--json", "--policy", policy).stdout)["groups"]
        assert (row["name"], row["of"], row["keys"]) == (policy, "policy", len(keys))
    assert "no policy nobody" in ctl("memory-report", "--policy", "nobody", code=USAGE).stderr
