"""A request and a host become bubblewrap's arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner import cell, init
from runner.host import INIT, Access, Grants, Host, Interpreter
from runner.refusal import RefusalError
from shared.messages import PROXIED, Bind, Cell, ExecuteRequest
from shared.reasons import Reason
from tests.driver import limits, request

HOST = Host(
    bwrap_version=(0, 8, 0),
    shown=("/usr", "/etc/ssl/certs"),
    links=(("/bin", "usr/bin"), ("/lib64", "usr/lib64")),
    interpreter=Interpreter("/opt/py/bin/python3", ("/opt/py",), ("/opt/py/lib/python3.11/site-packages",)),
    init=b"bytecode",
    work_dir=Access.WRITE,
    real={"/srv/app": "/srv/app", "/weights": "/data/weights", "/opt/py": "/opt/py"},
)
STATE = "/state/logs/run-1/1"


def wanted(**changes: Any) -> ExecuteRequest:
    return request(Path(STATE), "prog", "--secret", **changes)


def triples(argv: list[str], flag: str) -> list[tuple[str, str]]:
    return [(argv[at + 1], argv[at + 2]) for at, part in enumerate(argv) if part == flag]


def test_every_namespace_is_apart_and_nothing_outlives_the_runner() -> None:
    argv = cell.arguments(wanted(), HOST)
    needed = {"--unshare-user", "--disable-userns", "--unshare-all", "--die-with-parent", "--new-session"}
    assert needed | {"--as-pid-1", "--clearenv"} <= set(argv)
    assert argv[argv.index("--cap-drop") + 1] == "ALL"
    assert not {"--share-net", "--setenv"}.intersection(argv)


def test_a_way_out_is_one_more_descriptor_for_init_and_nothing_else() -> None:
    closed = cell.arguments(wanted(), HOST)
    for network in PROXIED:
        asked = wanted(cell=Cell(network=network, allow_hosts=("127.0.0.1:80",)), files={"/opt/a": ""})
        argv = cell.arguments(asked, HOST)
        assert argv[-1] == str(cell.FIRST_FILE + len(cell.FILES) + 2)
        assert "--share-net" not in argv
    assert closed[-1] == INIT
    assert "HTTPS_PROXY" not in cell.environment(wanted(), "/")


def test_git_is_told_to_leave_the_index_alone_where_it_cannot_write_it() -> None:
    assert cell.environment(wanted(), "/")["GIT_OPTIONAL_LOCKS"] == "0"
    assert "GIT_OPTIONAL_LOCKS" not in cell.environment(wanted(cell=Cell(git_write=True)), "/")


def test_what_lies_within_another_path_is_mounted_after_it() -> None:
    paths = ("/srv/app/a/b", "/srv/app/a", "/srv/app/c", "/srv")
    grants = Grants(tuple(Bind(source=path, target=path, writable=path == "/srv/app/a") for path in paths))
    argv = cell.arguments(wanted(work_dir="/srv/app"), HOST._replace(grants=grants))
    order = [argv.index(path) for path in ("/srv", "/srv/app", "/srv/app/a", "/srv/app/a/b")]
    assert order == sorted(order)
    assert ("/srv/app/c", "/srv/app/c") in triples(argv, "--ro-bind")
    assert ("/srv/app/a", "/srv/app/a") in triples(argv, "--bind")


def test_programs_are_told_of_the_proxy_but_not_for_what_runs_beside_them() -> None:
    asked = wanted(cell=Cell(network="allow", allow_hosts=("api.example.com",)), env={"no_proxy": "mine"})
    found = cell.environment(asked, "/")
    assert {name for name, value in found.items() if value == cell.PROXY} == set(cell.PROXY_VARIABLES)
    assert (found["NO_PROXY"], found["no_proxy"]) == ("localhost,127.0.0.1", "mine")
    host, _, port = cell.PROXY.removeprefix("http://").partition(":")
    assert (host, int(port)) == init.PROXY_ADDRESS
    named = wanted(cell=Cell(network="allow", allow_hosts=("127.0.0.1:9000",)))
    assert cell.environment(named, "/")["NO_PROXY"] == "localhost"


def test_the_hosts_network_is_shared_only_where_that_is_asked_for() -> None:
    argv = cell.arguments(wanted(cell=Cell(network="host")), HOST)
    assert argv.index("--share-net") > argv.index("--unshare-all")
    assert argv[-1] == INIT
    assert "HTTPS_PROXY" not in cell.environment(wanted(cell=Cell(network="host")), "/")


def test_neither_command_nor_prompt_nor_variables_are_in_the_arguments() -> None:
    argv = cell.arguments(wanted(prompt="hidden prompt", env={"TOKEN": "hidden token"}), HOST)
    assert not [part for part in argv if "hidden" in part or "secret" in part or "prog" in part]


def test_bubblewrap_writes_to_nobody_who_may_be_gone() -> None:
    """Killed by that in the middle of its set-up, it left a half of itself that waits for ever: 38 of 300 times."""
    assert not {"--info-fd", "--json-status-fd"}.intersection(cell.arguments(wanted(), HOST))


def test_mounts_are_an_allow_list() -> None:
    argv = cell.arguments(wanted(work_dir="/srv/app"), HOST)
    assert triples(argv, "--ro-bind") == [
        ("/usr", "/usr"),
        ("/etc/ssl/certs", "/etc/ssl/certs"),
        ("/opt/py", "/opt/py"),
    ]
    number = argv[argv.index(INIT) - 1]
    assert argv[argv.index(INIT) - 2] == "--ro-bind-data"
    assert cell.files(wanted(), HOST.init)[int(number) - cell.FIRST_FILE] == HOST.init
    assert triples(argv, "--bind") == [("/srv/app", "/srv/app")]
    assert triples(argv, "--symlink") == [("usr/bin", "/bin"), ("usr/lib64", "/lib64"), ("../tmp", "/var/tmp")]


def test_what_was_only_there_to_mount_on_is_read_only_in_the_end() -> None:
    argv = cell.arguments(wanted(work_dir="/srv/app"), HOST)
    closed = [argv[at + 1] for at, part in enumerate(argv) if part == "--remount-ro"]
    assert closed == ["/dev", "/opt/py/lib/python3.11/site-packages", "/"]
    assert argv.index("--bind") < len(argv) - 1 - argv[::-1].index("--remount-ro")


def linked(**links: str) -> ExecuteRequest:
    asked = wanted(binds=(Bind(source="/opt/py", target="/opt/py"),))
    return replace(asked, agent=replace(asked.agent, links={f"/{at}": said for at, said in links.items()}))


def test_links_are_made_on_what_is_empty_before_anything_is_shown_over_them() -> None:
    argv = cell.arguments(linked(tool="opt/py/bin/tool"), HOST)
    made = argv.index("/tool")
    assert argv[made - 2 : made] == ["--symlink", "opt/py/bin/tool"]
    assert argv.index("/tmp") < made < argv.index("/opt/py")


def test_an_agent_made_of_our_interpreter_sees_what_is_installed_in_it() -> None:
    argv = cell.arguments(linked(), HOST)
    places = [at for at, part in enumerate(argv) if part == "/opt/py/lib/python3.11/site-packages"]
    assert [argv[at - 1] for at in places] == ["--tmpfs"]
    assert argv.index("/opt/py", places[0]) > places[0]


def test_every_tmpfs_that_can_be_written_has_a_size() -> None:
    argv = cell.arguments(wanted(limits=limits(tmp_bytes=4096)), HOST)
    places = {argv[at + 1]: argv[at - 2 : at] for at, part in enumerate(argv) if part == "--tmpfs"}
    hidden = places.pop("/opt/py/lib/python3.11/site-packages")
    assert hidden == ["--perms", "0555"]
    assert places == {path: ["--size", "4096"] for path in ("/dev/shm", "/tmp", "/home/agent")}


def test_made_up_files_come_by_the_descriptors_that_spawn_deals() -> None:
    argv = cell.arguments(wanted(), HOST)
    files = {path: int(number) for number, path in triples(argv, "--file")}
    assert files == {path: cell.FIRST_FILE + at for at, path in enumerate(cell.FILES)}
    assert {cell.LIFE, cell.REPORT} == {init.LIFE, init.REPORT}


def test_an_agents_files_are_bound_read_only_after_what_was_granted() -> None:
    asked = wanted(work_dir="/srv/app", files={"/srv/app/schema.json": "{}"})
    argv = cell.arguments(asked, HOST)
    number, path = triples(argv, "--ro-bind-data")[-1]
    assert (path, cell.files(asked)[int(number) - cell.FIRST_FILE]) == ("/srv/app/schema.json", b"{}")
    assert argv.index(path) > argv.index("--bind")


@pytest.mark.parametrize(
    ("access", "flag", "start"),
    [(Access.WRITE, "--bind", "/srv/app"), (Access.READ, "--ro-bind", "/home/agent/scratch")],
)
def test_a_work_directory_is_shown_as_it_may_be_used(access: Access, flag: str, start: str) -> None:
    host, asked = HOST._replace(work_dir=access), wanted(work_dir="/srv/app")
    assert ("/srv/app", "/srv/app") in triples(cell.arguments(asked, host), flag)
    assert cell.start_directory(asked, host) == start


def test_without_a_work_directory_the_agent_starts_in_a_private_one() -> None:
    assert cell.start_directory(wanted(), HOST._replace(work_dir=Access.MISSING)) == "/home/agent/scratch"


def test_who_is_meant_only_to_read_starts_where_there_is_something_to_read() -> None:
    asked = wanted(cell=Cell(work_dir="/srv/app", work_mode="read"))
    for access in (Access.READ, Access.WRITE):
        assert cell.start_directory(asked, HOST._replace(work_dir=access)) == "/srv/app"
        assert cell.writable(asked, HOST._replace(work_dir=access)) == []


def bound(**changes: Any) -> ExecuteRequest:
    return wanted(binds=(replace(Bind(source="/weights", target="/opt/weights"), **changes),))


REFUSED: list[tuple[str, ExecuteRequest, Callable[[Host], Host], Reason, str]] = [
    ("old bwrap", wanted(), lambda h: h._replace(bwrap_version=(0, 6, 1)), Reason.SANDBOX_UNAVAILABLE, "0.6.1"),
    (
        "no command",
        replace(wanted(), agent=replace(wanted().agent, argv=())),
        lambda h: h,
        Reason.BAD_DEFINITION,
        "no comm",
    ),
    ("NUL", wanted(env={"A": "\0"}), lambda h: h, Reason.BAD_DEFINITION, "NUL"),
    ("half a character", wanted(env={"A": "\ud83d"}), lambda h: h, Reason.BAD_DEFINITION, "half"),
    ("no name", wanted(env={"": "x"}), lambda h: h, Reason.BAD_DEFINITION, "proper name"),
    ("odd name", wanted(env={"A=B": "x"}), lambda h: h, Reason.BAD_DEFINITION, "proper name"),
    ("relative", wanted(work_dir="work"), lambda h: h, Reason.BAD_DEFINITION, "absolute"),
    ("dots", wanted(work_dir="/srv/../etc"), lambda h: h, Reason.BAD_DEFINITION, "absolute"),
    (
        "gone",
        wanted(work_dir="/srv/app"),
        lambda h: h._replace(work_dir=Access.MISSING),
        Reason.BAD_DEFINITION,
        "not there",
    ),
    ("closed", wanted(work_dir="/srv/app"), lambda h: h._replace(work_dir=Access.NONE), Reason.BAD_DEFINITION, "read"),
    ("source gone", bound(source="/gone"), lambda h: h, Reason.BAD_DEFINITION, "/gone"),
    ("over /usr", bound(target="/usr"), lambda h: h, Reason.BAD_DEFINITION, "place"),
    ("file in /dev", wanted(files={"/dev/null": ""}), lambda h: h, Reason.BAD_DEFINITION, "place"),
    ("many files", wanted(files={f"/opt/{at}": "" for at in range(17)}), lambda h: h, Reason.BAD_DEFINITION, "16"),
    ("link over /usr", linked(usr="x"), lambda h: h, Reason.BAD_DEFINITION, "place"),
    ("link in /proc", linked(**{"proc/x": "y"}), lambda h: h, Reason.BAD_DEFINITION, "place"),
    ("link of dots", linked(**{"a/../b": "y"}), lambda h: h, Reason.BAD_DEFINITION, "absolute"),
    ("empty link", linked(tool=""), lambda h: h, Reason.BAD_DEFINITION, "says nothing"),
    ("link of half", linked(tool="\ud83d"), lambda h: h, Reason.BAD_DEFINITION, "says nothing"),
    ("in /proc", bound(target="/proc/self"), lambda h: h, Reason.BAD_DEFINITION, "place"),
    *[
        (
            f"state: {real}",
            wanted(work_dir="/srv/app"),
            lambda h, real=real: h._replace(real={"/srv/app": real}),
            Reason.BAD_DEFINITION,
            "state",
        )
        for real in ("/", "/state", "/state/logs", STATE, f"{STATE}/below")
    ],
]


@pytest.mark.parametrize(
    ("asked", "change", "reason", "word"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_what_does_not_fit_is_refused_with_a_sentence(
    asked: ExecuteRequest, change: Callable[[Host], Host], reason: Reason, word: str
) -> None:
    with pytest.raises(RefusalError) as refused:
        cell.check(asked, change(HOST), STATE)
    assert refused.value.reason is reason
    assert word in refused.value.sentence


@pytest.mark.parametrize("asked", [wanted(), wanted(work_dir="/srv/app"), bound(), wanted(env={"A": "", "B": "a=b"})])
def test_what_fits_is_not_refused(asked: ExecuteRequest) -> None:
    cell.check(asked, HOST, STATE)


@pytest.mark.parametrize("near", ["/statement", "/state/logs/run-1/11", "/sta"])
def test_a_neighbour_of_the_state_is_none_of_it(near: str) -> None:
    cell.check(wanted(work_dir="/srv/app"), HOST._replace(real={"/srv/app": near}), STATE)


@pytest.mark.parametrize(("memory", "data"), [(1 << 30, 4 << 30), (4 << 30, 8 << 30)])
def test_memory_is_limited_by_data_and_never_by_address_space(memory: int, data: int) -> None:
    found = cell.rlimits(limits(memory_bytes=memory))
    assert found["DATA"] == (data, data)
    assert "AS" not in found
    assert "CPU" not in found


def test_a_cgroup_refuses_processes_before_the_rlimit_does() -> None:
    """Only a cgroup counts what it refuses."""
    assert cell.rlimits(limits(processes=64), in_cgroup=True)["NPROC"][0] > 64
    grouped = replace(wanted(), cell=replace(wanted().cell, cgroup="/sys/fs/cgroup/run"))
    assert b"NPROC:64:64" not in init.parse_config(cell.config(grouped, HOST))["rlimit"]


def test_cpu_time_warns_before_it_kills() -> None:
    soft, hard = cell.rlimits(limits(cpu_seconds=60))["CPU"]
    assert soft == 60 < hard


def test_the_config_is_what_init_reads() -> None:
    asked = wanted(work_dir="/srv/app", env={"HOME": "/tmp", "ODD": "a=b\nc"})
    read = init.parse_config(cell.config(asked, HOST))
    assert read["argv"] == [b"prog", b"--secret"]
    assert read["cwd"] == [b"/srv/app"]
    assert {b"HOME=/tmp", b"ODD=a=b\nc", b"PWD=/srv/app", b"USER=agent"} <= set(read["env"])
    assert b"NPROC:64:64" in read["rlimit"]
    assert "seccomp" not in read


def test_a_filter_reaches_init_whole_whatever_its_bytes() -> None:
    program = bytes(range(256))
    (field,) = init.parse_config(cell.config(wanted(), HOST, program))["seccomp"]
    assert bytes.fromhex(field.decode()) == program
