"""Bugs, planted on purpose: a simulator that does not find each of them soon is worth nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from typing import Any

import pytest

from shared.messages import ExecuteRequest, ExecuteResult
from supervisor.admission import attempts, waiver
from supervisor.admission.quota import Quotas
from supervisor.budgets import charge
from supervisor.budgets.budget import Amount
from supervisor.budgets.spendings import Spent
from supervisor.models import CronRun
from supervisor.scheduler import Scheduler, Wake
from supervisor.spawning.liveruns import LiveRun, LiveRuns
from supervisor.status import Status
from supervisor.stores.runs import RunsStore
from supervisor.timing import occurrences, schedule, wallclock
from supervisor.timing.clock import Moment
from tests.simulation.world import World

Plant = Callable[[World, pytest.MonkeyPatch], None]


def _replace(world: World, method: str, new: Callable[..., Any]) -> None:
    """From its next start on, which is now, the supervisor of this world has another core."""
    made = world.new_core

    def planted() -> Scheduler:
        core = made()
        new(core)
        return core

    setattr(world, method, planted)
    world.open()


def claim_after_spawn(world: World, _patch: pytest.MonkeyPatch) -> None:
    """The claim is written once the runner is there, to save a moment."""

    class Late(RunsStore):
        held: CronRun | None = None

        def record(self, run: CronRun) -> None:
            if run.status is Status.RUNNING and run.retry_at is None:
                self.held = run
            else:
                super().record(run)

        def flush(self) -> None:
            held, self.held = self.held, None
            if held is not None:
                super().record(held)

    def plant(core: Scheduler) -> None:
        store = Late(world.root, keep=world.keep, disk=world.disk)
        spawn = core.live.spawn
        assert spawn is not None

        def spawn_first(request: ExecuteRequest, slug: str) -> Any:
            runner = spawn(request, slug)
            store.flush()
            return runner

        core.runs = core.live.runs = store
        core.live.spawn = spawn_first

    _replace(world, "new_core", plant)


def end_before_proof_of_death(world: World, _patch: pytest.MonkeyPatch) -> None:
    """A run that is told to stop is taken for ended at once."""

    class Hasty(LiveRuns):
        def stop(self, live: LiveRun, reason: Any, now: Moment) -> CronRun:
            stopping = super().stop(live, reason, now)
            return stopping if live.ended is not None else self._end(live, attempts.stopped(live.run), now)

    _replace(world, "new_core", lambda core: _with(core, Hasty))


def retry_without_proof(world: World, _patch: pytest.MonkeyPatch) -> None:
    """An attempt that takes long is given up, and the next one started beside it."""

    class Impatient(LiveRuns):
        def enforce(self, now: Moment, may_start: Callable[[LiveRun], bool]) -> None:
            for live in self:
                stuck = live.runner is not None and live.ended is None and now.mono > live.started + 60
                if stuck and live.run.status is Status.RUNNING and live.run.retry_count < live.job.retries:
                    self._try_again(live, now)
            super().enforce(now, may_start)

    _replace(world, "new_core", lambda core: _with(core, Impatient))


def lost_wake_up_of_the_agenda(world: World, _patch: pytest.MonkeyPatch) -> None:
    """What is due in more than an hour is forgotten while something lives."""

    def plant(core: Scheduler) -> None:
        tick = core.tick

        def forgetful(now: Moment) -> Wake:
            wake = tick(now)
            far = wake.wall is not None and wake.wall > now.wall + timedelta(minutes=20) and len(core.live)
            return Wake(None, wake.mono) if far else wake

        core.tick = forgetful  # type: ignore[method-assign]

    _replace(world, "new_core", plant)


def lost_wake_up_of_a_back_off(world: World, _patch: pytest.MonkeyPatch) -> None:
    """Nobody asks to be called when a back-off or a deadline is over."""

    class Sleepy(LiveRuns):
        def next_wake(self, now: float) -> float | None:
            return None

    _replace(world, "new_core", lambda core: _with(core, Sleepy))


def write_in_place(world: World, _patch: pytest.MonkeyPatch) -> None:
    """A definition is written over the old one, not beside it."""
    world.disk.atomic = False


def clock_change_off_by_one(_world: World, patch: pytest.MonkeyPatch) -> None:
    """What falls into a gap is due an hour after its end."""

    def late(step: wallclock.Step, zone: tzinfo, after: datetime) -> datetime | None:
        due = wallclock.next_once(step, zone, after)
        if due is None:
            return None
        offsets = [at.astimezone(zone).utcoffset() for at in (due, due - timedelta(minutes=1))]
        return due if offsets[0] == offsets[1] else due + timedelta(hours=1)

    patch.setattr(schedule, "next_once", late)
    schedule._parse.cache_clear()


def catch_up_burst(_world: World, patch: pytest.MonkeyPatch) -> None:
    """Everything that was missed is made up for, whatever the policy says."""
    patch.setattr(occurrences, "_wanted", lambda _job, newest, _now: list(newest))


def forgotten_settlement(_world: World, patch: pytest.MonkeyPatch) -> None:
    """After a restart it is counted from the definition, not from what was settled."""
    patch.setattr(Scheduler, "settled", lambda _core, job, _now: job.changed_at)


def unsaid_reason(_world: World, patch: pytest.MonkeyPatch) -> None:
    """An outage leaves no record of what it cost."""
    owed = occurrences.owed
    patch.setattr(occurrences, "owed", lambda *given: replace(owed(*given), missed=0))


def waiver_for_all(_world: World, patch: pytest.MonkeyPatch) -> None:
    """What nobody saw end is tried again, whoever asked for that."""
    patch.setattr(waiver, "why_not", lambda *_given: None)


def waiver_unheard(_world: World, patch: pytest.MonkeyPatch) -> None:
    """What nobody saw end is never tried again."""
    patch.setattr(waiver, "why_not", lambda *_given: "It is not run again.")


def tool_called_twice(_world: World, patch: pytest.MonkeyPatch) -> None:
    """Whether an attempt called a tool is not looked at."""
    after = attempts.after
    patch.setattr(attempts, "after", lambda run, job, result, left: after(run, job, untold(result), left))


def untold(result: ExecuteResult) -> ExecuteResult:
    return replace(result, tool_called=False)


def impatience(_world: World, patch: pytest.MonkeyPatch) -> None:
    """A provider that asks to wait is not heard."""
    patch.setattr(attempts, "asked_to_wait", lambda _result: 0.0)


def restless_agent(_world: World, patch: pytest.MonkeyPatch) -> None:
    """A quota that is used up keeps nobody from trying."""
    patch.setattr(Quotas, "rest", lambda _quotas, _agent, _now: None)


def endless_repair(_world: World, patch: pytest.MonkeyPatch) -> None:
    """An answer is to be put right as often as it is wrong."""
    after = attempts.after
    patch.setattr(attempts, "after", lambda run, job, result, left: after(run.noted(repair_of=0), job, result, left))


def repair_of_anything(_world: World, patch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong is taken for an answer that can be put right."""
    patch.setattr(attempts, "can_be_put_right", lambda run, _job, result: not run.repair_of and bool(result.error))


