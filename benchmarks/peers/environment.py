"""A scratch environment with the peers, made once: Python packages by pip, redis by apt where the host has none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

PACKAGES = ("apscheduler==3.11.3", "celery==5.7.0", "rq==3.0.0", "redis==8.1.0", "packaging")
DEBS = ("redis-server", "redis-tools", "liblzf1", "libjemalloc2")
HERE = Path(__file__).resolve().parent
WITHIN = 20.0


@dataclass(frozen=True, slots=True)
class Environment:
    """Where it lies. `redis`: the server's program; None where none can be had."""

    folder: Path
    redis: Path | None

    @property
    def python(self) -> str:
        return str(self.folder / "bin" / "python")

    def program(self, name: str) -> str:
        return str(HERE / f"{name}.py")

    def popen(self, *argv: str, broker: Path | None = None) -> subprocess.Popen[str]:
        """Python of the environment with these arguments, quiet but for what it prints."""
        told = {"PATH": os.defpath, "PYTHONPATH": str(HERE), "LANG": "C.UTF-8", "BENCH_REDIS": str(broker or "")}
        quiet = subprocess.DEVNULL
        return subprocess.Popen(
            [self.python, *argv], stdin=quiet, stdout=subprocess.PIPE, stderr=quiet, text=True, env=told, cwd="/"
        )

    def ask(self, *argv: str) -> float:
        """The number that such a program prints."""
        with self.popen(*argv) as process:
            assert process.stdout is not None
            said = process.stdout.read()
        if process.returncode:
            raise SystemExit(f"{argv[0]} ended with {process.returncode}.")
        return float(said)

    @contextmanager
    def broker(self) -> Iterator[tuple[int, Path]]:
        """A redis that syncs each change: its pid, and its socket."""
        assert self.redis is not None
        with TemporaryDirectory(prefix="cronward-bench-redis-") as name:
            socket = Path(name) / "redis.sock"
            options = ["--port", "0", "--unixsocket", str(socket), "--dir", name, "--save", ""]
            argv = [str(self.redis), *options, "--appendonly", "yes", "--appendfsync", "always"]
            libraries = {"LD_LIBRARY_PATH": str(next((self.folder / "debs" / "usr" / "lib").glob("*-linux-gnu"), ""))}
            with ended(subprocess.Popen(argv, env=libraries, stdout=subprocess.DEVNULL)) as pid:
                until = time.monotonic() + WITHIN
                while not socket.exists() and time.monotonic() < until:
                    time.sleep(0.02)
                yield pid, socket


@contextmanager
def ended(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> Iterator[int]:
    """Its pid; afterwards it is over."""
    try:
        yield process.pid
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(WITHIN)
        process.kill()
        process.wait()


def cache() -> Path:
    """Where the environment lies unless it is told otherwise."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cronward" / "peers"


def environment(folder: Path) -> Environment:
    """The one in this folder; made, where it is not there yet."""
    if not (folder / "made").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([*pip, *PACKAGES], check=True)
        _fetch_redis(folder / "debs")
        (folder / "made").touch()
    found = shutil.which("redis-server") or _existing(folder / "debs" / "usr" / "bin" / "redis-server")
    return Environment(folder, Path(found) if found else None)


def _existing(path: Path) -> Path | None:
    return path if os.access(path, os.X_OK) else None


def _fetch_redis(folder: Path) -> None:
    """Only unpacked, never installed: a service of the host would be started."""
    if shutil.which("redis-server") or not shutil.which("apt-get"):
        return
    folder.mkdir(exist_ok=True)
    with suppress(subprocess.CalledProcessError):
        subprocess.run(["apt-get", "download", "--quiet", *DEBS], cwd=folder, check=True, capture_output=True)
        for deb in sorted(folder.glob("*.deb")):
            subprocess.run(["dpkg", "-x", str(deb), str(folder)], check=True, capture_output=True)
