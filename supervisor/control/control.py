"""The supervisor's socket: HTTP/1.1 with JSON for its owner (and root), on a Unix socket, in the supervisor's loop.

The desk is asked synchronously: what it does costs memory and one fsync. What a client does, or does not do, costs a
bounded buffer and a timer.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import stat
import struct
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import h11

from supervisor.control.routes import Answer, Desk, answer, fault
from supervisor.errors import RefusedError

MAX_BODY = 1 << 20
MAX_BATCH = 32 << 20
"""Of a body that may hold the jobs and histories of years."""
MAX_CONNECTIONS = 64
MAX_HEAD = 16 << 10
_PIECE = 64 << 10
# What a client may still send after it was refused, read and dropped so that it gets to read why.
_LINGER_BYTES = 16 << 20
_UCRED = struct.Struct("3i")

log = logging.getLogger("cronward.control")


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    target: str
    body: bytes


class _BodyTooLargeError(Exception):
    pass


class Server:
    """Listens from `start` to `close`. The caller holds the home's lock, so a socket found there belongs to nobody."""

    def __init__(
        self, desk: Desk, socket_path: Path, *, owner: int | None = None, patience_seconds: float = 10.0
    ) -> None:
        """`owner`: whose requests are answered besides root's; None: our own."""
        self._desk = desk
        self._path = socket_path
        self._owner = os.geteuid() if owner is None else owner
        self._patience = patience_seconds
        self._server: asyncio.Server | None = None
        self._identity: tuple[int, int] | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Bind and listen. Raises RefusedError where something that is no socket lies at the path."""
        _clear(self._path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(self._path))
            # Nobody can connect before listen(), so there is no moment at which the socket is open to others.
            self._path.chmod(0o600)
            found = self._path.lstat()
            self._identity = (found.st_dev, found.st_ino)
            self._server = await asyncio.start_unix_server(self._accept, sock=listener, limit=_PIECE)
        except BaseException:
            listener.close()
            raise

    async def close(self) -> None:
        """Stop listening, drop every connection, remove the socket if it is still ours."""
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        with suppress(OSError):
            found = self._path.lstat()
            if (found.st_dev, found.st_ino) == self._identity:
                self._path.unlink()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._converse(_Connection(reader, writer, self._patience)))
        self._connections.add(connection)
        connection.add_done_callback(self._ended)

    def _ended(self, connection: asyncio.Task[None]) -> None:
        self._connections.discard(connection)
        defect = None if connection.cancelled() else connection.exception()
        if defect is not None:
            log.error("a defect ended a connection", exc_info=defect)

    async def _converse(self, connection: _Connection) -> None:
        try:
            refusal = self._refusal(connection.peer_uid())
            if refusal is not None:
                await connection.say(refusal)
                await connection.linger()
                return
            while (request := await connection.listen()) is not None:
                await connection.say(self._ask(request))
                if not connection.again():
                    break
        except h11.RemoteProtocolError as error:
            await _last_word(connection, fault(error.error_status_hint, "invalid", f"That was not HTTP: {error}."))
        except _BodyTooLargeError as error:
            await _last_word(connection, fault(413, "invalid", f"The body is larger than {error} bytes."))
        except (TimeoutError, OSError, h11.LocalProtocolError) as error:
            log.debug("a client was dropped: %s", type(error).__name__)
        finally:
            connection.close()

    def _refusal(self, uid: int) -> Answer | None:
        if uid not in (self._owner, 0):
            log.warning("a request of uid %d was refused", uid)
            return fault(403, "refused", f"This supervisor answers uid {self._owner} and root, not uid {uid}.")
        if len(self._connections) > MAX_CONNECTIONS:
            return fault(503, "unreachable", f"{MAX_CONNECTIONS} clients are connected already: try again.")
        return None

    def _ask(self, request: _Request) -> Answer:
        try:
            found = answer(self._desk, request.method, request.target, request.body)
        except Exception:
            log.exception("a defect answering %s %s", request.method, request.target)
            return fault(500, "failed", "The supervisor met a defect of its own; its log has the details.")
        log.debug("%s %s: %d", request.method, request.target, found.status)
        return found


class _Connection:
    """One client: h11's state machine between two asyncio streams. Each step has `patience` seconds."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, patience: float) -> None:
        self._reader = reader
        self._writer = writer
        self._patience = patience
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        # drain() then waits until all is with the kernel: memory stays at one piece, and close() cuts nothing off.
        writer.transport.set_write_buffer_limits(high=0)

    def peer_uid(self) -> int:
        """Who connected, as the kernel noted at connect()."""
        peer = self._writer.get_extra_info("socket")
        _, uid, _ = _UCRED.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
        return int(uid)

    async def listen(self) -> _Request | None:
        """The next whole request; None when the client is done."""
        async with asyncio.timeout(self._patience):
            head = await self._event()
            if not isinstance(head, h11.Request):
                return None
            if self._http.they_are_waiting_for_100_continue:
                self._write(h11.InformationalResponse(status_code=100, headers=[]))
            body, most = bytearray(), MAX_BATCH if head.target == b"/v1/batch" else MAX_BODY
            while isinstance(data := await self._event(), h11.Data):
                body += data.data
                if len(body) > most:
                    raise _BodyTooLargeError(most)
        return _Request(head.method.decode("ascii"), head.target.decode("ascii"), bytes(body))

    async def say(self, said: Answer) -> None:
        """Send an answer piece by piece, giving the loop a turn after each."""
        headers = [("Content-Type", "application/json"), *said.headers]
        reason = HTTPStatus(said.status).phrase
        self._write(h11.Response(status_code=said.status, headers=headers, reason=reason.encode("ascii")))
        for piece in said.body:
            self._write(h11.Data(data=piece))
            await self._drain()
            await asyncio.sleep(0)
        self._write(h11.EndOfMessage())
        await self._drain()

    def again(self) -> bool:
        """Whether the client may ask something else on this connection."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    @property
    def answerable(self) -> bool:
        """Whether nothing has been said yet to what the client sent."""
        return self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE)

    async def linger(self) -> None:
        """Take what is still being sent: a client whose write fails may never look for the answer."""
        left = _LINGER_BYTES
        with suppress(TimeoutError):
            self._writer.write_eof()
            async with asyncio.timeout(min(self._patience, 1.0)):
                while left > 0 and (data := await self._reader.read(_PIECE)):
                    left -= len(data)

    def close(self) -> None:
        """Close at once, whatever is still unsent."""
        self._writer.transport.abort()

    async def _event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(_PIECE))
        return event

    def _write(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data:
            self._writer.write(data)

    async def _drain(self) -> None:
        async with asyncio.timeout(self._patience):
            await self._writer.drain()


async def _last_word(connection: _Connection, said: Answer) -> None:
    """What the client did wrong, where it can still be told; the connection ends in any case."""
    with suppress(TimeoutError, OSError, h11.LocalProtocolError):
        if connection.answerable:
            await connection.say(said)
            await connection.linger()


def _clear(path: Path) -> None:
    """Remove a dead supervisor's socket."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise RefusedError(f"The file {path} lies where the supervisor's socket belongs: move it away.")
    path.unlink()
