"""Real servers, real clients: what the system tests are made of."""
from .ports import free_port
from .proxy import DirectProxy, Proxy
from .redis_server import RedisServer
from .resp import Push, RespConn, RespError, Status
from .wait import eventually

__all__ = ["DirectProxy", "Proxy", "Push", "RedisServer", "RespConn", "RespError", "Status", "eventually", "free_port"]
