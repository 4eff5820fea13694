"""Start bubblewrap with the pipes of one cell. Always from the main thread: --die-with-parent means that thread."""

from __future__ import annotations

import fcntl
import os

from runner.channel import FIRST_FREE
from runner.refusal import Reason, RefusalError
from shared.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# What Python ignores; an ignored signal would stay ignored in bubblewrap and in everything below it.
SIGPIPE, SIGXFSZ = 13, 25


class Pipes(NamedTuple):
    """Our ends, none of which blocks. `life` is the cell's life: nobody else holds its write end."""

    stdin: int
    stdout: int
    stderr: int
    life: int
    report: int


class Spawned(NamedTuple):
    pid: int
    pidfd: int
    pipes: Pipes


def spawn(argv: list[str], files: Sequence[bytes], more: Sequence[int] = ()) -> Spawned:
    """`files`: what bubblewrap places, by descriptor; `more`: descriptors that come after those, `high` ones, closed
    here. Raises RefusalError where it cannot be started."""
    theirs: list[int] = []

    def reading() -> int:
        mine, other = os.pipe()
        return _keep(mine, other, theirs)

    def writing() -> int:
        other, mine = os.pipe()
        return _keep(mine, other, theirs)

    # In the order of their numbers: 0, 1, 2, LIFE, REPORT, and then the files.
    pipes = Pipes(stdin=writing(), stdout=reading(), stderr=reading(), life=writing(), report=reading())
    theirs += [_filled(content) for content in files]
    theirs += more
    try:
        pid = os.posix_spawn(
            argv[0],
            argv,
            {},
            file_actions=[(os.POSIX_SPAWN_DUP2, source, target) for target, source in enumerate(theirs)],
            setsigmask=[],
            setsigdef=[SIGPIPE, SIGXFSZ],
        )
    except OSError as error:
        raise RefusalError(
            Reason.SANDBOX_UNAVAILABLE, f"{argv[0]} cannot be started ({error.strerror}). Install bubblewrap again."
        ) from error
    finally:
        for descriptor in theirs:
            os.close(descriptor)
    return Spawned(pid, os.pidfd_open(pid), pipes)


def _keep(mine: int, other: int, theirs: list[int]) -> int:
    os.set_blocking(mine, False)
    theirs.append(high(other))
    return mine


def high(descriptor: int) -> int:
    """Above the numbers that are dealt out, so that no dealing overwrites one that is still to be dealt."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE)
    os.close(descriptor)
    return moved


def _filled(content: bytes) -> int:
    """A file in memory, because a pipe takes only 64 KiB before somebody reads it."""
    descriptor = os.memfd_create("cronward", os.MFD_CLOEXEC)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return high(descriptor)
