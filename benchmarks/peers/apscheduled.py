"""APScheduler with a thread pool: jobs due at once, each a process with a request and a result, each end on disk.

Arguments: at once, a file of ends, the runner's argv as JSON, directories with a request.json. Prints seconds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path

from apscheduler.events import EVENT_JOB_EXECUTED, JobExecutionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler


def run(argv: list[str], folder: str) -> int:
    """One run: the runner keeps its standard input open until it has told its result."""
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(Path(folder, "request.json").read_bytes())
        process.stdin.flush()
        said = process.stdout.read().splitlines()
    assert json.loads(said[-1])["reason"] == "ok", said
    return process.returncode


def main() -> None:
    at_once, ends, argv, folders = int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]), sys.argv[4:]
    file = os.open(ends, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    over, left, lock = threading.Event(), [len(folders)], threading.Lock()

    def ended(event: JobExecutionEvent) -> None:
        os.write(file, json.dumps({"job": event.job_id, "code": event.retval}).encode() + b"\n")
        os.fdatasync(file)
        with lock:
            left[0] -= 1
            if not left[0]:
                over.set()

    scheduler = BackgroundScheduler(executors={"default": ThreadPoolExecutor(at_once)}, timezone="UTC")
    scheduler.add_listener(ended, EVENT_JOB_EXECUTED)
    scheduler.start()
    due = datetime.now().astimezone() + timedelta(seconds=0.5)
    for folder in folders:
        scheduler.add_job(run, "date", run_date=due, args=[argv, folder], misfire_grace_time=None)
    if not over.wait(120):
        sys.exit(1)
    print(time.time() - due.timestamp())
    scheduler.shutdown()


if __name__ == "__main__":
    main()
