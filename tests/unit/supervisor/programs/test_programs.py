"""Which files a program is made of: layouts as installers leave them, and as somebody would who means harm."""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import InvalidError
from supervisor.models import Program
from supervisor.programs import elf, shebang, trust
from supervisor.programs.installs import install_of, mixed, refuse_shim
from supervisor.programs.links import MOST_LINKS, Step, walk
from supervisor.programs.programs import Sight, of_system, outermost, resolve, searched
from tests import installs
from tests.installs import link, script
from tests.lacks import need


def sight(home: Path, **facts: Any) -> Sight:
    usual = {"search": (f"{home}/.local/bin", "/usr/bin", "/bin"), "homes": (str(home),), "trusted": trust.owners()}
    return Sight(**{**usual, **facts})


def found(name: str | Path, home: Path, **facts: Any) -> Program:
    return resolve(str(name), sight(home, **facts))


def refusal(name: str | Path, home: Path, **facts: Any) -> str:
    with pytest.raises(InvalidError) as refused:
        found(name, home, **facts)
    return str(refused.value)


def below(home: Path, program: Program) -> list[str]:
    return [path.removeprefix(f"{home}/") for path in program.shown]


# ---- what installers leave


def test_of_every_layout_just_what_it_needs_is_shown(tmp_path: Path) -> None:
    node = script(tmp_path / ".nvm" / "versions" / "node" / "v20" / "bin" / "node", "")
    search = (str(node.parent), "/usr/bin")
    sh, env = "/bin/sh", "/usr/bin/env node"
    # where the link is, what it leads to, its interpreter, and what is shown of the home for it
    layouts = (
        (".local/bin/claude", ".local/share/claude/versions/2.1", sh, [".local/share/claude/versions/2.1"]),
        ("bin/tool", "bin/tool.sh", sh, ["bin/tool.sh"]),
        (".cargo/bin/rg", ".cargo/bin/ripgrep", sh, [".cargo/bin/ripgrep"]),
        ("code/bin/run", "code/bin/run.sh", sh, ["code/bin/run.sh"]),
        (".local/bin/codex", ".local/lib/node_modules/codex/bin/codex.js", sh, [".local/lib/node_modules/codex"]),
        (".npm/bin/cc", ".npm/lib/node_modules/@a/cc/node_modules/b/c.js", sh, [".npm/lib/node_modules/@a/cc"]),
        (".bun/bin/gem", ".bun/install/global/node_modules/gem/g.js", sh, [".bun/install/global/node_modules"]),
        (
            ".local/share/pnpm/x",
            ".local/share/pnpm/global/5/.pnpm/x@1/node_modules/x/c.js",
            sh,
            [".local/share/pnpm/global/5/.pnpm"],
        ),
        (".rbenv/bin/a", ".rbenv/versions/3.3/bin/a", sh, [".rbenv/versions/3.3"]),
        (".local/bin/go", "sdk/go1.23/bin/go", sh, ["sdk/go1.23"]),
        (".local/bin/sdk", "sdk/keys/bin/sdk", sh, ["sdk/keys/bin/sdk"]),
        (".local/bin/brewed", "brew/Cellar/brewed/1/bin/brewed", sh, ["brew/Cellar"]),
        (
            ".nvm/versions/node/v20/bin/tool",
            ".nvm/versions/node/v20/lib/node_modules/tool/cli.js",
            env,
            [".nvm/versions/node/v20/bin/node", ".nvm/versions/node/v20/lib/node_modules/tool"],
        ),
    )
    for at, to, interpreter, shown in layouts:
        script(tmp_path / to, "", interpreter)
        link(tmp_path / at, os.path.relpath(tmp_path / to, (tmp_path / at).parent))
        program = found(tmp_path / at, tmp_path, search=search)
        assert below(tmp_path, program) == shown, at
        assert program.path == str(tmp_path / at)
        assert program.real == str(tmp_path / to)
        covered = any(at.startswith(f"{each}/") for each in shown)
        assert list(program.links) == ([] if covered else [str(tmp_path / at)]), at
        assert program.env["PATH"].startswith(f"{(tmp_path / at).parent}:")


