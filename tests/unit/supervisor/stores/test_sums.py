"""Notes on what histories come to: believed only where they hold, and then as good as the history itself."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.reasons import Reason
from supervisor.reports import past
from supervisor.status import Status, TransitionError
from supervisor.stores import sums
from supervisor.stores.history import Ended, History
from supervisor.stores.home import Home
from supervisor.stores.lock import HomeLock
from supervisor.stores.runs import RunsStore
from supervisor.stores.store import NewerError, StoreError
from supervisor.stores.summary import NOTHING, Summary
from tests.fakes import NOON
from tests.ramdisk import FAST
from tests.records import JOB, MINUTE, file_of, run_of

STATE, SIZE = (1, 2, 3, 4), sums.Size(5, 6, 7)


@pytest.fixture
def home() -> Iterator[Home]:
    with tempfile.TemporaryDirectory(dir=FAST) as root:
        yield Home(Path(root) / "h")


def history(home: Home, runs: int = 3) -> RunsStore:
    store = RunsStore(home)
    for number in range(runs):
        store.record(run_of(number, Status.COMPLETED, reason=Reason.OK))
    return store


def state_of(home: Home) -> sums.State:
    return sums.state_of(file_of(home).stat())


def forge(home: Home, runs: int = 4711, live: tuple[tuple[str, str], ...] = ()) -> None:
    """A note that holds and does not tell the truth: whoever believes it has not read the history."""
    forged = Summary(run_count=runs, last_status=Status.FAILED).model_dump_json().encode()
    sums.write(home.sums / JOB, state_of(home), forged, live, SIZE)


def reshape(note: Path, part: bytes, other: bytes) -> None:
    """With something else in the place of this part, and a checksum that is right."""
    body = note.read_bytes().partition(b" ")[2].rstrip()
    assert part in body
    body = body.replace(part, other)
    note.write_bytes(sums._checksum(body) + b" " + body + b"\n")


def test_a_note_holds_for_one_state_of_its_file(tmp_path: Path) -> None:
    sums.write(tmp_path / "n", STATE, b'{"last_error":"Too late."}', [("queued", "x")], SIZE)
    assert sums.read(tmp_path / "n", STATE) == ({"last_error": "Too late."}, [["queued", "x"]], SIZE)
    for place in range(4):
        assert sums.read(tmp_path / "n", (*STATE[:place], 9, *STATE[place + 1 :])) is None, place
    assert sums.read(tmp_path / "nothing", STATE) is None
    assert (tmp_path / "n").stat().st_mode & 0o777 == 0o600


def test_a_shorter_note_covers_a_longer_one(tmp_path: Path) -> None:
    for text in ("x" * 500, "y"):
        sums.write(tmp_path / "n", STATE, f'"{text}"'.encode(), (), SIZE)
        assert sums.read(tmp_path / "n", STATE) == (text, [], SIZE)


def test_whatever_tears_a_note_it_is_not_believed(tmp_path: Path) -> None:
    sums.write(tmp_path / "n", STATE, b'{"run_count":17}', (), SIZE)
    whole = (tmp_path / "n").read_bytes()
    torn = [whole[:length] for length in range(len(whole) - 1)]
    torn += [whole[:place] + b"7" + whole[place + 1 :] for place in range(len(whole) - 1) if whole[place] != ord("7")]
    for data in (*torn, b"\0" * len(whole), b"\n", b"00000000 \n", b"d202ef8d \n"):
        (tmp_path / "n").write_bytes(data)
        assert sums.read(tmp_path / "n", STATE) is None, data


SHAPES = [
    *((b"[5, 6, 7]", size) for size in (b"[1,2]", b"[1,2,3,4]", b'"abc"', b"null", b'["x",1,1]', b"[1e999,1,0]")),
    *((b"[]", live) for live in (b"7", b"null", b'"x"', b"{}", b"[7]", b"[[]]", b'[["running"]]', b'["ab"]')),
    (b'{"run_count":17}', b"[" * 30_000 + b"]" * 30_000),
]


@pytest.mark.parametrize(("part", "other"), SHAPES)
def test_a_note_of_another_shape_is_not_believed(tmp_path: Path, part: bytes, other: bytes) -> None:
    sums.write(tmp_path / "n", STATE, b'{"run_count":17}', (), SIZE)
    reshape(tmp_path / "n", part, other)
    assert sums.read(tmp_path / "n", STATE) is None


@pytest.mark.parametrize("count", [b"1e999", b'"many"', b"null", b"{}"])
def test_a_note_whose_summary_has_another_shape_is_not_shown(home: Home, count: bytes) -> None:
    history(home)
    reshape(home.sums / JOB, b'"run_count":3', b'"run_count":' + count)
    assert past.noted(home, [JOB]) == [None]
    assert RunsStore(home).summary(JOB).run_count == 3


def test_a_note_is_read_instead_of_its_history_and_says_the_same(home: Home) -> None:
    store = history(home)
    whole = store.summary(JOB)
    assert RunsStore(home).summary(JOB) == whole
    assert past.noted(home, [JOB]) == [past.of(whole)]
    forge(home)
    assert RunsStore(home).summary(JOB).run_count == 4711
    assert [found and found.runs for found in past.noted(home, [JOB])] == [4711]
    assert RunsStore(home).unfinished() == []


def steps() -> Iterator[tuple[str, Callable[[RunsStore], object]]]:
    """What becomes of a history, one after the other."""
    running = run_of(50, Status.RUNNING)
    yield "a claim", lambda store: store.record(running)
    failed = {"status": Status.FAILED, "reason": Reason.AGENT_ERROR}
    yield "a failure", lambda store: store.record(run_of(51, **failed, error="\u202e"))
    yield "no text", lambda store: store.record(run_of(53, **failed, error="\ud800"))
    yield "a skip", lambda store: store.record(run_of(52, Status.SKIPPED, reason=Reason.OVERLAP))
    yield "an end", lambda store: store.record(running.moved(Status.COMPLETED, reason=Reason.OK))
    yield "a compaction", lambda store: [store.record(run_of(number, Status.COMPLETED)) for number in range(60, 160)]
    yield "records that expire", lambda store: store.expire(JOB, NOON + 90 * MINUTE)
    yield "a run after that", lambda store: store.record(run_of(200, Status.FAILED, reason=Reason.AGENT_ERROR))


def test_after_each_change_note_and_history_say_the_same(home: Home) -> None:
    store = RunsStore(home, keep=5)
    store.record(run_of(1, Status.COMPLETED))
    for what, change in steps():
        change(store)
        assert (home.sums / JOB).read_bytes().isascii(), what
        seen = RunsStore(home, keep=5).summary(JOB), [run.id for run in RunsStore(home, keep=5).unfinished()]
        short, live = past.noted(home, [JOB])[0], RunsStore(home, keep=5).live_of(JOB)
        (home.sums / JOB).unlink(missing_ok=True)
        assert seen[0] == RunsStore(home, keep=5).summary(JOB), what
        assert seen[1] == (["run-0050"] if what in ("a claim", "a failure", "no text", "a skip") else []), what
        assert short == past.of(seen[0], live), what
        with HomeLock(home):
            RunsStore(home, keep=5).quarantine()  # notes it anew


def test_a_history_that_its_note_tells_of_is_appended_to_unread(home: Home) -> None:
    history(home)
    forge(home)
    running = run_of(50, Status.RUNNING)
    store = RunsStore(home)
    for run, count in ((running, 4712), (running.moved(Status.FAILED, reason=Reason.AGENT_ERROR), 4712)):
        store.record(run)
        assert store.summary(JOB).run_count == RunsStore(home).summary(JOB).run_count == count
    assert len(store.get_runs(JOB)) == 4, "and read where somebody asks for what is in it"
    assert store.summary(JOB).run_count == 4


def test_what_ends_without_having_begun_is_looked_up_among_all_that_there_is(home: Home) -> None:
    history(home)
    with pytest.raises(TransitionError, match="run-0001 is completed"):
        RunsStore(home).record(run_of(1, Status.FAILED, reason=Reason.AGENT_ERROR))


def test_a_run_that_goes_on_has_its_history_read_for_its_end(home: Home) -> None:
    history(home)
    running = run_of(50, Status.RUNNING)
    RunsStore(home).record(running)
    forge(home, live=(("running", NOON.isoformat()),))
    store = RunsStore(home)
    store.record(running.moved(Status.COMPLETED, reason=Reason.OK))
    assert store.summary(JOB).run_count == 4


ENDS = [status for status in Status if status.final]


@settings(max_examples=4, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([*ENDS, Status.RUNNING]), st.integers(0, 2), st.booleans()),
        min_size=45,
        max_size=60,
    )
)
def test_a_writer_that_goes_by_notes_leaves_what_one_leaves_that_knows_all(
    steps: list[tuple[Status, int, bool]],
) -> None:
    with tempfile.TemporaryDirectory(dir=FAST) as root:
        one, other = Home(Path(root) / "one"), Home(Path(root) / "other")
        store = RunsStore(other, keep=3)
        for number, (status, records, anew) in enumerate(steps):
            store = RunsStore(other, keep=3) if anew else store
            begun = [run_of(number, Status.QUEUED), run_of(number, Status.RUNNING)][2 - records :]
            for run in (*begun, run_of(number, status)):
                store.record(run)
                (one.sums / JOB).unlink(missing_ok=True)
                RunsStore(one, keep=3).record(run)
            assert file_of(one).read_bytes() == file_of(other).read_bytes()
            with file_of(other).open("rb") as file:
                read = History.read(file_of(other), JOB, 3, file)
            assert (note := told(other)) is not None
            assert note.size == (read.lines, *read.ended)


def test_a_note_counts_the_lines_that_a_compaction_leaves(home: Home) -> None:
    store, sizes = RunsStore(home, keep=3), list[int]()
    for number in range(40):
        for run in (run_of(number, Status.RUNNING), run_of(number, Status.COMPLETED)):
            store.record(run)
            note = told(home)
            assert note is not None
            sizes.append(note.size.lines)
            assert sizes[-1] == len(file_of(home).read_bytes().splitlines()) - 1
    assert max(sizes) > sizes[-1], "there was one"


def test_whoever_goes_by_a_note_remembers_no_more_runs_than_are_kept() -> None:
    grown = History.resumed(JOB, 3, 0, 10, Ended(3, 1), NOTHING)
    for number in range(20):
        grown.take(run_of(number, Status.COMPLETED), number, 1)
        assert (grown.kept, grown.weight) == (4, min(number + 1, 3) + 1)


def told(home: Home) -> sums.Note | None:
    return sums.read(home.sums / JOB, state_of(home))


def until_noticed(change: Callable[[Path], object]) -> Callable[[Path], None]:
    """The kernel's clock for files ticks every few milliseconds."""

    def changed(path: Path) -> None:
        before = path.stat().st_ctime_ns
        while path.stat().st_ctime_ns == before:
            change(path)

    return changed


