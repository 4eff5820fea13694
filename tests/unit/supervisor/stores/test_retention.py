"""Which logs go, and which records: the rules alone, and a store of records on disk."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from shared.reasons import Reason
from supervisor.models import NEVER
from supervisor.status import Status
from supervisor.stores.retention import ENDS_AT_LEAST, Log, Rules, before, doomed, ends_until_next
from supervisor.stores.runs import RunsStore
from tests.fakes import NOON, make_run
from tests.timeline import memory_folder

DAY = timedelta(days=1)
NO_RULES = Rules(log_days=0, log_bytes=0)


def gone(logs: list[Log], ended: dict[str, int], live: set[str], rules: Rules) -> list[str]:
    """`ended`: how many days ago."""
    found = doomed(logs, {run: NOON - days * DAY for run, days in ended.items()}, live, rules, NOON)
    return [each.log.run_id for each in found]


def test_what_goes_is_too_old_too_much_or_nobodys_and_the_oldest_first() -> None:
    logs = [Log(name, 100) for name in ("new", "old", "older", "orphan", "live")]
    ended = {"new": 1, "old": 10, "older": 20}
    assert gone(logs, ended, {"live"}, NO_RULES) == ["orphan"]
    assert gone(logs, ended, {"live"}, Rules(15, 0)) == ["orphan", "older"]
    assert gone(logs, ended, {"live"}, Rules(0, 150)) == ["orphan", "older", "old"]
    assert gone(logs, ended, {"live"}, Rules(5, 99)) == ["orphan", "older", "old", "new"]
    assert gone(logs, ended, {"live"}, Rules(0, 300)) == ["orphan"]


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 1000), st.booleans(), st.booleans()), max_size=12),
    st.integers(0, 30),
    st.integers(0, 3000),
)
def test_a_live_run_never_goes_and_what_stays_keeps_the_rules(
    runs: list[tuple[int, int, bool, bool]], days: int, most: int
) -> None:
    logs = [Log(str(number), size) for number, (_, size, _, _) in enumerate(runs)]
    live = {str(number) for number, run in enumerate(runs) if run[2]}
    ended = {str(number): run[0] for number, run in enumerate(runs) if not run[2] and run[3]}
    went = set(gone(logs, ended, live, Rules(days, most)))
    assert not went & live
    stays = [log for log in logs if log.run_id not in went | live]
    assert all(log.run_id in ended for log in stays)
    assert not days or all(ended[log.run_id] <= days for log in stays)
    assert not most or sum(log.bytes for log in stays) <= most


def test_the_more_is_kept_the_more_runs_pass_until_it_is_looked_at_again() -> None:
    looks = {left: ends_until_next(left) for left in (0, 100, 4 * ENDS_AT_LEAST, 100_000)}
    assert looks == {0: ENDS_AT_LEAST, 100: ENDS_AT_LEAST, 4 * ENDS_AT_LEAST: ENDS_AT_LEAST, 100_000: 25_000}


def test_records_that_are_too_old_go_and_what_was_counted_stays_counted() -> None:
    with memory_folder() as home:
        runs = RunsStore(home)
        for number in range(6):
            ended = NOON - number * DAY
            runs.record(
                make_run(
                    id=f"{number:08}-run", scheduled_at=ended, queued_at=ended, started_at=ended, finished_at=ended,
                    status=Status.FAILED, reason=Reason.AGENT_ERROR, error="It failed.", trigger="schedule",
                )
            )  # fmt: skip
        live = make_run(
            id="99999999-live", status=Status.RUNNING, started_at=NOON - 30 * DAY, queued_at=NOON - 30 * DAY
        )
        runs.record(live)
        was = runs.summary(live.job_id)
        assert runs.expire(live.job_id, before(3, NOON)) == 2
        again = RunsStore(home)
        for store in (runs, again):
            assert {run.id[:8] for run in store.get_runs(live.job_id)} == {
                "00000000", "00000001", "00000002", "00000003", "99999999",
            }  # fmt: skip
            assert store.summary(live.job_id) == was
        assert (was.run_count, was.last_scheduled, was.failures_in_a_row) == (7, NOON, 6)


def test_the_history_of_a_removed_job_goes_with_its_last_record_and_of_one_that_is_there_stays() -> None:
    with memory_folder() as home:
        runs = RunsStore(home)
        old = make_run(
            status=Status.CANCELED, reason=Reason.CANCELED_BY_USER, error="It was.", finished_at=NOON - 9 * DAY
        )
        path = Path(home) / "runs" / f"{old.job_id}.jsonl"
        runs.record(old)
        assert runs.expire(old.job_id, before(0, NOON)) == 0
        assert runs.expire(old.job_id, before(5, NOON)) == 1
        assert path.exists()
        assert runs.expire(old.job_id, before(5, NOON), whole=True) == 0
        assert not path.exists()
        assert runs.expire("11111111-nothing", NOON) == 0
    assert before(0, NOON) == NEVER
