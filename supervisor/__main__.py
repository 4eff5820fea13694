"""The program `cronward`: every way out is a sentence and an exit code."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence  # 3 ms, a fifth of what `--version` takes

PROGRAM = "cronward"
COMPLETES = "_CRONWARD_COMPLETE"
"""The variable by which a shell asks what can stand at a place of a line."""
_GLOBAL = ("--home", "--config")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. Arguments default to the process's own."""
    _fill_standard_descriptors()
    args = list(sys.argv[1:] if argv is None else argv)
    if args == ["--version"]:
        # Without the 70 ms that the command line's library costs.
        return _print_version()
    try:
        return _complete() if os.environ.get(COMPLETES, "").startswith("complete_") else _run(args)
    except BrokenPipeError:
        # Whoever read has enough.
        _give_up_output()
        return 1
    except KeyboardInterrupt:
        return 130


def _fill_standard_descriptors() -> None:
    """Where one was closed (`>&-`), the next file that is opened would take its number, and what is printed."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def _give_up_output() -> None:
    """Say nothing more there: Python's own flush at the end would complain about the same pipe, or full disk, again."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), sys.stdout.fileno())


def _run(args: list[str]) -> int:
    from supervisor.errors import CronwardError

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A terminal that cannot show a character gets its number instead of a traceback.
            stream.reconfigure(errors="backslashreplace")
    try:
        _check(args)
        done = _call(_globals_first(args))
        sys.stdout.flush()
    except CronwardError as error:
        return _complain(str(error), error.exit_code)
    except BrokenPipeError:
        raise
    except OSError as error:
        _give_up_output()
        return _complain(_trouble(error), 1)
    return done


def _call(args: list[str]) -> int:
    from supervisor.cli.straight import asked

    command = asked(args, os.environ)
    if command is None:
        return _parse(args)
    command()
    return 0


def _parse(args: list[str]) -> int:
    import typer

    from supervisor.cli.program import app

    try:
        done = typer.main.get_command(app).main(args, prog_name=PROGRAM, standalone_mode=False)
    except typer.TyperException as error:
        return _complain(_usage(error), error.exit_code)
    except typer.Abort:
        return 130
    return done if isinstance(done, int) else 0


def _complete() -> int:
    """Say what a shell can offer, and nothing where something is wrong: it has nowhere to show that."""
    import contextlib

    from supervisor.cli import typed

    try:
        typed.put_in_order(os.environ, _globals_first)
    except (LookupError, ValueError):
        return 1
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stderr(nowhere):
        return _run([])


def _complain(sentence: str, code: int) -> int:
    from supervisor.cli.escape import escape
    from supervisor.cli.render import on_lines

    if sentence:
        sys.stderr.write(on_lines(f"{PROGRAM}: {escape(sentence)}", sys.stderr) + "\n")
    return code


def _check(args: list[str]) -> None:
    """Arguments are bytes; what is not UTF-8 among them could neither be stored nor sent."""
    from supervisor.errors import InvalidError

    for arg in args:
        try:
            arg.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InvalidError(
                f"The argument {arg[:80]!r} is not valid UTF-8: type it again, or take it from a file."
            ) from error


def _globals_first(args: list[str]) -> list[str]:
    """--home and --config moved before the command, so that they may stand anywhere but as another option's value."""
    first: list[str] = []
    rest: list[str] = []
    left = iter(args)
    for arg in left:
        if arg == "--":
            return [*first, *rest, arg, *left]
        if arg in _GLOBAL and (value := next(left, None)) is not None:
            first += [arg, value]
        elif arg.startswith(tuple(f"{name}=" for name in _GLOBAL)):
            first.append(arg)
        else:
            rest.append(arg)
    return first + rest


def _usage(error: Exception) -> str:
    """What typer says about a wrong call, as one sentence with the way to the help."""
    format_message = getattr(error, "format_message", None)
    message = str(format_message() if callable(format_message) else error).strip()
    command = getattr(getattr(error, "ctx", None), "command_path", PROGRAM)
    if not message:
        return ""
    stop = "" if message.endswith(("?", ".")) else "."
    return f"{message}{stop} See: {command} --help"


def _trouble(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}."


def _print_version() -> int:
    from supervisor import __version__

    sys.stdout.write(f"{PROGRAM} {__version__}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
