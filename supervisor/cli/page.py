"""How jobs and runs look: rows of a table, and a page for one of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from shared.messages import Layer
from supervisor.cli import capped, latest, leftovers, offered, policies, spending, verdicts
from supervisor.cli.escape import shortened
from supervisor.cli.place import Place
from supervisor.cli.render import Cell, Column, Style, columns, on_terminal, say, show_facts, show_table, warn
from supervisor.cli.times import lasted, relative, roughly, size, span, stamp
from supervisor.describe import describe
from supervisor.duration import format_duration
from supervisor.errors import CronwardError, StoreError
from supervisor.models import NEVER, CronJob, CronRun, Program
from supervisor.occurrences import schedule_of
from supervisor.shown import with_runs
from supervisor.status import Status
from supervisor.summary import Summary

STYLES: dict[Status, Style] = {
    Status.COMPLETED: "green",
    Status.FAILED: "red",
    Status.UNKNOWN: "red",
    Status.CANCELED: "yellow",
    Status.SKIPPED: "yellow",
    Status.RUNNING: "cyan",
    Status.STOPPING: "cyan",
    Status.QUEUED: "cyan",
}
MARKS: dict[Status, str] = {
    Status.COMPLETED: "\u2713",
    Status.FAILED: "\u2717",
    Status.UNKNOWN: "?",
    Status.CANCELED: "/",
    Status.SKIPPED: "o",
    Status.RUNNING: ">",
    Status.STOPPING: ">",
    Status.QUEUED: "~",
}
"""Of a status, where there is little room."""
_PROMPT_CHARS = 60
_REASON_CHARS, _REASON_LEAST, _WIDE = 30, 16, 110
_SHOWN_RUNS = 5


def current(place: Place, job: CronJob) -> CronJob:
    """The job with what its runs say about it."""
    return with_runs(job, place.runs, place.now)


def summary_of(place: Place, job: CronJob) -> Summary | None:
    """What its history comes to; None where the history cannot be read."""
    try:
        return place.runs.summary(job.id)
    except StoreError:
        return None


def warn_of_damage(place: Place) -> None:
    """What cannot be read is said beside every list that lacks it."""
    for damage in place.jobs.damaged:
        warn(f"Left out: {damage.told}")
    for damage in place.runs.damaged:
        warn(f"Damaged history: {damage.problem}")


def show_jobs(place: Place, jobs: Sequence[CronJob]) -> None:
    """All jobs as a table; more about each where the terminal is wide. How often each ran is not told on a terminal:
    for that every history would have to be read whole."""
    if on_terminal():
        now = place.now
        last = latest.summaries(place, now)
        rows = [_job_row(latest.with_next(place, job, now), last.get(job.id, Summary()), now, False) for job in jobs]
        show_table(_job_columns(), rows)
    else:
        found = ((current(place, job), summary_of(place, job)) for job in jobs)
        show_table(_job_columns(), [_job_row(job, summary, place.now, True) for job, summary in found])


def _job_columns() -> list[Column]:
    found = [
        Column("ID", needs=70),
        Column("NAME", shrinks=True),
        Column("SCHEDULE", shrinks=True),
        Column("NEXT", shrinks=True, least=13),
        Column("LAST", shrinks=True, least=24),
        Column("AGENT", needs=110),
        Column("PROMPT", shrinks=True, needs=110),
    ]
    return found if on_terminal() else [*found[:5], Column("RUNS", right=True), *found[5:]]


def show_job(place: Place, job: CronJob) -> None:
    """One job whole, with its latest runs."""
    found = summary_of(place, job)
    show_facts(_job_facts(job, found, place.now))
    runs = place.runs.get_runs(job.id, last=_SHOWN_RUNS) if found else []
    if runs:
        say("")
        show_runs(place, runs)
    if left := leftovers.notice(runs):
        warn(left)


def show_runs(place: Place, runs: Sequence[CronRun]) -> None:
    """Runs as a table, in the order given."""
    shown = (
        Column("RUN"),
        Column("JOB", shrinks=True),
        Column("STATUS", shrinks=True, least=20),
        Column("DUE"),
        Column("TOOK", right=True, needs=70),
        Column("TRIES", right=True, needs=100),
        Column("ANSWER OR ERROR", shrinks=True, needs=90),
    )
    whole, why = not on_terminal(), _waiting_for(place, runs)
    show_table(shown, [_run_row(place, run, whole, why.get(run.id, "")) for run in runs])


def _waiting_for(place: Place, runs: Sequence[CronRun]) -> dict[str, str]:
    """What those in the queue wait for, which only the supervisor knows, where one answers."""
    if not any(run.status is Status.QUEUED for run in runs):
        return {}
    try:
        return {waiting["run_id"]: f"waits: {waiting['why']}" for waiting in place.client.status()["queue"]}
    except CronwardError:
        return {}


def run_facts(run: CronRun) -> Iterator[tuple[str, Cell | str]]:
    """One run, whole."""
    yield "run", run.id
    yield "job", f"{run.job_name} ({run.job_id})" if run.job_name else run.job_id
    yield "status", standing(run)
    if run.error:
        yield "error", run.error
    yield "due", f"{stamp(run.scheduled_at)} ({run.trigger.value})"
    if run.started_at != NEVER:
        yield "started", stamp(run.started_at)
    if run.finished_at != NEVER:
        yield "took", f"{lasted(run.duration)}, {run.attempt} attempt{'s' * (run.attempt != 1)}"
    if run.usage is not None:
        used = run.usage
        most = f"at most {size(used.peak_memory_bytes)} in {used.processes_peak} processes and threads"
        yield "used", f"{used.cpu_seconds:.1f} s of CPU, {most}, {size(used.peak_rss_bytes)} in one"
        if used.peak_disk_bytes:
            yield "wrote", f"{size(used.peak_disk_bytes)} more on disk, at most, than there were before"
    yield from spending.facts(run)
    if run.traffic is not None:
        went = run.traffic
        count = f"{went.connections} connection{'s' * (went.connections != 1)}, {went.denied} of them denied"
        yield "network", f"{count}; {size(went.bytes_up)} up, {size(went.bytes_down)} down"
    if run.program is not None:
        yield "program", f"{run.program.path}, {size(run.program.size)}"
    yield from verdicts.of_run(run)
    if run.branch is not None:
        yield "branch", offered.words(run.branch)
    yield from leftovers.facts(run)
    if run.layers:
        yield "cell", "\n".join(map(_layer, run.layers))
    if run.log_dir:
        yield "files", run.log_dir


def standing(run: CronRun) -> Cell:
    """Status and reason in one phrase."""
    told = run.reason is None or run.status is Status.COMPLETED
    text = run.status.value if told or run.reason is None else f"{run.status.value}: {run.reason.value}"
    return Cell(text, STYLES[run.status])


def when(job: CronJob) -> str:
    """The schedule as it was given, shortly."""
    if job.at is not None:
        return f"at {stamp(job.at)}"
    return job.cron_expr


def _layer(layer: Layer) -> str:
    name = layer.name if layer.held else f"NOT HELD {layer.name}"
    return f"{name}: {layer.detail}" if layer.detail else name


def _job_row(job: CronJob, last: Summary | None, now: datetime, whole: bool) -> list[Cell | str]:
    paused = _paused(job) if whole else shortened(_paused(job), _REASON_CHARS if columns() >= _WIDE else _REASON_LEAST)
    due = Cell(relative(job.next_run, now)) if job.enabled else Cell(paused, "yellow")
    return [
        job.id if whole else job.id[:8],
        job.name or ("-" if whole else Cell(job.id[:8], "dim")),
        when(job),
        due,
        _last(last, now, whole),
        *([str(job.run_count)] if whole else []),
        job.agent,
        shortened(job.prompt, _PROMPT_CHARS),
    ]


def _last(found: Summary | None, now: datetime, whole: bool) -> Cell:
    if found is None:
        return Cell("damaged", "red")
    if found.last_status is None:
        return Cell("-")
    if whole:
        return Cell(f"{_end(found)} {relative(_ended(found), now)}", STYLES[found.last_status])
    why = "" if found.last_status is Status.COMPLETED else f" {_end(found)}"
    return Cell(f"{MARKS[found.last_status]}{why} {roughly(_ended(found), now)}", STYLES[found.last_status])


def _end(found: Summary) -> str:
    if found.last_reason is not None and found.last_status is not Status.COMPLETED:
        return found.last_reason.value
    return found.last_status.value if found.last_status else "-"


def _ended(found: Summary) -> datetime:
    """A file that an earlier version began says only when the newest run started."""
    return found.last_run if found.last_end == NEVER else found.last_end


def _run_row(place: Place, run: CronRun, whole: bool, why: str) -> list[Cell | str]:
    ended = run.finished_at != NEVER
    return [
        run.id if whole else run.id[:8],
        run.job_name or run.job_id,
        standing(run),
        stamp(run.scheduled_at) if whole else roughly(run.scheduled_at, place.now),
        lasted(run.duration) if ended and run.duration else "-",
        str(run.attempt),
        shortened(why or run.error or run.response, 200 if whole else _PROMPT_CHARS),
    ]


def _job_facts(job: CronJob, found: Summary | None, now: datetime) -> Iterable[tuple[str, Cell | str]]:
    schedule = schedule_of(job)
    yield "job", Cell(job.label, "bold")
    yield "id", job.id
    yield "state", Cell("enabled", "green") if job.enabled else Cell(_paused(job), "yellow")
    yield "schedule", when(job) if schedule is None else f"{when(job)}\n{describe(schedule)}"
    if job.next_run != NEVER:
        yield "next", f"{stamp(job.next_run)} ({relative(job.next_run, now)})"
    yield from _past(job, found, now)
    if job.last_error:
        yield "last error", Cell(job.last_error, "red")
    yield "agent", " ".join(part for part in (job.agent, job.model) if part)
    if job.command:
        yield "command", job.command
    if job.program is not None:
        yield "program", "\n".join(_program(job.program))
    yield from verdicts.of_job(job)
    if job.isolation != "required":
        yield "cell", job.isolation
    if job.secrets:
        yield "secrets", ", ".join(job.secrets)
    if job.login:
        yield "login", f"its agent's: {job.agent}"
    if job.git_credentials:
        yield "git", ", ".join(job.git_credentials)
    if job.session_key:
        yield "conversation", job.session_key
    yield from policies.sees(job)
    yield "network", f"{job.network}: {', '.join(job.allow_hosts)}" if job.allow_hosts else job.network
    retrying = (
        f"{job.retries} retries, the first after {format_duration(timedelta(microseconds=job.retry_delay // 1000))}"
        if job.retries
        else "no retries"
    )
    yield "limits", f"{job.type.value}, {span(job.timeout_seconds)} in all, {retrying}"
    yield from policies.limits(job)
    yield from capped.facts(job)
    yield from policies.late(job)
    yield from policies.life(job)
    yield from policies.told(job)
    yield "answer", job.output_format.value
    if job.output_schema:
        yield "schema", job.output_schema
    by = f" by {job.created_by}" if job.created_by else ""
    yield "added", f"{stamp(job.created_at)}{by}"
    yield "prompt", job.prompt


def _program(program: Program) -> Iterator[str]:
    """Where it lies, and what of the host the cell shows for it."""
    yield program.path if program.path == program.real else f"{program.path}, which is {program.real}"
    if program.interpreter:
        yield f"run by {program.interpreter}"
    for path in program.shown:
        yield f"shown to it: {path}"


def _past(job: CronJob, found: Summary | None, now: datetime) -> Iterator[tuple[str, Cell | str]]:
    count = f"{job.run_count} run{'s' * (job.run_count != 1)} so far"
    if found is None:
        yield "last", Cell("damaged", "red")
    elif found.last_status is not None:
        at = _ended(found)
        yield "last", f"{_end(found)} at {stamp(at)} ({relative(at, now)}), {count}"
    elif job.last_run != NEVER:
        yield "last", f"{stamp(job.last_run)} ({relative(job.last_run, now)}), {count}"


def _paused(job: CronJob) -> str:
    return f"paused: {job.pause_reason}" if job.pause_reason else "paused"
