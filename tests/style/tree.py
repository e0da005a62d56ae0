"""The source tree as the style tests see it: where it is, where it was built, which files are ours."""

import os
import re
from pathlib import Path

# Lowest first: a folder may include itself and what stands before it.
LAYERS = ["base", "resp", "config", "engine", "script", "backends", "router", "executor", "sync", "proxy"]
# Beside the chain: convctl and main.c.
BESIDE = {"tools": {"base", "resp", "config", "engine", "backends", "router", "sync"}, "main.c": set(LAYERS)}

NOT_OURS = {"node_modules", "__pycache__", "data", "subprojects"}


def find_root(start=__file__):
    for folder in Path(start).resolve().parents:
        meson = folder / "meson.build"
        if meson.is_file() and meson.read_text().lstrip().startswith("project("):
            return folder
    raise RuntimeError(f"no meson.build with a project() above {start}")


ROOT = find_root()
BUILD = (ROOT / os.environ.get("BUILD_DIR", "build")).resolve()


def is_ours(name):
    return not (name.startswith((".", "build")) or name in NOT_OURS)


def files(root, *suffixes):
    """Files with these endings, as paths relative to root, sorted; without what is built, fetched or hidden."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [f for f in folders if is_ours(f)]
        found += [Path(folder, n).relative_to(root) for n in names if n.endswith(suffixes)]
    return sorted(found)


def top_folders(root):
    return {p.name for p in root.iterdir() if p.is_dir() and is_ours(p.name)}


def product_files(root, *suffixes):
    """C files of the product itself: the layers, the tools and main.c; not tests and benches."""
    tops = {*LAYERS, *BESIDE}
    return [p for p in files(root, *suffixes) if p.parts[0] in tops]


INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


def includes(path):
    """The quoted includes of a file, in order."""
    return INCLUDE.findall(path.read_text(errors="replace"))
