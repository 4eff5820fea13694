"""From the name of a program to all that a cell must show for it to run, and nothing beside that.

People install agents in their homes. There the program is a link to a link to a script that `env` finds an interpreter
for, and next to it lie keys. So each step is looked at: the links become links of the cell, the files and
installations at their ends are bound read-only, each at its own place. It is asked anew before each attempt, by the
same rules, because agents update themselves; what the owner moved is followed, what others could have moved is not.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field

from supervisor.errors import InvalidError
from supervisor.models import Program
from supervisor.programs import elf, installs, links, shebang, trust
from supervisor.programs.links import Way, within

CELL_PATH = "/usr/local/bin:/usr/bin:/bin"
_CELL_DIRECTORIES = tuple(CELL_PATH.split(":"))
# Shown in every cell. What is in there is the system's, and not asked about.
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/alternatives")
_SCRIPTS = 4
"""How many interpreters may themselves be scripts, as in the kernel."""
_MOST_DIRECTORIES = 128
_MOST = 256
"""Files that one program may consist of before we say that we do not understand it."""


class MissingProgramError(InvalidError):
    """No directory that is searched has a program of that name."""


@dataclass(frozen=True, slots=True)
class Sight:
    """Where programs are looked for, and what rules out that one is used."""

    search: tuple[str, ...] = _CELL_DIRECTORIES
    """Directories, the first first."""
    work_dir: str = ""
    """What a relative path with a slash starts from."""
    writable: tuple[str, ...] = ()
    """Paths of the host that the agent may write: no program, and no step on the way to one, lies there."""
    homes: tuple[str, ...] = ()
    trusted: frozenset[int] = frozenset({0})


def resolve(name: str, sight: Sight) -> Program:
    """The program of that name as it lies on the host now. Raises InvalidError with what is wrong and what to do."""
    trace = _Trace(sight)
    path = trace.located(name)
    try:
        way = trace.program(path)
    except OSError as error:  # for one, what a virtual environment was made from may lie in somebody's closed home
        words = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        raise InvalidError(
            f"What the program {path!r} is made of cannot be looked at ({words}): install it where you may read it."
        ) from None
    shown = outermost(trace.shown)
    made = {link: said for link, said in trace.links.items() if not _covered(link, shown)}
    if len(shown) + len(made) > _MOST:
        raise InvalidError(f"The program {path!r} consists of more than {_MOST} places; install it in one of its own.")
    found = way.end
    return Program(
        path=path,
        real=way.real,
        size=found.st_size,
        mtime_ns=found.st_mtime_ns,
        interpreter=trace.interpreter,
        links=made,
        shown=shown,
        env=_variables([os.path.dirname(path), *trace.directories], trace.base),
    )


def _variables(directories: list[str], base: str) -> dict[str, str]:
    """What the cell's environment says of the program, where the usual does not do."""
    own = [place for place in dict.fromkeys(directories) if not of_system(place) and ":" not in place]
    path = {"PATH": ":".join([*own, CELL_PATH])} if own else {}
    return path | ({"PYTHONUSERBASE": base} if base else {})


def of_system(path: str) -> bool:
    """Whether every cell shows it anyway."""
    return any(within(path, place) for place in _SYSTEM)


def searched(text: str) -> tuple[str, ...]:
    """The directories of a PATH that mean the same for everybody: no relative ones, each once.

    Those below /run are followed: version managers make one for each login and remove it afterwards.
    """
    given = [os.path.normpath(place) for place in text.split(":") if place.startswith("/")]
    found = dict.fromkeys(os.path.realpath(place) if within(place, "/run") else place for place in given)
    return tuple(found)[:_MOST_DIRECTORIES]


def outermost(paths: Iterable[str]) -> tuple[str, ...]:
    """Without those that lie in another of them."""
    kept: list[str] = []
    for path in sorted(set(paths), key=lambda path: path.split("/")):
        if not kept or not within(path, kept[-1]):
            kept.append(path)
    return tuple(kept)


def _covered(path: str, shown: Iterable[str]) -> bool:
    return of_system(path) or any(within(path, place) for place in shown)


def _on_path(name: str, search: Iterable[str]) -> str:
    for directory in search:
        path = os.path.join(directory, name)
        # Not Path.is_file: before Python 3.14 that raises where a folder above may not be entered.
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    where = ":".join(search)
    raise MissingProgramError(f"The program {name!r} is not in {where[:500]}; give its whole path.")


