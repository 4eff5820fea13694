"""Every hostile action in a real cell made by a real supervisor, and outside of one, where it has to succeed."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from supervisor.definitions.secrets import SecretStore
from supervisor.stores.home import Home
from tests.driver import FIRST_UID
from tests.hostile.stage import READ_AND_RUN, ROOT, Stage, bundle, python, stage, verdicts
from tests.hostile.table import Row, rows
from tests.house import House, house
from tests.lacks import need

pytestmark = [need("cell"), pytest.mark.timeout(240)]

ROWS = rows()
ARGUMENTS = f'-I -S -c "{READ_AND_RUN}"'
PROFILES = ("default", "allow", "public", "work_dir", "host")
SMALL = """
max_concurrent = 4
permit_host_network = true
setup_seconds = 60.0
min_available_memory = 0
max_memory_pressure = 0
uid_base = {uid}
uid_count = {uids}

[limits.light]
memory = "{memory}"
processes = 48
open_files = 256
file_size = "32MiB"
tmp = "16MiB"
output = "{output}"
disk = "48MiB"

[limits.medium]
cpu_seconds = 1
"""


def agent_uid() -> int:
    """A throw-away one as root, one for each worker; else our own."""
    return FIRST_UID + os.getpid() % 60_000 if ROOT else os.getuid()


@dataclass
class Scene:
    """A stage, a house beside it, and what a neighbour's run has left in that."""

    stage: Stage
    house: House
    targets: dict[str, Any]

    @property
    def command(self) -> str:
        """By a program that lies among files which are nobody else's business."""
        return f"{self.stage.tools}/tool {ARGUMENTS}"

    def run(self, names: list[str], **draft: Any) -> dict[str, Any]:
        """Them all in one cell; the record."""
        prompt = bundle(names, self.targets)
        draft |= {"prompt": prompt, "command": self.command, "secrets": ["GRANTED=GRANTED"]}
        job = self.house.run_now(retries=0, timeout_secs=120, **draft)
        run = self.house.ended(job["id"], within=150)[0]
        assert run["log_dir"], (run["reason"], run["error"])
        return run

    def said(self, run: Mapping[str, Any]) -> dict[str, dict[str, str]]:
        output = Path(run["log_dir"], "stdout").read_bytes().decode(errors="replace")
        return verdicts(output, self.stage.mark)


@contextmanager
def scene(folder: Path, *, uids: int = 1, memory: str = "1GiB", output: str = "8MiB") -> Iterator[Scene]:
    uid = agent_uid()
    config = folder / "config.toml"

    def configure(first_uid: int) -> None:
        config.write_text(SMALL.format(uid=max(first_uid, 1000), uids=uids, memory=memory, output=output))

    # A job keeps its id for life: the neighbour has another one, so that the attacks get that of the victims.
    configure(uid + uids)
    with stage(uid) as made, house(folder, CRONWARD_CONFIG=str(config), CANARY=made.secret) as home:
        store = SecretStore(Home.of(home.root))
        store.set("GRANTED", made.granted)
        store.set("OTHERS", made.secret)
        home.start()
        neighbour = home.run_now(prompt=made.secret)
        run = home.ended(neighbour["id"])[0]
        assert run["response"] == made.secret, run
        configure(uid)
        home.client.reload()
        yield Scene(made, home, made.targets(home.root, run["log_dir"]))


def circumstances(profile: str, run: Mapping[str, Any]) -> frozenset[str]:
    counted = next((layer["detail"] for layer in run["layers"] if layer["name"] == "memory limit"), "")
    return frozenset({"always", profile, "root" if ROOT else "user", "cgroup" if "cgroup" in counted else "watchdog"})


def outcome(row: Row, said: Mapping[str, dict[str, str]], seen: set[str]) -> tuple[str, str]:
    """`worked`, `held`, `lack` or `broken`, and the words for it."""
    verdict = said.get(row.name, {"verdict": "silent", "why": "it said nothing"})
    if row.name in seen:
        return "worked", "it was seen outside"
    if row.evidence == "seen" and verdict["verdict"] == "worked":
        return "held", "nothing of it was seen outside"
    if verdict["verdict"] == "lack":
        return "held", verdict["why"]
    if verdict["verdict"] == "silent" and row.alone:
        return "held", "the run ended first"
    return verdict["verdict"], verdict["why"]


def differences(found: Mapping[str, tuple[str, str]], facts: frozenset[str]) -> list[str]:
    lines = []
    for name, (verdict, words) in found.items():
        expected = ROWS[name].expected(facts)
        if verdict != expected:
            lines.append(f"{name}: {verdict} ({words}), but expected {expected}: {ROWS[name].why(facts)}")
    return lines


def batch(profile: str) -> list[str]:
    return [row.name for row in ROWS.values() if not row.alone and (not row.only or profile in row.only)]


def draft_of(profile: str, made: Stage) -> dict[str, Any]:
    return {
        "default": {},
        "allow": {"network": "allow", "allow_hosts": [f"127.0.0.1:{made.told['allowed']}"]},
        "public": {"network": "public"},
        "work_dir": {"work_dir": str(made.work)},
        "host": {"network": "host"},
    }[profile]


