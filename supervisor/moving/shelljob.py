"""From a line of a crontab to a job that runs it in a shell, and back."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from supervisor.errors import InvalidError
from supervisor.models import CronJob
from supervisor.moving.crontab import Line
from supervisor.timing.cronfields import CronFields
from supervisor.timing.schedule import parse

NO_INPUT = "exec </dev/null; "
"""cron gives a command nothing to read, and here it would read its prompt."""
NAME_CHARS = 48
_WRAPPERS = frozenset({"exec", "nice", "ionice", "env", "sudo", "nohup", "time", "chronic"})
_ON_THE_WAY = frozenset({"cd", "test", "[", "[[", "if", "then", ".", "source", "export", "true", ":", "umask", "sleep"})
_ASIDE = frozenset({"MAILTO", "MAILFROM", "CRON_TZ", "RANDOM_DELAY", "SHELL", "HOME", "LOGNAME", "USER"})
"""Variables that mean something to cron itself, or are the cell's own."""
_SECRET = re.compile(r"pass(wd|word|phrase)?|token|secret|credential|private|(^|_)key(_|$)", re.IGNORECASE)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HOME = re.compile(r"~(?=/|\s|$)|\$\{?HOME\b|/home/|/root\b")
_NETWORK = frozenset(
    {
        *("curl", "wget", "ssh", "scp", "sftp", "rsync", "git", "ftp", "lftp", "nc", "ping", "dig", "rclone", "restic"),
        *("borg", "aws", "gcloud", "gsutil", "az", "kubectl", "docker", "mail", "mailx", "sendmail", "certbot"),
        *("psql", "mysql", "mysqldump", "apt", "apt-get", "dnf", "yum", "pip", "npm"),
    }
)


@dataclass(frozen=True, slots=True)
class Moved:
    """A job's draft, and what of its line is not the same here."""

    draft: dict[str, Any]
    lost: list[str]


def draft_of(line: Line, name: str) -> Moved:
    """The job of this line. Raises InvalidError: what cron means by its fields cannot be said here."""
    zone = line.env.get("CRON_TZ") or None
    schedule = parse(line.expr, timezone=zone)
    if schedule.fields is not None:
        _check_days(schedule.fields)
    shell = line.env.get("SHELL") or "/bin/sh"
    exports, lost = _exports(line)
    stdin = line.stdin if line.stdin is not None and line.stdin.strip() else None
    script = f"{NO_INPUT if stdin is None else ''}{exports}{line.command}"
    draft: dict[str, Any] = {
        "name": name,
        "cron_expr": line.expr,
        "agent": "command",
        "command": shlex.join(["sh" if shell == "/bin/sh" else shell, "-c", script]),
        "prompt": stdin if stdin is not None else f"Line {line.number} of a crontab.",
        "network": "none",
        "enabled": False,
        "pause_reason": "It came from a crontab, where it may still run.",
        "retries": 0,
    }
    if zone is not None:
        draft["timezone"] = zone
    delay = line.env.get("RANDOM_DELAY", "")
    if delay.isdecimal() and delay.isascii() and 0 < len(delay) < 5:
        draft["jitter_secs"] = int(delay) * 60
    return Moved(draft, [*lost, *_taken_away(line)])


def _check_days(fields: CronFields) -> None:
    """cron takes a day field that begins with `*` for no restriction of which days count, whatever follows it: then
    both have to fit. Here that is so only of a plain `*`."""
    day, weekday = fields.day, fields.weekday
    starred = (day.text.startswith("*"), weekday.text.startswith("*"))
    if any(starred) and not day.full and not weekday.full:
        raise InvalidError(
            f"In cron the day of month {day.text!r} and the day of week {weekday.text!r} have to fit both, as one of "
            "them begins with a star; here either would do. Split it into days that can be written down."
        )


