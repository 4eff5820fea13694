"""A gate before the agent, a check after it: programs of the owner's, each in a cell of its own, inside the run's time.

Made and ended as the agent's cell is. A gate sees what the job's agent would, with the work directory read-only, and
its network and secrets; nothing of the agent itself. A check sees what the agent left, and can change none of it: all
is read-only, and there is no network and no secret. There is one at a time, and none while the agent lives.
"""

from __future__ import annotations

import os
from time import monotonic

from runner import cell, host, kill, logs, output
from runner.confinement import confine
from runner.errand import WORDS_MOST, Outcome, outcome
from runner.host import Access
from runner.logs import Logs
from runner.namespaced import Namespaced
from runner.refusal import RefusalError
from runner.spawn import spawn
from shared.findings import TaskEnd
from shared.messages import AgentSpec, ExecuteRequest, Task
from shared.reasons import Reason
from shared.record import NamedTuple, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.channel import Channel
    from runner.confinement import Confinement
    from runner.ending import Ending
    from runner.hiding import Hiding
    from runner.leaf import Leaf
    from runner.outlet import Outlet
    from runner.seccomp import Filter
    from runner.watchdog import Watchdog

NOTHING_TO_DO = 75
# Half of it may be held in memory, and of what a gate says little is wanted.
GATE_OUTPUT_MOST = 1 << 20
# What a gate may end with by its own doing; whatever else ends it is told as it is, and may be worth another attempt.
ITS_OWN = (
    *(Reason.AGENT_ERROR, Reason.KILLED_BY_SIGNAL, Reason.OUT_OF_MEMORY, Reason.CPU_LIMIT, Reason.PROCESS_LIMIT),
    *(Reason.OUTPUT_LIMIT, Reason.DISK_LIMIT),
)
# What ends a check without saying anything of the agent's work. None of it is tried again: the work is done.
NOT_ITS_OWN = (
    *(Reason.TIMEOUT_WALL, Reason.SUPERVISOR_DIED, Reason.SUPERVISOR_STOPPED, Reason.CANCELED_BY_USER),
    *(Reason.JOB_REMOVED, Reason.JOB_DISABLED, Reason.REPLACED),
)


class Judged(NamedTuple):
    """What a gate or a check came to. `reason`: OK for go on."""

    reason: Reason
    error: str
    end: TaskEnd


class Tasks:
    """Those of one attempt. `filtering` gives the filter of system calls, `outlet` the way out of a cell that has one;
    `dropped`: root's ids were left behind."""

    def __init__(
        self,
        request: ExecuteRequest,
        channel: Channel,
        leaf: Leaf | None,
        files: Logs,
        filtering: Callable[[Confinement], Filter],
        outlet: Callable[[Confinement], Outlet | None],
        *,
        dropped: bool,
    ) -> None:
        self._request, self._channel, self._leaf, self._files = request, channel, leaf, files
        self._filtering, self._outlet, self._dropped = filtering, outlet, dropped

    def gate(self, task: Task, since: float) -> Judged:
        """`since`: time.monotonic's, from when on the attempt's time counts. Raises RefusalError where no cell is to be
        had."""
        request = for_gate(self._request, task)
        confined = confine(request, self._files.state)
        words = os.memfd_create("cronward-gate", os.MFD_CLOEXEC)
        try:
            outlet, kept = self._outlet(confined), Logs(self._files.gate, words, -1, -1, -1, "")
            return of_gate(*self._run(request, confined, outlet, kept, since))
        finally:
            os.close(words)

    def check(self, task: Task, until: float, clone: str | None) -> Judged:
        """`until`: time.monotonic's; `clone`: what the agent had in the place of its work directory."""
        began = monotonic()
        if until <= began:
            return Judged(Reason.TIMEOUT_WALL, "No time was left for the check.", TaskEnd())
        try:
            request = for_check(self._request, task, until - began)
            confined = self._after(request, clone)
            kept = Logs(self._files.check, self._files.check, -1, -1, -1, "")
            said = of_check(*self._run(request, confined, None, kept, began))
            return said._replace(error=as_told(said.error, request, self._request))
        except RefusalError as refusal:
            return Judged(Reason.CHECK_FAILED, f"The check could not be started. {refusal.sentence}", TaskEnd())

    def _after(self, request: ExecuteRequest, clone: str | None) -> Confinement:
        if clone is None:
            return confine(request, self._files.state)
        # Looked at as for the agent: of the original nothing is shown.
        agents = replace(request, cell=replace(request.cell, work_mode="branch"))
        found = host.look(agents)
        cell.check(agents, found, self._files.state)
        found = found._replace(real={**found.real, str(request.cell.work_dir): clone}, work_dir=Access.READ)
        return Namespaced(request, self._files.state, found)

    def _run(
        self, request: ExecuteRequest, confined: Confinement, outlet: Outlet | None, files: Logs, since: float
    ) -> tuple[Outcome, TaskEnd]:
        """To its end, and nothing of it is left then."""
        began = monotonic()
        try:
            ending = self._relay(request, confined, outlet, files, since)
        finally:
            kill.sweep(apart=confined.apart)
            confined.clear()
        words = logs.tail(files.stderr, WORDS_MOST).rstrip() or logs.tail(files.stdout, WORDS_MOST)
        code, _ = output.decode_status(ending.report.status if ending.report.failure is None else None)
        end = TaskEnd(exit_code=code, words=output.last_line(words), seconds=monotonic() - began)
        return outcome(request, ending, words), end

    def _relay(
        self, request: ExecuteRequest, confined: Confinement, outlet: Outlet | None, files: Logs, since: float
    ) -> Ending:
        from runner.census import open_places
        from runner.relay import Relay
        from runner.tally import Tally

        more = confined.descriptors(outlet.inside) if outlet else []
        spawned = spawn(confined.arguments, confined.files, more)
        if outlet is not None:
            outlet.start(self._files.network)
        filtering = self._filtering(confined)
        tally = Tally(request.limits, self._leaf, open_places(confined.writable), apart=confined.apart)

        def admit(hello: dict[str, str]) -> bytes:
            confined.held(hello, dropped=self._dropped)
            tally.begin(*confined.init(spawned.pid))
            return confined.config(filtering.program)

        def announce(said: tuple[str, ...]) -> Watchdog:
            confined.taken(said, filtering)
            return tally.watchdog()

        relay = Relay(
            spawned,
            self._channel,
            files,
            request.limits,
            since=since,
            admit=admit,
            announce=announce,
            end_group=tally.kill,
            close=outlet.finish if outlet is not None else lambda: None,
            hiding=self._hiding(),
            apart=confined.apart,
        )
        return tally.settle(relay.run(b""))

    def _hiding(self) -> Hiding | None:
        """A mask of its own: what is half written when the agent starts is not the agent's."""
        if not self._request.secrets and not (self._request.keep and self._request.keep.login):
            return None
        from runner.hiding import Hiding

        return Hiding(self._request)


