"""A redis-server of our own: free port, own folder, never the machine's."""
import shutil
import subprocess

import redis

from .ports import free_port
from .process import ServerProcess


class RedisServer(ServerProcess):
    """RedisServer(folder, port=None, args=["--maxmemory", "10mb"]); nothing runs before start()."""

    name = "redis"

    def __init__(self, folder, port=None, args=()):
        super().__init__(folder, port or free_port())
        self.args = [str(arg) for arg in args]
        self.data = self.folder / f"redis-{self.port}"
        self.data.mkdir(parents=True, exist_ok=True)

    @property
    def url(self):
        return f"redis://{self.host}:{self.port}/0"

    def command(self):
        fixed = ["--port", str(self.port), "--bind", self.host, "--dir", str(self.data), "--save", "", "--daemonize", "no"]
        return ["redis-server", *fixed, *self.args]

    def answers(self):
        try:
            return self.client().ping()
        except redis.AuthenticationError:
            return True
        except redis.RedisError:
            return False

    def client(self, **options):
        """A redis-py client straight to this server, RESP2 unless told otherwise."""
        options.setdefault("protocol", 2)
        return redis.Redis(host=self.host, port=self.port, **options)

    def cli(self, *args, check=True):
        """redis-cli ARGS: what it printed."""
        command = ["redis-cli", "-h", self.host, "-p", str(self.port), *map(str, args)]
        return subprocess.run(command, capture_output=True, text=True, check=check, timeout=20).stdout

    def restart(self, empty=False):
        """Stops and starts again on the same port, with all data or with none."""
        if not empty:
            self.client().save()
        self.stop()
        if empty:
            shutil.rmtree(self.data)
            self.data.mkdir()
        return self.start()
