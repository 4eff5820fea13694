"""Real hellos, as Python's ssl makes them, and what hostile hands do with them."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.proxy.hello import HELLO_MOST, HelloError, check, server_name


def real(name: str | None, *, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = newest
    context.set_alpn_protocols(["h2", "http/1.1"])
    out = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return out.read()


HELLO = real("api.example.com")


def record(data: bytes) -> bytes:
    return b"\x16\x03\x01" + len(data).to_bytes(2, "big") + data


def split(data: bytes, size: int) -> bytes:
    """The same handshake message, in records of `size` bytes."""
    message = data[5:]
    return b"".join(record(message[at : at + size]) for at in range(0, len(message), size))


def hello(extensions: bytes) -> bytes:
    body = (
        b"\x03\x03"
        + bytes(32)
        + b"\0"
        + b"\0\x02\x13\x01"
        + b"\x01\0"
        + len(extensions).to_bytes(2, "big")
        + extensions
    )
    return record(b"\x01" + len(body).to_bytes(3, "big") + body)


def named(name: bytes, kind: int = 0) -> bytes:
    entry = bytes([kind]) + len(name).to_bytes(2, "big") + name
    names = len(entry).to_bytes(2, "big") + entry
    return b"\0\0" + len(names).to_bytes(2, "big") + names


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_name_of_a_real_hello_is_found(newest: ssl.TLSVersion) -> None:
    assert server_name(real("api.example.com", newest=newest)) == "api.example.com"


def test_a_hello_without_a_name_has_none() -> None:
    assert server_name(real(None)) == ""
    assert server_name(real("127.0.0.1")) == ""


def test_what_follows_a_hello_does_not_matter() -> None:
    assert server_name(HELLO + b"\x17\x03\x03\x00\x05early") == "api.example.com"


def test_at_no_cut_is_a_hello_taken_for_whole_or_for_damaged() -> None:
    assert [server_name(HELLO[:at]) for at in range(len(HELLO))] == [None] * len(HELLO)


@given(st.integers(40, 600))
def test_a_hello_in_several_records_is_put_together(size: int) -> None:
    assert server_name(split(HELLO, size)) == "api.example.com"


def test_a_hello_in_countless_records_is_refused() -> None:
    with pytest.raises(HelloError, match="pieces"):
        server_name(split(HELLO, 1))


@given(st.binary(max_size=600))
def test_garbage_is_refused_or_waited_for(data: bytes) -> None:
    for start in (b"", b"\x16\x03\x01", HELLO[:20]):
        try:
            name = server_name(start + data)
        except HelloError:
            continue
        assert name is None or name == ""


@given(st.integers(0, len(HELLO) - 1), st.integers(1, 255))
def test_a_changed_byte_never_makes_anything_but_a_refusal_or_another_hello(at: int, change: int) -> None:
    data = bytearray(HELLO)
    data[at] ^= change
    try:
        name = server_name(bytes(data))
    except HelloError:
        return
    assert name is None or name.isascii()


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-x\r\n", b"\x80\x2e\x01\x03\x01", b"\x15\x03\x01\0\x02\x02\x28"]
)
def test_what_is_not_tls_is_refused_at_its_first_bytes(data: bytes) -> None:
    for end in (1, 2, 5, len(data)):
        with pytest.raises(HelloError):
            server_name(data[:end])


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (hello(named(b"a.example") + named(b"b.example")), "two servers"),
        (hello(named(b"\xff.example")), "not ASCII"),
        (hello(named(b"")), "damaged"),
        (hello(named(b"a.example", kind=1)), "damaged"),
        (hello(b"\0\0\0\x09" + b"\0\x03abc"), "damaged"),
        (record(b"\x02" + HELLO[6:]), "does not begin"),
        (b"\x16\x03\x01\0\0", "not TLS"),
        (b"\x16\x03\x01\x40\x01", "not TLS"),
        (record(b"\x01\x01\0\0"), "too long"),
        (b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc" + bytes(HELLO_MOST), "damaged"),
    ],
)
def test_a_crafted_hello_is_refused(data: bytes, word: str) -> None:
    with pytest.raises(HelloError, match=word):
        server_name(data)


def test_only_the_tunnels_own_host_may_be_asked_for() -> None:
    assert check(HELLO, "api.example.com", literal=False)
    assert not check(HELLO[:50], "api.example.com", literal=False)
    with pytest.raises(HelloError, match=r"api\.example\.com"):
        check(HELLO, "other.example.com", literal=False)
    with pytest.raises(HelloError, match="names no server"):
        check(real(None), "api.example.com", literal=False)


def test_an_address_has_no_name_to_ask_for() -> None:
    assert check(real(None), "127.0.0.1", literal=True)
    with pytest.raises(HelloError):
        check(HELLO, "127.0.0.1", literal=True)


def test_a_name_is_compared_without_its_case() -> None:
    assert check(hello(named(b"API.Example.com")), "api.example.com", literal=False)