def test_an_environment_is_shown_with_the_python_that_it_was_made_from(tmp_path: Path) -> None:
    python = tmp_path / ".pyenv" / "versions" / "3.12.1" / "bin" / "python3.12"
    script(python, "")
    script(python.parent.parent / "lib" / "python3.12" / "os.py", "")
    link(python.parent / "python3", "python3.12")
    tool = installs.environment(tmp_path / "tools" / "llm", python, "")
    link(tmp_path / ".local" / "bin" / "llm", tool)
    program = found("llm", tmp_path)
    assert below(tmp_path, program) == [".pyenv/versions/3.12.1", "tools/llm"]
    assert program.interpreter == str(python)
    assert found(tool, tmp_path).links == {}
    # One with a copy of the interpreter, which finds its library by what pyvenv.cfg says.
    (tmp_path / "tools" / "llm" / "bin" / "python").unlink()
    script(tmp_path / "tools" / "llm" / "bin" / "python", "")
    program = found("llm", tmp_path)
    assert below(tmp_path, program) == [".pyenv/versions/3.12.1", "tools/llm"]
    assert list(program.env) == ["PATH"]


def test_a_python_among_other_things_is_shown_without_them(tmp_path: Path) -> None:
    python = script(tmp_path / ".local" / "bin" / "python3.12", "")
    script(tmp_path / ".local" / "lib" / "python3.12" / "os.py", "")
    script(tmp_path / ".local" / "lib" / "libpython3.12.so.1.0", "")
    narrow = [".local/bin/python3.12", ".local/lib/libpython3.12.so.1.0", ".local/lib/python3.12"]
    assert below(tmp_path, found(python, tmp_path)) == narrow
    # The home itself as an environment: nothing of it but what makes it one.
    (tmp_path / "pyvenv.cfg").write_text("home = /usr/bin\n")
    link(tmp_path / "bin" / "python", python)
    script(tmp_path / "lib" / "python3.12" / "a.py", "")
    tool = script(tmp_path / "bin" / "tool", "", f"{tmp_path}/bin/python")
    assert below(tmp_path, found(tool, tmp_path)) == [*narrow, "bin/tool", "lib/python3.12", "pyvenv.cfg"]


def test_packages_of_the_user_come_with_a_script_that_needs_them(tmp_path: Path) -> None:
    python = script(tmp_path / "py" / "bin" / "python3.12", "")
    site = tmp_path / ".local" / "lib" / "python3.12" / "site-packages"
    site.mkdir(parents=True)
    tool = script(tmp_path / ".local" / "bin" / "llm", "", str(python))
    program = found(tool, tmp_path)
    assert below(tmp_path, program) == [".local/bin/llm", ".local/lib/python3.12/site-packages", "py/bin/python3.12"]
    assert program.env["PYTHONUSERBASE"] == f"{tmp_path}/.local"
    # An environment of the system's python has such a directory too, which is none of the user's.
    (tmp_path / ".local" / "pyvenv.cfg").write_text("home = /usr/bin\n")
    assert list(found(tool, tmp_path).env) == ["PATH"]


def test_a_directory_for_everything_is_never_shown_whole(tmp_path: Path) -> None:
    home = str(tmp_path)
    for wide in (
        "/",
        "/opt",
        "/home",
        str(tmp_path.parent),
        *(f"{home}/{name}" for name in (".local", "bin", ".config")),
    ):
        assert mixed(wide, (home,)), wide
    assert not mixed(f"{home}/tools/llm", (home,))
    (tmp_path / "other" / ".ssh").mkdir(parents=True)
    assert mixed(f"{home}/other", (home,))
    tool = script(tmp_path / ".local" / "opt" / "acme" / "bin" / "tool", "")
    assert below(tmp_path, found(tool, tmp_path)) == [".local/opt/acme"]
    (tool.parent.parent / ".profile").touch()
    assert below(tmp_path, found(tool, tmp_path)) == [".local/opt/acme/bin/tool"]
    assert install_of("/opt/tool", ()).shown == ()
    assert install_of("/opt/acme/bin/tool", ()).shown == ("/opt/acme",)
    assert install_of("/nix/store/abc-tool/bin/tool", ()).shown == ("/nix/store",)


