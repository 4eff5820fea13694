"""A run without namespaces: what holds in it and what does not, as docs/security.md has it."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from runner import kernel
from shared.messages import Bind, Cell, Isolation, Network
from tests.driver import Driven, execute, limits, request, run_as
from tests.lacks import lack, need

pytestmark = need("landlock")

PYTHON = "/usr/bin/python3"
ACTING = Path(__file__).with_name("acting.py").read_text()
# What is not held, in best-effort; everything else there is. In `none` nothing is.
NOT_HELD = {"see another process", "see whether a path exists"}
SHM_KEY, IPC_CREAT = 0x63770000 + os.getpid() % 0xFFFF, 0o1000


def without(isolation: Isolation = "best-effort", network: Network = "none", **changes: Any) -> Cell:
    """A cell on a host that has no bubblewrap."""
    return Cell(isolation=isolation, network=network, run_as=run_as(), bwrap="/nonexistent/bwrap", **changes)


@dataclass
class Victim:
    """Another process of the agent's own user, and what is its own."""

    told: dict[str, Any]
    pid: int
    folder: Path


@pytest.fixture
def victim() -> Iterator[Victim]:
    folder = Path(tempfile.mkdtemp(prefix="victim-", dir="/tmp"))
    (folder / "secret").write_text("secret")
    ids = run_as()
    for path in (folder, folder / "secret"):
        os.chown(path, *((ids.uid, ids.gid) if ids else (os.getuid(), os.getgid())))
    uid = {"user": ids.uid, "group": ids.gid} if ids else {}
    abstract = f"victim-{os.getpid()}"
    libc = ctypes.CDLL(None)
    segment = libc.shmget(SHM_KEY, 4096, IPC_CREAT | 0o666)
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as named,
        socket.socket(socket.AF_UNIX) as nameless,
        subprocess.Popen(["/usr/bin/sleep", "60"], cwd="/", env={"TOKEN": "x"}, **uid) as sleeper,  # type: ignore[call-overload]
    ):
        named.bind(str(folder / "socket"))
        (folder / "socket").chmod(0o777)
        nameless.bind("\0" + abstract)
        named.listen()
        nameless.listen()
        told = {
            "pid": sleeper.pid,
            "folder": str(folder),
            "tcp": tcp.getsockname()[1],
            "unix": str(folder / "socket"),
            "abstract": abstract,
            "shm": SHM_KEY,
        }
        try:
            yield Victim(told, sleeper.pid, folder)
        finally:
            sleeper.kill()
            libc.shmctl(segment, 0, None)
    shutil.rmtree(folder)


def came_through(log_dir: Path, victim: Victim, cell: Cell) -> dict[str, bool]:
    told = json.dumps(victim.told)
    result = execute(request(log_dir, PYTHON, "-I", "-c", ACTING, told, cell=cell, response_bytes=1 << 16))
    assert (result["reason"], result["error"]) == ("ok", ""), (log_dir / "stderr").read_text()
    found: dict[str, bool] = json.loads(result["response"])
    return found


def test_what_holds_without_namespaces_is_what_the_table_says(log_dir: Path, tmp_path: Path, victim: Victim) -> None:
    other = tmp_path / "none"
    other.mkdir()
    control = came_through(other, victim, without("none", "host"))
    # Where there are no namespaces, as it is meant for, the kernel refuses one without our help.
    kernels = {"a user namespace"} if lack("cell") else set()
    assert {name for name, through in control.items() if not through} == kernels
    # A uid that nothing else has owns no file whose mode or times could be changed; and the victim's are of that uid.
    found = {name for name, through in came_through(log_dir, victim, without()).items() if through}
    by_path = {"change its mode", "change its times"} if run_as() else set()
    signals = {"signal another process"} if kernel.landlock_version() < 6 else set()
    assert found == NOT_HELD | by_path | signals
    assert (victim.folder / "secret").read_text() == "secret"


def test_a_public_network_leads_through_the_proxy_and_nowhere_else(log_dir: Path, victim: Victim) -> None:
    if kernel.landlock_version() < 4:
        pytest.skip("landlock: TCP from version 4 on")
    found = {name for name, through in came_through(log_dir, victim, without(network="public")).items() if through}
    by_path = {"change its mode", "change its times"} if run_as() else set()
    assert found == NOT_HELD | by_path | {"make a socket"}


PROXIED = """
import os, socket, sys, urllib.request
where = os.environ["http_proxy"].rpartition(":")
try:
    print(urllib.request.urlopen("http://127.0.0.2:%s/" % sys.argv[1], timeout=9).read().decode())
except urllib.error.HTTPError as error:
    print(error.code)
"""


