"""An error says what is wrong, and goes on with what to do."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.errors import NotFoundError
from supervisor.stores.home import Home
from supervisor.stores.jobs import CronStore
from supervisor.stores.store import DamagedError
from tests.fakes import make_job

ROOT = Path(__file__).parents[2]
KINDS = re.compile(
    r"(Invalid|NotFound|Refused|Unreachable|Config|Adapter|Weights|Schedule|Zone|Duration|Cronward)Error"
)
ELSEWHERE = {
    # What is quoted in a longer sentence, which goes on.
    *("supervisor/timing/cronfields.py", "supervisor/moving/arrival.py", "supervisor/moving/gojson.py"),
    *("supervisor/moving/original.py", "supervisor/moving/shelljob.py"),
    # What the other end of a socket or of a pipe did wrong: a program is told.
    *(
        "supervisor/control/body.py",
        "supervisor/trials/called.py",
        "supervisor/stores/histories.py",
        "supervisor/definitions/revision.py",
    ),
    "supervisor/control/routes.py",
}


def text_of(node: ast.expr) -> str:
    """What is written, with `{}` for what is put in."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(text_of(value) for value in values)
        case ast.BinOp(left=left, right=right):
            return text_of(left) + text_of(right)
        case _:
            return "{}"


def sentences() -> Iterator[tuple[str, str]]:
    """Each that is raised where it is written, with its file and line."""
    for path in sorted((ROOT / "supervisor").rglob("*.py")):
        name = str(path.relative_to(ROOT))
        for node in ast.walk(ast.parse(path.read_text("utf-8"))) if name not in ELSEWHERE else ():
            made = node.exc if isinstance(node, ast.Raise) else None
            if isinstance(made, ast.Call) and made.args and KINDS.fullmatch(ast.unparse(made.func)):
                yield f"{name}:{node.lineno}", text_of(made.args[0])


def test_an_error_goes_on_with_what_to_do() -> None:
    found = {place: text for place, text in sentences() if re.sub(r"\{\}", "", text).strip()}
    assert len(found) > 300
    assert [(place, text) for place, text in found.items() if not re.search(r"[:;,.] .|\.\{\}", text)] == []


def test_a_job_whose_file_is_damaged_is_not_said_to_be_none(tmp_path: Path) -> None:
    store = CronStore(Home(tmp_path / "home"))
    job = store.add(make_job(name="n"))
    (store.home.jobs / f"{job.id}.json").write_text("{")
    store = CronStore(store.home)
    for reference in (job.id, job.id[:4]):
        with pytest.raises(DamagedError, match=r"is not JSON\. Mend it there, or move it away"):
            store.find(reference)
    for reference in ("n", "111", ""):
        with pytest.raises(NotFoundError, match="cronward list"):
            store.find(reference)
