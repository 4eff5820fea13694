"""What a binary needs beside itself: its loader, and libraries that it looks for in places of its own. Pure.

Programs that bring their libraries along name the places in the file itself (RUNPATH, mostly below $ORIGIN). Nothing is
run to find out: `ldd` would start the program.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

Read = Callable[[int, int], bytes]
"""Bytes of the file: from where, and how many; fewer where it ends, none beyond, wherever a damaged file points."""

MAGIC = b"\x7fELF"
_HEADERS, _DYNAMIC, _NAME, _NEEDED = 64, 64 * 1024, 4096, 256
"""More than any real binary has of each."""
_LOAD, _DYN, _INTERP = 1, 2, 3
_DT_NEEDED, _DT_STRTAB, _DT_RPATH, _DT_RUNPATH = 1, 5, 15, 29


@dataclass(frozen=True, slots=True)
class Needs:
    """`loader` is a path; `libraries` are names, looked for in `places`, in which $ORIGIN stands for the file's own."""

    loader: str = ""
    libraries: tuple[str, ...] = ()
    places: tuple[str, ...] = ()


def needs(read: Read) -> Needs:
    """What the file says; nothing where it is static, damaged, or of a kind that is not read (32 bits, big endian)."""
    head = read(0, 64)
    if len(head) < 64 or head[:6] != MAGIC + b"\x02\x01":
        return Needs()
    (start,), (size, count) = struct.unpack_from("<Q", head, 32), struct.unpack_from("<HH", head, 54)
    if size != 56 or count > _HEADERS:
        return Needs()
    table = read(start, size * count)
    if len(table) < size * count:
        return Needs()
    # type, flags, offset, address, physical address, size in the file, ...
    headers = [struct.unpack_from("<IIQQQQ", table, size * number) for number in range(count)]
    loader = "".join(_text(read, header[2]) for header in headers if header[0] == _INTERP)
    segments = [(header[3], header[2], header[5]) for header in headers if header[0] == _LOAD]
    for header in headers:
        if header[0] == _DYN:
            return _dynamic(read, read(header[2], min(header[5], _DYNAMIC)), segments, loader)
    return Needs(loader)


def _dynamic(read: Read, table: bytes, segments: list[tuple[int, int, int]], loader: str) -> Needs:
    entries = list(struct.iter_unpack("<QQ", table[: len(table) // 16 * 16]))
    strings = next((_offset(value, segments) for tag, value in entries if tag == _DT_STRTAB), None)
    if strings is None:
        return Needs(loader)

    def said(*tags: int) -> list[str]:
        places = [strings + value for tag, value in entries if tag in tags]
        return [_text(read, place) for place in places[:_NEEDED]]

    # Where both are there, only RUNPATH counts (ld.so(8)).
    paths = said(_DT_RUNPATH) or said(_DT_RPATH)
    places = tuple(place for path in paths for place in path.split(":") if place)
    return Needs(loader, tuple(name for name in said(_DT_NEEDED) if name), places)


def _offset(address: int, segments: list[tuple[int, int, int]]) -> int | None:
    return next((address - at + offset for at, offset, size in segments if at <= address < at + size), None)


def _text(read: Read, at: int) -> str:
    data, end, _ = read(at, _NAME).partition(b"\0")
    try:
        return data.decode() if end else ""
    except UnicodeDecodeError:
        return ""
