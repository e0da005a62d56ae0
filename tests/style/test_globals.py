"""No mutable global is visible outside its file. Read from the symbols of the static libraries of the build."""

import subprocess
from pathlib import Path

import tree

ALLOWED = Path(__file__).with_name("globals-allowed.txt")
# Constants that hold pointers: writable for the loader only.
CONSTANT_SECTIONS = (".data.rel.ro", ".rodata")
# What compilers add for their own instruments.
COMPILER_MADE = ("__odr_asan", "__gcov", "__llvm", "__start_", "__stop_")


def read_allowed(text):
    """symbol -> reason"""
    rows = [line.split(None, 1) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return {row[0]: row[1].strip() if len(row) > 1 else "" for row in rows}


def mutable_globals(library):
    """Symbols that are not static and lie in a writable section. nm's sysv form names the section."""
    out = subprocess.run(
        ["nm", "--format=sysv", "--defined-only", "--extern-only", str(library)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = []
    for line in out.splitlines():
        cells = [c.strip() for c in line.split("|")]
        if len(cells) < 7 or cells[2] not in ("B", "C", "D", "G", "S"):
            continue
        if not cells[6].startswith(CONSTANT_SECTIONS) and not cells[0].startswith(COMPILER_MADE):
            found.append(cells[0])
    return found


def libraries():
    """Of the ASan build where there is one: the release build is made with LTO, which hides sections from nm."""
    asan = tree.ROOT / "build-asan"
    build = asan if asan.is_dir() else tree.BUILD
    found = sorted(build.rglob("*.a"))
    assert found, f"no static libraries in {build}: build first, or set BUILD_DIR"
    return found


def test_no_mutable_globals():
    allowed = read_allowed(ALLOWED.read_text())
    found = [f"{lib.name}: {name}" for lib in libraries() for name in mutable_globals(lib) if name not in allowed]
    assert not found, "\n" + "\n".join(found)


def test_allow_list_is_needed_and_explained():
    used = {name for lib in libraries() for name in mutable_globals(lib)}
    for name, reason in read_allowed(ALLOWED.read_text()).items():
        assert name in used, f"{name} is no longer a mutable global: delete its line"
        assert len(reason) > 20, f"{name} is allowed without a reason"


SOURCE = """
int shared = 1;
int zero;
static int hidden = 1;
_Thread_local int per_thread;
const int constant = 1;
const char *const names[] = {"a", "b"};
const char *changeable = "a";
int function(void);
int function(void) { return hidden++; }
"""


def test_checker(tmp_path):
    (tmp_path / "x.c").write_text(SOURCE)
    subprocess.run(["cc", "-fPIC", "-c", "x.c", "-o", "x.o"], cwd=tmp_path, check=True)
    subprocess.run(["ar", "rcsT", "libx.a", "x.o"], cwd=tmp_path, check=True)
    assert sorted(mutable_globals(tmp_path / "libx.a")) == ["changeable", "per_thread", "shared", "zero"]


def test_allow_list_reader():
    assert read_allowed("# x\n\na because of b\nc\n") == {"a": "because of b", "c": ""}
