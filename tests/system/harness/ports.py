"""Free TCP ports on loopback."""
import random
import socket

# Below the range the kernel gives to outgoing connections, so that no client can take the port before the server does.
FIRST, LAST = 20000, 32000
_given = set()


def free_port():
    """A port that nothing listens on and that this run has not handed out before."""
    while True:
        port = random.randint(FIRST, LAST)
        if port in _given:
            continue
        _given.add(port)
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
