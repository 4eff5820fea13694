"""What the proxy gives up before it hears its first byte from the agent: it needs the network and little else.

It speaks to the agent and to the world, so it is what either would try to take over; and where no root dropped its
ids, it runs as the owner. Best effort: on a kernel that lacks one of these walls the others stand.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterable
from errno import ENOSYS

from runner import kernel, landlock, seccomp
from runner.denied import Policy
from runner.init import filter_calls, lay_landlock

LOG_MOST = 16 << 20
LIMITS = {"NOFILE": 1024, "CORE": 0, "FSIZE": LOG_MOST, "DATA": 1 << 30}
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
    version = kernel.landlock_version()
    if not version:
        raise OSError(ENOSYS, "Landlock is not offered by this kernel")
    # The network is what it is for, so that stays open.
    rules = landlock.Ruleset(version, [(path, landlock.READ) for path in paths])
    beneath = [f"{rights}:{path}".encode() for path, rights in rules.files]
    lay_landlock(f"{rules.handled}:0:{rules.scoped}".encode(), beneath, [])
