"""RESP2 for the demo's clients: enough of it for pipelines of commands, on asyncio and on a plain socket."""

import asyncio
import socket


class ReplyError(Exception):
    """An error reply."""


def encode(*words):
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


def _plain(kind, rest):
    """A reply that is whole with its first line."""
    if kind == b"+":
        return rest.decode()
    if kind == b":":
        return int(rest)
    if kind == b"-":
        return ReplyError(rest.decode())
    raise ConnectionError(f"not a reply: {kind + rest!r}")


class AsyncClient:
    """One connection. call() returns the reply, errors as ReplyError values; a lost connection raises ConnectionError."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, port):
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def call(self, *words):
        self.writer.write(encode(*words))
        try:
            return await self._read()
        except asyncio.IncompleteReadError:
            raise ConnectionError("closed") from None

    async def _read(self):
        line = await self.reader.readuntil(b"\r\n")
        kind, rest = line[:1], line[1:-2]
        if kind == b"$":
            return None if rest == b"-1" else (await self.reader.readexactly(int(rest) + 2))[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [await self._read() for _ in range(int(rest))]
        return _plain(kind, rest)

    def close(self):
        self.writer.close()


class Client:
    """The same on a blocking socket, for the one who checks."""

    def __init__(self, port, timeout=20.0):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def call(self, *words):
        return self.pipeline([words])[0]

    def pipeline(self, commands):
        self.socket.sendall(b"".join(encode(*words) for words in commands))
        return [self._read() for _ in commands]

    def _read(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("closed")
        kind, rest = line[:1], line[1:-2]
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self._read() for _ in range(int(rest))]
        return _plain(kind, rest)
