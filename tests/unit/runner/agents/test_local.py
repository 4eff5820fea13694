from __future__ import annotations

import pytest

from runner.agents import local

CPUINFO = "processor\t: 0\nmodel name\t: any\nflags\t\t: fpu {flags} sse2\n\nprocessor\t: 1\n"


def test_a_cpu_with_all_flags_lacks_nothing() -> None:
    assert local.missing_cpu_flags(CPUINFO.format(flags="avx2 f16c fma"), "x86_64") == []


@pytest.mark.parametrize("flag", ["avx2", "f16c", "fma"])
def test_a_missing_instruction_set_is_named(flag: str) -> None:
    # fma4 and avx are other instruction sets.
    flags = " ".join({"avx2", "f16c", "fma", "fma4", "avx"} - {flag})
    assert local.missing_cpu_flags(CPUINFO.format(flags=flags), "x86_64") == [flag]


def test_the_wheel_of_another_architecture_asks_for_none_of_them() -> None:
    assert local.missing_cpu_flags(CPUINFO.format(flags=""), "aarch64") == []


def test_a_cpuinfo_without_flags_proves_nothing() -> None:
    assert local.missing_cpu_flags("processor\t: 0\n", "x86_64") == []


def test_a_text_cut_by_the_token_limit_is_an_answer_and_cut_json_is_none() -> None:
    choice = {"finish_reason": "length", "message": {"content": '{"a":'}}
    assert local.judge(choice, constrained=False) == '{"a":'
    with pytest.raises(local.LocalError, match="cut by the token limit"):
        local.judge(choice, constrained=True)


@pytest.mark.parametrize("content", ["", " \n", None])
def test_an_answer_without_words_is_none(content: str | None) -> None:
    with pytest.raises(local.LocalError, match="empty answer"):
        local.judge({"finish_reason": "stop", "message": {"content": content}}, constrained=False)
