"""The filter, run by a small interpreter of our own, against the policy as a plain function and as examples."""

from __future__ import annotations

import re
import struct
from errno import EAFNOSUPPORT, EINVAL, ENOSYS, EOPNOTSUPP, EPERM, EPROTONOSUPPORT
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import denied
from runner.denied import Policy
from runner.seccomp import ALLOW, ERRNO, KILL_PROCESS, MACHINES, build, pack
from tests.lacks import HEADERS, need

ARCHES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
I386, ARM = 0x40000003, 0x40000028
POLICIES = [Policy(memory_counted, unix_sockets) for memory_counted in (False, True) for unix_sockets in (False, True)]
STRICT, LOOSE = Policy(memory_counted=False, unix_sockets=False), Policy(memory_counted=True)
# Without namespaces.
ALONE = Policy(memory_counted=False, unix_sockets=False, apart=False, network="none")
ALONE_BY_TCP = Policy(memory_counted=False, unix_sockets=False, apart=False, network="tcp")
OWN_UID = Policy(memory_counted=True, unix_sockets=False, apart=False, own_uid=True, network="none")
CLONE_NEWUSER, CLONE_NEWTIME, CLONE_VM, SIGCHLD = 0x10000000, 0x80, 0x100, 17
O_RDONLY, O_CREAT, O_TMPFILE = 0, 0o100, 0o20200000
HIGH = 1 << 32


@cache
def filter_of(policy: Policy, machine: str) -> tuple[tuple[int, int, int, int], ...]:
    made = build(policy, machine)
    assert made is not None
    return tuple(struct.iter_unpack("<HBBI", made.program))


@cache
def numbers(machine: str) -> dict[str, int]:
    column = MACHINES[machine][1]
    policies = (*POLICIES, ALONE, ALONE_BY_TCP, OWN_UID)
    every = {call.name: call.numbers[column] for policy in policies for call in denied.calls(policy)}
    return {name: number for name, number in every.items() if number is not None}


def run(program: tuple[tuple[int, int, int, int], ...], arch: int, number: int, args: tuple[int, ...]) -> int:
    """What the kernel would return for that call: only forward jumps, only the instructions that we use."""
    data = struct.pack("<IIQ6Q", number, arch, 0, *args, *[0] * (6 - len(args)))
    at = accumulator = 0
    while True:
        code, then, otherwise, constant = program[at]
        at += 1
        if code == 0x20:
            assert constant % 4 == 0
            (accumulator,) = struct.unpack_from("<I", data, constant)
        elif code == 0x54:
            accumulator &= constant
        elif code == 0x06:
            return constant
        else:
            true = {0x15: accumulator == constant, 0x25: accumulator > constant, 0x45: bool(accumulator & constant)}
            at += then if true[code] else otherwise


def verdict(policy: Policy, machine: str, name: str, *args: int) -> int:
    """The errno with which the filter refuses that call; 0: it lets it through."""
    action = run(filter_of(policy, machine), ARCHES[machine], numbers(machine)[name], args)
    assert action == ALLOW or action & 0xFFFF0000 == ERRNO
    return 0 if action == ALLOW else action & 0xFFFF


def expected(policy: Policy, name: str, args: tuple[int, ...]) -> int:
    """The same, as somebody who reads the policy would say it."""
    low = [argument & 0xFFFFFFFF for argument in args]
    sets_uid = {"creat": 1, "chmod": 1, "fchmod": 1, "fchmodat": 2, "fchmodat2": 2, "mknod": 1, "mknodat": 2}
    opens = {"open": (1, 2), "openat": (2, 3)}
    if name in sets_uid:
        return EPERM if low[sets_uid[name]] & 0o4000 else 0
    if name in opens:
        flags, mode = (low[index] for index in opens[name])
        return EPERM if flags & 0o20000100 and mode & 0o4000 else 0
    if name == "ioctl":
        return EPERM if low[1] in (0x5412, 0x541C, 0x5423) else 0
    if name in ("clone", "unshare"):
        new = 0x7E020000 | (0x80 if name == "unshare" else 0)
        return EPERM if low[0] & new else 0
    if name == "personality":
        return 0 if low[0] in (0, 0xFFFFFFFF) else EPERM
    if name == "socketpair":
        return 0 if low[0] == 1 else EAFNOSUPPORT
    if name == "socket":
        return expected_of_socket(policy, *low[:3])
    if name == "memfd_create":
        return 0 if policy.memory_counted else ENOSYS
    if name == "shmget":
        return EINVAL if not policy.memory_counted and args[1] >= 65536 else 0
    if name in ("prlimit64", "sched_setaffinity", "sched_setscheduler", "sched_setparam", "sched_setattr"):
        return EPERM if low[0] == 1 else 0
    if name in ("setpriority", "ioprio_set"):
        return EPERM if low[0] != (0 if name == "setpriority" else 1) or low[1] == 1 else 0
    return next(errno for errno, group in denied.DENIED if name in group)


