"""What is done with git, inside cells of our own: no git ever runs outside one.

Run by path and alone, as `python -I -S plumbing.py VERB`, with NUL-ended fields `key=value` on standard input. What
came of it is the last line on standard error: `done KEY=VALUE…`, or `failed` and a clause. Each verb has a cell of its
own, which shows what it needs and nothing else:

  clone   the original, read-only; an empty directory, writable      → base
  pack    the clone, read-only, where the agent saw it; standard output takes the pack → tip, uncommitted, left
  take    the original, read-only but for its objects and the folder of our branches; the pack; a directory for the
          quarantine                                                 → name, commits, rewritten

The original may be hostile, and the clone is. So their configurations are read where they can do no harm: those of the
clone only in the cell that can write nothing, those of the original with whatever starts programs overruled; and what
`pack` says is believed only as far as `take` has checked it. `take` does what git's own receive-pack does: index and
check the pack in a quarantine, ask whether all is there, and only then store it and make the branch.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

CLONE, QUARANTINE, PACK = "/run/cronward/clone", "/run/cronward/quarantine", "/run/cronward/pack"
OFFERED = "refs/heads/cronward"
SKELETON, ERRORS, INDEX = "/tmp/skeleton", "/tmp/errors", "/tmp/index"
TEXT_MOST, ERROR_MOST, NAMES_MOST = 1 << 20, 200, 9
# Over any configuration of a repository, which rules over the user's: nothing that git would start, nothing later.
OVERRULED = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.untrackedCache": "false",
    "core.logAllRefUpdates": "false",
    "core.alternateRefsCommand": "false",
    "core.sshCommand": "false",
    "credential.helper": "",
    "protocol.allow": "never",
    "protocol.file.allow": "always",
    "submodule.recurse": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    # A thread a core could be more than the job's limit of processes.
    "pack.threads": "2",
    "index.threads": "2",
}
ENVIRONMENT = {
    # The system's configuration is the cell's own, the user's there is none.
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
CLONE_CONFIG = "[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n"


class GitError(Exception):
    """A clause that says what could not be done."""


def start(words: Sequence[str], environment: Mapping[str, str], stdin: str, stdout: int) -> int:
    """git, with its standard error in a file. Returns its pid."""
    told = [part for key, value in OVERRULED.items() for part in ("-c", f"{key}={value}")]
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    actions = (
        (os.POSIX_SPAWN_OPEN, 0, stdin, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, stdout, 1),
        (os.POSIX_SPAWN_OPEN, 2, ERRORS, flags, 0o600),
    )
    return os.posix_spawnp(
        "git", ["git", *told, *words], {**os.environ, **ENVIRONMENT, **environment}, file_actions=actions
    )


def ask(*words: str, stdin: str = "/dev/null", **environment: str) -> tuple[int, str]:
    """Its exit code, and what it says: no more of that than TEXT_MOST."""
    reader, writer = os.pipe()
    pid = start(words, environment, stdin, writer)
    os.close(writer)
    said = b""
    while part := os.read(reader, 1 << 16):
        said = (said + part)[:TEXT_MOST]
    os.close(reader)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said.decode("utf-8", "replace").rstrip("\n")


def git(*words: str, stdin: str = "/dev/null", **environment: str) -> str:
    """What it says. Raises GitError with its own last words where it fails."""
    code, said = ask(*words, stdin=stdin, **environment)
    if code:
        raise GitError(last_words(code))
    return said


def last_words(code: int) -> str:
    with open(ERRORS, errors="replace") as file:
        lines = [line.strip() for line in file.read(TEXT_MOST).splitlines() if line.strip()]
    # What died of it is named first; what follows is advice.
    fatal = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines[-1:]
    return f"git says: {fatal[0][:ERROR_MOST]}" if fatal else f"git ended with {code}"


def clone(told: Mapping[str, str]) -> dict[str, object]:
    """A repository of its own with all branches (as `origin/…`) and tags of the original, and HEAD's files."""
    source, branch = told["source"], told["branch"]
    if borrowed(told["common"]):
        raise GitError("it borrows objects of another repository (objects/info/alternates); run git repack -a -d in it")
    code, base = ask("-C", source, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if code:
        raise GitError(
            "it has no commit yet" if not ask("-C", source, "rev-parse", "--git-dir")[0] else last_words(code)
        )
    if not ask("-C", source, "show-ref", "--verify", "--quiet", OFFERED)[0]:
        raise GitError("it has a branch named cronward, below which no other can be made; rename it")
    new(CLONE, base)
    everything = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*", f"+HEAD:refs/heads/{branch}")
    options = ("--quiet", "--no-tags", "--update-shallow", "--no-write-fetch-head", "--no-recurse-submodules")
    git("-C", CLONE, "fetch", *options, "--no-auto-maintenance", source, *everything)
    git("-C", CLONE, "checkout", "--quiet", branch)
    with open(f"{CLONE}/.git/config", "a") as file:
        file.write(CLONE_CONFIG)
    return {"base": git("-C", CLONE, "rev-parse", "HEAD")}


def new(place: str, commit: str, *options: str) -> None:
    """An empty repository whose objects are named as that commit is, with nothing of a template in it."""
    hashes = "sha1" if len(commit) == 40 else "sha256"
    git("init", "--quiet", "--template=", f"--object-format={hashes}", *options, place)


def borrowed(common: str) -> bool:
    try:
        return os.path.getsize(f"{common}/objects/info/alternates") > 0
    except OSError:
        return False


def pack(told: Mapping[str, str]) -> dict[str, object]:
    """What is new in the clone. HEAD counts, whatever branch it is on, or else the branch that we made."""
    place, base = told["clone"], told["base"]
    theirs = f"--git-dir={place}/.git"
    if not os.path.isdir(f"{place}/.git/objects"):
        raise GitError("the clone has no git directory any more")
    tips = [ask(theirs, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")[1] for name in ("HEAD", told["ours"])]
    tip = next((tip for tip in tips if tip and tip != base), base)
    left = ask(theirs, "rev-list", "--count", "--branches", "--not", "--remotes", tip, base)[1]
    # Their objects, but a configuration of ours.
    new(SKELETON, base, "--bare")
    write(f"{SKELETON}/objects/info/alternates", f"{place}/.git/objects\n")
    copy_shallow(place)
    ours = f"--git-dir={SKELETON}"
    found: dict[str, object] = {"tip": tip, "left": left or 0, "uncommitted": uncommitted(ours, place, tip)}
    if tip != base:
        write(INDEX, f"{tip}\n^{base}\n")
        code = os.waitpid(start((ours, "pack-objects", "--revs", "--thin", "--stdout", "-q"), {}, INDEX, 1), 0)[1]
        if code:
            raise GitError(last_words(os.waitstatus_to_exitcode(code)))
    return found


def uncommitted(ours: str, place: str, tip: str) -> int:
    tree = (ours, f"--work-tree={place}")
    git(ours, "update-ref", "--no-deref", "HEAD", tip)
    git(*tree, "read-tree", tip)
    said = git(*tree, "status", "--porcelain", "-z", "--no-renames", "--ignore-submodules=all")
    return said.count("\0")


def copy_shallow(place: str) -> None:
    """Where the history of a shallow clone ends."""
    try:
        with open(f"{place}/.git/shallow") as file:
            write(f"{SKELETON}/shallow", file.read(TEXT_MOST))
    except FileNotFoundError:
        return


def take(told: Mapping[str, str]) -> dict[str, object]:
    """Check the pack, then store it in the original, then make the branch: a new one, never another one moved."""
    common, tip, base = told["common"], told["tip"], told["base"]
    ours, objects = f"--git-dir={common}", f"{common}/objects"
    # As its other objects, so that whoever could read the repository still can.
    os.umask(~os.stat(objects).st_mode & 0o077)
    apart = {"GIT_OBJECT_DIRECTORY": QUARANTINE, "GIT_ALTERNATE_OBJECT_DIRECTORIES": objects}
    git(ours, "index-pack", "--strict", "--fix-thin", "--stdin", stdin=PACK, **apart)
    if ask(ours, "cat-file", "-t", tip, **apart)[1] != "commit":
        raise GitError("the pack does not hold the commit that it should")
    git(ours, "rev-list", "--objects", "--quiet", tip, "--not", "--all", **apart)
    commits = int(git(ours, "rev-list", "--count", tip, "--not", "--all", **apart))
    rewritten = ask(ours, "merge-base", "--is-ancestor", base, tip, **apart)[0] != 0
    if not commits:
        return {"name": "", "commits": 0, "rewritten": int(rewritten)}
    git(ours, "index-pack", "--fix-thin", "--stdin", stdin=PACK)
    name = free_name(ours, told["branch"])
    git(ours, "update-ref", f"refs/heads/{name}", tip, "0" * len(tip))
    return {"name": name, "commits": commits, "rewritten": int(rewritten)}


def free_name(ours: str, branch: str) -> str:
    names = [branch, *(f"{branch}-{number}" for number in range(2, NAMES_MOST + 1))]
    for name in names:
        if ask(ours, "show-ref", "--verify", "--quiet", f"refs/heads/{name}")[0]:
            return name
    raise GitError(f"it has a branch {branch} already, and {names[-1]} too; remove some")


def write(path: str, text: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)


def read_fields() -> dict[str, str]:
    data = b""
    while part := os.read(0, 1 << 16):
        data += part
    fields = (field.partition(b"=") for field in data.split(b"\0") if field)
    return {os.fsdecode(key): os.fsdecode(value) for key, _, value in fields}


def finish(line: str, code: int) -> NoReturn:
    os.write(2, (line.replace("\n", " ") + "\n").encode("utf-8", "backslashreplace"))
    os._exit(code)


def main() -> NoReturn:
    verb = {"clone": clone, "pack": pack, "take": take}[sys.argv[1]]
    try:
        told = read_fields()
        found = verb(told)
    except GitError as error:
        finish(f"failed {error}", 1)
    except (OSError, ValueError, KeyError) as error:
        finish(f"failed {type(error).__name__}: {error}", 1)
    finish("done " + " ".join(f"{key}={value}" for key, value in found.items()), 0)


if __name__ == "__main__":
    main()
