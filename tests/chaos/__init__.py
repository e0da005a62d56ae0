"""Chaos: a seed becomes a schedule of faults, clients write and read while it runs, and a checker decides from the written
history whether anything that was acknowledged is lost, doubled, out of order or revived.

    python -m tests.chaos --seed 7 [--archive sqlite|ferretdb] [--proxies 3] [--minutes 2]
    python -m tests.chaos --seeds 200         # one after the other, two at a time; the failing ones are listed in the end
    python -m tests.chaos --check /tmp/chaos-7

schedule   what a seed means                 faults     what can happen, one row each
link       the network between two parties   actors     Redis, the archives, the proxies
workload   the clients, W1 to W10            stores     what both stores hold in the end
rules      the checker, C1 to C12            run        one seed from start to verdict"""
import sys
from pathlib import Path

# The servers, the clients and the first half of the checker are those of the system tests.
SYSTEM = str(Path(__file__).resolve().parents[1] / "system")
if SYSTEM not in sys.path:
    sys.path.insert(0, SYSTEM)
