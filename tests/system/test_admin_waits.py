"""What has to wait for the stores does not keep the admin server from answering others."""
import base64
import threading

import pytest
from harness import eventually

PROXY_SETTINGS = {"conv.match": "conv:*", "conv.tiers": "yes", "conv.ttl": "600s", "tier.every": "0s", "archive.faults": "yes"}
pytestmark = [pytest.mark.managed, pytest.mark.timeout(60)]


def faults(proxy, plan):
    status, text = proxy.http("/api/v1/archive/faults", {"plan": plan}, method="PUT")
    assert status == 200, text


@pytest.mark.sanitize
def test_a_key_that_moves_slowly_holds_nobody_up(fresh_proxy):
    proxy = fresh_proxy
    eventually(lambda: proxy.metrics()['conv_phase{phase="redis",policy="conv"}'] == 1)
    with proxy.client() as c:
        c.rpush("conv:1", "a")
    eventually(lambda: proxy.get_json("/api/v1/conversation?key=conv:1")["state"] == "equal")
    faults(proxy, "op=load hang; op=commit hang")
    answers = []
    mover = threading.Thread(target=lambda: answers.append(proxy.http("/api/v1/tiers", {"key": "conv:1", "to": "warm"})))
    try:
        mover.start()
        for _ in range(20):
            assert proxy.http("/readyz")[0] == 200
        assert proxy.get_json("/api/v1/tiers?key=conv:1")["key"] == "conv:1"
        assert answers == [], "the others were answered after it"
        faults(proxy, "")
    finally:
        mover.join(timeout=30)
    assert answers[0][0] == 200, answers
    assert proxy.get_json("/api/v1/tiers?key=conv:1")["tier"] == "warm"


def test_a_key_may_be_any_bytes(fresh_proxy):
    proxy, key = fresh_proxy, b"conv:\xff\x00a"
    packed = {"base64": base64.b64encode(key).decode()}
    eventually(lambda: proxy.metrics()['conv_phase{phase="redis",policy="conv"}'] == 1)
    with proxy.client() as c:
        c.rpush(key, "a")
    assert proxy.get_json("/api/v1/tiers?key=conv:%FF%00a") == {"key": packed, "policy": "conv", "tier": "working", "accesses": 1}
    eventually(lambda: proxy.http("/api/v1/tiers", {"key": packed, "to": "warm"})[0] == 200)
    assert proxy.get_json("/api/v1/tiers?key=conv:%FF%00a")["tier"] == "warm"
    assert proxy.get_json("/api/v1/tiers?key=conv:%FF")["tier"] == "working"
    for body in ({"key": "", "to": "warm"}, {"key": {"base64": "?"}, "to": "warm"}, {"key": 5, "to": "warm"}, {"key": "conv:1"}, {}):
        status, text = proxy.http("/api/v1/tiers", body)
        assert status == 400 and "expected" in text, body
