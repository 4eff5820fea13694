"""A crontab as cron reads it: which line is a job, with which variables, which command, and what on its input."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from supervisor.errors import InvalidError
from supervisor.sentences import shown

FILE_BYTES = 1 << 20
MOST_LINES = 10_000
LINE_CHARS = 8192
_ENV = re.compile(r"""\s*(?:"([^"=]+)"|'([^'=]+)'|([A-Za-z_][A-Za-z0-9_]*))\s*=\s*(.*?)\s*""")
_SPECIAL = re.compile(r"\s*(@[A-Za-z]+)\s+(\S.*)")
_FIELDS = re.compile(r"\s*((?:\S+\s+){4}\S+)\s+(\S.*)")
_USER = re.compile(r"(\S+)\s+(\S.*)")


@dataclass(frozen=True, slots=True)
class Line:
    """A job of a crontab. `stdin`: what it gets there; None: nothing."""

    number: int
    expr: str
    command: str
    stdin: str | None = None
    user: str = ""
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that is no job, nor anything else that cron would take."""

    number: int
    problem: str


def read_crontab(data: bytes, *, system: bool = False) -> Iterator[Line | Refused]:
    """The lines of a crontab that mean a job, or should. `system`: with a user in front of the command.

    Raises InvalidError where it is no text at all.
    """
    env: dict[str, str] = {}
    for number, text in enumerate(_lines(data), 1):
        if not text.strip() or text.lstrip().startswith("#"):
            continue
        if len(text) > LINE_CHARS:
            yield Refused(number, f"it has {len(text)} characters; at most {LINE_CHARS} are read")
        elif (set_here := _ENV.fullmatch(text)) and not _starts_a_job(text):
            name = set_here[1] or set_here[2] or set_here[3]
            env = {**env, name.strip(): _unquoted(set_here[4])}
        else:
            yield _job(number, text, env, system)


def _lines(data: bytes) -> list[str]:
    if len(data) > FILE_BYTES:
        raise InvalidError(f"The crontab has more than {FILE_BYTES >> 20} MiB: that is no crontab.")
    if b"\0" in data:
        raise InvalidError("The crontab is binary, not text: it holds a NUL byte.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidError(f"The crontab is not UTF-8 text (at byte {error.start}): convert it.") from None
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    if len(lines) > MOST_LINES:
        raise InvalidError(f"The crontab has {len(lines)} lines; at most {MOST_LINES} are read.")
    return lines


def _starts_a_job(text: str) -> bool:
    """`* * * * * A=1 cmd` has an equals sign as well."""
    return text.lstrip()[:1] in "*@0123456789"


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value


def _job(number: int, text: str, env: Mapping[str, str], system: bool) -> Line | Refused:
    found = _SPECIAL.fullmatch(text) or _FIELDS.fullmatch(text)
    if found is None:
        return Refused(number, f"it is neither a variable nor five fields and a command: {shown(text.strip())}")
    expr, rest = " ".join(found[1].split()), found[2]
    user = ""
    if system:
        named = _USER.fullmatch(rest)
        if named is None:
            return Refused(number, "a user and a command have to follow the fields in a system crontab")
        user, rest = named[1], named[2]
    command, stdin = _split(rest)
    if not command.strip():
        return Refused(number, "it has no command")
    if expr.lower() == "@reboot":
        return Refused(
            number,
            "@reboot is no time: nothing here is due because the host was started. Leave it in the crontab, or make a "
            "systemd unit of it",
        )
    return Line(number, expr.lower() if expr.startswith("@") else expr, command.rstrip(), stdin, user, env)


def _split(rest: str) -> tuple[str, str | None]:
    """At the first `%` that no backslash protects; further ones begin new lines of its input."""
    parts = [part.replace("\0", "%") for part in rest.replace("\\%", "\0").split("%")]
    return parts[0], ("\n".join(parts[1:]) + "\n") if len(parts) > 1 else None
