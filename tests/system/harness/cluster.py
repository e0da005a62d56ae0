"""A Redis Cluster on loopback: masters with replicas, the slots shared evenly; slots are moved key by key, as redis-cli does it."""
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from .ports import free_port
from .redis_server import RedisServer
from .wait import eventually

SLOTS = 16384
NODE_TIMEOUT_MS = 1000


def cluster_port():
    """The bus is at the port plus 10000, which must be free, too."""
    while True:
        port = free_port()
        if port < 31000:
            return port


class Node(RedisServer):
    """tls: (certificate, authority): it speaks TLS on tls_port, also with other nodes, and without TLS on port, for the test itself."""

    def __init__(self, folder, args=(), tls=None):
        self.more, self.placed, self.tls = list(args), False, tls
        self.choose_ports(folder)

    def choose_ports(self, folder):
        port = cluster_port()
        bus = free_port()
        self.tls_port = free_port() if self.tls else None
        fixed = ["--cluster-enabled", "yes", "--cluster-config-file", f"nodes-{port}.conf", "--cluster-port", bus,
                 "--cluster-node-timeout", NODE_TIMEOUT_MS, "--repl-diskless-sync-delay", "0",
                 "--cluster-allow-replica-migration", "no"]  # fmt: skip
        if self.tls:
            certificate, authority = self.tls
            fixed += ["--tls-port", self.tls_port, "--tls-cluster", "yes", "--tls-replication", "yes", "--tls-auth-clients", "no",
                      "--tls-cert-file", certificate.cert, "--tls-key-file", certificate.key, "--tls-ca-cert-file", authority.cert]  # fmt: skip
        super().__init__(folder, port, [*fixed, *self.more])
        self.bus = bus

    def start(self, wait=True):
        """The first time with other ports when somebody else has taken one of the two meanwhile."""
        for tries_left in (2, 1, 0):
            try:
                super().start(wait)
                self.placed = True
                return self
            except RuntimeError:
                if self.placed or tries_left == 0 or "Address already in use" not in self.log_text():
                    raise
                self.choose_ports(self.folder)
        return self

    def client(self, **options):
        return super().client(retry=Retry(NoBackoff(), 0), decode_responses=True, **options)

    def call(self, *words):
        with self.client() as client:
            return client.execute_command(*words)

    @property
    def id(self):
        return self.call("CLUSTER", "MYID")

    def role(self):
        return self.client().info("replication")["role"]


class Cluster:
    """Cluster(folder).start(): every node knows every other, all slots are served, replicas follow."""

    def __init__(self, folder, masters=3, replicas=1, spare=0, args=(), tls=None):
        self.masters = [Node(folder, args, tls) for _ in range(masters)]
        self.replicas = [Node(folder, args, tls) for _ in range(masters * replicas)]
        self.spare = [Node(folder, args, tls) for _ in range(spare)]
        self.nodes = [*self.masters, *self.replicas, *self.spare]

    def start(self):
        for node in self.nodes:
            node.start()
        share = SLOTS // len(self.masters)
        for i, node in enumerate(self.masters):
            node.call("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
            last = SLOTS - 1 if node is self.masters[-1] else (i + 1) * share - 1
            node.call("CLUSTER", "ADDSLOTSRANGE", i * share, last)
        for node in self.nodes[1:]:
            self.nodes[0].call("CLUSTER", "MEET", node.host, node.tls_port or node.port, node.bus)
        eventually(lambda: all(self.knows(node) == len(self.nodes) for node in self.nodes), 20)
        for i, node in enumerate(self.replicas):
            master = self.masters[i % len(self.masters)].id
            eventually(lambda n=node, m=master: self.follow(n, m), 10)
        eventually(self.is_whole, 30)
        return self

    @staticmethod
    def follow(node, master):
        try:
            return node.call("CLUSTER", "REPLICATE", master)
        except redis.ResponseError:
            return False

    @staticmethod
    def knows(node):
        with node.client() as client:
            return client.cluster("INFO").get("cluster_known_nodes") and int(client.cluster("INFO")["cluster_known_nodes"])

    def is_whole(self):
        for node in self.nodes:
            if node.alive():
                with node.client() as client:
                    if client.cluster("INFO")["cluster_state"] != "ok":
                        return False
        links = [n.client().info("replication") for n in self.replicas if n.alive()]
        return all(link["role"] == "master" or link["master_link_status"] == "up" for link in links)

    def kill(self):
        for node in self.nodes:
            if node.process is not None:
                node.kill()

    @property
    def url(self):
        scheme = "rediss+cluster://" if self.masters[0].tls else "redis+cluster://"
        return scheme + ",".join(f"{n.host}:{n.tls_port or n.port}" for n in self.masters)

    def slot_of(self, key):
        return self.nodes[0].call("CLUSTER", "KEYSLOT", key)

    def owner(self, slot):
        """The node that serves it, as one that lives says."""
        node = next(n for n in self.nodes if n.alive())
        for first, last, master, *_ in (r for r in node.call("CLUSTER", "SLOTS")):
            if first <= slot <= last:
                return next(n for n in self.nodes if n.port == master[1])
        return None

    def begin_move(self, slot, to):
        source = self.owner(slot)
        to.call("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", to.id)
        return source

    @staticmethod
    def move_keys(slot, source, to, count=100):
        """True: some were moved."""
        keys = source.call("CLUSTER", "GETKEYSINSLOT", slot, count)
        if keys:
            source.call("MIGRATE", to.host, to.tls_port or to.port, "", 0, 5000, "KEYS", *keys)
        return bool(keys)

    def end_move(self, slot, source, to):
        """The target first: it must never happen that nobody has the slot."""
        ident = to.id
        for node in (to, source, *(n for n in self.nodes if n.alive() and n not in (to, source))):
            if node.role() == "master":
                node.call("CLUSTER", "SETSLOT", slot, "NODE", ident)

    def move(self, slot, to):
        source = self.begin_move(slot, to)
        while self.move_keys(slot, source, to):
            pass
        self.end_move(slot, source, to)
