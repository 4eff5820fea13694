from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.messages import Bind
from supervisor.agents.adapters import adapter, names
from supervisor.agents.agents import argv_of, check_agent, located, resolve, settled
from supervisor.config import Config
from supervisor.errors import InvalidError
from supervisor.models import CronJob
from tests.fakes import make_job
from tests.madeup import ADAPTER, NAME, adapters, programs

CONFIG = Config()


def command(line: str, **fields: Any) -> CronJob:
    return make_job(agent="command", command=line, **fields)


def program(path: Path, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


def refusal(job: CronJob, config: Config = CONFIG) -> str:
    with pytest.raises(InvalidError) as refused:
        resolve(job, config)
    return str(refused.value)


# ---- any command


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("true", ["true"]),
        ("sh -c 'echo $HOME | cat > x'", ["sh", "-c", "echo $HOME | cat > x"]),
        ('cat "a b" c\\ d', ["cat", "a b", "c d"]),
        ("echo * ~ # $(id)", ["echo", "*", "~", "#", "$(id)"]),
    ],
)
def test_a_command_is_split_as_a_shell_would_and_run_without_one(line: str, words: list[str]) -> None:
    assert argv_of(command(line)) == words
    assert resolve(command(line), CONFIG).argv == tuple(words)


@pytest.mark.parametrize("line", ["", "   ", "''", "'' a"])
def test_a_command_without_a_program_is_refused(line: str) -> None:
    assert "needs a command" in refusal(command(line))


def test_a_program_of_the_system_needs_nothing_to_be_shown() -> None:
    for line in ("true", "/usr/bin/env", "/bin/sh -c x"):
        assert resolve(command(line), CONFIG).binds == ()


def test_a_program_elsewhere_is_shown_alone_and_read_only(tmp_path: Path) -> None:
    real = program(tmp_path / "real" / "tool")
    (tmp_path / "bin").mkdir()
    link = tmp_path / "bin" / "tool"
    link.symlink_to(real)
    found = resolve(command(f"{link} --fast"), CONFIG)
    assert (found.argv, found.binds) == ((str(link), "--fast"), (Bind(source=str(real), target=str(real)),))
    assert found.links == {str(link): str(real)}
    assert found.program is not None
    assert (found.program.path, found.program.size) == (str(real), 10)


def test_a_program_that_the_agent_could_change_is_refused(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "tool")
    tmp_path.chmod(0o757)
    for line in ("./bin/tool", "bin/tool", f"{tmp_path}/bin/tool", f"{tmp_path}/../{tmp_path.name}/bin/tool"):
        assert f"because it may write '{tmp_path}'" in refusal(command(line, work_dir=str(tmp_path)))


def test_dots_do_not_make_a_path_look_like_another(tmp_path: Path) -> None:
    real = program(tmp_path / "tool")
    up = "../" * (len(Path("/usr/bin").parts) - 1)
    shown = (Bind(source=str(real), target=str(real)),)
    assert resolve(command(f"/usr/bin/{up}{str(real)[1:]}"), CONFIG).binds == shown
    (tmp_path / "work").mkdir(mode=0o755)
    assert resolve(command("../tool", work_dir=str(tmp_path / "work")), CONFIG).binds == shown


def test_what_cannot_be_executed_is_refused(tmp_path: Path) -> None:
    assert "not an executable" in refusal(command(str(program(tmp_path / "plain", 0o644))))
    assert "not an executable" in refusal(command(str(tmp_path)))
    assert "not an executable" in refusal(command(str(tmp_path / "missing")))


def test_a_program_is_looked_for_where_its_owner_does(tmp_path: Path) -> None:
    program(tmp_path / "a" / "only-here")
    program(tmp_path / "b" / "only-here")
    job = settled(command("only-here", search_path=f".::relative:{tmp_path}/none:{tmp_path}/b/:{tmp_path}/a"))
    assert job.search_path == f"{tmp_path}/none:{tmp_path}/b:{tmp_path}/a"
    assert resolve(job, CONFIG).argv == (f"{tmp_path}/b/only-here",)
    assert "is not in /usr/local/bin" in refusal(command("only-here"))


def test_a_command_may_answer_nothing() -> None:
    assert not resolve(command("true"), CONFIG).require_answer


# ---- which agent


def test_an_unknown_agent_is_refused_with_those_there_are() -> None:
    assert f"use one of: {', '.join(names())}." in refusal(make_job(agent="gpt"))
    assert "Did you mean `claude`?" in refusal(make_job(agent="cloude"))


def test_a_command_for_another_agent_is_refused() -> None:
    with pytest.raises(InvalidError, match="leave one of them out"):
        check_agent(make_job(command="true"))


# ---- one that an adapter declares


@pytest.fixture
def parrot(tmp_path: Path) -> Callable[..., CronJob]:
    """A job of an agent that is known through its adapter alone."""
    adapters(tmp_path / "agents")
    found = str(programs(tmp_path / "bin"))

    def made(**fields: Any) -> CronJob:
        return make_job(**{"agent": NAME, "search_path": found, **fields})

    return made


def own(tmp_path: Path) -> Config:
    return Config(agents_dir=str(tmp_path / "agents"))


