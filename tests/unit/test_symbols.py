"""docs/symbols.md against the original's symbols and against our code."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "symbols.md"
ROW = re.compile(r"^\| `([A-Za-z.]+)` \| `([a-z.]+):([A-Za-z_.]+)` \|")

# Everything that the original's package exports: fields and methods by type, constants and constructors apart.
ORIGINAL = {
    "CronCallback": "OnComplete OnFail",
    "CronJob": "ID CronExpr Prompt SessionKey WorkDir Type TimeoutMins Retries RetryDelay OutputFormat OutputSchema "
    "Enabled Silent NotifyOn CreatedBy CreatedAt LastRun LastError NextRun RunCount OnComplete OnFail Clone",
    "CronRun": "ID JobID StartedAt FinishedAt Duration Status Error RetryCount Response",
    "CronScheduler": "AddJob GetJob ListJobs ListRuns PauseJob RemoveJob ResumeJob SetRunsStore Start Stop",
    "CronStore": "Add Delete Get List Update",
    "Event": "",
    "ExecuteRequest": "Job SessionID WorkDir Prompt",
    "ExecuteResult": "Response Error Duration",
    "Executor": "Execute",
    "JobType": "",
    "OutputFormat": "",
    "RunsStore": "AddRun GetRuns",
    "WebhookCallback": "URL Token Timeout Retry OnComplete OnFail",
}
APART = (
    "EventCompleted EventFailed EventCanceled JobTypeLight JobTypeMedium JobTypeResourceIntensive OutputFormatText "
    "OutputFormatJSON OutputFormatStructured NewCronScheduler NewCronStore NewExecutor NewRunsStore"
)
JSON_KEYS = {
    "CronJob": "id cron_expr prompt session_key work_dir type timeout_mins retries retry_delay output_format "
    "output_schema enabled silent notify_on created_by created_at last_run last_error next_run run_count "
    "on_complete on_fail",
    "CronRun": "id job_id started_at finished_at duration status error retry_count response",
}
CONSTANTS = {
    "EventCompleted": "completed",
    "EventFailed": "failed",
    "EventCanceled": "canceled",
    "JobTypeLight": "light",
    "JobTypeMedium": "medium",
    "JobTypeResourceIntensive": "resource-intensive",
    "OutputFormatText": "text",
    "OutputFormatJSON": "json",
    "OutputFormatStructured": "structured",
}


def rows() -> dict[str, tuple[str, str]]:
    found = [ROW.match(line) for line in PAGE.read_text("utf-8").splitlines()]
    return {row[1]: (row[2], row[3]) for row in found if row}


def resolve(module: str, path: str) -> object:
    """What the dotted path leads to: an attribute, or a field of a model or a dataclass."""
    found: object = importlib.import_module(module)
    for name in path.split("."):
        fields = {**getattr(found, "model_fields", {}), **getattr(found, "__dataclass_fields__", {})}
        found = fields[name] if name in fields else getattr(found, name)
    return found


def symbols() -> list[str]:
    members = [f"{kind}.{member}" for kind, names in ORIGINAL.items() for member in names.split()]
    return [*ORIGINAL, *members, *APART.split()]


def test_every_symbol_of_the_original_has_a_row_and_no_other_has() -> None:
    assert sorted(rows()) == sorted(symbols())


@pytest.mark.parametrize(("symbol", "ours"), rows().items())
def test_a_row_names_something_that_is_there(symbol: str, ours: tuple[str, str]) -> None:
    resolve(*ours)


@pytest.mark.parametrize("kind", JSON_KEYS)
def test_the_json_keys_are_the_originals(kind: str) -> None:
    ours = [path.rpartition(".")[2] for symbol, (_, path) in rows().items() if symbol.startswith(f"{kind}.")]
    assert [key for key in ours if key != "clone"] == JSON_KEYS[kind].split()


@pytest.mark.parametrize(("symbol", "value"), CONSTANTS.items())
def test_a_constant_has_the_originals_value(symbol: str, value: str) -> None:
    assert resolve(*rows()[symbol]) == value


def test_a_name_that_is_not_there_is_noticed() -> None:
    with pytest.raises(AttributeError):
        resolve("supervisor.models", "CronJob.cron_expression")
