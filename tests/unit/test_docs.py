"""What the documents name is there: files, commands with their options, tests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from supervisor.cli import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
# A look-ahead, so that in `systemd-cat -t cronward cronward supervise` the second one is found too.
COMMAND = re.compile(r"\bcronward (?=([a-z][\w-]*)(?: ([a-z][\w-]*))?([^|;&\n]*))")
QUOTED = re.compile(r"""'[^']*('|$)|"[^"]*("|$)""")
GROUPS = ("agents", "config", "cron", "notify", "outbox", "secret", "service", "sessions")
OPTION = re.compile(r"(?<!\S)--?[a-z][a-z-]*")

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def prose_and_code(page: Path) -> tuple[str, list[str]]:
    """The text outside of fences, and the lines that somebody might type: of fences, and of code in the text."""
    prose, code = [], []
    parts = re.split(r"^```(\w*)\n(.*?)^```$", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for text, kind, fenced in zip(parts[::3], [*parts[1::3], ""], [*parts[2::3], ""], strict=True):
        prose.append(text)
        code += re.findall(r"`([^`]+)`", text)
        lines = fenced.replace("\\\n", " ").splitlines()
        code += [line.removeprefix("$ ") for line in lines if kind == "sh" or line.startswith("$ ")]
    return "".join(prose), code


def headings(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def commands(code: list[str]) -> Iterator[tuple[list[str], set[str]]]:
    for line in code:
        for first, second, rest in COMMAND.findall(line):
            if first != "cronward":
                yield ([first, second] if first in GROUPS else [first]), set(OPTION.findall(QUOTED.sub("", rest)))


PROGRAM = typer.main.get_command(app)


def option_names(path: list[str]) -> set[str]:
    """Those of a command, and of the program. KeyError: there is no such command."""
    found = PROGRAM
    names = {name for parameter in found.params for name in parameter.opts}
    for name in filter(None, path):
        found = found.commands[name]  # type: ignore[attr-defined]  # a group is all that has them
    return names | {name for parameter in found.params for name in parameter.opts}


@pages
def test_a_link_leads_to_a_file_and_to_a_heading_in_it(page: Path) -> None:
    for link in LINK.findall(prose_and_code(page)[0]):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in headings(target), link


@pages
def test_a_command_is_one_of_ours_and_has_the_options_it_is_shown_with(page: Path) -> None:
    for path, options in commands(prose_and_code(page)[1]):
        assert options <= option_names(path), path


@pages
def test_a_test_that_is_named_is_there(page: Path) -> None:
    for path, name in TEST.findall(page.read_text("utf-8")):
        assert re.search(rf"^\s*(async )?def {name}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE), (path, name)


def test_a_command_that_is_not_ours_is_noticed() -> None:
    code = ["x | cronward --json", "-t cronward cronward cron frob --x '-c; -d' | y -z"]
    assert list(commands(code)) == [(["cron", "frob"], {"--x"})]
    with pytest.raises(KeyError):
        option_names(["cron", "frob"])


def test_the_readme_can_be_read_in_ten_minutes() -> None:
    assert len(PAGES[0].read_text("utf-8").splitlines()) <= 200
