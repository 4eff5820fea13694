"""What the log says of a run, step by step: a sentence each, with the run, its job and why."""

from __future__ import annotations

import logging

from shared.reasons import Reason
from supervisor.errors import CronwardError, StoreError
from supervisor.logs.logline import LogEvent, about
from supervisor.models import SECOND, CronRun


class RunLog:
    """The lines about runs, in one logger."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def due(self, run: CronRun) -> None:
        """Its occurrence is on disk."""
        at, extra = run.scheduled_at.isoformat(), _about("run.due", run)
        self._logger.info("run %s: due, the occurrence of %s of job %s", run.id, at, run.job_id, extra=extra)

    def claimed(self, run: CronRun) -> None:
        """An attempt is on disk, and about to be spawned."""
        extra = _about("run.claimed", run)
        self._logger.info("run %s: admitted and claimed, attempt %d", run.id, run.attempt, extra=extra)

    def started(self, run: CronRun) -> None:
        """Its cell stands."""
        words, extra = "run %s: the cell stands (%d layers) and the agent has its prompt", _about("run.started", run)
        self._logger.info(words, run.id, len(run.layers), extra=extra)

    def retried(self, run: CronRun, why: Reason, delay: float, *, repair: bool) -> None:
        """An attempt failed, and another is to follow in so many seconds."""
        next_one = "the next asks to put it right" if repair else f"the next in {delay:g} s"
        words, extra = "run %s: attempt %d failed (%s); %s", _about("run.retried", run, why, delay)
        self._logger.warning(words, run.id, run.attempt, why.value, next_one, extra=extra)

    def overdue(self, run: CronRun) -> None:
        """Its runner is killed."""
        extra = _about("run.overdue", run)
        self._logger.error("The runner of run %s did not end in time and is killed.", run.id, extra=extra)

    def unstored(self, words: str, run: CronRun, error: Exception) -> None:
        """`words`: what cannot be stored of run %s, and why: %s."""
        self._logger.error(words, run.id, error, extra=_about("run.unstored", run))

    def job_unstored(self, job_id: str, error: StoreError) -> None:
        """What became of one of its occurrences waits for the disk. Empty: what is due of all jobs does."""
        what = f"What became of job {job_id} cannot be stored" if job_id else "The plan of all jobs cannot be made"
        self._logger.error("%s and is tried again: %s", what, error, extra=about("run.unstored", job=job_id))

    def unscheduled(self, job_id: str, error: CronwardError) -> None:
        """It will not be due until it is changed."""
        self._logger.error("Job %s is not scheduled: %s", job_id, error, extra=about("job.unscheduled", job=job_id))

    def ended(self, run: CronRun) -> None:
        """Its end is on disk, whatever it is."""
        seconds, why = run.duration / SECOND, run.reason.value if run.reason else ""
        extra = _about("run.ended", run, run.reason, seconds)
        self._logger.info("run %s: %s (%s) after %.1f s", run.id, run.status.value, why, seconds, extra=extra)

    def overruled(self, end: CronRun) -> None:
        """Its history has another end of it than ours."""
        why, extra = end.reason.value if end.reason else "", _about("run.ended", end, end.reason)
        words = "run %s: its history has an end that somebody else wrote, and that counts: %s (%s)"
        self._logger.warning(words, end.id, end.status.value, why, extra=extra)


def _about(event: LogEvent, run: CronRun, why: Reason | None = None, seconds: float | None = None) -> dict[str, object]:
    return about(
        event,
        run=run.id,
        job=run.job_id,
        attempt=run.attempt,
        status=run.status.value,
        reason=why.value if why is not None else "",
        seconds=seconds,
    )
