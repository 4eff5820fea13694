from __future__ import annotations

import copy
import dataclasses
import typing

import pytest
from pydantic import TypeAdapter, ValidationError

from shared import record
from shared.messages import Bind, Cell, Layer, RunAs, Started
from shared.reasons import Reason

Colour = record.Quoted()["red", "green"]


@record.record_class(frozen=True, slots=True, kw_only=True)
class Ours:
    """Theirs, by us."""

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid", "strict": True}  # type: ignore[name-defined]  # noqa: F821, RUF012

    size: int
    colour: Colour = "red"  # type: ignore[valid-type]
    reason: Reason | None = None
    names: dict[str, str] = record.default_field(default_factory=dict)  # type: ignore[assignment]

    def doubled(self) -> int:
        return 2 * self.size


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Theirs:
    """The same, by the standard library."""

    size: int
    colour: typing.Literal["red", "green"] = "red"
    reason: Reason | None = None
    names: dict[str, str] = dataclasses.field(default_factory=dict)

    def doubled(self) -> int:
        return 2 * self.size


@record.record_class(frozen=True, slots=True, kw_only=True)
class Twin:
    """With a layer's fields, and yet no layer."""

    name: str
    detail: str


class Pair(record.Row):
    """A named tuple of ours."""

    left: int
    right: str = "r"


def test_a_record_is_what_a_dataclass_is() -> None:
    """The names are the same at run time: whatever is done to both must come out alike."""
    for given in ({"size": 1}, {"size": 2, "colour": "green", "reason": Reason.OK, "names": {"a": "b"}}):
        ours, theirs = Ours(**given), Theirs(**given)  # type: ignore[arg-type]
        assert repr(ours) == repr(theirs).replace("Theirs", "Ours")
        assert record.to_dict(ours) == dataclasses.asdict(ours) == dataclasses.asdict(theirs)  # type: ignore[arg-type,call-overload]
        assert ours == Ours(**given)
        assert ours != Ours(**{**given, "size": 9})
        assert ours != theirs
        assert ours.doubled() == theirs.doubled()
        assert record.changed(ours, size=5) == dataclasses.replace(ours, size=5) == Ours(**{**given, "size": 5})  # type: ignore[arg-type,type-var]
    assert Ours.__doc__ == "Theirs, by us."
    mine, real = dataclasses.fields(Ours), dataclasses.fields(Theirs)  # type: ignore[arg-type]
    kinds = typing.get_type_hints(Theirs)
    assert [(f.name, f.type, f.default, f.default_factory, f.kw_only) for f in mine] == [
        (f.name, kinds[f.name], f.default, f.default_factory, f.kw_only) for f in real
    ]
    assert dataclasses.is_dataclass(Ours)


def test_a_record_is_made_whole_or_not_at_all_and_never_changes() -> None:
    for wrong in ({}, {"size": 1, "sise": 2}, {"colour": "red"}):
        with pytest.raises(TypeError):
            Ours(**wrong)
    with pytest.raises(TypeError):
        Ours(1)
    one = Ours(size=1)
    for change in (lambda: setattr(one, "size", 2), lambda: setattr(one, "other", 2), lambda: delattr(one, "size")):
        with pytest.raises(AttributeError):
            change()
    assert one.size == 1
    assert Ours(size=1).names is not Ours(size=1).names
    assert len({RunAs(uid=1, gid=1), RunAs(uid=1, gid=1), RunAs(uid=1, gid=2)}) == 2
    assert Layer(name="a", detail="b") != Twin(name="a", detail="b")
    for flag in ("frozen", "slots", "kw_only"):
        with pytest.raises(TypeError):
            record.record_class(**{"frozen": True, "slots": True, "kw_only": True, flag: False})


def test_pydantic_holds_a_record_to_its_annotations() -> None:
    adapter = TypeAdapter(Ours)
    right: dict[str, object] = {"size": 1, "colour": "green", "reason": "ok", "names": {}}
    assert adapter.validate_python(right, strict=False) == Ours(size=1, colour="green", reason=Reason.OK)
    assert adapter.json_schema()["properties"]["colour"]["enum"] == ["red", "green"]
    for wrong in ({"size": "1"}, {"colour": "blue"}, {"reason": "none"}, {"names": {"a": 1}}, {"more": 1}):
        with pytest.raises(ValidationError):
            adapter.validate_python(right | wrong)
    assert TypeAdapter(Started).validate_json(
        b'{"type":"started","pid":1,"layers":[{"name":"a","detail":"b"}]}'
    ) == Started(pid=1, layers=(Layer(name="a", detail="b"),))


def test_records_within_records_become_dicts() -> None:
    assert record.to_dict(Cell(run_as=RunAs(uid=1, gid=2)))["run_as"] == {"uid": 1, "gid": 2}  # type: ignore[arg-type]
    inner = Bind(source="a", target="b")
    assert record.plain([(inner,), {"x": inner}, "y"]) == [
        ({"source": "a", "target": "b", "writable": False},),
        {"x": {"source": "a", "target": "b", "writable": False}},
        "y",
    ]


def test_a_row_is_what_a_named_tuple_is() -> None:
    pair = Pair(1)
    assert pair == (1, "r") == Pair(left=1, right="r") == Pair(1, "r")
    left, right = pair
    assert (left, right) == (pair.left, pair.right) == (1, "r")
    assert pair._replace(left=2) == (2, "r")
    assert repr(pair) == "Pair(left=1, right='r')"
    assert copy.copy(pair) == pair
    assert type(copy.copy(pair)) is Pair
    for arguments, given in (((), {}), ((1, "r", 3), {}), ((1,), {"left": 1}), ((1,), {"other": 1})):
        with pytest.raises(TypeError):
            Pair(*arguments, **given)
    with pytest.raises(AttributeError):
        pair.left = 2
