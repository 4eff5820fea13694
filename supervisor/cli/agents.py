"""Commands about agents: which there are, what is known of one, and whether it works here."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from supervisor.cli import render
from supervisor.cli.completion import complete_agents, complete_secrets
from supervisor.cli.group import group
from supervisor.cli.options import AsJson
from supervisor.cli.place import place_of

if TYPE_CHECKING:
    from supervisor.agents.adapter import Adapter

app = group("The programs that get prompts. Which there are, and whether they work here.")


AgentName = Annotated[
    str,
    typer.Argument(metavar="NAME", help="Its name.", show_default=False, autocompletion=complete_agents),
]


@app.command("list")
def list_agents(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List the agents. Ours, and those of your own adapters, with the programs that they are here.

    \b
    Example: cronward agents list
    """
    from supervisor.agents.adapters import names

    agents_dir = place_of(ctx).config.agents_dir
    found = [_row(name, agents_dir) for name in names(agents_dir)]
    if as_json:
        render.show_json(found)
        return
    columns = [render.Column("NAME"), render.Column("WHAT", shrinks=True), render.Column("HERE", shrinks=True)]
    render.show_table(columns, [[each["name"], each["title"], _here(each, short=True)] for each in found])


@app.command()
def show(ctx: typer.Context, name: AgentName, as_json: AsJson = False) -> None:
    """Show what is known of an agent. How it is started, what it needs, what can be asked of it.

    \b
    Example: cronward agents show claude
    Example: cronward agents show claude --json
    """
    from supervisor.agents.adapters import adapter, source

    agents_dir = place_of(ctx).config.agents_dir
    known = adapter(name, agents_dir)
    if as_json:
        render.show_json({**known.model_dump(mode="json"), "source": str(source(name, agents_dir))})
    else:
        render.show_facts(_facts(known, agents_dir))


@app.command()
def check(
    ctx: typer.Context,
    name: AgentName,
    model: Annotated[str, typer.Option(metavar="MODEL", help="The model that is asked.", show_default=False)] = "",
    secret: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A secret that it gets: NAME, or NAME=VARIABLE. Repeatable.",
            autocompletion=complete_secrets,
        ),
    ] = None,
    no_login: Annotated[
        bool, typer.Option("--no-login", help="Leave out the login that `cronward login` made for it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Ask an agent for its version and for one word, in a real cell. The question is put to its provider, and costs.

    It is logged in as `cronward login` made it, unless a secret is given in the place of that.

    \b
    Example: cronward agents check claude
    Example: cronward agents check claude --secret CLAUDE=ANTHROPIC_API_KEY
    Example: cronward agents check local
    """
    from dataclasses import asdict

    from supervisor.cli.keeping import show_findings
    from supervisor.trials.agenttrial import examine_agent

    place = place_of(ctx)
    findings = examine_agent(
        place.home, place.config, name, place.now, model, tuple(secret or ()), use_login=not no_login
    )
    if as_json:
        render.show_json([asdict(finding) for finding in findings])
    else:
        show_findings(findings)
    if not all(finding.ok or not finding.required for finding in findings):
        raise typer.Exit(1)


def _row(name: str, agents_dir: str) -> dict[str, Any]:
    """One agent as it is here. `problem`: why it could not be used now; empty where it could."""
    from supervisor.agents.adapters import FOLDER, adapter, source
    from supervisor.errors import InvalidError

    file = source(name, agents_dir)
    row: dict[str, Any] = {"name": name, "title": "", "source": str(file), "built_in": file.parent == FOLDER}
    row |= {"program": "", "problem": ""}
    try:
        known = adapter(name, agents_dir)
        row["title"] = known.title
        if known.start == "program":
            row["program"] = _program(known)
    except InvalidError as error:
        row["problem"] = str(error)
    return row


def _program(known: Adapter) -> str:
    from supervisor.agents.agents import located
    from supervisor.programs.programs import CELL_PATH

    return located(known, os.environ.get("PATH") or CELL_PATH).path


def _here(row: dict[str, Any], *, short: bool = False) -> render.Cell | str:
    if row["problem"]:
        brief = short and "is not installed here" in row["problem"] and render.on_terminal()
        words = f"not installed; how: cronward agents show {row['name']}" if brief else row["problem"]
        return render.Cell(words, "yellow")
    return row["program"] or ("part of cronward" if row["name"] == "local" else "named by the job")


def _facts(known: Adapter, agents_dir: str) -> list[tuple[str, render.Cell | str]]:
    row = _row(known.name, agents_dir)
    network = f"{known.network}: {', '.join(known.hosts)}" if known.hosts else known.network
    ways = {
        "flag": "by a flag of its own",
        "constrained": "held to it as it writes",
        "prompt": "in the prompt",
        "untold": "not told",
    }
    capped = [words for words, takes in (("turns", "max_turns"), ("money", "max_cost")) if known.takes(takes)]
    login = "\n".join(filter(None, [", ".join(known.login.variables), known.login.words]))
    needed = "has to be named" if "model" in known.needs else "can be named" if known.takes("model") else "none"
    return [
        ("agent", f"{known.name} ({known.title})" if known.title else known.name),
        ("declared in", row["source"]),
        ("here", _here(row)),
        ("started as", _started(known)),
        ("network", network),
        ("model", needed if known.start != "embedded" else "a GGUF by its full path, or the one that was fetched"),
        ("schema", ways[known.structured]),
        ("own caps", ", ".join(capped) or "none"),
        ("tells its cost", "yes" if known.prices else "no"),
        ("goes on", "yes, with a session key" if known.resumable else "no"),
        ("login", login or "none"),
    ]


def _started(known: Adapter) -> str:
    words = (word if isinstance(word, str) else f"[{' '.join(word)}]" for word in known.argv)
    return " ".join([known.program.find, *words]) if known.start == "program" else "as the job says"
