"""Redis with a module, as far as a client can tell: a relay in front of a plain server that adds entries to COMMAND's
reply and puts commands of the server in the place of the added ones. Debian has no module and no header to build one."""
import socket
import socketserver
import threading

from .ports import free_port
from .proxy import Endpoint
from .resp import RespConn, _NeedMore, _Parser, encode


def _resp(value):
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, str):
        return b"$%d\r\n%s\r\n" % (len(value), value.encode())
    return b"*%d\r\n" % len(value) + b"".join(map(_resp, value))


def key_spec(flags, begin, find):
    """key_spec(["RW"], ("index", {"index": 1}), ("range", {"lastkey": 0, "keystep": 1, "limit": 0}))"""
    halves = [["type", kind, "spec", [part for pair in how.items() for part in pair]] for kind, how in (begin, find)]
    return ["flags", flags, "begin_search", halves[0], "find_keys", halves[1]]


class ModuleCommand:
    """What COMMAND tells of it, and which command of the server stands for it: instead(arguments) -> arguments."""

    def __init__(self, name, arity, flags, instead, specs=(), cats=(), positions=(0, 0, 0), subs=()):
        self.name, self.instead = name, instead
        self.told = [name, arity, list(flags), *positions, list(cats), [], list(specs), [sub.told for sub in subs]]


class _Relay(socketserver.BaseRequestHandler):
    """One client: its requests one by one, so that replies need no matching."""

    def handle(self):
        buffer = bytearray()
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with RespConn.to(self.server.redis) as upstream:
            while data := self.request.recv(1 << 16):
                buffer += data
                while args := self.request_of(buffer):
                    self.request.sendall(self.answer(upstream, args))

    @staticmethod
    def request_of(buffer):
        parser = _Parser(buffer)
        try:
            args = parser.reply()
        except _NeedMore:
            return None
        del buffer[: parser.at]
        return args

    def answer(self, upstream, args):
        added = self.server.added
        words = [arg.upper() for arg in args]
        mine = added.get(args[0].decode(errors="replace").lower())
        upstream.send(encode(*(mine.instead(args) if mine else args)))
        reply, raw = upstream.read_with_bytes()
        if words == [b"COMMAND"]:
            head, rest = raw.split(b"\r\n", 1)
            told = b"".join(_resp(command.told) for command in added.values())
            return b"*%d\r\n" % (int(head[1:]) + len(added)) + rest + told
        return b":%d\r\n" % (reply + len(added)) if words == [b"COMMAND", b"COUNT"] else raw


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True

    def handle_error(self, request, client_address):
        """A side that went away while the other still talked."""


class ModuleRelay(Endpoint):
    """ModuleRelay(redis_server, [ModuleCommand(…)]); load and unload are MODULE LOAD and UNLOAD."""

    def __init__(self, redis, commands):
        self.port = free_port()
        self.server = _Server((self.host, self.port), _Relay)
        self.server.redis, self.server.added = redis, {}
        self.load(*commands)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def load(self, *commands):
        self.server.added = {**self.server.added, **{command.name.lower(): command for command in commands}}

    def unload(self, *names):
        self.server.added = {name: command for name, command in self.server.added.items() if name not in names}

    def start(self):
        self.thread.start()
        return self

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