@pytest.mark.parametrize("profile", PROFILES)
def test_a_cell_holds_what_the_table_says_and_no_more(tmp_path: Path, profile: str) -> None:
    with scene(tmp_path) as here:
        names = batch(profile)
        run = here.run(names, **draft_of(profile, here.stage))
        said = here.said(run)
        assert run["status"] == "completed", (run["reason"], run["error"], sorted(set(names) - said.keys()))
        seen = here.stage.seen(here.house.root)
        found = {name: outcome(ROWS[name], said, seen) for name in names}
        wrong = differences(found, circumstances(profile, run))
    assert not wrong, "\n".join(wrong)


def test_more_than_a_run_may_have_ends_it_or_is_refused(tmp_path: Path) -> None:
    with scene(tmp_path, uids=64, memory="128MiB", output="1MiB") as here:
        here.stage.work.chmod(0o777)
        jobs = {}
        for row in ROWS.values():
            if row.alone:
                prompt = bundle([row.name], here.targets)
                draft = {"prompt": prompt, "command": here.command, "retries": 0, "timeout_secs": 60}
                kind = "medium" if row.name == "burn_cpu" else "light"
                jobs[row.name] = here.house.run_now(**draft, type=kind, work_dir=str(here.stage.work))
        runs = {name: here.house.ended(job["id"], within=180)[0] for name, job in jobs.items()}
        said = {name: verdict for run in runs.values() for name, verdict in here.said(run).items()}
        seen = here.stage.seen(here.house.root)
        if runs["forge_a_result"]["status"] == "completed":
            seen.add("forge_a_result")
        found = {name: outcome(ROWS[name], said, seen) for name in jobs}
        wrong = differences(found, circumstances("default", runs["burn_cpu"]))
        wrong += [
            f"{name}: {runs[name]['reason']}" for name, reason in REASONS.items() if runs[name]["reason"] != reason
        ]
    assert not wrong, "\n".join(wrong)


REASONS = {
    "memory_of_one_process": "out_of_memory",
    "memory_of_eight_processes": "out_of_memory",
    "memory_shared_by_eight_processes": "out_of_memory",
    "burn_cpu": "cpu_limit",
    "flood_stdout": "output_limit",
    "flood_stderr": "output_limit",
    "a_line_without_end": "output_limit",
    "forge_a_result": "killed_by_signal",
    "fill_the_work_dir_with_many_files": "disk_limit",
    "hold_the_output_open": "ok",
}


NOT_EVEN_ROOT = ("[Errno 1] ", "[Errno 13] ", "[Errno 38] ")


def all_of_root() -> bool:
    """In a container or a small virtual machine root may not have all of its capabilities."""
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff")]
    return int(line.split()[1], 16) == (2 << last) - 1


def test_every_action_succeeds_outside(tmp_path: Path) -> None:
    """Else that it is held would mean nothing. Those that this host cannot show are named."""
    lacking = {}
    with scene(tmp_path) as here:
        outside = here.stage.outside(here.targets)
        said: dict[str, dict[str, str]] = {}
        for who in ("same", "owner", "root"):
            names = [row.name for row in ROWS.values() if row.control == who]
            if who == "root" and not ROOT:
                lacking |= dict.fromkeys(names, "it takes root to succeed with this outside")
                continue
            if "forge_a_result" in names:  # it kills its parent
                names.remove("forge_a_result")
                said |= control(here.stage, who, ["forge_a_result"], outside)
            said |= control(here.stage, who, names, outside)
        seen = here.stage.seen(here.house.root)
        wrong = []
        for row in ROWS.values():
            if row.name in lacking:
                continue
            verdict = said.get(row.name, {"verdict": "silent", "why": ""})
            if verdict["verdict"] == "lack":
                lacking[row.name] = verdict["why"]
                continue
            found, words = outcome(row, said, seen)
            if row.control == "root" and found == "held" and words.startswith(NOT_EVEN_ROOT) and not all_of_root():
                lacking[row.name] = f"root here lacks capabilities or the kernel lacks it: {words}"
                continue
            if found != "worked" or (row.evidence == "seen" and row.name not in seen):
                wrong.append(f"{row.name}: {found} ({words or 'not seen'})")
    assert not wrong, "\n".join(wrong)
    if lacking:
        reasons = sorted({(why, name) for name, why in lacking.items()})
        pytest.skip(f"{len(lacking)} of {len(ROWS)} cannot be shown to succeed outside here: {json.dumps(reasons)}")


def control(made: Stage, who: str, names: list[str], targets: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Run them plainly on the host. Its output goes to a file: one of them keeps it open for ever."""
    reader, writer = os.pipe()
    with tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as said:
        told.write(bundle(names, targets).encode())
        told.seek(0)
        child = subprocess.Popen(
            [python(), "-I", "-S", "-c", READ_AND_RUN],
            stdin=told,
            stdout=said,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=made.environ,
            pass_fds=(writer,),
            start_new_session=True,
            **(made.ids if who == "same" else {}),
        )
        try:
            child.wait(120)
        finally:
            child.kill()
            child.wait()
            os.close(reader)
            os.close(writer)
        said.seek(0)
        output = said.read().decode(errors="replace")
    if names == ["forge_a_result"]:
        made.heard += output
    return verdicts(output, made.mark)