def _exports(line: Line) -> tuple[str, list[str]]:
    """The line's variables as shell text, and what is not among them."""
    words, lost = [], []
    for name, value in line.env.items():
        if name in _ASIDE:
            continue
        if not _VARIABLE.fullmatch(name):
            lost.append(f"the variable {name[:80]!r} is left out: a shell knows no such name.")
        elif _SECRET.search(name):
            lost.append(
                f"{name} looks like a secret and is left out, for a command line can be read by others. Store it with "
                f"`cronward secret set {name}`, then grant it: --secret {name}={name}"
            )
        else:
            words.append(f"{name}={shlex.quote(value)}")
    return (f"export {' '.join(words)}; " if words else ""), lost


def _taken_away(line: Line) -> Iterator[str]:
    """What a cell takes away that this line seems to need, or had."""
    if line.env.get("MAILTO", "?") != "":
        yield "no mail is sent: what it writes is its answer (`cronward logs`), and --on-fail tells of failures."
    if "HOME" in line.env:
        yield "HOME is the cell's own, private and empty."
    if _HOME.search(line.command):
        give = "give it what it needs with --work-dir, --read-path or --write-path."
        yield f"it names your home, of which a cell shows nothing: {give}"
    words = re.split(r"[\s;|&()`]+", line.command)
    programs = _NETWORK & {word.rpartition("/")[2] for word in words if "://" not in word}
    if programs:
        yield f"it calls {', '.join(sorted(programs))}, and reaches no network: see --allow-host and --network."


def names_for(lines: Sequence[Line], taken: set[str]) -> list[str]:
    """A name for each, after its program, and unlike all others."""
    used, found = set(taken), []
    for line in lines:
        stem = _stem(line.command)
        name, number = stem, 2
        while name in used:
            name, number = f"{stem}-{number}", number + 1
        used.add(name)
        found.append(name)
    return found


def _stem(command: str) -> str:
    """The program that does the work: not the `cd` before it, nor what it is wrapped in."""
    for part in re.split(r"[;|&()]+", command):
        words = [word for word in part.split() if "=" not in word and not word.startswith("-")]
        while words and words[0].rpartition("/")[2] in _WRAPPERS:
            words = words[1:]
        if words and words[0] not in _ON_THE_WAY:
            return re.sub(r"[^A-Za-z0-9._-]", "", words[0].rpartition("/")[2]).lstrip("-._")[:NAME_CHARS] or "job"
    return "job"


def line_of(job: CronJob) -> str:
    """The job as a line of a crontab; with its zone in front of the fields left to the caller. Raises InvalidError
    with why it cannot be one."""
    if job.agent != "command":
        raise InvalidError(f"its agent is {job.agent}, and cron runs commands")
    if job.at is not None:
        raise InvalidError("it runs once")
    argv = shlex.split(job.command)
    text, reads = _shell_text(argv)
    text = _percent(text)
    if reads:
        text += "%" + _percent(job.prompt.removesuffix("\n")).replace("\n", "%")
    if "\n" in text or len(text) > 900:
        raise InvalidError("its command is too long for a line of a crontab, or has several lines")
    return f"{_five(job)} {text}"


def _shell_text(argv: Sequence[str]) -> tuple[str, bool]:
    """What cron's shell has to be given for it, and whether it reads its input."""
    if len(argv) != 3 or argv[1] != "-c":
        return shlex.join(argv), True
    script, reads = argv[2].removeprefix(NO_INPUT), not argv[2].startswith(NO_INPUT)
    return (script if argv[0] in ("sh", "/bin/sh") else shlex.join([argv[0], "-c", script])), reads


def _percent(text: str) -> str:
    return text.replace("%", "\\%")


def _five(job: CronJob) -> str:
    schedule = parse(job.cron_expr)
    if schedule.fields is None:
        raise InvalidError("it is due at an interval, which cron has no fields for")
    body = job.cron_expr
    if body.startswith(("TZ=", "CRON_TZ=")):
        body = body.partition(" ")[2].strip()
    if body.startswith("@"):
        return body
    if schedule.fields.second.values != {0}:
        raise InvalidError("it is due at seconds, which cron does not count")
    _check_days(schedule.fields)
    return " ".join(body.split()[-5:])


def zone_of(job: CronJob, host_zone: str) -> str:
    """The zone that its line would need before it; empty: the host's own."""
    zone = parse(job.cron_expr).timezone or job.timezone or host_zone
    return "" if zone == host_zone else zone
