"""Hostile clones and hostile originals: nothing of theirs is done, and nothing of the owner's changes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from shared.messages import Offer
from tests.driver import Driven, eventually, limits
from tests.lacks import need
from tests.repositories import BRANCH, COMMIT, attempt, git, owned, rest, run, swap, tree

pytestmark = need("cell", "git")

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
