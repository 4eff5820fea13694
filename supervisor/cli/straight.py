"""Commands that are called over and over, by people and by programs, and done without the library that reads command
lines: it takes longer to import than a thousand jobs to be listed. Whatever is not exactly one of these is typer's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence


def asked(args: Sequence[str], environ: Mapping[str, str]) -> Callable[[], None] | None:
    """What to do for these arguments, --home first. None: typer is to say what they mean."""
    home, rest = environ.get("CRONWARD_HOME"), list(args)
    while rest and rest[0].startswith("--home"):
        name, stuck, value = rest.pop(0).partition("=")
        if name != "--home" or not (stuck or rest):
            return None
        home = value if stuck else rest.pop(0)
    if rest not in (["list"], ["list", "--json"]) or home == "" or "CRONWARD_CONFIG" in environ:
        return None
    return lambda: _list(home, as_json=len(rest) > 1)


def _list(home: str | None, *, as_json: bool) -> None:
    import gc

    from supervisor.cli import joblist
    from supervisor.cli.place import Place

    # Nothing that is made here becomes garbage before the end, and to look for some takes a tenth of the time.
    gc.disable()
    try:
        joblist.show(Place(home), as_json)
    finally:
        gc.enable()
