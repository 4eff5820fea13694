"""The Chat Completions API, as opencode and llm speak it."""

from __future__ import annotations

import json
import re

from tests.providers.scenario import INPUT_TOKENS, OUTPUT_TOKENS, Reply
from tests.providers.shape import Body, Shape, shell

USAGE = {
    "prompt_tokens": INPUT_TOKENS,
    "completion_tokens": OUTPUT_TOKENS,
    "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
}


def _calls(body: Body) -> int:
    return sum(message.get("role") == "tool" for message in body.get("messages", []))


def _message(body: Body, reply: Reply) -> Body:
    if reply.command:
        functions = [tool.get("function", {}) for tool in body.get("tools", [])]
        name, said = shell(((each["name"], each.get("parameters", {})) for each in functions), reply.command)
        function = {"name": name, "arguments": json.dumps(said)}
        call = {"index": 0, "id": f"call_{_calls(body)}", "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    return {"role": "assistant", "content": reply.text}


def _finish(reply: Reply) -> str:
    return "content_filter" if reply.refused else "tool_calls" if reply.command else "stop"


def _frame(body: Body, kind: str, choices: list[Body]) -> Body:
    return {"id": "chatcmpl-stub", "object": kind, "created": 0, "model": body.get("model", "stub"), "choices": choices}


def _whole(body: Body, reply: Reply) -> Body:
    choice = {"index": 0, "message": _message(body, reply), "finish_reason": _finish(reply)}
    return _frame(body, "chat.completion", [choice]) | {"usage": USAGE}


def _events(body: Body, reply: Reply) -> list[bytes]:
    kind = "chat.completion.chunk"
    said = {"index": 0, "delta": _message(body, reply), "finish_reason": None}
    over = {"index": 0, "delta": {}, "finish_reason": _finish(reply)}
    frames = [_frame(body, kind, [said]), _frame(body, kind, [over]), _frame(body, kind, []) | {"usage": USAGE}]
    return [*(f"data: {json.dumps(frame)}\n\n".encode() for frame in frames), b"data: [DONE]\n\n"]


def _error(reply: Reply) -> Body:
    return {"error": {"message": reply.message, "type": reply.kind, "param": None, "code": reply.kind}}


SHAPE = Shape(re.compile(r"/v1/chat/completions(\?.*)?"), _calls, _events, _whole, _error, keeps=3)
