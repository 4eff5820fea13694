"""The stub of the providers itself: each of its APIs, asked by a plain client. No agent is needed."""

from __future__ import annotations

import http.client
import json
from typing import Any

import pytest

from tests.providers.serving import MOST_REQUESTS, Provider, provider

PATHS = {
    "anthropic": "/v1/messages?beta=true",
    "responses": "/v1/responses",
    "chat": "/v1/chat/completions",
    "google": "/v1beta/models/m:streamGenerateContent?alt=sse",
}


def body(api: str, prompt: str, stream: bool = True) -> dict[str, Any]:
    said = {"role": "user", "content": prompt}
    if api == "google":
        return {"contents": [{"role": "user", "parts": [{"text": prompt}]}], "generationConfig": {}}
    return {"responses": {"input": [said]}}.get(api, {"messages": [said], "max_tokens": 9}) | {"stream": stream}


def ask(stub: Provider, path: str, asked: Any) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection("127.0.0.1", stub.port, timeout=20)
    try:
        connection.request("POST", path, json.dumps(asked), {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read().decode()
    finally:
        connection.close()


def test_each_api_answers_calls_a_tool_refuses_fails_and_breaks_off_as_the_prompt_says() -> None:
    with provider() as stub:
        for api, path in PATHS.items():
            status, _, said = ask(stub, path, body(api, "scenario: answer\nanswer: Fine, thanks."))
            assert (status, "Fine, thanks." in said) == (200, True), api
            assert "echo one" in ask(stub, path, body(api, "scenario: tool\nrun: echo one"))[2], api
            said = ask(stub, path, body(api, "scenario: refusal"))[2].lower()
            assert any(word in said for word in ("refusal", "content_filter", "safety")), api
            status, headers, said = ask(stub, path, body(api, "scenario: 429"))
            assert (status, headers["Retry-After"], "rate limit of the stub" in said) == (429, "1", True), api
            with pytest.raises(http.client.IncompleteRead):
                ask(stub, path, body(api, "scenario: cut"))


def test_an_answer_at_once_is_the_same() -> None:
    with provider() as stub:
        for api, path in {**PATHS, "google": "/v1beta/models/m:generateContent"}.items():
            said = json.loads(ask(stub, path, body(api, "scenario: answer\nanswer: Fine.", stream=False))[2])
            assert "Fine." in json.dumps(said), api


def test_the_requests_are_counted_and_bounded_and_a_hanging_one_ends_with_the_stub() -> None:
    with provider() as stub:
        ask(stub, PATHS["chat"], body("chat", "scenario: answer"))
        assert stub.asked() == 1
        stub.requests += stub.requests * MOST_REQUESTS
        assert ask(stub, PATHS["chat"], body("chat", "scenario: answer"))[0] == 404
        stub.requests.clear()
        connection = http.client.HTTPConnection("127.0.0.1", stub.port, timeout=20)
        connection.request("POST", PATHS["chat"], json.dumps(body("chat", "scenario: hang")))
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        connection.getresponse()
    connection.close()
