"""Clients that wait for something to come: BLPOP and its kin, XREAD BLOCK."""
import re
from contextlib import ExitStack, closing, contextmanager

from .resp import RespConn
from .wait import eventually


def flags_of(conn, number):
    """The flags of a client as CLIENT LIST tells them; "" when there is none."""
    line = conn.cmd("CLIENT", "LIST", "ID", number).decode()
    return line.split(" flags=")[1].split(" ")[0] if line else ""


def blocked(server):
    with RespConn.to(server) as conn:
        return int(re.search(rb"blocked_clients:(\d+)", conn.cmd("INFO", "clients"))[1])


class Waiter:
    """A client with a blocking command on its way; it is known to wait when CLIENT LIST says so. The proxy says so before its connection
    to Redis stands: who needs an order names the Redis behind it, which must know of the waiter too."""

    def __init__(self, stack, side, *command, resp=2, behind=None):
        before = blocked(behind) if behind else 0
        self.conn = stack.enter_context(closing(RespConn.to(side, timeout=20)))
        if resp == 3:
            self.conn.cmd("HELLO", 3)
        self.id = self.conn.cmd("CLIENT", "ID")
        self.conn.send_cmd(*command)
        with RespConn.to(side) as asker:
            eventually(lambda: "b" in flags_of(asker, self.id))
        if behind:
            eventually(lambda: blocked(behind) > before, timeout=20)

    def read(self):
        return self.conn.read()

    def read_with_bytes(self):
        return self.conn.read_with_bytes()


@contextmanager
def stage(side, *commands, resp=2, behind=None):
    """(a free connection, one waiter for each command, in this order)."""
    with ExitStack() as stack:
        conn = stack.enter_context(closing(RespConn.to(side, timeout=20)))
        yield conn, [Waiter(stack, side, *command, resp=resp, behind=behind) for command in commands]
