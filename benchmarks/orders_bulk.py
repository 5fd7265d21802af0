"""Bulk order entry: as fast as it goes, and, held up by its delay alone, how that grows with instances.

An instance holds so many events at once, each for its delay, and so passes at most `held / delay` a second: a stage
that waits for something else than this machine. What several instances pass together, against so many times what one
passes, is how linear it is. Both are measured in the middle of a run, over a window in which all instances work on a
backlog that does not end.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from multiprocessing import get_context
from pathlib import Path

from confluent_kafka import Producer

from benchmarks.measure import await_idle, cpu_seconds_of
from benchmarks.order_processes import Service, command, running, wait_for
from feedline.kafka.config import producer_config
from feedline.kafka.registry import registry_client, schema_id
from feedline.local.stack import KAFKA, status
from feedline.orders.model import EntrySource, EventKind, Order, OrderEvent, OrderType, Product, Side, encode_event
from feedline.orders.model.events import event_id
from feedline.orders.model.schemas import ORDER_EVENT, order_schema
from feedline.orders.provision import provision_orders
from feedline.orders.topics import OrderTopics
from feedline.settings import Settings

TITLE = "(q) Bulk entry: transactions to orders.out, by instances and partitions"
PARTITIONS, INSTANCES = (6, 24, 48), (1, 2, 4)
# Of the delay-bound runs: 400 a second each.
DELAY_MS, HELD = 1_000, 400
WINDOW_S, FAST_WINDOW_S = 5.0, 5.0
# Enough for the fastest instance and the window, and for the four that are held up.
FAST_BACKLOG, BACKLOG_S = 90_000, 14.0
WITHIN_S = 120.0
PUBLISHED = "feedline_orders_bulk_publish_total"


@dataclass(frozen=True, slots=True)
class Passed:
    """One run. held: events an instance may hold, 0 when it goes as fast as it can; rate: events a second over the
    window; cpu: seconds per 1,000 events of bulk entry and broker."""

    partitions: int
    instances: int
    held: int
    rate: float
    cpu: Mapping[str, float]


def runs() -> Iterator[tuple[int, int, int]]:
    """Partitions, instances, and events an instance may hold; 0: as many as it likes."""
    for partitions in PARTITIONS:
        for instances in INSTANCES if partitions == 24 else (1, 4):
            yield partitions, instances, HELD
    yield 24, 1, 0


def fill(settings: Settings, topic: str, events: int) -> None:
    """So many new orders on `orders.bulk`."""
    number = schema_id(registry_client(settings.registry), f"{topic}-value", order_schema(ORDER_EVENT))
    producer = Producer(producer_config(settings.kafka) | {"partitioner": "murmur2_random"})
    order = Order(
        side=Side.BUY, orderType=OrderType.LIMIT, quantity=Decimal(100), limitPrice=Decimal("12.5"), currency="USD",
        symbol="AAPL", isin="US0378331005",
    )  # fmt: skip
    for index in range(events):
        order_id = f"bench-{index}"
        event = OrderEvent(
            event_id=event_id(order_id, 1), order_id=order_id, sequence=1, kind=EventKind.NEW, account_id="ACC0000001",
            product=Product.EQUITY, order=order, transact_time=datetime.now(UTC), source=EntrySource.BULK,
            client="bench",
        )  # fmt: skip
        while True:
            try:
                producer.produce(topic, encode_event(event, number), order_id)
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush()


def measure(home: Path, settings: Settings, *, partitions: int, instances: int, held: int, number: int) -> Passed:
    """Starts the instances on a backlog; held: as in `Passed`."""
    topics = OrderTopics(f"bulk{number}.", partitions)
    provision_orders(settings, topics)
    backlog = round(instances * held * 1000 / DELAY_MS * BACKLOG_S) if held else FAST_BACKLOG
    # In a process of its own, so that this one stays small and idle.
    filler = get_context("spawn").Process(target=fill, args=(settings, topics.bulk, backlog))
    filler.start()
    filler.join()
    (broker,) = [one.pid for one in status(home) if one.name == KAFKA and one.pid is not None]
    await_idle([broker])
    options = ["--prefix", topics.prefix, "--settings", home / "settings.json", "--delay", DELAY_MS if held else 100]
    options += ["--outstanding", held] if held else []
    with running(
        [command("bulk", *options, "--instance", f"bench-{index}") for index in range(instances)], ready="/health"
    ) as services:
        share = backlog // instances // 20 or 1
        wait_for(
            lambda: all(one.metric(PUBLISHED) >= min(share, 2 * (held or 1)) for one in services), within_s=WITHIN_S
        )
        return _window(services, broker, Passed(partitions, instances, held, 0.0, {}))


def _window(services: Sequence[Service], broker: int, run: Passed) -> Passed:
    pids = [one.pid for one in services]
    before, began = _published(services), time.monotonic()
    cpu_before, broker_before = cpu_seconds_of(pids), cpu_seconds_of([broker])
    time.sleep(WINDOW_S if run.held else FAST_WINDOW_S)
    passed, seconds = _published(services) - before, time.monotonic() - began
    cpu = {"bulk": cpu_seconds_of(pids) - cpu_before, "broker": cpu_seconds_of([broker]) - broker_before}
    return Passed(
        run.partitions, run.instances, run.held, passed / seconds, {k: v * 1000 / passed for k, v in cpu.items()}
    )


def _published(services: Sequence[Service]) -> float:
    return sum(one.metric(PUBLISHED) for one in services)


def table(runs: Sequence[Passed]) -> str:
    """Markdown: one table of what is held up by the delay, one of what goes as fast as it can."""
    counts = sorted({one.partitions for one in runs})
    held = {(one.partitions, one.instances): one for one in runs if one.held}
    lines = [
        f"### {TITLE}",
        "",
        f"Held up by the delay: {HELD} events at once, {DELAY_MS:,} ms each. Events/s, and the share of linear.",
        "",
        "| partitions | " + " | ".join(f"{n} instance{'s' if n > 1 else ''}" for n in INSTANCES) + " |",
        "| --- " * (len(INSTANCES) + 1) + "|",
    ]
    for partitions in counts:
        one = held.get((partitions, 1))
        cells = []
        for instances in INSTANCES:
            run = held.get((partitions, instances))
            share = f" ({run.rate / (instances * one.rate):.1%})" if run and one and instances > 1 else ""
            cells.append(f"{run.rate:,.0f}{share}" if run else "")
        lines.append(f"| {partitions} | " + " | ".join(cells) + " |")
    lines += ["", "As fast as it goes, 100 ms of delay each.", ""]
    lines += ["| partitions | instances | events/s | bulk entry, CPU s / 1,000 | broker |", "| --- " * 5 + "|"]
    for run in runs:
        if not run.held:
            costs = f"{run.cpu['bulk']:.3f} | {run.cpu['broker']:.3f}"
            lines.append(f"| {run.partitions} | {run.instances} | {run.rate:,.0f} | {costs} |")
    return "\n".join(lines) + "\n"
