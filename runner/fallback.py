"""What holds an agent where no namespaces are to be had: Landlock, the filter of system calls, limits, and a sweep.

Weaker than a cell, and only for jobs that say so (`isolation`). It shares the host's processes, network and files with
everybody; what keeps it from them is not that it cannot see them, but that the kernel refuses it. The record lists what
holds, and what does not.
"""

from __future__ import annotations

import os
import sys

from runner import cell, host, kernel, landlock, meter, scratch, seccomp
from runner.denied import Policy, Reach
from runner.landlock import READ, READ_DIR, READ_FILE, WRITE, WRITE_FILE, Ruleset
from runner.refusal import RefusalError
from runner.seccomp import Filter
from runner.sizes import size
from shared.messages import ExecuteRequest, Layer
from shared.reasons import Reason
from shared.record import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

PROGRAM = os.path.join(os.path.dirname(os.path.realpath(__file__)), "subreaper.py")
# Before the third version a file could be cut off by whoever knew its path.
OLDEST, OLDEST_FOR_TCP = 3, landlock.TCP
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
# Names and times; of /proc what the kernel shows everybody, for Landlock guards what is inside of processes.
SHOWN = ("/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/hosts")
BACKLOG = 128
NPROC_OF_OTHERS = 1024


class Fallback:
    """Without namespaces. `why`: why there are none, in words. Raises RefusalError where not even this would hold."""

    apart = False

    def __init__(self, request: ExecuteRequest, state: str, why: str) -> None:
        self._why, self._version = why, kernel.landlock_version()
        self._listener: socket.socket | None = None
        self._check(request)
        self._host = host.look(request, bubblewrap=False)
        cell.check(request, self._host, state)
        self._scratch = made(request)
        self._request = moved(request, self._host, self._scratch)
        self.arguments, self.files = arguments(), list[bytes]()
        self.writable = [*cell.writable(request, self._host), self._scratch.path]
        self._port = self._listen() if request.cell.network == "public" else 0
        self.rules: Ruleset | None = self._rules()

    def _check(self, request: ExecuteRequest) -> None:
        least = OLDEST_FOR_TCP if request.cell.network == "public" else OLDEST
        if request.cell.network not in ("none", "public"):
            raise RefusalError(
                Reason.SANDBOX_UNAVAILABLE,
                f"Without namespaces ({self._why}) nothing holds the network {request.cell.network!r}. "
                "Give the job the network none or public, or repair the host: cronward doctor",
            )
        if self._version < least:
            found = f"has version {self._version}" if self._version else "is not offered"
            raise RefusalError(
                Reason.SANDBOX_UNAVAILABLE,
                f"There are no namespaces here ({self._why}), and Landlock {found} where version {least} is needed. "
                "No agent was started. Repair the one, or use a newer kernel: cronward doctor",
            )

    def _listen(self) -> int:
        """Where the proxy is to be heard; a port of the kernel's choice, for other runs have theirs."""
        import socket

        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(BACKLOG)
        port: int = self._listener.getsockname()[1]
        return port

    def _rules(self) -> Ruleset | None:
        ports = (self._port,) if self._port else () if self._version >= OLDEST_FOR_TCP else None
        return Ruleset(self._version, granted(self._request, self._host, self._scratch), ports)

    def descriptors(self, inside: int) -> list[int]:
        """What init is to inherit of the way out: nothing. `inside`: the proxy's door, which gets its listener now."""
        import socket

        assert self._listener is not None
        with socket.socket(fileno=inside) as door:
            socket.send_fds(door, [b"."], [self._listener.fileno()])
        self._listener.close()
        return []

    def filter(self, machine: str, *, memory_counted: bool) -> Filter | None:
        """The filter of system calls for the agent; None where there is none for this machine."""
        reach: Reach = "tcp" if self._port else "none"
        own_uid = self._request.cell.run_as is not None
        policy = Policy(memory_counted, unix_sockets=False, apart=False, own_uid=own_uid, network=reach)
        return seccomp.build(policy, machine)

    def init(self, pid: int) -> tuple[int, int]:
        """The pid of init, and that of its parent. `pid`: what was spawned."""
        return pid, os.getpid()

    def home(self, init: int) -> int:  # noqa: ARG002 - not by its root, which is everybody's
        """The agent's home, open."""
        return os.open(self._scratch.home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def held(self, hello: dict[str, str], *, dropped: bool) -> tuple[Layer, ...]:
        """What holds by init's word, and what does not. Raises RefusalError where that is not enough."""
        if hello.get("NoNewPrivs") != "1" or hello.get("CapEff", "1").strip("0"):
            raise RefusalError(
                Reason.SANDBOX_UNAVAILABLE, "The agent could gain privileges, so it was not started. Run as a user."
            )
        uid = (Layer(name="uid drop", detail=str(os.geteuid())),) if dropped else ()
        return (*uid, *self._missing(), *self._layers())

    def _missing(self) -> Iterator[Layer]:
        yield Layer(name="namespaces", detail=self._why, held=False)
        yield Layer(name="sight", detail="it sees the host's processes, and whether a path exists", held=False)
        if self._host.grants.repositories:
            words = "a .git in a directory that may be written to may be written to as well"
            yield Layer(name="repositories", detail=words, held=False)
        if self._version < landlock.SCOPES:
            words = f"Landlock of version {self._version} cannot keep them from other processes of this user"
            yield Layer(name="signals", detail=words, held=False)
        yield Layer(name="size of tmp", detail="its home and temporary files are on disk", held=False)

    def _layers(self) -> Iterator[Layer]:
        limits = self._request.limits
        yield Layer(name="no new privileges")
        yield Layer(name="no capabilities")
        words = f"proxy, public addresses, at port {self._port}" if self._port else "no sockets"
        yield Layer(name="network", detail=words)
        yield Layer(name="private tmp", detail=self._scratch.path)
        yield Layer(name="rlimits", detail=f"{limits.open_files} files open, {size(limits.file_bytes)} a file, no core")
        yield Layer(name="processes", detail=f"{limits.processes}, counted from outside")
        yield Layer(name="subreapers", detail="what it leaves is swept")

    def taken(self, said: tuple[str, ...], filtering: Filter) -> tuple[Layer, ...]:
        """What the agent's process took on itself. Raises RefusalError where anything of it is missing."""
        from runner import layers

        return layers.taken(said, filtering, self.rules)

    def config(self, program: bytes) -> bytes:
        """What init is told. `program`: the filter of system calls."""
        cwd = directory(self._request, self._host, self._scratch)
        environment = cell.environment(self._request, cwd) | self._own(cwd) | self._request.agent.env
        limited = cell.rlimits(self._request.limits, in_cgroup=self._request.cell.cgroup is not None)
        # It counts all that the user has, so it can only be a brake on bombs between two looks of the watchdog, which
        # knows what is this run's. With nothing to spare for whatever else the user starts meanwhile, a build or the
        # next run, an agent that did nothing wrong could not fork any more.
        limited["NPROC"] = (meter.threads_of(os.geteuid()) + limited["NPROC"][0] + NPROC_OF_OTHERS,) * 2
        return cell.encoded(
            [
                f"cwd={cwd}",
                *(f"argv={argument}" for argument in self._request.agent.argv),
                *(f"env={name}={value}" for name, value in environment.items()),
                *(f"rlimit={name}:{soft}:{hard}" for name, (soft, hard) in limited.items()),
                *(self.rules.fields() if self.rules is not None else []),
                f"seccomp={program.hex()}",
            ]
        )

    def _own(self, cwd: str) -> dict[str, str]:
        proxy = dict.fromkeys(cell.PROXY_VARIABLES, f"http://127.0.0.1:{self._port}") if self._port else {}
        # A file that is there and may not be read is an error to git; one that is not there is none.
        git = {} if self.rules is None else {"GIT_CONFIG_NOSYSTEM": "1"}
        secrets = {"CRONWARD_SECRETS": self._scratch.root + cell.SECRETS} if self._request.secrets else {}
        return {"HOME": self._scratch.home, "TMPDIR": self._scratch.tmp, "PWD": cwd, **proxy, **git, **secrets}

    def release(self) -> None:
        """Nothing is held."""

    def clear(self) -> None:
        """Remove its directories. Nothing of the tree lives."""
        if not self._scratch.clear():
            sys.stderr.write(f"cronward runner: {self._scratch.path} could not be removed\n")


class Unconfined(Fallback):
    """Without any isolation, as the job asks and the configuration permits."""

    def _check(self, request: ExecuteRequest) -> None:
        """Nothing is needed."""

    def _rules(self) -> Ruleset | None:
        return None

    def filter(self, machine: str, *, memory_counted: bool) -> Filter | None:  # noqa: ARG002 - on any machine
        """One that denies nothing. It cannot be taken off, so it marks the run's processes for whoever sweeps."""
        return Filter(seccomp.pack([(seccomp.RETURN, 0, 0, seccomp.ALLOW)]), "")

    def _missing(self) -> Iterator[Layer]:
        yield Layer(name="isolation", detail=f"{self._why}: it may do what uid {os.geteuid()} may", held=False)

    def _layers(self) -> Iterator[Layer]:
        yield from (layer for layer in super()._layers() if layer.name != "network")

    def taken(self, said: tuple[str, ...], filtering: Filter) -> tuple[Layer, ...]:
        """Nothing that holds."""
        super().taken(said, filtering)
        return ()


def made(request: ExecuteRequest) -> scratch.Scratch:
    try:
        return scratch.Scratch(request.run_id, request.attempt)
    except OSError as error:
        raise RefusalError(
            Reason.RUNNER_BROKE, f"No private directory could be made in {scratch.PLACE} ({error.strerror})."
        ) from error


def arguments() -> list[str]:
    """How init is started here. Nothing of the run is in it."""
    cache = ["-X", f"pycache_prefix={sys.pycache_prefix}"] if sys.pycache_prefix else []
    return [host.interpreter().executable, "-I", "-S", *cache, PROGRAM]


def moved(request: ExecuteRequest, found: host.Host, place: scratch.Scratch) -> ExecuteRequest:
    """The request with what a cell would show at another path where it is here; the agent is told of these paths."""
    agent, paths = request.agent, dict[str, str]()
    for bind in agent.binds:
        if bind.target != bind.source:
            paths[bind.target] = place.place(bind.target)
            os.symlink(found.real[bind.source], paths[bind.target])
    for secret in request.secrets:
        path = place.place(f"{cell.SECRETS}/{secret.name}")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400), "wb") as held:
            held.write(secret.value.encode("utf-8", "surrogateescape"))
    for target, text in agent.files.items():
        below_home = target.startswith(f"{cell.HOME}/")
        paths[target] = place.home + target[len(cell.HOME) :] if below_home else place.place(target)
        os.makedirs(os.path.dirname(paths[target]), mode=0o700, exist_ok=True)
        with open(paths[target], "x", encoding="utf-8") as file:
            file.write(text)

    def word(text: str) -> str:
        """With the same prefix, where it is one of these paths, above one or below one."""
        near = any(f"{text}/".startswith(f"{path}/") or path.startswith(f"{text}/") for path in paths)
        if not near or not text.startswith("/") or text.count("/") < 2:
            return text
        return text.replace(cell.HOME, place.home, 1) if text.startswith(cell.HOME) else place.root + text

    env = {name: word(value) for name, value in agent.env.items()}
    return replace(request, agent=replace(agent, argv=tuple(map(word, agent.argv)), env=env))


def directory(request: ExecuteRequest, found: host.Host, place: scratch.Scratch) -> str:
    """Where the agent starts, as in a cell."""
    start = cell.start_directory(request, found)
    return place.work if start == cell.SCRATCH else start


def granted(request: ExecuteRequest, found: host.Host, place: scratch.Scratch) -> Iterator[tuple[str, int]]:
    """The same as a cell shows, by the kinds of access to it."""
    for path in (*found.shown, *SHOWN, *found.interpreter.shown, place.root):
        yield path, READ
    for path in (place.home, place.tmp, place.work):
        yield path, WRITE
    for path in DEVICES:
        yield path, READ_FILE | WRITE_FILE
    yield "/proc", READ_FILE | READ_DIR
    for bind in cell.binds(request, found):
        yield found.real.get(bind.source, bind.source), WRITE if bind.writable else READ
