"""Landlock behind the mounts: what is in a cell that no job was granted is refused, and ordinary work goes on."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from runner import host, init, kernel
from shared.messages import Bind
from tests.driver import Driven, execute, request, run_as
from tests.lacks import BWRAP, need

pytestmark = need("cell", "landlock")


@pytest.fixture
def leak() -> Iterator[Path]:
    """A directory that the agent's user owns, and that no job was granted."""
    path = Path(tempfile.mkdtemp(prefix="leak-", dir="/tmp"))
    (path / "secret").write_text("secret")
    for each in (path, path / "secret"):
        if ids := run_as():
            os.chown(each, ids.uid, ids.gid)
    yield path
    shutil.rmtree(path)


def careless(path: Path, leak: Path) -> str:
    """A bubblewrap that shows more than it was told to, writable, and leaves the root writable too."""
    keep = 'for word; do shift; if [ "$word" = / ] && [ "$last" = --remount-ro ]; then word=/usr; fi; set -- "$@" "$word"; last=$word; done'  # noqa: E501
    path.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && exec {BWRAP} --version\n{keep}\nexec {BWRAP} --bind {leak} /leak "$@"\n'
    )
    path.chmod(0o755)
    return str(path)


# The mounts and the file's own mode allow it, as access(2) and stat(2) say, which Landlock does not touch.
CONTROL = "test -r /leak/secret && test -w /leak/secret && test -w /leak && test -w / && echo mounted"
TRIED = {
    "read": "cat /leak/secret",
    "write": "echo x > /leak/secret",
    "append": "echo x >> /leak/secret",
    "create": "echo x > /leak/new",
    "truncate": "python3 -c 'import os; os.truncate(\"/leak/secret\", 0)'",
    "link out": "ln /leak/secret /leak/other",
    "rename": "mv /leak/secret /leak/other",
    "remove": "rm -f /leak/secret",
    "directory": "mkdir /leak/folder",
    "execute": "cp /usr/bin/true /tmp/true && /leak/secret",
    "symlink": "ln -s /usr /leak/link",
    "fifo": "mkfifo /leak/fifo",
    "root": "echo x > /planted",
    "elsewhere": "mkdir /opt-planted",
}


def test_landlock_alone_holds_where_the_mounts_show_too_much(log_dir: Path, tmp_path: Path, leak: Path) -> None:
    script = CONTROL + "".join(f"; {act} >/dev/null 2>&1 && echo through: {name}" for name, act in TRIED.items())
    (leak / "secret").chmod(0o700)
    usual = request(log_dir).cell
    cell = replace(usual, bwrap=careless(tmp_path / "bwrap", leak))
    result = execute(request(log_dir, "sh", "-c", f"{script}; true", cell=cell))
    assert result["reason"] == "ok", result
    assert (log_dir / "stdout").read_text().split("\n") == ["mounted", ""]
    assert (leak / "secret").read_text() == "secret"
    assert [path.name for path in leak.iterdir()] == ["secret"]


def test_the_layer_is_named_with_the_version_of_the_kernels_interface(log_dir: Path) -> None:
    layers = {layer["name"]: layer for layer in execute(request(log_dir, "true"))["layers"]}
    assert layers["landlock"]["held"] is True
    assert layers["landlock"]["detail"].startswith(f"ABI {kernel.landlock_version()}: files")


def test_init_is_out_of_reach_of_signals_where_the_kernel_can_scope_them(log_dir: Path) -> None:
    if kernel.landlock_version() < 6:
        pytest.skip("landlock: signals are scoped from ABI 6 on")
    script = "kill -0 1 2>/dev/null || echo unseen; sleep 9 & kill -0 $! && kill $! && echo own"
    assert execute(request(log_dir, "sh", "-c", script))["response"] == "unseen\nown\n"


