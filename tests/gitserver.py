"""Git's own server over https on the loopback, which wants a token and notes who gave one."""

from __future__ import annotations

import base64
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.repositories import ENVIRON, git

BACKEND = "http-backend"


@dataclass
class GitServer:
    """`users`: who gave the right token, in the order of requests; `refused`: how many requests had none that is."""

    host: str
    certificate: Path
    repository: Path
    users: list[str] = field(default_factory=list)
    refused: int = 0

    @property
    def url(self) -> str:
        return f"https://{self.host}/repo.git"


def certificate(folder: Path) -> Path:
    """Key and certificate of 127.0.0.1, signed by itself."""
    made = folder / "server.pem"
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    words += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(folder / "key.pem"), "-out", str(made)]
    subprocess.run(["openssl", *words], check=True, capture_output=True)
    made.chmod(0o644)
    return made


@contextmanager
def git_server(folder: Path, token: str) -> Iterator[GitServer]:
    repository = folder / "repo.git"
    repository.mkdir()
    git(repository, "init", "-q", "--bare", "-b", "main")
    git(repository, "config", "http.receivepack", "true")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _serving(token))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made = certificate(folder)
    context.load_cert_chain(made, folder / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    served = GitServer(f"127.0.0.1:{server.server_port}", made, repository)
    server.served = served  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _serving(token: str) -> type[BaseHTTPRequestHandler]:
    class Serving(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served: GitServer = self.server.served  # type: ignore[attr-defined]
            kind, _, given = self.headers.get("Authorization", "").partition(" ")
            user, _, password = base64.b64decode(given).decode().partition(":")
            if (kind, password) != ("Basic", token):
                served.refused += 1
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            served.users.append(user)
            self._answer(served, user)

        do_POST = do_GET  # noqa: N815  # http.server's name

        def _answer(self, served: GitServer, user: str) -> None:
            """By the rules of CGI, which is what git's server speaks."""
            path, _, query = self.path.partition("?")
            environ = {**ENVIRON, "GIT_PROJECT_ROOT": str(served.repository.parent), "GIT_HTTP_EXPORT_ALL": "1"}
            environ |= {"PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": self.command, "REMOTE_USER": user}
            environ["CONTENT_TYPE"] = self.headers.get("Content-Type", "")
            if self.headers.get("Content-Encoding"):
                environ["HTTP_CONTENT_ENCODING"] = self.headers["Content-Encoding"]
            size = int(self.headers.get("Content-Length", "0"))
            done = subprocess.run(
                ["git", BACKEND], input=self.rfile.read(size), env=environ, capture_output=True, check=False
            )
            head, _, body = done.stdout.partition(b"\r\n\r\n")
            lines = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
            self.send_response(int(lines.pop("Status", "200").split()[0]))
            for name, value in {**lines, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: Any) -> None:
            pass

    return Serving
