from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from supervisor.config import Config
from supervisor.control.client import MAX_REQUEST, Client, NotRunningError
from supervisor.control.control import Server
from supervisor.control.desk import reach
from supervisor.errors import CronwardError, InvalidError, NotFoundError, RefusedError, StoreError, UnreachableError
from supervisor.status import Status
from supervisor.stores.home import Home
from tests.fakes import FakeDesk, make_job, make_run
from tests.lacks import need


def ask(tmp_path: Path, desk: FakeDesk, question: Callable[[Client], Any]) -> Any:
    """What a client gets from a real server with this desk."""
    home = Home.of(tmp_path)

    async def serve() -> Any:
        server = Server(desk, home.socket)
        await server.start()
        try:
            return await asyncio.to_thread(question, Client(home))
        finally:
            await server.close()

    return asyncio.run(serve())


@contextmanager
def answering(tmp_path: Path, reply: bytes | None) -> Iterator[Client]:
    """A client of something that answers any one request with these bytes; None: never."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(Home.of(tmp_path).socket))
        listener.listen()
        over = threading.Event()

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(65536)
                if reply is None:
                    over.wait(10)
                else:
                    peer.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        yield Client(Home.of(tmp_path), timeout_seconds=0.1 if reply is None else 5)
        over.set()
        thread.join()


def with_body(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def test_every_request_reaches_the_desk_as_it_was_made(tmp_path: Path) -> None:
    desk = FakeDesk(jobs=[make_job()])

    def questions(client: Client) -> None:
        assert client.add_job({"prompt": "\x1b\u00e4\U0001f600"}) == desk.job
        assert client.find_job("morning") == client.pause_job("morning") == client.resume_job("morning") == desk.job
        assert client.edit_job("morning", {"until": None}) == client.pause_job("morning", "quota", True) == desk.job
        assert client.remove_job("morning") == desk.job
        assert client.run_job("morning") == client.find_run("morning") == client.cancel_run("morning") == make_run()
        assert client.find_runs("morning", 3, Status.FAILED) == client.find_runs() == [make_run()]
        assert client.list_jobs() == [make_job()]
        assert client.status() == {"running": 0}
        assert client.live() == []
        assert client.reload() == ["history"]
        client.stop(True)

    ask(tmp_path, desk, questions)
    assert desk.asked[0] == ("add_job", {"prompt": "\x1b\u00e4\U0001f600"})
    assert ("find_runs", "morning", 3, Status.FAILED) in desk.asked
    assert ("edit_job", "morning", {"until": None}) in desk.asked
    assert ("pause_job", "morning", "quota", True) in desk.asked
    assert desk.asked[-1] == ("stop", True)


@pytest.mark.parametrize("ref", ["../../etc/passwd", "..", ".", "a/b", "a?b#c", "%2e", "\u00e4 \x1b[31m", "*", "jobs"])
def test_a_name_arrives_as_it_is_whatever_it_looks_like(tmp_path: Path, ref: str) -> None:
    desk = FakeDesk()
    with pytest.raises(NotFoundError):
        ask(tmp_path, desk, lambda client: client.pause_job(ref))
    assert desk.asked == [("pause_job", ref)]


def test_an_empty_name_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        ask(tmp_path, FakeDesk(), lambda client: client.pause_job(""))


@pytest.mark.parametrize("kind", [InvalidError, NotFoundError, RefusedError, StoreError, UnreachableError])
def test_what_the_desk_raises_is_raised_here(tmp_path: Path, kind: type[CronwardError]) -> None:
    with pytest.raises(kind, match=r"^Not today\.$") as caught:
        ask(tmp_path, FakeDesk(fails=kind("Not today.")), lambda client: client.run_job("morning"))
    assert type(caught.value) is kind


def test_a_request_that_no_server_would_take_is_not_sent(tmp_path: Path) -> None:
    desk = FakeDesk()
    with pytest.raises(InvalidError, match="takes at most"):
        ask(tmp_path, desk, lambda client: client.add_job({"prompt": "x" * MAX_REQUEST}))
    assert desk.asked == []


def test_without_a_supervisor_the_sentence_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(NotRunningError, match=r"No supervisor is running for the home .*cronward --home .* supervise"):
        Client(Home.of(tmp_path / "no where")).status()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(Home.of(tmp_path).socket))
    with pytest.raises(NotRunningError):
        Client(Home.of(tmp_path)).status()


def test_a_supervisor_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    with answering(tmp_path, None) as client, pytest.raises(UnreachableError, match=r"did not answer within 0\.1 s"):
        client.status()


@pytest.mark.parametrize(
    "reply", [b"", b"HTTP/1.1 200", b"\0" * 70_000, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"]
)
def test_a_supervisor_that_breaks_off_leaves_no_doubt_unsaid(tmp_path: Path, reply: bytes) -> None:
    with answering(tmp_path, reply) as client, pytest.raises(UnreachableError, match="before you ask again"):
        client.run_job("morning")


@pytest.mark.parametrize("body", [b"nonsense", b"[]", b'{"id": "x"}', b"[" * 100_000])
def test_an_answer_of_another_version_is_a_sentence(tmp_path: Path, body: bytes) -> None:
    with answering(tmp_path, with_body(body)) as client, pytest.raises(UnreachableError, match="of one version"):
        client.run_job("morning")


@pytest.mark.parametrize("body", [b"[]", b'"no"', b'{"code": "odd"}', b'{"error": {"a": 1}, "code": []}'])
def test_an_error_without_its_sentence_is_still_one(tmp_path: Path, body: bytes) -> None:
    with answering(tmp_path, with_body(body, "500 Oh")) as client, pytest.raises(CronwardError):
        client.status()


@need("root")
def test_a_socket_of_a_stranger_is_told_nothing(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    with listener:
        listener.bind(str(Home.of(tmp_path).socket))
        os.seteuid(65534)
        try:
            # The kernel notes who listens at this moment.
            listener.listen()
        finally:
            os.seteuid(0)
        with pytest.raises(RefusedError, match="not the owner of this home"):
            Client(Home.of(tmp_path)).status()


def test_a_supervisor_that_is_there_but_not_understood_is_not_passed_by(tmp_path: Path) -> None:
    with (
        answering(tmp_path, with_body(b"nonsense")),
        pytest.raises(UnreachableError, match="of one version"),
        reach(Home.of(tmp_path), Config()),
    ):
        raise AssertionError("two desks at once")
