"""The work mode `branch`: the agent has a clone of its own, and its commits are offered, whatever it did there."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from shared.messages import Cell, ExecuteRequest, Offer
from tests.driver import Driven, eventually, execute, limits, marker, request, run_as, survivors
from tests.lacks import need
from tests.repositories import branches, git, owned, repository, tree

pytestmark = need("cell", "git")

BRANCH = "cronward/nightly/run-1"
COMMIT = "echo second > second && git add second && git commit -q -m second"
KEPT = "config", "hooks", "HEAD", "index", "packed-refs", "info", "description", "logs", "refs/heads/main"


@pytest.fixture
def original(tmp_path: Path) -> Path:
    return repository(tmp_path / "private" / "original")


@pytest.fixture
def offer(tmp_path: Path) -> Offer:
    directory = tmp_path / "clones" / "run-1.1"
    directory.mkdir(parents=True, mode=0o700)
    return Offer(directory=str(directory), branch=BRANCH)


def attempt(log_dir: Path, place: Path, offer: Offer, script: str, **changes: Any) -> ExecuteRequest:
    cell = Cell(run_as=run_as(), work_dir=str(place), work_mode="branch", offer=offer)
    return request(log_dir, "sh", "-c", script, cell=cell, **changes)


def run(log_dir: Path, place: Path, offer: Offer, script: str, **changes: Any) -> dict[str, Any]:
    result = execute(attempt(log_dir, place, offer, script, **changes))
    assert list(Path(offer.directory).iterdir()) == [], "the clone was left over"
    return result


def rest(place: Path) -> dict[str, Any]:
    """All of a repository but its objects and our branches."""
    kept = tree(place).items()
    return {path: held for path, held in kept if "/objects/" not in path and "refs/heads/cronward" not in path}


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


HOSTILE = {
    "no git directory": ("rm -rf .git", "no git directory"),
    "no objects": ("rm -rf .git/objects; mkdir .git/objects", ""),
    "broken objects": ("for f in $(find .git/objects -type f | head -20); do chmod u+w $f; echo bad > $f; done", ""),
    "a tree with .git in it": (
        "b=$(git hash-object -w file); t=$(printf '100644 blob %s\\t.git\\n' $b | git mktree); "
        "git update-ref HEAD $(git commit-tree -m evil -p HEAD $t)",
        "invalid path",
    ),
    "a module whose address is an option": (
        "printf '[submodule \"x\"]\\n\\tpath = x\\n\\turl = --upload-pack=touch\\n' > .gitmodules; "
        "git add .gitmodules; git commit -q -m evil",
        "gitmodulesUrl",
    ),
    "a history with a hole": (
        "git commit -q --allow-empty -m third; git rev-parse HEAD > .git/shallow; "
        "rm -f .git/objects/$(git --no-replace-objects cat-file commit HEAD | sed -n 's/^parent \\(..\\)/\\1\\//p')",
        "",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("script", "words"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_broken_clone_changes_nothing_and_is_no_success(
    log_dir: Path, original: Path, offer: Offer, script: str, words: str
) -> None:
    before = tree(original)
    result = run(log_dir, original, offer, f"{COMMIT}; {script}; true")
    assert result["branch"]["name"] == ""
    assert (result["reason"], words in result["error"]) == ("check_failed", True), result
    assert result["error"] == result["branch"]["problem"]
    assert tree(original) == before


def test_a_commit_that_builds_on_what_the_original_only_half_has_is_refused(
    log_dir: Path, original: Path, offer: Offer
) -> None:
    """Its parent is there, so that nothing in the pack itself is missing, but the parent's tree is not."""
    (original / "lost").write_text("lost")
    git(original, "add", "lost")
    lost = git(original, "write-tree")
    half = git(original, "commit-tree", "-m", "half", lost)
    (original / ".git" / "objects" / lost[:2] / lost[2:]).unlink()
    git(original, "reset", "-q", "--hard")
    before = tree(owned(original))
    forge = (
        f"{{ git cat-file commit HEAD | sed 's/^parent .*/parent {half}/'; }} | "
        "git hash-object -t commit -w --stdin > id; cp id .git/shallow; cp id .git/refs/heads/" + BRANCH
    )
    result = run(log_dir, original, offer, f"{COMMIT}; {forge}")
    assert (result["reason"], result["branch"]["name"]) == ("check_failed", ""), result
    assert "were not taken" in result["error"]
    assert tree(original) == before


PROGRAMS = "; ".join(
    f"git config {key} {value}"
    for key, value in {
        "core.fsmonitor": "/tmp/never",
        "core.hooksPath": "/tmp/never",
        "core.sshCommand": "/tmp/never",
        "core.alternateRefsCommand": "/tmp/never",
        "uploadpack.packObjectsHook": "/tmp/never",
        "filter.x.clean": "/tmp/never",
        "filter.x.process": "/tmp/never",
        "diff.external": "/tmp/never",
        "core.pager": "/tmp/never",
        "gpg.program": "/tmp/never",
        "include.path": "/etc/shadow",
    }.items()
)


