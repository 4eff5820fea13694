"""The generateContent API, as gemini speaks it."""

from __future__ import annotations

import re

from tests.providers.scenario import INPUT_TOKENS, OUTPUT_TOKENS, Reply
from tests.providers.shape import Body, Shape, shell, sse

USAGE = {
    "promptTokenCount": INPUT_TOKENS,
    "candidatesTokenCount": OUTPUT_TOKENS,
    "totalTokenCount": INPUT_TOKENS + OUTPUT_TOKENS,
}
STATUS = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL"}


def _calls(body: Body) -> int:
    parts = [part for content in body.get("contents", []) for part in content.get("parts", [])]
    return sum("functionResponse" in part for part in parts)


def _parts(body: Body, reply: Reply) -> list[Body]:
    if reply.command:
        declared = [each for tool in body.get("tools", []) for each in tool.get("functionDeclarations", [])]
        offered = ((each["name"], each.get("parametersJsonSchema") or each.get("parameters", {})) for each in declared)
        name, said = shell(offered, reply.command)
        return [{"functionCall": {"name": name, "args": said}}]
    # What was refused has no content.
    return [] if reply.refused else [{"text": reply.text}]


def _whole(body: Body, reply: Reply) -> Body:
    if "generationConfig" not in body and "generateContentRequest" in body:
        return {"totalTokens": INPUT_TOKENS}
    candidate: Body = {"index": 0, "content": {"role": "model", "parts": _parts(body, reply)}}
    if not reply.cut:
        candidate["finishReason"] = "SAFETY" if reply.refused else "STOP"
    return {"candidates": [candidate], "usageMetadata": USAGE, "modelVersion": "stub", "responseId": "stub"}


def _events(body: Body, reply: Reply) -> list[bytes]:
    return [sse(_whole(body, reply)), *([sse({})] if reply.cut else [])]


def _error(reply: Reply) -> Body:
    return {"error": {"code": reply.status, "message": reply.message, "status": STATUS[reply.status]}}


def _streams(path: str, _body: Body) -> bool:
    return ":streamGenerateContent" in path


SHAPE = Shape(
    re.compile(r"/v1beta/models/[^/:]+:(streamGenerateContent|generateContent|countTokens)(\?.*)?"),
    _calls,
    _events,
    _whole,
    _error,
    _streams,
)
