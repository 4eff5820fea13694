"""Reads table.toml: what is tried, what holds it, and where it is open."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

TABLE = Path(__file__).with_name("table.toml")


@dataclass(frozen=True)
class Row:
    """One attack. `held` and `open` are the sentences that say why; `open` has one for each circumstance.

    A circumstance is a profile's name, `root` or `user` (who runs the supervisor), `cgroup` or `watchdog` (what counts
    memory), or `always`. `only`: the profiles in which it can be tried at all. `control`: who succeeds with it outside:
    `same` (the agent's uid), `owner` (whoever runs the supervisor), `root`. `evidence`: `said` by the attack, or
    `seen` by somebody outside. `alone`: in a run of its own, with small limits.
    """

    name: str
    layer: str
    held: str = ""
    open: dict[str, str] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    control: str = "same"
    evidence: str = "said"
    alone: bool = False

    def expected(self, circumstances: frozenset[str]) -> str:
        return "worked" if circumstances & self.open.keys() else "held"

    def why(self, circumstances: frozenset[str]) -> str:
        return " ".join(self.open[each] for each in sorted(circumstances & self.open.keys())) or self.held


def rows() -> dict[str, Row]:
    with TABLE.open("rb") as file:
        groups = tomllib.load(file)
    found: dict[str, Row] = {}
    for layer, group in groups.items():
        for name, facts in group.items():
            assert name not in found, f"{name} is in the table twice"
            found[name] = Row(name, layer, **{**facts, "only": tuple(facts.get("only", ()))})
    return found


def by_layer() -> dict[str, int]:
    """How many attacks each layer is the first to stop."""
    counts: dict[str, int] = {}
    for row in rows().values():
        counts[row.layer] = counts.get(row.layer, 0) + 1
    return counts
