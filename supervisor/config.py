"""What an owner may set: one TOML file, then `CRONWARD_…` variables. Checked whole before anything runs with it."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic.fields import FieldInfo

from shared.messages import Limits
from supervisor.budgets.budget import Budget, Budgets
from supervisor.definitions.limits import JobLimits, Maxima, OwnLimits, TypeLimits
from supervisor.definitions.sizes import LARGEST, SIZE, Bytes, format_size
from supervisor.errors import InvalidError, StoreError
from supervisor.models import Identifier, JobType
from supervisor.notifications.targets import EXAMPLE, Notify
from supervisor.programs.trust import others_may_write
from supervisor.sentences import sentence
from supervisor.stores.home import user_home
from supervisor.stores.store import read_bytes

FILE_BYTES = 1 << 20
CONCURRENT = 4
LAST_UID = (1 << 32) - 2
PREFIX = "CRONWARD_"
_PROXY = re.compile(r"http://(?:[A-Za-z0-9_.-]{1,253}|\[[0-9a-fA-F:.]{2,45}\]):(?!0)[0-9]{1,5}")


class ConfigError(InvalidError):
    """A setting is wrong; nothing was started with it."""

    code = "config"


def _concurrent(number: int) -> int:
    return number if number > 0 else CONCURRENT


def _absolute(path: str) -> str:
    if path and not path.startswith("/"):
        raise ValueError("should be an absolute path")
    return path


def _proxy(url: str) -> str:
    """Without a password: it would be in a file that names programs, and in every request that is kept."""
    if url and not _PROXY.fullmatch(url):
        raise ValueError("should be http://HOST:PORT, without a user, a password or a path")
    return url


Seconds = Annotated[float, Field(ge=0, le=86400, allow_inf_nan=False)]
AbsolutePath = Annotated[str, Field(max_length=4096), AfterValidator(_absolute)]
TABLES = ("limits", "maxima", "budget", "notify", "targets")


GitWords = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f<>]*$")]
"""What git can put between a name and its `<`."""


class Config(BaseModel):
    """All settings, with what holds where nothing is set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_concurrent: Annotated[
        int,
        AfterValidator(_concurrent),
        Field(le=1024, description="How many runs may go on at once. 0 or less means 4."),
    ] = CONCURRENT
    max_starting: Annotated[
        int,
        Field(ge=0, le=1024, description="How many of them may be starting at once. 0: two for each CPU."),
    ] = 0
    history: Annotated[
        int, Field(ge=1, le=100_000, description="How many runs of each job are kept, and as many skips beside them.")
    ] = 100
    history_days: Annotated[
        int, Field(ge=0, le=100_000, description="How many days the record of a run is kept at most. 0: for ever.")
    ] = 0
    log_days: Annotated[
        int, Field(ge=0, le=100_000, description="How many days the files of a run are kept at most. 0: for ever.")
    ] = 90
    log_bytes: Annotated[
        int,
        SIZE,
        Field(ge=0, le=LARGEST, description="What the files of all runs may take; the oldest go first. 0: any."),
    ] = 5 << 30
    supervisor_log: Annotated[
        AbsolutePath,
        Field(
            description="The file that the supervisor logs to. Empty: the journal under systemd, else standard error; "
            "supervisor.log in the home if started by --ensure."
        ),
    ] = ""
    supervisor_log_bytes: Annotated[
        int, SIZE, Field(ge=4096, le=LARGEST, description="How large such a file gets before a new one is begun.")
    ] = 1 << 20
    supervisor_log_files: Annotated[int, Field(ge=1, le=100, description="How many older ones are kept beside it.")] = 3
    response_bytes: Annotated[
        int,
        Field(ge=0, le=65536, description="How many bytes of an answer a run's record shows. Its log has the whole."),
    ] = 4096
    disable_after_failures: Annotated[
        int,
        Field(ge=0, le=1000, description="How many failed runs in a row pause a job. 0: none do. A job may differ."),
    ] = 10
    default_agent: Annotated[Identifier, Field(description="The agent of a job that names none.")] = "local"
    agents_dir: Annotated[
        AbsolutePath,
        Field(description="Where your own adapters lie. Empty: in agents/, beside the usual place of this file."),
    ] = ""
    grace_seconds: Annotated[
        Seconds, Field(description="Seconds between asking a run to end (SIGTERM) and ending it (SIGKILL).")
    ] = 5.0
    drain_seconds: Annotated[
        Seconds, Field(description="Seconds that runs may still take when the supervisor is told to stop.")
    ] = 30.0
    setup_seconds: Annotated[
        Seconds, Field(gt=0, description="Seconds in which a cell must stand and its agent must have started.")
    ] = 60.0
    model_path: Annotated[
        AbsolutePath,
        Field(description="Weights of the embedded agent (GGUF). Empty: those that `cronward fetch-model` got."),
    ] = ""
    bwrap: Annotated[AbsolutePath, Field(min_length=1, description="The program that builds a cell.")] = (
        "/usr/bin/bwrap"
    )
    uid_base: Annotated[
        int, Field(ge=1000, le=LAST_UID, description="Under root only: the first of the user ids that runs are given.")
    ] = 1_900_000_000
    uid_count: Annotated[
        int, Field(ge=1, le=LAST_UID, description="Under root only: how many such user ids there are.")
    ] = 65536
    min_available_memory: Annotated[
        int,
        SIZE,
        Field(ge=0, le=LARGEST, description="Memory that the host must have left for a run to start. 0: any."),
    ] = 512 << 20
    disk_floor: Annotated[
        int,
        SIZE,
        Field(
            ge=0,
            le=LARGEST,
            description="Free space that disks must keep: below, no run starts, and those writing there end. 0: any.",
        ),
    ] = 512 << 20
    max_memory_pressure: Annotated[
        int,
        Field(
            ge=0,
            le=100,
            description="Percent of the last 10 s that processes waited for memory: above, no run starts. 0: any.",
        ),
    ] = 20
    max_cpu_pressure: Annotated[
        int,
        Field(ge=0, le=100, description="The same for processes that waited for a CPU. 0: any."),
    ] = 0
    network_bytes: Annotated[
        Bytes, Field(description="What a run with a network may transfer, in both directions and by all its programs.")
    ] = 1 << 30
    permit_host_network: Annotated[
        bool,
        Field(description="Whether jobs may ask for the host's own network, in which nothing confines them."),
    ] = False
    permit_no_isolation: Annotated[
        bool,
        Field(description="Whether jobs may ask for no isolation (`none`): their agents have your rights, no secrets."),
    ] = False
    upstream_proxy: Annotated[
        str,
        AfterValidator(_proxy),
        Field(max_length=300, description="The site's own HTTP proxy, as http://HOST:PORT. Empty: none is needed."),
    ] = ""
    ca_bundle: Annotated[
        AbsolutePath,
        Field(description="Certificates (PEM) that programs in a cell with a network trust. Empty: the system's."),
    ] = ""
    git_name: Annotated[GitWords, Field(description="The name under which agents commit. Empty: agent.")] = ""
    git_email: Annotated[
        GitWords,
        Field(description="The address with it. Nothing is ever read from ~/.gitconfig. Empty: agent@cell.invalid."),
    ] = ""
    network_home: Annotated[
        bool, Field(description="Whether the home may lie on a network file system, where locks may not hold.")
    ] = False
    limits: TypeLimits = TypeLimits()
    maxima: Maxima = Maxima()
    budget: Budgets = Budgets()
    notify: Annotated[Notify, Field(description="Who is told of ends of runs, and how.")] = Notify()

    @model_validator(mode="after")
    def _uids_exist(self) -> Self:
        if self.uid_base + self.uid_count - 1 > LAST_UID:
            raise ValueError(f"uid_base + uid_count must not pass {LAST_UID}")
        return self

    def failures_allowed(self, disable_after: int | None) -> int:
        """After how many failed runs in a row a job is paused; 0: after none. No more than are kept can be seen."""
        return min(self.disable_after_failures if disable_after is None else disable_after, self.history)

    def starting(self, cpus: int) -> int:
        """How many attempts may be starting at once on a host with so many CPUs."""
        return self.max_starting or 2 * cpus

    def of_type(self, job_type: JobType) -> JobLimits:
        """The limits that jobs of this type have."""
        limits: dict[JobType, JobLimits] = {
            JobType.LIGHT: self.limits.light,
            JobType.MEDIUM: self.limits.medium,
            JobType.RESOURCE_INTENSIVE: self.limits.resource_intensive,
        }
        return limits[job_type]

    def at_once(self, job_type: JobType) -> int | None:
        """How many runs of this type may go on at once. None: as many as of all."""
        return self.of_type(job_type).at_once or None

    def limits_for(
        self, job_type: JobType, wall_seconds: float, idle_seconds: int | None = None, own: OwnLimits | None = None
    ) -> Limits:
        """What one attempt of such a job may use, as its runner is told. `idle_seconds` None: as the type has it."""
        own = own or OwnLimits()
        allowed = own.over(self.of_type(job_type))
        return Limits(
            memory_bytes=allowed.memory,
            processes=allowed.processes,
            open_files=allowed.open_files,
            file_bytes=allowed.file_size,
            tmp_bytes=allowed.tmp,
            output_bytes=allowed.output,
            cpu_seconds=allowed.cpu_seconds or None,
            wall_seconds=wall_seconds,
            setup_seconds=own.setup_seconds or self.setup_seconds,
            grace_seconds=self.grace_seconds,
            idle_seconds=(allowed.idle_seconds if idle_seconds is None else idle_seconds) or None,
            cpu_percent=allowed.cpu_percent or None,
            disk_bytes=allowed.disk or None,
            disk_floor_bytes=self.disk_floor,
        )


