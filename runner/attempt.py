"""One attempt, as a list of steps. Their order is the security argument: a change of it needs a reason."""

from __future__ import annotations

import os
import resource
import sys
import time

# Only what is needed until bubblewrap is started. All else is imported while it builds the cell, on another core.
from runner import drop, kernel, logs
from runner.confinement import confine
from runner.refusal import Reason, RefusalError
from runner.spawn import spawn
from shared import wire
from shared.messages import PROXIED, Started
from shared.record import asdict, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import NoReturn

    from runner.account import Account
    from runner.channel import Channel
    from runner.clone import Clone
    from runner.confinement import Confinement
    from runner.ending import Cause, Ending
    from runner.errand import Errands
    from runner.hiding import Hiding
    from runner.keeping import Keeping
    from runner.leaf import Leaf
    from runner.listener import Listener
    from runner.logs import Logs
    from runner.outlet import Outlet
    from runner.output import Verdict
    from runner.seccomp import Filter
    from runner.task import Tasks
    from runner.traffic import Seen
    from runner.watchdog import Watchdog
    from shared.findings import Branch, Planted, TaskEnd
    from shared.messages import ExecuteRequest, Layer, Task

# Exit codes; 3 is __main__'s. The result tells everything, these only whether there is one.
SAID, ABANDONED, UNSAID = 0, 4, 5
SAY_SECONDS = 30.0
# Of the standard error, for what a reading looks for in it.
ERRORS_MOST = 64 << 10


