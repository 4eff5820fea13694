"""What an HTTP client asks a proxy for: the head of a request, read strictly. Pure.

Anything that two readers could understand differently is refused, for the other reader is a server that we do not know.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from shared.hostrule import normal_host

HEAD_MOST = 1 << 14
_CONNECT = re.compile(rb"CONNECT ([!-~]{1,300}):([0-9]{1,5}) HTTP/1\.[01]")
_PLAIN = re.compile(rb"([A-Z]{1,20}) (?i:http)://([^/?#\s@\\]{1,300})([/?][!-~]*)? HTTP/1\.([01])")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*)")
_LENGTH = re.compile(rb"[0-9]{1,15}")
# They speak to us, or would keep the connection for a second request.
_DROPPED = frozenset(
    (
        *(b"host", b"connection", b"keep-alive", b"proxy-connection", b"proxy-authorization", b"te", b"upgrade"),
        *(b"http2-settings", b"trailer"),
    )
)


class RequestError(Exception):
    """It is no request that we take. `status` for the client; the text is to be read after "because"."""

    def __init__(self, why: str, status: str = "400 Bad Request") -> None:
        super().__init__(why)
        self.status = status


class Wanted(NamedTuple):
    """`tunnel`: CONNECT. Otherwise `head` is what to send to the server (`absolute_head` to another proxy), and `body`
    how many bytes of the client's come after it."""

    host: str
    port: int
    tunnel: bool
    head: bytes = b""
    absolute_head: bytes = b""
    body: int = 0


def parse(head: bytes) -> Wanted:
    """`head`: up to and with the empty line. Raises RequestError."""
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    if b"\n" in head.replace(b"\r\n", b"") or b"\r" in head.replace(b"\r\n", b"") or b"\0" in head:
        raise RequestError("its lines do not end as HTTP says")
    fields = [_field(line) for line in lines]
    if connect := _CONNECT.fullmatch(first):
        return Wanted(_host(connect[1]), _port(connect[2]), tunnel=True)
    plain = _PLAIN.fullmatch(first)
    if plain is None:
        raise RequestError("it is neither CONNECT host:port nor METHOD http://host/path")
    host, port = _authority(plain[2])
    shown = f"[{host}]" if ":" in host else host
    authority = (shown if port == 80 else f"{shown}:{port}").encode()
    path = plain[3] or b"/"
    path = path if path.startswith(b"/") else b"/" + path
    # One host in the address and in the field: a server of many names must not be asked for another's.
    kept = [b"Host: " + authority, *(name + b": " + value for name, value in fields if name.lower() not in _DROPPED)]
    rest = b"\r\n".join([*kept, b"Connection: close", b"", b""])
    return Wanted(
        host,
        port,
        tunnel=False,
        head=plain[1] + b" " + path + b" HTTP/1.1\r\n" + rest,
        absolute_head=plain[1] + b" http://" + authority + path + b" HTTP/1.1\r\n" + rest,
        body=_body(fields),
    )


def _field(line: bytes) -> tuple[bytes, bytes]:
    found = _FIELD.fullmatch(line)
    if found is None:
        raise RequestError("one of its header lines is none")
    return found[1], found[2].rstrip(b" \t")


def _body(fields: list[tuple[bytes, bytes]]) -> int:
    if any(name.lower() == b"transfer-encoding" for name, _ in fields):
        raise RequestError("its body has no length told beforehand", "411 Length Required")
    lengths = {value for name, value in fields if name.lower() == b"content-length"}
    if not lengths:
        return 0
    length = lengths.pop()
    if lengths or not _LENGTH.fullmatch(length):
        raise RequestError("it does not say how long its body is")
    return int(length)


def _authority(text: bytes) -> tuple[str, int]:
    host, colon, port = text.rpartition(b":")
    if not colon or text.endswith(b"]"):
        return _host(text), 80
    return _host(host), _port(port)


def _host(text: bytes) -> str:
    host = normal_host(text.decode("ascii", "replace"))
    if host is None:
        raise RequestError("it names no proper host")
    return host


def _port(text: bytes) -> int:
    if not re.fullmatch(rb"[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise RequestError("it names no proper port")
    return int(text)
