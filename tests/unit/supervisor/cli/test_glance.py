"""What a run's agent says that it did, in a few lines."""

from __future__ import annotations

from shared.findings import Deeds
from supervisor.cli.glance import deeds
from tests.fakes import make_run


def test_what_an_agent_did_is_told_in_a_few_lines_and_nothing_where_it_did_nothing() -> None:
    done = Deeds(tools={"Bash": 2, "Edit": 1}, commands=("ls", "make"), files=("a.py",), calls=3, failures=1)
    assert dict(deeds(make_run(deeds=done))) == {
        "tools": "3 calls: Bash (2), Edit; 1 went wrong",
        "ran": "ls\nmake",
        "changed": "a.py",
    }
    once = make_run(deeds=Deeds(tools={"Bash": 1}, calls=1))
    assert dict(deeds(once)) == {"tools": "1 call: Bash"}
    assert [*deeds(make_run(deeds=Deeds())), *deeds(make_run())] == []
