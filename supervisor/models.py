"""Jobs and runs as they are stored and shown: the seed's fields with their JSON keys and meanings, and ours.

Times are aware; `NEVER` (the original's zero time) stands for "not yet". Durations named as the original names them
(`retry_delay`, `duration`) are integer nanoseconds, others are seconds and say so.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from shared.findings import Branch, Deeds, Planted, Session, Spending, TaskEnd, Traffic, Usage
from shared.messages import Caps, Isolation, Layer, Network, ProgramFile, WorkMode
from shared.reasons import Reason
from supervisor.budgets.budget import MOST_TOKENS, Budget
from supervisor.budgets.money import MOST_USD
from supervisor.definitions.limits import OwnLimits
from supervisor.status import ALLOWED, Status, TransitionError
from supervisor.vocabulary import FORMAT_VERSION as FORMAT_VERSION
from supervisor.vocabulary import NEVER as NEVER
from supervisor.vocabulary import CatchUp as CatchUp
from supervisor.vocabulary import Event as Event
from supervisor.vocabulary import JobType as JobType
from supervisor.vocabulary import OutputFormat as OutputFormat
from supervisor.vocabulary import Overlap as Overlap
from supervisor.vocabulary import Trigger as Trigger

MAX_PROMPT = 256 * 1024
MAX_SCHEMA = 256 * 1024
SECOND = 1_000_000_000

Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
"""What names a file of ours: no slash, no leading dot or dash."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Program(_Record):
    """Where an agent's program lies on the host, and what of the host its cell shows for it."""

    path: str
    """By which it is started, at the end of its links or not."""
    real: str
    """The file at their end."""
    size: int
    mtime_ns: int
    interpreter: str = ""
    """The real path of what runs it, where it is a script."""
    links: dict[str, str] = {}
    """Made again in the cell: each link on the way, by its real place, and what it says."""
    shown: tuple[str, ...] = ()
    """Bound read-only, each at its own place, beside the system: files and installations, by their real paths."""
    env: dict[str, str] = {}

    @property
    def file(self) -> ProgramFile:
        """What tells its versions apart."""
        return ProgramFile(path=self.real, size=self.size, mtime_ns=self.mtime_ns)


