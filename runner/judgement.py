"""What is believed of an agent's account of its run: a failure always, a success only with all that belongs to it."""

from __future__ import annotations

from runner import blame
from runner.account import asked
from runner.output import Answer, Verdict, shown
from shared.reasons import Reason
from shared.record import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.account import Account
    from runner.listener import Listener
    from shared.messages import ExecuteRequest, ExecuteResult
    from shared.reading import Reading

NAME_MOST = 200


def of_account(
    reading: Reading,
    said: Account,
    code: int | None,
    found: Verdict | None,
    last_words: str,
    hide: Callable[[str], str],
) -> Verdict | None:
    """Why it is no success, by the agent's own word; None: nothing says so. `found`: what its end says. `last_words`:
    the last line of its standard error, which is its word only where it failed."""
    if found is not None and found.reason is not Reason.AGENT_ERROR:
        return found
    if found is None and said.done and not said.failed and not said.refused:
        return None
    own = " ".join(hide(said.words or said.marks).split()) or (last_words if found is not None else "")
    sentence = f"{how(reading, said, code)} {shown(own)}".rstrip()
    if said.refused:
        return Verdict(Reason.REFUSED, sentence)
    return Verdict(blame.reason(reading.blame, f"{own} {said.marks}", code, said.status), sentence)


def how(reading: Reading, said: Account, code: int | None) -> str:
    if said.refused:
        return "The agent, or its model, refused."
    if code:
        meaning = reading.codes.get(str(code), "")
        return f"The agent ended with exit code {code}{f' ({shown(meaning)})' if meaning else ''}."
    if said.failed:
        return "The agent says that it failed, though its exit code is 0."
    return "The agent ended without saying that it is done: its output was cut, or it was."


def spoken(request: ExecuteRequest, said: Account, hide: Callable[[str], str]) -> tuple[Answer, bytes] | None:
    """The answer that was read out of the output, to be judged, and what is to be kept of it; None: all of it is."""
    if request.output_format == "structured" and said.structured is not None:
        text = said.structured
    elif said.answer is not None:
        text = said.answer
    else:
        return None
    kept, raw = hide(text).encode("utf-8", "replace"), text.encode("utf-8", "replace")
    return Answer(len(kept), not text.strip(), kept, raw if request.output_format != "text" else None), kept


def told(result: ExecuteResult, listener: Listener, said: Account, hide: Callable[[str], str]) -> ExecuteResult:
    """The result, with what the agent said."""
    waits = None
    if result.reason in blame.LIMITS:
        waits = said.retry_after or asked(blame.asked_to_wait(said.words or result.error))
    return replace(
        result,
        spending=listener.own(said.spent_in_all),
        spent_in_all=said.spent_in_all,
        model=shown(hide(said.model), NAME_MOST),
        agent_version=shown(hide(said.version), NAME_MOST),
        conversation=said.conversation,
        tool_called=listener.glance.tool_called,
        deeds=listener.glance.deeds,
        retry_after_seconds=waits,
    )
