"""Raw RESP: send bytes, read replies, nothing in between. For what client libraries would hide."""
import socket


class Status(str):
    """A simple string (+OK)."""


class RespError(str):
    """An error reply, without its dash; compare it like a string."""


class Push(list):
    """A RESP3 push frame."""


class _NeedMore(Exception):
    """The buffer ends inside a reply."""


def encode(*args):
    """A command as a client sends it: an array of bulk strings."""
    words = [arg if isinstance(arg, bytes) else str(arg).encode() for arg in args]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


class _Parser:
    """Reads one reply of either protocol from the front of a buffer; raises _NeedMore when it is not all there."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def line(self):
        end = self.data.find(b"\r\n", self.at)
        if end < 0:
            raise _NeedMore
        text, self.at = bytes(self.data[self.at : end]), end + 2
        return text

    def blob(self, length):
        if length < 0:
            return None
        end = self.at + length
        if len(self.data) < end + 2:
            raise _NeedMore
        assert self.data[end : end + 2] == b"\r\n", "a bulk string does not end with CRLF"
        text, self.at = bytes(self.data[self.at : end]), end + 2
        return text

    def items(self, count):
        return None if count < 0 else [self.reply() for _ in range(count)]

    def pairs(self, count):
        flat = self.items(2 * count)
        return dict(zip(flat[::2], flat[1::2]))

    def reply(self):
        head = self.line()
        kind, rest = head[:1], head[1:]
        assert kind in self.TYPES, f"not the start of a reply: {head[:80]!r}"
        return self.TYPES[kind](self, rest)

    def attributed(self, rest):
        self.pairs(int(rest))
        return self.reply()

    TYPES = {
        b"+": lambda self, rest: Status(rest.decode()),
        b"-": lambda self, rest: RespError(rest.decode(errors="surrogateescape")),
        b":": lambda self, rest: int(rest),
        b"$": lambda self, rest: self.blob(int(rest)),
        b"*": lambda self, rest: self.items(int(rest)),
        b"_": lambda self, rest: None,
        b"#": lambda self, rest: {b"t": True, b"f": False}[rest],
        b",": lambda self, rest: float(rest),
        b"(": lambda self, rest: int(rest),
        b"!": lambda self, rest: RespError(self.blob(int(rest)).decode()),
        b"=": lambda self, rest: self.blob(int(rest))[4:],
        b"%": lambda self, rest: self.pairs(int(rest)),
        b"~": lambda self, rest: self.items(int(rest)),
        b">": lambda self, rest: Push(self.items(int(rest))),
        b"|": attributed,
    }


class RespConn:
    """One connection. Bulk strings are bytes, simple strings Status, errors RespError (returned, not raised)."""

    def __init__(self, host, port, timeout=5.0):
        self.sock = socket.create_connection((host, port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()

    @classmethod
    def to(cls, endpoint, timeout=5.0):
        """A connection to anything with host and port (Proxy, DirectProxy, RedisServer)."""
        return cls(endpoint.host, endpoint.port, timeout)

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def send_cmd(self, *args):
        self.send(encode(*args))

    def cmd(self, *args):
        """Sends one command and reads one reply."""
        self.send_cmd(*args)
        return self.read()

    def pipeline(self, *commands):
        """Sends all commands in one write and reads as many replies."""
        self.send(b"".join(encode(*command) for command in commands))
        return [self.read() for _ in commands]

    def read(self):
        return self.read_with_bytes()[0]

    def read_with_bytes(self):
        """(reply, the exact bytes it came in)."""
        while True:
            parser = _Parser(self.buffer)
            try:
                reply = parser.reply()
            except _NeedMore:
                self._receive()
                continue
            raw = bytes(self.buffer[: parser.at])
            del self.buffer[: parser.at]
            return reply, raw

    def _receive(self):
        data = self.sock.recv(1 << 16)
        if not data:
            raise ConnectionError("the server closed the connection")
        self.buffer += data

    def closed(self):
        """Waits for the server to close; True when it does so without another byte, within the timeout."""
        try:
            return not self.buffer and self.sock.recv(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False
