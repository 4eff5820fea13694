"""The supervisor's end of the protocol, against real processes that behave in every way a runner should not.

They are `tests/children/runner.py`; what a real runner does is in tests/cell.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, cast

import psutil
import pytest

from shared.messages import ExecuteRequest, Layer, Progress, Ready, RunnerMessage, Started
from shared.reasons import Reason
from shared.wire import MAX_LINE, ProtocolError
from supervisor.spawning.launcher import Executor, Gone, News, Runner, SpawnError, Spoke
from supervisor.spawning.recovery import kill_runners
from supervisor.status import Status
from supervisor.stores.host import Host
from tests.driver import eventually
from tests.fakes import make_request, make_run
from tests.lacks import need

ROOT = Path(__file__).resolve().parents[2]
CHILDREN = ROOT / "tests" / "children"
WITHIN = 10.0
Act = Callable[[Runner, RunnerMessage], None]


@pytest.fixture
def executor() -> Executor:
    return Executor(runner=CHILDREN / "runner.py")


def request_to(behave: str, log_dir: Path, **fields: Any) -> ExecuteRequest:
    return make_request("run-1", 2, log_dir, prompt=behave, **fields)


class Attempt:
    """One attempt to its end; `act` is called with whatever the runner says."""

    def __init__(
        self,
        executor: Executor,
        request: ExecuteRequest,
        act: Act = lambda _runner, _message: None,
        kill_after: float | None = None,
    ) -> None:
        self.said: list[RunnerMessage] = []
        self.gone: list[Gone] = []
        self.executor, self.request, self.act = executor, request, act
        self.kill_after, self.longest_turn = kill_after, 0.0
        asyncio.run(asyncio.wait_for(self._run(), WITHIN))

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        over = asyncio.Event()

        def tell(news: News) -> None:
            assert not self.gone, "nothing is said after the end"
            assert (news.run_id, news.attempt) == (self.request.run_id, self.request.attempt)
            if isinstance(news, Spoke):
                self.said.append(news.message)
                self.act(self.runner, news.message)
            else:
                self.gone.append(news)
                over.set()

        self.runner = self.executor.spawn(self.request, tell, loop, "slug")
        watch = asyncio.create_task(self._watch())
        if self.kill_after is not None:
            loop.call_later(self.kill_after, self.runner.kill)
        try:
            await over.wait()
            await asyncio.sleep(0)  # a second end would come now
        finally:
            watch.cancel()
            self.runner.kill()

    async def _watch(self) -> NoReturn:
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.001)
            self.longest_turn = max(self.longest_turn, time.monotonic() - began)

    @property
    def end(self) -> Gone:
        (end,) = self.gone
        assert not psutil.pid_exists(self.runner.pid)
        return end


def attempt(executor: Executor, behave: str, log_dir: Path, **fields: Any) -> Attempt:
    return Attempt(executor, request_to(behave, log_dir), **fields)


# ---- how an attempt ends


def test_what_a_runner_says_arrives_in_order_and_its_result_with_its_end(executor: Executor, tmp_path: Path) -> None:
    found = attempt(executor, "all_it_says", tmp_path)
    assert found.said == [
        Ready(pid=found.runner.pid),
        Started(pid=1, layers=(Layer(name="seccomp", detail="v1"),)),
        Progress(output_bytes=5),
    ]
    assert found.end.result is not None
    assert (found.end.result.reason, found.end.result.response, found.end.fault) == (Reason.OK, "Hello.", "")


@pytest.mark.parametrize(
    ("behave", "fault"),
    [
        ("no_result", "The runner ended with status 5 without a result. It said: the last word"),
        ("silent_end", "The runner ended with status 0 without a result."),
        ("killed_itself", "The runner ended by signal 11 without a result."),
        ("half_a_line", "The runner ended with status 0 without a result."),
    ],
)
def test_an_end_without_a_result_says_what_broke(executor: Executor, tmp_path: Path, behave: str, fault: str) -> None:
    end = attempt(executor, behave, tmp_path).end
    assert (end.result, end.fault) == (None, fault)


def test_a_result_that_was_kept_and_not_said_counts(executor: Executor, tmp_path: Path) -> None:
    end = attempt(executor, "kept_result", tmp_path).end
    assert end.result is not None
    assert (end.result.reason, end.result.error) == (Reason.AGENT_ERROR, "It was kept.")


@pytest.mark.parametrize(
    ("behave", "words"),
    [
        ("long_line", f"longer than {MAX_LINE} bytes"),
        ("not_json", "Invalid JSON"),
        ("no_message", "ready.more: Unexpected keyword argument"),
        ("no_reason", "result.reason: Input should be"),
        ("no_number", "usage.wall_seconds: nobody can mean this number"),
        ("another_run", "not of this attempt"),
        ("another_attempt", "not of this attempt"),
        ("two_results", "not of this attempt"),
        ("kept_and_breaks", "Invalid JSON"),  # and what it kept is not believed
    ],
)
def test_who_breaks_the_protocol_is_killed_and_believed_no_more(
    executor: Executor, tmp_path: Path, behave: str, words: str
) -> None:
    end = attempt(executor, behave, tmp_path).end
    assert end.result is None
    assert words in end.fault
    assert "s3cret" not in end.fault
    assert end.fault.isprintable()


def test_who_floods_is_killed_and_delays_nobody(executor: Executor, tmp_path: Path) -> None:
    found = attempt(executor, "flood", tmp_path)
    assert found.end.fault == "The runner broke the protocol: it says far more than it has to say."
    assert len(found.said) < 1000
    assert found.longest_turn < 2


def test_a_runner_that_says_its_result_and_stays_is_ended_by_a_kill(executor: Executor, tmp_path: Path) -> None:
    """Whoever keeps time kills it; its result, said in time, is taken."""
    assert attempt(executor, "result_and_hang", tmp_path, kill_after=0.3).end.result is not None


def test_what_a_runner_said_last_is_heard_though_its_death_is_seen_first(executor: Executor, tmp_path: Path) -> None:
    told: list[News] = []

    async def run() -> None:
        runner = executor.spawn(request_to("all_it_says", tmp_path), told.append, asyncio.get_running_loop())
        os.waitid(os.P_PIDFD, runner._pidfd, os.WEXITED | os.WNOWAIT)
        runner._reap()

    asyncio.run(run())
    assert [type(news) for news in told] == [Spoke, Spoke, Spoke, Gone]
    assert isinstance(told[-1], Gone)
    assert told[-1].result is not None


# ---- ending it


def test_a_runner_is_told_to_stop_and_why(executor: Executor, tmp_path: Path) -> None:
    def act(runner: Runner, _message: RunnerMessage) -> None:
        runner.stop(Reason.JOB_REMOVED)

    end = attempt(executor, "stops_when_told", tmp_path, act=act).end
    assert end.result is not None
    assert end.result.reason is Reason.JOB_REMOVED


def test_a_runner_that_ignores_a_stop_is_killed(executor: Executor, tmp_path: Path) -> None:
    def act(runner: Runner, _message: RunnerMessage) -> None:
        runner.stop(Reason.CANCELED_BY_USER)
        asyncio.get_running_loop().call_later(0.05, runner.kill)

    end = attempt(executor, "ignores_stop", tmp_path, act=act).end
    assert end.fault == "The runner ended by signal 9 without a result."


def test_a_runner_that_closes_its_pipe_and_stays_can_be_killed(executor: Executor, tmp_path: Path) -> None:
    assert "signal 9" in attempt(executor, "closes_and_hangs", tmp_path, kill_after=0.3).end.fault


def test_who_is_gone_is_neither_told_nor_killed(executor: Executor, tmp_path: Path) -> None:
    """The numbers of its descriptors are other files' by now."""
    runner = attempt(executor, "all_it_says", tmp_path).runner
    bystander = subprocess.Popen(["/usr/bin/sleep", "60"])
    pidfd = os.pidfd_open(bystander.pid)
    opened = [pidfd]
    try:
        while opened[-1] < max(runner._to, runner._pidfd):
            opened.append(os.open(tmp_path / f"file-{len(opened)}", os.O_CREAT | os.O_RDWR))
        os.dup2(pidfd, runner._pidfd)
        runner.stop(Reason.CANCELED_BY_USER)
        runner.kill()
        assert [path.stat().st_size for path in tmp_path.glob("file-*")] == [0] * (len(opened) - 1)
        with pytest.raises(subprocess.TimeoutExpired):
            bystander.wait(0.1)
    finally:
        bystander.kill()
        bystander.wait()
        for number in {*opened, runner._pidfd}:
            os.close(number)


