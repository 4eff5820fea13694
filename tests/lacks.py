"""What a host may lack. A test that needs it says so: `@need("cell")`, and is skipped, with the reason, only for that.

CRONWARD_REQUIRE=cell,model turns the skip for the named lacks into a failure: where they must be there, in CI.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from runner.agents.local import missing_cpu_flags
from supervisor.agents import weights

PYTHONS = ("3.11", "3.12", "3.13")
BWRAP = "/usr/bin/bwrap"
NOBODY = 65534
# At least these of them are there wherever the agents are required.
AGENTS = frozenset({"claude", "codex", "llm"})
CHECKOUT = Path(__file__).resolve().parent.parent
VSYSCALL32 = Path("/proc/sys/abi/vsyscall32")
# Where the kernel's own numbers of system calls stand, per machine.
HEADERS = {
    "x86_64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
    "aarch64": "/usr/include/asm-generic/unistd.h",
}


def need(*names: str) -> pytest.MarkDecorator:
    """A mark for a test, class or module that needs all of `names`: keys of LACKS."""
    for name in names:
        LACKS[name]
    return pytest.mark.need(*names)


def required() -> frozenset[str]:
    """What the environment says must not be lacking. An unknown name would require nothing, so it is an error."""
    names = frozenset(filter(None, os.environ.get("CRONWARD_REQUIRE", "").split(",")))
    if unknown := sorted(names - LACKS.keys()):
        raise pytest.UsageError(f"CRONWARD_REQUIRE names {', '.join(unknown)}; known are {', '.join(LACKS)}.")
    return names | AGENTS if "agents" in names else names


@cache
def lack(name: str) -> str | None:
    """The sentence that says what is missing, or None. Probed once, and only when a test needs it."""
    return LACKS[name]()


def lack_of_cell() -> str | None:
    if not Path(BWRAP).exists():
        return f"{BWRAP} is not installed."
    # Root's bwrap would prove nothing: agents never run as root.
    drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if os.geteuid() == 0 else []
    sandbox = [BWRAP, "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"]
    done = subprocess.run(
        [*drop, *sandbox, "/usr/bin/true"], cwd="/", capture_output=True, text=True, timeout=30, check=False
    )
    return f"No cell can be made here: {done.stderr.strip()}" if done.returncode else None


def lack_of_model() -> str | None:
    if weights.engine() is None:
        return "The engine xllamacpp is not installed."
    if weights.find() is None:
        return f"The weights are not at {weights.default_path()}."
    missing = missing_cpu_flags(Path("/proc/cpuinfo").read_text(), os.uname().machine)
    return f"This CPU lacks {', '.join(missing)}." if missing else None


@cache
def agents_folder() -> Path:
    """Where scripts/agents-for-tests puts the programs of the agents."""
    named = os.environ.get("CRONWARD_TEST_AGENTS")
    if named:
        return Path(named).absolute() / "bin"
    done = subprocess.run(
        [CHECKOUT / "scripts/agents-for-tests", "--where"], capture_output=True, text=True, timeout=30, check=True
    )
    return Path(done.stdout.strip())


def agent_program(name: str) -> Callable[[], str | None]:
    def lack_of_it() -> str | None:
        if os.access(agents_folder() / name, os.X_OK):
            return None
        named = f" {agents_folder().parent}" if os.environ.get("CRONWARD_TEST_AGENTS") else ""
        return f"{name} is not in {agents_folder()}. Run: scripts/agents-for-tests --with {name}{named}"

    return lack_of_it


def lack_of_landlock() -> str | None:
    version = ctypes.CDLL(None, use_errno=True).syscall(444, None, ctypes.c_size_t(0), 1)
    return None if version > 0 else "The kernel has no Landlock, or it is switched off."


def lack_of_headers() -> str | None:
    missing = [path for path in HEADERS.values() if not Path(path).exists()]
    return f"The kernel's headers are not installed: {', '.join(missing)}." if missing else None


def lack_of_pythons() -> str | None:
    missing = [version for version in PYTHONS if python(version) is None]
    return f"No Python {', '.join(missing)} was found." if missing else None


def python(version: str) -> Path | None:
    """An interpreter of that minor version that really runs: on the PATH, or kept by pyenv."""
    found = shutil.which(f"python{version}")
    kept = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv").glob(f"versions/{version}.*/bin/python")
    # pyenv puts a script on the PATH for every version it keeps; for those not chosen, the script fails.
    return next((path for path in [*([Path(found)] if found else []), *kept] if _runs(path, version)), None)


def _runs(path: Path, version: str) -> bool:
    argv = [str(path), "-I", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout.strip() == version


def program(name: str) -> Callable[[], str | None]:
    return lambda: None if shutil.which(name) else f"{name} is not installed."


LACKS: dict[str, Callable[[], str | None]] = {
    "cell": lack_of_cell,
    "landlock": lack_of_landlock,
    "model": lack_of_model,
    "root": lambda: None if os.geteuid() == 0 else "This test is for root.",
    "user": lambda: None if os.geteuid() != 0 else "This test is for an ordinary user.",
    "agents": lambda: next(filter(None, (agent_program(name)() for name in sorted(AGENTS))), None),
    **{name: agent_program(name) for name in ("claude", "codex", "gemini", "opencode", "llm")},
    "compiler": program("cc"),
    "curl": program("curl"),
    "git": program("git"),
    "openssl": program("openssl"),
    "headers": lack_of_headers,
    "node": program("node"),
    "pythons": lack_of_pythons,
    "systemd-analyze": program("systemd-analyze"),
    "32-bit": lambda: None if VSYSCALL32.exists() else "This kernel has no 32-bit calls beside those of x86_64.",
}
