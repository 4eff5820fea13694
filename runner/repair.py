"""What to do where a cell cannot be made: from bubblewrap's own words and the kernel's settings to a sentence."""

from __future__ import annotations

from collections.abc import Mapping

SETTINGS = {
    "apparmor": "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
    "maximum": "/proc/sys/user/max_user_namespaces",
    "clone": "/proc/sys/kernel/unprivileged_userns_clone",
}
APPARMOR = (
    "AppArmor forbids user namespaces here. Load Ubuntu's profile for it: apt-get install apparmor-profiles, "
    "then install -m 0644 /usr/share/apparmor/extra-profiles/bwrap-userns-restrict /etc/apparmor.d/ && "
    "apparmor_parser -r /etc/apparmor.d/bwrap-userns-restrict"
)
MAXIMUM = "User namespaces are switched off here. Allow them: sysctl -w user.max_user_namespaces=15000"
CLONE = "User namespaces are kept for root here. Allow them: sysctl -w kernel.unprivileged_userns_clone=1"
PROC = "A container that hides parts of /proc forbids a new one. Run cronward outside of it, or unmask /proc there."
NAMESPACE_WORDS = ("namespace", "uid map", "RTM_NEWADDR", "No space left on device")


def settings() -> dict[str, str]:
    found = {}
    for name, path in SETTINGS.items():
        try:
            with open(path) as file:
                found[name] = file.read(20).strip()
        except OSError:
            continue
    return found


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
    return APPARMOR if found.get("apparmor") == "1" else ""
