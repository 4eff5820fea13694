"""The time zone that people of this host mean when they name none."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from zoneinfo import ZoneInfo

from supervisor.timing.zone import ZoneError, find_zone

_ZONES = "zoneinfo/"


def host_zone(environ: Mapping[str, str] = os.environ, localtime: Path = Path("/etc/localtime")) -> ZoneInfo:
    """The zone that `TZ` names, else the one that /etc/localtime points to, else UTC."""
    linked = os.path.realpath(localtime).partition(_ZONES)[2]
    for name in filter(None, (environ.get("TZ", "").removeprefix(":"), linked)):
        with contextlib.suppress(ZoneError):
            return find_zone(name)
    return ZoneInfo("UTC")
