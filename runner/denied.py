"""What no agent may ask of the kernel, and the errno it gets instead: data, for `seccomp` to make a filter of.

A deny list: agents run whatever they like, so what is refused is what reaches into the kernel's riskier corners, into
other processes or out of the limits, and what no program needs to do its work. Where programs try a call and fall back
without it, the errno is the one that makes them fall back. The numbers are those of x86_64 and aarch64.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from errno import EAFNOSUPPORT, EINVAL, ENOSYS, EOPNOTSUPP, EPERM, EPROTONOSUPPORT

from shared.record import Literal

Numbers = tuple[int | None, int | None]
Reach = Literal["all", "tcp", "none"]
LOW = 0xFFFFFFFF

# file_setattr of Linux 6.17. What is newer has not been weighed, so it looks like an older kernel; the x32 calls of
# x86_64, which would pass by every other number here, have bit 30 set and are refused by the same comparison.
NEWEST = 469

CLONE_NEW = 0x7E020000  # the seven CLONE_NEW* flags that clone takes
CLONE_NEWTIME = 0x80  # for clone these bits are the signal to the parent
TIOCSTI, TIOCLINUX, TIOCSETD = 0x5412, 0x541C, 0x5423
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
NETLINK_ROUTE = 0
SOCK_STREAM, SOCK_DGRAM, SOCK_TYPE = 1, 2, 0xF
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
PERSONALITY_LINUX, PERSONALITY_QUERY = 0, 0xFFFFFFFF
WILL_CREATE = 0o100 | 0o20000000  # O_CREAT, and O_TMPFILE without its O_DIRECTORY
S_ISUID = 0o4000
INIT, PRIO_PROCESS, IOPRIO_WHO_PROCESS = 1, 0, 1
MSG_FASTOPEN = 0x20000000
SHM_MOST = 1 << 16


# Plain classes: made at every start of a runner, where named tuples would cost more than all the rest of this.
class AnyBit:
    """Holds where one of these bits of the argument is set."""

    def __init__(self, argument: int, mask: int) -> None:
        self.argument, self.mask = argument, mask


class OneOf:
    """Holds where the lower half of the argument, under the mask, is one of the values."""

    def __init__(self, argument: int, values: tuple[int, ...], mask: int = LOW) -> None:
        self.argument, self.values, self.mask = argument, values, mask


class NoneOf(OneOf):
    """Holds where it is none of them."""


class Rule:
    """Refuse with `errno` where all conditions hold; where there are none, always."""

    def __init__(self, errno: int, *conditions: AnyBit | OneOf) -> None:
        self.errno, self.conditions = errno, conditions


class Call:
    """One system call. The first rule that holds decides; where none does, the call is let through."""

    def __init__(self, name: str, numbers: Numbers, *rules: Rule) -> None:
        self.name, self.numbers, self.rules = name, numbers, rules


class Policy:
    """What differs between cells.

    `memory_counted`: whether something counts memory that is in no process's size. A cgroup does, a watchdog over
    processes cannot. `unix_sockets`: whether processes may talk over Unix sockets that have a name. In a network
    namespace of their own the abstract ones are theirs alone, and those with a path are everyday tools:
    multiprocessing, tmux, databases, gpg. `apart`: whether namespaces keep the agent from the user's other processes
    and files, so that only Landlock and this filter do otherwise; `own_uid`: whether nothing else has its uid anyway.
    `network`: all there is, connections by TCP alone, or nothing.
    """

    def __init__(
        self,
        memory_counted: bool,
        unix_sockets: bool = True,
        *,
        apart: bool = True,
        own_uid: bool = False,
        network: Reach = "all",
    ) -> None:
        self.memory_counted, self.unix_sockets = memory_counted, unix_sockets
        self.apart, self.own_uid, self.network = apart, own_uid, network


def calls(policy: Policy) -> Iterator[Call]:
    """Those whose arguments are looked at come first: the kernel can answer the others without running the filter."""
    guards_paths = not (policy.apart or policy.own_uid)
    yield from (call for call in FILTERED if not guards_paths or call.name not in BY_PATH)
    families = (AF_NETLINK, *((AF_INET, AF_INET6) if policy.network != "none" else ()))
    families += (AF_UNIX,) if policy.unix_sockets else ()
    kinds = (STREAMS_ONLY,) if policy.network == "tcp" else ()
    yield Call("socket", (41, 198), Rule(EAFNOSUPPORT, NoneOf(0, families)), *kinds, *PROTOCOLS)
    if policy.network == "tcp":
        yield from CONNECTING
    yield from OF_INIT if policy.apart else OF_OTHERS
    if guards_paths:
        yield TIMES_BY_PATH
    if not policy.memory_counted:
        yield from (call for call in UNCOUNTED if policy.apart or call.name not in SHARED)
    groups = DENIED if policy.apart else (*DENIED, (ENOSYS, SHARED))
    for errno, group in (*groups, (EPERM, BY_PATH)) if guards_paths else groups:
        rule = Rule(errno)
        for name, numbers in group.items():
            yield Call(name, numbers, rule)


def _no_set_uid(mode: int) -> Rule:
    return Rule(EPERM, AnyBit(mode, S_ISUID))


def _no_set_uid_created(flags: int, mode: int) -> Rule:
    return Rule(EPERM, AnyBit(flags, WILL_CREATE), AnyBit(mode, S_ISUID))


def _not_of_init(process: int) -> Rule:
    return Rule(EPERM, OneOf(process, (INIT,)))


# Kernel modules for raw packets, SCTP, DCCP, MPTCP, SMC and the rest are loaded by whoever asks for such a socket.
# Types and protocols of netlink mean something else: RAW is as good as DGRAM, and getaddrinfo asks ROUTE.
PROTOCOLS = (
    Rule(EPROTONOSUPPORT, OneOf(0, (AF_NETLINK,)), NoneOf(2, (NETLINK_ROUTE,))),
    Rule(EPERM, OneOf(0, (AF_INET, AF_INET6)), NoneOf(1, (SOCK_STREAM, SOCK_DGRAM), SOCK_TYPE)),
    Rule(EPROTONOSUPPORT, OneOf(0, (AF_INET, AF_INET6)), NoneOf(2, (0, ICMP, TCP, UDP, ICMPV6))),
)

FILTERED = (
    # A program with the set-uid bit would lend the ids of the work directory's owner to every user of the host, long
    # after the run. (Set-gid has its use on directories, and a filter cannot see what a path is.)
    Call("openat", (257, 56), _no_set_uid_created(2, 3)),
    Call("open", (2, None), _no_set_uid_created(1, 2)),
    Call("creat", (85, None), _no_set_uid(1)),
    Call("chmod", (90, None), _no_set_uid(1)),
    Call("fchmod", (91, 52), _no_set_uid(1)),
    Call("fchmodat", (268, 53), _no_set_uid(2)),
    Call("fchmodat2", (452, 452), _no_set_uid(2)),
    Call("mknod", (133, None), _no_set_uid(1)),
    Call("mknodat", (259, 33), _no_set_uid(2)),
    # Typing into a terminal on somebody's behalf, the console's selection, and line disciplines: each is a kernel
    # module, loaded for whoever asks, and a cell has terminals of its own to ask for.
    Call("ioctl", (16, 29), Rule(EPERM, OneOf(1, (TIOCSTI, TIOCLINUX, TIOCSETD)))),
    # No namespace inside the cell's: each would bring back root's calls, on the same kernel.
    Call("clone", (56, 220), Rule(EPERM, AnyBit(0, CLONE_NEW))),
    Call("unshare", (272, 97), Rule(EPERM, AnyBit(0, CLONE_NEW | CLONE_NEWTIME))),
    # Other personalities switch off address randomisation, or lie about the kernel.
    Call("personality", (135, 92), Rule(EPERM, NoneOf(0, (PERSONALITY_LINUX, PERSONALITY_QUERY)))),
    Call("socketpair", (53, 199), Rule(EAFNOSUPPORT, NoneOf(0, (AF_UNIX,)))),
)

# Init has the agent's uid, so the kernel would let the agent take its memory, descriptors or time away; ended by
# such a limit it looks like our fault, which is tried again. By group or user init may be one of many.
OF_INIT = (
    Call("prlimit64", (302, 261), _not_of_init(0)),
    Call("sched_setaffinity", (203, 122), _not_of_init(0)),
    Call("sched_setscheduler", (144, 119), _not_of_init(0)),
    Call("sched_setparam", (142, 118), _not_of_init(0)),
    Call("sched_setattr", (314, 274), _not_of_init(0)),
    Call("setpriority", (141, 140), Rule(EPERM, NoneOf(0, (PRIO_PROCESS,))), _not_of_init(1)),
    Call("ioprio_set", (251, 30), Rule(EPERM, NoneOf(0, (IOPRIO_WHO_PROCESS,))), _not_of_init(1)),
)

# Landlock judges connect(2) alone: a first message can make a connection too, and neither it nor datagrams are asked
# about. (MPTCP, which is not asked about either, is refused with the other protocols.)
STREAMS_ONLY = Rule(EPERM, OneOf(0, (AF_INET, AF_INET6)), NoneOf(1, (SOCK_STREAM,), SOCK_TYPE))
CONNECTING = (
    Call("sendto", (44, 206), Rule(EOPNOTSUPP, AnyBit(3, MSG_FASTOPEN))),
    Call("sendmsg", (46, 211), Rule(EOPNOTSUPP, AnyBit(2, MSG_FASTOPEN))),
    Call("sendmmsg", (307, 269), Rule(EOPNOTSUPP, AnyBit(3, MSG_FASTOPEN))),
)

# What a process may do to others of its user without being allowed to look into them. 0 is the caller itself.
OF_OTHERS = (
    *(
        Call(name, numbers, Rule(EPERM, NoneOf(0, (0,))))
        for name, numbers in (
            ("prlimit64", (302, 261)),
            ("sched_setaffinity", (203, 122)),
            ("sched_setattr", (314, 274)),
            ("sched_setparam", (142, 118)),
            ("sched_setscheduler", (144, 119)),
        )
    ),
    # 0 and 1 are a process and a process group; the third is all that the user has.
    Call("setpriority", (141, 140), Rule(EPERM, NoneOf(0, (0, 1))), Rule(EPERM, NoneOf(1, (0,)))),
    Call("ioprio_set", (251, 30), Rule(EPERM, NoneOf(0, (1, 2))), Rule(EPERM, NoneOf(1, (0,)))),
)

# What the processes of one user share by numbers and names that are not files, as on a kernel without it; and names of
# files in directories that Landlock would not list.
SHARED: Mapping[str, Numbers] = {
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "semget": (64, 190),
    "semop": (65, 193),
    "semctl": (66, 191),
    "semtimedop": (220, 192),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "inotify_add_watch": (254, 27),
}

# What Landlock lets a process do to each file of its user whose path it knows: modes, owners, times, attributes. Those
# of an open file it may change: to open it Landlock was asked.
BY_PATH: Mapping[str, Numbers] = {
    "chmod": (90, None),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "setxattrat": (463, 463),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
}

# Without a path it is for an open file.
TIMES_BY_PATH = Call("utimensat", (280, 88), Rule(EPERM, AnyBit(1, (1 << 64) - 1)))

# Memory that belongs to no process once it is unmapped. A database's small segment may be: 4096 of them are 256 MiB.
UNCOUNTED = (
    Call("memfd_create", (319, 279), Rule(ENOSYS)),
    Call("shmget", (29, 194), Rule(EINVAL, AnyBit(1, (1 << 64) - SHM_MOST))),
)

DENIED: tuple[tuple[int, Mapping[str, Numbers]], ...] = (
    # Their arguments lie in memory, where a filter cannot look; without them libraries use clone and openat.
    (ENOSYS, {"clone3": (435, 435), "openat2": (437, 437)}),
    # io_uring does what any other call does, past this filter.
    (ENOSYS, {"io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427)}),
    # Into other processes: their memory, descriptors, secrets. Init, of the agent's own uid, is one of them.
    (
        EPERM,
        {
            "ptrace": (101, 117),
            "process_vm_readv": (310, 270),
            "process_vm_writev": (311, 271),
            "process_madvise": (440, 440),
            "pidfd_getfd": (438, 438),
            "kcmp": (312, 272),
            "perf_event_open": (298, 241),
        },
    ),
    # Interpreters in the kernel, and a brake on it that most exploits of races want.
    (EPERM, {"bpf": (321, 280), "userfaultfd": (323, 282)}),
    # The user's keys on the host: no namespace parts them. As on a kernel without keyrings.
    (ENOSYS, {"add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219)}),
    # Memory that cannot be reclaimed, looked into or, without a cgroup, counted.
    (ENOSYS, {"memfd_secret": (447, 447)}),
    # Where memory lies is the host's business. ENOSYS is a kernel without NUMA, for which libraries have a plan.
    (
        ENOSYS,
        {
            "mbind": (237, 235),
            "set_mempolicy": (238, 237),
            "set_mempolicy_home_node": (450, 450),
            "get_mempolicy": (239, 236),
            "migrate_pages": (256, 238),
            "move_pages": (279, 239),
        },
    ),
    # A view of the file system other than the cell's. The rest of this list needs capabilities that no agent has: it
    # is the second wall, for the day on which a way to capabilities is found.
    (
        EPERM,
        {
            "setns": (308, 268),
            "mount": (165, 40),
            "umount2": (166, 39),
            "pivot_root": (155, 41),
            "chroot": (161, 51),
            "open_tree": (428, 428),
            "move_mount": (429, 429),
            "fsopen": (430, 430),
            "fsconfig": (431, 431),
            "fsmount": (432, 432),
            "fspick": (433, 433),
            "mount_setattr": (442, 442),
            "open_tree_attr": (467, 467),
            "name_to_handle_at": (303, 264),
            "open_by_handle_at": (304, 265),
            "fanotify_init": (300, 262),
            "quotactl": (179, 60),
            "quotactl_fd": (443, 443),
        },
    ),
    # The host itself.
    (
        EPERM,
        {
            "init_module": (175, 105),
            "finit_module": (313, 273),
            "delete_module": (176, 106),
            "kexec_load": (246, 104),
            "kexec_file_load": (320, 294),
            "reboot": (169, 142),
            "swapon": (167, 224),
            "swapoff": (168, 225),
            "acct": (163, 89),
            "syslog": (103, 116),
            "vhangup": (153, 58),
            "iopl": (172, None),
            "ioperm": (173, None),
            "sethostname": (170, 161),
            "setdomainname": (171, 162),
            "settimeofday": (164, 170),
            "clock_settime": (227, 112),
            "clock_adjtime": (305, 266),
            "adjtimex": (159, 171),
        },
    ),
    # What is older than every program that runs today.
    (
        ENOSYS,
        {
            "modify_ldt": (154, None),
            "uselib": (134, None),
            "_sysctl": (156, None),
            "sysfs": (139, None),
            "nfsservctl": (180, 42),
            "lookup_dcookie": (212, 18),
        },
    ),
)
