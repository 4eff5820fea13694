"""What may stand in a list of allowed hosts, and what it then means."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.hostrule import HostRule, HostRuleError, normal_host, parse_rule

GOOD = [
    ("api.example.com", HostRule("api.example.com")),
    ("API.Example.com:8443", HostRule("api.example.com", 8443)),
    (".example.com", HostRule(".example.com")),
    (".example.com:22", HostRule(".example.com", 22)),
    ("intranet", HostRule("intranet")),
    ("127.0.0.1:9000", HostRule("127.0.0.1", 9000, ip_address("127.0.0.1"))),
    ("10.0.0.1", HostRule("10.0.0.1", None, ip_address("10.0.0.1"))),
    ("[fd00::5]:22", HostRule("fd00::5", 22, ip_address("fd00::5"))),
    ("::1", HostRule("::1", None, ip_address("::1"))),
    ("[::1]", HostRule("::1", None, ip_address("::1"))),
    ("gitlab.corp=10.1.2.3", HostRule("gitlab.corp", None, ip_address("10.1.2.3"))),
    ("gitlab.corp=[fd00::5]:8443", HostRule("gitlab.corp", 8443, ip_address("fd00::5"))),
]
BAD = [
    ("", "empty"),
    ("*.com", "wildcard"),
    ("api.*", "wildcard"),
    (".com", "everybody"),
    (".", "neither"),
    ("https://api.example.com", "URL"),
    ("api.example.com/v1", "network or has a path"),
    ("10.0.0.0/8", "network"),
    ("bücher.example", "xn--bcher-kva.example"),
    ("localhost", "127.0.0.1:PORT"),
    ("a.localhost:80", "127.0.0.1:PORT"),
    ("api.example.com:0", "1 to 65535"),
    ("api.example.com:65536", "1 to 65535"),
    ("api.example.com:080", "1 to 65535"),
    ("api.example.com:", "1 to 65535"),
    ("api.example.com:+80", "1 to 65535"),
    ("127.1", "neither"),
    ("2130706433", "neither"),
    ("0x7f.0x1", "neither"),
    ("0177.0.0.1", "neither"),
    ("[::FFFF:1:1]:80x", "1 to 65535"),
    ("0:0:0:0:0:0:0:1", "unusual way"),
    ("[1.2.3.4]:80", "brackets"),
    ("::1:80:x", "IPv6"),
    ("169.254.169.254", "metadata"),
    ("[fd00:ec2::254]:80", "metadata"),
    ("meta.corp=169.254.169.254", "metadata"),
    ("224.0.0.1", "multicast"),
    ("0.0.0.0", "unspecified"),
    ("::ffff:127.0.0.1", "unusual way"),
    ("::ffff:7f00:1", r"unusual way\. Write 127\.0\.0\.1\."),
    ("gitlab.corp=other.corp", "no address"),
    ("gitlab.corp=", "no address"),
    (".corp.example=10.0.0.1", "other than one name"),
    ("10.0.0.1=10.0.0.2", "other than one name"),
    ("a b.example", "neither"),
    ("user@api.example.com", "neither"),
    ("-a.example", "neither"),
    ("a..example", "neither"),
    ("api.example.com.", "neither"),
    ("x" * 400, "too long"),
]


@pytest.mark.parametrize(("text", "rule"), GOOD)
def test_a_rule_is_read(text: str, rule: HostRule) -> None:
    assert parse_rule(text) == rule


@pytest.mark.parametrize(("text", "word"), BAD)
def test_what_is_no_rule_is_refused_with_the_reason(text: str, word: str) -> None:
    with pytest.raises(HostRuleError, match=word):
        parse_rule(text)


@given(st.text(max_size=40) | st.text("abz0129.:[]=*-_/@%x", max_size=20))
def test_any_text_is_a_rule_or_a_sentence(text: str) -> None:
    try:
        rule = parse_rule(text)
    except HostRuleError as error:
        sentence = str(error)
    else:
        sentence = "The allowed host"
        assert rule.name == rule.name.lower()
        assert rule.port is None or 0 < rule.port < 65536
    assert sentence.startswith("The allowed host")
    assert sentence.isascii()


@pytest.mark.parametrize(
    ("text", "host", "port", "matches"),
    [
        ("api.example.com", "api.example.com", 443, True),
        ("api.example.com", "api.example.com", 80, True),
        ("api.example.com", "api.example.com", 22, False),
        ("api.example.com", "xapi.example.com", 443, False),
        ("api.example.com", "api.example.com.evil.test", 443, False),
        (".example.com", "api.example.com", 443, True),
        (".example.com", "a.b.example.com", 443, True),
        (".example.com", "example.com", 443, False),
        (".example.com", "evilexample.com", 443, False),
        ("api.example.com:8443", "api.example.com", 8443, True),
        ("api.example.com:8443", "api.example.com", 443, False),
    ],
)
def test_a_rule_means_a_host_and_its_ports(text: str, host: str, port: int, matches: bool) -> None:
    assert parse_rule(text).matches(host, port) is matches


@pytest.mark.parametrize(("text", "raw"), [("a.example", False), ("a.example:443", False), ("a.example:22", True)])
def test_only_a_port_of_its_own_may_speak_other_than_tls(text: str, raw: bool) -> None:
    assert parse_rule(text).raw is raw


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("API.Example.COM", "api.example.com"),
        ("api.example.com.", "api.example.com"),
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]", "::1"),
        ("[0:0::1]", "::1"),
        ("::1", None),
        ("[fe80::1%eth0]", None),
        ("127.1", None),
        ("2130706433", None),
        ("a b", None),
        ("a@b", None),
        ("", None),
        ("a..b", None),
        ("ä.example", None),
    ],
)
def test_a_host_that_a_client_names_has_one_form(text: str, host: str | None) -> None:
    assert normal_host(text) == host
