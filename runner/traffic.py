"""What the proxy's log says of an attempt: figures for the record, and what an agent's failure may have come from."""

from __future__ import annotations

import json
import os

from runner.output import Verdict, shown
from shared.findings import Traffic
from shared.reasons import Reason
from shared.record import NamedTuple

READ_MOST = 16 << 20
NAMED_MOST = 5
# What an agent that was kept from its hosts may end with. Our own causes and limits stay what they are.
AGENTS_OWN = frozenset({Reason.AGENT_ERROR, Reason.EMPTY_ANSWER, Reason.INVALID_OUTPUT, Reason.KILLED_BY_SIGNAL})
# What one may say that got nowhere: our proxy's refusal is a 403 to it.
CUT_OFF = frozenset({Reason.AGENT_ERROR, Reason.PROVIDER_ERROR, Reason.AUTH_FAILED})


class Seen(NamedTuple):
    """`denied`: the hosts, each once, as HOST:PORT, in the order in which they were asked for."""

    traffic: Traffic
    denied: tuple[str, ...]

    def judged(self, verdict: Verdict) -> Verdict:
        """The verdict, with the denied hosts in its sentence where the agent failed by itself. Another reason only
        where it ended with an error and got through nowhere: one denied host among others is often mere telemetry."""
        if verdict.reason not in AGENTS_OWN | CUT_OFF or not self.denied:
            return verdict
        named, more = self.denied[:NAMED_MOST], len(self.denied) - NAMED_MOST
        hosts = shown(", ".join(named)) + (f" and {more} more" if more > 0 else "")
        sentence = f"{verdict.error} It was denied the network: {hosts}. If it is to get there: --allow-host HOST."
        alone = verdict.reason in CUT_OFF and self.traffic.denied == self.traffic.connections
        return verdict._replace(reason=Reason.NETWORK_DENIED if alone else verdict.reason, error=sentence)


def read(log: int) -> Seen:
    """The whole log, but for a last line that was cut."""
    return seen(os.pread(log, READ_MOST, 0))


def seen(data: bytes) -> Seen:
    connections = up = down = refused = 0
    hosts: dict[str, None] = {}
    for line in data.split(b"\n")[:-1]:
        entry = json.loads(line)
        connections, up, down = connections + 1, up + entry["up"], down + entry["down"]
        if entry["verdict"] == "denied":
            refused += 1
            if entry["host"]:
                hosts.setdefault(f"{entry['host']}:{entry['port']}")
    traffic = Traffic(connections=connections, denied=refused, bytes_up=up, bytes_down=down)
    return Seen(traffic, tuple(hosts))
