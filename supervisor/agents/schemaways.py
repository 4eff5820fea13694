"""How an agent is told of the schema that its answer has to meet: by its own flag, or in the prompt. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping

from supervisor.agents.adapter import Adapter, SchemaWay
from supervisor.models import CronJob, OutputFormat

_DEPTH = 64
_ASKED = """

Answer with one JSON value that is valid against the JSON Schema below, and with nothing else: no words before it or \
after it, no Markdown.

{schema}
"""


def way_of(adapter: Adapter, job: CronJob) -> SchemaWay | None:
    """By which way the job's agent learns of its schema. None: there is none."""
    if job.output_format is not OutputFormat.STRUCTURED:
        return None
    if adapter.structured == "flag" and adapter.closed_schemas and not closed(json.loads(job.output_schema)):
        return "prompt"
    return adapter.structured


def prompted(adapter: Adapter, job: CronJob, prompt: str) -> str:
    """The prompt, with the schema after it where the agent has no other way to learn of it."""
    return prompt + _ASKED.format(schema=job.output_schema) if way_of(adapter, job) == "prompt" else prompt


def closed(schema: object, depth: int = 0) -> bool:
    """Whether each object in it names all that it may have and requires all that it names. A schema nested deeper than
    anybody writes by hand counts as open."""
    if depth > _DEPTH:
        return False
    if isinstance(schema, list):
        return all(closed(each, depth + 1) for each in schema)
    if not isinstance(schema, dict):
        return True
    return _closed_object(schema) and all(closed(each, depth + 1) for each in schema.values())


def _closed_object(schema: Mapping[str, object]) -> bool:
    properties = schema.get("properties")
    named = properties if isinstance(properties, dict) else {}
    kind = schema.get("type")
    if kind != "object" and not (isinstance(kind, list) and "object" in kind) and not isinstance(properties, dict):
        return True
    required = schema.get("required")
    return (
        schema.get("additionalProperties") is False and isinstance(required, list) and {*named} <= {*map(str, required)}
    )
