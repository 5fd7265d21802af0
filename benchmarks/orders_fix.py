"""Orders as FIX: what the gateway and the engine cost, against the FIX engine alone.

`python -m benchmarks.orders_fix` starts a local stack of its own and prints one table. Every part is a process of its
own; CPU is user and system time of that process, from the first order to the last report.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
from confluent_kafka import Consumer, Producer, TopicPartition

from feedline.kafka.admin import watermarks
from feedline.kafka.config import consumer_config, producer_config
from feedline.kafka.registry import registry_client, schema_id
from feedline.local.ports import choose_ports
from feedline.local.stack import StackConfig, down, up
from feedline.orders.fix.connection import Connection
from feedline.orders.fix.dictionary import parse
from feedline.orders.fix.messages import message_of, terms_of
from feedline.orders.fix.outbox import PARTITIONER
from feedline.orders.fix.session_policy import SessionPolicy
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

RUN = "import sys; from feedline.cli import main; main(sys.argv[1:])"
PARTITIONS = 12
ORDER = Order(
    side=Side.BUY,
    orderType=OrderType.LIMIT,
    quantity=Decimal("100.0000"),
    limitPrice=Decimal("12.500000"),
    currency="USD",
    symbol="AAPL",
    isin="US0378331005",
)


@dataclass(frozen=True)
class Measured:
    """cpu_s: by part."""

    what: str
    orders: int
    seconds: float
    cpu_s: dict[str, float]


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


def cpu_of(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


class Engine:
    """The simulated engine as the command that it is."""

    def __init__(self, home: Path) -> None:
        self.ports = choose_ports({"fix": 0, "control": 0}, {})
        command = [
            *(sys.executable, "-c", RUN, "orders", "engine", "--fix-port", str(self.ports["fix"])),
            *("--port", str(self.ports["control"]), "--folder", str(home / "engine"), "--answer", "fill"),
        ]
        self.process = psutil.Process(subprocess.Popen(command, stderr=subprocess.DEVNULL).pid)
        wait_for(lambda: bool(self.status()))

    def status(self) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['control']}/status", timeout=10) as answer:
                return dict(json.load(answer))
        except OSError:
            return {}


def wait_for(condition: Any, within_s: float = 300.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the benchmark waits for what does not come")
        time.sleep(0.05)


def engine_alone(home: Path, orders: int) -> Measured:
    """A client that only makes messages, validates and sends them, and takes the reports off the queue."""
    engine = Engine(home)
    connection = Connection(
        SessionPolicy(sender="GATEWAY-1", targets=("ENGINE",), folder=home / "alone", port=engine.ports["fix"])
    )
    events = [order_event() for _ in range(orders)]
    connection.start()
    try:
        wait_for(lambda: connection.logged_on)
        own = psutil.Process()
        before, engine_before, started = cpu_of(own), cpu_of(engine.process), time.monotonic()
        reports, sent = 0, 0
        while reports < 2 * orders:
            if sent < orders and sent - reports // 2 < 2_000:
                event = events[sent]
                connection.send(parse(message_of(event, terms_of(event), 0, sent), "GATEWAY-1", "ENGINE"))
                sent += 1
            while not connection.reports.empty():
                connection.reports.get_nowait()
                reports += 1
            if sent == orders:
                time.sleep(0.002)
        seconds = time.monotonic() - started
        cpu = {"client": cpu_of(own) - before, "engine": cpu_of(engine.process) - engine_before}
    finally:
        connection.stop()
        engine.process.kill()
    return Measured("FIX engine alone", orders, seconds, cpu)


def _produce(settings: Settings, topics: OrderTopics, orders: int, rate: float | None) -> None:
    producer = Producer(producer_config(settings.kafka) | {"partitioner": PARTITIONER, "linger.ms": 5})
    number = schema_id(registry_client(settings.registry), f"{topics.out}-value", order_schema(ORDER_EVENT))
    events = [order_event() for _ in range(orders)]
    started = time.monotonic()
    for index, event in enumerate(events):
        if rate is not None:
            time.sleep(max(0.0, started + index / rate - time.monotonic()))
        value = encode_event(replace(event, transact_time=datetime.now(UTC)), number)
        producer.produce(topics.out, value, event.order_id, headers=list(event_headers(event, facts_of(event))))
        producer.poll(0)
    producer.flush()


def through_gateway(home: Path, settings: Settings, orders: int, rate: float | None) -> Measured:
    topics = OrderTopics(f"bench.{uuid.uuid4().hex[:6]}.", PARTITIONS)
    provision_orders(settings, topics)
    home = home / topics.prefix
    home.mkdir()
    engine = Engine(home)
    port = choose_ports({"gateway": 0}, {})["gateway"]
    command = [
        *(sys.executable, "-c", RUN, "orders", "gateway", "--engine", f"127.0.0.1:{engine.ports['fix']}"),
        *("--port", str(port), "--folder", str(home / "gateway"), "--prefix", topics.prefix),
        *("--group", f"feedline.orders.gateway.{topics.prefix}", "--settings", os.environ["BENCH_SETTINGS"]),
    ]
    gateway = psutil.Process(subprocess.Popen(command, stderr=subprocess.DEVNULL).pid)
    try:
        wait_for(lambda: engine.status().get("sessions"))
        time.sleep(3)
        gateway_before, engine_before, started = cpu_of(gateway), cpu_of(engine.process), time.monotonic()
        feeding = multiprocessing.get_context("spawn").Process(target=_produce, args=(settings, topics, orders, rate))
        feeding.start()
        wait_for(lambda: _committed(settings, topics) >= orders, within_s=600)
        seconds = time.monotonic() - started
        cpu = {"gateway": cpu_of(gateway) - gateway_before, "engine": cpu_of(engine.process) - engine_before}
    finally:
        gateway.kill()
        engine.process.kill()
    return Measured(f"gateway at {rate:g} orders/s" if rate else "gateway, as fast as it can", orders, seconds, cpu)


def _committed(settings: Settings, topics: OrderTopics) -> int:
    """How many events are answered, durably: where the group's offsets are, from where the topic begins."""
    consumer = Consumer(consumer_config(settings.kafka, group_id=f"feedline.orders.gateway.{topics.prefix}"))
    try:
        asked = [TopicPartition(topics.out, number) for number in range(PARTITIONS)]
        places = consumer.committed(asked, timeout=20)
    finally:
        consumer.close()
    low = {number: first for number, (first, _) in watermarks(settings.kafka, topics.out, range(PARTITIONS)).items()}
    time.sleep(0.2)
    return sum(max(0, place.offset - low[place.partition]) for place in places)


def show(results: list[Measured]) -> None:
    print("| what | orders | orders/s | CPU ms per 1,000 orders | of one core |")
    print("| --- | ---: | ---: | --- | ---: |")
    for one in results:
        each = ", ".join(f"{part} {1e6 * used / one.orders:,.0f}" for part, used in one.cpu_s.items())
        share = sum(one.cpu_s.values()) / one.seconds
        print(f"| {one.what} | {one.orders:,} | {one.orders / one.seconds:,.0f} | {each} | {share:.0%} |")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--orders", type=int, default=20_000)
    options.add_argument("--seconds", type=int, default=30, help="of the paced run")
    options.add_argument("--rate", type=float, default=250)
    chosen = options.parse_args()
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory())).resolve()
        settings = up(StackConfig(home=home / "stack", airflow=False))
        stack.callback(down, home / "stack")
        os.environ["BENCH_SETTINGS"] = str(home / "stack" / "settings.json")
        results = [engine_alone(home, chosen.orders)]
        results.append(through_gateway(home, settings, chosen.orders, None))
        results.append(through_gateway(home, settings, int(chosen.rate * chosen.seconds), chosen.rate))
        show(results)


if __name__ == "__main__":
    main()
