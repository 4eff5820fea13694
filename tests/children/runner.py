"""Stands for a runner that behaves as its request's prompt says: one function below per behaviour."""

from __future__ import annotations

import hashlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

HOUR = 3600


def say(message: dict[str, Any]) -> None:
    os.write(1, json.dumps(message).encode() + b"\n")


def result(request: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "type": "result", "run_id": request["run_id"], "attempt": request["attempt"], "reason": "ok", **fields
    }  # fmt: skip


def keep(request: dict[str, Any], **fields: Any) -> None:
    Path(request["log_dir"], "result.json").write_text(json.dumps(result(request, **fields)))


def hang() -> NoReturn:
    while True:
        time.sleep(HOUR)


def all_it_says(request: dict[str, Any]) -> None:
    say({"type": "ready", "pid": os.getpid()})
    say({"type": "started", "pid": 1, "layers": [{"name": "seccomp", "detail": "v1"}]})
    say({"type": "progress", "output_bytes": 5})
    say(result(request, response="Hello.", answer_bytes=6, exit_code=0))


def no_result(request: dict[str, Any]) -> None:
    sys.stderr.write("some noise\nthe last word\n")
    sys.exit(5)


def silent_end(request: dict[str, Any]) -> None:
    pass


def kept_result(request: dict[str, Any]) -> None:
    keep(request, reason="agent_error", error="It was kept.")


def killed_itself(request: dict[str, Any]) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def kept_and_breaks(request: dict[str, Any]) -> None:
    keep(request)
    os.write(1, b"no json\n")
    hang()


def long_line(request: dict[str, Any]) -> None:
    os.set_blocking(1, True)
    written = 0
    while written < 3 << 20:
        written += os.write(1, b"x" * 65536)
    hang()


def not_json(request: dict[str, Any]) -> None:
    os.write(1, b'{"type": "ready", "pid": \n')
    hang()


def no_message(request: dict[str, Any]) -> None:
    say({"type": "ready", "pid": 1, "more": "the answer is s3cret"})
    hang()


def no_reason(request: dict[str, Any]) -> None:
    say(result(request, reason="because"))
    hang()


def no_number(request: dict[str, Any]) -> None:
    usage = {"wall_seconds": math.nan, "cpu_seconds": 0.0, "peak_rss_bytes": 0, "output_bytes": 0}
    say(result(request, usage=usage))
    hang()


def another_run(request: dict[str, Any]) -> None:
    say(result(request, run_id="another"))
    hang()


def another_attempt(request: dict[str, Any]) -> None:
    say(result(request, attempt=request["attempt"] + 1))
    hang()


def two_results(request: dict[str, Any]) -> None:
    say(result(request))
    say(result(request, reason="agent_error"))
    hang()


def half_a_line(request: dict[str, Any]) -> None:
    os.write(1, json.dumps(result(request)).encode())


def result_and_hang(request: dict[str, Any]) -> None:
    say(result(request))
    hang()


def closes_and_hangs(request: dict[str, Any]) -> None:
    os.close(1)
    hang()


def flood(request: dict[str, Any]) -> None:
    os.set_blocking(1, True)
    line = json.dumps({"type": "progress", "output_bytes": 1}).encode() + b"\n"
    while True:
        os.write(1, line * 1000)


def stops_when_told(request: dict[str, Any]) -> None:
    say({"type": "ready", "pid": os.getpid()})
    told = json.loads(sys.stdin.buffer.readline())
    say(result(request, reason=told["reason"]))


def ignores_stop(request: dict[str, Any]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    say({"type": "ready", "pid": os.getpid()})
    hang()


def ends_with_its_pipe(request: dict[str, Any]) -> None:
    Path(request["log_dir"], "here").touch()
    assert sys.stdin.buffer.read() == b""
    Path(request["log_dir"], "gone").touch()


def surroundings(request: dict[str, Any]) -> None:
    fds = {}
    for entry in sorted(Path("/proc/self/fd").iterdir()):
        with suppress(FileNotFoundError):  # the listing's own
            fds[entry.name] = str(entry.readlink()).partition(":")[0]
    found = {
        "fds": fds,
        "environ": dict(os.environ),
        "cwd": str(Path.cwd()),
        "session": os.getsid(0) == os.getpid(),
        "argv": Path("/proc/self/cmdline").read_bytes().decode().split("\0")[:-1],
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "flags": [sys.flags.isolated, sys.flags.no_site],
    }
    say(result(request, response=json.dumps(found)))


def leaves_a_stray(request: dict[str, Any]) -> None:
    """One that has let go of the pipes, ignores TERM and is in our session, as a stuck bwrap would be."""
    stray = [sys.executable, "-I", "-S", __file__, "stray"]
    process = subprocess.Popen(stray, stdin=-3, stdout=-1, stderr=-3)
    assert process.stdout is not None
    process.stdout.readline()  # it ignores signals by now
    say(result(request, response=str(process.pid)))


def stray() -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.write(1, b"ready\n")
    hang()


def leaves_a_cell(request: dict[str, Any]) -> None:
    """A cell that outlives its runner: what is killed here has no time to end it."""
    cell = ["/usr/bin/bwrap", "--unshare-user", "--unshare-pid", "--ro-bind", "/", "/", "--new-session", "--"]
    deaf = "trap '' TERM; for _ in $(seq 20); do sleep 1; done"  # bounded, should nobody sweep it
    shell = ["/bin/sh", "-c", deaf, request["session_id"]]
    subprocess.Popen([*cell, *shell], stdin=-3, stdout=-3)
    say({"type": "ready", "pid": os.getpid()})
    hang()


def slow_reader(request: dict[str, Any]) -> None:
    digest = hashlib.sha256(request["output_schema"].encode()).hexdigest()
    say(result(request, response=digest))


def main() -> None:
    if sys.argv[1:] == ["stray"]:
        stray()
    time.sleep(0.05)  # what comes in meanwhile has to fit, or to wait
    request = json.loads(sys.stdin.buffer.readline())
    globals()[request["prompt"]](request)


main()
