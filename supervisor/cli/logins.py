"""Commands about logins with the providers of agents: log in, list, log out."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from supervisor.cli import render
from supervisor.cli.completion import complete_agents, complete_logins
from supervisor.cli.options import AsJson
from supervisor.cli.place import Place, place_of

if TYPE_CHECKING:
    from supervisor.agents.adapter import Adapter
    from supervisor.agents.logins import Login

AgentName = Annotated[
    str,
    typer.Argument(metavar="AGENT", help="Whose, like claude.", show_default=False, autocompletion=complete_logins),
]
_MAY_BREAK = (
    "Your own files are used, and never written. Where the login is one that is renewed, two hold it now, you and the "
    "runs: when an agent renews it in a cell, yours may end, and you have to log in again; when yours is renewed, the "
    "next attempt gets the new one. A login of cronward's own has none of this: cronward login {agent}"
)


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command()(login)
    app.command()(logout)


def login(
    ctx: typer.Context,
    agent: Annotated[
        str | None,
        typer.Argument(
            metavar="[AGENT]", help="Whose, like claude.", show_default=False, autocompletion=complete_agents
        ),
    ] = None,
    token: Annotated[bool, typer.Option("--token", help="Store a long-lived token, from a prompt or stdin.")] = False,
    api_key: Annotated[bool, typer.Option("--api-key", help="Store an API key, from a prompt or stdin.")] = False,
    variable: Annotated[
        str | None, typer.Option(metavar="NAME", help="The agent's variable for the token, other than its usual one.")
    ] = None,
    share_login: Annotated[
        bool, typer.Option("--share-login", help="Use your own login's files, and say what may break.")
    ] = False,
    listing: Annotated[bool, typer.Option("--list", help="List the logins there are.")] = False,
    as_json: AsJson = False,
) -> None:
    """Log in with an agent's provider. For the jobs that are granted it: cronward edit JOB --login.

    Without an option the agent's own login runs on this terminal, in a home of cronward's, and yours is not touched.

    \b
    Example: cronward login claude
    Example: cronward login claude --token < token.txt
    Example: cronward login --list
    """
    from supervisor.errors import InvalidError

    place = place_of(ctx)
    if listing:
        _list(place, as_json)
        return
    if agent is None:
        raise InvalidError("Name the agent to log in: cronward login claude. `cronward agents list` shows those known.")
    if sum((token, api_key, share_login)) > 1:
        raise InvalidError("Of --token, --api-key and --share-login only one can be meant.")
    if variable is not None and not (token or api_key):
        raise InvalidError("A variable is for a token or a key: give --token or --api-key with it.")
    known = _adapter(place, agent)
    if token or api_key:
        made = _with_token(place, known, variable, "token" if token else "api key")
    elif share_login:
        made = _shared(place, known)
    else:
        made = _signed_in(place, known)
    _store(place, made, as_json)


def logout(ctx: typer.Context, agent: AgentName, as_json: AsJson = False) -> None:
    """Forget a login. Jobs that are granted it fail until there is one again. It is not revoked at the provider.

    \b
    Example: cronward logout claude
    """
    from supervisor.agents.logins import LoginStore

    place = place_of(ctx)
    gone = LoginStore(place.home).remove(agent)
    _forget_token(place, gone)
    if as_json:
        render.show_json(_shown(gone))
        return
    jobs = _jobs(place, agent)
    left = f" The runs of {', '.join(jobs)} fail until there is one again: cronward login {agent}" if jobs else ""
    render.say(f"Forgot the login of {agent}. To revoke it, do so at its provider.{left}")


def _forget_token(place: Place, gone: Login) -> None:
    """Nobody is logged in by it any more, so it is not to lie about."""
    from supervisor.errors import NotFoundError

    if gone.kind != "token":
        return
    try:
        with place.desk() as desk:
            desk.secrets.remove(gone.secret, force=True)
    except NotFoundError:
        pass  # taken away by hand


def _adapter(place: Place, agent: str) -> Adapter:
    from supervisor.agents.adapters import adapter
    from supervisor.errors import InvalidError

    known = adapter(agent, place.config.agents_dir)
    if not known.login.files and not known.login.variables:
        raise InvalidError(f"The agent {agent} needs no login: nothing was changed.")
    return known


def _signed_in(place: Place, known: Adapter) -> Login:
    from supervisor.agents.signingin import sign_in
    from supervisor.errors import InvalidError

    if not sys.stdin.isatty():
        raise InvalidError(
            f"The login of {known.name} wants a terminal. From a pipe: cronward login {known.name} --token"
        )
    if known.login.words:
        render.warn(known.login.words)
    return sign_in(place.home, known, os.environ, place.now)


def _shared(place: Place, known: Adapter) -> Login:
    from supervisor.agents.signingin import shared
    from supervisor.stores.home import user_home

    made = shared(known, user_home(os.environ), place.now)
    render.warn(_MAY_BREAK.format(agent=known.name))
    return made


def _with_token(place: Place, known: Adapter, variable: str | None, what: str) -> Login:
    """The value becomes a secret; here is which, and where the agent looks for it."""
    from supervisor.agents.logins import Login, secret_name, token_variable
    from supervisor.cli import secrets

    chosen = token_variable(known.name, known.login.variables, variable, key=what == "api key")
    name = secret_name(known.name)
    value = secrets.ask_value(f"The {what} of {known.name}") if sys.stdin.isatty() else secrets.read_value(name)
    with place.desk() as desk:
        desk.secrets.set(name, value)
    return Login(agent=known.name, kind="token", secret=name, variable=chosen, set_at=place.now)


def _store(place: Place, made: Login, as_json: bool) -> None:
    from supervisor.agents.logins import LoginStore

    store = LoginStore(place.home)
    before = store.find(made.agent)
    store.set(made)
    if before is not None and before.secret != made.secret:
        _forget_token(place, before)
    if as_json:
        render.show_json(_shown(made))
        return
    jobs = _jobs(place, made.agent)
    granted = f"It is granted to: {', '.join(jobs)}." if jobs else "No job has it yet: cronward edit JOB --login"
    render.say(f"Logged in: {made.agent} ({_words(made)}). {granted}")


def _list(place: Place, as_json: bool) -> None:
    from supervisor.agents.logins import LoginStore
    from supervisor.cli.times import stamp

    found = LoginStore(place.home).list()
    if as_json:
        render.show_json([_shown(login) | {"jobs": _jobs(place, login.agent)} for login in found])
        return
    if not found:
        render.say("There are no logins. Make one with: cronward login AGENT")
        return
    columns = [render.Column("AGENT"), render.Column("LOGIN"), render.Column("SET"), render.Column("RENEWED")]
    rows = [
        [
            *(login.agent, _words(login), stamp(login.set_at), stamp(login.renewed_at) if login.renewed_at else "-"),
            ", ".join(_jobs(place, login.agent)),
        ]
        for login in found
    ]
    render.show_table([*columns, render.Column("GRANTED TO", shrinks=True)], rows)


def _jobs(place: Place, agent: str) -> list[str]:
    return [job.label for job in place.jobs.list() if job.login and job.agent == agent]


def _shown(login: Login) -> dict[str, object]:
    """Everything but what is in its files."""
    record = login.model_dump(mode="json", exclude={"files", "version"})
    return record | {"files": sorted(login.files)}


def _words(login: Login) -> str:
    if login.kind == "token":
        return f"{login.variable} from the secret {login.secret}"
    return f"shared with {login.shared_home}" if login.kind == "shared" else "cronward's own"
