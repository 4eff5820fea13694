from __future__ import annotations

import asyncio
import json
import os
import select
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.control.body import read_body
from supervisor.control.control import MAX_BODY, MAX_CONNECTIONS, Server
from supervisor.control.routes import answer
from supervisor.errors import InvalidError, NotFoundError, RefusedError, StoreError, UnreachableError
from supervisor.status import Status
from tests.fakes import FakeDesk, make_job
from tests.lacks import need

Talk = Callable[[Path], Any]


def with_server(tmp_path: Path, desk: FakeDesk, talk: Talk, **options: Any) -> Any:
    """What `talk`, in a thread of its own, makes of a server that listens at the path it is given."""

    async def serve() -> Any:
        server = Server(desk, tmp_path / "s", **options)
        await server.start()
        try:
            return await asyncio.to_thread(talk, tmp_path / "s")
        finally:
            await server.close()

    return asyncio.run(serve())


def connect(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(5)
    client.connect(str(path))
    return client


def exchange(path: Path, data: bytes) -> bytes:
    """All that comes back until the server closes. Like most clients it gives up when it cannot send."""
    with connect(path) as client:
        client.sendall(data)
        with client.makefile("rb") as file:
            return file.read()


def request(method: str, target: str, body: bytes = b"", *extra: str) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close", *extra]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def status_of(reply: bytes) -> int:
    return int(reply.split(b" ", 2)[1])


def body_of(reply: bytes) -> Any:
    head, _, body = reply.partition(b"\r\n\r\n")
    if b"chunked" in head.lower():
        whole = b""
        while body:
            size, _, body = body.partition(b"\r\n")
            whole, body = whole + body[: int(size, 16)], body[int(size, 16) + 2 :]
        body = whole
    return json.loads(body)


def test_each_path_asks_the_desk_for_what_it_says() -> None:
    wanted = {
        ("GET", "/v1/status"): ("status",),
        ("GET", "/v1/ps"): ("live",),
        ("GET", "/v1/jobs/morning"): ("find_job", "morning"),
        ("DELETE", "/v1/jobs/morning"): ("remove_job", "morning"),
        ("POST", "/v1/jobs/morning/pause"): ("pause_job", "morning"),
        ("POST", "/v1/jobs/morning/resume"): ("resume_job", "morning"),
        ("POST", "/v1/jobs/morning/run"): ("run_job", "morning"),
        ("GET", "/v1/runs"): ("find_runs", None, 100, None),
        ("GET", "/v1/runs?job=a%20b&last=7&status=failed"): ("find_runs", "a b", 7, Status.FAILED),
        ("GET", "/v1/runs/morning"): ("find_run", "morning"),
        ("POST", "/v1/runs/morning/cancel"): ("cancel_run", "morning"),
        ("POST", "/v1/stop"): ("stop", False),
        ("POST", "/v1/reload"): ("reload",),
    }
    for (method, target), call in wanted.items():
        desk = FakeDesk()
        found = answer(desk, method, target, b"")
        assert found.status < 300, (method, target)
        assert desk.asked == [call]


def test_a_job_is_added_as_the_body_gives_it() -> None:
    desk = FakeDesk()
    found = answer(desk, "POST", "/v1/jobs", b'{"prompt": "Say \\u001b[31m.", "cron_expr": "@daily"}')
    assert found.status == 201
    assert desk.asked == [("add_job", {"prompt": "Say \x1b[31m.", "cron_expr": "@daily"})]


def test_an_edit_and_a_pause_are_asked_as_the_body_gives_them() -> None:
    calls: list[tuple[str, str, bytes, tuple[Any, ...]]] = [
        ("PATCH", "", b'{"until": null}', ("edit_job", "morning", {"until": None})),
        ("POST", "/pause", b'{"reason": "quota"}', ("pause_job", "morning", "quota", False)),
        ("POST", "/pause", b'{"cancel": true}', ("pause_job", "morning", "", True)),
    ]
    for method, verb, body, call in calls:
        desk = FakeDesk()
        assert answer(desk, method, f"/v1/jobs/morning{verb}", body).status == 200
        assert desk.asked[-1:] == [call]


@pytest.mark.parametrize("body", [b'{"reason": 7}', b'{"cancel": "yes"}', b'{"why": "x"}', b"[]", b"{"])
def test_a_pause_that_cannot_be_read_is_refused(body: bytes) -> None:
    desk = FakeDesk()
    assert answer(desk, "POST", "/v1/jobs/morning/pause", body).status == 400
    assert desk.asked == []


def test_an_unknown_path_is_not_found() -> None:
    for target in ("/", "/v2/jobs", "/v1/jobs/a/b/c", "/v1/jobs//pause", "/v1/jobs/", "/v1/jobs/x/fly", "*", "//x"):
        assert answer(FakeDesk(), "GET", target, b"").status == 404, target


def test_a_wrong_method_is_told_which_are_right() -> None:
    found = answer(FakeDesk(), "PUT", "/v1/jobs/morning", b"")
    assert found.status == 405
    assert ("Allow", "DELETE, GET, PATCH") in found.headers


@pytest.mark.parametrize(
    "error",
    [InvalidError("No."), NotFoundError("No."), RefusedError("No."), StoreError("No."), UnreachableError("No.")],
)
def test_what_the_desk_raises_is_answered_with_its_sentence_and_code(error: Any) -> None:
    found = answer(FakeDesk(fails=error), "POST", "/v1/jobs/morning/run", b"")
    assert found.status == error.http_status
    assert json.loads(b"".join(found.body)) == {"error": "No.", "code": error.code}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"prompt", "not JSON"),
        (b'{"a": 1', "not JSON"),
        (b'{"a": "\xff"}', "not JSON"),
        (b"[1]", "an array"),
        (b"null", "null"),
        (b'"text"', "a string"),
        (b"true", "true or false"),
        (b"7", "a number"),
        (b'{"a": 1, "a": 2}', "'a' twice"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "Infinity"),
        (b'{"a": ' + b"9" * 5000 + b"}", "5000 digits"),
        (b'{"a": ' + b"[" * 17 + b"]" * 17 + b"}", "deeper"),
        (b'{"a": ' + b"[" * 400_000 + b"]" * 400_000 + b"}", "deeper"),
        (b'{"a": ' * 100_000 + b"1" + b"}" * 100_000, "deeper"),
    ],
)
def test_a_body_that_two_readers_could_understand_differently_is_refused(body: bytes, words: str) -> None:
    desk = FakeDesk()
    found = answer(desk, "POST", "/v1/jobs", body)
    assert found.status == 400
    assert words in json.loads(b"".join(found.body))["error"]
    assert desk.asked == []


