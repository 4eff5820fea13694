"""The first thing that runs where the attacks are sent: makes modules of their texts, and starts them.

What it works on, `bundle`, was read from standard input by the command line.
"""
# ruff: noqa: F821

from __future__ import annotations

import sys
import types

for folder in ("tests", "tests.hostile", "tests.hostile.attacks"):
    package = types.ModuleType(folder)
    package.__path__ = []
    sys.modules[folder] = package
for name, text in bundle["modules"].items():
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(text, name, "exec"), module.__dict__)
sys.modules["tests.hostile.attacks.kit"].main(bundle["names"], bundle["targets"])
