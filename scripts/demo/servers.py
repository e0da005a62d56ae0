"""The processes of the demo: command lines and ready checks. What docker-compose.yml does with images is done here with
Debian's programs, from the same configuration files."""

import shutil
import socket

from demo import http
from demo.process import Failed, Process
from demo.resp import Client


def listens(port):
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True


def pongs(port):
    with Client(port, timeout=1) as client:
        return client.call("PING") == "PONG"


def program(*names):
    """The first of these that is there."""
    for name in names:
        if found := shutil.which(name, path="/usr/bin:/usr/sbin:/usr/local/bin") or shutil.which(name):
            return found
    raise Failed(f"{' or '.join(names)} is not installed: scripts/install-deps demo")


def redis(stack):
    """As the compose file has it: a log on disk, and nothing is evicted."""
    data = stack.folder / "redis"
    data.mkdir(exist_ok=True)
    port = stack.ports["redis"]
    command = [program("redis-server"), "--port", port, "--bind", "127.0.0.1", "--dir", data, "--save", "", "--appendonly", "yes",
               "--maxmemory", "256mb", "--maxmemory-policy", "noeviction"]
    return Process("redis", command, stack.folder, lambda: pongs(port))


def ferretdb(stack):
    port = stack.ports["mongo"]
    command = [stack.root / "build/servers/ferretdb", f"127.0.0.1:{port}", stack.folder / "ferretdb"]
    return Process("ferretdb", command, stack.folder, lambda: listens(port))


def proxy(stack):
    ports = stack.ports
    sets = {
        "listen": f"127.0.0.1:{ports['proxy']}",
        "admin.listen": f"127.0.0.1:{ports['admin']}",
        "redis.url": f"redis://127.0.0.1:{ports['redis']}/0",
        "archive.url": stack.archive_url(),
    }
    words = [word for name, value in sets.items() for word in ("--set", f"{name}={value}")]
    return Process("convproxy", [stack.binary, "--config", stack.config, *words], stack.folder, lambda: pongs(ports["proxy"]))


def exporter(stack):
    port = stack.ports["redis-exporter"]
    command = [program("prometheus-redis-exporter"), "-web.listen-address", f"127.0.0.1:{port}", "-redis.addr", f"redis://127.0.0.1:{stack.ports['redis']}"]
    return Process("redis-exporter", command, stack.folder, lambda: http.answers(f"http://127.0.0.1:{port}/"))


def prometheus(stack):
    port = stack.ports["prometheus"]
    command = [program("prometheus"), f"--config.file={stack.folder}/prometheus/prometheus.yml", f"--storage.tsdb.path={stack.folder}/prometheus-data",
               f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
    return Process("prometheus", command, stack.folder, lambda: http.answers(f"http://127.0.0.1:{port}/-/ready"))


def alertmanager(stack):
    port = stack.ports["alertmanager"]
    command = [program("prometheus-alertmanager", "alertmanager"), f"--config.file={stack.root}/deploy/alertmanager/alertmanager.yml",
               f"--storage.path={stack.folder}/alertmanager-data", f"--web.listen-address=127.0.0.1:{port}",
               "--cluster.listen-address=", "--log.level=warn"]
    return Process("alertmanager", command, stack.folder, lambda: http.answers(f"http://127.0.0.1:{port}/-/ready"))


def grafana(stack):
    """None where it is not installed: Debian has no package of it."""
    found = shutil.which("grafana")
    if found is None:
        return None
    port, deploy = stack.ports["grafana"], stack.root / "deploy/grafana"
    env = {
        "GF_SERVER_HTTP_ADDR": "127.0.0.1",
        "GF_SERVER_HTTP_PORT": str(port),
        "GF_PATHS_DATA": str(stack.folder / "grafana"),
        "GF_PATHS_PROVISIONING": str(deploy / "provisioning"),
        "GF_AUTH_ANONYMOUS_ENABLED": "true",
        "PROMETHEUS_URL": f"http://127.0.0.1:{stack.ports['prometheus']}",
        "DASHBOARDS": str(deploy / "dashboards"),
    }
    return Process("grafana", [found, "server", "--homepath", "/usr/share/grafana"], stack.folder,
                   lambda: http.answers(f"http://127.0.0.1:{port}/api/health"), env)
