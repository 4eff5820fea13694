"""docs/reference.md and docs/schemas/, rendered from the program itself: `scripts/reference`, and a test compares."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

import typer

from shared.reasons import Reason
from supervisor.cli import app
from supervisor.errors import CronwardError
from supervisor.reports.meanings import REASONS, STATUSES
from supervisor.status import ALLOWED, Status, final_status

if TYPE_CHECKING:
    from pydantic import BaseModel

OPENING = """\
# Reference

Every command, status, reason and variable, rendered from the program by `scripts/reference`; a test compares, so it is
never behind. The settings are in [configuration.md](configuration.md), the socket is in
[control-api.md](control-api.md). `cronward COMMAND --help` says the same on a terminal.
"""
OF_ALL = """\
`--home DIR` and `--config FILE` belong to every command, before its name or after it. A shell can
[complete](README.md#in-a-shell) the names of jobs, runs, agents, secrets, conversations and targets.
"""
VARIABLES = {
    "CRONWARD_HOME": "Where jobs, runs and logs lie, as `--home`. "
    "Default: `$XDG_STATE_HOME/cronward`, else `~/.local/state/cronward`.",
    "CRONWARD_CONFIG": "The configuration file, as `--config`. "
    "Default: `$XDG_CONFIG_HOME/cronward/config.toml`, else `~/.config/cronward/config.toml`.",
    "CRONWARD_KEY": "The setting KEY, as `CRONWARD_MAX_CONCURRENT=2`. It rules over the file: "
    "[configuration.md](configuration.md).",
    "XDG_STATE_HOME": "See `CRONWARD_HOME`.",
    "XDG_CONFIG_HOME": "See `CRONWARD_CONFIG`.",
    "XDG_DATA_HOME": "Where `cronward fetch-model` keeps the weights. Default: `~/.local/share`.",
    "XDG_RUNTIME_DIR": "Where the socket lies if the home's path is too long for one; the way to the user's systemd.",
    "HOME": "Where the defaults of all these begin.",
    "PATH": "Where a job's program is looked for when it is added or edited; and `crontab`, `systemctl`, and what an "
    "agent logs in with.",
    "TZ": "The zone of jobs that name none when they are added. Default: the host's.",
    "NO_COLOR": "If it is not empty: no colours.",
    "TERM": "`dumb`: neither colours nor a line that moves.",
}
FOR_AGENTS = """\
Of these an agent, a gate and a check see nothing. In their environment are `CRONWARD_RUN_ID`, `CRONWARD_JOB_ID`,
`CRONWARD_ATTEMPT` (1 for the first), `CRONWARD_SCHEDULED_AT` (RFC 3339) and, where the job was granted
[secrets](secrets.md), `CRONWARD_SECRETS`, the directory in which they lie.
"""
JSON = """\
## What --json prints

A job (`add`, `edit`, `show`, `list`, `pause` …), a run (`run`, `runs`, `cancel` …), a secret, a conversation and a
notification are printed as these JSON schemas say, which a test holds beside real output: {schemas}. Of several an
array is printed.

**Stable**: within a major version (before 1.0: a minor one) no key of these goes away or changes its type or meaning,
and `status` and `reason` lose no word. Keys and words are added: leave alone what you do not know. Times are RFC 3339
with an offset, `0001-01-01T00:00:00Z` for never. `duration` and `retry_delay` are nanoseconds, sizes are bytes, money
is US dollars. The same objects travel on [the socket](control-api.md). What other commands print with `--json`
(`doctor`, `status`, `recap`, `ps` …) may still change.
"""


class Param(Protocol):
    """What is used of an option or an argument, as typer shows it."""

    param_type_name: str

    def get_help_record(self, ctx: Any) -> tuple[str, str] | None: ...  # noqa: ANN401


class Command(Protocol):
    """What is used of a finished command, whether it was there from the beginning or made when it was asked for."""

    help: str | None

    def context_class(self, command: Any, **more: Any) -> Any: ...  # noqa: ANN401
    def get_params(self, ctx: Any) -> list[Param]: ...  # noqa: ANN401
    def collect_usage_pieces(self, ctx: Any) -> list[str]: ...  # noqa: ANN401


class Told(NamedTuple):
    """One option or argument."""

    panel: str
    names: str
    says: str


Found = tuple[str, Command, Any]
"""A command's path, itself, and its context."""


def render() -> str:
    """docs/reference.md."""
    program = cast(Command, typer.main.get_command(app))
    commands = list(_commands(program, program.context_class(program, info_name="cronward")))
    variables = [(f"`{name}`", says) for name, says in VARIABLES.items()]
    schemas = ", ".join(f"[{name}](schemas/{name}.json)" for name in models())
    parts = [OPENING, _contents(commands), "## Commands\n", OF_ALL, *_all(commands), _codes(), _statuses(), _reasons()]
    parts += ["## Variables\n", _table(("variable", "means"), variables), FOR_AGENTS]
    return "\n".join([*parts, JSON.replace("{schemas}", schemas)]).rstrip() + "\n"


def models() -> dict[str, type[BaseModel]]:
    """What is printed as a whole, by the name of its schema."""
    from supervisor.control.outboxdesk import DeliveryRecord
    from supervisor.control.secretdesk import SecretRecord
    from supervisor.control.sessiondesk import SessionRecord
    from supervisor.models import CronJob, CronRun

    named: dict[str, type[BaseModel]] = {"secret": SecretRecord, "session": SessionRecord, "delivery": DeliveryRecord}
    return {"job": CronJob, "run": CronRun, **named}


def schema(name: str) -> str:
    """docs/schemas/NAME.json."""
    return json.dumps(_open(models()[name].model_json_schema(mode="serialization")), indent=1) + "\n"


def write(docs: Path) -> None:
    """Write all of it into this directory."""
    (docs / "schemas").mkdir(exist_ok=True)
    (docs / "reference.md").write_text(render(), "utf-8")
    for name in models():
        (docs / "schemas" / f"{name}.json").write_text(schema(name), "utf-8")


def _open(value: Any) -> Any:  # noqa: ANN401 - any part of a schema
    """Without the refusal of further keys: later versions print some."""
    if isinstance(value, dict):
        kept = {key: part for key, part in value.items() if (key, part) != ("additionalProperties", False)}
        return {key: _open(part) for key, part in kept.items()}
    return [_open(part) for part in value] if isinstance(value, list) else value


def _commands(group: Any, ctx: Any) -> Iterator[Found]:  # noqa: ANN401
    """Every command that can be called, in the order of the help."""
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        inner = command.context_class(command, info_name=name, parent=ctx)
        if hasattr(command, "list_commands"):
            yield from _commands(command, inner)
        else:
            yield inner.command_path, command, inner


def _contents(commands: list[Found]) -> str:
    links = (f"[{path.removeprefix('cronward ')}](#{path.replace(' ', '-')})" for path, _, _ in commands)
    sections = ("Exit codes", "Statuses", "Reasons", "Variables")
    rest = [f"[{title}](#{title.lower().replace(' ', '-')})" for title in sections]
    return f"{' · '.join(links)}\n\n{' · '.join([*rest, '[JSON](#what---json-prints)'])}\n"


def _all(commands: list[Found]) -> Iterator[str]:
    known: dict[str, list[Told]] = {}
    for path, command, ctx in commands:
        known[path] = [told for each in command.get_params(ctx) if "--help" not in (told := _told(each, ctx)).names]
        yield _command(path, command, ctx, known[path], known.get("cronward add", []))


def _told(param: Param, ctx: Any) -> Told:  # noqa: ANN401
    names, says = param.get_help_record(ctx) or ("", "")
    kind = "Arguments" if param.param_type_name == "argument" else "Options"
    return Told(getattr(param, "rich_help_panel", None) or kind, names, says)


def _command(path: str, command: Command, ctx: Any, told: list[Told], of_add: list[Told]) -> str:  # noqa: ANN401
    words, _, examples = (command.help or "").partition("\b\n")
    like_add = told is not of_add and len(set(told) & set(of_add)) > 20
    own = [each for each in told if not (like_add and each in of_add and each.names != "--json")]
    usage = " ".join([path, *command.collect_usage_pieces(ctx)]).replace("[OPTIONS]", "[OPTION]...")
    lines = [f"### {path}\n", _plain(words), "", "```", usage, "```", ""]
    if like_add:
        lines += ["It takes every option of [cronward add](#cronward-add), and these:", ""]
    if own:
        lines.append(_table(("", ""), list(_panels(own))))
    found = [line.removeprefix("Example: ") for line in examples.splitlines() if line.startswith("Example: ")]
    return "\n".join([*lines, *(["```sh", *found, "```", ""] if found else [])])


def _panels(told: list[Told]) -> Iterator[tuple[str, ...]]:
    """The rows of a table, under the headings that they have in the help."""
    panels = list(dict.fromkeys(each.panel for each in told))
    for panel in panels:
        if len(panels) > 2:
            yield f"**{_plain(panel)}**", ""
        yield from ((f"`{each.names}`", _plain(each.says)) for each in told if each.panel == panel)


def _codes() -> str:
    by_code = {error.exit_code: " ".join((error.__doc__ or "").split()) for error in CronwardError.__subclasses__()}
    failed = {1: "It failed; with `--wait`, the run did not complete.", 130: "It was interrupted (Ctrl-C)."}
    said = {**by_code, 0: "It is done; with `--wait`, the run completed.", **failed}
    return "## Exit codes\n\n" + _table(("code", "means"), [(str(code), said[code]) for code in sorted(said)])


def _statuses() -> str:
    rows = []
    for status, says in STATUSES.items():
        after = ", ".join(f"`{each}`" for each in Status if each in ALLOWED[status])
        rows.append((f"`{status}`", says, after or "nothing: it is final"))
    return "## Statuses\n\n" + _table(("status", "means", "may become"), rows)


def _reasons() -> str:
    rows = [
        (f"`{each}`", f"`{final_status(each)}`", REASONS[each].says, "yes" * each.retry_helps, REASONS[each].then)
        for each in Reason
    ]
    table = _table(("reason", "ends", "what happened", "retried", "what to do"), rows)
    retried = "Retried is what may end otherwise a moment later, as often as `--retries` says; what has called a tool "
    return f"## Reasons\n\nEach end has one. {retried}only where the job is `--repeatable`.\n\n{table}"


def _table(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [titles, ("---",) * len(titles), *(tuple(cell.replace("|", "\\|") for cell in row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _plain(words: str) -> str:
    """On one line, with what markdown would take for more than text put as it is; but not between backticks."""
    parts = " ".join(words.split()).split("`")
    parts[::2] = [part.replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_") for part in parts[::2]]
    return "`".join(parts)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