@dataclass(slots=True)
class _Trace:
    """What was found on the way so far."""

    sight: Sight
    links: dict[str, str] = field(default_factory=dict)
    shown: list[str] = field(default_factory=list)
    directories: list[str] = field(default_factory=list)
    """To be searched inside, the first first."""
    interpreter: str = ""
    base: str = ""
    _seen: set[str] = field(default_factory=set)

    def located(self, name: str) -> str:
        """The absolute path that a name stands for, links not followed."""
        if "/" not in name:
            return _on_path(name, self.sight.search)
        if name.startswith("~"):
            raise InvalidError(f"No shell reads the command, so the ~ of {name!r} means nothing; write its full path.")
        if not name.startswith("/") and not self.sight.work_dir:
            raise InvalidError(f"The program {name!r} is relative and the job has no work directory; give a full path.")
        path = os.path.join(self.sight.work_dir, name)
        # `..` goes up from where a link leads, not from where it stands.
        if ".." in path.split("/"):
            return os.path.join(self._way(os.path.dirname(path)).real, os.path.basename(path))
        return os.path.normpath(path)

    def program(self, path: str, depth: int = 0) -> Way:
        """Take in a program with its links, installation and interpreter."""
        if not os.path.lexists(path):
            raise InvalidError(
                f"The program {path!r} is not an executable file: it is not there. "
                "Look at the path, or give a name alone to have it found on your PATH."
            )
        way = self._way(path)
        if not stat.S_ISREG(way.end.st_mode) or not os.access(way.real, os.X_OK):
            raise InvalidError(
                f"The program {path!r} is not an executable file. If it is one: chmod +x {shlex.quote(path)}"
            )
        installs.refuse_shim(path, (path, *way.links, way.real))
        if way.end.st_mode & (stat.S_ISUID | stat.S_ISGID) and not of_system(way.real):
            raise InvalidError(f"The program {path!r} is set-id, which means nothing in a cell: chmod u-s,g-s it.")
        if way.real in self._seen:
            return way
        self._note(way.real)
        needed = self._install(way.real)
        with _File(way) as file:
            script = shebang.parse(file.read(0, shebang.HEAD), way.real)
            if script is not None:
                self._script(way.real, script, depth)
            elif file.read(0, 4) == elf.MAGIC:
                self._binary(way.real, elf.needs(file.read), ())
            elif not of_system(way.real):
                raise InvalidError(
                    f"The program {path!r} is neither a binary nor a script that begins with #!; name its interpreter."
                )
        for each in needed:
            self.program(each, depth)
        return way

    def _way(self, path: str) -> Way:
        """Follow a path and check each step of it; its links are the cell's from then on."""
        way = links.walk(path)
        for place in (*way.links, way.real):
            if any(within(place, path) for path in self.sight.writable):
                self._refuse(place)
        trust.check((step for step in way.steps if not of_system(step.path)), self.sight.trusted)
        self.links |= {link: said for link, said in way.links.items() if not of_system(link)}
        return way

    def _refuse(self, place: str) -> None:
        path = next(path for path in self.sight.writable if within(place, path) or within(path, place))
        raise InvalidError(
            f"The program needs {place!r}, which the agent could change, because it may write {path!r}: "
            "move the program elsewhere, or let the agent only read there."
        )

    def _note(self, real: str) -> None:
        self._seen.add(real)
        if len(self._seen) > _MOST:
            raise InvalidError(f"The program {real!r} consists of more than {_MOST} files; name its interpreter.")
        self._show(real)

    def _show(self, real: str) -> None:
        if not of_system(real):
            # What is shown read-only may not have a writable place in it either.
            if any(within(path, real) for path in self.sight.writable):
                self._refuse(real)
            self.shown.append(real)

    def _install(self, real: str) -> tuple[str, ...]:
        if of_system(real):
            return ()
        found = installs.install_of(real, self.sight.homes)
        for place in found.shown:
            self._show(self._way(place).real)
        return found.needs

    def _script(self, real: str, script: shebang.Shebang, depth: int) -> None:
        if depth >= _SCRIPTS:
            raise InvalidError(f"The script {real!r} is run by a script that is run by a script, and so on; end that.")
        inner = self.program(script.interpreter, depth + 1)
        if script.searched:
            found = self._found(script.searched, real)
            self.directories.append(os.path.dirname(found))
            inner = self.program(found, depth + 1)
        if depth == 0:
            self.interpreter = inner.real
        site, base = installs.user_site(real, inner.real)
        if site and not of_system(site):
            self.base = base
            self._show(self._way(site).real)

    def _found(self, name: str, script: str) -> str:
        if "/" in name and not name.startswith("/"):
            raise InvalidError(f"The script {script!r} names the interpreter {name!r}; name it by its full path.")
        try:
            return name if "/" in name else _on_path(name, self.sight.search)
        except InvalidError as error:
            raise InvalidError(f"The script {script!r} needs an interpreter. {error}") from None

    def _binary(self, real: str, needs: elf.Needs, inherited: tuple[str, ...]) -> None:
        """Its loader, and the libraries in places of its own; the system's are there anyway."""
        if of_system(real):
            return
        origin = os.path.dirname(real)
        own = (place.replace("${ORIGIN}", "$ORIGIN").replace("$ORIGIN", origin) for place in needs.places)
        places = tuple(dict.fromkeys([*(place for place in own if place.startswith("/")), *inherited]))
        loader = [needs.loader] if needs.loader.startswith("/") else []
        for path in (*loader, *(found for name in needs.libraries if (found := _library(name, places)))):
            if of_system(path) and of_system(os.path.realpath(path)):
                continue
            way = self._way(path)
            if way.real in self._seen or of_system(way.real) or not stat.S_ISREG(way.end.st_mode):
                continue
            self._note(way.real)
            with _File(way) as file:
                self._binary(way.real, elf.needs(file.read), places)


def _library(name: str, places: Iterable[str]) -> str:
    if "/" in name:
        return name if name.startswith("/") else ""
    return next((path for place in places if os.path.isfile(path := os.path.join(place, name))), "")


class _File:
    """A file that is read in small pieces: the one that was looked at, or none."""

    def __init__(self, way: Way) -> None:
        self._way, self._fd = way, -1

    def __enter__(self) -> _File:
        try:
            # Without waiting for the writer of a FIFO, should one have been put there since.
            self._fd = os.open(self._way.real, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            if of_system(self._way.real):  # executable and not readable: shown it is, and started
                return self
            raise InvalidError(f"The program {self._way.real!r} cannot be read: {error.strerror}.") from None
        found = os.fstat(self._fd)
        if (found.st_dev, found.st_ino) != (self._way.end.st_dev, self._way.end.st_ino):
            self.__exit__()
            raise InvalidError(f"The program {self._way.real!r} was replaced while it was looked at; try again.")
        return self

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def read(self, at: int, count: int) -> bytes:
        """What is there; nothing beyond its end."""
        return os.pread(self._fd, count, at) if self._fd >= 0 and at < self._way.end.st_size else b""
