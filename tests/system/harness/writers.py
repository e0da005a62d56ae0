"""Clients that write what harness/checker.py can check: pipelines of appends, counts, registers, deletes and transactions
over two keys, each with its entry in a history."""
import random
import threading

from .checker import FAIL, INFO, OK
from .resp import RespConn, RespError, encode

UNKNOWN = "may or may not have run"


def value_of(client, seq):
    return f"{client}:{seq}"


def padded(value, limit=4096):
    """As it is stored in a register: with a tail that follows from the value, so that torn values show."""
    return f"{value} {'.' * (hash_of(value) % limit)}"


def hash_of(value):
    return sum(ord(c) * 31**i for i, c in enumerate(value)) % 65521


def plain(stored):
    """And back; what no writer has written comes back as it is, and is a phantom to the checker."""
    text = stored.decode()
    value = text.split(" ")[0]
    return value if padded(value) == text else text


class Keys:
    """The keys of one history."""

    def __init__(self, prefix):
        self.lists = [f"{prefix}list:{i}" for i in range(4)]
        self.pairs = [(f"{prefix}pair:{i}:left", f"{prefix}pair:{i}:right") for i in range(2)]
        self.gone = [f"{prefix}gone:{i}" for i in range(3)]
        self.counters = [f"{prefix}count:{i}" for i in range(3)]
        self.registers = [f"{prefix}register:{i}" for i in range(4)]

    def all_lists(self):
        return [*self.lists, *(key for pair in self.pairs for key in pair), *self.gone]


class Client:
    """One connection and its entries in the history."""

    def __init__(self, endpoint, history, number, timeout=15):
        self.conn = RespConn.to(endpoint, timeout)
        self.history, self.number, self.seq = history, number, 0

    def begin(self, kind, keys, named=False):
        self.seq += 1
        return self.history.begin(self.number, self.seq, keys, kind, value_of(self.number, self.seq) if named else None)

    def append(self, key):
        op = self.begin("append", key, named=True)
        return op, [("RPUSH", key, op.value)]

    def append_to_both(self, pair):
        op = self.begin("append", pair, named=True)
        return op, [("MULTI",), *(("RPUSH", key, op.value) for key in pair), ("EXEC",)]

    def count(self, key):
        return self.begin("incr", key), [("INCR", key)]

    def set(self, key):
        op = self.begin("set", key, named=True)
        return op, [("SET", key, padded(op.value))]

    def delete(self, key):
        return self.begin("delete", key), [("DEL", key)]

    def read_list(self, key):
        return self.begin("read", key), [("LRANGE", key, 0, -1)]

    def read_value(self, key):
        return self.begin("read", key), [("GET", key)]

    def run(self, requests):
        """Sends (op, commands) pairs in one write and files how each ended. Raises OSError when the connection ends; the
        operations without an answer are INFO then."""
        waiting = list(requests)
        try:
            self.conn.send(b"".join(encode(*command) for _, commands in waiting for command in commands))
            while waiting:
                op, commands = waiting[0]
                self.file(op, [self.conn.read() for _ in commands][-1])
                waiting.pop(0)
        except OSError:
            for op, _ in waiting:
                self.history.end(op, INFO)
            raise

    def file(self, op, reply):
        if isinstance(reply, RespError):
            self.history.end(op, INFO if UNKNOWN in reply else FAIL, str(reply))
        elif op.op == "read" and reply is not None:
            if isinstance(reply, list):
                reply = [element.decode() for element in reply]
            else:
                reply = int(reply) if reply.isdigit() else plain(reply)
            self.history.end(op, OK, reply)
        else:
            self.history.end(op, OK, reply if op.op == "incr" else None)

    def read_all(self, keys):
        self.run([*(self.read_list(key) for key in keys.all_lists()),
                  *(self.read_value(key) for key in (*keys.counters, *keys.registers))])


class Writer(threading.Thread):
    """A client that writes until its connection ends or stop is set. problem: what should not have happened."""

    def __init__(self, endpoint, history, number, keys, seed, depth=24, stop=None):
        super().__init__(daemon=True)
        self.client = Client(endpoint, history, number)
        self.keys, self.random, self.depth = keys, random.Random(seed), depth
        self.ended, self.problem = stop or threading.Event(), None

    def request(self):
        keys, client, choose = self.keys, self.client, self.random.choice
        make, among = self.random.choices(
            [(client.append, keys.lists), (client.append_to_both, keys.pairs), (client.count, keys.counters),
             (client.set, keys.registers), (client.append, keys.gone), (client.delete, keys.gone),
             (client.read_list, keys.all_lists()), (client.read_value, keys.registers)],
            [30, 8, 20, 10, 20, 4, 1, 4])[0]
        return make(choose(among))

    def run(self):
        try:
            while not self.ended.is_set():
                self.client.run([self.request() for _ in range(self.random.randint(1, self.depth))])
        except TimeoutError:
            self.problem = "no answer in time"
        except OSError:
            pass
        except Exception as problem:  # a thread's exception would be nobody's
            self.problem = repr(problem)
        finally:
            self.client.conn.close()
