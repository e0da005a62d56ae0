"""python3 -m demo, with scripts/ in PYTHONPATH; make demo does that."""

import argparse
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from demo import menu
from demo.process import Failed
from demo.stack import ROOT, Stack, free_ports
from demo.tour import Tour

RATES = {"ferretdb": 20.0}


def options():
    parser = argparse.ArgumentParser(prog="make demo ARGS=…", description="The set of docker-compose.yml on this machine, with chat clients.")
    parser.add_argument("--tour", action="store_true", help="the scripted failover, without a person; ends with 0 only if nothing was lost")
    parser.add_argument("--archive", default="auto", help="sqlite, ferretdb, a mongodb:// URL; auto: FerretDB where it is built or Go can build it")
    parser.add_argument("--clients", type=int, default=200, help="chat clients (200)")
    parser.add_argument("--rate", type=float, help="messages a second, all clients together (80; FerretDB: 20, it manages few)")
    parser.add_argument("--messages", type=int, help="of each act of the tour (five seconds' worth)")
    parser.add_argument("--folder", type=Path, default=ROOT / "build/demo", help="for data and logs; emptied at the start (build/demo)")
    parser.add_argument("--free-ports", action="store_true", help="any free ports instead of the usual ones")
    parser.add_argument("--no-observers", action="store_true", help="without Prometheus, Alertmanager, the exporter and Grafana")
    parser.add_argument("--binary", type=Path, help="another convproxy than build/convproxy")
    wanted = parser.parse_args()
    if wanted.clients < 1 or (wanted.rate is not None and wanted.rate <= 0) or (wanted.messages is not None and wanted.messages < 1):
        parser.error("--clients, --rate and --messages are positive")
    return wanted


def go_is_new_enough():
    """FerretDB needs Go 1.22."""
    go = shutil.which("go")
    if go is None:
        return False
    version = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False).stdout.strip()
    try:
        return tuple(int(part) for part in version.removeprefix("go").split(".")[:2]) >= (1, 22)
    except ValueError:
        return False


def archive_of(wanted):
    """auto becomes ferretdb or sqlite; FerretDB is built when it is missing."""
    built = ROOT / "build/servers/ferretdb"
    if wanted == "auto":
        wanted = "ferretdb" if built.exists() or go_is_new_enough() else "sqlite"
        if wanted == "sqlite":
            print("archive: the embedded one (SQLite); FerretDB, which stands in for MongoDB, needs Go 1.22 to be built")
    if wanted == "ferretdb":
        subprocess.run([ROOT / "scripts/test-servers", "ferretdb"], check=False)
        if not built.exists():
            raise Failed("FerretDB could not be built; --archive sqlite does without")
    elif wanted != "sqlite" and not wanted.startswith("mongodb"):
        raise Failed(f"--archive {wanted}: expected sqlite, ferretdb, or a mongodb:// URL")
    return wanted


def tell_urls(stack):
    url = "http://127.0.0.1:{}".format
    ports = stack.ports
    rows = [("console", url(ports["admin"])), ("conversations", f"redis-cli -p {ports['proxy']}"), ("Redis itself", f"redis-cli -p {ports['redis']}"),
            ("convctl", f"{stack.binary.parent}/convctl -u {url(ports['admin'])} status")]
    if stack.prometheus:
        rows += [("Prometheus", url(ports["prometheus"]) + "/alerts"), ("Alertmanager", url(ports["alertmanager"]))]
        found = any(process.name == "grafana" for process in stack.observers)
        rows.append(("Grafana", url(ports["grafana"]) if found else "not on PATH (Debian has no package): its dashboards are in deploy/grafana/dashboards"))
    rows.append(("logs and data", stack.folder))
    print("\n" + "\n".join(f"  {name:14} {where}" for name, where in rows))


def go_on(_signal, _frame):
    raise KeyboardInterrupt


def play(stack, wanted):
    """The exit code."""
    began = time.monotonic()
    print("starting", end="", flush=True)
    stack.start(lambda process: print(f" {process.name}", end="", flush=True))
    print(f" ({time.monotonic() - began:.1f} s)")
    rate = wanted.rate or RATES.get(stack.archive, 80.0)
    load = stack.start_load(wanted.clients, rate)
    tell_urls(stack)
    if not wanted.tour:
        menu.run(stack)
        return 0
    print(f"\nthe tour, with {wanted.clients} clients\n")
    good = Tour(stack, load, messages=wanted.messages or int(5 * rate)).run()
    print("\n" + (f"all of it held: {load.acknowledged()} messages acknowledged, 0 lost" if good else "not all of it held"))
    return 0 if good else 1


def main():
    wanted = options()
    signal.signal(signal.SIGTERM, go_on)
    signal.signal(signal.SIGINT, go_on)  # also where a script that starts it ignores it
    stack, code = None, 1
    try:
        stack = Stack(wanted.folder, archive_of(wanted.archive), free_ports() if wanted.free_ports else None, wanted.binary, not wanted.no_observers)
        code = play(stack, wanted)
    except Failed as problem:
        print(f"\ndemo: {problem}", file=sys.stderr)
    except KeyboardInterrupt:
        code = 130 if wanted.tour else 0
    finally:
        # Once more Ctrl-C must not leave half of them running.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if stack:
            stack.stop()
    if stack:
        print(f"\neverything has ended; logs and data stay in {stack.folder} until the next demo")
    return code


sys.exit(main())
