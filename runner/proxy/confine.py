"""What the proxy gives up before it hears its first byte from the agent: it needs the network and little else.

It speaks to the agent and to the world, so it is what either would try to take over; and where no root dropped its
ids, it runs as the owner. Best effort: on a kernel that lacks one of these walls the others stand.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import sys
from collections.abc import Iterable

from runner import kernel, seccomp
from runner.denied import Policy
from runner.init import filter_calls

LOG_MOST = 16 << 20
LIMITS = {"NOFILE": 1024, "CORE": 0, "FSIZE": LOG_MOST, "DATA": 1 << 30}
# linux/landlock.h; the numbers are the same on every architecture.
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
CREATE_RULESET_VERSION, RULE_PATH_BENEATH = 1, 1
EXECUTE, READ_FILE, READ_DIR = 1 << 0, 1 << 2, 1 << 3
# All kinds of access that each version of the interface knows.
HANDLED = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF, 5: 0xFFFF}
# What looking up a name reads: the resolver's settings, and libraries that these may name.
READ = ("/etc", "/usr", "/lib", "/lib64", "/nix/store")
RESOLVER = "/etc/resolv.conf"


def limit() -> None:
    """At once: nobody traces it, it dies with the runner, and gains nothing."""
    kernel.die_with_parent()
    kernel.hide_memory()
    kernel.gain_nothing()
    os.umask(0o077)
    for name, most in LIMITS.items():
        number: int = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(number)[1]
        resource.setrlimit(number, (min(most, hard) if hard != resource.RLIM_INFINITY else most,) * 2)


def close_doors() -> None:
    """When all is imported: no file but what looking up names needs, no Unix socket, no system call that agents lack.

    Without Unix sockets not even the supervisor's own can be asked for anything."""
    ours = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    filtering = seccomp.build(Policy(memory_counted=False, unix_sockets=False), os.uname().machine)
    try:
        read_only_here((*READ, os.path.dirname(os.path.realpath(RESOLVER)), sys.base_prefix, ours))
        if filtering is not None:
            filter_calls(filtering.program)
    except OSError as error:
        sys.stderr.write(f"cronward proxy: a wall is missing here ({error})\n")


def read_only_here(paths: Iterable[str]) -> None:
    """Landlock: reading below these paths, and nothing else. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)

    def call(number: int, *arguments: object) -> int:
        result = int(libc.syscall(ctypes.c_long(number), *arguments))
        if result < 0:
            raise OSError(ctypes.get_errno(), f"Landlock: {os.strerror(ctypes.get_errno())}")
        return result

    nothing = ctypes.c_void_p()
    version = call(CREATE_RULESET, nothing, ctypes.c_size_t(0), ctypes.c_uint(CREATE_RULESET_VERSION))
    attributes = struct.pack("=Q", HANDLED[min(version, max(HANDLED))])
    rules = call(CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint(0))
    for path in paths:
        try:
            beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        rule = struct.pack("=Qi", EXECUTE | READ_FILE | READ_DIR, beneath)
        call(ADD_RULE, ctypes.c_int(rules), ctypes.c_int(RULE_PATH_BENEATH), rule, ctypes.c_uint(0))
        os.close(beneath)
    call(RESTRICT_SELF, ctypes.c_int(rules), ctypes.c_uint(0))
    os.close(rules)
