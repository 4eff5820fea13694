"""Which layers really hold, by what init found in the cell: pure. What is not seen is not claimed."""

from __future__ import annotations

from runner.refusal import RefusalError
from runner.sizes import size
from runner.watchdog import PERIOD
from shared.messages import Cell, ExecuteRequest, Layer, Limits, Network
from shared.reasons import Reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from runner.host import Grants
    from runner.landlock import Ruleset
    from runner.seccomp import Filter

NAMESPACES = {
    "user": "user namespace",
    "pid": "pid namespace",
    "mnt": "mount namespace",
    "net": "network namespace",
    "ipc": "ipc namespace",
    "uts": "uts namespace",
    "cgroup": "cgroup namespace",
}
# The cgroup namespace hides names and nothing else, and old kernels have none.
REQUIRED = ("user", "pid", "mnt", "net", "ipc", "uts")
HOSTS_SHOWN = 10
DETAILS = {"mnt": "an allow-list of paths", "net": "loopback only"}
CAPABILITIES = ("CapEff", "CapPrm", "CapBnd")


def check(hello: Mapping[str, str], ours: Mapping[str, str], network: Network = "none") -> None:
    """Raise RefusalError where a required layer does not hold. `ours`: the runner's own namespaces."""
    required = [name for name in REQUIRED if name != "net" or network != "host"]
    missing = [NAMESPACES[name] for name in required if not _apart(name, hello, ours)]
    if hello.get("NoNewPrivs") != "1":
        missing.append("no new privileges")
    if not _without_capabilities(hello):
        missing.append("no capabilities")
    if missing:
        raise RefusalError(
            Reason.SANDBOX_UNAVAILABLE,
            f"The cell does not hold: {', '.join(missing)} missing. No agent was started. Run: cronward doctor",
        )


def held(
    hello: Mapping[str, str],
    ours: Mapping[str, str],
    version: tuple[int, ...],
    uid: int | None,
    request: ExecuteRequest,
) -> tuple[Layer, ...]:
    """The layers for the record, from outside to inside. `uid`: what root dropped to, if it was root."""
    limits = request.limits
    layers = [Layer(name="uid drop", detail=str(uid))] if uid is not None else []
    layers.append(Layer(name="bubblewrap", detail=".".join(map(str, version))))
    layers += [
        Layer(name=words, detail=DETAILS.get(name, ""))
        for name, words in NAMESPACES.items()
        if _apart(name, hello, ours)
    ]
    if network := network_words(request.cell):
        layers.append(Layer(name="network", detail=network))
    # bubblewrap tries to make one, and fails if it can.
    layers.append(Layer(name="no nested user namespaces"))
    if hello.get("NoNewPrivs") == "1":
        layers.append(Layer(name="no new privileges"))
    if _without_capabilities(hello):
        layers.append(Layer(name="no capabilities"))
    layers.append(Layer(name="private tmp", detail=f"{size(limits.tmp_bytes)} each for /tmp, /dev/shm and home"))
    rlimits = f"{limits.processes} processes, {limits.open_files} files open, {size(limits.file_bytes)} a file, no core"
    cpu = f", {limits.cpu_seconds} s of CPU" if limits.cpu_seconds is not None else ""
    layers.append(Layer(name="rlimits", detail=rlimits + cpu))
    return tuple(layers)


def network_words(cell: Cell) -> str:
    """What there is beside the cell's loopback; empty for nothing."""
    if cell.network == "host":
        return "the host's own, not confined"
    shown = ", ".join(cell.allow_hosts[:HOSTS_SHOWN])
    more = f" and {left} more" if (left := len(cell.allow_hosts) - HOSTS_SHOWN) > 0 else ""
    if cell.network == "public":
        return f"proxy, public addresses{' and ' if shown else ''}{shown}{more}"
    return f"proxy, allow {shown}{more}" if cell.network == "allow" else ""


def taken(said: Collection[str], filtering: Filter, rules: Ruleset | None) -> tuple[Layer, ...]:
    """What the agent's process took on itself, by its own word (`said`): Landlock, where there are rules for it, and
    the filter of system calls. Raises RefusalError where either is not there."""
    wanted = {"landlock": "Landlock"} if rules is not None else {}
    missing = [words for name, words in {**wanted, "seccomp": "the filter of system calls"}.items() if name not in said]
    if missing:
        sentence = f"The cell does not hold: {' and '.join(missing)} missing. Install cronward again."
        raise RefusalError(Reason.SANDBOX_UNAVAILABLE, sentence)
    found = (Layer(name="seccomp filter", detail=filtering.summary),)
    return (Layer(name="landlock", detail=rules.summary), *found) if rules is not None else found


def repositories(grants: Grants) -> tuple[Layer, ...]:
    """What keeps the user's repositories as they are. init has seen that they are mounted so."""
    if not grants.repositories and grants.whole:
        return ()
    rest = "" if grants.whole else ", and not everything was searched for more"
    return (Layer(name="repositories", detail=f"{len(grants.repositories)} read-only{rest}"),)


def counted(limits: Limits, *, by_cgroup: bool, on_disk: bool = False) -> tuple[Layer, ...]:
    """What bounds the run as a whole, and by whom. `on_disk`: whether there is a directory that it can write to."""
    who = "cgroup v2" if by_cgroup else f"watchdog, every {PERIOD * 1000:g} ms"
    layers = [Layer(name="memory limit", detail=f"{size(limits.memory_bytes)}, {who}")]
    if limits.cpu_seconds is not None:
        layers.append(Layer(name="CPU time limit", detail=f"{limits.cpu_seconds} s in all, watchdog"))
    if limits.cpu_percent is not None and by_cgroup:
        layers.append(Layer(name="CPU share", detail=f"{limits.cpu_percent} % of a core, cgroup v2"))
    if limits.disk_bytes is not None and on_disk:
        layers.append(Layer(name="disk limit", detail=f"{size(limits.disk_bytes)} more than there was, watchdog"))
    layers.append(Layer(name="output limit", detail=f"{size(limits.output_bytes)}, cut by the runner"))
    return tuple(layers)


def _apart(name: str, hello: Mapping[str, str], ours: Mapping[str, str]) -> bool:
    return hello.get(name, "?") not in ("?", ours.get(name))


def _without_capabilities(hello: Mapping[str, str]) -> bool:
    return all(hello.get(key, "").strip("0") == "" and hello.get(key) for key in CAPABILITIES)
