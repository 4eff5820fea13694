"""May the agent talk to that host? Pure: names and addresses come in, a verdict goes out.

Two questions, in this order: is this host and port named at all (before anything is looked up, for a look-up is a
message to whoever owns the name), and is what the name led to an address that it may lead to.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from shared.addresses import Address, inner_of, kind_of, parse_address
from shared.hostrule import USUAL_PORTS, HostRule


class Policy(NamedTuple):
    """`public`: any name and address of the internet, beside `rules`."""

    public: bool
    rules: tuple[HostRule, ...] = ()


class Named(NamedTuple):
    """The host may be talked to, if its address may. `raw`: it need not be TLS. `address`: where the owner says that
    it is: it is not looked up."""

    raw: bool = False
    address: Address | None = None


class Allow(NamedTuple):
    """Connect to one of these, as they are written here, and to nothing else."""

    addresses: tuple[str, ...]


class Deny(NamedTuple):
    """`why`: to be read after "because"."""

    why: str


def named(host: str, port: int, policy: Policy) -> Named | Deny:
    """Whether a normalised host is named by the policy. Decided before the name is looked up."""
    matching = [rule for rule in policy.rules if rule.matches(host, port)]
    if matching:
        # What one rule allows, another does not take back.
        place = next((rule.address for rule in matching if rule.address is not None), None)
        return Named(any(rule.raw for rule in matching), place)
    if not policy.public:
        return Deny("the job does not allow this host and port")
    if port not in USUAL_PORTS:
        return Deny("the job does not name this port")
    return Named(address=parse_address(host))


def verdict(host: str, port: int, addresses: Iterable[str], policy: Policy, own: Collection[str]) -> Allow | Deny:
    """`addresses`: what the name led to. `own`: the addresses of this machine, however they look from outside."""
    found = named(host, port, policy)
    if isinstance(found, Deny):
        return found
    by_owner = {rule.address for rule in policy.rules if rule.matches(host, port) and rule.address is not None}
    mine = {address for text in own if (address := parse_address(text)) is not None}
    good, why = [], "the name has no address"
    for text in addresses:
        problem = _problem(text, by_owner, mine)
        if problem:
            why = problem
        else:
            good.append(text)
    return Allow(tuple(good)) if good else Deny(why)


def _problem(text: str, by_owner: Collection[Address], mine: set[Address]) -> str:
    address = parse_address(text)
    if address is None or "%" in text:
        return "the name led to something that is no plain address"
    kind = kind_of(address)
    if kind.name and not kind.nameable:
        return f"it leads to a {kind.name} address"
    if address in by_owner:
        return ""
    if kind.name:
        return f"it leads to a {kind.name} address"
    if not mine.isdisjoint({address, inner_of(address)}):
        return "it leads to this machine's own address"
    return ""
