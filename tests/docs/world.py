"""world.py PAGE [--write] — runs the blocks of a page, one after the other, in one shell, on the ports that the page names.
--write puts what was printed into the page where it shows something else: look at the difference before you keep it.

Called by test_blocks.py inside namespaces of its own for network, processes and mounts: nothing outside can be reached, and
all of it ends with it. A world is a folder that looks like the checkout, with what its list says in it:

    redis                 redis-server on 6379
    ferretdb              what stands in for MongoDB, on 27017
    convproxy [options]   the proxy on 6380, admin on 9380; without a list: redis; convproxy
    chats N               N conversations of six messages

Prints a line of JSON for each step: line, command, printed, code, well."""
import fcntl
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from blocks import aged, matches, runnable

ROOT = Path(__file__).resolve().parents[2]
DEFAULT = "redis; convproxy"
STEP_SECONDS = 120
# What only looks may be run again until it sees what the page shows: a reader looks twice, too.
LOOKS = re.compile(
    r"^(curl -s[S]? (?!.*-X)|(build/)?convctl (--json )?(status|health|moves|primary( --json)?$|events|settings|quarantine (ls|show))"
    r"|redis-cli( -p \d+)? (GET|TTL|LRANGE|LINDEX|LLEN|HGETALL|EXISTS|DBSIZE|INFO|SCAN|KEYS|PING|TYPE|CONV STATUS|CONV MOVES))"
)
LOOK_SECONDS = 15


def loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        request = struct.pack("16sh", b"lo", 0x1 | 0x40)  # IFF_UP | IFF_RUNNING
        fcntl.ioctl(s, 0x8914, request.ljust(40, b"\0"))  # SIOCSIFFLAGS


def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as s:
            s.sendall(b"PING\r\n")
            return s.recv(64) != b""
    except OSError:
        return False


def wait_until(condition, what, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"world: {what} within {seconds} s")
        time.sleep(0.02)


# To a terminal redis-cli writes "(integer) 1", to a pipe "1"; what the runner reads stands for a terminal.
REDIS_CLI = """#!/bin/sh
[ -p /dev/stdout ] || export FAKETTY=1
exec %s "$@"
"""