class Attempt:
    """What one attempt has come to know, from its request on. `ready_at` is time.monotonic's."""

    def __init__(self, request: ExecuteRequest, channel: Channel, *, supervisor: int, ready_at: float) -> None:
        self._request, self._channel = request, channel
        self._supervisor, self._ready_at = supervisor, ready_at
        self._files: Logs | None = None
        self._layers: tuple[Layer, ...] = ()
        self._leaf: Leaf | None = None
        self._confined: Confinement | None = None
        self._dropped = False
        self._hiding = self._hide() if request.secrets or (request.keep and request.keep.login) else None
        self._keeping: Keeping | None = None
        self._places: list[str] = []
        # Of the wall clock before the agent starts, beside a clock that nobody sets.
        self._began = (time.time(), time.clock_gettime(time.CLOCK_BOOTTIME))
        self._clone: Clone | None = None
        self._errands: Errands | None = None
        self._listener: Listener | None = None
        self._gate: TaskEnd | None = None
        self._check: TaskEnd | None = None
        self._passed = False

    def run(self) -> NoReturn:
        sys.excepthook = self._broke
        self._bind_to_supervisor()
        kernel.adopt_orphans()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.umask(0o077)
        try:
            self._files = logs.open_logs(self._request.log_dir, *self._further_files())
            # Root's to write to, so before root is left behind.
            self._leaf = self._open_leaf(self._request.cell.cgroup)
            self._keeping = self._kept()
            self._clone = self._private_clone()
            self._dropped = drop.take_ordinary_ids(self._request, self._clone.paths if self._clone else ())
            self._bind_to_supervisor()
            if self._request.gate is not None:
                self._ask_gate(self._request.gate, self._files)
            ending = self._relay(self._files)
        except RefusalError as refusal:
            ending = _refused(refusal.reason, refusal.sentence, abandoned=self._channel.ended)
        self._finish(ending)

    def _further_files(self) -> list[str]:
        """Those that not every attempt has."""
        request = self._request
        reading = request.agent.reading
        wanted = {
            "network": request.cell.network in PROXIED,
            "transcript": reading is not None and bool(reading.events),
            "gate": request.gate is not None,
            "check": request.check is not None,
        }
        return [name for name, there in wanted.items() if there]

    def _open_leaf(self, path: str | None) -> Leaf | None:
        if path is None:
            return None
        from runner.leaf import Leaf

        return Leaf(path)

    def _bind_to_supervisor(self) -> None:
        """Die with it, and hide from others of our uid. Asked for first and checked then: it may be dead already."""
        kernel.die_with_parent()
        kernel.hide_memory()
        if os.getppid() != self._supervisor:
            os._exit(ABANDONED)

    def _ask_gate(self, gate: Task, files: Logs) -> None:
        """Before a clone is made or a model called. Raises RefusalError unless the agent is to be started."""
        began, said = time.monotonic(), self._tasks(files).gate(gate, self._ready_at)
        self._gate = said.end
        if said.reason is not Reason.OK:
            raise RefusalError(said.reason, said.error)
        request = with_gate_output(self._request, files.gate)
        setup_seconds = request.limits.setup_seconds + time.monotonic() - began
        self._request = replace(request, limits=replace(request.limits, setup_seconds=setup_seconds))

    def _tasks(self, files: Logs) -> Tasks:
        from runner.task import Tasks

        return Tasks(self._request, self._channel, self._leaf, files, self._filter, self._outlet, dropped=self._dropped)

    def _checked(self, ending: Ending, verdict: Verdict) -> Verdict:
        """By the owner's check, where the agent's work is done and nobody wants the end. An answer that is only ill
        written may be put right by another attempt, which sees nothing of this one's clone: so it is checked now."""
        task, limits = self._request.check, self._request.limits
        done = verdict.reason in (Reason.OK, Reason.INVALID_OUTPUT)
        if task is None or not done or ending.asked is not None or self._files is None:
            return verdict
        until, clone = self._ready_at + limits.wall_seconds, None
        if self._clone is not None:
            from runner.clone import reserve

            until, clone = until - reserve(limits.wall_seconds), self._clone.place
        said = self._tasks(self._files).check(task, until, clone)
        self._check, self._passed = said.end, said.reason is Reason.OK
        return verdict if said.reason is Reason.OK else verdict._replace(reason=said.reason, error=said.error)

    def _relay(self, files: Logs) -> Ending:
        request = self._request
        confined = self._confined = confine(request, files.state)
        written = confined.writable
        if self._clone is not None:
            request, confined = self._cloned(self._clone, confined, files.state)
            self._confined = confined
        outlet = self._outlet(confined)
        more = confined.descriptors(outlet.inside) if outlet else []
        spawned = spawn(confined.arguments, confined.files, more)
        from runner import layers

        # While bubblewrap builds the cell, on another core.
        from runner.census import open_places
        from runner.relay import Relay
        from runner.tally import Tally

        if outlet is not None:
            outlet.start(files.network)
        filtering, places = self._filter(confined), open_places(confined.writable)
        tally = Tally(request.limits, self._leaf, places, apart=confined.apart)

        def admit(hello: dict[str, str]) -> bytes:
            self._layers = confined.held(hello, dropped=self._dropped)
            # Not --info-fd: bubblewrap dies of writing there to a runner that is gone, and its inner half never ends.
            tally.begin(*confined.init(spawned.pid))
            self._layers += layers.counted(request.limits, by_cgroup=self._leaf is not None, on_disk=bool(places))
            return self._brought(confined, tally.init).config(filtering.program)

        def announce(said: tuple[str, ...]) -> Watchdog:
            self._layers += confined.taken(said, filtering)
            self._channel.say(asdict(Started(pid=tally.init, layers=self._layers)))
            self._places = written
            return tally.watchdog()

        relay = Relay(
            spawned,
            self._channel,
            files,
            request.limits,
            since=self._ready_at,
            admit=admit,
            announce=announce,
            end_group=tally.kill,
            close=outlet.finish if outlet is not None else lambda: None,
            hiding=self._hiding,
            hear=self._listen(files),
            apart=confined.apart,
        )
        return tally.settle(relay.run(request.prompt.encode("utf-8", "replace")))

    def _hide(self) -> Hiding:
        from runner.hiding import Hiding

        return Hiding(self._request)

    def _listen(self, files: Logs) -> Callable[[bytes], Cause | None] | None:
        reading = self._request.agent.reading
        if reading is None:
            return None
        from runner.listener import Listener

        mask, began = self._hiding.mask if self._hiding is not None else None, self._ready_at
        self._listener = Listener(self._request, reading, files.transcript, lambda: time.monotonic() - began, mask)
        return self._listener.hear

    def _kept(self) -> Keeping | None:
        keep = self._request.keep
        if keep is None:
            return None
        from runner.keeping import Keeping

        return Keeping(self._request, keep)

    def _brought(self, confined: Confinement, init: int) -> Confinement:
        """With everything in its home that was there before."""
        if self._keeping is None:
            return confined
        try:
            home = confined.home(init)
        except OSError as error:
            sentence = f"The cell's home cannot be reached from outside ({error.strerror}). No agent was started."
            raise RefusalError(Reason.SANDBOX_UNAVAILABLE, sentence) from error
        self._keeping.bring(home)
        return confined

    def _private_clone(self) -> Clone | None:
        """While still root, if that is what we are: afterwards nobody may look where the original lies."""
        wanted = self._request.cell
        if wanted.work_mode != "branch":
            return None
        from runner.clone import Clone

        if wanted.offer is None or wanted.work_dir is None:
            raise RefusalError(Reason.BAD_DEFINITION, "The work mode 'branch' needs a work directory. Name one.")
        return Clone(self._request, wanted.offer, wanted.work_dir)

    def _cloned(self, clone: Clone, outside: Confinement, state: str) -> tuple[ExecuteRequest, Confinement]:
        """What the agent's cell is made of then: the clone where the original would be, and a share of the time."""
        from runner.clone import reserve
        from runner.errand import Errands
        from runner.host import Access
        from runner.namespaced import Namespaced

        assert isinstance(outside, Namespaced)  # see `confine`
        found = outside.host
        wanted, limits, began = self._request.cell, self._request.limits, time.monotonic()
        until = self._ready_at + limits.wall_seconds
        self._errands = Errands(self._request, found, self._channel, self._leaf, lambda: self._filter(outside), until)
        found = found._replace(real={**found.real, str(wanted.work_dir): clone.make(self._errands, state)})
        limits = replace(
            limits,
            wall_seconds=limits.wall_seconds - reserve(limits.wall_seconds),
            setup_seconds=limits.setup_seconds + time.monotonic() - began,
        )
        # The clone is the agent's own, whatever it may do with repositories.
        inside = replace(wanted, work_mode="inplace", git_write=True)
        request = replace(self._request, cell=inside, limits=limits)
        return request, Namespaced(request, state, found._replace(work_dir=Access.WRITE))

    def _offered(self, ending: Ending, verdict: Verdict) -> tuple[Branch | None, Verdict]:
        """The commits, taken to the original, unless somebody wants the end. Without them a run is no success."""
        if self._clone is None or self._errands is None or not self._clone.base:
            return None, verdict
        if ending.abandoned or ending.asked is not None or ending.stuck:
            return self._clone.failed("The run was ended before its commits were offered."), verdict
        if self._request.check is not None and not self._passed:
            return self._clone.failed("The commits are not offered: only what has passed the job's check is."), verdict
        branch = self._clone.offer(self._errands)
        if branch.problem and verdict.reason is Reason.OK:
            verdict = verdict._replace(reason=Reason.CHECK_FAILED, error=branch.problem)
        return branch, verdict

    def _filter(self, confined: Confinement) -> Filter:
        machine = os.uname().machine
        filtering = confined.filter(machine, memory_counted=self._leaf is not None)
        if filtering is None:
            sentence = f"The system calls of a {machine} cannot be filtered. Use a 64-bit x86_64 or aarch64 host."
            from runner import kill

            kill.sweep(apart=confined.apart)
            raise RefusalError(Reason.SANDBOX_UNAVAILABLE, sentence)
        return filtering

    def _outlet(self, confined: Confinement) -> Outlet | None:
        if self._request.cell.network not in PROXIED:
            return None
        from runner.outlet import Outlet

        return Outlet(self._request, None if confined.apart else os.geteuid())

    def _finish(self, ending: Ending) -> NoReturn:
        """Nothing of the tree is left: judge, keep, say, end."""
        gone = time.monotonic() - self._ready_at
        if self._confined is not None:
            self._confined.release()
        from runner import output

        sys.path += self._request.import_paths
        account = self._heard()
        verdict = output.judge(self._request, ending, self._files, self._hiding, account)
        seen = self._traffic()
        if seen is not None:
            verdict = seen.judged(verdict)
        if self._hiding is not None:  # whatever else an error may quote
            verdict = verdict._replace(error=self._hiding.mask.text(verdict.error))
        if self._keeping is not None:  # however the run went: its former login may be worth nothing any more
            self._keeping.take_login()
        verdict = self._checked(ending, verdict)
        branch, verdict = self._offered(ending, verdict)
        session = self._keeping.take_session(good=verdict.reason is Reason.OK) if self._keeping is not None else None
        if self._confined is not None:
            self._confined.clear()
        elapsed = time.monotonic() - self._ready_at
        told = output.result(self._request, ending, verdict, self._layers, (gone, elapsed))
        if self._listener is not None and account is not None:
            from runner import judgement

            told = judgement.told(told, self._listener, account, self._hiding.mask.text if self._hiding else str)
        traffic = seen.traffic if seen is not None else None
        told = replace(told, traffic=traffic, branch=branch, gate=self._gate, check=self._check, session=session)
        result = asdict(replace(told, planted=self._planted(ending)))
        if self._files is not None:
            try:
                logs.sync(self._files, wire.encode(result))
            except OSError as error:  # said it can be all the same
                sys.stderr.write(f"cronward runner: the result could not be kept: {error}\n")
        self._channel.say(result)
        said = self._channel.finish(SAY_SECONDS)
        if self._clone is not None:
            self._clone.clear()
        os._exit(ABANDONED if self._channel.ended else SAID if said else UNSAID)

    def _heard(self) -> Account | None:
        if self._listener is None or self._files is None:
            return None
        return self._listener.finish(logs.tail(self._files.stderr, ERRORS_MOST))

    def _planted(self, ending: Ending) -> Planted | None:
        """What is new in the places where the agent could write, if it ever ran."""
        if not self._places:
            return None
        from runner import mounts, planted

        # The supervisor waits a few seconds beyond the grace for a runner that was told to end.
        seconds = planted.SECONDS if ending.cause is None else planted.SECONDS_IN_HASTE
        return planted.look(
            mounts.outermost(self._places), planted.since(self._request.run_started, *self._began), seconds
        )

    def _traffic(self) -> Seen | None:
        if self._files is None or self._files.network < 0:
            return None
        from runner import traffic

        if self._hiding is not None:
            self._hiding.hide_log(self._files.network, traffic.READ_MOST)
        return traffic.read(self._files.network)

    def _broke(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> NoReturn:
        """What nobody caught, as the interpreter's excepthook: nothing is left, and the fault is ours."""
        sys.excepthook = sys.__excepthook__
        sys.excepthook(kind, error, trace)
        from runner import kill

        kill.sweep(apart=self._confined is None or self._confined.apart)
        self._errands, self._listener = None, None  # whatever broke is not tried again
        self._finish(_refused(Reason.RUNNER_BROKE, f"The runner broke ({kind.__name__}: {error})."))


def with_gate_output(request: ExecuteRequest, written: int) -> ExecuteRequest:
    """With what the gate wrote where the prompt has a place for it. `written`: the file that has it, masked."""
    at = request.gate_at
    if at is None:
        return request
    from shared.fence import MOST, fenced

    text = fenced("gate.output", logs.head(written, MOST + 1), os.urandom(16).hex())
    return replace(request, prompt=request.prompt[:at] + text + request.prompt[at:], gate_at=None)


def _refused(reason: Reason, sentence: str, *, abandoned: bool = False) -> Ending:
    from runner.ending import Cause, Ending
    from runner.report import Report

    return Ending(Report(), Cause(reason, sentence), abandoned=abandoned)
