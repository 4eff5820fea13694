"""A runner that does nothing: the real one's protocol and the real one's result on disk, and no agent between them.

    python -m benchmarks.noop ARGUMENTS    the command line of cronward, whose supervisor starts such runners

It is what a run costs beside its cell and its agent.
"""

from __future__ import annotations

import os
import sys

SPOOLED = 0o600


def run() -> None:
    """One run, as `runner/__main__.py` would begin and end it."""
    from runner import channel
    from shared import wire

    ours = channel.claim()
    line = ours.read_line()
    if line is None:
        os._exit(4)
    from shared.messages import ExecuteResult, Ready, request_from
    from shared.reasons import Reason
    from shared.record import asdict

    request = request_from(wire.decode(line))
    ours.say(asdict(Ready(pid=os.getpid())))
    result = asdict(ExecuteResult(run_id=request.run_id, attempt=request.attempt, reason=Reason.OK))
    directory = os.open(request.log_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    file = os.open("result.json", os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, SPOOLED, dir_fd=directory)
    os.write(file, wire.encode(result))
    os.fsync(file)
    os.fsync(directory)
    ours.say(result)
    os._exit(0)


def supervise() -> int:
    """The program `cronward`, but for what it starts."""
    from functools import partial
    from pathlib import Path

    from supervisor.__main__ import main
    from supervisor.spawning import preparation
    from supervisor.spawning.launcher import Executor

    preparation.Executor = partial(Executor, runner=Path(__file__).resolve())  # type: ignore[misc,assignment]
    return main()


if __name__ == "__main__":
    if __spec__ is None:
        sys.path.insert(0, __file__.rpartition("/benchmarks/")[0])
        run()
    sys.exit(supervise())
