"""The addresses of this machine, of all its interfaces, as the kernel says now."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

# linux/rtnetlink.h, linux/if_addr.h
RTM_GETADDR, RTM_NEWADDR, NLMSG_DONE, NLM_F_REQUEST, NLM_F_DUMP = 22, 20, 3, 1, 0x300
IFA_ADDRESS, IFA_LOCAL = 1, 2
HEADER, IFADDR, ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=BBBBI"), struct.Struct("=HH")
MOST_READS = 256


def own_addresses() -> frozenset[str]:
    """Asked anew for each connection: addresses come and go. Raises OSError."""
    found: set[str] = set()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as link:
        link.settimeout(2.0)
        link.sendall(HEADER.pack(HEADER.size + 1, RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, 1, 0) + b"\0")
        for _ in range(MOST_READS):
            data = link.recv(1 << 16)
            for kind, body in messages(data):
                if kind == NLMSG_DONE:
                    return frozenset(found)
                if kind == RTM_NEWADDR:
                    found.update(addresses(body))
    raise OSError("the kernel does not end its list of addresses")


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + HEADER.size <= len(data):
        length, kind, *_ = HEADER.unpack_from(data, at)
        if length < HEADER.size:
            return
        yield kind, data[at + HEADER.size : at + length]
        at += (length + 3) & ~3


def addresses(body: bytes) -> Iterator[str]:
    """Of a point-to-point link both ends are taken: the other one is next to us."""
    family, at = body[0], IFADDR.size
    while at + ATTRIBUTE.size <= len(body):
        length, kind = ATTRIBUTE.unpack_from(body, at)
        if length < ATTRIBUTE.size:
            return
        if kind in (IFA_ADDRESS, IFA_LOCAL) and family in (socket.AF_INET, socket.AF_INET6):
            yield socket.inet_ntop(family, body[at + ATTRIBUTE.size : at + length])
        at += (length + 3) & ~3
