"""Which addresses are the internet's, and which lead into somebody's house: pure, and the same in every Python.

The standard library's own `is_global` changed its mind between patch releases; a table does not.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple

Address = IPv4Address | IPv6Address

# Where clouds hand out credentials to whoever asks from the machine: AWS (and most others), ECS, Azure, Oracle,
# Alibaba, and the same in IPv6 of AWS and Google.
METADATA = frozenset(
    ip_address(text)
    for text in (
        *("169.254.169.254", "169.254.170.2", "169.254.170.23", "168.63.129.16", "192.0.0.192", "100.100.100.200"),
        *("fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254"),
    )
)
V4 = (
    ("0.0.0.0/8", "unspecified"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "carrier-grade NAT"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "reserved"),
    ("192.0.2.0/24", "reserved"),
    ("192.88.99.0/24", "reserved"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "reserved"),
    ("198.51.100.0/24", "reserved"),
    ("203.0.113.0/24", "reserved"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
)
V6 = (
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "private"),
    ("fc00::/7", "private"),
    ("ff00::/8", "multicast"),
    # Teredo, ORCHID, benchmarking: addresses that stand for something else.
    ("2001::/23", "reserved"),
    ("2001:db8::/32", "reserved"),
    ("3fff::/20", "reserved"),
)
GLOBAL = IPv6Network("2000::/3")
MAPPED, NAT64, SIX_TO_FOUR = IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"), IPv6Network("2002::/16")
ISATAP = (0x00005EFE, 0x02005EFE)

NAMEABLE = frozenset({"loopback", "private", "link-local", "carrier-grade NAT"})
"""Kinds that an owner may open by writing the address; the others lead nowhere that anybody needs."""

_V4 = tuple((IPv4Network(network), kind) for network, kind in V4)
_V6 = tuple((IPv6Network(network), kind) for network, kind in V6)


class Kind(NamedTuple):
    """What an address is; `name` is empty for one of the internet. `nameable`: see NAMEABLE."""

    name: str
    nameable: bool = False


PUBLIC = Kind("")


def parse_address(text: str) -> Address | None:
    """The address that this text is, without a zone; None where it is none. Forms like 127.1 and 0x7f.1 are none."""
    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        return None


def kind_of(address: Address) -> Kind:
    """What the address is, by itself and by what is written into it: ::ffff:127.0.0.1 is as much loopback as ::1."""
    if address in METADATA:
        return Kind("metadata")
    if isinstance(address, IPv4Address):
        return _found(next((kind for network, kind in _V4 if address in network), ""))
    inner = inner_of(address)
    # Only the bare forms are nameable: who wants a private address writes it as it is.
    if inner is not None and (kind := kind_of(inner)) != PUBLIC:
        return Kind(kind.name)
    if address in MAPPED or address in NAT64:
        return PUBLIC
    found = next((kind for network, kind in _V6 if address in network), "")
    return _found(found or ("" if address in GLOBAL else "reserved"))


def _found(name: str) -> Kind:
    return Kind(name, name in NAMEABLE) if name else PUBLIC


def inner_of(address: Address) -> IPv4Address | None:
    """The IPv4 address inside, for the forms by which a kernel or a gateway would go there."""
    if isinstance(address, IPv4Address):
        return None
    number = int(address)
    if address in MAPPED or address in NAT64:
        return IPv4Address(number & 0xFFFFFFFF)
    if address in SIX_TO_FOUR:
        return IPv4Address(number >> 80 & 0xFFFFFFFF)
    if number >> 32 & 0xFFFFFFFF in ISATAP:
        return IPv4Address(number & 0xFFFFFFFF)
    return None