# ---- starting it


def test_a_request_larger_than_any_pipe_arrives_whole(executor: Executor, tmp_path: Path) -> None:
    schema = "x" * (MAX_LINE - 5000)
    end = Attempt(executor, request_to("slow_reader", tmp_path, output_schema=schema)).end
    assert end.result is not None
    assert end.result.response == hashlib.sha256(schema.encode()).hexdigest()


def test_a_request_too_long_for_a_line_starts_nothing(executor: Executor, tmp_path: Path) -> None:
    with pytest.raises(ProtocolError):
        Attempt(executor, request_to("all_it_says", tmp_path, output_schema="x" * MAX_LINE))
    assert list(tmp_path.iterdir()) == []


def test_a_runner_has_three_descriptors_and_nothing_else_of_ours(
    executor: Executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S3CRET", "1")
    ends = os.pipe()
    for end in ends:
        os.set_inheritable(end, True)
    try:
        gone = attempt(executor, "surroundings", tmp_path).end
    finally:
        for number in ends:
            os.close(number)
    assert gone.result is not None
    found = json.loads(gone.result.response)
    assert found["fds"] == {"0": "pipe", "1": "pipe", "2": str(tmp_path / "runner.log")}
    assert found["environ"] == {"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"}
    assert (found["cwd"], found["session"], found["blocked"], found["flags"]) == ("/", True, [], [1, 1])
    script = str(CHILDREN / "runner.py")
    told = ["cronward-run", "--run", "run-1", "--attempt", "2", "--job", "slug"]
    assert found["argv"] == [sys.executable, "-I", "-S", script, *told]


def test_what_is_kept_of_a_request_is_for_its_owner_alone(executor: Executor, tmp_path: Path) -> None:
    attempt(executor, "no_result", tmp_path)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"request.json": 0o600, "runner.log": 0o600}


