"""How the output of real agents is read, as adapters declare it, and what they write: shortened, in words of ours."""

from __future__ import annotations

import json
from typing import Any

from shared.reading import Blame, Event, Pick, Reading
from shared.reasons import Reason

RESULT = {"/type": "result"}
CLAUDE = Reading(
    format="jsonl",
    answer=(Pick(pointer="/result", where=RESULT),),
    structured=Pick(pointer="/structured_output", where=RESULT),
    done=(Pick(where=RESULT),),
    failed=(Pick(pointer="/is_error", where=RESULT), Pick(pointer="/subtype", where=RESULT, pattern="^error.*")),
    refused=(Pick(where={"/type": "result", "/stop_reason": "refusal"}),),
    error=(
        Pick(pointer="/result", where={"/type": "result", "/is_error": "true"}),
        Pick(pointer="/errors/0", where=RESULT),
    ),
    status=(Pick(pointer="/api_error_status", where=RESULT),),
    blame=(Blame(reason=Reason.BUDGET_EXCEEDED, words="max_budget|maximum budget"),),
    input_tokens=(
        Pick(pointer="/usage/input_tokens", add=("/usage/cache_read_input_tokens",), where=RESULT),
        Pick(
            pointer="/message/usage/input_tokens",
            add=("/message/usage/cache_read_input_tokens",),
            where={"/type": "assistant"},
            take="sum",
            once="/message/id",
        ),
    ),
    output_tokens=(
        Pick(pointer="/usage/output_tokens", where=RESULT),
        Pick(pointer="/message/usage/output_tokens", where={"/type": "assistant"}, take="sum", once="/message/id"),
    ),
    cached_tokens=(Pick(pointer="/usage/cache_read_input_tokens", where=RESULT),),
    cost_usd=(Pick(pointer="/total_cost_usd", where=RESULT),),
    turns=(
        Pick(pointer="/num_turns", where=RESULT),
        Pick(pointer="/message/id", where={"/type": "assistant"}, take="count", once="/message/id"),
    ),
    model=(Pick(pointer="/model", where={"/type": "system", "/subtype": "init"}, take="first"),),
    version=(Pick(pointer="/claude_code_version", where={"/type": "system", "/subtype": "init"}, take="first"),),
    conversation=(Pick(pointer="/session_id", where=RESULT), Pick(pointer="/session_id", take="first")),
    cumulative=("cost",),
    events=(
        Event(kind="text", where={"/type": "assistant"}, each="/message/content", item={"/type": "text"}, text="/text"),
        Event(
            kind="tool_call",
            where={"/type": "assistant"},
            each="/message/content",
            item={"/type": "tool_use"},
            name="/name",
            text="/input",
            command="/input/command",
            path="/input/file_path",
        ),
        Event(
            kind="tool_result",
            where={"/type": "user"},
            each="/message/content",
            item={"/type": "tool_result"},
            text="/content",
            failed="/is_error",
        ),
        Event(kind="usage", where={"/type": "assistant"}, text="/message/usage"),
    ),
)
CODEX = Reading(
    format="jsonl",
    answer=(Pick(pointer="/item/text", where={"/type": "item.completed", "/item/type": "agent_message"}),),
    done=(Pick(where={"/type": "turn.completed"}),),
    failed=(Pick(where={"/type": "turn.failed"}),),
    error=(Pick(pointer="/error/message", where={"/type": "turn.failed"}),),
    input_tokens=(Pick(pointer="/usage/input_tokens", where={"/type": "turn.completed"}),),
    output_tokens=(Pick(pointer="/usage/output_tokens", where={"/type": "turn.completed"}),),
    conversation=(Pick(pointer="/thread_id", where={"/type": "thread.started"}),),
    cumulative=("tokens",),
    events=(
        Event(kind="text", where={"/type": "item.completed", "/item/type": "agent_message"}, text="/item/text"),
        Event(
            kind="tool_call",
            where={"/type": "item.completed", "/item/type": "command_execution"},
            command="/item/command",
            text="/item/aggregated_output",
            failed="/item/exit_code",
        ),
    ),
)
GEMINI = Reading(
    format="jsonl",
    answer=(Pick(pointer="/content", where={"/type": "message", "/role": "assistant"}, take="join"),),
    done=(Pick(where={"/type": "result"}),),
    failed=(Pick(where={"/type": "result", "/status": "error"}),),
    error=(Pick(pointer="/error/message", where={"/type": "result"}),),
    input_tokens=(Pick(pointer="/stats/input_tokens", where={"/type": "result"}),),
    output_tokens=(Pick(pointer="/stats/output_tokens", where={"/type": "result"}),),
    codes={"41": "it is not logged in", "53": "it reached its limit of turns"},
    blame=(Blame(reason=Reason.AUTH_FAILED, codes=(41, 145, 147)), Blame(reason=Reason.RATE_LIMITED, codes=(173,))),
    events=(Event(kind="text", where={"/type": "message", "/role": "assistant"}, text="/content", piece=True),),
)
OPENCODE = Reading(
    format="jsonl",
    answer=(Pick(pointer="/part/text", where={"/type": "text"}, take="join"),),
    done=(Pick(where={"/type": "step_finish", "/part/reason": "stop"}),),
    failed=(
        Pick(where={"/type": "error"}),
        Pick(pointer="/part/reason", where={"/type": "step_finish", "/part/reason": "length"}),
    ),
    refused=(Pick(where={"/type": "step_finish", "/part/reason": "content-filter"}),),
    error=(Pick(pointer="/error/data/message", where={"/type": "error"}),),
    status=(Pick(pointer="/error/data/statusCode", where={"/type": "error"}),),
    input_tokens=(Pick(pointer="/part/tokens/input", where={"/type": "step_finish"}, take="sum"),),
    output_tokens=(Pick(pointer="/part/tokens/output", where={"/type": "step_finish"}, take="sum"),),
    cost_usd=(Pick(pointer="/part/cost", where={"/type": "step_finish"}, take="sum"),),
    conversation=(Pick(pointer="/sessionID", take="first"),),
)
LLM = Reading(
    format="json",
    answer=(Pick(pointer="/0/response"),),
    done=(Pick(pointer="/0/id"),),
    error=(Pick(stream="stderr", pattern=r"^Error: (.*)"),),
    input_tokens=(Pick(pointer="/0/input_tokens"),),
    output_tokens=(Pick(pointer="/0/output_tokens"),),
    conversation=(Pick(pointer="/0/conversation_id"),),
    model=(Pick(pointer="/0/model"),),
)


def lines(*values: Any) -> bytes:
    """Values as the lines of JSON that an agent writes."""
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def claude_result(**fields: Any) -> dict[str, Any]:
    usage = {"input_tokens": 4, "cache_read_input_tokens": 996, "output_tokens": 20}
    said = {"is_error": False, "subtype": "success", "session_id": "5f0c", "num_turns": 2, "total_cost_usd": 0.005}
    return {**said, "usage": usage, "result": "It is done.", "type": "result", **fields}


def claude_says(*content: Any, id: str = "m1", tokens: int = 10) -> dict[str, Any]:
    """One message; each of its lines repeats the same usage."""
    message = {"id": id, "content": list(content), "usage": {"input_tokens": tokens, "output_tokens": 5}}
    return {"type": "assistant", "message": message, "session_id": "5f0c"}


CLAUDE_INIT = {
    "type": "system",
    "subtype": "init",
    "model": "claude-x",
    "claude_code_version": "2.1.330",
    "session_id": "5f0c",
}
