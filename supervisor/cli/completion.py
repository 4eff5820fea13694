"""What a shell completes words with: names out of the home, and the words that an option knows.

A shell puts what it is offered on the command line as it is, bash without a quote, zsh after an `eval`. Names are
anybody's (a jobs file's, an agent's own adapter's), so only what no shell takes for more than a word is ever offered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import typer

from supervisor.cli.place import Place

if TYPE_CHECKING:
    from supervisor.models import CronJob

Offer = tuple[str, str]
"""A word, and what is said beside it where a shell has room."""
Complete = Callable[..., list[Offer]]
RUNS = 50
TYPES = ("light", "medium", "resource-intensive")
_WORD = re.compile(r"\w[\w.@+/-]*")
_TOLD = re.compile(r"[^\w .@+*/,-]+")


def offers(found: Iterable[Offer], incomplete: str) -> list[Offer]:
    """Those that begin like this and are plain words, with plain words beside them."""
    words = (each for each in found if each[0].startswith(incomplete) and _WORD.fullmatch(each[0]))
    return [(word, " ".join(_TOLD.sub(" ", told).split())) for word, told in words]


def among(*words: str) -> Complete:
    """The completion of an option that takes one of these."""
    return lambda incomplete: offers(((word, "") for word in words), incomplete)


def _in_home(find: Callable[[Place], Iterable[Offer]]) -> Complete:
    """The completion with what is found in the home that the words before name. What goes wrong, `__main__` keeps
    to itself: a shell that completes has nowhere to show an error."""

    def complete(ctx: typer.Context, incomplete: str) -> list[Offer]:
        options = ctx.find_root().params
        return offers(find(Place(options.get("home"), options.get("config"))), incomplete)

    return complete


def _name_or_id(job: CronJob) -> Iterator[Offer]:
    told = job.cron_expr or "once"
    if _WORD.fullmatch(job.name):
        yield job.name, told
    else:
        yield job.id, f"{job.name} {told}"


def _jobs(place: Place) -> Iterator[Offer]:
    for job in place.jobs.list():
        yield from _name_or_id(job)


def _runs(place: Place) -> Iterator[Offer]:
    for run in place.runs.all_runs(RUNS):
        yield run.id, f"{run.job_name or run.job_id} {run.status.value}"


def _agents(place: Place) -> Iterator[Offer]:
    from supervisor.agents.adapters import names

    for name in names(place.config.agents_dir):
        yield name, ""


def _logins(place: Place) -> Iterator[Offer]:
    from supervisor.agents.logins import LoginStore

    for login in LoginStore(place.home).list():
        yield login.agent, login.kind


def _secrets(place: Place) -> Iterator[Offer]:
    from supervisor.definitions.secrets import SecretStore

    for name in SecretStore(place.home).names():
        yield name, ""


def _targets(place: Place) -> Iterator[Offer]:
    for name in place.config.notify.targets:
        yield name, ""


def _sessions(place: Place) -> Iterator[Offer]:
    from supervisor.agents.sessions import SessionStore

    jobs = {job.id: job.label for job in place.jobs.list()}
    for session in SessionStore(place.home).list():
        yield session.key, jobs.get(session.job_id, session.job_id)


def _letters(place: Place) -> Iterator[Offer]:
    from supervisor.notifications.outbox import letters

    yield "all", "every one"
    for letter in letters(place.home):
        yield letter.run_id, ""


complete_jobs = _in_home(_jobs)
complete_runs = _in_home(_runs)
complete_agents = _in_home(_agents)
complete_logins = _in_home(_logins)
complete_secrets = _in_home(_secrets)
complete_targets = _in_home(_targets)
complete_sessions = _in_home(_sessions)
complete_letters = _in_home(_letters)
