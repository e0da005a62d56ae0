"""router/plan as a process: what a command becomes, and what a proxy that obeys the plan would tell its client."""
import json
import subprocess

from .resp import RespError, encode


def frame_end(raw, at=0):
    """Where the reply that begins at `at` ends."""
    line = raw.index(b"\r\n", at)
    kind, rest = raw[at : at + 1], raw[at + 1 : line]
    at = line + 2
    if kind in b"$=!" and int(rest) >= 0:
        return at + int(rest) + 2
    items = {b"*": 1, b"~": 1, b">": 1, b"%": 2}.get(kind, 0) * max(int(rest) if kind in b"*~>%" else 0, 0)
    for _ in range(items):
        at = frame_end(raw, at)
    return at


def elements(raw):
    """The replies inside an array, as they came."""
    at, found = raw.index(b"\r\n") + 2, []
    while at < len(raw):
        end = frame_end(raw, at)
        found.append(raw[at:end])
        at = end
    return found


class PlanCli:
    """PlanCli(path, ["conv=conv:*,600000,0,0"])"""

    def __init__(self, path, policies):
        self.process = subprocess.Popen([path, *policies], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def close(self):
        """The exit code; a sanitizer that found something makes it differ from 0."""
        self.process.stdin.close()
        code = self.process.wait(timeout=20)
        self.process.stdout.close()
        return code

    def ask(self, *args):
        self.process.stdin.write(encode(*args))
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"plan_cli ended with {self.process.wait(timeout=20)}"
        return json.loads(line)

    def rows(self):
        return self.ask("ROWS")

    def plan(self, args, resp, in_multi, now_ms):
        plan = self.ask("PLAN", resp, int(in_multi), now_ms, *args)
        for step in plan["steps"]:
            step["bytes"] = self.process.stdout.read(step["len"])
        return plan

    def written(self, plan, reply):
        return self.ask("WRITTEN", int(plan["conditional"]), reply)

    def undo(self, key, set_ms, old_ms):
        return self.process.stdout.read(self.ask("UNDO", key, set_ms, old_ms)["len"])


def tell(plan, reply, limit):
    """The client's reply, from that of its step."""
    if plan["reply"] == "push" and reply[:1] == b":" and limit:
        return b":%d\r\n" % min(int(reply[1:]), limit)
    if plan["reply"] == "setnx" and reply[:1] != b"-":
        return b":1\r\n" if reply == b"+OK\r\n" else b":0\r\n"
    if plan["reply"] == "null_array" and reply == b"$-1\r\n":
        return b"*-1\r\n"
    return reply


class Executor:
    """Runs commands on a RespConn as their plans say."""

    def __init__(self, cli, conn, resp, policy_ttl, limit=0):
        self.cli, self.conn, self.resp, self.ttl, self.limit = cli, conn, resp, policy_ttl, limit

    def _send(self, data):
        self.conn.send(data)
        return self.conn.read_with_bytes()

    def _exec(self, steps):
        """(replies of the steps, None), or (None, the first refusal) when EXEC was aborted."""
        self._send(encode("MULTI"))
        queued = [self._send(step) for step in steps]
        reply, raw = self._send(encode("EXEC"))
        if isinstance(reply, RespError):
            return None, next(bytes_ for answer, bytes_ in queued if isinstance(answer, RespError))
        return elements(raw), None

    def _undo(self, plan, keys, replies, now_ms):
        """What a proxy does after a refused write."""
        for step, reply in zip(plan["steps"], replies):
            old_ms = int(reply[1:]) if step["role"] == "old" else -2
            if old_ms >= -1:
                answer, _ = self._send(self.cli.undo(keys[step["key"]], now_ms + self.ttl, old_ms))
                assert not isinstance(answer, RespError), answer

    def run(self, args, in_multi, now_ms):
        """(the client's reply, the plan)"""
        plan = self.cli.plan(args, self.resp, in_multi, now_ms)
        assert plan["kind"] != "refused", plan
        steps = [step["bytes"] for step in plan["steps"]]
        if plan["kind"] != "block" and not in_multi:
            return tell(plan, self._send(steps[0])[1], self.limit), plan
        replies, refusal = self._exec(steps)
        if replies is None:
            return refusal, plan
        client = replies[[step["role"] for step in plan["steps"]].index("client")]
        if not self.cli.written(plan, client):
            keys = {s["key"]: s["bytes"].split(b"\r\n")[4] for s in plan["steps"] if s["role"] == "old"}
            self._undo(plan, keys, replies, now_ms)
        return tell(plan, client, self.limit), plan
