"""When the owner of a home last looked at what happened there.

Whoever looks replaces one small file as a whole, without the home's lock: the supervisor holds that for life, and of
two who look at once either may be the last.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from supervisor.errors import StoreError
from supervisor.stores.home import Home
from supervisor.stores.store import read_json, write_atomic

FIRST = timedelta(hours=24)
"""How far the first look goes back."""
SAME_LOOK = timedelta(minutes=5)
"""Who looks again within this is shown what the look before showed, and what came since."""
_BYTES, _VERSION = 4096, 1


class _Stored(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    since: AwareDatetime
    looked_at: AwareDatetime


@dataclass(frozen=True, slots=True)
class Look:
    """What is shown now, and what is remembered of it. `first`: the owner had not looked before."""

    since: datetime
    looked_at: datetime
    first: bool = False


def look(before: Look | None, now: datetime) -> Look:
    """Since when to show what happened. A look that lies ahead was made by a clock that was wrong: it is none."""
    if before is None or before.looked_at > now or before.since > before.looked_at:
        return Look(now - FIRST, now, first=True)
    if now - before.looked_at < SAME_LOOK:
        return replace(before, first=before.looked_at - before.since == FIRST)
    return Look(before.looked_at, now)


def read(home: Home) -> Look | None:
    """The last look; None where there was none, or it cannot be read."""
    try:
        found = _Stored.model_validate(read_json(home.looked, _BYTES, _VERSION))
    except (FileNotFoundError, NotADirectoryError, StoreError, ValidationError):
        return None
    return Look(found.since, found.looked_at)


def note(home: Home, found: Look) -> None:
    """Remember this look, in a home that there is. Raises StoreError."""
    stored = _Stored(since=found.since, looked_at=found.looked_at).model_dump(mode="json")
    write_atomic(home.looked, json.dumps({"version": _VERSION, **stored}).encode("ascii") + b"\n")
