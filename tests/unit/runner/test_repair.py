"""What a host that forbids cells is told."""

from __future__ import annotations

from runner import repair

# As bubblewrap 0.8 to 0.11 says it.
UID_MAP = "bwrap: setting up uid map: Permission denied"
LOOPBACK = "bwrap: loopback: Failed RTM_NEWADDR: Operation not permitted"
NO_PERMISSIONS = (
    "bwrap: No permissions to create new namespace, likely because the kernel does not allow non-privileged user "
    "namespaces. On e.g. debian this can be enabled with 'sysctl kernel.unprivileged_userns_clone=1'."
)
TOO_MANY = "bwrap: Creating new namespace failed: nesting depth or /proc/sys/user/max_*_namespaces exceeded (ENOSPC)"
NO_SUPPORT = (
    "bwrap: Creating new namespace failed, likely because the kernel does not support user namespaces.  bwrap must be "
    "installed setuid on such systems."
)
NO_PROC = "bwrap: Can't mount proc on /newroot/proc: Operation not permitted"
PLAIN = {"maximum": "9000", "clone": "1", "apparmor": "0"}


def test_the_repair_fits_the_words_and_the_settings() -> None:
    rows: tuple[tuple[str, dict[str, str], str], ...] = (
        (UID_MAP, {"apparmor": "1", "maximum": "9000"}, repair.APPARMOR),
        (LOOPBACK, {"apparmor": "1"}, repair.APPARMOR),
        (NO_PERMISSIONS, {"apparmor": "1", "clone": "1"}, repair.APPARMOR),
        (TOO_MANY, {"maximum": "0"}, repair.MAXIMUM),
        ("bwrap: Creating new namespace failed: No space left on device", {"maximum": "0"}, repair.MAXIMUM),
        (NO_PERMISSIONS, {"clone": "0", "maximum": "9"}, repair.CLONE),
        (NO_PERMISSIONS, {"maximum": "0", "apparmor": "1", "clone": "0"}, repair.MAXIMUM),
        (NO_PERMISSIONS, PLAIN | {"filtered": "1"}, repair.CONTAINER),
        (LOOPBACK, PLAIN | {"filtered": "1"}, repair.CONTAINER),
        (NO_PERMISSIONS, PLAIN, ""),
        (TOO_MANY, PLAIN | {"filtered": "1"}, ""),
        (NO_SUPPORT, PLAIN, repair.KERNEL),
        (NO_PROC, {}, repair.PROC),
        ("bwrap: Can't find source path /x: Permission denied", {"apparmor": "1", "filtered": "1"}, ""),
        ("", {"apparmor": "1"}, ""),
    )
    for words, settings, told in rows:
        assert repair.repair(words, settings) == told, (words, settings)


def test_the_repair_for_ubuntu_is_two_commands_for_the_profile_that_it_ships() -> None:
    _, _, commands = repair.APPARMOR.partition("commands: ")
    install, load = commands.split(" ; ")
    assert install == ("sudo install -m 0644 /usr/share/apparmor/extra-profiles/bwrap-userns-restrict /etc/apparmor.d/")
    assert load == "sudo apparmor_parser -r /etc/apparmor.d/bwrap-userns-restrict"
    assert "unconfined" not in repair.APPARMOR


def test_settings_that_are_not_there_are_left_out() -> None:
    assert set(repair.settings()) <= {*repair.SETTINGS, "filtered"}
