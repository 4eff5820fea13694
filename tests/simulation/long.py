"""Many jobs over simulated days, with faults all along; by hand: `python -m tests.simulation.long 1000 72`."""

from __future__ import annotations

import resource
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

from tests.simulation import history
from tests.simulation.history import STARTS, add, folders, settle
from tests.simulation.world import World

FAULTS = (history.crash_soon, history.outage, history.fill_disk, history.host_busy, history.drain, history.suspend)
PEOPLE = (history.edit, history.pause, history.resume, history.run, history.cancel)


def main() -> int:
    jobs, hours, seed = (int(text) for text in (*sys.argv[1:], "1")[:3])
    began = time.perf_counter()
    with folders() as fresh:
        world = _play(fresh(), Random(seed), jobs, hours)
    took = time.perf_counter() - began
    ends = Counter(f"{run['status']} {run['reason']}" for run in world.ledger.records.values())
    _say(f"{jobs} jobs, {hours} simulated hours in {took:.0f} s: {len(world.ledger.records)} runs, every promise held.")
    _say(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB at most.")
    for words, count in ends.most_common():
        _say(f"{count:8} {words}")
    return 0


def _play(root: Path, rng: Random, jobs: int, hours: int) -> World:
    world = World(root, rng, STARTS[1], keep=20)
    world.config = world.config.model_copy(update={"max_concurrent": 64})
    world.core.configure(world.config)
    try:
        for _ in range(jobs):
            world.guarded(add, world)
        end = world.clock.mono + hours * 3600
        while world.clock.mono < end:
            world.guarded(rng.choice((*FAULTS, *PEOPLE, *PEOPLE)), world)
            world.pass_by(rng.uniform(60.0, 1800.0))
            world.check()
        settle(world)
    finally:
        world.lock.release()
    return world


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")


if __name__ == "__main__":
    sys.exit(main())
