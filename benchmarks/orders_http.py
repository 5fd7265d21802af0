"""Order entry over HTTP: orders a second and what each costs, beside FastAPI with a plain producer.

The load comes from a process of its own on the same two cores, which costs a tenth of what it asks for: many
connections, each with one request at a time, no pipelining. Broker, services and load share the machine.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import cpu_seconds_of, python_contender
from benchmarks.order_processes import Service, command, running
from feedline.local.stack import KAFKA, status
from feedline.orders.provision import provision_orders
from feedline.orders.topics import OrderTopics
from feedline.services.api_keys import add_key
from feedline.services.roles import Role
from feedline.settings import Settings

TITLE = "(p) Orders over HTTP, each answered when all in-sync replicas have it"
BASELINE = "FastAPI, a plain producer, a flush each request"
WARM_UP, ORDERS, FEW = 3_000, 15_000, 4_000
CONNECTIONS = 96


@dataclass(frozen=True, slots=True)
class Contender:
    """instances: of the service; partitions: of the topic; keyed: each order under an Idempotency-Key of its own."""

    instances: int = 1
    partitions: int = 24
    keyed: bool = False
    baseline: bool = False


CONTENDERS: Mapping[str, Contender] = {
    BASELINE: Contender(baseline=True),
    "feedline": Contender(),
    "feedline, Idempotency-Key": Contender(keyed=True),
    "feedline, Idempotency-Key, 6 partitions": Contender(keyed=True, partitions=6),
    "feedline, Idempotency-Key, 48 partitions": Contender(keyed=True, partitions=48),
    "feedline, Idempotency-Key, 2 instances": Contender(keyed=True, instances=2),
    "feedline, Idempotency-Key, 4 instances": Contender(keyed=True, instances=4),
}


@dataclass(frozen=True, slots=True)
class Load:
    """One run. cpu: seconds per 1,000 orders by process; latency_ms: median, 95th and 99th percentile."""

    orders: int
    seconds: float
    cpu: Mapping[str, float]
    latency_ms: Sequence[float]


def measure(home: Path, settings: Settings, contender: Contender, work: Path, number: int) -> Load:
    """Starts the contender's services on topics of their own, warms them up, and loads them."""
    topics = OrderTopics(f"http{number}.", contender.partitions)
    provision_orders(settings, topics)
    keys = work / "keys.json"
    _, key = add_key(keys, f"bench{number}", Role.OPERATOR, expires=datetime.now(UTC) + timedelta(hours=1))
    (broker,) = [one.pid for one in status(home) if one.name == KAFKA and one.pid is not None]
    with _services(home, contender, topics, keys, key) as services:
        _load(services, key, contender, WARM_UP)
        before, broker_before = [cpu_seconds_of([one.pid]) for one in services], cpu_seconds_of([broker])
        told = _load(services, key, contender, FEW if contender.baseline else ORDERS)
        spent = sum(cpu_seconds_of([one.pid]) for one in services) - sum(before)
        broker_spent = cpu_seconds_of([broker]) - broker_before
    orders = int(told["statuses"].get("201", 0))
    if orders != told["records"]:
        raise RuntimeError(f"not every order was entered: {told['statuses']}")
    thousands = orders / 1000
    cpu = {"entry": spent / thousands, "broker": broker_spent / thousands, "load": told["cpu"] / thousands}
    return Load(orders, told["seconds"], cpu, told["latency_ms"])


@contextmanager
def _services(home: Path, contender: Contender, topics: OrderTopics, keys: Path, key: str) -> Iterator[list[Service]]:
    settings = home / "settings.json"
    if contender.baseline:
        one = python_contender("plain_entry", "--settings", str(settings), "--topic", topics.out, "--key", key)
    else:
        one = command("serve", "--settings", settings, "--keys", keys, "--prefix", topics.prefix)
    with running([one] * contender.instances, ready="/health/ready") as services:
        yield services


def _load(services: Sequence[Service], key: str, contender: Contender, orders: int) -> dict[str, Any]:
    options = ["--key", key, "--orders", str(orders), "--connections", str(CONNECTIONS)]
    options += [part for one in services for part in ("--url", one.url)]
    found = subprocess.run(
        python_contender("http_load", *options, *(["--keyed"] if contender.keyed else [])),
        capture_output=True,
        text=True,
        check=True,
    )
    told: dict[str, Any] = json.loads(found.stdout)
    return told


def table(series: Mapping[str, Sequence[Load]]) -> str:
    """Markdown: medians of the rounds, the lowest and highest speed in brackets; ratios of the same round."""
    lines = [
        f"### {TITLE}",
        "",
        (
            "| contender | orders/s | answer ms: 50 %, 95 %, 99 % | entry, CPU s / 1,000 | broker | load | times the "
            "baseline's orders/s | times its orders per CPU second of entry |"
        ),
        "| --- " * 8 + "|",
    ]
    for name, loads in series.items():
        speeds = [one.orders / one.seconds for one in loads]
        waits = ", ".join(f"{median(one.latency_ms[at] for one in loads):,.0f}" for at in range(3))
        costs = " | ".join(f"{median(one.cpu[part] for one in loads):.2f}" for part in ("entry", "broker", "load"))
        pairs = list(zip(loads, series[BASELINE], strict=True))
        faster = median(a.orders / a.seconds * b.seconds / b.orders for a, b in pairs)
        cheaper = median(b.cpu["entry"] / a.cpu["entry"] for a, b in pairs)
        lines.append(
            f"| {name} | {median(speeds):,.0f} ({min(speeds):,.0f} to {max(speeds):,.0f}) | {waits} | {costs} | "
            f"{faster:.1f} | {cheaper:.1f} |"
        )
    return "\n".join(lines) + "\n"
