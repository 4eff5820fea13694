"""The Responses API, as codex speaks it: with a shell among its tools, or, for its newest models, with one tool that
runs JavaScript, in which the shell is a function.
"""

from __future__ import annotations

import json
import re

from tests.providers.scenario import INPUT_TOKENS, OUTPUT_TOKENS, Reply
from tests.providers.shape import Body, Shape, shell, sse


def _calls(body: Body) -> int:
    items = body.get("input", [])
    return sum(item.get("type", "").endswith("call_output") for item in items if isinstance(item, dict))


def _call(body: Body, command: str) -> Body:
    number = f"call_{_calls(body)}"
    if not body.get("tools"):
        script = f"const done = await tools.exec_command({json.dumps({'cmd': command})}); text(done);"
        return {"type": "custom_tool_call", "id": f"ctc_{number}", "call_id": number, "name": "exec", "input": script}
    tools = ((tool["name"], tool.get("parameters", {})) for tool in body["tools"] if "name" in tool)
    name, said = shell(tools, command)
    arguments = json.dumps(said)
    return {"type": "function_call", "id": f"fc_{number}", "call_id": number, "name": name, "arguments": arguments}


def _item(body: Body, reply: Reply) -> Body | None:
    if reply.command:
        return _call(body, reply.command)
    if not reply.text:
        return None
    part: Body = {"type": "output_text", "text": reply.text, "annotations": []}
    if reply.refused:
        part = {"type": "refusal", "refusal": reply.text}
    return {"type": "message", "id": "msg_stub", "role": "assistant", "status": "completed", "content": [part]}


def _response(body: Body, reply: Reply, status: str) -> Body:
    item = _item(body, reply)
    usage = {
        "input_tokens": INPUT_TOKENS,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": OUTPUT_TOKENS,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    }
    return {
        "id": "resp_stub",
        "object": "response",
        "created_at": 0,
        "model": body.get("model", "stub"),
        "status": status,
        "output": [item] if item and status == "completed" else [],
        "usage": usage if status == "completed" else None,
        "error": None,
        "incomplete_details": None,
    }


def _events(body: Body, reply: Reply) -> list[bytes]:
    item = _item(body, reply)
    events: list[Body] = [{"type": "response.created", "response": _response(body, reply, "in_progress")}]
    if item is not None:
        later = next(name for name in ("content", "arguments", "input") if name in item)
        begun = {**item, later: [] if later == "content" else ""}
        events.append({"type": "response.output_item.added", "output_index": 0, "item": begun})
        if item["type"] == "message" and not reply.refused:
            where = {"item_id": item["id"], "output_index": 0, "content_index": 0}
            events.append({"type": "response.output_text.delta", "delta": reply.text, **where})
        events.append({"type": "response.output_item.done", "output_index": 0, "item": item})
    if reply.refused:
        stopped = {**_response(body, reply, "incomplete"), "incomplete_details": {"reason": "content_filter"}}
        events.append({"type": "response.incomplete", "response": stopped})
    else:
        events.append({"type": "response.completed", "response": _response(body, reply, "completed")})
    return [sse({"sequence_number": number, **event}, event["type"]) for number, event in enumerate(events)]


def _whole(body: Body, reply: Reply) -> Body:
    return _response(body, reply, "completed")


def _error(reply: Reply) -> Body:
    return {"error": {"message": reply.message, "type": reply.kind, "param": None, "code": reply.kind}}


# Cut before its last two events: codex would take a text whose item is done for an answer of a cut stream.
SHAPE = Shape(re.compile(r"/v1/responses(\?.*)?"), _calls, _events, _whole, _error, keeps=2)