def test_what_only_chooses_a_program_is_refused_with_the_way_to_the_real_one() -> None:
    shims = (
        ("/home/a/.pyenv/shims/llm", "pyenv which llm"),
        ("/home/a/.volta/bin/claude", "volta which claude"),
        ("/home/a/.cargo/bin/rustup", "rustup which cargo"),
        ("/home/a/.local/share/mise/shims/claude", "mise which claude"),
        ("/usr/bin/snap", "snaps cannot run"),
    )
    for place, words in shims:
        with pytest.raises(InvalidError, match=words):
            refuse_shim("cargo" if "cargo" in place else place, [place])
    refuse_shim("/home/a/.cargo/bin/rustup", ["/home/a/.cargo/bin/rustup"])


def test_links_that_are_directories_become_links_of_the_cell(tmp_path: Path) -> None:
    tool = script(tmp_path / "data" / "local" / "bin" / "tool", "")
    link(tmp_path / ".local", "data/local")
    assert found("tool", tmp_path).links == {f"{tmp_path}/.local": "data/local"}
    assert found(f"{tmp_path}/.local/../local/bin/tool", tmp_path).path == str(tool)


def test_a_path_is_searched_as_everybody_would(tmp_path: Path) -> None:
    assert searched("/b/:/a::.:rel:/b:/a/../c") == ("/b", "/a", "/c")
    assert len(searched(":".join(f"/{number}" for number in range(500)))) == 128
    assert outermost(["/a/b", "/a-b", "/a", "/c/d", "/a/b/c"]) == ("/a", "/a-b", "/c/d")
    assert [of_system(path) for path in ("/usr/bin/x", "/usr", "/usrx", "/etc/alternatives/x", "/etc/x")] == [
        *(True, True, False, True, False)
    ]


# ---- what somebody leaves who means harm, or by mistake


def test_every_broken_layout_gets_a_sentence(tmp_path: Path) -> None:
    long = tmp_path / "long"
    script(long, "", "/" + "x" * 1_000_000)
    link(tmp_path / "loop", "pool")
    link(tmp_path / "pool", "loop")
    at = script(tmp_path / "link0", "")
    for number in range(1, MOST_LINKS + 11):
        at = link(tmp_path / f"link{number}", at)
    assert found(tmp_path / f"link{MOST_LINKS}", tmp_path).real == str(tmp_path / "link0")
    os.mkfifo(tmp_path / "fifo", 0o777)
    script(tmp_path / "set-id", "").chmod(0o4755)
    (tmp_path / "empty").touch(0o755)
    (tmp_path / "words").write_text("echo no first line\n")
    (tmp_path / "words").chmod(0o755)
    rows = (
        ("long", "longer than 255 bytes"),
        ("loop", "a loop of links"),
        (at.name, "more than 40"),
        ("fifo", "not an executable file"),
        ("", "not an executable file"),
        ("missing", "it is not there"),
        ("set-id", "means nothing in a cell"),
        ("empty", "neither a binary nor a script"),
        ("words", "neither a binary nor a script"),
        (link(tmp_path / "self", "/proc/self/exe").name, "leads through /proc"),
        (link(tmp_path / "out", "nowhere").name, "leads to no file"),
        (script(tmp_path / "relative", "", "bin/sh").name, "by its full path"),
        (script(tmp_path / "gone", "", "/no/such/interpreter").name, "it is not there"),
        (script(tmp_path / "searching", "", "/usr/bin/env no-such-program").name, "needs an interpreter"),
        (script(tmp_path / "two words", "", "/usr/bin/env sh -e").name, "'sh -e' is not in"),
        (script(tmp_path / "dos", "", "/bin/sh\r").name, "carriage return"),
        (script(tmp_path / ".pyenv" / "shims" / "llm", "").relative_to(tmp_path), "`pyenv which llm`"),
        (script(tmp_path / "path", "", "/usr/bin/env PATH=/x tool").name, "sets its own PATH"),
    )
    for name, words in rows:
        assert words in refusal(f"{tmp_path}/{name}", tmp_path), name
    assert "No shell reads the command" in refusal("~/bin/tool", tmp_path)


