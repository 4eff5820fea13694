"""Which paths are on a closed list, and where it leads."""

from __future__ import annotations

import time

from shared.patterns import Patterns

LIST = ("one", ".a/*.jsonl", ".b/**/end.db", "c/**", "x/*/y")

ON_IT = {
    "one": True,
    "one/more": False,
    "two": False,
    "One": False,
    "": False,
    ".a/s.jsonl": True,
    ".a/.jsonl": True,
    ".a/s.json": False,
    ".a/deep/s.jsonl": False,
    ".b/end.db": True,
    ".b/1/2/3/end.db": True,
    ".b/end.db/more": False,
    ".b/1/end": False,
    "c/1": True,
    "c/1/2/3": True,
    "x/1/y": True,
    "x/y": False,
    "x/1/2/y": False,
}
LEADS = {".a": True, ".a/deep": False, ".b": True, ".b/1/2": True, "c": True, "c/1": True, "x/1": True, "z": False}
LEADS |= {"one": False, "x/1/y": False}


def test_a_path_is_on_the_list_or_not() -> None:
    for path, wanted in ON_IT.items():
        assert Patterns(LIST).match(path) is wanted, path


def test_only_folders_that_the_list_leads_into_are_entered() -> None:
    for folder, wanted in LEADS.items():
        assert Patterns(LIST).lead_into(folder) is wanted, folder


def test_a_path_that_nearly_fits_in_many_ways_is_judged_at_once() -> None:
    begun = time.perf_counter()
    assert not Patterns(["/".join(["**", "a"] * 20) + "/b"]).match("/".join(["a"] * 400))
    assert time.perf_counter() - begun < 5.0
