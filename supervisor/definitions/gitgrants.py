"""Git for agents: under which name they commit, and with which secrets they reach https remotes.

All of it is environment: git takes configuration from there, above any file, so nothing of the owner's `~/.gitconfig`,
`~/.ssh` or agent sockets has to be in a cell, and none is. A token is not in there either: the helper that git asks for
one reads the secret's file when it is asked.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from shared.hostrule import USUAL_PORTS, HostRule, HostRuleError, parse_rule
from supervisor.config import Config
from supervisor.errors import InvalidError
from supervisor.models import CronJob
from supervisor.sentences import shown

MOST = 8
_USER = re.compile(r"[A-Za-z0-9._+-]{1,64}")
# What hosts of repositories take for "no user, a token": GitHub, and those that ignore the name.
_NOBODY = "x-access-token"
_FORM = "HOST=SECRET or USER@HOST=SECRET, like github.com=GITHUB_TOKEN"


class Credential(NamedTuple):
    """`host`: with its port, where that is not 443."""

    host: str
    secret: str
    user: str = ""


def credentials_of(job: CronJob) -> list[Credential]:
    """What the job is granted for git."""
    found = []
    for text in job.git_credentials:
        where, _, secret = text.rpartition("=")
        user, _, host = where.rpartition("@")
        found.append(Credential(host.lower(), secret, user))
    return found


def check_git(job: CronJob) -> None:
    """Raise InvalidError unless each credential is HOST=SECRET or USER@HOST=SECRET, for a host that the job can
    reach. What follows `=` is not repeated: who misunderstood wrote the token there."""
    if len(job.git_credentials) > MOST:
        raise InvalidError(f"{len(job.git_credentials)} credentials for git are given; at most {MOST} can be.")
    found = credentials_of(job)
    for each in found:
        _check(job, each)
    hosts = [each.host for each in found]
    twice = next((host for host in hosts if hosts.count(host) > 1), None)
    if twice is not None:
        raise InvalidError(f"Two credentials for git are given for {twice}; leave one of them out.")


def _check(job: CronJob, each: Credential) -> None:
    try:
        rule = parse_rule(each.host)
    except HostRuleError:
        raise InvalidError(f"A credential for git names no proper host; write it as {_FORM}.") from None
    if rule.name.startswith(".") or (rule.address is not None and rule.name != str(rule.address)):
        raise InvalidError(f"The credential for git names {shown(each.host)}, which is not one host; write {_FORM}.")
    if each.user and not _USER.fullmatch(each.user):
        raise InvalidError(f"The user {shown(each.user)} of a credential for git is none; write {_FORM}.")
    if not _reaches(job, rule):
        raise InvalidError(f"The job cannot reach {each.host}, for which it has a credential: --allow-host {each.host}")


def _reaches(job: CronJob, wanted: HostRule) -> bool:
    if job.network in ("public", "host"):
        return True
    port = wanted.port or USUAL_PORTS[0]
    return job.network == "allow" and any(parse_rule(text).matches(wanted.name, port) for text in job.allow_hosts)


def environment(job: CronJob, config: Config) -> dict[str, str]:
    """The variables that make git do that."""
    found = dict[str, str]()
    if config.git_name:
        found |= {"GIT_AUTHOR_NAME": config.git_name, "GIT_COMMITTER_NAME": config.git_name}
    if config.git_email:
        found |= {"GIT_AUTHOR_EMAIL": config.git_email, "GIT_COMMITTER_EMAIL": config.git_email}
    settings = [setting for each in credentials_of(job) for setting in _settings(each)]
    if not settings:
        return found
    # Nobody is there to type a password: better an error than a prompt.
    found |= {"GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings):
        found |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return found


def _settings(each: Credential) -> list[tuple[str, str]]:
    where = f"https://{each.host}"
    # Others that some repository's configuration names are not asked, nor told.
    found = [(f"credential.{where}.helper", ""), (f"credential.{where}.helper", _helper(each))]
    if ":" in each.host:
        return found
    # A clone that was made over ssh is of the same host; there is no key in here.
    return [*found, *((f"url.{where}/.insteadOf", said) for said in (f"git@{each.host}:", f"ssh://git@{each.host}/"))]


def _helper(each: Credential) -> str:
    """What git runs, with the verb as its argument. `cat` and `printf` show a token to nobody: it is in no argv."""
    user = each.user or _NOBODY
    said = f'echo username={user}; printf \'password=%s\\n\' "$(cat "$CRONWARD_SECRETS/{each.secret}")"'
    return f'!f() {{ test "$1" = get || exit 0; {said}; }}; f'
