"""The adapters that there are, and every way in which one's file can be wrong."""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.agents import local
from shared.reasons import Reason
from supervisor.agents.adapter import Adapter
from supervisor.agents.adapters import FILE_BYTES, AdapterError, adapter, built_in, merged, names, source
from supervisor.agents.placeholders import NAMES
from supervisor.errors import InvalidError
from tests.madeup import ADAPTER, NAME, adapters

OURS = ("claude", "codex", "command", "gemini", "llm", "local", "opencode")


def refusal(folder: Path, text: str | bytes, name: str = NAME) -> str:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(AdapterError) as refused:
        adapter(name, str(folder))
    said = str(refused.value)
    assert said.isprintable()
    assert str(folder) in said
    return said


def with_key(line: str) -> str:
    """The adapter of the test with one more line at its top, and without what that replaces."""
    key = line.split(" =")[0]
    kept = [each for each in ADAPTER.strip().splitlines() if not each.startswith(f"{key} =")]
    return "\n".join([line, *kept])


def like_claude(line: str) -> str:
    return f'extends = "claude"\n{line}'


# ---- ours


def test_ours_are_there_and_none_of_them_is_wrong() -> None:
    assert names() == built_in() == OURS
    for name in OURS:
        found = adapter(name)
        assert (found.name, bool(found.title)) == (name, True)
        assert source(name).read_text()


def test_each_of_ours_that_is_somebody_elses_program_says_all_that_the_house_goes_by() -> None:
    for name in set(OURS) - {"local", "command"}:
        found = adapter(name)
        reading = found.reading
        assert (found.start, found.network, bool(found.hosts), bool(found.program.install)) == (
            *("program", "allow"),
            *(True, True),
        ), name
        assert found.login.variables, name
        assert found.login.words, name
        assert all((reading.answer, reading.done, reading.blame, reading.input_tokens, reading.conversation)), name
        assert found.resumable, name
        assert found.takes("base_url"), name
        # Nothing of the install command is a place to fetch from: that is the owner's own configuration's.
        assert "://" not in found.program.install, name


def test_the_agents_without_a_program_of_their_own_reach_nothing() -> None:
    assert {(adapter(name).network, adapter(name).hosts) for name in ("local", "command")} == {("none", ())}
    assert (adapter("local").structured, adapter("command").require_answer) == ("constrained", False)


def test_the_word_prompt_is_in_no_argv() -> None:
    for name in OURS:
        assert "{prompt}" not in repr(adapter(name).argv)


# ---- the owner's


def test_an_adapter_of_ones_own_is_one_more_agent(tmp_path: Path) -> None:
    folder = str(adapters(tmp_path / "agents"))
    assert names(folder) == tuple(sorted((*OURS, NAME)))
    found = adapter(NAME, folder)
    assert (found.name, found.title, found.program.find) == (NAME, "a parrot", "parrot")
    assert found.argv == ("--json", ("--model", "{model}"), ("--schema-at", "{schema_file}"), ("--go-on", "{session}"))
    assert source(NAME, folder) == tmp_path / "agents" / f"{NAME}.toml"
    assert names(str(tmp_path / "none")) == OURS


def test_one_with_the_name_of_ours_takes_its_place(tmp_path: Path) -> None:
    folder = str(adapters(tmp_path / "agents", name="claude"))
    assert adapter("claude", folder).title == "a parrot"
    assert adapter("claude").title == "Claude Code"
    assert names(folder) == OURS


def test_one_that_extends_ours_says_only_what_differs(tmp_path: Path) -> None:
    where = 'base_url = "http://10.0.0.1:8080"\nhosts = ["10.0.0.1:8080"]'
    text = f'extends = "claude"\n{where}\n[env]\nDISABLE_TELEMETRY = "0"\n'
    found = adapter("work", str(adapters(tmp_path / "agents", text, "work")))
    ours = adapter("claude")
    assert (found.name, found.base_url, found.hosts) == ("work", "http://10.0.0.1:8080", ("10.0.0.1:8080",))
    assert found.env == {**ours.env, "DISABLE_TELEMETRY": "0"}
    assert (found.argv, found.reading, found.login) == (ours.argv, ours.reading, ours.login)
    assert merged({"a": {"b": 1, "c": [1]}, "d": 1}, {"a": {"c": [2]}, "d": {}}) == {"a": {"b": 1, "c": [2]}, "d": {}}


def test_a_change_of_the_file_holds_from_then_on(tmp_path: Path) -> None:
    folder = adapters(tmp_path / "agents")
    assert adapter(NAME, str(folder)).title == "a parrot"
    adapters(folder, ADAPTER.replace("a parrot", "an owl"))
    assert adapter(NAME, str(folder)).title == "an owl"


