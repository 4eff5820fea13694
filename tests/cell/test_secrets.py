"""Secrets in real cells: only what was granted is there, and nothing that is stored or shown has a value in it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from shared.messages import ExecuteRequest, Secret
from tests import driver
from tests.driver import Driven, execute, request
from tests.house import House, eventually, house
from tests.lacks import need
from tests.receiver import receiver

pytestmark = need("cell")

VALUE = "tok-4e1f77-canary/+&"
OTHER = "key-90ab55-canary"
PYTHON = "/usr/bin/python3"
SHOW = 'cd "$CRONWARD_SECRETS"; ls -A; stat -c "%a %u" .'


def granted(log_dir: Path, *argv: str, variable: str = "", **changes: Any) -> ExecuteRequest:
    secrets = (Secret(name="TOKEN", value=VALUE, variable=variable), Secret(name="KEY", value=OTHER))
    return request(log_dir, *argv, secrets=secrets, **changes)


def kept(log_dir: Path) -> str:
    """Everything that the attempt filed."""
    return "".join(path.read_bytes().decode("utf-8", "replace") for path in log_dir.iterdir())


def test_a_secret_is_a_file_and_perhaps_a_variable_for_the_agent_alone(log_dir: Path) -> None:
    look = (
        f"{SHOW}; stat -c '%n %a %u' *; printf '%s' \"$MINE\" | cmp - TOKEN && echo same; env | grep -c canary;"
        "(echo x >TOKEN) 2>/dev/null || echo kept; rm -f KEY 2>/dev/null || echo there; "
        "mv TOKEN x 2>/dev/null || echo pinned; wc -c <TOKEN; grep -c canary /proc/1/environ || echo hidden"
    )
    said = execute(granted(log_dir, "/bin/sh", "-c", look, variable="MINE"))
    assert said["reason"] == "ok", said
    lines = ["KEY", "TOKEN", "700 1000", "KEY 400 1000", "TOKEN 400 1000", "same", "1", "kept", "there", "pinned"]
    assert said["response"].split("\n")[:-1] == [*lines, str(len(VALUE)), "hidden"]


def test_an_attempt_without_secrets_has_no_place_for_them(log_dir: Path) -> None:
    said = execute(request(log_dir, "/bin/sh", "-c", "ls /run/cronward; env | grep -c SECRET || true"))
    assert said["response"] == "init.pyc\n0\n"


def test_what_the_agent_writes_is_masked_wherever_it_is_kept(log_dir: Path) -> None:
    program = """
import base64, os, sys, time, urllib.parse
value = open("/run/cronward/secrets/TOKEN").read()
for part in (value[:5], value[5:], "\\n"):
    os.write(1, part.encode()); time.sleep(0.05)
