"""Which command lies where, and which are done without typer."""

from __future__ import annotations

import importlib

import typer

from supervisor.cli.commands import MODULES
from supervisor.cli.program import app
from supervisor.cli.straight import asked


def test_every_command_that_is_written_down_is_entered() -> None:
    for module_name in set(MODULES.values()):
        module = importlib.import_module(f"supervisor.cli.{module_name}")
        entered = {name for name, where in MODULES.items() if where == module_name}
        if hasattr(module, "app"):
            assert len(entered) == 1, module_name
            continue
        alone = typer.Typer()
        module.register(alone)
        written = {
            each.name or typer.main.get_command_name(each.callback.__name__)
            for each in alone.registered_commands
            if each.callback is not None
        }
        assert entered == written, module_name


def test_each_is_made_with_its_own_name_and_words() -> None:
    program = typer.main.get_command(app)
    assert list(program.commands) == list(MODULES)  # type: ignore[attr-defined]
    for name, command in program.commands.items():  # type: ignore[attr-defined]
        assert (command.name, bool(command.help)) == (name, True)
    assert program.commands.get("lst") is None  # type: ignore[attr-defined]


def test_only_what_typer_would_read_the_same_is_done_without_it() -> None:
    done = ([], ["--home", "/h"], ["--home=/h"], ["--home", "/g", "--home", "/h"])
    for before in done:
        for call in (["list"], ["list", "--json"]):
            assert asked([*before, *call], {}) is not None, (before, call)
    left = [[], ["--home"], ["--home", "list"], ["--home", "", "list"], ["--home=", "list"], ["--homes", "/h", "list"]]
    left += [["--config", "/c", "list"], ["--config=/c", "list"], ["list", "--help"], ["list", "x"], ["list", "--jso"]]
    left += [["lis"], ["--json", "list"], ["list", "--json", "--json"], ["show", "list"], ["--version"], ["--", "list"]]
    for call in left:
        assert asked(call, {}) is None, call
    assert asked(["list"], {"CRONWARD_CONFIG": "/c"}) is None
    assert asked(["list"], {"CRONWARD_HOME": "/h"}) is not None
    assert asked(["list"], {"CRONWARD_HOME": ""}) is None
