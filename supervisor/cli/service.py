"""Commands about what keeps a supervisor going when nobody is logged in: install, status, uninstall."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from supervisor.cli import render
from supervisor.cli.group import group
from supervisor.cli.options import AsJson
from supervisor.cli.place import Place, place_of

if TYPE_CHECKING:
    from supervisor.keeping.cronkeeper import CronKeeper
    from supervisor.keeping.keeper import Keeper, Kept
    from supervisor.keeping.systemctl import SystemdKeeper

app = group("Have a supervisor started at boot and after a crash. By systemd or by cron.")
_NEITHER = (
    "There is neither a systemd of yours to be had here nor the program crontab. Keep `cronward supervise` in a "
    "terminal that stays (tmux, screen), make it the command of your container, or ask whoever administers this host "
    "for one of the two. In a session without a systemd of its own (su, sudo): log in as yourself, by ssh for one."
)


@app.command("install")
def install(
    ctx: typer.Context,
    cron: Annotated[bool, typer.Option("--cron", help="By crontab lines, though there is a systemd.")] = False,
    as_json: AsJson = False,
) -> None:
    """Have a supervisor started now, at boot and after a crash. By a systemd unit of yours, else crontab lines.

    Again, after a change of PATH or --config: what has changed is written anew.

    \b
    Example: cronward service install
    """
    from supervisor.daemon import load
    from supervisor.errors import CronwardError
    from supervisor.keeping.startline import left_out

    place = place_of(ctx)
    load(place.home, place.config_path)  # what is wrong with it is said here, and not in a log
    keeper: Keeper | None = _cron(place) if cron else _systemd(place) or _cron(place)
    if keeper is None:
        raise CronwardError(
            "There is no program crontab here. Have cron installed, or leave --cron out." if cron else _NEITHER
        )
    kept = keeper.install()
    _show(kept, as_json)
    if not as_json:
        for name in left_out(os.environ):
            render.warn(f"{name} is set in this shell alone; the supervisor will not see it. Write it into the config.")


@app.command("status")
def status(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show what keeps a supervisor going here. Exit 3 if nothing does, 1 if it is installed and does not run.

    \b
    Example: cronward service status
    """
    place = place_of(ctx)
    found = [keeper.look() for keeper in (_systemd(place), _cron(place)) if keeper is not None]
    kept = next((each for each in found if each.installed), None)
    if kept is None:
        if as_json:
            render.show_json({"installed": False})
        else:
            render.say("Nothing is installed. Have a supervisor kept going with: cronward service install")
        raise typer.Exit(3)
    _show(kept, as_json)
    if not kept.running:
        raise typer.Exit(1)


@app.command("uninstall")
def uninstall(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Take back what `install` did, and nothing else. systemd ends the supervisor; one that cron started goes on.

    \b
    Example: cronward service uninstall
    """
    from supervisor.errors import NotFoundError

    place = place_of(ctx)
    gone = [keeper.by for keeper in (_systemd(place), _cron(place)) if keeper is not None and keeper.uninstall()]
    if not gone:
        raise NotFoundError("Nothing is installed for this home, so nothing was removed. For another: --home DIR.")
    pid = _answering(place)
    if as_json:
        render.show_json({"uninstalled": gone, "pid": pid})
        return
    render.say(f"Uninstalled: {', '.join(_WORDS[by] for by in gone)}.")
    if pid is not None:
        render.say(f"The supervisor, process {pid}, goes on until it is told to stop: cronward stop")


_WORDS = {"systemd": "the systemd unit", "cron": "the lines of the crontab"}


def _show(kept: Kept, as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        render.show_json(asdict(kept))
        return
    facts: list[tuple[str, render.Cell | str]] = [("kept by", f"{kept.by}: {kept.where}"), ("state", _state(kept))]
    if kept.restarts:
        facts.append(("restarts", str(kept.restarts)))
    if kept.lingers is not None:
        facts.append(("logout", "goes on" if kept.lingers else render.Cell("ends it", "yellow")))
    render.show_facts(facts)
    for note in kept.notes:
        render.warn(note)


def _state(kept: Kept) -> render.Cell:
    """That a supervisor lives and that something starts it again are two things where cron keeps it."""
    pid = f", process {kept.pid}" if kept.pid else ""
    if kept.by == "systemd":
        return render.Cell(f"runs{pid}", "green") if kept.running else render.Cell("does not run", "red")
    now = f"; a supervisor runs now{pid}" if pid else ""
    if kept.running:
        return render.Cell(f"cron looks every 5 minutes{now}", "green")
    return render.Cell(f"no cron looks, so nothing starts it again{now}", "red")


def _systemd(place: Place) -> SystemdKeeper | None:
    import stat
    from pathlib import Path

    from supervisor.daemon import STOP_MARGIN
    from supervisor.keeping.startline import program, start_line
    from supervisor.keeping.systemctl import Instance, SystemdKeeper
    from supervisor.keeping.unit import unit, unit_name
    from supervisor.stores.home import Home

    instance = Instance.here(os.environ, os.geteuid())
    if instance is None:
        return None
    usual = Home.usual(os.environ)
    stop_seconds = place.config.drain_seconds + place.config.grace_seconds + STOP_MARGIN

    def text() -> str:
        line = start_line(place.home, place.config_path, os.environ, program(sys.argv[0], sys.executable))
        bwrap = Path(place.config.bwrap)
        set_uid = bwrap.exists() and bool(bwrap.stat().st_mode & stat.S_ISUID)
        return unit(line, stop_seconds, system=instance.system, bare=set_uid)

    name = unit_name(place.home.root, usual.root)
    return SystemdKeeper(instance, name, text, lambda: _answering(place), stop_seconds)


def _cron(place: Place) -> CronKeeper | None:
    from supervisor.keeping.cronkeeper import CronKeeper, crontab
    from supervisor.keeping.cronlines import lines
    from supervisor.keeping.startline import program, start_line

    found = crontab(os.environ)
    if found is None:
        return None

    def block() -> bytes:
        return lines(start_line(place.home, place.config_path, os.environ, program(sys.argv[0], sys.executable)))

    def start() -> int:
        from supervisor.keeping.detached import ensure

        return ensure(place.home, place.config_path).pid

    return CronKeeper(found, place.home, block, start)


def _answering(place: Place) -> int | None:
    from supervisor.control.client import NotRunningError

    try:
        return int(place.client.status()["pid"])
    except NotRunningError:
        return None
