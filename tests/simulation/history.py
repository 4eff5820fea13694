"""A seeded random history: what people, the clock, the disk and killers do in a day or two of one host.

Everything comes from the seed, so that a number is enough to play it again: `python -m tests.simulation SEED`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from supervisor.budgets.budget import Budget, Budgets
from supervisor.definitions import edits
from supervisor.definitions.definition import Setting
from supervisor.definitions.revision import revise
from supervisor.errors import CronwardError
from supervisor.models import SECOND, CronJob
from supervisor.stores.jobs import CronStore
from supervisor.stores.lock import HomeLock
from tests.fakes import make_job
from tests.simulation.ledger import must
from tests.simulation.world import World
from tests.timeline import memory_folder

STARTS = tuple(
    datetime.fromisoformat(text).replace(tzinfo=UTC)
    for text in (
        "2026-11-24T11:59:30",
        "2026-03-28T18:00:00",  # Berlin jumps forward in seven hours
        "2026-10-24T20:00:10",  # and back in five
        "2026-03-07T20:00:00",  # New York
        "2026-11-01T00:30:00",
        "2026-04-04T08:00:00",  # Lord Howe, by half an hour
        "2027-02-28T09:15:00",
    )
)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata")
CRONS = (
    *("*/30 * * * *", "0 */2 * * *", "30 2 * * *", "15 1,2,3 * * *", "0 7 * * *", "45 2,14 * * 0,6", "5,20 0 * * *"),
    *("30 1 * * *", "0 3 * * 0", "0 0 1,29 * *", "*/20 2 * * *"),
)
STEPS = (0.5, 30.0, 65.0, 600.0, 3600.0, 3 * 3600.0)
Act = Callable[[World], None]


def play(seed: int, root: Path, prepare: Act = lambda _world: None) -> World:
    """Play one history to its end and check it. Raises BrokenError. `prepare`: what is planted into the world first."""
    rng = Random(seed)
    world = World(root, rng, rng.choice(STARTS), keep=rng.choice((3, 100, 100)))
    try:
        prepare(world)
        for _ in range(rng.randint(1, 3)):
            world.guarded(add, world)
        # Most are short, and so many; what takes a long chain of faults is looked for in every eighth.
        for _ in range(rng.randint(5, 11) if seed % 8 == 0 else rng.randint(2, 5)):
            world.guarded(rng.choices(ACTS, WEIGHTS)[0], world)
            world.pass_by(rng.choice(STEPS) * rng.uniform(0.2, 1.5))
            world.check()
        settle(world)
    finally:
        world.lock.release()
    return world


@contextmanager
def folders() -> Iterator[Callable[[], Path]]:
    """Gives at each call the same home in memory, empty again: to make and lock one takes as long as to play in it."""
    with memory_folder() as root:
        lock = HomeLock(CronStore(root).home)
        with lock:

            def fresh() -> Path:
                for place in root.iterdir():
                    _empty(place)
                lock.changed()
                return root

            yield fresh


def _empty(place: Path) -> None:
    for left in place.iterdir() if place.is_dir() else ():
        shutil.rmtree(left) if left.is_dir() else left.unlink()


# ---- what happens


def add(world: World) -> None:
    rng, now = world.rng, world.clock.wall
    job_id = f"{len(world.ledger.spans) + 1:08}-job"
    facts: dict[str, Any] = {"overlap": rng.choice(("skip", "queue", "replace", "allow"))}
    facts["catch_up"] = rng.choice(("once", "once", "skip", "all"))
    facts |= {"retries": rng.choice((0, 1, 3)), "retry_delay": rng.choice((1, 60)) * SECOND}
    facts |= {"grace_secs": rng.choice((None, None, 600)), "jitter_secs": rng.choice((0, 0, 0, 120))}
    facts |= {"timeout_secs": rng.choice((60, 1800)), "type": rng.choice(("light", "light", "medium"))}
    facts |= {
        "rerun_unknown": rng.random() < 0.4,
        "repeatable": rng.random() < 0.4,
        "agent": rng.choice(("claude", "codex")),
        "output_format": rng.choice(("text", "json")),
    }
    facts |= timing(world) | spending(world, facts["agent"])
    job = make_job(**{"id": job_id, "name": job_id, "created_at": now, "changed_at": now, **facts})
    world.change(job_id, job, edits.add, job, world.clock.now())


def spending(world: World, agent: str) -> dict[str, Any]:
    """What it may spend: most jobs anything."""
    rng = world.rng
    if rng.random() < 0.6:
        return {}
    found: dict[str, Any] = {"max_tokens": rng.choice((None, 100, 400)), "per_day": budget(rng, agent)}
    if agent == "claude":
        found["max_cost"] = rng.choice((None, 0.25, 1.0))
    return found | ({"per_month": budget(rng, agent)} if rng.random() < 0.3 else {})


def budget(rng: Random, agent: str) -> Budget:
    cost = rng.choice((0.0, 0.5, 2.5)) if agent == "claude" else 0.0
    return Budget(runs=rng.choice((0, 2, 5)), tokens=rng.choice((0, 300, 1500)), cost_usd=cost)


def timing(world: World) -> dict[str, Any]:
    rng, now = world.rng, world.clock.wall
    kind = rng.random()
    no: dict[str, Any] = {"at": None, "timezone": None, "until": None}
    if kind < 0.1:
        return {**no, "cron_expr": "", "at": now + timedelta(seconds=rng.choice((5, 4000)))}
    if kind < 0.25:
        return {**no, "cron_expr": f"@every {rng.choice((7, 45, 90))}m"}
    dst = rng.choice(("once", "once", "exact"))
    found = {**no, "cron_expr": rng.choice(CRONS), "timezone": rng.choice(ZONES), "dst": dst}
    if rng.random() < 0.1:
        found["until"] = now + timedelta(hours=rng.choice((30, 60)))
    return found


def edit(world: World) -> None:
    job = some_job(world)
    if job is None:
        return
    rng = world.rng
    others = {"overlap": rng.choice(("skip", "queue", "replace", "allow"))} | spending(world, job.agent)
    changes = timing(world) if rng.random() < 0.5 else others
    setting = Setting(world.root, "UTC", "local", new_id=lambda: "x")
    try:
        after = revise(job, changes, setting, world.clock.wall, settled=world.core.settled(job, world.clock.wall))
    except CronwardError:
        return
    world.change(job.id, after, edits.edit, after, world.clock.now())


def pause(world: World) -> None:
    job = some_job(world)
    if job is not None:
        paused = job.model_copy(update={"enabled": False})
        world.change(job.id, paused, edits.pause, job, world.clock.now(), "", world.rng.random() < 0.3)


def resume(world: World) -> None:
    job = some_job(world)
    if job is not None and not job.enabled:
        resumed = job.model_copy(update={"enabled": True, "changed_at": world.clock.wall})
        world.change(job.id, resumed, edits.resume, job, world.clock.now())


def remove(world: World) -> None:
    job = some_job(world)
    if job is not None:
        world.change(job.id, None, edits.remove, job, world.clock.now())


def run(world: World) -> None:
    job = some_job(world)
    if job is not None:
        accepted = world.ask(world.core.run, job, world.clock.now())
        must(accepted is None or accepted.id in world.ledger.records, "P2", "a run by hand was accepted and not stored")


def cancel(world: World) -> None:
    live = [live.run.id for live in world.core.live] + [waiting.run.id for waiting in world.waiting()]
    if live:
        world.ask(world.core.cancel, world.rng.choice(live), world.clock.now())


def crash_soon(world: World) -> None:
    """It is killed in one of its next writes."""
    world.disk.dies_in = world.rng.randrange(6)


def outage(world: World) -> None:
    """It is killed now, and started again much later, or at once."""
    world.kill()
    world.clock.pass_by(world.rng.choice((0.0, 30.0, 400.0, 7200.0, 50_000.0)))
    world.open()


def fill_disk(world: World) -> None:
    world.disk.full = True
    world.begin_trouble()


def make_room(world: World) -> None:
    world.end_trouble()


def step_clock(world: World) -> None:
    """Somebody sets the clock, and the loop is told so."""
    world.clock.wall += timedelta(seconds=world.rng.choice((-200_000, -7200, -40, 40, 3600, 200_000)))
    world.ill_until = world.clock.mono + 4
    world.ledger.clock_was_set()
    world.turn()


def suspend(world: World) -> None:
    """The lid is closed: both clocks go on, and nobody is awake. Then whatever came due is heard of at once."""
    world.clock.pass_by(world.rng.choice((100.0, 3000.0, 30_000.0)))
    world.turn()


def drain(world: World) -> None:
    """It is stopped, and started again."""
    world.core.drain(world.clock.now(), world.rng.choice((0.0, 30.0, 600.0)))
    world.turn()
    for _ in range(200):
        if world.core.drained() or not world.core.draining:  # killed meanwhile, another one keeps time
            break
        world.pass_by(20.0)
    else:
        must(world.disk.full, "drain", "a drain does not end")
    world.clock.pass_by(world.rng.choice((0.0, 90.0)))
    world.kill()
    world.open()


def reload(world: World) -> None:
    changes: dict[str, Any] = {"max_concurrent": world.rng.choice((4, 6))}
    if world.rng.random() < 0.7:
        changes["budget"] = Budgets(day=budget(world.rng, "claude"), month=budget(world.rng, "claude"))
    world.config = world.config.model_copy(update=changes)
    world.ledger.accounts.budgets = world.config.budget
    world.core.configure(world.config)
    world.core.runs.keep_only(world.keep)
    world.turn()


def host_busy(world: World) -> None:
    world.busy = "its memory is short"
    world.begin_trouble()
    world.turn()


def nothing(world: World) -> None:
    del world


def some_job(world: World) -> CronJob | None:
    return world.rng.choice([world.jobs[key] for key in sorted(world.jobs)]) if world.jobs else None


_ACTS: tuple[tuple[Act, int], ...] = (
    *((nothing, 4), (add, 2), (edit, 3), (pause, 2), (resume, 3), (remove, 1), (run, 3), (cancel, 2)),
    *((crash_soon, 5), (outage, 2), (fill_disk, 2), (make_room, 3), (step_clock, 2), (suspend, 2), (drain, 1)),
    *((reload, 2), (host_busy, 1)),
)
ACTS, WEIGHTS = zip(*_ACTS, strict=True)


# ---- the end


def settle(world: World) -> None:
    """All is well again, nothing more is wanted: every run ends, nothing lives, and another start finds it so."""
    world.end_trouble()
    world.disk.dies_in, world.refuses = None, 0.0
    world.pass_by(10.0)
    world.check()
    for job in list(world.jobs.values()):
        paused = job.model_copy(update={"enabled": False})
        world.guarded(world.change, job.id, paused, edits.pause, job, world.clock.now())
    world.pass_by(12 * 3600.0)
    open_runs = [run["id"] for run in world.ledger.records.values() if run["reason"] is None]
    must(not open_runs, "P2", f"{open_runs} never ended")
    must(not any(runner.alive for runner in world.ledger.runners.values()), "P3", "an attempt still lives")
    world.kill()
    world.open()
    must(not world.core.runs.damaged, "P9", f"damaged: {world.core.runs.damaged}")
    must(not world.core.runs.unfinished(), "P2", "a run is open after all")
    counted(world)


def counted(world: World) -> None:
    """What is remembered of a job's runs is what happened, also of those that were dropped; and not more is kept."""
    for job_id in world.ledger.spans:
        runs = [run for run in world.ledger.records.values() if run["job_id"] == job_id]
        started = sum(run["status"] != "skipped" and not run["started_at"].startswith("0001") for run in runs)
        must(world.core.runs.summary(job_id).run_count == started, "P2", f"{job_id} had {started} runs")
        kept = world.core.runs.get_runs(job_id)
        must(len(kept) <= 2 * world.keep + 64, "P10", f"{len(kept)} runs of {job_id} are kept")
        for run in kept:
            must(run.status.value == world.ledger.records[run.id]["status"], "P9", f"{run.id} is not what was stored")
