"""Which machine this is."""

from __future__ import annotations

import platform
from dataclasses import dataclass

from supervisor.stores.lock import boot_id


@dataclass(frozen=True, slots=True)
class Host:
    """What a claim says about where it was made. After a reboot, or on another machine, its pids mean nothing."""

    name: str
    boot_id: str

    @classmethod
    def here(cls) -> Host:
        """This machine, this boot."""
        return cls(platform.node(), boot_id())
