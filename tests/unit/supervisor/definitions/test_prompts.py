"""Names in prompts: put in once, never read again; what nobody vouches for is fenced, and taints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.fence import MOST
from shared.keep import Keep, LoginFile
from shared.messages import Secret
from supervisor.definitions.prompts import KNOWN, UNTRUSTED, check_prompt, names_in, render, taints, with_prompt
from supervisor.errors import InvalidError
from supervisor.models import MAX_PROMPT, CronRun
from supervisor.status import Status
from tests.fakes import NOON, make_job, make_request, make_run

KEY = Secret(name="KEY", value="a value of some length")
NAMES = "".join(f"{{{{ {name} }}}}" for name in KNOWN)


def value(name: str) -> str:
    return f"<{name}>"


def told(last: CronRun | None = None, **fields: Any) -> tuple[str, int | None]:
    job = make_job(untrusted_input=True, **fields)
    request = make_request("run-1", 1, Path("/logs"), prompt=job.prompt)
    made = with_prompt(request, job, make_run(scheduled_at=NOON), lambda: last, "nonce")
    return made.prompt, made.gate_at


def test_names_are_replaced_and_all_else_stays() -> None:
    table = {
        "It is {{ scheduled_at }}.": "It is <scheduled_at>.",
        "{{job.name}}{{\tjob.name }}": "<job.name><job.name>",
        "{{{ job.name }}}": "{<job.name>}",
        r"\{{ job.name }} and \{{ nobody.knows }}": "{{ job.name }} and {{ nobody.knows }}",
        r"\\{{ job.name }}": r"\{{ job.name }}",
        "{{ job.\nname }} {{ a b }} {{ }} {{ 1.x }} {{ 'x' }} {% x %} {{ x | upper }} { x } {{": (
            "{{ job.\nname }} {{ a b }} {{ }} {{ 1.x }} {{ 'x' }} {% x %} {{ x | upper }} { x } {{"
        ),
        "no names": "no names",
    }
    for prompt, expected in table.items():
        assert render(prompt, value).text == expected, prompt


def test_the_place_of_the_gates_output_is_told_and_left_empty() -> None:
    table = {
        "{{ gate.output }}": ("", 0),
        "see {{ gate.output }} there": ("see  there", 4),
        "{{ job.name }}: {{ gate.output }}{{ job.name }}": ("<job.name>: <job.name>", 12),
        r"\{{ gate.output }}": ("{{ gate.output }}", None),
    }
    for prompt, expected in table.items():
        assert render(prompt, value) == expected, prompt


@given(st.sampled_from(KNOWN[:4]), st.text(max_size=40).map(lambda text: text + NAMES + text))
def test_no_name_in_what_is_put_in_is_ever_rendered(name: str, hostile: str) -> None:
    found = render(f"a {{{{ {name} }}}} b", lambda _name: hostile)
    assert found == (f"a {hostile} b", None)


@given(st.text(max_size=60).map(lambda text: f"{text}\n{NAMES}\n{text}"))
def test_an_answer_with_names_in_it_stays_as_it_is(answer: str) -> None:
    last = make_run(status=Status.COMPLETED, response=answer)
    prompt, gate_at = told(last, prompt="Go on from {{ last_run.response }}.")
    assert NAMES in prompt
    assert gate_at is None


def test_what_the_names_stand_for() -> None:
    last = make_run(status=Status.FAILED, response="so far")
    table: dict[str, Callable[[str], bool]] = {
        "{{ scheduled_at }}": lambda text: text == NOON.isoformat(),
        "{{ job.name }}": lambda text: text == "nightly",
        "{{ last_run.status }}": lambda text: text == "failed",
        "{{ last_run.response }}": lambda text: "\nso far\n</data id=" in text,
    }
    for prompt, fits in table.items():
        found, _ = told(last, prompt=prompt, name="nightly")
        assert fits(found), (prompt, found)
    assert told(None, prompt="{{ last_run.status }}")[0] == "none"
    assert "\n\n</data" in told(None, prompt="{{ last_run.response }}")[0]
    assert told(last, prompt="{{ job.name }}")[0] == make_job().id
    assert told(last, prompt="a {{ gate.output }} b", gate="true") == ("a  b", 2)


def test_what_stands_around_the_jobs_own_words_stays() -> None:
    job = make_job(prompt="a {{ gate.output }} b", gate="true", untrusted_input=True)
    around = make_request("run-1", 1, Path("/logs"), prompt=f"Task: {job.prompt} Schema: {{{{ job.name }}}}")
    made = with_prompt(around, job, make_run(), lambda: None, "nonce")
    assert (made.prompt, made.gate_at) == ("Task: a  b Schema: {{ job.name }}", 8)


def test_the_last_run_is_looked_up_only_where_the_prompt_names_it() -> None:
    def never() -> None:
        raise AssertionError("looked up")

    request = make_request("run-1", 1, Path("/logs"))
    with_prompt(request, make_job(prompt="{{ job.name }}"), make_run(), never, "nonce")


def test_a_long_answer_is_cut() -> None:
    last = make_run(status=Status.COMPLETED, response="ä" * 10_000)
    prompt, _ = told(last, prompt="{{ last_run.response }}")
    assert prompt.count("ä") == MOST // 2
    assert f"its first {MOST} bytes" in prompt


def test_what_cannot_be_told_is_refused_in_a_sentence() -> None:
    allowed = {"untrusted_input": True}
    table: list[tuple[dict[str, Any], str]] = [
        ({"prompt": "{{ nobody.knows }}"}, r"which is unknown; use one of: scheduled_at.*\\\{\{ nobody.knows \}\}"),
        ({"prompt": "{{ Job.Name }}"}, "unknown"),
        ({"prompt": "{{ last_run.response }}"}, "--untrusted-input"),
        ({"prompt": "{{ gate.output }}", "gate": "true"}, "--untrusted-input"),
        ({"prompt": "{{ gate.output }}", **allowed}, "has no gate"),
        ({"prompt": "{{ last_run.response }}{{last_run.response}}", **allowed}, "2 times"),
        ({"prompt": "{{ last_run.response }}", "secrets": ("KEY",), **allowed}, "--secrets-when-tainted"),
        ({"prompt": "{{job.name}}" * 20_000, "name": "ä" * 64}, "at most"),
    ]
    for fields, words in table:
        with pytest.raises(InvalidError, match=words):
            check_prompt(make_job(**fields))


def test_what_can_be_told_is_accepted() -> None:
    allowed: list[dict[str, Any]] = [
        {"prompt": r"Write \{{ user.name }} into the template."},
        {"prompt": NAMES, "untrusted_input": True, "gate": "true"},
        {"prompt": NAMES, "untrusted_input": True, "gate": "true", "secrets": ("KEY",), "secrets_when_tainted": True},
        {"prompt": "x" * MAX_PROMPT},
        {"prompt": "{{ last_run.status }}", "secrets": ("KEY",)},
    ]
    for fields in allowed:
        check_prompt(make_job(**fields))


def test_a_tainted_attempt_has_no_secrets_unless_its_job_says_so() -> None:
    request = make_request("run-1", 1, Path("/logs"), secrets=(KEY,))
    for prompt in ("{{ last_run.response }}", "{{ gate.output }}"):
        for may, expected in ((False, ()), (True, (KEY,))):
            # As a job that somebody stored by hand: what was granted to it is not checked here.
            job = make_job(prompt=prompt, gate="true", untrusted_input=True, secrets_when_tainted=may)
            assert with_prompt(request, job, make_run(), lambda: None, "nonce").secrets == expected, (prompt, may)
    assert with_prompt(request, make_job(), make_run(), lambda: None, "nonce").secrets == (KEY,)


def test_a_tainted_attempt_has_no_login_either_and_a_job_that_would_have_one_is_refused() -> None:
    keep = Keep(directory="/kept", login=(LoginFile(path="login", text="{}"),), renewed=True)
    request = make_request("run-1", 1, Path("/logs"), keep=keep)
    for may, expected in ((False, replace(keep, login=(), renewed=False)), (True, keep)):
        job = make_job(prompt="{{ last_run.response }}", untrusted_input=True, secrets_when_tainted=may)
        assert with_prompt(request, job, make_run(), lambda: None, "nonce").keep == expected
    granted: list[dict[str, Any]] = [{"login": True}, {"git_credentials": ("github.com=KEY",), "network": "public"}]
    for fields in granted:
        job = make_job(prompt="{{ last_run.response }}", untrusted_input=True, **fields)
        with pytest.raises(InvalidError, match="secrets-when-tainted"):
            check_prompt(job)
        check_prompt(job.model_copy(update={"secrets_when_tainted": True}))


def test_a_prompt_taints_by_what_it_takes_in() -> None:
    assert [name for name in KNOWN if taints(f"a {{{{ {name} }}}} b")] == list(UNTRUSTED)
    assert not taints(r"\{{ gate.output }}")
    assert list(names_in(NAMES)) == list(KNOWN)