def test_scripts_that_are_run_by_scripts_come_to_an_end(tmp_path: Path) -> None:
    at = "/bin/sh"
    for number in range(6):
        at = str(script(tmp_path / f"script{number}", "", at))
    assert len(found(tmp_path / "script3", tmp_path).shown) == 4
    assert "and so on" in refusal(at, tmp_path)


def test_what_others_may_change_is_refused_with_the_repair(tmp_path: Path) -> None:
    tool = script(tmp_path / "tools" / "tool", "")
    for place, mode, words in (
        (tool, 0o757, "chmod go-w"),
        (tool.parent, 0o777, "chmod go-w"),
        (tool, 0o775, ""),  # its group is the owner's alone
    ):
        before = stat.S_IMODE(place.stat().st_mode)
        place.chmod(mode)
        if words:
            assert f"{words} {place}" in refusal(tool, tmp_path), place
        else:
            assert found(tool, tmp_path)
        place.chmod(before)
    assert "who may change it" in refusal(tool, tmp_path, trusted=frozenset({4_000_000}))
    tool.parent.chmod(0o1777)
    assert found(tool, tmp_path)


def test_a_group_counts_as_the_owners_only_where_it_is(tmp_path: Path) -> None:
    def step(gid: int) -> Step:
        facts = SimpleNamespace(st_mode=stat.S_IFREG | 0o770, st_uid=0, st_gid=gid)
        return Step("/x", facts)  # type: ignore[arg-type]  # of a stat_result only these are looked at

    trust.check([step(0)], frozenset({0}))
    for gid in (1, 4_000_000):
        with pytest.raises(InvalidError, match="chmod g-w /x"):
            trust.check([step(gid)], frozenset({0}))


def test_no_step_on_the_way_lies_where_the_agent_may_write(tmp_path: Path) -> None:
    node = script(tmp_path / "node" / "bin" / "node", "")
    package = script(tmp_path / "npm" / "lib" / "node_modules" / "tool" / "cli.js", "", "/usr/bin/env node")
    tool = link(tmp_path / "bin" / "tool", "../links/tool")
    link(tmp_path / "links" / "tool", package)
    search = (str(node.parent), "/usr/bin")
    assert found(tool, tmp_path, search=search, writable=(f"{tmp_path}/elsewhere",))
    inside = package.parent / "node_modules" / "cache"
    for writable in (tool.parent, tmp_path / "links", package.parent, inside, node.parent, node, tmp_path):
        told = refusal(tool, tmp_path, search=search, writable=(str(writable),))
        assert f"because it may write '{writable}'" in told


def test_a_walk_goes_as_the_kernel_does(tmp_path: Path) -> None:
    deep = script(tmp_path / "a" / "b" / "file", "")
    link(tmp_path / "c", "a/b")
    link(tmp_path / "up", "c/../b/./file")
    way = walk(f"{tmp_path}//up")
    assert way.real == os.path.realpath(tmp_path / "up") == str(deep)
    assert way.links == {f"{tmp_path}/up": "c/../b/./file", f"{tmp_path}/c": "a/b"}
    (tmp_path / "raw").symlink_to(b"\xff".decode("utf-8", "surrogateescape"))
    for path, words in ((f"{tmp_path}/raw", "not UTF-8"), ("/", "is no file"), ("/a\0b", "leads to no file")):
        with pytest.raises(InvalidError, match=words):
            walk(path)


# ---- first lines and binaries


