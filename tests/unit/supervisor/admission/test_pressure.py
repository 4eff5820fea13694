"""Whether the host has room for one more run."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.admission.pressure import Pressure, Room, busy, read, short_of_disk
from supervisor.config import Config

MIB = 1 << 20
STRICT = Config(min_available_memory=512 * MIB, max_memory_pressure=20, max_cpu_pressure=80)
OFF = Config(min_available_memory=0, max_memory_pressure=0, max_cpu_pressure=0)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Pressure(512 * MIB, 20.0, 80.0), ""),
        (Pressure(512 * MIB - 1, 0.0, 0.0), "511MiB of memory are available, 512MiB must be"),
        (Pressure(9999 * MIB, 20.01, 0.0), "wait for memory 20.01 % of the time, 20 % is the most"),
        (Pressure(9999 * MIB, 0.0, 81.0), "wait for a CPU 81 % of the time, 80 % is the most"),
        (Pressure(), ""),  # a host that does not say keeps nobody waiting
    ],
)
def test_a_host_is_busy_or_not(found: Pressure, words: str) -> None:
    assert words in busy(found, STRICT)
    assert bool(busy(found, STRICT)) == bool(words)
    assert busy(found, OFF) == ""


def test_it_is_read_from_three_files_as_far_as_the_settings_ask(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    2048 kB\n")
    (tmp_path / "pressure").mkdir()
    (tmp_path / "pressure" / "memory").write_text("some avg10=1.50 avg60=9.00 avg300=9 total=9\nfull avg10=7.00 x\n")
    (tmp_path / "pressure" / "cpu").write_text("some avg10=25.00 avg60=9.00 avg300=9 total=9\n")
    assert read(STRICT, tmp_path) == Pressure(2 * MIB, 1.5, 25.0)
    assert read(OFF, tmp_path) == Pressure()
    assert read(Config(min_available_memory=0), tmp_path) == Pressure(memory=1.5)


def test_what_is_not_there_is_not_known(tmp_path: Path) -> None:
    assert read(STRICT, tmp_path) == Pressure()


def test_this_host_says_how_much_memory_it_has() -> None:
    assert (read(STRICT).available or 0) > 1 << 20


def test_a_disk_must_keep_some_room_for_whoever_writes_there(tmp_path: Path) -> None:
    assert short_of_disk(str(tmp_path), Config(disk_floor=0)) == ""
    assert short_of_disk(str(tmp_path), Config(disk_floor=1)) == ""
    assert short_of_disk(str(tmp_path / "nothing"), Config(disk_floor=1 << 50)) == ""
    for no_path in ("/tmp/a\x00b", "/tmp/\ud800"):
        assert short_of_disk(no_path, Config(disk_floor=1 << 50)) == ""
    words = short_of_disk(str(tmp_path), Config(disk_floor=1 << 50))
    assert words.startswith("the host is busy: ")
    assert words.endswith(f"of disk are left where {tmp_path} lies, 1024TiB must stay")


def test_one_disk_that_is_full_keeps_only_those_waiting_that_write_there() -> None:
    room = Room(lambda: "", lambda place: "full" if place == "/full" else "")
    assert [room.look("/full"), room.look("/other"), room.look()] == ["full", "", ""]
    assert room.ask_again
    room.begin_turn()
    assert [room.look(), room.ask_again] == ["", False]


def test_who_waits_for_a_check_is_looked_at_again_though_nothing_tells_its_end() -> None:
    room = Room(lambda: "", trial=lambda agent: agent == "claude")
    assert [room.on_trial("codex"), room.ask_again, room.on_trial("claude"), room.ask_again] == [
        False,
        False,
        True,
        True,
    ]
    assert room.on_trial("codex") is False
    assert room.ask_again
    room.begin_turn()
    assert not room.ask_again


def test_a_host_that_was_busy_once_stays_so_for_the_turn() -> None:
    answers = iter(["busy", ""])
    room = Room(lambda: next(answers))
    assert [room.look("/a"), room.look("/b"), room.ask_again] == ["busy", "busy", True]
    room.begin_turn()
    assert room.look("/a") == ""
