"""The demo with a person at the keys: one letter, one deed; a line with the truth every second."""

import select
import subprocess
import sys
import termios
import time
import tty

from demo.check import compare
from demo.process import Failed
from demo.resp import Client


def kill(stack):
    stack.redis.kill()
    return "Redis is killed (kill -9). Watch: acting becomes archive, and the clients go on"


def start(stack):
    if stack.redis.alive():
        return "Redis runs already"
    stack.redis.start()
    return "Redis is started with what is on its disk; it answers again after 30 quiet seconds, or at once with m"


def wipe(stack):
    stack.wipe_redis()
    stack.redis.start()
    return "Redis was killed, its files deleted, and it is started again, empty: the archive gives it everything back"


def switch(stack):
    policy = stack.admin.policy()
    store = "mongo" if policy["acting"] == "redis" and policy["primary"] == "redis" else "redis"
    with Client(stack.ports["proxy"]) as client:
        reply = client.call("CONV", "PRIMARY", "conv", store)
    return "\n".join(line.decode() for line in reply) if isinstance(reply, list) else str(reply)


def verify(stack):
    """The ledger against what the proxy answers, and both stores against each other."""
    if not stack.load.pause():
        return "some requests are not answered yet; try again"
    told = str(compare(stack.load.ledger, stack.ports["proxy"]))
    stack.load.resume()
    if stack.redis.alive():
        convctl = stack.binary.parent / "convctl"
        done = subprocess.run([convctl, "-u", stack.admin.url, "verify"], capture_output=True, text=True, timeout=120, check=False)
        told += "\n" + "\n".join("  " + line for line in (done.stdout or done.stderr).strip().splitlines())
    return told


KEYS = {
    "k": ("kill Redis", kill),
    "s": ("start it", start),
    "w": ("start it empty", wipe),
    "m": ("switch the primary", switch),
    "v": ("verify", verify),
}
HELP = "  ".join(f"{key} {what}" for key, (what, _) in KEYS.items()) + "  q quit"


class Keys:
    """Letters as they are typed at a terminal; lines otherwise; and none at all once the input has ended."""

    def __init__(self):
        self.file = sys.stdin
        self.saved = None

    def __enter__(self):
        if self.file.isatty():
            self.saved = termios.tcgetattr(self.file)
            tty.setcbreak(self.file)
        return self

    def __exit__(self, *_):
        if self.saved:
            termios.tcsetattr(self.file, termios.TCSADRAIN, self.saved)

    def next(self, timeout):
        """A letter, or None."""
        if self.file is None:
            time.sleep(timeout)
            return None
        if not select.select([self.file], [], [], timeout)[0]:
            return None
        text = self.file.read(1) if self.saved else self.file.readline()
        if not text:
            self.file = None
        return text.strip()[:1].lower() or None


def line(stack, rate):
    """How it goes, in one line."""
    load, counts = stack.load, stack.load.counts
    latest = sorted(seconds for _, seconds in list(load.slow)[-400:]) or [0.0]
    try:
        policy = stack.admin.policy()
        acting = f"acting {policy['acting']} ({policy['phase']}), promise {policy['guarantee']['level']}, failovers {policy['failovers']}"
    except OSError as problem:
        acting = f"the proxy does not answer: {problem}"
    refused = counts["refused"] + counts["doubtful"]
    return (f"{rate:4.0f} messages/s  p99 {latest[int(len(latest) * 0.99)] * 1000:6.1f} ms  errors {refused}  "
            f"lost connections {counts['disconnected']}  {acting}")


def act(stack, key, say):
    try:
        say(f"\n> {KEYS[key][0]}\n{KEYS[key][1](stack)}" if key in KEYS else f"\n{HELP}")
    except (Failed, OSError) as problem:
        say(f"it did not work: {problem}")


def run(stack, say=print):
    """Until q, Ctrl-C or SIGTERM."""
    terminal = sys.stdout.isatty()
    say(f"\n{HELP}\n")
    every = 1.0 if terminal else 10.0  # a log needs fewer of them
    before, shown = stack.load.acknowledged(), time.monotonic()
    with Keys() as keys:
        while True:
            key = keys.next(max(0.0, min(1.0, shown + every - time.monotonic())))
            if key == "q":
                return
            if key:
                act(stack, key, say)
            for process in stack.fallen():
                raise Failed(f"{process.name} has ended by itself; {process.log_path} ends with:\n{process.tail()}")
            now = time.monotonic()
            if now >= shown + every:
                rate = (stack.load.acknowledged() - before) / (now - shown)
                print(("\r\033[K" if terminal else "") + line(stack, rate), end="" if terminal else "\n", flush=True)
                before, shown = stack.load.acknowledged(), now
