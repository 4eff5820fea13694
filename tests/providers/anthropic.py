"""The Messages API, as claude speaks it."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.providers.scenario import INPUT_TOKENS, OUTPUT_TOKENS, Reply
from tests.providers.shape import Body, Shape, shell, sse

STRUCTURED = "StructuredOutput"
"""The tool by which claude has a model give what meets a schema."""


def _calls(body: Body) -> int:
    contents = [message.get("content") for message in body.get("messages", [])]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    return sum(part.get("type") == "tool_result" for part in parts)


def _blocks(body: Body, reply: Reply) -> list[Body]:
    """What the reply consists of."""
    tools = {tool["name"]: tool.get("input_schema", {}) for tool in body.get("tools", []) if "name" in tool}
    if reply.fits and STRUCTURED in tools and _calls(body) < 4:
        return [
            {"type": "tool_use", "id": f"toolu_{_calls(body)}", "name": STRUCTURED, "input": json.loads(reply.text)}
        ]
    if reply.command:
        name, said = shell(iter(tools.items()), reply.command)
        return [{"type": "tool_use", "id": f"toolu_{_calls(body)}", "name": name, "input": said}]
    return [{"type": "text", "text": reply.text}] if reply.text else []


def _stop(blocks: list[Body], reply: Reply) -> str:
    if reply.refused:
        return "refusal"
    return "tool_use" if any(block["type"] == "tool_use" for block in blocks) else "end_turn"


def _message(body: Body, blocks: list[Body], stop: str | None, output: int) -> Body:
    usage = {"input_tokens": INPUT_TOKENS, "output_tokens": output}
    usage |= {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    return {
        "id": f"msg_{_calls(body)}",
        "type": "message",
        "role": "assistant",
        "model": body.get("model", "stub"),
        "content": blocks,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": usage,
    }


def _whole(body: Body, reply: Reply) -> Body:
    if "messages" in body and "max_tokens" not in body:  # count_tokens
        return {"input_tokens": INPUT_TOKENS}
    blocks = _blocks(body, reply)
    return _message(body, blocks, _stop(blocks, reply), OUTPUT_TOKENS)


def _events(body: Body, reply: Reply) -> list[bytes]:
    blocks = _blocks(body, reply)
    events: list[Body] = [{"type": "message_start", "message": _message(body, [], None, 1)}]
    for index, block in enumerate(blocks):
        if block["type"] == "text":
            start: Any = {"type": "text", "text": ""}
            delta = {"type": "text_delta", "text": block["text"]}
        else:
            start = {**block, "input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        events += [
            {"type": "content_block_start", "index": index, "content_block": start},
            {"type": "content_block_delta", "index": index, "delta": delta},
            {"type": "content_block_stop", "index": index},
        ]
    stop = {"stop_reason": _stop(blocks, reply), "stop_sequence": None}
    events += [
        {"type": "message_delta", "delta": stop, "usage": {"output_tokens": OUTPUT_TOKENS}},
        {"type": "message_stop"},
    ]
    return [sse(event, event["type"]) for event in events]


def _error(reply: Reply) -> Body:
    return {"type": "error", "error": {"type": reply.kind, "message": reply.message}}


SHAPE = Shape(re.compile(r"/v1/messages(/count_tokens)?(\?.*)?"), _calls, _events, _whole, _error)
