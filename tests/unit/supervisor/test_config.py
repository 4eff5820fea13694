"""The settings: checked whole, wrong ones told in a sentence that names file, key and value."""

from __future__ import annotations

import os
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.messages import Limits
from supervisor.budgets.budget import Budget
from supervisor.config import FILE_BYTES, Config, ConfigError, config_dir, load_config, render_example
from supervisor.definitions.limits import JobLimits, Maxima
from supervisor.errors import InvalidError
from supervisor.models import JobType

ROOT = Path(__file__).parents[3]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def refused(file: Path, text: str | bytes, environ: dict[str, str] | None = None) -> str:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as error:
        load_config(file, environ or {})
    said = str(error.value)
    assert said.isprintable()
    assert len(said) < 1000
    return said


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    config = load_config(None, {"HOME": str(tmp_path)})
    assert config == Config(agents_dir=str(tmp_path / ".config" / "cronward" / "agents"))
    assert (config.max_concurrent, config.history, config.response_bytes, config.default_agent) == (
        4,
        100,
        4096,
        "local",
    )
    assert (config.grace_seconds, config.drain_seconds, config.setup_seconds) == (5.0, 30.0, 60.0)


@pytest.mark.parametrize(
    ("job_type", "memory", "processes", "at_once"),
    [
        (JobType.LIGHT, 1 << 30, 128, 0),
        (JobType.MEDIUM, 2 << 30, 512, 2),
        (JobType.RESOURCE_INTENSIVE, 4 << 30, 2048, 1),
    ],
)
def test_each_type_of_job_has_limits_of_its_own(job_type: JobType, memory: int, processes: int, at_once: int) -> None:
    of_type = Config().of_type(job_type)
    assert (of_type.memory, of_type.processes, of_type.at_once) == (memory, processes, at_once)


def test_the_limits_of_an_attempt_are_those_of_its_type_and_the_settings() -> None:
    config = Config.model_validate(
        {"grace_seconds": 1, "setup_seconds": 2, "limits": {"medium": {"memory": "3GiB", "cpu_seconds": 9}}}
    )
    assert config.limits_for(JobType.MEDIUM, 60.0) == Limits(
        memory_bytes=3 << 30,
        processes=512,
        open_files=1024,
        file_bytes=1 << 30,
        tmp_bytes=256 << 20,
        output_bytes=64 << 20,
        cpu_seconds=9,
        wall_seconds=60.0,
        setup_seconds=2.0,
        grace_seconds=1.0,
        disk_bytes=16 << 30,
        disk_floor_bytes=512 << 20,
    )
    assert config.limits_for(JobType.LIGHT, 60.0).cpu_seconds is None


def test_a_job_may_say_otherwise_how_long_it_may_be_silent() -> None:
    config = Config.model_validate({"limits": {"light": {"idle_seconds": 600, "cpu_percent": 50}}})
    assert config.limits_for(JobType.LIGHT, 60.0).idle_seconds == 600
    assert config.limits_for(JobType.LIGHT, 60.0, 5).idle_seconds == 5
    assert config.limits_for(JobType.LIGHT, 60.0, 0).idle_seconds is None
    assert config.limits_for(JobType.MEDIUM, 60.0).idle_seconds is None
    assert config.limits_for(JobType.LIGHT, 60.0).cpu_percent == 50


def test_the_example_is_what_the_model_says() -> None:
    assert (ROOT / "config.example.toml").read_text() == render_example()


def test_the_example_sets_every_setting_to_its_default(file: Path) -> None:
    file.write_text(render_example())
    assert load_config(file, {"HOME": "/ada"}) == Config(agents_dir="/ada/.config/cronward/agents")
    said = tomllib.loads(render_example())
    assert set(said) == set(Config.model_fields)
    assert set(said["limits"]) == {job_type.value for job_type in JobType}
    assert all(set(table) == set(type(Config().limits.light).model_fields) for table in said["limits"].values())


def test_every_setting_says_what_it_means() -> None:
    tables = (Config, JobLimits, Maxima, Budget)
    described = [item for table in tables for item in table.model_fields.items()]
    assert [name for name, field in described if not field.description] == ["limits", "maxima", "budget"]


def test_one_setting_in_the_file_leaves_the_others(file: Path) -> None:
    file.write_text('history = 7\n[limits.medium]\nmemory = "1.5GiB"\n')
    config = load_config(file, {})
    assert (config.history, config.max_concurrent) == (7, 4)
    assert (config.limits.medium.memory, config.limits.medium.processes, config.limits.medium.at_once) == (
        3 << 29,
        512,
        2,
    )


@pytest.mark.parametrize("number", [0, -1, -(2**70)])
def test_no_runs_at_once_means_four(file: Path, number: int) -> None:
    file.write_text(f"max_concurrent = {number}")
    assert load_config(file, {}).max_concurrent == 4


def test_a_variable_rules_over_the_file(file: Path) -> None:
    file.write_text("max_concurrent = 2\nhistory = 5\nnetwork_home = false")
    environ = {
        "CRONWARD_MAX_CONCURRENT": "8",
        "CRONWARD_NETWORK_HOME": "true",
        "CRONWARD_HOME": "/x",
        "CRONWARD_Q": "1",
    }
    config = load_config(file, environ)
    assert (config.max_concurrent, config.history, config.network_home) == (8, 5, True)


