"""The proxy's loop with a resolver and a dialler of the test's own: names of the world, and not a packet to it."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from runner.proxy.connection import Patience
from runner.proxy.dial import Dialler, Streams, connect
from runner.proxy.interfaces import own_addresses
from runner.proxy.ledger import Ledger
from runner.proxy.listening import Listening
from runner.proxy.policy import Policy
from shared.hostrule import parse_rule

WORLD, OTHER = "93.184.216.34", "93.184.216.35"


@dataclass
class World:
    """What a name leads to, question by question; whoever is dialled is on loopback in truth."""

    answers: list[list[str]]
    port: int = 0
    closed: tuple[str, ...] = ()
    looked_up: list[str] = field(default_factory=list)
    dialled: list[tuple[str, int]] = field(default_factory=list)
    heard: list[bytes] = field(default_factory=list)

    async def resolve(self, host: str, _port: int) -> list[str]:
        self.looked_up.append(host)
        if not self.answers:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def connect(self, address: str, port: int) -> Streams:
        self.dialled.append((address, port))
        if address in self.closed:
            raise ConnectionRefusedError(111, "Connection refused")
        return await connect("127.0.0.1", self.port)


async def shut(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


Ask = Callable[[bytes], Awaitable[bytes]]


def through(
    world: World,
    tmp_path: Path,
    talk: Callable[[Ask], Awaitable[None]],
    *,
    rules: tuple[str, ...] = ("api.example.com",),
    upstream: tuple[str, int] | None = None,
    patience: Patience = Patience(),  # noqa: B008
    answer: bytes = b"HTTP/1.1 200 OK\r\n\r\nhello",
    **limits: int,
) -> list[dict[str, Any]]:
    """Let `talk` ask a proxy; what it logged."""
    log = (tmp_path / "log").open("wb", buffering=0)

    async def site(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            world.heard.append(await reader.read(2000))
            writer.write(answer)
            await (writer.drain() if answer else reader.read())
        except ConnectionError:
            return
        finally:
            await shut(writer)

    async def main() -> None:
        server = await asyncio.start_server(site, "127.0.0.1", 0)
        world.port = server.sockets[0].getsockname()[1]
        policy = Policy(False, tuple(parse_rule(rule) for rule in rules))
        dialler = Dialler(policy, lambda: frozenset({"198.41.0.4"}), world.resolve, world.connect, upstream)
        listener = socket.create_server(("127.0.0.1", 0))
        port, over = listener.getsockname()[1], asyncio.Event()
        running = asyncio.create_task(
            Listening(dialler, Ledger(log.fileno(), 1 << 20), patience, **limits).run(listener, over)
        )

        async def ask(data: bytes) -> bytes:
            reader, writer = await connect("127.0.0.1", port)
            writer.write(data)
            try:
                return await reader.read()
            except ConnectionError:
                return b""
            finally:
                await shut(writer)

        try:
            await talk(ask)
        finally:
            over.set()
            await running
            server.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            await asyncio.gather(*others, return_exceptions=True)

    asyncio.run(main())
    log.close()
    return [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]


GET = b"GET http://api.example.com/ HTTP/1.1\r\n\r\n"


CONNECT = b"CONNECT api.example.com:443 HTTP/1.1\r\n\r\n"


def hello(name: str) -> bytes:
    out = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return out.read()


def test_a_tunnel_passes_on_a_hello_for_its_host_whole(tmp_path: Path) -> None:
    world, said = World([[WORLD]]), hello("api.example.com")

    async def talk(ask: Ask) -> None:
        assert (await ask(CONNECT + said)).endswith(b"server hello")

    (entry,) = through(world, tmp_path, talk, answer=b"server hello")
    assert (world.heard, entry["verdict"], entry["up"]) == ([said], "allowed", len(said))


@pytest.mark.parametrize("said", [hello("evil.test"), b"SSH-2.0-x\r\n", hello("api.example.com")[:60] + b"\xff" * 2000])
def test_a_tunnel_passes_on_not_a_byte_of_anything_else(tmp_path: Path, said: bytes) -> None:
    world = World([[WORLD]])

    async def talk(ask: Ask) -> None:
        assert await ask(CONNECT + said) == b"HTTP/1.1 200 Connection established\r\n\r\n"

    (entry,) = through(world, tmp_path, talk)
    assert b"".join(world.heard) == b""
    assert (entry["verdict"], entry["up"]) == ("denied", 0)


def test_a_name_is_looked_up_once_and_connected_to_as_it_was_judged(tmp_path: Path) -> None:
    """A name server that says the world first and this machine at the second question gets no second question."""
    world = World([[WORLD], ["127.0.0.1"]])

    async def talk(ask: Ask) -> None:
        assert (await ask(GET)).endswith(b"hello")

    (entry,) = through(world, tmp_path, talk)
    assert (world.looked_up, world.dialled) == (["api.example.com"], [(WORLD, 80)])
    assert (entry["verdict"], entry["address"]) == ("allowed", WORLD)


def test_only_the_addresses_that_may_be_are_dialled_and_in_their_order(tmp_path: Path) -> None:
    world = World([["10.0.0.1", WORLD, "198.41.0.4", OTHER, "::1"]], closed=(WORLD,))

    async def talk(ask: Ask) -> None:
        assert (await ask(GET)).endswith(b"hello")

    (entry,) = through(world, tmp_path, talk)
    assert world.dialled == [(WORLD, 80), (OTHER, 80)]
    assert entry["address"] == OTHER


def test_a_name_that_leads_home_is_refused_and_nothing_dialled(tmp_path: Path) -> None:
    world = World([["127.0.0.1"], ["169.254.169.254"], ["::ffff:10.0.0.1"], ["198.41.0.4"]])

    async def talk(ask: Ask) -> None:
        for _ in range(4):
            assert (await ask(GET)).startswith(b"HTTP/1.1 403 ")

    entries = through(world, tmp_path, talk)
    assert world.dialled == []
    assert [entry["why"].split(" leads to ")[1] for entry in entries] == [
        "a loopback address",
        "a metadata address",
        "a private address",
        "this machine's own address",
    ]


def test_a_name_that_is_not_allowed_is_never_looked_up(tmp_path: Path) -> None:
    """A look-up carries the name to whoever serves it, and names can carry anything."""
    world = World([[WORLD]])

    async def talk(ask: Ask) -> None:
        assert b" 403 " in await ask(b"CONNECT secret.evil.test:443 HTTP/1.1\r\n\r\n")

    through(world, tmp_path, talk)
    assert world.looked_up == []


def test_a_name_that_is_unknown_is_a_failure_and_no_denial(tmp_path: Path) -> None:
    async def talk(ask: Ask) -> None:
        assert b" 502 " in await ask(GET)

    (entry,) = through(World([]), tmp_path, talk)
    assert entry["verdict"] == "failed"


def test_a_site_with_a_proxy_of_its_own_is_asked_for_names_that_are_unknown_here(tmp_path: Path) -> None:
    world = World([])

    async def talk(ask: Ask) -> None:
        assert (await ask(GET)).endswith(b"hello")
        assert (await ask(b"CONNECT api.example.com:443 HTTP/1.1\r\n\r\nno tls")).startswith(b"HTTP/1.1 200 Conn")

    entries = through(world, tmp_path, talk, upstream=("proxy.corp", 3128), answer=b"HTTP/1.1 200 OK\r\n\r\nhello")
    assert world.dialled == [("proxy.corp", 3128)] * 2
    assert [entry["verdict"] for entry in entries] == ["allowed", "denied"]


def test_even_with_such_a_proxy_a_name_that_leads_home_is_refused(tmp_path: Path) -> None:
    world = World([["10.0.0.1"]])

    async def talk(ask: Ask) -> None:
        assert b" 403 " in await ask(GET)

    through(world, tmp_path, talk, upstream=("proxy.corp", 3128))
    assert world.dialled == []


def test_a_refusal_of_such_a_proxy_is_told(tmp_path: Path) -> None:
    async def talk(ask: Ask) -> None:
        assert b" 502 " in await ask(b"CONNECT api.example.com:443 HTTP/1.1\r\n\r\n")

    (entry,) = through(World([]), tmp_path, talk, upstream=("proxy.corp", 1), answer=b"HTTP/1.1 407 No\r\n\r\n")
    assert "HTTP/1.1 407 No" in entry["why"]


def test_a_head_that_comes_too_slowly_is_not_waited_for(tmp_path: Path) -> None:
    async def talk(ask: Ask) -> None:
        assert (await ask(GET[:-2])).startswith(b"HTTP/1.1 408 ")

    (entry,) = through(World([[WORLD]]), tmp_path, talk, patience=Patience(head=0.5))
    assert entry["verdict"] == "denied"


def test_a_hello_that_comes_too_slowly_is_not_waited_for(tmp_path: Path) -> None:
    async def talk(ask: Ask) -> None:
        assert (await ask(b"CONNECT api.example.com:443 HTTP/1.1\r\n\r\n\x16\x03")).startswith(b"HTTP/1.1 200 ")

    (entry,) = through(World([[WORLD]]), tmp_path, talk, patience=Patience(head=0.5))
    assert (entry["verdict"], entry["up"]) == ("cut", 0)


def test_a_connection_on_which_nothing_comes_is_cut(tmp_path: Path) -> None:
    async def talk(ask: Ask) -> None:
        assert await ask(GET) == b""

    (entry,) = through(World([[WORLD]]), tmp_path, talk, patience=Patience(idle=0.05), answer=b"")
    assert (entry["verdict"], entry["down"]) == ("cut", 0)
    assert entry["up"] > 0


def test_after_so_many_connections_there_are_no_more(tmp_path: Path) -> None:
    async def talk(ask: Ask) -> None:
        assert (await ask(GET)).endswith(b"hello")
        assert await ask(GET) == b""
        refused = False
        try:
            await ask(GET)
        except ConnectionRefusedError:
            refused = True
        assert refused

    entries = through(World([[WORLD]]), tmp_path, talk, most=2)
    assert [entry["why"] for entry in entries] == ["", "no more connections in this run"]


def test_this_machines_own_addresses_are_known() -> None:
    assert "127.0.0.1" in own_addresses()
