"""Raw RESP on asyncio: many connections in one thread. The plain one is harness/resp.py."""
import asyncio
import socket
import struct

from .resp import RespError, _NeedMore, _Parser, encode


class AsyncConn:
    """One connection; replies as RespConn has them."""

    def __init__(self, reader, writer, timeout):
        self.reader, self.writer, self.timeout = reader, writer, timeout
        self.buffer = bytearray()

    @classmethod
    async def to(cls, endpoint, timeout=10.0):
        reader, writer = await asyncio.wait_for(asyncio.open_connection(endpoint.host, endpoint.port), timeout)
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(reader, writer, timeout)

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def send_cmd(self, *args):
        await self.send(encode(*args))

    async def cmd(self, *args):
        await self.send_cmd(*args)
        return await self.read()

    async def must(self, *args):
        """cmd that does not expect an error."""
        reply = await self.cmd(*args)
        assert not isinstance(reply, RespError), f"{args}: {reply}"
        return reply

    async def pipeline(self, *commands):
        await self.send(b"".join(encode(*command) for command in commands))
        return [await self.read() for _ in commands]

    async def read(self):
        while True:
            parser = _Parser(self.buffer)
            try:
                reply = parser.reply()
            except _NeedMore:
                async with asyncio.timeout(self.timeout):
                    data = await self.reader.read(1 << 18)
                if not data:
                    raise ConnectionError("the server closed the connection") from None
                self.buffer += data
                continue
            del self.buffer[: parser.at]
            return reply

    def abort(self):
        """RST instead of FIN: what a client that crashed looks like."""
        if self.writer.transport.is_closing():
            return
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def close(self):
        self.writer.close()
