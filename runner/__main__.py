"""The runner: one process, one attempt.

Theory of operation. Three processes hold one attempt: this one (trusted, outside), bubblewrap (which makes the cell
and waits for it), and init (PID 1 of the cell, see `init`); the agent and whatever it starts live below init. The
supervisor starts us with two pipes as descriptors 0 and 1. On the first come the request and, later, at most a stop;
its end means that the supervisor is gone. On the second go Ready, Started, Progress and one ExecuteResult, which is on
disk before it is said, and is said only when nothing of the tree is left. Where the job has a network there is a
fourth process, the proxy, which we start beside the cell and end after it.

Who holds what: we hold every pipe of the cell; the agent holds its own three descriptors and nothing else; init holds
the read end of the life pipe, of which we hold the only write end. So whoever dies takes the rest along: the supervisor
us (by signal, and by the end of its pipe), we bubblewrap and init (by signal, and by the end of the life pipe), init
the namespace. A report of init's is believed, a line of the agent's never: it is only output.

Exit codes: 0 the result is said; 3 there was no proper request; 4 the supervisor is gone (a result may be in
result.json); 5 the result is in result.json, but the supervisor does not read it.
"""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

NO_REQUEST, ABANDONED = 3, 4


def main() -> NoReturn:
    supervisor = os.getppid()
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from runner import channel
    from shared import wire

    ours = channel.claim()
    try:
        line = ours.read_line()
        if line is None:
            os._exit(ABANDONED)
        data = wire.decode(line)
    except wire.ProtocolError as error:
        refuse(f"The request cannot be read: {error}")

    # Only now what costs. A request that is taken early is answered early: Ready before the rest is loaded.
    from shared.messages import VERSION, Ready, request_from
    from shared.record import asdict

    try:
        request = request_from(data)
    except (TypeError, KeyError, ValueError) as error:
        refuse(f"The request is not one of version {VERSION}: {error!r}.")
    if request.version != VERSION:
        refuse(
            f"The request is of version {request.version}; this runner knows {VERSION}. Install one version of both."
        )
    ready_at = time.monotonic()
    ours.say(asdict(Ready(pid=os.getpid())))
    from runner.attempt import Attempt

    Attempt(request, ours, supervisor=supervisor, ready_at=ready_at).run()


def refuse(sentence: str) -> NoReturn:
    os.write(2, f"cronward runner: {sentence}\n".encode("utf-8", "backslashreplace"))
    os._exit(NO_REQUEST)


if __name__ == "__main__":
    main()
