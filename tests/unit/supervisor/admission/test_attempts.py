from __future__ import annotations

import pytest

from shared.findings import TaskEnd, Usage
from shared.messages import Layer
from shared.reasons import Reason
from supervisor.admission.attempts import (
    MAX_BACKOFF_SECONDS,
    TOLD,
    End,
    Retry,
    after,
    backoff,
    ended,
    stopped,
    with_result,
)
from supervisor.models import SECOND, CronRun
from supervisor.status import Status, final_status
from tests.fakes import make_job, make_result, make_run

RUNNING = make_run(status=Status.RUNNING, attempt=1)
CANCELS = [reason for reason in Reason if final_status(reason) is Status.CANCELED]


def tried(times: int) -> CronRun:
    return RUNNING.noted(retry_count=times, attempt=times + 1)


# ---- another attempt


def test_the_original_waits_one_two_four_seconds_and_gives_up() -> None:
    job = make_job()
    delays = [after(tried(times), job, make_result(Reason.AGENT_ERROR), 1800.0) for times in range(4)]
    assert delays[:3] == [Retry(1.0), Retry(2.0), Retry(4.0)]
    assert delays[3] == End(Status.FAILED, Reason.AGENT_ERROR, "")


def test_only_a_reason_that_may_pass_is_tried_again() -> None:
    found = {reason: after(RUNNING, make_job(), make_result(reason), 1800.0) for reason in Reason}
    again = [reason for reason, what in found.items() if isinstance(what, Retry)]
    assert again == [reason for reason in Reason if reason.retry_helps]
    assert {final_status(reason) for reason in again} == {Status.FAILED}


def test_a_gate_skips_a_run_that_goes_on_and_what_it_said_is_kept() -> None:
    found = make_result(Reason.NOTHING_TO_DO, error="No mail.", gate=TaskEnd(exit_code=75))
    assert after(RUNNING, make_job(), found, 1800.0) == End(Status.SKIPPED, Reason.NOTHING_TO_DO, "No mail.")
    kept = with_result(with_result(RUNNING, found), make_result(Reason.RUNNER_BROKE))
    assert (kept.gate, kept.check) == (TaskEnd(exit_code=75), None)


def test_no_attempt_begins_after_the_time_of_the_run() -> None:
    job, failed = make_job(retry_delay=10 * SECOND), make_result(Reason.AGENT_ERROR)
    assert after(RUNNING, job, failed, seconds_left=10.1) == Retry(10.0)
    assert isinstance(after(RUNNING, job, failed, seconds_left=10.0), End)
    assert isinstance(after(RUNNING, job, failed, seconds_left=-5.0), End)


def test_a_job_without_retries_has_one_attempt() -> None:
    assert isinstance(after(RUNNING, make_job(retries=0), make_result(Reason.AGENT_ERROR), 1800.0), End)


def test_a_back_off_is_bounded() -> None:
    patient = make_job(retry_delay=600 * SECOND, retries=20)
    assert [backoff(patient, number) for number in (0, 1, 2, 3, 20)] == [600, 1200, 2400, MAX_BACKOFF_SECONDS, 3600]
    assert backoff(make_job(retry_delay=0), 20) == 0


def test_a_provider_that_asks_to_wait_is_heeded_within_the_runs_time() -> None:
    job, left = make_job(retry_delay=10 * SECOND), 1800.0
    nothing_meant = (None, 0.0, -5.0, float("nan"), float("inf"), 3.0)
    for seconds, delay in {**dict.fromkeys(nothing_meant, 10.0), 30.5: 30.5, 1799.0: 1799.0}.items():
        result = make_result(Reason.RATE_LIMITED, retry_after_seconds=seconds)
        assert after(RUNNING, job, result, left) == Retry(delay), seconds
    for seconds, left in ((1800.0, 1800.0), (MAX_BACKOFF_SECONDS + 1, 86400.0)):
        result = make_result(Reason.RATE_LIMITED, error="Too many.", retry_after_seconds=seconds)
        what = f"Too many. Its provider asks to wait for {seconds:.0f} s, longer than the run may."
        assert after(RUNNING, job, result, left) == End(Status.FAILED, Reason.RATE_LIMITED, what)


