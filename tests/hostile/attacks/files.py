"""Files that are not the agent's: read, changed, replaced, reached around corners."""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
import stat
import subprocess
from pathlib import Path

from tests.hostile.attacks.kit import Held, Lack, T, attack, leave, libc, read, secret_in, token


@attack
def read_ssh_key() -> None:
    secret_in(read(f"{T['home']}/.ssh/id_ed25519"))


@attack
def list_home() -> None:
    if ".ssh" not in os.listdir(T["home"]):
        raise Held("it is another directory")


@attack
def read_home_by_root_of_a_process() -> None:
    secret_in(read(f"/proc/{T['bystander']}/root{T['home']}/.ssh/id_ed25519"))


@attack
def read_home_by_cwd_of_a_process() -> None:
    secret_in(read(f"/proc/{T['bystander']}/cwd/.ssh/id_ed25519"))


@attack
def read_home_by_root_of_init() -> None:
    secret_in(read(f"/proc/{T['init']}/root{T['home']}/.ssh/id_ed25519"))


@attack
def read_home_by_symlink() -> None:
    link = Path(f"/tmp/link-{os.getpid()}")
    link.symlink_to(f"{T['home']}/.ssh/id_ed25519")
    try:
        secret_in(read(link))
    finally:
        link.unlink()


@attack
def read_home_by_dot_dot() -> None:
    secret_in(read(f"{'../' * 40}{T['home'][1:]}/.ssh/id_ed25519"))


@attack
def read_file_in_tmp() -> None:
    secret_in(read(T["in_tmp"]))


@attack
def read_file_in_var_tmp() -> None:
    secret_in(read(T["in_var_tmp"]))


@attack
def read_file_in_dev_shm() -> None:
    secret_in(read(T["in_dev_shm"]))


@attack
def list_tmp() -> None:
    if Path(T["in_tmp"]).parent.name not in os.listdir("/tmp"):
        raise Held("it is another directory")


@attack
def read_other_users_file() -> None:
    secret_in(read(T["others_file"]))


@attack
def read_other_work_dir() -> None:
    secret_in(read(f"{T['other_work']}/secret"))


@attack
def write_bashrc() -> None:
    leave(f"{T['home']}/.bashrc", "write_bashrc")


@attack
def write_authorized_keys() -> None:
    leave(f"{T['home']}/.ssh/authorized_keys", "write_authorized_keys")


@attack
def write_autostart() -> None:
    os.makedirs(f"{T['home']}/.config/autostart", exist_ok=True)
    leave(f"{T['home']}/.config/autostart/x.desktop", "write_autostart")


@attack
def write_user_unit() -> None:
    os.makedirs(f"{T['home']}/.config/systemd/user", exist_ok=True)
    leave(f"{T['home']}/.config/systemd/user/x.service", "write_user_unit")


@attack
def write_through_symlink() -> None:
    link = Path(f"/tmp/out-{os.getpid()}")
    link.symlink_to(f"{T['home']}/.profile")
    try:
        leave(link, "write_through_symlink")
    finally:
        link.unlink()


@attack
def write_file_in_tmp() -> None:
    leave(T["in_tmp"], "write_file_in_tmp")


@attack
def write_file_in_dev_shm() -> None:
    leave(T["in_dev_shm"], "write_file_in_dev_shm")


@attack
def hardlink_out() -> None:
    link = f"{T['scratch']}/hard-{os.getpid()}"
    os.link(f"{T['home']}/.ssh/id_ed25519", link)
    try:
        secret_in(read(link))
    finally:
        os.unlink(link)


@attack
def rename_into_home() -> None:
    made = f"{T['scratch']}/made-{os.getpid()}"
    Path(made).write_text(token("rename_into_home"))
    try:
        os.rename(made, f"{T['home']}/.renamed")
    finally:
        Path(made).unlink(missing_ok=True)


@attack
def remove_home_file() -> None:
    os.unlink(f"{T['home']}/to-be-removed")


@attack
def watch_home() -> None:
    descriptor = libc.inotify_init1(0o2000000)
    if libc.inotify_add_watch(descriptor, T["home"].encode(), 2) < 0:
        raise Held("there is no such directory to watch")


@attack
def read_shadow() -> None:
    if b"root:" not in read("/etc/shadow"):
        raise Held("it is another file")


