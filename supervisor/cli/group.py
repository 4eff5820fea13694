"""A command that is made of commands."""

from __future__ import annotations

import typer


def group(words: str) -> typer.Typer:
    """One that shows its help where none of them is named, as somebody would who does not know them: exit code 0."""
    # Stored text and our own brackets are never to be read as markup.
    app = typer.Typer(help=words, invoke_without_command=True, rich_markup_mode=None)

    @app.callback()
    def _help(ctx: typer.Context) -> None:
        if ctx.invoked_subcommand is None:
            typer.echo(ctx.get_help())

    return app
