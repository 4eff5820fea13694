"""The work mode `branch`: the agent has a clone of its own, and its commits are offered, whatever it did there."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from shared.messages import Offer
from tests.driver import Driven, eventually, limits, marker, survivors
from tests.lacks import need
from tests.repositories import BRANCH, COMMIT, attempt, branches, git, owned, repository, rest, run, swap, tree

pytestmark = need("cell", "git")


def test_what_the_agent_commits_is_a_new_branch_and_nothing_else_changes(
    log_dir: Path, original: Path, offer: Offer
) -> None:
    before, began = rest(original), branches(original)
    script = f"pwd; git status -s; git log --format=%s origin/main; {COMMIT}; echo x > loose; git log --format=%an -1"
    result = run(log_dir, original, offer, script)
    assert result["reason"] == "ok", result
    assert result["response"].splitlines() == [str(original), "first", "agent"]
    found = result["branch"]
    assert (found["name"], found["commits"], found["uncommitted"], found["problem"]) == (BRANCH, 1, 1, "")
    assert (found["original"], found["base"]) == (str(original), began["main"])
    assert git(original, "log", "--format=%s", f"{found['base']}..{BRANCH}") == "second"
    assert git(original, "show", f"{BRANCH}:second") == "second"
    assert branches(original) | began == branches(original)
    assert rest(original) == before
    git(original, "fsck", "--strict", "--no-dangling")
    [pack] = (original / ".git/objects/pack").glob("*.pack")
    assert pack.stat().st_mode & 0o777 == 0o444 & (original / ".git/objects").stat().st_mode


def test_the_original_is_not_to_be_seen(log_dir: Path, original: Path, offer: Offer) -> None:
    (original / "untracked").write_text("not committed")
    owned(original)
    script = f"ls -A; git remote; cat .git/config; touch x; echo y > .git/hooks-can-be-made; ls -A {original.parent}"
    result = run(log_dir, original, offer, script)
    assert result["reason"] == "ok", result
    assert "untracked" not in result["response"]
    assert "origin" not in result["response"].replace(str(original), "").replace("original", "")
    assert sorted(path.name for path in original.iterdir()) == [".git", "file", "untracked"]


def test_without_a_commit_there_is_no_branch_and_the_run_is_no_failure(
    log_dir: Path, original: Path, offer: Offer
) -> None:
    before = tree(original)
    result = run(log_dir, original, offer, "echo changed > file; echo new > new")
    assert (result["reason"], result["branch"]["name"], result["branch"]["uncommitted"]) == ("ok", "", 2)
    assert tree(original) == before


def test_a_linked_worktree_has_the_branch_in_its_main_repository(log_dir: Path, original: Path, offer: Offer) -> None:
    linked = original.parent / "linked"
    git(original, "worktree", "add", "-q", "-b", "side", str(linked))
    (linked / "file").write_text("on the side\n")
    git(linked, "commit", "-q", "-a", "-m", "on the side")
    owned(original), owned(linked)
    result = run(log_dir, linked, offer, f"cat file; {COMMIT}")
    assert (result["reason"], result["response"]) == ("ok", "on the side\n"), result
    assert result["branch"]["base"] == branches(original)["side"]
    assert git(original, "log", "--format=%s", BRANCH).splitlines() == ["second", "on the side", "first"]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (f"git checkout -q -b mine; {COMMIT}", {"commits": 1}),
        (f"git checkout -q --detach; {COMMIT}", {"commits": 1}),
        (f"{COMMIT}; git checkout -q origin/main", {"commits": 1}),
        ("git commit -q --amend -m rewritten", {"commits": 1, "rewritten": True}),
        (f"git checkout -q --orphan alone; {COMMIT}", {"commits": 1, "rewritten": True}),
        (f"git checkout -qb b; {COMMIT}; git checkout -q {BRANCH}; git commit -q --allow-empty -m x", {"left_out": 1}),
        (f"{COMMIT}; git repack -q -a -d; git pack-refs --all; git gc -q", {"commits": 1}),
        (f"{COMMIT}; exit 3", {"commits": 1}),
        (f"{COMMIT}; git worktree add -q inner; git init -q nested; touch nested/x", {"commits": 1, "uncommitted": 2}),
    ],
)  # fmt: skip
def test_however_it_commits(log_dir: Path, original: Path, offer: Offer, script: str, expected: dict[str, Any]) -> None:
    found = run(log_dir, original, offer, script)["branch"]
    assert (found["name"], found["problem"]) == (BRANCH, "")
    assert found | expected == found
    git(original, "fsck", "--strict", "--no-dangling")


@pytest.mark.parametrize("kind", ["detached", "sha256", "shallow", "packed", "tags", "odd names", "shared"])
def test_whatever_the_original_is_like(log_dir: Path, tmp_path: Path, offer: Offer, kind: str) -> None:
    place = tmp_path / "private" / "it's a «repo»"
    options = {"sha256": ("--object-format=sha256",), "shared": ("--shared=group",)}
    repository(place, options=options.get(kind, ()))
    if kind == "detached":
        git(place, "checkout", "-q", "--detach")
        git(place, "commit", "-q", "--allow-empty", "-m", "nowhere")
    if kind == "packed":
        git(place, "gc", "-q")
    if kind == "tags":
        git(place, "tag", "v1")
    if kind == "odd names":
        git(place, "branch", "Ωmega/$(id)/-x")
    if kind == "shallow":
        git(place, "commit", "-q", "--allow-empty", "-m", "more")
        git(place, "checkout", "-q", "-b", "other")
        git(place, "commit", "-q", "--allow-empty", "-m", "cut off")
        git(place, "commit", "-q", "--allow-empty", "-m", "other")
        git(place, "checkout", "-q", "main")
        (place / ".git" / "shallow").write_text(git(place, "rev-parse", "main", "other") + "\n")
        git(place, "reflog", "expire", "--expire=now", "--all")
        git(place, "gc", "-q", "--prune=now")
    owned(place)
    more = "git merge -q -m merge --allow-unrelated-histories origin/other" if kind == "shallow" else "true"
    result = run(log_dir, place, offer, f"git tag; git branch -a; {COMMIT}; {more}")
    commits = 2 if kind == "shallow" else 1
    assert (result["reason"], result["branch"]["name"], result["branch"]["commits"]) == ("ok", BRANCH, commits), result
    git(place, "fsck", "--strict", "--no-dangling")
    if kind == "shared":
        assert all(path.stat().st_mode & 0o040 for path in (place / ".git" / "objects" / "pack").iterdir())


def test_a_name_that_is_taken_gets_a_number(log_dir: Path, original: Path, offer: Offer) -> None:
    for name in (BRANCH, f"{BRANCH}-2"):
        git(original, "branch", name)
    owned(original)
    before = branches(original)
    result = run(log_dir, original, offer, COMMIT)
    assert result["branch"]["name"] == f"{BRANCH}-3"
    assert before.items() <= branches(original).items()


def lonely_fifo(path: Path) -> None:
    """Whoever opens it waits for ever."""
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    path.chmod(0o666)


@pytest.mark.parametrize("how", ["timeout", "stop", "kill"])
def test_a_clone_that_never_ends_is_ended_like_an_agent(log_dir: Path, original: Path, offer: Offer, how: str) -> None:
    lonely_fifo(original / ".git" / "config")
    mark = str(original)
    wall = 3.0 if how == "timeout" else 30.0
    with Driven(attempt(log_dir, original, offer, "true", limits=limits(wall_seconds=wall))) as driven:
        eventually(lambda: len(survivors(mark)) >= 2, within=20)  # bwrap, git
        began = time.monotonic()
        if how == "stop":
            driven.stop("replaced")
        if how == "kill":
            driven.process.send_signal(signal.SIGKILL)
            eventually(lambda: not survivors(mark))
            return
        result = driven.result()
        assert time.monotonic() - began < 10
        assert survivors(mark) == []
    assert result["reason"] == {"timeout": "timeout_wall", "stop": "replaced"}[how]
    assert result["branch"] is None
    assert list(Path(offer.directory).iterdir()) == []


def test_a_clone_that_cannot_be_read_to_its_end_costs_no_more_than_the_runs_time(
    log_dir: Path, original: Path, offer: Offer
) -> None:
    before = tree(original)
    script = f"{COMMIT}; rm .git/config; mkfifo .git/config"
    result = run(log_dir, original, offer, script, limits=limits(wall_seconds=4.0))
    assert (result["reason"], result["branch"]["name"]) == ("check_failed", "")
    assert result["usage"]["wall_seconds"] < 9
    assert tree(original) == before


def test_what_was_committed_before_the_time_was_over_is_offered(log_dir: Path, original: Path, offer: Offer) -> None:
    script = f"{COMMIT}; sleep 60"
    result = run(log_dir, original, offer, script, limits=limits(wall_seconds=25.0))
    assert (result["reason"], result["branch"]["name"]) == ("timeout_wall", BRANCH), result
    assert result["usage"]["wall_seconds"] < 25.5


def test_a_canceled_run_offers_nothing(log_dir: Path, original: Path, offer: Offer) -> None:
    before, mark = tree(original), marker()
    with Driven(attempt(log_dir, original, offer, f"{COMMIT}; sleep {mark}")) as driven:
        driven.wait_for("started")
        eventually(lambda: survivors(mark), within=20)
        driven.stop()
        result = driven.result()
    assert (result["reason"], result["branch"]["name"]) == ("canceled_by_user", "")
    assert "ended before" in result["branch"]["problem"]
    assert tree(original) == before


REFUSED = {
    "no repository": ("is not the top level", lambda place: shutil.rmtree(place / ".git")),
    "a link for .git": ("neither a directory nor a file", lambda place: swap(place / ".git", place / "aside")),
    "somebody else's repository": ("does not know it", lambda place: false_link(place)),
    "no commit": ("no commit yet", lambda place: git(place, "checkout", "-q", "--orphan", "empty")),
    "borrowed objects": ("borrows objects", lambda place: borrow(place / ".git/objects/info/alternates")),
    "a branch in the way": ("named cronward", lambda place: git(place, "branch", "cronward")),
    "not writable": ("cannot be written", lambda place: read_only(place / ".git" / "objects")),
}  # fmt: skip


def false_link(place: Path) -> None:
    other = repository(place.parent / "other")
    shutil.rmtree(place / ".git")
    (place / ".git").write_text(f"gitdir: {other}/.git\n")


def borrow(path: Path) -> None:
    path.write_text("/srv/objects\n")


def read_only(path: Path) -> None:
    path.chmod(0o555)
    if os.geteuid() == 0:
        os.chown(path, 0, 0)


@pytest.mark.parametrize(("words", "spoil"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_cloned_is_a_bad_definition_before_the_agent_starts(
    log_dir: Path, original: Path, offer: Offer, words: str, spoil: Any
) -> None:
    spoil(original)
    if words != "cannot be written":
        owned(original)
    result = run(log_dir, original, offer, "echo started >&2")
    if (objects := original / ".git" / "objects").exists():
        objects.chmod(0o755)  # for whoever clears away behind the tests
    assert (result["reason"], result["branch"]) == ("bad_definition", None)
    assert words in result["error"]
    assert (log_dir / "stderr").read_bytes() == b""