@attack
def read_host_keys() -> None:
    if T["outside"] and not list(Path("/etc/ssh").glob("ssh_host_*_key")):
        raise Lack("this host has none")
    for path in os.listdir("/etc/ssh"):
        if path.startswith("ssh_host_") and path.endswith("_key"):
            read(f"/etc/ssh/{path}")


@attack
def read_host_users() -> None:
    if hashlib.sha256(read("/etc/passwd")).hexdigest() != T["passwd"]:
        raise Held("it is a made-up one")


@attack
def read_machine_id() -> None:
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id", "/sys/class/dmi/id/product_uuid", "/etc/hostname"):
        if os.path.exists(path):
            read(path)
            return
    raise Held("there is none")


@attack
def read_system_logs() -> None:
    if not os.listdir("/var/log"):
        raise Held("it is empty")


@attack
def write_system() -> None:
    path = f"/usr/local/share/hostile-{T['mark']}"
    Path(path).touch(exist_ok=False)
    os.unlink(path)


@attack
def write_etc() -> None:
    path = f"/etc/hostile-{T['mark']}"
    Path(path).touch(exist_ok=False)
    os.unlink(path)


@attack
def write_root() -> None:
    path = f"/hostile-{T['mark']}"
    Path(path).touch(exist_ok=False)
    os.unlink(path)


@attack
def change_resolver() -> None:
    for path in ("/etc/nsswitch.conf", "/etc/passwd", "/etc/hosts", "/etc/ld.so.cache"):
        os.close(os.open(path, os.O_WRONLY))


@attack
def change_init() -> None:
    if T["outside"] and os.getuid() not in (0, os.stat(T["init_file"]).st_uid):
        raise Lack("the checkout belongs to somebody else")
    os.close(os.open(T["init_file"], os.O_WRONLY | os.O_APPEND))


@attack
def change_own_program() -> None:
    """/proc/self/exe, as container escapes have used it; a running program is refused for being busy, so a link."""
    path = os.readlink("/proc/self/exe")
    with open(T["own_program"] if T["outside"] else path, "r+b"):
        return


@attack
def read_beside_the_program() -> None:
    secret_in(read(f"{T['tools']}/key"))


@attack
def list_beside_the_program() -> None:
    if "key" not in os.listdir(T["tools"]):
        raise Held("it is alone there")


@attack
def write_to_the_program() -> None:
    with open(f"{T['tools']}/tool", "r+b"):
        return


@attack
def write_beside_the_program() -> None:
    leave(f"{T['tools']}/beside", "write_beside_the_program")


@attack
def read_a_stored_secret() -> None:
    secret_in(read(f"{T['state']}/secrets/OTHERS"))


@attack
def find_a_secret_that_was_not_granted() -> None:
    """Where the granted ones are; outside that is the store."""
    for path in Path(T["secrets"]).iterdir():
        if path.is_file() and T["secret"].encode() in read(path):
            return
    raise Held("there are none but those that were granted")


@attack
def change_a_granted_secret() -> None:
    os.close(os.open(f"{T['secrets']}/GRANTED", os.O_WRONLY | os.O_APPEND))


@attack
def read_jobs() -> None:
    for path in Path(T["state"], "jobs").iterdir():
        secret_in(read(path))
        return
    raise Held("it is empty")


@attack
def read_histories() -> None:
    for path in Path(T["state"], "runs").iterdir():
        read(path)
        return
    raise Held("it is empty")


@attack
def read_other_runs_answer() -> None:
    secret_in(read(f"{T['other_log']}/stdout"))


@attack
def write_job() -> None:
    leave(f"{T['state']}/jobs/hostile.json", "write_job")


@attack
def write_history() -> None:
    leave(f"{T['state']}/runs/hostile.jsonl", "write_history")


@attack
def write_other_runs_result() -> None:
    leave(f"{T['other_log']}/result.json", "write_other_runs_result")


@attack
def write_own_result() -> None:
    own = f"{T['state']}/logs/{os.environ.get('CRONWARD_RUN_ID', '')}/1"
    leave(f"{T['other_log'] if T['outside'] else own}/result.json", "write_own_result")


