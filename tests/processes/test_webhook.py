"""A real receiver on the loopback: what it gets, and what is made of what it answers."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from shared.reasons import Reason
from supervisor.notifications import posting
from supervisor.notifications.webhook import WebhookCallback, WebhookError, check_url, send
from supervisor.status import Status
from tests.fakes import make_run
from tests.receiver import receiver

RUN = make_run(status=Status.RUNNING).moved(Status.COMPLETED, reason=Reason.OK, response="Héllo\n\ud800")


def callback(url: str, **fields: Any) -> tuple[WebhookCallback, list[float]]:
    slept: list[float] = []
    return WebhookCallback(url, sleep=slept.append, **fields), slept


def failure(url: str, **fields: Any) -> tuple[WebhookError, list[float]]:
    hook, slept = callback(url, **fields)
    with pytest.raises(WebhookError) as failed:
        hook.on_fail(RUN)
    return failed.value, slept


def test_the_run_is_posted_as_the_original_does() -> None:
    with receiver() as got:
        callback(f"{got.url}hook?a=1", token="s3cret")[0].on_complete(RUN)
    ((path, headers, body),) = got.requests
    assert path == "/hook?a=1"
    assert json.loads(body) == RUN.record()
    assert headers["content-type"] == headers["accept"] == "application/json"
    assert headers["authorization"] == "Bearer s3cret"
    assert (headers["x-cronrun-id"], headers["x-cronevent"]) == (RUN.id, "completed")


def test_without_a_token_there_is_no_authorization() -> None:
    with receiver() as got:
        callback(got.url)[0].on_fail(RUN)
    assert "authorization" not in got.requests[0][1]


def test_an_empty_url_is_no_call() -> None:
    WebhookCallback("").on_complete(RUN)
    WebhookCallback("").on_fail(RUN)


@pytest.mark.parametrize("answer", [200, 201, 204, 299])
def test_any_answer_of_two_hundred_is_success(answer: int) -> None:
    with receiver(answer) as got:
        callback(got.url)[0].on_complete(RUN)
    assert len(got.requests) == 1


@pytest.mark.parametrize("answer", [500, 503, 408, 425, 429, 0])
def test_what_may_pass_is_tried_again(answer: int) -> None:
    with receiver(answer, answer, 200) as got:
        hook, slept = callback(got.url)
        hook.on_complete(RUN)
    assert (len(got.requests), slept) == (3, [0.5, 2.0])


def test_after_the_last_try_it_is_said() -> None:
    with receiver(500) as got:
        error, slept = failure(got.url, retry=4)
    assert (len(got.requests), slept) == (5, [0.5, 2.0, 8.0, 8.0])
    assert (str(error), error.permanent) == ("The webhook answered 500.", False)


@pytest.mark.parametrize("answer", [400, 401, 404, 410, 301, 302, 303, 307, 308])
def test_what_cannot_pass_is_tried_once_and_a_redirect_is_not_followed(answer: int) -> None:
    with receiver(answer) as got:
        error, slept = failure(got.url, token="s3cret")
    assert (len(got.requests), slept, error.permanent) == (1, [], True)
    assert str(answer) in str(error)


def test_a_silent_receiver_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error, slept = failure(f"http://127.0.0.1:{silent.getsockname()[1]}/", timeout=0.02, retry=1)
    assert (slept, error.permanent) == ([0.5], False)
    assert "timed out" in str(error)


def test_nobody_listening_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    error, _ = failure(f"http://127.0.0.1:{port}/", retry=0)
    assert "refused" in str(error)


def test_no_proxy_of_the_environment_gets_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver() as got, receiver() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        callback(got.url)[0].on_complete(RUN)
    assert (len(got.requests), proxy.requests) == (1, [])


WRONG = [
    "ftp://example.org/", "file:///etc/passwd", "example.org", "http://", "http:///path", "http://[bad", "http://a:b/",
    "http://user:s3cret@example.org/", "http://example.org/a b", "http://example.org/\r\nX: y", "http://exämple.org/",
    "javascript:alert(1)", "http://example.org:0/", "http://example.org:99999/",
]  # fmt: skip


@pytest.mark.parametrize("url", WRONG)
def test_what_is_no_url_is_refused_at_once_and_not_repeated(url: str) -> None:
    with pytest.raises(WebhookError) as refused:
        check_url(url)
    error, slept = failure(url)
    assert (error.permanent, slept) == (True, [])
    assert url not in str(error)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("url", ["http://localhost", "https://example.org:8443/a/b?c=d#e", "http://[::1]:80/"])
def test_urls_that_can_be_called(url: str) -> None:
    check_url(url)


def test_a_token_that_no_header_carries_is_refused_and_not_repeated() -> None:
    with receiver() as got:
        error, _ = failure(got.url, token="s3cret\r\nX-Other: 1")
    assert (got.requests, error.permanent) == ([], True)
    assert "s3cret" not in str(error)


def test_a_token_is_not_shown() -> None:
    assert "s3cret" not in repr(WebhookCallback("http://localhost", token="s3cret"))


# ---- where it may go, and what an answer may do


def test_a_name_that_leads_into_somebodys_house_is_not_called_unless_it_was_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = socket.getaddrinfo

    def resolved(host: str, port: int, **given: Any) -> Any:
        return real("127.0.0.1" if host == "hooks.example" else host, port, **given)

    monkeypatch.setattr(posting.socket, "getaddrinfo", resolved)
    with receiver() as got:
        url = got.url.replace("127.0.0.1", "hooks.example")
        with pytest.raises(WebhookError, match="loopback address; name the host in private_hosts") as refused:
            send(url, {}, b"{}", 5.0)
        assert (got.requests, refused.value.permanent) == ([], False)
        send(url, {}, b"{}", 5.0, {"hooks.example"})
        assert len(got.requests) == 1
        assert got.requests[0][1]["host"] == url.split("/")[2]


@contextmanager
def saying(*pieces: bytes, pause: float = 0.0) -> Iterator[str]:
    """A receiver that answers one connection with these bytes, and then nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            sock, _ = server.accept()
            with sock, suppress(OSError):
                sock.recv(65536)
                for piece in pieces:
                    sock.sendall(piece)
                    done.wait(pause)
                done.wait(20)

        done = threading.Event()
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        finally:
            done.set()
            thread.join(5)


