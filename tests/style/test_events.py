"""proxy/events.def: sorted, since it is looked up; and each event is one that the product logs."""

import re

import tree


def names():
    text = (tree.ROOT / "proxy/events.def").read_text()
    return re.findall(r'^(?:EVENT|TROUBLE)\("(\w+)"', text, re.MULTILINE)


def test_sorted_and_unique():
    assert len(names()) > 40 and names() == sorted(set(names()))


def test_each_is_logged():
    sources = "".join((tree.ROOT / p).read_text() for p in tree.product_files(tree.ROOT, ".c"))
    logged = set(re.findall(r'"(\w+)"', "".join(re.findall(r"log_event\([^;]*;", sources))))
    assert not [n for n in names() if n not in logged]
