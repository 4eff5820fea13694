"""What of an installation a program needs: recognised by its shape, and as little as will do.

A home holds keys beside programs, so nothing is shown because it is near. A rule names directories that hold nothing
but what an installer put there; where no rule fits, the file alone is shown.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from supervisor.errors import InvalidError
from supervisor.programs.links import within

# Directories that installers make for one version of one program.
_VERSION = re.compile(
    r"(/.*/(?:\.rbenv/versions|\.asdf/installs/[^/]+|mise/installs/[^/]+|\.sdkman/candidates/[^/]+"
    r"|\.rustup/toolchains|\.local/opt|sdk(?=/go))/[^/]+)/.*"
)
_STORE = re.compile(r"(/(?:nix|gnu)/store)/.*")
_OPT = re.compile(r"(/opt/[^/]+)/.*")
_CELLAR = re.compile(r"(/.*)/Cellar/.*")
_GLOBAL_PACKAGE = re.compile(r"(/.*?/lib/node_modules/(?:@[^/]+/)?[^/]+)/.*")
_PNPM = re.compile(r"(/.*?/\.pnpm)/.*")
_PACKAGES = re.compile(r"(/.*?/node_modules)/.*")
_PYTHON = re.compile(r"python(?:\d(?:\.\d+)?t?)?")
_VERSIONED = re.compile(r"python(\d\.\d+t?)")
# What stands for a program and chooses another when it runs: by its path, or by the file that it is a link to.
_SHIMS = (
    (re.compile(r".*/\.pyenv/(?:plugins/[^/]+/)?shims/[^/]+"), "pyenv which {}"),
    (re.compile(r".*/\.rbenv/shims/[^/]+"), "rbenv which {}"),
    (re.compile(r".*/\.?asdf/shims/[^/]+"), "asdf which {}"),
    (re.compile(r".*/mise/shims/[^/]+"), "mise which {}"),
    (re.compile(r".*/(?:\.volta/bin/[^/]+|volta-shim)"), "volta which {}"),
    (re.compile(r".*/\.cargo/bin/rustup"), "rustup which {}"),
    (re.compile(r"/usr/bin/snap"), ""),
)
# In a home, the directories that hold all kinds of things.
_MIXED = frozenset({".", ".cache", ".config", ".local", ".local/bin", ".local/lib", ".local/share", "bin", "lib"})
_OF_A_HOME = (".ssh", ".gnupg", ".bashrc", ".profile", ".config")


@dataclass(frozen=True, slots=True)
class Install:
    """`shown`: what to show beside the file itself. `needs`: further programs, each with an installation of its own."""

    shown: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


def refuse_shim(name: str, places: Iterable[str]) -> None:
    """Raise InvalidError where the program only stands for another. `places`: its path and all it leads over."""
    for place in places:
        for shape, command in _SHIMS:
            if not shape.fullmatch(place) or os.path.basename(place) == os.path.basename(name) == "rustup":
                continue
            chosen = f"`{command.format(os.path.basename(name))}`" if command else ""
            repair = f"name the one that {chosen} prints" if chosen else "snaps cannot run in a cell; install another"
            raise InvalidError(f"{name!r} ({place}) only chooses a program when it is run: {repair}.")


def install_of(real: str, homes: tuple[str, ...]) -> Install:
    """For a program by its real path. `homes`: which are never shown whole, nor their directories for everything."""
    beside = Path(real).parent.parent
    if (beside / "pyvenv.cfg").is_file():
        return _environment(real, beside, homes)
    for rule in (_GLOBAL_PACKAGE, _PNPM, _PACKAGES):
        if found := rule.fullmatch(real):
            return Install(_narrow(found[1], real, homes))
    if _PYTHON.fullmatch(os.path.basename(real)) or (beside / "conda-meta").is_dir():
        return _python(real, beside, homes)
    if found := _CELLAR.fullmatch(real):
        return Install(tuple(f"{found[1]}/{name}" for name in ("Cellar", "opt", "lib") if _is_dir(found[1], name)))
    for rule in (_STORE, _VERSION, _OPT):
        if found := rule.fullmatch(real):
            return Install(_narrow(found[1], real, homes))
    return Install()


def user_site(real: str, interpreter: str) -> tuple[str, str]:
    """For a script that `pip install --user` made: where its packages are, and their base. Empty for all others."""
    version = _VERSIONED.fullmatch(os.path.basename(interpreter))
    base = os.path.dirname(os.path.dirname(real))
    if version is None or os.path.basename(os.path.dirname(real)) != "bin":
        return "", ""
    # Of these the interpreter finds the packages by itself.
    if within(interpreter, base) or os.path.lexists(f"{base}/pyvenv.cfg"):
        return "", ""
    site = f"{base}/lib/python{version[1]}/site-packages"
    return (site, base) if os.path.isdir(site) else ("", "")


def mixed(directory: str, homes: tuple[str, ...]) -> bool:
    """Whether it may hold anything at all: the root, what lies in it, a home, a directory of a home for everything."""
    if directory.count("/") < 2 or any(within(home, directory) for home in homes):
        return True
    if any(within(directory, home) and os.path.relpath(directory, home) in _MIXED for home in homes):
        return True
    return any(os.path.lexists(os.path.join(directory, name)) for name in _OF_A_HOME)


def _narrow(directory: str, real: str, homes: tuple[str, ...]) -> tuple[str, ...]:
    return (real,) if mixed(directory, homes) else (directory,)


def _is_dir(*parts: str) -> bool:
    return os.path.isdir(os.path.join(*parts))


def _environment(real: str, prefix: Path, homes: tuple[str, ...]) -> Install:
    """A virtual environment: it whole, its python, and the python that it was made from, which has the library."""
    needs = [str(path) for path in (prefix / "bin" / "python", *_bases(prefix / "pyvenv.cfg")) if path.exists()]
    if mixed(str(prefix), homes):
        return Install((real, str(prefix / "pyvenv.cfg"), *_libraries(prefix)), tuple(needs))
    return Install((str(prefix),), tuple(needs))


def _bases(configuration: Path) -> list[Path]:
    """The interpreters that pyvenv.cfg speaks of: python finds its library by `home`, whatever its own links say."""
    with configuration.open("rb") as file:
        text = file.read(1 << 16).decode("utf-8", "replace")
    pairs = (line.partition("=") for line in text.splitlines())
    home = next((value.strip() for key, _, value in pairs if key.strip() == "home"), "")
    if not home.startswith("/") or "\0" in home:
        return []
    return [path for name in ("python3", "python") if (path := Path(home, name)).exists()][:1]


def _python(real: str, prefix: Path, homes: tuple[str, ...]) -> Install:
    if not any((library / "os.py").is_file() for library in prefix.glob("lib/python*")):
        return Install((str(prefix),) if (prefix / "conda-meta").is_dir() else ())
    if mixed(str(prefix), homes):
        return Install((real, *_libraries(prefix)))
    return Install((str(prefix),))


def _libraries(prefix: Path) -> tuple[str, ...]:
    found = [*prefix.glob("lib/python*"), *prefix.glob("lib/libpython*.so*")]
    return tuple(sorted(os.path.realpath(path) for path in found))[:16]
