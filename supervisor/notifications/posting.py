"""One HTTP POST, within one deadline, to an address that was looked at before anything is sent to it.

No library of requests is used for it: they look names up a second time, follow redirects, read environments for
proxies, and bound each read instead of the whole.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult, urlsplit

import h11

from shared.addresses import parse_address
from supervisor.notifications.reach import refusal

HEAD_BYTES = 64 << 10
BODY_BYTES = 64 << 10
"""What is read of an answer, so that its sender can finish; nobody looks at it."""
Monotonic = Callable[[], float]


class RefusedAddressError(Exception):
    """The policy of addresses forbids it: a part of a sentence."""


@dataclass(frozen=True, slots=True)
class Posted:
    """What the receiver answered."""

    status: int
    retry_after: str = ""


def post(
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    timeout: float,
    named: Container[str] = (),
    monotonic: Monotonic = time.monotonic,
) -> Posted:
    """Send it, and wait for the head of the answer, `timeout` seconds in all. Redirects are answers like others.

    `url`: as `check_url` lets pass. Raises OSError, h11.RemoteProtocolError, RefusedAddressError.
    """
    parts, deadline = urlsplit(url), monotonic() + timeout
    with _connected(parts, lambda: _left(deadline, monotonic), named) as sock:
        http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES)
        ours = {"Host": parts.netloc, "Content-Length": str(len(body)), "Connection": "close", **headers}
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        request = http.send(h11.Request(method="POST", target=target, headers=list(ours.items()))) or b""
        sock.settimeout(_left(deadline, monotonic))
        sock.sendall(request + (http.send(h11.Data(data=body)) or b"") + (http.send(h11.EndOfMessage()) or b""))
        return _answer(http, sock, lambda: _left(deadline, monotonic))


def seconds_of(retry_after: str, now: float) -> float:
    """How long a `Retry-After` asks to wait, in seconds or as a date; 0 where it cannot be read. `now`: Unix time."""
    text = retry_after.strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError, OSError):
        return 0.0


def _connected(parts: SplitResult, left: Callable[[], float], named: Container[str]) -> socket.socket:
    """A connection to an address that may be reached, with TLS where the URL says so."""
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    sock = _dialed(host, port, left, named)
    if parts.scheme != "https":
        return sock
    try:
        sock.settimeout(left())
        return ssl.create_default_context().wrap_socket(sock, server_hostname=host)
    except BaseException:
        sock.close()
        raise


def _dialed(host: str, port: int, left: Callable[[], float], named: Container[str]) -> socket.socket:
    why, failed = "its host has no address", None
    for family, kind, protocol, _, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        address = parse_address(str(place[0]))
        why = "its host has no address that can be read" if address is None else refusal(host, address, named)
        if why:
            continue
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(left())
            sock.connect(place)
        except OSError as error:
            sock.close()
            failed = error
            continue
        return sock
    raise failed or RefusedAddressError(why)


def _answer(http: h11.Connection, sock: socket.socket, left: Callable[[], float]) -> Posted:
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            sock.settimeout(left())
            http.receive_data(sock.recv(16 << 10))
        elif isinstance(event, h11.Response):
            break
        elif not isinstance(event, h11.InformationalResponse):
            raise ConnectionResetError("it hung up without an answer")
    _finish(http, sock, left)
    asked = next((value for name, value in event.headers if name == b"retry-after"), b"")
    return Posted(event.status_code, asked.decode("ascii", "replace")[:100])


def _finish(http: h11.Connection, sock: socket.socket, left: Callable[[], float]) -> None:
    """Take a little of the body: some receivers undo what they did for who hangs up on them."""
    taken = 0
    try:
        while taken < BODY_BYTES and not isinstance(event := http.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                sock.settimeout(min(1.0, left()))
                http.receive_data(sock.recv(16 << 10))
            elif isinstance(event, h11.Data):
                taken += len(event.data)
            else:
                return
    except (OSError, h11.RemoteProtocolError):
        return


def _left(deadline: float, monotonic: Monotonic) -> float:
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left
