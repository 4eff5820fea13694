"""What an agent reaches from a real cell: the hosts that are named, by the proxy, and nothing else by any way.

The only host that is ever reached is a server on this machine's loopback, which the job names by its address.
"""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.host import interpreter
from shared.messages import Cell
from tests.driver import Driven, children, eventually, execute, limits, request, run_as
from tests.house import house
from tests.lacks import need
from tests.proxied import server

pytestmark = need("cell")

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
PYTHON = (interpreter().executable, "-I", "-S", "-c")
FETCH = "import urllib.request as r, sys; print(r.urlopen(sys.argv[1], timeout=5).read().decode())"
# What a hostile agent tries beside the proxy: each prints the errno it got, or that it got through.
DIRECT = """
import errno, socket, sys
def tried(name, act):
    try:
        act()
        print(name, "through")
    except OSError as error:
        print(name, errno.errorcode.get(error.errno, type(error).__name__))
port = int(sys.argv[1])
def tcp(address, family=socket.AF_INET):
    with socket.socket(family) as s:
        s.settimeout(3)
        s.connect(address)
def udp():
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        s.sendto(b"query", ("192.0.2.53", 53))
def fast():
    with socket.socket() as s:
        s.sendto(b"GET", socket.MSG_FASTOPEN, ("127.0.0.1", port))
tried("loopback", lambda: tcp(("127.0.0.1", port)))
tried("fastopen", fast)
tried("world", lambda: tcp(("192.0.2.1", 443)))
tried("world6", lambda: tcp(("2001:db8::1", 443), socket.AF_INET6))
tried("udp", udp)
tried("dns", lambda: socket.getaddrinfo("api.example.com", 443))
"""


def allowing(*hosts: str, **changes: Any) -> Cell:
    return replace(Cell(run_as=run_as(), network="allow", allow_hosts=hosts), **changes)


def connections(log_dir: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (log_dir / "network.jsonl").read_text("ascii").splitlines()]


def test_a_program_that_knows_proxies_reaches_a_named_host(log_dir: Path) -> None:
    with server(ANSWER) as site:
        cell = allowing(f"127.0.0.1:{site.port}")
        result = execute(request(log_dir, *PYTHON, FETCH, f"http://127.0.0.1:{site.port}/", cell=cell))
    assert (result["reason"], result["response"]) == ("ok", "hello\n"), result
    traffic = result["traffic"]
    assert (traffic["connections"], traffic["denied"], traffic["bytes_down"]) == (1, 0, len(ANSWER))
    (entry,) = connections(log_dir)
    assert (entry["verdict"], entry["port"]) == ("allowed", site.port)
    layers = {layer["name"]: layer["detail"] for layer in result["layers"]}
    assert layers["network namespace"] == "loopback only"
    assert layers["network"] == f"proxy, allow 127.0.0.1:{site.port}"
    assert (log_dir / "network.jsonl").stat().st_mode & 0o777 == 0o600


@need("curl")
def test_curl_reaches_it_too(log_dir: Path) -> None:
    with server(ANSWER) as site:
        url = f"http://127.0.0.1:{site.port}/"
        result = execute(request(log_dir, "curl", "-sSf", url, cell=allowing(f"127.0.0.1:{site.port}")))
    assert (result["reason"], result["response"]) == ("ok", "hello")


def test_a_denied_host_is_told_logged_and_named_in_the_error(log_dir: Path) -> None:
    url = "http://evil.test/"
    result = execute(request(log_dir, *PYTHON, FETCH, url, cell=allowing("127.0.0.1:9")))
    assert "403" in (log_dir / "stderr").read_text()
    assert result["reason"] == "network_denied"
    assert "evil.test:80" in result["error"]
    assert result["traffic"]["denied"] == 1
    assert [entry["verdict"] for entry in connections(log_dir)] == ["denied"]


def test_an_agent_that_got_somewhere_failed_by_itself_but_the_denied_host_is_named(log_dir: Path) -> None:
    with server(ANSWER) as site:
        tries = f"{FETCH}; print(r.urlopen('http://evil.test/', timeout=5))"
        cell = allowing(f"127.0.0.1:{site.port}")
        result = execute(request(log_dir, *PYTHON, tries, f"http://127.0.0.1:{site.port}/", cell=cell))
    assert result["reason"] == "agent_error"
    assert "evil.test:80" in result["error"]