def expected_of_socket(policy: Policy, family: int, kind: int, protocol: int) -> int:
    if family == 1:
        return 0 if policy.unix_sockets else EAFNOSUPPORT
    if family == 16:
        return 0 if protocol == 0 else EPROTONOSUPPORT
    if family not in (2, 10):
        return EAFNOSUPPORT
    if kind % 16 not in (1, 2):
        return EPERM
    return 0 if protocol in (0, 1, 6, 17, 58) else EPROTONOSUPPORT


ONLY_ALONE = {call.name for call in denied.calls(ALONE_BY_TCP)} - {call.name for call in denied.calls(STRICT)}


def assert_as_expected(policy: Policy, machine: str, number: int, args: tuple[int, ...]) -> None:
    names = {value: name for name, value in numbers(machine).items()}
    action = run(filter_of(policy, machine), ARCHES[machine], number, args)
    if number > 469:
        assert action == ERRNO | ENOSYS
    elif number not in names or names[number] in ONLY_ALONE:
        assert action == ALLOW
    else:
        errno = expected(policy, names[number], args)
        assert action == (ERRNO | errno if errno else ALLOW), names[number]


# Values on which a comparison turns, each also with a bit more, in the lower and in the upper half.
TURNING = [0, 1, 2, 3, 5, 10, 16, 0o4000, 0o4755, 0o100, 0x5412, 0x541C, 0x5423, 0x80, 0x10000000, 0xFFFF, 0x10000]
arguments = st.tuples(
    *[
        st.builds(
            lambda value, flip, high: value ^ flip ^ high,
            st.sampled_from([*TURNING, 58, 262, 0x7FFFFFFF, 0xFFFFFFFF]),
            st.sampled_from([0, 0, 0, 1, 0x800, 0x80000, 0x20000000]),
            st.sampled_from([0, 0, HIGH, 1 << 63]),
        )
        | st.integers(0, (1 << 64) - 1)
    ]
    * 6
)


@given(st.data(), arguments, st.sampled_from(POLICIES), st.sampled_from(sorted(ARCHES)))
def test_the_filter_says_what_the_policy_says(
    data: st.DataObject, args: tuple[int, ...], policy: Policy, machine: str
) -> None:
    checked = st.sampled_from(["socket", "shmget", *(call.name for call in denied.FILTERED)])
    known = st.sampled_from(sorted(numbers(machine).values()))
    assert_as_expected(policy, machine, numbers(machine).get(data.draw(checked), 0), args)
    assert_as_expected(policy, machine, data.draw(known | known.map(lambda each: each + 1)), args)
    assert_as_expected(policy, machine, data.draw(st.integers(0, (1 << 32) - 1)), args)


@pytest.mark.parametrize("machine", ARCHES)
@pytest.mark.parametrize("args", [(0,) * 6, ((1 << 64) - 1,) * 6, (HIGH,) * 6], ids=["zeros", "ones", "high"])
def test_every_number_there_is_has_its_verdict(machine: str, args: tuple[int, ...]) -> None:
    for number in range(560):
        assert_as_expected(STRICT, machine, number, args)


@pytest.mark.parametrize("arch", [I386, ARM, 0, 0xC00000F3])
@pytest.mark.parametrize("machine", ARCHES)
def test_a_program_of_another_architecture_is_killed_at_its_first_call(machine: str, arch: int) -> None:
    for number in (0, 20, 59, 101):
        assert run(filter_of(LOOSE, machine), arch, number, ()) == KILL_PROCESS


def test_each_machine_kills_the_programs_of_the_other() -> None:
    assert run(filter_of(LOOSE, "x86_64"), ARCHES["aarch64"], 0, ()) == KILL_PROCESS
    assert run(filter_of(LOOSE, "aarch64"), ARCHES["x86_64"], 0, ()) == KILL_PROCESS


