"""What runs a script: its first line, read as the kernel and `env` read it. Pure."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass

from supervisor.errors import InvalidError

HEAD = 256
"""The kernel looks at no more (BINPRM_BUF_SIZE)."""
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
# Of env's options those that take a word.
_TAKING = ("-u", "--unset", "-C", "--chdir")


@dataclass(frozen=True, slots=True)
class Shebang:
    """`interpreter` is an absolute path. `searched`: what it looks for on the PATH, where it is `env`; else empty."""

    interpreter: str
    searched: str = ""


def parse(head: bytes, path: str) -> Shebang | None:
    """What the first HEAD bytes of a file say; None where it is no script. Raises InvalidError, naming `path`."""
    if not head.startswith(b"#!"):
        return None
    line, newline, _ = head[2:HEAD].partition(b"\n")
    if not newline and len(head) >= HEAD:
        raise InvalidError(f"The first line of the script {path!r} is longer than {HEAD - 1} bytes; shorten it.")
    try:
        text = line.decode().strip(" \t")
    except UnicodeDecodeError:
        raise InvalidError(f"The first line of the script {path!r} is not UTF-8: convert it.") from None
    if "\r" in text or "\0" in text:
        raise InvalidError(f"The first line of the script {path!r} ends in a carriage return: write it with \\n alone.")
    interpreter, argument = (*re.split(r"[ \t]+", text, maxsplit=1), "")[:2]
    if not interpreter.startswith("/"):
        raise InvalidError(f"The script {path!r} names the interpreter {interpreter!r}; name it by its full path.")
    if os.path.basename(interpreter) != "env":
        return Shebang(interpreter)
    return Shebang(interpreter, _searched(argument, path))


def _searched(argument: str, path: str) -> str:
    """The program that `env` is told to start. The kernel hands it everything as one word, which only -S splits."""
    words = [argument] if argument else []
    if split := re.match(r"-[iv]*S|--split-string=", argument):
        try:
            words = shlex.split(argument[split.end() :])
        except ValueError as error:
            raise InvalidError(f"The first line of the script {path!r} cannot be split: {error}.") from None
    while words:
        word = words.pop(0)
        if word in _TAKING and words:
            words.pop(0)
        elif word.startswith("PATH="):
            raise InvalidError(f"The script {path!r} sets its own PATH in its first line; name its interpreter there.")
        elif not word.startswith("-") and not _ASSIGNMENT.match(word):
            return word
    raise InvalidError(f"The first line of the script {path!r} names no interpreter: begin it with #! and a program.")
