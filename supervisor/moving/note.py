"""What of a job could not be carried over, or means something else now: for the report of a move."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Note:
    """`label`: which job or line. `text`: a sentence. `refused`: it cannot come at all."""

    label: str
    text: str
    refused: bool = False

    def record(self) -> dict[str, str]:
        """Ready for JSON."""
        return {"label": self.label, "text": self.text}
