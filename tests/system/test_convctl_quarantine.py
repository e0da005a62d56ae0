"""convctl quarantine: what was put aside is listed, shown beside what its key holds, put back (and that undone), put elsewhere, dropped."""
import json

import pytest
from harness.ctl import convctl_of
from test_quarantine import torn  # noqa: F401

pytestmark = [pytest.mark.managed, pytest.mark.timeout(90)]

OK, REFUSED, USAGE = 0, 1, 2


def test_quarantine(torn):  # noqa: F811
    proxy, _, direct = torn

    def convctl(*args):
        return convctl_of(proxy, "quarantine", *args)

    listed = convctl()
    assert listed.returncode == OK and listed.stdout == convctl("ls").stdout and listed.stdout.endswith("2 in quarantine\n")
    numbers = {e["key"]: e["number"] for e in json.loads(convctl("ls", "--json").stdout)["entries"]}
    a, b = numbers["conv:a"], numbers["conv:b"]
    shown = convctl("show", a).stdout
    assert f"entry {a} of key conv:a\n" in shown and "put aside   list of 2\n  mine\n  alone\nRedis   list of 2\n  first\n  second\n" in shown
    assert "differs    item 0 differs" in shown
    assert json.loads(convctl("show", a, "--json").stdout)["entry"]["items"] == ["mine", "alone"]
    done = convctl("restore", a)
    assert done.returncode == USAGE and "--yes" in done.stderr and direct.lrange("conv:a", 0, -1) == [b"first", b"second"]
    done = convctl("restore", a, "--yes")
    assert done.returncode == OK and f"restored   entry {a} as conv:a\nto undo    " in done.stdout, done.stderr
    assert direct.lrange("conv:a", 0, -1) == [b"mine", b"alone"]
    undo = next(e["number"] for e in json.loads(convctl("ls", "-j").stdout)["entries"] if e["key"] == "conv:a")
    assert convctl("restore", undo, "-y").returncode == OK and direct.lrange("conv:a", 0, -1) == [b"first", b"second"]
    done = convctl("restore", b, "--as", "conv:a", "-y")
    assert done.returncode == REFUSED and "refused: " in done.stderr
    assert convctl("restore", b, "--as", "conv:new", "-y").returncode == OK and direct.type("conv:new") == b"hash"
    last = json.loads(convctl("ls", "-j").stdout)["entries"][0]["number"]
    assert convctl("drop", last).returncode == USAGE
    assert convctl("drop", last, "-y").stdout == f"dropped    entry {last}\n"
    assert convctl("drop", last, "-y").returncode == convctl("show", last).returncode == REFUSED
    assert convctl().stdout == "nothing is in quarantine\n"
    for words in (["show"], ["show", "x"], ["ls", "1"], ["melt", "1"], ["restore", "0"]):
        assert convctl(*words).returncode == USAGE
