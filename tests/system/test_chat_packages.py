"""Chat packages, unmodified, on a policy of twenty messages: what ends up in the real Redis.

LangChain pushes at the head (newest first), OpenAI Agents and llama-index at the tail; the limit must take the oldest
message in each case. An unmanaged key of the same program stays exactly as it was written."""
import asyncio
import json

import pytest

pytestmark = [pytest.mark.sanitize, pytest.mark.managed, pytest.mark.timeout(120)]

TTL, LIMIT, MESSAGES = 2592000, 20, 100
NEWEST = [f"message {number}" for number in range(MESSAGES - LIMIT, MESSAGES)]
PROXY_CONFIG = {"policies": [{"name": "conv", "match": "conv:*", "max_messages": LIMIT}]}


def check_managed(real, key, kind):
    assert real.type(key) == kind
    assert TTL - 100 < real.ttl(key) <= TTL


def check_untouched(real, key):
    assert real.llen(key) == MESSAGES
    assert real.ttl(key) == -1


def langchain_history(proxy, prefix):
    from langchain_community.chat_message_histories import RedisChatMessageHistory

    return RedisChatMessageHistory("42", url=proxy.url, key_prefix=prefix)


def test_langchain(proxy, real):
    managed, unmanaged = langchain_history(proxy, "conv:"), langchain_history(proxy, "message_store:")
    for number in range(MESSAGES):
        for history in (managed, unmanaged):
            history.add_user_message(f"message {number}")
    assert [message.content for message in managed.messages] == NEWEST
    stored = [json.loads(item)["data"]["content"] for item in real.lrange("conv:42", 0, -1)]
    assert stored == NEWEST[::-1]
    check_managed(real, "conv:42", "list")
    check_untouched(real, "message_store:42")
    managed.clear()
    assert managed.messages == [] and real.exists("conv:42") == 0


def test_langchain_keeps_its_own_ttl(proxy, real):
    history = langchain_history(proxy, "conv:")
    history.ttl = 600
    history.add_ai_message("hello")
    assert 590 <= real.ttl("conv:42") <= 600


def test_llama_index(proxy, real):
    from llama_index.core.llms import ChatMessage
    from llama_index.storage.chat_store.redis import RedisChatStore

    store = RedisChatStore(redis_url=proxy.url)
    for number in range(MESSAGES):
        for key in ("conv:li", "app:li"):
            store.add_message(key, ChatMessage(role="user", content=f"message {number}"))
    assert [message.content for message in store.get_messages("conv:li")] == NEWEST
    stored = [json.loads(item)["blocks"][0]["text"] for item in real.lrange("conv:li", 0, -1)]
    assert stored == NEWEST
    check_managed(real, "conv:li", "list")
    check_untouched(real, "app:li")
    assert sorted(store.get_keys()) == ["app:li", "conv:li"]
    store.delete_last_message("conv:li")
    assert [message.content for message in store.get_messages("conv:li")] == NEWEST[:-1]
    check_managed(real, "conv:li", "list")
    store.delete_messages("conv:li")
    assert store.get_messages("conv:li") == [] and real.exists("conv:li") == 0


async def agents_conversation(proxy, prefix):
    from agents.extensions.memory import RedisSession

    session = RedisSession.from_url("42", url=proxy.url, key_prefix=prefix)
    assert await session.ping()
    for number in range(MESSAGES):
        await session.add_items([{"role": "user", "content": f"message {number}"}])
    items = await session.get_items()
    latest = await session.get_items(limit=3)
    popped = await session.pop_item()
    await session.close()
    return [[item["content"] for item in some] for some in (items, latest, [popped])]


def test_openai_agents(proxy, real):
    items, latest, popped = asyncio.run(agents_conversation(proxy, "conv:agents"))
    assert items == NEWEST
    assert latest == NEWEST[-3:]
    assert popped == NEWEST[-1:]
    stored = [json.loads(item)["content"] for item in real.lrange("conv:agents:42:messages", 0, -1)]
    assert stored == NEWEST[:-1]
    check_managed(real, "conv:agents:42:messages", "list")
    check_managed(real, "conv:agents:42", "hash")
    assert real.hget("conv:agents:42", "session_id") == "42"


def test_openai_agents_on_unmanaged_keys(proxy, real):
    items, _, popped = asyncio.run(agents_conversation(proxy, "agents:session"))
    assert items[-LIMIT:] == NEWEST and len(items) == MESSAGES
    assert popped == NEWEST[-1:]
    assert real.llen("agents:session:42:messages") == MESSAGES - 1
    assert real.ttl("agents:session:42:messages") == -1


def test_openai_agents_batch_and_clear(proxy, real):
    from agents.extensions.memory import RedisSession

    async def talk():
        session = RedisSession.from_url("b", url=proxy.url, key_prefix="conv:agents", ttl=900)
        await session.add_items([{"role": "user", "content": f"message {n}"} for n in range(MESSAGES)])
        items = await session.get_items()
        ttl = real.ttl("conv:agents:b:messages")
        await session.clear_session()
        await session.close()
        return [item["content"] for item in items], ttl

    items, ttl = asyncio.run(talk())
    assert items == NEWEST
    assert 890 <= ttl <= 900
    assert proxy.client().keys("*") == [] and not [key for key in real.keys("*") if not key.startswith("cvp:")]
