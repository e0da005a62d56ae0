"""Real servers, real clients: what the system tests are made of."""
from .ports import free_port
from .proxy import DirectProxy, Proxy
from .redis_server import RedisServer
from .resp import Push, RespConn, RespError, Status
from .wait import eventually

NOBODY = "redis://127.0.0.1:1/0"  # nothing listens there: the archive has all keys
SERVES_ALL = {"conv.match": "*", "conv.primary": "archive", "conv.ttl": 0, "conv.max_messages": 0, "proxy.threads": 2}

__all__ = ["NOBODY", "SERVES_ALL", "DirectProxy", "Proxy", "Push", "RedisServer", "RespConn", "RespError", "Status", "eventually", "free_port"]
