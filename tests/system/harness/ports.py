"""Free TCP ports on loopback, for several test runs at a time: each hands out ports of blocks that it alone has."""
import random
import socket

# Below the range the kernel gives to outgoing connections, so that no client can take the port before the server does.
FIRST, LAST = 20000, 32000
BLOCK = 400
_locks = []  # of the blocks that are ours; the kernel takes them back when the process ends
_ours = []  # all of our blocks' ports
_next = []  # those that come next; they are handed out again when all were


def _claim():
    """One more block that no other run has; False when there is none left."""
    firsts = list(range(FIRST, LAST, BLOCK))
    random.shuffle(firsts)
    for first in firsts:
        lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            lock.bind(f"\0convproxy tests, ports {first}")
        except OSError:
            lock.close()
            continue
        _locks.append(lock)
        ports = random.sample(range(first, first + BLOCK), BLOCK)
        _ours.extend(ports)
        _next.extend(ports)
        return True
    return False


def _candidate():
    if not _next and not _claim():
        assert _ours, f"other runs have all ports between {FIRST} and {LAST}"
        _next.extend(_ours)
    return _next.pop(0)


def free_port():
    """A port that nothing listens on, that no other run hands out, and this one not again as long as there are others."""
    while True:
        port = _candidate()
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
