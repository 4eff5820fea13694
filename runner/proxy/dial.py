"""From a name to a connection: looked up once, judged, and connected to as it was judged."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from runner.proxy.policy import Deny, Policy, named, verdict
from runner.proxy.request import HEAD_MOST

STREAM_LIMIT = 1 << 15
RESOLVE_SECONDS, CONNECT_SECONDS = 10.0, 10.0
MOST_ADDRESSES = 16

Resolve = Callable[[str, int], Awaitable[list[str]]]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[str, int], Awaitable[Streams]]


class DeniedError(Exception):
    """The policy does not let it happen. The text is to be read after "because"."""


class FailedError(Exception):
    """It may happen, but does not. The text is to be read after "because"."""


class Route(NamedTuple):
    """`addresses`: judged, to be tried in their order; empty: another proxy is asked for the name."""

    addresses: tuple[str, ...]
    raw: bool


class Dialler(NamedTuple):
    """What it takes to get to a host. `upstream`: another proxy, by host and port, through which everything must go."""

    policy: Policy
    own: Callable[[], frozenset[str]]
    resolve: Resolve
    connect: Connect
    upstream: tuple[str, int] | None = None

    async def route(self, host: str, port: int) -> Route:
        """Raises DeniedError and FailedError. The addresses are looked up once and never again."""
        found = named(host, port, self.policy)
        if isinstance(found, Deny):
            raise DeniedError(found.why)
        if found.address is not None:
            addresses = [str(found.address)]
        else:
            try:
                async with asyncio.timeout(RESOLVE_SECONDS):
                    addresses = (await self.resolve(host, port))[:MOST_ADDRESSES]
            except (OSError, UnicodeError, TimeoutError) as error:
                if self.upstream is not None:  # behind such a proxy names of outside are often unknown
                    return Route((), found.raw)
                raise FailedError(f"the name could not be looked up ({type(error).__name__})") from error
        judged = verdict(host, port, addresses, self.policy, self.own())
        if isinstance(judged, Deny):
            raise DeniedError(judged.why)
        # What the owner placed at an address is near; the other proxy would not find it.
        through = self.upstream is not None and found.address is None
        return Route(() if through else judged.addresses, found.raw)

    async def dial(self, route: Route, port: int) -> tuple[str, Streams]:
        """The address that answered, and the connection. Raises FailedError."""
        if not route.addresses:
            assert self.upstream is not None
            where, port = self.upstream
            tries = [where]
        else:
            tries = list(route.addresses)
        why = ""
        for address in tries:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    return address, await self.connect(address, port)
            except (OSError, TimeoutError) as error:
                why = getattr(error, "strerror", None) or "it did not answer"
        raise FailedError(f"it could not be reached ({why})")


async def resolve(host: str, port: int) -> list[str]:
    """All addresses of a name. Raises OSError or UnicodeError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


async def connect(address: str, port: int) -> Streams:
    """Raises OSError."""
    return await asyncio.open_connection(address, port, limit=STREAM_LIMIT)


async def tunnel_through(streams: Streams, host: str, port: int) -> None:
    """Ask another proxy for a tunnel. Raises FailedError."""
    reader, writer = streams
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            writer.write(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n\r\n".encode("ascii"))
            await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
    except (OSError, EOFError, asyncio.LimitOverrunError, TimeoutError) as error:
        raise FailedError("the other proxy does not answer") from error
    if len(head) > HEAD_MOST or not re.match(rb"HTTP/1\.[01] 200[ \r]", head):
        said = head[:60].partition(b"\r")[0].decode("ascii", "replace")
        raise FailedError(f"the other proxy refuses: {said}")
