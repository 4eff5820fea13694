"""Secrets on the command line and over the socket: set, listed, granted, dropped, removed; a value is shown nowhere."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

from supervisor.control.routes import answer
from supervisor.cronscheduler import CronScheduler
from supervisor.definitions.secrets import MOST_BYTES, SecretStore
from supervisor.stores.home import Home
from supervisor.stores.jobs import CronStore
from tests.command import Command, snapshot
from tests.driver import eventually
from tests.house import CHECKOUT, house

VALUE = "tok-7f3a9c-canary"


def with_job(cronward: Command, *grants: str) -> None:
    for name, value in (("KEY", VALUE), ("TOKEN", "another-2b7c-value")):
        assert cronward("secret", "set", name, stdin=value.encode() + b"\n").code == 0
    options = [part for grant in grants for part in ("--secret", grant)]
    said = cronward("add", "--name", "nightly", "--cron", "0 3 * * *", "--prompt", "x", "--command", "cat", *options)
    assert said.code == 0, said.err


def test_a_secret_is_set_from_standard_input_and_never_shown(cronward: Command) -> None:
    said = cronward("secret", "set", "KEY", stdin=VALUE.encode() + b"\n")
    assert (said.code, said.out) == (0, "Set KEY. No job has it yet.\n")
    path = cronward.home / "secrets" / "KEY"
    assert (path.read_text(), path.stat().st_mode & 0o777) == (VALUE, 0o600)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    record = cronward.json("secret", "list")
    assert [(each["name"], each["jobs"]) for each in record] == [("KEY", [])]
    assert cronward("secret", "list").out.startswith("NAME  SET")
    assert VALUE not in json.dumps(record) + said.err + cronward("secret", "list").out


def test_one_newline_at_the_end_is_left_out_and_no_more(cronward: Command) -> None:
    store = SecretStore(Home(cronward.home))
    given = {b"12345678\n": "12345678", b"12345678\r\n": "12345678", b"a\nb-345678\n\n": "a\nb-345678\n"}
    for stdin, value in {**given, b" 12345678 ": " 12345678 "}.items():
        assert cronward("secret", "set", "KEY", stdin=stdin).code == 0
        assert store.read("KEY") == value


def test_a_wrong_secret_is_refused_in_words_without_it_and_changes_nothing(cronward: Command) -> None:
    with_job(cronward, "KEY")
    before = snapshot(cronward.home)
    wrong: list[tuple[int, str, tuple[str, ...], bytes]] = [
        (2, "shorter than 8", ("set", "KEY"), b"1234567\n"),
        (2, "shorter than 8", ("set", "KEY"), b"  1234567   \n"),
        (2, "NUL", ("set", "KEY"), b"1234\x005678"),
        (2, "not UTF-8", ("set", "KEY"), b"\xff\xfe345678"),
        (2, "longer than", ("set", "KEY"), b"x" * (MOST_BYTES + 3)),
        (2, "at most", ("set", "KEY"), b"x" * (MOST_BYTES + 1)),
        (2, "cannot be a secret's", ("set", "key"), b"12345678"),
        (2, "cannot be a secret's", ("set", "../KEY"), b"12345678"),
        (2, "cannot be a secret's", ("remove", ".."), b""),
        (3, "There is no secret 'NONE'", ("remove", "NONE"), b""),
        (5, "granted to: nightly", ("remove", "KEY"), b""),
    ]
    for code, words, args, stdin in wrong:
        said = cronward("secret", *args, stdin=stdin)
        assert (said.code, words in said.err) == (code, True), (args, said)
        assert "345678" not in said.err + said.out
    assert snapshot(cronward.home) == before


def test_what_is_granted_has_to_be_set_and_is_shown_by_name(cronward: Command) -> None:
    with_job(cronward, "KEY", "TOKEN=API_TOKEN")
    assert cronward.json("show", "nightly")["secrets"] == ["KEY", "TOKEN=API_TOKEN"]
    assert "KEY, TOKEN=API_TOKEN" in cronward("show", "nightly").out
    assert [each["jobs"] for each in cronward.json("secret", "list")] == [["nightly"], ["nightly"]]
    said = cronward("add", "--cron", "@daily", "--prompt", "x", "--command", "cat", "--secret", "GONE")
    assert (said.code, "cronward secret set GONE" in said.err) == (2, True)
    assert cronward("edit", "nightly", "--secret", "GONE").code == 2
    assert cronward.json("show", "nightly")["secrets"] == ["KEY", "TOKEN=API_TOKEN"]


def test_a_change_of_what_a_job_does_takes_its_secrets_unless_they_are_kept(cronward: Command) -> None:
    with_job(cronward, "KEY", "TOKEN=API_TOKEN")

    def granted() -> list[str]:
        found: list[str] = cronward.json("show", "nightly")["secrets"]
        return found

    assert cronward("edit", "nightly", "--cron", "0 4 * * *", "--retries", "1").err == ""
    assert cronward("edit", "nightly", "--prompt", "y", "--keep-secrets").err == ""
    assert len(granted()) == 2
    said = cronward("edit", "nightly", "--prompt", "z")
    assert "Its secrets are taken from it, because of what changed (prompt): KEY, TOKEN=API_TOKEN." in said.err
    assert "--secret KEY --secret TOKEN=API_TOKEN" in said.err
    assert granted() == []
    assert cronward("edit", "nightly", "--command", "cat -u", "--secret", "KEY").err == "", "a list confirms itself"
    assert granted() == ["KEY"]
    assert cronward("edit", "nightly", "--secret", "none").code == 0
    assert granted() == []


def test_a_secret_that_is_removed_by_force_is_missed_by_name(cronward: Command) -> None:
    with_job(cronward, "KEY")
    said = cronward("secret", "remove", "KEY", "--force")
    assert (said.code, said.out) == (0, "Removed KEY. The runs of nightly fail until it is set again.\n")
    assert not (cronward.home / "secrets" / "KEY").exists()
    assert [each["set_at"] is None for each in cronward.json("secret", "list")] == [True, False]
    assert "not set" in cronward("secret", "list").out
    assert cronward("edit", "nightly", "--cron", "0 5 * * *").code == 0, "when it is due may still be changed"


def test_a_value_in_a_prompt_is_noticed_without_repeating_it(cronward: Command) -> None:
    with_job(cronward)
    said = cronward("edit", "nightly", "--prompt", f"Log in with {VALUE}.")
    assert "The prompt of nightly holds the value of the secret KEY" in said.err
    assert VALUE not in said.err
    said = cronward("add", "--cron", "@daily", "--prompt", "x", "--command", f"cat {VALUE}")
    assert "The command of" in said.err
    assert VALUE not in said.err


def test_what_a_killed_writer_left_goes_with_the_next_change(cronward: Command) -> None:
    with_job(cronward)
    left = cronward.home / "secrets" / ".KEY.abc.tmp"
    left.write_text(VALUE)
    assert [each["name"] for each in cronward.json("secret", "list")] == ["KEY", "TOKEN"]
    assert cronward("secret", "set", "KEY", stdin=b"another-value").code == 0
    assert not left.exists()


def test_a_file_that_is_no_secret_of_ours_is_not_handed_out(cronward: Command, tmp_path: Path) -> None:
    with_job(cronward)
    other = tmp_path / "other"
    other.write_text("not-a-secret-of-ours")
    path = cronward.home / "secrets" / "KEY"
    for plant in (lambda: path.symlink_to(other), lambda: path.write_bytes(b"\xff" * 9), lambda: os.mkfifo(path)):
        path.unlink()
        plant()
        said = cronward("edit", "nightly", "--secret", "KEY")
        assert said.code == 2, said
        assert "Traceback" not in said.err


def on_terminal(home: Path, *args: str, typed: dict[bytes, str]) -> bytes:
    """What a person sees who types these lines at these prompts."""
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-m", "supervisor", "--home", str(home), *args]
    child = subprocess.Popen(argv, cwd=CHECKOUT, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    shown = b""
    try:
        for prompt, line in typed.items():
            while not shown.endswith(prompt):
                shown += os.read(ours, 1)
            os.write(ours, line.encode() + b"\n")
        assert child.wait(30) == 0, shown
        return shown + os.read(ours, 4096)
    finally:
        child.kill()
        child.wait()
        os.close(ours)


def test_on_a_terminal_dropped_grants_are_offered_again(cronward: Command) -> None:
    with_job(cronward, "KEY", "TOKEN=API_TOKEN")
    for typed, granted in (("y", ["KEY", "TOKEN=API_TOKEN"]), ("n", [])):
        edit = ("edit", "nightly", "--prompt", f"other {typed}")
        shown = on_terminal(cronward.home, *edit, typed={b"Grant them to it as it is now? [y/N]: ": typed})
        assert b"because of what changed (prompt)" in shown
        assert cronward.json("show", "nightly")["secrets"] == granted


def test_on_a_terminal_it_is_asked_for_twice_and_not_echoed(tmp_path: Path) -> None:
    prompts = {b"Value of KEY: ": VALUE, b"Again: ": VALUE}
    shown = on_terminal(tmp_path / "home", "secret", "set", "KEY", typed=prompts)
    assert b"Set KEY." in shown
    assert VALUE.encode() not in shown
    assert SecretStore(Home(tmp_path / "home")).read("KEY") == VALUE


def holders(value: str) -> list[str]:
    """Files of processes of this host, their arguments and environments, in which the value stands."""
    found = []
    for process in Path("/proc").iterdir():
        for name in ("cmdline", "environ"):
            try:
                if process.name.isdigit() and value.encode() in (process / name).read_bytes():
                    found.append(f"{process.name}/{name}")
            except OSError:
                continue
    return found


def test_a_supervisor_sets_lists_and_removes_over_its_socket_and_logs_no_value(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        home.start()
        reader, writer = os.pipe()
        argv = [sys.executable, "-m", "supervisor", "--home", str(home.root), "secret", "set", "KEY", "--json"]
        child = subprocess.Popen(argv, cwd=CHECKOUT, stdin=reader, stdout=subprocess.PIPE)
        os.close(reader)
        os.write(writer, VALUE.encode())
        eventually(lambda: b"secret" in Path(f"/proc/{child.pid}/cmdline").read_bytes(), 20)
        assert holders(VALUE) == []
        os.close(writer)
        out, _ = child.communicate(timeout=30)
        assert json.loads(out)["name"] == "KEY"
        client = home.client
        assert [record.name for record in client.secrets.list()] == ["KEY"]
        job = home.add(cron_expr="@daily", secrets=["KEY=TOKEN"], name="nightly")
        assert client.secrets.set("KEY", VALUE + "2").jobs == ("nightly",)
        told = client._ask("PATCH", f"/v1/jobs/{job['id']}", {"prompt": "other"})
        assert isinstance(told, dict)
        assert (told["secrets"], told["secrets_dropped"]) == ([], ["KEY=TOKEN"])
        assert client.edit_job(job["id"], {"secrets": ["KEY"]}).secrets == ("KEY",)
        assert client.edit_job(job["id"], {"prompt": "x", "keep_secrets": True}).secrets == ("KEY",)
        assert client.edit_job(job["id"], {"prompt": "y"}).secrets == ()
        assert client.secrets.remove("KEY").name == "KEY"
        assert VALUE not in home.log()
        home.stop()


def test_a_wrong_request_about_secrets_is_refused_without_repeating_a_value(cronward: Command) -> None:
    with_job(cronward, "KEY")
    before = snapshot(cronward.home)
    wrong = [
        ("PUT", "/v1/secrets/KEY", {"value": 12345678}),
        ("PUT", "/v1/secrets/KEY", {"value": VALUE, "more": 1}),
        ("PUT", "/v1/secrets/KEY", {"value": "\ud800" + VALUE}),
        ("PUT", "/v1/secrets/KEY", {"value": VALUE[:7]}),
        ("PUT", "/v1/secrets/%2e%2e%2fx", {"value": VALUE}),
        ("PUT", "/v1/secrets/KEY", {"value": VALUE * 5000}),
        ("DELETE", "/v1/secrets/KEY?force=yes", None),
        ("DELETE", "/v1/secrets/KEY", None),
        ("GET", "/v1/secrets/KEY", None),
        ("PATCH", "/v1/jobs/nightly", {"keep_secrets": "yes", "prompt": "x"}),
        ("PATCH", "/v1/jobs/nightly", {"secrets": [f"KEY={VALUE}"]}),
        ("PATCH", "/v1/jobs/nightly", {"secrets": [VALUE * 20]}),
    ]
    desk = CronScheduler(CronStore(cronward.home))
    for method, target, body in wrong:
        said = answer(desk, method, target, b"" if body is None else json.dumps(body).encode())
        text = b"".join(said.body).decode()
        assert said.status in (400, 405, 409), (method, target, text)
        assert VALUE[:7] not in text
    assert snapshot(cronward.home) == before
