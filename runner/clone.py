"""The work mode `branch`: the agent gets a private clone in place of its work directory, and never the original.

Made before the agent is started, and taken to the original after its tree is gone, by errands (see `errand`) that run
`plumbing` in cells of their own. What happens to the original is what git's own transfer would do: new objects that
were checked, and one new branch. It is never checked out, no branch of it is moved, no hook of it is run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace

from runner import cell, plumbing
from runner.errand import OUTPUT_MOST, Errand, Errands, Outcome, own_program, refuse
from runner.host import Mark
from runner.refusal import RefusalError
from shared import removal, repository
from shared.findings import Branch
from shared.messages import Bind, ExecuteRequest, Offer
from shared.realpath import realpath
from shared.reasons import Reason

PLACE = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Of its wall time what an attempt keeps back, so that the commits of an agent that has used up its own are not lost.
RESERVE_SECONDS, RESERVE_SHARE = 10.0, 0.1
HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


class Clone:
    """One attempt's. Made while it is still known who may look where; raises RefusalError where there is none to make.

    `base` is empty until the clone is there.
    """

    def __init__(self, request: ExecuteRequest, offer: Offer, work_dir: str) -> None:
        self._request, self._offer = request, offer
        self.base = ""
        run_as = request.cell.run_as
        uid = os.geteuid() or (run_as.uid if run_as is not None else 0)
        try:
            self._original = repository.find(realpath(work_dir), uid)
        except repository.NoRepositoryError as error:
            raise RefusalError(Reason.BAD_DEFINITION, f"The work directory {work_dir} {error}.") from None
        self.paths = (offer.directory, self._original.common_dir)
        self._clone, self._pack = f"{offer.directory}/clone", f"{offer.directory}/pack"
        if os.geteuid() == 0 and run_as is not None:
            os.chown(offer.directory, run_as.uid, run_as.gid, follow_symlinks=False)

    @property
    def place(self) -> str:
        """Where it is, or is to be."""
        return self._clone

    def make(self, errands: Errands, state: str) -> str:
        """Where it is: what the agent's cell shows in the place of the work directory. Raises RefusalError. `state`: as
        for `cell.check`."""
        source, common = self._original.work_dir, self._original.common_dir
        cell.check_source("The repository", common, state)
        self._check_writable()
        shown = [Bind(source=path, target=path) for path in dict.fromkeys((source, common))]
        told = {"source": source, "common": common, "branch": self._offer.branch}
        try:
            os.mkdir(self._clone, 0o700)
        except OSError as error:
            raise RefusalError(Reason.RUNNER_BROKE, f"{self._clone} cannot be made ({error.strerror}).") from error
        clone = Bind(source=self._clone, target=plumbing.CLONE, writable=True)
        outcome = errands.run(errand("clone", told, (*shown, clone), marks(shown)))
        facts = facts_of(outcome)
        base = facts.get("base", "")
        if not HASH.fullmatch(base):
            raise refuse(outcome, f"The repository {source} cannot be cloned: {why(outcome)}.")
        self.base = base
        return self._clone

    def _check_writable(self) -> None:
        """Now, and not when the work is done."""
        common = self._original.common_dir
        for path in (f"{common}/objects", f"{common}/refs"):
            if not os.access(path, os.W_OK | os.X_OK):
                raise RefusalError(
                    Reason.BAD_DEFINITION,
                    f"{path} cannot be written by the user that runs the agent, so no branch can be offered there. "
                    "Grant it, or choose another work mode.",
                )

    def failed(self, problem: str) -> Branch:
        """Nothing was offered, for this reason."""
        return Branch(original=self._original.work_dir, base=self.base, problem=problem)

    def offer(self, errands: Errands) -> Branch:
        """What is committed in the clone, as a branch of the original. Nothing lives in the clone any more."""
        try:
            tip, branch = self._packed(errands)
            return self._taken(errands, tip, branch) if tip != self.base else branch
        except RefusalError as refusal:
            return self.failed(refusal.sentence)
        except OSError as error:
            return self.failed(f"The commits could not be moved ({error.strerror}).")

    def _packed(self, errands: Errands) -> tuple[str, Branch]:
        """The newest commit, and what is said of the rest. All of it is hearsay: it comes out of the clone."""
        # At the agent's own path for it: what it left may hold that path.
        place = self._original.work_dir
        told = {"clone": place, "base": self.base, "ours": f"refs/heads/{self._offer.branch}"}
        shown = Bind(source=self._clone, target=place)
        with open(self._pack, "xb") as file:
            most = self._request.limits.file_bytes
            outcome = errands.run(errand("pack", told, (shown,), (), file.fileno(), most))
        facts = facts_of(outcome)
        tip = facts.get("tip", "")
        if outcome.reason is Reason.OUTPUT_LIMIT:
            raise RefusalError(outcome.reason, f"The commits have more than {most} bytes, the job's limit for a file.")
        if not HASH.fullmatch(tip) or len(tip) != len(self.base):
            raise RefusalError(outcome.reason, f"The commits could not be read: {why(outcome)}.")
        uncommitted, left_out = number(facts, "uncommitted"), number(facts, "left")
        return tip, replace(self.failed(""), uncommitted=uncommitted, left_out=left_out)

    def _taken(self, errands: Errands, tip: str, branch: Branch) -> Branch:
        common, quarantine = self._original.common_dir, f"{self._offer.directory}/quarantine"
        os.mkdir(quarantine, 0o700)
        folder, objects = branch_folder(common), f"{common}/objects"
        told = {"common": common, "tip": tip, "base": self.base, "branch": self._offer.branch}
        theirs = (
            Bind(source=common, target=common),
            Bind(source=objects, target=objects, writable=True),
            Bind(source=folder, target=folder, writable=True),
        )
        ours = (
            Bind(source=self._pack, target=plumbing.PACK),
            Bind(source=quarantine, target=plumbing.QUARANTINE, writable=True),
        )
        outcome = errands.run(errand("take", told, (*theirs, *ours), marks(theirs)))
        facts = facts_of(outcome)
        name = facts.get("name", "")
        if outcome.reason is not Reason.OK or not re.fullmatch(rf"({re.escape(self._offer.branch)}(-\d)?)?", name):
            raise RefusalError(outcome.reason, f"The commits were not taken into {common}: {why(outcome)}.")
        rewritten = bool(number(facts, "rewritten"))
        return replace(branch, name=name, commits=number(facts, "commits"), rewritten=rewritten)

    def clear(self) -> None:
        """Give the disk back. What cannot be removed is left to the supervisor, who looks after us."""
        parent, name = os.path.split(self._offer.directory)
        with suppress(OSError):
            removal.empty(os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), name)


def errand(
    verb: str,
    told: Mapping[str, str],
    shown: tuple[Bind, ...],
    looked_at: tuple[Mark, ...],
    output: int | None = None,
    output_bytes: int = OUTPUT_MOST,
) -> Errand:
    argv, program = own_program("plumbing.py", verb)
    fields = b"".join(f"{key}={value}\0".encode("utf-8", "surrogateescape") for key, value in told.items())
    return Errand(argv, (program, *shown), looked_at, fields, output, output_bytes)


def facts_of(outcome: Outcome) -> dict[str, str]:
    """What `plumbing` says that it has done; empty where it has not."""
    verb, *words = outcome.words.split(" ")
    if outcome.reason is not Reason.OK or verb != "done":
        return {}
    return {key: value for key, _, value in (word.partition("=") for word in words)}


def number(facts: Mapping[str, str], key: str) -> int:
    text = facts.get(key, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def why(outcome: Outcome) -> str:
    """A clause, without its full stop."""
    verb, _, clause = outcome.words.partition(" ")
    text = clause if verb == "failed" and outcome.reason is Reason.AGENT_ERROR else outcome.error
    return text.rstrip(".") or outcome.reason.value


def reserve(wall_seconds: float) -> float:
    """Of the attempt's wall time, what is kept back for the offer."""
    return min(RESERVE_SECONDS, wall_seconds * RESERVE_SHARE)


