"""One connection of the agent's, from its first byte to its line in the log. Never believed, always bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import NamedTuple

from runner.proxy import hello, request
from runner.proxy.dial import STREAM_LIMIT, DeniedError, Dialler, FailedError, Route, Streams, tunnel_through
from runner.proxy.hello import HelloError
from runner.proxy.ledger import Entry, Ledger, SpentError
from runner.proxy.request import HEAD_MOST, RequestError, Wanted
from shared.addresses import parse_address

LINGER_SECONDS = 1.0
LAST_WORDS_SECONDS = 5.0
TLS_FIRST = 0x16


class Patience(NamedTuple):
    """Seconds. `head`: for all of a request's head, and for all of a TLS hello; `idle`: without a byte either way, for
    a model may think for minutes before it says anything."""

    head: float = 20.0
    idle: float = 900.0


class Connection:
    """`reader` and `writer` lead to the agent."""

    def __init__(self, streams: Streams, dialler: Dialler, ledger: Ledger, entry: Entry, patience: Patience) -> None:
        self._reader, self._writer = streams
        self._dialler, self._ledger, self._entry, self._patience = dialler, ledger, entry, patience
        self._server: asyncio.StreamWriter | None = None

    async def run(self) -> None:
        """To its end, whatever comes. The entry says how it ended."""
        entry = self._entry
        try:
            await self._serve()
        except DeniedError as denial:
            entry.verdict, entry.why = "denied", str(denial)
            await self._refuse("403 Forbidden")
        except RequestError as error:
            entry.verdict, entry.why = "denied", str(error)
            await self._refuse(error.status)
        except HelloError as error:
            entry.verdict, entry.why = "denied", str(error)  # the tunnel stands: nothing can be said in it
        except FailedError as failure:
            entry.verdict, entry.why = "failed", str(failure)
            await self._refuse("502 Bad Gateway")
        except SpentError:
            entry.verdict, entry.why = "cut", "the bytes that the run may transfer are used up"
        except TimeoutError:
            entry.verdict, entry.why = "cut", "nothing came for too long"
        except (OSError, EOFError) as error:
            entry.why = entry.why or f"the connection broke ({type(error).__name__})"
        finally:
            for writer in (self._writer, self._server):
                if writer is not None:
                    writer.transport.abort() if entry.verdict == "cut" else writer.close()

    async def _serve(self) -> None:
        wanted = request.parse(await self._head())
        self._entry.host, self._entry.port = wanted.host, wanted.port
        if self._ledger.spent:
            raise DeniedError("the bytes that the run may transfer are used up")
        route = await self._dialler.route(wanted.host, wanted.port)
        self._entry.address, server = await self._dialler.dial(route, wanted.port)
        self._server = server[1]
        if wanted.tunnel:
            await self._tunnel(wanted, route, server)
        else:
            await self._plain(wanted, route, server)

    async def _head(self) -> bytes:
        try:
            async with asyncio.timeout(self._patience.head):
                head = await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError as error:
            raise RequestError("its head is too long", "431 Request Header Fields Too Large") from error
        except asyncio.IncompleteReadError as error:
            raise RequestError("it ended before its head did") from error
        except TimeoutError as error:
            raise RequestError("its head took too long", "408 Request Timeout") from error
        if len(head) > HEAD_MOST:
            raise RequestError("its head is too long", "431 Request Header Fields Too Large")
        return head

    async def _tunnel(self, wanted: Wanted, route: Route, server: Streams) -> None:
        if not route.addresses:
            await tunnel_through(server, wanted.host, wanted.port)
        self._writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await self._writer.drain()
        if route.raw:
            # Whoever speaks first there may be the server; what the agent says is looked at all the same.
            await self._relay(self._up_raw(wanted, server[1]), self._down(server[0]))
            return
        first = await self._hello(wanted, b"")
        self._entry.verdict = "allowed"
        await self._relay(self._up(server[1], first), self._down(server[0]))

    async def _hello(self, wanted: Wanted, first: bytes) -> bytes:
        """The bytes of a TLS hello that asks for the tunnel's own host. Raises HelloError; nothing was passed on."""
        literal = parse_address(wanted.host) is not None
        async with asyncio.timeout(self._patience.head):
            while not hello.check(first, wanted.host, literal=literal):
                more = await self._reader.read(STREAM_LIMIT)
                if not more:
                    raise HelloError("it ended before its TLS hello did")
                first += more
        return first

    async def _plain(self, wanted: Wanted, route: Route, server: Streams) -> None:
        self._entry.verdict = "allowed"
        head = wanted.head if route.addresses else wanted.absolute_head
        self._ledger.spend(len(head))
        self._entry.up += len(head)
        server[1].write(head)
        await self._relay(self._body(server[1], wanted.body), self._down(server[0]))

    async def _relay(self, up: Coroutine[object, object, None], down: Coroutine[object, object, None]) -> None:
        """Both ways at once, until the server has said all, or nothing comes for too long."""
        both = [asyncio.create_task(up), asyncio.create_task(down)]
        try:
            async with asyncio.timeout(self._patience.idle) as self._idle:
                done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                for one in done:
                    one.result()
                await both[1]
        finally:
            for one in both:
                one.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def _down(self, server: asyncio.StreamReader) -> None:
        while data := await server.read(STREAM_LIMIT):
            self._count(data, down=True)
            self._writer.write(data)
            await self._writer.drain()
        if self._writer.can_write_eof():
            self._writer.write_eof()

    async def _up(self, server: asyncio.StreamWriter, first: bytes = b"") -> None:
        data = first or await self._reader.read(STREAM_LIMIT)
        while data:
            self._count(data, down=False)
            if not await _sent(server, data):
                return
            data = await self._reader.read(STREAM_LIMIT)
        if server.can_write_eof():
            server.write_eof()

    async def _up_raw(self, wanted: Wanted, server: asyncio.StreamWriter) -> None:
        self._entry.verdict = "allowed"
        first = await self._reader.read(STREAM_LIMIT)
        if first[:1] == bytes([TLS_FIRST]):
            first = await self._hello(wanted, first)
        if first:
            await self._up(server, first)

    async def _body(self, server: asyncio.StreamWriter, length: int) -> None:
        """Exactly what was announced: anything behind it would be a second request, to whomever it likes."""
        while length and (data := await self._reader.read(min(length, STREAM_LIMIT))):
            self._count(data, down=False)
            length -= len(data)
            if not await _sent(server, data):
                return

    def _count(self, data: bytes, *, down: bool) -> None:
        self._ledger.spend(len(data))
        if down:
            self._entry.down += len(data)
        else:
            self._entry.up += len(data)
        self._idle.reschedule(asyncio.get_running_loop().time() + self._patience.idle)

    async def _refuse(self, status: str) -> None:
        """Say why, and read on a little: closed with bytes unread, the answer would be lost on its way."""
        text = f"cronward: {self._entry.verdict}, because {self._entry.why}.\n".encode("ascii", "replace")
        fields = f"Content-Type: text/plain\r\nContent-Length: {len(text)}\r\nConnection: close"
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                self._writer.write(f"HTTP/1.1 {status}\r\n{fields}\r\n\r\n".encode("ascii") + text)
                await self._writer.drain()
                self._writer.write_eof()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while await self._reader.read(STREAM_LIMIT):
                    continue


async def _sent(server: asyncio.StreamWriter, data: bytes) -> bool:
    """Whether the server still takes anything. One that does not may have said why, which the agent is to hear."""
    try:
        server.write(data)
        await server.drain()
    except ConnectionError:
        return False
    return True
