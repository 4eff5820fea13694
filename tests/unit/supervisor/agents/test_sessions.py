"""Conversations on disk: what is kept after a run, what goes on, and what begins anew."""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from shared.findings import Session as Found
from shared.findings import Spending
from shared.keep import SESSION
from shared.messages import ExecuteResult
from shared.reasons import Reason
from supervisor.agents.keeps import Keeps, check_session, make_place, planned, with_keep
from supervisor.agents.sessions import GRANTED, SessionStore
from supervisor.config import Config
from supervisor.control.sessiondesk import SessionDesk
from supervisor.errors import InvalidError, NotFoundError, RefusedError
from supervisor.models import CronJob, Overlap
from supervisor.spawning.launcher import Gone
from supervisor.stores.home import Home
from supervisor.stores.jobs import CronStore
from tests.fakes import NOON, make_job, make_request, make_result, make_run
from tests.talker import ADAPTER

SPENT = Spending(input_tokens=7)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "talker.toml").write_text(ADAPTER)
    return home


def config(home: Home) -> Config:
    return Config(agents_dir=str(home.root.parent / "agents"))


def talks(**fields: Any) -> CronJob:
    return make_job(**{"agent": "talker", "session_key": "daily", **fields})


def attempt(home: Home, job: CronJob, number: int = 1, text: str = "talk", **result: Any) -> Found:
    """One attempt from its plan to its end, with a runner that keeps one file; how it began."""
    run = make_run(id=f"run-{number}", attempt=1, job_id=job.id)
    log_dir = home.log_dir(run.id, 1)
    log_dir.mkdir(parents=True)
    plan = planned(home, config(home), job, run)
    request = with_keep(make_request(run.id, 1, log_dir), plan)
    make_place(home, plan, job)
    keep = request.keep
    assert keep is not None
    began = Found(resumed=bool(keep.session_from), anew=keep.session_anew)
    kept = Path(keep.directory) / SESSION
    kept.mkdir()
    (kept / "talk").write_text(text)
    said = {
        "conversation": f"id-{number}",
        "spent_in_all": SPENT,
        "session": replace(began, kept=True, files=1, bytes=4),
    }
    keeps(home).settle(Gone(run.id, 1, make_result(run_id=run.id, **{**said, **result})))
    assert request.spent_before == plan.spent_before
    for thread in threading.enumerate():
        if thread.name == "cronward-sessions":
            thread.join()
    return began


def keeps(home: Home, now: datetime = NOON) -> Keeps:
    return Keeps(home, lambda: now, logging.getLogger("test"))


def kept_text(home: Home, job: CronJob) -> str | None:
    session = SessionStore(home).find(job)
    return None if session is None else (SessionStore(home).files_of(session) / "talk").read_text()


def test_the_next_run_goes_on_where_the_last_one_ended(home: Home) -> None:
    job = talks()
    assert attempt(home, job, 1, "one") == Found()
    plan = planned(home, config(home), job, make_run(id="r"))
    assert (plan.conversation, plan.spent_before) == ("id-1", SPENT)
    assert plan.keep is not None
    assert (Path(plan.keep.session_from) / "talk").read_text() == "one"
    assert plan.keep.session == (".talker/talks/*.jsonl",)
    assert attempt(home, job, 2, "two") == Found(resumed=True)
    session = SessionStore(home).find(job)
    assert session is not None
    assert (session.runs, session.conversation, session.saved_at, session.files) == (2, "id-2", NOON, 1)
    assert kept_text(home, job) == "two"
    place = SessionStore(home).place(job.id, "daily")
    assert sorted(path.name for path in place.iterdir()) == ["run-2.1", "session.json"], "the former one is gone"
    assert list(home.kept.iterdir()) == []