def test_the_proxy_outside_serves_this_user_and_judges_as_ever(log_dir: Path) -> None:
    with socket.create_server(("127.0.0.2", 0)) as server:
        port = server.getsockname()[1]
        result = execute(request(log_dir, PYTHON, "-c", PROXIED, str(port), cell=without(network="public")))
    assert (result["reason"], result["response"]) == ("ok", "403\n"), (log_dir / "stderr").read_text()
    assert result["traffic"] == {"connections": 1, "denied": 1, "bytes_up": 0, "bytes_down": 0} | {
        key: result["traffic"][key] for key in ("bytes_up", "bytes_down")
    }


def test_the_record_says_what_held_and_what_did_not(log_dir: Path) -> None:
    layers = {layer["name"]: layer for layer in execute(request(log_dir, "true", cell=without()))["layers"]}
    missing = {name for name, layer in layers.items() if not layer["held"]}
    signals = {"signals"} if kernel.landlock_version() < 6 else set()
    assert missing == {"namespaces", "sight", "size of tmp"} | signals
    assert "/nonexistent/bwrap is not there" in layers["namespaces"]["detail"]
    assert layers["landlock"]["detail"].startswith(f"ABI {kernel.landlock_version()}: files")
    assert {"seccomp filter", "no new privileges", "rlimits", "memory limit", "network"} <= layers.keys()


def test_without_isolation_the_record_claims_none(log_dir: Path) -> None:
    layers = execute(request(log_dir, "true", cell=without("none", "host")))["layers"]
    assert [layer["name"] for layer in layers if not layer["held"]] == ["isolation"]
    assert not {"landlock", "seccomp filter", "network", "pid namespace"} & {layer["name"] for layer in layers}


@need("cell")
def test_where_a_cell_can_be_had_best_effort_is_the_whole_cell(log_dir: Path) -> None:
    cell = replace(without(), bwrap=Cell().bwrap)
    layers = {layer["name"]: layer for layer in execute(request(log_dir, "true", cell=cell))["layers"]}
    assert layers["pid namespace"]["held"]
    assert all(layer["held"] for layer in layers.values())


def test_a_job_that_requires_the_cell_is_refused_where_there_is_none(log_dir: Path) -> None:
    result = execute(request(log_dir, "true", cell=without("required")))
    assert result["reason"] == "sandbox_unavailable"


def test_a_network_that_could_not_be_held_is_refused(log_dir: Path, tmp_path: Path) -> None:
    for number, network in enumerate(("allow", "host")):
        (tmp_path / str(number)).mkdir()
        hosts = {"allow_hosts": ("a.example",)} if network == "allow" else {}
        result = execute(request(tmp_path / str(number), "true", cell=without(network=network, **hosts)))  # type: ignore[arg-type]
        assert (result["reason"], "nothing holds the network" in result["error"]) == ("sandbox_unavailable", True)


def test_work_is_done_and_nothing_of_the_run_is_left(log_dir: Path, work_dir: Path) -> None:
    deep = "mkdir -p a/b; echo x > a/f; mv a/f a/b/f; touch ~/home $TMPDIR/tmp; pwd; cat; echo ~ | cut -d- -f1"
    many = "import os\nfor _ in range(1500): os.mkdir('d'); os.chdir('d')"
    # Closed by an open directory: by a path that is refused.
    closed = "import os; os.fchmod(os.open(os.path.expanduser('~/no'), os.O_RDONLY), 0)"
    script = f'{deep}; cd ~; python3 -c "{many}"; mkdir -p ~/no/x; ln -s /usr ~/no/l; python3 -c "{closed}"'
    wanted = request(log_dir, "sh", "-ec", script, prompt="told\n", cell=without(work_dir=str(work_dir)))
    result = execute(wanted)
    assert (result["reason"], result["response"]) == ("ok", f"{work_dir}\ntold\n/tmp/cronward\n"), result
    assert (work_dir / "a" / "b" / "f").read_text() == "x\n"
    [place] = [layer["detail"] for layer in result["layers"] if layer["name"] == "private tmp"]
    assert not Path(place).exists()


@need("git")
def test_git_works_in_a_repository_that_is_there(log_dir: Path, work_dir: Path) -> None:
    ids = run_as()
    user: dict[str, Any] = {"user": ids.uid, "group": ids.gid, "extra_groups": []} if ids else {}
    if ids:
        work_dir.parent.chmod(0o755)
        work_dir = Path(tempfile.mkdtemp(prefix="repository-", dir="/tmp"))
        os.chown(work_dir, ids.uid, ids.gid)
    subprocess.run(["/usr/bin/git", "init", "-q", "."], cwd=work_dir, env={"HOME": "/nonexistent"}, check=True, **user)
    who = "-c user.email=a@b.c -c user.name=a"
    script = f"mkdir a; echo x > a/f; git add .; git {who} commit -qm one; git mv a b; git {who} commit -qm two"
    result = execute(
        request(log_dir, "sh", "-ec", f"{script}; git log --oneline | wc -l", cell=without(work_dir=str(work_dir)))
    )
    if ids:
        shutil.rmtree(work_dir)
    assert (result["reason"], result["response"]) == ("ok", "2\n"), (log_dir / "stderr").read_text()


