"""Sizes of files and functions: reported, and fatal only far above the aims (style: 40 lines a function, 500 a .c)."""

import re
import statistics

import pytest
import tree

AIM = {"function": 40, "long function": 60, ".c": 500, ".h": 150}
MOST = {".c": 800, ".h": 150}

ATTRIBUTE = re.compile(r"__attribute__\(\(.*?\)\) ")
SIGNATURE = re.compile(r"[A-Za-z_].*?(\w+)\(")


def functions(text):
    """(name, lines) of each function of clang-formatted C: its signature starts a line, its braces stand alone in
    column 0."""
    found = []
    start = open_at = None
    for n, line in enumerate(text.split("\n")):
        if line == "{" and start is not None:
            open_at = n
        elif line == "}" and open_at is not None:
            found.append((start[1], n - start[0] + 1))
            start = open_at = None
        elif open_at is None and SIGNATURE.match(line) and not line.endswith(";"):
            start = (n, SIGNATURE.match(ATTRIBUTE.sub("", line))[1])
        elif open_at is None and line[:1] in ("", "#", "/", "}"):
            start = None
    return found


def line_count(path):
    return len(path.read_text(errors="replace").splitlines())


def too_large(root):
    files = tree.files(root, *MOST)
    return [f"{p}: {line_count(root / p)} lines" for p in files if line_count(root / p) > MOST[p.suffix]]


def report(root):
    """The lines of the report: figures, then whatever is over an aim, largest first."""
    files = tree.product_files(root, ".c")
    sizes = [(lines, f"{p}: {name}") for p in files for name, lines in functions((root / p).read_text())]
    counts = sorted(lines for lines, _ in sizes)
    over = sorted(((n, what) for n, what in sizes if n > AIM["function"]), reverse=True)
    long_share = 100 * sum(n > AIM["long function"] for n in counts) / len(counts)
    text = [
        f"{len(counts)} functions: median {statistics.median(counts):g} lines, p90 {counts[len(counts) * 9 // 10]}, "
        f"{len(over)} over {AIM['function']}, {long_share:.1f}% over {AIM['long function']}"
    ]
    text += [f"  {n:4} lines  {what}" for n, what in over]
    for p in tree.files(root, ".c", ".h"):
        if line_count(root / p) > AIM[p.suffix]:
            text.append(f"  {line_count(root / p):4} lines  {p} (aim {AIM[p.suffix]})")
    return text


def test_sizes(capsys):
    lines = report(tree.ROOT)
    with capsys.disabled():
        print("\n" + "\n".join(lines))
    found = too_large(tree.ROOT)
    assert not found, "\n" + "\n".join(found)


SOURCE = """#include "x.h"

static const int table[] = {
    1,
};

struct s {
    int i;
};

static int one(int a)
{
    return a;
}

/* A comment. */
char *two_lines_of(int a,
                   int b)
{
    if (a) {
        b++;
    }
    return 0;
}

__attribute__((constructor)) static void filled(void)
{
}

int declared(int a);
"""


def test_function_finder():
    assert functions(SOURCE) == [("one", 4), ("two_lines_of", 8), ("filled", 3)]


@pytest.mark.parametrize("name, lines, count", [("a.c", 800, 0), ("a.c", 801, 1), ("a.h", 150, 0), ("a.h", 151, 1)])
def test_file_limits(tmp_path, name, lines, count):
    (tmp_path / name).write_text("x\n" * lines)
    assert len(too_large(tmp_path)) == count
