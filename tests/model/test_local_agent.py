from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from runner.agents import local
from supervisor.agents import weights
from tests.lacks import BWRAP, need

pytestmark = [pytest.mark.model, need("model")]

MOOD = {
    "type": "object",
    "properties": {"mood": {"enum": ["good", "bad"]}, "level": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["mood", "level"],
    "additionalProperties": False,
}


def agent_argv(model: Path | None = None) -> list[str]:
    engine, found = weights.engine(), model or weights.find()
    assert engine is not None
    assert found is not None
    return [sys.executable, "-I", "-S", local.__file__, "--site", str(engine.site), "--model", str(found)]


def run(argv: list[str], prompt: str | bytes) -> subprocess.CompletedProcess[str]:
    raw = prompt.encode() if isinstance(prompt, str) else prompt
    # No HOME and no PATH: the cell gives none that matter.
    done = subprocess.run(argv, input=raw, capture_output=True, env={}, timeout=50, check=False)
    return subprocess.CompletedProcess(argv, done.returncode, done.stdout.decode(), done.stderr.decode())


def assert_one_sentence(done: subprocess.CompletedProcess[str], start: str, code: int = 1) -> None:
    assert done.returncode == code
    assert done.stdout == ""
    assert done.stderr.startswith(start)
    assert done.stderr.endswith(".\n")
    assert done.stderr.count("\n") == 1


def test_a_prompt_gets_an_answer_and_nothing_else_is_printed() -> None:
    done = run(agent_argv(), "What is the capital of France?")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Paris" in done.stdout


def test_the_same_prompt_gets_the_same_answer() -> None:
    argv = [*agent_argv(), "--max-tokens", "20"]
    assert run(argv, "Tell me a story.").stdout == run(argv, "Tell me a story.").stdout != ""


def test_an_answer_under_a_schema_meets_it(tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text(json.dumps(MOOD))
    done = run([*agent_argv(), "--schema-file", str(tmp_path / "schema.json")], "{")
    assert done.returncode == 0
    answer = json.loads(done.stdout)
    assert answer.keys() == {"mood", "level"}
    assert answer["mood"] in {"good", "bad"}
    assert 0 <= answer["level"] <= 9


def test_json_that_the_token_limit_cut_is_no_answer(tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text(json.dumps(MOOD))
    done = run([*agent_argv(), "--schema-file", str(tmp_path / "schema.json"), "--max-tokens", "3"], "hello")
    assert_one_sentence(done, "The JSON was cut by the token limit")


def test_a_schema_the_engine_cannot_follow_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text('{"type": "nonsense"}')
    done = run([*agent_argv(), "--schema-file", str(tmp_path / "schema.json")], "hello")
    assert_one_sentence(done, "The engine refused the request: JSON schema error at #: unrecognized type nonsense")


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b"[" * 200_000])
def test_a_file_that_is_no_schema_is_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "schema.json").write_bytes(content)
    done = run([*agent_argv(), "--schema-file", str(tmp_path / "schema.json")], "hello")
    assert_one_sentence(done, f"The schema {tmp_path / 'schema.json'} ")


def test_a_prompt_beyond_the_context_is_told_with_its_length() -> None:
    done = run(agent_argv(), "word " * 3000)
    assert_one_sentence(done, "The prompt is too long: 30")
    assert "the context holds 2048" in done.stderr


def test_a_prompt_of_megabytes_is_refused_before_the_model_is_loaded() -> None:
    assert_one_sentence(
        run(agent_argv(Path("/nowhere")), b"x" * (2 << 20)), "The prompt is too long: over 1048576 bytes"
    )


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [(b"", "The prompt is empty"), (b" \n", "The prompt is empty"), (b"ab\xff", "The prompt is not UTF-8: byte 2")],
)
def test_a_prompt_without_text_is_a_sentence(prompt: bytes, sentence: str) -> None:
    assert_one_sentence(run(agent_argv(), prompt), sentence)


def test_an_absent_model_is_a_sentence(tmp_path: Path) -> None:
    assert_one_sentence(
        run(agent_argv(tmp_path / "absent.gguf"), "hello"), f"The model {tmp_path}/absent.gguf cannot be", local.UNABLE
    )


@pytest.mark.parametrize(
    ("size", "sentence", "code"), [(0, "is not a GGUF file", local.UNABLE), (1 << 20, "is damaged", 1)]
)
def test_a_torn_model_is_a_sentence(tmp_path: Path, size: int, sentence: str, code: int) -> None:
    found = weights.find()
    assert found is not None
    with found.open("rb") as whole:
        (tmp_path / "torn.gguf").write_bytes(whole.read(size))
    done = run(agent_argv(tmp_path / "torn.gguf"), "hello")
    assert_one_sentence(done, f"The model {tmp_path}/torn.gguf {sentence}", code)


def test_an_absent_engine_is_a_sentence(tmp_path: Path) -> None:
    argv = agent_argv()
    argv[argv.index("--site") + 1] = str(tmp_path)
    assert_one_sentence(run(argv, "hello"), "The engine cannot be loaded: No module named 'xllamacpp'", local.UNABLE)


def test_an_engine_that_prints_does_not_spoil_the_answer(tmp_path: Path) -> None:
    (tmp_path / "xllamacpp.py").write_text("import os; os.write(1, b'noise'); print('more'); raise ImportError('torn')")
    argv = agent_argv()
    argv[argv.index("--site") + 1] = str(tmp_path)
    done = run(argv, "hello")
    assert (done.returncode, done.stdout) == (local.UNABLE, "")
    assert "noise" in done.stderr


def test_the_engine_is_not_torn_down_before_the_end(tmp_path: Path) -> None:
    """The real engine's destructor now and then never returns; this one never does."""
    (tmp_path / "xllamacpp.py").write_text(
        "import os, time\n"
        "class CommonParams:\n"
        "    def __getattr__(self, name): self.__dict__[name] = CommonParams(); return self.__dict__[name]\n"
        "class Server:\n"
        "    def __init__(self, params): pass\n"
        "    def __del__(self): time.sleep(60)\n"
        "    def handle_chat_completions(self, request): raise ValueError('failed: at once')\n"
    )
    argv = agent_argv()
    argv[argv.index("--site") + 1] = str(tmp_path)
    assert_one_sentence(run(argv, "hello"), "The engine refused the request: at once")


def test_a_number_of_tokens_that_makes_no_sense_is_refused() -> None:
    done = run([*agent_argv(), "--max-tokens", "-1"], "hello")
    assert done.returncode == 2
    assert "not a number from 1 to 2047" in done.stderr


@need("cell")
def test_it_answers_in_a_cell_without_network_and_with_nothing_writable() -> None:
    inside = ["/usr/bin/prlimit", "--data=1073741824", "--nproc=128", *agent_argv()]
    # A tmpfs over /home would hide an interpreter that lies there; read-only is what this test is about.
    sandbox = [BWRAP, "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"]
    done = run([*sandbox, *inside], "What is the capital of France?")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Paris" in done.stdout