def test_who_is_unknown_is_refused_with_those_there_are(tmp_path: Path) -> None:
    folder = str(adapters(tmp_path / "agents"))
    with pytest.raises(InvalidError, match=r"use one of: claude, .*, parrot\. Did you mean `parrot`\?"):
        adapter("parot", folder)
    for name in ("../claude", "", "a/b", ".toml"):
        with pytest.raises(InvalidError, match="is unknown"):
            adapter(name, folder)


# ---- what is wrong


def test_what_is_wrong_in_a_file_is_told_with_file_and_key(tmp_path: Path) -> None:
    rows: dict[str, tuple[str | bytes, str]] = {
        "no TOML": ("argv = [", "is not TOML: "),
        "no UTF-8": (b"title = '\xff'", "not UTF-8 (at byte 9)"),
        "too large": ("#" * (FILE_BYTES + 1), "more than the 1048576 bytes"),
        "nested": ("a = " + "[" * 5000, "nested too deeply"),
        "huge number": ("a = " + "9" * 5000, "thousands of digits"),
        "huge hex": ("a = 0x" + "f" * 9000, "put it in quotes"),
        "a date": ("title = 2026-01-01", "a date, a time"),
        "another name": ("name = 'owl'", "has the name of its file"),
        "a key that is none": (with_key("argvv = []"), "there is no key 'argvv'. Did you mean `argv`?"),
        "one in a section": (like_claude("program.fnd = 'x'"), "there is no key 'program.fnd'. Did you mean `find`?"),
        "one in a pick": (
            like_claude('reading.answer = [{ pionter = "/a" }]'),
            "there is no key 'reading.answer.0.pionter'. Did you mean `pointer`?",
        ),
        "no program": ("title = 'x'\nnetwork = 'none'", "needs `program.find`"),
        "no hosts": ("program.find = 'x'", "so it needs `hosts`; or say network = none"),
        "a bad host": (with_key("hosts = ['http://x']"), "`hosts.0`"),
        "a network": (with_key("network = 'all'"), "`network`"),
        "a word": (with_key("argv = ['a', 3]"), "`argv.1` should be a word, or a list of words that belong together"),
        "an empty group": (with_key("argv = [[]]"), "`argv.0` should be a word"),
        "a placeholder": (with_key("argv = ['--json={prompt}']"), "there is no {prompt}"),
        "one in a group": (with_key("argv = [['-m', '{modl}']]"), "there is no {modl}"),
        "one in a file": (like_claude("files.'.x' = '{secret}'"), "there is no {secret}"),
        "a default": (like_claude("defaults.modl = 'x'"), "has `defaults` for modl, which is no placeholder"),
        "a count in one": (
            like_claude("program.pattern = 'a{99999999999999999999}'"),
            "should be a regular expression",
        ),
        "a variable": (like_claude("env.'A-B' = 'x'"), "should be the name of a variable"),
        "a path out": (
            like_claude("files.'../.bashrc' = 'x'"),
            "the key '../.bashrc' of `files` should be a path within its home",
        ),
        "a full path": (like_claude("conversation.files = ['/etc/passwd']"), "should be a path within its home"),
        "the whole home": (like_claude("conversation.files = ['.']"), "should be a path within its home"),
        "all of the home": (like_claude("conversation.files = ['**']"), "should be a path within its home"),
        "a login file": (like_claude("login.files = ['~/.ssh/id']"), "should be a path within its home"),
        "a pattern": (like_claude("program.pattern = '('"), "should be a regular expression"),
        "no schema flag": ("structured = 'flag'\nnetwork = 'none'\nprogram.find = 'x'", "{schema} or {schema_file}"),
        "a reason": (
            like_claude('reading.blame = [{ reason = "bad_luck", words = "x" }]'),
            "`reading.blame` names 'bad_luck', of which no agent fails: use one of agent_error, auth_failed,",
        ),
        "a NUL": (with_key('argv = ["a\\u0000b"]'), "should hold no NUL"),
        "start": (with_key("start = 'embedded'"), "`start` is for adapters that come with cronward"),
        "a base": ("extends = 'gpt'", "`extends` should be one of claude, codex"),
        "a base that is none": ("extends = 3", "`extends` should be one of"),
    }
    for row, (text, words) in rows.items():
        said = refusal(tmp_path / "agents", text)
        assert words in said, f"{row}: {said}"