class World:
    def __init__(self, words):
        self.folder = Path(tempfile.mkdtemp(prefix="world-"))
        for entry in ROOT.iterdir():
            if entry.name not in ("data", ".git", "demo"):
                (self.folder / entry.name).symlink_to(entry)
        self.log = open(self.folder / ".log", "w")
        shim = self.folder / ".bin/redis-cli"
        shim.parent.mkdir()
        shim.write_text(REDIS_CLI % shutil.which("redis-cli"))
        shim.chmod(0o755)
        path = f"{shim.parent}:{ROOT}/build:{ROOT}/.venv/bin:{os.environ['PATH']}"
        ours = re.compile(r"^(CONV|REDIS|MONGO|MEMORY|CONVCTL)_")
        env = {k: v for k, v in os.environ.items() if not ours.match(k)}
        self.env = {**env, "PATH": path, "HOME": str(self.folder), "LC_ALL": "C.UTF-8", "COLUMNS": "160"}
        self.shell = subprocess.Popen(
            ["bash", "--norc"], stdin=subprocess.PIPE, stdout=self.log, stderr=self.log, cwd=self.folder, env=self.env, text=True
        )
        for word in words.split(";"):
            self.start(*word.split(None, 1))

    def start(self, name, rest=""):
        starters = {"redis": self.start_redis, "ferretdb": self.start_ferretdb, "convproxy": self.start_proxy, "chats": self.chats,
                    "nothing": lambda rest: None}
        starters[name](rest)

    def spawn(self, *words):
        subprocess.Popen(words, stdout=self.log, stderr=self.log, cwd=self.folder, env=self.env, start_new_session=True)

    def start_redis(self, rest):
        self.spawn("redis-server", *rest.split())
        wait_until(lambda: answers(6379), "Redis did not answer")

    def start_ferretdb(self, rest):
        (self.folder / "ferret").mkdir()
        self.spawn(f"{ROOT}/build/servers/ferretdb", "127.0.0.1:27017", str(self.folder / "ferret"))
        wait_until(lambda: subprocess.run(["bash", "-c", "</dev/tcp/127.0.0.1/27017"], capture_output=True).returncode == 0, "FerretDB did not listen")

    def start_proxy(self, rest):
        self.spawn("convproxy", *rest.split())
        wait_until(lambda: answers(6380), "the proxy did not answer")

    def chats(self, count):
        lines = []
        for chat in range(int(count)):
            for turn in range(3):
                for role, text in (("user", f"question {turn} of {chat}"), ("assistant", f"answer {turn} to {chat}")):
                    message = json.dumps({"role": role, "content": text}, separators=(",", ":"))
                    words = ["RPUSH", f"conv:{chat}", message]
                    lines.append(f"*{len(words)}\r\n" + "".join(f"${len(w)}\r\n{w}\r\n" for w in words))
        wait_until(self.placed, "the proxy had no place for conversations")
        subprocess.run(["redis-cli", "-p", "6380", "--pipe"], input="".join(lines), text=True, check=True, capture_output=True)

    def placed(self):
        return subprocess.run(["redis-cli", "-p", "6380", "TYPE", "conv:0"], capture_output=True, text=True).stdout in ("none\n", "list\n")

    def run(self, command):
        """What it prints (standard error, too) and its exit code. What goes on in the background prints into the log."""
        out, code = self.folder / ".out", self.folder / ".code"
        code.unlink(missing_ok=True)
        behind = command.split("#")[0].rstrip().endswith("&")
        end = " >.background 2>&1 &" if behind else ""
        body = re.sub(r"&\s*(#.*)?$", "", command) if behind else command
        self.shell.stdin.write(f"{{ {body}\n}}{end} >.out 2>&1 </dev/null; echo $? >.code.new; mv .code.new .code\n" if not behind
                               else f"{{ {body}\n}}{end}\necho 0 >.code.new; : >.out; mv .code.new .code\n")
        self.shell.stdin.flush()
        wait_until(lambda: code.exists() or self.shell.poll() is not None, f"no end of: {command}", STEP_SECONDS)
        if behind:
            wait_until(lambda: answers(6380), "nothing answered on 6380")
        return out.read_text(errors="replace").rstrip("\n").splitlines(), int(code.read_text())

    def end(self):
        """All that it has started is gone, and so are its ports, when this returns."""
        self.shell.kill()
        wait_until(lambda: not [os.kill(pid, 9) for pid in others()], "something did not end")
        shutil.rmtree(self.folder, ignore_errors=True)


def others():
    """Processes of this namespace that run, without ourselves, whoever called us, and the dead that nobody has asked for."""
    found = []
    for pid in (int(p) for p in os.listdir("/proc") if p.isdigit()):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if pid not in (1, os.getpid(), os.getppid()) and state not in "ZX":
            found.append(pid)
    return found


def attempt(world, step):
    end = time.monotonic() + LOOK_SECONDS
    while True:
        printed, code = world.run(step.command)
        well = code == step.code and (not step.checks_output or matches(step.shown, aged(step.command, step.shown, printed)))
        if well or time.monotonic() > end or not LOOKS.match(step.command):
            return printed, code, well
        time.sleep(0.2)


def steps_of(text):
    """Each step with the world that it belongs to."""
    world = None
    for block in runnable(text):
        if world is None or block.world:
            if world:
                world.end()
            world = World(block.world or DEFAULT)
        for step in block.steps():
            yield world, step
    if world:
        world.end()


def check(page):
    for world, step in steps_of(Path(page).read_text()):
        printed, code, well = attempt(world, step)
        if not well:
            printed += ["", "-- the world's log:"] + (world.folder / ".log").read_text(errors="replace").splitlines()[-15:]
        print(json.dumps({**vars(step), "printed": printed, "exit": code, "well": well}), flush=True)
        if not well:
            return


def write(page):
    text = Path(page).read_text()
    lines, moved = text.splitlines(), 0
    for world, step in steps_of(text):
        printed, code, well = attempt(world, step)
        if code == step.code and not well:
            at = step.line + moved + step.command.count("\n")
            lines[at : at + len(step.shown)] = printed
            moved += len(printed) - len(step.shown)
            Path(page).write_text("\n".join(lines) + "\n")
        if code != step.code:
            raise SystemExit(f"{page}:{step.line + moved}: exit code {code}\n" + "\n".join(printed))


if __name__ == "__main__":
    loopback_up()
    (write if "--write" in sys.argv else check)(sys.argv[1])