def test_nobody_waits_until_a_former_conversation_is_removed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand folders that an agent left took twenty seconds, in which nothing was started."""
    job, may_go_on = talks(), threading.Event()
    attempt(home, job, 1, "one")
    monkeypatch.setattr("supervisor.agents.sessions.removal.remove_tree", lambda _path: may_go_on.wait(30))
    taken = home.root / "taken"
    taken.mkdir()
    session = SessionStore(home).find(job)
    assert session is not None
    assert SessionStore(home).keep(session.model_copy(update={"directory": "run-2.1"}), taken)
    SessionStore(home).end(job.id, "daily")
    assert not may_go_on.is_set()
    may_go_on.set()


def test_each_key_of_each_job_is_a_conversation_of_its_own(home: Home) -> None:
    one = talks()
    attempt(home, one, 1, "one")
    others = [talks(session_key="weekly"), talks(id="other"), talks(session_key="daily/../x")]
    for number, other in enumerate(others, 2):
        assert attempt(home, other, number, f"{number}") == Found(), other
    assert [kept_text(home, job) for job in (one, *others)] == ["one", "2", "3", "4"]


def test_what_did_not_succeed_leaves_the_conversation_as_it_was(home: Home) -> None:
    job = talks()
    attempt(home, job, 1, "one")
    failed: list[dict[str, Any]] = [
        {"reason": Reason.AGENT_ERROR},
        {"reason": Reason.TIMEOUT_WALL, "session": Found(resumed=True)},
        {"session": Found(resumed=True, problem="no room")},
        {"session": None},
    ]
    for number, result in enumerate(failed, 2):
        attempt(home, job, number, "worse", **result)
        assert kept_text(home, job) == "one", result
    run = make_run(id="killed", attempt=1)
    make_place(home, planned(home, config(home), job, run), job)
    keeps(home).settle(Gone("killed", 1, None, "The runner ended by signal 9."))
    assert kept_text(home, job) == "one"


def test_a_conversation_that_grew_too_large_begins_anew(home: Home) -> None:
    job = talks()
    attempt(home, job, 1)
    attempt(home, job, 2, session=Found(resumed=True, ended=True, problem="too large"))
    assert SessionStore(home).find(job) is None
    assert attempt(home, job, 3) == Found()


def test_whatever_it_may_have_seen_under_other_grants_begins_anew(home: Home) -> None:
    changes: dict[str, Any] = {
        "agent": "talker2",
        "command": "x",
        "work_dir": "/elsewhere",
        "work_mode": "read",
        "git_write": True,
        "read_paths": ("/r",),
        "write_paths": ("/w",),
        "isolation": "best-effort",
        "run_as": "nobody",
        "network": "public",
        "allow_hosts": ("example.com",),
        "secrets": ("KEY",),
        "git_credentials": ("github.com=KEY",),
        "login": True,
    }
    assert changes.keys() == set(GRANTED)
    attempt(home, talks(), 1)
    session = SessionStore(home).find(talks())
    assert session is not None
    assert session.why_not(talks(prompt="other", cron_expr="1 1 * * *", model="m")) == ""
    for name, value in changes.items():
        assert "changed" in session.why_not(talks(**{name: value})), name
    assert attempt(home, talks(work_dir="/tmp"), 2).anew == "its work directory changed"
    assert attempt(home, talks(work_dir="/tmp"), 3) == Found(resumed=True)


def test_one_without_an_id_or_larger_than_a_home_is_not_gone_on_with(home: Home) -> None:
    attempt(home, talks(), 1, conversation="")
    assert "no id" in attempt(home, talks(), 2).anew
    attempt(home, talks(), 3, session=Found(kept=True, files=1, bytes=1 << 40))
    assert "larger than its home" in attempt(home, talks(), 4).anew


def test_a_supervisor_that_died_settles_at_its_next_start_what_its_runners_had_kept(home: Home) -> None:
    job, run = talks(), make_run(id="run-1", attempt=1)
    log_dir = home.log_dir(run.id, 1)
    log_dir.mkdir(parents=True)
    make_place(home, planned(home, config(home), job, run), job)
    kept = home.kept_dir(run.id, 1) / "out" / SESSION
    kept.mkdir()
    (kept / "talk").write_text("late")
    result = ExecuteResult(
        run_id=run.id, attempt=1, reason=Reason.OK, session=Found(kept=True, files=1), conversation="x"
    )
    from dataclasses import asdict

    (log_dir / "result.json").write_text(json.dumps(asdict(result)))
    (home.kept / "unknown").mkdir()
    keeps(home).settle_all()
    assert kept_text(home, job) == "late"
    assert list(home.kept.iterdir()) == []
    keeps(home).settle_all()


def test_a_conversation_that_was_reset_meanwhile_stays_forgotten(home: Home) -> None:
    job, run = talks(), make_run(id="run-1", attempt=1)
    make_place(home, planned(home, config(home), job, run), job)
    (home.kept_dir(run.id, 1) / "out" / SESSION).mkdir()
    SessionStore(home).reset(job.id)
    keeps(home).settle(Gone(run.id, 1, make_result(run_id=run.id, session=Found(kept=True), conversation="x")))
    assert SessionStore(home).list() == []
    assert not (home.sessions / job.id).exists()


def test_what_is_damaged_is_no_conversation_and_fails_no_run(home: Home) -> None:
    job = talks()
    attempt(home, job, 1)
    file = SessionStore(home).place(job.id, job.session_key) / "session.json"
    for number, text in enumerate(("", "[]", "{}", '{"version": 1}'), 2):
        file.write_text(text)
        assert attempt(home, job, number) == Found()


def test_conversations_of_jobs_that_are_gone_are_removed(home: Home) -> None:
    for job in (talks(), talks(id="gone")):
        attempt(home, job, 1 if job.id != "gone" else 2)
    thread = keeps(home).forget_jobs(lambda job_id: job_id != "gone")
    assert thread is not None
    thread.join(10)
    assert SessionStore(home).jobs() == [talks().id]
    assert keeps(home).forget_jobs(lambda job_id: job_id != "gone") is None


def test_people_see_what_is_kept_and_can_have_it_begin_anew(home: Home) -> None:
    jobs = CronStore(home)
    job = jobs.add(talks(name="standup"))
    attempt(home, job, 1)
    attempt(home, job.model_copy(update={"session_key": "old"}), 2)
    desk = SessionDesk(home, jobs)
    found = {record.key: record for record in desk.list("standup")}
    assert (found["daily"].anew, found["old"].anew) == ("", "its job names another one")
    with pytest.raises(RefusedError):
        SessionDesk(home, jobs, lambda _job_id: True).reset("standup")
    with pytest.raises(NotFoundError):
        desk.reset("standup", "nothing")
    assert [record.key for record in desk.reset("standup", "old")] == ["old"]
    assert [record.key for record in desk.reset("standup")] == ["daily"]
    assert (desk.list(), desk.reset("standup")) == ([], [])
    assert attempt(home, job, 3) == Found()


def test_a_job_that_could_not_go_on_is_refused(home: Home) -> None:
    from supervisor.agents.adapters import adapter

    folder = str(home.root.parent / "agents")
    known = adapter("talker", folder)
    check_session(talks(), known)
    check_session(make_job(agent="command", overlap=Overlap.ALLOW), adapter("command", folder))
    for job, its in ((talks(overlap=Overlap.ALLOW), known), (talks(agent="command"), adapter("command", folder))):
        with pytest.raises(InvalidError):
            check_session(job, its)
