"""The auditor finds each kind of broken promise where one is planted: else its silence would mean nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.crash.audit import audit
from tests.crash.sown import Sown, seconds

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
Record = dict[str, Any]


class Story:
    """Three occurrences, two seconds apart: one completed at its second attempt, two missed, told in one record."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        (self.home / "runs").mkdir(parents=True)
        (self.home / "damaged").mkdir()
        self.job = Sown("j", seconds(2), folder / "work", job_id="job", owed_from=NOON, anchor=NOON)
        self.job.prepare()
        missed = f"2 occurrences were missed, from {_at(4)} to {_at(6)}."
        self.runs = [
            _run("r1", 2, "completed", attempt=2),
            _run("r2", 6, "skipped", reason="missed", error=missed),
            _run("r3", 8, "unknown", attempt=1),
        ]
        self.ledger = [("r1", 1, 2), ("r1", 2, 2), ("r3", 1, 8)]
        self.beside: list[tuple[str, int, int]] = []
        self.torn = b""

    def verdict(self, until: int = 8) -> list[str]:
        lines = [json.dumps({"version": 1}), *map(json.dumps, self.runs)]
        (self.home / "runs" / "job.jsonl").write_bytes("".join(f"{line}\n" for line in lines).encode() + self.torn)
        for name in ("ledger", "beside"):
            told = (f"{run_id} {attempt} {_at(second)}\n" for run_id, attempt, second in getattr(self, name))
            (self.job.work / name).write_text("".join(told))
        return audit(self.home, [self.job], NOON + timedelta(seconds=until)).violations


def _at(second: int) -> str:
    return (NOON + timedelta(seconds=second)).isoformat()


def _run(run_id: str, second: int, status: str, **fields: Any) -> Record:
    known = {"id": run_id, "job_name": "j", "status": status, "trigger": "schedule", "scheduled_at": _at(second)}
    return {**known, "attempt": 0, "reason": "", "error": "", **fields}


PLANTED: dict[str, Callable[[Story], object]] = {
    "twice, the second as r4": lambda story: story.runs.append(_run("r4", 2, "failed")),
    "1 lost": lambda story: story.runs.pop(0),
    "never due": lambda story: story.runs.append(_run("r4", 3, "failed")),
    "2 missed from": lambda story: story.runs[1].update(error=story.runs[1]["error"].replace(_at(4), _at(6))),
    "is still running": lambda story: story.runs[2].update(status="running"),
    "is completed and never happened": lambda story: story.ledger.pop(1),
    "attempt 1 of r3 happened 2 times": lambda story: story.ledger.append(("r3", 1, 8)),
    "attempt 3 of 2 happened": lambda story: story.ledger.append(("r1", 3, 2)),
    "is skipped, and it happened": lambda story: story.ledger.append(("r2", 1, 6)),
    "r4 happened and has no record": lambda story: story.ledger.append(("r4", 1, 4)),
    "its command was told": lambda story: story.ledger.append(("r2", 1, 4)),
    "ran beside another": lambda story: story.beside.append(("r3", 1, 8)),
    "never started, and it happened": lambda story: story.runs[2].update(status="canceled", attempt=0),
    "ends in a torn line": lambda story: setattr(story, "torn", b'{"id": '),
    "damaged: ": lambda story: (story.home / "damaged" / "job.jsonl.1").touch(),
}


def test_whatever_is_broken_is_found_and_what_is_not_is_not(tmp_path: Path) -> None:
    assert Story(tmp_path / "good").verdict() == []
    assert Story(tmp_path / "later").verdict(until=11) == [f"j: 1 lost: ['{NOON + timedelta(seconds=10)}']"]
    for number, (words, plant) in enumerate(PLANTED.items()):
        story = Story(tmp_path / str(number))
        plant(story)
        found = story.verdict()
        assert any(words in each for each in found), f"{words!r} is not among {found}"
