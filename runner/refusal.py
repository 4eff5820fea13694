"""Why an attempt ends before its agent was started."""

from __future__ import annotations

from shared.reasons import Reason


class RefusalError(Exception):
    """The attempt goes no further. The text is a sentence for whoever owns the job."""

    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.sentence = sentence
