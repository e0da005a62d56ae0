"""A replica set of one, by its protocol alone: what backends/mongo asks, in memory, with transactions, and errors on demand.
It stands for what FerretDB and mongo-java-server do not have. It shows how we use libmongoc, not what MongoDB does."""
import copy
import socketserver
import struct
import threading

import bson
import bson.codec_options

# Dates beyond the year 9999 are numbers.
OPTIONS = bson.CodecOptions(datetime_conversion=bson.codec_options.DatetimeConversion.DATETIME_MS)
OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
HELLO = {
    "ismaster": True, "isWritablePrimary": True, "setName": "fake", "setVersion": 1, "maxBsonObjectSize": 16 << 20,
    "maxMessageSizeBytes": 48000000, "maxWriteBatchSize": 100000, "minWireVersion": 0, "maxWireVersion": 17,
    "logicalSessionTimeoutMinutes": 30,
}  # fmt: skip
TESTS = {"$gte": lambda a, b: a >= b, "$lt": lambda a, b: a < b, "$eq": lambda a, b: a == b, "$in": lambda a, b: a in b}


class Refused(Exception):
    def __init__(self, code, *labels):
        super().__init__(f"refused with {code}")
        self.reply = {"ok": 0.0, "errmsg": str(self), "code": code, "errorLabels": list(labels)}


LOST = "lost"  # it is done, and the connection ends instead of an answer


def matches(doc, query):
    for name, wanted in query.items():
        for test, value in wanted.items() if isinstance(wanted, dict) else [("$eq", wanted)]:
            found = doc.get(name)
            if found is None and value is not None or not TESTS[test](found, value):
                return False
    return True


class Store:
    """A transaction works on a copy of everything; its commit is refused when anything was written since."""

    def __init__(self):
        self.lock = threading.Lock()
        self.data, self.writes = {}, 0
        self.transactions = {}  # (session, number): [copy, writes when it began]
        self.committed = 0
        self.errors = {}  # command name: for the next ones, Refused, or LOST

    def run(self, command):
        name = next(iter(command))
        with self.lock:
            try:
                error = self.errors[name].pop(0) if self.errors.get(name) else None
                if error == LOST:
                    self._run(name, command)
                    return None
                if error is not None:
                    raise error
                return {**self._run(name, command), "ok": 1.0}
            except Refused as refused:
                return refused.reply

    def _run(self, name, command):
        if name.lower() in ("hello", "ismaster"):
            return HELLO
        inside = command.get("autocommit") is False
        key = (bytes(command["lsid"]["id"]), command["txnNumber"]) if inside else None
        if inside and command.get("startTransaction"):
            self.transactions[key] = [copy.deepcopy(self.data), self.writes]
        if inside and key not in self.transactions:
            raise Refused(251, "TransientTransactionError")
        if name in ("commitTransaction", "abortTransaction"):
            return self._end(*self.transactions.pop(key), name == "commitTransaction")
        method = getattr(self, "do_" + name, None)
        if method is None:
            return {}
        if inside and "writeConcern" in command:
            raise Refused(72)
        data = self.transactions[key][0] if inside else self.data
        self.writes += not inside and name in ("insert", "update", "delete")
        return method(data.setdefault(command[name], {}), command)

    def _end(self, data, began, commits):
        if commits and began != self.writes:
            raise Refused(112, "TransientTransactionError")
        if commits:
            self.data, self.writes, self.committed = data, self.writes + 1, self.committed + 1
        return {}

    def do_insert(self, docs, command):
        for at, doc in enumerate(command["documents"]):
            if doc["_id"] in docs:
                return {"n": at, "writeErrors": [{"index": at, "code": 11000, "errmsg": "E11000 duplicate key"}]}
            docs[doc["_id"]] = doc
        return {"n": len(command["documents"])}

    def do_update(self, docs, command):
        n = 0
        for update in command["updates"]:
            found = next((doc for doc in docs.values() if matches(doc, update["q"])), None)
            if found is None and update.get("upsert"):
                found = docs.setdefault(update["q"]["_id"], {"_id": update["q"]["_id"]})
            if found is not None:
                n += 1
                docs[found["_id"]] = self._updated(found, update["u"])
        return {"n": n, "nModified": n}

    @staticmethod
    def _updated(doc, update):
        if not any(name.startswith("$") for name in update):
            return {"_id": doc["_id"], **update}
        doc = {**doc, **update.get("$set", {})}
        return {name: value for name, value in doc.items() if name not in update.get("$unset", {})}

    def do_delete(self, docs, command):
        n = 0
        for delete in command["deletes"]:
            gone = [key for key, doc in docs.items() if matches(doc, delete["q"])]
            for key in gone[:1] if delete["limit"] else gone:
                del docs[key]
                n += 1
        return {"n": n}

    def do_find(self, docs, command):
        found = [doc for doc in docs.values() if matches(doc, command.get("filter", {}))]
        for name in command.get("sort", {}):
            found.sort(key=lambda doc: doc[name])
        found = found[: command.get("limit") or None]
        return {"cursor": {"id": bson.Int64(0), "ns": f"{command['$db']}.{command['find']}", "firstBatch": found}}

    def do_count(self, docs, _command):
        return {"n": len(docs)}


class Connection(socketserver.StreamRequestHandler):
    def handle(self):
        while header := self.rfile.read(16):
            length, number, _, kind = struct.unpack("<iiii", header)
            body = self.rfile.read(length - 16)
            if kind == OP_QUERY:
                end = body.index(b"\0", 4) + 1
                reply = bson.encode(self.server.store.run(bson.decode(body[end + 8 :])))
                self.answer(OP_REPLY, number, struct.pack("<iqii", 8, 0, 0, 1) + reply)
            else:
                reply = self.server.store.run(self.command(body))
                if reply is None:
                    return
                self.answer(OP_MSG, number, struct.pack("<iB", 0, 0) + bson.encode(reply))

    def answer(self, kind, number, body):
        self.wfile.write(struct.pack("<iiii", 16 + len(body), 1, number, kind) + body)

    @staticmethod
    def command(body):
        """The sections of an OP_MSG as one document, the command's name first."""
        flags, at, main, lists = struct.unpack_from("<i", body)[0], 4, {}, {}
        end = len(body) - (4 if flags & 1 else 0)
        while at < end:
            kind, size = body[at], struct.unpack_from("<i", body, at + 1)[0]
            section = body[at + 1 : at + 1 + size]
            at += 1 + size
            if kind == 0:
                main = bson.decode(section, OPTIONS)
            else:
                split = section.index(b"\0", 4)
                lists[section[4:split].decode()] = bson.decode_all(section[split + 1 :], OPTIONS)
        return {**main, **lists}


class FakeMongo(socketserver.ThreadingTCPServer):
    """with FakeMongo() as server: server.url, server.store"""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Connection)
        self.store = Store()
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def url(self):
        return f"mongodb://127.0.0.1:{self.server_address[1]}/convproxy"

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *problem):
        self.shutdown()
        self.thread.join()
        self.server_close()
