"""Paths named in the docs exist; the reference pages are what the tables generate."""

import re
import subprocess
from pathlib import Path

import pytest
import tree

PAGES = ["settings", "commands", "compatibility", "metrics", "places", "events"]

FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
WORD = re.compile(r"[A-Za-z0-9_.{},*/<>…-]+")
# A word with one of these endings is a path even when its folder is gone.
SOURCE_ENDINGS = (".c", ".h", ".def", ".py", ".build")
# Files that a build or a run makes.
MADE_DIRS = ("build", "data")


def expand(word):
    """base/hist.{h,c} -> base/hist.h, base/hist.c"""
    m = re.search(r"\{([^{}]*)\}", word)
    if not m:
        return [word]
    return [x for choice in m[1].split(",") for x in expand(word[: m.start()] + choice + word[m.end() :])]


def is_path(word, tops):
    first = word.split("/")[0]
    if "/" not in word or re.search(r"[<>…]", word) or first == "" or first.startswith(MADE_DIRS):
        return False
    return first in tops or (word.endswith(SOURCE_ENDINGS) and first not in ("..", "~"))


def named_paths(text, tops):
    """Paths in code, from the root of the tree. Prose is left out: there "proxy/Redis" is no path."""
    code = FENCE.findall(text) + CODE.findall(FENCE.sub("", text))
    words = {w.rstrip(".,:;") for part in code for w in WORD.findall(part)}
    return sorted(p for w in words for p in expand(w.removeprefix("./")) if is_path(p, tops))


def exists(root, path):
    """A file, a folder, a glob that matches, or a module: base/hist stands for base/hist.h and .c."""
    if "*" in path:
        return any(root.glob(path.rstrip("/")))
    return (root / path).exists() or any((root / (path + end)).is_file() for end in SOURCE_ENDINGS)


def broken_links(root, page, text):
    targets = [t.split("#")[0] for t in LINK.findall(FENCE.sub("", text)) if not re.match(r"[a-z]+:", t)]
    return [t for t in targets if t and not (root / page.parent / t).exists()]


def violations(root, page):
    text = (root / page).read_text()
    tops = tree.top_folders(root)
    found = [f"{page}: `{p}` does not exist" for p in named_paths(text, tops) if not exists(root, p)]
    return found + [f"{page}: the link to {t} leads nowhere" for t in broken_links(root, page, text)]


def doc_pages():
    return [Path("README.md")] + [p for p in tree.files(tree.ROOT, ".md") if p.parts[0] == "docs"]


@pytest.mark.parametrize("page", doc_pages(), ids=str)
def test_named_paths_exist(page):
    assert (tree.ROOT / page).is_file(), f"{page} is missing"
    found = violations(tree.ROOT, page)
    assert not found, "\n" + "\n".join(found)


def test_convctl_page_is_generated():
    done = subprocess.run([str(tree.BUILD / "convctl"), "--docs"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    assert (tree.ROOT / "docs/convctl.md").read_text() == done.stdout, "docs/convctl.md is not what the table says: make docs"


@pytest.mark.parametrize("page", PAGES)
def test_reference_page_is_generated(page):
    binary = tree.BUILD / "convproxy"
    assert binary.is_file(), f"{binary} is missing: build first, or set BUILD_DIR"
    done = subprocess.run([str(binary), "--docs", page], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip(), f"convproxy --docs {page} printed nothing"
    file = tree.ROOT / "docs" / f"{page}.md"
    assert file.is_file(), f"{file} is missing: make docs"
    assert file.read_text() == done.stdout, f"docs/{page}.md is not what the tables say: make docs"


TEXTS = [
    ("a file", "see `base/a.c`", 0),
    ("a module", "see `base/a`", 0),
    ("a folder", "in `base/` and `base`", 0),
    ("with a line", "at `base/a.c:12`.", 0),
    ("both of a pair", "`base/a.{c,h}`", 1),
    ("gone", "see `base/b.c`", 1),
    ("gone, without an ending", "see `base/b`", 1),
    ("its folder is gone", "see `old/a.c`", 1),
    ("in a fence", "```\nbase/b.c | x\n```\n", 1),
    ("in a command", "`gcc -c ./base/b.c`", 1),
    ("a glob", "`base/*.c`", 0),
    ("an empty glob", "`base/*.py`", 1),
    ("a placeholder", "`base/<name>.c`", 0),
    ("prose", "base/b.c or not", 0),
    ("not a path", "`/metrics`, `SET/GET`, `https://x/base/b.c`, `build/convproxy`", 0),
    ("a link", "[a](../base/a.c#top) and [w](https://x.org/y)", 0),
    ("a broken link", "[a](../base/b.c)", 1),
]


@pytest.mark.parametrize("text, count", [t[1:] for t in TEXTS], ids=[t[0] for t in TEXTS])
def test_checker(tmp_path, text, count):
    for folder in ("base", "docs"):
        (tmp_path / folder).mkdir()
    (tmp_path / "base/a.c").write_text("")
    (tmp_path / "docs/page.md").write_text(text)
    assert len(violations(tmp_path, Path("docs/page.md"))) == count
