"""Whose connection it is, by the kernel's table."""

from __future__ import annotations

from pathlib import Path

from runner.proxy.peers import Peers, owner

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
TABLE = HEAD + (
    "   0: 0100007F:A26F 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1 1 0 100 0 0 10 0\n"
    "   1: 0100007F:D431 0100007F:A26F 01 00000000:00000000 00:00000000 00000000  1001        0 2 1 0 20 4 30 10 -1\n"
    "   2: 0100007F:A26F 0100007F:D431 01 00000000:00000000 00:00000000 00000000  1000        0 3 1 0 20 4 30 10 -1\n"
    "   3: 0100007F:D432 0100007F:A26F 01 00000000:00000000 00:00000000 00000000  1000        0 4 1 0 20 4 30 10 -1\n"
    "   4: 0100007F:D433 0100007F:0050 01 00000000:00000000 00:00000000 00000000  1000        0 5 1 0 20 4 30 10 -1\n"
)


def test_the_other_end_is_looked_up_and_not_our_own(tmp_path: Path) -> None:
    rows = ((0xD431, 1001), (0xD432, 1000), (0xD433, None), (0x1234, None))
    for port, uid in rows:
        assert owner(TABLE, port, 0xA26F) == uid, hex(port)
    assert owner("", 1, 2) is None
    (tmp_path / "tcp").write_text(TABLE)
    peers = Peers(1000, str(tmp_path / "tcp"))
    assert [peers.admit(port, 0xA26F) for port, _ in rows] == [False, True, False, False]
