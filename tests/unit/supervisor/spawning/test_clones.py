"""The supervisor's side of private clones: which jobs may have one, their names, and that none stays."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from shared.findings import Branch
from supervisor.admission import attempts
from supervisor.cli import offered
from supervisor.errors import InvalidError
from supervisor.models import CronJob
from supervisor.spawning.clones import Clones, branch_of, check_clone
from supervisor.stores.home import Home

NAMED = Branch(original="/srv/it's", base="0" * 40, name="cronward/x/r", commits=2)


def job(**fields: object) -> CronJob:
    return CronJob.model_validate({"id": "j", "prompt": "p", "cron_expr": "@daily", "work_mode": "branch", **fields})


def test_a_branch_says_whose_it_is_unless_the_job_is_private() -> None:
    table = {
        ("Nightly tests!", False): "cronward/Nightly-tests/r1",
        ("a/../b.lock", False): "cronward/a----b-lock/r1",
        ("日本", False): "cronward/r1",
        ("secret", True): "cronward/r1",
    }
    for (name, private), expected in table.items():
        assert branch_of(job(name=name, private=private), "r1") == expected


def test_a_job_needs_a_repository_for_it(tmp_path: Path) -> None:
    check_clone(job(work_mode="read", work_dir=str(tmp_path)))
    for fields, words in (({}, "needs a work directory"), ({"work_dir": str(tmp_path)}, "has no .git; use inplace")):
        with pytest.raises(InvalidError, match=words):
            check_clone(job(**fields))


def test_what_runners_left_is_cleared_away(tmp_path: Path) -> None:
    home = Home(tmp_path)
    clones = Clones(home, logging.getLogger("test"))
    clones.clear("run", 1)  # there is none
    assert clones.clear_all() is None
    for run_id in ("one", "two"):
        (home.clone_dir(run_id, 1) / "clone" / "deep").mkdir(parents=True)
    home.clone_dir("empty", 2).mkdir()
    clones.clear("empty", 2)
    assert sorted(path.name for path in home.clones.iterdir()) == ["one.1", "two.1"]
    thread = clones.clear_all()
    assert thread is not None
    thread.join(10)
    assert list(home.clones.iterdir()) == []


def test_a_later_attempt_without_a_branch_does_not_hide_an_earlier_ones() -> None:
    nothing = Branch(original="/srv/it's", base="0" * 40)
    table = [(None, None, None), (None, nothing, nothing), (NAMED, None, NAMED), (NAMED, nothing, NAMED)]
    table += [(nothing, NAMED, NAMED), (nothing, nothing, nothing)]
    for before, now, expected in table:
        assert attempts._branch(before, now) == expected


def test_the_record_says_what_became_of_the_commits_and_how_to_look_at_them() -> None:
    assert offered.words(NAMED).splitlines() == [
        "cronward/x/r, 2 commits",
        "git -C '/srv/it'\"'\"'s' log --stat 000000000000..cronward/x/r",
    ]
    lost = Branch(original="/srv", base="0" * 40, uncommitted=1, left_out=2, rewritten=True, problem="It broke.")
    assert offered.words(lost).splitlines() == [
        "none was made: It broke.",
        "it does not build on 000000000000, where the run began",
        "1 change not committed, and gone",
        "2 commits on other branches of the clone, and gone",
    ]
    assert offered.words(Branch(original="/srv", base="0" * 40)) == "none was made: nothing was committed"
