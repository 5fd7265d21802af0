"""An engine, gateways and a stream of orders, each the real thing in a process of its own, and what is left of it."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from feedline.cli.output import TRY_AGAIN
from feedline.kafka.admin import watermarks
from feedline.kafka.config import consumer_config, producer_config
from feedline.kafka.registry import registry_client, schema_id
from feedline.local.ports import choose_ports
from feedline.orders.engine.book import Arrival, read_book
from feedline.orders.fix.outbox import PARTITIONER
from feedline.orders.model import (
    EntrySource,
    EventKind,
    ExecutionReport,
    OptionDetails,
    Order,
    OrderEvent,
    OrderType,
    Product,
    PutCall,
    Side,
    TimeInForce,
    decode_report,
    encode_event,
    event_headers,
    event_id,
    facts_of,
)
from feedline.orders.model.schemas import ORDER_EVENT, order_schema
from feedline.orders.topics import OrderTopics
from feedline.settings import Settings
from order_flow.books import BookCheck, check_book

WITHIN_S = 120.0
TESTS = Path(__file__).resolve().parents[1]
ENTRY = str(TESTS / "order_flow" / "entry_process.py")

EQUITY = Order(
    side=Side.BUY, orderType=OrderType.LIMIT, quantity=Decimal(100), limitPrice=Decimal("12.50"), currency="USD",
    symbol="AAPL", isin="US0378331005",
)  # fmt: skip
OPTION = Order(
    side=Side.SELL, orderType=OrderType.LIMIT, quantity=Decimal(3), limitPrice=Decimal("4.05"), currency="USD",
    symbol="AAPL 270115C00200000", option=OptionDetails("AAPL", PutCall.CALL, Decimal(200), date(2027, 1, 15)),
)  # fmt: skip
FUND = Order(
    side=Side.SUBSCRIBE, orderType=OrderType.MARKET, cashAmount=Decimal("2500.00"), currency="EUR", symbol="WGEQ",
    timeInForce=TimeInForce.DAY,
)  # fmt: skip
ORDERS: Mapping[Product, Order] = {Product.EQUITY: EQUITY, Product.OPTION: OPTION, Product.MUTUAL_FUND: FUND}


def event(order_id: str, sequence: int, kind: EventKind, product: Product = Product.EQUITY) -> OrderEvent:
    order = ORDERS[product]
    if kind is EventKind.AMEND:
        amount = {"cashAmount": Decimal(2600)} if order.cashAmount else {"quantity": (order.quantity or 0) + sequence}
        order = msgspec.structs.replace(order, **amount)
    return OrderEvent(
        event_id=event_id(order_id, sequence),
        order_id=order_id,
        sequence=sequence,
        kind=kind,
        account_id="ACC0000001",
        product=product,
        order=None if kind is EventKind.CANCEL else order,
        transact_time=datetime.now(UTC),
        source=EntrySource.BULK,
        client="desk",
    )


def lives(count: int, seed: int = 1) -> list[OrderEvent]:
    """The events of so many orders, mixed: some amended, some cancelled; each order's in sequence."""
    chance = random.Random(seed)
    made: list[list[OrderEvent]] = []
    for _ in range(count):
        order_id, product = str(uuid.UUID(int=chance.getrandbits(128), version=4)), chance.choice(list(Product))
        kinds = [EventKind.NEW, *[EventKind.AMEND] * chance.randrange(3), *[EventKind.CANCEL] * chance.randrange(2)]
        made.append([event(order_id, number, kind, product) for number, kind in enumerate(kinds, start=1)])
    mixed = []
    while made:
        of_one = chance.choice(made[:50])
        mixed.append(of_one.pop(0))
        if not of_one:
            made.remove(of_one)
    return mixed


