"""Walks over the table of states: whatever is asked of a run, in whatever order."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.models import CronRun
from supervisor.status import ALLOWED, Status, TransitionError
from tests.fakes import make_run

WALKS = st.lists(st.sampled_from(Status), max_size=12)


def walked(steps: list[Status]) -> list[CronRun]:
    """The run after each step; a step that is refused leaves it as it was."""
    runs = [make_run()]
    for step in steps:
        after = runs[-1]
        with suppress(TransitionError):
            after = after.moved(step)
        runs.append(after)
    return runs


@given(WALKS)
def test_what_is_final_stays(steps: list[Status]) -> None:
    statuses = [run.status for run in walked(steps)]
    ended = [status for status in statuses if status.final]
    assert len(set(ended)) <= 1
    assert statuses[len(statuses) - len(ended) :] == ended


@given(WALKS)
def test_what_was_told_to_stop_never_completes(steps: list[Status]) -> None:
    statuses = [run.status for run in walked(steps)]
    if Status.STOPPING in statuses:
        assert Status.COMPLETED not in statuses
        assert Status.SKIPPED not in statuses


@given(WALKS)
def test_nothing_is_queued_again_and_nothing_runs_twice(steps: list[Status]) -> None:
    order = list(dict.fromkeys(run.status for run in walked(steps)))
    changes = [run.status for run in walked(steps)]
    assert [status for status, before in zip(changes[1:], changes, strict=False) if status != before] == order[1:]
    assert Status.QUEUED not in order[1:]


def test_every_state_can_be_reached_and_every_one_can_end() -> None:
    reached, todo = {Status.QUEUED}, [Status.QUEUED]
    while todo:
        fresh = ALLOWED[todo.pop()] - reached
        reached |= fresh
        todo += fresh
    assert reached == set(Status)
    assert all(any(after.final for after in ALLOWED[status]) for status in Status if not status.final)


def test_a_step_that_the_table_has_not_is_refused_by_both_names() -> None:
    with pytest.raises(TransitionError, match=r"is completed and cannot become running\.$"):
        make_run(status=Status.COMPLETED).moved(Status.RUNNING)


@pytest.mark.parametrize("status", Status)
def test_no_state_becomes_itself(status: Status) -> None:
    assert status not in ALLOWED[status]
