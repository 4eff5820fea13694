"""The command line: thin commands that parse, ask a desk or a store, and print."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from supervisor.cli.program import app as app


def __getattr__(name: str) -> object:
    """`app`, the program as typer knows it, for who asks: not every command needs typer."""
    if name == "app":
        from supervisor.cli.program import app

        return app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
