"""What of a job differs from the default, as `show` says it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from supervisor.cli.times import stamp
from supervisor.definitions.limits import SIZES
from supervisor.definitions.sizes import format_size
from supervisor.models import CatchUp, CronJob, Overlap
from supervisor.timing.duration import format_duration

Facts = Iterator[tuple[str, str]]


def limits(job: CronJob) -> Facts:
    """What it asks for instead of what its type has, and as whom it runs."""
    own = job.limits.given()
    if own:
        shown = (f"{name} {format_size(value) if name in SIZES else value}" for name, value in own.items())
        yield "own limits", ", ".join(shown)
    if job.run_as:
        yield "runs as", job.run_as


def sees(job: CronJob) -> Facts:
    """What of the host's files its agent is shown."""
    if job.work_dir:
        mode = {"inplace": "", "read": " (read-only)", "branch": " (a clone of it)"}[job.work_mode]
        yield "works in", f"{job.work_dir}{mode}"
    if job.git_write:
        yield "repositories", "may be written to"
    if job.read_paths:
        yield "reads", "\n".join(job.read_paths)
    if job.write_paths:
        yield "writes", "\n".join(job.write_paths)


def late(job: CronJob) -> Facts:
    """What happens to occurrences that are late or overlap."""
    if job.overlap is not Overlap.SKIP:
        yield "overlap", job.overlap.value
    if job.catch_up is not CatchUp.ONCE:
        yield "catch-up", job.catch_up.value
    if job.grace_secs is not None:
        yield "grace", _duration(job.grace_secs)
    if job.jitter_secs:
        yield "jitter", f"up to {_duration(job.jitter_secs)}"
    if job.dst != "once":
        yield "clock changes", job.dst
    if job.repeatable:
        yield "repeatable", "tried again also where it had called a tool"
    if job.rerun_unknown:
        yield "rerun unknown", "tried again also where nobody saw it end"


def life(job: CronJob) -> Facts:
    """When it begins and ends to be due."""
    if job.start is not None:
        yield "starts", stamp(job.start)
    if job.until is not None:
        yield "ends", stamp(job.until)
    if job.max_runs is not None:
        yield "ends after", f"{job.max_runs} run{'s' * (job.max_runs != 1)}"
    if job.disable_after is not None:
        yield "paused after", f"{job.disable_after} failed runs in a row" if job.disable_after else "no failures"


def told(job: CronJob) -> Facts:
    """Who hears of it, and who does not."""
    if job.private:
        yield "private", "ps shows other users no name of it"
    if job.on_complete or job.on_fail:
        urls = (("completed: ", job.on_complete), ("failed: ", job.on_fail))
        token = [f"with the token {job.webhook_token}"] if job.webhook_token else []
        yield "webhooks", "\n".join([*(word + url for word, url in urls if url), *token])
    if job.notify:
        yield "alerts", ", ".join(job.notify)
    if job.ping:
        yield "pings", job.ping
    if job.silent or job.notify_on:
        yield "tells", "nobody" if job.silent else "only of " + ", ".join(event.value for event in job.notify_on)


def origin(job: CronJob) -> Facts:
    """Which file has a say in it, and which it was once read from."""
    if job.applied_from:
        file = "a jobs file on standard input" if job.applied_from == "-" else job.applied_from
        yield "managed by", f"{file} (cronward apply): edit it there"
    if job.imported_from:
        yield "imported", f"from {job.imported_from}"


def _duration(seconds: int) -> str:
    """As it was given: what is set is no matter of roughly."""
    return format_duration(timedelta(seconds=seconds))
