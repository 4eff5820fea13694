"""What to do where a cell cannot be made: from bubblewrap's own words and the kernel's settings to a sentence."""

from __future__ import annotations

from collections.abc import Mapping

SETTINGS = {
    "apparmor": "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
    "maximum": "/proc/sys/user/max_user_namespaces",
    "clone": "/proc/sys/kernel/unprivileged_userns_clone",
}
# Ubuntu 24.04 ships the profile, but does not load it; it is for the path /usr/bin/bwrap alone. Never one that leaves
# bwrap unconfined: whoever runs it would have what AppArmor was told to keep back.
APPARMOR = (
    "AppArmor keeps user namespaces from bubblewrap here. Load Ubuntu's own profile for /usr/bin/bwrap, out of its "
    "package apparmor-profiles, by these two commands: "
    "sudo install -m 0644 /usr/share/apparmor/extra-profiles/bwrap-userns-restrict /etc/apparmor.d/ ; "
    "sudo apparmor_parser -r /etc/apparmor.d/bwrap-userns-restrict"
)
MAXIMUM = "User namespaces are switched off here. Allow them: sudo sysctl -w user.max_user_namespaces=15000"
CLONE = "User namespaces are kept for root here. Allow them: sudo sysctl -w kernel.unprivileged_userns_clone=1"
PROC = (
    "A container that hides parts of /proc forbids a new one. Run cronward outside of it, or start the container with "
    "--security-opt systempaths=unconfined"
)
CONTAINER = (
    "A filter of system calls, as containers have one, forbids namespaces here. Run cronward outside of the container, "
    "or start it with a seccomp profile that allows clone, unshare and mount: --security-opt seccomp=PROFILE"
)
KERNEL = "This kernel has no user namespaces (CONFIG_USER_NS). Use one that has them."
NAMESPACE_WORDS = ("namespace", "uid map", "gid map", "RTM_NEWADDR", "RTM_NEWLINK", "No space left on device", "ENOSPC")
FORBIDDEN_WORDS = ("No permissions", "not permitted", "Permission denied")


def settings() -> dict[str, str]:
    """What the kernel says of namespaces, and whether we are filtered ourselves; what it does not say is left out."""
    found = {}
    for name, path in SETTINGS.items():
        try:
            with open(path) as file:
                found[name] = file.read(20).strip()
        except OSError:
            continue
    with open("/proc/self/status") as file:
        mode = next((line.split()[1] for line in file if line.startswith("Seccomp:")), "0")
    return found | ({"filtered": "1"} if mode == "2" else {})


def repair(words: str, found: Mapping[str, str]) -> str:
    """The repair for what bubblewrap said, or nothing where we know none."""
    if "mount proc" in words:
        return PROC
    if not any(word in words for word in NAMESPACE_WORDS):
        return ""
    if found.get("maximum") == "0":
        return MAXIMUM
    if found.get("clone") == "0":
        return CLONE
    if found.get("apparmor") == "1":
        return APPARMOR
    if "does not support user namespaces" in words:
        return KERNEL
    forbidden = any(word in words for word in FORBIDDEN_WORDS)
    return CONTAINER if forbidden and found.get("filtered") == "1" else ""
