"""The proxy's loop: takes connections off the cell's socket, at most so many at once, until it is told to end."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from dataclasses import replace

from runner.proxy.connection import Connection, Patience
from runner.proxy.dial import Dialler
from runner.proxy.ledger import MOST_CONNECTIONS, Entry, Ledger
from runner.proxy.peers import Peers
from runner.proxy.request import HEAD_MOST

AT_ONCE = 128
BACKLOG = 128
ENDING_SECONDS = 1.0
UNLOGGED = 5


class Listening:
    """One attempt's connections."""

    def __init__(
        self,
        dialler: Dialler,
        ledger: Ledger,
        patience: Patience = Patience(),  # noqa: B008 - it cannot change
        at_once: int = AT_ONCE,
        most: int = MOST_CONNECTIONS,
        peers: Peers | None = None,
    ) -> None:
        self._dialler, self._ledger, self._patience = dialler, ledger, patience
        self._at_once, self._most, self._peers = at_once, most, peers
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def run(self, listener: socket.socket, over: asyncio.Event) -> None:
        """Until `over`; every connection is logged when this returns."""
        self._server = await asyncio.start_server(self._take, sock=listener, limit=HEAD_MOST, backlog=BACKLOG)
        await over.wait()
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=ENDING_SECONDS)

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._peers is not None and not self._admits(self._peers, writer):
            writer.transport.abort()  # not the run's: it is neither counted nor logged
            return
        entry = self._ledger.open()
        why = "too many connections at once" if len(self._tasks) >= self._at_once else ""
        if self._ledger.count >= self._most:
            why = "no more connections in this run"
            if self._server is not None:
                self._server.close()  # every line of the log costs disk
        if why:
            writer.transport.abort()
            self._log(replace(entry, verdict="denied", why=why))
            return
        task = asyncio.create_task(self._serve(reader, writer, entry))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _admits(self, peers: Peers, writer: asyncio.StreamWriter) -> bool:
        port, own = (writer.get_extra_info(name)[1] for name in ("peername", "sockname"))
        return peers.admit(port, own)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, entry: Entry) -> None:
        begun = time.monotonic()
        try:
            await Connection((reader, writer), self._dialler, self._ledger, entry, self._patience).run()
        finally:
            entry.seconds = round(time.monotonic() - begun, 3)
            self._log(entry)

    def _log(self, entry: Entry) -> None:
        try:
            self._ledger.close(entry)
        except OSError as error:
            # A full disk must not be a way to talk unseen.
            os.write(2, f"cronward proxy: a connection could not be logged ({error}); no more are made\n".encode())
            os._exit(UNLOGGED)
