"""The messages themselves: strict where the supervisor reads them, rebuilt without loss where the runner does."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.findings import TaskEnd, Usage
from shared.messages import (
    AgentSpec,
    Bind,
    Cell,
    ExecuteRequest,
    ExecuteResult,
    Layer,
    Limits,
    ProgramFile,
    Progress,
    Ready,
    RunAs,
    RunnerMessage,
    Started,
    Stop,
    Task,
    request_from,
)
from shared.reasons import Reason
from shared.wire import decode, encode

LIMITS = Limits(
    memory_bytes=1 << 30,
    processes=128,
    open_files=1024,
    file_bytes=1 << 30,
    tmp_bytes=1 << 28,
    output_bytes=1 << 26,
    cpu_seconds=None,
    wall_seconds=1800.0,
    setup_seconds=60.0,
    grace_seconds=5.0,
)
REQUEST = ExecuteRequest(
    run_id="r1",
    attempt=2,
    job_id="j1",
    session_id="s1",
    prompt="Say hello.",
    agent=AgentSpec(
        name="command",
        argv=("/bin/cat", "-"),
        env={"LANG": "C.UTF-8"},
        binds=(Bind(source="/opt/x", target="/opt/x"), Bind(source="/w", target="/w", writable=True)),
        links={"/opt/cat": "x/cat"},
        program=ProgramFile(path="/opt/x/cat", size=7, mtime_ns=1),
    ),
    cell=Cell(work_dir="/w", run_as=RunAs(uid=1001, gid=1001)),
    limits=LIMITS,
    log_dir="/logs/r1/2",
    import_paths=("/lib/python",),
    gate=Task(argv=("/g",), env={"A": "b"}, binds=(Bind(source="/g", target="/g"),), links={"/l": "/g"}),
    check=Task(argv=("/c", "x")),
    gate_at=3,
)
RESULT = ExecuteResult(
    run_id="r1",
    attempt=2,
    reason=Reason.OK,
    response="hello",
    answer_bytes=5,
    exit_code=0,
    duration=1_500_000_000,
    usage=Usage(wall_seconds=1.5, cpu_seconds=0.2, peak_rss_bytes=1 << 20, output_bytes=5),
    layers=(Layer(name="bubblewrap", detail="0.11"),),
    gate=TaskEnd(exit_code=0, words="go", seconds=0.5),
    check=TaskEnd(),
)
RUNNER = TypeAdapter[RunnerMessage](RunnerMessage)
MESSAGES: list[RunnerMessage] = [
    Ready(pid=7),
    Started(pid=9, layers=(Layer(name="rlimits"), Layer(name="bubblewrap", detail="0.11"))),
    Progress(output_bytes=10),
    RESULT,
]


def with_changed(message: RunnerMessage, path: tuple[str, ...], value: object) -> str:
    record: dict[str, Any] = json.loads(json.dumps(asdict(message)))
    inner: Any = record
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return json.dumps(record)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_what_a_runner_says_is_read_as_what_it_said(message: RunnerMessage) -> None:
    assert RUNNER.validate_json(encode(asdict(message))) == message


@pytest.mark.parametrize("run_as", [None, RunAs(uid=1001, gid=1001)])
def test_a_request_is_rebuilt_by_the_runner_as_it_was(run_as: RunAs | None) -> None:
    request = ExecuteRequest(
        **{**{f.name: getattr(REQUEST, f.name) for f in fields(REQUEST)}, "cell": Cell(run_as=run_as)}
    )
    assert request_from(decode(encode(asdict(request)))) == request


def test_a_request_passes_the_supervisors_check() -> None:
    adapter = TypeAdapter(ExecuteRequest)
    assert adapter.validate_json(encode(asdict(REQUEST))) == REQUEST


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("attempt",), "2"),
        (("attempt",), 2.5),
        (("attempt",), True),
        (("attempt",), None),
        (("exit_code",), "0"),
        (("response",), 5),
        (("usage", "wall_seconds"), "1.5"),
        (("usage", "peak_rss_bytes"), 1.5),
        (("layers",), "bubblewrap"),
        (("layers",), [["bubblewrap", "0.11"]]),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(path: tuple[str, ...], value: object) -> None:
    with pytest.raises(ValidationError):
        RUNNER.validate_json(with_changed(RESULT, path, value))


@pytest.mark.parametrize(("path", "value"), [(("type",), "resultx"), (("reason",), "fine"), (("reason",), "OK")])
def test_a_word_outside_the_list_is_refused(path: tuple[str, ...], value: object) -> None:
    with pytest.raises(ValidationError):
        RUNNER.validate_json(with_changed(RESULT, path, value))


@pytest.mark.parametrize("path", [("extra",), ("usage", "extra")])
def test_a_field_that_nobody_knows_is_refused(path: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError):
        RUNNER.validate_json(with_changed(RESULT, path, 1))


@pytest.mark.parametrize("field", ["run_id", "attempt", "reason"])
def test_a_missing_field_is_refused(field: str) -> None:
    record = {key: value for key, value in asdict(RESULT).items() if key != field}
    with pytest.raises(ValidationError):
        RUNNER.validate_json(json.dumps(record))


def test_a_stop_names_a_reason_of_the_list() -> None:
    adapter = TypeAdapter(Stop)
    stop = Stop(reason=Reason.CANCELED_BY_USER)
    assert adapter.validate_json(encode(asdict(stop))) == stop
    with pytest.raises(ValidationError):
        adapter.validate_json('{"type": "stop", "reason": "bored"}')


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data.pop("agent"),
        lambda data: data.update(extra=1),
        lambda data: data["agent"].pop("argv"),
        lambda data: data["cell"].update(extra=1),
        lambda data: data.update(limits=None),
    ],
)
def test_a_request_that_is_none_is_refused_by_the_runner_too(damage: Any) -> None:
    data = json.loads(json.dumps(asdict(REQUEST)))
    damage(data)
    with pytest.raises((TypeError, KeyError)):
        request_from(data)


def test_every_reason_says_whether_to_try_again_and_who_must_act() -> None:
    assert not any(reason.retry_helps and reason.owner_acts for reason in Reason)
    assert not Reason.OK.retry_helps
    assert Reason.RATE_LIMITED.retry_helps
    assert Reason.SANDBOX_UNAVAILABLE.owner_acts
