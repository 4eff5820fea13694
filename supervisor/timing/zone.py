"""Time zones by their names in the IANA data base."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from supervisor.errors import InvalidError

MAX_CHARS = 64

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9][A-Za-z0-9_+-]*)*")
# Files beside the zones that zoneinfo would open too: the host's own setting, rules for POSIX strings, a stand-in
# for "not set up yet", and copies that count leap seconds.
_NOT_ZONES = ("local", "localtime", "posixrules", "factory", "posix", "right")


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
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: a folder, like Europe
        raise ZoneError(
            f"The time zone {name!r} is unknown here: use a name like Europe/Berlin or UTC, capitals as written."
        ) from error
