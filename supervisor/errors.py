"""What can go wrong in front of a person: each error is a sentence, an exit code, and a word for the control API."""

from __future__ import annotations


class CronwardError(Exception):
    """The base of all that ends in a sentence instead of a traceback."""

    exit_code = 1
    http_status = 500
    code = "failed"


class InvalidError(CronwardError):
    """What was asked for is wrong in itself; nothing was changed."""

    exit_code = 2
    http_status = 400
    code = "invalid"


class NotFoundError(CronwardError):
    """There is no such job or run."""

    exit_code = 3
    http_status = 404
    code = "not_found"


class UnreachableError(CronwardError):
    """No supervisor is running, or it does not answer."""

    exit_code = 4
    http_status = 503
    code = "unreachable"


class RefusedError(CronwardError):
    """It could be done, but must not: another owner, a second supervisor, a host that cannot hold a cell."""

    exit_code = 5
    http_status = 409
    code = "refused"


class StoreError(CronwardError):
    """A store cannot be read or written."""

    code = "store"
