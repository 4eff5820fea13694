"""Whether a JSON Schema can be used to judge answers: checked when a job is added, not when it has run for an hour."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from jsonschema.exceptions import SchemaError
from jsonschema.validators import Draft202012Validator, validator_for
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012, specification_with

from supervisor.errors import InvalidError
from supervisor.models import MAX_SCHEMA

if TYPE_CHECKING:
    from referencing._core import Resolved, Resolver  # the library names them nowhere else

MAX_DEPTH = 64
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_LISTED = ("allOf", "anyOf", "oneOf")
_NAMED = ("dependentSchemas", "dependencies")
_SINGLE = ("not", "if", "then", "else")
_DEEP = "The output schema is nested too deeply; describe less of the answer."


def check_schema(text: str) -> None:
    """Raise InvalidError, a sentence, unless `text` is a JSON Schema that needs nothing from elsewhere."""
    if len(text.encode()) > MAX_SCHEMA:
        raise InvalidError(f"The output schema has more than {MAX_SCHEMA} bytes; describe less of the answer.")
    try:
        schema = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidError(f"The output schema is not JSON ({_brief(error)}); check it, for example with jq.") from None
    except ValueError:  # Python's own bound: turning so many digits into a number takes time that grows as their square
        raise InvalidError("The output schema has a number of thousands of digits; use a smaller one.") from None
    except RecursionError:
        raise InvalidError(_DEEP) from None
    if not isinstance(schema, dict):
        raise InvalidError(f"The output schema is a JSON {type(schema).__name__}; it has to be an object.")
    for path, key, value in _entries(schema, "$"):
        _check_entry(path, key, value)
    try:
        validator_for(schema, default=Draft202012Validator).check_schema(schema)
        _check_references(schema)
    except SchemaError as error:
        raise InvalidError(f"The output schema is wrong at {error.json_path}: {_brief(error.message)}.") from None
    except ValueError as error:  # an $id or a reference that is no URI
        raise InvalidError(f"The output schema names a URI that is none: {_brief(error)}.") from None
    except RecursionError:
        raise InvalidError(_DEEP) from None


def _entries(node: Any, path: str, depth: int = 0) -> Iterator[tuple[str, str, Any]]:  # noqa: ANN401  # any JSON
    """Every key of the schema with where it stands. Bounded, because the validators recurse."""
    if depth > MAX_DEPTH:
        raise InvalidError(f"The output schema is nested more than {MAX_DEPTH} levels deep, at {path[:80]}.")
    if isinstance(node, dict):
        for key, value in node.items():
            yield path, key, value
            yield from _entries(value, f"{path}.{key}", depth + 1)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _entries(value, f"{path}[{index}]", depth + 1)


def _check_references(schema: dict[str, Any]) -> None:
    """Follow each to its end: one that leads nowhere, or back to itself at the same place of an answer, would be found
    out by the first answer."""
    specification = specification_with(schema.get("$schema", ""), default=DRAFT202012)
    whole: Resource[Any] = specification.create_resource(schema)
    registry: Registry[Any] = Registry()  # of our own: the library's would fetch what it does not know
    todo = [(whole, registry.resolver_with_root(whole))]
    beside: dict[int, list[int]] = {}
    references: dict[int, str] = {}
    while todo:
        part, resolver = todo.pop()
        node = part.contents
        if not isinstance(node, dict) or id(node) in beside:
            continue
        todo += [(inner, resolver.in_subresource(inner)) for inner in part.subresources()]
        beside[id(node)] = [id(inner) for inner in _in_place(node)]
        for ref in (ref for name in _REFERENCES if isinstance(ref := node.get(name), str)):
            found = _followed(ref, resolver)
            todo.append((specification.create_resource(found.contents), found.resolver))
            beside[id(node)].append(id(found.contents))
            references[id(node)] = ref
    _check_ends(beside, references)


def _in_place(node: dict[str, Any]) -> Iterator[Any]:
    """Its parts that judge the very value that it judges, not one within that."""
    for name in _LISTED:
        yield from node[name] if isinstance(node.get(name), list) else ()
    for name in _NAMED:
        yield from node[name].values() if isinstance(node.get(name), dict) else ()
    yield from (node[name] for name in _SINGLE if name in node)


def _followed(ref: str, resolver: Resolver[Any]) -> Resolved[Any]:
    try:
        found = resolver.lookup(ref)
    except Unresolvable:
        raise InvalidError(f"The output schema refers to {_brief(ref)!r}, which is not in it.") from None
    if not isinstance(found.contents, dict | bool):
        raise InvalidError(f"The output schema refers to {_brief(ref)!r}, which is no schema.")
    return found


def _check_ends(beside: dict[int, list[int]], references: dict[int, str]) -> None:
    """A tree's schema comes back to itself one level further down in the answer, and so ends with it. One that comes
    back without that never ends, whatever the answer is."""
    try:
        TopologicalSorter(beside).prepare()
    except CycleError as error:
        ref = next(references[node] for node in error.args[1] if node in references)  # without one there is no way back
        raise InvalidError(
            f"The output schema's reference {_brief(ref)!r} leads back to itself without going into the answer; no "
            "answer could be checked."
        ) from None


def _check_entry(path: str, key: str, value: object) -> None:
    if key == "$schema" and not isinstance(value, str):
        raise InvalidError(f"The output schema's $schema is {_brief(value)} at {path}; it has to be a text.")
    if key in ("$ref", "$dynamicRef") and isinstance(value, str) and not value.startswith("#"):
        raise InvalidError(
            f"The output schema refers to {_brief(value)!r} at {path}; only references into itself (#...) are "
            "followed, nothing is ever fetched."
        )
    if key == "pattern" and isinstance(value, str):
        _check_pattern(path, value)
    if key == "patternProperties" and isinstance(value, dict):
        for pattern in value:
            _check_pattern(path, pattern)


def _check_pattern(path: str, pattern: str) -> None:
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise InvalidError(f"The output schema has the pattern {_brief(pattern)!r} at {path}: {error}.") from None


def _brief(what: object) -> str:
    return (str(what).splitlines() or [""])[0][:120]
