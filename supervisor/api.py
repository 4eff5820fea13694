"""What programs import that embed cronward; docs/embedding.md has one. Everything else may move."""

from supervisor.cronscheduler import CronScheduler
from supervisor.errors import CronwardError, InvalidError, NotFoundError, RefusedError, StoreError, UnreachableError
from supervisor.models import CronJob, CronRun, JobType, OutputFormat
from supervisor.notifications.notify import CronCallback
from supervisor.spawning.launcher import Executor
from supervisor.status import Status
from supervisor.stores.jobs import CronStore
from supervisor.stores.runs import RunsStore

__all__ = [
    "CronCallback",
    "CronJob",
    "CronRun",
    "CronScheduler",
    "CronStore",
    "CronwardError",
    "Executor",
    "InvalidError",
    "JobType",
    "NotFoundError",
    "OutputFormat",
    "RefusedError",
    "RunsStore",
    "Status",
    "StoreError",
    "UnreachableError",
]