class CronJob(_Record):
    """A definition: when, what prompt, which agent, in which cell, under which limits and policies.

    `last_run`, `last_error`, `next_run` and `run_count` are derived from the job's runs and never stored with it.
    """

    id: Identifier
    name: Annotated[str, StringConstraints(max_length=64)] = ""
    cron_expr: str = ""
    """Empty for a one-shot (`at`)."""
    at: AwareDatetime | None = None
    timezone: str | None = None
    """An IANA name, resolved when the job is added. None: the expression carries its own zone, or has none to mind."""
    dst: Literal["once", "exact"] = "once"

    prompt: str
    untrusted_input: bool = False
    """Whether the prompt may take in what nobody vouches for: the last answer, the gate's output."""
    secrets_when_tainted: bool = False
    """Whether it gets its secrets, and its login, although its prompt does."""
    session_key: Annotated[str, StringConstraints(max_length=200)] = ""
    """Names a conversation with its agent that its runs go on with. Empty: each begins one of its own."""
    work_dir: str = ""
    agent: str = "local"
    command: str = ""
    """For the agent `command`: a word list, split as a shell would, run without one."""
    gate: str = ""
    """Decides before the agent is started. A word list, as `command`."""
    check: str = ""
    """Has to succeed after the agent has ended. The same."""
    model: str = ""
    search_path: Annotated[str, StringConstraints(max_length=16384)] = ""
    """Where programs are looked for, as `PATH` says it: its owner's when the job was added. Empty: the cell's own."""
    program: Program | None = None
    """As it lay when the job was last added or edited. It is looked up anew before each attempt."""

    isolation: Isolation = "required"
    """Whether it may run where the whole cell cannot be had. `none` only where the configuration permits it."""
    network: Network = "none"
    """What its cell can reach. `host` only where the configuration permits it."""
    allow_hosts: tuple[Annotated[str, StringConstraints(max_length=320)], ...] = ()
    """As `hostrule` reads them."""
    secrets: tuple[Annotated[str, StringConstraints(max_length=129)], ...] = ()
    """Granted to it: NAME, or NAME=VARIABLE for the agent's variable of that name as well."""
    login: bool = False
    """Whether it is granted cronward's login with its agent's provider."""
    git_credentials: tuple[Annotated[str, StringConstraints(max_length=500)], ...] = ()
    """Granted to it as well: HOST=SECRET, or USER@HOST=SECRET, for git over https to that host."""

    run_as: Annotated[str, StringConstraints(max_length=129)] = ""
    """`USER` or `USER:GROUP` of the host, for a supervisor run by root. Empty: a user id of the job's own."""

    work_mode: WorkMode = "inplace"
    """How the work directory is shown: as `shared.messages.WorkMode` says."""
    git_write: bool = False
    """Whether the agent may write to the repositories of its work directory. Else every `.git` is read-only."""
    read_paths: tuple[str, ...] = ()
    write_paths: tuple[str, ...] = ()
    """Further paths of the host that it sees, each at its own place."""

    type: JobType = JobType.LIGHT
    limits: OwnLimits = OwnLimits()
    """What it asks for instead of what its type has."""
    max_turns: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=MOST_TOKENS)] | None = None
    max_cost: Annotated[float, Field(gt=0, le=MOST_USD, allow_inf_nan=False)] | None = None
    """What one run may use, all its attempts together; money in USD. None: as much as budgets have left."""
    per_day: Budget = Budget()
    per_month: Budget = Budget()
    """What all its runs may use that start on one day of the host's calendar, or in one month."""
    timeout_mins: Annotated[int, Field(ge=0, le=7 * 24 * 60)] = 30
    timeout_secs: Annotated[int, Field(ge=1, le=7 * 24 * 3600)] | None = None
    """Where set, rules over `timeout_mins`: for timeouts that are no whole minutes."""
    idle_timeout_secs: Annotated[int, Field(ge=0, le=7 * 24 * 3600)] | None = None
    """How long the agent may write nothing. 0: for ever; None: as the configuration has it for the type."""
    retries: Annotated[int, Field(ge=0, le=20)] = 3
    retry_delay: Annotated[int, Field(ge=0, le=24 * 3600 * SECOND)] = SECOND
    repeatable: bool = False
    """Whether what is known to have called a tool may be tried again: its owner says that twice does no harm."""
    rerun_unknown: bool = False
    """Whether a run of which nobody knows how it ended, since its supervisor died, is tried again as after a failure:
    its owner's written waiver of "at most once"."""
    overlap: Overlap = Overlap.SKIP
    catch_up: CatchUp = CatchUp.ONCE
    grace_secs: Annotated[int, Field(ge=0, le=366 * 86400)] | None = None
    """How late an occurrence may still start; less than 10 counts as 10. None: one period, 5 minutes to 24 hours."""
    jitter_secs: Annotated[int, Field(ge=0, le=86400)] = 0
    """Start up to so much later, but before the next occurrence."""
    start: AwareDatetime | None = None
    until: AwareDatetime | None = None
    max_runs: Annotated[int, Field(ge=1)] | None = None

    output_format: OutputFormat = OutputFormat.TEXT
    output_schema: str = ""

    enabled: bool = True
    pause_reason: Annotated[str, StringConstraints(max_length=500)] = ""
    """Why it is paused, in words; empty while it is enabled."""
    disable_after: Annotated[int, Field(ge=0, le=1000)] | None = None
    """How many failed runs in a row pause it. 0: none do; None: as the configuration has it."""
    private: bool = False
    """Whether `ps` may show other users of the host no more than the run's id."""
    silent: bool = False
    notify_on: tuple[Event, ...] = ()
    on_complete: str = ""
    on_fail: str = ""
    webhook_token: Annotated[str, StringConstraints(max_length=64)] = ""
    """The secret sent to those two as `Authorization: Bearer`. The agent does not get it."""
    notify: tuple[Annotated[str, StringConstraints(max_length=32)], ...] = ()
    """Targets of the configuration's `[notify.targets]`."""
    ping: str = ""
    """A URL that hears of each start (`/start`), success, and failure (`/fail`), as healthchecks.io has it."""

    applied_from: Annotated[str, StringConstraints(max_length=4096)] = ""
    """The jobs file that it was last applied from, which may also remove it. Empty: no file has a say in it."""
    imported_from: Annotated[str, StringConstraints(max_length=4200)] = ""
    """The file that it was once read from, by `import`. Nothing goes by it."""
    created_by: str = ""
    created_at: AwareDatetime = NEVER
    changed_at: AwareDatetime = NEVER
    """When it was last added or resumed, or its timing edited: no occurrence before this instant is owed."""
    anchor: AwareDatetime = NEVER
    """Where the grid of an interval begins, if not at `created_at`: the interval was edited then."""

    last_run: AwareDatetime = NEVER
    last_error: str = ""
    next_run: AwareDatetime = NEVER
    run_count: int = 0

    @property
    def timeout_seconds(self) -> int:
        """The wall time of a whole run, retries included; the original's 30 minutes where none is given."""
        return self.timeout_secs or self.timeout_mins * 60 or 30 * 60

    @property
    def label(self) -> str:
        """What people call it."""
        return self.name or self.id

    def clone(self) -> CronJob:
        """A deep copy, as the original offers; jobs are frozen here, so sharing one is safe as well."""
        return self.model_copy(deep=True)

    def definition(self) -> dict[str, Any]:
        """What is stored: everything but the derived fields, ready for JSON."""
        return self.model_dump(mode="json", exclude={"last_run", "last_error", "next_run", "run_count"})