def test_an_answer_that_comes_byte_by_byte_has_no_more_time_than_another() -> None:
    head = [b"HTTP/1.1 200 OK\r\n", *[b"X-A: b\r\n"] * 2000]
    with saying(*head, pause=0.05) as url:
        began = time.monotonic()
        with pytest.raises(WebhookError, match="timed out"):
            send(url, {}, b"{}", 0.5)
        assert time.monotonic() - began < 20  # all of it would take 100


def test_what_is_no_http_or_endless_is_refused_in_words_without_it() -> None:
    for pieces in ((b"hush hush\r\n\r\n",), (b"HTTP/1.1 200 OK\r\n" + b"X-Hush: " + b"h" * 200_000,)):
        with saying(*pieces) as url, pytest.raises(WebhookError, match="does not speak HTTP") as error:
            send(url, {}, b"{}", 10.0)
        assert (error.value.permanent, "hush" in str(error.value)) == (False, False)


def test_an_endless_body_does_not_keep_success_from_being_one() -> None:
    with saying(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[b"1000\r\n" + b"x" * 4096 + b"\r\n"] * 500
    ) as url:
        send(url, {}, b"{}", 10.0)


def test_what_a_receiver_asks_for_is_handed_on() -> None:
    with (
        saying(b"HTTP/1.1 429 Slow\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n") as url,
        pytest.raises(WebhookError) as error,
    ):
        send(url, {}, b"{}", 10.0)
    assert (error.value.retry_after, error.value.permanent) == ("120", False)
