"""What a run left that may act outside its cell: files that tools obey or execute, and traps for whoever reads them.

Found by one walk when nothing of the tree lives any more, and by ctime: it says when a file or its name was last
changed, and nobody without the right to set the clock can make it say anything else. Nothing is opened but directories.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from runner.walk import Walk
from shared import notation
from shared.findings import Plant, Planted, PlantedWhy
from shared.gitlink import is_bare
from shared.record import NamedTuple

SEE_MOST = 200_000
SECONDS, SECONDS_IN_HASTE = 5.0, 1.0
NAMED_MOST = 100
PATH_MOST = 400
# A file's times come from a clock that ticks every few milliseconds, or from a file server's.
MARGIN_SECONDS = 1.0
SPARSE_LEAST = 16 << 20

# Names that tools look for by themselves, in the directory that they are used in or in one above.
TOOLS = frozenset(
    (
        *(".envrc", ".env", ".direnv", ".mise.toml", "mise.toml", ".tool-versions", ".mcp.json", ".npmrc", ".yarnrc"),
        *(".yarnrc.yml", ".pnp.cjs", ".pnp.js", ".pre-commit-config.yaml", ".gitattributes", ".gitmodules"),
        *(".gitconfig", ".gitlab-ci.yml", ".travis.yml", ".gdbinit", ".lldbinit", ".exrc", ".vimrc", ".nvimrc"),
        *(".nvim.lua", ".dir-locals.el", ".bashrc", ".bash_profile", ".bash_login", ".profile", ".zshrc", ".zshenv"),
        *(".inputrc", ".screenrc", ".tmux.conf", ".python-version", ".pdbrc", ".pythonrc", ".pythonrc.py", ".irbrc"),
        *(
            ".pryrc",
            ".cursorrules",
            ".clinerules",
            ".windsurfrules",
            ".aider.conf.yml",
            ".goosehints",
            ".worktreeinclude",
        ),
        *("agents.md", "claude.md", "claude.local.md", "gemini.md", "opencode.json", "opencode.jsonc"),
        *("makefile", "gnumakefile", "bsdmakefile", "justfile", ".justfile", "taskfile.yml", "taskfile.yaml"),
        *("rakefile", "gemfile", "cmakelists.txt", "cmakepresets.json", "meson.build", "build.ninja", "sconstruct"),
        *("wscript", "dockerfile", "containerfile", "docker-compose.yml", "docker-compose.yaml", "compose.yml"),
        *("compose.yaml", "vagrantfile", "jenkinsfile", "procfile", "tiltfile", "build", "build.bazel", "workspace"),
        *(".bazelrc", "conftest.py", "setup.py", "setup.cfg", "pyproject.toml", "pytest.ini", ".pytest.ini", "tox.ini"),
        *("noxfile.py", "tasks.py", "dodo.py", "fabfile.py", "sitecustomize.py", "usercustomize.py", "manage.py"),
        *("package.json", "package-lock.json", "yarn.lock", "pnpm-lock.yaml", ".pnpmfile.cjs", "gulpfile.js"),
        *("gruntfile.js", "deno.json", "deno.jsonc", "bunfig.toml", "lefthook.yml", "lefthook.yaml", "build.rs"),
        *("cargo.toml", "build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts", "pom.xml"),
        *("gradlew", "mvnw", "composer.json", "mix.exs", "flake.nix", "shell.nix", "default.nix", "devbox.json"),
        *(".eslintrc.js", ".eslintrc.cjs", ".prettierrc.js", ".prettierrc.cjs", ".babelrc.js", ".mocharc.js"),
    )
)
SUFFIXES = (".pth", ".code-workspace", ".config.js", ".config.cjs", ".config.mjs", ".config.ts", ".desktop", ".service")
# Whatever is in these is for tools.
TOOL_FOLDERS = frozenset(
    (
        *(".vscode", ".idea", ".fleet", ".zed", ".claude", ".cursor", ".codex", ".gemini", ".opencode", ".windsurf"),
        *(".continue", ".roo", ".cline", ".devcontainer", ".husky", ".githooks", ".github", ".gitea", ".forgejo"),
        *(".circleci", ".cargo", ".bundle", ".mvn", ".yarn", ".direnv", ".mise", ".config", ".vim", ".ssh", ".gnupg"),
    )
)
GIT = ".git"
# Of a repository, what git executes or lets itself be led by; the rest is data.
GIT_NAMES = frozenset(("config", "config.worktree", "commondir", "gitdir", "attributes", "alternates"))
GIT_FOLDERS = frozenset(("hooks", "info"))
GIT_DATA = frozenset(("objects", "refs", "logs"))
BARE_MOST = 64
# Those who see the record first are to see what tools execute by themselves; this is often much, and rarely that.
LAST: tuple[PlantedWhy, ...] = ("executable",)


class Found(NamedTuple):
    path: str
    why: PlantedWhy


class Folder(NamedTuple):
    """Where an entry lies. `depth`: how many directories below the place; `git`: in a repository's own directory;
    `tools`: in one that is for tools."""

    path: str
    depth: int
    git: bool
    tools: bool


def look(places: Iterable[str], since: float, seconds: float) -> Planted:
    """What is new or changed in these places since then (seconds since 1970). `seconds`: how long to look."""
    walk = Walk(SEE_MOST, seconds)
    first, last, count = list[Plant](), list[Plant](), 0
    for place in places:
        for found in changed(place, since, walk):
            count += 1
            kept = last if found.why in LAST else first
            if len(kept) < NAMED_MOST:
                kept.append(Plant(path=shown(found.path), why=found.why))
    return Planted(found=tuple([*first, *last][:NAMED_MOST]), count=count, seen=walk.seen, whole=not walk.cut)


def since(run_started: float, wall: float, boot: float) -> float:
    """From when on a change is the run's. `wall` and `boot`: what the clocks said before the agent was started. A clock
    that was set back since then has given changes an earlier time."""
    set_back = wall - boot - (time.time() - time.clock_gettime(time.CLOCK_BOOTTIME))
    return (min(wall, run_started) if run_started else wall) - max(0.0, set_back)


def changed(place: str, since: float, walk: Walk) -> Iterator[Found]:
    """`place` is a real path, and may be that of a file."""
    nanoseconds = int((since - MARGIN_SECONDS) * 1e9)
    with suppress(OSError):
        if not os.path.isdir(place):
            state, above = os.lstat(place), os.path.dirname(place)
            if state.st_ctime_ns >= nanoseconds and (why := judge(os.path.basename(place), state, "", _of(above, ""))):
                yield Found(place, why)
            return
    bare: list[str] = []

    def is_data(folder: str, name: str) -> bool:
        return name in GIT_DATA and _of(place, folder, bare).git

    for folder, entries in walk.folders(place, is_data):
        if len(bare) < BARE_MOST and is_bare({entry.name for entry in entries}):
            bare.append(folder)
        about = _of(place, folder, bare)
        for entry in entries:
            try:
                state = entry.stat(follow_symlinks=False)
                fresh = state.st_ctime_ns >= nanoseconds
                link = os.readlink(entry.name, dir_fd=walk.here) if fresh and entry.is_symlink() else ""
            except OSError:  # somebody outside takes it away just now
                continue
            if fresh and (why := judge(entry.name, state, link, about)):
                yield Found(f"{about.path}/{entry.name}" + "/" * stat.S_ISDIR(state.st_mode), why)


def judge(name: str, state: os.stat_result, link: str, folder: Folder) -> PlantedWhy | None:
    """Why something that is new or changed is named; None: it is not. `link`: where a symbolic link leads."""
    kind, mode = stat.S_IFMT(state.st_mode), stat.S_IMODE(state.st_mode)
    if kind == stat.S_IFDIR:
        return _of_directory(name, mode, folder)
    if kind == stat.S_IFREG and mode & (stat.S_ISUID | stat.S_ISGID):
        return "set-id"
    if name == GIT or (folder.git and (name in GIT_NAMES or os.path.basename(folder.path) in GIT_FOLDERS)):
        return "repository"
    if kind not in (stat.S_IFREG, stat.S_IFLNK):
        return "special"
    if folder.tools or name.lower() in TOOLS or name.lower().endswith(SUFFIXES):
        return "tool"
    if kind == stat.S_IFLNK:
        return "link" if leads_out(link, folder.depth) else None
    if state.st_size >= SPARSE_LEAST and state.st_blocks * 512 < state.st_size // 8:
        return "sparse"
    return "executable" if mode & 0o111 and not folder.git else None


def _of_directory(name: str, mode: int, folder: Folder) -> PlantedWhy | None:
    if name == GIT:
        return "repository"
    if name in TOOL_FOLDERS and not folder.git:
        return "tool"
    return "closed" if mode & 0o500 != 0o500 else None


def leads_out(link: str, depth: int) -> bool:
    """Whether a link `depth` directories deep may lead out of the place. A `..` behind a name, which may be a link
    itself, goes nobody knows where."""
    parts = [part for part in link.split("/") if part not in ("", ".")]
    up = next((at for at, part in enumerate(parts) if part != ".."), len(parts))
    return link.startswith("/") or up > depth or ".." in parts[up:]


def _of(place: str, folder: str, bare: Sequence[str] = ()) -> Folder:
    path = f"{place}/{folder}" if folder else place
    parts = path.split("/")
    git = GIT in parts or any(not one or f"{folder}/".startswith(f"{one}/") for one in bare)
    depth = folder.count("/") + 1 if folder else 0
    return Folder(path, depth, git, not TOOL_FOLDERS.isdisjoint(parts[len(place.split("/")) - 1 :]))


def shown(path: str) -> str:
    """As it can be stored: text, and short, however it is encoded. What is left out is left out in the middle."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    if len(notation.dumps(text)) > PATH_MOST:
        text = ascii(text)[1:-1]
    return text if len(text) <= PATH_MOST else f"{text[: PATH_MOST // 2]}...{text[-PATH_MOST // 2 :]}"
