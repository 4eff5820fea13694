"""Root only: let an ordinary uid reach what a cell is made of, wherever it lies.

Root's Python, its environment and the weights often lie below /root, which nobody else may enter; after the drop of
ids neither the runner nor bubblewrap could. So, in a mount namespace of our own and before the drop: where a needed
path lies below a directory that the uid cannot enter (a wall), the wall is covered with an empty directory, and only
the needed paths are put back, each at its own place. Paths stay true, which interpreters with a shared library need,
and the rest of what lay behind the wall is gone from the runner's view.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from runner import kernel
from shared.realpath import realpath

# A wall can stand behind a wall; nobody has more of them than this.
ROUNDS = 8


def stage(paths: Iterable[str], uid: int, gid: int) -> None:
    """Make `paths` reachable for that uid, in a mount namespace of our own where one is needed. Raises OSError."""
    places = [path for path in paths if os.path.lexists(path)]
    links = {link: os.readlink(link) for path in places for link in links_on(path)}
    needed = {realpath(path) for path in places}
    own_namespace = False
    for _ in range(ROUNDS):
        with ids(uid, gid):
            walls = walls_of(sorted(needed | links.keys()), may_enter)
        if not walls:
            return
        if not own_namespace:
            kernel.leave_mount_namespace()
            own_namespace = True
        for wall, behind in walls.items():
            rebuild(wall, outermost(needed.intersection(behind)), links)


def links_on(path: str) -> list[str]:
    """The symbolic links that lead along `path`, those that they lead over included."""
    found: list[str] = []
    waiting = [os.path.abspath(path)]
    while waiting and len(found) < 40:  # the kernel follows no more either
        at = "/"
        for part in waiting.pop().split("/")[1:]:
            at = os.path.join(at, part)
            if os.path.islink(at) and at not in found:
                found.append(at)
                waiting.append(os.path.normpath(os.path.join(os.path.dirname(at), os.readlink(at))))
    return found


@contextmanager
def ids(uid: int, gid: int) -> Iterator[None]:
    """Look at the file system with another's rights for a moment: the kernel decides, not a reading of mode bits."""
    os.setgroups([])
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def may_enter(directory: str) -> bool:
    return os.access(directory, os.X_OK, effective_ids=True)


def walls_of(paths: Iterable[str], enterable: Callable[[str], bool]) -> dict[str, list[str]]:
    """The first directory on the way to each path that cannot be entered, with the paths behind it."""
    walls: dict[str, list[str]] = {}
    for path in paths:
        for outer in ancestors(path):
            if not enterable(outer):
                walls.setdefault(outer, []).append(path)
                break
    return walls


def ancestors(path: str) -> list[str]:
    """From the top, without `path` itself: whether that may be read is for others to say."""
    parts = path.strip("/").split("/")[:-1]
    return ["/" + "/".join(parts[:count]) for count in range(1, len(parts) + 1)]


def outermost(paths: Iterable[str]) -> list[str]:
    """Without those that lie within another one."""
    kept: list[str] = []
    for path in sorted(paths):
        if not kept or not f"{path}/".startswith(f"{kept[-1]}/"):
            kept.append(path)
    return kept


def rebuild(wall: str, needed: list[str], links: Mapping[str, str]) -> None:
    """Cover `wall`, then put back what is needed. The copies are taken before the cover hides the originals."""
    trees = [(path, kernel.clone_tree(path), os.path.isdir(path)) for path in needed]
    kernel.mount("tmpfs", wall, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=0755,size=1m")
    umask = os.umask(0o022)
    for path, tree, is_directory in trees:
        os.makedirs(path if is_directory else os.path.dirname(path), exist_ok=True)
        if not is_directory:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
        kernel.attach_tree(tree, path)
        os.close(tree)
    for link, target in links.items():
        if link.startswith(f"{wall}/") and not os.path.lexists(link):
            os.makedirs(os.path.dirname(link), exist_ok=True)
            os.symlink(target, link)
    os.umask(umask)
