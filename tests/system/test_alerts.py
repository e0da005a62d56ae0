"""The alerts and the recorded rules: what Prometheus' own tools say of them, that they and their docs name what there is, and
that a real Prometheus tells of a real Redis that is killed."""
import functools
import re
import subprocess

import pytest
import yaml
from harness import Proxy, RedisServer, RespConn, eventually
from harness.prometheus import Alertmanager, Prometheus
from harness.proxy import ROOT

DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus"
CASES = sorted((RULES / "tests").glob("*.yml"))


def rules_of(name):
    return [rule for group in yaml.safe_load((RULES / name).read_text())["groups"] for rule in group["rules"]]


ALERTS = rules_of("alerts.yml")
RECORDED = rules_of("recording.yml")
NAMES = sorted({rule["alert"] for rule in ALERTS})


def tag(rule):
    """page, or ticket_0.80: how the cases name the rules of an alert."""
    return "_".join(rule["labels"].values())


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


# ---- what the tools say ----


@pytest.mark.parametrize(
    "command",
    [
        ["promtool", "check", "config", RULES / "prometheus.yml"],
        ["promtool", "check", "rules", RULES / "alerts.yml", RULES / "recording.yml"],
        ["amtool", "check-config", DEPLOY / "alertmanager/alertmanager.yml"],
    ],
    ids=["config", "rules", "alertmanager"],
)
def test_valid(command):
    code, said = run(*command)
    assert code == 0 and "SUCCESS" in said, said


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_cases(file):
    code, said = run("promtool", "test", "rules", file)
    assert code == 0, said


# ---- a case for each ----


@functools.cache
def cases():
    """[(alert, the labels of those that are expected, input series)] of each test of an alert."""
    return [
        (check["alertname"], [found["exp_labels"] for found in check["exp_alerts"]], [one["series"] for one in test["input_series"]])
        for file in CASES
        for test in yaml.load(file.read_text(), yaml.CSafeLoader)["tests"]
        for check in test.get("alert_rule_test", [])
    ]


def fires(rule, who, expected):
    wanted = rule["labels"].items()
    return any(who in (labels.get("instance"), labels.get("job")) and wanted <= labels.items() for labels in expected)


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: f"{rule['alert']}-{tag(rule)}")
def test_both_cases(rule):
    """fires_… is expected with the rule's labels; silent_… has series, and is not."""
    found = {"fires": 0, "silent": 0}
    for alert, expected, series in cases():
        for word in found:
            who = f"{word}_{tag(rule)}"
            there = alert == rule["alert"] and any(f'"{who}"' in one for one in series)
            found[word] += there and fires(rule, who, expected) == (word == "fires")
    assert found["fires"] and found["silent"], f"no case in which it {' or '.join(w for w in found if not found[w])}"


# ---- names ----

KEYWORD = re.compile(r"\b(?:and|or|unless|on|by|ignoring|without|group_left|group_right|offset|bool)\b(?:\s*\([^)]*\))?")


def selectors(expression):
    """[(name, matchers)] of the metrics that it asks for."""
    text = re.sub(r"\[[^\]]*\]|\boffset\s+\S+", " ", expression)
    kept = []
    text = re.sub(r"\{[^}]*\}", lambda found: kept.append(found[0]) or f"\0{len(kept) - 1}\0", text)
    text = KEYWORD.sub(" ", text)
    found = re.findall(r"(?<![\w.])([a-zA-Z_:][\w:]*)(?:\0(\d+)\0)?(?!\s*\(|\w)", text)
    return [(name, kept[int(at)] if at else "") for name, at in found]


def metrics_there_are():
    rows = re.findall(r"^\w+\((\w+), (gauge|counter|histogram)", (ROOT / "proxy/metrics.def").read_text(), re.MULTILINE)
    names = {name for name, kind in rows if kind != "histogram"}
    return names | {f"{name}_{end}" for name, kind in rows if kind == "histogram" for end in ("bucket", "sum", "count")}


