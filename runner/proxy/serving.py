"""The proxy put together: from what it was told to its loop."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from runner.proxy import dial, interfaces
from runner.proxy.ledger import Ledger
from runner.proxy.listening import Listening
from runner.proxy.peers import Peers
from runner.proxy.policy import Policy
from shared.hostrule import parse_rule


async def serve(told: dict[str, Any], listener: socket.socket, peers: Peers | None, log: int, control: int) -> None:
    """Until `control` ends. `told`: see the runner's outlet; `peers`: whose connections are taken, None: anybody's."""
    upstream = told["upstream"]
    dialler = dial.Dialler(
        policy=Policy(told["public"], tuple(parse_rule(text) for text in told["hosts"])),
        own=interfaces.own_addresses,
        resolve=dial.resolve,
        connect=dial.connect,
        upstream=(upstream[0], upstream[1]) if upstream else None,
    )
    over = asyncio.Event()
    asyncio.get_running_loop().add_reader(control, over.set)
    await Listening(dialler, Ledger(log, told["bytes"]), peers=peers).run(listener, over)
