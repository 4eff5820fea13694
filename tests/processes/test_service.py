"""`cronward service`: with crontab and systemctl as programs of a few lines, and a real supervisor behind them."""

from __future__ import annotations

import json
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from supervisor.errors import CronwardError, RefusedError
from supervisor.keeping.cronkeeper import CronKeeper
from supervisor.keeping.startline import StartLine
from supervisor.keeping.systemctl import Instance, SystemdKeeper
from supervisor.keeping.unit import unit
from supervisor.stores.home import Home
from supervisor.stores.lock import read_info
from tests.house import CHECKOUT, eventually
from tests.lacks import need

WITHIN = 90.0
THEIRS = "MAILTO=ada\nPATH=/nowhere\n5 4 * * * backup 100\\%\n"
CRONTAB = """#!/bin/sh
case "$1" in
-l) [ -f "$0.table" ] || { echo "no crontab for ada" >&2; exit 1; }; cat "$0.table" ;;
-) cat > "$0.new"; [ ! -f "$0.broken" ] || { echo 'errors in crontab file' >&2; exit 1; }; mv "$0.new" "$0.table" ;;
esac
"""
SYSTEMCTL = """#!/bin/sh
echo "$*" >> "$0.calls"
case "$*" in
*" show "*) cat "$0.show" ;;
*enable*) [ ! -f "$0.broken" ] || { echo 'Job for cronward.service failed.' >&2; exit 1; }
esac
"""
PROGRAM = f"""#!{sys.executable}
import sys
sys.path.insert(0, {str(CHECKOUT)!r})
from supervisor.__main__ import main
sys.exit(main())
"""