def test_selectors():
    assert selectors('rate(a_total{x="y()"}[5m]) / on (job, z) (b > 0) offset 15m and sum by (c) (d:e:rate5m) == 1e6') == [
        ("a_total", '{x="y()"}'),
        ("b", ""),
        ("d:e:rate5m", ""),
    ]


@pytest.mark.parametrize("rule", ALERTS + RECORDED, ids=lambda rule: rule.get("alert") or rule["record"])
def test_metrics_exist(rule):
    known = metrics_there_are() | {found["record"] for found in RECORDED} | {"up"}
    asked = selectors(rule["expr"])
    assert asked or rule["expr"].startswith("vector(")
    assert not [name for name, _ in asked if name not in known]


@pytest.mark.parametrize("rule", ALERTS + RECORDED, ids=lambda rule: rule.get("alert") or rule["record"])
def test_names_that_others_use_too_ask_for_the_job(rule):
    """redis_exporter tells of redis_up, every program that Prometheus scrapes of process_open_fds."""
    shared = re.compile(r"^(up|process_\w+|redis_(?!latency_)\w+)$")
    careless = [name for name, matchers in selectors(rule["expr"]) if shared.match(name) and 'job="convproxy"' not in matchers]
    assert not careless


# ---- docs ----


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: f"{rule['alert']}-{tag(rule)}")
def test_annotations(rule):
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/alerts.md#{rule['alert'].lower()}"


def test_every_alert_has_its_section():
    text = (ROOT / "docs/alerts.md").read_text()
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL))
    assert sorted(sections) == NAMES
    for name, section in sections.items():
        missing = [word for word in ("**Users**", "**Look**", "**Do**", "**False alarm**") if word not in section]
        assert not missing, f"{name}: {missing}"
        said = set(re.findall(r"\b(page|ticket)\b", section.split("\n\n")[0]))
        assert said == {rule["labels"]["severity"] for rule in ALERTS if rule["alert"] == name}, f"{name}: {said}"


@pytest.mark.parametrize("page", ["alerts.md", "slo.md"])
def test_docs_name_what_there_is(page):
    code = " ".join(re.findall(r"`([^`]+)`", (ROOT / "docs" / page).read_text()))
    metrics = {re.sub(r"_(bucket|sum|count)$", "", name) for name in metrics_there_are()} | metrics_there_are() | {"redis_exporter"}
    named = set(re.findall(r"(?<![\w:./-])((?:conv|convproxy|redis|archive|history|process|msg|context)_[a-z0-9_]+)(?![\w:*])", code))
    assert not named - metrics
    commands = set(re.findall(r'^COMMAND\(\w+, "([\w-]+)"', (ROOT / "tools/commands.def").read_text(), re.MULTILINE))
    assert not set(re.findall(r"convctl ([a-z][\w-]*)", code)) - commands
    recorded = {rule["record"] for rule in RECORDED}
    assert not set(re.findall(r"\w+:\w+:\w+", code)) - recorded


def test_the_objectives_name_every_alert():
    text = (ROOT / "docs/slo.md").read_text()
    named = set(re.findall(r"\[(\w+)\]\(alerts\.md#(\w+)\)", text))
    assert all(name.lower() == anchor for name, anchor in named)
    assert {name for name, _ in named} == set(NAMES)


def test_inhibitions_name_alerts():
    config = yaml.safe_load((DEPLOY / "alertmanager/alertmanager.yml").read_text())
    matchers = [m for rule in config["inhibit_rules"] for m in rule["source_matchers"] + rule["target_matchers"]]
    named = {name for m in matchers if m.startswith("alertname") for name in re.search(r'"(.*)"', m)[1].split("|")}
    assert named and named <= set(NAMES), named - set(NAMES)


