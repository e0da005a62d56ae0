"""A master, its replicas, and sentinels that watch them: real processes on loopback."""
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from .ports import free_port
from .process import ServerProcess
from .redis_server import RedisServer
from .wait import eventually

DOWN_AFTER_MS = 600


class Sentinel(ServerProcess):
    """One redis-server --sentinel. It rewrites its configuration file, so a restart knows what it knew."""

    name = "sentinel"

    def __init__(self, folder, master, name="mymaster", quorum=2, lines=()):
        super().__init__(folder, free_port())
        self.config = self.folder / f"sentinel-{self.port}.conf"
        self.config.write_text("\n".join([
            f"port {self.port}", f"bind {self.host}", f"dir {self.folder}",
            f"sentinel monitor {name} {master.host} {master.port} {quorum}",
            f"sentinel down-after-milliseconds {name} {DOWN_AFTER_MS}",
            f"sentinel failover-timeout {name} 4000", f"sentinel parallel-syncs {name} 2", *lines, ""]))  # fmt: skip

    def command(self):
        return ["redis-server", str(self.config), "--sentinel"]

    def client(self, **options):
        once = Retry(NoBackoff(), 0)
        return redis.Redis(host=self.host, port=self.port, protocol=2, decode_responses=True, retry=once, **options)

    def answers(self):
        try:
            return self.client().ping()
        except redis.AuthenticationError:
            return True
        except redis.RedisError:
            return False


class SentinelSet:
    """SentinelSet(folder).start(): everything is up, and the sentinels know each other and the replicas."""

    def __init__(self, folder, replicas=2, sentinels=3, args=(), lines=(), name="mymaster"):
        args = ["--repl-diskless-sync-delay", "0", "--repl-timeout", "10", *args]
        self.name = name
        self.nodes = [RedisServer(folder, args=args)]
        for _ in range(replicas):
            self.nodes.append(RedisServer(folder, args=[*args, "--replicaof", self.nodes[0].host, self.nodes[0].port]))
        self.sentinels = [Sentinel(folder, self.nodes[0], name, lines=lines) for _ in range(sentinels)]

    def start(self):
        for server in [*self.nodes, *self.sentinels]:
            server.start()
        eventually(self.is_whole, 20)
        return self

    def kill(self):
        for server in [*self.sentinels, *self.nodes]:
            if server.process is not None:
                server.kill()

    def is_whole(self):
        for sentinel in self.sentinels:
            state = sentinel.client().sentinel_master(self.name)
            if state["num-slaves"] != len(self.nodes) - 1 or state["num-other-sentinels"] != len(self.sentinels) - 1:
                return False
        return self.replicas_linked()

    def replicas_linked(self):
        links = [node.client().info("replication") for node in self.nodes if node.alive()]
        return all(link["role"] == "master" or link["master_link_status"] == "up" for link in links)

    @property
    def url(self):
        return "redis+sentinel://" + ",".join(f"{s.host}:{s.port}" for s in self.sentinels) + f"/{self.name}"

    def master(self):
        """The server that the sentinels name, once those that run agree and it says so itself."""

        def agreed():
            told = {s.client().sentinel_get_master_addr_by_name(self.name)[1] for s in self.sentinels if s.alive()}
            nodes = [node for node in self.nodes if {node.port} == told and node.alive()]
            return nodes and nodes[0].client().info("replication")["role"] == "master" and nodes[0]

        return eventually(agreed, 30)