@given(
    st.dictionaries(st.text(), st.recursive(st.none() | st.text() | st.integers(), lambda x: st.lists(x, max_size=3)))
)
def test_any_json_object_is_read_as_it_was_written(value: dict[str, Any]) -> None:
    assert read_body(json.dumps(value).encode()) == value


@given(st.binary(max_size=200))
def test_no_bytes_make_the_body_reader_fail_otherwise(body: bytes) -> None:
    with suppress(InvalidError):
        assert isinstance(read_body(body), dict)


@given(st.text(max_size=60), st.sampled_from(["GET", "POST", "DELETE"]))
def test_no_target_makes_the_routes_fail(target: str, method: str) -> None:
    assert answer(FakeDesk(), method, "/v1/" + target, b"").status in (200, 202, 400, 404, 405)


@pytest.mark.parametrize(
    "query", ["last=0", "last=-1", "last=x", "last=9999999", "last=", "status=gone", "what=1", "last=1&last=2", "a"]
)
def test_a_wrong_parameter_is_refused(query: str) -> None:
    desk = FakeDesk()
    assert answer(desk, "GET", f"/v1/runs?{query}", b"").status == 400
    assert desk.asked == []


@pytest.mark.parametrize("body", [b'{"now": 1}', b'{"now": "yes"}', b'{"later": true}', b"[]"])
def test_a_stop_that_is_not_understood_stops_nothing(body: bytes) -> None:
    desk = FakeDesk()
    assert answer(desk, "POST", "/v1/stop", body).status == 400
    assert desk.asked == []