@pytest.mark.parametrize("severity, receiver", [("page", "page"), ("ticket", "ticket")])
def test_routes(severity, receiver):
    code, said = run("amtool", "config", "routes", "test", f"--config.file={DEPLOY}/alertmanager/alertmanager.yml", f"severity={severity}")
    assert (code, said.splitlines()[0]) == (0, receiver), said


# ---- alive ----


@pytest.fixture
def alertmanager(tmp_path):
    server = Alertmanager(tmp_path).start()
    yield server
    server.kill()


def test_what_follows_is_held_back(alertmanager):
    def one(alert, severity, instance="a:9380", **more):
        return {"alertname": alert, "severity": severity, "job": "convproxy", "instance": instance, **more}

    alertmanager.fire(
        one("RedisDown", "page"),
        one("ReconnectAttempts", "page"),
        one("PersistenceErrorsHigh", "page", policy="conv"),
        one("DirtyKeysOld", "ticket", instance="b:9380"),
        one("EvictedKeys", "page"),
        one("EvictedKeys", "ticket"),
        one("HitRateLow", "ticket", policy="conv"),
        one("GuaranteeLowered", "page", policy="conv"),
        one("VerifyMismatch", "ticket", policy="conv"),
    )
    held = {("ReconnectAttempts", "page"), ("EvictedKeys", "ticket"), ("HitRateLow", "ticket"), ("GuaranteeLowered", "page")}

    def as_meant():
        found = alertmanager.alerts()
        assert len(found) == 9
        assert {(alert, severity) for alert, severity, back, _ in found if back} == held
        assert all(receivers == [severity] for _, severity, _, receivers in found)
        return True

    eventually(as_meant, timeout=20)


@pytest.fixture
def watched(tmp_path):
    """(redis, proxy, prometheus), running."""
    redis = RedisServer(tmp_path, args=["--maxmemory", "200mb"]).start()
    proxy = Proxy(tmp_path, redis.url).start()
    prometheus = Prometheus(tmp_path, {"convproxy": [f"127.0.0.1:{proxy.admin_port}"]})
    try:
        prometheus.start()
        yield redis, proxy, prometheus
    finally:
        prometheus.kill()
        proxy.stop()
        redis.kill()


def talk(proxy):
    with RespConn.to(proxy) as conn:
        for i in range(20):
            conn.cmd("RPUSH", f"conv:{i}", "hello")
            conn.cmd("LRANGE", f"conv:{i}", "0", "-1")
            conn.cmd("LRANGE", "conv:nobody", "0", "-1")
            conn.cmd("GET", "plain")


def numbers(prometheus, proxy):
    """The names of recorded rules that have no number yet, with some traffic made meanwhile."""
    talk(proxy)
    wanted = {rule["record"] for rule in RECORDED}
    return wanted - {name for name in wanted if any(value == value for _, value in prometheus.query(name))}


@pytest.mark.timeout(180)
def test_redis_is_killed_and_comes_back(watched):
    redis, proxy, prometheus = watched
    eventually(lambda: prometheus.query("redis_up == 1"), timeout=30)
    eventually(lambda: not numbers(prometheus, proxy), timeout=60, interval=0.5)
    assert [value for labels, value in prometheus.query('job_slo:events:rate5m{slo="context"}')][0] > 0
    assert ("RedisDown", "page") not in prometheus.alerts()

    redis.kill()
    eventually(lambda: ("RedisDown", "page") in prometheus.alerts(), timeout=30, interval=0.2)
    with RespConn.to(proxy) as conn:
        assert conn.cmd("RPUSH", "conv:1", "from the archive") > 0  # which is why it says that they are served

    redis.start()
    eventually(lambda: not [a for a in prometheus.alerts() if a[0] == "RedisDown"], timeout=30, interval=0.2)
    unwell = [rule["name"] for rule in prometheus.rules() if rule["health"] == "err" or rule.get("lastError")]
    assert not unwell
