"""What a provider's API is, as far as its stub goes: where a request stands, and what a reply looks like."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Body = dict[str, Any]
SHELLS = ("Bash", "exec_command", "shell_command", "shell", "run_shell_command", "bash")


@dataclass(frozen=True, slots=True)
class Shape:
    """One API. `path`: of its requests; `calls`: how many tool calls have been answered in a request; `events` and
    `whole`: a reply, streamed or at once; `error`: the body of an HTTP error."""

    path: re.Pattern[str]
    calls: Callable[[Body], int]
    events: Callable[[Body, Any], list[bytes]]
    whole: Callable[[Body, Any], Body]
    error: Callable[[Any], Body]
    streams: Callable[[str, Body], bool] = lambda _path, body: bool(body.get("stream"))
    keeps: int = 0
    """How many of the last events a stream that is cut lacks; 0: half of them."""

    def whole_until(self, events: list[bytes]) -> int:
        return len(events) - self.keeps if self.keeps else len(events) // 2


def sse(data: Body, event: str = "") -> bytes:
    """One server-sent event."""
    named = f"event: {event}\n" if event else ""
    return f"{named}data: {json.dumps(data)}\n\n".encode()


def texts(value: Any) -> Iterator[str]:
    """Every string in it, in its order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)


def prompt_of(body: Body) -> str:
    """All that the user said in the conversation, whatever the API calls it."""
    said = [each for name in ("messages", "input", "contents") for each in body.get(name, [])]
    return "\n".join(texts([each for each in said if not isinstance(each, dict) or each.get("role") == "user"]))


def shell(tools: Iterator[tuple[str, Body]], command: str) -> tuple[str, Body]:
    """The name and the arguments of a call to the shell, among the tools on offer: (name, schema of its arguments)."""
    offered = dict(tools)
    name = next((name for name in SHELLS if name in offered), SHELLS[0])
    properties = offered.get(name, {}).get("properties", {})
    key = "cmd" if "cmd" in properties else "command"
    listed = properties.get(key, {}).get("type") == "array"
    said: Body = {key: ["sh", "-c", command] if listed else command}
    # Some want to be told what for.
    return name, said | ({"description": "stub"} if "description" in properties else {})
