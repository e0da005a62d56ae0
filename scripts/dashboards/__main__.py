"""python3 -m dashboards, with scripts/ in PYTHONPATH: writes deploy/grafana/dashboards/*.json; --check only compares."""

import json
import sys
from pathlib import Path

from dashboards import failover, overview, store, tiers

FOLDER = Path(__file__).resolve().parents[2] / "deploy/grafana/dashboards"


def texts():
    """{file name: its content}"""
    made = [module.build() for module in (overview, store, failover, tiers)]
    return {f"{each['uid'].removeprefix('convproxy-')}.json": json.dumps(each, indent=1, ensure_ascii=False) + "\n" for each in made}


def main():
    wanted = texts()
    if "--check" in sys.argv[1:]:
        old = [name for name, text in wanted.items() if not (FOLDER / name).is_file() or (FOLDER / name).read_text() != text]
        old += sorted(path.name for path in FOLDER.glob("*.json") if path.name not in wanted)
        print("".join(f"{name} is not what scripts/dashboards says: make dashboards\n" for name in old), end="")
        return 1 if old else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in wanted.items():
        (FOLDER / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
