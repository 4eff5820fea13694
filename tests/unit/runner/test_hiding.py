"""An answer is judged as the agent wrote it, and kept without the secrets in it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner import logs, output
from runner.ending import Ending
from runner.hiding import Hiding
from runner.logs import Logs
from runner.output import Verdict
from runner.report import Report
from shared.messages import ExecuteRequest, Secret
from shared.reasons import Reason
from tests.fakes import make_request

TOKEN = "tok-12345678-abcdefgh"


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Logs]:
    found = logs.open_logs(str(tmp_path), "network")
    yield found
    for descriptor in (found.stdout, found.stderr, found.answer, found.result, found.directory, found.network):
        os.close(descriptor)


def asked(folder: Path, **fields: Any) -> ExecuteRequest:
    return make_request("run-1", 1, folder, secrets=(Secret(name="TOKEN", value=TOKEN),), **fields)


def judged(request: ExecuteRequest, files: Logs, said: str) -> tuple[Verdict, str]:
    """As the relay does it: what was written goes through the stream to the file; then it is judged."""
    hiding = Hiding(request)
    for part in (said[:7], said[7:]):
        logs.write_all(files.stdout, hiding.stdout.feed(part.encode()))
    logs.write_all(files.stdout, hiding.stdout.finish())
    report = Report()
    for line in (b"hello Seccomp=0", b"started", b"exited 0 0"):
        report.take(line)
    found = output.judge(request, Ending(report), files, hiding)
    return found, os.pread(files.answer, 1 << 16, 0).decode()


def test_a_text_is_kept_with_a_mark_in_the_place_of_the_secret(tmp_path: Path, files: Logs) -> None:
    found, answer = judged(asked(tmp_path), files, f"It is {TOKEN}.\n")
    assert (found.reason, found.response, answer) == (Reason.OK, "It is [secret TOKEN].\n", "It is [secret TOKEN].\n")
    assert found.answer_bytes == len(answer)


def test_json_is_judged_with_the_secret_in_it_and_kept_without(tmp_path: Path, files: Logs) -> None:
    schema = json.dumps({"type": "object", "properties": {"it": {"const": TOKEN}}, "required": ["it"]})
    request = asked(tmp_path, output_format="structured", output_schema=schema)
    found, answer = judged(request, files, json.dumps({"it": TOKEN, "n": 1}))
    assert (found.reason, found.response, found.answer_bytes) == (Reason.OK, answer, len(answer))
    assert json.loads(answer) == {"it": "[secret TOKEN]", "n": 1}


def test_an_escaped_secret_in_json_is_found_after_parsing(tmp_path: Path, files: Logs) -> None:
    spelled = "".join(f"\\u{ord(letter):04x}" for letter in TOKEN)
    found, answer = judged(asked(tmp_path, output_format="json"), files, f'{{"it": "{spelled}"}}')
    assert (found.reason, json.loads(answer)) == (Reason.OK, {"it": "[secret TOKEN]"})
    assert json.loads(found.response) == {"it": "[secret TOKEN]"}


def test_json_without_a_secret_is_kept_as_it_was_written_without_what_stands_around_it(
    tmp_path: Path, files: Logs
) -> None:
    found, answer = judged(asked(tmp_path, output_format="json"), files, 'Here:\n```json\n{"a":   1}\n```\n')
    assert (answer, found.response, found.answer_bytes) == ('{"a":   1}\n', answer, len(answer))


def test_a_secret_beside_the_json_is_not_kept_and_one_spread_over_it_takes_all_of_it(tmp_path: Path) -> None:
    for said, kept in (
        (f"{TOKEN}:\n```\n[1]\n```\n", "[1]\n"),
        (f'{{"a": "{TOKEN}", "a": 1}}', '{"a": "[secret TOKEN]", "a": 1}'),
        ('```\n{"k":[12,34]}\n```', '"[secret SPREAD]"\n'),
        ('{"k":[12,34]}', '"[secret SPREAD]"\n'),
        ('["x-123456","y-123456"]', '"[secret ODD]"\n'),  # with a mark in it, it would be another JSON
        ('{"k": [12, 34]}', '{"k": [12, 34]}'),  # another writing of it is not found
    ):
        folder = tmp_path / str(len(said))
        folder.mkdir()
        spread = Secret(name="SPREAD", value='{"k":[12,34]}')
        request = asked(folder, output_format="json")
        odd = Secret(name="ODD", value='x-123456","y-123456')
        request = replace(request, secrets=(*request.secrets, spread, odd))
        assert judged(request, logs.open_logs(str(folder)), said)[1] == kept


def test_a_wrong_answer_is_quoted_without_the_secret_though_the_quotation_is_cut(tmp_path: Path, files: Logs) -> None:
    schema = json.dumps({"properties": {"it": {"type": "integer"}}})
    request = asked(tmp_path, output_format="structured", output_schema=schema)
    found, answer = judged(request, files, json.dumps({"it": "x" * 90 + TOKEN + "y" * 200}))
    assert found.reason is Reason.INVALID_OUTPUT
    for text in (found.error, found.response, answer):
        assert TOKEN[:5] not in text


def test_json_that_cannot_be_written_again_is_invalid(tmp_path: Path, files: Logs) -> None:
    found, answer = judged(asked(tmp_path, output_format="json"), files, f'["{TOKEN}", 1e999]')
    assert found.reason is Reason.INVALID_OUTPUT
    assert TOKEN not in answer + found.error + found.response


def test_the_proxys_log_names_no_host_with_a_secret_in_it(tmp_path: Path, files: Logs) -> None:
    entries = [{"host": f"{TOKEN}.evil.example", "up": 12345678}, {"host": "good.example", "up": 2}]
    logs.write_all(files.network, b"".join(json.dumps(entry).encode() + b"\n" for entry in entries) + b'{"cut')
    Hiding(asked(tmp_path)).hide_log(files.network, 1 << 20)
    lines = os.pread(files.network, 1 << 16, 0).splitlines()
    assert [json.loads(line) for line in lines] == [{**entries[0], "host": "[secret TOKEN].evil.example"}, entries[1]]
