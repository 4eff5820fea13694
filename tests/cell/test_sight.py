"""What the agent sees from inside, as the kernel tells it."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

import pytest

from runner.host import interpreter
from shared.messages import Bind
from tests.driver import Driven, children, execute, request
from tests.lacks import need

pytestmark = need("cell")


def outside_usr() -> list[str]:
    """Where Python lies, if not below /usr: init needs it."""
    return list(interpreter().shown)


def see(log_dir: Path, script: str, **changes: object) -> list[str]:
    """The lines that a shell in a cell writes."""
    result = execute(request(log_dir, "sh", "-c", script, **changes))
    assert result["reason"] == "ok", (result, (log_dir / "stderr").read_text())
    return (log_dir / "stdout").read_text().splitlines()


def test_the_root_holds_the_system_and_nothing_else(log_dir: Path) -> None:
    seen = set(see(log_dir, "ls -A /"))
    allowed = {
        "bin",
        "dev",
        "etc",
        "home",
        "lib",
        "lib32",
        "lib64",
        "libx32",
        "proc",
        "run",
        "sbin",
        "tmp",
        "usr",
        "var",
    }
    assert seen - allowed == {Path(path).parts[1] for path in outside_usr()} - allowed


def test_no_home_is_there_but_its_own(log_dir: Path) -> None:
    assert see(log_dir, "ls -A /home; ls -A ~; pwd; echo $HOME") == [
        "agent",
        "scratch",
        "/home/agent/scratch",
        "/home/agent",
    ]


def test_nothing_of_the_owners_home_is_there_but_the_interpreter(log_dir: Path) -> None:
    (log_dir.parent / "canary").write_text("secret")
    shown = [f"{path}/" for path in outside_usr()]
    seen = see(log_dir, f"find {Path.home()} {log_dir.parent} -type f 2>/dev/null; true")
    assert [path for path in seen if not path.startswith(tuple(shown))] == []


def test_the_installed_packages_beside_the_interpreter_are_hidden(log_dir: Path) -> None:
    prefix = Path(sys.base_prefix).resolve()
    found = [] if prefix == Path("/usr") else list(prefix.glob("lib*/python3*/site-packages"))
    for path in found:
        assert list(path.iterdir())
        assert see(log_dir, f"ls -A {path}; touch {path}/x 2>/dev/null && echo writable; true") == []


def test_the_state_of_cronward_and_run_are_not_there(log_dir: Path) -> None:
    assert see(log_dir, f"ls -A /run /run/cronward; ls {log_dir} /sys 2>/dev/null; true") == [
        "/run:",
        "cronward",
        "",
        "/run/cronward:",
        "init.pyc",
    ]


def test_only_its_own_processes_are_there(log_dir: Path) -> None:
    seen = see(log_dir, "for p in /proc/[0-9]*; do cat $p/comm; done")
    assert len(seen) <= 4
    assert seen[0].startswith("python")
    assert set(seen[1:]) <= {"sh", "cat"}


def test_only_loopback_is_there(log_dir: Path) -> None:
    assert [line.split(":")[0].strip() for line in see(log_dir, "tail -n +3 /proc/net/dev")] == ["lo"]


def test_a_service_of_the_host_cannot_be_reached(log_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        try_it = f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)"
        python = interpreter().executable
        result = execute(request(log_dir, python, "-I", "-S", "-c", try_it))
    assert result["reason"] == "agent_error"
    assert "refused" in result["error"]


def test_the_environment_is_made_up_and_what_the_job_names(log_dir: Path) -> None:
    seen = see(log_dir, "env", env={"NAMED": "yes", "HOME": "/tmp"})
    known = {"HOME=/tmp", "LANG=C.UTF-8", "LOGNAME=agent", "NAMED=yes", "PATH=/usr/local/bin:/usr/bin:/bin"}
    known |= {"GIT_OPTIONAL_LOCKS=0", "PWD=/home/agent/scratch", "SHELL=/bin/sh", "TMPDIR=/tmp", "USER=agent"}
    assert set(seen) == known


def test_only_three_descriptors_are_open(log_dir: Path) -> None:
    # The listing's own is the fourth; the shell is asked, for it has inherited what the agent was given.
    assert sorted(see(log_dir, "ls /proc/$$/fd")) == ["0", "1", "2"]


def test_it_is_nobody_and_can_become_nobody_else(log_dir: Path) -> None:
    seen = see(log_dir, "id -u; id -g; id -un; grep -E 'NoNewPrivs|Cap(Eff|Prm|Bnd|Amb)' /proc/self/status")
    assert seen[:3] == ["1000", "1000", "agent"]
    assert [line.split()[1] for line in seen[3:]] == ["0" * 16] * 4 + ["1"]


def test_no_user_namespace_can_be_made(log_dir: Path) -> None:
    assert see(log_dir, "unshare -Ur true 2>/dev/null; echo $?") != ["0"]


def test_init_keeps_its_memory_and_descriptors_to_itself(log_dir: Path) -> None:
    probes = "cat /proc/1/environ; ls /proc/1/fd/; echo > /proc/1/fd/4; cat /proc/1/mem; kill -9 1; kill -STOP 1"
    assert see(log_dir, f"({probes}) 2>/dev/null; echo still here") == ["still here"]


WRITABLE = ["/dev/shm", "/home/agent", "/home/agent/scratch", "/tmp"]


def test_what_can_be_written_is_private(log_dir: Path) -> None:
    find = "find / -path /proc -prune -o -type d -print 2>/dev/null"
    attempt = '(: > "$d/.w") 2>/dev/null && echo $d'
    assert sorted(see(log_dir, f"{find} | while read d; do {attempt}; done; true")) == WRITABLE


def test_what_is_written_in_one_cell_is_not_in_the_next(log_dir: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    see(log_dir, "echo left > /tmp/left; echo left > ~/left; echo left > /dev/shm/left")
    assert see(other, "ls /tmp ~ /dev/shm | grep left; true") == []


def test_programs_work(log_dir: Path) -> None:
    script = "python3 -c 'import ssl, json; print(1)' && getent hosts localhost && date +%Z && echo fine"
    assert see(log_dir, script)[-1] == "fine"


def test_nobody_can_read_the_command_or_prompt_from_outside(log_dir: Path) -> None:
    wanted = request(log_dir, "sleep", "20", "0.321", prompt="top secret prompt", env={"TOKEN": "top-secret-token"})
    with Driven(wanted) as driven:
        driven.wait_for("started")
        [bwrap] = children(driven.process.pid)
        seen = b"".join(
            Path(f"/proc/{pid}/{name}").read_bytes()
            for pid in (bwrap, *children(bwrap))
            for name in ("cmdline", "environ")
            if os.access(f"/proc/{pid}/{name}", os.R_OK)
        )
        assert b"cronward" in seen
        assert b"secret" not in seen
        assert b"0.321" not in seen


def test_a_path_can_be_shown_and_only_that(log_dir: Path, tmp_path: Path) -> None:
    shown = tmp_path / "private" / "shown"
    shown.mkdir(parents=True)
    (shown / "file").write_text("for the agent")
    (shown / "file").chmod(0o644)
    (shown.parent / "hidden").write_text("not for the agent")
    for path in (shown, shown.parent):
        path.chmod(0o755)
    if os.geteuid() == 0:
        shown.parent.chmod(0o700)
    binds = (Bind(source=str(shown), target="/opt/shown"),)
    script = "cat /opt/shown/file; echo; ls /opt; touch /opt/shown/x 2>/dev/null || echo read-only; ls /opt/shown/.."
    assert see(log_dir, script, binds=binds) == ["for the agent", "shown", "read-only", "shown"]


def test_an_agents_files_are_placed_and_not_the_agents_to_change(log_dir: Path) -> None:
    text = "x" * 200_000
    script = (
        "wc -c < /opt/a/file; cat ~/note; (echo > ~/note; rm -f ~/note; echo > /opt/a/file) 2>/dev/null; cat ~/note"
    )
    seen = see(log_dir, script, files={"/opt/a/file": text, "/home/agent/note": "kept\n"})
    assert seen == ["200000", "kept", "kept"]


def test_a_path_to_show_that_is_not_there_is_a_bad_definition(log_dir: Path) -> None:
    result = execute(request(log_dir, "true", binds=(Bind(source="/no/such/thing", target="/opt/thing"),)))
    assert result["reason"] == "bad_definition"
    assert "/no/such/thing" in result["error"]


@pytest.mark.parametrize(
    "target", ["/usr", "/", "/proc", "/proc/x", "/tmp", "/etc", "/dev/x", "/run/cronward/init.pyc", "x", "/opt/../etc"]
)
def test_nothing_takes_the_place_of_the_cells_own(log_dir: Path, tmp_path: Path, target: str) -> None:
    result = execute(request(log_dir, "true", binds=(Bind(source="/usr/share", target=target),)))
    assert result["reason"] == "bad_definition"


def test_the_layers_that_hold_are_named(log_dir: Path) -> None:
    result = execute(request(log_dir, "true"))
    layers = {layer["name"]: layer["detail"] for layer in result["layers"]}
    namespaces = {f"{name} namespace" for name in ("user", "pid", "mount", "network", "ipc", "uts")}
    assert namespaces <= layers.keys()
    assert {"no new privileges", "no capabilities", "no nested user namespaces", "rlimits"} <= layers.keys()
    assert layers["bubblewrap"].startswith("0.")
    assert ("uid drop" in layers) == (os.geteuid() == 0)
    assert json.loads((log_dir / "result.json").read_text())["layers"] == result["layers"]


def test_no_signal_of_the_agents_ends_its_init(log_dir: Path) -> None:
    # 17, SIGCHLD, init does handle; 32 and 33 are the C library's own.
    script = "for number in $(seq 64); do kill -$number 1 2>/dev/null; done; sleep 0.2; echo alive"
    assert see(log_dir, script) == ["alive"]


def test_the_agent_itself_can_be_interrupted(log_dir: Path) -> None:
    result = execute(request(log_dir, "sh", "-c", "kill -INT $$; echo alive"))
    assert (result["reason"], result["signal"]) == ("killed_by_signal", 2)
