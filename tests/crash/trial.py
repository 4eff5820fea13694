"""What the trials share: how thorough they are, their seed, a home with jobs in it, and the verdict at the end."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.crash.reign import Reign
from tests.crash.sown import Sown
from tests.driver import adopting_orphans
from tests.passage import let_through

FULL = os.environ.get("CRONWARD_TESTS") == "full"
SEED = int(os.environ.get("CRONWARD_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
SETTINGS = {
    "CRONWARD_MAX_CONCURRENT": "6",
    "CRONWARD_HISTORY": "100000",
    "CRONWARD_DISABLE_AFTER_FAILURES": "0",
    "CRONWARD_GRACE_SECONDS": "1",
    "CRONWARD_DISK_FLOOR": "0",  # a disk is to be met that really is full
    "CRONWARD_MAX_MEMORY_PRESSURE": "0",
}


@dataclass(frozen=True, slots=True)
class Trial:
    """One home under trial. The seed fixes the jobs and what is done in which order; the instants are the machine's."""

    draw: random.Random
    reign: Reign
    jobs: list[Sown]

    def begin(self) -> None:
        """The first supervisor keeps time, and has all jobs."""
        self.reign.start()
        for job in self.jobs:
            job.prepare()
            job.added(self.reign.client.add_job(job.draft()).model_dump(mode="json"))


@contextmanager
def trial(folder: Path, home: Path, seed: int, again: str) -> Iterator[Trial]:
    """`again`: how this very trial is asked for. Whatever happens, nothing of it lives afterwards."""
    # pytest shows it with a failure.
    sys.stdout.write(f"To play it again: CRONWARD_SEED={SEED} python -m pytest {again}\n")
    let_through(folder)
    made = Trial(random.Random(seed), Reign(home, SETTINGS, log_to=folder / "supervisor.log"), [])
    with adopting_orphans():
        try:
            yield made
        finally:
            made.reign.end()
