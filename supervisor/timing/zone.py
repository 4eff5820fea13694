"""Time zones by their names in the IANA data base."""

from __future__ import annotations

import os
import re
import struct
import zoneinfo
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from supervisor.errors import InvalidError

MAX_CHARS = 64

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9][A-Za-z0-9_+-]*)*")
# Files beside the zones that zoneinfo would open too: the host's own setting, rules for POSIX strings, a stand-in
# for "not set up yet", and copies that count leap seconds.
_NOT_ZONES = ("local", "localtime", "posixrules", "factory", "posix", "right")

_FOOTER = re.compile(rb"\n[ -~]*\n\Z")
"""With what a file of a zone ends, but for the first version of the format."""


class ZoneError(InvalidError, ValueError):
    """A time zone that cannot be used; the text is a sentence."""


def find_zone(name: str) -> ZoneInfo:
    """The zone of exactly this name, upper and lower case as the data base spells it."""
    if len(name) > MAX_CHARS:
        raise ZoneError(
            f"The time zone {name[:20]!r}... is longer than {MAX_CHARS} characters: use a name like Europe/Berlin."
        )
    if not _NAME.fullmatch(name) or name.split("/")[0].lower() in _NOT_ZONES:
        raise ZoneError(f"The time zone {name!r} is not the name of a zone: use one like Europe/Berlin or UTC.")
    return _loaded(name)


@lru_cache(maxsize=1024)
def _loaded(name: str) -> ZoneInfo:
    found = (Path(folder, name) for folder in zoneinfo.TZPATH)
    file = next((path for path in found if os.path.isfile(path)), None)  # noqa: PTH113 - as zoneinfo looks for it
    torn = (
        f"The time zone {name!r} cannot be read, since {file} is damaged: install the host's time zones (tzdata) anew."
    )
    try:
        if file is not None and _is_torn(file.read_bytes()):
            raise ZoneError(torn)
        return ZoneInfo(name)
    except (struct.error, AssertionError) as error:
        raise ZoneError(torn) from error
    except ZoneError:
        raise
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: a folder, like Europe
        raise ZoneError(
            f"The time zone {name!r} is unknown here: use a name like Europe/Berlin or UTC, capitals as written."
        ) from error


def _is_torn(data: bytes) -> bool:
    """Whether a zone's file ends too soon: Python would look for the end of its last line for ever."""
    return data.startswith(b"TZif") and data[4:5] != b"\0" and not _FOOTER.search(data)
