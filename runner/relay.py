"""Everything between the start of the cell and its end, in one loop that never blocks.

What can happen: init reports, the agent writes or takes its prompt, the supervisor says stop or is gone, a deadline
or a limit is passed, bubblewrap ends. Each is one method. The first cause to end the tree wins, whatever the agent does
afterwards; an agent that had ended before there was a cause has ended by itself.
"""

from __future__ import annotations

import os
import selectors
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

from runner import kill, logs
from runner.channel import Channel
from runner.ending import Cause, Ending, Used
from runner.feed import Feed
from runner.kill import Rung
from runner.logs import Logs
from runner.refusal import RefusalError
from runner.report import MAX_LINE, Report
from runner.spawn import Spawned
from runner.watchdog import Watchdog
from shared import wire
from shared.messages import Limits, Progress
from shared.reasons import Reason
from shared.record import asdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runner.hiding import Hiding
    from shared.masking import Stream

CHUNK = 1 << 16
PROGRESS_SECONDS = 1.0


class Relay:
    """One cell's loop. `admit` gets what init found and gives init's config; `announce` is called once, when the agent
    runs, with the layers that its process took on itself, and gives what watches over it. Both may raise RefusalError.
    `end_group` ends what is in the cell's cgroup, if it has one; `close` is called when the cell is gone, before the
    sweep; `apart`: see `kill.sweep`. `hiding`: what the output passes on its way to the files. `hear` gets what came on
    the standard output, as it was written, and may say why the tree is to be ended. Times are time.monotonic's."""

    def __init__(
        self,
        cell: Spawned,
        channel: Channel,
        files: Logs,
        limits: Limits,
        *,
        since: float,
        admit: Callable[[dict[str, str]], bytes],
        announce: Callable[[tuple[str, ...]], Watchdog],
        end_group: Callable[[], None],
        close: Callable[[], None] = lambda: None,
        hiding: Hiding | None = None,
        hear: Callable[[bytes], Cause | None] | None = None,
        apart: bool = True,
    ) -> None:
        self._cell, self._channel, self._files, self._limits = cell, channel, files, limits
        self._admit, self._announce, self._end_group, self._close = admit, announce, end_group, close
        self._apart, self._hear = apart, hear
        self._watchdog: Watchdog | None = None
        self._report, self._reports = Report(), wire.LineSplitter(MAX_LINE)
        self._cause: Cause | None = None
        self._masked_stdout = hiding.stdout if hiding is not None else None
        self._masked_stderr = hiding.stderr if hiding is not None else None
        self._asked: Reason | None = None
        self._read_bytes, self._output_bytes, self._told_bytes, self._told_at = 0, 0, 0, since
        self._wall, self._setup = since + limits.wall_seconds, since + limits.setup_seconds
        self._rung, self._rung_at = Rung.RUNNING, since
        self._over, self._deaf, self._heard_at = False, False, since
        # Epoll takes whole milliseconds, rounded up: a deadline would come half of one late. We hold few descriptors.
        self._selector = selectors.SelectSelector()
        self._prompt = Feed(self._selector, cell.pipes.stdin, once=True)
        self._life = Feed(self._selector, cell.pipes.life, once=False)
        self._watch(cell.pidfd, self._bwrap_ended)
        self._watch(cell.pipes.report, self._take_report)
        self._watch(cell.pipes.stdout, self._take_stdout)
        self._watch(cell.pipes.stderr, self._take_stderr)
        self._watch(channel.requests, self._take_orders)

    def run(self, prompt: bytes) -> Ending:
        """Until nothing of the tree is left, or cannot be killed."""
        self._prompt.send(prompt)
        while not self._over:
            turn = self._selector.select(self._patience(monotonic()))
            # Init first: an agent that has ended is no longer there to be stopped.
            for key, _ in sorted(turn, key=lambda ready: ready[0].fd != self._cell.pipes.report):
                if key.fd in self._selector.get_map():  # an earlier one of this turn may have let go of it
                    key.data()
            self._mind_the_clock(monotonic())
            self._channel.flush()
        self._life.close()
        self._close()
        stuck = tuple(kill.sweep(apart=self._apart))
        self._drain()
        used = self._watchdog.used if self._watchdog is not None else Used()
        return Ending(self._report, self._cause, self._output_bytes, stuck, self._channel.ended, used, self._asked)

    # What happens.

    def _bwrap_ended(self) -> None:
        os.waitpid(self._cell.pid, 0)
        self._over = True

    def _take_report(self) -> None:
        data = self._read(self._cell.pipes.report)
        try:
            for line in self._reports.feed(data or b""):
                self._understand(line)
        except (ValueError, wire.ProtocolError) as error:
            self._end(Reason.RUNNER_BROKE, f"The cell's init said what it never says ({error}).", Rung.END)

    def _understand(self, line: bytes) -> None:
        greeted, begun = self._report.hello is not None, self._report.started
        self._report.take(line)
        try:
            if not greeted and self._report.hello is not None:
                self._life.send(self._admit(self._report.hello))
            if not begun and self._report.started:
                self._heard_at = monotonic()
                self._watchdog = self._announce(self._report.held)
        except RefusalError as refusal:
            self._end(refusal.reason, refusal.sentence, Rung.END)
        if self._report.finished and self._apart:
            # It would only wait for init, and end after it: half a millisecond of each run.
            self._kill_bwrap()
        if self._report.status is not None:
            self._rung_at = monotonic()  # from now on only init's own clearing up is waited for

    def _take_stdout(self) -> None:
        data = self._take_output(self._cell.pipes.stdout, self._files.stdout, self._masked_stdout)
        cause = self._hear(data) if data and self._hear is not None else None
        if cause is not None:
            self._end(*cause)

    def _take_stderr(self) -> None:
        self._take_output(self._cell.pipes.stderr, self._files.stderr, self._masked_stderr)

    def _take_output(self, pipe: int, file: int, stream: Stream | None) -> bytes | None:
        data = self._read(pipe)
        if data:
            self._heard_at = monotonic()
            self._file(stream.feed(data) if stream else data, file)
        return data

    def _file(self, data: bytes, file: int) -> None:
        room = self._limits.output_bytes - self._output_bytes
        try:
            logs.write_all(file, data[:room])
        except OSError as error:
            self._end(Reason.RUNNER_BROKE, f"The output could not be kept ({error.strerror}). Make room on the disk.")
            self._stop_listening()
            return
        self._output_bytes += min(len(data), room)
        if len(data) > room:
            sentence = f"The agent wrote more than {self._limits.output_bytes} bytes. What came before that is kept."
            self._cause = self._cause or Cause(Reason.OUTPUT_LIMIT, sentence)
            self._climb(Rung.TERM)
            self._stop_listening()

    def _take_orders(self) -> None:
        try:
            for line in self._channel.take_lines():
                order = wire.decode(line)
                self._asked = self._asked or Reason(order["reason"])
                self._end(Reason(order["reason"]), "")
        except (wire.ProtocolError, KeyError, ValueError) as error:
            self._end(Reason.RUNNER_BROKE, f"The supervisor broke the protocol ({error}).", Rung.END)
            self._selector.unregister(self._channel.requests)
            return
        if self._channel.ended:
            self._end(Reason.SUPERVISOR_DIED, "The supervisor was gone.", Rung.END)
            self._climb(Rung.END)
            self._selector.unregister(self._channel.requests)

    def _mind_the_clock(self, now: float) -> None:
        if now >= self._wall:
            self._end(Reason.TIMEOUT_WALL, f"It took longer than {self._limits.wall_seconds:g} s.")
        if now >= self._setup and not self._report.started:
            sentence = (
                f"The cell did not stand, or the agent did not start in it, within {self._limits.setup_seconds:g} s."
            )
            self._end(Reason.TIMEOUT_SETUP, sentence, Rung.END)
        if now >= (self._idle or now + 1):
            self._end(Reason.TIMEOUT_IDLE, f"It wrote nothing for {self._limits.idle_seconds:g} s.")
        self._mind_the_limits()
        if self._rung is Rung.END:
            self._over = self._over or now >= self._rung_at + self._end_seconds
        exited = self._report.status is not None
        self._climb(kill.climb(self._rung, self._rung_at, now, self._limits.grace_seconds, exited=exited))
        self._tell_progress(now)

    def _mind_the_limits(self) -> None:
        """Also on the way down: an agent that was told to end may still take all the memory there is."""
        if self._watchdog is None or self._report.status is not None:
            return
        breach = self._watchdog.look(monotonic)
        if breach is not None:
            # Killed already and still there: init may be starved, and to wait for it would cost gigabytes.
            starved = self._rung is breach.rung is Rung.KILL
            self._end(*breach.cause, breach.rung)
            self._climb(Rung.END if starved else breach.rung)

    @property
    def _idle(self) -> float | None:
        """When the agent will have been silent for too long."""
        if self._limits.idle_seconds is None or not self._report.started:
            return None
        return self._heard_at + self._limits.idle_seconds

    # What is done about it.

    def _end(self, reason: Reason, error: str, rung: Rung = Rung.TERM) -> None:
        """The first cause is the cause, unless the agent has ended by itself already."""
        if self._cause is None and self._report.status is None:
            self._cause = Cause(reason, error)
            # Before init has spoken nobody in there would hear a signal.
            self._climb(rung if self._report.hello is not None else Rung.END)

    def _climb(self, rung: Rung) -> None:
        if rung <= self._rung:
            return
        self._rung, self._rung_at = rung, monotonic()
        if rung is Rung.END:
            self._life.close()
            self._end_group()
            if self._apart:
                self._kill_bwrap()
        else:
            self._life.send(b"%d\n" % (kill.SIGTERM if rung is Rung.TERM else kill.SIGKILL))

    def _kill_bwrap(self) -> None:
        if not self._over:
            os.kill(self._cell.pid, kill.SIGKILL)  # ours until it is reaped

    @property
    def _end_seconds(self) -> float:
        """How long the end may take. Where no namespace ends with init it is left to end its tree, and not killed: a
        dying supervisor closes our pipe a moment before the kernel kills us, and then nobody would be left to do it."""
        return kill.SWEEP_SECONDS if self._apart else kill.INIT_SECONDS

    def _tell_progress(self, now: float) -> None:
        if self._output_bytes > self._told_bytes and now >= self._told_at + PROGRESS_SECONDS:
            self._told_bytes, self._told_at = self._output_bytes, now
            if not self._channel.behind:
                self._channel.say(asdict(Progress(output_bytes=self._output_bytes)))

    def _patience(self, now: float) -> float | None:
        """How long the next turn may wait."""
        exited = self._report.status is not None
        times = [kill.due(self._rung, self._rung_at, self._limits.grace_seconds, exited=exited)]
        if self._rung is Rung.END:
            times = [self._rung_at + self._end_seconds]
        elif self._cause is None and not exited:
            times += [self._wall, None if self._report.started else self._setup, self._idle]
        if self._watchdog is not None and not exited:
            times.append(self._watchdog.due)
        if self._output_bytes > self._told_bytes or self._channel.behind:
            times.append(max(self._told_at + PROGRESS_SECONDS, now + PROGRESS_SECONDS / 10))
        nearest = min((time for time in times if time is not None), default=None)
        return None if nearest is None else max(0.0, nearest - now)

    # Pipes.

    def _watch(self, descriptor: int, act: Callable[[], None]) -> None:
        self._selector.register(descriptor, selectors.EVENT_READ, act)

    def _read(self, pipe: int) -> bytes | None:
        """What there is; None: nothing now. At its end the pipe is not watched any more."""
        try:
            data = os.read(pipe, CHUNK)
        except BlockingIOError:
            return None
        if not data:
            with suppress(KeyError):
                self._selector.unregister(pipe)
        self._read_bytes += len(data)
        return data

    def _stop_listening(self) -> None:
        """Whoever goes on writing waits for ever, which its end does not mind."""
        self._deaf = True
        for pipe in (self._cell.pipes.stdout, self._cell.pipes.stderr):
            with suppress(KeyError):
                self._selector.unregister(pipe)

    def _drain(self) -> None:
        """What was still in the pipes when the last writer died: no more than pipes hold."""
        for pipe, take in (
            (self._cell.pipes.report, self._take_report),
            (self._cell.pipes.stdout, self._take_stdout),
            (self._cell.pipes.stderr, self._take_stderr),
        ):
            while pipe in self._selector.get_map():
                before = self._read_bytes
                take()
                if self._read_bytes == before:
                    break
        for stream, file in (
            (self._masked_stdout, self._files.stdout),
            (self._masked_stderr, self._files.stderr),
        ):
            if stream is not None and not self._deaf:
                self._file(stream.finish(), file)
