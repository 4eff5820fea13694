"""A run's cgroup as the runner uses it, on a folder that looks like one."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.ending import Cause, Ending, Used
from runner.leaf import Leaf, parse_keyed
from runner.refusal import RefusalError
from runner.report import Report
from runner.tally import Tally
from shared.reasons import Reason
from tests.driver import limits

FILES = {
    "cgroup.procs": "",
    "cgroup.kill": "",
    "memory.current": "4096\n",
    "memory.peak": "8192\n",
    "memory.events": "low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\noom_group_kill 1\n",
    "pids.current": "3\n",
    "pids.peak": "7\n",
    "pids.events": "max 2\n",
    "cpu.stat": "usage_usec 1500000\nuser_usec 1\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_init_is_put_in(folder: Path) -> None:
    Leaf(str(folder)).take(4711)
    assert (folder / "cgroup.procs").read_text() == "4711"


def test_a_leaf_that_is_not_there_is_no_cell(tmp_path: Path) -> None:
    with pytest.raises(RefusalError, match="cgroup cannot be used") as refused:
        Leaf(str(tmp_path))
    assert refused.value.reason is Reason.SANDBOX_UNAVAILABLE


def test_everything_in_it_is_killed_by_one_write(folder: Path) -> None:
    Leaf(str(folder)).kill()
    assert (folder / "cgroup.kill").read_text() == "1"


def test_what_it_uses_is_what_the_kernel_counts(folder: Path) -> None:
    leaf = Leaf(str(folder))
    assert leaf.sample(0) == (4096, 3, 1.5)
    assert leaf.used(Used(memory=9000, processes=5, cpu_seconds=2.0)) == Used(9000, 7, 2.0, refused=2)


def test_older_kernels_keep_no_peaks(folder: Path) -> None:
    (folder / "memory.peak").unlink()
    (folder / "pids.peak").unlink()
    assert Leaf(str(folder)).used(Used(memory=9000, processes=5)) == Used(9000, 5, 1.5, refused=2)


def ending(*lines: bytes, cause: Cause | None = None) -> Ending:
    report = Report()
    for line in lines:
        report.take(line)
    return Ending(report, cause)


def test_a_cell_that_the_kernel_ended_was_out_of_memory(folder: Path) -> None:
    settled = Tally(limits(memory_bytes=64 << 20), Leaf(str(folder))).settle(ending(b"started"))
    assert settled.cause is not None
    assert settled.cause.reason is Reason.OUT_OF_MEMORY
    assert "64 MiB" in settled.cause.error
    assert settled.used.refused == 2


def test_the_first_cause_stands(folder: Path) -> None:
    told = Cause(Reason.CANCELED_BY_USER, "")
    assert Tally(limits(), Leaf(str(folder))).settle(ending(cause=told)).cause == told


def test_an_agent_that_had_ended_by_itself_was_not_ended_by_the_kernel(folder: Path) -> None:
    assert Tally(limits(), Leaf(str(folder))).settle(ending(b"exited 0 0")).cause is None


def test_without_a_kill_for_memory_the_cause_is_another(folder: Path) -> None:
    (folder / "memory.events").write_text("max 12\noom 0\noom_kill 0\n")
    assert Tally(limits(), Leaf(str(folder))).settle(ending(b"started")).cause is None


def test_a_second_cell_in_it_is_not_judged_by_the_first(folder: Path) -> None:
    """The work of a run that met a limit is offered by further cells in the same leaf."""
    leaf = Leaf(str(folder))
    tally = Tally(limits(cpu_seconds=2), leaf)
    tally.begin(4711, 1)
    assert tally.settle(ending(b"started")).cause is None
    assert leaf.sample(0).cpu_seconds == leaf.used(Used()).cpu_seconds == leaf.used(Used()).refused == 0
    (folder / "cpu.stat").write_text("usage_usec 1750000\n")
    (folder / "pids.events").write_text("max 3\n")
    (folder / "memory.events").write_text("oom 2\noom_kill 2\n")
    assert (leaf.sample(0).cpu_seconds, leaf.used(Used()).refused) == (0.25, 1)
    assert tally.settle(ending(b"started")).cause is not None


def test_a_cell_that_cannot_be_seen_cannot_be_limited() -> None:
    with pytest.raises(RefusalError, match="not to be seen in /proc") as refused:
        Tally(limits(), None).begin(1, 4711)
    assert refused.value.reason is Reason.SANDBOX_UNAVAILABLE


def test_lines_that_are_no_pairs_are_passed_over() -> None:
    assert parse_keyed(b"some avg10=0.00 total=0\nmax 3\n\nlow x\n") == {"max": 3}
