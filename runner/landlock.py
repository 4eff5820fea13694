"""Which files an agent may touch, in the words of Landlock (linux/landlock.h): a second wall behind the mounts.

Pure: `init` hands the rules to the kernel. In a cell they follow from bubblewrap's arguments, so that the two walls can
never disagree about what a job was granted; what else there is in a cell, by whatever way it came there, is refused.
Only listing directories is left to the mounts: a right on `/` reaches everything below it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
MAKE_CHAR, MAKE_BLOCK = 1 << 6, 1 << 11
TRUNCATE, IOCTL_DEV = 1 << 14, 1 << 15
BIND_TCP, CONNECT_TCP = 1 << 0, 1 << 1
ABSTRACT_UNIX_SOCKET, SIGNAL = 1 << 0, 1 << 1

# All that each version of the interface can refuse to do with files.
HANDLED = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF, 5: 0xFFFF}
# From its second version on a file can be moved between two directories at all. Without that neither git nor npm works.
OLDEST = 2
TCP, SCOPES = 4, 6

READ = EXECUTE | READ_FILE | READ_DIR
# All of the second version, with moves between directories, but no devices.
WRITE = HANDLED[2] & ~(MAKE_CHAR | MAKE_BLOCK) | TRUNCATE
DEVICES = READ_FILE | READ_DIR | WRITE_FILE | TRUNCATE | IOCTL_DEV
# Processes tune themselves there: oom_score_adj, comm. Whose files these are is for the kernel's own rules.
PROC = READ | WRITE_FILE | TRUNCATE

FLAGS = (
    *("--as-pid-1", "--clearenv", "--die-with-parent", "--disable-userns", "--new-session", "--share-net"),
    *("--unshare-all", "--unshare-user"),
)
ONE_WORD = (
    *("--cap-drop", "--chdir", "--dev", "--dir", "--gid", "--hostname", "--perms", "--proc", "--remount-ro"),
    *("--size", "--tmpfs", "--uid"),
)
TWO_WORDS = ("--bind", "--bind-try", "--file", "--ro-bind", "--ro-bind-data", "--ro-bind-try", "--symlink")
# How many words follow each of bubblewrap's options in `cell.arguments`.
WORDS = dict.fromkeys(FLAGS, 0) | dict.fromkeys(ONE_WORD, 1) | dict.fromkeys(TWO_WORDS, 2)


class Ruleset:
    """What the kernel is to refuse but where a rule allows it. `files`: kinds of access to paths and what is below
    them; `ports`: where to TCP may be connected, None where that is not Landlock's to say."""

    def __init__(
        self, version: int, files: Iterable[tuple[str, int]], ports: Sequence[int] | None = None, scoped: bool = True
    ) -> None:
        self.version, self.ports = version, ports
        self.handled = HANDLED[min(version, max(HANDLED))]
        self.files = [(path, rights & self.handled) for path, rights in files]
        self.scoped = ABSTRACT_UNIX_SOCKET | SIGNAL if scoped and version >= SCOPES else 0
        self.network = BIND_TCP | CONNECT_TCP if ports is not None else 0

    def fields(self) -> list[str]:
        """As init takes them (see `init.lay_landlock`)."""
        return [
            f"landlock={self.handled}:{self.network}:{self.scoped}",
            *(f"beneath={rights}:{path}" for path, rights in self.files),
            *(f"connect={port}" for port in self.ports or ()),
        ]

    @property
    def summary(self) -> str:
        """In words, for the record."""
        parts = ["files", *(["truncation"] if self.version >= 3 else []), *(["devices"] if self.version >= 5 else [])]
        if self.network:
            parts.append(f"TCP to port {', '.join(map(str, self.ports or ())) or 'none'} only")
        if self.scoped:
            parts += ["signals", "abstract sockets"]
        return f"ABI {self.version}: {', '.join(parts)}"


def in_cell(arguments: Sequence[str], version: int) -> Ruleset | None:
    """The rules of a cell that is made by these arguments of bubblewrap's; None where the kernel cannot hold them."""
    return Ruleset(version, shown(arguments)) if version >= OLDEST else None


def absent(version: int) -> str:
    """Why a cell has no Landlock, in words."""
    if version < 1:
        return "not offered by this kernel; the mount namespace holds the same"
    return f"ABI {version} cannot let files be moved between directories; the mount namespace holds the same"


def shown(arguments: Sequence[str]) -> list[tuple[str, int]]:
    """What bubblewrap shows by these arguments, and what may be done there. Raises ValueError on an option that is not
    known, for nobody could say what it shows."""
    found: dict[str, int] = {"/": READ_DIR}
    for option, words in options(arguments):
        target = words[-1] if words else ""
        if option in ("--ro-bind", "--ro-bind-try", "--ro-bind-data", "--file"):
            found[target] = READ
        elif option in ("--bind", "--bind-try", "--tmpfs"):
            found[target] = WRITE
        elif option == "--dev":
            found[target] = DEVICES
        elif option == "--proc":
            found[target] = PROC
        elif option == "--remount-ro" and found.get(target) == WRITE:
            found[target] = READ
    return list(found.items())


def options(arguments: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
    """Bubblewrap's options with what follows each, up to the command."""
    at = 1
    while at < len(arguments) and arguments[at] != "--":
        option = arguments[at]
        if option not in WORDS:
            raise ValueError(f"{option!r} is no option of bubblewrap's")
        count = WORDS[option]
        yield option, arguments[at + 1 : at + 1 + count]
        at += 1 + count
