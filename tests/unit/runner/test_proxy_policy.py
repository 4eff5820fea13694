"""May the agent talk to that host? Nothing here connects to anything."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.proxy.policy import Allow, Deny, Named, Policy, named, verdict
from shared.addresses import PUBLIC, kind_of
from shared.hostrule import HostRule, parse_rule

WORLD = "93.184.216.34"
OWN = frozenset({"198.41.0.4", "2606:4700::4", "10.9.9.9"})


def policy(*rules: str, public: bool = False) -> Policy:
    return Policy(public, tuple(parse_rule(rule) for rule in rules))


TABLE = [
    # host, port, addresses, rules, public; what becomes of it
    ("api.example.com", 443, [WORLD], ["api.example.com"], False, WORLD),
    ("other.example.com", 443, [WORLD], ["api.example.com"], False, "does not allow"),
    ("api.example.com", 8443, [WORLD], ["api.example.com"], False, "does not allow"),
    ("api.example.com", 443, ["127.0.0.1"], ["api.example.com"], False, "loopback"),
    ("api.example.com", 443, ["127.0.0.1"], ["api.example.com:443"], False, "loopback"),
    ("api.example.com", 443, ["10.0.0.1"], [".example.com"], False, "private"),
    ("api.example.com", 443, ["169.254.169.254"], ["api.example.com"], False, "metadata"),
    ("api.example.com", 443, ["::ffff:10.0.0.1"], ["api.example.com"], False, "private"),
    ("api.example.com", 443, ["fe80::1%eth0"], ["api.example.com"], False, "no plain address"),
    ("api.example.com", 443, ["gibberish"], ["api.example.com"], False, "no plain address"),
    ("api.example.com", 443, [], ["api.example.com"], False, "no address"),
    ("api.example.com", 443, ["198.41.0.4"], ["api.example.com"], False, "own address"),
    ("api.example.com", 443, ["::ffff:198.41.0.4"], ["api.example.com"], False, "own address"),
    ("api.example.com", 443, ["64:ff9b::c629:4"], ["api.example.com"], False, "own address"),
    ("api.example.com", 443, ["2606:4700::4"], ["api.example.com"], False, "own address"),
    ("api.example.com", 443, ["10.0.0.1", WORLD], ["api.example.com"], False, WORLD),
    ("10.0.0.1", 443, ["10.0.0.1"], ["10.0.0.1"], False, "10.0.0.1"),
    ("10.0.0.1", 443, ["10.0.0.2"], ["10.0.0.1"], False, "private"),
    ("127.0.0.1", 9000, ["127.0.0.1"], ["127.0.0.1:9000"], False, "127.0.0.1"),
    ("127.0.0.1", 9001, ["127.0.0.1"], ["127.0.0.1:9000"], False, "does not allow"),
    ("198.41.0.4", 443, ["198.41.0.4"], ["198.41.0.4"], False, "198.41.0.4"),
    ("gitlab.corp", 443, ["10.1.2.3"], ["gitlab.corp=10.1.2.3"], False, "10.1.2.3"),
    ("gitlab.corp", 443, ["10.1.2.4"], ["gitlab.corp=10.1.2.3"], False, "private"),
    ("any.example", 443, [WORLD], [], True, WORLD),
    ("any.example", 80, [WORLD], [], True, WORLD),
    ("any.example", 25, [WORLD], [], True, "does not name this port"),
    ("any.example", 25, [WORLD], ["any.example:25"], True, WORLD),
    ("any.example", 443, ["127.0.0.1"], [], True, "loopback"),
    ("any.example", 443, ["100.100.100.200"], [], True, "metadata"),
    ("any.example", 443, ["198.41.0.4"], [], True, "own address"),
    ("127.0.0.1", 443, ["127.0.0.1"], [], True, "loopback"),
    ("10.0.0.1", 443, ["10.0.0.1"], ["10.0.0.1"], True, "10.0.0.1"),
]


@pytest.mark.parametrize(("host", "port", "addresses", "rules", "public", "what"), TABLE)
def test_a_verdict(host: str, port: int, addresses: list[str], rules: list[str], public: bool, what: str) -> None:
    found = verdict(host, port, addresses, policy(*rules, public=public), OWN)
    if what in addresses:
        assert found == Allow((what,))
    else:
        assert isinstance(found, Deny)
        assert what in found.why


@given(
    st.lists(st.ip_addresses().map(str), max_size=6),
    st.lists(st.ip_addresses().map(str), max_size=3),
    st.booleans(),
)
def test_nothing_is_allowed_that_is_inside_or_our_own(addresses: list[str], own: list[str], public: bool) -> None:
    rules = policy("api.example.com", public=public)
    found = verdict("api.example.com", 443, [*addresses, *own], rules, own)
    if isinstance(found, Allow):
        for text in found.addresses:
            address = IPv6Address(text) if ":" in text else IPv4Address(text)
            assert kind_of(address) == PUBLIC
            assert text not in own


def test_a_name_is_judged_before_it_is_looked_up() -> None:
    assert isinstance(named("secret-in-a-name.evil.test", 443, policy("api.example.com")), Deny)


def test_a_placed_name_and_a_written_address_are_not_looked_up() -> None:
    assert named("gitlab.corp", 443, policy("gitlab.corp=10.1.2.3")) == Named(address=IPv4Address("10.1.2.3"))
    assert named("10.0.0.1", 443, policy("10.0.0.1")) == Named(address=IPv4Address("10.0.0.1"))
    assert named(WORLD, 443, policy(public=True)) == Named(address=IPv4Address(WORLD))


def test_what_one_rule_allows_another_does_not_take_back() -> None:
    assert named("a.example", 22, policy("a.example:443", "a.example:22")) == Named(raw=True)


@pytest.mark.parametrize("text", ["169.254.169.254", "fd00:ec2::254", "224.0.0.1", "0.0.0.0", "::ffff:127.0.0.1"])
def test_no_rule_however_it_came_about_names_what_leads_nowhere_good(text: str) -> None:
    rules = Policy(False, (HostRule("meta.corp", None, ip_address(text)),))
    assert isinstance(verdict("meta.corp", 443, [text], rules, OWN), Deny)
