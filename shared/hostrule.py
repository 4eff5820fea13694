"""One entry of a job's list of allowed hosts: what a person writes, read strictly; nothing is allowed by accident.

api.example.com          this name, ports 443 and 80
.example.com             every name below it, but not itself
api.example.com:8443     this port alone; other than 443, it need not be TLS
10.1.2.3  [fd00::5]:22   an address, exactly as it is usually written
gitlab.corp=10.1.2.3     this name at this address, which may be a private one; it is never looked up
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from shared.addresses import MAPPED, Address, inner_of, kind_of, parse_address

USUAL_PORTS = (443, 80)
MOST_RULES = 100
MAX_NAME = 253
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_PORT = re.compile(r"[1-9][0-9]{0,4}")


class HostRuleError(ValueError):
    """The entry cannot be used: a sentence."""


@dataclass(frozen=True, slots=True)
class HostRule:
    """`name`: in lower case, a leading dot for all below; `port`: None for the usual ones; `address`: where the name
    is, if that was written."""

    name: str
    port: int | None = None
    address: Address | None = None

    def matches(self, host: str, port: int) -> bool:
        """Whether this (normalised) host and port are meant."""
        named = host.endswith(self.name) and host != self.name if self.name.startswith(".") else host == self.name
        return named and (port in USUAL_PORTS if self.port is None else port == self.port)

    @property
    def raw(self) -> bool:
        """Whether what is spoken there need not be TLS."""
        return self.port not in (None, 443)


def parse_rule(text: str) -> HostRule:
    """The rule that is written here. Raises HostRuleError."""
    _refuse_strange(text)
    name, equals, where = text.lower().partition("=")
    host, port = _split_port(where if equals else name, text)
    address = parse_address(host)
    if equals and address is None:
        raise HostRuleError(f"The allowed host {text!r} names no address behind its `=`. Write it as NAME=ADDRESS.")
    if address is not None:
        _check_address(address, host, text)
    if not equals:
        return HostRule(host if address is not None else _name(host, text), port, address)
    if name.startswith(".") or parse_address(name) is not None:
        raise HostRuleError(f"The allowed host {text!r} places something other than one name at an address.")
    return HostRule(_name(name, text), port, address)


def normal_host(text: str) -> str | None:
    """A host as a client names it, as rules are compared with it; None where it is no host."""
    if text.startswith("[") and text.endswith("]"):
        address = parse_address(text[1:-1])
        return str(address) if address is not None and ":" in text and "%" not in text else None
    lowered = text.lower().removesuffix(".")
    return lowered if _is_name(lowered) or (parse_address(lowered) is not None and ":" not in lowered) else None


def _refuse_strange(text: str) -> None:
    if not text or len(text) > MAX_NAME + 60:
        raise HostRuleError(f"The allowed host {text[:40]!r} is empty or too long. Write it like api.example.com.")
    if not text.isascii():
        raise HostRuleError(f"The allowed host {text!a} is not ASCII. Write its xn-- form{_ascii_form(text)}.")
    if "*" in text:
        raise HostRuleError(
            f"The allowed host {text!r} has a wildcard, which could take in more than was meant. "
            "Write .example.com, with a leading dot, for all names below example.com."
        )
    if "://" in text:
        raise HostRuleError(f"The allowed host {text!r} is a URL. Write the host alone, and :PORT where it is needed.")
    if "/" in text:
        raise HostRuleError(f"The allowed host {text!r} is a network or has a path. Write each host by itself.")


def _ascii_form(text: str) -> str:
    try:
        return f": {text.encode('idna').decode('ascii')}"
    except UnicodeError:
        return ""


def _split_port(text: str, whole: str) -> tuple[str, int | None]:
    """The host without brackets, and the port where one is written."""
    if text.count(":") > 1 and not text.startswith("["):
        if parse_address(text) is not None:
            return text, None
        raise HostRuleError(f"The allowed host {whole!r} cannot be read. Write an IPv6 address as [ADDRESS]:PORT.")
    host, colon, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    if not colon:
        host = host or text
    elif not _PORT.fullmatch(port) or int(port) > 65535:
        raise HostRuleError(f"The allowed host {whole!r} has no proper port. Ports are 1 to 65535.")
    if host.startswith("["):
        host = host[1:].removesuffix("]")
        if ":" not in host or parse_address(host) is None:
            raise HostRuleError(f"The allowed host {whole!r} has brackets around what is no IPv6 address.")
    return host, int(port) if colon else None


def _check_address(address: Address, written: str, whole: str) -> None:
    # Python 3.13 began to write ::ffff:7f00:1 as ::ffff:127.0.0.1; what it stands for has one form in all of them.
    plain = inner_of(address) if address.version == 6 and address in MAPPED else address
    if str(plain) != written:
        raise HostRuleError(f"The allowed host {whole!r} writes an address in an unusual way. Write {plain}.")
    kind = kind_of(address)
    if kind.name and not kind.nameable:
        raise HostRuleError(f"The allowed host {whole!r} cannot be allowed: its address is {kind.name}.")


def _name(name: str, whole: str) -> str:
    bare = name.removeprefix(".")
    if not _is_name(bare):
        raise HostRuleError(
            f"The allowed host {whole!r} is neither a name nor an address. Write it like api.example.com."
        )
    if name.startswith(".") and "." not in bare:
        raise HostRuleError(
            f"The allowed host {whole!r} would allow everybody who can get a name below {bare!r}. Name a domain below."
        )
    if bare == "localhost" or bare.endswith(".localhost"):
        raise HostRuleError(f"The allowed host {whole!r} is this machine. Write its address: 127.0.0.1:PORT.")
    return name


def _is_name(name: str) -> bool:
    """Not one that a resolver would take for a number: 2130706433 and 0x7f.1 are 127.0.0.1 to it."""
    labels = name.split(".")
    numeric = labels[-1].isdigit() or labels[-1].startswith("0x")
    return len(name) <= MAX_NAME and not numeric and all(_LABEL.fullmatch(label) for label in labels)