def test_a_folder_that_cannot_be_written_starts_nothing(executor: Executor, tmp_path: Path) -> None:
    with pytest.raises(SpawnError, match="cannot be written"):
        attempt(executor, "all_it_says", tmp_path / "missing")


def test_an_interpreter_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpawnError, match="/no/such/python"):
        attempt(Executor("/no/such/python"), "all_it_says", tmp_path)


def test_a_runner_that_cannot_be_watched_does_not_live(executor: Executor, tmp_path: Path) -> None:
    class Blind:
        def add_reader(self, *_args: Any) -> None:
            raise OSError(28, "No space left on device")

    before = psutil.Process().children()
    with pytest.raises(SpawnError, match="cannot be watched: No space left"):
        executor.spawn(request_to("ignores_stop", tmp_path), lambda _news: None, cast(Any, Blind()))
    assert psutil.Process().children() == before


# ---- as a library


def test_an_attempt_can_be_waited_for(executor: Executor, tmp_path: Path) -> None:
    assert executor.execute(request_to("all_it_says", tmp_path)).response == "Hello."
    broken = executor.execute(request_to("no_result", tmp_path))
    assert (broken.reason, broken.run_id, broken.attempt) == (Reason.RUNNER_BROKE, "run-1", 2)
    assert "the last word" in broken.error


def test_the_end_of_the_pipe_reaches_a_runner_whose_supervisor_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from supervisor.spawning.launcher import Executor; "
        "from tests.fakes import make_request, make_run; folder = Path(sys.argv[1]); "
        "Executor(runner=Path(sys.argv[2])).execute(make_request('run-1', 1, folder, prompt='ends_with_its_pipe'))"
    )
    argv = [sys.executable, "-c", code, str(tmp_path), str(CHILDREN / "runner.py")]
    supervisor = subprocess.Popen(argv, cwd=ROOT)
    try:
        eventually((tmp_path / "here").exists, WITHIN)
    finally:
        supervisor.send_signal(signal.SIGKILL)
        supervisor.wait()
    eventually((tmp_path / "gone").exists, WITHIN)


# ---- what is left behind


def adopting(behaviour: str, folder: Path) -> dict[str, Any]:
    argv = [sys.executable, str(CHILDREN / "adopting.py"), behaviour, str(folder)]
    done = subprocess.run(
        argv, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def test_what_a_runner_leaves_in_its_session_is_gone_with_its_attempt(tmp_path: Path) -> None:
    seen = adopting("leaves_a_stray", tmp_path)
    assert not psutil.pid_exists(int(seen.pop("result")))
    assert seen == {"fault": "", "left": [], "only the bystander": True, "bystander lives": True}


@need("cell")
def test_a_cell_that_outlives_its_runner_is_gone_with_its_attempt(tmp_path: Path) -> None:
    seen = adopting("leaves_a_cell", tmp_path)
    assert "signal 9" in seen.pop("fault")
    assert seen == {"result": None, "left": [], "only the bystander": True, "bystander lives": True}


def test_runners_are_found_by_their_runs_and_no_others() -> None:
    def runner(run_id: str) -> subprocess.Popen[bytes]:
        sleep = "import time; time.sleep(60)"
        return subprocess.Popen([sys.executable, "-I", "-S", "-c", sleep, "cronward-run", "--run", run_id])

    first, second, third = runner("0a-run"), runner("0b-run"), runner("0c-run")
    plain = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)", "0a-run"])
    try:
        for process in (first, second, third):
            eventually(lambda: "cronward-run" in psutil.Process(process.pid).cmdline())  # noqa: B023
        here, away = Host("here", ""), {"status": Status.RUNNING, "host": "elsewhere"}
        kill_runners([make_run(id="0b-run", **away), make_run(id="0a-run", status=Status.RUNNING, host="here")], here)
        assert not psutil.pid_exists(first.pid)
        assert [process.poll() for process in (second, third, plain)] == [None] * 3
    finally:
        for process in (first, second, third, plain):
            process.kill()
            process.wait()
