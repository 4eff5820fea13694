"""Adopts what its runners leave, as the supervisor does: `adopting.py BEHAVIOUR FOLDER`. Says in JSON what it saw.

A process of its own, because whoever adopts once does so until it ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

from supervisor.spawning import strays
from supervisor.spawning.launcher import Executor, Gone, News
from tests.fakes import make_request

RUNNER = Path(__file__).with_name("runner.py")
WITHIN = 10.0


def marked(mark: str) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            if mark in process.cmdline():
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


async def attempt(behaviour: str, folder: Path) -> Gone:
    """One attempt to its end; a cell's runner is killed as soon as its cell stands."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[Gone] = loop.create_future()
    request = make_request("run-1", 1, folder, prompt=behaviour, session_id=str(folder))

    def tell(news: News) -> None:
        if isinstance(news, Gone):
            over.set_result(news)

    runner = Executor(runner=RUNNER, sweep=strays.sweep).spawn(request, tell, loop)
    if behaviour == "leaves_a_cell":
        deadline = time.monotonic() + WITHIN
        # bwrap, its own first process and the shell all carry the mark.
        while len(marked(str(folder))) < 3 and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        runner.kill()
    return await asyncio.wait_for(over, WITHIN)


def main() -> None:
    behaviour, folder = sys.argv[1], Path(sys.argv[2])
    strays.adopt()
    bystander = subprocess.Popen(["/usr/bin/sleep", "60"], start_new_session=True)
    try:
        gone = asyncio.run(attempt(behaviour, folder))
        left = [pid for pid in marked(str(folder)) if pid != os.getpid()]
        children = [process.pid for process in psutil.Process().children(recursive=True)]
        seen = {
            "result": None if gone.result is None else gone.result.response,
            "fault": gone.fault,
            "left": left,
            "only the bystander": children == [bystander.pid],
            "bystander lives": bystander.poll() is None,
        }
        sys.stdout.write(json.dumps(seen))
    finally:
        bystander.kill()
        bystander.wait()


main()
