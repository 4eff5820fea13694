"""APScheduler: so many jobs due at one instant. Prints their latenesses in milliseconds.

Arguments: how many, how many times. Nothing of ours is imported here.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from datetime import datetime, timedelta

from apscheduler.schedulers.background import BackgroundScheduler

SOON = 0.5


def main() -> None:
    count, times = int(sys.argv[1]), int(sys.argv[2])
    logging.disable(logging.CRITICAL)
    scheduler = BackgroundScheduler(timezone="UTC")
    scheduler.start()
    for _ in range(times):
        print(json.dumps(one(scheduler, count)), flush=True)
    scheduler.shutdown()


def one(scheduler: BackgroundScheduler, count: int) -> list[float]:
    began: list[float] = []
    over = threading.Event()

    def work() -> None:
        began.append(time.time())
        if len(began) == count:
            over.set()

    # Adding takes it a fifth of a millisecond each, and wakes it each time.
    due = datetime.now().astimezone() + timedelta(seconds=SOON + count / 1000)
    for _ in range(count):
        scheduler.add_job(work, "date", run_date=due, misfire_grace_time=None)
    assert over.wait(60)
    return sorted((at - due.timestamp()) * 1000 for at in began)


if __name__ == "__main__":
    main()
