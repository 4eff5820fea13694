"""One kernel timer on the wall clock, as a descriptor: it fires at an instant, and when somebody sets the clock.

A timeout counted in an event loop drifts and sleeps through a clock step; asyncio's also rounds up to whole
milliseconds. The kernel's timer does neither: TFD_TIMER_ABSTIME names the instant, TFD_TIMER_CANCEL_ON_SET makes the
descriptor readable with ECANCELED when CLOCK_REALTIME jumps (timerfd_create(2)).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from datetime import datetime

_ABSTIME, _CANCEL_ON_SET = 1, 2
_CLOCK_REALTIME = 0
_CLOEXEC_NONBLOCK = os.O_CLOEXEC | os.O_NONBLOCK


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class WallTimer:
    """Readable at the instant it is set to. Python has os.timerfd_create from 3.13 only, hence libc's own."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = self._libc.timerfd_create(_CLOCK_REALTIME, _CLOEXEC_NONBLOCK)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")

    def fileno(self) -> int:
        """For the event loop."""
        return self._fd

    def set(self, at: datetime | None) -> None:
        """Fire at `at`, at once if that is past; None: only when the clock is set."""
        # A timer of zero is disarmed and would not notice a clock step either: "never" is the far future.
        value = _Timespec(2**33, 0)
        if at is not None:
            microseconds = round(at.timestamp() * 1_000_000)
            value = _Timespec(max(microseconds // 1_000_000, 0), max(microseconds % 1_000_000 * 1000, 1))
        spec = _Itimerspec(_Timespec(0, 0), value)
        failed = self._libc.timerfd_settime(self._fd, _ABSTIME | _CANCEL_ON_SET, ctypes.byref(spec), None) < 0
        # ECANCELED: the clock was set since the last time. The timer is armed all the same, and for an instant.
        if failed and ctypes.get_errno() != errno.ECANCELED:
            raise OSError(ctypes.get_errno(), "timerfd_settime failed")

    def read(self) -> bool:
        """Take the firing. True: the clock was set, so every instant must be worked out anew."""
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return False
        except OSError:  # ECANCELED
            return True
        return False

    def close(self) -> None:
        """Give the descriptor back."""
        with contextlib.suppress(OSError):
            os.close(self._fd)
