"""One run at a glance: how it went, and what its agent did, as far as anybody saw or was told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from supervisor.cli import connections, outbox, render
from supervisor.cli.escape import shortened
from supervisor.cli.page import run_facts
from supervisor.cli.place import Place
from supervisor.control.outboxdesk import told_of
from supervisor.errors import NotFoundError
from supervisor.models import CronRun
from supervisor.status import Status

_HOSTS = 10
_ANSWER_CHARS = 2000


def named(place: Place, ref: str, otherwise: NotFoundError) -> CronRun:
    """The run that is meant where no job is. Raises `otherwise` where there is none, and InvalidError."""
    try:
        return place.runs.get(ref)
    except NotFoundError:
        raise otherwise from None


def show(place: Place, run: CronRun) -> None:
    """All of it, and where to look for more."""
    told = outbox.facts(told_of(place.home, run.id), place.now)
    render.show_facts([*run_facts(run), *told, *deeds(run), *_hosts(place, run), *_answer(run)])
    render.warn(f"What it wrote: cronward logs {run.id[:8]}")


def deeds(run: CronRun) -> Iterator[tuple[str, str]]:
    """What its agent says that it did."""
    told = run.deeds
    if told is None or not told.calls:
        return
    tools = ", ".join(f"{name} ({count})" if count > 1 else name for name, count in told.tools.items())
    went_wrong = f"; {told.failures} went wrong" if told.failures else ""
    yield "tools", f"{told.calls} call{'s' * (told.calls != 1)}: {tools}{went_wrong}"
    if told.commands:
        yield "ran", "\n".join(told.commands)
    if told.files:
        yield "changed", "\n".join(told.files)


def _hosts(place: Place, run: CronRun) -> Iterator[tuple[str, str]]:
    """Whom it talked to, by its proxy's log: each once, with how often."""
    if run.traffic is None:
        return
    told = {"allowed": "reached", "denied": "was denied"}
    seen: dict[str, Counter[str]] = {words: Counter() for words in told.values()}
    for each in connections.read(place, run):
        seen[told.get(each.verdict, "reached")][f"{each.host}:{each.port}"] += 1
    for words, hosts in seen.items():
        named = [f"{host} ({count})" if count > 1 else host for host, count in hosts.most_common(_HOSTS)]
        more = [f"and {len(hosts) - _HOSTS} more (logs --network)"] if len(hosts) > _HOSTS else []
        if named:
            yield words, "\n".join([*named, *more])


def _answer(run: CronRun) -> Iterator[tuple[str, str]]:
    if run.status is Status.COMPLETED and run.response.strip():
        yield "answer", shortened(run.response, _ANSWER_CHARS)
