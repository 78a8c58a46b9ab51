"""The services of a stage: the security precautions, and the outside that they guard."""

from __future__ import annotations

from typing import Any

from ..dead_ends import DeadEnds, Place
from ..journal import Journal
from ..monitor import Monitor
from ..outside import Outside
from ..packets import TCP, UDP
from . import approval, mailbox, proxy, resolver, sink, vault, ways


def start(
    specs: list[dict[str, Any]],
    hosts: list[dict[str, Any]],
    limits: dict[str, Any],
    journal: Journal,
) -> DeadEnds:
    """Start every service of the stage, in the background; what they let out goes through the one outside.

    Returns:
        What there is beside them: whatever is sent to where none of them listens.
    """
    monitors = [spec for spec in specs if spec["kind"] == "monitor"]
    outside = Outside(
        {host["name"]: host["address"] for host in hosts},
        journal,
        body_bytes=limits["body_bytes"],
        monitor=Monitor(monitors[0]) if monitors else None,
        watched=tuple(monitors[0]["channels"]) if monitors else (),
    )
    approvals = {
        spec["name"]: approval.Approval(spec, journal)
        for spec in specs
        if spec["kind"] == "approval"
    }
    for spec in specs:
        match spec["kind"]:
            case "sink":
                sink.start(spec, [host for host in hosts if host["direct"]], outside)
            case "vault":
                vault.start(spec, journal)
            case "proxy":
                proxy.start(spec, outside, approvals.get(spec["approval"]), journal)
            case "approval":
                approvals[spec["name"]].start()
            case "resolver":
                resolver.start(spec, outside, journal)
            case "mailbox":
                mailbox.start(spec, outside, journal)
    served = [(*spec["http_ports"], *spec["tcp_ports"]) for spec in specs if spec["kind"] == "sink"]
    ways.start(hosts, served[0] if served else None, outside, limits["body_bytes"])
    return DeadEnds(
        outside,
        journal,
        served=_served(specs, hosts),
        direct={host["address"] for host in hosts if host["direct"] and served},
        nameserver=next(spec["address"] for spec in specs if spec["kind"] == "resolver"),
    )


def _served(specs: list[dict[str, Any]], hosts: list[dict[str, Any]]) -> set[Place]:
    """Every place that somebody listens at."""
    found: set[Place] = set()
    for spec in specs:
        if "port" in spec:
            protocol = UDP if spec["kind"] == "resolver" else TCP
            found.add((protocol, spec["address"], spec["port"]))
        if spec["kind"] == "sink":
            ports = (*spec["http_ports"], *spec["tcp_ports"])
            found |= {(TCP, h["address"], port) for h in hosts if h["direct"] for port in ports}
    for host in hosts:
        found |= {(TCP, host["address"], port) for port in ways.TCP_PORTS}
        found |= {(UDP, host["address"], port) for port in ways.UDP_PORTS}
    return found
