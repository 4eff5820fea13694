"""A real proxy process, real sockets, loopback only: what it lets through, what it refuses, and what it writes down."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from runner.outlet import PROGRAM
from tests.driver import children, eventually
from tests.lacks import need
from tests.proxied import everything, proxied, server

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"


def connect(host: str) -> bytes:
    return f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


def get(host: str) -> bytes:
    return f"GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


def hello(name: str) -> bytes:
    out = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return out.read()


def test_a_plain_request_reaches_a_named_host_and_is_logged(tmp_path: Path) -> None:
    with server(PLAIN) as site, proxied(tmp_path, f"127.0.0.1:{site.port}") as proxy:
        host = f"127.0.0.1:{site.port}"
        assert proxy.ask(get(host)).endswith(b"hello")
        (entry,) = proxy.finish()
    sent = f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    assert site.heard == [sent]
    assert (entry["host"], entry["port"], entry["address"]) == ("127.0.0.1", site.port, "127.0.0.1")
    assert (entry["verdict"], entry["up"], entry["down"]) == ("allowed", len(sent), len(PLAIN))


@pytest.mark.parametrize("ask", [get("evil.test"), connect("evil.test:443"), get("127.0.0.1:1"), connect("[::1]:443")])
def test_what_is_not_named_is_refused_told_and_logged(tmp_path: Path, ask: bytes) -> None:
    with proxied(tmp_path, "127.0.0.1:9") as proxy:
        answer = proxy.ask(ask)
        proxy.finish()
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"does not allow this host" in answer
    (entry,) = proxy.entries()
    assert (entry["verdict"], entry["address"], entry["up"], entry["down"]) == ("denied", "", 0, 0)


def test_a_public_network_is_no_way_to_this_machine(tmp_path: Path) -> None:
    with proxied(tmp_path, network="public") as proxy:
        for host in ("127.0.0.1", "localhost", "[::1]", "169.254.169.254"):
            assert b" 403 " in proxy.ask(connect(f"{host}:443"))[:20], host
        proxy.finish()
    assert {entry["verdict"] for entry in proxy.entries()} == {"denied"}


@pytest.mark.parametrize(
    "forged", [b"CONNECT evil\r\n\r\n", b"\x16\x03\x01\0\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\r\n\r\n"]
)
def test_what_is_no_request_to_a_proxy_is_refused(tmp_path: Path, forged: bytes) -> None:
    with proxied(tmp_path, "127.0.0.1:9") as proxy:
        assert proxy.ask(forged).startswith(b"HTTP/1.1 400 ")
        proxy.finish()
    assert [(entry["verdict"], entry["host"]) for entry in proxy.entries()] == [("denied", "")]


def test_a_head_without_end_is_refused_at_its_limit(tmp_path: Path) -> None:
    with proxied(tmp_path, "127.0.0.1:9") as proxy:
        assert proxy.ask(b"GET http://a/ HTTP/1.1\r\nA: " + b"x" * 40_000).startswith(b"HTTP/1.1 431 ")


def test_tls_reaches_the_host_that_it_names(tmp_path: Path) -> None:
    first = hello("api.test")
    with server(b"server hello") as site, proxied(tmp_path, f"api.test=127.0.0.1:{site.port}") as proxy:
        assert proxy.ask(connect(f"api.test:{site.port}"), first).endswith(b"server hello")
        proxy.finish()
    assert site.heard == [first]
    assert [entry["verdict"] for entry in proxy.entries()] == ["allowed"]


def test_tls_that_names_another_host_goes_nowhere(tmp_path: Path) -> None:
    """Through a server of many names it would reach whomever it likes."""
    with server(b"server hello") as site, proxied(tmp_path, f"api.test=127.0.0.1:{site.port}") as proxy:
        answer = proxy.ask(connect(f"api.test:{site.port}"), hello("evil.test"))
        proxy.finish()
    assert answer == b"HTTP/1.1 200 Connection established\r\n\r\n"
    assert site.heard in ([], [b""])
    (entry,) = proxy.entries()
    assert (entry["verdict"], entry["up"]) == ("denied", 0)
    assert "evil.test" in entry["why"]


def test_a_named_port_may_speak_what_it_likes_and_the_server_first(tmp_path: Path) -> None:
    with server(b"SSH-2.0-x\r\n", speaks_first=True) as site, proxied(tmp_path, f"127.0.0.1:{site.port}") as proxy:
        with proxy.connect() as agent:
            agent.sendall(connect(f"127.0.0.1:{site.port}"))
            said = b""
            while not said.endswith(b"SSH-2.0-x\r\n"):
                said += agent.recv(1000) or b"SSH-2.0-x\r\n"
            agent.sendall(b"SSH-2.0-y\r\n")
            eventually(lambda: site.heard == [b"SSH-2.0-y\r\n"], 5)
        proxy.finish()
    assert [entry["verdict"] for entry in proxy.entries()] == ["allowed"]


def test_nothing_behind_the_announced_body_is_sent_on(tmp_path: Path) -> None:
    host = "127.0.0.1"
    with server() as site, proxied(tmp_path, f"{host}:{site.port}") as proxy:
        head = f"POST http://{host}:{site.port}/ HTTP/1.1\r\nContent-Length: 4\r\n\r\n".encode()
        with proxy.connect() as agent:
            agent.sendall(head + b"bodyGET http://evil.test/ HTTP/1.1\r\n\r\n")
            eventually(lambda: site.heard and site.heard[0].endswith(b"body"), 5)
        proxy.finish()
    assert b"evil" not in site.heard[0]


def test_the_bytes_of_a_run_are_limited(tmp_path: Path) -> None:
    with server(b"x" * 5000) as site, proxied(tmp_path, f"127.0.0.1:{site.port}", network_bytes=3000) as proxy:
        assert len(proxy.ask(get(f"127.0.0.1:{site.port}"))) <= 3000
        assert b" 403 " in proxy.ask(get(f"127.0.0.1:{site.port}"))[:20]
        proxy.finish()
    cut, denied = proxy.entries()
    assert (cut["verdict"], denied["verdict"]) == ("cut", "denied")
    assert "used up" in cut["why"]
    assert cut["down"] <= 3000


def test_a_host_that_does_not_listen_is_no_denial(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with proxied(tmp_path, f"127.0.0.1:{port}") as proxy:
        assert proxy.ask(get(f"127.0.0.1:{port}")).startswith(b"HTTP/1.1 502 ")
        proxy.finish()
    assert [entry["verdict"] for entry in proxy.entries()] == ["failed"]


def test_connections_that_go_on_are_logged_when_it_is_told_to_end(tmp_path: Path) -> None:
    with (
        server(b"first", speaks_first=True) as site,
        proxied(tmp_path, f"127.0.0.1:{site.port}") as proxy,
        proxy.connect() as agent,
        proxy.connect(),
    ):
        agent.sendall(connect(f"127.0.0.1:{site.port}"))
        said = b""
        while not said.endswith(b"first"):
            said += agent.recv(1000)
        proxy.finish()
        assert everything(agent) == b""
    assert sorted((entry["verdict"], entry["down"]) for entry in proxy.entries()) == [("allowed", 5), ("failed", 0)]


def test_more_connections_at_once_than_it_takes_are_refused(tmp_path: Path) -> None:
    with proxied(tmp_path, "127.0.0.1:9") as proxy:
        waiting = [proxy.connect() for _ in range(130)]
        eventually(lambda: len(proxy.entries()) >= 2, 5)
        for each in waiting:
            each.close()
        assert proxy.ask(get("evil.test")).startswith(b"HTTP/1.1 403 ")
        proxy.finish()
    assert sum("at once" in entry["why"] for entry in proxy.entries()) == 2


def test_it_dies_with_whoever_started_it(tmp_path: Path) -> None:
    """Its descriptor 0 is ours here, and stays open: only the kernel tells it."""
    start = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-I', '-S', sys.argv[1]]); time.sleep(30)"
    reader, writer = os.pipe()
    starter = subprocess.Popen([sys.executable, "-c", start, PROGRAM], stdin=reader)
    os.close(reader)
    try:
        eventually(lambda: children(starter.pid), 10)
        (pid,) = children(starter.pid)
        eventually(lambda: "NoNewPrivs:\t1" in Path(f"/proc/{pid}/status").read_text(), 5)
        starter.kill()
        eventually(lambda: not alive(pid), 5)
    finally:
        os.close(writer)
        starter.kill()
        starter.wait()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1] not in "ZX"
    except OSError:
        return False


TAKEN_OVER = """
import os, socket, sys
sys.path.insert(0, sys.argv[1])
from runner.proxy import confine
import encodings.idna
confine.limit()
confine.close_doors()
def tried(act):
    try:
        return act() or "through"
    except OSError as error:
        return type(error).__name__