def test_a_first_line_is_read_as_the_kernel_and_env_read_it() -> None:
    rows = (
        (b"#!/bin/sh\n", "/bin/sh", ""),
        (b"#! \t/bin/sh -e x\nrest", "/bin/sh", ""),
        (b"#!/bin/sh", "/bin/sh", ""),
        (b"#!/usr/bin/env node\n", "/usr/bin/env", "node"),
        (b"#!/usr/bin/env -S node --no-warnings\n", "/usr/bin/env", "node"),
        (b"#!/usr/bin/env -S -i -u HOME A=b node\n", "/usr/bin/env", "node"),
        (b"#!/usr/bin/env -Snode -x\n", "/usr/bin/env", "node"),
        (b"#!/usr/bin/env --split-string=deno run\n", "/usr/bin/env", "deno"),
        (b"#!/usr/bin/env node --x\n", "/usr/bin/env", "node --x"),
    )
    for head, interpreter, name in rows:
        assert shebang.parse(head, "x") == shebang.Shebang(interpreter, name), head
    assert shebang.parse(b"\x7fELF", "x") is None
    for head in (
        b"#!\n",
        b"#!sh\n",
        b"#!/usr/bin/env\n",
        b"#!/usr/bin/env -S 'a\n",
        b"#!\xff\n",
        b"#!/usr/bin/env -i\n",
    ):
        with pytest.raises(InvalidError):
            shebang.parse(head, "x")


@given(st.binary(max_size=300))
def test_any_first_line_is_understood_or_refused(rest: bytes) -> None:
    for start in (b"#!", b"#!/usr/bin/env ", b"#!/usr/bin/env -S "):
        try:
            said = shebang.parse((start + rest)[: shebang.HEAD], "x")
        except InvalidError:
            continue
        assert said is not None
        assert said.interpreter.startswith("/")


def reader(data: bytes) -> elf.Read:
    return lambda at, count: data[at : at + count]


def a_binary() -> bytes:
    """One that needs liba and libb, which it looks for in two places; its addresses begin at 0x1000."""
    strings = b"\0liba.so\0libb.so.1\0$ORIGIN/../lib:/own\0"
    loader = b"/own/ld.so\0"
    tags = ((1, 1), (1, 9), (29, 19), (5, 0x1000 + 512), (0, 0))
    dynamic = b"".join(struct.pack("<QQ", *each) for each in tags)
    headers = (
        struct.pack("<IIQQQQQQ", 1, 5, 0, 0x1000, 0x1000, 1024, 1024, 0),
        struct.pack("<IIQQQQQQ", 3, 4, 700, 0, 0, len(loader), len(loader), 0),
        struct.pack("<IIQQQQQQ", 2, 6, 300, 0, 0, len(dynamic), len(dynamic), 0),
    )
    head = elf.MAGIC + b"\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 3)
    data = bytearray(1024)
    for at, piece in ((0, head), (64, b"".join(headers)), (300, dynamic), (512, strings), (700, loader)):
        data[at : at + len(piece)] = piece
    return bytes(data)


def test_what_a_binary_brings_along_is_read_out_of_it() -> None:
    expected = elf.Needs("/own/ld.so", ("liba.so", "libb.so.1"), ("$ORIGIN/../lib", "/own"))
    assert elf.needs(reader(a_binary())) == expected


@given(st.integers(0, 1023), st.binary(min_size=1, max_size=16), st.integers(0, 1024))
def test_a_damaged_binary_needs_what_can_be_read_of_it(at: int, piece: bytes, size: int) -> None:
    data = a_binary()
    elf.needs(reader((data[:at] + piece + data[at + len(piece) :])[:size]))


@need("user")
def test_what_lies_in_somebodys_closed_home_is_told_of(tmp_path: Path) -> None:
    tool = script(tmp_path / "venv" / "bin" / "tool", "#!/bin/sh\n")
    (tmp_path / "closed").mkdir()
    (tmp_path / "venv" / "pyvenv.cfg").write_text(f"home = {tmp_path}/closed/bin\n")
    (tmp_path / "closed").chmod(0)
    said = refusal(tool, tmp_path)
    (tmp_path / "closed").chmod(0o700)
    assert f"cannot be looked at ({tmp_path}/closed/bin/python3: Permission denied)" in said
