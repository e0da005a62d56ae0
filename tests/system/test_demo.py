"""make demo and the dashboards, on one set of processes for all: a tour with a failover, and then every query of every panel is
asked of the Prometheus that has watched it. Beside that: the demo as a command, ended by a key and by Ctrl-C."""
import copy
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import yaml
from grafana_foundation_sdk.models.dashboard import Dashboard
from harness import RespConn, eventually
from harness.mongo_server import FerretDB
from harness.ports import free_port
from harness.proxy import ROOT, binary

sys.path.insert(0, str(ROOT / "scripts"))

from dashboards.__main__ import texts  # noqa: E402
from demo import servers  # noqa: E402
from demo.check import compare  # noqa: E402
from demo.http import get_json  # noqa: E402
from demo.load import Entry  # noqa: E402
from demo.stack import PORTS, Stack  # noqa: E402
from demo.tour import Tour  # noqa: E402

DASHBOARDS = {name: json.loads(text) for name, text in texts().items()}
# How Prometheus is asked in place of Grafana. The interval must hold a few scrapes.
VARIABLES = {"$instance": ".*", "$policy": ".*", "$__rate_interval": "6s", "$__interval": "2s", "$__range": "5m"}
# A policy more, with tiers.
MEMORY = """
  - { name: memory, match: "memory:*", tiers: yes, tier_warm_after: 1s, tier_cold_after: 2s }
tier: { every: 0s }
"""
# What the data source adds to annotations; the model knows only what all data sources have.
OF_PROMETHEUS_ANNOTATIONS = ("expr", "step", "titleFormat", "textFormat")
# Queries that are rightly empty here: what they show did not happen.
EMPTY = {
    ("store", "Errors", "A"): "no operation of the archive has failed",
    ("store", "Not stored", "A"): "no write was refused",
}


def panels(board):
    return [panel for panel in board["panels"] if panel["type"] != "row"]


# ---- the files ----


def test_the_files_are_what_the_source_says():
    folder = ROOT / "deploy/grafana/dashboards"
    assert {path.name: path.read_text() for path in folder.glob("*.json")} == texts(), "make dashboards"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_grafana_knows_every_field(name):
    """Read and written by Grafana's own model, a dashboard loses nothing: a misspelt field would be gone."""
    board = copy.deepcopy(DASHBOARDS[name])
    for note in board["annotations"]["list"]:
        for field in OF_PROMETHEUS_ANNOTATIONS:
            del note[field]
    again = json.loads(json.dumps(Dashboard.from_json(board).to_json(), default=lambda made: made.to_json()))
    assert set(paths(board)) - set(paths(again)) == set()


def paths(value, path=""):
    """a.b[].c of every leaf that says something."""
    if isinstance(value, dict):
        return [found for key, inner in value.items() for found in paths(inner, f"{path}.{key}")]
    if isinstance(value, list):
        return [found for inner in value for found in paths(inner, f"{path}[]")]
    return [] if value in (None, "", 0, False) else [f"{path}={value}"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_layout(name):
    board = DASHBOARDS[name]
    assert board["uid"] and board["title"] and board["schemaVersion"] >= 36
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    taken = {}
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        for cell in ((x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])):
            assert cell not in taken, f"{panel['title']} lies on {taken.get(cell)}"
            taken[cell] = panel["title"]


def test_every_panel_says_what_it_shows_and_in_which_unit():
    for board in DASHBOARDS.values():
        for panel in panels(board):
            assert panel["description"].endswith((".", ":")), panel["title"]
            assert panel["targets"] and panel["fieldConfig"]["defaults"]["unit"], panel["title"]
    assert len({board["uid"] for board in DASHBOARDS.values()}) == len(DASHBOARDS)


def known_metrics():
    rows = "".join(path.read_text() for path in (ROOT / "proxy").glob("metrics*.def"))
    names = re.findall(r"^[A-Z_]+\(([a-z_0-9]+), (\w+)", rows, re.MULTILINE)
    known = {name for name, _ in names} | {f"{name}_{part}" for name, kind in names if kind == "histogram" for part in ("bucket", "sum", "count")}
    recorded = re.findall(r"record: (\S+)", (ROOT / "deploy/prometheus/recording.yml").read_text())
    return known | set(recorded) | {"up", "ALERTS"}


