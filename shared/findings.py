"""What one attempt showed of itself: what it used, whom it talked to, what it left.

Sizes are bytes and times seconds unless a name says otherwise.
"""

from __future__ import annotations

from shared.record import ClassVar, Literal, dataclass, field

Strictness = dict[str, object]
STRICT: Strictness = {"extra": "forbid", "strict": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What an attempt used, as measured. `peak_rss_bytes` is the largest single process, `peak_memory_bytes` all of
    them together, `processes_peak` with their threads, `peak_disk_bytes` by how much its writable paths had grown."""

    __pydantic_config__: ClassVar[Strictness] = STRICT

    wall_seconds: float
    cpu_seconds: float
    peak_rss_bytes: int
    output_bytes: int
    peak_memory_bytes: int = 0
    processes_peak: int = 0
    peak_disk_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What an agent says that it used of its provider. None: it did not say."""

    __pydantic_config__: ClassVar[Strictness] = STRICT

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    """Of the input's, those that were read from a cache."""
    cost_usd: float | None = None
    turns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deeds:
    """What an agent says that it did, at a glance: its own word, escaped and cut, at most 8 KiB. The transcript has all
    of it."""

    __pydantic_config__: ClassVar[Strictness] = STRICT

    tools: dict[str, int] = field(default_factory=dict)
    """Called how often, by name."""
    commands: tuple[str, ...] = ()
    """The first of those that it ran, each cut at 200 characters."""
    files: tuple[str, ...] = ()
    """The first of those that it changed, each once."""
    calls: int = 0
    """Of tools, in all."""
    failures: int = 0
    """Tools that went wrong, and errors that it told of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What went through the proxy, or tried to. `denied` are those of `connections` that the policy refused."""

    __pydantic_config__: ClassVar[Strictness] = STRICT

    connections: int
    denied: int
    bytes_up: int
    bytes_down: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What became of a conversation that goes on from run to run."""

    __pydantic_config__: ClassVar[Strictness] = STRICT

    resumed: bool = False
    """Whether there was one to go on with."""
    anew: str = ""
    """Why not, though there had been one."""
    files: int = 0
    bytes: int = 0
    """What was taken out for the next run."""
    kept: bool = False
    """Whether that is whole, and the next run goes on from there. Else from where this one did."""
    ended: bool = False
    """Whether the next run begins a new one instead."""
    problem: str = ""
    """Why it was not kept."""


PlantedWhy = Literal["repository", "tool", "set-id", "link", "special", "sparse", "closed", "executable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """One thing that is new or changed, and may act outside the cell. `path`: cut and escaped where it has to be."""

    __pydantic_config__: ClassVar[Strictness] = STRICT

    path: str
    why: PlantedWhy


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """What a run left in the places where it could write. `count` in all, the first of them by name; `seen`: how many
    entries were looked at; `whole`: whether these were all."""

    __pydantic_config__: ClassVar[Strictness] = STRICT

    found: tuple[Plant, ...] = ()
    count: int = 0
    seen: int = 0
    whole: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """What became of the commits in a private clone."""

    __pydantic_config__: ClassVar[Strictness] = STRICT

    original: str
    """The work directory of which it was a clone."""
    base: str
    """The commit that it began with."""
    name: str = ""
    """The branch of the original on which they are; empty: none was made."""
    commits: int = 0
    """Those that the original did not have."""
    uncommitted: int = 0
    """Files and directories that were changed or new and not committed: they are gone."""
    left_out: int = 0
    """Commits on other branches of the clone: they are gone too."""
    rewritten: bool = False
    """Whether they do not build on `base`."""
    problem: str = ""
    """Why commits could not be offered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEnd:
    """How a gate or a check ended."""

    __pydantic_config__: ClassVar[Strictness] = STRICT

    exit_code: int | None = None
    """None: it was ended, by a signal or by us."""
    words: str = ""
    """The last line that it wrote, to its standard error rather than its output."""
    seconds: float = 0.0
    """Its cell included."""
