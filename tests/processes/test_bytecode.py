from __future__ import annotations

import importlib.util
import os
import py_compile
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.spawning import bytecode
from supervisor.spawning.bytecode import BytecodeError
from tests.lacks import need


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the package `parcel`: two modules, one of them in a package below."""
    tree = tmp_path / "tree"
    (tree / "parcel" / "inner").mkdir(parents=True)
    (tree / "parcel" / "__init__.py").write_text("")
    (tree / "parcel" / "inner" / "__init__.py").write_text("")
    (tree / "parcel" / "inner" / "thing.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(tree)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    yield tree
    (tree / "parcel").chmod(0o700)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def forbid_writing_in_place(tree: Path) -> None:
    """Root may write anywhere, so a mode proves nothing: a file where the cache folder should be stops everybody."""
    (tree / "parcel" / "__pycache__").write_text("in the way")


def compiled_in_a_fresh_interpreter(tree: Path, prefix: Path | None) -> set[str]:
    """The modules of `parcel` that a new interpreter had to compile from source."""
    option = [] if prefix is None else ["-X", f"pycache_prefix={prefix}"]
    code = f"import sys; sys.path.insert(0, {str(tree)!r}); import parcel.inner.thing"
    # -B: it must not repair what the test is about.
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-v", *option, "-c", code], capture_output=True, text=True, check=True
    )
    lines = done.stderr.splitlines()
    code_objects = [line for line in lines if line.startswith("# code object from ") and str(tree) in line]
    assert len(code_objects) == 3
    return {line.rpartition("parcel/")[2].strip("'") for line in code_objects if line.endswith(".py")}


def test_an_uncompiled_package_is_noticed_by_this_test(tree: Path) -> None:
    assert compiled_in_a_fresh_interpreter(tree, None) == {"__init__.py", "inner/__init__.py", "inner/thing.py"}


def test_a_writable_package_is_compiled_in_place(tree: Path, cache: Path) -> None:
    assert bytecode.compile_package(["parcel"], cache) is None
    assert compiled_in_a_fresh_interpreter(tree, None) == set()
    assert not cache.exists()


@pytest.mark.parametrize("private_already", [False, True])
def test_who_may_read_a_module_may_read_its_bytecode_and_nobody_else(
    tree: Path, cache: Path, *, private_already: bool
) -> None:
    inner = tree / "parcel" / "inner"
    (inner / "thing.py").chmod(0o600)
    for path, mode in ((inner, 0o775), (inner / "__init__.py", 0o664)):
        path.chmod(mode)
    before = os.umask(0o077)  # a supervisor's; under root a runner has other ids by the time it imports most
    try:
        if private_already:
            (inner / "__pycache__").mkdir()
            py_compile.compile(str(inner / "__init__.py"))
        assert bytecode.compile_package(["parcel"], cache) is None
    finally:
        os.umask(before)
    compiled = {path.name.partition(".")[0]: path for path in (inner / "__pycache__").iterdir()}
    modes = [path.stat().st_mode & 0o777 for path in (inner / "__pycache__", compiled["__init__"], compiled["thing"])]
    assert modes == [0o755, 0o644, 0o600]


def test_a_changed_module_is_compiled_again_and_only_that_one(tree: Path, cache: Path) -> None:
    bytecode.compile_package(["parcel"], cache)
    thing = tree / "parcel" / "inner" / "thing.py"
    before = {path: path.stat().st_mtime_ns for path in tree.rglob("*.pyc")}
    thing.write_text("VALUE = 22\n")
    assert not bytecode.is_fresh(thing, bytecode.in_place(thing))
    assert bytecode.compile_package(["parcel"], cache) is None
    assert compiled_in_a_fresh_interpreter(tree, None) == set()
    assert [path.name for path, at in before.items() if path.stat().st_mtime_ns != at] == [
        bytecode.in_place(thing).name
    ]


def test_a_package_that_cannot_be_compiled_in_place_is_compiled_below_the_cache(tree: Path, cache: Path) -> None:
    forbid_writing_in_place(tree)
    assert bytecode.compile_package(["parcel"], cache) == cache
    assert compiled_in_a_fresh_interpreter(tree, cache) == set()
    assert cache.stat().st_mode & 0o777 == 0o700


@need("user")
def test_a_folder_closed_to_an_ordinary_user_is_compiled_below_the_cache(tree: Path, cache: Path) -> None:
    (tree / "parcel").chmod(0o500)
    assert bytecode.compile_package(["parcel"], cache) == cache
    assert compiled_in_a_fresh_interpreter(tree, cache) == set()


def test_a_package_compiled_by_its_installer_needs_no_writing(tree: Path, cache: Path) -> None:
    bytecode.compile_package(["parcel"], cache)
    before = sorted(path.stat().st_mtime_ns for path in tree.rglob("*.pyc"))
    assert bytecode.compile_package(["parcel"], cache) is None
    assert sorted(path.stat().st_mtime_ns for path in tree.rglob("*.pyc")) == before


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o707])
def test_a_cache_that_others_can_enter_is_refused(tree: Path, cache: Path, mode: int) -> None:
    forbid_writing_in_place(tree)
    cache.mkdir()
    cache.chmod(mode)
    with pytest.raises(BytecodeError, match="must be a directory of yours with mode 0700"):
        bytecode.compile_package(["parcel"], cache)


def test_a_cache_that_is_a_link_is_refused(tree: Path, cache: Path, tmp_path: Path) -> None:
    forbid_writing_in_place(tree)
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    cache.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BytecodeError):
        bytecode.compile_package(["parcel"], cache)


@pytest.mark.parametrize(
    "mode", [py_compile.PycInvalidationMode.CHECKED_HASH, py_compile.PycInvalidationMode.UNCHECKED_HASH]
)
def test_bytecode_that_goes_by_hash_is_left_alone(tree: Path, mode: py_compile.PycInvalidationMode) -> None:
    thing = tree / "parcel" / "inner" / "thing.py"
    py_compile.compile(str(thing), str(bytecode.in_place(thing)), invalidation_mode=mode)
    assert bytecode.is_fresh(thing, bytecode.in_place(thing))


@pytest.mark.parametrize("content", [b"", b"\0" * 16, importlib.util.MAGIC_NUMBER + b"\0" * 11])
def test_torn_or_foreign_bytecode_is_not_fresh(tree: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "torn.pyc").write_bytes(content)
    assert not bytecode.is_fresh(tree / "parcel" / "inner" / "thing.py", tmp_path / "torn.pyc")


def test_a_module_with_a_syntax_error_stops_nothing(tree: Path, cache: Path) -> None:
    (tree / "parcel" / "broken.py").write_text("def")
    assert bytecode.compile_package(["parcel"], cache) is None
    assert compiled_in_a_fresh_interpreter(tree, None) == set()


def test_packages_are_found_without_being_imported(tree: Path, cache: Path) -> None:
    (tree / "parcel" / "__init__.py").write_text("raise AssertionError")
    assert bytecode.compile_package(["parcel", "nowhere_to_be_found"], cache) is None


def test_the_places_are_those_of_the_interpreter(tree: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    thing = tree / "parcel" / "inner" / "thing.py"
    monkeypatch.setattr(sys, "pycache_prefix", None)
    assert str(bytecode.in_place(thing)) == importlib.util.cache_from_source(str(thing))
    monkeypatch.setattr(sys, "pycache_prefix", str(cache))
    assert str(bytecode.below(cache, thing)) == importlib.util.cache_from_source(str(thing))
