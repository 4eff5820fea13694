"""Whom a TLS client asks for: the first handshake message, parsed out of whatever pieces it came in. Pure.

Nothing is decrypted and nothing changed. The server name goes in the clear, and servers of many names choose by it; a
client that asks one host for another's name would talk to somebody whom the policy does not know.
"""

from __future__ import annotations

# Real ones have up to 3 KiB, in one record or two. Each byte that comes may mean to read all of it again.
HELLO_MOST = 1 << 14
RECORDS_MOST = 32
RECORD_MOST = 1 << 14
HANDSHAKE, CLIENT_HELLO, SERVER_NAME, HOST_NAME = 22, 1, 0, 0
RANDOM_BYTES, SESSION_MOST = 32, 32


class HelloError(Exception):
    """What came is no proper ClientHello. The text is to be read after "because"."""


class _Reader:
    """A view that is read from the front, and never beyond its end."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> bytes:
        piece = self._data[self._at : self._at + count]
        if len(piece) != count:
            raise HelloError("its TLS hello is damaged")
        self._at += count
        return piece

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def block(self, size: int) -> _Reader:
        """What a length of `size` bytes says comes next."""
        return _Reader(self.take(self.number(size)))

    @property
    def left(self) -> int:
        return len(self._data) - self._at


def server_name(data: bytes) -> str | None:
    """The name in the hello that begins here, in lower case; empty where there is none; None: not all of it has come.

    Raises HelloError.
    """
    message = _message(data)
    if message is None:
        return None
    hello = _Reader(message)
    hello.take(2 + RANDOM_BYTES)
    if hello.block(1).left > SESSION_MOST:
        raise HelloError("its TLS hello is damaged")
    hello.block(2)
    hello.block(1)
    if not hello.left:
        return ""
    extensions = hello.block(2)
    if hello.left:
        raise HelloError("its TLS hello is damaged")
    names = []
    while extensions.left:
        kind, body = extensions.number(2), extensions.block(2)
        if kind == SERVER_NAME:
            names.append(_name(body))
    if len(names) > 1:
        raise HelloError("its TLS hello names two servers")
    return names[0] if names else ""


def _message(data: bytes) -> bytes | None:
    """The handshake message, put together from records; None while it is not whole."""
    message, at = b"", 0
    for _ in range(RECORDS_MOST):
        if not b"\x16\x03".startswith(data[at : at + 2]):
            raise HelloError("it is not TLS")
        if len(data) - at < 5:
            break
        size = int.from_bytes(data[at + 3 : at + 5], "big")
        if data[at] != HANDSHAKE or not 0 < size <= RECORD_MOST:
            raise HelloError("it is not TLS")
        part = data[at + 5 : at + 5 + size]
        message += part
        if message and message[0] != CLIENT_HELLO:
            raise HelloError("it does not begin with a TLS hello")
        if len(message) >= 4:
            length = int.from_bytes(message[1:4], "big")
            if length > HELLO_MOST:
                raise HelloError("its TLS hello is too long")
            if len(message) >= 4 + length:
                return message[4 : 4 + length]
        if len(part) < size:
            break
        at += 5 + size
    else:
        raise HelloError("its TLS hello is in too many pieces")
    if len(data) > HELLO_MOST:
        raise HelloError("its TLS hello is too long")
    return None


def _name(body: _Reader) -> str:
    names = body.block(2)
    if body.left or names.number(1) != HOST_NAME:
        raise HelloError("its TLS hello is damaged")
    raw = names.block(2)
    if names.left or not raw.left:
        raise HelloError("its TLS hello is damaged")
    try:
        return raw.take(raw.left).decode("ascii").lower()
    except UnicodeDecodeError:
        raise HelloError("its TLS hello names a server that is not ASCII") from None


def check(data: bytes, host: str, *, literal: bool) -> bool:
    """Whether all of the hello has come, and asks for `host`. `literal`: an address, which TLS has no name for.

    Raises HelloError where it asks for somebody else, or for nobody."""
    name = server_name(data)
    if name is None:
        return False
    if name == host or (literal and not name):
        return True
    raise HelloError(f"its TLS hello asks for {name[:100]!r}" if name else "its TLS hello names no server")
