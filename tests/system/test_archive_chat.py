"""The main job without Redis: chat packages talk, the proxy is killed, a new one knows the same conversations. On the embedded
archive, and on what MONGO_URL names, where a MongoDB client sees them as documents."""
import asyncio
import json
import signal
import subprocess

import pytest
from harness.mongo_server import SECOND, mongo_kind, start_mongo
from harness.ports import free_port
from harness.proxy import ROOT
from test_clients_node import why_not as why_not_node

pytestmark = [pytest.mark.timeout(240)]

TTL, LIMIT, MESSAGES = 2592000, 20, 30
NEWEST = [f"message {number}" for number in range(MESSAGES - LIMIT, MESSAGES)]
CONFIG = {"policies": [{"name": "conv", "match": "conv:*", "max_messages": LIMIT}]}


@pytest.fixture(params=["sqlite", "mongo", "mongo-java-server"])
def archive(request, tmp_path):
    """(environment of the proxy, pymongo's collection of documents or None)"""
    if request.param == "sqlite":
        yield {}, None
        return
    mongo = start_mongo(SECOND if request.param == SECOND.name else mongo_kind(), tmp_path)
    with mongo.client() as client:
        database = mongo.url.rsplit("/", 1)[1].split("?")[0]
        yield {"MONGO_URL": mongo.url, "CONV_STORE_PRIMARY": "mongo"}, client[database]["keys"]
    mongo.kill()


def langchain(proxy):
    from langchain_community.chat_message_histories import RedisChatMessageHistory

    return RedisChatMessageHistory("lc", url=proxy.url, key_prefix="conv:")


async def agents(proxy, write):
    from agents.extensions.memory import RedisSession

    session = RedisSession.from_url("ag", url=proxy.url, key_prefix="conv:agents")
    for number in range(MESSAGES if write else 0):
        await session.add_items([{"role": "user", "content": f"message {number}"}])
    items = await session.get_items()
    await session.close()
    return [item["content"] for item in items]


def seen(proxy, client):
    return {
        "redis-py": [json.loads(item)["content"] for item in client.lrange("conv:py", 0, -1)],
        "langchain": [message.content for message in langchain(proxy).messages],
        "agents": asyncio.run(agents(proxy, False)),
    }


def talk(proxy, client):
    history = langchain(proxy)
    for number in range(MESSAGES):
        client.rpush("conv:py", json.dumps({"role": "user", "content": f"message {number}"}))
        history.add_user_message(f"message {number}")
    asyncio.run(agents(proxy, True))


def test_a_conversation_survives_kill_9(archive, make_proxy):
    env, collection = archive
    proxy = make_proxy(f"redis://127.0.0.1:{free_port()}/0", CONFIG, env=env).start()
    with proxy.client(decode_responses=True) as client:
        talk(proxy, client)
        before = seen(proxy, client)
        assert before == {"redis-py": NEWEST, "langchain": NEWEST, "agents": NEWEST}
        assert TTL - 60 < client.ttl("conv:py") <= TTL
    proxy.signal(signal.SIGKILL)
    proxy.process.wait()
    proxy.process = None
    proxy.start()
    with proxy.client(decode_responses=True) as client:
        assert seen(proxy, client) == before
        assert client.rpush("conv:py", json.dumps({"role": "user", "content": "again"})) == LIMIT
    if collection is None:
        return
    document = collection.find_one({"_id": "conv:py"})
    assert document["t"] == "list" and document["n"] == LIMIT
    assert json.loads(document["v"][-1])["content"] == "again"
    assert {key["_id"] for key in collection.find({"t": "list"})} >= {"conv:py", "conv:lc", "conv:agents:ag:messages"}


@pytest.mark.skipif(why_not_node() is not None, reason=str(why_not_node()))
@pytest.mark.parametrize("protocol", [2, 3], ids=["resp2", "resp3"])
def test_ioredis_on_the_embedded_archive(make_proxy, protocol):
    policy = {"name": "conv", "match": "*", "primary": "archive", "max_messages": 0, "ttl": 0}
    config = {"policies": [policy]}
    proxy = make_proxy(f"redis://127.0.0.1:{free_port()}/0", config).start()
    command = ["node", "ioredis.js", proxy.host, str(proxy.port), str(protocol), "app:"]
    run = subprocess.run(command, cwd=ROOT / "tests" / "clients", capture_output=True, text=True, timeout=50, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.splitlines()[-1] == "ok errors"
