"""Backups: what the proxy is told of them, convctl backup, and the way back."""
import pytest
from harness import NOBODY, eventually

pytestmark = pytest.mark.managed

LAST = "conv_backup_last_success_timestamp_seconds"


def last_success(proxy, kind):
    return proxy.metrics()[f'{LAST}{{kind="{kind}"}}']


def test_the_proxy_remembers_the_last_backup(make_proxy):
    proxy = make_proxy(NOBODY).start()
    assert proxy.get_json("/api/v1/backups") == {
        "backups": [{"kind": "keys", "lastSuccess": None}, {"kind": "rdb", "lastSuccess": None}]
    }
    status, text = proxy.http("/api/v1/backups", {"kind": "tape"})
    assert status == 400 and "keys" in text
    told = proxy.post_json("/api/v1/backups", {"kind": "keys", "path": "/b/1", "bytes": 5, "keys": 1})["backups"]
    assert told[0]["lastSuccess"] > 1.7e12 and told[1]["lastSuccess"] is None
    eventually(lambda: "event=backup_done" in proxy.log_text())
    proxy.restart()
    eventually(lambda: proxy.get_json("/api/v1/backups")["backups"] == told, timeout=10)
    assert last_success(proxy, "keys") == told[0]["lastSuccess"] // 1000
    assert last_success(proxy, "rdb") == 0