def opened(path: str) -> int:
    """The directory at `path`, reached from the top without passing a link. Raises OSError."""
    place = os.open("/", PLACE)
    for part in path.strip("/").split("/"):
        above = place
        try:
            place = os.open(part, PLACE, dir_fd=above)
        finally:
            os.close(above)
    return place


def marks(shown: Iterable[Bind]) -> tuple[Mark, ...]:
    """What they are now, for the cell's init to compare: bubblewrap takes names, and whoever may write beside one can
    put a link in its place."""
    found = []
    for bind in shown:
        try:
            place = opened(bind.source)
        except OSError as error:
            raise RefusalError(Reason.BAD_DEFINITION, f"{bind.source} cannot be reached ({error.strerror}).") from error
        seen = os.fstat(place)
        os.close(place)
        found.append(Mark(bind.target, seen.st_dev, seen.st_ino, bind.writable))
    return tuple(found)


def branch_folder(common: str) -> str:
    """The one folder of branches that may be written, made where it is missing, with the rights of the one above."""
    heads = opened(f"{common}/refs/heads")
    name = os.path.basename(plumbing.OFFERED)
    mode = os.fstat(heads).st_mode & 0o777
    umask = os.umask(0)
    try:
        with suppress(FileExistsError):
            os.mkdir(name, mode, dir_fd=heads)
    finally:
        os.umask(umask)
        os.close(heads)
    return f"{common}/refs/heads/{name}"
