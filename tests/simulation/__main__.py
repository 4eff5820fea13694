"""Play histories again: `python -m tests.simulation SEED [COUNT]`, each from its number alone."""

from __future__ import annotations

import sys
from collections.abc import Callable

from tests.simulation import history
from tests.simulation.history import Act, folders, play
from tests.simulation.world import World


def main() -> int:
    first, count = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    seen: list[World] = []
    if count == 1:
        history.ACTS = tuple(_told(act) for act in history.ACTS)
    with folders() as fresh:
        for seed in range(first, first + count):
            try:
                play(seed, fresh(), seen.append)
            except AssertionError as error:
                _say(f"{seed}: {error}")
                if count == 1:
                    _show(seen[-1])
                return 1
    _say(f"{count} histories from {first} on, and every promise held.")
    return 0


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")


def _told(act: Act) -> Callable[[World], None]:
    def telling(world: World) -> None:
        _say(f"{world.clock.wall:%d %H:%M:%S.%f}  {act.__name__}")  # type: ignore[attr-defined]
        act(world)

    return telling


def _show(world: World) -> None:
    _say(f"now {world.clock.wall}, the next turn: {world.wake}")
    for job_id, spans in world.ledger.spans.items():
        for span in spans:
            job = span.job
            policy = f"{job.timezone} {job.dst} {job.overlap.value} {job.catch_up.value} jitter {job.jitter_secs}"
            _say(f"{job_id} owes from {span.after} to {span.until}: {job.cron_expr or job.at} {policy}")
    for run in world.ledger.records.values():
        _say(
            f"{run['id']} {run['job_id']} {run['scheduled_at']} {run['status']} {run['reason']} {run['error'][:80]}"
            f" {run['caps']} {run['charged_tokens']} {run['counts_on']}"
        )


if __name__ == "__main__":
    sys.exit(main())
