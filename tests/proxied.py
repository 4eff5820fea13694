"""A real proxy, as a runner starts it, with the socket that a cell's init would have sent; and what it talks to."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.outlet import Outlet
from runner.spawn import high
from shared.messages import Cell
from tests.driver import request

WITHIN = 10.0


@dataclass
class Proxied:
    """One proxy, from the agent's side and from the runner's."""

    outlet: Outlet
    port: int
    log: Path

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), WITHIN)

    def ask(self, data: bytes, then: bytes = b"") -> bytes:
        """Everything that comes back, to the end of the connection; `then` is said after the first of it came."""
        with self.connect() as agent:
            agent.sendall(data)
            said = b""
            if then:
                said = agent.recv(1 << 16)
                agent.sendall(then)
            return said + everything(agent)

    def finish(self) -> list[dict[str, Any]]:
        """Tell it to end; all that it logged."""
        self.outlet.finish()
        return self.entries()

    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text("ascii").splitlines()]


def everything(peer: socket.socket) -> bytes:
    said = b""
    with suppress(ConnectionResetError):
        while data := peer.recv(1 << 16):
            said += data
    return said


@contextmanager
def proxied(folder: Path, *hosts: str, **cell: Any) -> Iterator[Proxied]:
    """It may be ended early; whatever happens it is gone afterwards."""
    log = folder / "network.jsonl"
    outlet = Outlet(request(folder, "true", cell=Cell(network=cell.pop("network", "allow"), allow_hosts=hosts, **cell)))
    with log.open("wb") as lines:
        outlet.start(high(os.dup(lines.fileno())))
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(fileno=outlet.inside) as inside:
        socket.send_fds(inside, [b"."], [listener.fileno()])
        made = Proxied(outlet, listener.getsockname()[1], log)
    try:
        yield made
    finally:
        outlet.finish()


@dataclass
class Server:
    """On loopback: notes what each connection says, answers `answer`, and ends when the other side does."""

    answer: bytes = b""
    speaks_first: bool = False
    heard: list[bytes] = field(default_factory=list)
    port: int = 0

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(peer,), daemon=True).start()

    def _talk(self, peer: socket.socket) -> None:
        place = len(self.heard)
        self.heard.append(b"")
        with peer, suppress(OSError):
            peer.settimeout(WITHIN)
            if self.speaks_first:
                peer.sendall(self.answer)
            while data := peer.recv(1 << 16):
                self.heard[place] += data
                if self.answer and not self.speaks_first:
                    peer.sendall(self.answer)
                    return


@contextmanager
def server(answer: bytes = b"", *, speaks_first: bool = False) -> Iterator[Server]:
    made = Server(answer, speaks_first)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made.port = listener.getsockname()[1]
        thread = threading.Thread(target=made.serve, args=(listener,), daemon=True)
        thread.start()
        yield made
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(WITHIN)
