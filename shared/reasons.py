"""Why a run ended as it did: one closed list, one cause each, shared by whoever judges and whoever stores."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """The cause of a run's end. `completed` has exactly one cause: `ok`."""

    OK = "ok"
    # The agent's own doing.
    AGENT_ERROR = "agent_error"
    EMPTY_ANSWER = "empty_answer"
    INVALID_OUTPUT = "invalid_output"
    REFUSED = "refused"
    KILLED_BY_SIGNAL = "killed_by_signal"
    # Time.
    TIMEOUT_WALL = "timeout_wall"
    TIMEOUT_IDLE = "timeout_idle"
    TIMEOUT_SETUP = "timeout_setup"
    # Limits of the cell.
    OUT_OF_MEMORY = "out_of_memory"
    CPU_LIMIT = "cpu_limit"
    PROCESS_LIMIT = "process_limit"
    OUTPUT_LIMIT = "output_limit"
    DISK_LIMIT = "disk_limit"
    # The agent's provider.
    AUTH_FAILED = "auth_failed"
    RATE_LIMITED = "rate_limited"
    QUOTA_WAIT = "quota_wait"
    PROVIDER_ERROR = "provider_error"
    NETWORK_DENIED = "network_denied"
    # What the owner asked for around the run.
    BLOCKED_APPROVAL = "blocked_approval"
    BUDGET_EXCEEDED = "budget_exceeded"
    GATE_FAILED = "gate_failed"
    NOTHING_TO_DO = "nothing_to_do"
    CHECK_FAILED = "check_failed"
    # Ours.
    SANDBOX_UNAVAILABLE = "sandbox_unavailable"
    BAD_DEFINITION = "bad_definition"
    RUNNER_BROKE = "runner_broke"
    # Somebody said so.
    CANCELED_BY_USER = "canceled_by_user"
    JOB_REMOVED = "job_removed"
    JOB_DISABLED = "job_disabled"
    REPLACED = "replaced"
    SUPERVISOR_STOPPED = "supervisor_stopped"
    SUPERVISOR_DIED = "supervisor_died"
    # It never started.
    OVERLAP = "overlap"
    MISSED = "missed"
    EXPIRED = "expired"
    HOST_BUSY = "host_busy"

    @property
    def retry_helps(self) -> bool:
        """Whether the same request may end otherwise a moment later."""
        return self in _RETRY_HELPS

    @property
    def owner_acts(self) -> bool:
        """Whether it stays broken until the owner does something."""
        return self in _OWNER_ACTS


_RETRY_HELPS = frozenset(
    {
        Reason.AGENT_ERROR,
        Reason.EMPTY_ANSWER,
        Reason.INVALID_OUTPUT,
        Reason.KILLED_BY_SIGNAL,
        Reason.TIMEOUT_SETUP,
        Reason.TIMEOUT_IDLE,
        Reason.RATE_LIMITED,
        Reason.PROVIDER_ERROR,
        Reason.RUNNER_BROKE,
    }
)
_OWNER_ACTS = frozenset(
    {
        Reason.AUTH_FAILED,
        Reason.NETWORK_DENIED,
        Reason.BLOCKED_APPROVAL,
        Reason.BUDGET_EXCEEDED,
        Reason.GATE_FAILED,
        Reason.SANDBOX_UNAVAILABLE,
        Reason.BAD_DEFINITION,
    }
)
