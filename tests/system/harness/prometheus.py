"""Debian's prometheus with the rules of deploy/prometheus: scrapes once a second, and an alert waits a second at most; and its
alertmanager with the shipped configuration."""
import json
import shutil
import urllib.parse
import urllib.request

import yaml

from .ports import free_port
from .process import ServerProcess
from .proxy import ROOT

RULES = ROOT / "deploy/prometheus"


def hasten(text):
    """alerts.yml with every `for` of a second."""
    rules = yaml.safe_load(text)
    for group in rules["groups"]:
        for rule in group["rules"]:
            if "for" in rule:
                rule["for"] = "1s"
    return yaml.safe_dump(rules, sort_keys=False)


class Prometheus(ServerProcess):
    """Prometheus(folder, {"convproxy": ["127.0.0.1:9380"]}); the shipped prometheus.yml with other intervals and targets."""

    name = "prometheus"

    def __init__(self, folder, targets):
        super().__init__(folder, free_port())
        self.home = self.folder / f"prometheus-{self.port}"
        shutil.copytree(RULES, self.home)
        config = yaml.safe_load((RULES / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        (self.home / "prometheus.yml").write_text(yaml.safe_dump(config))
        (self.home / "alerts.yml").write_text(hasten((RULES / "alerts.yml").read_text()))
        for file in (self.home / "targets").glob("*.json"):
            file.write_text(json.dumps([{"targets": targets.get(file.stem, [])}]))

    def command(self):
        return [
            "prometheus",
            f"--config.file={self.home}/prometheus.yml",
            f"--storage.tsdb.path={self.home}/data",
            f"--web.listen-address={self.host}:{self.port}",
            "--log.level=warn",
        ]

    def get(self, path, **query):
        url = f"http://{self.host}:{self.port}{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.loads(answer.read())["data"]

    def answers(self):
        with urllib.request.urlopen(f"http://{self.host}:{self.port}/-/ready", timeout=1) as answer:
            return answer.status == 200

    def query(self, expression):
        """[(labels, value)]"""
        return [(found["metric"], float(found["value"][1])) for found in self.get("/api/v1/query", query=expression)["result"]]

    def alerts(self):
        """{(name, severity)} of those that fire."""
        found = self.get("/api/v1/alerts")["alerts"]
        return {(a["labels"]["alertname"], a["labels"]["severity"]) for a in found if a["state"] == "firing"}

    def rules(self):
        return [rule for group in self.get("/api/v1/rules")["groups"] for rule in group["rules"]]


class Alertmanager(ServerProcess):
    """Alertmanager(folder)"""

    name = "alertmanager"

    def __init__(self, folder):
        super().__init__(folder, free_port())

    def command(self):
        return [
            shutil.which("prometheus-alertmanager") or "alertmanager",
            f"--config.file={ROOT}/deploy/alertmanager/alertmanager.yml",
            f"--storage.path={self.folder}/alertmanager-{self.port}",
            f"--web.listen-address={self.host}:{self.port}",
            "--cluster.listen-address=",
            "--log.level=warn",
        ]

    def ask(self, path, body=None):
        url = f"http://{self.host}:{self.port}{path}"
        request = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read().decode()

    def answers(self):
        return self.ask("/-/ready").strip() == "OK"

    def fire(self, *labels):
        self.ask("/api/v2/alerts", [{"labels": one} for one in labels])

    def alerts(self):
        """[(alertname, severity, whether another one holds it back, receivers)]"""
        return [
            (a["labels"]["alertname"], a["labels"]["severity"], bool(a["status"]["inhibitedBy"]), [r["name"] for r in a["receivers"]])
            for a in json.loads(self.ask("/api/v2/alerts"))
        ]
