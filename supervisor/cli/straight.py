"""Commands that are called over and over, by people and by programs, and done without the library that reads command
lines: it takes longer to import than a thousand jobs to be listed. Whatever is not exactly one of these is typer's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence


def asked(args: Sequence[str], environ: Mapping[str, str]) -> Callable[[], None] | None:
    """What to do for these arguments, --home and --config first. None: typer is to say what they mean."""
    given = {"--home": environ.get("CRONWARD_HOME"), "--config": environ.get("CRONWARD_CONFIG")}
    rest = list(args)
    while rest and rest[0].startswith("--"):
        name, stuck, value = rest.pop(0).partition("=")
        if name not in given or not (stuck or rest):
            return None
        given[name] = value if stuck else rest.pop(0)
    if rest not in (["list"], ["list", "--json"]) or not all(each is None or each for each in given.values()):
        return None
    return lambda: _list(given["--home"], given["--config"], as_json=len(rest) > 1)


def _list(home: str | None, config: str | None, *, as_json: bool) -> None:
    from supervisor.cli import joblist
    from supervisor.cli.place import Place

    joblist.show(Place(home, config), as_json)
