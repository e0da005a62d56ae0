"""All processes of the demo: which ports they have, where their files are, in which order they start and end."""

import json
import random
import re
import shutil
import socket
from pathlib import Path

from demo import servers
from demo.http import Admin, Prometheus
from demo.load import Load
from demo.process import Failed

ROOT = Path(__file__).resolve().parents[2]
MARK = "made-by-make-demo"

# None of them is the usual one, but the proxy's: Debian starts what it installs, and a Redis of yours may run.
PORTS = {
    "proxy": 6380,
    "admin": 9380,
    "redis": 16379,
    "mongo": 17017,
    "prometheus": 19090,
    "alertmanager": 19093,
    "redis-exporter": 19121,
    "grafana": 13000,
}


def bindable(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports():
    """The same names, with ports that nobody has; below those that the kernel gives to outgoing connections."""
    ports = set()
    while len(ports) < len(PORTS):
        port = random.randint(10000, 19999)  # the tests have those above
        if bindable(port):
            ports.add(port)
    return dict(zip(PORTS, ports))


def own_folder(folder):
    """Empties a folder of an earlier demo, or makes one; refuses any other that has something in it."""
    folder = folder.resolve()
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
        raise Failed(f"{folder} is not empty, and not of an earlier demo: name another one (--folder)")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARK).touch()
    return folder


class Stack:
    """archive: sqlite, ferretdb, or a mongodb:// URL. observers: Prometheus, Alertmanager, the exporter, Grafana. config: a
    file of the proxy's settings."""

    def __init__(self, folder, archive="sqlite", ports=None, binary=None, observers=True, interval="2s", config=None):
        self.root, self.archive, self.ports, self.interval = ROOT, archive, ports or PORTS, interval
        self.config = config or ROOT / "deploy/convproxy.yaml"
        self.binary = Path(binary or ROOT / "build/convproxy").resolve()
        if not self.binary.exists():
            raise Failed(f"{self.binary} is not built: make build")
        self._refuse_taken_ports()
        self.folder = own_folder(Path(folder))
        self.redis, self.proxy = servers.redis(self), servers.proxy(self)
        mongo = [servers.ferretdb(self)] if archive == "ferretdb" else []
        self.observers = self._observers() if observers else []
        self.processes = [self.redis, *mongo, self.proxy, *self.observers]
        self.admin = Admin(self.ports["admin"])
        self.prometheus = Prometheus(self.ports["prometheus"]) if observers else None
        self.load = None

    def _refuse_taken_ports(self):
        taken = [f"{port} ({name})" for name, port in self.ports.items() if not bindable(port)]
        if taken:
            raise Failed(f"these ports are taken: {', '.join(taken)}. Another demo or proxy? --free-ports takes others")

    def _observers(self):
        self._write_prometheus()
        found = [servers.exporter(self), servers.alertmanager(self), servers.prometheus(self), servers.grafana(self)]
        return [each for each in found if each is not None]

    def archive_url(self):
        if self.archive == "sqlite":
            return f"sqlite:{self.folder}/convproxy.db"
        return f"mongodb://127.0.0.1:{self.ports['mongo']}/chat" if self.archive == "ferretdb" else self.archive

    def _write_prometheus(self):
        """The rules as they are; prometheus.yml with shorter intervals, so that a minute shows something; our own targets."""
        source, target = self.root / "deploy/prometheus", self.folder / "prometheus"
        (target / "targets").mkdir(parents=True)
        for path in source.glob("*.yml"):
            (target / path.name).symlink_to(path)
        text = (source / "prometheus.yml").read_text()
        (target / "prometheus.yml").unlink()
        (target / "prometheus.yml").write_text(re.sub(r"(?m)^(\s+(?:scrape_interval|scrape_timeout|evaluation_interval):).*", rf"\1 {self.interval}", text))
        names = {"convproxy": "admin", "redis_exporter": "redis-exporter", "prometheus": "prometheus", "alertmanager": "alertmanager"}
        for file, port in names.items():
            (target / "targets" / f"{file}.json").write_text(json.dumps([{"targets": [f"127.0.0.1:{self.ports[port]}"]}]))

    def start(self, told=lambda process: None):
        for process in self.processes:
            process.start()
            told(process)
        return self

    def start_load(self, clients, rate):
        self.load = Load(self.ports["proxy"], clients, rate).start()
        return self.load

    def wipe_redis(self):
        """Redis comes back with nothing: its files are gone."""
        self.redis.kill()
        shutil.rmtree(self.folder / "redis", ignore_errors=True)
        (self.folder / "redis").mkdir()

    def fallen(self):
        """Processes that ended by themselves. Redis may be dead: that is what the demo is about."""
        return [process for process in self.processes if process is not self.redis and not process.alive()]

    def stop(self):
        if self.load:
            self.load.stop()
        # The proxy first, so that it does not call the others lost; it has ten seconds to drain.
        for process in [self.proxy, *reversed(self.processes)]:
            process.stop()
