"""What each reason and each status means to the owner of a job, in words, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shared.reasons import Reason
from supervisor.status import Status


@dataclass(frozen=True, slots=True)
class Meaning:
    """`says`: what happened. `then`: what to do; empty where nothing is."""

    says: str
    then: str = ""


REASONS: Mapping[Reason, Meaning] = {
    Reason.OK: Meaning("The agent ended well, and its answer is what was asked for."),
    Reason.AGENT_ERROR: Meaning(
        "The agent ended with an exit status other than 0, or its own last word says that it failed.",
        "`cronward logs RUN` shows what it complained of.",
    ),
    Reason.EMPTY_ANSWER: Meaning(
        "The agent ended well and answered nothing.", "Ask for an answer in the prompt, or see what it did instead."
    ),
    Reason.INVALID_OUTPUT: Meaning(
        "The answer is not JSON, or not what the schema asks for; the error names the place.",
        "`cronward logs RUN` has the answer. Make prompt and schema agree.",
    ),
    Reason.REFUSED: Meaning("The model, or its provider, declined to answer.", "Word the prompt otherwise."),
    Reason.KILLED_BY_SIGNAL: Meaning(
        "A signal ended the agent, and none of ours.", "`cronward logs RUN`; a program that crashes does so too."
    ),
    Reason.TIMEOUT_WALL: Meaning(
        "The run, with its retries and the waits between them, took longer than its timeout.",
        "`cronward edit JOB --timeout DURATION`.",
    ),
    Reason.TIMEOUT_IDLE: Meaning(
        "The agent wrote nothing for longer than `--idle-timeout`.",
        "`cronward edit JOB --idle-timeout DURATION`; an agent that is silent while it works needs a longer one.",
    ),
    Reason.TIMEOUT_SETUP: Meaning(
        "The cell did not stand, or its agent had not started, within `--setup-timeout`.",
        "`cronward doctor JOB`; on a busy host give it more time.",
    ),
    Reason.OUT_OF_MEMORY: Meaning(
        "Its processes together passed the memory of the job, or the host ran out.",
        "`cronward edit JOB --memory SIZE`, or another `--type`.",
    ),
    Reason.CPU_LIMIT: Meaning(
        "Its processes used the CPU time of the job.", "`cronward edit JOB --cpu-time DURATION`."
    ),
    Reason.PROCESS_LIMIT: Meaning(
        "It had as many processes and threads as the job may have.", "`cronward edit JOB --processes N`."
    ),
    Reason.OUTPUT_LIMIT: Meaning(
        "It wrote more to its standard output and error than the job may.", "`cronward edit JOB --output SIZE`."
    ),
    Reason.DISK_LIMIT: Meaning(
        "It wrote more to disk, or a larger file, than the job may, or a disk fell below `disk_floor`.",
        "The error says which: `cronward edit JOB --disk SIZE`, `--file-size SIZE`, or make room.",
    ),
    Reason.AUTH_FAILED: Meaning(
        "The provider did not accept the login or the key.",
        "`cronward login AGENT`, or `cronward secret set NAME`; then `cronward agents check AGENT`.",
    ),
    Reason.RATE_LIMITED: Meaning(
        "The provider asked for fewer requests.", "It passes. Where it stays, run fewer at once."
    ),
    Reason.QUOTA_WAIT: Meaning(
        "What the provider grants in a period is used up. What cannot wait for the next period is skipped.",
        "Wait until it begins anew, or have it raised there.",
    ),
    Reason.PROVIDER_ERROR: Meaning("The provider failed, or could not be reached.", "It passes."),
    Reason.NETWORK_DENIED: Meaning(
        "The agent failed after it was kept from a host that the job does not name.",
        "`cronward logs --network RUN` says which; if it may: `cronward edit JOB --allow-host HOST`.",
    ),
    Reason.BLOCKED_APPROVAL: Meaning(
        "The agent waited for somebody to approve what it wanted to do, and nobody is there.",
        "Let its own settings allow it, or ask for less.",
    ),
    Reason.BUDGET_EXCEEDED: Meaning(
        "A cap on turns, tokens, money or runs was reached: before the start, then it is skipped, or on the way.",
        "`cronward why JOB` says which cap, and when there is room again.",
    ),
    Reason.GATE_FAILED: Meaning(
        "The gate ended with neither 0 nor 75, or could not be run.", "`cronward logs RUN` shows what it wrote."
    ),
    Reason.NOTHING_TO_DO: Meaning("The gate ended with 75: there is nothing for the agent to do."),
    Reason.CHECK_FAILED: Meaning(
        "The check did not accept what the agent left.", "`cronward logs RUN` shows what the check wrote."
    ),
    Reason.SANDBOX_UNAVAILABLE: Meaning(
        "This host cannot hold a layer of the cell that the job needs, and nothing weaker was tried.",
        "`cronward doctor JOB` names the repair.",
    ),
    Reason.BAD_DEFINITION: Meaning(
        "What the job names is not there (any more), or may not be used.",
        "`cronward doctor JOB` names it; then `cronward edit JOB`.",
    ),
    Reason.RUNNER_BROKE: Meaning(
        "cronward itself failed: its process for the attempt, the disk it writes to, or the protocol.",
        "`cronward doctor`; the supervisor's log has more. Where it is ours, tell us.",
    ),
    Reason.CANCELED_BY_USER: Meaning("Somebody canceled it."),
    Reason.JOB_REMOVED: Meaning("Its job was removed meanwhile."),
    Reason.JOB_DISABLED: Meaning("Its job was paused before it started, or canceled with the pause."),
    Reason.REPLACED: Meaning("The next occurrence took its place (`--overlap replace`)."),
    Reason.SUPERVISOR_STOPPED: Meaning("The supervisor was stopped, and it did not end within `drain_seconds`."),
    Reason.SUPERVISOR_DIED: Meaning(
        "The supervisor died while it ran, and nobody saw its end.",
        "`cronward logs RUN`, then decide. `--rerun-unknown` lets a job be run again by itself.",
    ),
    Reason.OVERLAP: Meaning(
        "The run before it was not over (`--overlap skip`).",
        "A longer interval, or `cronward edit JOB --overlap queue`.",
    ),
    Reason.MISSED: Meaning(
        "It fell due while nothing kept time, and `--catch-up` or `--grace` say that it is not made up for.",
        "`cronward service install` keeps time going.",
    ),
    Reason.EXPIRED: Meaning(
        "It waited for its turn for longer than `--grace`.", "A longer `--grace`, or more at once (`max_concurrent`)."
    ),
    Reason.HOST_BUSY: Meaning(
        "The host had too little memory, disk or CPU to spare for as long as it could wait.",
        "`cronward status` says what is short; the thresholds are in the configuration.",
    ),
}

STATUSES: Mapping[Status, str] = {
    Status.QUEUED: "due, and waits for its turn",
    Status.RUNNING: "an attempt lives, or the wait before the next one goes on",
    Status.STOPPING: "was told to end, and is ending; it never becomes completed",
    Status.COMPLETED: "ended well: exit status, the agent's own last word, the answer, its form and the check agree",
    Status.FAILED: "ended otherwise; its reason says why",
    Status.CANCELED: "was ended, or never started, because somebody or something said so",
    Status.SKIPPED: "never started its agent; its reason says why",
    Status.UNKNOWN: "was running when the supervisor died, and nobody can prove how it ended; not run again by itself",
}