print(tried(lambda: open(sys.argv[2]).read()), tried(lambda: os.listdir(os.path.dirname(sys.argv[2]))))
print(tried(lambda: open(sys.argv[2] + ".new", "w")), tried(lambda: socket.socket(socket.AF_UNIX)))
print(socket.getaddrinfo("localhost", 80, socket.AF_INET, socket.SOCK_STREAM)[0][4][0], tried(lambda: socket.socket()))
"""


@need("landlock")
def test_a_proxy_that_was_taken_over_reads_no_file_of_the_owners_and_asks_no_socket(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    ours = str(Path(PROGRAM).parents[2])
    argv = [sys.executable, "-I", "-S", "-c", TAKEN_OVER, ours, str(secret)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True)
    denied = "PermissionError"
    assert done.stdout.split("\n")[:2] == [f"{denied} {denied}", f"{denied} OSError"], done.stderr
    assert done.stdout.split("\n")[2].startswith("127.0.0.1 <socket")


@need("landlock")
def test_the_walls_of_a_real_proxy_stand_before_it_hears_anything(tmp_path: Path) -> None:
    with proxied(tmp_path, "127.0.0.1:9") as proxy:
        assert proxy.ask(get("evil.test")).startswith(b"HTTP/1.1 403 ")
        (pid,) = [pid for pid in children() if b"cronward-proxy" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
