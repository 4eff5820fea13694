"""What the host has that a cell is made of: looked up once, as the user that starts bubblewrap."""

from __future__ import annotations

import marshal
import os
import sys

from runner.refusal import Reason, RefusalError
from shared.messages import ExecuteRequest
from shared.places import holds
from shared.realpath import realpath
from shared.record import ClassVar, NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from shared.messages import Bind

INIT = "/run/cronward/init.pyc"
ROOTS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
# Of /etc only what programs need to run, to show time and names, and to check certificates; no key, no password.
ETC = (
    *("alternatives", "ca-certificates", "ca-certificates.conf", "crypto-policies", "ld.so.cache", "ld.so.conf"),
    *("ld.so.conf.d", "localtime", "magic", "magic.mime", "mime.types", "pki/ca-trust", "pki/tls/certs", "protocols"),
    *("services", "ssl/cert.pem", "ssl/certs", "ssl/openssl.cnf", "terminfo", "timezone"),
)


class Access:
    """What the user that runs the agent may do with the work directory. One of four: an enum in all but its import,
    which costs a runner as much as all of its own modules."""

    MISSING: ClassVar[Access]
    NONE: ClassVar[Access]
    READ: ClassVar[Access]
    WRITE: ClassVar[Access]

    def __init__(self, word: str) -> None:
        self.word = word

    def __repr__(self) -> str:
        return f"Access.{self.word}"


for _word in ("MISSING", "NONE", "READ", "WRITE"):
    setattr(Access, _word, Access(_word))


class Interpreter(NamedTuple):
    """The Python that runs init, by its real path; what of it must be shown, and what in that hidden."""

    executable: str
    shown: tuple[str, ...]
    hidden: tuple[str, ...]


class Mark(NamedTuple):
    """What a path led to when it was looked at."""

    path: str
    device: int
    inode: int
    writable: bool


class Grants(NamedTuple):
    """What the cell shows of the user's files beside the work directory. `repositories`: those that are read-only;
    `whole`: whether every writable place was searched to its end."""

    binds: tuple[Bind, ...] = ()
    marks: tuple[Mark, ...] = ()
    repositories: tuple[str, ...] = ()
    whole: bool = True


class Host(NamedTuple):
    """`shown` are the system's paths, `links` its symbolic links with their targets, `init` its bytecode."""

    bwrap_version: tuple[int, ...]
    shown: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    interpreter: Interpreter
    init: bytes
    work_dir: Access
    real: Mapping[str, str]
    """Where the paths of the request really lead. A path that is missing here cannot be reached."""
    grants: Grants = Grants()


def look(request: ExecuteRequest, *, bubblewrap: bool = True) -> Host:
    """Raises RefusalError where there is no bubblewrap that runs, or a path of the job's cannot be shown. Where no
    bubblewrap is needed its version is empty."""
    cell = request.cell
    version = ask_version(cell.bwrap) if bubblewrap else tuple[int, ...]
    shown, links = system()
    granted = [*(bind.source for bind in request.agent.binds), *([cell.work_dir] if cell.work_dir else [])]
    work_dir = access(cell.work_dir) if cell.work_dir is not None else Access.MISSING
    return Host(
        bwrap_version=version(),
        shown=shown,
        links=links,
        interpreter=interpreter(),
        init=init_code(),
        work_dir=work_dir,
        real={path: realpath(path) for path in granted if os.access(path, os.R_OK)},
        grants=grants_of(request, work_dir),
    )


def init_code() -> bytes:
    """A program that is run by its path is compiled anew each time: init's source would take as long as Python's start.

    The import system knows what of it is compiled already, and whether that is still true.
    """
    from importlib._bootstrap_external import MAGIC_NUMBER, SourceFileLoader

    path = os.path.join(os.path.dirname(os.path.realpath(__file__)), "init.py")
    # No flags, no time, no size: nobody compares this with its source.
    return MAGIC_NUMBER + bytes(12) + marshal.dumps(SourceFileLoader("init", path).get_code("init"))


def grants_of(request: ExecuteRequest, work_dir: Access) -> Grants:
    cell = request.cell
    if not (cell.read_paths or cell.write_paths) and work_dir not in (Access.READ, Access.WRITE):
        return Grants()
    from runner import grants

    return grants.look(request, work_dir)


def paths_of_libraries() -> list[str]:
    """Where our own modules and the standard library are imported from."""
    return [os.path.dirname(os.path.dirname(os.path.abspath(__file__))), sys.base_prefix]


def system() -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Links stay links, so that a path looks inside as it does outside."""
    shown, links = ["/usr"], []
    for path in (*ROOTS, *(f"/etc/{name}" for name in ETC)):
        if not os.path.exists(path):
            continue
        if os.path.islink(path) and os.path.realpath(path).startswith("/usr/"):
            links.append((path, os.readlink(path)))
        else:
            shown.append(path)
    return tuple(shown), tuple(links)


def interpreter() -> Interpreter:
    """Ours, but by its real path: a virtual environment's link shows in the cell only where its target does."""
    executable = os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable)
    prefix = os.path.realpath(sys.base_prefix)
    shown = tuple(path for path in (prefix, executable) if not holds("/usr", path))
    if len(shown) == 2 and holds(prefix, executable):
        shown = (prefix,)
    library = f"{prefix}/{sys.platlibdir}/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    hidden = (library,) if shown and os.path.isdir(library) else ()
    return Interpreter(executable, shown, hidden)


def access(path: str) -> Access:
    if not os.path.isdir(path):
        return Access.MISSING
    if not os.access(path, os.R_OK | os.X_OK):
        return Access.NONE
    return Access.WRITE if os.access(path, os.W_OK) else Access.READ


def ask_version(bwrap: str) -> Callable[[], tuple[int, ...]]:
    """What gives the answer, which is waited for only then. Raises RefusalError where bubblewrap cannot be started."""
    reader, writer = os.pipe()
    try:
        pid = os.posix_spawn(bwrap, [bwrap, "--version"], {}, file_actions=[(os.POSIX_SPAWN_DUP2, writer, 1)])
    except OSError as error:
        raise RefusalError(
            Reason.SANDBOX_UNAVAILABLE,
            f"{bwrap} cannot be started ({error.strerror}). Install it: apt-get install bubblewrap",
        ) from error
    finally:
        os.close(writer)

    def answer() -> tuple[int, ...]:
        with open(reader, "rb") as file:
            text = file.read(200).decode("ascii", "replace")
        os.waitpid(pid, 0)
        numbers = "".join(char if char in "0123456789" else " " for char in text).split()
        return tuple(map(int, numbers[:3])) or (0,)

    return answer


def namespaces(names: Iterable[str]) -> dict[str, str]:
    """Our own, by the numbers the kernel gives them; those it does not know are left out."""
    paths = {name: f"/proc/self/ns/{name}" for name in names}
    return {
        name: os.readlink(path).partition(":")[2].strip("[]") for name, path in paths.items() if os.path.islink(path)
    }
