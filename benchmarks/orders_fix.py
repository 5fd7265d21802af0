"""Orders as FIX: the engine alone against gateway and engine, and how gateways share a slow engine's sessions.

Every part is a process of its own; CPU is user and system time of those processes over the same window in which the
orders are counted. An order is acknowledged and filled: two reports.
"""

from __future__ import annotations

import json
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from multiprocessing import get_context
from pathlib import Path

from confluent_kafka import Producer

from benchmarks.measure import await_idle, cpu_seconds_of, python_contender
from benchmarks.order_processes import Service, command, running, wait_for
from benchmarks.report import spread
from feedline.kafka.config import producer_config
from feedline.kafka.registry import registry_client, schema_id
from feedline.local.ports import HOST, choose_ports
from feedline.local.stack import KAFKA, status
from feedline.orders.fix.outbox import PARTITIONER
from feedline.orders.model import (
    EntrySource,
    EventKind,
    Order,
    OrderEvent,
    OrderType,
    Product,
    Side,
    encode_event,
    event_headers,
    event_id,
    facts_of,
)
from feedline.orders.model.schemas import ORDER_EVENT, order_schema
from feedline.orders.provision import provision_orders
from feedline.orders.topics import OrderTopics
from feedline.settings import Settings

TITLE = "(r) Orders as FIX: two reports each"
ALONE = "FIX engine alone"
ORDER = Order(
    side=Side.BUY,
    orderType=OrderType.LIMIT,
    quantity=Decimal("100.0000"),
    limitPrice=Decimal("12.500000"),
    currency="USD",
    symbol="AAPL",
    isin="US0378331005",
)
ANSWERED = "feedline_gateway_reports_total"
WITHIN_S = 300.0
# Of the slow engine: 200 messages a second at most by a session.
SLOW_S = 0.005
# Of a backlog, what gateways may take until all of them have their partitions and have answered: no part of it may run
# out before the window ends.
START_S = 25.0


@dataclass(frozen=True, slots=True)
class Run:
    """A measurement to make. rate: orders a second that are entered, 0 for a backlog; window_s: how long is counted;
    slow_s: what the engine takes for each message."""

    instances: int = 1
    partitions: int = 24
    rate: float = 0.0
    window_s: float = 6.0
    slow_s: float = 0.0


RUNS: Mapping[str, Run] = {
    "gateway, as fast as it goes": Run(),
    "2 gateways, as fast as they go": Run(instances=2),
    "gateway, 250 orders/s": Run(rate=250, window_s=10),
    **{
        f"{count} gateway{'s' if count > 1 else ''}, an engine of 200 messages/s a session": Run(
            instances=count, slow_s=SLOW_S, window_s=12
        )
        for count in (1, 2, 4)
    },
}
ORDERS_ALONE = 8_000


@dataclass(frozen=True, slots=True)
class Answered:
    """One run. rate: orders answered a second; cpu: seconds per 1,000 of them by part."""

    instances: int
    slow_s: float
    rate: float
    cpu: Mapping[str, float]


def order_event() -> OrderEvent:
    order_id = str(uuid.uuid4())
    return OrderEvent(
        event_id=event_id(order_id, 1),
        order_id=order_id,
        sequence=1,
        kind=EventKind.NEW,
        account_id="ACC0000001",
        product=Product.EQUITY,
        order=ORDER,
        transact_time=datetime.now(UTC),
        source=EntrySource.BULK,
        client="bench",
    )


def produce(settings: Settings, topics: OrderTopics, orders: int, rate: float) -> None:
    """New orders on orders.out, at that rate a second; 0: at once."""
    producer = Producer(producer_config(settings.kafka) | {"partitioner": PARTITIONER, "linger.ms": 5})
    number = schema_id(registry_client(settings.registry), f"{topics.out}-value", order_schema(ORDER_EVENT))
    began = time.monotonic()
    for index in range(orders):
        if rate:
            time.sleep(max(0.0, began + index / rate - time.monotonic()))
        event = replace(order_event(), transact_time=datetime.now(UTC))
        value, headers = encode_event(event, number), event_headers(event, facts_of(event))
        while True:
            try:
                producer.produce(topics.out, value, event.order_id, headers=list(headers))
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    producer.flush()


@contextmanager
def _engine(folder: Path, instances: int, slow_s: float) -> Iterator[tuple[Service, int]]:
    """The simulated engine, and its FIX port."""
    port = choose_ports({"fix": 0}, {})["fix"]
    gateways = ",".join(f"GATEWAY-{number}" for number in range(1, instances + 1))
    options = ["--fix-port", port, "--folder", folder, "--answer", "fill", "--slow", slow_s, "--gateways", gateways]
    with running([command("engine", *options)], ready="/status") as (engine,):
        yield engine, port


