"""PID 1 of the cell: starts the agent, reaps what is orphaned, and takes everything with it when it goes.

Run by path and alone (nothing of ours can be imported here), as `python -I -S init.pyc`. Descriptor 3 is the life pipe:
the runner holds its only write end, so its end means that the runner is gone or wants the cell gone, and when PID 1
exits the kernel kills whatever else lives in the namespace. Descriptor 4 takes reports to the runner.

  runner → init   the config (see `parse_config`), then signal numbers, one a line
  init → runner   hello KEY=VALUE…  what holds in here, as the kernel says it; sent before the config is asked for
                  started LAYER…    the agent's program runs, confined by what its process took on itself
                  failed STEP ERRNO it could not be started, or a path that is shown is not the one that was meant
                  exited STATUS LEFT  its wait status, and how many others were alive then
                  usage USER SYSTEM MAXRSS  of all that was reaped: microseconds, microseconds, KiB

Where the cell has a way out, init's one argument is the descriptor of a Unix socket to the proxy outside. It makes a
listening socket in the cell, sends it there and forgets it: nobody in here holds it, and nothing of it runs in here.

Only what costs little is imported: each of `json`, `signal` and `typing` would cost a third of Python's own start.
"""

from __future__ import annotations

import os
import resource
import select
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from typing import NoReturn
else:
    import _signal

LIFE, REPORT = 3, 4
PR_SET_DUMPABLE, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 4, 22, 2
# linux/landlock.h; the numbers are the same on every architecture.
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
PATH_BENEATH, NET_PORT, CONNECT_TCP = 1, 2, 1 << 1
# Rights that a file can have which is no directory: execute, write, read, truncate, ioctl of a device.
OF_FILES = 0xC007
EINVAL, ESTALE = 22, 116
PROXY_ADDRESS, BACKLOG = ("127.0.0.1", 3128), 128
CONFIG_MOST = 4 << 20
STATUS_KEYS = ("NoNewPrivs", "CapEff", "CapPrm", "CapBnd", "Seccomp")
NAMESPACES = ("user", "pid", "net", "ipc", "uts", "mnt", "cgroup")
# Python ignores the first two, we the third, and ignored signals stay ignored over exec.
IGNORED_HERE = (_signal.SIGPIPE, _signal.SIGXFSZ, _signal.SIGINT)


def parse_config(data: bytes) -> dict[str, list[bytes]]:
    """NUL-ended fields `key=value`, an empty one last. A key may come again; order is kept."""
    fields: dict[str, list[bytes]] = {}
    for field in data.split(b"\0"):
        key, _, value = field.partition(b"=")
        if key:
            fields.setdefault(key.decode("ascii"), []).append(value)
    return fields


def parse_signals(data: bytes) -> tuple[list[int], bytes]:
    """The complete lines as signal numbers, and the rest."""
    *lines, rest = data.split(b"\n")
    return [int(line) for line in lines if line.isdigit()], rest


def is_alive(stat: str) -> bool:
    """By /proc/PID/stat, whose name may hold anything. A process whose first thread has ended lives by its others."""
    fields = stat.rpartition(") ")[2].split() or ["X", *"0" * 17]
    return fields[0] not in ("Z", "X") or int(fields[17]) > 1


def say(*words: object) -> None:
    try:
        os.write(REPORT, (" ".join(map(str, words)) + "\n").encode("ascii", "replace"))
    except OSError:
        # A full pipe or a runner that is gone: neither may stop PID 1.
        return


def claim_descriptors(door: int) -> None:
    """`door`: REPORT itself where there is none."""
    for descriptor in (LIFE, REPORT, door):
        os.set_inheritable(descriptor, False)
    os.set_blocking(REPORT, False)
    os.closerange(REPORT + 1, door)
    os.closerange(door + 1, 256)


def hide_memory() -> None:
    """The agent has our uid: without this it could read our memory and reopen our descriptors through /proc/1."""
    import ctypes

    if ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise SystemExit("init: prctl(PR_SET_DUMPABLE) failed")


def say_hello() -> None:
    with open("/proc/self/status") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    facts = [f"{key}={status.get(key, '?').strip()}" for key in STATUS_KEYS]
    for name in NAMESPACES:
        try:
            facts.append(f"{name}={os.readlink(f'/proc/self/ns/{name}').partition(':')[2].strip('[]')}")
        except OSError:
            facts.append(f"{name}=?")
    say("hello", *facts)


def read_config() -> dict[str, list[bytes]]:
    data = b""
    while not data.endswith(b"\0\0"):
        chunk = os.read(LIFE, 1 << 16)
        if not chunk or len(data) > CONFIG_MOST:
            os._exit(0)
        data += chunk
    return parse_config(data)


