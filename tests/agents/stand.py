"""A house in which the agents' own CLIs ask a provider of ours: what a test of theirs stands on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.driver import eventually
from tests.house import House, house
from tests.lacks import agents_folder
from tests.providers.scenario import INPUT_TOKENS, OUTPUT_TOKENS
from tests.providers.serving import Provider

FULL = os.environ.get("CRONWARD_TESTS") == "full"
AGENTS = ("claude", "codex", "gemini", "opencode", "llm")
# What the owner would have from the provider: a canary, because it must be nowhere afterwards.
KEY = "sk-stub-canary-5d1e"
VARIABLES = {
    "claude": "ANTHROPIC_API_KEY",
    "codex": "CODEX_API_KEY",
    "gemini": "GEMINI_API_KEY",
    "opencode": "OPENAI_API_KEY",
    "llm": "OPENAI_API_KEY",
}
MODELS = {"gemini": "gemini-2.5-flash", "opencode": "gateway/m", "llm": "gpt-4o-mini"}
"""For those that have to be told, or would ask their provider for a list."""
TYPES = {"gemini": "medium", "opencode": "medium"}
"""As docs/agents.md advises."""
# Each start of a CLI takes seconds where the machine is busy.
WITHIN = 280.0


@dataclass
class Stand:
    """`work`: the work directory of its jobs; what is written `outside` of it would be seen."""

    home: House
    provider: Provider
    work: Path
    outside: Path

    def add(self, agent: str, scenario: str, *lines: str, **draft: Any) -> dict[str, Any]:
        """Have the agent do what the scenario says, once and now; its job."""
        prompt = "\n".join((f"scenario: {scenario}", *lines))
        usual: dict[str, Any] = {
            "agent": agent,
            "command": "",
            "prompt": prompt,
            "work_dir": str(self.work),
            "model": MODELS.get(agent, ""),
            "secrets": (f"STUB_KEY={VARIABLES[agent]}",) if agent in VARIABLES else (),
            "type": TYPES.get(agent, "light"),
            "retries": 0,
            "timeout_secs": 240,
            "search_path": f"{agents_folder()}:/usr/local/bin:/usr/bin:/bin",
        }
        return self.home.run_now(**{**usual, **draft})

    def run(self, agent: str, scenario: str, *lines: str, **draft: Any) -> dict[str, Any]:
        """The same, to its end: its run."""
        job = self.add(agent, scenario, *lines, **draft)
        (run,) = self.home.ended(job["id"], within=WITHIN)
        return run

    def result(self, run: dict[str, Any]) -> dict[str, Any]:
        """What the runner itself said of its last attempt."""
        found = sorted((self.home.root / "logs" / run["id"]).rglob("result.json"))
        result: dict[str, Any] = json.loads(found[-1].read_text())
        return result

    def left(self) -> list[str]:
        """The processes, by their argv, that are in our work directory's cells."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and self._is_ours(entry):
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        return found

    def _is_ours(self, entry: Path) -> bool:
        try:
            # What a cell starts has this as its PWD, and whatever it starts inherits it.
            return f"={self.work}\0".encode() in (entry / "environ").read_bytes()
        except OSError:
            return False


def spent(answers: int) -> tuple[int, int]:
    """The tokens, in and out, of so many answers of the stub."""
    return answers * INPUT_TOKENS, answers * OUTPUT_TOKENS


@contextmanager
def lodging(folder: Path, ca_bundle: str = "") -> Iterator[House]:
    """A supervisor that has the key, until the end of the block."""
    with house(folder, XDG_CONFIG_HOME=str(folder / "config")) as home:
        adapters_of(home).mkdir(parents=True)
        if ca_bundle:
            (adapters_of(home).parent / "config.toml").write_text(f'ca_bundle = "{ca_bundle}"\n')
        home.start()
        done = home.cronward("secret", "set", "STUB_KEY", stdin=KEY)
        assert done.returncode == 0, done.stderr
        yield home


def adapters_of(home: House) -> Path:
    return Path(home.environ["XDG_CONFIG_HOME"], "cronward/agents")


@contextmanager
def stand(folder: Path, home: House, stub: Provider) -> Iterator[Stand]:
    """The home with a work directory, and with adapters whose provider is the stub: they are read anew for each run.
    In a home there is one at a time."""
    work, outside = folder / "work", folder / "outside"
    for path in (work, outside):
        path.mkdir(mode=0o777)
        path.chmod(0o777)  # also for the uid that a supervisor of root's gives the job
    for agent in AGENTS:
        base_url = stub.url if agent in ("claude", "gemini") else f"{stub.url}/v1"
        text = f'extends = "{agent}"\nbase_url = "{base_url}"\nhosts = ["{stub.rule}"]\n'
        (adapters_of(home) / f"{agent}.toml").write_text(text)
    made = Stand(home, stub, work, outside)
    yield made
    eventually(lambda: not made.left())
