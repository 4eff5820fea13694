"""From an adapter and a job to words, variables and files; and how an agent learns of its schema."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.messages import Caps
from supervisor.agents.adapter import Adapter
from supervisor.agents.adapters import adapter
from supervisor.agents.invocation import NOTHING_MORE, SCHEMA_FILE, Invocation, Terms, invocation
from supervisor.agents.placeholders import MissingError, filled, words
from supervisor.agents.schemaways import closed, prompted, way_of
from supervisor.errors import InvalidError
from supervisor.models import CronJob
from tests.fakes import make_job

CLOSED = '{"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": false}'
OPEN = '{"type": "object", "properties": {"a": {}}}'


def made(**fields: Any) -> Adapter:
    return Adapter.model_validate({"name": "x", "program": {"find": "x"}, "network": "none", **fields})


def started(known: Adapter, terms: Terms = NOTHING_MORE, **fields: Any) -> Invocation:
    return invocation(make_job(agent=known.name, **fields), known, terms)


def structured(schema: str) -> dict[str, str]:
    return {"output_format": "structured", "output_schema": schema}


# ---- placeholders


def test_a_group_is_there_only_if_all_of_it_has_a_value() -> None:
    argv = ("run", ("-m", "{model}"), ("-p", "{model}:{session}"), "{work_dir}/x", "{not a} {MODEL} {")
    rows: dict[str, tuple[dict[str, str], list[str]]] = {
        "nothing": ({"work_dir": "/w"}, ["run", "/w/x"]),
        "one": ({"work_dir": "/w", "model": "m"}, ["run", "-m", "m", "/w/x"]),
        "both": ({"work_dir": "/w", "model": "m", "session": "s"}, ["run", "-m", "m", "-p", "m:s", "/w/x"]),
    }
    for row, (values, found) in rows.items():
        assert list(words(argv, values, {})) == [*found, "{not a} {MODEL} {"], row
    with pytest.raises(MissingError):
        words(argv, {}, {})
    # A default is for words that stand alone; it makes no group of nothing.
    assert words(("{model}", ("-m", "{model}")), {}, {"model": "usual"}) == ("usual",)
    assert words(("{model}", ("-m", "{model}")), {"model": "m"}, {"model": "usual"}) == ("m", "-m", "m")


def test_a_value_is_never_looked_into() -> None:
    assert filled("{model}-{session}", {"model": "{session}", "session": "$HOME {model}"}) == "{session}-$HOME {model}"


# ---- what a job's agent is started with


def test_what_is_asked_of_claude_stands_in_its_argv() -> None:
    plain = started(adapter("claude"))
    assert plain.words[:4] == ("-p", "--output-format", "stream-json", "--verbose")
    assert not {"--model", "--json-schema", "--max-turns", "--max-budget-usd", "--resume"} & {*plain.words}
    assert "ANTHROPIC_BASE_URL" not in plain.env
    terms = Terms(session="abc", caps=Caps(turns=3, cost_usd=0.00001))
    started_full = started(adapter("claude"), terms, model="opus", **structured(OPEN))
    assert started_full.files == {}
    full = started_full.words
    pairs = {word: full[at + 1] for at, word in enumerate(full[:-1])}
    assert pairs["--model"] == "opus"
    assert pairs["--json-schema"] == OPEN
    assert (pairs["--max-turns"], pairs["--max-budget-usd"]) == ("3", "0.000010")
    assert pairs["--resume"] == "abc"


def test_codex_goes_on_by_another_command_and_gets_its_schema_in_a_file() -> None:
    codex = adapter("codex")
    first = started(codex, model="m", **structured(CLOSED))
    assert first.words[:2] == ("exec", "--json")
    assert first.words[-1] == "-"
    assert first.words[first.words.index("--output-schema") + 1] == SCHEMA_FILE
    assert first.files == {SCHEMA_FILE: CLOSED}
    second = started(codex, Terms(session="abc"))
    assert second.words[:2] == ("exec", "resume")
    assert second.words[-2:] == ("abc", "-")
    assert second.files == {}
    gateway = codex.model_copy(update={"base_url": "http://10.0.0.1/v1"})
    assert any('base_url="http://10.0.0.1/v1"' in word for word in started(gateway).words)
    assert not any("gateway" in word for word in started(codex).words)


def test_the_files_of_gemini_and_opencode_are_what_these_read() -> None:
    files = started(adapter("gemini")).files
    settings = json.loads(files["/home/agent/.gemini/settings.json"])
    assert settings["model"]["maxSessionTurns"] == -1
    capped = started(adapter("gemini"), Terms(caps=Caps(turns=5))).files
    assert json.loads(capped["/home/agent/.gemini/settings.json"])["model"]["maxSessionTurns"] == 5
    opencode = adapter("opencode")
    assert started(opencode, model="anthropic/x").files == {}
    gateway = opencode.model_copy(update={"base_url": "http://10.0.0.1/v1"})
    found = json.loads(started(gateway, model="gateway/m").files["/home/agent/.config/opencode/opencode.json"])
    assert found["provider"]["gateway"]["models"] == {"m": {}}
    assert found["provider"]["openai"]["options"] == {"baseURL": "http://10.0.0.1/v1"}
    # Its own way to name a variable is none of ours.
    assert found["provider"]["gateway"]["options"]["apiKey"] == "{env:OPENAI_API_KEY}"


def test_what_has_no_value_is_left_out_and_what_cannot_be_left_out_is_asked_for() -> None:
    known = made(env={"A": "{model}", "B": "{base_url}", "C": "c"}, files={".m": "{model}", ".c": "c"})
    assert started(known) == Invocation((), {"C": "c"}, {"/home/agent/.c": "c"})
    found = started(known, model="m")
    assert (found.env, found.files) == ({"A": "m", "C": "c"}, {"/home/agent/.m": "m", "/home/agent/.c": "c"})
    rows = {"model": "name one (--model)", "base_url": "set `base_url` in its adapter", "session": "without session"}
    for name, said in rows.items():
        with pytest.raises(InvalidError) as refused:
            started(made(argv=[f"{{{name}}}"]))
        assert said in str(refused.value), name


def test_the_work_directory_is_the_jobs_or_where_it_starts_without_one() -> None:
    known = made(argv=["{work_dir}"])
    assert started(known, work_dir="/srv/x").words == ("/srv/x",)
    assert started(known).words == ("/home/agent/scratch",)


# ---- the schema


def job(schema: str = OPEN) -> CronJob:
    return make_job(**structured(schema))


def test_the_schema_goes_by_a_flag_or_else_into_the_prompt() -> None:
    rows = {
        ("claude", OPEN): "flag",
        ("codex", CLOSED): "flag",
        ("codex", OPEN): "prompt",
        ("llm", OPEN): "flag",
        ("gemini", OPEN): "prompt",
        ("opencode", CLOSED): "prompt",
        ("local", OPEN): "constrained",
        ("command", OPEN): "untold",
    }
    for (name, schema), way in rows.items():
        known = adapter(name)
        assert way_of(known, job(schema)) == way, (name, schema)
        said = prompted(known, job(schema), "Say hello.")
        assert said.startswith("Say hello."), name
        assert (schema in said) == (way == "prompt"), (name, schema)
        if way == "prompt":
            assert schema not in repr(invocation(job(schema), known.model_copy(update={"argv": ()}), NOTHING_MORE))
    assert way_of(adapter("gemini"), make_job()) is None
    assert prompted(adapter("gemini"), make_job(), "Say {schema}.") == "Say {schema}."


def test_a_schema_is_closed_if_each_of_its_objects_is() -> None:
    inner = f'{{"type": "object", "properties": {{"b": {OPEN}}}, "required": ["b"], "additionalProperties": false}}'
    rows = {
        CLOSED: True,
        OPEN: False,
        inner: False,
        inner.replace(OPEN, CLOSED): True,
        f'{{"type": "array", "items": {OPEN}}}': False,
        f'{{"anyOf": [{CLOSED}, {{"type": "null"}}]}}': True,
        f'{{"anyOf": [{OPEN}, {{"type": "null"}}]}}': False,
        '{"type": ["object", "null"]}': False,
        '{"type": "object", "additionalProperties": false, "required": []}': True,
        CLOSED.replace('["a"]', "[]"): False,
        '{"properties": {"a": {}}, "additionalProperties": false}': False,
        '{"type": "string"}': True,
        "true": True,
        "[" * 70 + "]" * 70: False,
    }
    for schema, found in rows.items():
        assert closed(json.loads(schema)) == found, schema
