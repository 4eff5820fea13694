"""The options that describe a job, once: `add` and `edit` take the same, grouped alike in their help."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any, get_type_hints

import typer
from typer.core import TyperCommand
from typer.models import OptionInfo

from supervisor.cli.completion import TYPES, Complete, among, complete_agents, complete_secrets, complete_targets
from supervisor.cli.options import AllowedHosts, NetworkName, Zone

Text = str | None
Flag = bool | None


def _option(panel: str | None, metavar: str, words: str, complete: Complete | None = None) -> OptionInfo:
    option: OptionInfo = typer.Option(
        metavar=metavar, help=words, rich_help_panel=panel, show_default=False, autocompletion=complete
    )
    return option


_LATE, _LIFE, _TOLD = "Late and overlapping", "Its life", "Who is told"
_AROUND = "Before and after the agent"
_OWN = "Limits other than its type's (auto: as its type has it)"
_SPENDS = "What it may spend (0: any)"
_SEES = "What it sees of your files"
# What a shell offers. The models say what is taken; they are not loaded to define a command.
WORK_MODES, ISOLATION = ("inplace", "read", "branch"), ("required", "best-effort", "none")
FORMATS, EVENTS = ("text", "json", "structured"), ("completed", "failed", "canceled", "all")
OVERLAP, CATCH_UP, DST = ("skip", "queue", "replace", "allow"), ("once", "skip", "all"), ("once", "exact")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """What was given on the command line; None: it was not."""

    cron: Annotated[Text, typer.Option(metavar="EXPR", help="Five fields, six with seconds first, or @daily.")] = None
    every: Annotated[Text, typer.Option(metavar="DURATION", help="An interval, like 30m or 1h30m.")] = None
    at: Annotated[Text, typer.Option(metavar="TIME", help="Once: '2026-11-24 07:00', RFC 3339, or +10m.")] = None
    tz: Zone = None
    prompt: Annotated[Text, typer.Option(metavar="TEXT", help="What the agent is asked.")] = None
    prompt_file: Annotated[Text, typer.Option(metavar="FILE", help="The same out of a file; - is stdin.")] = None
    untrusted_input: Annotated[
        Flag, typer.Option(help="Let the prompt take in {{ last_run.response }} or {{ gate.output }}.")
    ] = None
    name: Annotated[Text, typer.Option(metavar="NAME", help="What you call it.")] = None
    agent: Annotated[
        Text, _option(None, "AGENT", "Who gets the prompt: see `cronward agents list`.", complete_agents)
    ] = None
    command: Annotated[Text, typer.Option(metavar="ARGV", help="A program with arguments; no shell is used.")] = None
    gate: Annotated[
        Text, _option(_AROUND, "ARGV", "Runs first: 0 lets the agent start, 75 means nothing to do. '': none.")
    ] = None
    check: Annotated[
        Text, _option(_AROUND, "ARGV", "Runs last, on what the agent left: has to end with 0. '': none.")
    ] = None
    model: Annotated[Text, typer.Option(metavar="MODEL", help="The agent's model.")] = None
    work_dir: Annotated[Text, typer.Option(metavar="DIR", help="The directory that the agent works in.")] = None
    work_mode: Annotated[
        Text,
        _option(_SEES, "MODE", "Of the work directory: inplace (default), read, branch.", among(*WORK_MODES)),
    ] = None
    git_write: Annotated[
        Flag, typer.Option(help="Let it write to .git: commit, but also plant hooks.", rich_help_panel=_SEES)
    ] = None
    read_path: Annotated[
        list[str] | None, _option(_SEES, "PATH", "A further file or directory to read; none. Repeatable.")
    ] = None
    write_path: Annotated[
        list[str] | None, _option(_SEES, "PATH", "A further one of yours to write to; none. Repeatable.")
    ] = None
    network: NetworkName = None
    allow_host: AllowedHosts = None
    secret: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A secret that it gets, as a file; NAME=VARIABLE: as both. none: take back. Repeatable.",
            autocompletion=complete_secrets,
        ),
    ] = None
    secrets_when_tainted: Annotated[
        Flag, typer.Option(help="Give them to it, and its login, also where the prompt takes in untrusted input.")
    ] = None
    login: Annotated[Flag, typer.Option(help="Grant it its agent's login (cronward login AGENT). Default: no.")] = None
    git_credential: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST=SECRET", help="A secret for git over https to that host; none. Repeatable."),
    ] = None
    session_key: Annotated[
        Text, typer.Option(metavar="KEY", help="Go on with one conversation; '': each run begins its own (default).")
    ] = None
    isolation: Annotated[
        Text, _option(None, "HOW", "The whole cell, or what: required (default), best-effort, none.", among(*ISOLATION))
    ] = None
    type: Annotated[
        Text, _option(None, "TYPE", "Limits: light, medium, resource-intensive. Default: light.", among(*TYPES))
    ] = None
    timeout: Annotated[Text, typer.Option(metavar="DURATION", help="Of a whole run. Default: 30m.")] = None
    idle_timeout: Annotated[
        Text,
        typer.Option(metavar="DURATION", help="How long it may write nothing. Default (auto): as configured, none."),
    ] = None
    retries: Annotated[int | None, typer.Option(metavar="N", help="Further attempts. Default: 3.")] = None
    retry_delay: Annotated[
        Text, typer.Option(metavar="DURATION", help="Before the first retry; doubles. Default: 1s.")
    ] = None
    repeatable: Annotated[Flag, typer.Option(help="Try again also what has called a tool. Default: no.")] = None
    rerun_unknown: Annotated[
        Flag, typer.Option(help="Try again what nobody saw end, since the supervisor died. Default: no.")
    ] = None
    output_format: Annotated[Text, _option(None, "FORMAT", "text, json, structured.", among(*FORMATS))] = None
    output_schema: Annotated[
        Text, typer.Option(metavar="SCHEMA", help="A JSON Schema, or @FILE; implies structured.")
    ] = None
    private: Annotated[Flag, typer.Option(help="Show other users of the host no name of it in ps.")] = None

    memory: Annotated[Text, _option(_OWN, "SIZE", "Of all its processes together, like 2GiB.")] = None
    processes: Annotated[Text, _option(_OWN, "N", "Processes and threads at one time.")] = None
    cpu_time: Annotated[Text, _option(_OWN, "DURATION", "Of all its processes together; 0s: no limit.")] = None
    cpu_share: Annotated[Text, _option(_OWN, "PERCENT", "Of one core; needs a cgroup; 0: any.")] = None
    disk: Annotated[Text, _option(_OWN, "SIZE", "By how much it may grow where it writes on disk; 0: any.")] = None
    tmp: Annotated[Text, _option(_OWN, "SIZE", "Its private /tmp, /dev/shm and home, each.")] = None
    file_size: Annotated[Text, _option(_OWN, "SIZE", "The largest file that it may write.")] = None
    open_files: Annotated[Text, _option(_OWN, "N", "Open files of each process.")] = None
    output: Annotated[Text, _option(_OWN, "SIZE", "What it may write to its standard output and error.")] = None
    setup_timeout: Annotated[Text, _option(_OWN, "DURATION", "In which its cell must stand.")] = None
    run_as: Annotated[
        Text, _option(_OWN, "USER[:GROUP]", "Under root only: whose rights it has; '': a user id of its own.")
    ] = None

    max_turns: Annotated[Text, _option(_SPENDS, "N", "Turns of one run.")] = None
    max_tokens: Annotated[Text, _option(_SPENDS, "N", "Tokens of one run, in and out, like 200k.")] = None
    max_cost: Annotated[Text, _option(_SPENDS, "USD", "Money of one run, where its agent tells what it costs.")] = None
    daily_runs: Annotated[Text, _option(_SPENDS, "N", "Runs that start on one day of this host's calendar.")] = None
    daily_tokens: Annotated[Text, _option(_SPENDS, "N", "Their tokens.")] = None
    daily_cost: Annotated[Text, _option(_SPENDS, "USD", "Their money.")] = None
    monthly_runs: Annotated[Text, _option(_SPENDS, "N", "Runs that start in one month.")] = None
    monthly_tokens: Annotated[Text, _option(_SPENDS, "N", "Their tokens.")] = None
    monthly_cost: Annotated[Text, _option(_SPENDS, "USD", "Their money.")] = None

    overlap: Annotated[
        Text,
        _option(_LATE, "POLICY", "While its last run goes on: skip (default), queue, replace, allow.", among(*OVERLAP)),
    ] = None
    catch_up: Annotated[
        Text,
        _option(
            _LATE, "POLICY", "Of what fell due while nothing kept time: once (default), skip, all.", among(*CATCH_UP)
        ),
    ] = None
    grace: Annotated[
        Text, _option(_LATE, "DURATION", "How late it may still start. Default (auto): a period, 5m to 24h.")
    ] = None
    jitter: Annotated[Text, _option(_LATE, "DURATION", "Start up to so much later, always alike. Default: 0s.")] = None
    dst: Annotated[Text, _option(_LATE, "RULE", "At clock changes: once (default) or exact.", among(*DST))] = None

    start: Annotated[Text, _option(_LIFE, "TIME", "Not due before; none: due at once.")] = None
    until: Annotated[Text, _option(_LIFE, "TIME", "Not due after; none: no end.")] = None
    max_runs: Annotated[int | None, _option(_LIFE, "N", "Not due after so many runs; 0: no end.")] = None
    disable_after: Annotated[
        Text, _option(_LIFE, "N", "Paused after so many failed runs in a row; 0: never; auto: as configured.")
    ] = None

    on_complete: Annotated[Text, _option(_TOLD, "URL", "A webhook for runs that complete; '': none.")] = None
    on_fail: Annotated[Text, _option(_TOLD, "URL", "A webhook for runs that fail or are canceled; '': none.")] = None
    webhook_token: Annotated[
        Text, _option(_TOLD, "SECRET", "The secret that both get as `Authorization: Bearer`; '': none.")
    ] = None
    notify_on: Annotated[
        list[str] | None,
        _option(_TOLD, "EVENT", "Only of this: completed, failed, canceled; all. Repeatable.", among(*EVENTS)),
    ] = None
    notify: Annotated[
        list[str] | None,
        _option(_TOLD, "TARGET", "Alert this target of the configuration; none. Repeatable.", complete_targets),
    ] = None
    ping: Annotated[
        Text, _option(_TOLD, "URL", "A dead-man ping: /start, success, /fail, as healthchecks.io has it; '': none.")
    ] = None
    silent: Annotated[Flag, typer.Option(help="Tell nobody.", rich_help_panel=_TOLD)] = None


def with_job_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with each field of JobOptions as an option, in the place of its parameter `given`."""
    hints = get_type_hints(JobOptions, include_extras=True)
    kind = inspect.Parameter.KEYWORD_ONLY
    ours = [inspect.Parameter(f.name, kind, default=None, annotation=hints[f.name]) for f in fields(JobOptions)]

    @functools.wraps(command)
    def called(**values: Any) -> None:  # noqa: ANN401 - whatever the options are
        given = JobOptions(**{each.name: values.pop(each.name) for each in ours})
        command(given=given, **values)

    own = inspect.signature(command, eval_str=True)
    parameters = [each.replace(kind=kind) for each in own.parameters.values()]
    place = list(own.parameters).index("given")
    whole = own.replace(parameters=[*parameters[:place], *ours, *parameters[place + 1 :]])
    called.__signature__ = whole  # type: ignore[attr-defined]  # what inspect, and so typer, looks at first
    return called


class Grouped(TyperCommand):
    """A command with its options under the headings of their panels, without the colours that panels would bring."""

    def format_options(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - typer keeps their types to itself
        """Write the sections, the one without a name first."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            kind = "Arguments" if param.param_type_name == "argument" else "Options"
            if record is not None:
                sections.setdefault(getattr(param, "rich_help_panel", None) or kind, []).append(record)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)
