"""Every row of tools/commands.def is in --help, in the completion of three shells, in the man page and in docs/convctl.md, and convctl
accepts exactly what the rows say."""

import re
import subprocess
from pathlib import Path

import pytest
from harness.ctl import convctl, convctl_path
from harness.proxy import binary

ROOT = Path(__file__).resolve().parents[2]
OK, USAGE, UNREACHABLE = 0, 2, 3
ROW = re.compile(r'^(COMMAND|OPTION)\(([^,]+), ([^,]+), ([^,]+),', re.MULTILINE)


def rows(kind):
    text = (ROOT / "tools/commands.def").read_text()
    return [[field.strip(' "') for field in m.groups()[1:]] for m in ROW.finditer(text) if m[1] == kind]


COMMANDS = [name for _, name, _ in rows("COMMAND")]
OPTIONS = [(commands.split(), name) for commands, _, name in rows("OPTION")]


def options_of(command):
    return {f"--{name}" for commands, name in OPTIONS if commands == ["*"] or command in commands}


def test_options_name_commands():
    assert len(COMMANDS) == len(set(COMMANDS)) and len(OPTIONS) > 8
    assert {c for commands, _ in OPTIONS for c in commands} - {"*"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command):
    text = convctl(command, "--help")
    assert text.returncode == OK and text.stdout.startswith(f"convctl {command}") and not text.stderr
    assert set(re.findall(r"^ .*?(--[a-z-]+)", text.stdout, re.MULTILINE)) == options_of(command)
    assert convctl("help", command).stdout == convctl("--help", command).stdout == text.stdout
    assert re.search(rf"^  {command}( |$)", convctl("--help").stdout, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_not_in_the_table_is_refused(command):
    done = convctl(command, "--no-such-option")
    assert done.returncode == USAGE and f"convctl {command} --help" in done.stderr and not done.stdout


def test_the_pages():
    page, man = convctl("--docs").stdout, convctl("--man").stdout
    for command in COMMANDS:
        assert f"\n### {command}\n" in page and re.search(rf"^\.It Cm {command}\b", man, re.MULTILINE), command
    for _, name in OPTIONS:
        assert f"--{name}" in page and f"Fl \\-{name}" in man, name


def test_the_man_page_is_clean():
    linted = subprocess.run(["mandoc", "-T", "lint", "-W", "warning"], input=convctl("--man").stdout, capture_output=True, text=True, check=False)
    assert linted.returncode == 0 and not linted.stdout, linted.stdout
    shown = subprocess.run(["mandoc", "-T", "ascii"], input=convctl("--man").stdout, capture_output=True, text=True, check=True)
    assert "asks and steers a running convproxy" in shown.stdout


def test_the_page_of_the_proxy_is_clean():
    page = subprocess.run([binary(), "--man"], capture_output=True, text=True, check=True, timeout=20).stdout
    linted = subprocess.run(["mandoc", "-T", "lint", "-W", "warning"], input=page, capture_output=True, text=True, check=False)
    assert linted.returncode == 0 and not linted.stdout, linted.stdout
    shown = subprocess.run(["mandoc", "-T", "utf8"], input=page, capture_output=True, text=True, check=True).stdout
    shown = re.sub(".\b", "", shown)  # bold is struck twice
    helped = subprocess.run([binary(), "--help"], capture_output=True, text=True, check=True, timeout=20).stdout
    options = set(re.findall(r"^  .{4}(--[a-z-]+)", helped.split("Signals:")[0], re.MULTILINE))
    assert len(options) == 8 and all(f"{name}" in shown for name in options)
    settings = re.findall(r'^(?:SETTING|POLICY)\([a-z0-9_]+, [a-z]+, "([^"]+)"', (ROOT / "config/settings.def").read_text(), re.MULTILINE)
    assert len(settings) > 50
    assert all(re.search(rf"^ +(POLICY\.)?{re.escape(name)}( |$)", shown, re.MULTILINE) for name in settings)


# ---- completion ----

BASH = """source /dev/stdin <<<"$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _convctl; printf '%s\\n' "${COMPREPLY[@]}"
"""


def bash(*words):
    script = convctl("completion", "bash").stdout
    done = subprocess.run(["bash", "-c", BASH, "bash", script, "convctl", *words], capture_output=True, text=True, timeout=20, check=True)
    assert not done.stderr
    return set(done.stdout.split())


def fish(line, tmp_path):
    (tmp_path / "convctl.fish").write_text(convctl("completion", "fish").stdout)
    done = subprocess.run(
        ["fish", "--no-config", "-c", f'source {tmp_path}/convctl.fish; complete -C "{line}"'],
        capture_output=True, text=True, timeout=20, check=True, env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    assert not done.stderr
    return {line.split("\t")[0] for line in done.stdout.splitlines()}


def test_bash():
    assert bash("") == set(COMMANDS)
    assert bash("ttl") == {"ttl-audit"}
    assert bash("--url", "http://x:1", "-j", "ttl") == {"ttl-audit"}
    assert bash("primary", "") == {"redis", "mongo"}
    assert bash("help", "") == set(COMMANDS)
    for command in COMMANDS:
        assert bash(command, "--") == options_of(command), command


def test_fish(tmp_path):
    assert fish("convctl ", tmp_path) >= set(COMMANDS)
    assert fish("convctl ttl", tmp_path) == {"ttl-audit"}
    assert fish("convctl primary ", tmp_path) == {"redis", "mongo"}
    assert fish("convctl verify --re", tmp_path) == {"--repair"}
    for command in COMMANDS:
        assert options_of(command) <= fish(f"convctl {command} --", tmp_path), command


def test_zsh(tmp_path):
    script = convctl("completion", "zsh").stdout
    assert script.startswith("#compdef convctl\n")
    assert set(re.findall(r"^    '([a-z-]+):", script, re.MULTILINE)) == set(COMMANDS)
    (tmp_path / "_convctl").write_text(script)
    load = f"autoload -U compinit; compinit -D -u; source {tmp_path}/_convctl; print $_comps[convctl]"
    done = subprocess.run(["zsh", "-f", "-c", load], capture_output=True, text=True, timeout=20, check=True)
    assert (done.stdout, done.stderr) == ("_convctl\n", "")
    for command in COMMANDS:
        branch = re.search(rf"^    {command}\)\n(.*?);;$", script, re.MULTILINE | re.DOTALL)[1]
        assert all(f"'{name}" in branch + script.split("common=(")[1].split("  )")[0] for name in options_of(command)), command


# ---- where options and tokens come from ----


@pytest.mark.parametrize(
    "args",
    [["--json", "status"], ["status", "--json"], ["status", "-jy"], ["-qj", "status"], ["--", "status"], ["watch", "-n1", "-c", "1"]],
    ids=" ".join,
)
def test_options_stand_anywhere(args):
    done = convctl("--url", "http://127.0.0.1:1", *args)
    assert done.returncode == UNREACHABLE and "cannot reach" in done.stderr


@pytest.mark.parametrize(
    "args",
    [["status", "--deep"], ["--deep", "verify"], ["status", "--json=yes"], ["watch", "-n"], ["watch", "--every", "soon"], ["watch", "-jn"],
     ["status", "x"], ["abort"], ["abort", "x"], ["abort", "1", "2"], ["dual-write", "perhaps"], ["completion", "tcsh"], ["help", "frob"]],
    ids=" ".join,
)
def test_wrong_usage(args):
    done = convctl(*args)
    assert done.returncode == USAGE and done.stderr.startswith("convctl: ") and not done.stdout


def test_the_environment_has_the_url(tmp_path):
    done = convctl("status", env={"CONVCTL_URL": "http://127.0.0.1:1"})
    assert done.returncode == UNREACHABLE and "http://127.0.0.1:1" in done.stderr
    assert convctl("-u", "http://127.0.0.1:2", "status", env={"CONVCTL_URL": "nonsense"}).returncode == UNREACHABLE
    assert convctl("status", env={"CONVCTL_URL": "nonsense"}).returncode == USAGE
    assert convctl("status", env={"CONVCTL_TOKEN_FILE": str(tmp_path / "none")}).returncode == USAGE


def test_a_token_is_not_in_ps():
    """The other end accepts and stays silent, so that convctl can be looked at while it waits."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with subprocess.Popen([convctl_path(), "-u", url, "--token", "geheim", "health"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
            client, _ = server.accept()
            assert b"Bearer geheim" in client.recv(4096)
            line = Path(f"/proc/{running.pid}/cmdline").read_bytes()
            client.close()
            running.communicate(timeout=20)
    assert b"--token\0******\0" in line and b"geheim" not in line
