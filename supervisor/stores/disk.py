"""The three ways in which the stores change what is on disk: a simulation takes this one's place to fail in each."""

from __future__ import annotations

from pathlib import Path

from supervisor.stores.store import append_line, failure, sync_dir, write_atomic


class Disk:
    """The real one. Each change is durable on return. Raises StoreError where it cannot be made."""

    def append(self, path: Path, line: bytes) -> int:
        """Append one line with its newline, and say at which byte it begins. A torn tail is cut first."""
        return append_line(path, line)

    def replace(self, path: Path, data: bytes) -> None:
        """Put these bytes in the place of the whole file: the old or the new ones are there, never a part."""
        write_atomic(path, data)

    def remove(self, path: Path) -> None:
        """Remove the file; that it is gone already is no fault. Its directory is still to be synced."""
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise failure("removed", path, error) from None

    def sync_dir(self, directory: Path) -> None:
        """Make a removal durable."""
        sync_dir(directory)


REAL = Disk()