def test_an_agent_is_what_its_adapter_says(parrot: Callable[..., CronJob], tmp_path: Path) -> None:
    found = resolve(parrot(model="big"), own(tmp_path))
    path = str(tmp_path / "bin" / "parrot")
    assert (found.name, found.argv) == (NAME, (path, "--json", "--model", "big"))
    assert found.env["PARROT_MOOD"] == "cheerful"
    assert "PARROT_AT" not in found.env
    assert found.env["PATH"].startswith(f"{tmp_path}/bin:")
    assert found.files == {"/home/agent/.parrot/perch": "on big"}
    assert [bind.source for bind in found.binds] == [path]
    assert found.program is not None
    assert (found.program.path, found.require_answer) == (path, True)
    assert found.reading is not None
    assert found.reading.blame[0].words == "cage is closed"


def test_its_program_is_looked_up_and_recorded_when_the_job_is_added(
    parrot: Callable[..., CronJob], tmp_path: Path
) -> None:
    job = settled(parrot(), str(tmp_path / "agents"))
    assert job.program is not None
    assert job.program.real == str(tmp_path / "bin" / "parrot")
    assert settled(job.model_copy(update={"agent": "command", "command": "/bin/true"})).program != job.program


def test_one_that_is_not_installed_is_told_of_with_the_command_that_installs_it(
    parrot: Callable[..., CronJob], tmp_path: Path
) -> None:
    said = refusal(parrot(search_path="/nowhere"), own(tmp_path))
    assert said.startswith("a parrot is not installed here: ")
    assert said.endswith("To install it: fetch-a-parrot")
    # What is there and cannot be used is another matter.
    (tmp_path / "bin" / "parrot").chmod(0o757)
    assert "can be changed by every user" in refusal(parrot(), own(tmp_path))
    assert "To install" not in refusal(command("no-such-program"))


def test_a_model_is_checked_as_far_as_its_agent_can_be_told_of_one(
    parrot: Callable[..., CronJob], tmp_path: Path
) -> None:
    folder = tmp_path / "agents"
    for model in ("", "opus", "claude-opus-4-5[1m]", "openai/gpt-5", "us.anthropic.x:0", "a@b+c"):
        check_agent(parrot(model=model), str(folder))
    for model in ("--dangerous", "a b", 'a"b', "a{b}", "a\nb", "/full/path", "x" * 201, "ä"):
        assert "is no name of one" in refusal(parrot(model=model), own(tmp_path)), model
    with pytest.raises(InvalidError, match="has no model of its own choice"):
        check_agent(make_job(agent="opencode"))
    adapters(folder, ADAPTER.replace('["--model", "{model}"], ', "").replace('"on {model}"', '"on"'))
    assert "cannot be told of one; leave it out" in refusal(parrot(model="big"), own(tmp_path))
    with pytest.raises(InvalidError, match="leave one of them out"):
        check_agent(parrot(command="true"), str(folder))


def test_where_its_program_is_here_can_be_asked_without_a_job(parrot: Callable[..., CronJob], tmp_path: Path) -> None:
    known = adapter(NAME, str(tmp_path / "agents"))
    assert located(known, f"/nowhere:{tmp_path}/bin").real == str(tmp_path / "bin" / "parrot")
    with pytest.raises(InvalidError, match="fetch-a-parrot"):
        located(known, "/nowhere")


# ---- the embedded one


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed engine, as far as that can be seen without importing it."""
    site = tmp_path / "site"
    (site / "xllamacpp").mkdir(parents=True)
    (site / "xllamacpp" / "__init__.py").write_text("raise SystemError('imported')")
    monkeypatch.syspath_prepend(site)
    return site


def test_the_embedded_agent_shows_its_engine_its_weights_and_nothing_else(engine: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    model.touch()
    found = resolve(make_job(), Config(model_path=str(model)))
    targets = {bind.target: bind.source for bind in found.binds}
    assert targets.pop("/run/agent/local.py").endswith("/runner/agents/local.py")
    assert targets == {
        "/run/agent/model.gguf": str(model),
        "/run/agent/engine/xllamacpp": str(engine / "xllamacpp"),
    }
    assert not any(bind.writable for bind in found.binds)
    assert found.argv[:3] == (os.path.realpath(sys.executable), "-I", "-S")
    assert (found.require_answer, found.files) == (True, {})
    assert found.reading is not None
    assert [blame.codes for blame in found.reading.blame] == [(78,)], "what is missing is not tried again"


def test_a_schema_constrains_the_embedded_agent(engine: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    model.touch()
    found = resolve(make_job(output_format="structured", output_schema="{}", model=str(model)), CONFIG)
    assert found.files == {"/run/agent/schema.json": "{}"}
    assert found.argv[-2:] == ("--schema-file", "/run/agent/schema.json")


def test_weights_that_are_not_there_are_named(engine: Path, tmp_path: Path) -> None:
    assert "not a file" in refusal(make_job(model=str(tmp_path / "no.gguf")))
    assert "not a file" in refusal(make_job(model="relative.gguf"))
    assert "not a file" in refusal(make_job(), Config(model_path=str(tmp_path)))


def test_a_user_without_a_home_is_told_what_to_set(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 3_999_999_999)
    assert "set HOME" in refusal(make_job())


def test_without_the_engine_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    assert "extra `local`" in refusal(make_job())


def test_a_program_of_a_work_directory_that_is_only_read_is_found_wherever_the_agent_starts(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "tool")
    tmp_path.chmod(0o555)
    found = resolve(command("./bin/tool --all", work_dir=str(tmp_path)), CONFIG)
    tmp_path.chmod(0o755)
    assert found.argv == (str(tmp_path / "bin" / "tool"), "--all")
    assert resolve(command("env ./bin/tool"), CONFIG).argv == ("env", "./bin/tool")
