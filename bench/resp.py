"""resp: a small RESP2 client for filling keys, checking replies and holding idle connections.

Not for measuring: Python is slower than everything that is measured here.
"""
import socket


class ReplyError(Exception):
    """The server answered with an error, or not in RESP2."""


def encode(*words):
    """One request. Words are str, bytes or int."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        data = word if isinstance(word, bytes) else str(word).encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
    return b"".join(parts)


class Client:
    def __init__(self, port, timeout=30):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.reader = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.reader.close()
        self.socket.close()

    def call(self, *words):
        """The reply: str, int, None or a list of these. Raises ReplyError."""
        self.socket.sendall(encode(*words))
        return self._read()

    def pipeline(self, requests, depth=50):
        """Sends the requests depth at a time; returns the last reply. Raises at the first error."""
        last = None
        for start in range(0, len(requests), depth):
            batch = requests[start:start + depth]
            self.socket.sendall(b"".join(encode(*words) for words in batch))
            for _ in batch:
                last = self._read()
        return last

    def exchange(self, requests, count):
        """Sends bytes that hold count requests, and reads their replies. Raises at the first error."""
        self.socket.sendall(requests)
        for _ in range(count):
            self._read()

    def _read(self):
        line = self.reader.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            raise ReplyError(rest.decode(errors="replace"))
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return self._bulk(int(rest))
        if kind == b"*":
            return None if rest == b"-1" else [self._read() for _ in range(int(rest))]
        raise ReplyError(f"not RESP2: {line[:40]!r}")

    def _bulk(self, length):
        if length < 0:
            return None
        data = self.reader.read(length + 2)
        if len(data) != length + 2:
            raise ConnectionError("the server closed the connection")
        return data[:-2].decode(errors="replace")
