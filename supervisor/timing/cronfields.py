"""The fields of a cron expression as sets of numbers, by the rules of robfig/cron (Go)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from supervisor.errors import InvalidError

_WILDCARDS = ("*", "?")


class ScheduleError(InvalidError, ValueError):
    """A schedule that cannot be used; the text is a sentence that names the field and the value."""


@dataclass(frozen=True)
class Field:
    """What one field may hold: low to high, names counted from low, and one number beyond high that means low."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    alias: int | None = None

    @property
    def highest(self) -> int:
        return self.high if self.alias is None else self.alias


@dataclass(frozen=True)
class Selection:
    """The numbers that a field's text selects."""

    text: str
    values: frozenset[int]
    full: bool  # every number the field may hold
    starred: bool  # `*` or `?` with step 1 somewhere in the list: the field says nothing about the day

    @property
    def wild(self) -> bool:
        return self.text.startswith(_WILDCARDS)


@dataclass(frozen=True)
class CronFields:
    second: Selection
    minute: Selection
    hour: Selection
    day: Selection
    month: Selection
    weekday: Selection  # 0 is Sunday

    @property
    def fixed(self) -> bool:
        """Whether it names times of day ("at 02:30") rather than a rhythm ("every 30 minutes")."""
        return not self.minute.wild and not self.hour.wild and self.second.values == {0}

    @property
    def any_day(self) -> bool:
        """Whether the two day fields together let every day through: one suffices, unless one is starred."""
        full, starred = self.day.full or self.weekday.full, self.day.starred or self.weekday.starred
        return full if not starred else self.day.full and self.weekday.full

    @cached_property
    def canonical(self) -> str:
        """The same schedule in a form that croniter cannot read differently: `*` or ascending numbers, seconds last.

        croniter joins two restricted day fields by "or" and takes a `*` as no restriction. A starred field is always
        full, so that is robfig's rule, once two fields without a star, one of them full, are both written `*`.
        """
        days = ("*", "*") if self.any_day else (_written(self.day), _written(self.weekday))
        words = [_written(self.minute), _written(self.hour), days[0], _written(self.month), days[1]]
        return " ".join(words if self.second.values == {0} else [*words, _written(self.second)])


SECOND = Field("second", 0, 59)
MINUTE = Field("minute", 0, 59)
HOUR = Field("hour", 0, 23)
DAY = Field("day of month", 1, 31)
MONTH = Field("month", 1, 12, ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"))
# robfig refuses 7; every other cron takes it for Sunday, and nothing else can be meant.
WEEKDAY = Field("day of week", 0, 6, ("sun", "mon", "tue", "wed", "thu", "fri", "sat"), alias=7)


def parse_fields(text: str) -> CronFields:
    """Five fields from the minute on, or six with the second first."""
    words = text.split()
    if len(words) not in (5, 6):
        raise ScheduleError(
            f"The schedule {text!r} has {len(words)} field{'' if len(words) == 1 else 's'}: write five (minute, hour, "
            "day of month, month, day of week), six with the second first, or a descriptor like @daily or @every 30m."
        )
    words = words if len(words) == 6 else ["0", *words]
    fields = (SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY)
    return CronFields(*(parse_field(word, field) for word, field in zip(words, fields, strict=True)))


def parse_field(text: str, field: Field) -> Selection:
    """The numbers that a list of `*`, `a`, `a-b`, each with an optional `/step`, selects."""
    values: set[int] = set()
    starred = False
    for item in text.split(","):
        if not item:
            raise _refused(text, field, "has an empty item in its list: remove the extra comma")
        span, whole = _span(item, text, field)
        values.update(span)
        starred = starred or whole
    chosen = frozenset(field.low if value == field.alias else value for value in values)
    return Selection(text, chosen, len(chosen) == field.high - field.low + 1, starred)


def _span(item: str, text: str, field: Field) -> tuple[range, bool]:
    """The numbers of one item, and whether it is a star."""
    head, slash, tail = item.partition("/")
    step = _step(tail, text, field) if slash else 1
    if head in _WILDCARDS:
        return range(field.low, field.high + 1, step), step == 1
    first, hyphen, last = head.partition("-")
    start = _number(first, text, field)
    end = _number(last, text, field) if hyphen else field.high if slash else start
    if start > end:
        raise _refused(
            text, field, f"runs backwards from {start} to {end}: split it, like {start}-{field.high},{field.low}-{end}"
        )
    return range(start, end + 1, step), False


def _step(digits: str, text: str, field: Field) -> int:
    if not _is_number(digits):
        raise _refused(text, field, f"has the step {digits!r}: a step is one whole number, like */15")
    if int(digits) == 0:
        raise _refused(text, field, "has the step 0: a step is at least 1")
    return int(digits)


def _number(word: str, text: str, field: Field) -> int:
    if word.lower() in field.names:
        return field.low + field.names.index(word.lower())
    if not _is_number(word):
        named = f" or {field.names[0]} to {field.names[-1]}" if field.names else ""
        raise _refused(text, field, f"has {word!r} where a number is needed: use {field.low} to {field.high}{named}")
    number = int(word)
    if not field.low <= number <= field.highest:
        side, limit = ("below", field.low) if number < field.low else ("above", field.high)
        raise _refused(text, field, f"has {number}, which is {side} {limit}: use {field.low} to {field.high}")
    return number


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit()


def _written(selection: Selection) -> str:
    return "*" if selection.full else ",".join(map(str, sorted(selection.values)))


def _refused(text: str, field: Field, complaint: str) -> ScheduleError:
    return ScheduleError(f"The {field.name} field {text!r} {complaint}.")
