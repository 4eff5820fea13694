"""What init reports: a line of words and numbers to a fact. See `init` for the lines."""

from __future__ import annotations

# The longest line is hello, at about 300 bytes.
MAX_LINE = 4096


class Report:
    """What has been reported so far. `hello`: what holds in the cell; `held`: what the agent's process took on itself
    before its program ran; `failure`: the step and errno of a failed start; `status`: the agent's wait status; `left`:
    how many others lived then; `finished`: only init is left, and ends; times in microseconds, memory in KiB."""

    def __init__(self) -> None:
        self.hello: dict[str, str] | None = None
        self.started = False
        self.held: tuple[str, ...] = ()
        self.failure: tuple[str, int] | None = None
        self.status: int | None = None
        self.left = 0
        self.finished = False
        self.user_us = self.system_us = self.max_rss_kib = 0

    def take(self, line: bytes) -> None:
        """Raises ValueError on a line that init does not say."""
        kind, *words = line.decode("ascii").split(" ")
        if kind == "hello":
            self.hello = dict(word.split("=", 1) for word in words)
        elif kind == "started":
            self.started, self.held = True, tuple(words)
        elif kind == "failed":
            step, number = words
            self.failure = (step, int(number))
        elif kind == "exited":
            self.status, self.left = (int(word) for word in words)
        elif kind == "usage":
            self.user_us, self.system_us, self.max_rss_kib = (int(word) for word in words)
            self.finished = True
        else:
            raise ValueError(f"init said {kind!r}")
