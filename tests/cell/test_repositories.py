"""git in the work directory: it works, and what it would execute outside cannot be written, swapped or moved away."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.messages import Cell
from tests.driver import execute, request, run_as
from tests.lacks import need

pytestmark = [need("cell"), need("git")]

IDENTITY = ("-c", "user.name=owner", "-c", "user.email=owner@example.org", "-c", "init.defaultBranch=main")
Asked = Callable[..., dict[str, Any]]


def git(folder: Path, *argv: str) -> str:
    """As the owner of the directory, outside."""
    ids = run_as()
    done = subprocess.run(
        ["git", "-C", str(folder), *IDENTITY, *argv],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"},
        user=ids.uid if ids else None,
        group=ids.gid if ids else None,
        extra_groups=[] if ids else None,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def repository(open_dir: Path) -> Path:
    """One commit of one file."""
    git(open_dir, "init", "-q")
    (open_dir / "file").write_text("one\n")
    own(open_dir / "file")
    git(open_dir, "add", "file")
    git(open_dir, "commit", "-qm", "first")
    return open_dir


def own(*paths: Path) -> None:
    if ids := run_as():
        for path in paths:
            os.lchown(path, ids.uid, ids.gid)


def in_cell(log_dir: Path, script: str, work_dir: Path, **cell: Any) -> dict[str, Any]:
    for left in log_dir.iterdir():
        left.unlink()
    asked = Cell(run_as=run_as(), work_dir=str(work_dir), **cell)
    return execute(request(log_dir, "sh", "-c", script, cell=asked))


LOOK = "git status --short && git log --format=%s && git diff --stat | tail -1"


def test_what_only_looks_works_and_leaves_no_trace(log_dir: Path, repository: Path) -> None:
    (repository / "file").write_text("two\n")
    before = {path: path.lstat().st_mtime_ns for path in (repository / ".git").rglob("*")}
    result = in_cell(log_dir, f"{LOOK}; git branch --show-current", repository)
    expected = " M file\nfirst\n 1 file changed, 1 insertion(+), 1 deletion(-)\n"
    assert (result["reason"], result["response"][: len(expected)]) == ("ok", expected), result
    assert {path: path.lstat().st_mtime_ns for path in (repository / ".git").rglob("*")} == before
    assert {"name": "repositories", "detail": "1 read-only", "held": True} in result["layers"]


ATTACKS = (
    "git commit -qam x",
    "echo evil > .git/hooks/post-checkout",
    "echo evil >> .git/config",
    "git config core.fsmonitor evil",
    "mv .git .git.old",
    "rm -rf .git",
    "rmdir .git",
    "ln -sfn /tmp .git",
    "mv -T /tmp .git",
    "chmod 777 .git",
    "touch .git/x",
    "mkdir .git/hooks/x",
    "mount -o remount,rw .git",
    "umount .git",
)


def test_nothing_writes_or_swaps_it(log_dir: Path, repository: Path) -> None:
    def state() -> dict[str, Any]:
        folder = repository / ".git"
        return {str(path): (path.lstat().st_ino, path.lstat().st_ctime_ns) for path in (folder, *folder.rglob("*"))}

    before = state()
    script = "; ".join(f"({attack}) 2>/dev/null && echo 'done: {attack}'" for attack in ATTACKS)
    result = in_cell(log_dir, f"echo changed > file; {script}; true", repository)
    assert (result["reason"], result["response"]) == ("ok", "")
    assert state() == before
    assert (repository / "file").read_text() == "changed\n"


def test_the_same_attacks_do_something_where_it_may_be_written(log_dir: Path, repository: Path) -> None:
    """The control: without it a typing error would look like a wall."""
    script = "git commit -qam x && echo evil > .git/hooks/post-checkout && mv .git .git.old && echo done"
    result = in_cell(log_dir, f"echo changed > file; {script}", repository, git_write=True)
    assert (result["reason"], result["response"]) == ("ok", "done\n"), result
    assert (repository / ".git.old" / "hooks" / "post-checkout").read_text() == "evil\n"


def test_with_the_right_to_write_it_commits_as_an_agent_and_the_record_names_hooks(
    log_dir: Path, repository: Path
) -> None:
    script = "echo two > file && git commit -qam second && echo evil > .git/hooks/post-merge"
    result = in_cell(log_dir, script, repository, git_write=True)
    assert result["reason"] == "ok", result
    assert git(repository, "log", "--format=%s by %an") == "second by agent\nfirst by owner\n"
    assert {"path": f"{repository}/.git/hooks/post-merge", "why": "repository"} in result["planted"]["found"]


def worktree(repository: Path) -> Path:
    (linked := repository.parent / "linked").mkdir()
    own(linked)
    git(repository, "worktree", "add", "-q", str(linked), "-b", "side")
    return linked


def test_a_linked_worktree_works_read_only(log_dir: Path, repository: Path) -> None:
    linked = worktree(repository)
    (linked / "file").write_text("two\n")
    result = in_cell(log_dir, f"{LOOK}; ls -A {repository}; git commit -qam x; rm .git; mv .git x; true", linked)
    assert result["response"].startswith(" M file\nfirst\n 1 file changed"), result
    assert result["response"].endswith("\n.git\n"), result
    assert git(linked, "log", "--format=%s") == "first\n"
    assert (linked / ".git").read_text().startswith("gitdir: ")


@need("root")
def test_a_linked_worktree_works_behind_a_wall_too(log_dir: Path, repository: Path) -> None:
    linked = worktree(repository)
    os.chown(repository.parent, 0, 0)
    repository.parent.chmod(0o700)
    result = in_cell(log_dir, "git log --format=%s", linked)
    assert (result["reason"], result["response"]) == ("ok", "first\n"), result


def test_a_submodule_alone_works_read_only(log_dir: Path, repository: Path) -> None:
    (inner := repository.parent / "origin").mkdir()
    own(inner)
    git(inner, "init", "-q")
    git(inner, "commit", "-q", "--allow-empty", "-m", "of the submodule")
    git(repository, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner), "sub")
    script = f"git log --format=%s; touch .git/x; git config a.b c; ls -A {repository} {repository}/.git/modules"
    result = in_cell(log_dir, script, repository / "sub")
    expected = f"of the submodule\n{repository}:\n.git\nsub\n\n{repository}/.git/modules:\nsub\n"
    assert (result["reason"], result["response"]) == ("ok", expected), result


def test_a_linked_worktree_commits_with_the_right_to_write(log_dir: Path, repository: Path) -> None:
    linked = worktree(repository)
    result = in_cell(log_dir, "echo two > file && git commit -qam second", linked, git_write=True)
    assert result["reason"] == "ok", result
    assert git(repository, "log", "side", "--format=%s") == "second\nfirst\n"


def test_a_lying_git_file_leads_nowhere(log_dir: Path, repository: Path, tmp_path: Path) -> None:
    linked = worktree(repository)
    secret = repository.parent / "secret"
    for folder in (secret, secret / "objects", secret / "refs", secret / "worktrees", linked / "fake"):
        folder.mkdir()
        own(folder)
    for file, text in ((secret / "HEAD", "x"), (secret / "key", "canary"), (secret / "config", "")):
        file.write_text(text)
        own(file)
    # Built in the work directory: a back link that is true, and a `commondir` that is not.
    (linked / "fake" / "gitdir").write_text(f"{linked}/.git\n")
    (linked / "fake" / "commondir").write_text(f"{secret}\n")
    (linked / "fake" / "HEAD").write_text("ref: refs/heads/main\n")
    for target in (secret, "fake", repository / ".git", "/etc", log_dir):
        (linked / ".git").write_text(f"gitdir: {target}\n")
        result = in_cell(log_dir, f"cat {secret}/key; ls -A {repository.parent}; true", linked)
        assert (result["reason"], result["response"]) == ("ok", "linked\n"), (target, result)


def test_a_nested_repository_is_pinned_with_the_way_to_it(log_dir: Path, repository: Path) -> None:
    inner = repository / "lib" / "inner"
    inner.mkdir(parents=True)
    own(inner.parent, inner)
    git(inner, "init", "-q")
    script = (
        "for each in 'mv lib lib2' 'mv lib/inner lib/x' 'mv lib/inner/.git x' 'touch lib/inner/.git/hooks/x'; do"
        " $each 2>/dev/null && echo $each; done; touch lib/new lib/inner/new; echo end"
    )
    result = in_cell(log_dir, script, repository)
    assert result["response"] == "end\n"
    assert (inner / "new").exists()
    assert {"name": "repositories", "detail": "2 read-only", "held": True} in result["layers"]


def test_a_link_in_the_place_of_git_is_refused_unless_nothing_could_swap_it(log_dir: Path, repository: Path) -> None:
    (repository / ".git").rename(repository / "real.git")
    (repository / ".git").symlink_to("real.git")
    refused = in_cell(log_dir, "true", repository)
    assert refused["reason"] == "bad_definition"
    assert f"{repository}/.git is a link" in refused["error"]
    for allowed in ({"git_write": True}, {"work_mode": "read"}):
        result = in_cell(log_dir, "git log --format=%s", repository, **allowed)
        assert (result["reason"], result["response"]) == ("ok", "first\n"), result


def test_one_that_is_not_mounted_read_only_starts_no_agent(log_dir: Path, repository: Path) -> None:
    """By a bubblewrap that does not do what it is told, as a broken one might."""
    wrapper = repository.parent / "bwrap"
    wrapper.write_text(
        "#!/usr/bin/python3\nimport os, sys\nargv = ['/usr/bin/bwrap', *sys.argv[1:]]\n"
        f"at = argv.index('{repository}/.git') - 1 if len(argv) > 2 else 0\n"
        "argv[at] = '--bind' if at else argv[at]\nos.execv(argv[0], argv)\n"
    )
    wrapper.chmod(0o755)
    result = in_cell(log_dir, "echo ran", repository, bwrap=str(wrapper))
    assert (result["reason"], result["response"]) == ("sandbox_unavailable", ""), result


@need("root")
def test_one_of_somebody_elses_that_can_be_read_is_read(log_dir: Path, repository: Path) -> None:
    for path in (repository, *repository.rglob("*")):
        os.lchown(path, 0, 0)
    result = in_cell(log_dir, f"cd {repository} && git log --format=%s", repository)
    assert (result["reason"], result["response"]) == ("ok", "first\n"), result


def test_a_repository_that_the_agent_makes_is_named(log_dir: Path, work_dir: Path) -> None:
    result = in_cell(log_dir, "mkdir sub && cd sub && git init -q && git init -q --bare ../shared", work_dir)
    named = {one["path"] for one in result["planted"]["found"] if one["why"] == "repository"}
    assert {f"{work_dir}/sub/.git/", f"{work_dir}/sub/.git/config", f"{work_dir}/shared/config"} <= named


def test_in_read_mode_it_starts_there_and_git_looks(log_dir: Path, repository: Path) -> None:
    script = f"pwd; {LOOK}; touch x 2>/dev/null || echo read-only; touch ~/scratch/x && echo scratch"
    result = in_cell(log_dir, script, repository, work_mode="read")
    assert result["response"] == f"{repository}\nfirst\nread-only\nscratch\n"
    assert result["planted"] is None
