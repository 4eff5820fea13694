"""Before there is an agent: what the runner takes for a request, and what it says where no cell can be had."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from runner import init
from shared import wire
from shared.messages import Cell, RunAs
from tests.driver import Driven, eventually, execute, limits, marker, request, run_as, survivors
from tests.lacks import need


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (b"nonsense\n", "not JSON"),
        (b"[1]\n", "not an object"),
        (b"{}\n", "not one of version"),
        (b'{"version": 1, "agent": 7, "cell": {}}\n', "not one of version"),
        (b"x" * (wire.MAX_LINE + 10) + b"\n", "longer than"),
    ],
)
def test_what_is_no_request_has_its_own_exit_code_and_a_sentence(line: bytes, word: str) -> None:
    with Driven(line) as driven:
        assert driven.exit_code() == 3
        said = driven.diagnostics()
        assert driven.messages == []
    assert word in said
    assert "Traceback" not in said


def test_a_request_of_another_version_is_refused(log_dir: Path) -> None:
    data = asdict(request(log_dir, "true")) | {"version": 99}
    with Driven(wire.encode(data)) as driven:
        assert driven.exit_code() == 3
        assert "version 99" in driven.diagnostics()


def test_a_supervisor_that_ends_before_it_asks_is_no_error() -> None:
    with Driven(b"") as driven:
        driven.hang_up()
        assert driven.exit_code() == 4
        assert "Traceback" not in driven.diagnostics()


def test_half_a_request_is_none() -> None:
    with Driven(b'{"version": 1,') as driven:
        driven.hang_up()
        assert driven.exit_code() == 4


def cell(**changes: object) -> Cell:
    return replace(Cell(run_as=run_as()), **changes)  # type: ignore[arg-type]


def test_without_bubblewrap_the_repair_is_named(log_dir: Path) -> None:
    result = execute(request(log_dir, "true", cell=cell(bwrap="/usr/bin/no-bwrap")))
    assert result["reason"] == "sandbox_unavailable"
    assert "apt-get install bubblewrap" in result["error"]


def fake_bwrap(path: Path, script: str) -> str:
    path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && {{ echo bubblewrap 0.9.0; exit; }}\n{script}\n')
    path.chmod(0o755)
    for outer in (path.parent, path.parent.parent):
        if outer.stat().st_uid == os.geteuid() and os.geteuid() != 0:
            outer.chmod(0o755)
    return str(path)


def test_bubblewraps_own_words_are_kept(log_dir: Path, tmp_path: Path) -> None:
    bwrap = fake_bwrap(tmp_path / "bwrap", "echo 'bwrap: the moon is wrong' >&2; exit 1")
    result = execute(request(log_dir, "true", cell=cell(bwrap=bwrap)))
    assert result["reason"] == "sandbox_unavailable"
    assert "bwrap: the moon is wrong" in result["error"]
    assert not any(message == "started" for message in result)


def test_what_a_dying_bubblewrap_leaves_is_swept_before_the_result(log_dir: Path, tmp_path: Path) -> None:
    mark = marker()
    bwrap = fake_bwrap(tmp_path / "bwrap", f"setsid setsid sleep {mark} >/dev/null 2>&1 & sleep 2; exit 1")
    with Driven(request(log_dir, "true", cell=cell(bwrap=bwrap))) as driven:
        eventually(lambda: survivors(mark))
        assert driven.result()["reason"] == "sandbox_unavailable"
        assert survivors(mark) == []


def test_an_old_bubblewrap_is_refused(log_dir: Path, tmp_path: Path) -> None:
    old = tmp_path / "bwrap"
    old.write_text("#!/bin/sh\necho bubblewrap 0.6.1\n")
    old.chmod(0o755)
    result = execute(request(log_dir, "true", cell=cell(bwrap=str(old))))
    assert result["reason"] == "sandbox_unavailable"
    assert "0.6.1" in result["error"]


def test_a_cell_that_never_stands_ends_at_its_deadline_with_all_that_it_started(log_dir: Path, tmp_path: Path) -> None:
    mark = marker()
    deaf = f"setsid sh -c \"trap '' TERM; sleep {mark}2\""
    script = f"trap '' TERM INT HUP; setsid setsid sleep {mark}1 & {deaf} & sleep {mark}3"
    bwrap = fake_bwrap(tmp_path / "bwrap", script)
    hanging = request(log_dir, "true", cell=cell(bwrap=bwrap), limits=limits(setup_seconds=3.0))
    with Driven(hanging) as driven:
        eventually(lambda: len(survivors(mark)) >= 3, within=10)
        result = driven.result()
        assert survivors(mark) == []
    assert (result["reason"], result["usage"]) == ("timeout_setup", None)
    assert "within 3 s" in result["error"]
    assert result["duration"] < 10e9


def test_a_wrapper_that_confines_nothing_gets_no_agent(log_dir: Path, tmp_path: Path) -> None:
    """The layers are looked at from inside, before the agent's command is even told."""
    script = 'shift $(($# - 4)); exec unshare -r --pid --fork --kill-child "$1" -I -S ' + init.__file__
    bwrap = fake_bwrap(tmp_path / "bwrap", script)
    result = execute(request(log_dir, "touch", str(tmp_path / "escaped"), cell=cell(bwrap=bwrap)))
    assert result["reason"] == "sandbox_unavailable"
    assert "network namespace" in result["error"]
    assert "pid namespace" not in result["error"]
    assert not (tmp_path / "escaped").exists()


