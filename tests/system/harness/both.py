"""The same commands to the proxy and to Redis itself: what comes back must be the same bytes."""
from .resp import RespConn


class Both:
    """Two connections that are told the same. `ask` returns (bytes of the proxy, bytes of Redis)."""

    def __init__(self, proxy, redis, resp=2, timeout=5.0):
        self.ours, self.theirs = RespConn.to(proxy, timeout), RespConn.to(redis, timeout)
        if resp == 3:
            for side in (self.ours, self.theirs):
                side.cmd("HELLO", "3")

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        self.ours.close()
        self.theirs.close()

    def send(self, *command):
        for side in (self.ours, self.theirs):
            side.send_cmd(*command)

    def ask(self, *command):
        self.send(*command)
        return tuple(side.read_with_bytes()[1] for side in (self.ours, self.theirs))

    def same(self, *command):
        """The bytes that both have answered."""
        ours, theirs = self.ask(*command)
        assert ours == theirs, f"{command}\n  proxy: {ours!r}\n  redis: {theirs!r}"
        return ours

    def run(self, script):
        """Each line is a command, its words parted by blanks; '' is an empty word."""
        return [self.same(*("" if word == "''" else word for word in line.split())) for line in script.strip().splitlines()]