def config_dir(environ: Mapping[str, str]) -> Path:
    """`$XDG_CONFIG_HOME/cronward`, or `~/.config/cronward`."""
    base = environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if base.startswith("/") else user_home(environ) / ".config") / "cronward"


def load_config(path: Path | None, environ: Mapping[str, str]) -> Config:
    """The settings of this file (else of `CRONWARD_CONFIG`, else of the default one, if it is there).

    Variables such as `CRONWARD_MAX_CONCURRENT` rule over the file. Raises ConfigError.
    """
    return read_sources(path, environ).config(environ)


@dataclass(frozen=True, slots=True)
class Sources:
    """What was written where, before it is one configuration."""

    file: Path
    there: bool
    """Whether there is such a file. The usual one may be missing."""
    written: dict[str, Any]
    variables: dict[str, Any]
    """By the names of the settings."""

    def config(self, environ: Mapping[str, str]) -> Config:
        """All of it, checked whole. Raises ConfigError."""
        try:
            found = Config.model_validate({**self.written, **self.variables}, strict=True)
        except ValidationError as error:
            raise ConfigError(sentence(error, str(self.file), Config)) from None
        own = found.agents_dir or str(config_dir(environ) / "agents")
        return found.model_copy(update={"agents_dir": own})


def read_sources(path: Path | None, environ: Mapping[str, str]) -> Sources:
    """The file that is meant, and the variables. Raises ConfigError where one cannot be read."""
    named = path or (Path(environ["CRONWARD_CONFIG"]) if environ.get("CRONWARD_CONFIG") else None)
    file = named or config_dir(environ) / "config.toml"
    try:
        return Sources(file, True, _parse(file, _owned_bytes(file)), _variables(environ))
    except FileNotFoundError:
        if named:
            raise ConfigError(
                f"There is no configuration file {file}. Name another (--config), or none: the defaults do."
            ) from None
        return Sources(file, False, {}, _variables(environ))


