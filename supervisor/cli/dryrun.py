"""What a run would be made of, for reading."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from supervisor.cli import render
from supervisor.cli.times import size

if TYPE_CHECKING:
    from supervisor.cli.place import Place

_BYTES = "_bytes"


def show(place: Place, ref: str, as_json: bool) -> None:
    """Nothing is run, claimed or written. Raises InvalidError in the words in which the run would fail."""
    from supervisor.timing.hostzone import host_zone
    from supervisor.trials.dryrun import plan

    found = plan(place.home, place.config, place.jobs.find(ref), place.runs, place.now, host_zone())
    if as_json:
        render.show_json(found)
    else:
        render.show_facts(facts(found))
        render.warn("Nothing was run.")


def facts(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """All of a plan, each with its name."""
    yield "job", f"{found['job']['name']} ({found['job']['id']})" if found["job"]["name"] else found["job"]["id"]
    yield "agent", found["agent"]
    yield "argv", shlex.join(found["argv"])
    for name in ("gate", "check"):
        if found[name]:
            yield name, shlex.join(found[name]["argv"])
    yield "variables", " ".join(found["environment"])
    yield from _files(found)
    yield "network", _network(found["network"])
    ids = found["run_as"]
    yield "runs as", f"uid {ids['uid']}, gid {ids['gid']}" if ids else "you"
    yield "cell", found["isolation"]
    yield "limits", "\n".join(_limits(found["limits"]))
    yield "may spend", f"nothing now. {found['over_budget']}" if found["over_budget"] else _caps(found["caps"])
    yield "retries", str(found["retries"])
    yield "secrets", ", ".join(found["secrets"]) or "none"
    if found["login"]:
        yield "login", ", ".join(found["login"])
    yield "session", found["session"] or "a new one"
    yield "answer", found["output_format"]
    if found["tainted"]:
        yield "tainted", "yes: the prompt takes in what nobody vouches for"
    yield "prompt", found["prompt"]


def _files(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    shown = [_mount(each) for each in found["mounts"]]
    shown += [f"{path} -> {said} (link)" for path, said in found["links"].items()]
    shown += [f"{path} (placed, read-only)" for path in found["files"]]
    yield "sees", "\n".join(shown) or "nothing of the host but its system"
    if found["work_dir"]:
        where = f"{found['work_dir']} ({found['work_mode']})"
        yield "works in", where if found["starts_in"] else f"a private directory: it can only read {found['work_dir']}"


def _mount(bind: Mapping[str, Any]) -> str:
    how = "writable" if bind["writable"] else "read-only"
    where = bind["target"] if bind["source"] == bind["target"] else f"{bind['target']}, which is {bind['source']}"
    return f"{where} ({how})"


def _network(network: Mapping[str, Any]) -> str:
    hosts = f": {', '.join(network['hosts'])}" if network["hosts"] else ""
    most = f", at most {size(network['bytes'])}" if network["bytes"] else ""
    return f"{network['network']}{hosts}{most}"


def _caps(caps: Mapping[str, Any]) -> str:
    units = {"turns": "turns", "tokens": "tokens", "cost_usd": "USD"}
    return ", ".join(f"{caps[name]:,} {unit}" for name, unit in units.items() if caps[name] is not None) or "no cap"


def _limits(limits: Mapping[str, Any]) -> Iterator[str]:
    for name, value in limits.items():
        words = name.removesuffix(_BYTES).removesuffix("_seconds").replace("_", " ")
        if value is None:
            continue
        if name.endswith(_BYTES):
            yield f"{words} {size(value)}"
        else:
            yield f"{words} {value:g} s" if name.endswith("_seconds") else f"{words} {value}"