@dataclass
class Flow:
    """One engine, any number of gateways and of order entries on topics of their own. `given`: the events that were
    produced here; `expected`: order id and sequence of what must be sent."""

    settings: Settings
    settings_file: Path
    topics: OrderTopics
    home: Path
    partitions: int
    group: str = field(default_factory=lambda: f"feedline-orders.gateway.{uuid.uuid4().hex[:8]}")
    given: list[OrderEvent] = field(default_factory=list)
    expected: list[tuple[str, int]] = field(default_factory=list)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    restarts: Counter[str] = field(default_factory=Counter)
    _commands: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ports = choose_ports({"fix": 0, "control": 0}, {})
        self._schema = schema_id(
            registry_client(self.settings.registry), f"{self.topics.out}-value", order_schema(ORDER_EVENT)
        )
        self._producer = Producer(producer_config(self.settings.kafka) | {"partitioner": PARTITIONER, "linger.ms": 2})

    # Processes

    def start_engine(self, *arguments: str) -> None:
        self._start(
            "engine",
            [
                *(sys.executable, "-c", RUN),
                *("orders", "engine", "--fix-port", str(self.ports["fix"]), "--port", str(self.ports["control"])),
                *("--folder", str(self.home / "engine"), *arguments),
            ],
        )
        self.wait_for(self.engine_answers, "the engine answers")

    def engine_answers(self) -> bool:
        with suppress(OSError):
            return bool(self.control("/status")) or True
        return False

    def start_gateway(self, name: str = "GATEWAY-1", *arguments: str, folder: str = "", **options: Any) -> None:
        """options: those of `gateway_process`."""
        chosen = {
            "marker": str(self.home / f"{name}.died"),
            "arguments": [
                *("--name", name, "--engine", f"127.0.0.1:{self.ports['fix']}", "--port", str(self._port(name))),
                *("--folder", str(self.home / (folder or name)), "--group", self.group, *self._usual),
                *("--heartbeat", "2", "--drain", "5"),
                *arguments,
            ],
            **options,
        }
        script = str(TESTS / "order_flow" / "gateway_process.py")
        self._start(name, [sys.executable, script, json.dumps(chosen)])

    def _start(self, name: str, command: list[str]) -> None:
        self._commands[name] = command
        with (self.home / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.home)

    def again(self, name: str) -> None:
        """The same process once more, after it has ended."""
        assert self.processes[name].poll() is not None
        self._start(name, self._commands[name])

    def tend(self) -> None:
        for name in [name for name, one in self.processes.items() if one.poll() == TRY_AGAIN]:
            self.restarts[name] += 1
            self.again(name)

    def kill(self, name: str) -> None:
        self.tend()
        self.processes[name].kill()
        self.processes[name].wait(10)

    def end(self, name: str) -> int:
        """As a service is told to end; its exit code. One that does not end says in its log where it stands."""
        self.processes[name].send_signal(signal.SIGTERM)
        try:
            return self.processes[name].wait(60)
        except subprocess.TimeoutExpired:
            self.processes[name].send_signal(signal.SIGUSR1)
            time.sleep(1)
            raise AssertionError(f"{name} does not end when it is told to; {self._logs()}") from None

    def died(self, name: str = "GATEWAY-1") -> bool:
        return self.processes[name].poll() == -signal.SIGKILL

    def close(self) -> None:
        for process in self.processes.values():
            with suppress(OSError):
                process.kill()
            process.wait(10)

    def control(self, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        address = f"http://127.0.0.1:{self.ports['control']}{path}"
        with urllib.request.urlopen(urllib.request.Request(address, data=data), timeout=30) as answer:
            return json.load(answer)

    def metrics(self, name: str = "GATEWAY-1", prefix: str = "feedline_gateway") -> dict[str, float]:
        """A service's metrics that have no labels but the session; nothing while it does not answer."""
        with suppress(OSError):
            address = f"http://127.0.0.1:{self.ports[name]}/metrics"
            with urllib.request.urlopen(address, timeout=30) as answer:
                lines = answer.read().decode().splitlines()
            pairs = (line.rsplit(" ", 1) for line in lines if line.startswith(prefix))
            return {
                key.split("{")[0].removeprefix(f"{prefix}_"): float(value)
                for key, value in pairs
                if "partition=" not in key
            }
        return {}

    # Order entry

    def start_entry(self, name: str, keys: Path, **options: Any) -> None:
        """An instance of `feedline orders serve`; options: those of `entry_process`."""
        arguments = ["serve", "--keys", str(keys), "--port", str(self._port(name)), *self._usual]
        self._start(name, [sys.executable, ENTRY, json.dumps({"arguments": arguments, **options})])

    def start_bulk(self, name: str, *arguments: str, **options: Any) -> None:
        """An instance of `feedline orders bulk` of that name."""
        told = ["bulk", "--instance", name, "--port", str(self._port(name)), *self._usual, *arguments]
        self._start(name, [sys.executable, ENTRY, json.dumps({"arguments": told, **options})])

    def entry_is_ready(self, name: str) -> bool:
        return self._answers(self.ports[name], "/health/ready")

    def is_up(self, name: str) -> bool:
        """Whether a service has begun: from then on it hears that it is to end."""
        return self.engine_answers() if name == "engine" else self._answers(self.ports[name], "/metrics")

    def _answers(self, port: int, path: str) -> bool:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return bool(answer.status == 200)
        return False

    def _port(self, name: str) -> int:
        self.ports[name] = self.ports.get(name) or choose_ports({name: 0}, {})[name]
        return self.ports[name]

    @property
    def _usual(self) -> list[str]:
        return ["--prefix", self.topics.prefix, "--settings", str(self.settings_file)]

    # Orders

    def produce(self, events: list[OrderEvent], *, topic: str = "", expected: bool = True, pace_s: float = 0.0) -> None:
        """topic: `orders.out` unless another one is given."""
        for one in events:
            self._producer.produce(
                topic or self.topics.out,
                encode_event(one, self._schema),
                one.order_id,
                headers=list(event_headers(one, facts_of(one))),
            )
            if pace_s:
                self._producer.poll(pace_s)
        assert self._producer.flush(60) == 0
        if expected:
            self.given += events
            self.expected += [(one.order_id, one.sequence) for one in events]

    @property
    def unheld(self) -> set[tuple[str, int]]:
        """What is sent of all that must be while nothing is answered: behind an order's first amendment or cancellation
        nothing is."""
        return {(order_id, sequence) for order_id, sequence in self.expected if sequence <= 2}

    # What is left

    def booked(self) -> set[tuple[str, int]]:
        return {(one.order_id, one.sequence) for one in self.book()}

    def book(self) -> list[Arrival]:
        return read_book(self.home / "engine") if (self.home / "engine" / "book.jsonl").exists() else []

    def reports(self) -> list[ExecutionReport]:
        return [decode_report(message.value()) for message in self.read(self.topics.executions, self.partitions)]

    def refused(self) -> list[dict[str, bytes]]:
        return [dict(message.headers()) for message in self.read(self.topics.error, 1)]

    def read(self, topic: str, partitions: int) -> list[Any]:
        marks = watermarks(self.settings.kafka, topic, range(partitions))
        left = {number for number, (low, high) in marks.items() if low < high}
        consumer = Consumer(consumer_config(self.settings.kafka, group_id="checker") | {"enable.partition.eof": True})
        found = []
        try:
            consumer.assign([TopicPartition(topic, number, marks[number][0]) for number in left])
            while left:
                for message in consumer.consume(500, timeout=0.2):
                    if message.error() is None:
                        found.append(message)
                    elif message.error().code() == KafkaError._PARTITION_EOF:
                        left.discard(message.partition())
        finally:
            consumer.close()
        return found

    def settled(self) -> bool:
        """Whether every event that must be sent is in the book and has its report."""
        if not set(self.expected) <= self.booked():
            return False
        # Reading the whole topic is not cheap: not more often than this.
        time.sleep(0.4)
        return {f"{o}-{s}" for o, s in self.expected} <= self.answered()

    def answered(self) -> set[str]:
        return {report.cl_ord_id for report in self.reports()}

    def check(self) -> BookCheck:
        return check_book(self.expected, self.book(), self.answered())

    def wait_for(self, condition: Callable[[], object], what: str, *, within_s: float = WITHIN_S) -> None:
        """Meanwhile a service that ends with 3 is started again, as whatever supervises it would do."""
        deadline = time.monotonic() + within_s
        while not condition():
            self.tend()
            ended = {name: one.poll() for name, one in self.processes.items() if one.poll() not in (None, -9, 0)}
            if ended or time.monotonic() > deadline:
                raise AssertionError(f"not within {within_s:g} s: {what}; {ended} {self.check()} {self._logs()}")
            time.sleep(0.1)

    def await_settled(self, within_s: float = WITHIN_S) -> BookCheck:
        self.wait_for(self.settled, "all is booked and reported", within_s=within_s)
        return self.check()

    def _logs(self) -> str:
        return "\n".join(f"{file.name}: {file.read_text()[-4000:]}" for file in self.home.glob("*.log"))


RUN = "import sys; from feedline.cli import main; main(sys.argv[1:])"


@contextmanager
def flow(settings: Settings, settings_file: Path, topics: OrderTopics, home: Path, partitions: int) -> Iterator[Flow]:
    """Whatever happens, no process is left."""
    made = Flow(settings, settings_file, topics, home, partitions)
    try:
        yield made
    finally:
        made.close()
