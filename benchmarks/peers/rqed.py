"""rq's side: a task that does nothing, and a client that sends so many and waits for their ends.

Arguments of the client: the broker's socket, how many. Prints seconds.
"""

from __future__ import annotations

import sys
import time

from redis import Redis
from rq import Queue


def nothing() -> int:
    return 0


def main() -> None:
    queue = Queue(connection=Redis(unix_socket_path=sys.argv[1]))
    began = time.time()
    jobs = [queue.enqueue("rqed.nothing") for _ in range(int(sys.argv[2]))]
    while not all(job.get_status(refresh=True) == "finished" for job in jobs):
        time.sleep(0.01)
        if time.time() > began + 60:
            sys.exit(1)
    print(time.time() - began)


if __name__ == "__main__":
    main()
