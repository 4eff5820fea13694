"""A real HTTP server on the loopback that notes what it gets."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """Answers with `answers`, one a request, the last for ever; 0 hangs up without an answer."""

    url: str
    answers: list[int] = field(default_factory=lambda: [200])
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


@contextmanager
def receiver(*answers: int) -> Iterator[Receiver]:
    class Receives(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            answer = got.answers.pop(0) if len(got.answers) > 1 else got.answers[0]
            if answer == 0:
                return
            self.send_response(answer)
            self.send_header("Location", f"{got.url}elsewhere")
            self.end_headers()

        do_GET = do_POST  # noqa: N815  # http.server's name

        def log_message(self, *_args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receives)
    got = Receiver(f"http://127.0.0.1:{server.server_port}/", list(answers) or [200])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
    thread.start()
    try:
        yield got
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
