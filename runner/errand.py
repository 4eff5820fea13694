"""A short-lived cell of our own, beside the agent's: for what has to be done with files that a run could have written.

It is made and ended like the agent's: the same arguments, filter, limits and kill ladder; it dies with the runner and
the supervisor, and obeys a stop. But it has no network, no secret and no work directory, a fresh home and /tmp, and is
shown only what its errand names. There is one at a time, and none while the agent lives.
"""

from __future__ import annotations

import os
from time import monotonic

from runner import cell, host, kernel, kill, landlock, layers, logs
from runner.host import Access, Grants, Host, Mark
from runner.logs import Logs
from runner.refusal import Reason, RefusalError
from runner.spawn import spawn
from shared.messages import AgentSpec, Bind, Cell, ExecuteRequest
from shared.record import NamedTuple, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.channel import Channel
    from runner.ending import Ending
    from runner.leaf import Leaf
    from runner.seccomp import Filter
    from runner.watchdog import Watchdog

WORDS_MOST = 4096
OUTPUT_MOST = 64 << 10


class Errand(NamedTuple):
    """`argv` is started in the cell's scratch directory, with `told` on its standard input: argv can be seen by others.
    `marks`: what init is to compare before it starts anything. `output`: a file that takes its standard output; None:
    nobody does. `output_bytes`: of both its outputs."""

    argv: tuple[str, ...]
    binds: tuple[Bind, ...]
    marks: tuple[Mark, ...] = ()
    told: bytes = b""
    output: int | None = None
    output_bytes: int = OUTPUT_MOST


class Outcome(NamedTuple):
    """`reason` is OK only if it ended with 0. `words`: the end of its standard error; `error`: a sentence."""

    reason: Reason
    error: str
    words: str


class Errands:
    """Those of one attempt. `until`: time.monotonic's, when the attempt has to be over."""

    def __init__(
        self,
        request: ExecuteRequest,
        found: Host,
        channel: Channel,
        leaf: Leaf | None,
        filtering: Callable[[], Filter],
        until: float,
    ) -> None:
        self._request, self._found, self._channel = request, found, channel
        self._leaf, self._filtering, self._until = leaf, filtering, until

    def run(self, errand: Errand) -> Outcome:
        """To its end, and nothing of it is left then. Raises RefusalError where it cannot be started."""
        left = self._until - monotonic()
        if left <= 0:
            return Outcome(Reason.TIMEOUT_WALL, "No time was left.", "")
        request = self._requested(errand, left)
        # Memory, not a file: what is kept of it is short.
        words = os.memfd_create("cronward-errand", os.MFD_CLOEXEC)
        output = words if errand.output is None else errand.output
        try:
            ending = self._relay(request, errand, Logs(output, words, -1, -1, -1, ""))
            return outcome(request, ending, logs.tail(words, WORDS_MOST))
        finally:
            os.close(words)

    def _requested(self, errand: Errand, left: float) -> ExecuteRequest:
        """As if it were an agent: nothing of the job's own is taken over but limits and ids."""
        limits = replace(
            self._request.limits,
            wall_seconds=left,
            idle_seconds=None,
            output_bytes=errand.output_bytes,
        )
        ours = self._request.cell
        # Listed: what a cell may have that is not named here, an errand does not have.
        alone = Cell(run_as=ours.run_as, bwrap=ours.bwrap, cgroup=ours.cgroup)
        agent = AgentSpec(name="errand", argv=errand.argv, binds=errand.binds, require_answer=False)
        return replace(self._request, agent=agent, cell=alone, limits=limits, prompt="", output_format="text")

    def _relay(self, request: ExecuteRequest, errand: Errand, files: Logs) -> Ending:
        from runner.relay import Relay
        from runner.tally import Tally

        found = self._found._replace(real={}, work_dir=Access.MISSING, grants=Grants(marks=errand.marks))
        arguments = cell.arguments(request, found)
        spawned = spawn(arguments, cell.files(request, found.init))
        filtering = self._filtering()
        ours = host.namespaces(layers.NAMESPACES)
        rules = landlock.in_cell(arguments, kernel.landlock_version())
        tally = Tally(request.limits, self._leaf)

        def admit(hello: dict[str, str]) -> bytes:
            layers.check(hello, ours, request.cell.network)
            tally.begin(next(iter(kill.children(spawned.pid)), 0), spawned.pid)
            return cell.config(request, found, filtering.program, rules)

        def announce(said: tuple[str, ...]) -> Watchdog:
            layers.taken(said, filtering, rules)
            return tally.watchdog()

        since = monotonic()
        relay = Relay(
            spawned,
            self._channel,
            files,
            request.limits,
            since=since,
            admit=admit,
            announce=announce,
            end_group=tally.kill,
        )
        return tally.settle(relay.run(errand.told))


def outcome(request: ExecuteRequest, ending: Ending, words: bytes) -> Outcome:
    """A stop that came when it had just ended by itself still counts: what was to come after it must not."""
    from runner import output
    from runner.repair import settings

    verdict = output.verdict(request, ending, output.NO_ANSWER, words, settings())
    if ending.abandoned:
        return Outcome(Reason.SUPERVISOR_DIED, "The supervisor was gone.", "")
    if ending.asked is not None and (verdict.reason is Reason.OK or ending.cause is None):
        return Outcome(ending.asked, "", "")
    return Outcome(verdict.reason, verdict.error, output.last_line(words, WORDS_MOST))


def own_program(name: str, *words: str) -> tuple[tuple[str, ...], Bind]:
    """A program of ours that runs inside: its argv, and what has to be shown for it."""
    inside = f"{os.path.dirname(host.INIT)}/{name}"
    source = os.path.join(os.path.dirname(os.path.realpath(__file__)), name)
    return (host.interpreter().executable, "-I", "-S", inside, *words), Bind(source=source, target=inside)


def refuse(found: Outcome, sentence: str) -> RefusalError:
    """Why the attempt ends before its agent was started: because of this errand, in these words."""
    return RefusalError(Reason.BAD_DEFINITION if found.reason is Reason.AGENT_ERROR else found.reason, sentence)
