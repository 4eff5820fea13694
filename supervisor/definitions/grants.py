"""Which secrets a job has: granted by name, kept as long as what it does stays the same, and handed to its attempts."""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

from shared.messages import Secret
from supervisor.definitions.gitgrants import check_git, credentials_of
from supervisor.definitions.secrets import NAME, SecretStore, check_name
from supervisor.errors import InvalidError, NotFoundError, StoreError
from supervisor.models import CronJob

MOST_GRANTS = 8
MOST_BYTES = 128 << 10
"""Of all of a job's values together: they travel in one line of the protocol."""
CELLS_OWN = frozenset({"HOME", "LANG", "LOGNAME", "PATH", "PWD", "SHELL", "TMPDIR", "USER", "NODE_USE_ENV_PROXY"})
CELLS_PREFIXES = ("CRONWARD_", "LD_")

DROPS = frozenset(
    {
        *("agent", "command", "search_path", "model", "prompt", "session_key", "output_schema"),
        *("work_dir", "work_mode", "read_paths", "write_paths", "git_write", "isolation", "run_as"),
        *("network", "allow_hosts", "on_complete", "on_fail", "notify"),
        *("gate", "check", "untrusted_input", "secrets_when_tainted"),
    }
)
"""Who gets the secrets, what it is told to do, what it can reach, and where its answers go: a change of one of these
makes another job of it, to which nobody has granted anything yet."""
KEEPS = frozenset(
    {
        *("id", "name", "created_by", "applied_from", "imported_from", "created_at", "changed_at", "anchor", "private"),
        *("cron_expr", "at", "timezone", "dst", "jitter_secs", "grace_secs", "catch_up", "overlap"),
        *("start", "until", "max_runs", "enabled", "pause_reason", "disable_after"),
        *(
            "type",
            "timeout_mins",
            "timeout_secs",
            "idle_timeout_secs",
            "retries",
            "retry_delay",
            "output_format",
            "limits",
        ),
        *("repeatable", "rerun_unknown"),
        *("max_turns", "max_tokens", "max_cost", "per_day", "per_month"),
        *("silent", "notify_on", "ping", "webhook_token", "secrets", "login", "git_credentials", "program"),
        *("last_run", "last_error", "next_run", "run_count"),
    }
)
"""When and how often it does that, within which limits, and who hears of it."""


JobChanges = dict[str, list[str] | bool | str]


class Grant(NamedTuple):
    """`variable`: the agent's variable that has the value, beside the file; empty for none."""

    name: str
    variable: str = ""


def grants_of(job: CronJob) -> list[Grant]:
    """What the job is granted: by name, and for git."""
    named = [Grant(name, variable) for name, _, variable in (text.partition("=") for text in job.secrets)]
    for_git = dict.fromkeys(each.secret for each in credentials_of(job))
    return [*named, *(Grant(name) for name in for_git if name not in {grant.name for grant in named})]


def check_grants(job: CronJob) -> None:
    """Raise InvalidError unless each of the job's grants is NAME or NAME=VARIABLE, each of these once. What follows a
    `=` is never repeated: who misunderstood wrote the value there."""
    found = grants_of(job)
    if (found or job.login) and job.isolation == "none":
        what = "secrets" if found else "login"
        raise InvalidError(f"A job without isolation gets no {what}: nothing keeps it. Take one of the two away.")
    if len(found) > MOST_GRANTS:
        raise InvalidError(f"{len(found)} secrets are granted; at most {MOST_GRANTS} can be.")
    check_git(job)
    written = [*job.secrets, *(grant.name for grant in found[len(job.secrets) :])]
    for text, grant in zip(written, found, strict=True):
        check_name(grant.name)
        if "=" in text and not NAME.fullmatch(grant.variable):
            raise InvalidError(
                f"What follows {grant.name}= is no variable of A-Z, 0-9 and _. A grant is NAME or NAME=VARIABLE; "
                "the value is given to `cronward secret set`."
            )
        if grant.variable in CELLS_OWN or grant.variable.startswith(CELLS_PREFIXES):
            raise InvalidError(f"The variable {grant.variable} is the cell's own; choose another for {grant.name}.")
    for given in ([grant.name for grant in found], [grant.variable for grant in found if grant.variable]):
        twice = next((each for each in given if given.count(each) > 1), None)
        if twice is not None:
            raise InvalidError(f"{twice} is granted twice; leave one of the two out.")


def check_set(job: CronJob, store: SecretStore) -> None:
    """Raise InvalidError where a secret that the job is granted cannot be handed out."""
    secrets_for(job, store)


def secrets_for(job: CronJob, store: SecretStore) -> tuple[Secret, ...]:
    """The values as they are now. Raises InvalidError with what is missing."""
    try:
        found = tuple(
            Secret(name=each.name, value=store.read(each.name), variable=each.variable) for each in grants_of(job)
        )
    except (NotFoundError, StoreError) as error:
        raise InvalidError(str(error)) from None
    size = sum(len(secret.value.encode()) for secret in found)
    if size > MOST_BYTES:
        raise InvalidError(
            f"The secrets of the job have {size} bytes together; at most {MOST_BYTES} can be given. Grant it fewer."
        )
    return found


def after_edit(before: CronJob, after: CronJob, *, keep: bool, said: Container[str] = ()) -> CronJob:
    """The edited job without the grants that nobody confirmed. `keep`: somebody did, all of them. `said`: the fields
    that somebody gave, knowing what the job does now."""
    if keep or not (fields := changed(before, after)):
        return after
    nothing: dict[str, object] = {"secrets": (), "git_credentials": (), "login": False}
    if "on_complete" in fields or "on_fail" in fields:
        nothing["webhook_token"] = ""
    return after.model_copy(update={key: value for key, value in nothing.items() if key not in said})


def changed(before: CronJob, after: CronJob) -> list[str]:
    """The fields whose change drops the grants."""
    return [key for key in CronJob.model_fields if key in DROPS and getattr(before, key) != getattr(after, key)]


def dropped(before: CronJob, after: CronJob) -> list[str]:
    """The grants that were there and are not any more."""
    found = [text for text in before.secrets if text not in after.secrets]
    found += [text for text in before.git_credentials if text not in after.git_credentials]
    found += [before.webhook_token] * (before.webhook_token not in ("", after.webhook_token))
    return found + ["its login"] * (before.login and not after.login)


def again(before: CronJob, after: CronJob) -> JobChanges:
    """The changes that give back what was dropped, ready for JSON."""
    lists: JobChanges = {
        "secrets": list(before.secrets),
        "git_credentials": list(before.git_credentials),
        "login": before.login,
        "webhook_token": before.webhook_token,
    }
    return {key: value for key, value in lists.items() if getattr(before, key) != getattr(after, key) and value}


def options(changes: JobChanges) -> str:
    """The same as somebody would type it."""
    words = ["--login"] * bool(changes.get("login"))
    words += [f"--webhook-token {changes['webhook_token']}"] if changes.get("webhook_token") else []
    for key, option in (("secrets", "--secret"), ("git_credentials", "--git-credential")):
        given = changes.get(key, ())
        words += [f"{option} {text}" for text in given] if isinstance(given, list) else []
    return " ".join(words)
