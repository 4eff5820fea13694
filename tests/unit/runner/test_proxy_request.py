"""The head of a request to the proxy: two forms are taken, everything that could be understood differently is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.proxy.request import RequestError, parse


def head(first: str, *fields: str) -> bytes:
    return "\r\n".join([first, *fields, "", ""]).encode("latin-1")


@pytest.mark.parametrize(
    ("first", "host", "port"),
    [
        ("CONNECT api.example.com:443 HTTP/1.1", "api.example.com", 443),
        ("CONNECT API.example.com.:8443 HTTP/1.0", "api.example.com", 8443),
        ("CONNECT [::1]:443 HTTP/1.1", "::1", 443),
        ("CONNECT 127.0.0.1:9000 HTTP/1.1", "127.0.0.1", 9000),
    ],
)
def test_a_tunnel_is_asked_for_by_host_and_port(first: str, host: str, port: int) -> None:
    wanted = parse(head(first, "Host: whatever.example", "Proxy-Authorization: Basic eDp5"))
    assert (wanted.host, wanted.port, wanted.tunnel, wanted.head) == (host, port, True, b"")


FORGED = [
    "CONNECT api.example.com HTTP/1.1",
    "CONNECT api.example.com:0 HTTP/1.1",
    "CONNECT api.example.com:65536 HTTP/1.1",
    "CONNECT api.example.com:443:80 HTTP/1.1",
    "CONNECT api.example.com:443@evil.test:443 HTTP/1.1",
    "CONNECT evil.test:443#api.example.com:443 HTTP/1.1",
    "CONNECT api.example.com:443 evil.test HTTP/1.1",
    "CONNECT  api.example.com:443 HTTP/1.1",
    "CONNECT\tapi.example.com:443 HTTP/1.1",
    "CONNECT api.example.com:443 HTTP/2.0",
    "CONNECT api.example.com:443",
    "CONNECT api.example.com\x00.evil.test:443 HTTP/1.1",
    "CONNECT http://api.example.com:443 HTTP/1.1",
    "CONNECT 2130706433:443 HTTP/1.1",
    "CONNECT 0x7f.1:443 HTTP/1.1",
    "CONNECT [fe80::1%25eth0]:443 HTTP/1.1",
    "connect api.example.com:443 HTTP/1.1",
    "GET / HTTP/1.1",
    "GET https://api.example.com/ HTTP/1.1",
    "GET ftp://api.example.com/ HTTP/1.1",
    "GET http:///path HTTP/1.1",
    "GET http://user@api.example.com/ HTTP/1.1",
    "GET http://api.example.com\\@evil.test/ HTTP/1.1",
    "GET http://api.example.com:x/ HTTP/1.1",
    "GET http://api.example.com/ HTTP/1.1 extra",
    "GET http://api.example.com/a b HTTP/1.1",
    "OPTIONS * HTTP/1.1",
    "PRI * HTTP/2.0",
    "\x16\x03\x01",
    "",
]


@pytest.mark.parametrize("first", FORGED)
def test_a_forged_line_is_refused(first: str) -> None:
    with pytest.raises(RequestError):
        parse(head(first, "Host: api.example.com"))


@pytest.mark.parametrize(
    "fields",
    [
        [" folded: yes"],
        ["No-Colon"],
        ["Space : before"],
        ["A: b\nHost: evil.test"],
        ["A: b\rC: d"],
        ["A: \0"],
        ["Transfer-Encoding: chunked"],
        ["transfer-encoding: identity", "Content-Length: 3"],
        ["Content-Length: 3", "Content-Length: 4"],
        ["Content-Length: +3"],
        ["Content-Length: 3, 3"],
        ["Content-Length: 0x3"],
        ["Content-Length: " + "9" * 16],
    ],
)
def test_a_field_that_two_could_read_differently_is_refused(fields: list[str]) -> None:
    with pytest.raises(RequestError):
        parse(head("POST http://api.example.com/ HTTP/1.1", *fields))


def test_a_plain_request_is_sent_on_for_its_own_host_alone() -> None:
    wanted = parse(
        head(
            "POST http://API.example.com:8080?q=1 HTTP/1.1",
            "Host: evil.test",
            "HOST: evil.test",
            "Accept: */*",
            "Proxy-Authorization: Basic eDp5",
            "Connection: keep-alive, Upgrade",
            "Upgrade: websocket",
            "content-length: 12",
        )
    )
    assert (wanted.host, wanted.port, wanted.tunnel, wanted.body) == ("api.example.com", 8080, False, 12)
    rest = b"Host: api.example.com:8080\r\nAccept: */*\r\ncontent-length: 12\r\nConnection: close\r\n\r\n"
    assert wanted.head == b"POST /?q=1 HTTP/1.1\r\n" + rest
    assert wanted.absolute_head == b"POST http://api.example.com:8080/?q=1 HTTP/1.1\r\n" + rest


def test_the_usual_port_and_path_are_filled_in() -> None:
    wanted = parse(head("GET http://[::1] HTTP/1.0"))
    assert (wanted.host, wanted.port) == ("::1", 80)
    assert wanted.head.startswith(b"GET / HTTP/1.1\r\nHost: [::1]\r\n")


@given(st.binary(max_size=200))
def test_whatever_comes_is_a_request_or_refused(data: bytes) -> None:
    for start in (b"", b"CONNECT ", b"GET http://"):
        try:
            wanted = parse(start + data + b"\r\n\r\n")
        except RequestError:
            continue
        assert wanted.host == wanted.host.lower()
        assert wanted.head.count(b"Host:") == (not wanted.tunnel)
