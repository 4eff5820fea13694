"""Dataclasses and named tuples without the cost of their import, for what a runner loads before its agent runs.

`dataclasses` and `typing` take 17 ms to import, and each class half a millisecond to build; a whole interpreter takes
9. So to a type checker the names here are those of the standard library, and at run time they are the short classes
below, which behave the same as far as this project uses them. Where somebody asks for what only the real ones know
(pydantic does, and `dataclasses.fields`), a real dataclass is built then.

Annotations are never evaluated in a runner. They may name what stands in their class's own module, and `Any`,
`ClassVar`, `Literal`, `Reason`, `Reading` and `Keep`.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from dataclasses import Field
    from typing import Self


class Factory:
    """A default that is made anew for each record."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[[], object]) -> None:
        self.make = make


class Fields:
    """The real dataclass's fields, from the first time that somebody asks for them."""

    def __get__(self, record: Record | None, cls: type[Record]) -> dict[str, Field[object]]:
        import dataclasses

        hints = types_of(cls)
        made = []
        for name in cls._fields:
            default = cls._defaults.get(name, dataclasses.MISSING)
            factory = default.make if isinstance(default, Factory) else None
            field = dataclasses.field(default_factory=factory) if factory else dataclasses.field(default=default)
            made.append((name, hints[name], field))
        real = dataclasses.make_dataclass(cls.__name__, made, frozen=True, kw_only=True)
        cls.__dataclass_fields__ = found = {field.name: field for field in dataclasses.fields(real)}
        return found


def types_of(cls: type[Record]) -> dict[str, object]:
    """What the annotations of a record's class mean."""
    import typing

    from shared.keep import Keep
    from shared.reading import Reading
    from shared.reasons import Reason

    late = {"Any": typing.Any, "ClassVar": typing.ClassVar, "Literal": typing.Literal}
    late |= {"Reason": Reason, "Reading": Reading, "Keep": Keep}
    # Of another class, for of this one it would look at the classes that it is made of as well.
    alone = type(cls.__name__, (), {"__annotations__": cls.__annotations__})
    return typing.get_type_hints(alone, vars(sys.modules[cls.__module__]) | late)


class Record:
    """A frozen dataclass with slots and keywords only."""

    __slots__ = ()
    _fields: tuple[str, ...] = ()
    _defaults: Mapping[str, object] = {}
    __dataclass_fields__: Fields | Mapping[str, object]

    def __init__(self, **given: object) -> None:
        for name in self._fields:
            object.__setattr__(self, name, given.pop(name) if name in given else self._default(name))
        if given:
            raise TypeError(f"{type(self).__name__} has no {', '.join(given)}")

    def _default(self, name: str) -> object:
        if name not in self._defaults:
            raise TypeError(f"{type(self).__name__} needs {name}")
        default = self._defaults[name]
        return default.make() if isinstance(default, Factory) else default

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} never changes")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} never changes")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record) or type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self._fields)

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, name) for name in self._fields))

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self._fields)})"


def record_class(*, frozen: bool, slots: bool, kw_only: bool) -> Callable[[type], type]:
    """The decorator `dataclass`, of the one kind that there is here."""
    if not (frozen and slots and kw_only):
        raise TypeError("a record is frozen, has slots, and takes keywords only")
    return to_record


def to_record(cls: type) -> type:
    """The class again, with slots, which Python can only give to a new class."""
    names = tuple(name for name, kind in cls.__annotations__.items() if not kind.startswith("ClassVar"))
    defaults = {name: cls.__dict__[name] for name in names if name in cls.__dict__}
    kept = {key: value for key, value in vars(cls).items() if key not in (*names, "__dict__", "__weakref__")}
    ours = {"__slots__": names, "_fields": names, "_defaults": defaults, "__dataclass_fields__": Fields()}
    return type(cls.__name__, (Record,), kept | ours | {"__qualname__": cls.__qualname__})


def default_field(*, default_factory: Callable[[], object]) -> Factory:
    return Factory(default_factory)


def to_dict(record: Record) -> dict[str, object]:
    """The records within it too; what is no record, tuple, list or dict is taken as it is."""
    return {name: plain(getattr(record, name)) for name in record._fields}


def plain(value: object) -> object:
    if isinstance(value, Record):
        return to_dict(value)
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    if isinstance(value, list):
        return [plain(one) for one in value]
    return {key: plain(one) for key, one in value.items()} if isinstance(value, dict) else value


def changed(record: Record, /, **changes: object) -> Record:
    return type(record)(**({name: getattr(record, name) for name in record._fields} | changes))


def column(at: int) -> property:
    def value(row: tuple[object, ...]) -> object:
        return row[at]

    return property(value)


class Row(tuple[object, ...]):
    """A named tuple."""

    _fields: tuple[str, ...]
    _defaults: Mapping[str, object]

    def __init_subclass__(cls) -> None:
        cls._fields = tuple(cls.__annotations__)
        cls._defaults = {name: cls.__dict__[name] for name in cls._fields if name in cls.__dict__}
        for at, name in enumerate(cls._fields):
            setattr(cls, name, column(at))

    def __new__(cls, *values: object, **given: object) -> Self:
        for name in cls._fields[len(values) :]:
            if name not in given and name not in cls._defaults:
                raise TypeError(f"{cls.__name__} needs {name}")
            values += (given.pop(name) if name in given else cls._defaults[name],)
        if given or len(values) != len(cls._fields):
            raise TypeError(f"{cls.__name__} has {', '.join(cls._fields)} and nothing else, each of them once")
        return super().__new__(cls, values)

    def __getnewargs__(self) -> tuple[object, ...]:
        return tuple(self)

    def _replace(self, **changes: object) -> Self:
        return type(self)(**(dict(zip(self._fields, self, strict=True)) | changes))

    def __repr__(self) -> str:
        pairs = zip(self._fields, self, strict=True)
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in pairs)})"


class Quoted:
    """`Literal[...]` as a string, which means the same to whoever evaluates annotations."""

    def __getitem__(self, values: object) -> str:
        return f"Literal[{', '.join(map(repr, values)) if isinstance(values, tuple) else repr(values)}]"


if TYPE_CHECKING:
    from dataclasses import asdict as asdict
    from dataclasses import dataclass as dataclass
    from dataclasses import field as field
    from dataclasses import replace as replace
    from typing import Any as Any
    from typing import ClassVar as ClassVar
    from typing import Literal as Literal
    from typing import NamedTuple as NamedTuple
else:
    dataclass, field, asdict, replace = record_class, default_field, to_dict, changed
    NamedTuple = Row
    Any = ClassVar = None
    # The real one where it costs nothing: some want to see its members.
    Literal = sys.modules["typing"].Literal if "typing" in sys.modules else Quoted()
