"""What held in a cell, and what must."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner import layers
from runner.landlock import Ruleset
from runner.refusal import RefusalError
from runner.seccomp import Filter
from shared.messages import Cell
from shared.reasons import Reason
from tests.driver import limits, request

OURS = dict.fromkeys(layers.NAMESPACES, "1")
HELLO = dict.fromkeys(layers.NAMESPACES, "2") | {
    "NoNewPrivs": "1",
    "CapEff": "0000000000000000",
    "CapPrm": "0000000000000000",
    "CapBnd": "0000000000000000",
}


def test_a_whole_cell_holds() -> None:
    layers.check(HELLO, OURS)


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        *[({name: "1"}, layers.NAMESPACES[name]) for name in layers.REQUIRED],
        ({"net": "?"}, "network namespace"),
        ({"NoNewPrivs": "0"}, "no new privileges"),
        ({"CapEff": "0000000000000001"}, "no capabilities"),
        ({"CapBnd": "000001ffffffffff"}, "no capabilities"),
        ({"CapPrm": "?"}, "no capabilities"),
    ],
)
def test_one_required_layer_missing_is_one_too_many(change: dict[str, str], missing: str) -> None:
    with pytest.raises(RefusalError, match=missing) as refused:
        layers.check(HELLO | change, OURS)
    assert refused.value.reason is Reason.SANDBOX_UNAVAILABLE


def test_silence_proves_nothing() -> None:
    with pytest.raises(RefusalError):
        layers.check({}, OURS)


def test_the_filter_of_system_calls_is_claimed_only_where_the_agents_process_took_it_on() -> None:
    filtering = Filter(b"program", "2 calls denied")
    (layer,) = layers.taken(("seccomp",), filtering, None)
    assert (layer.name, layer.detail) == ("seccomp filter", "2 calls denied")
    with pytest.raises(RefusalError, match="filter of system calls") as refused:
        layers.taken((), filtering, None)
    assert refused.value.reason is Reason.SANDBOX_UNAVAILABLE


def test_where_there_are_rules_for_landlock_it_must_hold() -> None:
    filtering, rules = Filter(b"", ""), Ruleset(7, [])
    assert [layer.name for layer in layers.taken(("landlock", "seccomp"), filtering, rules)] == [
        "landlock",
        "seccomp filter",
    ]
    for said in (("seccomp",), ("landlock",), ()):
        with pytest.raises(RefusalError, match="missing"):
            layers.taken(said, filtering, rules)


def test_only_what_was_seen_is_claimed() -> None:
    asked = request(Path("/log"), "prog", limits=limits(cpu_seconds=9))
    held = {layer.name: layer.detail for layer in layers.held(HELLO | {"cgroup": "1"}, OURS, (0, 8, 0), 77, asked)}
    assert held["bubblewrap"] == "0.8.0"
    assert held["uid drop"] == "77"
    assert "cgroup namespace" not in held
    assert held["rlimits"] == "64 processes, 256 files open, 64 MiB a file, no core, 9 s of CPU"
    assert "uid drop" not in {layer.name for layer in layers.held(HELLO, OURS, (0, 8, 0), None, asked)}


def test_the_record_says_who_bounds_the_run_as_a_whole() -> None:
    asked = limits(memory_bytes=1 << 30, cpu_seconds=9, cpu_percent=50, disk_bytes=4 << 30)
    watched = {layer.name: layer.detail for layer in layers.counted(asked, by_cgroup=False)}
    assert watched == {
        "memory limit": "1 GiB, watchdog, every 100 ms",
        "CPU time limit": "9 s in all, watchdog",
        "output limit": "8 MiB, cut by the runner",
    }
    grouped = {layer.name: layer.detail for layer in layers.counted(asked, by_cgroup=True)}
    assert grouped == watched | {"memory limit": "1 GiB, cgroup v2", "CPU share": "50 % of a core, cgroup v2"}
    written = {layer.name: layer.detail for layer in layers.counted(asked, by_cgroup=True, on_disk=True)}
    assert written == grouped | {"disk limit": "4 GiB more than there was, watchdog"}
    least = layers.counted(limits(), by_cgroup=True, on_disk=True)
    assert [layer.name for layer in least] == ["memory limit", "output limit"]


def test_only_the_hosts_own_network_may_be_where_we_are() -> None:
    layers.check(HELLO | {"net": "1"}, OURS, "host")
    for network in ("none", "allow", "public"):
        with pytest.raises(RefusalError, match="network namespace"):
            layers.check(HELLO | {"net": "1"}, OURS, network)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (Cell(), ""),
        (Cell(network="allow", allow_hosts=("api.example.com", ".b.test")), "proxy, allow api.example.com, .b.test"),
        (Cell(network="allow", allow_hosts=("a.test",) * 12), "proxy, allow " + "a.test, " * 9 + "a.test and 2 more"),
        (Cell(network="public"), "proxy, public addresses"),
        (Cell(network="public", allow_hosts=("a.example:22",)), "proxy, public addresses and a.example:22"),
        (Cell(network="host"), "the host's own, not confined"),
    ],
)
def test_the_network_is_told_in_words(cell: Cell, words: str) -> None:
    assert layers.network_words(cell) == words