class CronRun(_Record):
    """What became of one occurrence."""

    id: Identifier
    job_id: Identifier
    job_name: str = ""
    status: Status
    reason: Reason | None = None
    """Why it ended; None while it has not."""
    error: str = ""
    """A sentence for the owner; empty when it completed."""
    trigger: Trigger = Trigger.SCHEDULE
    scheduled_at: AwareDatetime
    """The occurrence: with job and trigger what makes it this one. For a manual run, when it was asked for."""
    queued_at: AwareDatetime = NEVER
    started_at: AwareDatetime = NEVER
    finished_at: AwareDatetime = NEVER
    duration: int = 0
    attempt: int = 0
    """The last one started, from 1."""
    retry_count: int = 0
    repair_of: Annotated[int, Field(ge=0)] = 0
    """The attempt whose answer was no valid output: those after it ask the agent to put that right, and for nothing
    else. 0: none. The first of them is no retry; others follow only where the agent's provider did not answer."""
    retry_at: AwareDatetime | None = None
    """While a back-off is waited out: when the next attempt may start."""
    rest_until: AwareDatetime | None = None
    """When the quota of its agent is back, as its provider said; a run waits for that once."""
    rested_secs: Annotated[int, Field(ge=0)] = 0
    """How much of its time it waits for that; it does not count against its timeout."""
    stop_reason: Reason | None = None
    """Wanted, not yet so: why it was told to end."""

    tainted: bool = False
    """Whether its prompt took in what nobody vouches for."""
    agent: str = ""
    program: ProgramFile | None = None
    """What the agent's program was when the last attempt was prepared."""
    response: str = ""
    """The first bytes of the answer; `answer_bytes` says how long it is, the file `answer` in `log_dir` has it all."""
    answer_bytes: int = 0
    exit_code: int | None = None
    signal: int | None = None
    usage: Usage | None = None
    spending: Spending | None = None
    """What its agent says that it used, all attempts together."""
    spent_in_all: Spending | None = None
    """The same as the agent itself said it last, from the beginning of its conversation."""
    counts_on: date | None = None
    """The day of the host's calendar on which it started: its budgets are those of that day and month."""
    caps: Caps = Caps()
    """What all its attempts together may spend; that much of every budget is kept for it until it is over."""
    charged_tokens: Annotated[int, Field(ge=0)] = 0
    charged_usd: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """What counts against budgets: as `charge` has it."""
    model: str = ""
    agent_version: str = ""
    conversation: str = ""
    """These three as the agent says."""
    traffic: Traffic | None = None
    """Of all attempts together; None where there was no proxy."""
    branch: Branch | None = None
    """Of the newest attempt that offered one; None where there was no private clone."""
    deeds: Deeds | None = None
    """Of the newest attempt that said what it did."""
    gate: TaskEnd | None = None
    check: TaskEnd | None = None
    """Of the newest attempt that came to it."""
    session: Session | None = None
    """Of the newest attempt; None where no conversation is to go on."""
    layers: tuple[Layer, ...] = ()
    left_behind: int = 0
    planted: Planted | None = None
    """What was new or changed after the last attempt that anybody could look after, and may act outside its cell."""
    log_dir: str = ""

    host: str = ""
    boot_id: str = ""
    runner_pid: int | None = None

    def moved(self, to: Status, **facts: object) -> Self:
        """This run in its next status. Raises TransitionError where the table of states has no such step."""
        if to not in ALLOWED[self.status]:
            raise TransitionError(f"run {self.id} is {self.status.value} and cannot become {to.value}.")
        return self.noted(status=to, **facts)

    def noted(self, **facts: object) -> Self:
        """This run with more known about it, checked as a whole."""
        return type(self).model_validate({**vars(self), **facts})

    def record(self) -> dict[str, Any]:
        """What is stored and shown, ready for JSON."""
        return self.model_dump(mode="json")
