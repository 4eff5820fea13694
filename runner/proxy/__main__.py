"""The proxy of one attempt, started by the runner as `python -I -S`, outside the cell, under the agent's own uid.

Descriptor 0: what it is told, one JSON object on a line; its end means that it is to end. 1: the log. 2: its own
diagnostics. 3: a Unix socket, over which the cell's init sends the one socket that we listen on: made inside the cell,
in the cell's network, and served by us, who are in the host's. So nothing of ours is in the cell, and no byte is copied
twice.

Exit codes: 0 told to end; 3 nothing proper was told; 5 a connection could not be logged.
"""

from __future__ import annotations

import os
import socket
import sys
from typing import Any, NoReturn

CONTROL, LOG, DOOR = 0, 1, 3
TOLD_MOST = 1 << 20
UNTOLD = 3


def main() -> NoReturn:
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    from runner.proxy import confine

    confine.limit()
    told = read_told()
    # While the cell is built.
    import asyncio

    from runner.proxy import serving
    from runner.proxy.peers import Peers

    listener = receive()
    if listener is not None:
        peers = None if told["only"] is None else Peers(told["only"])
        confine.close_doors()
        asyncio.run(serving.serve(told, listener, peers, LOG, CONTROL))
    os._exit(0)  # a look-up that hangs in its thread would hold us


def read_told() -> dict[str, Any]:
    from shared import wire

    data = b""
    while not data.endswith(b"\n"):
        chunk = os.read(CONTROL, 1 << 16)
        if not chunk or len(data) > TOLD_MOST:
            os._exit(UNTOLD)
        data += chunk
    try:
        return wire.decode(data)
    except wire.ProtocolError as error:
        os.write(2, f"cronward proxy: {error}\n".encode("ascii", "backslashreplace"))
        os._exit(UNTOLD)


def receive() -> socket.socket | None:
    """The socket to listen on; None: there will be none."""
    with socket.socket(fileno=DOOR) as door:
        _, descriptors, _, _ = socket.recv_fds(door, 1, 1)
    return socket.socket(fileno=descriptors[0]) if descriptors else None


if __name__ == "__main__":
    main()
