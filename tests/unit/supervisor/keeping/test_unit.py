"""The systemd unit as text; what systemd makes of it is in tests/processes/test_service.py and docs."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.errors import CronwardError, InvalidError
from supervisor.keeping.startline import StartLine, left_out, program, start_line
from supervisor.keeping.unit import MARK, unit, unit_name
from supervisor.stores.home import Home

LINE = StartLine("/opt/a b/cronward", Home(Path('/h/100% "$x"\\')), "/c.toml", (("PATH", "/usr/bin:/p%q"),))


def said(text: str, key: str) -> list[str]:
    return [row.partition("=")[2] for row in text.splitlines() if row.startswith(f"{key}=")]


def test_it_is_found_again_and_says_what_a_supervisor_needs() -> None:
    text = unit(LINE, 65.4, system=False, bare=False)
    assert text.startswith(MARK)
    needed = {
        "Type": "notify",
        "Restart": "on-failure",
        "RestartPreventExitStatus": "2",
        "Delegate": "yes",
        "KillMode": "mixed",
        "OOMPolicy": "continue",
        "WatchdogSec": "120",
        "TimeoutStopSec": "65",
        "UMask": "0077",
        "NoNewPrivileges": "yes",
        "WantedBy": "default.target",
    }
    assert {key: said(text, key) for key in needed} == {key: [value] for key, value in needed.items()}
    assert said(unit(LINE, 1, system=True, bare=False), "WantedBy") == ["multi-user.target"]


def test_nothing_forbids_what_a_cell_is_made_of() -> None:
    """Each of these was tried, or follows from how namespaces nest: docs/keeping-it-running.md."""
    text = unit(LINE, 1, system=False, bare=False)
    for key in ("PrivateTmp", "ProtectHome", "ProtectSystem", "PrivateUsers", "RestrictNamespaces", "SystemCallFilter"):
        assert said(text, key) == [], key
    for key in ("MemoryDenyWriteExecute", "ProtectControlGroups", "ProtectProc", "PrivateNetwork", "PrivateDevices"):
        assert said(text, key) == [], key
    families = said(text, "RestrictAddressFamilies")[0].split()
    assert {"AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"} == set(families)
    assert said(unit(LINE, 1, system=False, bare=True), "NoNewPrivileges") == []


def test_every_character_arrives_as_it_was() -> None:
    text = unit(LINE, 1, system=False, bare=False)
    home = r'"/h/100%% \"$$x\"\\"'
    assert said(text, "ExecStart") == [f'"/opt/a b/cronward" "--home" {home} "--config" "/c.toml" "supervise"']
    assert said(text, "ExecReload") == [f'"/opt/a b/cronward" "--home" {home} "--config" "/c.toml" "reload"']
    assert said(text, "Environment") == ['"PATH=/usr/bin:/p%%q"']
    assert said(text, "Description")[0].endswith('in /h/100%% "$x"/')


def test_each_home_has_a_unit_of_its_own() -> None:
    usual = Path("/h/usual")
    names = [unit_name(home, usual) for home in (usual, Path("/h/b"), Path("/h/c"))]
    assert names[0] == "cronward.service"
    assert len(set(names)) == 3
    assert all(name.startswith("cronward-") and name.endswith(".service") for name in names[1:])


def test_a_start_line_is_absolute_and_carries_the_path_of_the_install(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    path = f"{tmp_path}/bin:.:bin::{tmp_path}/gone:/usr/bin:{tmp_path}/bin"
    environ = {"PATH": path, "XDG_CONFIG_HOME": "/x", "XDG_STATE_HOME": "/s", "CRONWARD_HISTORY": "3"}
    line = start_line(Home(tmp_path), Path("c.toml"), environ, "/p/cronward")
    assert line.environ == (("PATH", f"{tmp_path}/bin:/usr/bin"), ("XDG_CONFIG_HOME", "/x"))
    assert line.argv("supervise") == [
        *("/p/cronward", "--home", str(tmp_path), "--config", str(Path("c.toml").absolute()), "supervise")
    ]
    assert left_out({**environ, "CRONWARD_HOME": "/h"}) == ["CRONWARD_HISTORY"]
    with pytest.raises(InvalidError, match="control character"):
        start_line(Home(Path("/a\nb")), None, environ, "/p/cronward")


def test_the_program_is_the_one_that_was_called_or_the_one_beside_the_interpreter(tmp_path: Path) -> None:
    for folder in ("called", "beside"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "cronward").touch(0o755)
    called, beside = str(tmp_path / "called" / "cronward"), str(tmp_path / "beside" / "cronward")
    assert program(called, str(tmp_path / "beside" / "python")) == called
    assert program("/x/supervisor/__main__.py", str(tmp_path / "beside" / "python")) == beside
    Path(beside).chmod(0o644)
    with pytest.raises(CronwardError, match="not installed as a program"):
        program("/x/supervisor/__main__.py", str(tmp_path / "beside" / "python"))
