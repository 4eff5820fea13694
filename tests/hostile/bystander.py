"""Somebody else's programs on this machine, for an agent to attack: run by path, standard library only.

`python bystander.py`, its orders as JSON on the first line of standard input. It says what there is to attack as one
JSON line, and at the end of its input takes everything away again and says what it heard.
"""

from __future__ import annotations

import ctypes
import json
import os
import pty
import random
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

libc = ctypes.CDLL(None, use_errno=True)
HEARD: list[str] = []
IPC_CREAT, IPC_EXCL = 0o1000, 0o2000


def hear(data: bytes) -> None:
    HEARD.append(data.decode(errors="replace"))


def drain(peer: socket.socket, answer: bytes) -> None:
    with peer, suppress(OSError):
        peer.settimeout(3)
        while data := peer.recv(1 << 16):
            hear(data)
            if answer:
                peer.sendall(answer)
                answer = b""


def serve(listener: socket.socket, answer: bytes = b"") -> None:
    while True:
        try:
            peer, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=drain, args=(peer, answer), daemon=True).start()


def begin(target: Any, *arguments: Any) -> None:
    threading.Thread(target=target, args=arguments, daemon=True).start()


def tcp(host: str, family: int = socket.AF_INET, answer: bytes = b"") -> int:
    try:
        listener = socket.create_server((host, 0), family=family, backlog=64)
    except OSError:
        return 0
    begin(serve, listener, answer)
    return int(listener.getsockname()[1])


def datagrams(listener: socket.socket) -> None:
    while True:
        hear(listener.recv(1 << 16))


def udp() -> int:
    listener = socket.socket(type=socket.SOCK_DGRAM)
    listener.bind(("127.0.0.1", 0))
    begin(datagrams, listener)
    return int(listener.getsockname()[1])


def unix(name: str, kind: int = socket.SOCK_STREAM) -> None:
    listener = socket.socket(socket.AF_UNIX, kind)
    listener.bind(name)
    if kind == socket.SOCK_DGRAM:
        begin(datagrams, listener)
    else:
        listener.listen()
        begin(serve, listener)


def try_to_connect(port: int) -> None:
    """Is somebody new listening on this host?"""
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as client:
            client.settimeout(1)
            hear(client.recv(1000))
        time.sleep(0.02)


def pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def forward(agent: socket.socket) -> None:
    """A proxy that lets everybody through to everything on loopback."""
    with suppress(OSError, ValueError), agent:
        agent.settimeout(3)
        head = agent.recv(1 << 16)
        method, target, _ = head.split(b"\r\n")[0].decode().split()
        place = target.removeprefix("http://").split("/")[0]
        host, _, port = place.rpartition(":")
        host = host.strip("[]")
        with socket.create_connection((host, int(port)), 3) as site:
            if method == "CONNECT":
                agent.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                site.sendall(head)
            begin(pump, site, agent)
            pump(agent, site)


def proxy() -> int:
    listener = socket.create_server(("127.0.0.1", 0))

    def work() -> None:
        while True:
            agent, _ = listener.accept()
            begin(forward, agent)

    begin(work)
    return int(listener.getsockname()[1])


def terminal() -> str:
    leader, follower = pty.openpty()

    def work() -> None:
        with suppress(OSError):
            while data := os.read(leader, 1 << 16):
                hear(data)

    begin(work)
    return os.ttyname(follower)


def free_port() -> int:
    """Below those that the kernel hands out by itself: it is free until it is listened on, much later."""
    while True:
        with suppress(OSError), socket.create_server(("127.0.0.1", random.randrange(20_000, 32_000))) as listener:
            return int(listener.getsockname()[1])


def segment(secret: bytes) -> int:
    made = int(libc.shmget(0, ctypes.c_size_t(4096), IPC_CREAT | IPC_EXCL | 0o600))
    libc.shmat.restype = ctypes.c_void_p
    where = libc.shmat(made, None, 0)
    ctypes.memmove(ctypes.c_void_p(where), secret, len(secret))
    return made


def queue(secret: bytes) -> int:
    made = int(libc.msgget(0, IPC_CREAT | IPC_EXCL | 0o600))
    libc.msgsnd(made, (1).to_bytes(8, sys.byteorder) + secret, ctypes.c_size_t(len(secret)), 0)
    return made


def posix_queue(name: str) -> None:
    number = 240 if os.uname().machine == "x86_64" else 180
    # With their usual sizes; O_RDWR | O_CREAT | O_EXCL
    made = libc.syscall(ctypes.c_long(number), name.encode(), 0o302, 0o600, None)
    if made >= 0:
        os.close(made)


def main() -> None:
    orders = json.loads(sys.stdin.readline())
    mark, secret = orders["mark"], orders["secret"].encode()
    buffer = ctypes.create_string_buffer(secret, 64)
    abstract = f"hostile-{mark}"
    unix(f"\0{abstract}")
    unix(f"\0{abstract}-d", socket.SOCK_DGRAM)
    for path in orders["sockets"].values():
        unix(path)
    semaphores = int(libc.semget(0, 1, IPC_CREAT | IPC_EXCL | 0o600))
    to_listen = free_port()
    begin(try_to_connect, to_listen)
    name = f"hostile-{mark}"
    posix_queue(name)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    told = {
        "bystander": os.getpid(),
        "init": os.getpid(),
        "address": ctypes.addressof(buffer),
        "open_file": os.open(orders["open_file"], os.O_RDONLY),
        "abstract": abstract,
        "sockets": orders["sockets"],
        "tcp": tcp("127.0.0.1", answer=answer),
        "tcp6": tcp("::1", socket.AF_INET6),
        "tcp_metadata": tcp("127.169.169.254", answer=answer),
        "allowed": tcp("127.0.0.1", answer=answer),
        "udp": udp(),
        "to_listen": to_listen,
        "proxy": proxy(),
        "pty": terminal(),
        "shm": segment(secret),
        "shm_to_remove": segment(secret),
        "msg": queue(secret),
        "sem": semaphores,
        "mq": name,
    }
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    libc.shmctl(told["shm"], 0, None)
    libc.shmctl(told["shm_to_remove"], 0, None)
    libc.msgctl(told["msg"], 0, None)
    libc.semctl(told["sem"], 0, 0)
    libc.syscall(ctypes.c_long(241 if os.uname().machine == "x86_64" else 181), name.encode())
    for path in orders["sockets"].values():
        Path(path).unlink(missing_ok=True)
    sys.stdout.write(json.dumps({"heard": "\n".join(HEARD)}) + "\n")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
