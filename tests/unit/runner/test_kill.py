"""The ladder: which rung, and when the next."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import kill
from runner.kill import Rung, climb, due

GRACE = 5.0
times = st.floats(0, 1e6)


@pytest.mark.parametrize(
    ("rung", "exited", "after", "then"),
    [
        (Rung.RUNNING, False, 1e9, Rung.RUNNING),
        (Rung.TERM, False, 4.9, Rung.TERM),
        (Rung.TERM, False, 5.0, Rung.KILL),
        (Rung.KILL, False, 1.9, Rung.KILL),
        (Rung.KILL, False, 2.0, Rung.END),
        (Rung.END, False, 1e9, Rung.END),
        (Rung.RUNNING, True, 1.9, Rung.RUNNING),
        (Rung.RUNNING, True, 2.0, Rung.END),
        (Rung.TERM, True, 2.0, Rung.END),
        (Rung.END, True, 1e9, Rung.END),
    ],
)
def test_each_rung_leads_to_the_next(rung: Rung, exited: bool, after: float, then: Rung) -> None:
    assert climb(rung, 100.0, 100.0 + after, GRACE, exited=exited) is then


@given(st.sampled_from(Rung), times, times, st.floats(0, 3600), st.booleans())
def test_nobody_climbs_down_or_before_it_is_due(
    rung: Rung, since: float, wait: float, grace: float, exited: bool
) -> None:
    then = climb(rung, since, since + wait, grace, exited=exited)
    when = due(rung, since, grace, exited=exited)
    assert then >= rung
    assert (then > rung) == (when is not None and since + wait >= when)


@given(times, st.floats(0, 3600))
def test_whoever_is_asked_to_end_is_at_the_end_in_bounded_time(since: float, grace: float) -> None:
    rung, now = Rung.TERM, since
    while (when := due(rung, now, grace, exited=False)) is not None:
        rung, now = climb(rung, now, when, grace, exited=False), when
    assert rung is Rung.END
    assert now - since <= grace + kill.INIT_SECONDS + 1e-3


def test_the_sweep_leaves_no_child() -> None:
    """In a process of its own: a sweep takes every child there is."""
    pid = os.fork()
    if pid == 0:
        if kill.sweep() != []:
            os._exit(2)
        for _ in range(3):
            os.posix_spawn("/usr/bin/sleep", ["sleep", "60"], {})
        ended = os.posix_spawn("/usr/bin/true", ["true"], {})
        os.waitid(os.P_PID, ended, os.WEXITED | os.WNOWAIT)
        os._exit(0 if kill.sweep() == [] and kill.children(os.getpid()) == [] and not kill.reap() else 1)
    assert os.waitpid(pid, 0)[1] == 0
