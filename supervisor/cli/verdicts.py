"""Gate, check and taint, as `show` and `logs` say them."""

from __future__ import annotations

from collections.abc import Iterator

from shared.findings import TaskEnd
from supervisor.cli.escape import escape
from supervisor.models import CronJob, CronRun

Facts = Iterator[tuple[str, str]]


def of_job(job: CronJob) -> Facts:
    """What runs before its agent and after it, and what its prompt may take in."""
    if job.gate:
        yield "gate", job.gate
    if job.check:
        yield "check", job.check
    if job.untrusted_input:
        secrets = ", with its secrets" if job.secrets_when_tainted and job.secrets else ""
        yield "prompt", f"may take in untrusted input{secrets}"


def of_run(run: CronRun) -> Facts:
    """How they ended."""
    if run.tainted:
        yield "tainted", "its prompt took in what nobody vouches for"
    if run.gate is not None:
        yield "gate", _end(run.gate)
    if run.check is not None:
        yield "check", _end(run.check)


def _end(end: TaskEnd) -> str:
    how = "was ended" if end.exit_code is None else f"exit code {end.exit_code}"
    words = f": {escape(end.words)}" if end.words else ""
    return f"{how} after {end.seconds:.1f} s{words}"
