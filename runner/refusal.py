"""Why an attempt ends before its agent was started."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from shared.reasons import Reason as Reason
else:

    class _Reason:
        """The reasons, for those who refuse: most runs need none, and an enum's import is a tenth of a run's start."""

        def __getattr__(self, name: str) -> object:
            from shared.reasons import Reason

            return getattr(Reason, name)

    Reason = _Reason()


class RefusalError(Exception):
    """The attempt goes no further. The text is a sentence for whoever owns the job."""

    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.sentence = sentence
