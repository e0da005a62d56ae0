"""ioredis 6, both protocols: tests/clients/ioredis.js does the talking."""
import shutil
import subprocess

import pytest
from harness.proxy import ROOT

CLIENTS = ROOT / "tests" / "clients"
# No limits: the scenarios are Redis's own behaviour, which a policy without limits must not change.
PROXY_CONFIG = {"policies": [{"name": "conv", "match": "conv:*", "max_messages": 0}]}


def why_not():
    node = shutil.which("node")
    if not node:
        return "node is not on PATH"
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.lstrip("v").split(".")[0]) < 20:
        return f"ioredis 6 needs Node 20, this is {version}"
    if not (CLIENTS / "node_modules" / "ioredis").is_dir():
        return "ioredis is not installed: make test-tools"
    return None


@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
@pytest.mark.parametrize("prefix", ["app:", "conv:"], ids=["unmanaged", "managed"])
@pytest.mark.parametrize("protocol", [2, 3], ids=["resp2", "resp3"])
def test_ioredis(proxy, real, protocol, prefix):
    command = ["node", "ioredis.js", proxy.host, str(proxy.port), str(protocol), prefix]
    run = subprocess.run(command, cwd=CLIENTS, capture_output=True, text=True, timeout=50, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.splitlines()[-1] == "ok errors"
    assert real.get(f"{prefix}p99") == "99"