@need("root")
def test_no_agent_runs_as_root(log_dir: Path) -> None:
    for ids in (None, RunAs(uid=0, gid=0), RunAs(uid=1_900_000_000, gid=0)):
        result = execute(request(log_dir, "true", cell=Cell(run_as=ids)))
        assert (result["reason"], "root" in result["error"]) == ("bad_definition", True)
        for left in log_dir.iterdir():
            left.unlink()


@need("root", "cell")
def test_root_becomes_the_uid_that_was_asked_for_outside_too(log_dir: Path) -> None:
    ids = run_as()
    assert ids is not None
    with Driven(request(log_dir, "sleep", "20")) as driven:
        started = driven.wait_for("started")
        for pid in (driven.process.pid, started["pid"]):
            fields = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
            assert fields["Uid"].split() == [str(ids.uid)] * 4
            assert fields["Gid"].split() == [str(ids.gid)] * 4
            assert fields["Groups"].strip() == ""
            assert int(fields["CapEff"], 16) == 0
        driven.stop()
        assert driven.result()["reason"] == "canceled_by_user"


@need("root", "cell")
def test_an_interpreter_behind_a_wall_and_a_link_works(log_dir: Path, tmp_path: Path) -> None:
    """As tools lay them out below root's home: the link is how the interpreter names its own library."""
    wall = tmp_path / "wall"
    wall.mkdir(mode=0o700)
    (wall / "3.x").symlink_to(sys.base_prefix)
    (wall / "secret").write_text("secret")
    python = wall / "3.x" / "bin" / f"python3.{sys.version_info[1]}"
    result = execute(
        request(log_dir, "echo", "[]", output_format="structured", output_schema='{"type": "array"}'),
        python=str(python),
    )
    assert (result["reason"], result["error"]) == ("ok", "")


@need("user")
def test_an_ordinary_user_cannot_run_as_another(log_dir: Path) -> None:
    result = execute(request(log_dir, "true", cell=Cell(run_as=RunAs(uid=os.getuid() + 1, gid=os.getgid()))))
    assert result["reason"] == "bad_definition"


@need("cell")
def test_a_result_is_kept_that_nobody_reads(log_dir: Path) -> None:
    with Driven(request(log_dir, "echo", "x" * 2000, response_bytes=100_000)) as driven:
        driven.exit_code()
        assert driven.result()["reason"] == "ok"
    assert json.loads((log_dir / "result.json").read_text())["reason"] == "ok"
