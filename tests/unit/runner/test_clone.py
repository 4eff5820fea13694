"""What is believed of an errand's words, and what time is kept back for the offer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner import clone
from runner.clone import facts_of, number, opened, reserve, why
from runner.ending import Cause, Ending
from runner.errand import Outcome, outcome
from runner.report import Report
from shared.reasons import Reason
from tests.driver import request


def ended(status: int, **facts: object) -> Ending:
    report = Report()
    report.hello, report.status = {}, status
    return Ending(report)._replace(**facts)


def test_an_errand_that_failed_has_done_nothing_whatever_it_says() -> None:
    done = Outcome(Reason.OK, "", "done tip=abc left=12 uncommitted=x")
    assert facts_of(done) == {"tip": "abc", "left": "12", "uncommitted": "x"}
    assert (number(facts_of(done), "left"), number(facts_of(done), "uncommitted")) == (12, 0)
    assert number({"left": "9" * 10}, "left") == number({"left": "٣"}, "left") == 0
    for failed in (done._replace(reason=Reason.TIMEOUT_WALL), done._replace(words="failed done tip=abc")):
        assert facts_of(failed) == {}


def test_why_an_errand_failed_is_its_own_clause_only_where_it_ended_by_itself() -> None:
    assert why(Outcome(Reason.AGENT_ERROR, "The agent ended with exit code 1.", "failed it is empty")) == "it is empty"
    assert why(Outcome(Reason.TIMEOUT_WALL, "It took too long.", "failed it is empty")) == "It took too long"
    assert why(Outcome(Reason.CANCELED_BY_USER, "", "")) == "canceled_by_user"


def test_a_stop_counts_also_when_the_errand_had_just_ended() -> None:
    """Else what comes after it, the agent for one, would be started although somebody had canceled the run."""
    wanted = request(Path("/state"), "true")
    late = ended(0, asked=Reason.REPLACED)
    assert outcome(wanted, ended(0), b"done x=1\n").reason is Reason.OK
    assert outcome(wanted, late, b"done x=1\n").reason is Reason.REPLACED
    assert outcome(wanted, ended(0, abandoned=True), b"done\n").reason is Reason.SUPERVISOR_DIED
    over = ended(0, cause=Cause(Reason.TIMEOUT_WALL, "It took too long."))
    assert outcome(wanted, over, b"").reason is Reason.TIMEOUT_WALL


def test_the_offer_has_a_tenth_of_the_time_and_ten_seconds_at_most() -> None:
    assert (reserve(20.0), reserve(3600.0)) == (2.0, 10.0)


def test_no_link_is_passed_on_the_way_to_a_directory(tmp_path: Path) -> None:
    (tmp_path / "real" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    before = len(list(Path("/proc/self/fd").iterdir()))
    os.close(opened(str(tmp_path / "real" / "inner")))
    for path in ("link", "link/inner", "gone"):
        with pytest.raises((NotADirectoryError, FileNotFoundError)):
            opened(str(tmp_path / path))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_our_branches_folder_has_the_rights_of_the_one_above(tmp_path: Path) -> None:
    heads = tmp_path / "refs" / "heads"
    heads.mkdir(parents=True)
    heads.chmod(0o775)
    for _ in range(2):
        made = Path(clone.branch_folder(str(tmp_path)))
        assert (made, made.stat().st_mode & 0o777) == (heads / "cronward", 0o775)
