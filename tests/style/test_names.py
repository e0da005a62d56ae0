"""What the docs name exists, and what exists is named: settings, metrics, events, HTTP paths, commands, make targets."""
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
import tree

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))]
CODE = re.compile(r"`([^`\n]+)`")
SOURCES = (".c", ".h", ".def", ".py", ".yml", ".yaml", ".json", ".js", ".html", ".build", ".txt", ".lua", ".pml", ".service")

# Words with an underscore: settings' parts, metrics, INFO's fields, events, C names. A label list and * behind them are cut off.
NAME = re.compile(r"^[a-z][a-z0-9]*(_[a-z0-9]+)+$")
PATH = re.compile(r"(?:^|[\s\"'(]|localhost:\d+|127\.0\.0\.1:\d+)(/(?:api|healthz|health|readyz|metrics)(?:/[\w<>+-]+)*)")
SETTING = re.compile(r"^([a-z]+\.(?!h$|c$|conf$|def$|py$|rdb$|call$|pcall$|where$)[a-z_]+)(?:[ :=].*)?$")
POLICIES = {"conv", "gov", "wm", "NAME"}  # of the examples
ROUTE = re.compile(r'\{\s*"(GET|PUT|POST|DELETE)",\s*"([^"]+)"')
CONVCTL = re.compile(r"(?:^|[\s/])convctl ((?:--?[a-z-]+ )*)([a-z][a-z-]*)")
MAKE = re.compile(r"(?:^|\s)make ([a-z][a-z-]+)")


@cache
def sources():
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    texts = [(ROOT / f).read_text(errors="replace") for f in files if not f.startswith("docs/") or f.startswith("docs/model/") if f.endswith(SOURCES) and (ROOT / f).is_file()]
    return "\n".join(texts)


@cache
def words():
    return set(re.findall(r"[A-Za-z0-9_]+", sources()))


@cache
def routes():
    return {path for _, path in ROUTE.findall(sources()) if path.startswith("/") and path != "/"}


def in_code(text):
    """Spans and blocks of code of a page."""
    fences = re.findall(r"^ *```.*?^ *```", text, re.MULTILINE | re.DOTALL)
    return CODE.findall(re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)) + [line for f in fences for line in f.splitlines()]


def is_like(route, path):
    """A segment of the path that is a number, an id or a placeholder is what "+" stands for."""
    parts, given = route.split("/"), path.rstrip("/").split("/")
    return len(parts) == len(given) and all(x in (y, "+") for x, y in zip(parts, given))


def paths_in(page):
    return {path for code in in_code((ROOT / page).read_text()) for path in PATH.findall(code)}


def known(name):
    """Metrics of a histogram have three endings; a name may be told by its beginning (archive_…)."""
    return name in words() or re.sub(r"_(bucket|count|sum)$", "", name) in words()


@cache
def settings():
    """What docs/settings.md, which is generated, has a row for; a policy's name stands before its own."""
    return set(re.findall(r"^\| `([a-zA-Z0-9_.]+)`", (ROOT / "docs/settings.md").read_text(), re.MULTILINE))


def is_setting(name):
    group, _, rest = name.partition(".")
    return name in settings() or (group in POLICIES and f"NAME.{rest}" in settings())


def convctl_commands():
    return set(re.findall(r'^COMMAND\(\w+, "([a-z-]+)"', (ROOT / "tools/commands.def").read_text(), re.MULTILINE))


def make_targets():
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_names_exists(page):
    text = (ROOT / page).read_text()
    assert settings(), "docs/settings.md has no rows"
    groups = {name.split(".")[0] for name in settings() if "." in name} | POLICIES
    bad = []
    for code in in_code(text):
        bad += [f"{name}: nowhere in the code" for name in [re.sub(r"\{.*\}$", "", code)] if NAME.match(name) and not known(name)]
        bad += [f"{name}: no such setting" for name in SETTING.findall(code) if name.split(".")[0] in groups and not is_setting(name)]
        bad += [f"{path}: no such HTTP path" for path in PATH.findall(code) if not any(is_like(r, path) for r in routes())]
        bad += [f"convctl {command}: no such command" for _, command in CONVCTL.findall(code) if command not in convctl_commands()]
        bad += [f"make {target}: no such target" for target in MAKE.findall(code) if target not in make_targets()]
    assert not bad, f"{page}:\n" + "\n".join(sorted(set(bad)))


def test_every_http_path_is_named():
    """Those of the console's own files apart."""
    named = set().union(*(paths_in(page) for page in PAGES))
    missing = [r for r in sorted(routes()) if not r.startswith("/web") and not any(is_like(r, path) for path in named)]
    assert not missing, f"named in no page: {missing}"
