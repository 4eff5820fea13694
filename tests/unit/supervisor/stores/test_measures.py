"""What is counted of runs for whoever measures."""

from __future__ import annotations

from datetime import timedelta

from shared.reasons import Reason
from supervisor.models import Trigger
from supervisor.status import Status
from supervisor.stores.measures import Measures, Sum
from supervisor.stores.summary import Summary
from tests.fakes import NOON, make_run

SECOND = timedelta(seconds=1)


def folded(*steps: tuple[Status, dict[str, object]]) -> Measures:
    """The measures of one run that went this way, by the rules of a history."""
    summary, counted, ended = Summary(), False, False
    for status, facts in steps:
        run = make_run(status=status, **{"trigger": Trigger.SCHEDULE, **facts})
        summary = summary.after(run, counted=counted, ended=ended)
        counted, ended = run.started_at.year > 1 and status is not Status.SKIPPED, status.final
    return summary.measures


def test_each_way_of_a_run_is_counted_once() -> None:
    began = {"started_at": NOON + 5 * SECOND}
    over = {**began, "finished_at": NOON + 65 * SECOND}
    rows = {
        "completed": (
            [(Status.RUNNING, began), (Status.RUNNING, began), (Status.COMPLETED, over | {"reason": Reason.OK})],
            Measures(
                started=1,
                ended={"ok": 1},
                lateness=Sum(count=1, seconds=5.0),
                durations=Sum(count=1, seconds=60.0),
                last_success=NOON + 65 * SECOND,
            ),
        ),
        "sent away by its gate": (
            [(Status.RUNNING, began), (Status.SKIPPED, over | {"reason": Reason.NOTHING_TO_DO})],
            Measures(started=1, ended={"nothing_to_do": 1}, lateness=Sum(count=1, seconds=5.0)),
        ),
        "skipped": (
            [(Status.SKIPPED, {"reason": Reason.OVERLAP, "finished_at": NOON})],
            Measures(ended={"overlap": 1}),
        ),
        "by hand, and noted once more": (
            [
                (Status.QUEUED, {"trigger": Trigger.MANUAL}),
                (Status.RUNNING, began | {"trigger": Trigger.MANUAL}),
                (Status.FAILED, over | {"reason": Reason.AGENT_ERROR, "trigger": Trigger.MANUAL}),
                (Status.FAILED, over | {"reason": Reason.AGENT_ERROR, "left_behind": 2, "trigger": Trigger.MANUAL}),
            ],
            Measures(started=1, ended={"agent_error": 1}, durations=Sum(count=1, seconds=60.0)),
        ),
        "the clock was set back": (
            [(Status.RUNNING, began), (Status.FAILED, began | {"reason": Reason.REFUSED, "finished_at": NOON})],
            Measures(started=1, ended={"refused": 1}, lateness=Sum(count=1, seconds=5.0), durations=Sum(count=1)),
        ),
    }
    for name, (steps, expected) in rows.items():
        assert folded(*steps) == expected, name
