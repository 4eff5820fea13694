"""What the log of a supervisor holds of its runs, as journald would get it."""

from __future__ import annotations

from pathlib import Path

from tests.house import house
from tests.lacks import need

pytestmark = need("cell")


def test_neither_prompt_nor_answer_gets_into_the_log(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        home.start()
        good = home.run_now(name="good", prompt="PROMPT-MARK", command="/bin/echo ANSWER-MARK")
        bad = home.run_now(
            name="bad", prompt="PROMPT-MARK", command="/bin/sh -c 'echo ANSWER-MARK >&2; exit 3'", retries=0
        )
        ends = [home.ended(job["id"])[0] for job in (good, bad)]
        assert ends[0]["response"] == "ANSWER-MARK\n"
        assert home.stop() == 0
        log = home.log()
    assert [run["status"] for run in ends] == ["completed", "failed"]
    assert all(run["id"] in log for run in ends)
    assert "MARK" not in log
    for run, status in zip(ends, ("completed", "failed"), strict=True):
        (line,) = [line for line in log.splitlines() if f"event=run.ended run={run['id']}" in line]
        assert f" job={run['job_id']} attempt=1 status={status} reason={run['reason']} seconds=" in line
