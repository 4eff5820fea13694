"""Programs out of a home that nobody else may enter: they run, and of that home nothing else is there."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from supervisor.agents import agents
from supervisor.config import Config
from supervisor.errors import InvalidError
from supervisor.models import CronJob
from tests import installs
from tests.driver import execute, request
from tests.fakes import make_job
from tests.house import house
from tests.lacks import need

pytestmark = need("cell")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = installs.a_home(tmp_path)
    monkeypatch.setenv("HOME", str(made))
    return made


def settled(command: str, *search: Path, **fields: object) -> CronJob:
    path = ":".join([*map(str, search), "/usr/bin", "/bin"])
    return agents.settled(make_job(agent="command", command=command, search_path=path, **fields))


def answer(log_dir: Path, job: CronJob) -> str:
    """What it printed. Whatever else, the canaries of the home are not in it."""
    spec = agents.resolve(job, Config())
    result = execute(replace(request(log_dir, "true", work_dir=job.work_dir or None), agent=spec))
    told = (log_dir / "stderr").read_text()
    assert result["reason"] == "ok", (result, told)
    assert "canary" not in result["response"] + told
    return str(result["response"])


def below(home: Path, listing: list[str]) -> set[str]:
    """The files and links that `find` saw, without the directories that were only made to hold them."""
    found = {line.removeprefix(f"{home}/") for line in listing if line.startswith(f"{home}/")}
    return {path for path in found if not any(other.startswith(f"{path}/") for other in found)}


def test_a_binary_behind_a_link_runs_and_is_all_that_is_there(log_dir: Path, home: Path) -> None:
    installs.native(home)
    job = settled(f"claude {home}", home / ".local" / "bin")
    assert below(home, answer(log_dir, job).splitlines()) == {".local/bin/claude", ".local/share/claude/versions/1.0.2"}


def test_a_package_of_npm_is_shown_with_the_node_beside_it(log_dir: Path, home: Path) -> None:
    tool = installs.nvm(home, f'find {home}; echo "$PATH"; cat {home}/.ssh/id {home}/.local/share/notes/secret; true')
    *listing, path = answer(log_dir, settled("tool --now", tool.parent)).splitlines()
    version = ".nvm/versions/node/v20.1.0"
    assert below(home, listing) == {
        f"{version}/bin/node",
        f"{version}/bin/tool",
        f"{version}/lib/node_modules/@acme/tool/cli.js",
    }
    assert path == f"{tool.parent}:/usr/local/bin:/usr/bin:/bin"


@need("node")
def test_a_real_node_finds_what_lies_beside_the_script_that_a_link_leads_to(log_dir: Path, home: Path) -> None:
    node = Path(shutil.which("node", path="/usr/local/bin:/usr/bin:/bin") or "/usr/bin/node")
    tool = installs.nvm(home, "console.log(require('./said.js') + process.execPath)", node)
    (tool.resolve().parent / "said.js").write_text("module.exports = 'by '\n")
    assert answer(log_dir, settled("tool", tool.parent)) == f"by {tool.parent}/node\n"


def test_an_environment_of_the_systems_python_has_its_packages(log_dir: Path, home: Path) -> None:
    text = "import os, verbs; print(verbs.SAID, flush=True); os.execlp('find', 'find', os.environ['SEEN'])"
    prefix = home / ".local" / "share" / "pipx" / "venvs" / "tool"
    installs.environment(prefix, installs.PYTHON, text.replace("os.environ['SEEN']", repr(str(home))))
    installs.link(home / ".local" / "bin" / "tool", prefix / "bin" / "tool")
    said, *listing = answer(log_dir, settled("tool", home / ".local" / "bin")).splitlines()
    assert said == "verbs of its own"
    outside = {path for path in below(home, listing) if not path.startswith(".local/share/pipx/venvs/tool/")}
    assert outside == {".local/bin/tool"}


@pytest.mark.parametrize("through", ["itself", "an environment"])
def test_a_python_of_ones_own_comes_with_its_library(log_dir: Path, home: Path, through: str) -> None:
    python = installs.pyenv(home)
    text = f"import json, os\n%s\nprint(SAID, flush=True)\nos.execlp('find', 'find', '{home}', '-maxdepth', '4')"
    if through == "itself":
        tool = installs.script(python.parent / "tool", text % "from words import SAID", str(python))
    else:
        prefix = home / "code" / "app" / ".venv"
        tool = installs.environment(prefix, python, text % "from verbs import SAID")
        (home / "code" / "app" / ".env").write_text("canary of an app")
    said, *listing = answer(log_dir, settled(str(tool))).splitlines()
    assert said.endswith("of its own")
    whole = (".pyenv/versions/", *([] if through == "itself" else ["code/app/.venv/"]))
    assert {path for path in below(home, listing) if not path.startswith(whole)} == set()


def test_the_interpreter_that_runs_cronward_can_be_an_agents_too(log_dir: Path, home: Path) -> None:
    """Its site-packages are hidden from every other cell; here they are what the agent is made of."""
    base = Path(sys.base_prefix).resolve()
    python = base / "bin" / f"python3.{sys.version_info[1]}"
    tool = installs.script(home / "bin" / "tool", "import json, sys; print(json.dumps(sys.prefix))", str(python))
    assert answer(log_dir, settled(str(tool))) == f'"{sys.base_prefix}"\n'


def test_a_library_that_a_binary_brings_along_is_shown(log_dir: Path, home: Path) -> None:
    cc = shutil.which("cc")
    if cc is None:
        pytest.skip("compiler: cc is not installed.")
    source = home / "source"
    source.mkdir()
    (source / "said.c").write_text('const char *said(void) { return "by its own library"; }\n')
    (source / "main.c").write_text(
        "#include <stdio.h>\nconst char *said(void);\nint main(void) { puts(said()); return 0; }"
    )
    app = home / "apps" / "reader"
    for made in (app / "bin", app / "lib"):
        made.mkdir(parents=True)
    os.spawnl(
        os.P_WAIT,
        *(cc, cc, "-shared", "-fPIC", "-Wl,-soname,libsaid.so.1"),
        *("-o", f"{app}/lib/libsaid.so.1.2", f"{source}/said.c"),
    )
    installs.link(app / "lib" / "libsaid.so.1", "libsaid.so.1.2")
    os.spawnl(
        os.P_WAIT,
        *(cc, cc, "-o", f"{app}/bin/reader", f"{source}/main.c", f"{app}/lib/libsaid.so.1.2"),
        *("-Wl,-rpath,$ORIGIN/../lib",),
    )
    job = settled(f"{app}/bin/reader")
    assert answer(log_dir, job) == "by its own library\n"
    assert job.program is not None
    assert job.program.shown == (f"{app}/bin/reader", f"{app}/lib/libsaid.so.1.2")


def test_nothing_that_is_shown_can_be_changed(log_dir: Path, home: Path) -> None:
    tries = 'echo x >> "$0"; rm -f "$0"; mv "$0" "$0.x"; chmod 777 "$0"; touch "${0%/*}/new"; ls "${0%/*}"'
    tool = installs.nvm(home, f'{{ {tries}; }} 2>/dev/null; [ ! -w "$0" ] && echo read-only')
    package = tool.resolve().parent
    before = tool.read_bytes(), sorted(home.rglob("*"))
    assert answer(log_dir, settled(str(package / "cli.js"), tool.parent)) == "cli.js\nread-only\n"
    assert (tool.read_bytes(), sorted(home.rglob("*"))) == before


def test_one_in_a_writable_work_directory_is_refused_before_each_attempt_too(home: Path, work_dir: Path) -> None:
    tool = installs.script(home / "bin" / "tool", "true")
    job = settled(f"{home}/bin/tool", work_dir=str(work_dir))
    tool.unlink()
    installs.link(tool, installs.script(work_dir / "tool", "true"))
    with pytest.raises(InvalidError, match="which the agent could change"):
        agents.resolve(job, Config())


def test_a_supervisor_follows_an_update_and_refuses_what_is_gone(tmp_path: Path, home: Path) -> None:
    echo = "/usr/bin/echo"
    tool = installs.native(home, "1.0.0", echo)
    with house(tmp_path, HOME=str(home), PATH="/usr/bin:/bin") as made:
        made.start()  # as an init system would: where its owner's programs lie is for the command to say
        made.environ["PATH"] = f"{tool.parent}:{os.environ['PATH']}"
        when = ("--cron", "0 0 1 1 *", "--prompt", "hello", "--retries", "0")
        job = made.json("add", *when, "--command", "claude hello", "--name", "agent")
        assert job["program"]["links"] == {str(tool): "../share/claude/versions/1.0.0"}
        assert f"shown to it: {home}/.local/share/claude/versions/1.0.0" in made.cronward("show", "agent").stdout
        assert made.cronward("run", "agent", "--wait").stdout.startswith("hello")

        tool.unlink()
        installs.native(home, "1.0.1", echo)
        (home / ".local" / "share" / "claude" / "versions" / "1.0.0").unlink()
        assert made.cronward("run", "agent", "--wait").stdout.startswith("hello")

        tool.unlink()
        assert made.cronward("run", "agent", "--wait").returncode == 1
        first, second, third = made.ended(job["id"], 3)
        versions = [Path(run["program"]["path"]).name for run in (first, second)]
        assert versions == ["1.0.0", "1.0.1"]
        assert (third["reason"], "'claude' is not in" in third["error"]) == ("bad_definition", True)

        elsewhere = installs.link(home / "bin" / "claude", home / ".local" / "share" / "claude" / "versions" / "1.0.1")
        made.environ["PATH"] = f"{elsewhere.parent}:{os.environ['PATH']}"
        assert made.json("edit", "agent", "--refresh-program")["program"]["path"] == str(elsewhere)
        assert made.cronward("run", "agent", "--wait").stdout.startswith("hello")