def test_what_called_a_tool_is_tried_again_only_where_that_does_no_harm() -> None:
    called = make_result(Reason.PROVIDER_ERROR, error="Lost.", tool_called=True)
    what = "Lost. It had called a tool and is not tried again: its job is not repeatable."
    assert after(RUNNING, make_job(), called, 1800.0) == End(Status.FAILED, Reason.PROVIDER_ERROR, what)
    assert after(RUNNING, make_job(repeatable=True), called, 1800.0) == Retry(1.0)
    assert after(RUNNING, make_job(repeatable=True, retries=0), called, 1800.0) == End(
        Status.FAILED, Reason.PROVIDER_ERROR, "Lost."
    )
    done = make_result(tool_called=True)
    assert after(RUNNING, make_job(), done, 1800.0) == End(Status.COMPLETED, Reason.OK, "")


def test_an_answer_that_is_no_valid_output_is_put_right_once_at_once_and_is_no_retry() -> None:
    wrong = make_result(Reason.INVALID_OUTPUT, error="No JSON.", answer_bytes=5, tool_called=True)
    asked = make_job(agent="claude", output_format="json", retries=0)
    assert after(RUNNING, asked, wrong, 1.0) == Retry(0.0, repair=True)
    restated = RUNNING.noted(repair_of=1, attempt=2)
    told = "No JSON. It had been asked once to put its answer right."
    for job in (asked, make_job(agent="claude", output_format="structured", retries=3, repeatable=True)):
        assert after(restated, job, wrong, 1800.0) == End(Status.FAILED, Reason.INVALID_OUTPUT, told)
    limited = make_result(Reason.RATE_LIMITED)
    assert after(restated, make_job(agent="claude", output_format="json"), limited, 1800.0) == Retry(1.0)


def test_a_run_whose_answer_could_not_be_put_right_says_what_was_wrong_with_it_and_what_came_between() -> None:
    job = make_job(agent="claude", output_format="json", retries=3, repeatable=True)
    wrong = make_result(Reason.INVALID_OUTPUT, error="No JSON.", response="prose", answer_bytes=5)
    asked = with_result(RUNNING, wrong).noted(repair_of=1, attempt=2)
    passing = (Reason.RATE_LIMITED, Reason.PROVIDER_ERROR)
    for reason in [
        each for each in Reason if final_status(each) is Status.FAILED and each is not Reason.INVALID_OUTPUT
    ]:
        result = make_result(reason, error="Words.")
        run = with_result(asked, result)
        assert (run.response, run.answer_bytes) == ("prose", 5), reason
        if reason in passing:
            assert after(run, job, result, 1800.0) == Retry(1.0), reason
            run = run.noted(retry_count=3)
        end = after(run, job, result, 1800.0)
        assert isinstance(end, End), reason
        assert end.reason is (reason if reason.owner_acts else Reason.INVALID_OUTPUT)
        told = f"No JSON. It was asked to put its answer right, and that failed ({reason.value}). Words."
        assert end.error.startswith(told)
    right = make_result(response="[1]", answer_bytes=3)
    run = with_result(asked, right)
    assert (run.response, run.answer_bytes) == ("[1]", 3)
    assert after(run, job, right, 1800.0) == End(Status.COMPLETED, Reason.OK, "")


