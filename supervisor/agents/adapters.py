"""The adapters that there are: those of ours, and the owner's own, one TOML file an agent.

The owner's lie in `agents/` beside the default configuration. One with the name of one of ours takes its place; with
`extends` it says only what differs. They are read anew each time: a change holds from the next attempt on.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from supervisor.agents.adapter import Adapter
from supervisor.agents.readingrules import unblamable
from supervisor.errors import InvalidError, StoreError
from supervisor.programs.trust import others_may_write
from supervisor.sentences import sentence, suggestion
from supervisor.stores.store import read_bytes

FOLDER = Path(__file__).parents[1] / "adapters"
FILE_BYTES = 1 << 20
MOST_FILES = 200
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class AdapterError(InvalidError):
    """An adapter's file cannot be used: which, where and why."""

    code = "adapter"


@cache
def built_in() -> tuple[str, ...]:
    """The names of ours."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def names(agents_dir: str = "") -> tuple[str, ...]:
    """All names, the owner's included, whether or not their files can be used."""
    return tuple(sorted({*built_in(), *_own(agents_dir)}))


def adapter(name: str, agents_dir: str = "") -> Adapter:
    """The adapter of that name. Raises InvalidError where there is none, AdapterError where its file is wrong."""
    if name in _own(agents_dir):
        return _made(Path(agents_dir, f"{name}.toml"), name)
    if name in built_in():
        return _built_in(name)
    known = names(agents_dir)
    raise InvalidError(
        f"The agent {name[:80]!r} is unknown; use one of: {', '.join(known)}.{suggestion(name, known)} "
        "Another program can be run as the agent `command`, or get an adapter of its own."
    )


def source(name: str, agents_dir: str = "") -> Path:
    """The file that declares it."""
    folder = Path(agents_dir) if name in _own(agents_dir) else FOLDER
    return folder / f"{name}.toml"


@cache
def _built_in(name: str) -> Adapter:
    return _checked(FOLDER / f"{name}.toml", _table(FOLDER / f"{name}.toml"), name)


def _own(agents_dir: str) -> tuple[str, ...]:
    """The owner's, by the names of their files."""
    if not agents_dir:
        return ()
    try:
        with os.scandir(agents_dir) as entries:
            found = [entry.name for entry in entries if entry.name.endswith(".toml")]
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise AdapterError(
            f"{agents_dir}, where your adapters are, cannot be read: {error.strerror}. "
            "Make it yours to read, or set agents_dir."
        ) from None
    if len(found) > MOST_FILES:
        raise AdapterError(f"{agents_dir} has {len(found)} adapters; at most {MOST_FILES} are read. Move some away.")
    return tuple(sorted(stem for name in found if _NAME.fullmatch(stem := name.removesuffix(".toml"))))


def _made(path: Path, name: str) -> Adapter:
    """One of the owner's."""
    given = _table(path)
    base = given.get("extends", "")
    if not isinstance(base, str) or (base and base not in built_in()):
        raise AdapterError(f"{path}: `extends` should be one of {', '.join(built_in())}, not {base!r:.80}.")
    if base:
        return _checked(path, merged(_table(FOLDER / f"{base}.toml"), given), name)
    if "start" in given:
        raise AdapterError(f"{path}: `start` is for adapters that come with cronward; name a program (program.find).")
    return _checked(path, given, name)


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`base` with what `over` says in its place: groups of keys by key, all else whole."""
    both = {
        key: merged(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
        for key, value in over.items()
    }
    return {**base, **both}


def _checked(path: Path, table: dict[str, Any], name: str) -> Adapter:
    if table.get("name", name) != name:
        raise AdapterError(f"{path}: an adapter has the name of its file; rename one of the two, or leave `name` out.")
    try:
        # As JSON: to a strict check of Python's own types no list is a tuple, and no text a reason.
        text = json.dumps({**table, "name": name})
    except (TypeError, ValueError):  # what TOML has and JSON has not; a number in hex of thousands of digits
        raise AdapterError(f"{path}: a date, a time or a huge number means nothing here; put it in quotes.") from None
    if blamed := unblamable(table.get("reading")):
        raise AdapterError(f"{path}: `reading.blame` {blamed}.")
    try:
        return Adapter.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise AdapterError(sentence(error, str(path), Adapter)) from None


def _table(path: Path) -> dict[str, Any]:
    try:
        data = read_bytes(path, FILE_BYTES)
        places = [] if path.parent == FOLDER else [(path, path.lstat()), (path.parent, path.parent.stat())]
    except StoreError as error:
        raise AdapterError(str(error)) from None
    except OSError as error:
        raise AdapterError(
            f"{path} cannot be read: {error.strerror}. Make it yours to read, or move it away."
        ) from None
    # It names a program that gets the owner's prompts and secrets. Ours is as good as the code beside it.
    for place, found in places:
        if others_may_write(found):
            raise AdapterError(f"{place} can be changed by others. Make it yours: chown it, and chmod go-w {place}")
    return _parsed(path, data)


def _parsed(path: Path, data: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise AdapterError(f"{path} is not UTF-8 (at byte {error.start}). Save it as UTF-8.") from None
    except RecursionError:
        raise AdapterError(f"{path} is nested too deeply. The keys are in docs/adapters.md.") from None
    except ValueError as error:
        if not isinstance(error, tomllib.TOMLDecodeError):  # Python's own bound on digits
            raise AdapterError(f"{path} has a number of thousands of digits; give a smaller one.") from None
        raise AdapterError(f"{path} is not TOML: {ascii(str(error))[1:-1]}.") from None
