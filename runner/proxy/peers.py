"""Whose connection it is that comes to us over the host's loopback, where every user could connect.

In a cell's own network there is nobody else. Without one, our port is open to all; the kernel's table says which user
holds the other end, as it does for the owner of any socket.
"""

from __future__ import annotations

import os

TABLE = "/proc/net/tcp"
# A line for each connection of the host, of 150 bytes.
TABLE_MOST = 16 << 20
CHUNK = 1 << 20


class Peers:
    """Opened before no file can be opened any more. `uid`: whose connections are ours."""

    def __init__(self, uid: int, table: str = TABLE) -> None:
        self._uid, self._table = uid, os.open(table, os.O_RDONLY | os.O_CLOEXEC)

    def admit(self, port: int, own_port: int) -> bool:
        """Whether the connection from this port of the loopback to ours is of that user."""
        return owner(self._read(), port, own_port) == self._uid

    def _read(self) -> str:
        text, offset = b"", 0
        while offset < TABLE_MOST and (chunk := os.pread(self._table, CHUNK, offset)):
            text, offset = text + chunk, offset + len(chunk)
        return text.decode("ascii", "replace")


def owner(table: str, port: int, own_port: int) -> int | None:
    """By the lines of /proc/net/tcp: `sl local remote state queues timer retransmits uid …`; None: it is not there."""
    ends = [f":{port:04X}", f":{own_port:04X}"]
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 7 and [fields[1][8:], fields[2][8:]] == ends:
            return int(fields[7])
    return None
