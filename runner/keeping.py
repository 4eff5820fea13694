"""What lives on of an agent's home: put there before the agent starts, taken out when nothing of its tree is left.

The home of a cell is in memory, and gone with the cell, unless somebody still has it open. The runner opens it while
nobody lives in there but init, and has it from then on, by a descriptor: no path of the host is ever shown to the agent
for this. What the agent leaves there is hostile: only what is on the closed list is looked at, only regular files are
read, nothing is followed, and all of it is bounded.
"""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress

from runner.cell import HOME
from runner.refusal import Reason, RefusalError
from runner.walk import Walk
from shared.findings import Session
from shared.keep import LOGIN, SESSION
from shared.messages import ExecuteRequest
from shared.patterns import Patterns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shared.keep import Keep

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# NONBLOCK: nobody waits for the other end of a FIFO.
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
CHUNK = 1 << 20
LOGIN_MOST = 64 << 10
ENTRIES_MOST, FILES_MOST = 200_000, 10_000
SECONDS = 5.0


class TooMuchError(Exception):
    """There is more than may be kept. The text says of what, for the owner."""


class Keeping:
    """One attempt's. Made while it is still known who may look where: before root's ids are left behind."""

    def __init__(self, request: ExecuteRequest, keep: Keep) -> None:
        """Raises RefusalError where the directories cannot be opened."""
        self._keep, self._run_as = keep, request.cell.run_as
        self._patterns = Patterns(keep.session)
        # What is placed anew for each attempt is nobody's to keep.
        self._placed = frozenset(os.path.relpath(path, HOME) for path in request.agent.files)
        self._home = self._before = -1
        try:
            self._out = self._own(keep.directory)
            if keep.session_from:
                self._before = os.open(keep.session_from, FOLDER)
        except OSError as error:
            raise RefusalError(
                Reason.RUNNER_BROKE, f"{error.filename or keep.directory} cannot be opened ({error.strerror})."
            ) from error

    def _own(self, path: str) -> int:
        found = os.open(path, FOLDER)
        if os.geteuid() == 0 and self._run_as is not None:
            os.fchown(found, self._run_as.uid, self._run_as.gid)
        return found

    def bring(self, home: int) -> None:
        """Put everything in its place. `home`: the open directory, in which nobody lives yet; ours from now on. Raises
        RefusalError."""
        self._home = home
        try:
            for file in self._keep.login:
                self._place(file.path, file.text.encode("utf-8", "surrogateescape"))
            if self._before >= 0:
                self._copy(self._before, home, self._keep.session_bytes, lambda _path: True, durable=False)
        except (OSError, TooMuchError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise RefusalError(
                Reason.RUNNER_BROKE,
                f"The agent's login or conversation could not be put into its home ({why}). "
                "Give the job more room (--tmp), or begin anew: cronward sessions reset JOB",
            ) from error

    def _place(self, path: str, data: bytes) -> None:
        folder, name = folder_of(self._home, path)
        try:
            write(folder, name, data)
        finally:
            os.close(folder)

    def take_login(self) -> None:
        """What the agent made of its login, if it renews it: what has changed, each file whole or not at all. One that
        cannot be a login's is left behind, whatever it is."""
        if self._home < 0 or not self._keep.renewed:
            return
        with suppress(OSError):
            os.mkdir(LOGIN, 0o700, dir_fd=self._out)
            folder = os.open(LOGIN, FOLDER, dir_fd=self._out)
            for number, file in enumerate(self._keep.login):
                with suppress(OSError, TooMuchError):
                    data = read_regular(self._home, file.path, LOGIN_MOST)
                    if data != file.text.encode("utf-8", "surrogateescape"):
                        write(folder, f"{number}.part", data)
                        os.rename(f"{number}.part", str(number), src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)
            os.close(folder)
            os.fsync(self._out)

    def take_session(self, *, good: bool) -> Session | None:
        """The conversation as it is now. `good`: the attempt is a success; else the conversation stays as it was."""
        keep = self._keep
        if not keep.session:
            return None
        found = Session(resumed=self._before >= 0, anew=keep.session_anew)
        if not good or self._home < 0:
            return found
        from shared.record import replace

        try:
            os.mkdir(SESSION, 0o700, dir_fd=self._out)
            folder = os.open(SESSION, FOLDER, dir_fd=self._out)
            files, size = self._copy(self._home, folder, keep.session_bytes, self._patterns.match, durable=True)
            os.fsync(self._out)
            os.close(folder)
        except TooMuchError as error:
            return replace(found, ended=True, problem=f"The conversation has {error}; the next run begins a new one.")
        except OSError as error:
            return replace(found, problem=f"The conversation could not be kept ({error.strerror}).")
        if files == 0:  # its id alone leads nowhere: each run that went on by it would fail
            return replace(
                found, ended=True, problem="It left no file of a conversation; the next run begins a new one."
            )
        return replace(found, files=files, bytes=size, kept=True)

    def _copy(
        self, source: int, target: int, most: int, wanted: Callable[[str], bool], *, durable: bool
    ) -> tuple[int, int]:
        """How many files, and their bytes. Raises OSError and TooMuchError."""
        files = size = 0
        until = time.monotonic() + SECONDS
        for path, folder, name in self._listed(source, wanted):
            if path in self._placed:
                continue
            files += 1
            if files > FILES_MOST:
                raise TooMuchError(f"more than {FILES_MOST} files")
            if time.monotonic() > until:
                raise TooMuchError(f"more than can be copied in {SECONDS:.0f} s")
            size += copy_file(folder, name, target, path, most - size, durable=durable)
        if durable:
            sync_folders(target)
        return files, size

    def _listed(self, source: int, wanted: Callable[[str], bool]) -> Iterator[tuple[str, int, str]]:
        """Regular files on the list: path, the open folder that they are in, name. Raises TooMuchError."""
        walk = Walk(ENTRIES_MOST, SECONDS)

        def skip(folder: str, name: str) -> bool:
            return not self._patterns.lead_into(f"{folder}/{name}" if folder else name)

        # By way of the descriptor: `.` is no link, so that not following one stays possible.
        for folder, entries in walk.folders(f"/proc/self/fd/{source}/.", skip):
            for entry in entries:
                # Its name last: to compare a long path takes milliseconds, and there may be many.
                if not entry.is_file(follow_symlinks=False) or walk.is_over():
                    continue
                path = f"{folder}/{entry.name}" if folder else entry.name
                if wanted(path):
                    yield path, walk.here, entry.name
        if walk.cut:
            raise TooMuchError(
                f"more than {ENTRIES_MOST} files and directories beside it, or takes too long to look at"
            )


def folder_of(top: int, path: str) -> tuple[int, str]:
    """The folder that a file is to be in, open, made where it is missing; and the file's name. No link is followed."""
    *folders, name = path.split("/")
    here = os.open(".", FOLDER, dir_fd=top)
    for folder in folders:
        above = here
        try:
            with suppress(FileExistsError):
                os.mkdir(folder, 0o700, dir_fd=above)
            here = os.open(folder, FOLDER, dir_fd=above)
        finally:
            os.close(above)
    return here, name


def write(folder: int, name: str, data: bytes) -> None:
    descriptor = os.open(name, NEW, 0o600, dir_fd=folder)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_regular(top: int, path: str, most: int) -> bytes:
    """A file of somebody hostile. Raises OSError, and TooMuchError for what is no regular file or too large."""
    here = os.open(".", FOLDER, dir_fd=top)
    try:
        for folder in path.split("/")[:-1]:
            inner = os.open(folder, FOLDER, dir_fd=here)
            os.close(here)
            here = inner
        descriptor = os.open(os.path.basename(path), READ, dir_fd=here)
    finally:
        os.close(here)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise TooMuchError("no regular file")
        data = file.read(most + 1)
    if len(data) > most:
        raise TooMuchError(f"more than {most} bytes")
    return data


def copy_file(folder: int, name: str, target: int, path: str, most: int, *, durable: bool) -> int:
    """Its bytes, and nothing else of it: no mode, no owner, no list of access. `most`: how many there may be."""
    source = os.open(name, READ, dir_fd=folder)
    try:
        found = os.fstat(source)
        if not stat.S_ISREG(found.st_mode):
            return 0
        # Before a byte of it: a sparse file costs its owner nothing, and us all that it says it has.
        if found.st_size > most:
            raise TooMuchError("more bytes than are kept of one")
        into, last = folder_of(target, path)
        try:
            copied = os.open(last, NEW, 0o600, dir_fd=into)
        finally:
            os.close(into)
        try:
            return _pour(source, copied, most, durable=durable)
        finally:
            os.close(copied)
    finally:
        os.close(source)


def _pour(source: int, target: int, most: int, *, durable: bool) -> int:
    size = 0
    while part := os.read(source, CHUNK):
        size += len(part)
        if size > most:
            raise TooMuchError("more bytes than are kept of one")
        view = memoryview(part)
        while view:
            view = view[os.write(target, view) :]
    if durable:
        os.fsync(target)
    return size


def sync_folders(top: int) -> None:
    """What we made ourselves: names are on disk only when their folders are."""
    for _folder, _entries in (walk := Walk(ENTRIES_MOST, SECONDS)).folders(f"/proc/self/fd/{top}/."):
        os.fsync(walk.here)
