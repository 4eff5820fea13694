"""Where each setting came from, and variables that set nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, Field

from supervisor.config import Config, ConfigError, Sources, read_sources
from supervisor.reports.origins import settings, unknown_variables


def shown(sources: Sources) -> dict[str, tuple[str, str, str]]:
    found = settings(sources.config({"HOME": "/ada"}), sources)
    return {each.key: (each.value, each.origin, each.at) for each in found}


def test_each_value_says_where_it_came_from(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('history = 5\nlog_days = 90\ndisk_floor = "1GiB"\n[limits.resource-intensive]\nmemory = "3GiB"\n')
    sources = read_sources(file, {"CRONWARD_HISTORY": "7", "CRONWARD_NETWORK_HOME": "true"})
    found = shown(sources)
    expected = {
        "history": ("7", "environment", "CRONWARD_HISTORY"),
        "network_home": ("true", "environment", "CRONWARD_NETWORK_HOME"),
        "log_days": ("90", "file", str(file)),  # said, though it is the default
        "disk_floor": ('"1GiB"', "file", str(file)),
        "limits.resource-intensive.memory": ('"3GiB"', "file", str(file)),
        "limits.resource-intensive.processes": ("2048", "default", ""),
        "limits.light.memory": ('"1GiB"', "default", ""),
        "agents_dir": ('"/ada/.config/cronward/agents"', "default", ""),
    }
    assert {key: found[key] for key in expected} == expected
    assert set(Config.model_fields) <= {key.partition(".")[0] for key in found}


def test_without_a_file_all_is_default_and_a_wrong_one_is_a_sentence(tmp_path: Path) -> None:
    sources = read_sources(None, {"HOME": str(tmp_path)})
    assert not sources.there
    assert {origin for _, origin, _ in shown(sources).values()} == {"default"}
    (tmp_path / "c.toml").write_text("histroy = 3")
    with pytest.raises(ConfigError, match="Did you mean `history`"):
        read_sources(tmp_path / "c.toml", {}).config({})


def test_an_address_is_shown_without_its_path(tmp_path: Path) -> None:
    class Target(BaseModel):
        url: str

    class Made(Config):
        limits: Target = Target(url="https://hooks.example.org/T0/secret")  # type: ignore[assignment]
        budget: dict[str, Target] = Field(default={"ops": Target(url="https://example.org")})  # type: ignore[assignment]

    sources = Sources(tmp_path, True, {"budget": {"ops": {"url": "x"}}}, {})
    found = {each.key: (each.value, each.origin) for each in settings(Made(), sources)}
    assert found["limits.url"] == ('"https://hooks.example.org/…"', "default")
    assert found["budget.ops.url"] == ('"https://example.org"', "file")


def test_a_variable_that_sets_nothing_is_named_with_the_nearest_that_does() -> None:
    ours = ("HOME", "CONFIG", "HISTORY", "RUN_ID", "SECRETS")
    assert unknown_variables({f"CRONWARD_{name}": "1" for name in ours} | {"HISTRY": "1"}) == []
    assert unknown_variables({"CRONWARD_LIMITS": "1"}) != []
    assert unknown_variables({"CRONWARD_HISTRY": "1", "CRONWARD_LIMITS_LIGHT_MEMORY": "1", "CRONWARD_QQQQQ": "1"}) == [
        "CRONWARD_HISTRY sets nothing. Did you mean CRONWARD_HISTORY?",
        "CRONWARD_LIMITS_LIGHT_MEMORY sets nothing: [limits] can be set in the file alone.",
        "CRONWARD_QQQQQ sets nothing.",
    ]
