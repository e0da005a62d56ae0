"""The ledger against a store: every acknowledged message is there, once, in its order."""

import json

from demo.chat import number_of
from demo.resp import Client, ReplyError

PAGE = 200


class Result:
    def __init__(self):
        self.conversations = self.messages = 0
        self.lost, self.doubled, self.wrong = [], [], []

    def good(self):
        return not (self.lost or self.doubled or self.wrong)

    def __str__(self):
        if self.good():
            return f"{self.messages} acknowledged messages of {self.conversations} conversations: all there, once, in order"
        named = [("lost", self.lost), ("there twice", self.doubled), ("not as acknowledged", self.wrong)]
        return "; ".join(f"{len(found)} {what}, as {', '.join(map(str, found[:3]))}" for what, found in named if found)


def _stored(reply, whole):
    """Numbers of the messages that a key holds."""
    if reply is None:
        return []
    return [message["seq"] for message in json.loads(reply)] if whole else [number_of(message) for message in reply]


def _compare(result, key, entry, stored):
    # What nobody was told of may be there or not.
    known = [number for number in stored if number not in entry.doubtful]
    result.lost += [f"{key}#{number}" for number in entry.acknowledged if number not in stored]
    result.doubled += [f"{key}#{number}" for number in set(stored) if stored.count(number) > 1]
    if sorted(set(known)) == sorted(entry.acknowledged) and known != entry.acknowledged:
        result.wrong.append(f"{key} (order)")
    result.wrong += [f"{key}#{number} (never acknowledged)" for number in set(known) - set(entry.acknowledged)]
    result.conversations += 1
    result.messages += len(entry.acknowledged)


def compare(ledger, port):
    """Reads every conversation from whoever listens there; the clients must not write meanwhile."""
    result, items = Result(), [(key, entry) for key, entry in ledger.items() if entry.acknowledged or entry.doubtful]
    with Client(port) as client:
        for start in range(0, len(items), PAGE):
            page = items[start : start + PAGE]
            replies = client.pipeline([("GET", key) if entry.whole else ("LRANGE", key, 0, -1) for key, entry in page])
            for (key, entry), reply in zip(page, replies):
                if isinstance(reply, ReplyError):
                    result.wrong.append(f"{key} ({reply})")
                else:
                    _compare(result, key, entry, _stored(reply, entry.whole))
    return result
