"""Includes go to the own layer or one below; internal.h stays in its folder; a .c includes its own header first."""

from pathlib import Path

import pytest
import tree

GENERATED = {"version.h", "mutant_choice.h"}


def allowed(top):
    if top in tree.BESIDE:
        return tree.BESIDE[top] | {top}
    return set(tree.LAYERS[: tree.LAYERS.index(top) + 1])


def is_barred_internal(file, target):
    """internal.h belongs to its folder, and to that folder's unit tests."""
    return target.name == "internal.h" and target.parent not in (file.parent, Path(*file.parts[2:-1]))


def check_include(root, file, name):
    target = Path(name)
    if name in GENERATED:
        return None
    if not (root / target).is_file():
        return f"{file}: \"{name}\" is not a path from the root of the tree"
    if is_barred_internal(file, target):
        return f"{file}: {name} is internal to {target.parent}"
    if file.parts[0] in {*tree.LAYERS, *tree.BESIDE} and target.parts[0] not in allowed(file.parts[0]):
        return f"{file}: {name} is not in a layer below"
    return None


def check_own_header_first(root, file):
    own = file.with_suffix(".h")
    if file.suffix != ".c" or not (root / own).is_file():
        return None
    names = tree.includes(root / file)
    return None if names[:1] == [own.as_posix()] else f"{file}: {own} is not its first include"


def violations(root):
    found = []
    for file in tree.product_files(root, ".c", ".h", ".def"):
        found += [check_include(root, file, name) for name in tree.includes(root / file)]
        found.append(check_own_header_first(root, file))
    for file in tree.files(root, ".c", ".h"):
        if file.parts[0] == "tests":
            found += [
                f"{file}: {name} is internal"
                for name in tree.includes(root / file)
                if is_barred_internal(file, Path(name))
            ]
    return [v for v in found if v]


def test_tree():
    assert tree.product_files(tree.ROOT, ".c"), "no C files found"
    found = violations(tree.ROOT)
    assert not found, "\n" + "\n".join(found)


def test_every_folder_has_a_layer():
    """A new top folder with C files must be given its place in tree.LAYERS."""
    with_c = {p.parts[0] for p in tree.files(tree.ROOT, ".c", ".h")}
    assert with_c <= {*tree.LAYERS, *tree.BESIDE, "tests", "bench"}


TREES = [
    ("same folder", {"router/a.c": "router/b.h", "router/b.h": None}, 0),
    ("below", {"proxy/a.c": "base/b.h", "base/b.h": None}, 0),
    ("upwards", {"base/a.c": "resp/b.h", "resp/b.h": None}, 1),
    ("backends may not use router", {"backends/redis/a.c": "router/b.h", "router/b.h": None}, 1),
    ("router may use backends", {"router/a.c": "backends/redis/b.h", "backends/redis/b.h": None}, 0),
    ("from a header", {"config/a.h": "proxy/b.h", "proxy/b.h": None}, 1),
    ("tools use config", {"tools/a.c": "config/b.h", "config/b.h": None}, 0),
    ("tools don't use proxy", {"tools/a.c": "proxy/b.h", "proxy/b.h": None}, 1),
    ("nothing uses tools", {"proxy/a.c": "tools/b.h", "tools/b.h": None}, 1),
    ("main uses all", {"main.c": "proxy/b.h", "proxy/b.h": None}, 0),
    ("not from the root", {"proxy/a.c": "b.h", "proxy/b.h": None}, 1),
    ("own internal", {"router/a.c": "router/internal.h", "router/internal.h": None}, 0),
    ("another's internal", {"proxy/a.c": "router/internal.h", "router/internal.h": None}, 1),
    ("internal of a folder inside", {"backends/a.c": "backends/redis/internal.h", "backends/redis/internal.h": None}, 1),
    ("internal in its test", {"tests/unit/router/test_a.c": "router/internal.h", "router/internal.h": None}, 0),
    ("internal in another's test", {"tests/unit/proxy/test_a.c": "router/internal.h", "router/internal.h": None}, 1),
    ("own header is not first", {"router/a.c": "base/b.h", "router/a.h": None, "base/b.h": None}, 1),
]


@pytest.mark.parametrize("files, count", [t[1:] for t in TREES], ids=[t[0] for t in TREES])
def test_checker(tmp_path, files, count):
    for name, include in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f'#include "{include}"\n' if include else "\n")
    assert len(violations(tmp_path)) == count