def engine_alone(work: Path) -> Answered:
    """A client without Kafka, as fast as it goes."""
    with _engine(work / "alone-engine", 1, 0.0) as (engine, port):
        before = cpu_seconds_of([engine.pid])
        options = ["--fix-port", str(port), "--folder", str(work / "alone"), "--orders", str(ORDERS_ALONE)]
        done = subprocess.run(python_contender("fix_alone", *options), capture_output=True, text=True, check=True)
        spent = cpu_seconds_of([engine.pid]) - before
    told = json.loads(done.stdout.strip().splitlines()[-1])
    thousands = told["orders"] / 1000
    cpu = {"client or gateway": told["cpu"] / thousands, "engine": spent / thousands}
    return Answered(1, 0.0, told["orders"] / told["seconds"], cpu)


def measure(home: Path, settings: Settings, run: Run, work: Path, number: int) -> Answered:
    """Gateways and an engine on topics of their own; counted over a window in which there is always something to do."""
    topics = OrderTopics(f"fix{number}.", run.partitions)
    provision_orders(settings, topics)
    folder = work / f"fix{number}"
    (broker,) = [one.pid for one in status(home) if one.name == KAFKA and one.pid is not None]
    slow = run.instances / run.slow_s * (run.window_s + START_S) if run.slow_s else 30_000 * run.instances
    orders = round(run.rate * (run.window_s + 8) if run.rate else slow)
    filler = get_context("spawn").Process(target=produce, args=(settings, topics, orders, run.rate))
    with _engine(folder / "engine", run.instances, run.slow_s) as (engine, port):
        if not run.rate:
            filler.start()
            filler.join()
            await_idle([broker])
        with running(
            [
                command(
                    "gateway", "--name", f"GATEWAY-{one}", "--engine", f"{HOST}:{port}", "--folder", folder / str(one),
                    "--prefix", topics.prefix, "--group", f"feedline-orders.gateway.{topics.prefix}",
                    "--settings", home / "settings.json",
                )
                for one in range(1, run.instances + 1)
            ],
            ready="/health",
        ) as gateways:  # fmt: skip
            if run.rate:
                filler.start()
            wait_for(lambda: all(one.metric(ANSWERED) > 100 for one in gateways), within_s=WITHIN_S)
            time.sleep(2)
            found = _window(run, gateways, {"engine": [engine.pid], "broker": [broker]})
            if run.rate:
                filler.join()
    return found


def _window(run: Run, gateways: Sequence[Service], others: Mapping[str, list[int]]) -> Answered:
    parts = {"client or gateway": [one.pid for one in gateways], **others}
    with ThreadPoolExecutor(len(gateways)) as pool:
        began = list(pool.map(_told, gateways))
        cpu_before, cpu_began = {part: cpu_seconds_of(pids) for part, pids in parts.items()}, time.monotonic()
        time.sleep(run.window_s)
        cpu = {part: cpu_seconds_of(pids) - cpu_before[part] for part, pids in parts.items()}
        cpu_seconds = time.monotonic() - cpu_began
        ended = list(pool.map(_told, gateways))
    rate = sum(
        (reports - before) / 2 / (at - since) for (before, since), (reports, at) in zip(began, ended, strict=True)
    )
    thousands = rate * cpu_seconds / 1000
    return Answered(run.instances, run.slow_s, rate, {part: spent / thousands for part, spent in cpu.items()})


def _told(gateway: Service) -> tuple[float, float]:
    """Reports so far, and when: at the moment that the gateway tells a new number, which it does twice a second. Read
    in between, the number is of up to half a second ago: a twelfth of a window of 6 s."""
    before = gateway.metric(ANSWERED)
    wait_for(lambda: gateway.metric(ANSWERED) != before, within_s=WITHIN_S)
    return gateway.metric(ANSWERED), time.monotonic()


def measure_all(
    home: Path, settings: Settings, work: Path, turn: int, say: Callable[[str], None]
) -> dict[str, Answered]:
    """Every measurement once, in the round of that number, which has topics and folders of its own."""
    say(ALONE)
    folder = work / f"round{turn}"
    found = {ALONE: engine_alone(folder)}
    for number, (name, run) in enumerate(RUNS.items(), turn * len(RUNS)):
        say(name)
        found[name] = measure(home, settings, run, folder, number)
    return found


def table(found: Mapping[str, Sequence[Answered]]) -> str:
    """Markdown: medians, and the range of more rounds than one. The share of linear is that of gateways which wait for
    the engine, against the one gateway of the same round."""
    parts = ("client or gateway", "engine", "broker")
    lines = [
        f"### {TITLE}",
        "",
        "| what | orders/s | of linear | " + " | ".join(f"{part}, CPU s / 1,000" for part in parts) + " |",
        "| --- " * (3 + len(parts)) + "|",
    ]
    singles = next((rounds for rounds in found.values() if rounds[0].slow_s and rounds[0].instances == 1), [])
    for name, rounds in found.items():
        share = ""
        if rounds[0].slow_s and rounds[0].instances > 1:
            pairs = zip(rounds, singles, strict=True)
            share = spread([one.rate / (single.rate * one.instances) for one, single in pairs], "{:.1%}")
        costs = " | ".join(
            spread([one.cpu[part] for one in rounds], "{:.2f}") if part in rounds[0].cpu else "" for part in parts
        )
        lines.append(f"| {name} | {spread([one.rate for one in rounds], '{:,.0f}')} | {share} | {costs} |")
    return "\n".join(lines) + "\n"