@pytest.mark.parametrize("network", ["none", "allow", "public"])
def test_there_is_no_other_way_out(log_dir: Path, network: str) -> None:
    with server(ANSWER) as site:
        hosts = (f"127.0.0.1:{site.port}",) if network == "allow" else ()
        cell = allowing(*hosts, network=network)
        result = execute(request(log_dir, *PYTHON, DIRECT, str(site.port), cell=cell))
        assert site.heard == []
    assert result["reason"] == "ok", (result, (log_dir / "stderr").read_text())
    assert dict(line.split() for line in result["response"].splitlines()) == {
        "loopback": "ECONNREFUSED",
        "fastopen": "ECONNREFUSED",
        "world": "ENETUNREACH",
        "world6": "ENETUNREACH",
        "udp": "ENETUNREACH",
        "dns": "gaierror",
    }
    assert (log_dir / "network.jsonl").exists() is (network != "none")


def test_a_public_network_does_not_reach_this_machine(log_dir: Path) -> None:
    with server(ANSWER) as site:
        tries = f"http://127.0.0.1:{site.port}/"
        ask = (
            "import socket; s = socket.create_connection(('127.0.0.1', 3128), 5);"
            f"s.sendall(b'GET {tries} HTTP/1.1\\r\\n\\r\\n'); print(s.recv(100).split()[1].decode())"
        )
        result = execute(request(log_dir, *PYTHON, ask, cell=allowing(network="public")))
        assert site.heard == []
    assert result["response"] == "403\n"


def test_forged_lines_reach_nobody(log_dir: Path) -> None:
    with server(ANSWER) as site:
        here = f"127.0.0.1:{site.port}"
        lines = [f"CONNECT {here}@evil.test:80 HTTP/1.1", f"CONNECT evil.test:80#{here} HTTP/1.1", f"CONNECT {here}"]
        lines += [f"GET http://evil.test@{here}/ HTTP/1.1", f"GET http://{here}/ HTTP/1.1\\nHost: evil.test"]
        ask = (
            "import socket\n"
            f"for line in {lines!r}:\n"
            "    s = socket.create_connection(('127.0.0.1', 3128), 5)\n"
            "    s.sendall(line.encode() + b'\\r\\n\\r\\n')\n"
            "    print(s.recv(100).split()[1].decode())\n"
        ).replace("\\\\n", "\\n")
        result = execute(request(log_dir, *PYTHON, ask, cell=allowing(here)))
        assert site.heard == []
    assert result["response"].split() == ["400"] * len(lines)


@need("curl")
def test_a_killed_proxy_is_an_error_to_the_agent_and_the_run_goes_on(log_dir: Path, work_dir: Path) -> None:
    with server(ANSWER) as site:
        script = f"until [ -e go ]; do sleep 0.02; done; curl -sS http://127.0.0.1:{site.port}/ || echo no network"
        cell = allowing(f"127.0.0.1:{site.port}", work_dir=str(work_dir))
        with Driven(request(log_dir, "sh", "-c", script, cell=cell)) as driven:
            driven.wait_for("started")
            (proxy,) = [pid for pid in children(driven.process.pid) if b"cronward-proxy" in argv(pid)]
            os.kill(proxy, signal.SIGKILL)
            eventually(lambda: proxy not in children(driven.process.pid))
            (work_dir / "go").touch()
            result = driven.result()
            assert site.heard == []
            assert "proxy ended before the run" in driven.diagnostics()
    assert (result["reason"], result["response"]) == ("ok", "no network\n")


