"""A provider of models on the loopback that speaks four APIs, and says what the prompt tells it to (see `scenario`).

It is bounded: so many requests and no more, each read and held for a while only, and all of it gone with the block.
"""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.providers import anthropic, chat, google, responses
from tests.providers.scenario import ASKED_AGAIN, Reply, reply, wanted
from tests.providers.shape import Shape, prompt_of

SHAPES: tuple[Shape, ...] = (anthropic.SHAPE, responses.SHAPE, chat.SHAPE, google.SHAPE)
NAME = "api.stub.example"
OPENSSL = ("openssl", "req", "-x509")
MOST_REQUESTS = 500
MOST_BYTES = 8 << 20
HOLD_SECONDS = 120.0


@dataclass
class Provider:
    """`requests`: what was asked for, with its body, in the order in which it came."""

    port: int
    authority: str = ""
    """The certificate that whoever asks has to be told to trust; empty: it is asked in plain HTTP."""
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"https://{NAME}:{self.port}" if self.authority else f"http://127.0.0.1:{self.port}"

    @property
    def rule(self) -> str:
        """The entry of `allow_hosts` that names it."""
        return f"{NAME}=127.0.0.1:{self.port}" if self.authority else f"127.0.0.1:{self.port}"

    def asked(self) -> int:
        """How often a model was asked."""
        return len(self.requests)


class _Stub(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    provider: Provider


class _Serves(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    server: _Stub

    def do_GET(self) -> None:
        self._say(404, {"error": {"message": "the stub has nothing there", "type": "not_found_error"}})

    do_HEAD = do_GET  # noqa: N815  # http.server's name

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        provider = self.server.provider
        shape = next((each for each in SHAPES if each.path.fullmatch(self.path)), None)
        if shape is None or size > MOST_BYTES or len(provider.requests) >= MOST_REQUESTS:
            return self.do_GET()
        body = json.loads(self.rfile.read(size) or b"{}")
        provider.requests.append((self.path, body))
        provider.headers.append({name.lower(): value for name, value in self.headers.items()})
        prompt = prompt_of(body)
        said = reply(wanted(prompt), shape.calls(body), ASKED_AGAIN in prompt)
        if said.hang and not said.cut:
            self._hold()
        elif said.status != 200:
            extra = {} if said.retry_after is None else {"Retry-After": str(said.retry_after)}
            self._say(said.status, shape.error(said), extra)
        elif shape.streams(self.path, body):
            self._stream(shape, body, said)
        else:
            self._say(200, shape.whole(body, said), said=said)
        return None

    def _say(
        self, status: int, body: dict[str, Any], extra: dict[str, str] | None = None, said: Reply | None = None
    ) -> None:
        data = json.dumps(body).encode()
        part = data[: len(data) // 2] if said is not None and said.cut else data
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Connection": "close", **(extra or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(part if said is not None and said.quietly else data)))
        self.end_headers()
        self.wfile.write(part)
        if said is not None and said.hang:
            self._hold()
        self.close_connection = True

    def _stream(self, shape: Shape, body: dict[str, Any], said: Reply) -> None:
        self.send_response(200)
        for name, value in {"Content-Type": "text/event-stream", "Connection": "close"}.items():
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        events = shape.events(body, said)
        for event in events[: shape.whole_until(events)] if said.cut else events:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
        if said.hang:
            self._hold()
        # A chunked body without its last chunk is one that broke off, whatever the client makes of missing events.
        if not said.cut or said.quietly:
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True

    def _hold(self) -> None:
        self.server.provider.closing.wait(HOLD_SECONDS)
        self.close_connection = True

    def log_message(self, *_args: Any) -> None:
        pass


def certify(folder: Path) -> tuple[Path, Path, Path]:
    """An authority of our own; the certificate for NAME that it gave, and its key. Two, for codex takes no other."""
    authority, certificate, key = folder / "authority.pem", folder / "stub.pem", folder / "stub.key"
    made = [*OPENSSL, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    by = ["-CA", authority, "-CAkey", folder / "authority.key"]
    says = ["-addext", f"subjectAltName=DNS:{NAME}", "-addext", "basicConstraints=critical,CA:FALSE"]
    for argv in (
        [*made, "-subj", "/CN=Stub authority", "-keyout", folder / "authority.key", "-out", authority],
        [*made, "-subj", f"/CN={NAME}", *says, *by, "-keyout", key, "-out", certificate],
    ):
        subprocess.run(argv, check=True, capture_output=True, timeout=30)
    return authority, certificate, key


@contextmanager
def provider(tls: Path | None = None) -> Iterator[Provider]:
    """One at a port of its own, until the end of the block. `tls`: where its certificates are made, if it has any."""
    server = _Stub(("127.0.0.1", 0), _Serves)
    server.provider = found = Provider(server.server_port)
    if tls is not None:
        authority, certificate, key = certify(tls)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        # The handshake is done by the thread that reads, not by the one that accepts.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        found.authority = str(authority)
    # An agent that is killed hangs up in the middle: no error of ours.
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield found
    finally:
        found.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
