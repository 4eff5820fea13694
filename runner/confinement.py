"""What holds one agent, whichever way: the whole cell, or what of it can be had without namespaces."""

from __future__ import annotations

from runner.namespaced import Namespaced

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from runner.landlock import Ruleset
    from runner.seccomp import Filter
    from shared.messages import ExecuteRequest, Layer
else:
    Protocol = object


class Confinement(Protocol):
    """What an attempt asks of it, in this order. Each may raise RefusalError; `clear` when nothing lives any more.

    `writable`: the directories of the host that it may write to. `apart`: whether the run has a user namespace, in
    which the kernel counts its processes alone."""

    apart: bool
    arguments: list[str]
    files: list[bytes]
    writable: list[str]
    rules: Ruleset | None

    def descriptors(self, inside: int) -> list[int]:
        """What init is to inherit of the way out. `inside`: the end of the proxy's door that is for the cell."""

    def filter(self, machine: str, *, memory_counted: bool) -> Filter | None:
        """The filter of system calls for the agent; None where there is none for this machine."""

    def init(self, pid: int) -> tuple[int, int]:
        """The pid of init, and that of its parent. `pid`: what was spawned."""

    def home(self, init: int) -> int:
        """The agent's home, open, as long as nobody lives in there but init. Raises OSError."""

    def held(self, hello: dict[str, str], *, dropped: bool) -> tuple[Layer, ...]:
        """What holds, and what does not, by init's word. `dropped`: root's ids were left behind."""

    def config(self, program: bytes) -> bytes:
        """What init is told. `program`: the filter of system calls."""

    def taken(self, said: tuple[str, ...], filtering: Filter) -> tuple[Layer, ...]:
        """What holds of what the agent's process took on itself, by its own word."""

    def release(self) -> None:
        """Nothing of it lives any more: let go of what was held while something did."""

    def clear(self) -> None:
        """Remove what was made for it."""


def confine(request: ExecuteRequest, state: str) -> Confinement:
    """`state`: the real path of cronward's own files. Raises RefusalError where the job needs more than there is."""
    if request.cell.isolation == "required" or request.cell.work_mode == "branch":
        return Namespaced(request, state)
    from runner import namespaces
    from runner.fallback import Fallback, Unconfined

    if request.cell.isolation == "none":
        return Unconfined(request, state, "none, as the job asks")
    why = namespaces.missing(request.cell.bwrap)
    return Fallback(request, state, why) if why else Namespaced(request, state)
