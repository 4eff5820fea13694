"""Homes with programs in them, laid out as installers do it. Nothing is fetched: what is real is the system's own."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

PYTHON = Path("/usr/bin/python3")


def a_home(folder: Path) -> Path:
    """A 0700 home with keys in it, in a place that others cannot list."""
    home = folder / "ada"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "id").write_text("canary of ssh")
    (home / ".local" / "share" / "notes").mkdir(parents=True)
    (home / ".local" / "share" / "notes" / "secret").write_text("canary of notes")
    home.chmod(0o700)
    return home


def script(path: Path, text: str, interpreter: str = "/bin/sh") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{interpreter}\n{text}\n")
    path.chmod(0o755)
    return path


def link(path: Path, said: str | Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(said)
    return path


def binary(path: Path, of: str | Path) -> Path:
    """A copy of a program of the system."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(os.path.realpath(of), path)
    path.chmod(0o755)
    return path


def native(home: Path, version: str = "1.0.2", of: str | Path = "/usr/bin/find") -> Path:
    """As claude's own installer: a link among all kinds of things, to one file for each version."""
    binary(home / ".local" / "share" / "claude" / "versions" / version, of)
    return link(home / ".local" / "bin" / "claude", f"../share/claude/versions/{version}")


def nvm(home: Path, text: str, node: Path | None = None) -> Path:
    """As `npm install -g` under nvm. Without a `node`, a shell stands in for it."""
    version = home / ".nvm" / "versions" / "node" / "v20.1.0"
    if node is None:
        script(version / "bin" / "node", 'exec /bin/sh "$@"')
    else:
        binary(version / "bin" / "node", node)
    package = version / "lib" / "node_modules" / "@acme" / "tool"
    script(package / "cli.js", text, "/usr/bin/env node")
    script(version / "lib" / "node_modules" / "other" / "cli.js", "", "/usr/bin/env node")
    return link(version / "bin" / "tool", "../lib/node_modules/@acme/tool/cli.js")


def pyenv(home: Path) -> Path:
    """A Python of one's own with a module `words` in its library; its interpreter."""
    version = python_version()
    prefix = home / ".pyenv" / "versions" / f"{version}.1"
    library = prefix / "lib" / f"python{version}"
    library.mkdir(parents=True)
    (library / "words.py").write_text("SAID = 'words of its own'\n")
    for each in Path(f"/usr/lib/python{version}").iterdir():
        link(library / each.name, each)
    link(prefix / "bin" / "python3", f"python{version}")
    return binary(prefix / "bin" / f"python{version}", PYTHON)


def environment(prefix: Path, python: Path, text: str, name: str = "tool") -> Path:
    """As `python -m venv`, which asks the interpreter for no more than this, and a script that pip would make."""
    link(prefix / "bin" / "python", python)
    (prefix / "pyvenv.cfg").write_text(f"home = {python.parent}\ninclude-system-site-packages = false\n")
    site = prefix / "lib" / f"python{python_version()}" / "site-packages"
    site.mkdir(parents=True)
    (site / "verbs.py").write_text("SAID = 'verbs of its own'\n")
    return script(prefix / "bin" / name, text, f"{prefix}/bin/python")


def python_version() -> str:
    """Of the system's interpreter, or of ours where that has none."""
    name = PYTHON.resolve().name
    return name.removeprefix("python") or f"3.{sys.version_info[1]}"
