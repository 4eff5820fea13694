"""The values of a run's secrets, kept out of all that the runner files and says.

What the agent writes is masked on its way to the files. What has to be judged as it was written (JSON, which a mask in
its midst would break) is kept in memory until then, and masked within its parsed texts afterwards.
"""

from __future__ import annotations

import json
import os

from runner import answers, logs
from shared.masking import Mask, Stream, hidden, mark_of
from shared.messages import ExecuteRequest
from shared.reasons import Reason


class Hiding:
    """One attempt's mask, and its two outputs under it."""

    def __init__(self, request: ExecuteRequest) -> None:
        self.mask = Mask(hidden(request))
        judged = answers.JSON_MOST if request.output_format != "text" else 0
        self.stdout, self.stderr = Stream(self.mask, keep=judged), Stream(self.mask)

    def answer(self, whole: bytes) -> bytes:
        """The JSON of a good answer with its secrets masked: written anew where there are any in it. Raises AnswerError
        where it cannot be written again."""
        said = whole.decode("utf-8", "replace")
        text, value = answers.found(said)
        try:
            masked = self.mask.json(value) + b"\n"
        except (RecursionError, ValueError):  # 1e999 is read, as infinity, and has no JSON
            sentence = "The answer is nested too deeply, or holds a number too large, to be masked."
            raise answers.AnswerError(Reason.INVALID_OUTPUT, sentence) from None
        if json.loads(masked) != value:
            return masked
        names = self.mask.names_in(said)
        return self._beside(said, value, names[0]) if names else text.encode()

    def _beside(self, said: str, value: answers.Json, name: str) -> bytes:
        """Where a secret stands beside the JSON, not spread over what is no text of it, it stays that JSON when the
        whole is masked, as it is in the transcript. Otherwise all of it is one mark."""
        try:
            text, masked = answers.found(self.mask.text(said))
        except answers.AnswerError:
            return json.dumps(mark_of(name)).encode() + b"\n"
        return text.encode() if masked == value else json.dumps(mark_of(name)).encode() + b"\n"

    def hide_log(self, log: int, most: int) -> None:
        """The log of the proxy, which has ended: the names of hosts in it are the agent's to choose. Raises OSError."""
        data = os.pread(log, most, 0)
        if not self.mask.holds(data):
            return
        entries = [json.loads(line) for line in data.split(b"\n")[:-1]]
        os.ftruncate(log, 0)
        os.lseek(log, 0, os.SEEK_SET)
        for entry in entries:
            masked = {key: self.mask.text(value) if isinstance(value, str) else value for key, value in entry.items()}
            logs.write_all(log, json.dumps(masked, separators=(",", ":")).encode("ascii") + b"\n")
