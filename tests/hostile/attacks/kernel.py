"""The kernel's risky corners, and the calls that belong to root."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import pty
import struct
import subprocess
from collections.abc import Callable

from tests.hostile.attacks.kit import (
    CLONE_NEWNET,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    SIGCHLD,
    X86,
    Held,
    Lack,
    T,
    attack,
    call,
    checked,
    done_in_child,
    in_user_namespace,
    libc,
    passes,
)

TIOCSCTTY, TIOCSTI, TIOCLINUX, TIOCSETD = 0x540E, 0x5412, 0x541C, 0x5423
ADDR_NO_RANDOMIZE, READ_IMPLIES_EXEC = 0x0040000, 0x0400000


@attack
def user_namespace() -> None:
    done_in_child(lambda: checked(libc.unshare(CLONE_NEWUSER)))


@attack
def user_namespace_by_clone() -> None:
    pid = call("clone", CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


@attack
def user_namespace_by_clone3() -> None:
    arguments = struct.pack("8Q", CLONE_NEWUSER, 0, 0, 0, SIGCHLD, 0, 0, 0)
    pid = call("clone3", arguments, len(arguments))
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


@attack
def network_namespace() -> None:
    in_user_namespace(lambda: None, CLONE_NEWNET)


@attack
def mount_something() -> None:
    in_user_namespace(lambda: checked(libc.mount(b"none", b"/mnt", b"tmpfs", 0, None)))


@attack
def mount_proc_again() -> None:
    in_user_namespace(lambda: checked(libc.mount(b"/proc", b"/mnt", None, 4096, None)))


@attack
def remount_writable() -> None:
    def act() -> None:
        checked(libc.mount(b"/usr", b"/usr", None, 4096 | 16384, None))
        checked(libc.mount(None, b"/usr", None, 32 | 4096, None))

    in_user_namespace(act)


@attack
def unmount() -> None:
    def act() -> None:
        checked(libc.mount(b"none", b"/mnt", b"tmpfs", 0, None))
        checked(libc.umount2(b"/mnt", 2))

    in_user_namespace(act)


@attack
def unmount_directly() -> None:
    """What covers a private directory, if anything does."""
    passes(errno.EINVAL, name="umount2", arguments=(b"/usr/share", 0))


@attack
def new_mount_api() -> None:
    in_user_namespace(lambda: os.close(call("fsopen", b"tmpfs", 0)))


@attack
def open_a_tree() -> None:
    in_user_namespace(lambda: os.close(call("open_tree", -100, b"/usr", 1)))  # OPEN_TREE_CLONE


@attack
def change_root() -> None:
    in_user_namespace(lambda: checked(libc.chroot(b"/usr")))


@attack
def change_root_directly() -> None:
    done_in_child(lambda: checked(libc.chroot(b"/usr")))


@attack
def pivot_root() -> None:
    def act() -> None:
        checked(libc.mount(b"none", b"/", None, 16384 | (1 << 18), None))
        checked(libc.mount(b"none", b"/mnt", b"tmpfs", 0, None))
        os.mkdir("/mnt/old")
        call("pivot_root", b"/mnt", b"/mnt/old")

    in_user_namespace(act)


@attack
def enter_a_namespace() -> None:
    descriptor = os.open(f"/proc/{T['bystander']}/ns/net", os.O_RDONLY)
    done_in_child(lambda: call("setns", descriptor, 0))


@attack
def enter_inits_namespaces() -> None:
    done_in_child(lambda: call("setns", os.open(f"/proc/{T['init']}/ns/uts", os.O_RDONLY), 0))


@attack
def rename_the_host() -> None:
    in_user_namespace(lambda: checked(libc.sethostname(b"mine", 4)), CLONE_NEWUTS)


@attack
def rename_the_host_directly() -> None:
    """With a length that is refused, but only after the look at privileges."""
    passes(errno.EINVAL, name="sethostname", arguments=(b"x", 65))


@attack
def handle_of_a_file() -> None:
    handle = ctypes.create_string_buffer(struct.pack("Ii", 128, 0), 136)
    mount_id = ctypes.c_int()
    try:
        call("name_to_handle_at", -100, b"/usr", handle, ctypes.byref(mount_id), 0)
    except OSError as error:
        if T["outside"] and error.errno == errno.EOPNOTSUPP:
            raise Lack("the file system has no handles") from error
        raise


@attack
def open_by_handle() -> None:
    """The old escape out of containers: inode 2 is the root of the disk."""
    descriptor = os.open("/", os.O_RDONLY)
    handle = ctypes.create_string_buffer(struct.pack("Iiii", 8, 1, 2, 0), 136)
    passes(errno.ESTALE, errno.EOPNOTSUPP, name="open_by_handle_at", arguments=(descriptor, handle, 0))


@attack
def io_uring() -> None:
    try:
        os.close(call("io_uring_setup", 8, ctypes.create_string_buffer(120)))
    except OSError as error:
        if T["outside"] and error.errno in (errno.ENOSYS, errno.EPERM):
            raise Lack("io_uring is switched off") from error
        raise


@attack
def bpf_program() -> None:
    attributes = struct.pack("IIII", 2, 4, 4, 1).ljust(128, b"\0")  # BPF_MAP_TYPE_ARRAY
    os.close(call("bpf", 0, attributes, len(attributes)))


@attack
def page_faults_in_user_space() -> None:
    try:
        os.close(call("userfaultfd", 1))
    except OSError as error:
        if T["outside"] and error.errno in (errno.ENOSYS, errno.EPERM):
            raise Lack("userfaultfd is switched off") from error
        raise


@attack
def no_randomisation() -> None:
    done_in_child(lambda: checked(libc.personality(ctypes.c_ulong(ADDR_NO_RANDOMIZE))))


@attack
def everything_executable() -> None:
    done_in_child(lambda: checked(libc.personality(ctypes.c_ulong(READ_IMPLIES_EXEC))))


@attack
def local_descriptor_table() -> None:
    if not X86:
        raise Lack("only x86 has one")
    try:
        call("modify_ldt", 0, ctypes.create_string_buffer(16), 16)
    except OSError as error:
        if T["outside"] and error.errno == errno.ENOSYS:
            raise Lack("the kernel has none") from error
        raise


@attack
def calls_of_32_bit() -> None:
    """getpid by int 0x80, whose numbers are others: mov eax, 20; int 0x80; ret"""
    if not X86:
        raise Lack("only x86 has them")

    def act() -> None:
        code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
        if ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))() != os.getpid():
            os._exit(errno.ENOSYS)

    if T["outside"] and not os.path.exists("/proc/sys/abi/vsyscall32"):
        raise Lack("the kernel has none")
    done_in_child(act)


@attack
def calls_of_x32() -> None:
    """The same calls by numbers with bit 30 set, which a filter that compares numbers would miss."""
    found = int(libc.syscall(ctypes.c_long(0x40000000 | 39)))
    if found != os.getpid():
        if T["outside"]:
            raise Lack("the kernel has none")
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@attack
def keep_a_key() -> None:
    try:
        call("add_key", b"user", T["mark"].encode(), b"x", 1, -2)
    except OSError as error:
        if T["outside"] and error.errno == errno.ENOSYS:
            raise Lack("the kernel has no keyrings") from error
        raise


@attack
def look_into_keyrings() -> None:
    try:
        call("keyctl", 0, -4, 1)  # the user's own, which no namespace parts
    except OSError as error:
        if T["outside"] and error.errno == errno.ENOSYS:
            raise Lack("the kernel has no keyrings") from error
        raise


@attack
def hidden_memory() -> None:
    try:
        os.close(call("memfd_secret", 0))
    except OSError as error:
        if T["outside"] and error.errno == errno.ENOSYS:
            raise Lack("the kernel has none") from error
        raise


@attack
def memory_without_a_name() -> None:
    os.close(call("memfd_create", b"x", 0))


@attack
def large_shared_segment() -> None:
    segment = checked(libc.shmget(0, ctypes.c_size_t(1 << 24), 0o600))
    libc.shmctl(segment, 0, None)


@attack
def bind_memory_to_a_node() -> None:
    call("set_mempolicy", 0, 0, 0)


@attack
def watch_all_files() -> None:
    os.close(call("fanotify_init", 0x200, 0))


@attack
def kernel_messages() -> None:
    call("syslog", 10, 0, 0)


@attack
def load_a_module() -> None:
    passes(errno.ENOEXEC, errno.EFAULT, errno.EINVAL, name="init_module", arguments=(0, 0, b""))


@attack
def unload_a_module() -> None:
    passes(errno.ENOENT, errno.ENOSYS, name="delete_module", arguments=(b"no_such_module", 0o4000))


@attack
def load_a_kernel() -> None:
    passes(errno.EINVAL, errno.EADDRNOTAVAIL, name="kexec_load", arguments=(0, 0, 0, 0xFFFF))


@attack
def restart_the_host() -> None:
    passes(errno.EINVAL, name="reboot", arguments=(0, 0, 0, 0))


@attack
def swap_on() -> None:
    passes(errno.ENOENT, errno.EFAULT, errno.EINVAL, name="swapon", arguments=(b"/no/such/file", 0))


@attack
def account_processes() -> None:
    passes(errno.ENOENT, name="acct", arguments=(b"/no/such/file",))


@attack
def sync_quotas() -> None:
    try:
        call("quotactl", 0x800001 << 8, 0, 0, 0)
    except OSError as error:
        if T["outside"] and error.errno == errno.ENOSYS:
            raise Lack("the kernel has no quotas") from error
        raise


@attack
def slew_the_clock() -> None:
    """To the tick that it has."""
    timex = ctypes.create_string_buffer(208)
    call("clock_adjtime", 0, timex)
    tick = struct.unpack_from("q", timex, 88)[0]
    again = ctypes.create_string_buffer(208)
    struct.pack_into("I", again, 0, 0x4000)
    struct.pack_into("q", again, 88, tick)
    call("clock_adjtime", 0, again)


@attack
def ports_of_the_machine() -> None:
    if not X86:
        raise Lack("only x86 has them")
    call("ioperm", 0x80, 1, 1)


@attack
def all_ports_of_the_machine() -> None:
    if not X86:
        raise Lack("only x86 has them")
    done_in_child(lambda: call("iopl", 3))


def on_terminal(ask: Callable[[int], object]) -> None:
    def act() -> None:
        _, ours = pty.openpty()
        os.setsid()
        fcntl.ioctl(ours, TIOCSCTTY, 0)
        ask(ours)

    done_in_child(act)


@attack
def type_into_a_terminal() -> None:
    try:
        on_terminal(lambda tty: checked(libc.ioctl(tty, ctypes.c_ulong(TIOCSTI), b"x")))
    except OSError as error:
        if T["outside"] and error.errno == errno.EIO:
            raise Lack("dev.tty.legacy_tiocsti is 0") from error
        raise


@attack
def type_with_high_bits() -> None:
    try:
        on_terminal(lambda tty: call("ioctl", tty, 1 << 32 | TIOCSTI, b"x"))
    except OSError as error:
        if T["outside"] and error.errno == errno.EIO:
            raise Lack("dev.tty.legacy_tiocsti is 0") from error
        raise


@attack
def load_a_line_discipline() -> None:
    on_terminal(lambda tty: checked(libc.ioctl(tty, ctypes.c_ulong(TIOCSETD), struct.pack("i", 0))))


@attack
def sandbox_in_the_sandbox() -> None:
    """As agents' own tools would, to be root in there."""
    if not os.path.exists("/usr/bin/bwrap"):
        raise Lack("bubblewrap is not installed")
    done = subprocess.run(
        ["/usr/bin/bwrap", "--unshare-user", "--uid", "0", "--ro-bind", "/", "/", "/usr/bin/true"],
        capture_output=True,
        text=True,
        timeout=5,
        check=False,
    )
    if done.returncode:
        raise Held(done.stderr.strip()[:100])


@attack
def change_own_maps() -> None:
    """PR_SET_MM: lie about where the arguments lie, to hide from ps."""
    passes(errno.EINVAL, errno.EFAULT, name="prctl", arguments=(35, 8, 4096, 0, 0))


@attack
def exhaust_inotify() -> None:
    """The kernel counts them by user, through all namespaces: with the owner's uid, they are the owner's."""
    held = []
    try:
        for _ in range(4096):
            descriptor = libc.inotify_init1(0o2000000)
            if descriptor < 0:
                break
            held.append(descriptor)
        if ctypes.get_errno() != errno.EMFILE:
            raise Held("there was no end of them")
        try:
            held.append(os.open("/dev/null", os.O_RDONLY))
        except OSError as error:
            raise Held("its own limit of open files came first") from error
    finally:
        for descriptor in held:
            os.close(descriptor)
