"""docs/reference.md and docs/schemas/ say what the program says, and it keeps to them."""

from __future__ import annotations

import json
import re
from pathlib import Path

from jsonschema import Draft202012Validator

from shared.reasons import Reason
from supervisor.cli import manual
from supervisor.reports.meanings import REASONS, STATUSES
from supervisor.status import Status
from tests.fakes import make_job, make_run

ROOT = Path(__file__).parents[2]
READ = re.compile(r"environ(?:\.get\(|\[)\"([A-Z_]+)\"|_base\(environ, \"([A-Z_]+)\"|Path\(environ\.get\(\"([A-Z_]+)\"")


def test_the_reference_is_what_the_program_says_now() -> None:
    assert (ROOT / "docs/reference.md").read_text("utf-8") == manual.render(), "run scripts/reference"
    for name in manual.models():
        assert (ROOT / f"docs/schemas/{name}.json").read_text("utf-8") == manual.schema(name), "run scripts/reference"
    assert {path.stem for path in (ROOT / "docs/schemas").iterdir()} == set(manual.models())


def test_every_reason_and_every_status_means_something() -> None:
    assert (list(REASONS), list(STATUSES)) == (list(Reason), list(Status))
    for reason in Reason:
        assert REASONS[reason].then or not reason.owner_acts, reason


def test_every_variable_that_is_read_is_named() -> None:
    sources = [path.read_text("utf-8") for path in (ROOT / "supervisor").rglob("*.py")]
    read = {name for text in sources for found in READ.findall(text) for name in found if name}
    known = {*manual.VARIABLES, "JOURNAL_STREAM", "CRONWARD_SECRETS"}
    assert {"CRONWARD_HOME", "NO_COLOR", "XDG_DATA_HOME", "TZ", "XDG_RUNTIME_DIR"} <= read <= known
    assert "CRONWARD_SECRETS" in manual.FOR_AGENTS


def test_a_schema_holds_and_leaves_room_for_later_keys() -> None:
    for name, record in (("job", make_job()), ("run", make_run())):
        schema = Draft202012Validator(json.loads((ROOT / f"docs/schemas/{name}.json").read_text("utf-8")))
        told = record.model_dump(mode="json")
        assert schema.is_valid({**told, "later": 1}), name
        assert not schema.is_valid({**told, "id": 1}), name
        assert 'additionalProperties": false' not in manual.schema(name)


def test_what_stands_in_words_is_text_and_not_markup() -> None:
    assert manual._plain("a_b *c* <d>\n  `e_f <g>`") == "a\\_b \\*c\\* &lt;d> `e_f <g>`"
    assert "\n" not in manual._table(("a",), [("x|y",)]).split("\n")[2]
    assert manual._table(("a",), [("x|y",)]).splitlines()[2] == "| x\\|y |"