class Owner:
    """Somebody with a bin folder, in which `cronward` lies, and a crontab."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin 50%"
        self.bin.mkdir()
        self.home = Home(folder / "home")
        self.environ = {"HOME": str(folder), "PATH": f"{self.bin}:/usr/bin:/bin"}
        self.program("cronward", PROGRAM)

    def program(self, name: str, text: str) -> Path:
        path = self.bin / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def run(self, *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
        argv = [str(self.bin / "cronward"), "--home", str(self.home.root), *args]
        return subprocess.run(
            argv, env={**self.environ, **environ}, capture_output=True, text=True, timeout=WITHIN, check=False
        )

    @property
    def table(self) -> Path:
        return self.bin / "crontab.table"


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Owner]:
    made = Owner(tmp_path)
    try:
        yield made
    finally:
        info = read_info(made.home)
        if info is not None:
            os.kill(info.pid, signal.SIGKILL)


def as_cron_would(table: str, line: int) -> list[str]:
    """The command of a line: what follows the time, its \\% as %, for /bin/sh."""
    row = table.splitlines()[line]
    return ["/bin/sh", "-c", row.removeprefix("*/5 * * * * ").removeprefix("@reboot ").replace("\\%", "%")]


def test_cron_keeps_a_supervisor_and_nothing_else_of_the_crontab_changes(owner: Owner) -> None:
    owner.program("crontab", CRONTAB)
    owner.table.write_text(THEIRS)
    done = owner.run("service", "install", "--cron", "--json", CRONWARD_HISTORY="3")
    kept = json.loads(done.stdout)
    info = read_info(owner.home)
    assert info is not None
    assert (kept["by"], kept["installed"], kept["pid"]) == ("cron", True, info.pid)
    table = owner.table.read_text()
    assert table.startswith(THEIRS)
    assert len(table.splitlines()) == len(THEIRS.splitlines()) + 4
    again = owner.run("service", "install", "--cron", CRONWARD_HISTORY="3")
    assert again.returncode == 0
    assert "CRONWARD_HISTORY is set in this shell alone" in again.stderr
    assert owner.table.read_text() == table

    os.kill(info.pid, signal.SIGKILL)
    eventually(lambda: read_info(owner.home) is None, WITHIN)
    for line in (-2, -3):  # the five minutes' line starts another; the one for boot finds it
        subprocess.run(as_cron_would(table, line), env={"HOME": owner.environ["HOME"]}, timeout=WITHIN, check=True)
    newer = read_info(owner.home)
    assert newer is not None
    assert newer.pid != info.pid
    assert psutil.Process(newer.pid).environ()["PATH"] == owner.environ["PATH"]

    gone = owner.run("service", "uninstall")
    assert gone.returncode == 0
    assert f"process {newer.pid}, goes on" in gone.stdout
    assert owner.table.read_text() == THEIRS
    assert owner.run("service", "uninstall").returncode == 3
    assert owner.run("service", "status").returncode == 3


def test_a_crontab_that_cannot_be_read_or_written_is_not_written_over(tmp_path: Path) -> None:
    program = Owner(tmp_path).program("crontab", CRONTAB)

    def keeper() -> CronKeeper:
        return CronKeeper(str(program), Home(tmp_path), lambda: pytest.fail("not asked for"), lambda: 1)

    program.write_text("#!/bin/sh\necho 'you are not allowed to use this program' >&2; exit 1\n")
    with pytest.raises(CronwardError, match="cannot be read: you are not allowed"):
        keeper().install()
    program.write_text(f"#!/bin/sh\nhead -c {2 << 20} /dev/zero\n")
    with pytest.raises(CronwardError, match="more than"):
        keeper().uninstall()


def test_a_crontab_that_is_refused_stays_and_no_daemon_is_said(tmp_path: Path) -> None:
    program = Owner(tmp_path).program("crontab", CRONTAB)
    home = Home(tmp_path)
    block = b"# >>> cronward service: %a >>>\nx\n# <<< cronward service: %a <<<\n".replace(b"%a", bytes(home.root))
    keeper = CronKeeper(str(program), home, lambda: block, lambda: 7, runs=lambda: False)
    (tmp_path / "bin 50%" / "crontab.broken").touch()
    with pytest.raises(CronwardError, match="cannot be changed: errors in crontab file"):
        keeper.install()
    assert not keeper.look().installed
    (tmp_path / "bin 50%" / "crontab.broken").unlink()
    kept = keeper.install()
    assert (kept.installed, kept.running, kept.pid) == (True, False, 7)
    assert "No cron daemon" in kept.notes[0]


def test_where_neither_can_be_had_it_says_what_to_do_and_changes_nothing(owner: Owner) -> None:
    owner.environ["PATH"] = str(owner.bin)
    done = owner.run("service", "install")
    assert done.returncode == 1
    assert "cronward supervise" in done.stderr
    assert not owner.home.root.exists()


def test_a_wrong_configuration_is_told_before_anything_is_installed(owner: Owner, tmp_path: Path) -> None:
    owner.program("crontab", CRONTAB)
    (tmp_path / "c.toml").write_text("histroy = 3")
    done = owner.run("--config", str(tmp_path / "c.toml"), "service", "install", "--cron")
    assert done.returncode == 2
    assert "Did you mean `history`" in done.stderr
    assert not owner.table.exists()


# ---- systemd


class Booted:
    """A root below which systemd runs, and its `systemctl`."""

    def __init__(self, folder: Path) -> None:
        (folder / "run/systemd/system").mkdir(parents=True)
        (folder / "run/user/4711/systemd/private").mkdir(parents=True)
        self.owner = Owner(folder)
        self.program = self.owner.program("systemctl", SYSTEMCTL)
        self.folder = folder
        self.text = "MARK one\n"
        self.other: int | None = None
        self.show(ActiveState="inactive", MainPID="0")

    def show(self, **said: str) -> None:
        self.program.with_suffix(".show").write_text("".join(f"{name}={value}\n" for name, value in said.items()))

    def calls(self) -> list[str]:
        path = self.program.with_suffix(".calls")
        found = [row for row in path.read_text().splitlines() if " show " not in row]
        path.write_text("")
        return found

    def keeper(self) -> SystemdKeeper:
        me = pwd.getpwuid(os.geteuid()).pw_name
        runtime, units = self.folder / "run/user/4711", self.folder / ".config/systemd/user"
        instance = Instance(str(self.program), units, False, runtime, self.folder / me)
        return SystemdKeeper(instance, "cronward.service", lambda: self.text, lambda: self.other, 65.0)


@pytest.fixture
def booted(tmp_path: Path) -> Booted:
    made = Booted(tmp_path)
    made.text = unit(StartLine("/p/cronward", Home(Path("/h")), "", ()), 65.0, system=False, bare=False)
    return made


def test_a_unit_is_written_enabled_and_taken_back(booted: Booted) -> None:
    keeper = booted.keeper()
    assert not keeper.look().installed
    booted.show(ActiveState="active", SubState="running", MainPID="4242", NRestarts="2", UnitFileState="enabled")
    kept = keeper.install()
    assert booted.calls() == ["--user daemon-reload", "--user enable --now cronward.service"]
    assert keeper.file.read_text() == booted.text
    assert (kept.installed, kept.running, kept.pid, kept.restarts, kept.lingers) == (True, True, 4242, 2, False)
    assert len(kept.notes) == 1
    assert "loginctl enable-linger" in kept.notes[0]
    keeper.instance.linger.touch()
    assert keeper.look().notes == ()
    keeper.install()
    assert booted.calls() == ["--user enable --now cronward.service"]
    booted.text += "# newer\n"
    assert "restart cronward.service" in keeper.install().notes[0]
    booted.calls()
    assert keeper.uninstall()
    assert booted.calls() == [
        *("--user disable --now cronward.service", "--user daemon-reload", "--user reset-failed cronward.service")
    ]
    assert not keeper.file.exists()
    assert not keeper.uninstall()


def test_what_is_not_ours_is_left_alone(booted: Booted) -> None:
    keeper = booted.keeper()
    booted.other = 99
    with pytest.raises(RefusedError, match="process 99"):
        keeper.install()
    assert not keeper.file.exists()
    booted.other = None
    keeper.file.parent.mkdir(parents=True)
    keeper.file.write_text("[Service]\nExecStart=/theirs\n")
    for act in (keeper.install, keeper.uninstall):
        with pytest.raises(RefusedError, match="not written by cronward"):
            act()
    assert keeper.file.read_text() == "[Service]\nExecStart=/theirs\n"


def test_a_unit_that_does_not_start_says_where_to_look(booted: Booted) -> None:
    booted.program.with_suffix(".broken").touch()
    with pytest.raises(CronwardError, match=r"failed\. Look at: journalctl --user -u cronward.service"):
        booted.keeper().install()
    booted.show(ActiveState="failed", SubState="failed", MainPID="0", UnitFileState="disabled")
    notes = booted.keeper().look().notes
    assert ["It is failed (failed)." in notes[1], "Switch it on" in notes[2]] == [True, True]


def test_there_is_a_systemd_only_where_one_runs_that_is_ours(booted: Booted, tmp_path: Path) -> None:
    def here(uid: int, **environ: str) -> Any:
        return Instance.here({**booted.owner.environ, **environ}, uid, tmp_path)

    me = os.geteuid()
    (tmp_path / f"run/user/{me}/systemd/private").mkdir(parents=True, exist_ok=True)
    found = here(me)
    assert found is not None
    assert found.system == (me == 0)
    assert here(me, PATH="/nowhere") is None
    if me:
        (tmp_path / f"run/user/{me}/systemd/private").rmdir()
        assert here(me) is None
    (tmp_path / "run/systemd/system").rmdir()
    assert here(me) is None


@need("systemd-analyze")
def test_systemd_has_nothing_to_say_against_the_unit(tmp_path: Path) -> None:
    line = StartLine("/bin/true", Home(tmp_path / 'h 50% "$x" \\'), "", (("PATH", "/usr/bin:/a b"),))
    for system in (False, True):
        (tmp_path / "cronward.service").write_text(unit(line, 65.0, system=system, bare=False))
        argv = ["systemd-analyze", *([] if system else ["--user"]), "verify", str(tmp_path / "cronward.service")]
        environ = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
        done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")