@attack
def take_the_lock() -> None:
    with open(f"{T['state']}/supervisor.lock", "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # in reach, which is enough: it is held by a supervisor


@attack
def command_the_supervisor() -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(3)
        client.connect(T["control"])
        client.sendall(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
        if not client.recv(100).startswith(b"HTTP/1.1"):
            raise Held("nobody answers")


def set_uid_in(folder: str) -> None:
    path = Path(folder, f"set-uid-{os.getpid()}")
    path.touch()
    try:
        path.chmod(0o4755)
        if not path.stat().st_mode & stat.S_ISUID:
            raise Held("the bit is not there")
    finally:
        path.unlink()


@attack
def set_uid_bit() -> None:
    set_uid_in(T["scratch"])


@attack
def create_with_set_uid_bit() -> None:
    path = f"{T['scratch']}/born-{os.getpid()}"
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o4755))
    found = os.stat(path).st_mode
    os.unlink(path)
    if not found & stat.S_ISUID:
        raise Held("the bit is not there")


@attack
def make_device() -> None:
    path = f"{T['scratch']}/device-{os.getpid()}"
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.unlink(path)


def first_disk() -> tuple[str, int]:
    for line in read("/proc/partitions").decode().splitlines()[2:]:
        major, minor, _, name = line.split()
        return f"/dev/{name}", os.makedev(int(major), int(minor))
    raise Lack("there is no disk")


@attack
def open_disk() -> None:
    os.close(os.open(first_disk()[0], os.O_RDONLY))


@attack
def open_disk_by_own_node() -> None:
    path = f"{T['scratch']}/disk-{os.getpid()}"
    os.mknod(path, stat.S_IFBLK | 0o600, first_disk()[1])
    try:
        os.close(os.open(path, os.O_RDONLY))
    finally:
        os.unlink(path)


@attack
def open_memory_of_the_machine() -> None:
    if T["outside"] and not os.path.exists("/dev/mem"):
        raise Lack("there is no /dev/mem")
    os.close(os.open("/dev/mem", os.O_RDONLY))


@attack
def open_kernel_log() -> None:
    os.close(os.open("/dev/kmsg", os.O_RDONLY))


USUAL = {
    *("null", "zero", "full", "random", "urandom", "tty", "ptmx", "console"),
    *("fd", "stdin", "stdout", "stderr", "core", "pts", "shm"),
}


@attack
def see_other_devices() -> None:
    if not set(os.listdir("/dev")) - USUAL:
        raise Held("there are none but the usual")


@attack
def read_sys() -> None:
    if not os.listdir("/sys/class/net"):
        raise Held("it is empty")


@attack
def reach_the_cgroup() -> None:
    if not any("cgroup" in line.split()[2] for line in read("/proc/self/mounts").decode().splitlines()):
        raise Held("no cgroup is mounted")


@attack
def write_core_pattern() -> None:
    os.close(os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY))


@attack
def write_sysctl() -> None:
    os.close(os.open("/proc/sys/vm/overcommit_memory", os.O_WRONLY))


@attack
def press_sysrq() -> None:
    if T["outside"] and not os.path.exists("/proc/sysrq-trigger"):
        raise Lack("there is no sysrq")
    os.close(os.open("/proc/sysrq-trigger", os.O_WRONLY))


@attack
def read_kernel_memory() -> None:
    path = "/proc/kcore"
    if T["outside"] and not os.path.exists(path):
        raise Lack("there is no kcore")
    if not os.read(os.open(path, os.O_RDONLY), 4):
        raise Held("it is empty")


@attack
def type_on_others_terminal() -> None:
    descriptor = os.open(T["pty"], os.O_WRONLY | os.O_NOCTTY)
    os.write(descriptor, token("type_on_others_terminal").encode())
    os.close(descriptor)


@attack
def use_crontab() -> None:
    if not os.path.exists("/usr/bin/crontab"):
        raise Lack("crontab is not installed")
    done = subprocess.run(["/usr/bin/crontab", "-l"], capture_output=True, text=True, timeout=5, check=False)
    if done.returncode and "no crontab for" not in done.stderr:
        raise Held(done.stderr.strip()[:100])


@attack
def use_systemd_run() -> None:
    if not os.path.exists("/usr/bin/systemd-run"):
        raise Lack("systemd-run is not installed")
    done = subprocess.run(
        ["/usr/bin/systemd-run", "--user", "--quiet", "--wait", "/usr/bin/true"],
        capture_output=True,
        text=True,
        timeout=5,
        check=False,
    )
    if done.returncode:
        if T["outside"]:
            raise Lack("there is no user manager")
        raise Held(done.stderr.strip()[:100])
