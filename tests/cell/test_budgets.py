"""Budgets under a real supervisor: what is said is charged, what is killed stays charged, what does not fit says so."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.driver import marker, survivors
from tests.house import House, eventually, house
from tests.lacks import need
from tests.madeup import ADAPTER, NAME, SCRIPT, adapters, programs

pytestmark = need("cell")
MARK = marker()
DOZING = SCRIPT.replace("prompt=$(cat)\n", f'prompt=$(cat)\ncase "$prompt" in *doze*) sleep {MARK} ;; esac\n')
"""It says that it used 73 tokens and 0.25 USD, or nothing where it flies, and takes its time where it dozes."""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    folder = tmp_path / "config" / "cronward"
    found = programs(tmp_path / "bin")
    (found / NAME).write_text(DOZING)
    adapters(folder / "agents", ADAPTER)
    (folder / "config.toml").write_text("[budget.day]\nruns = 4\ncost_usd = 1.0\n")
    with house(tmp_path, XDG_CONFIG_HOME=str(tmp_path / "config"), PATH=f"{found}:/usr/bin:/bin") as made:
        yield made


def parrot(home: House, prompt: str, **draft: Any) -> dict[str, Any]:
    found = str(home.root.parent / "bin")
    asked = {"agent": NAME, "command": "", "prompt": prompt, "search_path": found, "retries": 0, "max_cost": 0.5}
    return home.run_now(**{**asked, "name": prompt, **draft})


def refusal(home: House, job: str) -> str:
    done = home.cronward("run", job)
    assert (done.returncode, done.stdout) == (5, "")
    return done.stderr


def test_what_an_agent_says_is_charged_and_silence_costs_the_whole_cap(home: House) -> None:
    home.start()
    (told,) = home.ended(parrot(home, "speak")["id"])
    assert (told["status"], told["charged_tokens"], told["charged_usd"]) == ("completed", 73, 0.25), told
    assert (told["spending"]["input_tokens"], told["caps"]["cost_usd"]) == (70, 0.5)
    (silent,) = home.ended(parrot(home, "fly")["id"])
    assert (silent["status"], silent["spending"], silent["charged_usd"]) == ("failed", None, 0.5), silent
    words = "All jobs together have used 0.75 USD of 1.00 USD today, and a run may take 0.50 USD; it resumes at "
    assert words in refusal(home, "fly")
    found = home.json("usage", "--by", "agent")
    assert [(row["agent"], row["runs"], row["assumed"], row["cost_usd"]) for row in found["rows"]] == [
        (NAME, 2, 1, 0.75)
    ]
    assert any("budget_exceeded" in reason for reason in home.json("why", "speak")["reasons"])
    plain = home.run_now(name="plain", command="cat")  # money is not its matter
    assert home.ended(plain["id"])[0]["status"] == "completed"
    home.client.edit_job("speak", {"max_cost": 0.2})
    home.client.run_job("speak")
    over = home.ended(told["job_id"], 2)[1]
    assert (over["status"], over["charged_usd"]) == ("completed", 0.25), over  # it said so when it was done
    assert "4 of 4 runs" in refusal(home, "plain")


def test_a_run_that_was_killed_with_its_supervisor_stays_charged(home: House) -> None:
    home.start()
    job = parrot(home, "doze", max_cost=0.8)
    eventually(lambda: survivors(MARK))
    home.stop(signal.SIGKILL)
    home.start()
    (run,) = home.ended(job["id"])
    words = "All jobs together have used 0.80 USD of 1.00 USD today, and a run may take 0.80 USD"
    assert (run["status"], run["spending"], run["charged_usd"]) == ("unknown", None, 0.8)
    assert words in refusal(home, "doze")


def test_who_does_not_fit_beside_a_live_run_waits_for_its_end(home: House) -> None:
    home.start()
    job = parrot(home, "doze", max_cost=0.8)
    eventually(lambda: survivors(MARK))
    other = parrot(home, "speak")
    (queued,) = eventually(lambda: home.client.status()["queue"])
    assert "kept for runs that go on" in queued["why"]
    home.client.cancel_run(home.runs(job["id"])[0]["id"])
    assert [run["reason"] for run in home.ended(other["id"])] == ["budget_exceeded"]
    assert home.runs(job["id"])[0]["charged_usd"] == 0.8
