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
    from types import TracebackType
    from typing import NoReturn

    from runner.channel import Channel
    from runner.confinement import Confinement
    from runner.ending import Ending
    from runner.hiding import Hiding
    from runner.leaf import Leaf
    from runner.logs import Logs
    from runner.outlet import Outlet
    from runner.seccomp import Filter
    from runner.traffic import Seen
    from runner.watchdog import Watchdog
    from shared.messages import ExecuteRequest, Layer

# Exit codes; 3 is __main__'s. The result tells everything, these only whether there is one.
SAID, ABANDONED, UNSAID = 0, 4, 5
SAY_SECONDS = 30.0


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
        self._hiding = self._hide() if request.secrets else None

    def run(self) -> NoReturn:
        sys.excepthook = self._broke
        self._bind_to_supervisor()
        kernel.adopt_orphans()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.umask(0o077)
        try:
            self._files = logs.open_logs(self._request.log_dir, proxied=self._request.cell.network in PROXIED)
            # Root's to write to, so before root is left behind.
            self._leaf = self._open_leaf(self._request.cell.cgroup)
            self._dropped = drop.take_ordinary_ids(self._request)
            self._bind_to_supervisor()
            ending = self._relay(self._files)
        except RefusalError as refusal:
            ending = _refused(refusal.reason, refusal.sentence)
        self._finish(ending)

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

    def _relay(self, files: Logs) -> Ending:
        request = self._request
        confined = self._confined = confine(request, files.state)
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
        filtering = self._filter(confined)
        places = open_places(confined.writable)
        tally = Tally(request.limits, self._leaf, places, apart=confined.apart)

        def admit(hello: dict[str, str]) -> bytes:
            self._layers = confined.held(hello, dropped=self._dropped)
            # Not --info-fd: bubblewrap dies of writing there to a runner that is gone, and its inner half never ends.
            tally.begin(*confined.init(spawned.pid))
            self._layers += layers.counted(request.limits, by_cgroup=self._leaf is not None, on_disk=bool(places))
            return confined.config(filtering.program)

        def announce(said: tuple[str, ...]) -> Watchdog:
            self._layers += confined.taken(said, filtering)
            self._channel.say(asdict(Started(pid=tally.init, layers=self._layers)))
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
            apart=confined.apart,
        )
        return tally.settle(relay.run(request.prompt.encode("utf-8", "replace")))

    def _hide(self) -> Hiding:
        from runner.hiding import Hiding

        return Hiding(self._request)

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
        elapsed = time.monotonic() - self._ready_at
        from runner import output

        sys.path += self._request.import_paths
        verdict = output.judge(self._request, ending, self._files, self._hiding)
        seen = self._traffic()
        if seen is not None:
            verdict = seen.judged(verdict)
        if self._hiding is not None:  # whatever else an error may quote
            verdict = verdict._replace(error=self._hiding.mask.text(verdict.error))
        if self._confined is not None:
            self._confined.clear()
        told = output.result(self._request, ending, verdict, self._layers, elapsed)
        result = asdict(replace(told, traffic=seen.traffic if seen is not None else None))
        if self._files is not None:
            try:
                logs.sync(self._files, wire.encode(result))
            except OSError as error:  # said it can be all the same
                sys.stderr.write(f"cronward runner: the result could not be kept: {error}\n")
        self._channel.say(result)
        said = self._channel.finish(SAY_SECONDS)
        os._exit(ABANDONED if ending.abandoned else SAID if said else UNSAID)

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
        self._finish(_refused(Reason.RUNNER_BROKE, f"The runner broke ({kind.__name__}: {error})."))


def _refused(reason: Reason, sentence: str) -> Ending:
    from runner.ending import Cause, Ending
    from runner.report import Report

    return Ending(Report(), Cause(reason, sentence))