def test_what_a_cell_would_show_elsewhere_is_found_where_it_is(log_dir: Path, tmp_path: Path) -> None:
    shown = tmp_path / "shown"
    shown.mkdir()
    (shown / "file").write_text("shown\n")
    for path in (shown, shown / "file", tmp_path):
        path.chmod(0o755)
    binds = (Bind(source=str(shown / "file"), target="/opt/cw/shown/file"),)
    files = {"/opt/cw/note": "placed\n", "/home/agent/.rc": "home\n"}
    script = 'cat "$1" "$2" ~/.rc "$3/shown/file" "$NOTE"; echo x > "$1"'
    words = ("/opt/cw/shown/file", "/opt/cw/note", "/opt/cw")
    argv = ("sh", "-c", script, "sh", *words)
    result = execute(request(log_dir, *argv, binds=binds, files=files, env={"NOTE": "/opt/cw/note"}, cell=without()))
    assert (log_dir / "stdout").read_text() == "shown\nplaced\nhome\nshown\nplaced\n", (log_dir / "stderr").read_text()
    assert result["reason"] == "agent_error"  # what is shown cannot be written
    assert (shown / "file").read_text() == "shown\n"


STUBBORN = """
import os, time
children = 0
while children < 200:
    try:
        os.fork() or (time.sleep(30), os._exit(0))
        children += 1
    except OSError:
        time.sleep(0.02)
time.sleep(30)
"""
"""Tries again where the kernel refuses: it counts what others of the same user start meanwhile."""


def test_limits_bite_and_are_named(log_dir: Path, tmp_path: Path) -> None:
    rows = {
        "out_of_memory": (
            (PYTHON, "-c", "x = bytearray(400 << 20); import time; time.sleep(9)"),
            {"memory_bytes": 128 << 20},
        ),
        "process_limit": ((PYTHON, "-c", STUBBORN), {"processes": 20}),
        "disk_limit": (("sh", "-c", "exec head -c 9000000 /dev/zero > big"), {"file_bytes": 1 << 20}),
        "timeout_wall": (("sleep", "20"), {"wall_seconds": 0.5}),
    }
    for reason, (argv, limit) in rows.items():
        (tmp_path / reason).mkdir()
        result = execute(request(tmp_path / reason, *argv, cell=without(), limits=limits(**limit)))
        assert result["reason"] == reason, result


FORKER = """
import os, time
while not os.path.exists("go"):
    time.sleep(0.02)
for _ in range(5):
    os.waitpid(os.fork() or os._exit(0), 0)
print("forked")
"""
BUILD = """
import os, sys
for _ in range(60):
    os.fork() or (sys.stdin.read(), os._exit(0))
print()
"""


def test_what_its_user_starts_elsewhere_takes_no_process_from_it(log_dir: Path, work_dir: Path) -> None:
    """The kernel's limit counts both; a build beside it once kept an agent from forking at all."""
    ids = run_as()
    uid = {"user": ids.uid, "group": ids.gid} if ids else {}
    cell = without("none", work_dir=str(work_dir))
    wanted = request(log_dir, PYTHON, "-c", FORKER, cell=cell, limits=limits(processes=20))
    with Driven(wanted) as driven:
        driven.wait_for("started")
        build = [PYTHON, "-c", BUILD]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen(build, cwd="/", **pipes, **uid) as others:  # type: ignore[call-overload]
            assert others.stdout.readline() == b"\n"
            (work_dir / "go").touch()
            result = driven.result()
            others.stdin.close()
    assert (result["reason"], result["response"]) == ("ok", "forked\n"), result


def test_a_job_sees_and_writes_what_it_says_and_no_more(tmp_path: Path) -> None:
    places = {name: tmp_path / name for name in ("work", "read", "write", "other")}
    ids = run_as()
    for path in places.values():
        path.mkdir()
        (path / "file").write_text(path.name)
        for each in (path, path / "file"):
            os.chown(each, *((ids.uid, ids.gid) if ids else (os.getuid(), os.getgid())))
    for path in (tmp_path, *tmp_path.parents):
        if path.stat().st_uid == os.geteuid() and str(path).startswith("/tmp/"):
            path.chmod(path.stat().st_mode | 0o711)
    work, read, write, other = map(str, places.values())
    script = (
        f"pwd; for at in {work} {read} {write} {other}; do cat $at/file 2>/dev/null || printf no; "
        "(echo x > $at/new) 2>/dev/null && printf + || printf -; done"
    )
    cell = without(work_dir=work, work_mode="read", read_paths=(read,), write_paths=(write,))
    log_dir = tmp_path / "log"
    log_dir.mkdir(mode=0o700)
    result = execute(request(log_dir, "sh", "-c", script, cell=cell))
    assert result["response"] == f"{work}\nwork-read-write+no-", result