def test_the_x32_calls_of_x86_64_do_not_exist() -> None:
    for number in (0x40000000, 0x40000000 + 101, 0x40000000 + 39, 512, 521, 0xFFFFFFFF):
        assert run(filter_of(LOOSE, "x86_64"), ARCHES["x86_64"], number, ()) == ERRNO | ENOSYS


@pytest.mark.parametrize("machine", ["riscv64", "i686", "armv8l", "aarch64_be", ""])
def test_there_is_no_filter_for_a_machine_whose_numbers_are_not_known(machine: str) -> None:
    assert build(LOOSE, machine) is None


def test_there_is_no_filter_for_a_32_bit_init_on_a_64_bit_kernel() -> None:
    assert build(LOOSE, "x86_64", pointer_bits=32) is None


@pytest.mark.parametrize("machine", ARCHES)
@pytest.mark.parametrize("policy", POLICIES)
def test_the_kernel_would_take_the_program(policy: Policy, machine: str) -> None:
    program = filter_of(policy, machine)
    assert len(program) <= 4096
    for at, (code, then, otherwise, constant) in enumerate(program):
        assert code in (0x20, 0x54, 0x06, 0x15, 0x25, 0x45)
        assert at + 1 + max(then, otherwise) < len(program) or code == 0x06
        assert code != 0x20 or (constant % 4 == 0 and constant < 64)
        assert code != 0x06 or constant in (ALLOW, KILL_PROCESS) or constant & 0xFFFF0000 == ERRNO
    assert program[-1][0] == 0x06


@pytest.mark.parametrize("machine", ARCHES)
def test_every_instruction_can_be_reached(machine: str) -> None:
    program, reached = filter_of(STRICT, machine), {0}
    for at, (code, then, otherwise, _) in enumerate(program):
        if at in reached and code != 0x06:
            reached |= {at + 1 + then, at + 1 + otherwise}
    assert reached == set(range(len(program)))


def test_a_jump_that_does_not_fit_is_an_error_and_not_another_jump() -> None:
    with pytest.raises(struct.error):
        pack([(0x15, 0, 256, 0)])


@pytest.mark.parametrize("machine", ARCHES)
def test_no_call_has_two_entries_and_no_number_two_names(machine: str) -> None:
    column = MACHINES[machine][1]
    for policy in POLICIES:
        every = list(denied.calls(policy))
        assert len({call.name for call in every}) == len(every)
        known = [call.numbers[column] for call in every if call.numbers[column] is not None]
        assert len(set(known)) == len(known)


@need("headers")
@pytest.mark.parametrize("machine", HEADERS)
def test_the_numbers_are_those_of_the_kernels_headers(machine: str) -> None:
    found = re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)$", Path(HEADERS[machine]).read_text(), re.MULTILINE)
    header = {name: int(number) for name, number in found}
    compared = {name: number for name, number in numbers(machine).items() if name in header}
    assert len(compared) > 60
    assert compared == {name: header[name] for name in compared}
    # A header lacks what is newer than itself, and nothing else.
    assert all(number > max(header.values()) for name, number in numbers(machine).items() if name not in header)


@pytest.mark.parametrize("machine", ARCHES)
def test_a_process_and_a_thread_can_be_made_but_no_namespace(machine: str) -> None:
    assert verdict(STRICT, machine, "clone", SIGCHLD) == 0
    assert verdict(STRICT, machine, "clone", CLONE_VM | CLONE_NEWTIME) == 0  # there it is half of a signal's number
    assert verdict(STRICT, machine, "clone", CLONE_NEWUSER | SIGCHLD) == EPERM
    assert verdict(STRICT, machine, "clone3") == ENOSYS
    assert verdict(STRICT, machine, "unshare", 0x400) == 0  # CLONE_FILES
    assert verdict(STRICT, machine, "unshare", CLONE_NEWUSER) == EPERM
    assert verdict(STRICT, machine, "unshare", CLONE_NEWTIME) == EPERM


