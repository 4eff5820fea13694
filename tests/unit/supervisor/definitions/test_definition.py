"""What a person may give for a job, and the sentence for everything else. Nothing here touches a store."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.definitions.definition import Setting, define
from supervisor.errors import InvalidError
from supervisor.models import MAX_PROMPT, MAX_SCHEMA, NEVER, SECOND, CatchUp, CronJob, JobType, Overlap
from tests.fakes import NOON
from tests.lacks import need

SETTING = Setting(Path("/nowhere/home"), "Europe/Berlin", "local", lambda: "a-new-id")
PLAIN = {"cron_expr": "0 7 * * *", "prompt": "Say hello."}
SCHEMA = json.dumps({"type": "object"})
STRUCTURED = {"output_format": "structured"}


def defined(**draft: Any) -> CronJob:
    return define({**PLAIN, **draft}, SETTING, NOON)


def refusal(**draft: Any) -> str:
    with pytest.raises(InvalidError) as refused:
        defined(**draft)
    return str(refused.value)


# ---- what is taken


def test_what_is_left_out_is_as_in_the_original() -> None:
    job = defined()
    assert (job.id, job.agent, job.type, job.enabled) == ("a-new-id", "local", JobType.LIGHT, True)
    assert (job.timeout_seconds, job.retries, job.retry_delay) == (1800, 3, SECOND)
    assert (job.overlap, job.catch_up) == (Overlap.SKIP, CatchUp.ONCE)
    assert (job.created_at, job.changed_at) == (NOON, NOON)
    assert (job.last_run, job.next_run, job.run_count) == (NEVER, NEVER, 0)


def test_a_gate_is_looked_for_where_its_owner_says_though_the_agent_needs_no_such_place() -> None:
    assert defined(gate="true", search_path="/usr/bin:/bin").search_path == "/usr/bin:/bin"


def test_prompts_and_tasks_are_checked_with_the_rest() -> None:
    assert "which is unknown" in refusal(prompt="{{ nobody.knows }}")
    assert "The job's check cannot be used" in refusal(check="no-such-program")


def test_the_zone_is_settled_when_the_job_is_added() -> None:
    assert defined().timezone == "Europe/Berlin"
    assert defined(timezone="Asia/Tokyo").timezone == "Asia/Tokyo"
    assert defined(cron_expr="TZ=Asia/Tokyo 0 7 * * *").timezone is None
    assert defined(cron_expr="@every 5m").timezone is None


def test_one_instant_is_kept_in_utc() -> None:
    at = defined(cron_expr="", at="2026-12-01T08:00:00+01:00").at
    assert at is not None
    assert (at.isoformat(), at.tzinfo) == ("2026-12-01T07:00:00+00:00", UTC)


def test_a_command_needs_no_agent_to_be_named() -> None:
    assert defined(command="true").agent == "command"


def test_an_id_and_times_of_a_life_are_taken() -> None:
    job = defined(id="my.job-1", start="2027-01-01T00:00:00Z", until="2027-12-31T00:00:00Z", max_runs=5)
    assert (job.id, job.max_runs) == ("my.job-1", 5)


def test_the_work_directory_is_kept_without_links(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert defined(work_dir=str(tmp_path / "link" / ".." / "real")).work_dir == str(tmp_path / "real")


def test_a_prompt_of_exactly_the_most_is_taken() -> None:
    assert defined(prompt="ä" * (MAX_PROMPT // 2)).prompt


def test_lines_and_tabs_are_text() -> None:
    assert defined(prompt="a\tb\r\nc ä 漢字 🙂").prompt


# ---- what is refused, by the words that say why

LATER = "2030-01-01T00:00:00Z"
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"cron_expr": ""}, "exactly one"),
    ({"at": LATER}, "exactly one"),
    ({"cron_expr": "", "at": "2026-11-24T12:00:00Z"}, "is past"),
    ({"cron_expr": "", "at": "2026-12-01T08:00:00"}, "timezone"),
    ({"cron_expr": "", "at": LATER, "until": "2029-01-01T00:00:00Z"}, "beyond its end"),
    ({"cron_expr": "61 * * * *"}, "61"),
    ({"cron_expr": "0 0 30 2 *"}, "never fires"),
    ({"cron_expr": "@every 500ms"}, "below one second"),
    ({"cron_expr": "@every 99999999h"}, "9999"),
    ({"cron_expr": "* * * * *", "until": "2026-11-24T11:00:00Z"}, "would never run"),
    ({"start": "2028-01-01T00:00:00Z", "until": "2027-01-01T00:00:00Z"}, "would never run"),
    ({"start": "9999-01-01T00:00:00Z"}, "start, 9999-01-01T00:00:00+00:00, is out of range; use a year from 2 to 9998"),
    ({"start": "0001-01-01T00:00:00Z"}, "start, 0001-01-01T00:00:00+00:00, is out of range"),
    ({"until": "9999-12-31T23:59:59-10:00"}, "end (until), 9999-12-31T23:59:59-10:00, is out of range"),
    ({"timezone": "Mars/Olympus"}, "Mars/Olympus"),
    ({"cron_expr": "TZ=UTC 0 7 * * *", "timezone": "UTC"}, "given as well"),
    ({"dst": "never"}, "dst"),
    ({"prompt": ""}, "prompt is empty"),
    ({"prompt": " \n\t"}, "prompt is empty"),
    ({"prompt": "a\x00b"}, "control character"),
    ({"prompt": "a\x1b[2Jb"}, "control character"),
    ({"prompt": "a" * (MAX_PROMPT + 1)}, "at most"),
    ({"prompt": "ä" * (MAX_PROMPT // 2) + "a"}, "at most"),
    ({"prompt": "half \ud800"}, "Unicode"),
    ({"prompt": 7}, "prompt"),
    ({"name": "a\nb"}, "printable"),
    ({"name": "a\u202eb"}, "printable"),
    ({"name": "half \udfff"}, "unicode"),
    ({"name": "a" * 65}, "name"),
    ({"id": ".hidden"}, "id"),
    ({"id": "../../etc"}, "id"),
    ({"id": "a\n"}, "id"),
    ({"id": "a" * 65}, "id"),
    ({"agent": "gpt"}, "unknown; use one of: claude, codex, command"),
    ({"agent": "command"}, "needs a command"),
    ({"agent": "local", "command": "true"}, "leave one of them out"),
    ({"command": "'unbalanced"}, "cannot be split"),
    ({"command": "no-such-program-anywhere"}, "is not in"),
    ({"command": "/no/such/program"}, "not an executable"),
    ({"command": "./relative"}, "no work directory"),
    ({"command": "true\x1b"}, "printable"),
    ({"output_format": "xml"}, "output_format"),
    ({**STRUCTURED}, "needs a schema"),
    ({"output_schema": SCHEMA}, "use structured"),
    ({**STRUCTURED, "output_schema": "{"}, "not JSON"),
    ({**STRUCTURED, "output_schema": "\ud800"}, "Unicode"),
    ({**STRUCTURED, "output_schema": '{"a": "' + "x" * MAX_SCHEMA + '"}'}, "more than"),
    ({"work_dir": "relative/path"}, "full path"),
    ({"work_dir": "/no/such/directory"}, "No such file"),
    ({"work_dir": "/etc/passwd"}, "not a directory"),
    ({"work_dir": "/"}, "own state"),
    ({"work_dir": "/nowhere\x00"}, "printable"),
    ({"on_complete": "ftp://example.org/"}, "on_complete"),
    ({"on_fail": "http://user:secret@example.org/"}, "on_fail"),
    ({"type": "heavy"}, "type"),
    ({"timeout_mins": -1}, "timeout_mins"),
    ({"timeout_secs": 0}, "timeout_secs"),
    ({"retries": 21}, "retries"),
    ({"retry_delay": -1}, "retry_delay"),
    ({"jitter_secs": 86401}, "jitter_secs"),
    ({"grace_secs": -1}, "grace_secs"),
    ({"max_runs": 0}, "max_runs"),
    ({"notify_on": ["finished"]}, "notify_on"),
    ({"overlapp": "skip"}, "Did you mean `overlap`"),
    *[({key: LATER}, "kept by cronward") for key in ("created_at", "changed_at", "last_run", "next_run")],
    *[({key: 1}, "kept by cronward") for key in ("last_error", "run_count", "program")],
]


@pytest.mark.parametrize(("draft", "words"), REFUSED, ids=lambda one: ascii(one)[:60])
def test_what_is_wrong_is_refused_in_a_sentence(draft: dict[str, Any], words: str) -> None:
    said = refusal(**draft)
    assert words in said
    assert said.endswith((".", "?"))
    assert len(said) < 600
    assert said.isprintable()


def test_a_work_directory_around_or_within_the_own_state_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "state" / "cronward"
    (home / "jobs").mkdir(parents=True)
    (tmp_path / "link").symlink_to(home)
    setting = Setting(home, "UTC", "local", lambda: "a")
    for path in (tmp_path, home, home / "jobs", tmp_path / "link"):
        with pytest.raises(InvalidError, match="own state"):
            define({**PLAIN, "work_dir": str(path)}, setting, NOON)


def test_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "a")
    assert "cannot be used" in refusal(work_dir=str(tmp_path / "a"))


@pytest.mark.parametrize("secret", ["sk-123456789", "the prompt itself"])
def test_no_prompt_and_no_secret_is_repeated(secret: str) -> None:
    assert secret not in refusal(prompt=f"{secret}\x00")
    assert secret not in refusal(prompt=[secret])
    assert secret not in refusal(on_fail=f"http://u:{secret}@example.org/".replace(" ", ""))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["UTC", "* * * * *"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(CronJob.model_fields)), JSON, max_size=4))
def test_any_json_is_a_job_or_a_sentence(draft: dict[str, Any]) -> None:
    with suppress(InvalidError):
        job = define({**PLAIN, **draft}, SETTING, NOON)
        assert CronJob.model_validate(json.loads(json.dumps(job.definition()))) == job


def test_a_work_directory_that_holds_our_own_programs_is_refused() -> None:
    assert "the programs of cronward itself" in refusal(work_dir=str(Path(__file__).resolve().parents[4]))
    assert "the programs of cronward itself" in refusal(work_dir=sys.base_prefix)


@need("user")
def test_a_work_directory_that_we_cannot_read_is_refused(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(0o300)
    assert "cannot be read by you" in refusal(work_dir=str(closed))


def test_a_model_that_is_no_file_is_refused_when_the_job_is_added(tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").touch()
    assert defined(model=str(tmp_path / "tiny.gguf")).model
    assert "is not a file" in refusal(model=str(tmp_path / "other.gguf"))
    assert "is not a file" in refusal(model="nope")


def test_a_name_that_would_be_read_as_an_option_is_refused() -> None:
    assert "begins with a dash" in refusal(name="--help")
    assert defined(name="a-b").name == "a-b"
