"""Wall clocks that jump: a library put before libc, and a file that says by how much (shifted_clock.c).

libfaketime does the same by text that it reads again now and then; here a jump is seen by the very next call."""
import mmap
import struct
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("shifted_clock.c")


def build(folder):
    """The library, compiled into the folder."""
    library = Path(folder) / "shifted_clock.so"
    if not library.exists():
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, SOURCE], check=True)
    return library


class Clock:
    """One process's clock. shift(0): the machine's again."""

    def __init__(self, folder, name, library, spares=""):
        self.path, self.library, self.spares = Path(folder) / f"clock-{name}", library, spares
        self.path.write_bytes(bytes(8))
        with open(self.path, "r+b") as file:
            self.shown = mmap.mmap(file.fileno(), 8)

    def shift(self, seconds):
        self.shown[:] = struct.pack("=q", round(seconds * 1_000_000))

    def environment(self):
        return {"LD_PRELOAD": str(self.library), "CHAOS_CLOCK_FILE": str(self.path), "CHAOS_CLOCK_SPARES": self.spares}
