"""What holds one agent, whichever way: the whole cell, or what of it can be had without namespaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from runner.namespaced import Namespaced

if TYPE_CHECKING:
    from runner.denied import Policy
    from runner.landlock import Ruleset
    from shared.messages import ExecuteRequest, Layer


class Confinement(Protocol):
    """What an attempt asks of it, in this order. Each may raise RefusalError; `clear` when nothing lives any more."""

    arguments: list[str]
    files: list[str]
    rules: Ruleset | None

    def policy(self, *, memory_counted: bool) -> Policy:
        """What the agent may not ask of the kernel."""

    def init(self, pid: int) -> tuple[int, int]:
        """The pid of init, and that of its parent. `pid`: what was spawned."""

    def held(self, hello: dict[str, str], *, dropped: bool) -> tuple[Layer, ...]:
        """What holds, and what does not, by init's word. `dropped`: root's ids were left behind."""

    def config(self, program: bytes) -> bytes:
        """What init is told. `program`: the filter of system calls."""

    def clear(self) -> None:
        """Remove what was made for it."""


def confine(request: ExecuteRequest, state: str) -> Confinement:
    """`state`: the real path of cronward's own files. Raises RefusalError where the job needs more than there is."""
    return Namespaced(request, state)
