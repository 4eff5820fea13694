"""What of an agent's home is there before it and stays after it: its login, and a conversation that goes on.

Everything else of that home is made anew for each attempt, in memory, and gone with it.
"""

from __future__ import annotations

from shared.record import Any, ClassVar, dataclass

Strictness = dict[str, object]
STRICT: Strictness = {"extra": "forbid", "strict": True}
LOGIN, SESSION = "login", "session"
"""Of `Keep.directory`: login files by their number, and the conversation's files, each at its own place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginFile:
    """A file that carries a login, put into the agent's home for it to use, and to renew."""

    __pydantic_config__: ClassVar[Strictness] = STRICT

    path: str
    """Relative to its home."""
    text: str

    def __repr__(self) -> str:
        return f"LoginFile(path={self.path!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """What is in the agent's home before it starts, and lives on when all else of that home is gone."""

    __pydantic_config__: ClassVar[Strictness] = STRICT

    directory: str
    """An existing, empty directory of the owner's, for this attempt alone: what lives on is put there."""
    login: tuple[LoginFile, ...] = ()
    token: str = ""
    """The name of the secret that is the login, where that is a token: nobody's but the agent's."""
    renewed: bool = False
    """Whether the agent renews its login, so that what it made of those files is put there too."""
    session: tuple[str, ...] = ()
    """The conversation's files, as `patterns.Patterns` reads them; empty: it is not kept."""
    session_from: str = ""
    """The directory of what was kept of it before; empty: it begins."""
    session_anew: str = ""
    """Why it begins, though there had been one."""
    session_bytes: int = 256 << 20
    """The most that is kept of it."""


def keep_from(data: dict[str, Any]) -> Keep:
    """Rebuild one that the supervisor has validated already. Raises TypeError or KeyError on anything else."""
    login = tuple(LoginFile(**each) for each in data["login"])
    return Keep(**{**data, "login": login, "session": tuple(data["session"])})