PIECES = st.sampled_from(
    [
        "argv",
        "reading",
        "=",
        "[",
        "]",
        "{",
        "}",
        '"x"',
        "1",
        "0x1",
        "nan",
        "true",
        ".",
        "\n",
        "{model}",
        "done",
        "files",
        ",",
    ]
)


@given(st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=12).map("".join)))
@settings(max_examples=60)
def test_whatever_is_in_a_file_it_is_an_adapter_or_a_sentence(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "x.toml").write_bytes(b'extends = "claude"\n' + text.encode())
        with suppress(AdapterError):
            assert adapter("x", folder).name == "x"


def test_the_examples_of_the_page_are_adapters(tmp_path: Path) -> None:
    page = (Path(__file__).parents[4] / "docs" / "adapters.md").read_text()
    examples = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(examples) == 2
    for number, text in enumerate(examples):
        assert adapter(f"x{number}", str(adapters(tmp_path, text, f"x{number}"))).hosts


def test_the_page_names_every_key_and_no_other() -> None:
    page = (Path(__file__).parents[4] / "docs" / "adapters.md").read_text()
    rows = re.findall(r"^\| (`[^|]*) \|", page, re.MULTILINE)
    named = {key.split(".")[0] for row in rows for key in re.findall(r"`([a-z_.]+)`", row)}
    assert named == set(Adapter.model_fields) - {"name", "start"}
    assert {key for key in NAMES if f"`{{{key}}}`" in page} == set(NAMES)


def test_a_file_that_others_could_change_is_refused(tmp_path: Path) -> None:
    folder = adapters(tmp_path / "agents")
    (folder / f"{NAME}.toml").chmod(0o646)
    assert "can be changed by others" in refusal(folder, ADAPTER)
    (folder / f"{NAME}.toml").chmod(0o644)
    folder.chmod(0o757)
    assert f"{folder} can be changed by others" in refusal(folder, ADAPTER)
    folder.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(folder / f"{NAME}.toml", 0, 12345)
        (folder / f"{NAME}.toml").chmod(0o664)
        assert "chmod go-w" in refusal(folder, ADAPTER)
        os.chown(folder / f"{NAME}.toml", 0, 0)  # a group of its owner's alone
    folder.chmod(0o755)
    assert adapter(NAME, str(folder)).title == "a parrot"


@pytest.mark.skipif(os.geteuid() != 0, reason="root: only root can give a file away.")
def test_somebody_elses_file_is_refused(tmp_path: Path) -> None:
    folder = adapters(tmp_path / "agents")
    os.chown(folder / f"{NAME}.toml", 12345, 12345)
    with pytest.raises(AdapterError, match="can be changed by others"):
        adapter(NAME, str(folder))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    folder = adapters(tmp_path / "agents")
    elsewhere = folder.rename(tmp_path / "elsewhere") / f"{NAME}.toml"
    folder.mkdir()
    (folder / f"{NAME}.toml").symlink_to(elsewhere)
    os.mkfifo(folder / "pipe.toml")
    (folder / "folder.toml").mkdir()
    (folder / "-x.toml").touch()
    assert names(str(folder)) == tuple(sorted((*OURS, NAME, "pipe", "folder")))
    for name in (NAME, "pipe", "folder"):
        with pytest.raises(AdapterError, match="is not a regular file"):
            adapter(name, str(folder))


def test_a_folder_that_is_none_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AdapterError, match="cannot be read"):
        names(str(tmp_path / "file"))


# ---- what follows from it


def test_what_a_job_has_to_give_is_what_stands_outside_of_groups() -> None:
    def made(**fields: object) -> Adapter:
        return Adapter.model_validate({"name": "x", "program": {"find": "x"}, "network": "none", **fields})

    assert made(argv=["-m", "{model}"]).needs == {"model"}
    assert made(argv=["-m", "{model}"], defaults={"model": "y"}).needs == set()
    assert made(argv=[["-m", "{model}"]]).needs == set()
    assert made(env={"X": "{model}"}, files={".x": "{model}"}).needs == set()
    assert made(env={"X": "{session}"}).takes("session")
    assert not made(argv=["{session}"]).resumable
    assert made(argv=["{session}"], conversation={"files": [".x/*"]}).resumable


def test_an_engine_or_weights_that_cannot_be_used_are_not_tried_again(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"NOPE")
    for path in (tmp_path / "model", tmp_path / "missing"):
        with pytest.raises(local.UnableError) as caught:
            local.check_model(str(path))
        assert caught.value.code == local.UNABLE, path
    (blame,) = adapter("local").reading.blame
    assert (blame.codes, blame.reason) == ((local.UNABLE,), Reason.BAD_DEFINITION)
    assert not blame.reason.retry_helps
