"""Jobs whose command writes a ledger of its own: what really happened, whatever the supervisor says.

Each attempt appends one line (run, attempt, scheduled instant) to a file in its job's work directory and syncs it
before it does anything else. Where no two attempts of a job may live at the same time it also takes a lock, which the
kernel gives back when its holder is dead: who finds it taken says so in a second file.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
NEVER_OWED = datetime.max.replace(tzinfo=UTC)
LINE = "$CRONWARD_RUN_ID $CRONWARD_ATTEMPT $CRONWARD_SCHEDULED_AT"
ALONE = f'exec 9<>alone; flock -n 9 || echo "{LINE}" >>beside;'
ENTRY = f'echo "{LINE}" >>ledger; sync ledger;'
# What an attempt does after it has written its line. "First" means the first attempt of its run.
DEEDS = {
    "ends at once": "exit 0",
    "works for a while": "sleep {seconds}",
    "fails first": "[ $CRONWARD_ATTEMPT -gt 1 ]",
    "always fails": "exit 3",
    "is killed first": "[ $CRONWARD_ATTEMPT -gt 1 ] || kill -9 $$",
    "hangs": "sleep 600",
}


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When a job is due, with the same said as a cron expression: every `step`, `offset` after whole multiples."""

    expr: str
    step: timedelta
    offset: timedelta = timedelta(0)

    def due(self, first: datetime, last: datetime, anchor: datetime) -> Iterator[datetime]:
        """Every instant in [first, last]. An interval counts from `anchor`; a cron expression from the hour."""
        origin = anchor.replace(microsecond=0) if self.expr.startswith("@every") else _midnight(first)
        at = origin + self.offset + -((origin + self.offset - first) // self.step) * self.step
        while at <= last:
            yield at
            at += self.step


def _midnight(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def seconds(step: int) -> Rhythm:
    """Six fields, every second or every few; a divisor of 60."""
    return Rhythm("* * * * * *" if step == 1 else f"*/{step} * * * * *", step * SECOND)


def minutes(step: int, second: int) -> Rhythm:
    """Six fields, at one second of every so many minutes; a divisor of 60."""
    return Rhythm(f"{second} */{step} * * * *", step * MINUTE, second * SECOND)


def interval(step: timedelta) -> Rhythm:
    return Rhythm(f"@every {step // SECOND}s", step)


@dataclass(slots=True)
class Sown:
    """One job, and what is known of it without asking the supervisor."""

    name: str
    rhythm: Rhythm
    work: Path
    policy: dict[str, Any] = field(default_factory=dict)
    deed: str = "ends at once"
    seconds: float = 0.0
    job_id: str = ""
    owed_from: datetime = NEVER_OWED
    anchor: datetime = NEVER_OWED
    idle: list[tuple[datetime, datetime]] = field(default_factory=list)
    """Spans in which it was, or may have been, paused: nothing is owed then, and nothing forbidden."""

    @property
    def alone(self) -> bool:
        return bool(self.policy.get("overlap", "skip") != "allow")

    def draft(self) -> dict[str, Any]:
        """What is added. The name is in the command too, so that whatever lives of it can be found."""
        script = (ALONE if self.alone else "") + ENTRY + DEEDS[self.deed].format(seconds=self.seconds)
        return {
            "name": self.name,
            "cron_expr": self.rhythm.expr,
            "prompt": "x",
            "command": f"sh -c '{script}' {self.name}",
            "work_dir": str(self.work),
            "timezone": None if self.rhythm.expr.startswith("@") else "UTC",
            **self.policy,
        }

    def prepare(self) -> None:
        """Its work directory, in which whatever uid the attempts have may write."""
        self.work.mkdir(parents=True)
        self.work.chmod(0o777)
        for name in ("ledger", "beside", "alone"):
            path = self.work / name
            path.touch()
            path.chmod(0o666)

    def added(self, job: dict[str, Any]) -> None:
        self.job_id = job["id"]
        self.owed_from = self.anchor = datetime.fromisoformat(job["created_at"])

    def due(self, last: datetime) -> Iterator[datetime]:
        """What it owes up to `last`, but for what a pause took away."""
        for at in self.rhythm.due(self.owed_from, last, self.anchor):
            if at > self.owed_from and not any(begin <= at <= end for begin, end in self.idle):
                yield at


def retrying(draw: random.Random) -> dict[str, Any]:
    return {"retries": draw.randint(1, 3), "retry_delay": draw.choice((100, 300, 1000)) * 1_000_000}
