"""Commands about secrets: set, list, remove; and what `add` and `edit` have to say about them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from supervisor.cli import render
from supervisor.cli.completion import complete_secrets
from supervisor.cli.group import group
from supervisor.cli.options import AsJson
from supervisor.cli.place import Place, place_of

if TYPE_CHECKING:
    from supervisor.control.secretdesk import SecretRecord
    from supervisor.models import CronJob

app = group("Values that agents are given by name. Set once, granted to jobs, never shown.")
SecretName = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="A-Z, 0-9 and _, like DEPLOY_KEY.",
        show_default=False,
        autocompletion=complete_secrets,
    ),
]
_TEXTS = ("name", "prompt", "command", "output_schema", "on_complete", "on_fail")


@app.command("set")
def set_secret(ctx: typer.Context, name: SecretName, as_json: AsJson = False) -> None:
    """Set a secret, from a prompt or from standard input. One newline at its end is left out.

    Jobs get it where they are granted it: cronward edit JOB --secret NAME. Attempts that start from now on get
    the new value.

    \b
    Example: cronward secret set DEPLOY_KEY
    Example: cronward secret set DEPLOY_KEY < key.txt
    """
    from supervisor.definitions.secrets import check_name

    check_name(name)
    value = ask_value(f"Value of {name}") if sys.stdin.isatty() else read_value(name)
    with place_of(ctx).desk() as desk:
        record = desk.secrets.set(name, value)
    if as_json:
        render.show_record(record)
        return
    granted = f"It is granted to: {', '.join(record.jobs)}." if record.jobs else "No job has it yet."
    if record.used_by:
        granted = f"It is used by: {', '.join(record.users)}."
    render.say(f"Set {name}. {granted}")


@app.command("list")
def list_secrets(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List the secrets. Their names, when they were set, which jobs or targets use them; values are never shown.

    \b
    Example: cronward secret list
    """
    from supervisor.control.secretdesk import SecretDesk

    place = place_of(ctx)
    found = SecretDesk(place.home, place.jobs, lambda: place.config.notify).list()
    if as_json:
        render.show_records(found)
    elif not found:
        render.say("There are no secrets. Set one with: cronward secret set NAME")
    else:
        columns = [render.Column("NAME"), render.Column("SET"), render.Column("USED BY", shrinks=True)]
        render.show_table(columns, [_row(record) for record in found])


@app.command("remove")
def remove_secret(
    ctx: typer.Context,
    name: SecretName,
    force: Annotated[bool, typer.Option("--force", help="Though jobs have it; their runs fail then.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove a secret. Refused while a job is granted it, unless --force.

    \b
    Example: cronward secret remove DEPLOY_KEY
    """
    with place_of(ctx).desk() as desk:
        record = desk.secrets.remove(name, force)
    if as_json:
        render.show_record(record)
        return
    left = f" The runs of {', '.join(record.jobs)} fail until it is set again." if record.jobs else ""
    left += f" Nothing is sent by {', '.join(record.used_by)} until then." if record.used_by else ""
    render.say(f"Removed {name}.{left}")


def tell_dropped(place: Place, before: CronJob, edited: CronJob, *, ask: bool) -> None:
    """Say which grants a change took away; on a terminal, give them back where that is wanted (`ask`)."""
    from supervisor.definitions.grants import again, changed, dropped, options

    lost = dropped(before, edited)
    if not lost:
        return
    fields, back = ", ".join(changed(before, edited)), again(before, edited)
    render.warn(f"Its secrets are taken from it, because of what changed ({fields}): {', '.join(lost)}.")
    if ask and sys.stdin.isatty() and typer.confirm("Grant them to it as it is now?", err=True):
        with place.desk() as desk:
            desk.edit_job(edited.id, back)
        render.say(f"Granted: {', '.join(lost)}.")
    else:
        render.warn(f"Grant them to it as it is now with: cronward edit {edited.id} {options(back)}")


def warn_of_values(place: Place, job: CronJob) -> None:
    """Say where the value of a secret stands in the job itself, which is stored and shown as it is."""
    from shared.masking import Mask
    from supervisor.definitions.secrets import SecretStore
    from supervisor.errors import CronwardError

    store = SecretStore(place.home)
    try:
        mask = Mask((name, store.read(name)) for name in store.names())
    except CronwardError:
        return  # whoever needs the value will be told
    for field in _TEXTS:
        for name in mask.names_in(getattr(job, field)):
            render.warn(
                f"The {field} of {job.label} holds the value of the secret {name}, and is stored and shown as it is. "
                f"Leave it out and grant the secret instead: --secret {name}"
            )


def ask_value(what: str) -> str:
    """Twice, without an echo: a slip would be noticed by the agent only. Raises InvalidError."""
    import getpass

    from supervisor.errors import InvalidError

    try:
        value = getpass.getpass(f"{what}: ")
        again = getpass.getpass("Again: ")
    except EOFError:
        raise InvalidError(
            "No value was given. Nothing was changed; type one, or send it in: cronward secret set NAME < FILE"
        ) from None
    if value != again:
        raise InvalidError("The two values differ. Nothing was changed; try again.")
    return value


def read_value(name: str) -> str:
    """From standard input, without the newline at its end. Raises InvalidError."""
    from supervisor.definitions.secrets import MOST_BYTES
    from supervisor.errors import InvalidError

    data = sys.stdin.buffer.read(MOST_BYTES + 3)  # with a line's end, and one too many
    if not data:
        raise InvalidError(f"Nothing came on standard input for {name}. Pipe its value in, or ask from a terminal.")
    if len(data) > MOST_BYTES + 2:
        raise InvalidError(
            f"The value of {name} is longer than {MOST_BYTES} bytes, which is all that is taken. "
            "Let jobs read a file (--read-path)."
        )
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise InvalidError(f"The value of {name} is not UTF-8 text. Encode it, in base64 for one.") from None
    return text.removesuffix("\n") if not text.endswith("\r\n") else text.removesuffix("\r\n")


def _row(record: SecretRecord) -> list[render.Cell | str]:
    from supervisor.cli.times import stamp

    set_at = stamp(record.set_at) if record.set_at else render.Cell("not set", "red")
    return [record.name, set_at, ", ".join(record.users)]
