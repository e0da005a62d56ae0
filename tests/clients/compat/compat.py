"""compat.py HOST PORT PROTOCOL PREFIX STEPS with redis-py: a line of JSON for each step of steps.json, its reply."""
import json
import sys

import redis

host, port, protocol, prefix, path = sys.argv[1:]
client = redis.Redis(host=host, port=int(port), protocol=int(protocol), decode_responses=True, single_connection_client=True)
client.response_callbacks.clear()  # the replies as they come


def plain(reply):
    if isinstance(reply, (list, tuple)):
        return [plain(item) for item in reply]
    if isinstance(reply, (set, frozenset)):
        return sorted(map(str, reply))
    if isinstance(reply, dict):
        return {str(key): plain(value) for key, value in reply.items()}
    return {"error": str(reply)} if isinstance(reply, Exception) else reply


for step in json.load(open(path))["steps"]:
    try:
        reply = plain(client.execute_command(*(word.replace("{}", prefix) for word in step)))
    except redis.RedisError as error:
        reply = {"error": str(error)}
    print(json.dumps(reply))