OTHER: dict[str, Callable[[Path], object]] = {
    "more in it": lambda path: path.write_bytes(path.read_bytes() + path.read_bytes().splitlines(keepends=True)[-1]),
    "a copy of it": lambda path: (copy := path.with_name("x")).write_bytes(path.read_bytes()) and copy.rename(path),
    "its time set": until_noticed(lambda path: os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))),
    "another permission": until_noticed(lambda path: path.chmod(0o400)),
    "nothing in it": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("what", OTHER)
def test_a_history_in_another_state_is_read_itself(home: Home, what: str) -> None:
    history(home)
    forge(home)
    OTHER[what](file_of(home))
    assert past.noted(home, [JOB]) == [None]
    try:
        assert RunsStore(home).summary(JOB).run_count == 3
    except StoreError:
        assert what == "nothing in it"


def test_a_history_of_a_later_form_is_refused_whatever_its_writer_noted(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    history(home)
    file_of(home).write_bytes(file_of(home).read_bytes().replace(b'"version":1', b'"version":2', 1))
    with monkeypatch.context() as later:
        later.setattr(sums, "FORMAT_VERSION", 2, raising=False)
        forge(home)
        assert told(home) is not None
    assert past.noted(home, [JOB]) == [None]
    with pytest.raises(NewerError, match="version 2"):
        RunsStore(home).summary(JOB)
    with pytest.raises(NewerError, match="version 2"):
        RunsStore(home).record(run_of(50, Status.RUNNING))


def test_damage_is_never_noted(home: Home) -> None:
    history(home)
    lines = file_of(home).read_bytes().split(b"\n")
    file_of(home).write_bytes(b"\n".join([*lines[:2], b"{garbage", *lines[3:]]))
    (home.sums / JOB).unlink()
    store = RunsStore(home)
    with HomeLock(home):
        store.summary(JOB)
        assert not (home.sums / JOB).exists()
        store.quarantine()  # keeps what is good of it
    assert RunsStore(home).summary(JOB).run_count == 2


def test_who_only_reads_notes_nothing_and_who_starts_notes_what_is_not_noted(home: Home) -> None:
    history(home)
    (home.sums / JOB).unlink()
    with HomeLock(home):
        RunsStore(home).summary(JOB)
        RunsStore(home).unfinished()
        assert list(home.sums.iterdir()) == []
        RunsStore(home).quarantine()
    before = sums.state_at(home.sums / JOB)  # without when it was read last, which is later each time
    assert [found and found.runs for found in past.noted(home, [JOB])] == [3]
    with HomeLock(home):
        RunsStore(home).quarantine()
    assert sums.state_at(home.sums / JOB) == before


def test_a_note_that_cannot_be_made_stops_no_run(home: Home) -> None:
    history(home)
    (home.sums / JOB).unlink()
    home.sums.rmdir()
    history(home, 4)
    assert RunsStore(home).summary(JOB).run_count == 4


def test_a_sum_that_is_no_text_is_not_noted_and_stops_no_run(home: Home) -> None:
    RunsStore(home).record(run_of(1, Status.RUNNING))
    file_of(home).write_bytes(file_of(home).read_bytes().replace(b'"last_error":""', b'"last_error":"\\ud83d"', 1))
    RunsStore(home).record(run_of(2, Status.RUNNING))
    assert past.noted(home, [JOB]) == [None]
    assert RunsStore(home).summary(JOB).run_count == 2


def test_a_history_that_goes_takes_its_note_along(home: Home) -> None:
    store = history(home)
    assert store.expire(JOB, NOON + 999 * MINUTE, whole=True) == 3
    assert list(home.sums.iterdir()) == list(home.runs.iterdir()) == []


def test_a_start_looks_at_every_history_whatever_is_noted(home: Home) -> None:
    history(home)
    lines = file_of(home).read_bytes().split(b"\n")
    file_of(home).write_bytes(b"\n".join([*lines[:2], b"{garbage", *lines[3:]]))
    forge(home)
    store = RunsStore(home)
    with HomeLock(home):
        assert [damage.moved_to is not None for damage in store.quarantine()] == [True]
    assert store.summary(JOB).run_count == 2


def test_a_history_that_was_just_compacted_is_noted(home: Home) -> None:
    store, size = RunsStore(home, keep=1), 0
    for number in range(200):
        store.record(run_of(number, Status.COMPLETED, reason=Reason.OK))
        if file_of(home).stat().st_size < size:
            break
        size = file_of(home).stat().st_size
    assert number < 199
    assert [found and found.runs for found in past.noted(home, [JOB])] == [number + 1]
