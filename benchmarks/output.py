"""What an agent's output costs: the supervisor nothing, the runner a third of asyncio's readline; and lines too long.

    python -m benchmarks.output            9 rounds
    python -m benchmarks.output --smoke    one, with little output

The agent is `cat` of a file with lines of 100 bytes, in a cell; what the runner keeps of it goes to two files. Its CPU
counts with that of all it waits for. readline reads the same from the same `cat` and keeps nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import tempfile
import tracemalloc
from functools import partial
from pathlib import Path

from benchmarks.measuring import Row, interleaved, ratio, request, show
from shared.reasons import Reason
from shared.record import replace
from shared.wire import MAX_LINE, LineSplitter, ProtocolError
from supervisor.spawning.launcher import Executor
from supervisor.spawning.preparation import make_executor

LINE = b"x" * 99 + b"\n"
MANY, FEW = 128 << 20, 1 << 20
CHUNK = 1 << 16
CAT = "/usr/bin/cat"
TOO_LONG = (MAX_LINE + 1, 2 << 20, 100_000_000)


class Output:
    """`by_us` and `by_readline` take in so many bytes; `told` tells what of the latest one cost whom."""

    def __init__(self, executor: Executor, folder: Path, size: int) -> None:
        self._executor, self._size = executor, size
        # Below one that everybody may enter: a run of root's has a uid of its own.
        self._file, self._nothing = folder / "lines", folder / "nothing"
        self._file.write_bytes(LINE * (size // len(LINE)))
        self._nothing.touch()
        for path in (folder, self._file, self._nothing):
            path.chmod(0o755)
        self._told: dict[str, float] = {}

    def by_us(self, *, silent: bool = False) -> float:
        """CPU milliseconds of the supervisor for one attempt that writes all of it, or nothing."""
        file, before = self._nothing if silent else self._file, used()
        with tempfile.TemporaryDirectory(prefix="cronward-bench-") as log_dir:
            wanted = request(Path(log_dir), CAT, str(file), output_bytes=2 * MANY)
            wanted = replace(wanted, cell=replace(wanted.cell, read_paths=(str(file),)))
            result = self._executor.execute(wanted)
            own, children = (now - then for now, then in zip(used(), before, strict=True))
        assert result.reason is Reason.OK, result.error
        assert result.usage is not None
        assert result.usage.output_bytes == file.stat().st_size
        self._told["silent" if silent else "spoken"] = children
        return own

    def runner(self) -> float:
        """CPU milliseconds a MiB of the runner, of the latest attempts: what the output added to a silent one."""
        return (self._told["spoken"] - self._told["silent"]) / (self._size >> 20)

    def by_readline(self) -> float:
        """CPU milliseconds a MiB of asyncio's."""
        before = sum(used())
        asyncio.run(self._readline())
        return (sum(used()) - before) / (self._size >> 20)

    async def _readline(self) -> None:
        process = await asyncio.create_subprocess_exec(CAT, str(self._file), stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        while await process.stdout.readline():
            pass
        await process.wait()


def used() -> tuple[float, float]:
    """CPU milliseconds: this process's, and those of the children that it has waited for."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return (own.ru_utime + own.ru_stime) * 1000, (children.ru_utime + children.ru_stime) * 1000


def too_long(size: int) -> tuple[int, float]:
    """How many errors a line of so many bytes gives, and the most memory, in KiB, that it takes to find them."""
    splitter, errors, left = LineSplitter(), 0, size
    tracemalloc.start()
    while left:
        piece = bytes(min(CHUNK, left))
        left -= len(piece)
        try:
            assert not splitter.feed(piece)
        except ProtocolError:
            errors += 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return errors, peak / 1024


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--smoke", action="store_true")
    parsed = parser.parse_args()
    size, rounds = (FEW, 1) if parsed.smoke else (MANY, parsed.rounds)
    with tempfile.TemporaryDirectory(prefix="cronward-bench-") as name:
        output = Output(make_executor(Path(name) / "home"), Path(name), size)
        questions = {"silent": partial(output.by_us, silent=True), "spoken": output.by_us, "runner": output.runner}
        found = interleaved({**questions, "readline": output.by_readline}, rounds)
    median, mib = found.median, size >> 20
    rows = [
        ratio(f"CPU of the supervisor with {mib} MiB; with none", median["spoken"], median["silent"], 1.2),
        ratio("CPU of the runner a MiB; asyncio readline's", median["runner"], median["readline"], 0.33),
        *(Row(f"KiB for a line of {length} bytes; the limit", *kib(length)) for length in TOO_LONG),
    ]
    show("Output", rows, found.rounds)


def kib(length: int) -> tuple[float, float]:
    errors, peak = too_long(length)
    assert errors == 1, f"a line of {length} bytes gave {errors} errors"
    return peak, MAX_LINE / 1024


if __name__ == "__main__":
    main()