def check_paths(entries: list[bytes]) -> None:
    """`DEVICE:INODE:w:PATH` each, without the `w` where nothing may be written. Between the runner's look and
    bubblewrap's somebody may have put a link in the way."""
    for entry in entries:
        device, inode, writable, path = entry.split(b":", 3)
        try:
            found = os.stat(path)
            same = (found.st_dev, found.st_ino) == (int(device), int(inode))
            same = same and bool(writable or os.statvfs(path).f_flag & os.ST_RDONLY)
        except OSError:
            same = False
        if not same:
            say("failed", "path", ESTALE)
            os._exit(0)


def limit(entry: bytes) -> None:
    """`NAME:SOFT:HARD`; never above what we were given ourselves."""
    name, *values = entry.decode("ascii").split(":")
    number: int = getattr(resource, f"RLIMIT_{name}")
    ceiling = resource.getrlimit(number)[1]
    if ceiling == resource.RLIM_INFINITY:
        ceiling = sys.maxsize
    soft, hard = (min(int(value), ceiling) for value in values)
    resource.setrlimit(number, (soft, hard))


def filter_calls(program: bytes) -> None:
    """Hand the kernel a seccomp program, for this process and all that come from it. Raises OSError."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    code = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog, on machines that are all little-endian: how many instructions of eight bytes, and where.
    where = b"".join(value.to_bytes(8, "little") for value in (len(program) // 8, ctypes.addressof(code)))
    if libc.prctl(PR_SET_SECCOMP, ctypes.c_ulong(SECCOMP_MODE_FILTER), where, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_SECCOMP)")


def lay_landlock(handled: bytes, beneath: list[bytes], connect: list[bytes]) -> None:
    """For this process and all that come from it, refuse what is `handled` (`FILES:NETWORK:SCOPES`, as bits) but for
    the rights `RIGHTS:PATH` beneath paths, and connecting to these ports. A path that is not there needs no rule.
    Raises OSError."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)

    def call(number: int, *arguments: bytes | int) -> int:
        longs = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
        result = int(libc.syscall(ctypes.c_long(number), *longs))
        if result < 0:
            raise OSError(ctypes.get_errno(), "Landlock")
        return result

    # An older kernel takes a longer structure too, as long as what it does not know is zero.
    attributes = b"".join(int(bits).to_bytes(8, "little") for bits in handled.split(b":"))
    rules = call(CREATE_RULESET, attributes, len(attributes), 0)
    for rule in beneath:
        rights, _, path = rule.partition(b":")
        try:
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        allowed = int(rights) & (-1 if os.fstat(place).st_mode & 0o170000 == 0o040000 else OF_FILES)
        call(ADD_RULE, rules, PATH_BENEATH, allowed.to_bytes(8, "little") + place.to_bytes(4, "little"), 0)
        os.close(place)
    for port in connect:
        call(ADD_RULE, rules, NET_PORT, CONNECT_TCP.to_bytes(8, "little") + int(port).to_bytes(8, "little"), 0)
    call(RESTRICT_SELF, rules, 0)
    os.close(rules)


def open_door(door: int) -> None:
    """A socket is of the network in which it was made, whoever holds it: made in here, it is served from outside."""
    import _socket

    try:
        listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        listener.bind(PROXY_ADDRESS)
        listener.listen(BACKLOG)
        channel = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, door)
        number = listener.fileno().to_bytes(4, sys.byteorder)
        channel.sendmsg([b"."], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, number)])
        channel.close()
        listener.close()
    except OSError as error:
        say("failed", "proxy", error.errno or EINVAL)
        os._exit(0)


def become_agent(config: dict[str, list[bytes]], trouble: int) -> NoReturn:
    """In the forked child. A layer that it has taken on is told by its name, a step that fails by `!` and its own."""
    step = "session"
    try:
        os.setsid()
        os.umask(0o077)
        for number in IGNORED_HERE:
            _signal.signal(number, _signal.SIG_DFL)
        step = "rlimit"
        for entry in config.get("rlimit", []):
            limit(entry)
        step = "chdir"
        os.chdir(config["cwd"][0])
        environment = dict(entry.split(b"=", 1) for entry in config.get("env", []))
        step = "landlock"
        for handled in config.get("landlock", []):
            lay_landlock(handled, config.get("beneath", []), config.get("connect", []))
            os.write(trouble, b" landlock")
        step = "seccomp"  # last: it is the agent that is to be filtered
        for program in config.get("seccomp", []):
            filter_calls(bytes.fromhex(program.decode("ascii")))
            os.write(trouble, b" seccomp")
        step = "exec"
        os.execvpe(config["argv"][0], config["argv"], environment)  # noqa: S606
    except (OSError, ValueError) as error:  # setrlimit turns two errnos into ValueErrors
        os.write(trouble, f"!{step} {getattr(error, 'errno', EINVAL)}".encode())
    finally:
        os._exit(127)


