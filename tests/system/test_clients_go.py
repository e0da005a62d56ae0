"""go-redis 9, both protocols: tests/clients/goredis.go does the talking."""
import subprocess

import pytest
from harness.proxy import ROOT

BINARY = ROOT / "build" / "clients" / "goredis"
# No limits: the scenarios are Redis's own behaviour, which a policy without limits must not change.
PROXY_CONFIG = {"policies": [{"name": "conv", "match": "conv:*", "max_messages": 0}]}


@pytest.mark.skipif(not BINARY.exists(), reason="the go-redis client is not built (needs Go 1.21): make test-tools")
@pytest.mark.parametrize("prefix", ["app:", "conv:"], ids=["unmanaged", "managed"])
@pytest.mark.parametrize("protocol", [2, 3], ids=["resp2", "resp3"])
def test_go_redis(proxy, real, protocol, prefix):
    command = [str(BINARY), f"{proxy.host}:{proxy.port}", str(protocol), prefix]
    run = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.splitlines()[-1] == "ok errors"
    assert real.get(f"{prefix}p99") == "99"