def test_a_job_is_shown_over_the_socket(tmp_path: Path) -> None:
    reply = with_server(tmp_path, FakeDesk(), lambda path: exchange(path, request("GET", "/v1/jobs/morning")))
    assert status_of(reply) == 200
    assert body_of(reply)["name"] == "morning"


def test_many_jobs_come_in_pieces_and_whole(tmp_path: Path) -> None:
    jobs = [make_job(id=f"job-{number}", prompt="x" * 9000) for number in range(250)]
    reply = with_server(tmp_path, FakeDesk(jobs=jobs), lambda path: exchange(path, request("GET", "/v1/jobs")))
    assert [job["id"] for job in body_of(reply)] == [job.id for job in jobs]


def test_one_connection_carries_several_requests(tmp_path: Path) -> None:
    two = b"GET /v1/ps HTTP/1.1\r\nHost: x\r\n\r\n" + request("GET", "/v1/status")
    reply = with_server(tmp_path, FakeDesk(), lambda path: exchange(path, two))
    assert reply.count(b"HTTP/1.1 200") == 2


@need("curl")
def test_curl_is_answered(tmp_path: Path) -> None:
    def talk(path: Path) -> str:
        argv = ["curl", "-sS", "--unix-socket", str(path), "-d", '{"prompt": "x"}', "http://cronward/v1/jobs"]
        return subprocess.run(argv, capture_output=True, check=True, timeout=20, text=True).stdout

    assert json.loads(with_server(tmp_path, FakeDesk(), talk))["name"] == "morning"


def test_the_socket_is_its_owners_alone_and_gone_afterwards(tmp_path: Path) -> None:
    mode = with_server(tmp_path, FakeDesk(), lambda path: path.lstat().st_mode)
    assert stat.S_IMODE(mode) == 0o600
    assert list(tmp_path.iterdir()) == []


def test_a_dead_supervisors_socket_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "s"))
    reply = with_server(tmp_path, FakeDesk(), lambda path: exchange(path, request("GET", "/v1/ps")))
    assert status_of(reply) == 200


def test_a_file_in_the_sockets_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("mine")
    with pytest.raises(RefusedError, match="lies where the supervisor's socket belongs"):
        with_server(tmp_path, FakeDesk(), connect)
    assert (tmp_path / "s").read_text() == "mine"


@pytest.mark.parametrize(
    "garbage", [b"\0\1\2\r\n\r\n", b"GET /\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"]
)
def test_what_is_no_http_is_answered_with_a_sentence(tmp_path: Path, garbage: bytes) -> None:
    reply = with_server(tmp_path, FakeDesk(), lambda path: exchange(path, garbage))
    assert status_of(reply) == 400
    assert "HTTP" in body_of(reply)["error"]


def test_endless_headers_are_cut_off(tmp_path: Path) -> None:
    head = b"GET /v1/ps HTTP/1.1\r\nHost: x\r\n" + b"X: " + b"y" * 100_000
    assert status_of(with_server(tmp_path, FakeDesk(), lambda path: exchange(path, head))) == 431


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_that_is_too_large_is_refused_and_the_client_gets_to_know(tmp_path: Path, declared: bool) -> None:
    desk, size = FakeDesk(), 3 * MAX_BODY
    if declared:
        data = request("POST", "/v1/jobs", b"x" * size)
    else:
        head = b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        data = head + f"{size:x}\r\n".encode() + b"x" * size + b"\r\n0\r\n\r\n"
    reply = with_server(tmp_path, desk, lambda path: exchange(path, data))
    assert status_of(reply) == 413
    assert desk.asked == []


