"""What a target is told: status, reason and ids; where its owner wants it, the answer's beginning as plain text."""

from __future__ import annotations

import re
from typing import Any

from supervisor.notifications.deliveries import Delivery, Letter, News

ANSWER_CHARS = 1000
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff]")
"""All but the newline: what would turn a reader's screen, or cannot be sent."""


def title(letter: Letter, delivery: Delivery) -> str:
    """One line."""
    job = letter.job_name or letter.job_id
    why = f" ({letter.reason.value})" if letter.reason is not None and letter.reason.value != "ok" else ""
    if delivery.news is News.TEST:
        return "cronward: a test; nothing happened"
    if delivery.news is News.RECOVERY:
        return f"cronward: {job} works again"
    if delivery.news is News.REMINDER:
        return f"cronward: {job} still fails{why}"
    return f"cronward: {job} {letter.status.value}{why}"


def text(letter: Letter, delivery: Delivery, *, answer: bool) -> str:
    """The lines below it."""
    lines = [f"run {letter.run_id}", f"job {letter.job_id}"]
    if delivery.since is not None and delivery.news is not News.FAILURE:
        lines.append(f"failing since {delivery.since.strftime('%Y-%m-%d %H:%M UTC')}")
    said = _answer(letter) if answer else ""
    return "\n".join([*lines, *(["", said] if said else [])])


def message(letter: Letter, delivery: Delivery, *, answer: bool) -> dict[str, Any]:
    """The same for a program."""
    data = {
        "run_id": letter.run_id,
        "job_id": letter.job_id,
        "job_name": letter.job_name,
        "status": letter.status.value,
        "reason": letter.reason.value if letter.reason is not None else None,
        "since": delivery.since.isoformat() if delivery.since is not None else None,
        "text": title(letter, delivery),
    }
    if answer:
        data["answer"] = _answer(letter)
    return {"type": f"cronward.{delivery.news.value}", "timestamp": letter.made_at.isoformat(), "data": data}


def _answer(letter: Letter) -> str:
    said = str((letter.run or {}).get("response") or "")
    return _CONTROL.sub(" ", said)[:ANSWER_CHARS].strip()
