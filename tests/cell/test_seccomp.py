"""The filter of system calls in a real cell: what it refuses inside is granted, or refused otherwise, outside."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
from dataclasses import replace
from errno import EAFNOSUPPORT, EINVAL, ENOSYS, EPERM, EPROTONOSUPPORT
from pathlib import Path
from typing import Any

import pytest

from runner import host, seccomp
from runner.denied import Policy, calls
from tests.driver import Driven, execute, request, run_as
from tests.lacks import BWRAP, need

pytestmark = need("cell")

PYTHON = host.interpreter().executable
MACHINE = os.uname().machine
ASKING = Path(__file__).with_name("asking.py").read_text()
PR_SET_SECCOMP = 22
EACCES = 13

# What the filter answers in a cell. The kernel's own answer, outside, must be another one.
FORBIDDEN = {
    "ptrace": EPERM,
    "process_vm_readv": EPERM,
    "pidfd_getfd": EPERM,
    "kcmp": EPERM,
    "perf_event_open": EPERM,
    "unshare user namespace": EPERM,
    "clone user namespace": EPERM,
    "clone3": ENOSYS,
    "setns": EPERM,
    "mount": EPERM,
    "io_uring_setup": ENOSYS,
    "keyctl": ENOSYS,
    "add_key": ENOSYS,
    "userfaultfd": EPERM,
    "bpf": EPERM,
    "fanotify_init": EPERM,
    "name_to_handle_at": EPERM,
    "openat2": ENOSYS,
    "get_mempolicy": ENOSYS,
    "personality": EPERM,
    "TIOCSTI": EPERM,
    "TIOCSTI with high bits": EPERM,
    "TIOCLINUX": EPERM,
    "TIOCSETD": EPERM,
    "AF_VSOCK": EAFNOSUPPORT,
    "AF_PACKET": EAFNOSUPPORT,
    "raw socket": EPERM,
    "netlink uevent": EPROTONOSUPPORT,
    "memfd_create": ENOSYS,
    "large shared memory": EINVAL,
    "set-uid bit": EPERM,
    "created with set-uid bit": EPERM,
}


def denied_numbers() -> dict[str, int]:
    """Of the calls that are refused whatever their arguments: number to errno."""
    column = seccomp.MACHINES[MACHINE][1]
    always = [call for call in calls(Policy(memory_counted=False)) if not call.rules[0].conditions]
    return {str(call.numbers[column]): call.rules[0].errno for call in always if call.numbers[column] is not None}


def answers(text: str) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = json.loads(text)
    return found


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, int]]:
    log_dir = tmp_path_factory.mktemp("inside")
    result = execute(request(log_dir, PYTHON, "-I", "-c", ASKING, *denied_numbers(), response_bytes=1 << 16))
    assert (result["reason"], result["error"]) == ("ok", "")
    return answers(result["response"])


@pytest.fixture(scope="module")
def outside() -> dict[str, dict[str, int]]:
    ids = run_as()
    done = subprocess.run(
        [PYTHON, "-I", "-c", ASKING, *denied_numbers()],
        env={"ASK_AS": str(ids.uid if ids else 0)},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return answers(done.stdout)


Answers = dict[str, dict[str, int]]


@pytest.mark.parametrize("name", FORBIDDEN)
def test_the_filter_refuses_it_inside_and_the_kernel_does_not_outside(
    name: str, inside: Answers, outside: Answers
) -> None:
    assert inside["forbidden"][name] == FORBIDDEN[name]
    assert outside["forbidden"][name] != FORBIDDEN[name]


@need("32-bit")
def test_a_32_bit_call_ends_the_program_inside(inside: Answers, outside: Answers) -> None:
    assert inside["forbidden"]["32-bit call"] == -signal.SIGSYS
    assert outside["forbidden"]["32-bit call"] == 0


def test_every_question_has_its_row(inside: Answers) -> None:
    assert inside["forbidden"].keys() - {"32-bit call"} == FORBIDDEN.keys()


def test_every_call_of_the_list_is_refused_with_its_errno(inside: Answers, outside: Answers) -> None:
    wanted = denied_numbers()
    assert inside["numbers"] == wanted
    # An ordinary user has no right to many of them anyway; the others show what the filter adds.
    assert sum(outside["numbers"][number] != errno for number, errno in wanted.items()) > 30


def test_rare_families_of_sockets_do_not_exist(inside: Answers, outside: Answers) -> None:
    known = {name for name, errno in inside["families"].items() if errno != EAFNOSUPPORT}
    assert known == {"1", "2", "10", "16"}
    assert known < {name for name, errno in outside["families"].items() if errno != EAFNOSUPPORT}


def test_everyday_calls_are_granted(inside: Answers) -> None:
    assert inside["everyday"] == dict.fromkeys(inside["everyday"], 0)
    assert len(inside["everyday"]) >= 10


def filters(status: str) -> int:
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return int(fields["Seccomp_filters"])


def test_the_layer_is_told_and_the_agent_has_one_filter_more_than_the_runner(log_dir: Path) -> None:
    with Driven(request(log_dir, "cat", "/proc/self/status")) as driven:
        started, result = driven.wait_for("started"), driven.result()
    made = seccomp.build(Policy(memory_counted=False), MACHINE)
    assert made is not None
    layer = {"name": "seccomp filter", "detail": made.summary, "held": True}
    assert layer in started["layers"]
    assert layer in result["layers"]
    assert "\nSeccomp:\t2\n" in result["response"]
    assert filters(result["response"]) == filters(Path("/proc/self/status").read_text()) + 1


@need("32-bit")
def test_on_a_machine_whose_calls_are_not_known_no_agent_is_started(log_dir: Path, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec setarch i686 {PYTHON} "$@"\n')
    python.chmod(0o755)
    with Driven(request(log_dir, "cat", "/proc/self/status"), python=str(python)) as driven:
        result = driven.result()
    assert (result["reason"], result["response"]) == ("sandbox_unavailable", "")
    assert "cannot be filtered" in result["error"]
    assert not any(message["type"] == "started" for message in driven.messages)


def bwrap_that_refuses_filters(path: Path) -> str:
    """A bubblewrap in whose cell prctl(PR_SET_SECCOMP) is refused, by a filter of its own."""
    column = seccomp.MACHINES[MACHINE][1]
    program = seccomp.pack(
        [
            (seccomp.LOAD, 0, 0, seccomp.NUMBER),
            (seccomp.JUMP_EQUAL, 0, 3, (157, 167)[column]),
            (seccomp.LOAD, 0, 0, seccomp.ARGUMENTS),
            (seccomp.JUMP_EQUAL, 0, 1, PR_SET_SECCOMP),
            (seccomp.RETURN, 0, 0, seccomp.ERRNO | EACCES),
            (seccomp.RETURN, 0, 0, seccomp.ALLOW),
        ]
    )
    path.write_text(
        f"#!{PYTHON} -IS\n"
        "import os, sys\n"
        "reader, writer = os.pipe()\n"
        f"os.write(writer, bytes.fromhex('{program.hex()}'))\n"
        "os.close(writer)\n"
        "os.set_inheritable(reader, True)\n"
        "extra = [] if '--version' in sys.argv else ['--seccomp', str(reader)]\n"
        f"os.execv('{BWRAP}', ['{BWRAP}', *extra, *sys.argv[1:]])\n"
    )
    path.chmod(0o755)
    return str(path)


def test_where_the_filter_cannot_be_installed_no_agent_is_started(
    log_dir: Path, tmp_path: Path, work_dir: Path
) -> None:
    usual = request(log_dir, "touch", "ran", work_dir=str(work_dir))
    bwrap = bwrap_that_refuses_filters(tmp_path / "bwrap")
    with Driven(replace(usual, cell=replace(usual.cell, bwrap=bwrap))) as driven:
        result = driven.result()
        assert [message["type"] for message in driven.messages] == ["ready", "result"]
    assert result["reason"] == "sandbox_unavailable"
    assert "seccomp" in result["error"]
    assert not any("seccomp" in layer["name"] for layer in result["layers"])
    assert list(work_dir.iterdir()) == []


def test_no_set_uid_program_is_left_in_the_work_directory(log_dir: Path, work_dir: Path) -> None:
    tries = (
        "cp /usr/bin/id mine; chmod 4755 mine || chmod u+s mine || install -m 4755 /usr/bin/id other; chmod 755 mine"
    )
    execute(request(log_dir, "sh", "-c", tries, work_dir=str(work_dir)))
    modes = {path.name: path.stat().st_mode for path in work_dir.iterdir()}
    assert "mine" in modes
    assert not any(mode & stat.S_ISUID for mode in modes.values())


# Real programs. Each does what agents do all day, by the calls that are filtered or by what stands in for those denied.

PYTHON_PROGRAM = """
import asyncio, concurrent.futures, math, multiprocessing, subprocess, tempfile, threading
async def child():
    process = await asyncio.create_subprocess_exec("echo", "child", stdout=subprocess.PIPE)
    return (await process.communicate())[0].decode().strip()
