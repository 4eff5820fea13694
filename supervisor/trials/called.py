"""A program of the host, called for its answer: bounded in time and in what is believed of it, and without a shell."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from supervisor.errors import CronwardError

MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What it left behind."""

    code: int
    out: bytes
    err: bytes

    @property
    def complaint(self) -> str:
        """The last thing that it said, for a sentence of ours."""
        rows = [row for row in (self.err or self.out).decode("utf-8", "replace").splitlines() if row.strip()]
        return rows[-1].strip()[:300] if rows else f"it ended with {self.code}"


def call(argv: Sequence[str], *, given: bytes = b"", within: float = 30.0, **environ: str) -> Answer:
    """Run it to its end, with these variables besides ours. Raises CronwardError where it cannot be."""
    try:
        done = subprocess.run(
            argv, input=given, capture_output=True, timeout=within, check=False, env=_plain(os.environ) | environ
        )
    except OSError as error:
        raise CronwardError(f"{argv[0]} cannot be started: {error.strerror}.") from None
    except subprocess.TimeoutExpired:
        raise CronwardError(f"`{' '.join(argv)}` did not end within {within:.0f} s.") from None
    if len(done.stdout) > MOST_BYTES:  # half of it might be written back where all of it was
        raise CronwardError(f"`{' '.join(argv)}` says more than {MOST_BYTES} bytes.")
    return Answer(done.returncode, done.stdout, done.stderr[:MOST_BYTES])


def _plain(environ: Mapping[str, str]) -> dict[str, str]:
    """In the words that we look for, whatever the user's language, and without a pager."""
    return {**environ, "LC_ALL": "C", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"}