print(base64.b64encode(b"user:" + value.encode()).decode(), urllib.parse.quote(value), value.encode().hex())
sys.stdout.flush()
os.write(2, b"x" * 65530 + value.encode() + b"\\n" + os.environ["MINE"].encode() + b" was not accepted\\n")
sys.exit(3)
"""
    said = execute(granted(log_dir, PYTHON, "-c", program, variable="MINE"))
    assert (said["reason"], said["exit_code"]) == ("agent_error", 3)
    assert "[secret TOKEN] was not accepted" in said["error"]
    files = kept(log_dir)
    assert (log_dir / "stdout").read_text().startswith("[secret TOKEN]\n")
    for writing in (VALUE, base64.b64encode(b"user:" + VALUE.encode()).decode()[8:], VALUE.encode().hex()):
        assert writing not in json.dumps(said) + files
    assert (log_dir / "stdout").read_text().count("[secret TOKEN]") == 4


def test_an_answer_is_judged_with_its_secrets_and_kept_as_json_without(log_dir: Path) -> None:
    schema = json.dumps({"properties": {"token": {"const": VALUE}}, "required": ["token", "status"]})
    program = (
        "import json; v = open('/run/cronward/secrets/TOKEN').read(); print(json.dumps({'token': v, 'status': v + v}))"
    )
    wanted = granted(log_dir, PYTHON, "-c", program, output_format="structured", output_schema=schema)
    said = execute(wanted)
    assert said["reason"] == "ok", said
    masked = {"token": "[secret TOKEN]", "status": "[secret TOKEN][secret TOKEN]"}
    assert json.loads(said["response"]) == json.loads((log_dir / "answer").read_text()) == masked
    assert VALUE not in kept(log_dir)


def test_a_flood_of_secrets_is_cut_at_the_limit_of_what_is_kept(log_dir: Path) -> None:
    program = "import sys; v = open('/run/cronward/secrets/TOKEN').read()\nwhile True: sys.stdout.write(v * 3000)"
    limits = driver.limits(output_bytes=1 << 20)
    said = execute(granted(log_dir, PYTHON, "-c", program, limits=limits))
    assert said["reason"] == "output_limit"
    assert (log_dir / "stdout").stat().st_size == 1 << 20
    assert VALUE[:8] not in kept(log_dir)


def test_what_is_still_in_the_pipe_at_the_end_is_masked_too(log_dir: Path) -> None:
    program = (
        "import os, fcntl; v = open('/run/cronward/secrets/TOKEN').read().encode()\n"
        "os.write(1, (v + b'.') * 3000 + v[:7]); os._exit(0)"
    )
    said = execute(granted(log_dir, PYTHON, "-c", program))
    assert said["reason"] == "ok"
    assert (log_dir / "stdout").read_text() == "[secret TOKEN]." * 3000 + VALUE[:7]


def holders(*values: str) -> set[str]:
    """Programs of this host in whose arguments or environment one of the values stands."""
    found = set()
    for process in Path("/proc").iterdir():
        for name in ("cmdline", "environ"):
            try:
                if process.name.isdigit() and any(value.encode() in (process / name).read_bytes() for value in values):
                    found.add(f"{(process / 'comm').read_text().strip()} {name}")
            except OSError:
                continue
    return found


def test_nothing_on_the_way_to_the_agent_shows_a_value(log_dir: Path) -> None:
    with Driven(granted(log_dir, "/bin/sleep", driver.marker(), variable="MINE")) as driven:
        driven.wait_for("started")
        # The agent's own has it, which shows that this looks where it should.
        assert holders(VALUE, OTHER) == {"sleep environ"}
        driven.stop()
        driven.result()


def in_home(home: House, value: str) -> list[str]:
    files = [path for path in home.root.parent.rglob("*") if path.is_file() and not path.is_symlink()]
    return sorted(str(path.relative_to(home.root)) for path in files if value.encode() in path.read_bytes())


def test_a_job_gets_what_it_was_granted_and_nothing_of_it_is_kept_or_told(tmp_path: Path) -> None:
    with house(tmp_path) as home, receiver() as told:
        for name, value in (("TOKEN", VALUE), ("KEY", OTHER)):
            assert home.cronward("secret", "set", name, stdin=f"{value}\n").returncode == 0
        home.start()
        show = f"/bin/sh -c '{SHOW}; cat *; echo; echo $MINE; echo $KEY; cat /dev/stdin'"
        prompt = f"Say {VALUE}."
        job = home.run_now(command=show, secrets=["TOKEN=MINE"], on_complete=told.url, prompt=prompt, name="with")
        plain = home.run_now(command="/bin/sh -c 'echo $MINE; ls /run/cronward; env'", name="without")
        (run,), (other,) = home.ended(job["id"]), home.ended(plain["id"])
        mark = "[secret TOKEN]"
        assert run["response"] == f"TOKEN\n700 1000\n{mark}\n{mark}\n\nSay {mark}.", run
        assert other["response"].startswith("\ninit.pyc\n")
        assert "canary" not in other["response"]
        assert "SECRETS" not in other["response"]
        eventually(lambda: told.requests)
        assert mark in told.requests[0][2].decode()
        logged = home.cronward("logs", run["id"]).stdout + home.log()
        assert VALUE not in logged + told.requests[0][2].decode() + json.dumps(run)
        # The definition holds what the owner wrote into the prompt, which `add` warns of; nothing else does.
        assert in_home(home, VALUE) == [f"jobs/{job['id']}.json", "secrets/TOKEN"]
        assert in_home(home, OTHER) == ["secrets/KEY"]
        home.stop()


def test_an_attempt_gets_the_value_that_was_set_last_and_fails_by_name_without_one(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        home.start()
        client = home.client
        client.secrets.set("TOKEN", VALUE)
        job = home.run_now(command="/usr/bin/wc -c /run/cronward/secrets/TOKEN", secrets=["TOKEN"], retries=0)
        assert home.ended(job["id"])[0]["response"].startswith(f"{len(VALUE)} ")
        client.secrets.set("TOKEN", VALUE + "longer")
        client.run_job(job["id"])
        assert home.ended(job["id"], 2)[1]["response"].startswith(f"{len(VALUE) + 6} ")
        client.secrets.remove("TOKEN", True)
        client.run_job(job["id"])
        run = home.ended(job["id"], 3)[2]
        assert (run["status"], run["reason"]) == ("failed", "bad_definition")
        assert "The secret TOKEN is not set. Set it with: cronward secret set TOKEN" in run["error"]
        home.stop()


def test_as_many_as_can_be_are_all_there(log_dir: Path) -> None:
    secrets = tuple(Secret(name=f"S{number}", value=f"{number}-" + "x" * 4000) for number in range(16))
    said = execute(request(log_dir, "/bin/sh", "-c", "cat /run/cronward/secrets/* | wc -c", secrets=secrets))
    assert said["response"].strip() == str(sum(len(secret.value) for secret in secrets))
