"""What supervisor and runner say to each other, one JSON object a line (see `wire`).

Dataclasses, by way of `record`: they cost a runner next to nothing, and the supervisor validates the same classes
strictly through pydantic, which reads `__pydantic_config__`. Sizes are bytes and times seconds unless a name says
otherwise.
"""

from __future__ import annotations

from shared.findings import Branch, Deeds, Planted, Session, Spending, TaskEnd, Traffic, Usage
from shared.record import Any, ClassVar, Literal, dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from shared.keep import Keep
    from shared.reading import Reading
    from shared.reasons import Reason

VERSION = 1
Strictness = dict[str, object]
STRICT: Strictness = {"extra": "forbid", "strict": True}

Isolation = Literal["required", "best-effort", "none"]
"""The whole cell or no run; without namespaces where none are to be had; limits and nothing else."""
Network = Literal["none", "allow", "public", "host"]
"""Nothing; the hosts that are named; these and every public address; whatever the host has."""
PROXIED: tuple[Network, ...] = ("allow", "public")
"""By way of the proxy, which decides, counts and logs."""

WorkMode = Literal["inplace", "read", "branch"]
"""The work directory itself, writable where its user may write; the same, read-only; a private clone of its repository,
whose commits are offered as a branch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind:
    """A path of the host shown inside the cell."""

    __pydantic_config__: ClassVar[Strictness] = STRICT

    source: str
    target: str
    writable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one attempt may use. `None` is no limit."""

    __pydantic_config__: ClassVar[Strictness] = STRICT

    memory_bytes: int
    processes: int
    open_files: int
    file_bytes: int
    tmp_bytes: int
    output_bytes: int
    cpu_seconds: int | None
    wall_seconds: float
    setup_seconds: float
    grace_seconds: float
    idle_seconds: float | None = None
    cpu_percent: int | None = None
    """Of one core, for the whole run. Only a cgroup can hold it."""
    disk_bytes: int | None = None
    """By how much its writable paths on disk may grow, all together."""
    disk_floor_bytes: int = 0
    """Free space below which it ends, on any file system that it writes to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAs:
    """The ordinary ids that a root supervisor's runner takes on before it starts a cell."""

    __pydantic_config__: ClassVar[Strictness] = STRICT

    uid: int
    gid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """For the mode `branch`: where the private clone is kept meanwhile, and as what its commits are offered."""

    __pydantic_config__: ClassVar[Strictness] = STRICT

    directory: str
    """An existing, empty directory of the owner's, for this attempt alone. The runner empties it in the end."""
    branch: str
    """Without `refs/heads/`; always below `cronward/`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What confines the agent."""

    __pydantic_config__: ClassVar[Strictness] = STRICT

    isolation: Isolation = "required"
    network: Network = "none"
    allow_hosts: tuple[str, ...] = ()
    """As `hostrule` reads them; only with `allow` and `public`."""
    network_bytes: int = 1 << 30
    """What all connections of the attempt may carry, both ways together."""
    upstream_proxy: str = ""
    """`http://HOST:PORT` of the site's own proxy; empty for none."""
    work_dir: str | None = None
    """Shown at its own path; None: a private scratch directory."""
    work_mode: WorkMode = "inplace"
    git_write: bool = False
    """Whether repositories in writable places may be written to."""
    read_paths: tuple[str, ...] = ()
    write_paths: tuple[str, ...] = ()
    """Shown at their own paths. Real paths: a link in one is refused."""
    offer: Offer | None = None
    """With the mode `branch`, and only with it."""
    run_as: RunAs | None = None
    bwrap: str = "/usr/bin/bwrap"
    cgroup: str | None = None
    """An empty cgroup v2 leaf with its limits set, made for this attempt; None: a watchdog takes its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramFile:
    """Which file a program is, as far as its contents can be told apart without reading them."""

    __pydantic_config__: ClassVar[Strictness] = STRICT

    path: str
    """Its real path: for many agents that names their version."""
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSpec:
    """The program that gets the prompt on its standard input: what to start, inside the cell."""

    __pydantic_config__: ClassVar[Strictness] = STRICT

    name: str
    argv: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    binds: tuple[Bind, ...] = ()
    links: dict[str, str] = field(default_factory=dict)
    """Symbolic links to make: path inside the cell to what it says."""
    files: dict[str, str] = field(default_factory=dict)
    """Files to place, read-only: path inside the cell to text."""
    require_answer: bool = True
    program: ProgramFile | None = None
    """For the record: what `argv[0]` led to when the attempt was prepared."""
    reading: Reading | None = None
    """How its output is read; None: what it writes is its answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A program of the owner's that runs in a cell of its own, before the agent or after it."""

    __pydantic_config__: ClassVar[Strictness] = STRICT

    argv: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    binds: tuple[Bind, ...] = ()
    links: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """What an attempt's agent may spend, as far as its output tells while it runs. `None` is no cap."""

    __pydantic_config__: ClassVar[Strictness] = STRICT

    tokens: int | None = None
    """Input and output together."""
    cost_usd: float | None = None
    turns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A value that the job was granted by name: a file of that name in the cell."""

    __pydantic_config__: ClassVar[Strictness] = STRICT

    name: str
    value: str
    variable: str = ""
    """The agent's variable that has it as well; empty for none."""

    def __repr__(self) -> str:
        return f"Secret(name={self.name!r}, variable={self.variable!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecuteRequest:
    """One attempt, whole: the first line on the runner's standard input."""

    __pydantic_config__: ClassVar[Strictness] = STRICT

    version: int = VERSION
    run_id: str
    attempt: int
    job_id: str
    session_id: str
    prompt: str
    agent: AgentSpec
    cell: Cell
    limits: Limits
    output_format: Literal["text", "json", "structured"] = "text"
    output_schema: str = ""
    response_bytes: int = 4096
    """How much of the answer the record keeps; the file `answer` keeps all of it."""
    run_started: float = 0.0
    """When the run's first attempt began, in seconds since 1970: what changed since then is the run's doing."""
    log_dir: str
    """An existing directory of the owner's, for this attempt alone."""
    import_paths: tuple[str, ...] = ()
    """Where the runner finds the libraries that judge an answer (its interpreter starts without site)."""
    caps: Caps = Caps()
    spent_before: Spending | None = None
    """What the conversation that is gone on with had cost before: taken off figures that count from its beginning."""
    gate: Task | None = None
    """Decides whether the agent is started at all: 0 for go, 75 for nothing to do."""
    check: Task | None = None
    """Has to end with 0, after the agent, for the attempt to be ok."""
    gate_at: int | None = None
    """Before which character of the prompt the gate's output is put, fenced; None: nowhere."""
    secrets: tuple[Secret, ...] = ()
    """Nobody but the agent is told their values: see `masking.recorded` for what of a request is stored."""
    keep: Keep | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Any later line on the runner's standard input: end the tree, for this reason. The first one wins."""

    __pydantic_config__: ClassVar[Strictness] = STRICT

    type: Literal["stop"] = "stop"
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer that confined the agent, and in which version or measure."""

    __pydantic_config__: ClassVar[Strictness] = STRICT

    name: str
    detail: str = ""
    held: bool = True
    """False: it did not, and `detail` says why or what took its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The runner has its request."""

    __pydantic_config__: ClassVar[Strictness] = STRICT

    type: Literal["ready"] = "ready"
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The cell stands and the agent was started in it. `pid`: the cell's init, as the host numbers it."""

    __pydantic_config__: ClassVar[Strictness] = STRICT

    type: Literal["started"] = "started"
    pid: int
    layers: tuple[Layer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """At most one a second: how much the agent has written so far."""

    __pydantic_config__: ClassVar[Strictness] = STRICT

    type: Literal["progress"] = "progress"
    output_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecuteResult:
    """How one attempt ended: the runner's last line, on disk before it is said. Its tree is gone by then."""

    __pydantic_config__: ClassVar[Strictness] = STRICT

    type: Literal["result"] = "result"
    version: int = VERSION
    run_id: str
    attempt: int
    reason: Reason
    error: str = ""
    response: str = ""
    """The first bytes of the answer (`ExecuteRequest.response_bytes`), cut between characters."""
    answer_bytes: int = 0
    exit_code: int | None = None
    signal: int | None = None
    duration: int = 0
    """Nanoseconds, as the original counts."""
    usage: Usage | None = None
    traffic: Traffic | None = None
    """None: the cell had no proxy."""
    branch: Branch | None = None
    """None: there was no private clone."""
    layers: tuple[Layer, ...] = ()
    left_behind: int = 0
    """Processes that were still alive in the cell when the agent itself had ended. They were killed."""
    gate: TaskEnd | None = None
    check: TaskEnd | None = None
    """None: there was none, or it was not its turn."""
    planted: Planted | None = None
    """None: the agent could write nowhere, or nobody looked."""
    spending: Spending | None = None
    """None: nothing of the agent's output tells it."""
    spent_in_all: Spending | None = None
    """The same as the agent itself said it, from the beginning of its conversation."""
    model: str = ""
    agent_version: str = ""
    """Both as the agent says."""
    conversation: str = ""
    """The agent's own id of what can be gone on with."""
    deeds: Deeds | None = None
    """None: it said of nothing that it did."""
    session: Session | None = None
    """None: its conversation is not to go on."""
    tool_called: bool = False
    """Whether the agent is known to have called a tool, whose effect nobody can take back. False: it is not known."""
    retry_after_seconds: float | None = None
    """How long its provider asks to wait (`Retry-After`), or says that its quota is used up (`quota_wait`). Somebody
    else's word: whoever goes by it bounds it."""


RunnerMessage = Ready | Started | Progress | ExecuteResult


def request_from(data: dict[str, Any]) -> ExecuteRequest:
    """Rebuild a request that the supervisor has validated already. Raises TypeError or KeyError on anything else."""
    agent, cell = data["agent"], data["cell"]
    before = data["spent_before"]
    nested = {
        "agent": AgentSpec(
            **{
                **agent,
                "argv": tuple(agent["argv"]),
                "binds": tuple(Bind(**bind) for bind in agent["binds"]),
                "program": ProgramFile(**agent["program"]) if agent["program"] else None,
                "reading": _reading(agent["reading"]),
            }
        ),
        "cell": Cell(
            **{
                **cell,
                "offer": Offer(**cell["offer"]) if cell["offer"] else None,
                "run_as": RunAs(**cell["run_as"]) if cell["run_as"] else None,
                **{key: tuple(cell[key]) for key in ("allow_hosts", "read_paths", "write_paths")},
            }
        ),
        "limits": Limits(**data["limits"]),
        "import_paths": tuple(data["import_paths"]),
        "caps": Caps(**data["caps"]),
        "spent_before": Spending(**before) if before else None,
        **{key: _task(data[key]) for key in ("gate", "check")},
        "secrets": tuple(Secret(**secret) for secret in data["secrets"]),
        "keep": _keep(data["keep"]),
    }
    return ExecuteRequest(**{**data, **nested})


def _task(data: dict[str, Any] | None) -> Task | None:
    if data is None:
        return None
    return Task(**{**data, "argv": tuple(data["argv"]), "binds": tuple(Bind(**bind) for bind in data["binds"])})


def _keep(data: dict[str, Any] | None) -> Keep | None:
    if data is None:
        return None
    from shared.keep import keep_from

    return keep_from(data)


def _reading(data: dict[str, Any] | None) -> Reading | None:
    if data is None:
        return None
    from shared.reading import reading_from  # only where an adapter declares one: each import costs a start

    return reading_from(data)
