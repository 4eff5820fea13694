"""Where notifications may go: the internet's addresses, and what of the house the owner named. Pure."""

from __future__ import annotations

from collections.abc import Container

from shared.addresses import Address, kind_of, parse_address


def refusal(host: str, address: Address, named: Container[str] = ()) -> str:
    """Why nothing is sent to this address of this host; empty where it may be. `named`: hosts that may be private.

    Who writes a private address itself means it, and so does who writes localhost; a name means what its zone's owner
    wants it to mean today. Where clouds hand out credentials nothing is ever sent.
    """
    kind = kind_of(address)
    if not kind.name:
        return ""
    meant = written(host) is not None or is_this_machine(host) or host in named
    if meant and kind.nameable:
        return ""
    repair = "; name the host in private_hosts of [notify], if that is meant" if kind.nameable else ""
    return f"its host is at a {kind.name} address{repair}"


def written(host: str) -> Address | None:
    """The address that a URL's host is, if it is one."""
    return parse_address(host.removeprefix("[").removesuffix("]"))


def is_this_machine(host: str) -> bool:
    """Whether a name is this machine's own, whatever a resolver says."""
    return host == "localhost" or host.endswith(".localhost")