def for_gate(request: ExecuteRequest, task: Task) -> ExecuteRequest:
    """As if it were the agent; but the work directory and every repository are read-only."""
    inside = replace(request.cell, work_mode="read", git_write=False, offer=None)
    most = min(request.limits.output_bytes, GATE_OUTPUT_MOST)
    limits = replace(request.limits, idle_seconds=None, output_bytes=most)
    # The agent's login is its own.
    token = request.keep.token if request.keep is not None else ""
    others = tuple(secret for secret in request.secrets if secret.name != token)
    agent = _agent("gate", task)
    return replace(request, agent=agent, cell=inside, limits=limits, prompt="", output_format="text", secrets=others)


def for_check(request: ExecuteRequest, task: Task, seconds: float) -> ExecuteRequest:
    """The same, and no network and no secret, and nothing that could be written but its own home and /tmp."""
    ours = request.cell
    inside = replace(
        ours,
        network="none",
        allow_hosts=(),
        upstream_proxy="",
        work_mode="read",
        git_write=False,
        read_paths=(*ours.read_paths, *ours.write_paths),
        write_paths=(),
        offer=None,
    )
    limits = replace(request.limits, idle_seconds=None, wall_seconds=seconds)
    agent = _agent("check", task)
    return replace(request, agent=agent, cell=inside, limits=limits, prompt="", output_format="text", secrets=())


def _agent(name: str, task: Task) -> AgentSpec:
    return AgentSpec(name=name, argv=task.argv, env=task.env, binds=task.binds, links=task.links, require_answer=False)


def of_gate(found: Outcome, end: TaskEnd) -> Judged:
    """Whether the agent is to be started, by how the gate ended."""
    if end.exit_code == NOTHING_TO_DO and found.reason is Reason.AGENT_ERROR:
        return Judged(Reason.NOTHING_TO_DO, f"The gate found nothing to do. {end.words}".rstrip(), end)
    reason = Reason.GATE_FAILED if found.reason in ITS_OWN else found.reason
    return Judged(reason, of("gate", found.error), end)


def of_check(found: Outcome, end: TaskEnd) -> Judged:
    """Whether the agent's work stands, by how the check ended."""
    kept = found.reason is Reason.OK or found.reason in NOT_ITS_OWN
    return Judged(found.reason if kept else Reason.CHECK_FAILED, of("check", found.error), end)


def as_told(error: str, request: ExecuteRequest, whole: ExecuteRequest) -> str:
    """With the time that the owner gave the run, not what was left of it for the check."""
    left, given = (f"than {each.limits.wall_seconds:g} s." for each in (request, whole))
    return error.replace(left, given)


def of(name: str, error: str) -> str:
    """A sentence about an agent as one about a gate or a check."""
    return error.replace("The agent", f"The {name}", 1).replace("It took", f"With the {name}, it took", 1)
