"""A redis-server whose clock stands still until a test moves it: tests/unit/engine/frozen_clock.c inside of it.

Two stores that execute one command at two moments may both be right and still differ: XADD * names the millisecond, and
EXPIRE … GT on top of an equal EXPIRE does something only when the clock has ticked in between. So both see one clock, and
it moves between commands only."""
import mmap
import os
import struct

from .redis_server import RedisServer


class FrozenRedis(RedisServer):
    def __init__(self, folder, library):
        super().__init__(folder)
        self.library = library
        self.clock_path = self.folder / "clock"
        self.clock_path.write_bytes(bytes(8))
        with open(self.clock_path, "r+b") as file:
            self.shown = mmap.mmap(file.fileno(), 8)
        self.set_clock(1)

    def set_clock(self, now_ms):
        self.shown[:] = struct.pack("=q", round(now_ms * 1000))

    def environment(self):
        return {**os.environ, "LD_PRELOAD": str(self.library), "CONV_CLOCK_FILE": str(self.clock_path)}
