"""Where attacks are tried: canaries and victims of the agent's own uid, which is the hard case, and who saw what.

Everything here is made for one test and taken away after it. As root the agent's uid is a throw-away one; the victims
get the same, so that nothing but the cell parts them.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from runner.denied import Policy, calls
from runner.host import interpreter
from tests.driver import eventually, marker, survivors

HERE = Path(__file__).parent
ROOT = os.geteuid() == 0
SYSTEM_PYTHON = "/usr/bin/python3"
READ_AND_RUN = "import json,sys;bundle=json.load(sys.stdin);exec(bundle['boot'])"
MODULES = ("kit", "files", "processes", "network", "kernel", "work", "bombs")
MORE_NUMBERS = {"prctl": (157, 167), "ioprio_set": (251, 30), "sethostname": (170, 161)}
VICTIMS = (
    *("trace_a_process", "kill_a_process", "stop_a_process", "kill_by_pidfd", "queue_a_signal", "limit_a_process"),
    *("pin_a_process", "slow_a_process", "slow_a_group", "idle_a_process", "starve_a_process_of_disk"),
    "kill_everything",
)
DAEMONS = ("leave_a_daemon", "hold_the_output_open")


def python() -> str:
    """One that the agent's uid can start outside as well: root's own may lie where nobody else gets to."""
    return SYSTEM_PYTHON if os.path.exists(SYSTEM_PYTHON) else interpreter().executable


def numbers() -> dict[str, int]:
    column = 0 if os.uname().machine == "x86_64" else 1
    known = {call.name: call.numbers for call in calls(Policy(memory_counted=False))}
    found = {name: each[column] for name, each in {**known, **MORE_NUMBERS}.items()}
    return {name: number for name, number in found.items() if number is not None}


@dataclass
class Stage:
    """What there is to attack. `uid`: the agent's."""

    uid: int
    base: Path
    home: Path
    mark: str = field(default_factory=lambda: secrets.token_hex(6))
    secret: str = field(default_factory=lambda: f"secret-{secrets.token_hex(8)}")
    victims: dict[str, psutil.Popen] = field(default_factory=dict)
    before: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    daemons: dict[str, str] = field(default_factory=lambda: {name: marker() for name in DAEMONS})
    told: dict[str, Any] = field(default_factory=dict)
    granted: str = field(default_factory=lambda: f"granted-{secrets.token_hex(8)}")
    tools: Path = Path()
    heard: str = ""
    process: subprocess.Popen[str] | None = None
    places: list[Path] = field(default_factory=list)

    @property
    def work(self) -> Path:
        return self.base / "project" / "work"

    @property
    def made(self) -> list[Path]:
        return [self.base, self.home, *self.places, *([self.tools] if self.tools.name else [])]

    @property
    def ids(self) -> dict[str, Any]:
        """For subprocess: become the agent's uid."""
        return {"user": self.uid, "group": self.uid, "extra_groups": []} if ROOT else {}

    @property
    def environ(self) -> dict[str, str]:
        return {"PATH": "/usr/bin:/bin", "CANARY": self.secret, "CRONWARD_RUN_ID": "run-1"}

    def give(self, path: Path, mode: int) -> Path:
        path.chmod(mode)
        if ROOT:
            os.chown(path, self.uid, self.uid)
        return path

    def file(self, path: Path, text: str, mode: int = 0o600) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return self.give(path, mode)

    def folder(self, path: Path, mode: int = 0o755) -> Path:
        path.mkdir(parents=True, exist_ok=True)
        return self.give(path, mode)

    def build(self) -> None:
        """The canaries."""
        for name in (".ssh", ".config", "scratch"):
            self.folder(self.home / name, 0o700)
        self.file(self.home / ".ssh/id_ed25519", self.secret)
        for name in (".ssh/authorized_keys", ".bashrc", ".profile", "to-be-removed"):
            self.file(self.home / name, "")
        self.file(self.base / "others" / "notes", self.secret, 0o644)
        self.folder(self.base / "project")
        self.folder(self.base / "other-work")
        self.file(self.base / "other-work" / "secret", self.secret)
        self.file(self.base / "project" / "beside", self.secret)
        for name in ("", ".git", ".git/hooks"):
            self.folder(self.work / name)
        self.file(self.work / ".git/config", "[core]\n", 0o644)
        self.file(self.home / "scratch" / "program", "#!/bin/sh\n", 0o755)
        self.equip()
        for place in ("/tmp", "/var/tmp", "/dev/shm"):
            path = Path(tempfile.mkdtemp(prefix="cronward-hostile-", dir=place))
            self.places.append(self.give(path, 0o755))
            self.file(path / f"canary-{self.mark}", self.secret, 0o644)

    def equip(self) -> None:
        """A program of the owner's among files that all may read: the cell shows it alone."""
        self.tools = Path(tempfile.mkdtemp(prefix=".cronward-tools-", dir="/home" if ROOT else Path.home()))
        self.tools.chmod(0o755)
        (self.tools / "key").write_text(self.secret)
        (self.tools / "key").chmod(0o644)
        (self.tools / "tool").write_text(f'#!/bin/sh\nexec {python()} "$@"\n')
        (self.tools / "tool").chmod(0o755)

    def meet(self) -> None:
        """The victims."""
        folder = self.folder(self.places[0] / "ssh")
        sockets = {
            "ssh": str(folder / "agent.1"),
            "bus": str(self.home / "bus"),
            "engine": str(self.places[1] / "docker.sock"),
        }
        self.process = subprocess.Popen(
            [python(), "-I", "-S", str(self.give_program()), self.mark],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=self.home,
            env=self.environ,
            start_new_session=True,
            **self.ids,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        orders = {
            "mark": self.mark,
            "secret": self.secret,
            "sockets": sockets,
            "open_file": f"{self.home}/.ssh/id_ed25519",
        }
        self.process.stdin.write(json.dumps(orders) + "\n")
        self.process.stdin.flush()
        self.told = json.loads(self.process.stdout.readline())
        for name in VICTIMS:
            argv = ["/usr/bin/sleep", "300"]
            self.victims[name] = psutil.Popen(argv, start_new_session=True, env={}, cwd="/", **self.ids)
        for name, victim in self.victims.items():
            eventually(lambda victim=victim: victim.name() == "sleep", within=10)
            self.before[name] = facts(victim)

    def give_program(self) -> Path:
        """The bystander's text, where the agent's uid can read it: the checkout may lie in somebody's home."""
        return self.file(self.base / "bystander.py", (HERE / "bystander.py").read_text(), 0o644)

    def targets(self, state: Path, other_log: str, **more: Any) -> dict[str, Any]:
        interfaces = [name for _, name in socket.if_nameindex() if name != "lo"]
        return {
            **self.told,
            "mark": self.mark,
            "secret": self.secret,
            "outside": False,
            "init": 1,
            "uid": self.uid,
            "numbers": numbers(),
            "home": str(self.home),
            "work": str(self.work),
            "scratch": "/tmp",
            "proxy": 3128,
            "in_tmp": str(self.places[0] / f"canary-{self.mark}"),
            "in_var_tmp": str(self.places[1] / f"canary-{self.mark}"),
            "in_dev_shm": str(self.places[2] / f"canary-{self.mark}"),
            "others_file": str(self.base / "others" / "notes"),
            "other_work": str(self.base / "other-work"),
            "passwd": hashlib.sha256(Path("/etc/passwd").read_bytes()).hexdigest(),
            "interface": interfaces[0] if interfaces else "",
            "state": str(state),
            "control": str(state / "control.sock"),
            "tools": str(self.tools),
            "granted": self.granted,
            "secrets": "/run/cronward/secrets",
            "other_log": other_log,
            "init_file": "/run/cronward/init.pyc",
            "victims": {name: victim.pid for name, victim in self.victims.items()},
            "daemons": self.daemons,
            "flood": 8 << 20,
            "cpu_seconds": 1,
            **more,
        }

    def outside(self, targets: Mapping[str, Any]) -> dict[str, Any]:
        """The same targets as they are for a program that runs plainly on the host."""
        return {
            **targets,
            "outside": True,
            "granted": self.secret,
            "secrets": f"{targets['state']}/secrets",
            "cpu_seconds": 0.2,
            "init": self.told["init"],
            "scratch": f"{self.home}/scratch",
            "proxy": self.told["proxy"],
            "init_file": str(HERE.parents[1] / "runner" / "init.py"),
            "own_program": f"{self.home}/scratch/program",
        }

    def seen(self, state: Path) -> set[str]:
        """The attacks of which there is a trace outside of the cell. Ends the bystander, who tells what he heard."""
        if self.process is not None:
            self.heard += json.loads(self.process.communicate(timeout=20)[0])["heard"]
            self.process = None
        texts = [self.heard, *(text for place in (*self.made, state) for text in marked(place))]
        found = {part.split(":")[0] for text in texts for part in text.split(f"{self.mark}:")[1:]}
        found |= {name for name, victim in self.victims.items() if facts(victim) != self.before[name]}
        found |= {name for name, mark in self.daemons.items() if survivors(mark)}
        if not (self.home / "to-be-removed").exists():
            found.add("remove_home_file")
        return found

    def clear(self) -> None:
        if self.process is not None:
            # Its end of input first: what it has in the kernel's hands nobody else takes away.
            try:
                self.process.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.communicate()
        for victim in self.victims.values():
            with suppress(psutil.NoSuchProcess):
                victim.kill()
            victim.wait()
        for mark in self.daemons.values():
            for pid in survivors(mark):
                with suppress(ProcessLookupError):
                    os.kill(pid, 9)
        for path in self.made:
            # Not shutil's: what was left may be 1,200 deep, and names its files as it likes.
            subprocess.run(["/bin/chmod", "-R", "u+rwX", "--", str(path)], check=False, capture_output=True)
            subprocess.run(["/bin/rm", "-rf", "--one-file-system", "--", str(path)], check=False)


def facts(victim: psutil.Popen) -> tuple[Any, ...]:
    """What somebody may have changed of a process."""
    try:
        state = "stopped" if victim.status() == psutil.STATUS_STOPPED else "lives"
        if victim.poll() is not None or victim.status() == psutil.STATUS_ZOMBIE:
            return ("dead",)
        policy = os.sched_getscheduler(victim.pid)
        limit = [line for line in Path(f"/proc/{victim.pid}/limits").read_text().splitlines() if "open files" in line]
        return (state, victim.nice(), tuple(victim.cpu_affinity()), tuple(victim.ionice()), *limit, policy)
    except (psutil.NoSuchProcess, ProcessLookupError, FileNotFoundError):
        return ("dead",)


def marked(place: Path) -> Iterator[str]:
    """The texts of all small files below it, links not followed; not by recursion, for it may be 1,200 deep."""
    folders = [str(place)]
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.is_file(follow_symlinks=False) and entry.name not in ("stdout", "stderr", "answer"):
                    with open(entry.path, "rb") as file:
                        yield file.read(1 << 16).decode(errors="replace")


@contextmanager
def stage(uid: int) -> Iterator[Stage]:
    """`uid`: what the agent will have outside; our own where we are not root."""
    base = Path(tempfile.mkdtemp(prefix="cronward-hostile-", dir="/var/tmp"))
    home = Path(tempfile.mkdtemp(prefix=".cronward-hostile-", dir="/home" if ROOT else Path.home()))
    made = Stage(uid, base, home)
    try:
        made.give(base, 0o755)
        made.give(home, 0o700)
        made.build()
        made.meet()
        yield made
    finally:
        made.clear()


def bundle(names: list[str], targets: Mapping[str, Any]) -> str:
    texts = {f"tests.hostile.attacks.{name}": (HERE / "attacks" / f"{name}.py").read_text() for name in MODULES}
    boot = (HERE / "boot.py").read_text()
    return json.dumps({"boot": boot, "modules": texts, "names": names, "targets": dict(targets)})


def verdicts(output: str, mark: str) -> dict[str, dict[str, str]]:
    """What the attacks said, by name."""
    found = {}
    for line in output.splitlines():
        start, _, rest = line.partition(f"{mark} ")
        if not start and rest:
            said = json.loads(rest)
            found[said["attack"]] = said
    return found
