"""memory: what an idle client costs a proxy, from the resident size in /proc before and after.

Each client says PING once and then keeps still, as the connections of a pool do.
"""
import contextlib
import socket
import time

import peers

SETTLE_SECONDS = 1.0
OWN_DESCRIPTORS = 200


def clients_possible(stage, name, wanted):
    """As many of the wanted connections as the descriptor limit lets both sides hold."""
    least = stage.descriptors - OWN_DESCRIPTORS
    if name == "haproxy":
        least = min(least, peers.haproxy_clients(stage.descriptors))
    return min(wanted, least)


def greeted(port):
    """A connection that has had its PING answered. Raises OSError."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(b"*1\r\n$4\r\nPING\r\n")
    reply = connection.recv(64)
    if reply != b"+PONG\r\n":
        connection.close()
        raise ConnectionError(f"PING was answered {reply!r}")
    return connection


def idle_clients(stage, name, wanted):
    """Starts the proxy afresh; {"clients", "wanted", "before", "after", "per_client"}, sizes in bytes."""
    count = clients_possible(stage, name, wanted)
    peer = stage.start(name)
    time.sleep(SETTLE_SECONDS)
    before = peer.resident_bytes()
    with contextlib.ExitStack() as held:
        for number in range(count):
            try:
                held.enter_context(greeted(peer.port))
            except OSError as error:
                raise peers.BenchError(f"{name}: idle client {number + 1} of {count}: {error}") from None
        time.sleep(SETTLE_SECONDS)
        after = peer.resident_bytes()
    return {"clients": count, "wanted": wanted, "before": before, "after": after,
            "per_client": (after - before) / count}