def test_a_client_that_waits_for_a_go_ahead_gets_one(tmp_path: Path) -> None:
    data = request("POST", "/v1/jobs", b'{"prompt": "x"}', "Expect: 100-continue")
    reply = with_server(tmp_path, FakeDesk(), lambda path: exchange(path, data))
    assert reply.startswith(b"HTTP/1.1 100")
    assert b"HTTP/1.1 201" in reply


def test_a_silent_client_is_dropped_and_delays_nobody(tmp_path: Path) -> None:
    def talk(path: Path) -> bytes:
        with connect(path) as silent, connect(path) as half:
            half.sendall(b"GET /v1/ps HT")
            reply = exchange(path, request("GET", "/v1/ps"))
            assert silent.recv(1) == b""
            assert half.recv(1) == b""
            return reply

    assert status_of(with_server(tmp_path, FakeDesk(), talk, patience_seconds=1.0)) == 200


def test_a_client_that_does_not_read_is_dropped(tmp_path: Path) -> None:
    jobs = [make_job(id=f"job-{number}", prompt="x" * 20_000) for number in range(400)]

    def talk(path: Path) -> bytes:
        with connect(path) as deaf:
            deaf.sendall(request("GET", "/v1/jobs"))
            reply = exchange(path, request("GET", "/v1/ps"))
            hung_up = select.poll()
            hung_up.register(deaf, 0)
            assert hung_up.poll(5000)
            return reply

    assert status_of(with_server(tmp_path, FakeDesk(jobs=jobs), talk, patience_seconds=1.0)) == 200


def test_more_clients_than_allowed_are_told_so(tmp_path: Path) -> None:
    def talk(path: Path) -> bytes:
        idle = [connect(path) for _ in range(MAX_CONNECTIONS)]
        try:
            return exchange(path, request("GET", "/v1/ps"))
        finally:
            for client in idle:
                client.close()

    reply = with_server(tmp_path, FakeDesk(), talk)
    assert status_of(reply) == 503
    assert "connected already" in body_of(reply)["error"]


def test_a_defect_is_told_without_its_inside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    desk = FakeDesk(fails=ZeroDivisionError("secret"))
    reply = with_server(tmp_path, desk, lambda path: exchange(path, request("GET", "/v1/status")))
    assert status_of(reply) == 500
    assert b"secret" not in reply
    assert b"Traceback" not in reply
    assert "ZeroDivisionError" in caplog.text


def test_a_stranger_is_refused(tmp_path: Path) -> None:
    desk = FakeDesk()
    if os.geteuid() != 0:
        reply = with_server(
            tmp_path, desk, lambda path: exchange(path, request("GET", "/v1/ps")), owner=os.geteuid() + 1
        )
    else:
        reply = ask_as_stranger(desk)
    assert status_of(reply) == 403
    assert desk.asked == []


def ask_as_stranger(desk: FakeDesk) -> bytes:
    """What another uid is told, if the modes of socket and directory had let it through."""
    code = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        "s.sendall(b'GET /v1/ps HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'); sys.stdout.buffer.write(s.makefile('rb').read())"
    )

    def talk(path: Path) -> bytes:
        path.chmod(0o666)
        argv = [sys.executable, "-I", "-S", "-c", code, str(path)]
        return run_as(65534, argv)

    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o711)
        return bytes(with_server(Path(folder), desk, talk))


def run_as(uid: int, argv: list[str]) -> bytes:
    # Ours may lie under a home that others cannot enter.
    python = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else argv[0]
    return subprocess.run(
        [python, *argv[1:]], user=uid, group=uid, extra_groups=[], capture_output=True, check=True, timeout=20
    ).stdout
