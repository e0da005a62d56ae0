"""The scripted failover: what happens to people who chat while Redis is killed, and comes back with nothing. Each step is
checked; the tour is good only when all of them hold."""

import subprocess
import time

from demo.check import compare
from demo.process import Failed
from demo.resp import Client, ReplyError


def eventually(what, holds, timeout=60.0):
    """Waits until it holds, and returns what that gave."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            if found := holds():
                return found
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise Failed(f"not within {timeout:.0f} s: {what}")
        time.sleep(0.05)


class Tour:
    """say: prints a line. messages: how many to wait for in each act."""

    def __init__(self, stack, load, say=print, messages=150):
        self.stack, self.load, self.say, self.messages = stack, load, say, messages
        self.begun = time.monotonic()
        self.checks = []

    def run(self):
        """Whether all held."""
        for act in (self.chat, self.kill, self.outage, self.back, self.agree):
            act()
        self.say("")
        for good, text in self.checks:
            self.say(f"  {'held  ' if good else 'FAILED'}  {text}")
        return all(good for good, _ in self.checks)

    # ---- the acts ----

    def chat(self):
        self.more_messages()
        eventually("Redis answers for conv, with copies of all in the archive", lambda: self.guarantee() == "both")
        self.watched()
        counts = self.load.counts
        self.tell(f"{self.load.clients} clients chat through the proxy: {counts['acknowledged']} messages acknowledged, each in both stores; "
                  f"{self.percentile():.1f} ms at the 99th percentile")

    def kill(self):
        at, before = time.monotonic(), self.load.acknowledged()
        self.stack.redis.kill()
        self.tell("kill -9 of Redis")
        eventually("the archive answers for conv", lambda: self.policy()["acting"] == "archive")
        eventually("messages are acknowledged again", lambda: self.load.acknowledged() > before + self.load.clients // 10)
        self.tell(f"the archive answers ({self.stack.archive}). Requests were held {self.policy()['longestPauseMs']:.0f} ms by the proxy; "
                  f"the slowest took its client {self.load.longest(at) * 1000:.0f} ms")

    def outage(self):
        self.more_messages()
        self.compared("while Redis is dead, read from the archive", self.stack.ports["proxy"])
        self.load.resume()
        self.alarmed()

    def back(self):
        self.stack.wipe_redis()
        self.stack.redis.start()
        self.tell("Redis is started again, empty")
        eventually("the proxy sees Redis", lambda: self.stack.admin.state()["redis"]["up"])
        at = time.monotonic()
        with Client(self.stack.ports["proxy"]) as client:
            reply = client.call("CONV", "PRIMARY", "conv", "redis")
            if isinstance(reply, ReplyError):
                raise Failed(f"CONV PRIMARY conv redis: {reply}")
        eventually("Redis answers for conv again", lambda: self.policy()["phase"] == "redis", timeout=120)
        self.tell(f"Redis has everything back and answers, {time.monotonic() - at:.1f} s after the word (CONV PRIMARY redis); "
                  f"without it after 30 quiet seconds")
        self.more_messages()

    def agree(self):
        self.compared("after the return, read from Redis itself", self.stack.ports["redis"])
        self.compared("after the return, read through the proxy", self.stack.ports["proxy"])
        convctl = self.stack.binary.parent / "convctl"
        done = subprocess.run([convctl, "-u", self.stack.admin.url, "verify", "--deep"], capture_output=True, text=True, timeout=120, check=False)
        self.check(done.returncode == 0, "both stores hold the same: " + (done.stdout.strip().splitlines() or [done.stderr.strip()])[-1])
        counts = self.load.counts
        self.check(counts["disconnected"] == 0, f"clients that lost their connection: {counts['disconnected']}")
        self.tell(f"messages that were refused, and the client told so: {counts['refused']}; of which it was told that nobody knows: {counts['doubtful']}"
                  + "".join(f"; {text}: {count}" for text, count in self.load.errors.most_common(3)))
        self.tell(f"of what is no conversation, {counts['raw']} writes were stored and {counts['raw_refused']} refused while Redis was dead: those have one home only")

    # ---- what they are made of ----

    def policy(self):
        return self.stack.admin.policy()

    def guarantee(self):
        return self.policy()["guarantee"]["level"]

    def more_messages(self):
        wanted = self.load.acknowledged() + self.messages
        eventually(f"{self.messages} more messages", lambda: self.load.acknowledged() >= wanted or self.load.problem)
        if self.load.problem:
            raise Failed(f"the clients failed: {self.load.problem!r}")

    def percentile(self, share=0.99):
        taken = sorted(seconds for _, seconds in list(self.load.slow))
        return taken[int(len(taken) * share)] * 1000

    def compared(self, when, port):
        if not self.load.pause():
            raise Failed("some requests are never answered")
        result = compare(self.load.ledger, port)
        self.check(result.good(), f"{when}: {result}")

    def watched(self):
        """Prometheus looks at new targets after some seconds; what it has not seen before has not changed for it."""
        if self.stack.prometheus:
            eventually("Prometheus watches the proxy", lambda: self.stack.prometheus.query('redis_up{job="convproxy"} == 1'))

    def alarmed(self):
        """Prometheus has seen it, and the alert is on its way: it waits as long as its rule says before somebody is woken."""
        if self.stack.prometheus:
            eventually("Prometheus sees redis_up 0", lambda: self.stack.prometheus.query('redis_up{job="convproxy"} == 0'))
            state = eventually("the alert RedisDown", lambda: self.stack.prometheus.alerts().get("RedisDown"))
            self.check(True, f"Prometheus saw Redis go, and the alert RedisDown is {state}")

    def check(self, good, text):
        self.checks.append((good, text))
        self.tell(text)

    def tell(self, text):
        self.say(f"  {time.monotonic() - self.begun:6.1f} s  {text}")
