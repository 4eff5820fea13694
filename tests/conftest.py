"""How thoroughly hypothesis looks (CRONWARD_TESTS=full for the long run), and what a host may lack (tests/lacks.py)."""

from __future__ import annotations

import gc
import os
import signal

import pytest
from hypothesis import settings

from tests import lacks

settings.register_profile("quick", max_examples=20, deadline=None, derandomize=True)
settings.register_profile("full", max_examples=1000, deadline=None)
FULL = os.environ.get("CRONWARD_TESTS") == "full"
settings.load_profile("full" if FULL else "quick")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "need(*names): what the host must have; see tests/lacks.py")
    lacks.required()
    # A shell starts what it puts into the background deaf to Ctrl-C, and whatever the tests start would be so too.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes a second with 20 examples takes nearly a minute with 1,000, and more on a machine that is busy."""
    for item in items:
        if FULL and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(300))


def pytest_collection_finish() -> None:
    """Tests, and what they import, stay: to look through them again and again took a quarter of the time."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    for name in [name for mark in item.iter_markers("need") for name in mark.args]:
        if sentence := lacks.lack(name):
            if name in lacks.required():
                pytest.fail(f"CRONWARD_REQUIRE names {name}, but: {sentence}", pytrace=False)
            pytest.skip(f"{name}: {sentence}")