def test_where_it_is_offered_and_cannot_be_had_no_agent_is_started(log_dir: Path, tmp_path: Path) -> None:
    """An init whose kernel refuses the call, as one under somebody else's filter would."""
    source = Path(init.__file__).read_text()
    broken = tmp_path / "init.py"
    broken.write_text(
        source.replace(
            "CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444", "CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 9444"
        )
    )
    assert broken.read_text() != source
    broken.chmod(0o644)
    wrapper = tmp_path / "bwrap"
    swapped = f'[ -n "$end" ] && [ "$word" = {host.INIT} ] && word=/opt/init.py'
    swap = f'for word; do shift; [ "$word" = -- ] && end=1; {swapped}; set -- "$@" "$word"; done'
    wrapper.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exec {BWRAP} --version\n{swap}\nexec {BWRAP} "$@"\n')
    wrapper.chmod(0o755)
    tmp_path.chmod(0o755)
    cell = replace(request(log_dir).cell, bwrap=str(wrapper))
    # A bind alone, for root's sake: what a wrapper names must be in reach of the ordinary uid.
    with Driven(
        request(log_dir, "true", cell=cell, binds=(Bind(source=str(broken), target="/opt/init.py"),))
    ) as driven:
        result = driven.result()
        assert (result["reason"], "landlock: Function not implemented" in result["error"]) == (
            "sandbox_unavailable",
            True,
        )
        assert not [message for message in driven.messages if message["type"] == "started"]


def work(log_dir: Path, work_dir: Path, script: str) -> str:
    result = execute(request(log_dir, "sh", "-ec", script, work_dir=str(work_dir)))
    assert result["reason"] == "ok", (result["error"], (log_dir / "stderr").read_text())
    return str(result["response"])


def test_files_move_and_are_linked_between_directories(log_dir: Path, work_dir: Path) -> None:
    script = (
        "mkdir a b; echo x > a/file; mv a/file b/file; ln b/file a/link; mv b c; rm -r a; cat c/file; cp -r c /tmp/c"
    )
    assert (
        work(log_dir, work_dir, script + "; mv /tmp/c /tmp/d; mv /tmp/d ~/d; ls ~/d; echo 1 > /proc/self/comm")
        == "x\nfile\n"
    )


@need("git")
def test_git_works(log_dir: Path, work_dir: Path) -> None:
    who = "git config user.email a@b.c; git config user.name a"
    script = (
        f"git init -q .; {who}; mkdir a; echo x > a/f; git add .; git commit -qm one; git mv a b; git commit -qm two"
    )
    script += "; git gc -q; git clone -q . ../$(basename $PWD)/clone; git -C clone log --oneline | wc -l"
    assert work(log_dir, work_dir, script) == "2\n"


@need("compiler")
def test_a_compiler_works(log_dir: Path, work_dir: Path) -> None:
    script = (
        "echo 'int main(void){return 0;}' > main.c; cc -o main main.c; ./main; mkdir -p out; mv main out/; out/main"
    )
    assert work(log_dir, work_dir, script + "; echo built") == "built\n"


@need("node")
def test_node_and_npm_work(log_dir: Path, work_dir: Path) -> None:
    node = shutil.which("node") or ""
    if not os.path.realpath(node).startswith("/usr/"):
        pytest.skip("node: it lies outside of /usr, where no cell shows it")
    script = (
        'mkdir dep; echo \'{"name":"dep","version":"1.0.0","bin":{"dep":"x.js"}}\' > dep/package.json; echo > dep/x.js'
    )
    script += "; echo '{}' > package.json; npm install --offline --no-audit --no-fund --silent ./dep; node -p 1+1"
    assert work(log_dir, work_dir, script).endswith("2\n")
    assert (work_dir / "node_modules" / "dep").exists()


def test_python_and_its_processes_work(log_dir: Path) -> None:
    script = "import multiprocessing as m; print(m.Pool(2).map(abs, [-1, -2])); import pty; print(len(pty.openpty()))"
    result = execute(request(log_dir, "/usr/bin/python3", "-c", script))
    assert (result["reason"], result["response"]) == ("ok", "[1, 2]\n2\n"), (log_dir / "stderr").read_text()
