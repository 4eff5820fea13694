"""Runs that could write in the same place wait for each other, visibly, and not for ever."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shared.reasons import Reason
from supervisor.admission.admission import Load, Wait, admit
from supervisor.admission.exclusion import InTheWay, in_the_way, places
from supervisor.config import Config
from supervisor.models import CronJob
from supervisor.status import Status
from tests.fakes import make_job, make_run
from tests.lacks import need
from tests.timeline import Timeline, timeline

OTHER = make_run(status=Status.RUNNING, job_name="other")


def where(job: CronJob) -> tuple[str, ...]:
    return job.write_paths


def test_one_place_within_the_other_is_the_same_place() -> None:
    table = [
        (("/a/b",), ("/a/b",), True),
        (("/a/b",), ("/a",), True),
        (("/a",), ("/a/b",), True),
        (("/a/b",), ("/a/bc",), False),
        (("/a/b",), ("/a/c",), False),
        (("/x", "/a/b"), ("/y", "/a/b/c"), True),
        ((), ("/a",), False),
        (("/a",), (), False),
    ]
    for mine, its, expected in table:
        other = make_job(id="other", write_paths=its)
        found = in_the_way(make_job(write_paths=mine), [(other, OTHER)], where)
        assert (found is not None and found.run is OTHER) is expected, (mine, its)


def test_runs_of_the_same_job_are_its_overlaps_business() -> None:
    job = make_job(write_paths=("/a",))
    assert in_the_way(job, [(job, OTHER)], where) is None


def test_who_may_renew_a_login_does_it_alone_even_among_the_runs_of_one_job() -> None:
    def login(job: CronJob) -> str:
        return job.agent if job.login else ""

    job = make_job(agent="claude", login=True)
    table = [
        (job, True),
        (make_job(id="other", agent="claude", login=True), True),
        (make_job(id="other", agent="codex", login=True), False),
        (make_job(id="other", agent="claude"), False),
    ]
    for other, expected in table:
        found = in_the_way(job, [(other, OTHER)], where, login)
        assert (found is not None) is expected, other
        assert found is None or "of job other may renew the login of claude" in found.why
    assert in_the_way(make_job(id="third"), [(job, OTHER)], where, login) is None
    # A check of the agent is no run, and in the way of those alone that may renew the same login.
    tried = in_the_way(job, [], where, login, lambda agent: agent == "claude")
    assert tried == InTheWay(None, "a check of claude may renew its login, and only one at a time can")
    for other in (make_job(agent="codex", login=True), make_job(agent="claude", write_paths=("/a",))):
        assert in_the_way(other, [], where, login, lambda agent: agent == "claude") is None, other


def test_where_a_run_can_write_is_what_its_job_says_and_the_disk_allows(tmp_path: Path) -> None:
    (mine := tmp_path / "mine").mkdir(mode=0o777)
    mine.chmod(0o777)
    work_dir = str(mine)
    assert list(places(make_job(work_dir=work_dir, write_paths=("/w",)), Config())) == [work_dir, "/w"]
    assert list(places(make_job(work_dir=work_dir, read_paths=("/r",), work_mode="read"), Config())) == []
    assert list(places(make_job(work_dir=work_dir, write_paths=("/w",), work_mode="branch"), Config())) == ["/w"]
    assert list(places(make_job(), Config())) == []
    mine.chmod(0o555)
    assert list(places(make_job(work_dir=work_dir), Config())) == []


def test_a_linked_worktree_that_may_be_written_takes_its_repository_along(tmp_path: Path) -> None:
    common, linked = tmp_path / "main" / ".git", tmp_path / "linked"
    for folder in (common / "objects", common / "refs", common / "worktrees" / "linked", linked):
        folder.mkdir(parents=True, mode=0o777)
    linked.chmod(0o777)
    (common / "HEAD").touch()
    (linked / ".git").write_text(f"gitdir: {common}/worktrees/linked\n")
    (common / "worktrees" / "linked" / "commondir").write_text("../..\n")
    (common / "worktrees" / "linked" / "gitdir").write_text(f"{linked}/.git\n")
    assert list(places(make_job(work_dir=str(linked)), Config())) == [str(linked)]
    found = places(make_job(work_dir=str(linked), git_write=True), Config())
    assert list(found) == [str(linked), str(common)]


def test_it_waits_before_room_is_asked_for_and_says_for_whom() -> None:
    for running in (0, 4):
        load = Load(running, 4, 0, None, (), 0, in_the_way=InTheWay(OTHER, "run 99999999 of job other may"))
        found = admit(make_job(), load)
        assert found == Wait("run 99999999 of job other may", told=True)
        skipped = admit(make_job(), load, expired=True, waited=found)
        assert "longer than its grace: run" in skipped.why  # type: ignore[union-attr]


# ---- in the scheduler

ONCE = {"cron_expr": "0 13 * * *", "type": "light"}


def going_on(line: Timeline) -> list[str]:
    names = {job_id: name for name, job_id in line.job_ids.items()}
    return [names[live.job.id] for live in line.core.live if live.holds_slot]


def test_of_runs_that_overlap_one_goes_on_at_a_time_and_others_are_not_held_up(tmp_path: Path) -> None:
    with timeline() as line:
        line.add("first", **ONCE, write_paths=("/srv/app",))
        line.add("second", **ONCE, write_paths=("/srv/app/data",))
        line.add("third", **ONCE, write_paths=("/srv",))
        line.add("apart", **ONCE, write_paths=("/home/me",))
        line.add("plain", **ONCE)
        line.pass_by(3600)
        assert sorted(going_on(line)) == ["apart", "first", "plain"]
        assert {waiting.why for waiting in line.core.waiting} == {
            f"run {line.stored('first')[0].id[:8]} of job first may write in the same place"
        }
        line.end(number=0)
        assert sorted(going_on(line)) == ["apart", "plain", "second"]
        line.end(number=3)
        assert sorted(going_on(line)) == ["apart", "plain", "third"]
        line.end(number=4)
        assert [line.ends(name) for name in ("first", "second", "third")] == [["completed"]] * 3


def test_what_waits_beyond_its_grace_is_skipped_and_says_for_whom_it_waited() -> None:
    with timeline() as line:
        line.add("first", **ONCE, write_paths=("/srv",), timeout_secs=7200)
        line.add("second", **ONCE, write_paths=("/srv",), grace_secs=60)
        line.pass_by(3600 + 61)
        line.end()
        assert line.ends("second") == [f"skipped {Reason.EXPIRED.value}"]
        assert "of job first may write in the same place" in line.stored("second")[0].error


def test_a_retry_waits_for_who_took_the_place_meanwhile_and_then_runs() -> None:
    with timeline() as line:
        job = {**ONCE, "write_paths": ("/srv",), "retry_delay": 10_000_000_000, "timeout_secs": 3000}
        line.add("first", **job)
        line.add("second", **job)
        line.pass_by(3600)
        line.end(Reason.PROVIDER_ERROR, number=0)
        assert going_on(line) == ["second"]
        line.pass_by(60)
        assert going_on(line) == ["second"]
        line.end(number=1)
        assert going_on(line) == ["first"]
        line.end(number=2)
        assert (line.ends("first"), line.ends("second")) == (["completed"], ["completed"])


@need("root")
def test_a_directory_that_only_the_user_of_run_as_may_write_counts_for_such_a_job(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    tmp_path.chmod(0o700)
    assert list(places(make_job(work_dir=str(tmp_path)), Config())) == []
    assert list(places(make_job(work_dir=str(tmp_path), run_as="nobody"), Config())) == [str(tmp_path)]


@pytest.mark.parametrize("uid", [0, 1000])
def test_what_is_no_path_at_all_is_no_place_that_could_be_written(uid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    for no_path in ("/tmp/a\x00b", "/tmp/\ud800"):
        assert list(places(make_job(work_dir=no_path), Config())) == []


def test_a_job_of_a_user_that_is_gone_is_due_and_waits_and_is_tried_again_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = {**ONCE, "work_dir": str(tmp_path), "run_as": "nobody-of-this-name", "retry_delay": 10_000_000_000}
    with timeline(Config(max_concurrent=1)) as line:
        monkeypatch.setattr(os, "geteuid", lambda: 0)  # only root asks whose a job is; the home is there already
        line.add("first", **ONCE)
        line.add("second", **job)
        line.pass_by(3601)
        assert line.ends("second") == ["queued"]
        line.end()
        line.end(Reason.PROVIDER_ERROR)
        line.pass_by(60)
        assert len(line.attempts()) == 3
        line.bad_definition = "There is no user."
        line.end(Reason.PROVIDER_ERROR)
        line.pass_by(60)
        assert line.ends("second") == [f"failed {Reason.BAD_DEFINITION.value}"]
