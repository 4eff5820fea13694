"""Write to a pipe whose reader may be slow, stubborn or gone, without ever waiting for it."""

from __future__ import annotations

import os
import selectors
from contextlib import suppress


class Feed:
    """The bytes still to go down one non-blocking pipe. With `once`, the pipe is closed after the first lot."""

    def __init__(self, selector: selectors.BaseSelector, pipe: int, *, once: bool) -> None:
        self._selector, self._pipe, self._once = selector, pipe, once
        self._unsent = memoryview(b"")
        self.open = True

    def send(self, data: bytes) -> None:
        if self.open:
            self._unsent = memoryview(bytes(self._unsent) + data)
            self._write()

    def _write(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[os.write(self._pipe, self._unsent) :]
        except BlockingIOError:
            with suppress(KeyError):  # registered already
                self._selector.register(self._pipe, selectors.EVENT_WRITE, self._write)
            return
        except OSError:  # EPIPE: the reader is gone, and with it whoever this was for
            self.close()
            return
        with suppress(KeyError):
            self._selector.unregister(self._pipe)
        if self._once:
            self.close()

    def close(self) -> None:
        if self.open:
            self.open = False
            with suppress(KeyError):
                self._selector.unregister(self._pipe)
            os.close(self._pipe)
