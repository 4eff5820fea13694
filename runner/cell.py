"""What an agent's cell is made of: bubblewrap's arguments, decided from the request and the facts of the host.

Pure: nothing is looked up, opened or started here. The mounts are an allow-list, and their order is the argument: the
system, then the cell's own file systems, then what the job was granted, and at last everything that was only needed
to mount on becomes read-only.
"""

from __future__ import annotations

from runner.host import INIT, Access, Host, Interpreter
from runner.refusal import Reason, RefusalError
from shared.messages import PROXIED, Bind, ExecuteRequest, Limits
from shared.places import HOME as HOME
from shared.places import SCRATCH as SCRATCH
from shared.places import holds, overlap, taken

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from runner.landlock import Ruleset

UID = 1000
# bubblewrap's --size and --disable-userns.
OLDEST_BWRAP = (0, 8)

# The numbers under which bubblewrap and init find their descriptors; 0 to 2 are the agent's own.
LIFE, REPORT, FIRST_FILE = 3, 4, 5
MOST_FILES = 16
NPROC_MARGIN = 16
SECRET_NAME = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
SECRETS = "/run/cronward/secrets"
FILES = {
    "/etc/passwd": (
        "root:x:0:0:root:/nonexistent:/usr/sbin/nologin\n"
        f"agent:x:{UID}:{UID}:agent:{HOME}:/bin/sh\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    ),
    "/etc/group": f"root:x:0:\nagent:x:{UID}:\nnogroup:x:65534:\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
    "/etc/hosts": "127.0.0.1 localhost cell\n::1 localhost\n",
    # Whoever owns a repository that is shown here, git may read it; and who commits, says that it was an agent.
    "/etc/gitconfig": "[safe]\n\tdirectory = *\n[user]\n\tname = agent\n\temail = agent@cell.invalid\n",
}
ENVIRONMENT = {
    "HOME": HOME,
    "LANG": "C.UTF-8",
    "LOGNAME": "agent",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "SHELL": "/bin/sh",
    "TMPDIR": "/tmp",
    "USER": "agent",
}
# Where init makes the way out, if there is one; programs that know proxies find it by these.
PROXY = "http://127.0.0.1:3128"
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
OWN_HOSTS = ("localhost", "127.0.0.1")
# With the host's own network, its resolver as well.
HOST_NETWORK = ("--share-net", "--ro-bind-try", "/etc/resolv.conf", "/etc/resolv.conf")
NAMESPACES = ("--unshare-user", "--disable-userns", "--unshare-all")


def check(request: ExecuteRequest, host: Host, state: str) -> None:
    """Raise RefusalError where request and host do not fit together. `state`: the real path of cronward's own files."""
    if host.bwrap_version and host.bwrap_version < OLDEST_BWRAP:
        found = ".".join(map(str, host.bwrap_version))
        raise RefusalError(
            Reason.SANDBOX_UNAVAILABLE,
            f"{request.cell.bwrap} is bubblewrap {found}; cells need 0.8 or newer. Install a newer one.",
        )
    for text in (*request.agent.argv, *request.agent.env, *request.agent.env.values()):
        if "\0" in text or not _encodable(text):
            raise RefusalError(
                Reason.BAD_DEFINITION,
                "The agent's command or environment holds a NUL or half a character. Remove it.",
            )
    if not request.agent.argv or not request.agent.argv[0]:
        raise RefusalError(Reason.BAD_DEFINITION, "The agent has no command. Name a program.")
    if any(not name or "=" in name for name in request.agent.env):
        raise RefusalError(Reason.BAD_DEFINITION, "The agent's environment has a variable without a proper name.")
    for bind in request.agent.binds:
        _check_bind(bind, host, state)
    for link, said in request.agent.links.items():
        _check_link(link, said)
    if len(request.agent.files) > MOST_FILES:
        raise RefusalError(Reason.BAD_DEFINITION, f"The agent wants more than {MOST_FILES} files placed.")
    for path in request.agent.files:
        _check_plain("The file", path)
        _check_target("The file", path)
    _check_secrets(request)
    if request.cell.work_dir is not None:
        _check_work_dir(request.cell.work_dir, host, state)
    for bind in host.grants.binds:
        _check_plain("The path", bind.target)
        _check_target("The path", bind.target)
        check_source("The path", bind.source, state)


def _check_link(link: str, said: str) -> None:
    _check_plain("The link", link)
    _check_target("The link", link)
    if not said or "\0" in said or not _encodable(said):
        raise RefusalError(Reason.BAD_DEFINITION, f"The link {link} says nothing, or no path. Name where it leads.")


def _check_secrets(request: ExecuteRequest) -> None:
    """No sentence here may hold a value."""
    if len(request.secrets) > MOST_FILES:
        raise RefusalError(Reason.BAD_DEFINITION, f"The job is granted more than {MOST_FILES} secrets.")
    for secret in request.secrets:
        if not secret.name or not set(secret.name) <= SECRET_NAME:
            raise RefusalError(Reason.BAD_DEFINITION, f"The secret {secret.name!r} has no proper name.")
        if "\0" in secret.value or not _encodable(secret.value) or "=" in secret.variable or "\0" in secret.variable:
            raise RefusalError(Reason.BAD_DEFINITION, f"The secret {secret.name} cannot be given to a program.")


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _check_bind(bind: Bind, host: Host, state: str) -> None:
    _check_plain("The path", bind.source)
    _check_plain("The path", bind.target)
    _check_target("The path", bind.target)
    if bind.source not in host.real:
        raise RefusalError(
            Reason.BAD_DEFINITION, f"{bind.source}, which the agent needs, is not there or cannot be read. Grant it."
        )
    check_source("The path", host.real[bind.source], state)


def _check_work_dir(path: str, host: Host, state: str) -> None:
    _check_plain("The work directory", path)
    _check_target("The work directory", path)
    if host.work_dir is Access.MISSING:
        raise RefusalError(Reason.BAD_DEFINITION, f"The work directory {path} is not there, or is not a directory.")
    if host.work_dir is Access.NONE or path not in host.real:
        raise RefusalError(
            Reason.BAD_DEFINITION,
            f"The work directory {path} cannot be read by the user that runs the agent. Grant it, or choose another.",
        )
    check_source("The work directory", host.real[path], state)


def _check_plain(what: str, path: str) -> None:
    if not path.startswith("/") or ".." in path.split("/") or "\0" in path or not _encodable(path):
        raise RefusalError(Reason.BAD_DEFINITION, f"{what} {path!r} is not absolute and plain. Write it out.")


def _check_target(what: str, target: str) -> None:
    if taken(target):
        raise RefusalError(
            Reason.BAD_DEFINITION, f"{what} {target} would take the place of the cell's own. Name one below it."
        )


def check_source(what: str, source: str, state: str) -> None:
    if overlap(source, state):
        raise RefusalError(
            Reason.BAD_DEFINITION, f"{what} {source} holds cronward's own state, which no agent sees. Choose another."
        )


def start_directory(request: ExecuteRequest, host: Host) -> str:
    """The work directory where the agent can write there, or is meant only to read; else a private one."""
    work_dir = request.cell.work_dir
    there = host.work_dir is Access.WRITE or request.cell.work_mode == "read"
    return work_dir if work_dir is not None and there else SCRATCH


def writable(request: ExecuteRequest, host: Host) -> list[str]:
    """Where on the host's disks the agent can write, without those that lie in another one."""
    paths = sorted({host.real.get(bind.source, bind.source) for bind in binds(request, host) if bind.writable})
    return [path for path in paths if not any(holds(outer, path) for outer in paths if outer != path)]


def arguments(request: ExecuteRequest, host: Host) -> list[str]:
    """The whole argv. No prompt, no secret, nothing of the agent's command: other users can read argv."""
    size = str(request.limits.tmp_bytes)
    return [
        request.cell.bwrap,
        *NAMESPACES,
        *("--die-with-parent", "--new-session", "--as-pid-1", "--cap-drop", "ALL"),
        *("--hostname", "cell", "--uid", str(UID), "--gid", str(UID), "--clearenv"),
        *(HOST_NETWORK if request.cell.network == "host" else ()),
        *_system(host),
        *_own(size),
        *_linked(request),
        *_interpreter(host.interpreter),
        *("--ro-bind-data", str(FIRST_FILE + len(files(request)) - 1), INIT),
        *_granted(request, host),
        *_placed(request),
        *_given(request),
        *_closed(request, host.interpreter),
        *("--chdir", "/", "--", host.interpreter.executable, "-I", "-S", INIT),
        *([str(door(request))] if request.cell.network in PROXIED else []),
    ]


def _system(host: Host) -> list[str]:
    binds = [part for path in host.shown for part in ("--ro-bind", path, path)]
    links = [part for path, target in host.links for part in ("--symlink", target, path)]
    files = [
        part
        for number, path in enumerate(FILES, FIRST_FILE)
        for part in ("--perms", "0444", "--file", str(number), path)
    ]
    return [*binds, *links, *files]


def _own(size: str) -> list[str]:
    def sized(path: str, mode: str) -> list[str]:
        return ["--perms", mode, "--size", size, "--tmpfs", path]

    return [
        *("--proc", "/proc", "--dev", "/dev", *sized("/dev/shm", "1777"), "--remount-ro", "/dev"),
        *sized("/tmp", "1777"),
        *("--symlink", "../tmp", "/var/tmp"),
        *sized(HOME, "0700"),
        *("--dir", SCRATCH),
    ]


def _linked(request: ExecuteRequest) -> list[str]:
    """Before what is bound: a link that is in there anyway is covered by it, and cannot be made in it."""
    return [part for link, said in request.agent.links.items() for part in ("--symlink", said, link)]


def _interpreter(interpreter: Interpreter) -> list[str]:
    shown = [part for path in interpreter.shown for part in ("--ro-bind", path, path)]
    # Whatever is installed beside the interpreter is nobody's business in the cell; init needs none of it.
    hidden = [part for path in interpreter.hidden for part in ("--perms", "0555", "--tmpfs", path)]
    return [*shown, *hidden]


def _granted(request: ExecuteRequest, host: Host) -> list[str]:
    shown = binds(request, host)
    return [part for bind in shown for part in ("--bind" if bind.writable else "--ro-bind", bind.source, bind.target)]


def binds(request: ExecuteRequest, host: Host) -> list[Bind]:
    """What of the host is shown beside the system."""
    return [*request.agent.binds, *_shown(request, host)]


def _shown(request: ExecuteRequest, host: Host) -> list[Bind]:
    """The user's own, each at its own path: what lies within another comes after it, or would be hidden by it."""
    found = list(host.grants.binds)
    if request.cell.work_dir is not None:
        path = request.cell.work_dir
        writable = host.work_dir is Access.WRITE and request.cell.work_mode == "inplace"
        found.append(Bind(source=host.real[path], target=path, writable=writable))
    return sorted(found, key=lambda bind: bind.target.count("/"))


def _placed(request: ExecuteRequest) -> list[str]:
    """The agent's files. Bound, not made: in a writable place they would be the agent's to change."""
    numbers = range(FIRST_FILE + len(FILES), FIRST_FILE + len(FILES) + len(request.agent.files))
    return [
        part
        for number, path in zip(numbers, request.agent.files, strict=True)
        for part in ("--ro-bind-data", str(number), path)
    ]


def _closed(request: ExecuteRequest, interpreter: Interpreter) -> list[str]:
    # An agent whose program is made of the same interpreter has all of it shown, over what was hidden.
    granted = [bind.target for bind in request.agent.binds]
    hidden = [path for path in interpreter.hidden if not any(holds(target, path) for target in granted)]
    return [part for path in (*hidden, "/") for part in ("--remount-ro", path)]


def _given(request: ExecuteRequest) -> list[str]:
    """The secrets, the last of the files: by descriptor, so that nothing but a name is in the argv."""
    if not request.secrets:
        return []
    first = FIRST_FILE + len(FILES) + len(request.agent.files)
    return [
        *("--perms", "0700", "--dir", SECRETS),
        *(
            part
            for number, secret in enumerate(request.secrets, first)
            for part in ("--perms", "0400", "--ro-bind-data", str(number), f"{SECRETS}/{secret.name}")
        ),
    ]


def files(request: ExecuteRequest, init: bytes = b"") -> list[bytes]:
    """What is in the files, in the order of their descriptors from FIRST_FILE on; `init` is the last."""
    secrets = (secret.value for secret in request.secrets)
    texts = (*FILES.values(), *request.agent.files.values(), *secrets)
    return [*(text.encode("utf-8", "surrogateescape") for text in texts), init]


def door(request: ExecuteRequest) -> int:
    """The descriptor over which init sends the way out to the proxy: the one after the files."""
    return FIRST_FILE + len(files(request))


def environment(request: ExecuteRequest, cwd: str) -> dict[str, str]:
    """The agent's variables: the cell's own, and over them what the request names."""
    secrets = {secret.variable: secret.value for secret in request.secrets if secret.variable}
    where = {"CRONWARD_SECRETS": SECRETS} if request.secrets else {}
    # A `git status` that could not tidy up the index would fail, or complain.
    git = {} if request.cell.git_write else {"GIT_OPTIONAL_LOCKS": "0"}
    return {**ENVIRONMENT, **git, **_proxied(request), "PWD": cwd, **request.agent.env, **where, **secrets}


def _proxied(request: ExecuteRequest) -> dict[str, str]:
    if request.cell.network not in PROXIED:
        return {}
    # What runs in the cell itself is not asked for through the proxy, unless the job means the host's by that name.
    named = {rule.rpartition(":")[0] for rule in request.cell.allow_hosts}
    direct = ",".join(name for name in OWN_HOSTS if name not in named)
    return dict.fromkeys(PROXY_VARIABLES, PROXY) | {"NO_PROXY": direct, "no_proxy": direct, "NODE_USE_ENV_PROXY": "1"}


def rlimits(limits: Limits, *, in_cgroup: bool = False) -> dict[str, tuple[int, int]]:
    """Soft and hard, by name. Never AS: node alone maps tens of gigabytes."""
    # A cgroup counts what it refuses, so where there is one it has to be the first to refuse.
    processes = limits.processes + (NPROC_MARGIN if in_cgroup else 0)
    found = {
        # Counts this run alone, because init sets it inside the user namespace; and threads count.
        "NPROC": (processes, processes),
        "NOFILE": (limits.open_files, limits.open_files),
        "FSIZE": (limits.file_bytes, limits.file_bytes),
        "CORE": (0, 0),
        # A coarse backstop for one process: runtimes reserve gigabytes of data that they never touch.
        "DATA": (max(4 << 30, 2 * limits.memory_bytes),) * 2,
    }
    if limits.cpu_seconds is not None:
        # SIGXCPU first, which names the cause; SIGKILL for one that ignores it.
        found["CPU"] = (limits.cpu_seconds, limits.cpu_seconds + 5)
    return found


def config(request: ExecuteRequest, host: Host, seccomp: bytes = b"", rules: Ruleset | None = None) -> bytes:
    """What init is told over its pipe: NUL-ended `key=value` fields, an empty one last (see `init.parse_config`).
    `seccomp`: the program that filters the agent's system calls; empty for none. `rules`: Landlock's, if any."""
    cwd = start_directory(request, host)
    limited = rlimits(request.limits, in_cgroup=request.cell.cgroup is not None)
    fields = [
        f"cwd={cwd}",
        *(f"argv={argument}" for argument in request.agent.argv),
        *(f"env={name}={value}" for name, value in environment(request, cwd).items()),
        *(f"rlimit={name}:{soft}:{hard}" for name, (soft, hard) in limited.items()),
        *(rules.fields() if rules is not None else []),
        *([f"seccomp={seccomp.hex()}"] if seccomp else []),
        *(f"same={mark.device}:{mark.inode}:{'w' * mark.writable}:{mark.path}" for mark in host.grants.marks),
    ]
    return encoded(fields)


def encoded(fields: Iterable[str]) -> bytes:
    """As init reads them: each ended by a NUL, an empty one last."""
    return b"".join(field.encode("utf-8", "surrogateescape") + b"\0" for field in fields) + b"\0"
