"""What an agent did at a glance: its tools, commands and files, counted while its transcript is written."""

from __future__ import annotations

import json

from runner.output import shown
from shared.findings import Deeds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

BYTES_MOST = 7 << 10
"""Of all names and words together, as JSON: a record of a run is read as a whole."""
TOOLS_MOST, COMMANDS_MOST, FILES_MOST = 32, 20, 20
NAME_MOST, WORDS_MOST = 64, 200


class Glance:
    """Fills as entries of the transcript are made."""

    def __init__(self) -> None:
        self._tools: dict[str, int] = {}
        self._commands: list[str] = []
        self._files: list[str] = []
        self._calls = self._failures = 0
        self._room = BYTES_MOST

    @property
    def tool_called(self) -> bool:
        return self._calls > 0

    @property
    def deeds(self) -> Deeds | None:
        """None: nothing was told."""
        if not self._calls and not self._failures:
            return None
        return Deeds(
            tools=dict(self._tools),
            commands=tuple(self._commands),
            files=tuple(self._files),
            calls=self._calls,
            failures=self._failures,
        )

    def note(self, entry: Mapping[str, object]) -> None:
        """`entry`: masked."""
        if entry["kind"] == "error" or entry.get("failed"):
            self._failures += 1
        if entry["kind"] == "tool_call":
            self._calls += 1
            self._count(shown(str(entry.get("name", "")), NAME_MOST))
            self._list(self._commands, entry.get("command"), COMMANDS_MOST)
            self._list(self._files, entry.get("path"), FILES_MOST)

    def _count(self, name: str) -> None:
        if name in self._tools:
            self._tools[name] += 1
        elif len(self._tools) < TOOLS_MOST and self._fits(name):
            self._tools[name] = 1

    def _list(self, seen: list[str], said: object, most: int) -> None:
        if not isinstance(said, str) or len(seen) >= most:
            return
        words = shown(said, WORDS_MOST)
        if (seen is not self._files or words not in seen) and self._fits(words):
            seen.append(words)

    def _fits(self, text: str) -> bool:
        size = len(json.dumps(text)) + len(': 1000000, "')
        if size > self._room:
            return False
        self._room -= size
        return True
