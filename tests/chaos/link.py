"""The network between a proxy and a store: a TCP relay that can delay, hold, lose, cut and refuse.

  proxy ──▶ up ──▶ store        hold     bytes of a direction wait, and arrive when the link is whole again: a frozen network,
        ◀── down ◀──                     or a store that executes long after everybody gave up
                                lose     bytes of both directions vanish; connections that lost some are reset in the end
                                cut      a store's next answers vanish and both ends are reset: it was done, nobody heard of it
                                half     the store's end of each connection is closed, the proxy's stays open and silent
                                orphan   the proxy's end is reset, the store's stays open
                                refuse   nobody listens, and what was open is reset

Threads: one event loop; the methods that change something are called in it."""
import asyncio
import random
import socket
import struct

CHUNK = 1 << 16
BROKEN = (OSError, asyncio.IncompleteReadError)


def reset(writer):
    """RST instead of FIN."""
    transport = writer.transport
    if transport.is_closing():
        return
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class _Wire:
    """One connection through the link."""

    def __init__(self, client, server):
        self.client, self.server = client, server  # writers
        self.lost = self.half = self.orphan = False

    def reset(self):
        reset(self.client)
        reset(self.server)


class Link:
    host = "127.0.0.1"

    def __init__(self, port, target, seed=0):
        self.port, self.target = port, target
        self.random = random.Random(seed)
        self.server, self.wires, self.tasks = None, set(), set()
        self.gates = {"up": asyncio.Event(), "down": asyncio.Event()}
        self.delay, self.cuts, self.losing = (0.0, 0.0), 0, False
        self.counts = {"wires": 0, "cut": 0, "lost": 0}
        for gate in self.gates.values():
            gate.set()

    async def open(self):
        if self.server is None:
            self.server = await asyncio.start_server(self._serve, self.host, self.port)
        return self

    async def close(self):
        await self._stop_listening()
        await self.heal()
        for wire in list(self.wires):
            wire.reset()
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=5)

    async def _stop_listening(self):
        if self.server is not None:
            self.server.close()
            self.server = None

    # ---- what may befall it ----

    def slow(self, low, high):
        """Seconds, for each piece and direction."""
        self.delay = (low, high)

    def hold(self, *directions):
        for direction in directions:
            self.gates[direction].clear()

    def lose(self):
        self.losing = True

    def cut(self, answers):
        self.cuts = answers

    def half(self):
        for wire in self.wires:
            wire.half = True
            reset(wire.server)

    def orphan(self):
        for wire in self.wires:
            wire.orphan = True
            reset(wire.client)

    async def refuse(self):
        await self._stop_listening()
        for wire in list(self.wires):
            wire.reset()

    async def heal(self, listen=False):
        """As if nothing had ever been; what was held arrives now."""
        self.delay, self.cuts, self.losing = (0.0, 0.0), 0, False
        for wire in list(self.wires):
            if wire.lost or wire.half or wire.orphan:
                wire.reset()
        for gate in self.gates.values():
            gate.set()
        if listen:
            await self.open()

    # ---- carrying ----

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self.tasks.add(task)
        try:
            wire, server_reader = await self._wired(writer)
            if wire is not None:
                pumps = [self._pump(wire, "up", reader, wire.server), self._pump(wire, "down", server_reader, writer)]
                await asyncio.gather(*pumps)
                wire.reset()
                self.wires.discard(wire)
        finally:
            self.tasks.discard(task)

    async def _wired(self, writer):
        """The way on to the store. Where there is none the end is reset, the nearest that a relay comes to a refusal."""
        try:
            server_reader, server = await asyncio.open_connection(self.host, self.target)
        except OSError:
            reset(writer)
            return None, None
        if self.server is None:  # refused meanwhile
            reset(writer)
            reset(server)
            return None, None
        for end in (writer, server):
            end.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire = _Wire(writer, server)
        self.wires.add(wire)
        self.counts["wires"] += 1
        return wire, server_reader

    async def _pump(self, wire, direction, reader, writer):
        gate = self.gates[direction]
        try:
            while data := await reader.read(CHUNK):
                if self.delay[1] > 0:
                    await asyncio.sleep(self.random.uniform(*self.delay))
                await gate.wait()
                if wire.half or self._vanishes(wire, direction):
                    continue
                writer.write(data)
                await writer.drain()
        except BROKEN:
            pass
        await gate.wait()
        if not (wire.half and direction == "down") and not (wire.orphan and direction == "up"):
            writer.close()

    def _vanishes(self, wire, direction):
        if self.losing:
            wire.lost = True
            self.counts["lost"] += 1
            return True
        if direction == "down" and self.cuts > 0:
            self.cuts -= 1
            self.counts["cut"] += 1
            wire.reset()
            return True
        return False
