"""How an agent's output is read: what its adapter declares, and the runner goes by. No agent has code of its own.

Pointers are RFC 6901; a part `*` stands for every member. A value meets a `where` if each pointer in it leads to one
of that text: strings as they are, anything else as JSON.
"""

from __future__ import annotations

from shared.record import Any, ClassVar, Literal, dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from shared.reasons import Reason

Strictness = dict[str, object]
STRICT: Strictness = {"extra": "forbid", "strict": True}

Take = Literal["first", "last", "join", "sum", "count"]
"""Of several values: texts can be joined, figures added up, values counted."""
Stream = Literal["stdout", "stderr"]
Kind = Literal["text", "thought", "tool_call", "tool_result", "usage", "error"]
"""What a line of the transcript is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """Where something stands. Looked at are the values of the output that meet `where`: its one document (`json`), or
    each of its lines (`jsonl`). A line of `text`, and one on the standard error that is no JSON, is a text itself."""

    __pydantic_config__: ClassVar[Strictness] = STRICT

    pointer: str = ""
    where: dict[str, str] = field(default_factory=dict)
    take: Take = "last"
    stream: Stream = "stdout"
    add: tuple[str, ...] = ()
    """Further pointers, of one value looked at: their figures are added to the one at `pointer`."""
    once: str = ""
    """A pointer to an id: of the values with one id the last counts, for agents that say a figure more than once."""
    pattern: str = ""
    """A regular expression: what is found is its first group in the text, or all that it matches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Which lines of the output, or which of the items in them, make an entry of the transcript, and of which kind."""

    __pydantic_config__: ClassVar[Strictness] = STRICT

    kind: Kind
    where: dict[str, str] = field(default_factory=dict)
    each: str = ""
    """A pointer to a list: each of its items is looked at, and the pointers below start from there."""
    item: dict[str, str] = field(default_factory=dict)
    """What an item has to meet."""
    text: str = ""
    """What was said, or what a tool was given or gave: JSON where it is no string."""
    name: str = ""
    """A tool's."""
    command: str = ""
    """What a tool ran, where it runs commands: a string, or a list of words."""
    path: str = ""
    """Which file a tool was told to change."""
    piece: bool = False
    """Whether the text goes on where the one before it ended."""
    failed: str = ""
    """Whether it went wrong: a true value, or an exit code that is not 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blame:
    """Which reason a failure has. All that are given must agree; the first such entry counts."""

    __pydantic_config__: ClassVar[Strictness] = STRICT

    reason: Reason
    words: str = ""
    """A regular expression, searched for in the agent's own words, and in the texts by which it is known to have failed
    or refused, without regard to case."""
    codes: tuple[int, ...] = ()
    """Exit codes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Everything that is known of an agent's output. With nothing in it: what it writes is its answer."""

    __pydantic_config__: ClassVar[Strictness] = STRICT

    format: Literal["text", "json", "jsonl"] = "text"
    answer: tuple[Pick, ...] = ()
    """The first that finds a text; empty: the whole output."""
    structured: Pick | None = None
    """Where an agent that was given a schema puts the object that meets it; there, a missing one is a failure."""
    done: tuple[Pick, ...] = ()
    """What an agent that came to its end has said: each must be found."""
    failed: tuple[Pick, ...] = ()
    """What says that it failed, whatever its exit code is: a true value, or a text or object that is not empty."""
    refused: tuple[Pick, ...] = ()
    """The same for an agent, or its model, that would not do it."""
    error: tuple[Pick, ...] = ()
    """Its own words on a failure: the first that finds any; else the last line of its standard error."""
    status: tuple[Pick, ...] = ()
    """The HTTP status that its provider answered with, where it says so."""
    retry_after: tuple[Pick, ...] = ()
    """Seconds that its provider asks to wait."""
    blame: tuple[Blame, ...] = ()
    codes: dict[str, str] = field(default_factory=dict)
    """What an exit code means, in words, for the owner."""
    input_tokens: tuple[Pick, ...] = ()
    output_tokens: tuple[Pick, ...] = ()
    cached_tokens: tuple[Pick, ...] = ()
    """Of the input, what was read from a cache. Of each of these lists the first that finds a figure counts."""
    cost_usd: tuple[Pick, ...] = ()
    turns: tuple[Pick, ...] = ()
    model: tuple[Pick, ...] = ()
    version: tuple[Pick, ...] = ()
    conversation: tuple[Pick, ...] = ()
    """The agent's own id of what can be gone on with."""
    cumulative: tuple[Literal["tokens", "cost"], ...] = ()
    """Which figures count from the beginning of a conversation, not of this run."""
    events: tuple[Event, ...] = ()
    """For the transcript; the first that fits a value, or an item, makes its entry."""


def reading_from(data: dict[str, Any]) -> Reading:
    """Rebuild one that the supervisor has validated already. Raises TypeError or KeyError on anything else."""
    made: dict[str, Any] = {}
    for name, value in data.items():
        if name in ("structured", "format", "codes"):
            made[name] = _pick(value) if name == "structured" and value else value
        elif name == "events":
            made[name] = tuple(Event(**each) for each in value)
        elif name == "blame":
            made[name] = tuple(Blame(**{**each, "codes": tuple(each["codes"])}) for each in value)
        else:
            made[name] = tuple(_pick(each) if isinstance(each, dict) else each for each in value)
    return Reading(**made)


def _pick(data: dict[str, Any]) -> Pick:
    return Pick(**{**data, "add": tuple(data["add"])})