def queries():
    """(where, query) of all panels, annotations and variables."""
    for name, board in DASHBOARDS.items():
        where = name.removesuffix(".json")
        for panel in panels(board):
            yield from (((where, panel["title"], target["refId"]), target["expr"]) for target in panel["targets"])
        yield from (((where, note["name"], "annotation"), note["expr"]) for note in board["annotations"]["list"])


def metrics_of(query):
    """Names of series: words that a selector follows, without those that functions, keywords and labels are."""
    return set(re.findall(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{", query))


def test_every_metric_is_one_of_ours():
    known = known_metrics()
    for where, query in queries():
        assert metrics_of(query), f"{where}: {query} names no series with labels"
        exporters = 'job="redis_exporter"' in query
        assert exporters or metrics_of(query) <= known, f"{where}: {metrics_of(query) - known}"
        assert exporters or 'job="convproxy"' in query or "ALERTS" in query, f"{where}: the exporter has metrics of the same names"


# ---- what was watched ----


class Watched:
    """The set after the tour, with what can be asked of its Prometheus."""

    def __init__(self, stack):
        self.stack, self.begun, self.lines = stack, time.time(), []
        self.tour = Tour(stack, stack.start_load(clients=40, rate=60.0), self.lines.append, messages=90)
        self.good = self.tour.run()

    def ask(self, query):
        """The series that have a number at some time since the beginning."""
        for name, value in VARIABLES.items():
            query = query.replace(name, value)
        series = self.stack.prometheus.range(query, self.begun - 1, time.time(), 1)
        return [labels for labels, values in series if any(value == value for value in values)]


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    ports = {name: free_port() for name in PORTS}
    folder = tmp_path_factory.mktemp("demo")
    (folder / "convproxy.yaml").write_text((ROOT / "deploy/convproxy.yaml").read_text() + MEMORY)
    stack = Stack(folder / "demo", "sqlite", ports, binary(), interval="1s", config=folder / "convproxy.yaml")
    try:
        found = Watched(stack.start())
        more_to_see(stack)
        yield found
    finally:
        stack.stop()


def post(stack, path, body):
    """Raises URLError, which is an OSError, when it is refused."""
    request = urllib.request.Request(f"{stack.admin.url}/api/v1/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def through_the_tiers(stack):
    """A key that nobody uses leaves Redis and is compressed; others follow it a part of the way; somebody asks for them."""
    keys = ["memory:cold", "memory:warm", "memory:used"]

    def there():
        return {labels["tier"] for labels, _ in stack.prometheus.query("conv_tier_keys > 0")}

    def swept():
        post(stack, "moves", {"kind": "tier", "policy": "memory"})
        return get_json(f"{stack.admin.url}/api/v1/tiers?key=memory:cold")["tier"] == "cold"

    with RespConn.to(Endpoint(stack.ports["proxy"])) as conn:
        conn.cmd("RPUSH", keys[0], "a", "b")
        eventually(swept, 60, 0.5)
        for key in keys[1:]:
            conn.cmd("RPUSH", key, "a", "b")
        eventually(lambda: post(stack, "tiers", {"key": keys[1], "to": "warm"}), 60)
        eventually(lambda: {"warm", "cold"} <= there(), 60)
        assert all(conn.cmd("LRANGE", key, 0, -1) == [b"a", b"b"] for key in keys)
        eventually(lambda: "working" in there(), 60)


def more_to_see(stack):
    """What the tour does not do: an audit, a backup, keys that leave Redis, a new process, and clients that go on after it."""
    stack.load.resume()
    subprocess.run([Path(binary()).parent / "convctl", "-u", stack.admin.url, "ttl-audit"], check=True, capture_output=True, timeout=60)
    post(stack, "backups", {"kind": "keys"})
    through_the_tiers(stack)
    eventually(lambda: stack.prometheus.query("conv_keys_without_ttl") and stack.prometheus.query("conv_backup_last_success_timestamp_seconds > 0"), 30)
    eventually(lambda: stack.prometheus.query('process_start_time_seconds{job="convproxy"}'), 30)
    stack.proxy.stop()
    stack.proxy.start()
    before = stack.load.acknowledged()
    eventually(lambda: stack.load.acknowledged() > before + 60, 60)


def test_the_tour_held(watched):
    text = "\n".join(watched.lines)
    assert watched.good, text
    assert len(watched.tour.checks) >= 6 and watched.tour.load.acknowledged() >= 270
    assert re.search(r"read from the archive: \d{3,} acknowledged messages of \d\d+ conversations: all there, once, in order", text)
    assert re.search(r"read from Redis itself: \d{3,} acknowledged messages", text)


def test_the_ledger_holds_after_a_new_process(watched):
    """Connections were lost this time: what was in flight may be stored or not, what was acknowledged is."""
    load = watched.stack.load
    assert load.pause()
    result = compare(load.ledger, watched.stack.ports["proxy"])
    load.resume()
    assert result.good(), str(result)


def test_the_checker_sees_what_is_lost_doubled_and_mixed_up(watched):
    load, port = watched.stack.load, watched.stack.ports["proxy"]
    assert load.pause()
    key = "conv:checked"
    with RespConn.to(Endpoint(port)) as conn:
        conn.cmd("RPUSH", key, *(json.dumps({"seq": number}) for number in (1, 3, 2, 2, 9)))
        entry = Entry(whole=False)
        entry.acknowledged = [1, 2, 3, 4]
        result = compare({key: entry}, port)
        conn.cmd("DEL", key)
    load.resume()
    assert (result.lost, result.doubled) == ([f"{key}#4"], [f"{key}#2"])
    assert result.wrong == [f"{key}#9 (never acknowledged)"] and not result.good()


class Endpoint:
    host = "127.0.0.1"

    def __init__(self, port):
        self.port = port


def test_no_panel_is_empty(watched):
    """Right syntax, and at least one series with a number; for annotations too."""
    missing = {where: query for where, query in queries() if where not in EMPTY}
    assert len(missing) > 80

    def all_there():
        for where in [where for where, query in missing.items() if watched.ask(query)]:
            del missing[where]
        return not missing

    try:
        eventually(all_there, 40, 1.0)
    except TimeoutError:
        pytest.fail("empty: " + "; ".join(f"{where}: {query}" for where, query in missing.items()))


def test_exceptions_are_queries_of_panels(watched):
    asked = dict(queries())
    for where, reason in EMPTY.items():
        assert where in asked and reason
        watched.ask(asked[where])  # its syntax at least


def test_variables_have_values(watched):
    for name, metric in [("instance", "convproxy_build_info"), ("policy", "conv_acting_primary")]:
        assert all(name in labels for labels in watched.ask(f'{metric}{{job="convproxy"}}'))
    definitions = {made["name"]: made["query"]["query"] for board in DASHBOARDS.values() for made in board["templating"]["list"]}
    assert definitions == {"instance": 'label_values(convproxy_build_info{job="convproxy"}, instance)', "policy": 'label_values(conv_acting_primary{job="convproxy"}, policy)'}


def test_prometheus_has_the_rules_of_the_compose_file(watched):
    groups = json.loads(subprocess.run(["curl", "-s", f"{watched.stack.prometheus.url}/api/v1/rules"], capture_output=True, text=True, check=True).stdout)["data"]["groups"]
    files = {os.path.realpath(group["file"]) for group in groups}
    assert files == {str(ROOT / "deploy/prometheus/alerts.yml"), str(ROOT / "deploy/prometheus/recording.yml")}
    assert all(rule["health"] != "err" for group in groups for rule in group["rules"]), "a rule fails"


def test_redis_is_started_as_in_the_compose_file(watched):
    wanted = [str(word) for word in yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["redis"]["command"][1:]]
    ours = [str(word) for word in watched.stack.redis.command]
    for option, value in zip(wanted[::2], wanted[1::2]):
        assert ours[ours.index(option) + 1] == value, option


GRAFANA = """#!/bin/sh
env >grafana.env
exec %s -c '
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/api/health" else 404)
        self.end_headers()
http.server.HTTPServer((os.environ["GF_SERVER_HTTP_ADDR"], int(os.environ["GF_SERVER_HTTP_PORT"])), Handler).serve_forever()'
"""


def test_grafana_where_it_is_on_path(watched, tmp_path, monkeypatch):
    """A stand-in, since Debian has none: it is started with an environment in which our provisioning files lead somewhere."""
    (tmp_path / "grafana").write_text(GRAFANA % sys.executable)
    (tmp_path / "grafana").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    grafana = servers.grafana(watched.stack)
    grafana.start()
    try:
        env = dict(line.split("=", 1) for line in (watched.stack.folder / "grafana.env").read_text().splitlines() if "=" in line)
    finally:
        grafana.stop()

    def provisioned(kind):
        text = "".join(path.read_text() for path in Path(env["GF_PATHS_PROVISIONING"], kind).glob("*.yml"))
        return yaml.safe_load(re.sub(r"\$\{(\w+)\}", lambda found: env[found[1]], text))

    source, provider = provisioned("datasources")["datasources"][0], provisioned("dashboards")["providers"][0]
    assert source["url"] == watched.stack.prometheus.url
    assert {path.name for path in Path(provider["options"]["path"]).glob("*.json")} == set(DASHBOARDS)
    for board in DASHBOARDS.values():
        assert {panel["datasource"]["uid"] for panel in panels(board)} == {source["uid"]}


# ---- as a command ----


def demo(tmp_path, *words, stdin=subprocess.DEVNULL):
    command = [sys.executable, "-u", "-m", "demo", "--free-ports", "--no-observers", "--archive", "sqlite", "--folder", tmp_path / "demo", "--binary", binary(), "--clients", "20", *words]
    return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "PYTHONPATH": str(ROOT / "scripts")})


@pytest.mark.timeout(150)
def test_the_tour_on_ferretdb(tmp_path):
    """As a command, in an otherwise empty folder."""
    if FerretDB.missing():
        pytest.skip(FerretDB.missing())
    running = demo(tmp_path, "--tour", "--archive", "ferretdb", "--rate", "10", "--messages", "10")
    text, _ = running.communicate(timeout=140)
    assert running.returncode == 0, text
    assert re.search(r"the archive answers \(ferretdb\)", text) and re.search(r"all of it held: \d\d+ messages acknowledged, 0 lost", text)
    assert not left_running(tmp_path)


def left_running(folder):
    """Processes that have the demo's folder in their command line or as their place."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/cwd").startswith(str(folder)):
                found.append(pid)
        except OSError:
            pass
    return found


def read_until(process, pattern):
    """Lines up to the one that matches; a demo that ends before fails with what it said."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if re.search(pattern, line):
            return "".join(lines)
    pytest.fail("".join(lines))


def test_keys(tmp_path):
    running = demo(tmp_path, stdin=subprocess.PIPE)

    def press(key, pattern):
        running.stdin.write(key + "\n")
        running.stdin.flush()
        return read_until(running, pattern)

    try:
        read_until(running, "q quit")
        press("k", "Redis is killed")
        press("v", "all there, once, in order")
        press("w", "started again, empty")
        press("m", "to be answered by")
        press("x", "q quit")
        assert left_running(tmp_path)
        press("q", "everything has ended")
        assert running.wait(20) == 0
        assert not left_running(tmp_path)
    finally:
        running.kill()
        running.wait()
        running.stdin.close()
        running.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_nothing_is_left_running(tmp_path, number):
    running = demo(tmp_path)
    try:
        read_until(running, "q quit")
        assert left_running(tmp_path)
        running.send_signal(number)
        code = running.wait(20)
        assert code == (-number if number == signal.SIGKILL else 0)
        eventually(lambda: not left_running(tmp_path), 15)
    finally:
        running.kill()
        running.wait()
        running.stdout.close()


def refused(tmp_path, *words):
    running = demo(tmp_path, *words)
    text, _ = running.communicate(timeout=20)
    return running.returncode, text


def test_refusals_are_clear(tmp_path):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo/mine.txt").write_text("not the demo's")
    code, text = refused(tmp_path)
    assert code == 1 and "is not empty, and not of an earlier demo" in text and "Traceback" not in text
    assert (tmp_path / "demo/mine.txt").read_text() == "not the demo's"
    assert refused(tmp_path, "--archive", "paper")[0] == 1
    assert refused(tmp_path, "--rate", "0")[0] == 2
    code, text = refused(tmp_path, "--binary", str(tmp_path / "none"))
    assert code == 1 and "is not built" in text
