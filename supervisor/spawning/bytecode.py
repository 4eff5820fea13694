"""Compiled modules for the runner: every attempt is a fresh interpreter, and uncompiled it starts four times slower.

A runner is started with `-I`, so it would write bytecode by itself; but the supervisor's folder may not be writable for
it, and the first runs should not pay either. What cannot be compiled in place goes to a private folder.
"""

from __future__ import annotations

import importlib.util
import os
import py_compile
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

HEADER_BYTES = 16
UNCHECKED_OR_HASHED = 0b11
_READ_BY_ALL = 0o555


class BytecodeError(Exception):
    """A cache folder that others could write into: a sentence for the owner."""


def compile_package(names: Sequence[str], cache: Path) -> Path | None:
    """Make sure that the named top-level packages have bytecode, whatever PYTHONDONTWRITEBYTECODE says.

    None: it lies where an interpreter looks anyway. Else `cache`, to be given to it as `-X pycache_prefix=`: an
    interpreter started so looks there for everything, and adds its standard library at the first start.
    """
    if not [source for source in sources(names) if not _compiled_in_place(source)]:
        return None
    _make_private(cache)
    for source in sources(names):
        if not is_fresh(source, below(cache, source)):
            _compile(source, below(cache, source))
    return cache


def sources(names: Sequence[str]) -> Iterator[Path]:
    """Every module file of the packages, by its real path: the one to start an interpreter with where a prefix is used.

    Found, not imported: the supervisor must not import the runner.
    """
    for name in names:
        spec = importlib.util.find_spec(name)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            yield from sorted(Path(folder).resolve().rglob("*.py"))


def in_place(source: Path) -> Path:
    """Where an interpreter without a prefix looks. This one may run with one, so its own view is no guide."""
    return source.parent / "__pycache__" / f"{source.stem}.{sys.implementation.cache_tag}.pyc"


def below(prefix: Path, source: Path) -> Path:
    """Where an interpreter with `-X pycache_prefix=` looks: the source's whole path again, below the prefix."""
    return prefix / source.parent.relative_to("/") / f"{source.stem}.{sys.implementation.cache_tag}.pyc"


def is_fresh(source: Path, compiled: Path) -> bool:
    """Whether an interpreter would take the bytecode instead of the source: PEP 552's header."""
    try:
        status = source.stat()
        with compiled.open("rb") as file:
            header = file.read(HEADER_BYTES)
    except OSError:
        return False
    if len(header) < HEADER_BYTES or header[:4] != importlib.util.MAGIC_NUMBER:
        return False
    flags, mtime, size = (int.from_bytes(header[at : at + 4], "little") for at in (4, 8, 12))
    # Bytecode that goes by hash, or unchecked, was put there by an installer that means it.
    if flags & UNCHECKED_OR_HASHED:
        return True
    return (mtime, size) == (int(status.st_mtime) & 0xFFFFFFFF, status.st_size & 0xFFFFFFFF)


def _compiled_in_place(source: Path) -> bool:
    compiled = in_place(source)
    if not is_fresh(source, compiled) and not _compile(source, compiled):
        return False
    # A supervisor lets nobody read what it makes; but under root a runner has given up its ids before most imports,
    # and compiled all of it anew: 20 ms of each attempt.
    with suppress(OSError):
        for made, like in ((compiled.parent, source.parent), (compiled, source)):
            mode = stat.S_IMODE(made.stat().st_mode)
            wanted = mode | (stat.S_IMODE(like.stat().st_mode) & _READ_BY_ALL)
            if wanted != mode:
                made.chmod(wanted)
    return True


def _compile(source: Path, compiled: Path) -> bool:
    """False where the bytecode could not be written. A syntax error is left for the import to tell."""
    try:
        # Explicit, because SOURCE_DATE_EPOCH in the environment would change the default. The write is atomic.
        mode = py_compile.PycInvalidationMode.TIMESTAMP
        py_compile.compile(str(source), str(compiled), doraise=True, invalidation_mode=mode)
    except py_compile.PyCompileError:
        return True
    except OSError:
        return False
    return True


def _make_private(folder: Path) -> None:
    """Whoever can write here decides what a runner executes."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise BytecodeError(f"The bytecode folder {folder} must be a directory of yours with mode 0700: remove it.")
