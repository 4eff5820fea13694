"""Processes that write to a home, made by fork from one that has imported everything: `writers.py HOME KEEP`.

Each line on standard input is a command: `loop SEED` forks one process that writes without end, `crowd N` forks N that
write at once. All say what they do, one line each, before (`try`) and after (`did`); the end of one is `dead`.
"""

from __future__ import annotations

import itertools
import os
import random
import sys
from pathlib import Path

from supervisor.errors import RefusedError
from supervisor.models import NEVER
from supervisor.status import Status
from supervisor.stores import history
from supervisor.stores.home import Home
from supervisor.stores.jobs import CronStore
from supervisor.stores.runs import RunsStore
from tests.fakes import NOON, make_job, make_run


def say(*words: object) -> None:
    # Below PIPE_BUF a line is written whole or, by one who is killed, not at all.
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def loop(home: Home, keep: int, seed: int) -> None:
    history.SLACK = 1  # compacts all the time, so that a kill meets it
    draw = random.Random(seed)
    jobs, runs = CronStore(home), RunsStore(home, keep)
    for number in itertools.count():
        run_id = f"run-{seed:04}-{number:06}"
        for status in (Status.QUEUED, Status.RUNNING, Status.COMPLETED):
            say("try", "run", run_id, status.value)
            started = NEVER if status is Status.QUEUED else NOON
            response = "x" * draw.randrange(3000)
            runs.record(make_run(id=run_id, job_id="j0", status=status, started_at=started, response=response))
            say("did", "run", run_id, status.value)
        job_id = f"j{draw.randrange(3)}"
        prompt = f"{seed}-{number}"
        say("try", "job", job_id, prompt)
        jobs.update(make_job(id=job_id, prompt=prompt + "x" * draw.randrange(20000)))
        say("did", "job", job_id, prompt)


def crowd(home: Home, keep: int, number: int) -> None:
    jobs, runs = CronStore(home, wait_seconds=30), RunsStore(home, keep, wait_seconds=30)
    for count in range(3):
        job = jobs.add(make_job(id=f"job-{number:02}-{count}", prompt=str(number)))
        runs.record(make_run(id=f"run-{number:02}-{count}", job_id="shared"))
        jobs.update(job.model_copy(update={"prompt": f"{number} again"}))
    try:
        jobs.add(make_job(id=f"named-{number:02}", name="only one"))
        say("did", "name", number)
    except RefusedError:
        say("refused", "name", number)


def main() -> None:
    home, keep = Home(Path(sys.argv[1])), int(sys.argv[2])
    say("ready")
    for line in sys.stdin:
        command, number = line.split()[0], int(line.split()[1])
        children = []
        for each in range(number) if command == "crowd" else [number]:
            pid = os.fork()
            if pid == 0:
                say("pid", os.getpid())
                {"crowd": crowd, "loop": loop}[command](home, keep, each)
                os._exit(0)
            children.append(pid)
        for pid in children:
            say("dead", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


if __name__ == "__main__":
    main()
