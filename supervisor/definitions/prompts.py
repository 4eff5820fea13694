"""The names in a prompt, `{{ job.name }}` and the like: what they stand for is put in once, as it is, and never read
for names again. Anything in braces that is no name stays as it is written, and so does a name behind a backslash, which
is taken away.

Some of them bring in text of which nobody knows what it tells an agent to do. Those are the job's to allow, come fenced
as data, and taint the run: it has no secrets, unless the job says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

from shared.fence import MOST, fenced
from shared.messages import ExecuteRequest
from supervisor.definitions.grants import grants_of
from supervisor.errors import InvalidError
from supervisor.models import MAX_PROMPT, CronJob, CronRun

GATE_OUTPUT, LAST_RESPONSE = "gate.output", "last_run.response"
KNOWN = ("scheduled_at", "job.name", "last_run.status", LAST_RESPONSE, GATE_OUTPUT)
UNTRUSTED = (LAST_RESPONSE, GATE_OUTPUT)
NONE = "none"
"""The status of the last run where there was none."""
_SLOT = re.compile(r"(\\?)\{\{[ \t]*([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)[ \t]*\}\}", re.ASCII)


class Rendered(NamedTuple):
    """`gate_at`: before which character the gate's output is still to be put; None: nowhere."""

    text: str
    gate_at: int | None = None


def names_in(prompt: str) -> Iterator[str]:
    """The names that are to be replaced, in order."""
    return (found[2] for found in _SLOT.finditer(prompt) if not found[1])


def taints(prompt: str) -> bool:
    """Whether it takes in what nobody vouches for."""
    return any(name in UNTRUSTED for name in names_in(prompt))


def render(prompt: str, values: Callable[[str], str]) -> Rendered:
    """The prompt with its names replaced. `values`: what each known name but the gate's output stands for."""
    parts: list[str] = []
    gate_at, length, at = None, 0, 0
    for found in _SLOT.finditer(prompt):
        said = found[0][1:] if found[1] else "" if found[2] == GATE_OUTPUT else values(found[2])
        parts += (prompt[at : found.start()], said)
        length, at = length + found.start() - at + len(said), found.end()
        if not found[1] and found[2] == GATE_OUTPUT:
            gate_at = length
    return Rendered("".join([*parts, prompt[at:]]), gate_at)


def check_prompt(job: CronJob) -> None:
    """Raise InvalidError unless each name in the prompt is known, and the job allows what it brings in."""
    names = list(names_in(job.prompt))
    for name in names:
        if name not in KNOWN:
            raise InvalidError(
                f"The prompt names {{{{ {name[:100]} }}}}, which is unknown; use one of: {', '.join(KNOWN)}. "
                f"To have it stay as it is, put a backslash before it: \\{{{{ {name[:100]} }}}}"
            )
    for name in UNTRUSTED:
        if name in names:
            _check_untrusted(job, name, names.count(name))
    size = len(render(job.prompt, lambda name: _longest(job, name)).text.encode())
    if size > MAX_PROMPT + 2 * MOST:
        raise InvalidError(f"With its names replaced the prompt has {size} bytes; at most {MAX_PROMPT} are taken.")


def _check_untrusted(job: CronJob, name: str, count: int) -> None:
    what = f"{{{{ {name} }}}}"
    if not job.untrusted_input:
        raise InvalidError(
            f"The prompt takes in {what}, and nobody vouches for what that says to an agent. If it may, say so "
            "(--untrusted-input); to have it stay as it is, put a backslash before it."
        )
    if count > 1:
        raise InvalidError(f"The prompt takes in {what} {count} times; once is all that it may.")
    if name == GATE_OUTPUT and not job.gate:
        raise InvalidError(f"The prompt takes in {what}, but the job has no gate; give one (--gate ARGV).")
    if (job.login or grants_of(job)) and not job.secrets_when_tainted:
        raise InvalidError(
            f"The prompt takes in {what}: whoever wrote that could have the job's secrets, or its login, sent away, so "
            "it gets none. "
            "Take one of the two away, or say that it may have both (--secrets-when-tainted)."
        )


def _longest(job: CronJob, name: str) -> str:
    return {"job.name": job.label, LAST_RESPONSE: "x" * MOST}.get(name, "x" * 32)


def with_prompt(
    request: ExecuteRequest, job: CronJob, run: CronRun, last: Callable[[], CronRun | None], nonce: str
) -> ExecuteRequest:
    """With the prompt as this attempt is told it. `last`: gives the run of the job that ended before this one, and is
    asked only where the prompt names it; `nonce`: random text that nobody has seen. Raises InvalidError."""
    check_prompt(job)

    def value(name: str) -> str:
        if name == "scheduled_at":
            return run.scheduled_at.isoformat()
        if name == "job.name":
            return job.label
        before = last()
        if name == LAST_RESPONSE:
            return fenced(name, before.response.encode("utf-8", "replace") if before else b"", nonce)
        return before.status.value if before else NONE

    rendered = render(job.prompt, value)
    # What stands around the job's own words (a schema that the agent has to be told of) is nobody's to name things in.
    head, _, tail = request.prompt.partition(job.prompt)
    at = None if rendered.gate_at is None else len(head) + rendered.gate_at
    return replace(trusted(request, job), prompt=f"{head}{rendered.text}{tail}", gate_at=at)


def trusted(request: ExecuteRequest, job: CronJob) -> ExecuteRequest:
    """Without its secrets and its login where the prompt holds what nobody vouches for, unless its owner has said
    otherwise."""
    if not taints(job.prompt) or job.secrets_when_tainted:
        return request
    keep = replace(request.keep, login=(), renewed=False) if request.keep is not None else None
    return replace(request, secrets=(), keep=keep)
