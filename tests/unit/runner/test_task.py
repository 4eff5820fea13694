"""What a gate and a check see, and what their ends mean: pure."""

from __future__ import annotations

import os
from pathlib import Path

from runner.attempt import with_gate_output
from runner.errand import Outcome
from runner.task import for_check, for_gate, of, of_check, of_gate
from shared.findings import TaskEnd
from shared.messages import Bind, Cell, Offer, Secret, Task
from shared.reasons import Reason
from shared.record import replace
from tests.driver import limits, request

TASK = Task(argv=("/usr/bin/true",), env={"A": "b"}, binds=(Bind(source="/x", target="/x"),), links={"/l": "/x"})
CELL = Cell(
    network="allow",
    allow_hosts=("example.com",),
    upstream_proxy="http://proxy:1",
    work_dir="/work",
    work_mode="branch",
    git_write=True,
    read_paths=("/r",),
    write_paths=("/w",),
    offer=Offer(directory="/clones/1", branch="cronward/x"),
)
SECRET = Secret(name="KEY", value="value of it")
ASKED = request(
    Path("/logs"),
    "agent",
    prompt="hello",
    env={"AGENT_KEY": "v"},
    files={"/home/agent/.login": "token"},
    cell=CELL,
    secrets=(SECRET,),
    limits=limits(idle_seconds=1.0),
    output_format="structured",
)


def test_a_gate_sees_what_the_agent_would_but_nothing_of_the_agent() -> None:
    made = for_gate(ASKED, TASK)
    assert made.agent.files == {}
    assert (made.agent.argv, made.agent.env, made.agent.binds, made.agent.links) == (
        *(TASK.argv, TASK.env, TASK.binds, TASK.links),
    )
    assert made.cell == replace(CELL, work_mode="read", git_write=False, offer=None)
    assert made.secrets == (SECRET,)
    assert (made.prompt, made.output_format, made.limits.idle_seconds) == ("", "text", None)


def test_a_check_can_write_nothing_reach_nobody_and_knows_no_secret() -> None:
    made = for_check(ASKED, TASK, 3.0)
    cell = made.cell
    assert (cell.network, cell.allow_hosts, cell.upstream_proxy) == ("none", (), "")
    assert (cell.work_mode, cell.git_write, cell.write_paths, cell.read_paths) == ("read", False, (), ("/r", "/w"))
    assert (made.secrets, made.agent.files, made.agent.env) == ((), {}, {"A": "b"})
    assert (made.limits.wall_seconds, made.prompt) == (3.0, "")


def test_only_75_says_that_there_is_nothing_to_do_and_only_0_lets_the_agent_start() -> None:
    def gate(reason: Reason, code: int | None) -> Reason:
        return of_gate(Outcome(reason, "The agent ended.", ""), TaskEnd(exit_code=code)).reason

    table = {
        (Reason.OK, 0): Reason.OK,
        (Reason.AGENT_ERROR, 75): Reason.NOTHING_TO_DO,
        (Reason.AGENT_ERROR, 1): Reason.GATE_FAILED,
        (Reason.AGENT_ERROR, 74): Reason.GATE_FAILED,
        (Reason.KILLED_BY_SIGNAL, None): Reason.GATE_FAILED,
        (Reason.OUT_OF_MEMORY, None): Reason.GATE_FAILED,
        (Reason.OUTPUT_LIMIT, 75): Reason.GATE_FAILED,
        (Reason.TIMEOUT_WALL, None): Reason.TIMEOUT_WALL,
        (Reason.CANCELED_BY_USER, 75): Reason.CANCELED_BY_USER,
        (Reason.CANCELED_BY_USER, 0): Reason.CANCELED_BY_USER,
        (Reason.SUPERVISOR_DIED, None): Reason.SUPERVISOR_DIED,
        (Reason.SANDBOX_UNAVAILABLE, None): Reason.SANDBOX_UNAVAILABLE,
        (Reason.RUNNER_BROKE, None): Reason.RUNNER_BROKE,
    }
    for asked, expected in table.items():
        assert gate(*asked) is expected, asked


def test_whatever_a_check_ends_with_the_agents_work_is_not_done_again() -> None:
    told = {Reason.CANCELED_BY_USER, Reason.JOB_REMOVED, Reason.JOB_DISABLED, Reason.REPLACED}
    told |= {Reason.SUPERVISOR_STOPPED, Reason.SUPERVISOR_DIED, Reason.TIMEOUT_WALL, Reason.OK}
    for reason in Reason:
        found = of_check(Outcome(reason, "", ""), TaskEnd()).reason
        assert found is (reason if reason in told else Reason.CHECK_FAILED), reason
        assert not found.retry_helps, reason


def test_neither_is_tried_again() -> None:
    assert not any(r.retry_helps for r in (Reason.GATE_FAILED, Reason.NOTHING_TO_DO, Reason.CHECK_FAILED))


def test_sentences_say_whose_end_it_was() -> None:
    assert of("gate", "The agent ended with exit code 3. x") == "The gate ended with exit code 3. x"
    assert of("check", "It took longer than 5 s.") == "With the check, it took longer than 5 s."
    assert of("gate", "The agent was killed. The agent") == "The gate was killed. The agent"


def test_a_gates_output_is_put_in_once_where_its_place_is(tmp_path: Path) -> None:
    written = os.open(tmp_path / "gate", os.O_RDWR | os.O_CREAT)
    os.write(written, b"see {{ gate.output }} and {{ job.name }}\n")
    asked = replace(ASKED, prompt="before|after", gate_at=6)
    made = with_gate_output(asked, written)
    os.close(written)
    head, _, tail = made.prompt.partition("\n")
    assert (head, made.prompt.rpartition("\n")[2]) == ("before", "|after")
    assert "\nsee {{ gate.output }} and {{ job.name }}\n</data id=" in tail
    assert made.gate_at is None
    assert with_gate_output(made, -1) is made, "nothing is put in again"


def test_each_fence_has_a_mark_of_its_own(tmp_path: Path) -> None:
    written = os.open(tmp_path / "gate", os.O_RDWR | os.O_CREAT)
    asked = replace(ASKED, prompt="", gate_at=0)
    made = {with_gate_output(asked, written).prompt for _ in range(3)}
    os.close(written)
    assert len(made) == 3
