"""How jobs and runs look: rows of a table, and a page for one of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from shared.messages import Layer
from supervisor.cli import capped, leftovers, offered, policies, spending, verdicts
from supervisor.cli.escape import shortened
from supervisor.cli.jobtable import paused, when
from supervisor.cli.looks import STYLES
from supervisor.cli.place import Place
from supervisor.cli.render import Cell, Column, on_terminal, say, show_facts, show_table, warn
from supervisor.cli.times import lasted, relative, roughly, size, stamp
from supervisor.errors import CronwardError, StoreError
from supervisor.models import NEVER, CronJob, CronRun, Program
from supervisor.reports import past
from supervisor.reports.shown import with_runs
from supervisor.status import Status
from supervisor.stores.summary import Summary
from supervisor.timing.describe import describe
from supervisor.timing.duration import format_duration
from supervisor.timing.occurrences import schedule_of

_PROMPT_CHARS = 60
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
    if run.finished_at != NEVER and run.attempt:
        yield "took", f"{lasted(run.duration)}, {run.attempt} attempt{'s' * (run.attempt != 1)}"
    if run.usage is not None:
        used = run.usage
        most = f"at most {size(used.peak_memory_bytes)} of memory in {used.processes_peak} processes and threads"
        yield "used", f"{used.cpu_seconds:.1f} s of CPU, {most}, {size(used.peak_rss_bytes)} in the largest"
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
        yield from _cell(run.layers)
    if run.log_dir:
        yield "files", run.log_dir


def standing(run: CronRun) -> Cell:
    """Status and reason in one phrase."""
    told = run.reason is None or run.status is Status.COMPLETED
    text = run.status.value if told or run.reason is None else f"{run.status.value}: {run.reason.value}"
    return Cell(text, STYLES[run.status])


def _cell(layers: Sequence[Layer]) -> Iterator[tuple[str, Cell | str]]:
    """One layer a line in a pipe. On a terminal they share lines, so that what the run wrote is not pushed out of
    sight; those that do not hold stand alone."""
    if not on_terminal():
        yield "cell", "\n".join(map(_layer, layers))
        return
    for layer in layers:
        if not layer.held:
            yield "cell", Cell(_layer(layer), "red")
    yield "cell", "; ".join(_layer(layer) for layer in layers if layer.held)


def _layer(layer: Layer) -> str:
    name = layer.name if layer.held else f"NOT HELD {layer.name}"
    return f"{name}: {layer.detail}" if layer.detail else name


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
    yield "state", Cell("enabled", "green") if job.enabled else Cell(paused(job), "yellow")
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
    yield "limits", f"{job.type.value}, {format_duration(timedelta(seconds=job.timeout_seconds))} in all, {retrying}"
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
    yield from policies.origin(job)
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
        last = past.of(found)
        yield "last", f"{last.ending} at {stamp(last.at)} ({relative(last.at, now)}), {count}"
    elif job.last_run != NEVER:
        yield "last", f"{stamp(job.last_run)} ({relative(job.last_run, now)}), {count}"
