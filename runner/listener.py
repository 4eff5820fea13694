"""Hears what an agent writes while it writes: reads it, keeps the transcript, and minds what it spends."""

from __future__ import annotations

from runner import logs, spending
from runner.account import Account, account, said_done, since, spent
from runner.ending import Cause
from runner.glance import Glance
from runner.reading import Reader
from runner.transcript import Entry, Transcript
from shared.reasons import Reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from shared.findings import Spending
    from shared.masking import Mask
    from shared.messages import ExecuteRequest
    from shared.reading import Reading

END_OF_IT = "The transcript ends here: it and what it was made of reached the limit of output together."


class Listener:
    """Of one attempt. `file`: the transcript's; -1 for none. `elapsed`: seconds since the beginning."""

    def __init__(
        self,
        request: ExecuteRequest,
        reading: Reading,
        file: int,
        elapsed: Callable[[], float],
        mask: Mask | None = None,
    ) -> None:
        self._request, self._file = request, file
        self._reader, self.glance = Reader(reading), Glance()
        self._transcript = Transcript(reading.events, elapsed, self.glance.note, mask)
        self._capped = any(cap is not None for cap in (request.caps.tokens, request.caps.cost_usd, request.caps.turns))
        self._room, self._left_out = request.limits.output_bytes, 0

    def hear(self, data: bytes) -> Cause | None:
        """What came on the standard output, as it was written; why the agent is to be ended, if it is."""
        self._room -= len(data)
        self._keep(self._reader.feed(data))
        return self._over()

    def finish(self, errors: bytes) -> Account:
        """`errors`: the end of its standard error. What it said, when nothing of it is left to say more."""
        self._keep(self._reader.finish())
        self._reader.read_errors(errors)
        return account(self._reader)

    def own(self, said: Spending | None) -> Spending | None:
        """What this attempt spent, of what its agent said."""
        return since(said, self._request.spent_before, self._reader.reading.cumulative)

    def _over(self) -> Cause | None:
        """Not once it has said that it is done: then its answer is there, and the money is gone."""
        if not self._capped or (self._reader.done and said_done(self._reader)):
            return None
        sentence = spending.over(self._request.caps, self.own(spent(self._reader)))
        return Cause(Reason.BUDGET_EXCEEDED, sentence) if sentence else None

    def _keep(self, values: Iterable[object]) -> None:
        lines = [line for value in values for line in self._transcript.lines(value)]
        if self._reader.left_out > self._left_out:
            count, self._left_out = self._reader.left_out - self._left_out, self._reader.left_out
            note: Entry = {"kind": "error", "text": f"Left out, as too long to be read: {count} lines of output."}
            lines.append(self._transcript.line(note))
        if lines and self._file >= 0:
            self._write(lines)

    def _write(self, lines: list[bytes]) -> None:
        fitting = []
        for line in lines:
            self._room -= len(line)
            if self._room < 0:
                fitting.append(self._transcript.line({"kind": "error", "text": END_OF_IT}))
                break
            fitting.append(line)
        try:
            logs.write_all(self._file, b"".join(fitting))
        except OSError:  # a full disk: the output itself, which cannot be kept either, ends the attempt
            self._room = -1
        if self._room < 0:
            self._file = -1
