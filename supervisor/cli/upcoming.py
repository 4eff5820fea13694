"""Commands about time: next, validate."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, cast

import typer

from supervisor.cli import render
from supervisor.cli.completion import among, complete_jobs
from supervisor.cli.options import AsJson, Zone
from supervisor.cli.place import Place, place_of

if TYPE_CHECKING:
    from typing import Literal

    from supervisor.timing.schedule import Schedule

MAX_COUNT = 1000
_VALIDATED = 3


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command("next")(upcoming)
    app.command()(validate)


def upcoming(
    ctx: typer.Context,
    job: Annotated[
        str | None,
        typer.Argument(metavar="[JOB]", help="A job, or --cron.", show_default=False, autocompletion=complete_jobs),
    ] = None,
    cron: Annotated[str | None, typer.Option(metavar="EXPR", help="An expression instead of a job.")] = None,
    count: Annotated[
        int, typer.Option("-n", "--count", min=1, max=MAX_COUNT, metavar="N", help="How many instants.")
    ] = 5,
    start: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="After this instant instead of now; like --at of add.")
    ] = None,
    tz: Zone = None,
    dst: Annotated[
        str | None,
        typer.Option(
            metavar="RULE",
            help="At clock changes: once (default) or exact; with --cron.",
            autocompletion=among("once", "exact"),
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show when a job or an expression is due next.

    \b
    Example: cronward next morning -n 3
    Example: cronward next --cron '30 2 * * *' --tz Europe/Berlin --from 2026-03-28
    """
    from supervisor.cli.instant import parse_instant
    from supervisor.errors import InvalidError

    place = place_of(ctx)
    if (job is None) == (cron is None):
        raise InvalidError("Name either a job or an expression: cronward next JOB, or cronward next --cron EXPR.")
    if job is not None and dst is not None:
        raise InvalidError("The rule for clock changes (--dst) belongs to the job: use it with --cron only.")
    now = place.now
    after = now if start is None else parse_instant(start, tz, now)
    if cron is not None:
        find = _of_expression(cron, tz, dst)
    else:
        find, tz = _of_job(place, str(job), tz)
    found = _walk(find, after, count)
    _show(found, tz, now, as_json)
    if not found:
        render.warn("It is never due after that.")


def validate(
    expr: Annotated[str, typer.Argument(metavar="EXPR", help="A cron expression.", show_default=False)],
    tz: Zone = None,
    as_json: AsJson = False,
) -> None:
    """Say in words what an expression means, and when it is due.

    \b
    Example: cronward validate '*/15 9-17 * * mon-fri'
    """
    from supervisor.timing.describe import describe
    from supervisor.timing.schedule import parse

    schedule = parse(expr, timezone=tz)
    now = datetime.now(UTC)
    found = _walk(_local(schedule), now, _VALIDATED)
    if as_json:
        render.show_json({"expr": expr, "words": describe(schedule), "next": pairs(found, schedule.timezone)})
        return
    words = describe(schedule)
    render.say(words[:1].upper() + words[1:] + ".")
    if schedule.raised:
        render.warn("The interval is below one second: a job with it is refused.")
    _show(found, schedule.timezone, now, False)


Find = Callable[[datetime], datetime | None]


def _of_expression(expr: str, tz: str | None, dst: str | None) -> Find:
    from supervisor.timing.schedule import parse

    # parse() itself refuses other words, in a sentence.
    rule = cast("Literal['once', 'exact']", dst or "once")
    return _local(parse(expr, timezone=tz, dst=rule))


def _local(schedule: Schedule) -> Find:
    """Where the expression names no zone, this host's."""

    def find(after: datetime) -> datetime | None:
        return schedule.next(after if schedule.timezone else _on_host(after))

    return find


def _on_host(moment: datetime) -> datetime:
    """The moment in the host's zone itself, not at one offset of it: the clock may change before the next time."""
    from supervisor.timing.hostzone import host_zone

    return moment.astimezone(host_zone())


def _of_job(place: Place, ref: str, tz: str | None) -> tuple[Find, str | None]:
    from supervisor.timing.occurrences import next_occurrence

    job = place.jobs.find(ref)
    ran = place.runs.summary(job.id).run_count

    def find(after: datetime) -> datetime | None:
        return next_occurrence(job, after, ran)

    if not job.enabled:
        render.warn(f"The job {job.label} is paused: this is when it would be due.")
    return find, tz or job.timezone


def _walk(find: Find, after: datetime, count: int) -> list[datetime]:
    found: list[datetime] = []
    moment = after
    while len(found) < count:
        following = find(moment)
        if following is None:
            break
        found.append(following)
        # In UTC, so that no step depends on what two times of one zone compare like.
        moment = following.astimezone(UTC)
    return found


def _show(found: list[datetime], tz: str | None, now: datetime, as_json: bool) -> None:
    if as_json:
        render.show_json(pairs(found, tz))
        return
    show_times(found, tz, now)


def show_times(found: list[datetime], tz: str | None, now: datetime) -> None:
    """Instants as a table: in this zone (None: the host's), in UTC, and how far away they are."""
    from supervisor.cli.times import relative

    title = f"LOCAL ({tz})" if tz else "LOCAL"
    columns = (render.Column(title), render.Column("UTC"), render.Column("FROM NOW"))
    if found:
        rows = [
            (_readable(pair["local"]), _readable(pair["utc"]), relative(at, now))
            for pair, at in zip(pairs(found, tz), found, strict=True)
        ]
        render.show_table(columns, rows)


def pairs(found: list[datetime], tz: str | None) -> list[dict[str, str]]:
    """Each instant in both times, ready for JSON."""
    from supervisor.timing.zone import find_zone

    zone = find_zone(tz) if tz else None
    return [
        {
            "local": at.astimezone(zone).isoformat(timespec="seconds"),
            "utc": at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        }
        for at in found
    ]


def _readable(text: str) -> str:
    return text.replace("T", " ")
