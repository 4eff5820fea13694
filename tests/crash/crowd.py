"""Many commands at one instant: processes forked from one that has imported everything, let go all together.

`python -m tests.crash.crowd`, a JSON list of argument lists on standard input; [exit code, output] of each comes back.
"""

from __future__ import annotations

import json
import os
import sys

# Not needed here, but by each child: what is imported before the fork costs them nothing.
import supervisor.cli
import supervisor.control.client
import supervisor.stores.jobs
from supervisor.__main__ import main

WARM = (supervisor.cli, supervisor.control.client, supervisor.stores.jobs)


def fork(argv: list[str], gate: int, keep_open: int) -> tuple[int, int]:
    """A child that runs this command once the gate's writer is gone; its pid and where its output goes."""
    output = os.memfd_create("output")
    pid = os.fork()
    if pid:
        return pid, output
    os.close(keep_open)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.read(gate, 1)
    code = 99
    try:
        code = main(argv)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def crowd(commands: list[list[str]]) -> list[tuple[int, str]]:
    gate, opener = os.pipe()
    children = [fork(argv, gate, opener) for argv in commands]
    os.close(opener)
    said = []
    for pid, output in children:
        _, status = os.waitpid(pid, 0)
        text = os.pread(output, 1 << 20, 0).decode(errors="replace")
        said.append((os.waitstatus_to_exitcode(status), text))
    return said


if __name__ == "__main__":
    sys.stdout.write(json.dumps(crowd(json.load(sys.stdin))))