@pytest.mark.parametrize("machine", ARCHES)
def test_a_terminal_is_asked_for_its_size_but_not_made_to_read(machine: str) -> None:
    for tty in (0x5412, 0x541C, 0x5423):  # TIOCSTI, TIOCLINUX, TIOCSETD
        assert verdict(STRICT, machine, "ioctl", 0, tty) == EPERM
    for harmless in (0x5401, 0x5413, 0x540E, 0x5421):  # TCGETS, TIOCGWINSZ, TIOCSCTTY, FIONBIO
        assert verdict(STRICT, machine, "ioctl", 0, harmless) == 0


@pytest.mark.parametrize("machine", ARCHES)
def test_what_the_kernel_ignores_of_an_argument_hides_nothing(machine: str) -> None:
    assert verdict(STRICT, machine, "ioctl", 0, HIGH | 0x5412) == EPERM
    assert verdict(STRICT, machine, "clone", HIGH | CLONE_NEWUSER) == EPERM
    assert verdict(STRICT, machine, "personality", HIGH | 0x40000) == EPERM
    assert verdict(STRICT, machine, "socket", HIGH | 38, 5, 0) == EAFNOSUPPORT
    assert verdict(STRICT, machine, "fchmod", 0, HIGH | 0o4755) == EPERM


@pytest.mark.parametrize("machine", ARCHES)
def test_ordinary_sockets_are_made_and_raw_and_rare_ones_are_not(machine: str) -> None:
    cloexec = 0o2000000
    for family in (2, 10):
        assert verdict(STRICT, machine, "socket", family, 1 | cloexec, 6) == 0
        assert verdict(STRICT, machine, "socket", family, 2 | cloexec, 17) == 0
        assert verdict(STRICT, machine, "socket", family, 3, 1) == EPERM
        assert verdict(STRICT, machine, "socket", family, 10, 0) == EPERM  # SOCK_PACKET, which becomes AF_PACKET
        assert verdict(STRICT, machine, "socket", family, 1, 262) == EPROTONOSUPPORT  # MPTCP
        assert verdict(STRICT, machine, "socket", family, 1, 132) == EPROTONOSUPPORT  # SCTP
    assert verdict(STRICT, machine, "socket", 16, 3, 0) == 0  # how getaddrinfo asks for addresses
    assert verdict(STRICT, machine, "socket", 16, 3, 12) == EPROTONOSUPPORT  # netfilter
    for family in (17, 21, 30, 31, 38, 40, 44):
        assert verdict(STRICT, machine, "socket", family, 3, 0) == EAFNOSUPPORT
        assert verdict(STRICT, machine, "socketpair", family, 1, 0) == EAFNOSUPPORT


@pytest.mark.parametrize("machine", ARCHES)
def test_unix_sockets_follow_the_policy_and_pairs_are_always_made(machine: str) -> None:
    assert verdict(LOOSE, machine, "socket", 1, 1, 0) == 0
    assert verdict(STRICT, machine, "socket", 1, 1, 0) == EAFNOSUPPORT
    assert verdict(STRICT, machine, "socketpair", 1, 1, 0) == 0


@pytest.mark.parametrize("machine", ARCHES)
def test_memory_that_no_process_shows_is_refused_unless_a_cgroup_counts_it(machine: str) -> None:
    assert verdict(STRICT, machine, "memfd_create", 0, 0) == ENOSYS
    assert verdict(STRICT, machine, "shmget", 0, 1 << 30) == EINVAL
    assert {"memfd_create", "shmget"}.isdisjoint(call.name for call in denied.calls(LOOSE))
    assert verdict(STRICT, machine, "shmget", 0, 0xFFFF) == 0
    assert verdict(STRICT, machine, "shmget", 0, 0x10000) == EINVAL
    assert verdict(STRICT, machine, "shmget", 0, HIGH) == EINVAL


@pytest.mark.parametrize("machine", ARCHES)
def test_no_program_gets_the_set_uid_bit_and_files_are_opened_as_ever(machine: str) -> None:
    assert verdict(STRICT, machine, "openat", 0, 0, O_CREAT, 0o4755) == EPERM
    assert verdict(STRICT, machine, "openat", 0, 0, O_TMPFILE, 0o4755) == EPERM
    assert verdict(STRICT, machine, "openat", 0, 0, O_CREAT, 0o2755) == 0
    # Without O_CREAT there is no mode, and what stands in its register is anything.
    assert verdict(STRICT, machine, "openat", 0, 0, O_RDONLY, 0xFFFFFFFF) == 0
    assert verdict(STRICT, machine, "fchmodat", 0, 0, 0o4755) == EPERM
    assert verdict(STRICT, machine, "fchmodat", 0, 0, 0o2755) == 0