def start_agent(config: dict[str, list[bytes]]) -> tuple[int, int]:
    """The agent's pid, and a descriptor that says what `become_agent` says and ends when the agent's program runs."""
    trouble, child_trouble = os.pipe()
    os.set_blocking(trouble, False)
    pid = os.fork()
    if pid == 0:
        become_agent(config, child_trouble)
    os.close(child_trouble)
    # Ours would keep the agent's pipes open, and the prompt's as well.
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    return pid, trouble


def reap(agent: int) -> int | None:
    """Reap every zombie there is; the agent's wait status if it was among them."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == agent:
            found = status


def count_others() -> int:
    count = 0
    for name in os.listdir("/proc"):
        if name.isdigit() and name != "1":
            try:
                with open(f"/proc/{name}/stat", errors="replace") as file:
                    count += is_alive(file.read())
            except OSError:
                continue
    return count


def signal_all(number: int) -> None:
    try:
        os.kill(-1, number)
        if number != _signal.SIGKILL:
            # A stopped process would not notice the signal before it is continued.
            os.kill(-1, _signal.SIGCONT)
    except ProcessLookupError:
        return


class Namespace:
    """What PID 1 is to end: whatever else is in here. Where there is no such namespace see `kin`."""

    def count(self) -> int:
        return count_others()

    def signal(self, number: int) -> None:
        signal_all(number)

    def end(self) -> None:
        """Kill and reap."""
        signal_all(_signal.SIGKILL)
        try:
            while True:
                os.waitpid(-1, 0)
        except ChildProcessError:
            return

    def abandon(self) -> None:
        """Nothing: when PID 1 goes the kernel ends the rest."""


def finish(status: int, reach: Namespace) -> NoReturn:
    """Report the end, then kill and reap the others: what they used counts as well."""
    say("exited", status, reach.count())
    reach.end()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    say("usage", int(usage.ru_utime * 1e6), int(usage.ru_stime * 1e6), usage.ru_maxrss)
    os._exit(0)


def listen(trouble: int) -> tuple[bytes, bool]:
    """What has been said there, and whether that was the end of it."""
    said = b""
    while True:
        try:
            part = os.read(trouble, 256)
        except BlockingIOError:
            return said, False
        if not part:
            return said, True
        said += part


def say_start(said: bytes) -> None:
    held, failed, failure = said.decode("ascii").partition("!")
    say(f"failed {failure}" if failed else f"started{held}")


def watch(agent: int, trouble: int, wakeup: int, reach: Namespace) -> NoReturn:
    poll = select.poll()
    for descriptor in (LIFE, trouble, wakeup):
        poll.register(descriptor, select.POLLIN)
    orders, said, begun = b"", b"", False
    while True:
        ready = {descriptor for descriptor, _ in poll.poll()}
        if LIFE in ready:
            data = os.read(LIFE, 4096)
            if not data:
                reach.abandon()
                os._exit(0)
            numbers, orders = parse_signals(orders + data)
            for number in numbers:
                reach.signal(number)
        status = reap(agent) if wakeup in ready and os.read(wakeup, 4096) else None
        # An agent that has ended has closed this descriptor too, whether or not this turn of poll saw it.
        if not begun and (trouble in ready or status is not None):
            part, begun = listen(trouble)
            said += part
            if begun:
                poll.unregister(trouble)
                say_start(said)
        if status is not None:
            finish(status, reach)


def notice(_number: int, _frame: object) -> None:
    """Nothing: the wakeup descriptor has told poll already. Without a handler it would not be told."""


def main() -> NoReturn:
    if os.getpid() != 1:
        # Elsewhere a signal to all would go to all of the user's processes.
        sys.exit("init: this is not PID 1 of a cell; nothing was started")
    serve(Namespace(), int(sys.argv[1]) if len(sys.argv) > 1 else REPORT)


def serve(reach: Namespace, door: int) -> NoReturn:
    """From the first word to the last one. `door`: REPORT itself where there is no way out."""
    claim_descriptors(door)
    say_hello()
    # While the runner answers: there is nobody yet to hide from.
    hide_memory()
    config = read_config()
    check_paths(config.get("same", []))
    if door != REPORT:
        open_door(door)
    wakeup, wakeup_end = os.pipe()
    for descriptor in (wakeup, wakeup_end):
        os.set_blocking(descriptor, False)
    _signal.set_wakeup_fd(wakeup_end, warn_on_full_buffer=False)
    _signal.signal(_signal.SIGCHLD, notice)
    # The kernel keeps from PID 1 what it has no handler for, and Python has one for this: the agent could end its cell
    # with it, which looks like our fault and is tried again.
    _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
    agent, trouble = start_agent(config)
    watch(agent, trouble, wakeup, reach)


if __name__ == "__main__":
    sys.exit(main())
