"""TLS to sentinels, to the master that they name, and to the nodes of a cluster."""
import pytest
import redis
from harness import eventually
from harness.cluster import Cluster
from harness.sentinel import Sentinel
from harness.tls import Authority, TlsRedis

pytestmark = pytest.mark.timeout(120)

CONFIG = {"policies": [{"name": "conv", "match": "conv:*", "ttl": "1h", "max_messages": 3, "dual_write": False}]}
SETTINGS = {"redis.probe_interval": "50ms", "proxy.threads": 2, "archive.url": "", "redis.connect_timeout": "2s", "redis.timeout": "5s"}


def where(proxy):
    return proxy.get_json("/api/v1/state")["redis"].get("where", {})


def takes_writes(client, key="k"):
    def write():
        try:
            return client.set(key, "there")
        except redis.RedisError:
            return False

    return write


@pytest.mark.sanitize
def test_cluster(tmp_path, make_proxy, authority, server_cert):
    """Each node vouches for its address; what it says of others leads to their TLS ports, MOVED too."""
    cluster = Cluster(tmp_path, replicas=0, tls=(server_cert, authority)).start()
    try:
        proxy = make_proxy(cluster.url, CONFIG, settings={**SETTINGS, "redis.tls_ca": authority.cert}).start()
        client = proxy.client(decode_responses=True)
        assert client.mset({f"k{i}": i for i in range(60)})
        assert client.mget([f"k{i}" for i in range(60)]) == [str(i) for i in range(60)]
        assert all(node.client().dbsize() > 5 for node in cluster.masters) and client.dbsize() == 60
        assert {n["address"] for n in where(proxy)["nodes"]} == {f"{n.host}:{n.tls_port}" for n in cluster.masters}
        slot = cluster.slot_of("k1")
        target = next(n for n in cluster.masters if n is not cluster.owner(slot))
        cluster.move(slot, target)
        assert client.get("k1") == "1" and target.client().get("k1") == "1"
        assert [client.rpush("conv:1", n) for n in range(5)] == [1, 2, 3, 3, 3]
    finally:
        cluster.kill()


@pytest.mark.sanitize
def test_sentinel(tmp_path, make_proxy, authority, server_cert):
    master = TlsRedis(tmp_path, server_cert, authority).start()
    files = [f"tls-cert-file {server_cert.cert}", f"tls-key-file {server_cert.key}", f"tls-ca-cert-file {authority.cert}"]
    seen = type("Seen", (), {"host": master.host, "port": master.tls_port})  # what the sentinel watches is the TLS port
    tls_port = Sentinel(tmp_path, seen).port  # nobody has it
    sentinel = Sentinel(tmp_path, seen, quorum=1, lines=[f"tls-port {tls_port}", "tls-replication yes", "tls-auth-clients no", *files])
    sentinel.start()
    try:
        url = f"rediss+sentinel://{sentinel.host}:{tls_port}/mymaster"
        proxy = make_proxy(url, CONFIG, settings={**SETTINGS, "redis.tls_ca": authority.cert}).start()
        client = proxy.client(decode_responses=True)
        eventually(takes_writes(client), 10)
        assert master.client().get("k") == b"there"
        assert where(proxy)["at"] == f"{master.host}:{master.tls_port}" and where(proxy)["sentinels"][0]["up"]

        other = Authority(tmp_path / "other")
        client.config_set("redis.tls_ca", str(other.cert))  # nobody whom it vouches for is there
        eventually(lambda: "certificate" in where(proxy)["sentinels"][0].get("error", ""), 10)
        with pytest.raises(redis.RedisError, match="REDISDOWN"):
            client.set("k", 2)
        client.config_set("redis.tls_ca", str(authority.cert))
        eventually(takes_writes(client), 10)
        eventually(lambda: where(proxy)["sentinels"][0]["up"])
    finally:
        sentinel.kill()
        master.kill()


def test_plain_where_tls_is_spoken(tmp_path, make_proxy, authority, server_cert):
    """And the reverse of what is wanted: it says so, and takes no clients' data anywhere."""
    master = TlsRedis(tmp_path, server_cert, authority).start()
    try:
        url = f"rediss+cluster://{master.host}:{master.port}"
        proxy = make_proxy(url, CONFIG, settings={**SETTINGS, "redis.tls_ca": authority.cert}).start()
        eventually(lambda: "TLS" in where(proxy).get("error", ""), 10)
        with pytest.raises(redis.RedisError, match="REDISDOWN"):
            proxy.client().set("k", 1)
    finally:
        master.kill()
