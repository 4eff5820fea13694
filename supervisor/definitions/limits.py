"""What one run may use: by its type, by what its job asks for instead, and at most."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from supervisor.definitions.sizes import LARGEST, SIZE, Bytes, format_size
from supervisor.errors import InvalidError

WEEK = 7 * 86400

Memory = Annotated[Bytes, Field(description="Memory of the whole run, all its processes together.")]
Processes = Annotated[int, Field(ge=8, le=1 << 20, description="Processes and threads at one time.")]
OpenFiles = Annotated[int, Field(ge=64, le=1 << 20, description="Open files of each process.")]
FileSize = Annotated[Bytes, Field(description="The largest file that it may write.")]
Tmp = Annotated[Bytes, Field(description="Its private /tmp, and as much each for /dev/shm and its home.")]
Disk = Annotated[
    int,
    SIZE,
    Field(ge=0, le=LARGEST, description="By how much it may grow where it writes on disk. 0: no limit."),
]
Output = Annotated[Bytes, Field(description="What it may write to its standard output and error.")]
CpuSeconds = Annotated[int, Field(ge=0, le=WEEK, description="CPU time of the whole run, in seconds. 0: no limit.")]
CpuPercent = Annotated[
    int,
    Field(ge=0, le=102400, description="CPU share of the whole run, in percent of one core; needs a cgroup. 0: any."),
]
IdleSeconds = Annotated[
    int,
    Field(ge=0, le=WEEK, description="Seconds that it may write nothing. A job may say otherwise. 0: for ever."),
]
AtOnce = Annotated[
    int, Field(ge=0, le=1024, description="How many runs of this type may go on at once. 0: up to max_concurrent.")
]


class JobLimits(BaseModel):
    """What one run may use, and how many of its kind may run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    memory: Memory = 1 << 30
    processes: Processes = 128
    open_files: OpenFiles = 1024
    file_size: FileSize = 1 << 30
    tmp: Tmp = 256 << 20
    disk: Disk = 4 << 30
    output: Output = 64 << 20
    cpu_seconds: CpuSeconds = 0
    cpu_percent: CpuPercent = 0
    idle_seconds: IdleSeconds = 0
    at_once: AtOnce = 0


class MediumLimits(JobLimits):
    """For agents with tools of their own."""

    memory: Memory = 2 << 30
    processes: Processes = 512
    disk: Disk = 16 << 30
    at_once: AtOnce = 2


class LargeLimits(JobLimits):
    """For agents that build and test."""

    memory: Memory = 4 << 30
    processes: Processes = 2048
    disk: Disk = 64 << 30
    at_once: AtOnce = 1


class TypeLimits(BaseModel):
    """The limits of each type of job."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    light: JobLimits = JobLimits()
    medium: MediumLimits = MediumLimits()
    resource_intensive: LargeLimits = Field(default=LargeLimits(), alias="resource-intensive")


class OwnLimits(BaseModel):
    """What a job asks for instead of what its type has. None: as the type has it; 0, where it is allowed: no limit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    memory: Memory | None = None
    processes: Processes | None = None
    open_files: OpenFiles | None = None
    file_size: FileSize | None = None
    tmp: Tmp | None = None
    disk: Disk | None = None
    output: Output | None = None
    cpu_seconds: CpuSeconds | None = None
    cpu_percent: CpuPercent | None = None
    setup_seconds: Annotated[int, Field(ge=1, le=86400)] | None = None
    """In which its cell must stand and its agent must have started. None: as configured for all."""

    def given(self) -> dict[str, int]:
        """What is asked for, by name."""
        return {name: value for name, value in self if value is not None}

    def merged(self, changes: object) -> object:
        """With these changes, as an edit gives them: null takes one back. Others refuse what is no mapping."""
        return {**self.given(), **changes} if isinstance(changes, dict) else changes

    def over(self, limits: JobLimits) -> JobLimits:
        """A type's limits with these in their place."""
        changes: dict[str, Any] = self.given()
        changes.pop("setup_seconds", None)
        return limits.model_copy(update=changes)


class Maxima(BaseModel):
    """The most that a job may ask for. What a type has needs no permission."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    memory: Annotated[Bytes, Field(description="The most memory that a job may ask for.")] = 16 << 30
    processes: Annotated[int, Field(ge=8, le=1 << 20, description="Processes and threads.")] = 8192
    open_files: Annotated[int, Field(ge=64, le=1 << 20, description="Open files.")] = 65536
    file_size: Annotated[Bytes, Field(description="The size of a file.")] = 64 << 30
    tmp: Annotated[Bytes, Field(description="The size of its private /tmp, which takes memory.")] = 4 << 30
    disk: Annotated[int, SIZE, Field(ge=0, le=LARGEST, description="Growth on disk. 0: any, and none at all.")] = (
        256 << 30
    )
    output: Annotated[Bytes, Field(description="Its output, which is kept.")] = 1 << 30
    cpu_seconds: Annotated[int, Field(ge=0, le=WEEK, description="CPU time, in seconds. 0: any, and none at all.")] = 0
    cpu_percent: Annotated[
        int, Field(ge=0, le=102400, description="CPU share, in percent of one core. 0: any, and none at all.")
    ] = 0
    setup_seconds: Annotated[int, Field(ge=1, le=86400, description="Seconds until its agent has started.")] = 600
    timeout_seconds: Annotated[int, Field(ge=1, le=WEEK, description="Seconds of a run, retries included.")] = WEEK
    idle_seconds: Annotated[
        int, Field(ge=0, le=WEEK, description="Seconds that a job may be silent. 0: any, and for ever.")
    ] = 0


SIZES = frozenset(name for name, field in Maxima.model_fields.items() if SIZE in field.metadata)
_UNLIMITED = frozenset({"disk", "cpu_seconds", "cpu_percent", "idle_seconds"})
"""Where 0 is no limit, and so more than any other number."""


def check_asked(asked: dict[str, int], maxima: Maxima) -> None:
    """Raise InvalidError where a job asks for more than the configuration lets any have.

    `asked`: its own limits, and its `timeout_seconds` and `idle_seconds` where it has them.
    """
    for name, value in asked.items():
        most: int = getattr(maxima, name)
        endless = name in _UNLIMITED and value == 0
        if (most or name not in _UNLIMITED) and (endless or value > most):
            told = "no limit of" if endless else f"{_shown(name, value)} of"
            raise InvalidError(
                f"The job asks for {told} {name}, and {_shown(name, most)} is the most that the configuration permits "
                f"([maxima] {name}). Ask for less, or permit more."
            )


def _shown(name: str, value: int) -> str:
    return format_size(value) if name in SIZES else str(value)