def test_where_nothing_can_be_put_right_it_is_a_failure_as_any_other() -> None:
    wrong = make_result(Reason.INVALID_OUTPUT, answer_bytes=5)
    claude = {"agent": "claude", "output_format": "json"}
    for what, job, result, left in (
        ("a command", {**claude, "agent": "command"}, wrong, 1800.0),
        ("text", {**claude, "output_format": "text"}, wrong, 1800.0),
        ("no answer", claude, make_result(Reason.INVALID_OUTPUT), 1800.0),
        ("another reason", claude, make_result(Reason.EMPTY_ANSWER, answer_bytes=5), 1800.0),
    ):
        assert after(RUNNING, make_job(**job), result, left) == Retry(1.0), what
    assert isinstance(after(RUNNING, make_job(**claude), wrong, 0.0), End)
    stopping = RUNNING.moved(Status.STOPPING, stop_reason=Reason.REPLACED)
    assert after(stopping, make_job(**claude), wrong, 1800.0) == stopped(stopping)


# ---- the end


def test_who_is_turned_away_by_its_provider_is_not_tried_again_and_the_owner_is_told_what_repairs_it() -> None:
    found = after(
        RUNNING.noted(agent="claude"), make_job(retries=3), make_result(Reason.AUTH_FAILED, error="401"), 900.0
    )
    assert isinstance(found, End)
    assert found.error.startswith("401 ")
    assert found.error.endswith("cronward login claude")


def test_the_end_follows_from_the_reason() -> None:
    for reason in [reason for reason in Reason if reason not in CANCELS]:
        words = "" if reason is Reason.OK else "words"
        # A cap of its own that ends it in the middle is no skip: it did something.
        status = Status.FAILED if reason is Reason.BUDGET_EXCEEDED else final_status(reason)
        assert ended(RUNNING, make_result(reason, error="words")) == End(status, reason, words)


@pytest.mark.parametrize("reason", CANCELS)
def test_a_runner_that_says_canceled_though_nobody_asked_it_to_stop_broke(reason: Reason) -> None:
    found = ended(RUNNING, make_result(reason, error="words"))
    assert (found.status, found.reason) == (Status.FAILED, Reason.RUNNER_BROKE)
    assert reason.value in found.error


@pytest.mark.parametrize("cause", CANCELS)
def test_a_run_that_was_told_to_stop_never_completes_and_is_never_tried_again(cause: Reason) -> None:
    stopping = RUNNING.moved(Status.STOPPING, stop_reason=cause)
    expected = End(Status.CANCELED, cause, TOLD[cause])
    assert [after(stopping, make_job(), make_result(reason), 1800.0) for reason in Reason] == [expected] * len(Reason)
    assert stopped(stopping) == expected


# ---- what an attempt leaves in its run


def test_use_adds_up_and_the_answer_is_the_newest() -> None:
    first = Usage(
        wall_seconds=2.0, cpu_seconds=1.0, peak_rss_bytes=900, output_bytes=10, peak_memory_bytes=8, processes_peak=3
    )
    second = Usage(
        wall_seconds=3.0, cpu_seconds=0.5, peak_rss_bytes=500, output_bytes=20, peak_memory_bytes=9, processes_peak=2
    )
    layers = (Layer(name="landlock"),)
    run = with_result(
        RUNNING, make_result(Reason.AGENT_ERROR, error="no", response="a", usage=first, layers=layers, left_behind=2)
    )
    run = with_result(run, make_result(response="b", answer_bytes=1, exit_code=0, usage=second, left_behind=1))
    assert run.usage == Usage(
        wall_seconds=5.0, cpu_seconds=1.5, peak_rss_bytes=900, output_bytes=30, peak_memory_bytes=9, processes_peak=3
    )
    assert (run.response, run.answer_bytes, run.exit_code, run.error) == ("b", 1, 0, "")
    assert (run.left_behind, run.layers) == (3, layers)


def test_an_attempt_that_measured_nothing_takes_nothing_away() -> None:
    used = Usage(wall_seconds=2.0, cpu_seconds=1.0, peak_rss_bytes=900, output_bytes=10)
    run = with_result(with_result(RUNNING, make_result(usage=used)), make_result(Reason.RUNNER_BROKE))
    assert run.usage == used
