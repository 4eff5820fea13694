"""Several that want the same: one home has one supervisor, one name one job, and no edit undoes another's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.reign import Reign
from tests.crash.trial import FULL, SETTINGS
from tests.driver import adopting_orphans, eventually
from tests.house import CHECKOUT

RIVALS = 3
# Twenty edits of one job, each of another field: option, value, field, and what is stored for it.
EDITS = (
    ("--prompt", "other", "prompt", "other"),
    ("--timeout", "7m", "timeout_secs", 420),
    ("--idle-timeout", "9s", "idle_timeout_secs", 9),
    ("--retries", "7", "retries", 7),
    ("--retry-delay", "3s", "retry_delay", 3_000_000_000),
    ("--type", "medium", "type", "medium"),
    ("--model", "large", "model", "large"),
    ("--overlap", "queue", "overlap", "queue"),
    ("--catch-up", "all", "catch_up", "all"),
    ("--grace", "11m", "grace_secs", 660),
    ("--jitter", "13s", "jitter_secs", 13),
    ("--dst", "exact", "dst", "exact"),
    ("--until", "2999-01-01T00:00:00Z", "until", "2999-01-01T00:00:00Z"),
    ("--max-runs", "17", "max_runs", 17),
    ("--disable-after", "19", "disable_after", 19),
    ("--on-complete", "http://127.0.0.1:9/a", "on_complete", "http://127.0.0.1:9/a"),
    ("--on-fail", "http://127.0.0.1:9/b", "on_fail", "http://127.0.0.1:9/b"),
    ("--notify-on", "failed", "notify_on", ["failed"]),
    ("--name", "renamed", "name", "renamed"),
    ("--private", None, "private", True),
)

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def reign(tmp_path: Path) -> Iterator[Reign]:
    with adopting_orphans():
        made = Reign(tmp_path / "home", SETTINGS)
        yield made
        made.end()


def cronward(reign: Reign, *commands: tuple[str, ...]) -> list[tuple[int, str]]:
    """Exit code and output of each of these commands, given at one instant, each in a process of its own."""
    asked = json.dumps([["--home", str(reign.root), *each] for each in commands])
    argv = [sys.executable, "-m", "tests.crash.crowd"]
    environ = {**os.environ, **SETTINGS}
    done = subprocess.run(
        argv, cwd=CHECKOUT, env=environ, input=asked, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return [(code, words) for code, words in json.loads(done.stdout)]


def persistently(reign: Reign, *commands: tuple[str, ...]) -> list[tuple[int, str]]:
    """The same; who is told that another process is at it, on a very busy machine, does as it is told: tries again."""
    ends: list[tuple[int, str]] = []
    left = commands
    for _ in range(10):
        said = cronward(reign, *left)
        ends += [end for end in said if not busy(end)]
        left = tuple(each for each, end in zip(left, said, strict=True) if busy(end))
        if not left:
            return ends
    raise AssertionError(f"refused ten times: {left}")


def busy(end: tuple[int, str]) -> bool:
    return end[0] == 5 and "Try again in a moment" in end[1]


def test_of_supervisors_that_start_at_once_one_keeps_time_and_a_killed_one_is_followed(reign: Reign) -> None:
    rivals = [reign.spawn() for _ in range(RIVALS)]  # each at its own pace, as cron would start them
    try:
        eventually(lambda: sum(each.poll() is None for each in rivals) == 1, 60)
        (first,) = (each for each in rivals if each.poll() is None)
        assert [each.returncode for each in rivals if each is not first] == [5] * (RIVALS - 1)
        reign.process = first
        reign.wait_until_ready()
        ((code, words),) = cronward(reign, ("supervise",))
        assert (code, f"process {first.pid}," in words) == (5, True), words
        reign.kill()
        reign.start()  # the killed one's lock, socket and description lie there and keep nobody out
        assert reign.client.status()["running"] == 0
        assert reign.stop() == 0
    finally:
        for each in rivals:
            each.send_signal(signal.SIGKILL)
            each.wait()


@pytest.mark.parametrize("attended", [True, False], ids=["with a supervisor", "without one"])
def test_of_twenty_edits_at_once_none_is_lost_and_a_name_goes_to_one(reign: Reign, attended: bool) -> None:
    if attended:
        reign.start()
    add = ("add", "--cron", "@yearly", "--command", "cat", "--prompt", "x")
    ((code, words),) = cronward(reign, (*add, "--json"))
    assert code == 0, words
    job = json.loads(words)["id"]
    edits = [("edit", job, option, *([value] if value else [])) for option, value, _, _ in EDITS]
    said = persistently(reign, *edits)
    assert [code for code, _ in said] == [0] * len(EDITS), said
    stored = json.loads((reign.root / "jobs" / f"{job}.json").read_text())
    assert {field: stored[field] for _, _, field, _ in EDITS} == {field: value for _, _, field, value in EDITS}
    if attended and not FULL:  # it is the lock that could go wrong
        return
    said = persistently(reign, *[(*add, "--name", "only")] * 20)
    assert sorted(code for code, _ in said) == [0] + [5] * 19, said
    assert not any("Traceback" in words for _, words in said)
    assert len(list((reign.root / "jobs").glob("*.json"))) == 2
