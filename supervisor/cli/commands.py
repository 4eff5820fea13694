"""The commands of the program, each made when somebody asks for it: whoever types one does not wait for the others."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from typer._click import Command

MODULES: Mapping[str, str] = {
    "recap": "recap",
    "add": "jobs",
    "edit": "jobs",
    "list": "listing",
    "show": "listing",
    "pause": "pausing",
    "resume": "pausing",
    "remove": "pausing",
    "next": "upcoming",
    "validate": "upcoming",
    "why": "reasons",
    "run": "runs",
    "runs": "runs",
    "logs": "runs",
    "cancel": "runs",
    "ps": "runs",
    "timeline": "timeline",
    "usage": "usage",
    "prune": "pruning",
    "metrics": "metrics",
    "login": "logins",
    "logout": "logins",
    "supervise": "keeping",
    "reload": "keeping",
    "stop": "keeping",
    "status": "keeping",
    "doctor": "keeping",
    "fetch-model": "keeping",
    "import": "importing",
    "apply": "applying",
    "export": "exporting",
    "agents": "agents",
    "config": "configuration",
    "secret": "secrets",
    "service": "service",
    "sessions": "sessions",
    "outbox": "outbox",
    "notify": "notifying",
    "cron": "original",
}
"""Where each is written down, in the order of the help. Those from `agents` on are made of commands."""


class Commands(MutableMapping[str, "Command"]):
    """By their names. To ask for one imports its module and builds it: 4 ms each, and the program has forty."""

    def __init__(self, modules: Mapping[str, str]) -> None:
        self._modules = modules
        self._made: dict[str, Command] = {}

    def __getitem__(self, name: str) -> Command:
        if name not in self._made:
            self._made[name] = _made(name, self._modules[name])
        return self._made[name]

    def __setitem__(self, name: str, command: Command) -> None:
        raise TypeError(f"The command {name} is to be entered in MODULES.")

    def __delitem__(self, name: str) -> None:
        raise TypeError(f"The command {name} stands in MODULES.")

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)


class Program(TyperGroup):
    """`cronward` itself."""

    def __init__(self, **given: Any) -> None:  # noqa: ANN401  (whatever typer gives a group)
        super().__init__(**given)
        self.commands = Commands(MODULES)


def _made(name: str, module_name: str) -> Command:
    module = importlib.import_module(f"supervisor.cli.{module_name}")
    if hasattr(module, "app"):
        command: Command = typer.main.get_group(module.app)
        command.name = name
        return command
    # A program of this command alone, for typer makes all commands of a program at once.
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    module.register(alone)
    wanted = [each for each in alone.registered_commands if _name(each) == name]
    alone.registered_commands = wanted
    return typer.main.get_command(alone)


def _name(found: typer.models.CommandInfo) -> str:
    assert found.callback is not None
    return found.name or typer.main.get_command_name(found.callback.__name__)