def test_the_summary_says_how_much_is_denied_and_where() -> None:
    made = build(STRICT, "aarch64")
    assert made is not None
    assert re.fullmatch(r"\d+ calls denied, \d+ checked, aarch64", made.summary)


def test_without_namespaces_the_filter_keeps_an_agent_from_the_users_other_processes_and_files() -> None:
    fast, stream, datagram = 0x20000000, 1, 2
    path = 0x7F0000001000
    rows: tuple[tuple[str, tuple[int, ...], int, int, int], ...] = (
        # name, arguments, and the errno without a network, by TCP alone, and for a uid that nothing else has
        ("socket", (2, stream, 6), EAFNOSUPPORT, 0, EAFNOSUPPORT),
        ("socket", (10, stream | 0x80000, 0), EAFNOSUPPORT, 0, EAFNOSUPPORT),
        ("socket", (2, datagram, 0), EAFNOSUPPORT, EPERM, EAFNOSUPPORT),
        ("socket", (2, stream, 262), EAFNOSUPPORT, EPROTONOSUPPORT, EAFNOSUPPORT),
        ("socket", (1, stream, 0), EAFNOSUPPORT, EAFNOSUPPORT, EAFNOSUPPORT),
        ("socket", (16, datagram, 0), 0, 0, 0),
        ("socketpair", (1, stream, 0), 0, 0, 0),
        ("sendto", (3, path, 1, fast), 0, EOPNOTSUPP, 0),
        ("sendto", (3, path, 1, 0x4000), 0, 0, 0),
        ("sendmsg", (3, path, fast), 0, EOPNOTSUPP, 0),
        ("sendmmsg", (3, path, 1, fast), 0, EOPNOTSUPP, 0),
        ("prlimit64", (0, 7), 0, 0, 0),
        ("prlimit64", (4711, 7), EPERM, EPERM, EPERM),
        ("sched_setaffinity", (0, 8), 0, 0, 0),
        ("sched_setaffinity", (1, 8), EPERM, EPERM, EPERM),
        ("sched_setscheduler", (9, 0), EPERM, EPERM, EPERM),
        ("sched_setparam", (9, 0), EPERM, EPERM, EPERM),
        ("sched_setattr", (9, 0), EPERM, EPERM, EPERM),
        ("setpriority", (0, 0, 5), 0, 0, 0),
        ("setpriority", (0, 4711, 5), EPERM, EPERM, EPERM),
        ("setpriority", (2, 0, 5), EPERM, EPERM, EPERM),
        ("ioprio_set", (1, 0, 5), 0, 0, 0),
        ("ioprio_set", (3, 0, 5), EPERM, EPERM, EPERM),
        ("shmget", (0, 56), ENOSYS, ENOSYS, ENOSYS),
        ("shmat", (0,), ENOSYS, ENOSYS, ENOSYS),
        ("mq_open", (path,), ENOSYS, ENOSYS, ENOSYS),
        ("inotify_add_watch", (3, path), ENOSYS, ENOSYS, ENOSYS),
        ("fchmodat", (3, path, 0o700), EPERM, EPERM, 0),
        ("fchmodat", (3, path, 0o4700), EPERM, EPERM, EPERM),
        ("fchmod", (3, 0o700), 0, 0, 0),
        ("fchmod", (3, 0o4700), EPERM, EPERM, EPERM),
        ("fchownat", (3, path), EPERM, EPERM, 0),
        ("setxattr", (path,), EPERM, EPERM, 0),
        ("utimensat", (3, 0, path), 0, 0, 0),
        ("utimensat", (3, path, 0), EPERM, EPERM, 0),
        ("ptrace", (0,), EPERM, EPERM, EPERM),
    )
    for machine in ARCHES:
        for name, args, *wanted in rows:
            found = [verdict(policy, machine, name, *args) for policy in (ALONE, ALONE_BY_TCP, OWN_UID)]
            assert found == wanted, (machine, name, args)


def test_no_policy_has_two_blocks_for_one_call() -> None:
    """The second would never be asked."""
    for policy in (*POLICIES, ALONE, ALONE_BY_TCP, OWN_UID):
        names = [call.name for call in denied.calls(policy)]
        assert len(names) == len(set(names))
