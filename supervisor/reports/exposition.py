"""Prometheus's text format, version 0.0.4: families of samples as lines. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["gauge", "counter", "summary"]
# What could act on a terminal, or end a line for whoever reads by lines; backslash, quote and newline have escapes.
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Sample:
    """`suffix`: of the family's name, `_sum` or `_count` of a summary."""

    value: float
    labels: Mapping[str, str] = field(default_factory=dict)
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric with all its samples, which have to stand together."""

    name: str
    kind: Kind
    meaning: str
    samples: tuple[Sample, ...]

    def record(self) -> dict[str, Any]:
        """For JSON."""
        samples = [
            {"name": self.name + each.suffix, "labels": dict(each.labels), "value": each.value} for each in self.samples
        ]
        return {"name": self.name, "type": self.kind, "help": self.meaning, "samples": samples}


def lines(families: Iterable[Family]) -> Iterator[str]:
    """Of those that have a sample."""
    for family in families:
        if family.samples:
            yield f"# HELP {family.name} {_escaped(family.meaning)}"
            yield f"# TYPE {family.name} {family.kind}"
            yield from (_line(family.name + sample.suffix, sample) for sample in family.samples)


def _line(name: str, sample: Sample) -> str:
    labels = ",".join(f'{key}="{_quoted(value)}"' for key, value in sample.labels.items())
    return f"{name}{{{labels}}} {_number(sample.value)}" if labels else f"{name} {_number(sample.value)}"


def _quoted(value: str) -> str:
    return _escaped(value).replace('"', '\\"')


def _escaped(text: str) -> str:
    plain = _CONTROL.sub("\ufffd", text)
    return plain.replace("\\", "\\\\").replace("\n", "\\n")


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if math.isnan(value) else repr(value)
