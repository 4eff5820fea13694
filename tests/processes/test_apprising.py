"""The child that speaks to Apprise: what it is given, and that nothing it does hurts us. Its library is a stub here."""

from __future__ import annotations

import importlib.util
import json
import time
from pathlib import Path

import pytest

from supervisor.notifications import apprising
from supervisor.notifications.webhookurl import WebhookError
from tests.receiver import receiver


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A child of the test's own making, that writes what it got to `given`."""
    script = tmp_path / "child.py"
    monkeypatch.setattr(apprising, "CHILD", script)
    monkeypatch.setattr(apprising, "START_SECONDS", 10.0)
    return script


def body(folder: Path, then: str) -> str:
    given = folder / "given"
    return (
        "import json, os, sys, time\n"
        "said = json.load(sys.stdin); said['argv'] = sys.argv; said['env'] = sorted(os.environ)\n"
        f"open({str(given)!r}, 'w').write(json.dumps(said))\n{then}\n"
    )


def refused(timeout: float = 5.0) -> str:
    with pytest.raises(WebhookError) as error:
        apprising.tell_by_apprise("mailto://s3cret", "A title", "Some\ntext", timeout)
    assert not error.value.permanent
    assert "s3cret" not in str(error.value)
    return str(error.value)


def test_what_holds_a_password_goes_through_its_standard_input(child: Path, tmp_path: Path) -> None:
    child.write_text(body(tmp_path, ""))
    apprising.tell_by_apprise("mailto://s3cret", "A title", "Some\ntext", 5.0)
    given = json.loads((tmp_path / "given").read_text())
    assert (given["url"], given["title"], given["text"]) == ("mailto://s3cret", "A title", "Some\ntext")
    assert "s3cret" not in str(given["argv"])
    assert set(given["env"]) <= {"HOME", "LANG", "LC_CTYPE", "PATH"}


def test_whatever_becomes_of_it_is_a_sentence(child: Path, tmp_path: Path) -> None:
    rows = [
        ("sys.exit(3)", "not installed"),
        ("sys.exit(4)", "no Apprise URL"),
        ("sys.exit(5)", "could not tell it"),
        ("1 / 0", "Apprise broke."),
        ("os.abort()", "Apprise broke."),
        ("print('x' * 10_000_000)\nsys.exit(5)", "could not tell it"),
    ]
    for then, words in rows:
        child.write_text(body(tmp_path, then))
        assert words in refused(), then
    child.unlink()
    assert "Apprise broke." in refused()


def test_one_that_hangs_is_ended(child: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apprising, "START_SECONDS", 0.5)
    child.write_text(body(tmp_path, "time.sleep(60)"))
    began = time.monotonic()
    assert "took too long" in refused(0.5)
    assert time.monotonic() - began < 30


@pytest.mark.skipif(importlib.util.find_spec("apprise") is None, reason="needs the extra `apprise`")
def test_apprise_itself_tells_and_says_where_it_could_not() -> None:
    with receiver(200, 500) as got:
        place = got.url.partition("//")[2]
        apprising.tell_by_apprise(f"json://{place}", "A <b>title</b>", "Some\ntext", 10.0)
        with pytest.raises(WebhookError, match="could not tell it"):
            apprising.tell_by_apprise(f"json://{place}", "A title", "Some text", 10.0)
    said = json.loads(got.requests[0][2])
    assert (said["title"], said["message"]) == ("A <b>title</b>", "Some\ntext")
