"""Every header compiles alone and opens with the comment that says what it is for."""

import os
import shlex
import subprocess
from functools import lru_cache

import pytest
import tree

HEADERS = tree.files(tree.ROOT, ".h")
PACKAGES = ["libuv", "hiredis", "libbson-1.0", "libmongoc-1.0", "libcjson", "yaml-0.1", "libmicrohttpd", "lua5.1"]


def opening(header):
    """/* folder/name — ends the path without .h; the sentence follows."""
    return f"/* {header.with_suffix('').as_posix()} — "


def has_opening(header, text):
    first = text.split("\n", 1)[0]
    return first.startswith(opening(header)) and len(first) > len(opening(header)) + 10


@lru_cache
def package_flags():
    out = subprocess.run(["pkg-config", "--cflags", *PACKAGES], capture_output=True, text=True, check=True)
    return shlex.split(out.stdout)


def compile_alone(root, header):
    """Twice, so that the guard is tried as well."""
    cc = shlex.split(os.environ.get("CC", "cc"))
    flags = ["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-Wno-unused-function"]
    source = f'#include "{header.as_posix()}"\n#include "{header.as_posix()}"\n'
    return subprocess.run(
        [*cc, *flags, *package_flags(), f"-I{root}", f"-I{tree.BUILD}", "-fsyntax-only", "-x", "c", "-"],
        input=source,
        capture_output=True,
        text=True,
    )


def test_there_are_headers():
    assert HEADERS


@pytest.mark.parametrize("header", HEADERS, ids=str)
def test_compiles_alone(header):
    done = compile_alone(tree.ROOT, header)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("header", HEADERS, ids=str)
def test_opens_with_its_purpose(header):
    text = (tree.ROOT / header).read_text()
    assert has_opening(header, text), f"{header} does not open with '{opening(header)}…' but with {text[:80]!r}"


CONTENTS = [
    ("complete", "/* base/x — a thing that is used for testing. */\n#ifndef X\n#define X\n#include <stddef.h>\nsize_t x(void);\nstruct s { int i; };\n#endif\n", True, True),
    ("needs another header", "/* base/x — a thing that is used for testing. */\nsize_t x(void);\n", False, True),
    ("no guard", "/* base/x — a thing that is used for testing. */\nstruct s { int i; };\n", False, True),
    ("no comment", "#ifndef X\n#define X\n#endif\n", True, False),
    ("another's name", "/* base/y — a thing that is used for testing. */\n", True, False),
    ("says nothing", "/* base/x — */\n", True, False),
]


@pytest.mark.parametrize("text, alone, opens", [c[1:] for c in CONTENTS], ids=[c[0] for c in CONTENTS])
def test_checkers(tmp_path, text, alone, opens):
    header = tree.Path("base/x.h")
    (tmp_path / "base").mkdir()
    (tmp_path / header).write_text(text)
    assert (compile_alone(tmp_path, header).returncode == 0) == alone
    assert has_opening(header, text) == opens