def as_written(model: BaseModel, name: str) -> str:
    """One setting as it would stand in the file."""
    return _toml(getattr(model, name), type(model).model_fields[name])


def render_example() -> str:
    """`config.example.toml`: every setting with its meaning and its default."""
    lines = [
        "# Settings of cronward. Copy those that you want to change to ~/.config/cronward/config.toml;",
        f"# all values here are the defaults. Single ones can also be set by variables, as {PREFIX}MAX_CONCURRENT=2.",
        *_rendered(Config(), described=True),
    ]
    for number, job_type in enumerate(JobType):
        lines += ["", f"[limits.{job_type.value}]", *_rendered(Config().of_type(job_type), described=number == 0)]
    lines += ["", "# The most that a job may ask for instead of what its type has.", "[maxima]"]
    lines += _rendered(Maxima(), described=True)
    lines += ["", "# What all jobs together may use in a day of this host's calendar; a run counts when it starts."]
    lines += ["[budget.day]", *_rendered(Budget(), described=True)]
    lines += ["", "# The same in a month.", "[budget.month]", *_rendered(Budget(), described=False)]
    lines += ["", "# Telling the owner how runs ended.", "[notify]", *_rendered(Notify(), described=True), "", EXAMPLE]
    return "\n".join(lines) + "\n"


def _owned_bytes(file: Path) -> bytes:
    """What is in the file, which may be a link: people keep such files elsewhere."""
    real = Path(os.path.realpath(file))
    try:
        found = real.stat()
        data = read_bytes(real, FILE_BYTES)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be read: {error.strerror}. Make it yours to read, or name another (--config)."
        ) from None
    except StoreError as error:
        raise ConfigError(str(error)) from None
    # The file names programs that will run with the owner's rights.
    if others_may_write(found):
        raise ConfigError(f"{file} can be changed by others. Make it yours: chown it, and chmod go-w {file}")
    return data


def _parse(file: Path, data: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8 (at byte {error.start}). Save it as UTF-8.") from None
    except ValueError as error:
        if not isinstance(error, tomllib.TOMLDecodeError):  # Python's own bound on digits
            raise ConfigError(f"{file} has a number of thousands of digits; give a smaller one.") from None
        raise ConfigError(f"{file} is not TOML: {ascii(str(error))[1:-1]}.") from None
    except RecursionError:
        raise ConfigError(f"{file} is nested too deeply. The keys are in config.example.toml.") from None


def _variables(environ: Mapping[str, str]) -> dict[str, Any]:
    texts = {name: environ.get(PREFIX + name.upper()) for name in Config.model_fields if name not in TABLES}
    given = {name: text for name, text in texts.items() if text is not None}
    try:
        read = Config.model_validate_strings(given)
    except ValidationError as error:
        wrong = {f"{PREFIX}{str(each['loc'][0]).upper()}" for each in error.errors() if each["loc"]}
        raise ConfigError(
            sentence(error, wrong.pop() if len(wrong) == 1 else f"{PREFIX}… in the environment")
        ) from None
    return {name: getattr(read, name) for name in given}


def _rendered(model: BaseModel, *, described: bool) -> Iterator[str]:
    for name, field in type(model).model_fields.items():
        if name in TABLES:
            continue
        if described:
            yield from ("", f"# {field.description}")
        yield f"{name} = {_toml(getattr(model, name), field)}"


def _toml(value: object, field: FieldInfo) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and SIZE in field.metadata:
        return f'"{format_size(value)}"'
    if isinstance(value, tuple):
        return repr(list(value))
    return f'"{value}"' if isinstance(value, str) else repr(value)