async def served():
    server = await asyncio.start_unix_server(lambda reader, writer: writer.close(), "socket")
    reader, writer = await asyncio.open_unix_connection("socket")
    return await reader.read()
if __name__ == "__main__":
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(math.factorial, range(5))) == 34
    for method in ("fork", "spawn", "forkserver"):
        with concurrent.futures.ProcessPoolExecutor(2, multiprocessing.get_context(method)) as pool:
            assert list(pool.map(math.factorial, range(4))) == [1, 1, 2, 6]
    assert asyncio.run(child()) == "child" and asyncio.run(served()) == b""
    assert subprocess.run(["sh", "-c", "exit 3"]).returncode == 3
    print("done")
"""
NODE_PROGRAM = """
const http = require('http'), { Worker } = require('worker_threads'), { execFileSync } = require('child_process');
const server = http.createServer((_, answer) => answer.end('served')).listen(0, '127.0.0.1', async () => {
  const text = await (await fetch(`http://127.0.0.1:${server.address().port}/`)).text();
  const worker = new Worker('require("worker_threads").parentPort.postMessage(6 * 7)', { eval: true });
  worker.on('message', number => {
    console.log(text, number, execFileSync('echo', ['done']).toString().trim());
    server.close();
  });
});
"""
C_PROGRAM = """
#include <pthread.h>
#include <stdio.h>
static void *body(void *word) { puts(word); return 0; }
int main(void) {
  pthread_t thread;
  if (pthread_create(&thread, 0, body, "done")) return 1;
  return pthread_join(thread, 0);
}
"""
GIT_SCRIPT = """
git init -q . && git config user.name a && git config user.email a@b && echo text > file && git add file &&
git commit -q -m one && git checkout -q -b other && echo more >> file && git commit -q -a -m two &&
git clone -q . "$HOME/copy" && git gc -q && git status --porcelain &&
git -C "$HOME/copy" log --oneline | wc -l && echo done
"""
SHELL_SCRIPT = """
set -e
seq 1 50000 | sort -rn | head -1
diff <(echo same) <(cat <<< same)
coproc { cat; }; echo through >&"${COPROC[1]}"; read -r line <&"${COPROC[0]}"; echo "$line"
mkdir tree; for n in 1 2 3; do echo "$n" > "tree/$n"; done
tar cJf tree.tar.xz tree; xz -T2 -t tree.tar.xz; mkdir out; tar xJpf tree.tar.xz -C out; diff -r tree out/tree
cp -a tree copy; (exit 3) || echo "$?"
timeout 5 script -qec 'stty size >/dev/null; echo typed' /dev/null || true
echo done
"""


def run_program(log_dir: Path, work_dir: Path, *argv: str) -> list[str]:
    usual = request(log_dir, *argv, work_dir=str(work_dir))
    roomy: Any = replace(usual.limits, processes=256, open_files=1024)
    result = execute(replace(usual, limits=roomy))
    assert (result["reason"], result["error"]) == ("ok", ""), (log_dir / "stderr").read_text()
    return str(result["response"]).split()


def test_python_runs_threads_processes_and_unix_sockets(log_dir: Path, work_dir: Path) -> None:
    (work_dir / "program.py").write_text(PYTHON_PROGRAM)
    assert run_program(log_dir, work_dir, PYTHON, "-I", "program.py") == ["done"]


@need("node")
def test_node_runs_workers_and_fetches(log_dir: Path, work_dir: Path) -> None:
    assert run_program(log_dir, work_dir, "node", "-e", NODE_PROGRAM) == ["served", "42", "done"]


@need("compiler")
def test_a_compiler_makes_a_program_that_runs(log_dir: Path, work_dir: Path) -> None:
    (work_dir / "program.c").write_text(C_PROGRAM)
    compile_and_run = "cc -O1 -pthread -o program program.c && ./program"
    assert run_program(log_dir, work_dir, "sh", "-c", compile_and_run) == ["done"]


@need("git")
def test_git_commits_branches_and_clones(log_dir: Path, work_dir: Path) -> None:
    assert run_program(log_dir, work_dir, "sh", "-c", GIT_SCRIPT)[-2:] == ["2", "done"]


def test_the_shell_pipes_packs_and_copies(log_dir: Path, work_dir: Path) -> None:
    words = run_program(log_dir, work_dir, "bash", "-c", SHELL_SCRIPT)
    assert words[:3] == ["50000", "through", "3"]
    assert words[-1] == "done"
