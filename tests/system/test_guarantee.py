"""What is promised for acknowledged writes: said everywhere, lowered with the reason, logged when it changes."""
import pytest
from harness import eventually

pytestmark = pytest.mark.managed

PROXY_SETTINGS = {"failover.automatic": "no", "archive.faults": "yes", "redis.probe_interval": "50ms"}


@pytest.fixture
def stores(fresh_proxy, fresh_redis):
    """(proxy, a client of Redis); Redis acts and keeps a log on disk, so nothing is to be said."""
    real = fresh_redis.client(decode_responses=True)
    real.config_set("appendonly", "yes")
    expect(fresh_proxy, "both")
    yield fresh_proxy, real
    real.close()


def told(proxy, path="/api/v1/primary"):
    return proxy.get_json(path)["placement"][0]["guarantee"]


def expect(proxy, level, words=""):
    """Until that is the promise, with these words among its reasons and warnings; the guarantee as it is told then."""

    def there():
        now = told(proxy)
        said = now["loweredBy"] + now["warnings"]
        return now["level"] == level and (any(words in s for s in said) if words else said == []) and now

    return eventually(there, timeout=15)


@pytest.mark.sanitize
def test_it_is_said_everywhere(stores):
    proxy, _ = stores
    proxy.post_json("/api/v1/settings", {"conv.ack": "primary"})
    now = expect(proxy, "archived", "ack is primary")
    assert now["promise"] == "acknowledged writes survive the loss of Redis as far as they are archived"
    assert told(proxy, "/healthz") == now
    assert proxy.get_json("/api/v1/state")["policies"][0]["guarantee"] == now
    client = proxy.client(decode_responses=True)
    info = client.info("convproxy")
    assert info["guarantee_conv"] == "archived" and info["guarantee_conv_promise"] == now["promise"]
    assert info["guarantee_conv_why"] == now["loweredBy"][0]
    status = client.execute_command("CONV", "STATUS")
    assert "  promise archived: " + now["promise"] in status and "  lowered: " + now["loweredBy"][0] in status
    metrics = proxy.metrics()
    assert metrics['conv_guarantee{level="archived",policy="conv"}'] == 1
    assert sum(v for name, v in metrics.items() if name.startswith("conv_guarantee{")) == 1
    client.close()


def test_each_precondition_lowers_it_and_comes_back(stores):
    proxy, real = stores
    real.config_set("maxmemory-policy", "allkeys-lru")
    real.config_set("maxmemory", "100mb")
    expect(proxy, "none", "maxmemory-policy is allkeys-lru, expected noeviction")
    real.config_set("maxmemory-policy", "noeviction")
    expect(proxy, "both")
    real.config_set("appendonly", "no")
    expect(proxy, "both", "appendonly no")
    real.config_set("appendonly", "yes")
    expect(proxy, "both")
    for name, value, level, words in (
        ("conv.dual_write", "no", "redis", "dual_write is off"),
        ("conv.ack", "primary", "archived", "ack is primary"),
    ):
        before = proxy.get_json(f"/api/v1/settings?match={name}")["settings"][0]["value"]
        proxy.post_json("/api/v1/settings", {name: value})
        expect(proxy, level, words)
        proxy.post_json("/api/v1/settings", {name: before})
        expect(proxy, "both")


def test_an_archive_that_is_down_leaves_redis_alone(stores):
    proxy, _ = stores
    client = proxy.client(decode_responses=True)
    client.execute_command("CONV", "FAULT", "op=all fail=100% error=down")
    expect(proxy, "redis", "the archive is down")
    client.execute_command("CONV", "FAULT", "")
    expect(proxy, "both")
    client.close()


def test_a_redis_that_is_down_promises_nothing(stores, fresh_redis):
    proxy, real = stores
    fresh_redis.kill()
    expect(proxy, "none", "Redis, which acts, is down")


def test_the_archive_acts(stores):
    proxy, _ = stores
    proxy.post_json("/api/v1/primary", {"policy": "conv", "store": "mongo"})
    now = expect(proxy, "archive")
    assert now["promise"] == "acknowledged writes are in the archive and survive the loss of Redis"


def test_a_change_is_logged_once_with_its_reason(stores):
    proxy, _ = stores
    eventually(lambda: "event=guarantee policy=conv now=both" in proxy.log_text())
    proxy.post_json("/api/v1/settings", {"conv.dual_write": "no"})
    eventually(lambda: "level=warn event=guarantee policy=conv now=redis before=both" in proxy.log_text())
    line = next(line for line in proxy.log_text().splitlines() if "now=redis before=both" in line)
    assert "dual_write is off" in line and "acknowledged writes survive what Redis alone survives" in line
    assert proxy.log_text().count("now=redis before=both") == 1


def test_keys_that_were_written_past_the_proxy_lower_it(stores):
    proxy, real = stores
    client = proxy.client(decode_responses=True)
    client.rpush("conv:1", "a")
    real.rpush("conv:1", "past the proxy")

    def verify(**what):
        number = proxy.post_json("/api/v1/moves", {"kind": "verify", "deep": True, **what})["id"]
        eventually(lambda: next(m for m in proxy.get_json("/api/v1/moves")["moves"] if m["id"] == number)["state"] == "done", timeout=20)

    verify()
    expect(proxy, "archived", "the last verify has found 1 keys that differ")
    verify(repair=True)
    expect(proxy, "both")
    client.close()