def argv(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def test_the_bytes_of_a_run_are_limited(log_dir: Path) -> None:
    with server(ANSWER[:40] + b"x" * 100_000) as site:
        cell = allowing(f"127.0.0.1:{site.port}", network_bytes=10_000)
        tries = f"http://127.0.0.1:{site.port}/"
        result = execute(request(log_dir, *PYTHON, f"{FETCH}", tries, cell=cell))
    assert result["reason"] == "agent_error"
    assert result["traffic"]["bytes_down"] <= 10_000
    assert [entry["verdict"] for entry in connections(log_dir)] == ["cut"]


def test_nothing_of_the_proxy_is_in_the_cell(log_dir: Path) -> None:
    script = "ls /proc/$$/fd; ls /run/cronward; cat /proc/[0-9]*/comm | grep -c python; env | grep -ci proxy"
    result = execute(request(log_dir, "sh", "-c", script, cell=allowing("api.example.com")))
    assert result["response"].split() == ["0", "1", "2", "init.pyc", "1", "9"]
    assert result["left_behind"] == 0


def test_the_proxy_takes_nothing_from_the_runs_own_limits_and_is_gone_with_it(log_dir: Path) -> None:
    wanted = request(log_dir, "sleep", "20", cell=allowing("api.example.com"), limits=limits(processes=8))
    with Driven(wanted) as driven:
        driven.wait_for("started")
        (proxy,) = [pid for pid in children(driven.process.pid) if b"cronward-proxy" in argv(pid)]
        ids = run_as()
        assert Path(f"/proc/{proxy}").stat().st_uid == (ids.uid if ids else os.getuid())
        driven.stop()
        assert driven.result()["reason"] == "canceled_by_user"
        assert not Path(f"/proc/{proxy}").exists()


def test_a_killed_runner_takes_its_proxy_along(log_dir: Path) -> None:
    with Driven(request(log_dir, "sleep", "20", cell=allowing("api.example.com"))) as driven:
        driven.wait_for("started")
        (proxy,) = [pid for pid in children(driven.process.pid) if b"cronward-proxy" in argv(pid)]
        driven.process.kill()
        eventually(lambda: not Path(f"/proc/{proxy}").exists() or state(proxy) in "ZX")


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]
    except OSError:
        return "X"


def test_the_hosts_own_network_is_its_own_and_named_sockets_are_closed(log_dir: Path) -> None:
    """The namespace that is missing would have kept the host's abstract sockets out: the filter does, then."""
    ask = (
        "import socket, sys; s = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 5); s.sendall(b'x');"
        "print(s.recv(100).decode().split()[1])\n"
        "try: socket.socket(socket.AF_UNIX)\n"
        "except OSError as error: print(error.errno)"
    )
    with server(ANSWER) as site:
        cell = Cell(run_as=run_as(), network="host")
        result = execute(request(log_dir, *PYTHON, ask, str(site.port), cell=cell))
    assert result["response"].split() == ["200", "97"], result
    layers = {layer["name"]: layer["detail"] for layer in result["layers"]}
    assert "network namespace" not in layers
    assert layers["network"] == "the host's own, not confined"
    assert result["traffic"] is None


@need("curl")
def test_from_the_command_line_to_the_record_and_the_log(tmp_path: Path) -> None:
    with server(ANSWER) as site, house(tmp_path) as home:
        home.start()
        here = f"127.0.0.1:{site.port}"
        script = f"curl -sS http://{here}/; curl -sS http://evil.test/ >&2"
        job = home.json(
            *("add", "--cron", "0 0 1 1 *", "--prompt", "x", "--command", f"sh -c '{script}'"),
            *("--allow-host", here, "--allow-host", "api.example.com:8443"),
        )
        assert (job["network"], job["allow_hosts"]) == ("allow", [here, "api.example.com:8443"])
        assert f"allow: {here}, api.example.com:8443" in home.cronward("show", job["id"]).stdout
        home.json("run", job["id"])
        (run,) = home.ended(job["id"])
        assert (run["status"], run["response"]) == ("completed", "hello")
        assert (run["traffic"]["connections"], run["traffic"]["denied"]) == (2, 1)
        assert "2 connections, 1 of them denied" in home.cronward("logs", run["id"]).stdout
        table = home.cronward("logs", run["id"], "--network").stdout.splitlines()
        assert [line.split()[2:4] for line in table[1:]] == [[here, "127.0.0.1"], ["evil.test:80", "-"]]
        assert table[2].endswith("denied   the job does not allow this host and port")
        assert [each["verdict"] for each in home.json("logs", run["id"], "--network")] == ["allowed", "denied"]


def test_the_hosts_network_is_refused_when_a_job_is_added_unless_it_is_permitted(tmp_path: Path) -> None:
    ask = ("add", "--every", "1h", "--prompt", "x", "--command", "cat", "--network", "host")
    with house(tmp_path) as home:
        refused = home.cronward(*ask)
        assert refused.returncode == 2
        assert "permit_host_network = true" in refused.stderr
        assert home.json("list") == []
        home.environ["CRONWARD_PERMIT_HOST_NETWORK"] = "true"
        assert home.cronward(*ask).returncode == 0
