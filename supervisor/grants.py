"""Which secrets a job has: granted by name, kept as long as what it does stays the same, and handed to its attempts."""

from __future__ import annotations

from typing import NamedTuple

from shared.messages import Secret
from supervisor.errors import InvalidError, NotFoundError, StoreError
from supervisor.models import CronJob
from supervisor.secrets import NAME, SecretStore, check_name

MOST_GRANTS = 8
MOST_BYTES = 128 << 10
"""Of all of a job's values together: they travel in one line of the protocol."""
CELLS_OWN = frozenset({"HOME", "LANG", "LOGNAME", "PATH", "PWD", "SHELL", "TMPDIR", "USER", "NODE_USE_ENV_PROXY"})
CELLS_PREFIXES = ("CRONWARD_", "LD_")

DROPS = frozenset(
    {
        *("agent", "command", "search_path", "model", "prompt", "session_key", "output_schema"),
        *("work_dir", "work_mode", "read_paths", "write_paths", "git_write", "isolation", "run_as"),
        *("network", "allow_hosts", "on_complete", "on_fail"),
        *("gate", "check", "untrusted_input", "secrets_when_tainted"),
    }
)
"""Who gets the secrets, what it is told to do, what it can reach, and where its answers go: a change of one of these
makes another job of it, to which nobody has granted anything yet."""
KEEPS = frozenset(
    {
        *("id", "name", "created_by", "created_at", "changed_at", "anchor", "private"),
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
        *("silent", "notify_on", "secrets", "program", "last_run", "last_error", "next_run", "run_count"),
    }
)
"""When and how often it does that, within which limits, and who hears of it."""


class Grant(NamedTuple):
    """`variable`: the agent's variable that has the value, beside the file; empty for none."""

    name: str
    variable: str = ""


def grants_of(job: CronJob) -> list[Grant]:
    """What the job is granted."""
    return [Grant(name, variable) for name, _, variable in (text.partition("=") for text in job.secrets)]


def check_grants(job: CronJob) -> None:
    """Raise InvalidError unless each of the job's grants is NAME or NAME=VARIABLE, each of these once. What follows a
    `=` is never repeated: who misunderstood wrote the value there."""
    if job.secrets and job.isolation == "none":
        raise InvalidError("A job without isolation gets no secrets: nothing keeps them. Take one of the two away.")
    if len(job.secrets) > MOST_GRANTS:
        raise InvalidError(f"{len(job.secrets)} secrets are granted; at most {MOST_GRANTS} can be.")
    found = grants_of(job)
    for text, grant in zip(job.secrets, found, strict=True):
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
        raise InvalidError(f"The secrets of the job have {size} bytes together; at most {MOST_BYTES} can be given.")
    return found


def after_edit(before: CronJob, after: CronJob, *, keep: bool) -> CronJob:
    """The edited job without the grants that nobody confirmed. `keep`: somebody did."""
    if keep or not changed(before, after):
        return after
    return after.model_copy(update={"secrets": ()})


def changed(before: CronJob, after: CronJob) -> list[str]:
    """The fields whose change drops the grants."""
    return [key for key in CronJob.model_fields if key in DROPS and getattr(before, key) != getattr(after, key)]


def dropped(before: CronJob, after: CronJob) -> list[str]:
    """The grants that were there and are not any more."""
    return [text for text in before.secrets if text not in after.secrets]