def test_a_variable_is_checked_as_a_setting_is() -> None:
    with pytest.raises(ConfigError, match=r"CRONWARD_HISTORY: `history` .* not 'x7'"):
        load_config(None, {"HOME": "/nowhere", "CRONWARD_HISTORY": "x7"})
    with pytest.raises(ConfigError, match="greater than or equal to 1"):
        load_config(None, {"HOME": "/nowhere", "CRONWARD_HISTORY": "0"})


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"XDG_CONFIG_HOME": "/c", "HOME": "/h"}, "/c/cronward"),
        ({"XDG_CONFIG_HOME": "c", "HOME": "/h"}, "/h/.config/cronward"),
        ({"HOME": "/h"}, "/h/.config/cronward"),
    ],
)
def test_the_file_lies_where_the_desktop_rules_say(environ: dict[str, str], expected: str) -> None:
    assert config_dir(environ) == Path(expected)


def test_the_file_is_the_one_named_nearest(tmp_path: Path) -> None:
    for number, name in enumerate(["one.toml", "two.toml", "cronward/config.toml"]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"history = {number + 1}")
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "CRONWARD_CONFIG": str(tmp_path / "two.toml")}
    assert load_config(tmp_path / "one.toml", environ).history == 1
    assert load_config(None, environ).history == 2
    assert load_config(None, {"XDG_CONFIG_HOME": str(tmp_path)}).history == 3


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    missing = tmp_path / "no.toml"
    with pytest.raises(ConfigError, match=r"There is no configuration file .*no\.toml"):
        load_config(missing, {})
    with pytest.raises(ConfigError, match="There is no"):
        load_config(None, {"CRONWARD_CONFIG": str(missing)})


def test_the_file_may_be_a_link(tmp_path: Path, file: Path) -> None:
    (tmp_path / "dotfiles.toml").write_text("history = 3")
    file.symlink_to(tmp_path / "dotfiles.toml")
    assert load_config(file, {}).history == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max_concurent = 3", "there is no key 'max_concurent'. Did you mean `max_concurrent`?"),
        ("[limits.light]\nmemroy = 3", "there is no key 'limits.light.memroy'. Did you mean `memory`?"),
        ("[budget.week]\nruns = 3", "there is no key 'budget.week'. Known: day, month."),
        (
            "[notify.targets.phone]\nurll = 'https://x.org'",
            "there is no key 'notify.targets.phone.urll'. Did you mean `url`?",
        ),
        ("[limits.lite]\nmemory = 3", "there is no key 'limits.lite'. Did you mean `light`?"),
        ("[limits.resource_intensive]\nmemory=1", "Did you mean `resource-intensive`?"),
        ('max_concurrent = "4"', "`max_concurrent` should be a valid integer, not '4'."),
        ("max_concurrent = true", "`max_concurrent` should be a valid integer, not True."),
        ("max_concurrent = 1.5", "`max_concurrent` should be a valid integer, not 1.5."),
        ("max_concurrent = 99999999999999999999", "less than or equal to 1024, not 99999999999999999999."),
        ("history = 0", "`history` should be greater than or equal to 1, not 0."),
        ("drain_seconds = -1", "`drain_seconds` should be greater than or equal to 0, not -1."),
        ("grace_seconds = nan", "`grace_seconds` should be a finite number, not nan."),
        ("grace_seconds = inf", "`grace_seconds` should be"),
        ("setup_seconds = 0", "`setup_seconds` should be greater than 0, not 0."),
        ('network_home = "no"', "`network_home` should be a valid boolean, not 'no'."),
        ('bwrap = "bwrap"', "`bwrap` should be an absolute path, not 'bwrap'."),
        ('default_agent = "../x"', "`default_agent` should match"),
        ('[limits.light]\nmemory = "3 gigs"', "`limits.light.memory` should be a size such as 512MiB"),
        ("[limits.light]\nmemory = 0", "`limits.light.memory` should be greater than or equal to 1, not 0."),
        ("[limits.light]\nmemory = true", "`limits.light.memory` should be a valid integer, not True."),
        ("limits = 3", "`limits` should be a group of keys, not 3."),
        ("uid_base = 4294967000", "uid_base + uid_count must not pass 4294967294."),
        ("a = [[[[", "is not TOML"),
        ("a = " + "[" * 9000, "nested too deeply"),
        ("a = " + "9" * 5000, "a number of thousands of digits"),
        ("history = 0x" + "9" * 5000, "bits"),
        ('"\\u001b[31m" = 3', "there is no key '\\x1b[31m'."),
        ("history = 1\nhistory = 2", "is not TOML"),
    ],
)
def test_a_wrong_setting_is_a_sentence_that_names_file_key_and_value(file: Path, text: str, expected: str) -> None:
    said = refused(file, text)
    assert expected in said
    assert str(file) in said


def test_a_wrong_setting_is_the_callers_mistake() -> None:
    assert issubclass(ConfigError, InvalidError)
    assert ConfigError.exit_code == 2


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_whatever_is_in_the_file_it_is_settings_or_a_sentence(text: str | bytes) -> None:
    said = ""
    with tempfile.NamedTemporaryFile() as file:
        file.write(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
        file.flush()
        try:
            load_config(Path(file.name), {})
        except ConfigError as error:
            said = str(error)
    assert said.isprintable()


def test_what_is_no_text_file_is_a_sentence(file: Path) -> None:
    assert "not UTF-8 (at byte 4)" in refused(file, b"# ab\xff")
    assert f"more than the {FILE_BYTES} bytes" in refused(file, b"#" * (FILE_BYTES + 1))


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.mkdir(), lambda path: path.symlink_to(path)])
def test_what_is_no_file_is_a_sentence(file: Path, make: Callable[[Path], object]) -> None:
    make(file)
    with pytest.raises(ConfigError, match=r"config\.toml"):
        load_config(file, {})


def test_a_file_that_others_can_write_is_refused(file: Path) -> None:
    file.write_text("history = 3")
    file.chmod(0o666)
    with pytest.raises(ConfigError, match="chmod go-w"):
        load_config(file, {})
    file.chmod(0o664)
    assert load_config(file, {}).history == 3
