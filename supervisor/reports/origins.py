"""Where each setting came from: the default, the file, or a variable; and variables that set nothing. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from supervisor.config import PREFIX, TABLES, Config, Sources, as_written

Origin = Literal["default", "file", "environment"]
OURS = frozenset({"CRONWARD_HOME", "CRONWARD_CONFIG"})
"""Variables of ours that are no settings."""
IN_A_CELL = ("JOB_ID", "RUN_ID", "ATTEMPT", "SCHEDULED_AT", "SECRETS")
"""What an agent is told; a program that it starts may be us."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One value as it holds. `value`: as the file would have it."""

    key: str
    value: str
    origin: Origin
    at: str
    """The file, or the variable; empty for a default."""


def settings(config: Config, sources: Sources) -> Iterator[Setting]:
    """All of them, in the order of the example."""
    yield from _of(config, "", sources.written, sources)


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """A sentence for each variable with our prefix that sets nothing."""
    known = [PREFIX + name.upper() for name in Config.model_fields if name not in TABLES]
    passing = OURS.union(known, (PREFIX + name for name in IN_A_CELL))
    return [_complaint(name, known) for name in sorted(environ) if name.startswith(PREFIX) and name not in passing]


def _complaint(name: str, known: list[str]) -> str:
    table = next((table for table in TABLES if name.startswith(PREFIX + table.upper())), None)
    if table is not None:
        return f"{name} sets nothing: [{table}] can be set in the file alone."
    # Without the prefix, by which all would be near.
    near = difflib.get_close_matches(name.removeprefix(PREFIX)[:80], [each.removeprefix(PREFIX) for each in known], n=1)
    return f"{name} sets nothing.{f' Did you mean {PREFIX}{near[0]}?' if near else ''}"


def _of(model: BaseModel, above: str, said: object, sources: Sources) -> Iterator[Setting]:
    """`said`: the table of the file that belongs to this model."""
    table: Mapping[str, object] = said if isinstance(said, Mapping) else {}
    for name, field in type(model).model_fields.items():
        alias, value = field.alias or name, getattr(model, name)
        key = f"{above}{alias}"
        if isinstance(value, BaseModel):
            yield from _of(value, f"{key}.", table.get(alias), sources)
        elif isinstance(value, dict):
            yield from _of_each(value, key, table.get(alias), sources)
        else:
            origin, at = _origin(name if not above else "", alias in table, sources)
            yield Setting(
                key, _without_path(as_written(model, name)) if name == "url" else as_written(model, name), origin, at
            )


def _of_each(values: Mapping[str, object], key: str, said: object, sources: Sources) -> Iterator[Setting]:
    """Tables that the owner named."""
    for each, value in values.items():
        if isinstance(value, BaseModel):
            yield from _of(value, f"{key}.{each}.", said.get(each) if isinstance(said, Mapping) else None, sources)


def _origin(name: str, in_file: bool, sources: Sources) -> tuple[Origin, str]:
    if name in sources.variables:
        return "environment", PREFIX + name.upper()
    return ("file", str(sources.file)) if in_file else ("default", "")


def _without_path(url: str) -> str:
    """Some receivers are known by a secret in the path of their address."""
    scheme, mark, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f'{scheme}{mark}{host}/…"' if slash and path.rstrip('"') else url
