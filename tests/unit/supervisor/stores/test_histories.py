"""What is remembered of the files of runs, and when they are read again."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from supervisor.errors import StoreError
from supervisor.status import Status
from supervisor.stores.disk import Disk
from supervisor.stores.history import History
from supervisor.stores.home import Home
from supervisor.stores.runs import RunsStore
from tests.fakes import NOON
from tests.ramdisk import FAST
from tests.records import JOB, run_of


class _Refusing(Disk):
    """Leaves so many bytes of a line, and says that it cannot be written."""

    left: int | None = None

    def append(self, path: Path, line: bytes) -> int:
        if self.left is None:
            return super().append(path, line)
        with path.open("ab") as file:
            file.write(line[: self.left])
        raise StoreError("No space left on device.")


@pytest.mark.parametrize(
    ("left", "read_again"), [(0, False), (5, False), (1 << 20, True)], ids=["none of it", "a part", "all, not synced"]
)
def test_a_history_is_read_again_only_if_a_whole_line_got_there_though_it_was_refused(
    left: int, read_again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = 0
    really = History.read

    def read(*given: object) -> History:
        nonlocal reads
        reads += 1
        return really(*given)  # type: ignore[arg-type]

    with tempfile.TemporaryDirectory(dir=FAST) as root:
        disk = _Refusing()
        store = RunsStore(Home(Path(root) / "h"), disk=disk)
        run = run_of(1, Status.QUEUED)
        store.record(run)
        monkeypatch.setattr(History, "read", read)
        disk.left = left
        for _ in range(3):
            with pytest.raises(StoreError):
                store.record(run.moved(Status.RUNNING, started_at=NOON))
        found = store.get_runs(JOB)
        assert (reads > 0, found[0].status is Status.RUNNING) == (read_again, read_again)
        disk.left = None
        store.record(run_of(2, Status.QUEUED))
        assert len(RunsStore(store.home).get_runs(JOB)) == 2