@pytest.mark.parametrize(
    "script",
    [
        f"echo '* filter=x' > .gitattributes; {COMMIT}; {PROGRAMS}",
        f"{COMMIT}; mv .git elsewhere; ln -s elsewhere .git",
        f"{COMMIT}; mv .git elsewhere; ln -s $PWD/elsewhere .git",
        f"{COMMIT}; mv .git/objects o; ln -s ../o .git/objects",
        f"{COMMIT}; mkfifo fifo; ln -s /dev/zero zero; ln -s / root; mkdir closed; chmod 0 closed",
        f"{COMMIT}; mkdir .git/hooks; printf '#!/bin/sh\\ntouch /tmp/ran' > .git/hooks/reference-transaction; "
        "chmod +x .git/hooks/*",
        "git hash-object -w file > .git/HEAD; rm -r .git/refs/heads/cronward",
        f"{COMMIT}; echo /etc > .git/objects/info/alternates",
        f"{COMMIT}; i=0; while [ $i -lt 1200 ]; do mkdir d; cd d; i=$((i+1)); done; touch bottom",
    ],
)  # fmt: skip
def test_what_a_hostile_clone_says_is_not_done(log_dir: Path, original: Path, offer: Offer, script: str) -> None:
    before = rest(original)
    result = run(log_dir, original, offer, f"{script}; true")
    assert rest(original) == before
    if result["branch"]["name"]:
        assert git(original, "show", f"{BRANCH}:second") == "second"
    assert (result["reason"] == "check_failed") == bool(result["branch"]["problem"])
    git(original, "fsck", "--strict", "--no-dangling")


def test_a_pack_over_the_limit_is_refused(log_dir: Path, original: Path, offer: Offer) -> None:
    before = tree(original)
    script = "for i in 1 2 3; do head -c 700000 /dev/urandom > r$i; done; git add .; git commit -q -m large"
    result = run(log_dir, original, offer, script, limits=limits(file_bytes=1 << 20))
    assert result["reason"] == "check_failed"
    assert "more than 1048576 bytes" in result["error"]
    assert tree(original) == before


HOOKS = (
    "post-checkout",
    "reference-transaction",
    "post-index-change",
    "update",
    "pre-receive",
    "pre-auto-gc",
    "post-update",
)


def test_nothing_of_a_hostile_original_is_run(log_dir: Path, original: Path, offer: Offer) -> None:
    """The control: the same hooks and settings do run, where the owner commits there."""
    canary = original / "canary"
    program = original / "program"
    program.write_text(f"#!/bin/sh\necho $0 $PPID >> {canary}\ntouch {original}/.git/objects/ran\nexit 0\n")
    for hook in HOOKS:
        (original / ".git" / "hooks").mkdir(exist_ok=True)
        shutil.copy(program, original / ".git" / "hooks" / hook)
    for path in (program, *(original / ".git" / "hooks").iterdir()):
        path.chmod(0o755)
    for key in ("core.fsmonitor", "uploadpack.packObjectsHook", "core.sshCommand", "core.alternateRefsCommand"):
        git(original, "config", key, str(program))
    git(original, "config", "gc.auto", "1")
    owned(original)
    canary.unlink(missing_ok=True)
    (original / ".git/objects/ran").unlink(missing_ok=True)
    result = run(log_dir, original, offer, COMMIT)
    assert (result["reason"], result["branch"]["name"]) == ("ok", BRANCH), result
    assert not canary.exists()
    assert not (original / ".git/objects/ran").exists()
    git(original, "status")
    git(original, "branch", "control")
    assert canary.exists()


def swap(path: Path, aside: Path) -> None:
    """All is still there, but by way of a link: whoever followed it would find nothing wrong."""
    path.rename(aside)
    path.symlink_to(aside)


@pytest.mark.parametrize("what", ["objects", "refs/heads", "refs/heads/cronward"])
def test_a_link_in_the_originals_place_leads_nowhere(
    log_dir: Path, original: Path, offer: Offer, tmp_path: Path, what: str
) -> None:
    """Put there while the agent runs, as another run with the repository in its hands could."""
    outside = owned_directory(tmp_path / "private" / "outside")
    if what.endswith("cronward"):
        (original / ".git/refs/heads/cronward").mkdir()
        owned(original)
    script = f"{COMMIT}; echo ready >&2; sleep 1.5"
    with Driven(attempt(log_dir, original, offer, script)) as driven:
        driven.wait_for("started")
        eventually(lambda: b"ready" in (log_dir / "stderr").read_bytes(), within=20)
        swap(original / ".git" / what, outside / "there")
        before = tree(outside)
        result = driven.result()
    assert (result["reason"], result["branch"]["name"]) == ("check_failed", ""), result
    assert tree(outside) == before


def owned_directory(path: Path) -> Path:
    path.mkdir()
    return owned(path)


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
    result = run(log_dir, original, offer, script, limits=limits(wall_seconds=15.0))
    assert (result["reason"], result["branch"]["name"]) == ("timeout_wall", BRANCH), result
    assert result["usage"]["wall_seconds"] < 15.5


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