def no_reservation(_world: World, patch: pytest.MonkeyPatch) -> None:
    """What live runs may still spend is not kept free."""
    patch.setattr(charge, "kept", lambda _run: Amount())


def free_when_killed(_world: World, patch: pytest.MonkeyPatch) -> None:
    """What nobody said counts as nothing."""
    patch.setattr(charge, "claimed", lambda _run: {})


def whole_cap_for_each_attempt(_world: World, patch: pytest.MonkeyPatch) -> None:
    """What earlier attempts used is not taken off."""
    patch.setattr(charge, "left", lambda run: run.caps)


def never_given_back(_world: World, patch: pytest.MonkeyPatch) -> None:
    """The whole cap counts for good, whatever was said."""
    patch.setattr(Spent, "by", classmethod(lambda cls, run: cls(runs=1, tokens=run.caps.tokens or 0)))


def _with(core: Scheduler, kind: type[LiveRuns]) -> None:
    live = core.live
    core.live = kind(live.runs, live.spawn, live.prepare, live.grace_seconds, live.told_end, live.log, live.gate)


PLANTS: tuple[Plant, ...] = (
    *(claim_after_spawn, end_before_proof_of_death, retry_without_proof, lost_wake_up_of_the_agenda),
    *(lost_wake_up_of_a_back_off, write_in_place, clock_change_off_by_one, catch_up_burst),
    *(forgotten_settlement, unsaid_reason, waiver_for_all, waiver_unheard, tool_called_twice),
    *(impatience, restless_agent, endless_repair, repair_of_anything),
    *(no_reservation, free_when_killed, whole_cap_for_each_attempt, never_given_back),
)
