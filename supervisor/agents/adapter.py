"""What is known of one agent: how it is found, started, read and logged in to. Data, one TOML file an agent.

A word may hold `{model}`, `{schema}` and the like (see `placeholders`). A list in the place of a word is a group: it is
left out as long as one of its placeholders has no value. Where a placeholder stands outside of a group and has neither
a value nor a default, the job is refused, and told what to give. Paths are relative to its home in the cell.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from shared.hostrule import HostRuleError, parse_rule
from shared.messages import Network
from shared.reading import Reading
from supervisor.agents.placeholders import NAMES, held
from supervisor.agents.readingrules import check_reading
from supervisor.definitions.sizes import Bytes
from supervisor.models import Identifier

SchemaWay = Literal["flag", "constrained", "prompt", "untold"]
"""Given to the agent, by `{schema}` or `{schema_file}`; what it writes is held to it as it is written; asked for in the
prompt; nobody tells it, its own job's prompt does."""
Start = Literal["program", "command", "embedded"]


def _plain(text: str) -> str:
    if "\0" in text:
        raise ValueError("should hold no NUL")
    for name in sorted(held([text]) - NAMES.keys()):
        raise ValueError(f"should name no other placeholder than {', '.join(NAMES)}: there is no {{{name}}}")
    return text


def _word(given: object) -> object:
    """A word or a group, refused in one sentence where it is neither; JSON has lists where we have tuples."""
    group = given if isinstance(given, list | tuple) else [given]
    found = tuple(_plain(word) for word in group if isinstance(word, str))
    if not found or len(found) < len(group):
        raise ValueError("should be a word, or a list of words that belong together")
    return found if isinstance(given, list) else given


def _relative(path: str) -> str:
    parts = path.split("/")
    if {"", ".", ".."} & {*parts} or parts[0].startswith(("~", "*")) or "\0" in path:
        raise ValueError("should be a path within its home, plain and written out")
    return path


def _variable(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError("should be the name of a variable: letters, digits and _")
    return name


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"should be a regular expression: {error}") from None
    return text


def _host(text: str) -> str:
    try:
        parse_rule(text)
    except HostRuleError as error:
        raise ValueError(str(error)) from None
    return text


Text = Annotated[str, StringConstraints(max_length=65536), AfterValidator(_plain)]
Argv = Annotated[
    tuple[Annotated[str | tuple[str, ...], BeforeValidator(_word)], ...],
    Field(max_length=256),
]
HomePath = Annotated[str, StringConstraints(max_length=1024), AfterValidator(_relative)]
Variable = Annotated[str, StringConstraints(max_length=128), AfterValidator(_variable)]
Pattern = Annotated[str, StringConstraints(max_length=1024), AfterValidator(_pattern)]
Host = Annotated[str, AfterValidator(_host)]
Words = Annotated[str, StringConstraints(max_length=2000)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProgramSection(_Section):
    """The program itself."""

    find: Annotated[str, StringConstraints(max_length=255)] = ""
    """Its name, looked for where the job's programs are, or its whole path."""
    version: tuple[Text, ...] = ("--version",)
    """What it is asked for its version."""
    pattern: Pattern = r"([0-9]+(?:\.[0-9]+)+\S*)"
    """What of its answer that is: the first group, or the whole."""
    install: Words = ""
    """The command that installs it, for whoever has not."""


class LoginSection(_Section):
    """How it comes by what its provider wants to see."""

    argv: tuple[Text, ...] = ()
    """Its own login, after the program: empty where it has none."""
    files: tuple[HomePath, ...] = ()
    """Every file that carries a login. No other is ever taken for one."""
    variables: tuple[Variable, ...] = ()
    """Those that take a token or an API key, the best first."""
    hosts: tuple[Host, ...] = ()
    """What the login itself needs to reach, beside the agent's hosts."""
    words: Words = ""
    """What the owner should know and do about it, in a sentence or two."""


class ConversationSection(_Section):
    """What has to be kept for a conversation to go on."""

    files: tuple[HomePath, ...] = ()
    """Every file that carries it, with `*` for any name and `**` for any number of directories."""
    max_bytes: Bytes = 64 << 20
    """All together."""


class Adapter(_Section):
    """One agent, as its file declares it."""

    name: Identifier
    title: Words = ""
    extends: str = ""
    """The built-in adapter that this one changes."""
    start: Start = "program"
    """What is started: its program; the job's own command; the embedded model."""
    program: ProgramSection = ProgramSection()
    argv: Argv = ()
    """After the program. The prompt is never in it: it goes to the standard input, which is closed then."""
    resume: Argv = ()
    """The same where a conversation goes on (`{session}`); empty: `argv` has a group for that, or there is no way."""
    env: dict[Variable, Text] = {}
    """One with a placeholder that has no value is left out."""
    files: dict[HomePath, Text] = {}
    """Placed in its home, read-only, anew for each attempt. One with a placeholder that has no value is left out."""
    defaults: dict[str, Text] = {}
    """What stands for a placeholder outside of groups that has no value."""
    base_url: Annotated[str, StringConstraints(max_length=1024)] = ""
    """Of its provider, where that is not its own: a gateway of one's own, or a test's."""
    reading: Annotated[Reading, AfterValidator(check_reading)] = Field(default_factory=Reading)
    structured: SchemaWay = "prompt"
    """How it learns of the schema that its answer has to meet."""
    closed_schemas: bool = False
    """Whether its provider takes only schemas whose objects have `additionalProperties: false` and require all that
    they name. Others go into the prompt then."""
    prices: bool = False
    """Whether it says what it cost."""
    require_answer: bool = True
    network: Network = "allow"
    """What a job of it can reach that does not say so itself."""
    hosts: tuple[Host, ...] = ()
    """What it needs of `allow`."""
    login: LoginSection = LoginSection()
    conversation: ConversationSection = ConversationSection()

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.start == "program" and not self.program.find:
            raise ValueError("needs `program.find`: the name of the program that is started")
        if self.structured == "flag" and not self.takes("schema") and not self.takes("schema_file"):
            raise ValueError("has `structured` = flag, so `argv` needs {schema} or {schema_file}")
        if self.network == "allow" and not self.hosts:
            raise ValueError("has the network `allow`, so it needs `hosts`; or say network = none")
        unknown = [name for name in self.defaults if name not in NAMES]
        if unknown:
            raise ValueError(f"has `defaults` for {unknown[0]}, which is no placeholder")
        return self

    def takes(self, placeholder: str) -> bool:
        """Whether it can be told that: `model`, `schema`, `session`, `max_turns`, `max_cost` and so on."""
        return placeholder in held(self.texts)

    @property
    def needs(self) -> frozenset[str]:
        """What a job has to give: placeholders outside of groups, without a default."""
        return held(word for word in self.argv if isinstance(word, str)) - {*self.defaults}

    @property
    def resumable(self) -> bool:
        """Whether a conversation can go on."""
        return self.takes("session") and bool(self.conversation.files)

    @property
    def texts(self) -> tuple[str, ...]:
        """All texts with placeholders."""
        words = [(word,) if isinstance(word, str) else word for word in (*self.argv, *self.resume)]
        return (*(word for group in words for word in group), *self.env.values(), *self.files.values())
