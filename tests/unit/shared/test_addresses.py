"""Every way in which an address can lead home."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.addresses import METADATA, PUBLIC, V4, kind_of, parse_address

INSIDE = [
    ("127.0.0.1", "loopback"),
    ("127.255.255.254", "loopback"),
    ("10.0.0.1", "private"),
    ("172.16.0.1", "private"),
    ("172.31.255.255", "private"),
    ("192.168.1.1", "private"),
    ("169.254.1.1", "link-local"),
    ("169.254.169.254", "metadata"),
    ("169.254.170.2", "metadata"),
    ("168.63.129.16", "metadata"),
    ("100.100.100.200", "metadata"),
    ("100.64.0.1", "carrier-grade NAT"),
    ("0.0.0.0", "unspecified"),
    ("0.1.2.3", "unspecified"),
    ("224.0.0.1", "multicast"),
    ("240.0.0.1", "reserved"),
    ("255.255.255.255", "reserved"),
    ("192.0.2.1", "reserved"),
    ("198.18.0.1", "reserved"),
    ("::", "unspecified"),
    ("::1", "loopback"),
    ("fe80::1", "link-local"),
    ("fd00::1", "private"),
    ("fd00:ec2::254", "metadata"),
    ("fec0::1", "private"),
    ("ff02::1", "multicast"),
    ("2001:db8::1", "reserved"),
    ("2001::1", "reserved"),
    ("100::1", "reserved"),
    ("::127.0.0.1", "reserved"),
    ("64:ff9b:1::a00:1", "reserved"),
]
OUTSIDE = ["1.1.1.1", "93.184.216.34", "172.15.0.1", "172.32.0.1", "100.128.0.1", "192.1.0.1", "2606:4700::1111"]


def wrapped(inner: IPv4Address) -> list[IPv6Address]:
    """The forms by which a kernel or a gateway goes to an IPv4 address."""
    number = int(inner)
    forms = (0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80)
    isatap = (0x2606 << 112 | 0x5EFE << 32 | number, 0x2606 << 112 | 0x02005EFE << 32 | number)
    return [IPv6Address(form) for form in (*forms, *isatap)]


@pytest.mark.parametrize(("text", "kind"), INSIDE)
def test_what_is_not_the_internet_is_called_by_its_name(text: str, kind: str) -> None:
    assert kind_of(ip_address(text)).name == kind


@pytest.mark.parametrize("text", OUTSIDE)
def test_the_internet_is_public(text: str) -> None:
    assert kind_of(ip_address(text)) == PUBLIC


@pytest.mark.parametrize("text", [text for text, _ in INSIDE if "." in text and ":" not in text])
def test_an_address_inside_another_one_is_still_itself_and_cannot_be_named(text: str) -> None:
    for form in wrapped(IPv4Address(text)):
        assert kind_of(form).name == kind_of(IPv4Address(text)).name, form
        assert not kind_of(form).nameable


@given(st.sampled_from(V4), st.integers(0, 2**32 - 1))
def test_no_form_of_an_inner_address_is_public(row: tuple[str, str], offset: int) -> None:
    first, _, bits = row[0].partition("/")
    inner = IPv4Address(int(IPv4Address(first)) + offset % (1 << (32 - int(bits))))
    assert kind_of(inner) != PUBLIC
    assert [form for form in wrapped(inner) if kind_of(form) == PUBLIC] == []


@given(st.ip_addresses(v=6))
def test_outside_the_global_range_nothing_is_public_but_gateways(address: IPv6Address) -> None:
    if kind_of(address) == PUBLIC:
        assert address in wrapped(IPv4Address(int(address) & 0xFFFFFFFF)) or int(address) >> 125 == 1


@pytest.mark.parametrize("address", sorted(METADATA, key=str))
def test_metadata_can_never_be_named(address: IPv4Address | IPv6Address) -> None:
    assert not kind_of(address).nameable


@pytest.mark.parametrize(
    "text", ["127.1", "2130706433", "0x7f.1", "0177.0.0.1", "1.2.3", "", "a", "1.2.3.4.5", " 1.1.1.1"]
)
def test_odd_ways_to_write_an_address_are_none(text: str) -> None:
    assert parse_address(text) is None


def test_a_zone_does_not_hide_an_address() -> None:
    assert parse_address("fe80::1%eth0") == ip_address("fe80::1")
