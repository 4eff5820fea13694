"""Celery's side: a task that does nothing, and a client that sends so many and waits for their results.

Arguments of the client: the broker's socket, how many. Prints seconds.
"""

from __future__ import annotations

import os
import sys
import time

from celery import Celery, group

SOCKET = os.environ.get("BENCH_REDIS") or sys.argv[1]
app = Celery("celeried", broker=f"redis+socket://{SOCKET}", backend=f"redis+socket://{SOCKET}?virtual_host=1")
app.conf.update(worker_max_tasks_per_child=1, broker_connection_retry_on_startup=True, task_acks_late=True)


@app.task(name="celeried.nothing")  # type: ignore[untyped-decorator]
def nothing() -> int:
    return 0


def main() -> None:
    nothing.delay().get(timeout=30)
    began = time.time()
    group(nothing.s() for _ in range(int(sys.argv[2])))().get(timeout=100)
    print(time.time() - began)


if __name__ == "__main__":
    main()
