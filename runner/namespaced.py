"""The whole cell, as an attempt uses it: bubblewrap makes it, init proves it, two filters stand behind it."""

from __future__ import annotations

import os

from runner import cell, host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runner.host import Host
    from runner.landlock import Ruleset
    from runner.seccomp import Filter
    from shared.messages import ExecuteRequest, Layer


class Namespaced:
    """Raises RefusalError where request and host do not fit together."""

    apart = True

    def __init__(self, request: ExecuteRequest, state: str, found: Host | None = None) -> None:
        """`found`: what there is, where that was looked up and checked already."""
        self._request, self._host = request, found or host.look(request)
        if found is None:
            cell.check(request, self._host, state)
        self.arguments, self.files = cell.arguments(request, self._host), cell.files(request, self._host.init)
        self.writable = cell.writable(request, self._host)
        self.rules: Ruleset | None = None
        self._ours: dict[str, str] = {}
        self._landlock, self._mounts = 0, -1

    @property
    def host(self) -> Host:
        """What was found of it."""
        return self._host

    def descriptors(self, inside: int) -> list[int]:
        """What init is to inherit of the way out: the door, through which it sends a listener made in the cell."""
        return [inside]

    def filter(self, machine: str, *, memory_counted: bool) -> Filter | None:
        """The filter of system calls for the agent; None where there is none for this machine. Asked for while
        bubblewrap builds the cell, so all else that is not needed for that is looked up here too."""
        from runner import kernel, landlock, layers, seccomp
        from runner.denied import Policy

        self._ours, self._landlock = host.namespaces(layers.NAMESPACES), kernel.landlock_version()
        self.rules = landlock.in_cell(self.arguments, self._landlock)

        # In the host's network its abstract sockets are in reach, so there are none at all.
        return seccomp.build(Policy(memory_counted, unix_sockets=self._request.cell.network != "host"), machine)

    def init(self, pid: int) -> tuple[int, int]:
        """The pid of init, and that of its parent. `pid`: what was spawned."""
        from runner import kill

        init = next(iter(kill.children(pid)), 0)
        self._mounts = _mounts_of(init)
        return init, pid

    def home(self, init: int) -> int:
        """The agent's home, open. Init is still nobody but ours, and its root is not to be fooled with."""
        return os.open(f"/proc/{init}/root{cell.HOME}", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def held(self, hello: dict[str, str], *, dropped: bool) -> tuple[Layer, ...]:
        """What holds by init's word. Raises RefusalError where that is not enough."""
        from runner import landlock, layers

        layers.check(hello, self._ours, self._request.cell.network)
        uid = os.geteuid() if dropped else None
        found = layers.held(hello, self._ours, self._host.bwrap_version, uid, self._request)
        found += layers.repositories(self._host.grants)
        if self.rules is None:
            found += (Layer(name="landlock", detail=landlock.absent(self._landlock), held=False),)
        return found

    def config(self, program: bytes) -> bytes:
        """What init is told. `program`: the filter of system calls."""
        return cell.config(self._request, self._host, program, self.rules)

    def taken(self, said: tuple[str, ...], filtering: Filter) -> tuple[Layer, ...]:
        """What holds of what the agent's process took on itself."""
        from runner import layers

        return layers.taken(said, filtering, self.rules)

    def release(self) -> None:
        """What was in memory, all that was made for it, is gone from here on."""
        if self._mounts >= 0:
            os.close(self._mounts)
            self._mounts = -1

    def clear(self) -> None:
        """Nothing else is left that would have to be."""
        self.release()


def _mounts_of(init: int) -> int:
    """Its mount namespace, open; -1 where it cannot be held.

    The kernel takes one apart before the last process in it counts as ended, which is a third of a millisecond of each
    kill. While somebody else holds it, init is gone first.
    """
    try:
        return os.open(f"/proc/{init}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1
