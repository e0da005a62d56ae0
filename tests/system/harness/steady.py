"""A client that asks one plain GET after the other, in a process of its own: whatever the test does, and Python's lock, does
not disturb its clock. As a program: steady.py PORT, until its input ends; then it prints what it has seen as JSON."""
import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

REQUEST = b"*2\r\n$3\r\nGET\r\n$5\r\nplain\r\n"
ANSWER = b"$5\r\nvalue\r\n"


def at(took, part):
    return took[min(len(took) - 1, int(len(took) * part))] * 1000


def ask_steadily(port, over):
    """[(when, how long)] in seconds, and answers that were wrong."""
    took, wrong = [], []
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while not over.is_set():
            began = time.monotonic()
            sock.sendall(REQUEST)
            answer = sock.recv(4096)
            took.append(time.monotonic() - began)
            if answer != ANSWER:
                wrong.append(repr(answer))
                break
    return took, wrong


def main(port):
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    took, wrong = ask_steadily(port, over)
    took.sort()
    parts = {"p50": 0.5, "p99": 0.99, "p999": 0.999, "max": 1.0}
    print(json.dumps({"asked": len(took), "wrong": wrong, **{name: at(took, part) for name, part in parts.items()}}))


class Steady:
    """Asks from now on; stop() tells {asked, wrong, p50, p99, p999, max}, times in ms. The key must be there."""

    def __init__(self, endpoint):
        command = [sys.executable, str(Path(__file__).resolve()), str(endpoint.port)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def stop(self):
        return json.loads(self.process.communicate("", timeout=20)[0])


if __name__ == "__main__":
    main(int(sys.argv[1]))
